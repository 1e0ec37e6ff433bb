//! The fence: who a node is, and what it voted (paper Figure 2: currentTerm, votedFor).
//!
//! A file of its own, outside the database, because a lost vote is the one loss that nothing can heal. Every change is
//! written to both slots, each synced, before any promise leaves; so one slot may rot, and a crash in the middle of a
//! change leaves the old or the new record.
//!
//! Kept true: term, vote within a term and boot epoch never fall.
//! Not here: how far the log was promised (`mark.rs`).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::records::may_follow;
use super::slots::{Magic, Slot, Slots};
use super::{Identity, StorageError, files::Files};
use crate::codec;
use crate::raft::{Configuration, Epoch, HardState, NodeId};

/// First bytes of each slot of a fence.
pub const MAGIC: Magic = *b"RAFTFEN1";

/// How far the making of a node's folder came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// The rest of the folder is being made: nothing was promised yet, so it may be made again.
    Forming,
    /// All was there once; what is missing now was lost.
    Formed,
}

/// What the fence keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FenceRecord {
    /// The cluster.
    pub cluster: u128,
    /// The node.
    pub node: NodeId,
    /// This folder: random, drawn when it was made.
    pub store: u128,
    /// Members at bootstrap.
    pub configuration: Configuration,
    /// How far the folder is made.
    pub stage: Stage,
    /// The present or the last life.
    pub epoch: Epoch,
    /// Term and vote.
    pub hard_state: HardState,
    /// Whether the last life closed its store.
    pub clean: bool,
    /// Why the log is not trusted, until a leader has brought back what was promised.
    pub quarantine: Option<String>,
}

/// Reasons are kept short enough for a slot.
const REASON_BYTES_MAX: usize = 600;

/// An open fence.
#[derive(Debug)]
pub struct Fence {
    slots: Slots,
    number: u64,
    record: FenceRecord,
    broken: Option<Broken>,
}

#[derive(Clone, Copy, Debug)]
struct Broken {
    slot: usize,
    readable: bool,
}

impl Fence {
    /// Makes the fence of a new folder.
    pub fn create(files: &dyn Files, path: &Path, identity: &Identity, store: u128) -> Result<Self, StorageError> {
        let record = FenceRecord {
            cluster: identity.cluster,
            node: identity.node,
            store,
            configuration: identity.configuration.clone(),
            stage: Stage::Forming,
            epoch: Epoch::ZERO,
            hard_state: HardState::default(),
            clean: true,
            quarantine: None,
        };
        let slots = Slots::create(files, path, MAGIC, 1, &encode(&record, path)?)?;
        Ok(Self { slots, number: 1, record, broken: None })
    }

    /// Opens a fence; changes nothing.
    pub fn open(files: &dyn Files, path: &Path, identity: &Identity) -> Result<Self, StorageError> {
        let (slots, found) = Slots::open(files, path, MAGIC)?;
        let read = found.map(|slot| slot.as_ref().and_then(decode));
        let newest =
            read.iter().enumerate().filter_map(|(which, slot)| Some((which, slot.as_ref()?))).max_by_key(|(_, s)| s.0);
        let Some((which, (number, record))) = newest else {
            return Err(StorageError::Amnesia {
                path: path.to_owned(),
                why: "both slots of the fence are unreadable".to_owned(),
            });
        };
        if (record.cluster, record.node) != (identity.cluster, identity.node) {
            return Err(StorageError::WrongIdentity {
                path: path.to_owned(),
                found: format!("{} of cluster {:032x}", record.node, record.cluster),
                wanted: format!("{} of cluster {:032x}", identity.node, identity.cluster),
            });
        }
        let broken = match &read[1 - which] {
            None => Some(Broken { slot: 1 - which, readable: false }),
            Some(other) if other == &(*number, record.clone()) => None,
            Some(_) => Some(Broken { slot: 1 - which, readable: true }),
        };
        Ok(Self { number: *number, record: record.clone(), slots, broken })
    }

    /// Brings a slot that is unreadable or behind to what the other holds; the sentence says what was damaged. Must
    /// come before the first change.
    pub fn repair(&mut self) -> Result<Option<String>, StorageError> {
        let Some(Broken { slot, readable }) = self.broken.take() else {
            return Ok(None);
        };
        // The good slot may be in the page cache only: it must be durable before the other one is touched.
        self.slots.sync()?;
        self.slots.write(slot, self.number, &encode(&self.record, self.slots.path())?)?;
        self.slots.sync()?;
        Ok((!readable).then(|| {
            let good = 1 - slot;
            format!("slot {slot} of the fence was unreadable (a torn write, or rot): written again from slot {good}")
        }))
    }

    /// What it keeps.
    pub fn record(&self) -> &FenceRecord {
        &self.record
    }

    /// Changes the record, durably in both slots; does nothing when nothing changes.
    ///
    /// # Panics
    /// When term, vote within a term or boot epoch would fall: a broken rule of the caller, and the end of Election
    /// Safety if it were written.
    pub fn change(&mut self, change: impl FnOnce(&mut FenceRecord)) -> Result<(), StorageError> {
        let mut next = self.record.clone();
        change(&mut next);
        if let Some(reason) = &mut next.quarantine {
            let end = reason.floor_char_boundary(REASON_BYTES_MAX);
            reason.truncate(end);
        }
        if next == self.record {
            return Ok(());
        }
        assert!(self.broken.is_none(), "a fence is repaired before it is changed");
        let (old, new) = (self.record.hard_state, next.hard_state);
        assert!(next.epoch >= self.record.epoch, "boot epoch falls from {} to {}", self.record.epoch, next.epoch);
        if let Err(why) = may_follow(old, new) {
            panic!("{why}");
        }
        let payload = encode(&next, self.slots.path())?;
        self.slots.write_both(0, self.number + 1, &payload)?;
        self.number += 1;
        self.record = next;
        Ok(())
    }
}

/// What a fence keeps, without opening its folder: `None` when there is none, or none that can be read.
#[must_use]
pub fn peek(files: &dyn Files, path: &Path) -> Option<FenceRecord> {
    let (_, found) = Slots::open(files, path, MAGIC).ok()?;
    let read = found.iter().filter_map(|slot| slot.as_ref().and_then(decode));
    read.max_by_key(|(number, _)| *number).map(|(_, record)| record)
}

fn encode(record: &FenceRecord, path: &Path) -> Result<Vec<u8>, StorageError> {
    codec::encode(record).map_err(|error| StorageError::Corrupt { path: path.to_owned(), why: error.to_string() })
}

fn decode(slot: &Slot) -> Option<(u64, FenceRecord)> {
    codec::decode(&slot.payload).ok().map(|record| (slot.number, record))
}
