//! What goes into the core and what comes out of it, as plain data.
//!
//! Kept true: everything that the core knows of the world came in as an [`Input`]; everything that it wants of it leaves
//! in [`Effects`].
//! Not here: what the core does between the two (`mod.rs` and the files it names).

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::entry::Entry;
use super::event::{Cause, Event};
use super::message::{Envelope, SnapshotMeta};
use super::types::{Digest, Epoch, HardState, Index, LogPosition, NodeId, SyncPoint, Ticket, Ticks};

/// What may be chosen. The defaults are for ticks of 10 ms: heartbeats of 50 ms, elections of 150 to 300 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Who this is.
    pub id: NodeId,
    /// The members at bootstrap; a snapshot's own members win.
    pub configuration: Configuration,
    /// Shortest election timeout; the longest is twice as long, exclusive. Also how long a leader may miss a majority.
    pub election_timeout_ticks: Ticks,
    /// Time between heartbeats.
    pub heartbeat_ticks: Ticks,
    /// How long a leader's own write may take while a majority without it goes on.
    pub disk_stall_ticks: Ticks,
    /// Ask before campaigning (thesis 9.6).
    pub pre_vote: bool,
    /// Step down without a majority, and refuse candidates while hearing a leader (thesis 6.2).
    pub check_quorum: bool,
    /// Most entries in one AppendEntries.
    pub append_entries_max: usize,
    /// Most bytes of entries in one AppendEntries (one entry always goes).
    pub append_bytes_max: u64,
    /// Most AppendEntries in flight to one follower.
    pub window_messages: usize,
    /// Most bytes of entries in flight to one follower.
    pub window_bytes: u64,
    /// Bytes of a snapshot in one message.
    pub chunk_bytes: usize,
    /// Proposals are refused while so many bytes are uncommitted.
    pub uncommitted_bytes_max: u64,
    /// Take a snapshot when so many entries were applied since the last.
    pub snapshot_entries: u64,
    /// Take a snapshot when entries of so many bytes were applied since the last.
    pub snapshot_bytes: u64,
    /// Entries that stay in the log behind a snapshot, for followers that are a little late.
    pub keep_entries: u64,
    /// Most bytes of entries handed to the machine at once.
    pub apply_bytes_max: u64,
}

impl Options {
    /// The defaults for `id` in a cluster of these members.
    #[must_use]
    pub fn new(id: NodeId, configuration: Configuration) -> Self {
        Self {
            id,
            configuration,
            election_timeout_ticks: 15,
            heartbeat_ticks: 5,
            disk_stall_ticks: 100,
            pre_vote: true,
            check_quorum: true,
            append_entries_max: 256,
            append_bytes_max: 1 << 20,
            window_messages: 64,
            window_bytes: 8 << 20,
            chunk_bytes: 256 << 10,
            uncommitted_bytes_max: 32 << 20,
            snapshot_entries: 50_000,
            snapshot_bytes: 64 << 20,
            keep_entries: 5_000,
            apply_bytes_max: 4 << 20,
        }
    }
}

/// The entry before the first one of a log: what compaction leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Base {
    /// Its place and term.
    pub position: LogPosition,
    /// Fingerprint of the log up to and with it.
    pub chain: Digest,
}

/// What a store gives back at the start of a life.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Recovered {
    /// This life; higher than any before.
    pub epoch: Epoch,
    /// Term and vote.
    pub hard_state: HardState,
    /// The newest snapshot whose pointer is durable.
    pub snapshot: Option<SnapshotMeta>,
    /// The entry before the first of `entries`; zero when the log was never compacted.
    pub base: Base,
    /// The log, contiguous, chained; may start before the snapshot's end (kept tail), never after it.
    pub entries: Vec<Entry>,
    /// Why the log may hold less than was promised.
    pub quarantine: Option<String>,
}

/// A client's wish to append a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Its claim check.
    pub ticket: Ticket,
    /// For the state machine.
    pub command: Bytes,
    /// Cluster time in microseconds.
    pub proposed_at_us: u64,
}

/// Everything that can happen to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// 10 ms of cluster time passed.
    Tick,
    /// A message arrived.
    Receive(Envelope),
    /// A client wants a command replicated.
    Propose(Proposal),
    /// A client wants to read what is linearizable now.
    Read(Ticket),
    /// The disk has made this write, and all before it, durable.
    Persisted(SyncPoint),
    /// The machine has applied entries; for each its index and the digest after it, in order.
    Applied(Vec<(Index, Digest)>),
    /// The machine's snapshot is durable in its file.
    SnapshotTaken(SnapshotMeta),
    /// A received snapshot is durable and the machine has been rebuilt from it.
    SnapshotInstalled(SnapshotMeta),
    /// Bytes of the snapshot that a follower needs (answers [`Effects::read_chunks`]).
    ChunkRead {
        /// Which snapshot.
        last: LogPosition,
        /// For whom.
        to: NodeId,
        /// From where in the body.
        offset: u64,
        /// The bytes.
        chunk: Bytes,
    },
}

/// A message, and what must be durable before it leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// Number of the sync point to wait for; `None`: it may leave at once.
    pub after: Option<u64>,
    /// The message.
    pub envelope: Envelope,
    /// What made the core say it.
    pub cause: Cause,
}

/// One atomic durable write, in this order of meaning: hard state, truncation, entries, snapshot, compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persist {
    /// Its number, for the answer.
    pub point: SyncPoint,
    /// Term and vote, when they changed.
    pub hard_state: Option<HardState>,
    /// Entries from here on are gone; comes before `entries`.
    pub truncate_from: Option<Index>,
    /// Entries to add; they continue what is left.
    pub entries: Vec<Entry>,
    /// A snapshot that counts from now on.
    pub snapshot: Option<PersistSnapshot>,
    /// Entries up to and with this one leave the log; covered by the snapshot.
    pub compact_to: Option<Base>,
}

/// A snapshot to be named as the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistSnapshot {
    /// What it is.
    pub meta: SnapshotMeta,
    /// Its body when it came from the leader; `None` when its file has been written already.
    pub body: Option<Bytes>,
    /// Whether the whole log is replaced (installed, Figure 13 rule 7) rather than kept.
    pub discard_log: bool,
}

/// What became of a client's request, as far as the core can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// In the leader's log; it counts when the entry at this position is applied.
    Appended(LogPosition),
    /// Not the leader: certainly not appended.
    NotLeader {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
    /// Too much is uncommitted: certainly not appended.
    Busy {
        /// How much, in bytes.
        uncommitted_bytes: u64,
    },
    /// This much is applied, and a read of it now is linearizable.
    ReadReady(Index),
    /// The read was given up; reads change nothing, so it may be asked again.
    ReadAborted {
        /// Who leads, if known.
        leader: Option<NodeId>,
    },
}

/// Everything that a turn asks of the world.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Effects {
    /// Messages.
    pub sends: Vec<Send>,
    /// At most one write.
    pub persist: Option<Persist>,
    /// Committed and durable entries for the machine, in order, each once.
    pub apply: Vec<Entry>,
    /// Answers to clients.
    pub replies: Vec<(Ticket, Outcome)>,
    /// What happened.
    pub events: Vec<Event>,
    /// Take a snapshot of the machine as it is before `apply` is applied.
    pub take_snapshot: Option<SnapshotRequest>,
    /// Pieces of the newest snapshot to be read for followers.
    pub read_chunks: Vec<ChunkRequest>,
}

/// A snapshot to be taken: all of its metadata that the core knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotRequest {
    /// The last applied entry.
    pub last: LogPosition,
    /// Fingerprint of the log up to it.
    pub chain: Digest,
    /// The members at it.
    pub configuration: Configuration,
    /// Cluster time of it in microseconds.
    pub proposed_at_us: u64,
}

/// A piece of a snapshot to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRequest {
    /// Which snapshot.
    pub meta: SnapshotMeta,
    /// For whom.
    pub to: NodeId,
    /// From where in the body.
    pub offset: u64,
    /// How many bytes at most.
    pub length: usize,
}
