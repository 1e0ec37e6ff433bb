//! What survives (paper Figure 2, persistent state; §7).
//!
//! | file | what |
//! | --- | --- |
//! | `fjall.rs` | a node's folder: log in a database, and the order of one write and of one opening |
//! | `memory.rs` | the same in memory, with a second half that a crash forgets |
//! | `fence.rs`, `mark.rs` | term and vote; how far the log was promised |
//! | `snapshots.rs` | bodies of snapshots |
//! | `known.rs` | the stores of peers that were met |
//! | `slots.rs`, `files.rs`, `records.rs` | bytes and files under these |
//! | `outline.rs`, `judge.rs` | what a group of writes does to a log; whether a log is what was promised |
//! | `salvage.rs` | a database that does not open any more |
//! | `faults.rs`, `faulty.rs` | what a bad disk does; putting it in front of a store |
//!
//! The crash contract: when [`Storage::persist`] returns `Ok`, everything in the writes it was given is there after any
//! crash, of the process or of the machine; when the node dies before, each write of the call is there whole or not at
//! all, and a later write is never there without an earlier one. After an error the store is not used any more: no
//! retry, no second try of a sync.
//!
//! Kept true: what comes back with less than it promised is detected and says so (`Recovered::quarantine`).
//! Not here: which thread calls this, and what waits for it (`node/`).

pub mod faults;
pub mod faulty;
pub mod fence;
pub mod files;
pub mod fjall;
mod folder;
mod judge;
pub mod known;
pub mod mark;
pub mod memory;
mod outline;
mod records;
mod salvage;
pub mod slots;
pub mod snapshots;

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::machine::Frozen;
use crate::raft::{Digest, LogPosition, Persist, Recovered, SnapshotMeta};

/// A store of one node's log, hard state and snapshots.
pub trait Storage: Send {
    /// What the disk holds; called once, before anything is persisted. The boot epoch has been raised, durably.
    fn load(&mut self) -> Result<Loaded, StorageError>;

    /// Makes all `writes` durable, in order, as one group: one batch, one sync.
    fn persist(&mut self, writes: &[Persist]) -> Result<(), StorageError>;

    /// A leader has brought back what this store had promised: call it when the core leaves quarantine, on the thread
    /// that persists. Until then every opening reports the quarantine again, whatever the log has by then.
    fn end_quarantine(&mut self) -> Result<(), StorageError>;

    /// The snapshot files of this store, for other threads.
    fn snapshots(&self) -> Arc<dyn Snapshots>;
}

/// The files that snapshots are kept in. A file counts only once a [`Persist`] has named it.
pub trait Snapshots: Send + Sync {
    /// Writes a body under the name of `last` and makes it durable; gives its size in bytes and its checksum.
    fn write(&self, last: LogPosition, body: Frozen) -> Result<(u64, Digest), StorageError>;

    /// Reads `length` bytes (fewer at the end) of a body from `offset` on.
    fn read(&self, meta: &SnapshotMeta, offset: u64, length: usize) -> Result<Bytes, StorageError>;

    /// The whole body, verified against its checksum before the first byte is handed out.
    fn open(&self, meta: &SnapshotMeta) -> Result<Box<dyn Read + Send>, StorageError>;
}

/// What a store found when it was opened.
#[derive(Debug)]
pub struct Loaded {
    /// For the core.
    pub recovered: Recovered,
    /// What was repaired or looked odd, a sentence each, for the log and the screen.
    pub notes: Vec<String>,
    /// Which store it is: random, drawn when it was formatted. A wiped disk comes back as another.
    pub store: u128,
}

/// Who a store belongs to; written when it is formatted, compared at each opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random, one for each cluster.
    pub cluster: u128,
    /// The node.
    pub node: crate::raft::NodeId,
    /// Bootstrap members, for a store that is formatted now.
    pub configuration: crate::raft::Configuration,
}

/// Why a store cannot be opened, read or written. Each is terminal for the node.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A file operation failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The log's database failed.
    #[error("{doing}: {why}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        why: String,
    },
    /// No room on the disk.
    #[error("no space left for {path}: {free_bytes} bytes are free, {needed_bytes} are wanted")]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// What is free.
        free_bytes: u64,
        /// What is wanted.
        needed_bytes: u64,
    },
    /// Somebody else has it open.
    #[error("{path} is in use by another process; stop it, or choose another folder with --data-dir")]
    Locked {
        /// Which.
        path: PathBuf,
    },
    /// It is no folder of this program.
    #[error("{path} is not a data folder of raft-tui: {why}; nothing was changed")]
    Foreign {
        /// Which.
        path: PathBuf,
        /// What is odd about it.
        why: String,
    },
    /// It belongs to another cluster or node.
    #[error("{path} belongs to {found}, not to {wanted}; nothing was changed")]
    WrongIdentity {
        /// Which.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Who asked.
        wanted: String,
    },
    /// A newer program wrote it.
    #[error("{path} has format {found}, this program reads up to {supported}; nothing was changed")]
    NewerFormat {
        /// Which.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that can be read.
        supported: u32,
    },
    /// Term and vote cannot be known any more: the node may never vote again under this id.
    #[error(
        "{path}: the vote of this node is lost ({why}); it must not vote again under its id: remove its folder and the node, and add a new one"
    )]
    Amnesia {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The bytes are not what was written.
    #[error("{path} is damaged: {why}")]
    Corrupt {
        /// Which.
        path: PathBuf,
        /// How.
        why: String,
    },
    /// A fault that was injected on purpose.
    #[error("injected fault: {0}")]
    Injected(String),
    /// It failed before and is not used any more.
    #[error("the store failed before: {0}")]
    Poisoned(String),
}
