//! What an operator can ask of a cluster, and what he gets for an answer.
//!
//! Kept true: each operation gets exactly one answer, in words that say what now holds or what to try.
//! Not here: how it is written down (`grammar.rs`), who carries it out (`cluster/`).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::observation::ClusterView;
use serde::{Deserialize, Serialize};

use crate::raft::{Index, NodeId, Term};
pub use crate::transport::faults::{LinkRule, Links};

/// Tells the answers of one session apart.
pub type OperationId = u64;

/// An operation on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the operator, unique in the session.
    pub id: OperationId,
    /// What is asked.
    pub operation: Operation,
}

/// How fresh a read is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Level {
    /// Nothing that was acknowledged before it began is missing (thesis 6.4).
    #[default]
    Linearizable,
    /// What the node that is asked has applied, however old; needs no leader and no majority.
    Local,
}

impl Level {
    /// Why there is no lease read.
    pub const NO_LEASE: &str = "there are no lease reads: they would trust the clocks of all nodes; linearizable reads \
                                ask a majority and no clock, local ones may be stale";
}

impl std::str::FromStr for Level {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "linearizable" => Ok(Self::Linearizable),
            "local" => Ok(Self::Local),
            "lease" => Err(Self::NO_LEASE.to_owned()),
            _ => Err("expected linearizable or local".to_owned()),
        }
    }
}

/// Whom an operation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This node.
    Node(NodeId),
    /// Whoever leads in the newest term when the operation is carried out.
    Leader,
    /// Every node.
    All,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Leader => write!(f, "leader"),
            Self::All => write!(f, "all"),
        }
    }
}

/// Cluster time over real time: `1/5` is slowed five times, `1/1` is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Cluster time …
    pub cluster: u32,
    /// … for so much real time.
    pub real: u32,
}

impl Pace {
    /// Cluster time runs like real time.
    pub const REAL: Self = Self { cluster: 1, real: 1 };
    /// The default for people: elections can be followed by eye.
    pub const PEOPLE: Self = Self { cluster: 1, real: 5 };
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.real == 1 { write!(f, "{}x", self.cluster) } else { write!(f, "{}/{}x", self.cluster, self.real) }
    }
}

/// What `wait` waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// A node leads that a majority believes in.
    Leader,
    /// A leader is known, every running node has its last entry, and has applied and committed alike.
    Converged,
    /// This node has applied at least this index.
    Applied {
        /// Who.
        node: NodeId,
        /// How far.
        index: Index,
    },
    /// This node does not run (crashed or halted).
    Down(NodeId),
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => write!(f, "leader"),
            Self::Converged => write!(f, "converged"),
            Self::Applied { node, index } => write!(f, "applied {node} {index}"),
            Self::Down(node) => write!(f, "down {node}"),
        }
    }
}

/// What an operator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Replicate a command of the machine; answered when it is applied.
    Submit {
        /// Bytes for the machine.
        command: Bytes,
        /// Ask this node, and do not go on to the leader.
        via: Option<NodeId>,
    },
    /// Read from the machine.
    Read {
        /// Bytes for the machine.
        query: Bytes,
        /// Ask this node (for a linearizable read a follower asks the leader for the index); otherwise the leader, or
        /// for a local read whoever runs.
        via: Option<NodeId>,
        /// How fresh.
        level: Level,
    },
    /// Stop a node as if its process were killed.
    Crash(Target),
    /// Freeze a node where it stands, as a stopped process: its timers fire late.
    Pause(Target),
    /// Let a paused node go on.
    Unpause(Target),
    /// Start a node that does not run.
    Restart(Target),
    /// Cut every link of a node.
    Isolate(Target),
    /// Cut every link between the groups; nodes named in none are alone.
    Partition(Vec<Vec<NodeId>>),
    /// Change what links do.
    Link {
        /// Which links.
        links: Links,
        /// To what.
        rule: LinkRule,
    },
    /// Take all network faults away.
    Heal,
    /// Take the faults of some links away.
    HealLinks(Links),
    /// Delay each write of a node's disk; zero takes the fault away.
    SlowDisk {
        /// Whose.
        node: Target,
        /// Microseconds of cluster time.
        delay_us: u64,
    },
    /// Make the next write of a node's disk fail: the node halts.
    FailDisk(Target),
    /// Submit commands by itself.
    Load {
        /// A second of cluster time.
        per_second: u32,
        /// Microseconds of cluster time; `None`: until [`Operation::LoadStop`].
        duration_us: Option<u64>,
    },
    /// End the load.
    LoadStop,
    /// Answered when a condition holds, or when the time-out (microseconds of real time) is over.
    Wait {
        /// What for.
        condition: Condition,
        /// How long at most.
        timeout_us: u64,
    },
    /// The present view.
    Status,
    /// Stop the cluster's clock: nothing moves, no timer runs.
    Stop,
    /// Let the clock run again.
    Resume,
    /// Run slower or faster.
    Pace(Pace),
    /// Ask for the right to change an attached cluster, for a while.
    Arm {
        /// What for.
        access: Access,
        /// How long, in microseconds of real time; then the console only watches again.
        duration_us: u64,
        /// Why; kept in the audit log of every node.
        reason: String,
    },
    /// Give that right back.
    Disarm,
    /// Stop all nodes and end.
    Quit,
}

/// What an operation came to.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It holds now; a sentence.
    Done(String),
    /// The command was applied at this index.
    Applied {
        /// Where in the log.
        index: Index,
        /// In which term.
        term: Term,
        /// The machine's reply.
        reply: Bytes,
        /// Cluster time it took, in microseconds.
        took_us: u64,
    },
    /// What was read.
    Value {
        /// Applied index at which it was read.
        index: Index,
        /// The node that answered.
        node: NodeId,
        /// The machine's reply.
        reply: Bytes,
        /// Cluster time it took, in microseconds.
        took_us: u64,
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
    /// The cluster as it is.
    Status(Arc<ClusterView>),
    /// It cannot be done; what to try instead.
    Refused {
        /// Why, and what to try.
        why: String,
    },
    /// The condition did not come true in time.
    TimedOut {
        /// What is missing.
        why: String,
    },
}

impl Answer {
    /// Whether the operator got what was asked for.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Applied { .. } | Self::Value { .. } | Self::Status(_))
    }
}

/// What somebody may do with a cluster that runs elsewhere; each level may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Watch, and read.
    Viewer,
    /// Submit commands too.
    Operator,
    /// Inject faults too.
    Chaos,
}

impl Access {
    /// Its name in token files, on the command line and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Chaos => "chaos",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Whether something can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Can {
    /// It can.
    Yes,
    /// It cannot; a short sentence says why, and what would help.
    No(&'static str),
}

impl Can {
    /// Whether it can.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }
}

/// What a way of holding a cluster can do; a key whose capability is missing is dimmed with the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Crash nodes.
    pub crash: Can,
    /// Start nodes that do not run.
    pub restart: Can,
    /// Freeze single nodes and let them go on.
    pub pause: Can,
    /// Change what links do.
    pub links: Can,
    /// Stop the clock.
    pub clock: Can,
    /// Run slower or faster.
    pub pace: Can,
    /// Slow or fail disks.
    pub disks: Can,
    /// Arm and disarm; a console that needs none may do everything at once.
    pub arm: Can,
}
