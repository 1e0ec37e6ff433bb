//! Messages between node processes, over TCP or whatever [`Net`] stands for it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::Link;
use super::clock::ClusterClock;
use super::faults::Rules;
use super::net::Net;
use super::tls::Tls;
use crate::raft::{Epoch, MessageKind, NodeId};

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

/// A node's place in the network; clones are hands on the same. It ends with the last of them.
#[derive(Clone)]
pub struct Peers {
    shared: Arc<TcpSpec>,
    address: SocketAddr,
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("node", &self.shared.node).field("address", &self.address).finish_non_exhaustive()
    }
}

/// Listens at once; lets nobody in before [`Peers::attach`].
pub async fn open(spec: TcpSpec) -> Result<Peers, TcpError> {
    let doorway = spec.net.listen(&spec.listen).await;
    let doorway = doorway.map_err(|source| TcpError::Listen { address: spec.listen.clone(), source })?;
    Ok(Peers { address: doorway.address(), shared: Arc::new(spec) })
}

impl Peers {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new life of this node joins, with its store. A former life leaves first.
    pub fn attach(&self, _epoch: Epoch, _store: u128) -> Link {
        let (outgoing, _) = mpsc::channel(1);
        let (_, incoming) = mpsc::channel(1);
        Link { outgoing, incoming }
    }

    /// The node leaves: connections are closed, what is under way is lost.
    pub fn detach(&self) {}

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.shared.rules.clone()
    }

    /// Replaces the rules, for messages sent from now on.
    pub fn set_rules(&self, _rules: Rules) {}

    /// Messages dropped by a rule at this door since this was asked last, by sender, receiver and kind.
    #[must_use]
    pub fn take_drops(&self) -> Vec<(NodeId, NodeId, MessageKind, u64)> {
        Vec::new()
    }

    /// All peers.
    #[must_use]
    pub fn view(&self) -> Vec<PeerView> {
        Vec::new()
    }

    /// What is wrong with peers, a sentence each with what to do, for as long as it holds.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        Vec::new()
    }
}
