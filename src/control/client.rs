//! One node over a wire, as a console holds it: a line that connects, follows, asks, and connects again for ever.
//!
//! A request has a number, the same over all connections. When a connection breaks before the answer, the request goes
//! out again under its number to the same life of the node, which acts once on it; another life knows nothing of it, so
//! what had been sent may have acted, and the asker is told so.
//!
//! Kept true: a request acts at most once; what is said to be without effect was never sent; whatever a node sends, only
//! its own line suffers.
//! Not here: who the members are and what they make together (`cluster/remote/`), what a node may say (`admit.rs`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::observation::Happened;
use super::operation::Access;
use super::protocol::{
    Challenge, Detail, Entry, FRAME_BYTES_MAX, FromConsole, FromNode, HELLO_BYTES_MAX, Hello, MAGIC, Picture, Proof,
    Refusal, Reply, Standing, VERSIONS, Welcome, Wish,
};
use super::tokens::{Claim, Token, proof, random_bytes};
use super::{admit, pictures};
use crate::raft::{Epoch, NodeId};
use crate::transport::frame::{FrameError, FrameReader, FrameWriter, frames};
use crate::transport::net::Net;
use crate::transport::tls::{Distrust, Tls};

/// How long a connection may take.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long the handshake may take then.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(2);
/// A node of which nothing whole was heard for so long is given up; it is asked every second.
pub const SILENT_MAX: Duration = Duration::from_secs(6);
/// Between two questions whether it is there.
const ALIVE_EVERY: Duration = Duration::from_secs(1);
/// How long a node may take to take in what is sent.
const WRITE_WITHIN: Duration = Duration::from_secs(5);
/// From one try to the next, at first and at last; up to half of it is luck.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What waits for whoever hears what happens.
const TOLD_MAX: usize = 4_096;
/// What waits to be asked.
const ASKS_MAX: usize = 2_048;

/// Numbers of requests: a session has many lines, and may open one to the same node again.
static REQUESTS: AtomicU64 = AtomicU64::new(1);

/// Where a line goes, and as whom.
#[derive(Clone)]
pub struct LineSpec {
    /// What to dial with.
    pub net: Arc<dyn Net>,
    /// Where, `host:port`.
    pub address: String,
    /// What to ask for; where faults cannot be injected, a console for chaos is content with being an operator.
    pub access: Access,
    /// Who this console is.
    pub name: String,
    /// Its session, the same on all lines.
    pub session: u128,
    /// What proves it.
    pub token: Option<Arc<Token>>,
    /// Whom to trust; without it nothing is encrypted.
    pub tls: Option<Arc<Tls>>,
    /// What to follow at first.
    pub detail: Detail,
}

impl fmt::Debug for LineSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineSpec").field("address", &self.address).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether the node is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The first try is under way.
    Connecting,
    /// It is.
    Live,
    /// It is not; the next try is under way or soon will be.
    Lost {
        /// What went wrong last; safe to show.
        why: String,
        /// Since when.
        since: Instant,
        /// The node answered, and will not let this console in however often it asks.
        refused: bool,
    },
}

/// All that is known of a node.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Whether it is there.
    pub state: State,
    /// Its last greeting.
    pub welcome: Option<Arc<Welcome>>,
    /// Its last picture, of this life or an earlier one.
    pub picture: Option<Arc<Picture>>,
    /// When anything was heard from it last: what it had to say of itself until then is in the picture.
    pub heard_at: Option<Instant>,
    /// Real time of the last question and answer.
    pub round_trip_us: Option<u64>,
    /// Read from it, over all connections.
    pub bytes_in: u64,
    /// Written to it.
    pub bytes_out: u64,
}

/// What happened on a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// This.
    Happened(Happened),
    /// So many things that nobody had room for.
    Missed(u64),
}

/// A request without an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Lost {
    /// It was sent, and nobody can say whether the node acted on it.
    pub maybe_acted: bool,
    /// What went wrong; safe to show.
    pub why: String,
}

struct Asked {
    wish: Wish,
    decided_on: Option<Standing>,
    sent: Arc<AtomicBool>,
    answer: oneshot::Sender<Result<Reply, Lost>>,
}

/// Asks over a line; clones ask over the same.
#[derive(Clone)]
pub struct Asker {
    asks: mpsc::Sender<Asked>,
    heard: watch::Receiver<Heard>,
}

impl Asker {
    /// Asks, and waits for the answer at most so long, over as many connections as it takes.
    pub async fn ask(&self, wish: Wish, decided_on: Option<Standing>, within: Duration) -> Result<Reply, Lost> {
        let (answer, mut answered) = oneshot::channel();
        let sent = Arc::new(AtomicBool::new(false));
        let asked = Asked { wish, decided_on, sent: Arc::clone(&sent), answer };
        if self.asks.try_send(asked).is_err() {
            return Err(Lost { maybe_acted: false, why: "too many requests are waiting for this node".into() });
        }
        if let Ok(Ok(answer)) = timeout(within, &mut answered).await {
            return answer;
        }
        // First nobody can answer any more, then it is seen whether it was sent: the line looks the other way round.
        answered.close();
        if let Ok(answer) = answered.try_recv() {
            return answer;
        }
        let why = match &self.heard.borrow().state {
            State::Lost { why, .. } => why.clone(),
            State::Connecting => "the node was not reached in time".into(),
            State::Live => "the node did not answer in time".into(),
        };
        Err(Lost { maybe_acted: sent.load(Ordering::SeqCst), why })
    }

    /// What is known of the node.
    #[must_use]
    pub const fn heard(&self) -> &watch::Receiver<Heard> {
        &self.heard
    }
}

/// A line to one address. Closed when it is dropped.
pub struct Line {
    asker: Asker,
    told: mpsc::Receiver<Told>,
    detail: watch::Sender<Detail>,
    task: AbortHandle,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Line {
    /// Opens it; must be called within a tokio runtime. It connects by itself.
    #[must_use]
    pub fn open(spec: LineSpec) -> Self {
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        let (tell, told) = mpsc::channel(TOLD_MAX);
        let (heard, hears) = watch::channel(Heard {
            state: State::Connecting,
            welcome: None,
            picture: None,
            heard_at: None,
            round_trip_us: None,
            bytes_in: 0,
            bytes_out: 0,
        });
        let (detail, wanted) = watch::channel(spec.detail);
        let talk = Talk {
            access: spec.access,
            spec,
            detail: wanted,
            heard,
            tell,
            missed: 0,
            asked,
            open: BTreeMap::new(),
            bytes: (0, 0),
        };
        let task = tokio::spawn(talk.run()).abort_handle();
        Self { asker: Asker { asks, heard: hears }, told, detail, task }
    }

    /// Follows this from now on, over all connections.
    pub fn follow(&self, detail: Detail) {
        self.detail.send_if_modified(|followed| std::mem::replace(followed, detail) != detail);
    }

    /// What is known of the node.
    #[must_use]
    pub fn heard(&self) -> watch::Receiver<Heard> {
        self.asker.heard.clone()
    }

    /// What happens on it; what nobody takes is counted and dropped.
    pub const fn happened(&mut self) -> &mut mpsc::Receiver<Told> {
        &mut self.told
    }

    /// Something to ask with, from any task.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// [`Asker::ask`].
    pub async fn ask(&self, wish: Wish, decided_on: Option<Standing>, within: Duration) -> Result<Reply, Lost> {
        self.asker.ask(wish, decided_on, within).await
    }
}

/// Which life of which node: requests of one mean nothing to another.
type Life = (u128, NodeId, Epoch);

struct Open {
    asked: Asked,
    sent_to: Option<Life>,
}

struct Talk {
    spec: LineSpec,
    /// What is asked for by now.
    access: Access,
    /// What is to be followed.
    detail: watch::Receiver<Detail>,
    heard: watch::Sender<Heard>,
    tell: mpsc::Sender<Told>,
    missed: u64,
    asked: mpsc::Receiver<Asked>,
    /// Requests without an answer, by number.
    open: BTreeMap<u64, Open>,
    /// Read and written over earlier connections.
    bytes: (u64, u64),
}

struct Connection {
    reader: FrameReader,
    writer: FrameWriter,
    welcome: Arc<Welcome>,
}

/// Why a line is lost.
struct Why {
    /// A sentence that is safe to show.
    text: String,
    /// The node will not let this console in however often it asks.
    refused: bool,
}

impl Why {
    fn lost(text: impl Into<String>) -> Self {
        Self { text: text.into(), refused: false }
    }

    fn refused(text: impl Into<String>) -> Self {
        Self { text: text.into(), refused: true }
    }
}

impl From<FrameError> for Why {
    fn from(error: FrameError) -> Self {
        let mut why = match &error {
            FrameError::Wire(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                format!("what answers there is no control port of a node ({error})")
            }
            error => error.to_string(),
        };
        admit::clean(&mut why, 200);
        Self::lost(why)
    }
}

impl From<admit::TooMuch> for Why {
    fn from(error: admit::TooMuch) -> Self {
        Self::lost(error.to_string())
    }
}

impl Talk {
    async fn run(mut self) {
        let (first, most) = BACK_OFF;
        let mut back_off = first;
        loop {
            let talked = match self.connect().await {
                Ok(connection) => {
                    back_off = first;
                    self.talk(connection).await
                }
                Err(why) => Err(why),
            };
            // Otherwise nobody holds the line any more.
            let Err(Why { text: why, refused }) = talked else { return };
            tracing::debug!(address = ?self.spec.address, %why, "a node is not there");
            self.heard.send_modify(|heard| {
                let since = match heard.state {
                    State::Lost { since, .. } => since,
                    State::Connecting | State::Live => Instant::now(),
                };
                heard.state = State::Lost { why, since, refused };
            });
            let luck = f64::from(random_bytes::<1>()[0]) / 510.0;
            tokio::time::sleep(back_off.mul_f64(0.5 + luck)).await;
            back_off = (back_off * 2).min(most);
        }
    }

    async fn connect(&mut self) -> Result<Connection, Why> {
        let LineSpec { net, address, tls, .. } = &self.spec;
        let dialled = timeout(CONNECT_WITHIN, net.dial(address)).await;
        let io = |error: std::io::Error| Why::from(FrameError::from(error));
        let wire = match dialled {
            Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                self.give_up_sent();
                return Err(io(error));
            }
            Ok(wire) => wire.map_err(io)?,
            Err(_) => return Err(Why::lost("it does not answer: no connection within 2 s")),
        };
        let tls = tls.clone();
        let welcomed = timeout(HANDSHAKE_WITHIN, async {
            let Some(tls) = tls else { return self.handshake(frames(wire, HELLO_BYTES_MAX)).await };
            let (wire, certified) = match tls.connect(wire).await {
                Ok(connected) => connected,
                Err(error) => {
                    let Some(Distrust::OfTheirs(why)) = Distrust::of(&error) else { return Err(io(error)) };
                    // The CA may be another since this console began. The next time will tell.
                    let _ = tokio::task::spawn_blocking(move || tls.trust_anew()).await;
                    return Err(Why::lost(format!("its certificate {why}")));
                }
            };
            let connection = self.handshake(frames(wire, HELLO_BYTES_MAX)).await?;
            let node = connection.welcome.node;
            if !certified.is(node) {
                return Err(Why::lost(format!("it says that it is {node}, and has no certificate for that")));
            }
            Ok(connection)
        });
        let connection =
            welcomed.await.unwrap_or_else(|_| Err(Why::lost("connected, but it does not answer within 2 s")))?;
        let welcome = Arc::clone(&connection.welcome);
        self.heard.send_modify(|heard| {
            heard.state = State::Live;
            heard.welcome = Some(welcome);
            heard.heard_at = Some(Instant::now());
        });
        Ok(connection)
    }

    /// Nobody listens there: the life that was asked is over, and no other can answer for it. Who waited for it would
    /// wait in vain, and write nothing meanwhile.
    fn give_up_sent(&mut self) {
        for (_, open) in self.open.extract_if(.., |_, open| open.sent_to.is_some()) {
            let why = "the node is gone and had not answered".into();
            // Who asked may have gone.
            let _ = open.asked.answer.send(Err(Lost { maybe_acted: true, why }));
        }
    }

    async fn handshake(&mut self, (mut reader, mut writer): (FrameReader, FrameWriter)) -> Result<Connection, Why> {
        let LineSpec { name, session, token, .. } = &self.spec;
        let nonce = random_bytes();
        let hello = Hello {
            magic: MAGIC,
            versions: VERSIONS,
            access: self.access,
            name: name.clone(),
            session: *session,
            nonce,
        };
        let closed = || Why::lost("it closed the connection at once: is it the right port, and does it want TLS?");
        writer.send(&hello).await?;
        let (node_nonce, proof_wanted) = match reader.next().await?.ok_or_else(closed)? {
            Challenge::Prove { version, .. } if version < VERSIONS.0 || version > VERSIONS.1 => {
                return Err(Why::refused(Refusal::Version.to_string()));
            }
            Challenge::Prove { nonce, proof_wanted, .. } => (nonce, proof_wanted),
            Challenge::Refused(refusal) => return Err(self.refused(refusal)),
        };
        let claim = Claim { console_nonce: nonce, node_nonce, session: *session, access: self.access };
        let hmac = token.as_ref().map(|token| proof(token, &claim)).unwrap_or_default();
        if hmac.is_empty() && proof_wanted {
            return Err(Why::refused("it wants a token: name the file that holds yours with --token-file"));
        }
        writer.send(&Proof { hmac }).await?;
        reader.set_max_bytes(FRAME_BYTES_MAX);
        writer.set_max_bytes(FRAME_BYTES_MAX);
        match reader.next().await?.ok_or_else(closed)? {
            Entry::Welcome(mut welcome) => {
                admit::welcome(&mut welcome)?;
                Ok(Connection { reader, writer, welcome: Arc::from(welcome) })
            }
            Entry::Refused(refusal) => Err(self.refused(refusal)),
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Why {
        if refusal == Refusal::ChaosDisabled {
            self.access = self.access.min(Access::Operator);
        }
        let for_good = match refusal {
            Refusal::Version | Refusal::NotAllowed => true,
            // It is asked again for less, or later.
            Refusal::NotAConsole | Refusal::ChaosDisabled | Refusal::Full | Refusal::Starting => false,
        };
        Why { text: refusal.to_string(), refused: for_good }
    }

    /// Speaks with the node until the connection is lost. `Ok`: nobody holds the line any more.
    async fn talk(&mut self, connection: Connection) -> Result<(), Why> {
        let Connection { mut reader, mut writer, welcome } = connection;
        let (read, written) = self.bytes;
        let talked = self.talk_over(&mut reader, &mut writer, &welcome).await;
        self.bytes = (read + reader.bytes(), written + writer.bytes());
        talked
    }

    async fn talk_over(
        &mut self,
        reader: &mut FrameReader,
        writer: &mut FrameWriter,
        welcome: &Welcome,
    ) -> Result<(), Why> {
        let life = (welcome.cluster, welcome.node, welcome.epoch);
        self.begin(writer, life).await?;
        let mut alive = tokio::time::interval(ALIVE_EVERY);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut echo, mut echo_sent) = (0_u64, Instant::now());
        let mut heard_at = Instant::now();
        let mut following = Following::default();
        loop {
            tokio::select! {
                said = reader.next::<FromNode>() => {
                    let Some(said) = said? else { return Err(Why::lost("it closed the connection")) };
                    heard_at = Instant::now();
                    let round_trip = match &said {
                        FromNode::Alive { echo: answered } if *answered == echo => Some(echo_sent.elapsed()),
                        _ => None,
                    };
                    let anew = self.on_said(said, &mut following)?;
                    let bytes = (self.bytes.0 + reader.bytes(), self.bytes.1 + writer.bytes());
                    self.heard.send_modify(|heard| {
                        heard.heard_at = Some(heard_at);
                        (heard.bytes_in, heard.bytes_out) = bytes;
                        if let Some(round_trip) = round_trip {
                            heard.round_trip_us = Some(round_trip.as_micros() as u64);
                        }
                    });
                    if anew {
                        following.last = None;
                        self.follow(writer).await?;
                    }
                }
                Ok(()) = self.detail.changed() => self.follow(writer).await?,
                asked = self.asked.recv() => {
                    let Some(asked) = asked else { return Ok(()) };
                    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
                    self.open.insert(number, Open { asked, sent_to: None });
                    self.send_open(writer, number, life).await?;
                }
                _ = alive.tick() => {
                    if heard_at.elapsed() > SILENT_MAX {
                        return Err(Why::lost(format!("it has said nothing for {} s", SILENT_MAX.as_secs())));
                    }
                    self.open.retain(|_, open| !open.asked.answer.is_closed());
                    echo += 1;
                    echo_sent = Instant::now();
                    send(writer, &FromConsole::Alive { echo }).await?;
                }
            }
        }
    }

    /// Follows, and sends again what this life has not answered.
    async fn begin(&mut self, writer: &mut FrameWriter, life: Life) -> Result<(), Why> {
        self.follow(writer).await?;
        let elsewhere = |_: &u64, open: &mut Open| open.sent_to.is_some_and(|sent_to| sent_to != life);
        for (_, open) in self.open.extract_if(.., elsewhere) {
            let why = "the node started again before it answered".into();
            // Who asked may have gone.
            let _ = open.asked.answer.send(Err(Lost { maybe_acted: true, why }));
        }
        let numbers: Vec<_> = self.open.keys().copied().collect();
        for number in numbers {
            self.send_open(writer, number, life).await?;
        }
        Ok(())
    }

    async fn follow(&mut self, writer: &mut FrameWriter) -> Result<(), Why> {
        let detail = *self.detail.borrow_and_update();
        send(writer, &FromConsole::Follow(detail)).await
    }

    async fn send_open(&mut self, writer: &mut FrameWriter, number: u64, life: Life) -> Result<(), Why> {
        let Some(open) = self.open.get_mut(&number) else { return Ok(()) };
        let Asked { wish, decided_on, sent, answer } = &open.asked;
        sent.store(true, Ordering::SeqCst);
        // Who has given up was told that nothing was sent, unless it had been before.
        if answer.is_closed() {
            self.open.remove(&number);
            return Ok(());
        }
        let ask = FromConsole::Ask { request: number, decided_on: *decided_on, wish: wish.clone() };
        open.sent_to = Some(life);
        match timeout(WRITE_WITHIN, writer.send(&ask)).await {
            Ok(Err(FrameError::TooLong { bytes, max })) => {
                if let Some(open) = self.open.remove(&number) {
                    let why = format!("{bytes} bytes are more than a request may have ({max})");
                    let _ = open.asked.answer.send(Err(Lost { maybe_acted: false, why }));
                }
                Ok(())
            }
            Ok(sent) => Ok(sent?),
            Err(_) => Err(stalled()),
        }
    }

    /// Takes in what the node said; true: it must be followed anew.
    fn on_said(&mut self, said: FromNode, following: &mut Following) -> Result<bool, Why> {
        match said {
            FromNode::Picture { number, picture } => {
                *following = Following { last: Some((number, picture)), asked_anew: false };
                self.publish(following)?;
            }
            FromNode::Change { number, parts } => {
                let Some((last, picture)) = &mut following.last else { return Ok(following.ask_anew()) };
                if number != *last + 1 || pictures::apply(picture, &parts).is_err() {
                    return Ok(following.ask_anew());
                }
                *last = number;
                self.publish(following)?;
            }
            FromNode::Happened(mut happened) => {
                admit::happened(&mut happened);
                self.tell(Told::Happened(happened), 1);
            }
            FromNode::Missed { count } => self.tell(Told::Missed(count), count),
            FromNode::Answered { request, mut reply } => {
                admit::reply(&mut reply);
                if let Some(open) = self.open.remove(&request) {
                    let _ = open.asked.answer.send(Ok(reply));
                }
            }
            FromNode::Alive { .. } => {}
        }
        Ok(false)
    }

    fn publish(&self, following: &Following) -> Result<(), Why> {
        let Some((_, picture)) = &following.last else { return Ok(()) };
        let mut picture = picture.clone();
        admit::picture(&mut picture)?;
        self.heard.send_modify(|heard| heard.picture = Some(Arc::from(picture)));
        Ok(())
    }

    /// Hands over what happened; what finds no room is counted.
    fn tell(&mut self, told: Told, weight: u64) {
        if self.missed > 0 && self.tell.try_send(Told::Missed(self.missed)).is_ok() {
            self.missed = 0;
        }
        if self.missed > 0 || self.tell.try_send(told).is_err() {
            self.missed = self.missed.saturating_add(weight);
        }
    }
}

/// What is followed over one connection.
#[derive(Default)]
struct Following {
    last: Option<(u64, Box<Picture>)>,
    asked_anew: bool,
}

impl Following {
    /// Whether to ask: once is enough until the whole picture has come.
    const fn ask_anew(&mut self) -> bool {
        !std::mem::replace(&mut self.asked_anew, true)
    }
}

async fn send(writer: &mut FrameWriter, said: &FromConsole) -> Result<(), Why> {
    match timeout(WRITE_WITHIN, writer.send(said)).await {
        Ok(sent) => Ok(sent?),
        Err(_) => Err(stalled()),
    }
}

fn stalled() -> Why {
    Why::lost("it takes in nothing any more")
}
