//! What all consoles of a node share: seats, sessions, leases, and the audit log.
//!
//! Kept true: a wish acts once; what is in force on the node is what the live leases say; a lock here is never held while
//! anything is waited for.
//! Not here: frames (`console.rs`), who may what (`access.rs`).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::handshake::Guest;
use super::requests::{Coming, Requests};
use super::{CONSOLES_MAX, CONSOLES_OF_ONE_ADDRESS_MAX, HANDSHAKES_MAX, ServerSpec, is_here, words};
use crate::control::access::{self, Armed};
use crate::control::audit::Entry;
use crate::control::leases::{Lease, LeaseId, Leases, Why};
use crate::control::observation::What;
use crate::control::protocol::{Fault, Picture, Refusal, Reply, Standing, Wish};
use crate::raft::{NodeId, Role};
use crate::text::{clip, sanitize_str};

/// Sessions that are remembered.
const SESSIONS_MAX: usize = 256;

/// Commands and queries under way, over all consoles, in bytes.
const UNDER_WAY_BYTES_MAX: u64 = 64 << 20;

/// A picture that is not older than this serves for another console too.
const PICTURE_AGE: Duration = Duration::from_millis(15);

/// How often leases are looked at when nothing else makes it necessary.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the answer to "end" has to get out.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// What a request comes to, now or later.
pub(super) enum Asked {
    Now(Reply),
    Later(oneshot::Receiver<Reply>),
}

#[derive(Default)]
struct Session {
    /// The name that a token proved; whoever comes with this session must prove the same.
    proved: Option<String>,
    connections: usize,
    heard_ms: u64,
    armed: Option<Armed>,
    requests: Requests<oneshot::Sender<Reply>>,
}

struct Inner {
    sessions: BTreeMap<u128, Session>,
    /// Connections by address, with those that still knock.
    addresses: BTreeMap<IpAddr, usize>,
    leases: Leases,
    newest: Option<(Instant, Arc<Picture>)>,
}

/// The shared half of a server.
pub struct Desk {
    pub(super) spec: ServerSpec,
    started: Instant,
    inner: Mutex<Inner>,
    /// Leases changed.
    changed: Notify,
    under_way_bytes: AtomicU64,
    console_bytes: AtomicU64,
}

/// A connection's place; given back when it is dropped.
pub(super) struct Seat {
    desk: Arc<Desk>,
    ip: IpAddr,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.desk.lock();
        if let Some(count) = inner.addresses.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                inner.addresses.remove(&self.ip);
            }
        }
    }
}

/// A connection that has come in counts with its session until this is dropped.
pub(super) struct Stay {
    desk: Arc<Desk>,
    session: u128,
}

impl Drop for Stay {
    fn drop(&mut self) {
        if let Some(session) = self.desk.lock().sessions.get_mut(&self.session) {
            session.connections = session.connections.saturating_sub(1);
        }
    }
}

impl Desk {
    /// Nobody is there yet.
    #[must_use]
    pub fn new(spec: ServerSpec) -> Arc<Self> {
        let inner = Inner {
            sessions: BTreeMap::new(),
            addresses: BTreeMap::new(),
            leases: Leases::new(spec.clean.members().collect::<Vec<_>>()),
            newest: None,
        };
        Arc::new(Self {
            spec,
            started: Instant::now(),
            inner: Mutex::new(inner),
            changed: Notify::new(),
            under_way_bytes: AtomicU64::new(0),
            console_bytes: AtomicU64::new(0),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Each change under this lock is whole before anything can panic.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// A place for a connection from there, if there is one.
    pub(super) fn sit(self: &Arc<Self>, from: SocketAddr) -> Option<Seat> {
        let ip = from.ip().to_canonical();
        let max = if is_here(ip) { CONSOLES_MAX + HANDSHAKES_MAX } else { CONSOLES_OF_ONE_ADDRESS_MAX };
        let mut inner = self.lock();
        let count = inner.addresses.entry(ip).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        drop(inner);
        Some(Seat { desk: Arc::clone(self), ip })
    }

    /// One more connection of a session.
    pub(super) fn enter(self: &Arc<Self>, session: u128, proved: Option<&str>) -> Result<Stay, Refusal> {
        let now_ms = self.now_ms();
        let mut inner = self.lock();
        let connections: usize = inner.sessions.values().map(|session| session.connections).sum();
        if connections >= CONSOLES_MAX {
            return Err(Refusal::Full);
        }
        if !inner.sessions.contains_key(&session) && inner.sessions.len() >= SESSIONS_MAX {
            let gone = inner.sessions.iter().filter(|(_, session)| session.connections == 0);
            let oldest = gone.min_by_key(|(_, session)| (!session.requests.is_empty(), session.heard_ms));
            let Some(oldest) = oldest.map(|(id, _)| *id) else { return Err(Refusal::Full) };
            inner.sessions.remove(&oldest);
        }
        let known = inner
            .sessions
            .entry(session)
            .or_insert_with(|| Session { proved: proved.map(str::to_owned), ..Session::default() });
        if known.proved.as_deref() != proved {
            return Err(Refusal::NotAllowed);
        }
        known.connections += 1;
        known.heard_ms = now_ms;
        inner.leases.alive(session, now_ms);
        Ok(Stay { desk: Arc::clone(self), session })
    }

    /// The session was heard.
    pub(super) fn alive(&self, session: u128) {
        let now_ms = self.now_ms();
        let mut inner = self.lock();
        inner.leases.alive(session, now_ms);
        if let Some(session) = inner.sessions.get_mut(&session) {
            session.heard_ms = now_ms;
        }
    }

    pub(super) fn add_bytes(&self, bytes: u64) {
        self.console_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, entry: Entry) {
        self.spec.audit.tell(entry);
    }

    /// The newest picture, not older than a moment.
    pub(super) fn picture(&self) -> Arc<Picture> {
        if let Some((at, picture)) = &self.lock().newest
            && at.elapsed() < PICTURE_AGE
        {
            return Arc::clone(picture);
        }
        let mut picture = self.spec.node.picture();
        let now_ms = self.now_ms();
        let mut inner = self.lock();
        picture.faults = inner.leases.views(now_ms);
        picture.consoles = inner.sessions.values().map(|session| session.connections as u32).sum();
        picture.console_bytes = self.console_bytes.load(Ordering::Relaxed);
        let picture = Arc::new(picture);
        inner.newest = Some((Instant::now(), Arc::clone(&picture)));
        picture
    }

    /// A request comes in. Must be called within a tokio runtime.
    pub(super) fn ask(self: &Arc<Self>, guest: &Guest, number: u64, decided_on: Option<Standing>, wish: Wish) -> Asked {
        // A read changes nothing: asked again it is read again.
        if let Wish::Read { query, level } = wish {
            return match self.may(guest, &Wish::Read { query: query.clone(), level }, decided_on) {
                Ok(()) => self.carry_aside(query.len(), self.spec.node.read(query, level)),
                Err(why) => Asked::Now(Reply::Refused { why }),
            };
        }
        let (waiter, answer) = oneshot::channel();
        let coming = match self.lock().sessions.get_mut(&guest.session) {
            Some(session) => session.requests.come(number, || waiter),
            None => Coming::TooOld,
        };
        match coming {
            Coming::Joined => return Asked::Later(answer),
            Coming::Again(reply) => return Asked::Now(reply),
            Coming::TooOld => {
                let why = "this number was used long ago and its answer is not known any more: look, then ask anew";
                return Asked::Now(Reply::Unknown { why: why.into() });
            }
            Coming::New => {}
        }
        let may = self.may(guest, &wish, decided_on);
        match (may, wish) {
            (Ok(()), Wish::Submit { command }) => {
                let Some(room) = self.take_room(command.len()) else {
                    self.turn_away(guest.session, number);
                    return Asked::Later(answer);
                };
                let reply = self.spec.node.submit(command);
                let (desk, session) = (Arc::clone(self), guest.session);
                // Not part of the connection: its answer is wanted also by who comes back over another.
                tokio::spawn(async move {
                    let reply = reply.await;
                    drop(room);
                    desk.settle(session, number, &reply);
                });
            }
            (may, wish) => {
                let what = describe(&wish);
                let audited = access::is_audited(&wish);
                let result = may.and_then(|()| self.carry_out(guest, wish));
                if audited {
                    let result = result.as_ref().map_or_else(|why| format!("refused: {why}"), Clone::clone);
                    self.tell(entry(guest, what, result));
                }
                let reply = result.map_or_else(|why| Reply::Refused { why }, Reply::Done);
                self.settle(guest.session, number, &reply);
            }
        }
        Asked::Later(answer)
    }

    fn carry_aside(self: &Arc<Self>, bytes: usize, reply: super::Later<'static, Reply>) -> Asked {
        let Some(room) = self.take_room(bytes) else {
            return Asked::Now(Reply::Busy { uncommitted_bytes: UNDER_WAY_BYTES_MAX });
        };
        let (tell, answer) = oneshot::channel();
        tokio::spawn(async move {
            let reply = reply.await;
            drop(room);
            // The console may have gone.
            let _ = tell.send(reply);
        });
        Asked::Later(answer)
    }

    fn take_room(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let bytes = bytes as u64 + 64;
        let room = Room { desk: Arc::clone(self), bytes };
        let before = self.under_way_bytes.fetch_add(bytes, Ordering::Relaxed);
        (before + bytes <= UNDER_WAY_BYTES_MAX).then_some(room)
    }

    /// It was not begun and may be asked again under the same number.
    fn turn_away(&self, session: u128, number: u64) {
        let waiters = match self.lock().sessions.get_mut(&session) {
            Some(session) => session.requests.forget(number),
            None => Vec::new(),
        };
        for waiter in waiters {
            let _ = waiter.send(Reply::Busy { uncommitted_bytes: UNDER_WAY_BYTES_MAX });
        }
    }

    fn settle(&self, session: u128, number: u64, reply: &Reply) {
        let waiters = match self.lock().sessions.get_mut(&session) {
            Some(session) => session.requests.answer(number, reply.clone()),
            None => Vec::new(),
        };
        for waiter in waiters {
            // Whoever has gone needs no answer.
            let _ = waiter.send(reply.clone());
        }
    }

    /// Whether it is allowed, and was decided on what still holds.
    fn may(&self, guest: &Guest, wish: &Wish, decided_on: Option<Standing>) -> Result<(), String> {
        let now_ms = self.now_ms();
        let armed = self.lock().sessions.get(&guest.session).and_then(|session| session.armed.clone());
        access::check(wish, guest.access, self.spec.keys, armed.as_ref(), now_ms).map_err(|why| why.to_string())?;
        let Some(decided_on) = decided_on else { return Ok(()) };
        match self.spec.node.standing() {
            Some((now, leader)) if !decided_on.holds(now) => Err(changed(self.spec.id, decided_on, now, leader)),
            Some(_) => Ok(()),
            None => Err(format!("{} is opening its store; look again", self.spec.id)),
        }
    }

    /// Carries out what is allowed and is done at once.
    fn carry_out(self: &Arc<Self>, guest: &Guest, wish: Wish) -> Result<String, String> {
        let id = self.spec.id;
        let now_ms = self.now_ms();
        match wish {
            Wish::Arm { access, duration_ms, reason } => {
                let armed = access::arm(access, duration_ms, &reason, guest.access, self.spec.keys, now_ms)
                    .map_err(|why| why.to_string())?;
                if let Some(session) = self.lock().sessions.get_mut(&guest.session) {
                    session.armed = Some(armed);
                }
                Ok(format!("armed for {access} on {id}, for {} s", duration_ms / 1_000))
            }
            Wish::Disarm => {
                if let Some(session) = self.lock().sessions.get_mut(&guest.session) {
                    session.armed = None;
                }
                Ok(format!("disarmed on {id}"))
            }
            Wish::Fault(fault) => {
                let fault = with_text(fault);
                let put = self.lock().leases.put(guest.session, &guest.who, &fault, now_ms);
                let renewed = put.map_err(|why| why.to_string())?;
                self.apply_leases();
                let text = sanitize_str(&fault.text);
                if !renewed {
                    self.happened(format!("{text} (by {})", guest.who));
                }
                Ok(format!("{text} is in force on {id} for {} s", fault.ttl_ms.div_ceil(1_000)))
            }
            Wish::HealFault { fault } => {
                let healed = self.lock().leases.heal((guest.session, fault));
                let Some(lease) = healed else {
                    // It may have ended by itself a moment ago: what is wished holds.
                    return Ok(format!("fault {fault} of this session is not in force on {id}"));
                };
                self.apply_leases();
                self.happened(format!("healed: {} (by {})", lease.text, guest.who));
                Ok(format!("{} is healed on {id}", lease.text))
            }
            Wish::HealAll => {
                let healed = self.lock().leases.heal_all();
                self.spec.node.spare_disk();
                self.apply_leases();
                self.happened(format!("heal (by {})", guest.who));
                Ok(format!("all faults are healed on {id}, {} of them", healed.len()))
            }
            Wish::HealLinks(links) => {
                self.lock().leases.heal_links(links);
                self.apply_leases();
                self.happened(format!("heal {links} (by {})", guest.who));
                Ok(format!("{links} is healed on {id}"))
            }
            Wish::FailDisk => {
                self.spec.node.fail_disk();
                self.happened(format!("fail-disk {id} (by {})", guest.who));
                Ok(format!("the next write of {id} will fail"))
            }
            Wish::Crash => {
                let node = Arc::clone(&self.spec.node);
                tokio::spawn(async move {
                    tokio::time::sleep(LAST_WORDS).await;
                    node.crash();
                });
                Ok(format!("{id} crashes"))
            }
            // They are not done at once, and do not come here.
            Wish::Submit { .. } | Wish::Read { .. } => Err("it cannot be asked so".into()),
        }
    }

    fn happened(&self, what: String) {
        let at_us = self.spec.node.picture().now_us;
        self.spec.news.tell(at_us, What::Faults { what });
    }

    /// What the live leases say goes to the node.
    fn apply_leases(&self) {
        let inner = self.lock();
        let rules = inner.leases.rules(&self.spec.clean);
        // Under the lock: two changes must reach the node in their order.
        self.spec.node.set_faults(rules, inner.leases.disk_delay_us());
        drop(inner);
        self.changed.notify_one();
    }

    /// Ends leases when their time has come, for ever.
    pub(super) async fn end_leases(&self) {
        loop {
            let next_ms = self.lock().leases.next_end_ms();
            let left_ms = next_ms.map(|at_ms| at_ms.saturating_sub(self.now_ms()).max(1));
            let left = left_ms.map_or(LOOK_EVERY, |ms| Duration::from_millis(ms).min(LOOK_EVERY));
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                () = self.changed.notified() => {}
            }
            let ended = self.lock().leases.expire(self.now_ms());
            if ended.is_empty() {
                continue;
            }
            self.apply_leases();
            for (id, lease, why) in ended {
                self.lease_ended(id, &lease, why);
            }
        }
    }

    fn lease_ended(&self, (session, _): LeaseId, lease: &Lease, why: Why) {
        let why = match why {
            Why::Time => "its time was up",
            Why::Silence => "its console has fallen silent",
        };
        self.happened(format!("healed: {} of {}: {why}", lease.text, lease.by));
        self.tell(Entry {
            who: "node".into(),
            address: String::new(),
            access: String::new(),
            session,
            what: format!("heal {}", lease.text),
            result: format!("healed: {why}"),
        });
    }
}

/// Room that a request takes while it is under way.
struct Room {
    desk: Arc<Desk>,
    bytes: u64,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.desk.under_way_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn entry(guest: &Guest, what: String, result: String) -> Entry {
    Entry {
        who: guest.who.clone(),
        address: guest.from.to_string(),
        access: guest.access.to_string(),
        session: guest.session,
        what,
        result,
    }
}

fn with_text(fault: Fault) -> Fault {
    if fault.text.trim().is_empty() { Fault { text: words(&fault.links), ..fault } } else { fault }
}

/// A wish in words, for the audit log; what a stranger wrote is cut short.
fn describe(wish: &Wish) -> String {
    let short = |text: &str| clip(&sanitize_str(text), 200);
    match wish {
        Wish::Submit { .. } => "submit".into(),
        Wish::Read { .. } => "read".into(),
        Wish::Arm { access, duration_ms, reason } => {
            format!("arm {access} for {} s: {}", duration_ms / 1_000, short(reason))
        }
        Wish::Disarm => "disarm".into(),
        Wish::Fault(fault) => {
            let text = if fault.text.trim().is_empty() { words(&fault.links) } else { fault.text.clone() };
            format!("fault {} for {} ms: {}", fault.number, fault.ttl_ms, short(&text))
        }
        Wish::HealFault { fault } => format!("heal fault {fault}"),
        Wish::HealAll => "heal".into(),
        Wish::HealLinks(links) => format!("heal {links}"),
        Wish::FailDisk => "fail-disk".into(),
        Wish::Crash => "crash".into(),
    }
}

/// What differs from the facts on which something was decided.
fn changed(id: NodeId, was: Standing, now: Standing, leader: Option<NodeId>) -> String {
    if was.epoch != now.epoch {
        return format!("{id} has started again since (life {} now): look, then decide anew", now.epoch);
    }
    let is = match (now.role, leader) {
        (Role::Leader, _) => "it leads now".to_owned(),
        (Role::Follower, Some(leader)) => format!("it follows {leader}"),
        (Role::Follower, None) => "it follows nobody".to_owned(),
        (Role::PreCandidate | Role::Candidate, _) => "it campaigns".to_owned(),
    };
    let since = match (was.role, now.role) {
        (Role::Leader, Role::Leader) => format!("leads in term {} and no longer in {}", now.term, was.term),
        (Role::Leader, _) => format!("no longer leads: {is} in term {}", now.term),
        _ => format!("has changed: {is} in term {}", now.term),
    };
    format!("{id} {since}")
}
