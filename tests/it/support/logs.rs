//! Logs and writes for the tests of stores.

use bytes::Bytes;
use raft_tui::raft::{
    Base, Configuration, Digest, Entry, EntryKind, HardState, Index, LogPosition, NodeId, Persist, PersistSnapshot,
    Recovered, SnapshotMeta, SyncPoint, Term,
};
use raft_tui::storage::{Identity, Storage};
use xxhash_rust::xxh3::xxh3_128;

pub fn identity() -> Identity {
    Identity { cluster: 0xC1u128, node: NodeId(1), configuration: Configuration::first(3) }
}

pub fn hard(term: u64, vote: Option<u64>) -> HardState {
    HardState { current_term: Term(term), voted_for: vote.map(NodeId) }
}

/// A log as a core would hold it, and the writes that it asks for.
#[derive(Clone, Debug, Default)]
pub struct Log {
    pub base: Base,
    pub entries: Vec<Entry>,
    pub hard_state: HardState,
    pub snapshot: Option<SnapshotMeta>,
    pub number: u64,
}

impl Log {
    pub fn last(&self) -> LogPosition {
        self.entries.last().map_or(self.base.position, Entry::position)
    }

    pub fn chain(&self) -> Digest {
        self.entries.last().map_or(self.base.chain, |entry| entry.chain)
    }

    pub fn entry(&self, index: u64) -> &Entry {
        self.entries.iter().find(|entry| entry.index.0 == index).expect("in the log")
    }

    pub fn persist(&mut self) -> Persist {
        self.number += 1;
        Persist {
            point: SyncPoint { number: self.number, term: self.hard_state.current_term, index: self.last().index },
            hard_state: None,
            truncate_from: None,
            entries: Vec::new(),
            snapshot: None,
            compact_to: None,
        }
    }

    /// Appends `count` entries of `bytes` bytes each at `term`.
    pub fn append(&mut self, term: u64, count: usize, bytes: usize) -> Persist {
        let mut entries = Vec::new();
        for _ in 0..count {
            let index = self.last().index.next();
            // Content that does not repeat, so that no two places of a journal look alike.
            let seed = xxh3_128(&[index.0.to_le_bytes(), term.to_le_bytes()].concat());
            let command: Vec<u8> =
                (0..bytes as u64).map(|at| xxh3_128(&(seed + u128::from(at)).to_le_bytes()) as u8 | 1).collect();
            let position = LogPosition { index, term: Term(term) };
            let entry = Entry::chained(self.chain(), position, EntryKind::Command, index.0 * 10, Bytes::from(command));
            self.entries.push(entry.clone());
            entries.push(entry);
        }
        Persist { entries, ..self.persist() }
    }

    pub fn vote(&mut self, term: u64, vote: Option<u64>) -> Persist {
        self.hard_state = hard(term, vote);
        Persist { hard_state: Some(self.hard_state), ..self.persist() }
    }

    /// Replaces everything from `from` on by `count` entries of `term`.
    pub fn replace(&mut self, from: u64, term: u64, count: usize) -> Persist {
        self.entries.retain(|entry| entry.index.0 < from);
        Persist { truncate_from: Some(Index(from)), ..self.append(term, count, 20) }
    }

    pub fn meta(&self, index: u64, body: &[u8]) -> SnapshotMeta {
        let entry = self.entry(index);
        SnapshotMeta {
            last: entry.position(),
            chain: entry.chain,
            configuration: Configuration::first(3),
            proposed_at_us: entry.proposed_at_us,
            digest: Digest(7),
            size_bytes: body.len() as u64,
            checksum: Digest(xxh3_128(body)),
        }
    }

    /// Names a snapshot whose body has been written, and removes the log up to `compact_to`.
    pub fn take(&mut self, meta: &SnapshotMeta, compact_to: u64) -> Persist {
        if let Some(at) = self.entries.iter().position(|entry| entry.index.0 == compact_to) {
            self.base = Base { position: self.entries[at].position(), chain: self.entries[at].chain };
            self.entries.drain(..=at);
        }
        self.snapshot = Some(meta.clone());
        let snapshot = Some(PersistSnapshot { meta: meta.clone(), body: None, discard_log: false });
        Persist { snapshot, compact_to: Some(self.base), ..self.persist() }
    }

    /// Replaces the whole log by a snapshot of somebody else's.
    pub fn install(&mut self, meta: &SnapshotMeta, body: &[u8]) -> Persist {
        self.base = Base { position: meta.last, chain: meta.chain };
        self.entries.clear();
        self.snapshot = Some(meta.clone());
        let body = Some(Bytes::copy_from_slice(body));
        Persist { snapshot: Some(PersistSnapshot { meta: meta.clone(), body, discard_log: true }), ..self.persist() }
    }

    /// Asserts that this is what came back.
    pub fn assert_is(&self, recovered: &Recovered) {
        assert_eq!(recovered.quarantine, None);
        self.assert_content_is(recovered);
    }

    pub fn assert_content_is(&self, recovered: &Recovered) {
        assert_eq!(recovered.hard_state, self.hard_state);
        assert_eq!(recovered.base, self.base);
        assert_eq!(
            recovered.entries.iter().map(Entry::position).collect::<Vec<_>>(),
            self.entries.iter().map(Entry::position).collect::<Vec<_>>()
        );
        assert_eq!(recovered.entries, self.entries);
        assert_eq!(recovered.snapshot, self.snapshot);
    }
}

/// A store that must do what it is asked.
pub fn put(store: &mut dyn Storage, writes: &[Persist]) {
    store.persist(writes).expect("persisted");
}

/// What it came back with.
pub fn load(store: &mut dyn Storage) -> Recovered {
    store.load().expect("loaded").recovered
}

/// Writes the body of a snapshot of our own.
pub fn write_body(store: &dyn Storage, last: LogPosition, body: &'static [u8]) -> (u64, Digest) {
    store.snapshots().write(last, Box::new(move |to| to.write_all(body))).expect("written")
}

/// Reads a body whole.
pub fn read_body(store: &dyn Storage, meta: &SnapshotMeta) -> Vec<u8> {
    let mut body = Vec::new();
    store.snapshots().open(meta).expect("opened").read_to_end(&mut body).expect("read");
    body
}
