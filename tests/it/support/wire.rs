//! Nodes' ends of a wire: transports without nodes behind them, and somebody who speaks by hand.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use raft_tui::raft::{Envelope, Epoch, LogPosition, Message, NodeId, Term};
use raft_tui::transport::Link;
use raft_tui::transport::clock::ClusterClock;
use raft_tui::transport::faults::Rules;
use raft_tui::transport::frame::{FrameReader, FrameWriter, frames};
use raft_tui::transport::net::{Doorway, Later, Net, Tcp, Wire};
use raft_tui::transport::tcp::handshake::{Failed, HELLO_BYTES_MAX, Hello, MAGIC, Settled, VERSIONS, greet};
use raft_tui::transport::tcp::{FRAME_BYTES_MAX, Known, KnownError, KnownPeer, Peers, TcpSpec, open};

pub const N1: NodeId = NodeId(1);
pub const N2: NodeId = NodeId(2);
pub const N3: NodeId = NodeId(3);
pub const CLUSTER: u128 = 77;

/// The store that a node has unless a test gives it another.
pub fn store(node: NodeId) -> u128 {
    u128::from(node.0) * 1_000
}

/// TCP of this machine under names: `n1` is wherever node 1 listens now.
#[derive(Clone, Default)]
pub struct Book {
    places: Arc<Mutex<BTreeMap<String, SocketAddr>>>,
}

impl Book {
    pub fn put(&self, name: &str, place: SocketAddr) {
        self.places.lock().unwrap().insert(name.to_owned(), place);
    }

    pub fn find(&self, name: &str) -> Option<SocketAddr> {
        self.places.lock().unwrap().get(name).copied()
    }
}

impl Net for Book {
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Wire>> {
        Box::pin(async move {
            let place = self.find(address).ok_or(io::ErrorKind::ConnectionRefused)?;
            Tcp.dial(&place.to_string()).await
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Doorway>>> {
        Tcp.listen(address)
    }
}

/// Remembers peers as long as the test lasts.
#[derive(Debug, Default)]
pub struct Memory {
    peers: Mutex<BTreeMap<NodeId, (u128, String)>>,
}

impl Known for Memory {
    fn meet(&self, node: NodeId, store: u128, control: &str) -> Result<(), KnownError> {
        let mut peers = self.peers.lock().unwrap();
        match peers.get(&node) {
            Some((remembered, _)) if *remembered != store => Err(KnownError::OtherStore { remembered: *remembered }),
            _ => {
                peers.insert(node, (store, control.to_owned()));
                Ok(())
            }
        }
    }

    fn list(&self) -> Vec<KnownPeer> {
        let peers = self.peers.lock().unwrap();
        let known = |(node, (store, control)): (&NodeId, &(u128, String))| KnownPeer {
            node: *node,
            store: *store,
            control: control.clone(),
        };
        peers.iter().map(known).collect()
    }
}

/// A node of three in [`CLUSTER`], whose peers are dialled as `n1`, `n2`, `n3`.
pub fn spec(net: impl Net, node: NodeId) -> TcpSpec {
    TcpSpec {
        net: Arc::new(net),
        clock: ClusterClock::new(1, 1),
        cluster: CLUSTER,
        node,
        listen: "127.0.0.1:0".to_owned(),
        peers: [N1, N2, N3].map(|id| (id, id.to_string())).into(),
        control: format!("0.0.0.0:{}", 7_000 + node.0),
        seed: 1,
        rules: Rules::new([N1, N2, N3], 0),
        tls: None,
        known: Arc::new(Memory::default()),
    }
}

/// An end of the wire, with what a node would hold of it.
pub struct End {
    pub node: NodeId,
    pub epoch: Epoch,
    pub peers: Peers,
    pub link: Link,
    pub number: u64,
}

impl End {
    /// Opens a transport, enters it into the book, and attaches its first life.
    pub async fn open(book: &Book, spec: TcpSpec) -> Self {
        let (node, store) = (spec.node, store(spec.node));
        let peers = open(spec).await.expect("a free port");
        book.put(&node.to_string(), peers.address());
        let link = peers.attach(Epoch(1), store);
        Self { node, epoch: Epoch(1), peers, link, number: 0 }
    }

    /// The same for a node that nothing is special about.
    pub async fn plain(book: &Book, node: NodeId) -> Self {
        Self::open(book, spec(book.clone(), node)).await
    }

    /// Another life, perhaps on another store.
    pub fn live(&mut self, epoch: u64, store: u128) {
        self.epoch = Epoch(epoch);
        self.link = self.peers.attach(self.epoch, store);
    }

    /// Says something to `to`; what the queue does not take is lost, as for a node.
    pub fn say(&mut self, to: NodeId) -> u64 {
        self.number += 1;
        let envelope = envelope(self.node, to, self.epoch, self.number);
        let _ = self.link.outgoing.try_send(envelope);
        self.number
    }

    /// All that has arrived.
    pub fn heard(&mut self) -> Vec<Envelope> {
        std::iter::from_fn(|| self.link.incoming.try_recv().ok()).collect()
    }

    pub fn is_connected(&self, to: NodeId) -> bool {
        self.peers.view().iter().any(|peer| peer.id == to && peer.connected)
    }

    pub fn alarmed(&self, words: &str) -> bool {
        self.peers.alarms().iter().any(|alarm| alarm.contains(words))
    }
}

pub fn envelope(from: NodeId, to: NodeId, epoch: Epoch, number: u64) -> Envelope {
    let message = Message::RequestVote { last: LogPosition::ZERO };
    Envelope { from, to, epoch, number, term: Term(1), message }
}

/// Waits until something holds. The bound is for a machine that is busy with other things.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what}: not in time");
}

/// Says things from one end to another until one arrives.
pub async fn until_heard(from: &mut End, to: &mut End) {
    let node = to.node;
    until("a message arrives", || {
        from.say(node);
        to.heard().iter().any(|envelope| envelope.from == from.node)
    })
    .await;
}

/// What a node says first.
pub fn hello(from: NodeId, to: NodeId) -> Hello {
    Hello {
        magic: MAGIC,
        versions: VERSIONS,
        cluster: CLUSTER,
        from,
        to,
        store: store(from),
        epoch: Epoch(1),
        boot: 9,
        control: "127.0.0.1:7000".to_owned(),
        nonce: 0xAB,
        more: Bytes::new(),
    }
}

/// Greets by hand, and is ready to say anything.
pub async fn greeted(wire: Wire, hello: Hello) -> Result<(FrameReader, FrameWriter, Settled), Failed> {
    let (mut reader, mut writer) = frames(wire, HELLO_BYTES_MAX);
    let settled = greet(&mut reader, &mut writer, hello, async |_| Ok(())).await?;
    reader.set_max_bytes(FRAME_BYTES_MAX);
    writer.set_max_bytes(FRAME_BYTES_MAX);
    reader.set_seed(settled.seed);
    writer.set_seed(settled.seed);
    Ok((reader, writer, settled))
}

/// Both ends of a connection of this machine.
pub async fn pair() -> (Wire, Wire) {
    let mut door = Tcp.listen("127.0.0.1:0").await.unwrap();
    let address = door.address().to_string();
    let (dialled, accepted) = tokio::join!(Tcp.dial(&address), door.accept());
    (dialled.unwrap(), accepted.unwrap().0)
}
