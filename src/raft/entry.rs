//! A log entry (paper §5.3) and the chain that ties it to all entries before it.
//!
//! Kept true: two entries with equal `chain` have equal histories, so one comparison checks Log Matching (Figure 3) and
//! finds bytes that rotted on a disk.
//! Not here: the log itself (`log.rs`); what a command means (`machine/`).

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::types::{Digest, Index, LogPosition, Term};

/// What an entry is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EntryKind {
    /// Appended by each new leader (§8), never seen by the state machine.
    NoOp,
    /// A client's command.
    Command,
}

/// One entry of the replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Term of the leader that created it.
    pub term: Term,
    /// Its place.
    pub index: Index,
    /// What it is for.
    pub kind: EntryKind,
    /// Cluster time in microseconds at which the leader appended it; never falls along the log.
    pub proposed_at_us: u64,
    /// Bytes for the state machine; empty for a no-op.
    pub command: Bytes,
    /// Fingerprint of the log up to and with this entry.
    pub chain: Digest,
}

impl Entry {
    /// An entry that continues a log whose fingerprint is `before`.
    #[must_use]
    pub fn chained(
        before: Digest,
        position: LogPosition,
        kind: EntryKind,
        proposed_at_us: u64,
        command: Bytes,
    ) -> Self {
        let chain = chain(before, position, kind, proposed_at_us, &command);
        Self { term: position.term, index: position.index, kind, proposed_at_us, command, chain }
    }

    /// Its place and term.
    #[must_use]
    pub const fn position(&self) -> LogPosition {
        LogPosition { index: self.index, term: self.term }
    }

    /// Whether it continues a log whose fingerprint is `before`.
    #[must_use]
    pub fn continues(&self, before: Digest) -> bool {
        self.chain == chain(before, self.position(), self.kind, self.proposed_at_us, &self.command)
    }

    /// What it costs in a message, in a log and in a window, in bytes.
    #[must_use]
    pub fn cost_bytes(&self) -> u64 {
        self.command.len() as u64 + 48
    }
}

fn chain(before: Digest, position: LogPosition, kind: EntryKind, proposed_at_us: u64, command: &[u8]) -> Digest {
    let mut head = [0_u8; 41];
    head[..16].copy_from_slice(&before.0.to_le_bytes());
    head[16..24].copy_from_slice(&position.term.0.to_le_bytes());
    head[24..32].copy_from_slice(&position.index.0.to_le_bytes());
    head[32..40].copy_from_slice(&proposed_at_us.to_le_bytes());
    head[40] = match kind {
        EntryKind::NoOp => 0,
        EntryKind::Command => 1,
    };
    let mut hash = Xxh3::new();
    hash.update(&head);
    hash.update(command);
    Digest(hash.digest128())
}
