//! The log since the last snapshot (paper §5.3, §7), in memory.
//!
//! It knows what was appended, what of it has been asked to be made durable, and what is durable. Writes are numbered;
//! an entry is durable when the write that carried it is, so a late completion can never bless a suffix that was
//! overwritten since.
//!
//! Kept true: indexes are contiguous, terms do not fall, every entry continues the chain; nothing at or below the commit
//! index is ever removed from the end.
//! Not here: which entries are committed (`commit.rs`), when to compact (`snapshot.rs`).

use std::collections::VecDeque;

use super::entry::Entry;
use super::interface::Base;
use super::status::TermRun;
use super::types::{Digest, Index, LogPosition, Term};

/// A write that the disk has not answered: the highest index it made part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PendingWrite {
    number: u64,
    last: Index,
}

#[derive(Clone, Debug)]
pub(super) struct Log {
    base: Base,
    entries: VecDeque<Entry>,
    /// Where each term starts, so that a hint search never walks entries.
    terms: Vec<TermRun>,
    bytes: u64,
    /// Lowest index that changed since the last write was asked for.
    changed_from: Option<Index>,
    /// Whether something that had been part of a write was removed since then.
    truncated: bool,
    pending: VecDeque<PendingWrite>,
    durable: Index,
}

impl Log {
    /// A log as it was read from a disk: all of it durable.
    pub(super) fn recovered(base: Base, entries: Vec<Entry>) -> Self {
        let mut log = Self {
            base,
            entries: VecDeque::with_capacity(entries.len()),
            terms: Vec::new(),
            bytes: 0,
            changed_from: None,
            truncated: false,
            pending: VecDeque::new(),
            durable: base.position.index,
        };
        for entry in entries {
            log.push(entry);
        }
        log.changed_from = None;
        log.durable = log.last().index;
        log
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    pub(super) fn first_index(&self) -> Index {
        self.base.position.index.next()
    }

    pub(super) fn last(&self) -> LogPosition {
        self.entries.back().map_or(self.base.position, Entry::position)
    }

    pub(super) fn last_chain(&self) -> Digest {
        self.entries.back().map_or(self.base.chain, |entry| entry.chain)
    }

    pub(super) fn last_proposed_at_us(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.proposed_at_us)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn durable(&self) -> Index {
        self.durable
    }

    pub(super) fn terms(&self) -> &[TermRun] {
        &self.terms
    }

    fn offset(&self, index: Index) -> Option<usize> {
        index.0.checked_sub(self.base.position.index.0 + 1).map(|offset| offset as usize)
    }

    pub(super) fn get(&self, index: Index) -> Option<&Entry> {
        self.offset(index).and_then(|offset| self.entries.get(offset))
    }

    /// Term of the entry at `index`; the compaction boundary and position zero are known too.
    pub(super) fn term_at(&self, index: Index) -> Option<Term> {
        if index == self.base.position.index {
            return Some(self.base.position.term);
        }
        self.get(index).map(|entry| entry.term)
    }

    pub(super) fn chain_at(&self, index: Index) -> Option<Digest> {
        if index == self.base.position.index {
            return Some(self.base.chain);
        }
        self.get(index).map(|entry| entry.chain)
    }

    /// Whether the log has this very entry, as far as it can tell from its memory.
    pub(super) fn has(&self, position: LogPosition) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    /// The last index at or below `index` whose term is at most `term` (conflict hints by term, §5.3).
    pub(super) fn last_at_most(&self, index: Index, term: Term) -> LogPosition {
        let index = index.min(self.last().index);
        if index <= self.base.position.index {
            return self.base.position;
        }
        // Terms do not fall, so the runs with a term of at most `term` are a prefix.
        let runs = self.terms.partition_point(|run| run.term <= term && run.first <= index);
        if runs == 0 {
            return self.base.position;
        }
        let end = self.terms.get(runs).map_or_else(|| self.last().index, |next| next.first.previous()).min(index);
        LogPosition { index: end, term: self.terms[runs - 1].term }
    }

    /// Whether every entry in memory continues the chain.
    pub(super) fn verify_chain(&self) -> bool {
        let mut chain = self.base.chain;
        self.entries.iter().all(|entry| entry.continues(std::mem::replace(&mut chain, entry.chain)))
    }

    /// Entries from `from` on, at most so many and so many bytes; one always, if there is one.
    pub(super) fn slice(&self, from: Index, entries_max: usize, bytes_max: u64) -> Vec<Entry> {
        let Some(offset) = self.offset(from) else { return Vec::new() };
        let mut bytes = 0;
        let mut slice = Vec::new();
        for entry in self.entries.iter().skip(offset).take(entries_max) {
            bytes += entry.cost_bytes();
            if bytes > bytes_max && !slice.is_empty() {
                break;
            }
            slice.push(entry.clone());
        }
        slice
    }

    pub(super) fn append(&mut self, entry: Entry) {
        let index = entry.index;
        debug_assert!(entry.continues(self.last_chain()), "{} does not continue the chain", entry.position());
        self.push(entry);
        self.changed_from = Some(self.changed_from.map_or(index, |from| from.min(index)));
    }

    fn push(&mut self, entry: Entry) {
        let last = self.last();
        assert_eq!(entry.index, last.index.next(), "a log has no gaps: after {last} comes {}", entry.position());
        assert!(entry.term >= last.term, "terms do not fall along a log: {} after {last}", entry.position());
        if self.terms.last().is_none_or(|run| run.term != entry.term) {
            self.terms.push(TermRun { first: entry.index, term: entry.term });
        }
        self.bytes += entry.cost_bytes();
        self.entries.push_back(entry);
    }

    /// Removes the entries from `from` on. Returns the last that was removed.
    pub(super) fn truncate(&mut self, from: Index, commit: Index) -> Index {
        assert!(from > commit, "entry {from} is committed ({commit}) and cannot be removed");
        let last = self.last().index;
        let keep = self.offset(from).expect("what is removed lies above the compaction boundary");
        for entry in self.entries.drain(keep..) {
            self.bytes -= entry.cost_bytes();
        }
        self.terms.truncate(self.terms.partition_point(|run| run.first < from));
        let end = from.previous();
        self.durable = self.durable.min(end);
        for write in &mut self.pending {
            write.last = write.last.min(end);
        }
        // Only what a write has carried needs to be removed from the disk.
        if self.changed_from.is_none_or(|changed| from < changed) {
            self.truncated = true;
        }
        self.changed_from = Some(self.changed_from.map_or(from, |changed| changed.min(from)));
        last
    }

    /// Forgets the entries up to and with `to`.
    pub(super) fn compact(&mut self, to: Index) {
        let Some(chain) = self.chain_at(to) else { return };
        let Some(term) = self.term_at(to) else { return };
        while self.entries.front().is_some_and(|entry| entry.index <= to) {
            let gone = self.entries.pop_front().expect("the front was just looked at");
            self.bytes -= gone.cost_bytes();
        }
        self.base = Base { position: LogPosition { index: to, term }, chain };
        let gone = self.terms.partition_point(|run| run.first <= to);
        if gone > 0 {
            let straddling = self.terms[gone - 1];
            self.terms.drain(..gone);
            let next = to.next();
            if !self.entries.is_empty() && self.terms.first().is_none_or(|run| run.first > next) {
                self.terms.insert(0, TermRun { first: next, term: straddling.term });
            }
        }
    }

    /// Replaces the whole log by a boundary that is durable already.
    pub(super) fn reset(&mut self, base: Base) {
        *self = Self::recovered(base, Vec::new());
    }

    /// What has to be written: where to cut, and the entries to add. Remembers the write's number.
    pub(super) fn take_changes(&mut self, number: u64) -> (Option<Index>, Vec<Entry>) {
        let Some(from) = self.changed_from.take() else { return (None, Vec::new()) };
        let entries = self.slice(from, usize::MAX, u64::MAX);
        let cut = std::mem::take(&mut self.truncated).then_some(from);
        self.pending.push_back(PendingWrite { number, last: self.last().index });
        (cut, entries)
    }

    pub(super) fn has_changes(&self) -> bool {
        self.changed_from.is_some()
    }

    /// The write `number` and all before it are durable.
    pub(super) fn persisted(&mut self, number: u64) {
        while self.pending.front().is_some_and(|write| write.number <= number) {
            let write = self.pending.pop_front().expect("the front was just looked at");
            self.durable = self.durable.max(write.last);
        }
    }

    /// The number of the write after which `index` is durable; `None` when it is already.
    pub(super) fn durable_after(&self, index: Index) -> Option<u64> {
        if index <= self.durable {
            return None;
        }
        self.pending.iter().find(|write| write.last >= index).map(|write| write.number)
    }
}
