//! Clients of a cluster: they find the leader, ask once, and know three outcomes (paper §8).
//!
//! No proposal travels from node to node: whoever holds the client goes to the leader. What was certainly not appended
//! may be asked again until time is up; what may have been appended is never asked twice.
//!
//! Kept true: a command is applied at most once for each time it was submitted.
//! Not here: how a node is asked ([`Door`]), what it does with a request (`node/`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::control::{Answer, ClientsView, Latency, Level, LoadView};
use crate::machine::kv;
use crate::node::ClientOutcome;
use crate::node::driver::Wish;
use crate::node::meters::{Rate, Samples};
use crate::raft::{NodeId, Term, Ticks};
use crate::transport::clock::ClusterClock;
use crate::transport::net::Later;
use bytes::Bytes;

/// How long a client sleeps before it looks for a leader again, in microseconds of cluster time.
const LOOK_AGAIN_US: u64 = 20_000;

/// Requests of the automatic load that wait at the same time; what is beyond is not sent.
const LOAD_WAITING_MAX: u64 = 1_024;

/// Keys that the automatic load writes to.
const LOAD_KEYS: u64 = 100;

/// The way to one running node; clones are the same way.
pub(super) trait Door: Clone + Send + Sync + 'static {
    /// The term in which it calls itself leader, if it does.
    fn leads(&self) -> Option<Term>;

    /// Asks it once, and waits for its outcome, at most about so long.
    fn ask(&self, wish: Wish, within: Duration) -> Later<'static, ClientOutcome>;
}

#[derive(Default)]
struct Seen {
    applied: Rate,
    not_applied: u64,
    unknown: u64,
    reads: u64,
    waiting: u64,
    latency: Samples,
}

struct Shared<D> {
    clock: ClusterClock,
    timeout_us: u64,
    doors: Mutex<BTreeMap<NodeId, D>>,
    seen: Mutex<Seen>,
    /// What is said of a node without a door.
    no_door: &'static str,
}

/// All clients of the cluster; clones are the same clients.
#[derive(Clone)]
pub(super) struct Clients<D> {
    shared: Arc<Shared<D>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Door> Clients<D> {
    pub(super) fn new(clock: ClusterClock, timeout_ticks: Ticks, no_door: &'static str) -> Self {
        let timeout_us = timeout_ticks * crate::node::driver::TICK_US;
        let shared = Shared { clock, timeout_us, doors: Mutex::default(), seen: Mutex::default(), no_door };
        Self { shared: Arc::new(shared) }
    }

    pub(super) fn open_door(&self, node: NodeId, door: D) {
        lock(&self.shared.doors).insert(node, door);
    }

    pub(super) fn close_door(&self, node: NodeId) {
        lock(&self.shared.doors).remove(&node);
    }

    fn door(&self, node: NodeId) -> Option<D> {
        lock(&self.shared.doors).get(&node).cloned()
    }

    /// The node that calls itself leader in the newest term.
    fn leader(&self) -> Option<NodeId> {
        let doors = lock(&self.shared.doors);
        let leads = |(node, door): (&NodeId, &D)| Some((door.leads()?, *node));
        doors.iter().filter_map(leads).max().map(|(_, node)| node)
    }

    /// Applies a command. With `via` it asks that node and nobody else.
    pub(super) async fn submit(&self, command: Bytes, via: Option<NodeId>) -> Answer {
        let started_us = self.shared.clock.now_us();
        lock(&self.shared.seen).waiting += 1;
        let answer = self.ask(&Wish::Submit(command), via, started_us).await;
        let now_us = self.shared.clock.now_us();
        let mut seen = lock(&self.shared.seen);
        seen.waiting -= 1;
        match &answer {
            Answer::Applied { took_us, .. } => {
                seen.applied.add(1);
                seen.latency.add(*took_us);
            }
            Answer::Unknown { .. } => seen.unknown += 1,
            _ => seen.not_applied += 1,
        }
        seen.applied.per_second(now_us);
        answer
    }

    /// The node after `last`, in a circle.
    fn anybody(&self, last: Option<NodeId>) -> Option<NodeId> {
        let doors = lock(&self.shared.doors);
        let later = doors.keys().find(|node| last.is_none_or(|last| **node > last));
        later.or_else(|| doors.keys().next()).copied()
    }

    /// Reads, through the node `via`, or the leader, or for a local read whoever answers.
    pub(super) async fn read(&self, query: Bytes, via: Option<NodeId>, level: Level) -> Answer {
        let started_us = self.shared.clock.now_us();
        let wish = match level {
            Level::Linearizable => Wish::Read(query),
            Level::Local => Wish::ReadLocal(query),
        };
        let answer = self.ask(&wish, via, started_us).await;
        if matches!(answer, Answer::Value { .. }) {
            lock(&self.shared.seen).reads += 1;
        }
        answer
    }

    async fn ask(&self, wish: &Wish, via: Option<NodeId>, started_us: u64) -> Answer {
        let clock = &self.shared.clock;
        let deadline_us = started_us + self.shared.timeout_us;
        let mut hint = None;
        let mut last = None;
        let is_local = matches!(wish, Wish::ReadLocal(_));
        let mut why = "no leader was found in time; see who runs with status".to_owned();
        loop {
            let leader = || self.leader().filter(|leader| !is_local || last != Some(*leader));
            let node = via.or_else(|| hint.take()).or_else(leader);
            let node = node.or_else(|| if is_local { self.anybody(last) } else { None });
            last = node;
            if let Some((node, door)) = node.and_then(|node| Some((node, self.door(node)?))) {
                let left_us = (deadline_us + LOOK_AGAIN_US).saturating_sub(clock.now_us());
                let within = Duration::from_micros(clock.real_us(left_us));
                // A client gives up a little later than its node, which knows more.
                let outcome = tokio::select! {
                    outcome = door.ask(wish.clone(), within) => outcome,
                    () = clock.sleep_until(deadline_us + LOOK_AGAIN_US) => {
                        ClientOutcome::Unknown { why: "the node did not answer in time".into() }
                    }
                };
                match self.judge(outcome, node, via, started_us) {
                    Judged::Final(answer) => return answer,
                    Judged::Again { next, because } => (hint, why) = (next, because),
                }
            } else if let Some(node) = via {
                return Answer::NotApplied { why: format!("{node} {}", self.shared.no_door) };
            }
            if clock.now_us() >= deadline_us {
                return Answer::NotApplied { why };
            }
            if hint.is_none() {
                clock.sleep_until(clock.now_us() + LOOK_AGAIN_US).await;
            }
        }
    }

    fn judge(&self, outcome: ClientOutcome, node: NodeId, via: Option<NodeId>, started_us: u64) -> Judged {
        let took_us = self.shared.clock.now_us() - started_us;
        Judged::Final(match outcome {
            ClientOutcome::Applied { position, reply } => {
                Answer::Applied { index: position.index, term: position.term, reply, took_us }
            }
            ClientOutcome::Value { index, reply } => Answer::Value { index, node, reply, took_us },
            ClientOutcome::Unknown { why } => Answer::Unknown { why: why.into_owned() },
            ClientOutcome::NotApplied { why } => Answer::NotApplied { why: why.into_owned() },
            ClientOutcome::NotLeader { leader } => {
                let because = match leader {
                    Some(leader) => format!("{node} does not lead, {leader} does"),
                    None => format!("{node} does not lead and knows no leader"),
                };
                if via.is_some() {
                    Answer::NotApplied { why: because }
                } else {
                    return Judged::Again { next: leader.filter(|leader| *leader != node), because };
                }
            }
            ClientOutcome::Busy { uncommitted_bytes } => {
                let because = format!("{node} is busy: {uncommitted_bytes} bytes are not committed yet");
                if via.is_some() {
                    Answer::NotApplied { why: because }
                } else {
                    return Judged::Again { next: None, because };
                }
            }
            ClientOutcome::ReadFailed { why } => {
                if via.is_some() {
                    Answer::NotApplied { why: why.into_owned() }
                } else {
                    return Judged::Again { next: None, because: why.into_owned() };
                }
            }
        })
    }

    pub(super) fn view(&self, now_us: u64) -> ClientsView {
        let mut seen = lock(&self.shared.seen);
        let percentiles = seen.latency.percentiles();
        ClientsView {
            applied: seen.applied.total(),
            not_applied: seen.not_applied,
            unknown: seen.unknown,
            reads: seen.reads,
            waiting: seen.waiting,
            applied_per_second: seen.applied.per_second(now_us),
            latency: Latency { p50_us: percentiles.map(|(p50, _)| p50), p99_us: percentiles.map(|(_, p99)| p99) },
        }
    }
}

enum Judged {
    Final(Answer),
    /// Certainly without effect so far: ask again, there if it is known where.
    Again {
        next: Option<NodeId>,
        because: String,
    },
}

/// What a load came to, counted by kind of outcome.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoadCount {
    pub(super) applied: u64,
    pub(super) not_applied: u64,
    pub(super) unknown: u64,
    /// Not even sent, because too many were waiting.
    pub(super) held_back: u64,
}

impl fmt::Display for LoadCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { applied, not_applied, unknown, held_back } = self;
        write!(f, "{applied} applied, {not_applied} not applied, {unknown} unknown")?;
        if *held_back > 0 {
            write!(f, ", {held_back} held back because too many were waiting")?;
        }
        Ok(())
    }
}

/// A load that runs.
pub(super) struct Load {
    per_second: u32,
    until_us: Option<u64>,
    task: tokio::task::JoinHandle<()>,
}

impl Load {
    /// Submits so many commands a second of cluster time; `finished` gets the count at the end.
    pub(super) fn start(
        clients: Clients<impl Door>,
        per_second: u32,
        duration_us: Option<u64>,
        finished: impl FnOnce(LoadCount) + Send + 'static,
    ) -> Self {
        let clock = clients.shared.clock.clone();
        let started_us = clock.now_us();
        let until_us = duration_us.map(|duration_us| started_us + duration_us);
        let task = tokio::spawn(async move {
            let count = Arc::new(Mutex::new((LoadCount::default(), 0_u64)));
            let mut requests = tokio::task::JoinSet::new();
            let mut sent = 0_u64;
            while until_us.is_none_or(|until_us| due_us(started_us, sent, per_second) < until_us) {
                clock.sleep_until(due_us(started_us, sent, per_second)).await;
                let number = sent;
                sent += 1;
                while requests.try_join_next().is_some() {}
                if requests.len() as u64 >= LOAD_WAITING_MAX {
                    lock(&count).0.held_back += 1;
                    continue;
                }
                let (clients, count) = (clients.clone(), Arc::clone(&count));
                requests.spawn(async move {
                    let key = format!("load-{}", number % LOAD_KEYS);
                    let command = kv::KvCommand::Set { key: key.into(), value: number.to_string().into() }.encode();
                    let answer = clients.submit(command, None).await;
                    let count = &mut lock(&count).0;
                    match answer {
                        Answer::Applied { .. } => count.applied += 1,
                        Answer::Unknown { .. } => count.unknown += 1,
                        _ => count.not_applied += 1,
                    }
                });
            }
            while requests.join_next().await.is_some() {}
            let result = lock(&count).0;
            finished(result);
        });
        Self { per_second, until_us, task }
    }

    pub(super) fn view(&self, now_us: u64) -> Option<LoadView> {
        let left_us = self.until_us.map(|until_us| until_us.saturating_sub(now_us));
        (!self.task.is_finished()).then_some(LoadView { per_second: self.per_second, left_us })
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn due_us(started_us: u64, number: u64, per_second: u32) -> u64 {
    started_us + number * 1_000_000 / u64::from(per_second.max(1))
}
