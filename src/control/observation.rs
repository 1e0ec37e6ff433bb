//! What a cluster tells: the picture of each node, of the whole, and what happens.
//!
//! Plain data, `Option` where a cluster cannot know. The picture is what was reported, never what was asked for.
//!
//! Not here: how pictures are made (`cluster/`), words for events (`narrate.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::operation::{self, Answer, LinkRule, Links, OperationId, Pace};
use crate::raft::status::PeerStatus;
use crate::raft::{Digest, Epoch, Event, Index, LogPosition, MessageKind, NodeId, Role, Term, TermRun, Ticks};

/// Whether a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// It is opening its store.
    Starting,
    /// It takes part.
    Running,
    /// It is frozen where it stands, on purpose.
    Paused,
    /// Its process has ended without having been asked to end: crashed on purpose, or found dead, at this real time
    /// since the start, in microseconds.
    Crashed {
        /// When.
        at_us: u64,
    },
    /// It stopped itself; a sentence says why and what to do.
    Halted {
        /// Why.
        why: String,
    },
    /// Nothing is heard of it; whether it runs cannot be known from here.
    Unreachable {
        /// Since when, real time since the start, in microseconds.
        since_us: u64,
        /// What went wrong when it was asked last.
        why: String,
    },
}

/// How a node is heard that is not in this process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// Where it listens to consoles; empty when that is not known.
    pub address: String,
    /// Real time since it last reported itself, in microseconds; `None` before it did.
    pub age_us: Option<u64>,
    /// Real time of the last question and answer, in microseconds.
    pub round_trip_us: Option<u64>,
    /// The program's version that it runs; empty when that is not known.
    pub version: String,
    /// Faults can be injected into it; `None` when that is not known.
    pub chaos: Option<bool>,
}

/// From this age on a node's picture is called stale: real time in microseconds.
pub const STALE_US: u64 = 2_000_000;

/// Two percentiles in microseconds; `None` before the first sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Median.
    pub p50_us: Option<u64>,
    /// 99th percentile.
    pub p99_us: Option<u64>,
}

/// One node as it reported itself. For a node that does not run: what it reported last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// Who.
    pub id: NodeId,
    /// Whether it runs.
    pub life: Life,
    /// Which life.
    pub epoch: Epoch,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Its vote in that term.
    pub voted_for: Option<NodeId>,
    /// Whom it believes to lead.
    pub leader: Option<NodeId>,
    /// Yes votes or pre-votes while it campaigns.
    pub votes: Vec<NodeId>,
    /// First index in its log.
    pub first_index: Index,
    /// Last entry of its log.
    pub last: LogPosition,
    /// Last durable index.
    pub durable: Index,
    /// Commit index.
    pub commit: Index,
    /// Applied index.
    pub applied: Index,
    /// Last index of its snapshot.
    pub snapshot: Index,
    /// Bytes of its log in memory.
    pub log_bytes: u64,
    /// Terms of its log, as runs from `first_index` on; the first entry of a run is the leader's no-op.
    pub terms: Vec<TermRun>,
    /// Digest of its machine at `applied`.
    pub digest: Digest,
    /// Ticks since its election timer was reset.
    pub election_elapsed: Ticks,
    /// At how many it fires.
    pub election_timeout: Ticks,
    /// A leader's ticks to the next heartbeat, and between two.
    pub heartbeat: Option<(Ticks, Ticks)>,
    /// It may have lost part of its log: neither votes nor counts.
    pub quarantined: bool,
    /// A snapshot it receives: bytes here, bytes in all.
    pub receiving: Option<(u64, u64)>,
    /// A leader's followers.
    pub peers: Vec<PeerStatus>,
    /// Messages received, since it started.
    pub messages_in: u64,
    /// Messages sent, since it started.
    pub messages_out: u64,
    /// The same by kind: kind, received, sent; kinds that never travelled are left out.
    pub messages_by_kind: Vec<(MessageKind, u64, u64)>,
    /// Elections that it stood in, since it started.
    pub elections: u64,
    /// Messages received a second of cluster time.
    pub in_per_second: f32,
    /// Messages sent a second of cluster time.
    pub out_per_second: f32,
    /// How long its disk takes for a group of writes, in real time.
    pub sync: Latency,
    /// Leader: from proposal to durable in its own log, in cluster time.
    pub durable_latency: Latency,
    /// Leader: from proposal to commit, in cluster time.
    pub commit_latency: Latency,
    /// Leader: from proposal to applied, in cluster time.
    pub apply_latency: Latency,
    /// Sentences about what its store repaired when it was opened.
    pub notes: Vec<String>,
    /// What its place in the network has counted since it started; `None`: nothing is known of that.
    pub traffic: Option<Traffic>,
    /// How it is heard; `None` for a node in this process.
    pub reach: Option<Reach>,
}

impl NodeView {
    /// Whether it runs, as far as is known, but its picture is old.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.is_running() && self.reach.as_ref().and_then(|reach| reach.age_us).is_some_and(|age| age >= STALE_US)
    }

    /// Whether it has ever reported itself; if not, its numbers say nothing.
    #[must_use]
    pub fn was_heard(&self) -> bool {
        self.reach.as_ref().is_none_or(|reach| reach.age_us.is_some())
    }

    /// Whether it runs and takes part.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.life == Life::Running
    }

    /// Term of its entry at `index`, if it has one in memory.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.first_index || index > self.last.index {
            return None;
        }
        let run = self.terms.partition_point(|run| run.first <= index);
        run.checked_sub(1).map(|run| self.terms[run].term)
    }
}

/// What a node's place in the network has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// With each peer.
    pub peers: Vec<PeerTraffic>,
    /// Connections that had to go before their handshake was over, because too many came.
    pub turned_away: u64,
    /// Connections on which something else came than a node says.
    pub malformed: u64,
}

/// What went between a node and one of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerTraffic {
    /// Which peer.
    pub id: NodeId,
    /// Bytes received and sent; `None` where no bytes travel.
    pub bytes: Option<(u64, u64)>,
    /// Messages that did not arrive.
    pub dropped: Dropped,
}

/// Messages that did not arrive, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Cut or lost by a rule.
    pub by_rule: u64,
    /// No room in the queue to the peer.
    pub by_queue: u64,
    /// Waited too long for a connection.
    pub by_age: u64,
    /// The node was too slow to take what the peer sent.
    pub by_inbox: u64,
    /// The peer was not there.
    pub by_death: u64,
    /// Too long for a frame, or not the node's to send.
    pub unfit: u64,
    /// Came from the peer in the name of another node or life.
    pub forged: u64,
}

/// A fault that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveFault {
    /// Counts faults of this run.
    pub number: u64,
    /// What was asked for, in the grammar's words.
    pub text: String,
    /// Since when, microseconds of cluster time.
    pub since_us: u64,
    /// When it ends by itself: microseconds of real time from now. `None`: it stays until it is healed.
    pub left_us: Option<u64>,
    /// Who put it there, where that is somebody else or many may.
    pub by: Option<String>,
}

/// How a cluster is held: what is shown of it is all there is, or what was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nodes in this process, over a network and a clock of its own.
    Lab,
    /// Child processes over TCP.
    Processes,
    /// It runs without this console.
    Remote,
}

impl Held {
    /// Its word in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lab => "LAB",
            Self::Processes => "PROCESSES",
            Self::Remote => "LIVE",
        }
    }
}

/// What the console may do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything that can be done at all: the cluster is the console's own.
    Own,
    /// Watch and read, until it is armed.
    Observe,
    /// What the access allows, for a while.
    Armed {
        /// What was granted.
        access: operation::Access,
        /// Microseconds of real time that are left.
        left_us: u64,
        /// Why it was armed.
        reason: String,
    },
}

impl Mode {
    /// Its word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Observe => "observe",
            Self::Armed { access: operation::Access::Viewer | operation::Access::Operator, .. } => "operate",
            Self::Armed { access: operation::Access::Chaos, .. } => "drill",
        }
    }

    /// Whether the console may now do what takes this access.
    #[must_use]
    pub fn allows(&self, needed: operation::Access) -> bool {
        match self {
            Self::Own => true,
            Self::Observe => needed == operation::Access::Viewer,
            Self::Armed { access, .. } => needed <= *access,
        }
    }
}

/// Something that a node found wrong with the others or with itself and that does not stop it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alarm {
    /// Who says so.
    pub node: NodeId,
    /// A sentence: what is wrong, and what to do.
    pub text: String,
}

/// One directed link with what is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkState {
    /// Which.
    pub links: Links,
    /// What.
    pub rule: LinkRule,
}

/// The load that the cluster puts on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadView {
    /// Wanted, a second of cluster time.
    pub per_second: u32,
    /// Microseconds of cluster time that are left.
    pub left_us: Option<u64>,
}

/// What clients saw, over all of this run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientsView {
    /// Applied.
    pub applied: u64,
    /// Certainly not applied.
    pub not_applied: u64,
    /// Unknown.
    pub unknown: u64,
    /// Reads answered.
    pub reads: u64,
    /// Waiting for their outcome.
    pub waiting: u64,
    /// Writes applied a second of cluster time, lately.
    pub applied_per_second: f32,
    /// From submit to answer, in cluster time.
    pub latency: Latency,
}

/// Whether a write submitted now can be expected to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WritesStand {
    /// A leader reaches a majority.
    Available,
    /// They would wait; a sentence says for what.
    Stalled {
        /// Why, and what would help.
        why: String,
    },
}

/// The whole cluster at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct ClusterView {
    /// Rises with each view.
    pub version: u64,
    /// Name shown in the header.
    pub name: String,
    /// Cluster time in microseconds.
    pub now_us: u64,
    /// Real time since the start in microseconds.
    pub real_us: u64,
    /// How fast cluster time runs.
    pub pace: Pace,
    /// The clock stands still.
    pub stopped: bool,
    /// The seed of this run.
    pub seed: u64,
    /// All members, by id.
    pub nodes: Vec<NodeView>,
    /// Faults in force.
    pub faults: Vec<ActiveFault>,
    /// Directed links on which something is done to messages.
    pub links: Vec<LinkState>,
    /// The load, if any.
    pub load: Option<LoadView>,
    /// What clients saw.
    pub clients: ClientsView,
    /// Whether writes go through.
    pub writes: WritesStand,
    /// Where the data is, and whether it stays.
    pub data_dir: String,
    /// Events and other details that this session was too slow for.
    pub dropped_details: u64,
    /// How it is held.
    pub held: Held,
    /// What the console may do now.
    pub mode: Mode,
    /// Faults can be injected into some of its nodes by whoever has the right.
    pub chaos: bool,
    /// The most that the console can be armed for.
    pub may: operation::Access,
    /// The cluster allows it; whether a node does is its own affair.
    pub chaos_allowed: bool,
    /// What nodes found wrong.
    pub alarms: Vec<Alarm>,
    /// What the console costs: bytes a second to and from all nodes; `None` in one process.
    pub console_bytes_per_second: Option<u64>,
    /// Values of commands are not told: what happens names keys only.
    pub values_masked: bool,
}

impl ClusterView {
    /// Why the console cannot be armed for this, and what would help; `None`: it can.
    #[must_use]
    pub fn unarmable(&self, access: operation::Access) -> Option<String> {
        if access == operation::Access::Chaos && !self.chaos {
            return Some("fault injection is off: it takes --chaos at bootstrap and nodes with --enable-chaos".into());
        }
        let has = self.may;
        (access > has).then(|| format!("this console has {has} access and no more: attach with a token for {access}"))
    }

    /// The node with this id.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&NodeView> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Running nodes that call themselves leader, newest term first. More than one is possible for a while: the older
    /// ones are stale and cannot commit.
    #[must_use]
    pub fn self_declared_leaders(&self) -> Vec<&NodeView> {
        let mut leaders: Vec<_> =
            self.nodes.iter().filter(|node| node.is_running() && node.role == Role::Leader).collect();
        leaders.sort_by_key(|node| std::cmp::Reverse(node.term));
        leaders
    }

    /// The leader of the newest term, if it runs.
    #[must_use]
    pub fn leader(&self) -> Option<&NodeView> {
        self.self_declared_leaders().first().copied()
    }

    /// How many running nodes believe in `leader` in its term, itself included.
    #[must_use]
    pub fn believers(&self, leader: &NodeView) -> usize {
        let believes =
            |node: &&NodeView| node.is_running() && node.leader == Some(leader.id) && node.term == leader.term;
        self.nodes.iter().filter(believes).count()
    }

    /// How many nodes run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.nodes.iter().filter(|node| node.is_running()).count()
    }

    /// How many voters make a majority.
    #[must_use]
    pub fn quorum(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    /// What is done to messages from `from` to `to`.
    pub fn rules_on(&self, from: NodeId, to: NodeId) -> impl Iterator<Item = LinkRule> + '_ {
        self.links.iter().filter(move |link| link.links.covers(from, to)).map(|link| link.rule)
    }
}

/// Something that happened, when and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// Counts what happened in this run; a gap means that details were dropped.
    pub number: u64,
    /// Cluster time in microseconds.
    pub at_us: u64,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum What {
    /// In a node's protocol.
    Node {
        /// Whose.
        node: NodeId,
        /// What.
        event: Event,
    },
    /// A node's life changed.
    Life {
        /// Whose.
        node: NodeId,
        /// To what.
        life: Life,
    },
    /// A node's store says what it repaired.
    Note {
        /// Whose.
        node: NodeId,
        /// A sentence.
        note: String,
    },
    /// A client's command was applied.
    Applied {
        /// The node that tells: the first that applied it, where all of them are in this process.
        node: NodeId,
        /// Where in the log.
        index: Index,
        /// Where the command before it is. What lies between is no client's.
        after: Index,
        /// The command in words.
        command: String,
    },
    /// The operator changed the faults; all that is in force now is in the view.
    Faults {
        /// A sentence.
        what: String,
    },
    /// Messages did not arrive because of a fault; counted over a while, not one by one.
    Dropped {
        /// Sender.
        from: NodeId,
        /// Receiver.
        to: NodeId,
        /// Kind.
        kind: MessageKind,
        /// How many.
        count: u64,
    },
    /// The clock was stopped, resumed or paced.
    Clock {
        /// A sentence.
        what: String,
    },
}

/// What a session hears besides the views.
#[derive(Clone, Debug)]
pub enum Observation {
    /// Something happened.
    Happened(Arc<Happened>),
    /// An operation got its answer.
    Answered {
        /// Which.
        id: OperationId,
        /// What it came to.
        answer: Answer,
    },
}
