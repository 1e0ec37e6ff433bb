//! A node that says to consoles what a test tells it to, over loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use raft_tui::control::client::{Heard, Line, LineSpec};
use raft_tui::control::protocol::{
    Challenge, Detail, Entry, FRAME_BYTES_MAX, FromConsole, FromNode, HELLO_BYTES_MAX, Hello, Member, Picture, Proof,
    Welcome,
};
use raft_tui::control::{Access, Life, NodeView};
use raft_tui::raft::{Epoch, NodeId};
use raft_tui::transport::frame::{FrameReader, FrameWriter, frames};
use raft_tui::transport::net::{Doorway, Net as _, Tcp};

use super::views;

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it does not take for ever")
}

pub struct Scripted {
    pub door: Box<dyn Doorway>,
}

impl Scripted {
    pub async fn new() -> Self {
        Self { door: Tcp.listen("127.0.0.1:0").await.expect("a port") }
    }

    pub fn address(&self) -> SocketAddr {
        self.door.address()
    }

    pub fn spec(&self) -> LineSpec {
        spec(self.address().to_string())
    }

    /// Takes the next console in as far as its first words.
    pub async fn greeted(&mut self) -> (Talk, Hello) {
        let (wire, _) = soon(self.door.accept()).await.expect("somebody comes");
        let (mut reader, writer) = frames(wire, HELLO_BYTES_MAX);
        let hello = soon(reader.next()).await.expect("a frame").expect("a hello");
        (Talk { reader, writer }, hello)
    }

    /// Takes the next console in.
    pub async fn accept(&mut self, welcome: &Welcome) -> Talk {
        let (mut talk, _) = self.greeted().await;
        let challenge = Challenge::Prove { version: 1, nonce: [7; 32], proof_wanted: false };
        talk.writer.send(&challenge).await.expect("it listens");
        let _: Proof = soon(talk.reader.next()).await.expect("a frame").expect("a proof");
        talk.let_in(welcome).await;
        talk
    }
}

pub fn spec(address: String) -> LineSpec {
    LineSpec {
        net: Arc::new(Tcp),
        address,
        access: Access::Operator,
        name: "tester".into(),
        session: 5,
        token: None,
        tls: None,
        detail: Detail::Everything { every_ms: 50 },
    }
}

/// What node n1 of a cluster of one says of itself in its life `epoch`.
pub fn welcome(epoch: u64) -> Welcome {
    Welcome {
        node: NodeId(1),
        cluster: 77,
        name: "here".into(),
        epoch: Epoch(epoch),
        program: "1.2.3".into(),
        access: Access::Operator,
        chaos: false,
        members: vec![Member { id: NodeId(1), peer_address: "127.0.0.1:1".into(), control_address: None }],
        insecure: false,
    }
}

pub fn picture(epoch: u64, now_us: u64) -> Picture {
    let view = NodeView { id: NodeId(1), life: Life::Running, epoch: Epoch(epoch), ..views::follower(1) };
    Picture {
        view,
        now_us,
        up_us: now_us,
        links: Vec::new(),
        faults: Vec::new(),
        alarms: Vec::new(),
        members: welcome(epoch).members,
        consoles: 1,
        console_bytes: 0,
        dropped_details: 0,
    }
}

/// A console that was let in.
pub struct Talk {
    pub reader: FrameReader,
    pub writer: FrameWriter,
}

impl Talk {
    pub async fn let_in(&mut self, welcome: &Welcome) {
        self.reader.set_max_bytes(FRAME_BYTES_MAX);
        self.writer.set_max_bytes(FRAME_BYTES_MAX);
        self.writer.send(&Entry::Welcome(Box::new(welcome.clone()))).await.expect("it listens");
    }

    pub async fn say(&mut self, said: FromNode) {
        self.writer.send(&said).await.expect("it listens");
    }

    /// The next that the console says but that it is there, which is answered.
    pub async fn next(&mut self) -> FromConsole {
        loop {
            match soon(self.reader.next()).await.expect("a frame").expect("it goes on") {
                FromConsole::Alive { echo } => self.say(FromNode::Alive { echo }).await,
                said => return said,
            }
        }
    }

    /// All that the console says until it says that it is there for the second time.
    pub async fn until_alive(&mut self) -> Vec<FromConsole> {
        let (mut said, mut alive) = (Vec::new(), 0);
        while alive < 2 {
            match soon(self.reader.next()).await.expect("a frame").expect("it goes on") {
                FromConsole::Alive { .. } => alive += 1,
                other => said.push(other),
            }
        }
        said
    }

    /// The number of the next request.
    pub async fn asked(&mut self) -> u64 {
        loop {
            if let FromConsole::Ask { request, .. } = self.next().await {
                return request;
            }
        }
    }
}

/// Waits until a line has heard something.
pub async fn heard(line: &Line, what: impl FnMut(&Heard) -> bool) -> Heard {
    let mut heard = line.heard();
    let heard = soon(heard.wait_for(what)).await.expect("the line lives");
    heard.clone()
}
