//! A store in memory that can crash: what was written and what was synced are two things.
//!
//! A [`MemoryDisk`] outlives the lives of its node, as a disk does. [`MemoryStorage`] is one life's handle on it;
//! [`MemoryDisk::crash`] takes the handle away and lets each write that was not synced survive or not, as it is told.
//! It keeps fence and mark of its own, so that a store that comes back with less than it promised is found out by the
//! same judge that looks at a real folder.
//!
//! Kept true: an unsynced write survives only if all before it do.
//! Not here: what a disk does to requests (`faults.rs`).

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::faults::Survival;
use super::judge::{Found, judge};
use super::outline::{Outline, plan};
use super::records::may_follow;
use super::{Identity, Loaded, Snapshots, Storage, StorageError};
use crate::machine::Frozen;
use crate::mutants;
use crate::raft::{Digest, Entry, Epoch, HardState, Index, LogPosition, Persist, Recovered, SnapshotMeta};

/// What is in the log's database.
#[derive(Clone, Debug, Default)]
struct Contents {
    outline: Outline,
    entries: BTreeMap<Index, Entry>,
    snapshot: Option<SnapshotMeta>,
}

impl Contents {
    /// Folds writes in; gives where the log became shorter, if it did.
    fn apply(&mut self, writes: &[Persist]) -> Result<Option<(LogPosition, Digest)>, String> {
        let plan = plan(&mut self.outline, writes)?;
        for index in plan.removes {
            self.entries.remove(&index);
        }
        self.entries.extend(plan.puts);
        let first = self.outline.first();
        while self.entries.first_key_value().is_some_and(|(index, _)| *index < first) {
            self.entries.pop_first();
        }
        if let Some(snapshot) = plan.snapshot {
            self.snapshot = Some(snapshot.meta);
        }
        Ok(plan.common)
    }

    /// Folds in writes that were accepted before, on top of the same contents.
    fn apply_accepted(&mut self, writes: &[Persist]) {
        let accepted = self.apply(writes);
        assert!(accepted.is_ok(), "a write that was accepted is refused: {accepted:?}");
    }
}

#[derive(Debug, Default)]
struct Disk {
    owner: Option<(u128, crate::raft::NodeId)>,
    epoch: Epoch,
    /// What a crash leaves, always.
    synced_hard_state: HardState,
    synced: Contents,
    /// What is there as long as nothing crashes.
    hard_state: HardState,
    written: Contents,
    /// Written but not synced, in order.
    unsynced: Vec<Persist>,
    /// How far the log was promised.
    mark: (LogPosition, Digest),
    vote_lost: bool,
    quarantine: Option<String>,
    bodies: BTreeMap<LogPosition, Bytes>,
    /// Which handle may still write.
    life: u64,
    open: bool,
    failed: Option<String>,
}

impl Disk {
    fn settle(&mut self) {
        let unsynced = std::mem::take(&mut self.unsynced);
        self.synced.apply_accepted(&unsynced);
        self.synced_hard_state = self.hard_state;
    }
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    state: Arc<Mutex<Disk>>,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a life on it; formats it at the first.
    pub fn open(&self, identity: &Identity) -> Result<MemoryStorage, StorageError> {
        let mut state = self.lock();
        if state.open {
            return Err(StorageError::Locked { path: place() });
        }
        let wanted = (identity.cluster, identity.node);
        let owner = *state.owner.get_or_insert(wanted);
        if owner != wanted {
            return Err(StorageError::WrongIdentity {
                path: place(),
                found: format!("{} of cluster {:032x}", owner.1, owner.0),
                wanted: format!("{} of cluster {:032x}", identity.node, identity.cluster),
            });
        }
        if state.vote_lost {
            return Err(StorageError::Amnesia { path: place(), why: "the fence is unreadable".to_owned() });
        }
        state.open = true;
        state.life += 1;
        state.failed = None;
        state.epoch = state.epoch.next();
        Ok(MemoryStorage { disk: self.clone(), life: state.life })
    }

    /// The machine stops: of the unsynced writes each survives as `choose` says of its place (the oldest is 0), and
    /// none survives one that did not. The open handle is of no use any more.
    pub fn crash(&self, mut choose: impl FnMut(usize) -> Survival) {
        let mut state = self.lock();
        let unsynced = std::mem::take(&mut state.unsynced);
        for (place, write) in unsynced.iter().enumerate() {
            let survival = choose(place);
            let torn = survival == Survival::Torn;
            if torn && (mutants::on("M51") || mutants::on("M57")) {
                let half = Persist {
                    hard_state: None,
                    entries: if mutants::on("M57") { Vec::new() } else { write.entries.clone() },
                    ..write.clone()
                };
                state.synced.apply_accepted(&[half]);
            }
            // The fence is written and synced before the log's database: a torn write may have left the vote.
            if survival != Survival::Lost
                && !(torn && mutants::on("M51"))
                && let Some(hard_state) = write.hard_state
            {
                state.synced_hard_state = hard_state;
            }
            if survival != Survival::Kept {
                break;
            }
            state.synced.apply_accepted(std::slice::from_ref(write));
        }
        state.written = state.synced.clone();
        state.hard_state = state.synced_hard_state;
        state.open = false;
        state.life += 1;
    }

    /// How many writes are not synced.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// Damage: everything from `from` on is lost although it was synced, and the log does not know it. For a disk that
    /// no node has open.
    pub fn lose_synced_from(&self, from: Index) {
        let mut state = self.lock();
        let lost: Vec<_> = state.synced.entries.range(from..).map(|(index, _)| *index).collect();
        for index in lost {
            state.synced.entries.remove(&index);
        }
        state.synced.outline.cut_from(from);
        state.written = state.synced.clone();
    }

    /// Damage: a byte of a synced entry is another. Nothing happens when there is no such entry.
    pub fn rot_entry(&self, index: Index) {
        let mut state = self.lock();
        let Disk { synced, written, .. } = &mut *state;
        for contents in [synced, written] {
            if let Some(entry) = contents.entries.get_mut(&index) {
                entry.proposed_at_us ^= 1;
            }
        }
    }

    /// Damage: a byte of each snapshot body is another.
    pub fn rot_snapshots(&self) {
        for body in self.lock().bodies.values_mut() {
            let mut bytes = body.to_vec();
            match bytes.first_mut() {
                Some(first) => *first ^= 1,
                None => bytes.push(0),
            }
            *body = Bytes::from(bytes);
        }
    }

    /// Damage: term and vote cannot be read any more.
    pub fn lose_fence(&self) {
        self.lock().vote_lost = true;
    }

    /// The indexes that a crash would leave for certain, and the term and vote: for those who check promises.
    #[must_use]
    pub fn durable(&self) -> (HardState, LogPosition, Digest) {
        let state = self.lock();
        (state.synced_hard_state, state.synced.outline.last(), state.synced.outline.chain())
    }
}

fn place() -> PathBuf {
    PathBuf::from("memory")
}

/// One life's handle on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryStorage {
    disk: MemoryDisk,
    life: u64,
}

impl MemoryStorage {
    /// The disk behind it.
    #[must_use]
    pub fn disk(&self) -> MemoryDisk {
        self.disk.clone()
    }

    fn state(&self) -> Result<MutexGuard<'_, Disk>, StorageError> {
        let state = self.disk.lock();
        if state.life != self.life {
            return Err(StorageError::Poisoned("the node crashed".to_owned()));
        }
        if let Some(why) = &state.failed {
            return Err(StorageError::Poisoned(why.clone()));
        }
        Ok(state)
    }

    /// Writes without making anything durable.
    pub fn write(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        let mut state = self.state()?;
        for write in writes {
            let Some(snapshot) = &write.snapshot else { continue };
            if let Some(body) = &snapshot.body {
                state.bodies.insert(snapshot.meta.last, body.clone());
            }
        }
        let state = &mut *state;
        let written = writes
            .iter()
            .filter_map(|write| write.hard_state)
            .try_fold(state.hard_state, |old, new| may_follow(old, new).map(|()| new))
            .and_then(|hard_state| Ok((hard_state, state.written.apply(writes)?)));
        match written {
            Ok((hard_state, common)) => {
                state.hard_state = hard_state;
                // Where the log becomes shorter the mark goes first, durably.
                if let Some(common) = common
                    && state.quarantine.is_none()
                    && state.mark.0.index > common.0.index
                {
                    state.mark = common;
                }
                state.unsynced.extend_from_slice(writes);
                if mutants::on("M58") && state.quarantine.is_none() {
                    state.mark = (state.written.outline.last(), state.written.outline.chain());
                }
                Ok(())
            }
            Err(why) => {
                state.failed = Some(why.clone());
                Err(StorageError::Database { doing: "writing", why })
            }
        }
    }

    /// Makes all that was written durable.
    pub fn sync(&mut self) -> Result<(), StorageError> {
        let mut state = self.state()?;
        state.settle();
        if state.quarantine.is_none() {
            state.mark = (state.synced.outline.last(), state.synced.outline.chain());
        }
        let newest = state.synced.snapshot.as_ref().map(|meta| meta.last);
        state.bodies.retain(|position, _| newest.is_none_or(|newest| *position >= newest));
        Ok(())
    }
}

impl Storage for MemoryStorage {
    fn load(&mut self) -> Result<Loaded, StorageError> {
        let mut state = self.state()?;
        let mut notes = Vec::new();
        let contents = state.synced.clone();
        let snapshot = contents.snapshot.filter(|meta| {
            let sound = state.bodies.get(&meta.last).is_some_and(|body| is_body_of(meta, body));
            if !sound {
                notes.push(format!("the body of snapshot {} is damaged", meta.last));
            }
            sound
        });
        let judged = judge(Found {
            base: contents.outline.base(),
            last: contents.outline.last(),
            chain: contents.outline.chain(),
            entries: contents.entries.into_values().collect(),
            unreadable: None,
            snapshot,
            // In quarantine it is known that less is here than was promised.
            mark: Some(if state.quarantine.is_some() { (LogPosition::ZERO, Digest::default()) } else { state.mark }),
        });
        if judged.quarantine.is_some() {
            state.quarantine.clone_from(&judged.quarantine);
        }
        state.synced = Contents {
            outline: judged.outline.clone(),
            entries: judged.entries.iter().map(|entry| (entry.index, entry.clone())).collect(),
            snapshot: judged.snapshot.clone(),
        };
        state.written = state.synced.clone();
        if state.quarantine.is_none() {
            // What outlived a crash without having been promised is promised from now on.
            state.mark = (state.synced.outline.last(), state.synced.outline.chain());
        }
        Ok(Loaded {
            recovered: Recovered {
                epoch: state.epoch,
                hard_state: state.synced_hard_state,
                snapshot: judged.snapshot,
                base: judged.outline.base(),
                entries: judged.entries,
                quarantine: state.quarantine.clone(),
            },
            notes,
            // Nobody can wipe it from outside.
            store: 1,
        })
    }

    fn persist(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        self.write(writes)?;
        self.sync()
    }

    fn end_quarantine(&mut self) -> Result<(), StorageError> {
        let mut state = self.state()?;
        state.quarantine = None;
        state.mark = (state.synced.outline.last(), state.synced.outline.chain());
        Ok(())
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(MemorySnapshots { disk: self.disk.clone(), recent: Mutex::new(None) })
    }
}

impl Drop for MemoryStorage {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.life == self.life {
            // A process that ends leaves what it wrote to the operating system.
            state.settle();
            state.open = false;
        }
    }
}

fn is_body_of(meta: &SnapshotMeta, body: &Bytes) -> bool {
    (body.len() as u64, Digest(xxh3_128(body))) == (meta.size_bytes, meta.checksum)
}

#[derive(Debug)]
struct MemorySnapshots {
    disk: MemoryDisk,
    /// The one that was read last: it stays readable when a newer one replaces it, as an open file does.
    recent: Mutex<Option<(LogPosition, Bytes)>>,
}

impl MemorySnapshots {
    fn body(&self, meta: &SnapshotMeta) -> Result<Bytes, StorageError> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let body = self.disk.lock().bodies.get(&meta.last).cloned();
        let replaced = || recent.clone().filter(|(last, _)| *last == meta.last).map(|(_, body)| body);
        let body = body.or_else(replaced).ok_or_else(|| StorageError::Io {
            doing: "opening",
            path: place(),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        *recent = Some((meta.last, body.clone()));
        Ok(body)
    }
}

impl Snapshots for MemorySnapshots {
    fn write(&self, last: LogPosition, body: Frozen) -> Result<(u64, Digest), StorageError> {
        let mut bytes = Vec::new();
        body(&mut bytes).map_err(|source| StorageError::Io { doing: "writing", path: place(), source })?;
        let told = (bytes.len() as u64, Digest(xxh3_128(&bytes)));
        self.disk.lock().bodies.insert(last, Bytes::from(bytes));
        Ok(told)
    }

    fn read(&self, meta: &SnapshotMeta, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        let body = self.body(meta)?;
        let from = (offset as usize).min(body.len());
        Ok(body.slice(from..from.saturating_add(length).min(body.len())))
    }

    fn open(&self, meta: &SnapshotMeta) -> Result<Box<dyn Read + Send>, StorageError> {
        let body = self.body(meta)?;
        if !is_body_of(meta, &body) {
            return Err(StorageError::Corrupt { path: place(), why: "the body's checksum does not match".to_owned() });
        }
        Ok(Box::new(Cursor::new(body)))
    }
}
