//! What surrounds a pure core in tests: a disk that forgets what was not synced, a machine that hashes what it applies.
//!
//! Not here: who calls them and when (`cores.rs`).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use raft_tui::raft::{
    Base, Digest, Entry, EntryKind, Epoch, HardState, Index, LogPosition, Persist, Recovered, SnapshotMeta,
};
use xxhash_rust::xxh3::xxh3_128;

/// What a disk holds.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    pub epoch: Epoch,
    pub hard_state: HardState,
    pub snapshot: Option<(SnapshotMeta, Bytes)>,
    pub base: Base,
    pub entries: Vec<Entry>,
}

impl Stored {
    pub fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base.position, Entry::position)
    }

    pub fn chain_at(&self, index: Index) -> Option<Digest> {
        if index == self.base.position.index {
            return Some(self.base.chain);
        }
        self.entries.iter().find(|entry| entry.index == index).map(|entry| entry.chain)
    }

    /// Whether entry `index` with this chain is here, or was before a snapshot took its place.
    pub fn holds(&self, index: Index, chain: Digest) -> bool {
        match self.chain_at(index) {
            Some(here) => here == chain,
            None => index < self.base.position.index,
        }
    }

    pub fn write(&mut self, write: &Persist, files: &BTreeMap<LogPosition, Bytes>) {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(from) = write.truncate_from {
            self.entries.retain(|entry| entry.index < from);
        }
        for entry in &write.entries {
            assert_eq!(entry.index, self.last().index.next(), "a write leaves a gap: {write:?}");
            let term = self.hard_state.current_term;
            assert!(entry.term <= term, "T-06: entry {} is written while term {term} is durable", entry.position());
            self.entries.push(entry.clone());
        }
        if let Some(snapshot) = &write.snapshot {
            let meta = snapshot.meta.clone();
            let body = snapshot.body.clone().unwrap_or_else(|| files[&meta.last].clone());
            assert_eq!(Digest(xxh3_128(&body)), meta.checksum, "the body of snapshot {} is another", meta.last);
            if snapshot.discard_log {
                self.entries.clear();
                self.base = Base { position: meta.last, chain: meta.chain };
            }
            self.snapshot = Some((meta, body));
        }
        if let Some(base) = write.compact_to {
            self.entries.retain(|entry| entry.index > base.position.index);
            self.base = base;
        }
    }

    pub fn recovered(&self, quarantine: Option<String>) -> Recovered {
        Recovered {
            epoch: self.epoch,
            hard_state: self.hard_state,
            snapshot: self.snapshot.as_ref().map(|(meta, _)| meta.clone()),
            base: self.base,
            entries: self.entries.clone(),
            quarantine,
        }
    }
}

/// A disk: what is synced survives a crash, what is queued does not.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    pub synced: Stored,
    pub queue: VecDeque<Persist>,
    pub held: bool,
    /// The store knows that it lost something, until a leader has made it whole.
    pub lost: bool,
    pub files: BTreeMap<LogPosition, Bytes>,
}

/// A machine that remembers all commands; a snapshot of it is one line a command.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub values: Vec<Bytes>,
    pub digest: Digest,
    pub applied: Index,
    pub held: bool,
    pub queue: Vec<Entry>,
}

impl Machine {
    pub fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index, self.applied.next(), "T-47: entries reach the machine in order, each once");
        self.applied = entry.index;
        if entry.kind == EntryKind::Command {
            self.push(entry.command.clone());
        }
    }

    fn push(&mut self, value: Bytes) {
        self.digest = Digest(xxh3_128(&[&self.digest.0.to_le_bytes()[..], &value[..]].concat()));
        self.values.push(value);
    }

    pub fn body(&self) -> Bytes {
        let mut body = Vec::new();
        for value in &self.values {
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        Bytes::from(body)
    }

    pub fn restore(meta: &SnapshotMeta, body: &Bytes, held: bool) -> Self {
        let mut machine = Self { held, ..Self::default() };
        for value in body.split_inclusive(|byte| *byte == b'\n') {
            machine.push(Bytes::copy_from_slice(&value[..value.len() - 1]));
        }
        machine.applied = meta.last.index;
        assert_eq!(machine.digest, meta.digest, "the snapshot at {} is another state", meta.last);
        machine
    }
}

/// A log with one entry for each of `terms`; equal prefixes of terms are equal histories.
pub fn log_of(terms: &[u64]) -> Stored {
    let mut stored = Stored::default();
    let mut chain = Digest::default();
    for (place, term) in terms.iter().enumerate() {
        let position = LogPosition::new(place as u64 + 1, *term);
        let entry = Entry::chained(chain, position, EntryKind::Command, 0, Bytes::from(position.to_string()));
        chain = entry.chain;
        stored.entries.push(entry);
    }
    stored.hard_state.current_term = stored.last().term;
    stored
}
