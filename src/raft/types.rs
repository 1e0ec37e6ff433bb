//! The small words of the protocol (paper §5.1 and Figure 2).
//!
//! Newtypes keep a term from being used as an index. Each prints the way the screens, the golden transcripts and the
//! logs write it: `n3`, `7`, `9@7` (index at term).
//!
//! Kept true: nothing here knows a clock, a disk or a wire.
//! Not here: what a log entry is (`entry.rs`), who the members are (`configuration.rs`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A member of the cluster. Printed `n1`; both `1` and `n1` are read. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("n{}", self.0))
    }
}

/// What was written where a node's name was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no node: write n1 or 1, counting from 1")]
pub struct NotANode(pub String);

impl FromStr for NodeId {
    type Err = NotANode;

    fn from_str(text: &str) -> Result<Self, NotANode> {
        let digits = text.strip_prefix(['n', 'N']).unwrap_or(text);
        match digits.parse::<u64>() {
            Ok(number) if number > 0 && digits.bytes().all(|b| b.is_ascii_digit()) => Ok(Self(number)),
            _ => Err(NotANode(text.to_owned())),
        }
    }
}

macro_rules! counter {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u64);

        impl $name {
            /// Zero: before the first.
            pub const ZERO: Self = Self(0);

            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }

            /// The one before this, or zero.
            #[must_use]
            pub const fn previous(self) -> Self {
                Self(self.0.saturating_sub(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

counter! {
    /// A period with at most one leader (paper §5.1).
    Term
}
counter! {
    /// A place in the log; the first entry is at 1 (paper Figure 2).
    Index
}
counter! {
    /// How often a node has started; it rises, synced, before the first message of a life.
    Epoch
}

/// A length of cluster time: one tick is 10 ms of it at every pace.
pub type Ticks = u64;

/// A client's claim check: whoever hands out the request chooses it, unique within one life of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

impl fmt::Display for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// An entry's place and its term. Ordered as logs are compared: term first, then index (paper §5.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// Place in the log.
    pub index: Index,
    /// Term in which the entry there was created.
    pub term: Term,
}

impl LogPosition {
    /// Before the first entry: every log has it.
    pub const ZERO: Self = Self { index: Index::ZERO, term: Term::ZERO };

    /// The position `index@term`.
    #[must_use]
    pub const fn new(index: u64, term: u64) -> Self {
        Self { index: Index(index), term: Term(term) }
    }
}

impl PartialOrd for LogPosition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LogPosition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.term, self.index).cmp(&(other.term, other.index))
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.index, self.term)
    }
}

/// A numbered durable write: what was asked of the disk, and by which log it is to be recognised when it is done.
///
/// Never an index alone: a late completion must not bless a suffix that was overwritten since. Numbers rise by one
/// within one life; the completion of a number covers all smaller ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncPoint {
    /// Rises by one with each write of this life.
    pub number: u64,
    /// `current_term` when the write was asked for.
    pub term: Term,
    /// Last index of the log after the write.
    pub index: Index,
}

/// What must survive a crash before a promise leaves the node (paper Figure 2, persistent state): one atomic record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HardState {
    /// Latest term this node has seen.
    pub current_term: Term,
    /// Candidate that got this node's vote in that term.
    pub voted_for: Option<NodeId>,
}

/// A 128-bit fingerprint (xxh3): of the log up to an entry, of a snapshot file, of the machine's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 96)
    }
}
