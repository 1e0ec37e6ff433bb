//! The faults of a run as a list that can be read, cut and replayed.
//!
//! Kept true: a fault names its victim by what it is at that moment (the leader, the second follower), so that it means
//! something in every run that the shrinker makes of it.
//! Not here: doing them (`nemesis.rs`), drawing them (`plan.rs`).

use std::fmt;

use crate::raft::MessageKind;
use crate::transport::faults::LinkRule;

/// Whom a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// The leader of the highest term.
    Leader,
    /// The n-th running node that does not lead, counted from 0 and wrapping.
    Follower(u64),
    /// The n-th node, counted from 0 and wrapping.
    Node(u64),
}

/// What a disk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskTrouble {
    /// Everything takes longer.
    Slow {
        /// Microseconds.
        latency_us: u64,
    },
    /// The next request takes longer, once.
    StallOnce {
        /// Microseconds.
        stall_us: u64,
    },
    /// Nothing ends until it is healed.
    Stall,
    /// The next sync fails.
    FailSync,
    /// The next write fails.
    FailWrite,
    /// The next snapshot cannot be written.
    FailSnapshot,
    /// There is room for so many bytes.
    Full {
        /// Bytes.
        space_bytes: u64,
    },
}

/// What rots while its node is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotten {
    /// One entry, at so many thousandths of the log.
    Entry {
        /// Of a thousand.
        permille: u64,
    },
    /// Everything from so many thousandths of the log on.
    Tail {
        /// Of a thousand.
        permille: u64,
    },
    /// The snapshots.
    Snapshot,
    /// Term and vote.
    Fence,
}

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Two sides that do not hear each other; bit n says on which side the n-th node is.
    Partition {
        /// The sides.
        sides: u64,
    },
    /// One node's links are cut.
    Isolate {
        /// Who.
        whom: Whom,
        /// What comes in.
        inward: bool,
        /// What goes out.
        outward: bool,
    },
    /// One directed link is cut, for all messages or for one kind.
    CutLink {
        /// Sender, as in [`Whom::Node`].
        from: u64,
        /// Receiver.
        to: u64,
        /// Which messages.
        kind: Option<MessageKind>,
    },
    /// All links are bad, or those of one node.
    Links {
        /// Whose; `None`: all.
        whom: Option<Whom>,
        /// How.
        rule: LinkRule,
    },
    /// A node dies.
    Crash {
        /// Who.
        whom: Whom,
        /// With the machine: what is not synced may be lost.
        power: bool,
        /// Not now, but after so many more outputs of the node.
        after_outputs: Option<u64>,
    },
    /// All nodes die at once.
    CrashAll {
        /// With their machines.
        power: bool,
    },
    /// A node stands still and does not know it.
    Pause {
        /// Who.
        whom: Whom,
    },
    /// A node's clock is wrong.
    Clock {
        /// Whose.
        whom: Whom,
        /// A tick takes so many thousandths of its time.
        permille: u64,
    },
    /// A disk is bad.
    Disk {
        /// Whose.
        whom: Whom,
        /// How.
        trouble: DiskTrouble,
    },
    /// A node dies and its disk is damaged.
    Rot {
        /// Who.
        whom: Whom,
        /// How.
        what: Rotten,
    },
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its place in the list as it was drawn; stays when others are cut out.
    pub number: usize,
    /// When, in microseconds.
    pub at_us: u64,
    /// For how long, in microseconds.
    pub for_us: u64,
    /// What.
    pub kind: FaultKind,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => write!(f, "leader"),
            Self::Follower(n) => write!(f, "follower {n}"),
            Self::Node(n) => write!(f, "node {n}"),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition { sides } => write!(f, "partition {sides:b}"),
            Self::Isolate { whom, inward: true, outward: true } => write!(f, "isolate {whom}"),
            Self::Isolate { whom, inward: true, .. } => write!(f, "deafen {whom}"),
            Self::Isolate { whom, .. } => write!(f, "mute {whom}"),
            Self::CutLink { from, to, kind: None } => write!(f, "cut node {from} > node {to}"),
            Self::CutLink { from, to, kind: Some(kind) } => write!(f, "cut {kind} node {from} > node {to}"),
            Self::Links { whom: None, rule } => write!(f, "all links {rule:?}"),
            Self::Links { whom: Some(whom), rule } => write!(f, "links of {whom} {rule:?}"),
            Self::Crash { whom, power, after_outputs } => {
                write!(f, "{} {whom}", if *power { "power off" } else { "crash" })?;
                after_outputs.map_or(Ok(()), |outputs| write!(f, " after {outputs} outputs"))
            }
            Self::CrashAll { power } => write!(f, "{} all", if *power { "power off" } else { "crash" }),
            Self::Pause { whom } => write!(f, "pause {whom}"),
            Self::Clock { whom, permille } => write!(f, "clock of {whom} at {permille} permille"),
            Self::Disk { whom, trouble } => write!(f, "disk of {whom} {trouble:?}"),
            Self::Rot { whom, what } => write!(f, "rot of {whom} {what:?}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |us: u64| format!("{}.{:03} s", us / 1_000_000, us / 1000 % 1000);
        write!(f, "[{}] at {} {} for {}", self.number, ms(self.at_us), self.kind, ms(self.for_us))
    }
}
