//! Consoles that say what they are told to, a node that only takes note, and pipes between them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use raft_tui::control::access::ChaosKeys;
use raft_tui::control::audit::Audit;
use raft_tui::control::operation::Access;
use raft_tui::control::pictures::apply;
use raft_tui::control::protocol::{
    Challenge, Entry, FRAME_BYTES_MAX, Fault, FromConsole, FromNode, HELLO_BYTES_MAX, Hello, Level, MAGIC, Member,
    Picture, Proof, Refusal, Reply, Standing, VERSIONS, Welcome, Wish,
};
use raft_tui::control::server::{Desk, News, Served, ServerSpec, serve};
use raft_tui::control::tokens::{Claim, Holder, Token, Tokens, proof, random_bytes};
use raft_tui::control::{Life, LinkRule, Links};
use raft_tui::raft::{Epoch, Index, LogPosition, NodeId, Role, Term};
use raft_tui::transport::faults::Rules;
use raft_tui::transport::frame::{FrameError, FrameReader, FrameWriter, frames};
use raft_tui::transport::net::{Doorway, Later, Wire};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};

use super::views;

/// Three members, n3 follows n1 in term 8.
pub struct Fake {
    pub standing: Mutex<(Standing, Option<NodeId>)>,
    pub submitted: Mutex<Vec<Bytes>>,
    pub rules: Mutex<(Rules, Option<u64>)>,
    pub failed_disks: AtomicU64,
    pub crashes: AtomicU64,
    /// Commands are answered when this says so.
    pub gate: Option<Arc<Notify>>,
    pub pictures: AtomicU64,
}

pub fn clean() -> Rules {
    Rules::new((1..=3).map(NodeId), 0)
}

pub fn follows() -> Standing {
    Standing { epoch: Epoch(1), term: Term(8), role: Role::Follower }
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            standing: Mutex::new((follows(), Some(NodeId(1)))),
            submitted: Mutex::default(),
            rules: Mutex::new((clean(), None)),
            failed_disks: AtomicU64::new(0),
            crashes: AtomicU64::new(0),
            gate: None,
            pictures: AtomicU64::new(0),
        }
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nobody panicked")
}

impl Fake {
    /// Nothing that a console may have asked for was done.
    pub fn is_untouched(&self) -> bool {
        let rules = lock(&self.rules);
        lock(&self.submitted).is_empty()
            && rules.0.is_clean()
            && rules.1.is_none()
            && self.failed_disks.load(Ordering::Relaxed) == 0
            && self.crashes.load(Ordering::Relaxed) == 0
    }
}

impl Served for Fake {
    fn standing(&self) -> Option<(Standing, Option<NodeId>)> {
        Some(*lock(&self.standing))
    }

    fn picture(&self) -> Picture {
        let number = self.pictures.fetch_add(1, Ordering::Relaxed);
        Picture {
            view: raft_tui::control::NodeView { life: Life::Running, ..views::follower(3) },
            now_us: number,
            up_us: number,
            links: Vec::new(),
            faults: Vec::new(),
            alarms: Vec::new(),
            members: self.members(),
            consoles: 0,
            console_bytes: 0,
            dropped_details: 0,
        }
    }

    fn members(&self) -> Vec<Member> {
        let member = |id| Member { id: NodeId(id), peer_address: format!("127.0.0.1:{id}"), control_address: None };
        (1..=3).map(member).collect()
    }

    fn submit(&self, command: Bytes) -> Later<'static, Reply> {
        let mut submitted = lock(&self.submitted);
        submitted.push(command);
        let position = LogPosition::new(submitted.len() as u64, 8);
        let gate = self.gate.clone();
        Box::pin(async move {
            if let Some(gate) = gate {
                gate.notified().await;
            }
            Reply::Applied { position, reply: Bytes::from_static(b"ok") }
        })
    }

    fn read(&self, query: Bytes, _: Level) -> Later<'static, Reply> {
        Box::pin(async move { Reply::Value { index: Index(7), reply: query } })
    }

    fn set_faults(&self, rules: Rules, disk_delay_us: Option<u64>) {
        *lock(&self.rules) = (rules, disk_delay_us);
    }

    fn fail_disk(&self) {
        self.failed_disks.fetch_add(1, Ordering::Relaxed);
    }

    fn spare_disk(&self) {
        self.failed_disks.store(0, Ordering::Relaxed);
    }

    fn crash(&self) {
        self.crashes.fetch_add(1, Ordering::Relaxed);
    }
}

/// A door that is knocked at through pipes.
struct Pipes {
    knocks: mpsc::UnboundedReceiver<(Wire, SocketAddr)>,
}

impl Doorway for Pipes {
    fn accept(&mut self) -> Later<'_, io::Result<(Wire, SocketAddr)>> {
        Box::pin(async move {
            match self.knocks.recv().await {
                Some(knock) => Ok(knock),
                None => std::future::pending().await,
            }
        })
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 7_103))
    }
}

/// A server with a fake node behind, and the way in.
pub struct Stand {
    pub node: Arc<Fake>,
    pub news: News,
    knocks: mpsc::UnboundedSender<(Wire, SocketAddr)>,
}

pub const BOTH: ChaosKeys = ChaosKeys { cluster: true, node: true };
pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Room in a pipe.
pub const PIPE_BYTES: usize = 16 << 10;

pub fn token(number: u8) -> Token {
    Token::from_hex(&format!("{number:02x}").repeat(32)).expect("64 digits")
}

/// `vera` may watch (token 1), `otto` operate (2), `cora` break things (3), `carl` too (4).
pub fn tokens() -> Tokens {
    let holder = |access, name: &str, number| Holder { access, name: name.into(), token: token(number) };
    Tokens::new(vec![
        holder(Access::Viewer, "vera", 1),
        holder(Access::Operator, "otto", 2),
        holder(Access::Chaos, "cora", 3),
        holder(Access::Chaos, "carl", 4),
    ])
}

impl Stand {
    pub fn new(keys: ChaosKeys, tokens: Option<Tokens>) -> Self {
        Self::with(Fake::default(), keys, tokens, Audit::none())
    }

    pub fn with(node: Fake, keys: ChaosKeys, tokens: Option<Tokens>, audit: Audit) -> Self {
        let node = Arc::new(node);
        let news = News::default();
        let (knocks, taken) = mpsc::unbounded_channel();
        let spec = server(Arc::clone(&node), keys, tokens, audit, news.clone());
        tokio::spawn(serve(Box::new(Pipes { knocks: taken }), Desk::new(spec)));
        Self { node, news, knocks }
    }

    /// A wire to the server from this address.
    pub fn dial_from(&self, ip: IpAddr) -> Wire {
        let (here, there) = tokio::io::duplex(PIPE_BYTES);
        self.knocks.send((Box::new(there), SocketAddr::new(ip, 50_000))).expect("the server runs");
        Box::new(here)
    }

    pub fn dial(&self) -> Wire {
        self.dial_from(HERE)
    }

    pub async fn enter(&self, greeting: Greeting) -> Result<Console, Refused> {
        Console::enter(self.dial(), greeting).await
    }

    /// A console that may do everything, with a session of its own, armed.
    pub async fn breaker(&self, session: u128) -> Console {
        let greeting = Greeting { session, ..Greeting::new(Access::Chaos, Some(token(3))) };
        let mut console = self.enter(greeting).await.expect("it is let in");
        let arm = Wish::Arm { access: Access::Chaos, duration_ms: 3_600_000, reason: "a test".into() };
        let reply = console.ask(arm).await;
        assert!(matches!(reply, Reply::Done(_)), "{reply:?}");
        console
    }
}

pub fn server(node: Arc<Fake>, keys: ChaosKeys, tokens: Option<Tokens>, audit: Audit, news: News) -> ServerSpec {
    ServerSpec {
        node,
        id: NodeId(3),
        cluster: 12,
        name: "demo".into(),
        clean: clean(),
        keys,
        tokens,
        secure: None,
        insecure: false,
        audit,
        news,
    }
}

/// What a console says first.
#[derive(Clone)]
pub struct Greeting {
    pub versions: (u16, u16),
    pub access: Access,
    pub name: String,
    pub session: u128,
    pub token: Option<Token>,
}

impl Greeting {
    pub fn new(access: Access, token: Option<Token>) -> Self {
        let session = u128::from_le_bytes(random_bytes());
        Self { versions: VERSIONS, access, name: "test".into(), session, token }
    }
}

/// How a console is turned away.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Said(Refusal),
    Closed,
}

impl From<FrameError> for Refused {
    fn from(_: FrameError) -> Self {
        Self::Closed
    }
}

/// A connection that has been let in.
pub struct Console {
    pub reader: FrameReader,
    pub writer: FrameWriter,
    pub welcome: Welcome,
    /// What was sent as a proof.
    pub proof: Vec<u8>,
    pub heard: Vec<FromNode>,
    pub picture: Option<Picture>,
    pub request: u64,
}

const PATIENCE: Duration = Duration::from_mins(1);

impl Console {
    pub async fn enter(wire: Wire, greeting: Greeting) -> Result<Self, Refused> {
        let token = greeting.token.clone();
        Self::enter_with(wire, greeting, random_bytes(), |claim| {
            token.map(|token| proof(&token, claim)).unwrap_or_default()
        })
        .await
    }

    /// With this nonce, and whatever `prove` says.
    pub async fn enter_with(
        wire: Wire,
        greeting: Greeting,
        nonce: [u8; 32],
        prove: impl FnOnce(&Claim) -> Vec<u8>,
    ) -> Result<Self, Refused> {
        let Greeting { versions, access, name, session, .. } = greeting;
        let (mut reader, mut writer) = frames(wire, HELLO_BYTES_MAX);
        reader.set_max_bytes(FRAME_BYTES_MAX);
        writer.send(&Hello { magic: MAGIC, versions, access, name, session, nonce }).await?;
        let node_nonce = match reader.next::<Challenge>().await?.ok_or(Refused::Closed)? {
            Challenge::Prove { nonce, .. } => nonce,
            Challenge::Refused(why) => return Err(Refused::Said(why)),
        };
        let hmac = prove(&Claim { console_nonce: nonce, node_nonce, session, access });
        writer.send(&Proof { hmac: hmac.clone() }).await?;
        writer.set_max_bytes(FRAME_BYTES_MAX);
        match reader.next::<Entry>().await?.ok_or(Refused::Closed)? {
            Entry::Welcome(welcome) => Ok(Self {
                reader,
                writer,
                welcome: *welcome,
                proof: hmac,
                heard: Vec::new(),
                picture: None,
                request: 0,
            }),
            Entry::Refused(why) => Err(Refused::Said(why)),
        }
    }

    pub async fn say(&mut self, message: &FromConsole) {
        self.writer.send(message).await.expect("it is taken");
    }

    /// The next that is heard; `None`: the node has closed the connection.
    pub async fn hear(&mut self) -> Option<FromNode> {
        let next = tokio::time::timeout(PATIENCE, self.reader.next::<FromNode>()).await.expect("it says something");
        let message = next.ok().flatten()?;
        match &message {
            FromNode::Picture { picture, .. } => self.picture = Some((**picture).clone()),
            FromNode::Change { parts, .. } => {
                let picture = self.picture.as_mut().expect("a picture came first");
                apply(picture, parts).expect("the parts fit");
            }
            _ => {}
        }
        self.heard.push(message.clone());
        Some(message)
    }

    pub async fn ask(&mut self, wish: Wish) -> Reply {
        self.request += 1;
        self.ask_as(self.request, None, wish).await
    }

    pub async fn ask_as(&mut self, request: u64, decided_on: Option<Standing>, wish: Wish) -> Reply {
        self.say(&FromConsole::Ask { request, decided_on, wish }).await;
        self.answer(request).await
    }

    pub async fn answer(&mut self, wanted: u64) -> Reply {
        loop {
            match self.hear().await.expect("it is not closed") {
                FromNode::Answered { request, reply } if request == wanted => return reply,
                _ => {}
            }
        }
    }

    /// The picture after one more was heard.
    pub async fn look(&mut self) -> Picture {
        while !matches!(self.hear().await.expect("open"), FromNode::Picture { .. } | FromNode::Change { .. }) {}
        self.picture.clone().expect("a picture came")
    }
}

/// A fault that cuts n3 off from n1.
pub fn cut(number: u64, ttl_ms: u64) -> Wish {
    let rule = LinkRule::Cut { kind: None };
    let links = vec![(Links::Between(NodeId(1), NodeId(3)), rule)];
    Wish::Fault(Fault { number, text: "cut n1<>n3".into(), links, disk_delay_us: None, ttl_ms })
}

/// One of each wish.
pub fn every_wish() -> Vec<Wish> {
    let fault = Fault {
        number: 9,
        text: "slow-disk n3 50ms".into(),
        links: Vec::new(),
        disk_delay_us: Some(50_000),
        ttl_ms: 1_000,
    };
    vec![
        Wish::Submit { command: Bytes::from_static(b"x") },
        Wish::Read { query: Bytes::from_static(b"q"), level: Level::Local },
        Wish::Read { query: Bytes::from_static(b"q"), level: Level::Linearizable },
        Wish::Arm { access: Access::Operator, duration_ms: 1_000, reason: "why".into() },
        Wish::Arm { access: Access::Chaos, duration_ms: 1_000, reason: "why".into() },
        Wish::Disarm,
        cut(1, 1_000),
        Wish::Fault(fault),
        Wish::HealFault { fault: 1 },
        Wish::HealAll,
        Wish::HealLinks(Links::All),
        Wish::FailDisk,
        Wish::Crash,
    ]
}

/// The same wire, and a way to put bytes into it past whoever holds it.
pub fn tapped(wire: Wire) -> (Wire, mpsc::UnboundedSender<Vec<u8>>) {
    let (here, there) = tokio::io::duplex(PIPE_BYTES);
    let (put, mut taken) = mpsc::unbounded_channel::<Vec<u8>>();
    let (mut from_server, mut to_server) = tokio::io::split(wire);
    let (mut from_console, mut to_console) = tokio::io::split(there);
    tokio::spawn(async move {
        // The console sees the end when the server has closed.
        let _ = tokio::io::copy(&mut from_server, &mut to_console).await;
        let _ = to_console.shutdown().await;
    });
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let bytes = tokio::select! {
                Some(bytes) = taken.recv() => bytes,
                read = from_console.read(&mut buffer) => match read {
                    Ok(count) if count > 0 => buffer[..count].to_vec(),
                    _ => return,
                },
            };
            if to_server.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    (Box::new(here), put)
}
