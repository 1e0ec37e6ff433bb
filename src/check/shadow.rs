//! A log without commands, as the judge keeps one of its own for every node (paper §5.3).
//!
//! It is folded from what a node asked of its disk, not from what the node tells of itself.
//!
//! Kept true: contiguous from its base on.
//! Not here: which entries exist at all (`log_matching.rs`).

use std::collections::VecDeque;

use crate::raft::{Base, Digest, HardState, Index, LogPosition, Persist, Recovered, Term};

/// Terms and fingerprints of one log.
#[derive(Clone, Debug, Default)]
pub(super) struct Shadow {
    base: Base,
    entries: VecDeque<(Term, Digest)>,
}

impl Shadow {
    pub(super) fn recovered(recovered: &Recovered) -> Self {
        Self {
            base: recovered.base,
            entries: recovered.entries.iter().map(|entry| (entry.term, entry.chain)).collect(),
        }
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    pub(super) fn last(&self) -> LogPosition {
        match self.entries.back() {
            None => self.base.position,
            Some((term, _)) => LogPosition { index: self.last_index(), term: *term },
        }
    }

    pub(super) fn last_index(&self) -> Index {
        Index(self.base.position.index.0 + self.entries.len() as u64)
    }

    /// Term and fingerprint at `index`, from the base on.
    pub(super) fn at(&self, index: Index) -> Option<(Term, Digest)> {
        let offset = index.0.checked_sub(self.base.position.index.0)?;
        if offset == 0 {
            return Some((self.base.position.term, self.base.chain));
        }
        self.entries.get(offset as usize - 1).copied()
    }

    /// Whether the entry at `index` is this one, or lies below what is remembered.
    pub(super) fn covers(&self, index: Index, entry: (Term, Digest)) -> bool {
        index < self.base.position.index || self.at(index) == Some(entry)
    }

    /// Folds a write in. Says why when the write does not fit.
    pub(super) fn fold(&mut self, write: &Write) -> Result<(), String> {
        self.fold_end(write)?;
        self.fold_start(write)
    }

    /// Folds in what a write does at the log's end.
    pub(super) fn fold_end(&mut self, write: &Write) -> Result<(), String> {
        if let Some(from) = write.truncate_from {
            let keep = from.0.checked_sub(self.base.position.index.0 + 1);
            let Some(keep) = keep else {
                return Err(format!("truncation from {from} reaches below the log's base {}", self.base.position));
            };
            self.entries.truncate(keep as usize);
        }
        if let Some(first) = write.first {
            if first != self.last_index().next() {
                return Err(format!("entries from {first} on do not follow {}", self.last()));
            }
            self.entries.extend(&write.entries);
        }
        Ok(())
    }

    /// Folds in what a write does at the log's start.
    pub(super) fn fold_start(&mut self, write: &Write) -> Result<(), String> {
        if let Some(base) = write.replaced_by {
            *self = Self { base, entries: VecDeque::new() };
        }
        if let Some(to) = write.compact_to {
            if to.position.index > self.last_index() {
                return Err(format!("compaction to {} goes beyond the log's end {}", to.position, self.last()));
            }
            while self.base.position.index < to.position.index {
                let Some((term, chain)) = self.entries.pop_front() else { break };
                let index = self.base.position.index.next();
                self.base = Base { position: LogPosition { index, term }, chain };
            }
        }
        Ok(())
    }
}

/// What a write changes, without commands.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) number: u64,
    pub(super) hard_state: Option<HardState>,
    truncate_from: Option<Index>,
    first: Option<Index>,
    entries: Vec<(Term, Digest)>,
    replaced_by: Option<Base>,
    compact_to: Option<Base>,
}

impl Write {
    pub(super) fn of(persist: &Persist) -> Self {
        let replaced_by = persist
            .snapshot
            .as_ref()
            .filter(|snapshot| snapshot.discard_log)
            .map(|snapshot| Base { position: snapshot.meta.last, chain: snapshot.meta.chain });
        Self {
            number: persist.point.number,
            hard_state: persist.hard_state,
            truncate_from: persist.truncate_from,
            first: persist.entries.first().map(|entry| entry.index),
            entries: persist.entries.iter().map(|entry| (entry.term, entry.chain)).collect(),
            replaced_by,
            compact_to: persist.compact_to,
        }
    }
}

impl Write {
    /// The last index that it leaves as it was.
    pub(super) fn leaves(&self) -> Index {
        let end = self.replaced_by.map(|base| base.position.index);
        self.truncate_from.map(Index::previous).or(end).unwrap_or(Index(u64::MAX))
    }

    /// Whether the log starts elsewhere after it.
    pub(super) fn moves_start(&self) -> bool {
        self.replaced_by.is_some() || self.compact_to.is_some()
    }
}
