//! The mark: how far the log was promised.
//!
//! The database cuts its journal at the first byte that it cannot read and opens without a word. The mark is what makes
//! that visible: a log that ends before it, or differs at it, has lost what was acknowledged. It is written after the
//! sync of each group and before its acknowledgements leave, without a sync of its own; a sync follows at most 50 ms
//! later, when a next group comes. So it is exact after the death of the process and a little behind after a power cut.
//!
//! Between two syncs only one slot is written: the other holds what is durable.
//!
//! Kept true: the mark is never ahead of the log; where the log is to become shorter, the mark goes first, synced.
//! Not here: the comparison with the log (`judge.rs`).

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::slots::{Magic, Slot, Slots};
use super::{StorageError, files::Files};
use crate::codec;
use crate::raft::{Digest, LogPosition};

/// First bytes of each slot of a mark.
pub const MAGIC: Magic = *b"RAFTMRK1";

/// How long what was promised may be missing from the mark after a power cut.
pub const SYNC_EVERY: Duration = Duration::from_millis(50);

/// What the mark keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRecord {
    /// The folder it belongs to.
    pub store: u128,
    /// Up to here the log was promised.
    pub last: LogPosition,
    /// Fingerprint of the log up to there.
    pub chain: Digest,
}

/// An open mark.
#[derive(Debug)]
pub struct Mark {
    slots: Slots,
    number: u64,
    record: MarkRecord,
    /// The slot that may be overwritten: the other one is durable.
    free: usize,
    unsynced: bool,
    synced_at: Instant,
}

impl Mark {
    /// Makes the mark of a log that promised up to `record`.
    pub fn create(files: &dyn Files, path: &Path, record: MarkRecord, now: Instant) -> Result<Self, StorageError> {
        let slots = Slots::create(files, path, MAGIC, 1, &encode(&record, path)?)?;
        Ok(Self { slots, number: 1, record, free: 0, unsynced: false, synced_at: now })
    }

    /// Opens a mark; `None` when neither slot is readable. Repairs nothing: the next write does.
    pub fn open(files: &dyn Files, path: &Path, now: Instant) -> Result<Option<Self>, StorageError> {
        let (slots, found) = Slots::open(files, path, MAGIC)?;
        let read = found.map(|slot| slot.as_ref().and_then(decode));
        let newest =
            read.iter().enumerate().filter_map(|(which, slot)| slot.map(|slot| (which, slot))).max_by_key(|(_, s)| s.0);
        let Some((which, (number, record))) = newest else {
            return Ok(None);
        };
        // What was read may be in the page cache only; the other slot is not free before this one is durable.
        slots.sync()?;
        Ok(Some(Self { slots, number, record, free: 1 - which, unsynced: false, synced_at: now }))
    }

    /// What it keeps.
    pub fn record(&self) -> MarkRecord {
        self.record
    }

    /// The log up to here is durable; call it after the sync and before the promise leaves.
    pub fn advance(&mut self, last: LogPosition, chain: Digest, now: Instant) -> Result<(), StorageError> {
        if (self.record.last, self.record.chain) != (last, chain) {
            let record = MarkRecord { last, chain, ..self.record };
            self.slots.write(self.free, self.number + 1, &encode(&record, self.slots.path())?)?;
            self.number += 1;
            self.record = record;
            self.unsynced = true;
        }
        if self.unsynced && now.saturating_duration_since(self.synced_at) >= SYNC_EVERY {
            self.sync(now)?;
        }
        Ok(())
    }

    /// Takes back what was promised beyond `last`, durably in both slots: call it before the log becomes shorter.
    pub fn lower(&mut self, last: LogPosition, chain: Digest, now: Instant) -> Result<(), StorageError> {
        self.set(MarkRecord { last, chain, ..self.record }, now)
    }

    /// Replaces the record, durably in both slots.
    pub fn set(&mut self, record: MarkRecord, now: Instant) -> Result<(), StorageError> {
        let payload = encode(&record, self.slots.path())?;
        self.slots.write_both(self.free, self.number + 1, &payload)?;
        self.number += 1;
        self.record = record;
        self.unsynced = false;
        self.synced_at = now;
        Ok(())
    }

    /// Makes it durable as it is.
    pub fn sync(&mut self, now: Instant) -> Result<(), StorageError> {
        self.slots.sync()?;
        if self.unsynced {
            self.free = 1 - self.free;
            self.unsynced = false;
        }
        self.synced_at = now;
        Ok(())
    }
}

fn encode(record: &MarkRecord, path: &Path) -> Result<Vec<u8>, StorageError> {
    codec::encode(record).map_err(|error| StorageError::Corrupt { path: path.to_owned(), why: error.to_string() })
}

fn decode(slot: &Slot) -> Option<(u64, MarkRecord)> {
    codec::decode(&slot.payload).ok().map(|record| (slot.number, record))
}
