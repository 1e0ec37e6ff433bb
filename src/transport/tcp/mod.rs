//! Messages between node processes, over TCP or whatever [`Net`] stands for it.
//!
//! | file | what |
//! | --- | --- |
//! | `handshake.rs` | how two nodes make sure of each other; why they refuse |
//! | `meeting.rs` | which life of a peer is the one to speak with |
//! | `peer.rs` | what is kept of one peer: queue, connections that count, counters |
//! | `lane.rs` | our connection to a peer, for what we send |
//! | `door.rs` | the peers' connections to us, for what they send |
//!
//! Each direction has a connection of its own, dialled by the sender. What a node sends is judged by the same
//! [`Faults`] as in one process, waits for its due time, and goes into the queue of its peer. What comes in over a link
//! that is cut here is dropped here too, so that a cut holds when only one of two nodes knows of it.
//!
//! Kept true: nothing here blocks the node; no message is taken from anybody who was not greeted (`handshake.rs`).
//! Not here: bytes (`frame.rs`), certificates (`tls.rs`), the file that remembers peers (`storage/known.rs`).

mod door;
pub mod handshake;
mod lane;
mod meeting;
mod peer;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Link;
use super::clock::ClusterClock;
use super::faults::{Fate, Faults, Rules};
use super::held::{self, Held};
use super::net::{Doorway, Net};
use super::tls::Tls;
use crate::raft::{Envelope, Epoch, MessageKind, NodeId};
use door::Lobby;
use handshake::{Failed, Hello, MAGIC, Refusal, VERSIONS};
use peer::{Peer, count, lock};

pub use door::{HANDSHAKES_AN_ADDRESS_MAX, HANDSHAKES_MAX};
pub use lane::{FRAME_BYTES_MAX, Pong, Said};
pub use peer::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};

/// Messages between the node and its lanes, and from its peers to the node.
const LINK_CAPACITY: usize = 4_096;
/// Messages taken from the node under one lock.
const BATCH: usize = 64;
/// So many strangers are told of: names are the stranger's to choose.
const STRANGERS_TOLD_MAX: usize = 4;
/// A stranger at the door is told for so long after he came last.
const STRANGER_TOLD_FOR: Duration = Duration::from_secs(100);

/// What a node needs to speak with its peers.
#[derive(Clone)]
pub struct TcpSpec {
    /// Dials and listens.
    pub net: Arc<dyn Net>,
    /// By which delays are measured.
    pub clock: ClusterClock,
    /// Compared in each handshake.
    pub cluster: u128,
    /// This node.
    pub node: NodeId,
    /// `host:port`; port 0 is any that is free.
    pub listen: String,
    /// All members' peer addresses; our own is passed over.
    pub peers: BTreeMap<NodeId, String>,
    /// Where this node's consoles connect, told to peers; who hears it puts where it was heard from in place of a
    /// wildcard.
    pub control: String,
    /// The luck of faults.
    pub seed: u64,
    /// Faults in force at first.
    pub rules: Rules,
    /// Encrypt, and look at certificates.
    pub tls: Option<Arc<Tls>>,
    /// Remembers whom this node has met.
    pub known: Arc<dyn Known>,
}

/// A peer that was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownPeer {
    /// Who.
    pub node: NodeId,
    /// Its store.
    pub store: u128,
    /// Where its consoles connect.
    pub control: String,
}

/// What a node remembers of its peers, from one life to the next.
pub trait Known: Send + Sync + 'static {
    /// `node` has come with `store`: remembers that durably, or says why it cannot be the node that is known.
    /// May block on a disk.
    fn meet(&self, node: NodeId, store: u128, control: &str) -> Result<(), KnownError>;

    /// All that are known, in order.
    fn list(&self) -> Vec<KnownPeer>;
}

/// Why a peer is not accepted as the one that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KnownError {
    /// It has another store than the one that is remembered.
    #[error("another store is remembered of it")]
    OtherStore {
        /// The store that is remembered.
        remembered: u128,
    },
    /// What would have to be remembered cannot be written.
    #[error("{0}")]
    Unwritten(String),
}

/// Why a node cannot speak with its peers.
#[derive(Debug, thiserror::Error)]
pub enum TcpError {
    /// The place to listen at cannot be had.
    #[error("listening at {address}: {source}; choose a free port with --listen")]
    Listen {
        /// Which.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The control address is too long to be told to peers.
    #[error("a control address of {bytes} bytes is too long; give --control a shorter name")]
    Control {
        /// How long it is.
        bytes: usize,
    },
}

/// Messages that did not arrive, by reason, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Cut or lost by a rule, at either door.
    pub by_rule: u64,
    /// No room in the queue to the peer.
    pub by_queue: u64,
    /// Waited too long for a connection.
    pub by_age: u64,
    /// The node was too slow to take what the peer sent.
    pub by_inbox: u64,
    /// Too long for a frame, or not ours to send.
    pub unfit: u64,
    /// Came from the peer in the name of another node or life; the connection was closed.
    pub forged: u64,
}

/// A peer as the transport sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub id: NodeId,
    /// Where it is dialled.
    pub address: String,
    /// Where its consoles connect, once that was heard.
    pub control: Option<String>,
    /// Our connection to it is open.
    pub connected: bool,
    /// Its connection to us is open.
    pub heard: bool,
    /// Why the last attempt to connect failed, in words.
    pub refusal: Option<String>,
    /// Real time from a sign of life to its answer, in microseconds.
    pub round_trip_us: Option<u64>,
    /// Bytes sent to it.
    pub bytes_out: u64,
    /// Bytes received from it.
    pub bytes_in: u64,
    /// Messages that wait for the connection.
    pub queued: usize,
    /// Messages that did not arrive.
    pub dropped: Dropped,
}

/// What is going on at the door.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DoorView {
    /// Handshakes under way.
    pub handshakes: usize,
    /// Connections that had to go before their handshake was over, because too many came.
    pub turned_away: u64,
    /// Connections on which something else came than a node says.
    pub malformed: u64,
}

/// What is on its way out of this node.
#[derive(Debug)]
struct Way {
    faults: Faults,
    held: Held<Envelope>,
    /// How many of them on each link.
    on_link: BTreeMap<NodeId, usize>,
    /// Dropped by a rule since they were asked for.
    drops: BTreeMap<(NodeId, NodeId, MessageKind), u64>,
}

impl Way {
    fn dropped(&mut self, peer: &Peer, envelope: &Envelope) {
        *self.drops.entry((envelope.from, envelope.to, envelope.message.kind())).or_default() += 1;
        count(&peer.counts.by_rule, 1);
    }
}

/// A life of this node.
struct Life {
    epoch: Epoch,
    store: u128,
    boot: u128,
    inbox: mpsc::Sender<Envelope>,
}

impl Life {
    fn hello(&self, shared: &Shared, to: NodeId) -> Hello {
        Hello {
            magic: MAGIC,
            versions: VERSIONS,
            cluster: shared.spec.cluster,
            from: shared.spec.node,
            to,
            store: self.store,
            epoch: self.epoch,
            boot: self.boot,
            control: shared.spec.control.clone(),
            nonce: handshake::random(),
            more: Bytes::new(),
        }
    }
}

struct Shared {
    spec: TcpSpec,
    doorway: tokio::sync::Mutex<Box<dyn Doorway>>,
    peers: BTreeMap<NodeId, Arc<Peer>>,
    way: Mutex<Way>,
    /// Something is due earlier than the courier knows.
    earlier: Notify,
    lobby: Lobby,
    turned_away: AtomicU64,
    malformed: AtomicU64,
    /// Those who came last and are no members, each name once, newest last.
    strangers: Mutex<VecDeque<(NodeId, String, Instant)>>,
    /// All that runs for the present life.
    tasks: Mutex<JoinSet<()>>,
}

impl Shared {
    fn way(&self) -> MutexGuard<'_, Way> {
        lock(&self.way)
    }

    /// Decides the fate of what the node sends.
    fn send_all(&self, life: &Life, batch: &mut Vec<Envelope>) {
        let mut way = self.way();
        let (now_us, stopped) = self.spec.clock.read();
        let first_before = way.held.first();
        if !stopped {
            // What is due goes before what is sent now, or a link would lose its order to a late courier.
            self.pump(&mut way, now_us);
        }
        for envelope in batch.drain(..) {
            let Some(peer) = self.peers.get(&envelope.to) else { continue };
            if (envelope.from, envelope.epoch) != (self.spec.node, life.epoch) {
                count(&peer.counts.unfit, 1);
                continue;
            }
            match way.faults.decide(envelope.from, envelope.to, envelope.message.kind(), now_us) {
                Fate::Drop { .. } => way.dropped(peer, &envelope),
                Fate::Deliver { due_us, again_us } => {
                    let again = again_us.map(|due_us| (due_us, envelope.clone()));
                    for (due_us, envelope) in [(due_us, envelope)].into_iter().chain(again) {
                        if due_us <= now_us && !stopped {
                            peer.push(envelope);
                        } else {
                            Self::hold(&mut way, peer, due_us, envelope);
                        }
                    }
                }
            }
        }
        let first = way.held.first();
        if first.is_some() && first != first_before {
            self.earlier.notify_one();
        }
    }

    fn hold(way: &mut Way, peer: &Peer, due_us: u64, envelope: Envelope) {
        let on_link = way.on_link.entry(peer.id).or_default();
        if *on_link >= QUEUE_MESSAGES_MAX {
            count(&peer.counts.by_queue, 1);
            return;
        }
        *on_link += 1;
        way.held.hold(due_us, envelope);
    }

    fn pump(&self, way: &mut Way, now_us: u64) {
        while let Some(envelope) = way.held.take_due(now_us) {
            if let Some(on_link) = way.on_link.get_mut(&envelope.to) {
                *on_link -= 1;
            }
            if let Some(peer) = self.peers.get(&envelope.to) {
                peer.push(envelope);
            }
        }
    }

    /// Whether what a peer has sent may pass this door.
    fn passes(&self, peer: &Peer, envelope: &Envelope) -> bool {
        let mut way = self.way();
        let passes = way.faults.rules().passes(envelope.from, envelope.to, envelope.message.kind());
        if !passes {
            way.dropped(peer, envelope);
        }
        passes
    }

    /// A peer at `host` has proved to be there: whether it is the one that is known.
    async fn meet(self: &Arc<Self>, peer: &Peer, hello: Hello, host: &str) -> Result<(), Refusal> {
        let control = reachable(&hello.control, host);
        // It may have to be written down, and synced.
        let known = Arc::clone(&self.spec.known);
        let (node, store, written) = (peer.id, hello.store, control.clone());
        let met = tokio::task::spawn_blocking(move || known.meet(node, store, &written)).await;
        match met {
            Ok(Ok(())) => {}
            Ok(Err(KnownError::OtherStore { .. })) => return Err(Refusal::Store),
            Ok(Err(KnownError::Unwritten(why))) => {
                tracing::error!("remembering {node}: {why}");
                return Err(Refusal::Forgetful);
            }
            Err(_) => return Err(Refusal::Forgetful),
        }
        peer.meet(&hello)?;
        peer.set_control(control);
        Ok(())
    }

    /// Somebody was not let in, or did not want to come in.
    fn turn_away(&self, failed: &Failed, claimed: Option<NodeId>, from: SocketAddr) {
        let place = from.to_string();
        let (Some(node), Failed::ByUs(refusal) | Failed::ByThem(refusal)) = (claimed, failed) else {
            count(&self.malformed, 1);
            tracing::debug!("a connection from {place}: {failed}");
            return;
        };
        let why = match failed {
            Failed::ByThem(_) => refusal.of_us(node, &place),
            _ => refusal.of_peer(node, &place),
        };
        tracing::debug!("{why}");
        if let Some(peer) = self.peers.get(&node) {
            let by_us = matches!(failed, Failed::ByUs(_));
            peer.turned_away((from.ip(), by_us, std::mem::discriminant(refusal)), why);
            return;
        }
        let why = if node == self.spec.node {
            format!("somebody at {place} says to be {node}, which is this node: check --id there")
        } else {
            why
        };
        let mut strangers = lock(&self.strangers);
        strangers.retain(|(former, ..)| *former != node);
        strangers.push_back((node, why, Instant::now()));
        let too_many = strangers.len().saturating_sub(STRANGERS_TOLD_MAX);
        strangers.drain(..too_many);
    }
}

/// Where a peer's consoles connect, as seen from here: a wildcard stands for where the peer was heard from.
fn reachable(control: &str, host: &str) -> String {
    match control.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_unspecified() => {
            let port = address.port();
            if host.contains(':') && !host.starts_with('[') {
                format!("[{host}]:{port}")
            } else {
                format!("{host}:{port}")
            }
        }
        Ok(_) | Err(_) => control.to_owned(),
    }
}

/// Ends the tasks with the last hand on them.
struct Hands {
    shared: Arc<Shared>,
}

impl Drop for Hands {
    fn drop(&mut self) {
        lock(&self.shared.tasks).abort_all();
    }
}

/// A node's place in the network; clones are hands on the same. It ends with the last of them.
#[derive(Clone)]
pub struct Peers {
    hands: Arc<Hands>,
    address: SocketAddr,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node = self.hands.shared.spec.node;
        f.debug_struct("Peers").field("node", &node).field("address", &self.address).finish_non_exhaustive()
    }
}

/// Listens at once; lets nobody in before [`Peers::attach`].
pub async fn open(spec: TcpSpec) -> Result<Peers, TcpError> {
    if spec.control.len() > handshake::CONTROL_BYTES_MAX {
        return Err(TcpError::Control { bytes: spec.control.len() });
    }
    let doorway = spec.net.listen(&spec.listen).await;
    let doorway = doorway.map_err(|source| TcpError::Listen { address: spec.listen.clone(), source })?;
    let address = doorway.address();
    let mut controls: BTreeMap<_, _> = spec.known.list().into_iter().map(|known| (known.node, known.control)).collect();
    let others = spec.peers.iter().filter(|(id, _)| **id != spec.node);
    let peers = others.map(|(id, address)| (*id, Arc::new(Peer::new(*id, address.clone(), controls.remove(id)))));
    let shared = Arc::new(Shared {
        doorway: tokio::sync::Mutex::new(doorway),
        peers: peers.collect(),
        way: Mutex::new(Way {
            faults: Faults::new(spec.seed, spec.rules.clone()),
            held: Held::default(),
            on_link: BTreeMap::new(),
            drops: BTreeMap::new(),
        }),
        earlier: Notify::new(),
        lobby: Lobby::default(),
        turned_away: AtomicU64::new(0),
        malformed: AtomicU64::new(0),
        strangers: Mutex::default(),
        tasks: Mutex::new(JoinSet::new()),
        spec,
    });
    Ok(Peers { hands: Arc::new(Hands { shared }), address })
}

impl Peers {
    fn shared(&self) -> &Arc<Shared> {
        &self.hands.shared
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new life of this node joins, with its store. A former life leaves first, and must have had a lower epoch: peers
    /// take two lives of one epoch for two processes. Must be called within a tokio runtime.
    pub fn attach(&self, epoch: Epoch, store: u128) -> Link {
        self.detach();
        let shared = self.shared();
        let (outgoing, mut taken) = mpsc::channel(LINK_CAPACITY);
        let (inbox, incoming) = mpsc::channel(LINK_CAPACITY);
        let life = Arc::new(Life { epoch, store, boot: handshake::random(), inbox });
        let mut tasks = lock(&shared.tasks);
        tasks.spawn({
            let (shared, life) = (Arc::clone(shared), Arc::clone(&life));
            async move {
                let mut batch = Vec::with_capacity(BATCH);
                while taken.recv_many(&mut batch, BATCH).await > 0 {
                    shared.send_all(&life, &mut batch);
                }
            }
        });
        tasks.spawn({
            let shared = Arc::clone(shared);
            async move {
                let first = || shared.way().held.first();
                let pump = |now_us| shared.pump(&mut shared.way(), now_us);
                held::carry(&shared.spec.clock, &shared.earlier, first, pump).await;
            }
        });
        for peer in shared.peers.values() {
            tasks.spawn(lane::keep(Arc::clone(shared), Arc::clone(&life), Arc::clone(peer)));
        }
        tasks.spawn(door::keep(Arc::clone(shared), life));
        Link { outgoing, incoming }
    }

    /// The node leaves: connections are closed, what is under way is lost.
    pub fn detach(&self) {
        let shared = self.shared();
        *lock(&shared.tasks) = JoinSet::new();
        shared.lobby.clear();
        let mut way = shared.way();
        way.held.clear();
        way.on_link.clear();
        drop(way);
        for peer in shared.peers.values() {
            peer.clear();
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.shared().way().faults.rules().clone()
    }

    /// Replaces the rules, for messages sent from now on, and for those that come in.
    pub fn set_rules(&self, rules: Rules) {
        self.shared().way().faults.set_rules(rules);
    }

    /// Messages dropped by a rule at this door since this was asked last, by sender, receiver and kind.
    #[must_use]
    pub fn take_drops(&self) -> Vec<(NodeId, NodeId, MessageKind, u64)> {
        let drops = std::mem::take(&mut self.shared().way().drops);
        drops.into_iter().map(|((from, to, kind), count)| (from, to, kind, count)).collect()
    }

    /// All peers.
    #[must_use]
    pub fn view(&self) -> Vec<PeerView> {
        self.shared().peers.values().map(|peer| peer.view()).collect()
    }

    /// The door.
    #[must_use]
    pub fn door(&self) -> DoorView {
        let shared = self.shared();
        DoorView {
            handshakes: shared.lobby.len(),
            turned_away: shared.turned_away.load(Relaxed),
            malformed: shared.malformed.load(Relaxed),
        }
    }

    /// What is wrong with peers, a sentence each with what to do, for as long as it holds.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let shared = self.shared();
        let mut alarms: Vec<_> = shared.peers.values().flat_map(|peer| peer.alarms()).collect();
        let strangers = lock(&shared.strangers);
        let told = strangers.iter().filter(|(.., at)| at.elapsed() < STRANGER_TOLD_FOR);
        alarms.extend(told.map(|(_, why, _)| why.clone()));
        drop(strangers);
        alarms.sort();
        alarms.dedup();
        alarms
    }
}
