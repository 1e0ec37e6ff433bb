//! What a console and a node say to each other on a wire, version 1.
//!
//! ```text
//! console                                node
//!   Hello {versions, access, nonce}  →
//!                                     ←  Challenge {version, nonce, proof wanted?}
//!   Proof {hmac}                     →
//!                                     ←  Welcome {cluster, node, members, access granted}     or Refused {why}
//!   Follow {detail}                  →
//!                                     ←  Picture {number, whole}, then Change {number, parts that changed} …
//!                                     ←  Happened {…} …      Missed {count} where the console was too slow
//!   Ask {request, decided_on, wish}  →
//!                                     ←  Answered {request, answer}
//!   Alive {echo}                     →
//!                                     ←  Alive {echo}
//! ```
//!
//! Nothing but `Hello` is decoded before the handshake has passed, and that from at most [`HELLO_BYTES_MAX`] bytes. Each
//! request carries a number that the console chooses; the node acts once on each number of a console's session, however
//! often it is sent and over whichever connection, and gives the same answer again. A request may name the standing of
//! the node on which it was decided; where that has changed it is refused with the new facts.
//!
//! Kept true: all that is here is bounded: lists, names, sentences; what is longer is refused when it is decoded.
//! Not here: bytes (`codec.rs`, `transport/frame.rs`), who may what (`access.rs`), leases (`leases.rs`), sockets
//! (`server.rs`, `client.rs`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::observation::{Alarm, Happened, LinkState, NodeView};
pub use super::operation::Level;
use super::operation::{Access, LinkRule, Links};
use crate::raft::{Epoch, Index, LogPosition, NodeId, Role, Term};

/// First bytes of a console's first frame.
pub const MAGIC: [u8; 8] = *b"RAFTCTL1";

/// The oldest and the newest version that this program speaks.
pub const VERSIONS: (u16, u16) = (1, 1);

/// Longest first frame in either direction.
pub const HELLO_BYTES_MAX: usize = 1024;

/// Longest frame after the handshake.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// Longest name of a console: letters, digits, `.`, `_`, `-`.
pub const NAME_BYTES_MAX: usize = 64;

/// The first that a console says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Oldest and newest version that the console speaks.
    pub versions: (u16, u16),
    /// What it wants to be allowed.
    pub access: Access,
    /// Who it says it is; believed only where a token says so too.
    pub name: String,
    /// Random: the console's session, the same over all its connections.
    pub session: u128,
    /// Random, of this connection.
    pub nonce: [u8; 32],
}

/// The node's answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Challenge {
    /// Go on.
    Prove {
        /// The version that both speak from now on.
        version: u16,
        /// Random, of this connection.
        nonce: [u8; 32],
        /// A token must be proved; else the proof may be empty.
        proof_wanted: bool,
    },
    /// No, in few words: who asks is not known yet.
    Refused(Refusal),
}

/// Why a console is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Not this protocol at all.
    #[error("this is not a console's greeting; is it the right port?")]
    NotAConsole,
    /// No version in common.
    #[error("no version in common: use a raft-tui of the same release")]
    Version,
    /// The token does not allow it.
    #[error("the token does not allow that access; name the right file with --token-file")]
    NotAllowed,
    /// Faults are not allowed in this cluster, or not on this node.
    #[error(
        "fault injection is off: it takes a cluster bootstrapped with --chaos and a node started with --enable-chaos"
    )]
    ChaosDisabled,
    /// Too many consoles.
    #[error("too many consoles are connected; close one")]
    Full,
    /// The node is still opening its store.
    #[error("the node is starting")]
    Starting,
}

/// Proof that the console knows a token: HMAC-SHA256 under the token over both nonces, the session and the access; empty
/// where none is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// 32 bytes, or none.
    pub hmac: Vec<u8>,
}

/// A member as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub id: NodeId,
    /// Where it listens to other nodes.
    pub peer_address: String,
    /// Where it listens to consoles, once that was heard; a wildcard is replaced by where it was heard from.
    pub control_address: Option<String>,
}

/// The node's answer to a good [`Proof`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Which node.
    pub node: NodeId,
    /// Which cluster.
    pub cluster: u128,
    /// Its name.
    pub name: String,
    /// The life of the node.
    pub epoch: Epoch,
    /// The program's version.
    pub program: String,
    /// What is allowed on this connection.
    pub access: Access,
    /// Faults can be injected here.
    pub chaos: bool,
    /// All members, this node too.
    pub members: Vec<Member>,
    /// The node listens beyond this machine without proof or encryption, because its operator wished it.
    pub insecure: bool,
}

/// Answer to [`Proof`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Come in.
    Welcome(Box<Welcome>),
    /// No.
    Refused(Refusal),
}

/// How much a console wants to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Detail {
    /// Pictures at most so often, nothing that happens.
    Pictures {
        /// Real time between two, in milliseconds.
        every_ms: u32,
    },
    /// Pictures, and what happens, but no client's commands: every node applies them all, one need tell.
    Events {
        /// Real time between two pictures, in milliseconds.
        every_ms: u32,
    },
    /// Pictures, what happens, and each command that is applied.
    Everything {
        /// Real time between two pictures, in milliseconds.
        every_ms: u32,
    },
}

/// What a console says after the handshake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromConsole {
    /// Tell me from now on; replaces what was asked before.
    Follow(Detail),
    /// Do this, once.
    Ask {
        /// Unique in the console's session, rising.
        request: u64,
        /// The standing on which it was decided; where the node's differs it is refused.
        decided_on: Option<Standing>,
        /// What.
        wish: Wish,
    },
    /// I am here; say it back. Faults of a session that falls silent are healed.
    Alive {
        /// Any number.
        echo: u64,
    },
}

/// The facts about a node on which people decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which life.
    pub epoch: Epoch,
    /// Its term.
    pub term: Term,
    /// Its role.
    pub role: Role,
}

impl Standing {
    /// Whether what was decided on these facts may be done now: in the same life, and the node leads as it did. A follower
    /// is one in any term.
    #[must_use]
    pub fn holds(self, now: Self) -> bool {
        let led = |standing: Self| (standing.role == Role::Leader).then_some(standing.term);
        (self.epoch, led(self)) == (now.epoch, led(now))
    }
}

/// What can be asked of one node. What it takes is in `access.rs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Replicate a command.
    Submit {
        /// For the machine.
        command: Bytes,
    },
    /// Read.
    Read {
        /// For the machine.
        query: Bytes,
        /// How fresh.
        level: Level,
    },
    /// Say why this session is going to change things; kept in the audit log.
    Arm {
        /// For what.
        access: Access,
        /// How long, in milliseconds.
        duration_ms: u64,
        /// Why.
        reason: String,
    },
    /// No more changes from this session.
    Disarm,
    /// Put a fault in force, or renew it.
    Fault(Fault),
    /// Take a fault of this session away.
    HealFault {
        /// Which.
        fault: u64,
    },
    /// Take all network and disk faults away, whoever put them there.
    HealAll,
    /// Take the faults of some links away, whoever put them there.
    HealLinks(Links),
    /// Let the next write of the disk fail: the node halts.
    FailDisk,
    /// End as if killed.
    Crash,
}

/// A fault, a lease of the session that put it there: it ends with its time, or soon after the session falls silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Chosen by the session; a fault of the same number is replaced.
    pub number: u64,
    /// In the grammar's words.
    pub text: String,
    /// What links do. Rules of links that do not touch the node are kept but have no effect on it.
    pub links: Vec<(Links, LinkRule)>,
    /// Each group of disk writes takes so much longer, in microseconds of cluster time.
    pub disk_delay_us: Option<u64>,
    /// Ends after so long, in milliseconds of real time.
    pub ttl_ms: u64,
}

/// A fault in force on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultView {
    /// Whose, as `name` or, unproved, `~name`.
    pub by: String,
    /// Of which session.
    pub session: u128,
    /// Its number there.
    pub number: u64,
    /// In the grammar's words.
    pub text: String,
    /// Ends after so long, in milliseconds of real time.
    pub left_ms: u64,
}

/// A node, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Picture {
    /// As it reports itself; `reach` is empty, the console fills it.
    pub view: NodeView,
    /// Cluster time of the node in microseconds; each node counts from its own start.
    pub now_us: u64,
    /// Real time since its start in microseconds.
    pub up_us: u64,
    /// What is done to messages at its door.
    pub links: Vec<LinkState>,
    /// Faults in force on it.
    pub faults: Vec<FaultView>,
    /// What it finds wrong.
    pub alarms: Vec<Alarm>,
    /// Members as it knows them now.
    pub members: Vec<Member>,
    /// Consoles connected to it.
    pub consoles: u32,
    /// Bytes sent to and received from all consoles since its start.
    pub console_bytes: u64,
    /// Details that its observers were too slow for.
    pub dropped_details: u64,
}

/// What a node says after the handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FromNode {
    /// The whole picture; the first after `Follow`, and whenever changes would be larger.
    Picture {
        /// Counts pictures and changes of this connection.
        number: u64,
        /// What.
        picture: Box<Picture>,
    },
    /// What changed since `number - 1`; a console that lacks that one asks to follow anew.
    Change {
        /// Counts pictures and changes of this connection.
        number: u64,
        /// Number of a part of a picture, and its bytes (`pictures.rs`).
        parts: Vec<(u8, Bytes)>,
    },
    /// Something happened of which people are told: the protocol's every-day work is in the pictures. Numbers may leave
    /// gaps, for what this console did not ask for; what it lost is in `Missed`.
    Happened(Happened),
    /// This many details were dropped because the console was too slow.
    Missed {
        /// How many.
        count: u64,
    },
    /// What a request came to.
    Answered {
        /// Which.
        request: u64,
        /// What.
        reply: Reply,
    },
    /// I am here too.
    Alive {
        /// The console's number.
        echo: u64,
    },
}

/// What a [`Wish`] came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// It holds now; a sentence.
    Done(String),
    /// Applied.
    Applied {
        /// Where in the log.
        position: LogPosition,
        /// The machine's reply.
        reply: Bytes,
    },
    /// Read.
    Value {
        /// Applied index at that moment.
        index: Index,
        /// The machine's reply.
        reply: Bytes,
    },
    /// This node does not lead: certainly without effect.
    NotLeader {
        /// Who does, if known.
        leader: Option<NodeId>,
    },
    /// Too much is under way: certainly without effect.
    Busy {
        /// What is uncommitted, in bytes.
        uncommitted_bytes: u64,
    },
    /// Certainly without effect.
    NotApplied {
        /// Why.
        why: String,
    },
    /// May take effect later, or never.
    Unknown {
        /// Why.
        why: String,
    },
    /// The read was not answered; ask again.
    ReadFailed {
        /// Why.
        why: String,
    },
    /// Not allowed, or decided on facts that no longer hold.
    Refused {
        /// Why, and what to try.
        why: String,
    },
}
