//! What a group of writes does to a log (paper §5.3, §7): PURE, the same for every store.
//!
//! An [`Outline`] is a log without its commands: where it starts, and term and fingerprint of each entry. [`plan`]
//! folds a group of writes into what a store has to change, and refuses a group that would leave a log with a hole, a
//! broken chain or a snapshot ahead of it: the pair of the core's own assertions, on this side of the seam.
//!
//! Kept true: after a plan the log is contiguous and chained from its base.
//! Not here: bytes (`records.rs`), disks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::raft::{Base, Digest, Entry, HardState, Index, LogPosition, Persist, PersistSnapshot, Term};

/// A log without its commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outline {
    base: Base,
    entries: VecDeque<(Term, Digest)>,
}

impl Outline {
    pub(super) fn new(base: Base) -> Self {
        Self { base, entries: VecDeque::new() }
    }

    pub(super) fn base(&self) -> Base {
        self.base
    }

    pub(super) fn first(&self) -> Index {
        self.base.position.index.next()
    }

    pub(super) fn last(&self) -> LogPosition {
        self.at(self.last_index()).map_or(self.base.position, |(position, _)| position)
    }

    pub(super) fn chain(&self) -> Digest {
        self.entries.back().map_or(self.base.chain, |(_, chain)| *chain)
    }

    fn last_index(&self) -> Index {
        Index(self.base.position.index.0 + self.entries.len() as u64)
    }

    /// Position and fingerprint at `index`, from the base on.
    pub(super) fn at(&self, index: Index) -> Option<(LogPosition, Digest)> {
        let offset = index.0.checked_sub(self.base.position.index.0)?;
        if offset == 0 {
            return Some((self.base.position, self.base.chain));
        }
        self.entries.get(offset as usize - 1).map(|(term, chain)| (LogPosition { index, term: *term }, *chain))
    }

    /// Takes away the entries from `from` on; gives their indexes.
    pub(super) fn cut_from(&mut self, from: Index) -> std::ops::RangeInclusive<u64> {
        let last = self.last_index();
        let keep = from.0.saturating_sub(self.first().0).min(self.entries.len() as u64);
        self.entries.truncate(keep as usize);
        self.last_index().0 + 1..=last.0
    }

    /// Adds an entry; says why when it does not continue the log.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), String> {
        let last = self.last();
        if entry.index != last.index.next() {
            return Err(format!("entry {} does not follow {last}", entry.position()));
        }
        if entry.term < last.term {
            return Err(format!("entry {} has a lower term than {last} before it", entry.position()));
        }
        if !entry.continues(self.chain()) {
            return Err(format!("the chain breaks at entry {}", entry.position()));
        }
        self.entries.push_back((entry.term, entry.chain));
        Ok(())
    }
}

/// What a store has to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Term and vote, when they change.
    pub(super) hard_state: Option<HardState>,
    /// Entries to put, by index.
    pub(super) puts: BTreeMap<Index, Entry>,
    /// Entries to remove because others replace them or nothing does; not those below the base.
    pub(super) removes: BTreeSet<Index>,
    /// The newest snapshot of the group.
    pub(super) snapshot: Option<PersistSnapshot>,
    /// The last position that is in the log both before and after, when the log loses something at its end.
    pub(super) common: Option<(LogPosition, Digest)>,
}

impl Plan {
    fn cut_from(&mut self, outline: &mut Outline, from: Index) {
        for index in outline.cut_from(from).map(Index) {
            self.puts.remove(&index);
            self.removes.insert(index);
        }
    }

    fn keep_in_common(&mut self, position: LogPosition, chain: Digest) {
        if self.common.is_none_or(|(lowest, _)| position.index < lowest.index) {
            self.common = Some((position, chain));
        }
    }
}

/// Folds `writes` into one change and brings `outline` to what the log is after it.
pub(super) fn plan(outline: &mut Outline, writes: &[Persist]) -> Result<Plan, String> {
    let mut plan = Plan::default();
    for write in writes {
        if write.hard_state.is_some() {
            plan.hard_state = write.hard_state;
        }
        if let Some(from) = write.truncate_from {
            if from < outline.first() {
                return Err(format!(
                    "truncation from {from} reaches below the log, which starts at {}",
                    outline.first()
                ));
            }
            if from <= outline.last_index() {
                plan.cut_from(outline, from);
                plan.keep_in_common(outline.last(), outline.chain());
            }
        }
        for entry in &write.entries {
            outline.push(entry)?;
            plan.removes.remove(&entry.index);
            plan.puts.insert(entry.index, entry.clone());
        }
        if let Some(snapshot) = &write.snapshot {
            name_snapshot(outline, &mut plan, snapshot)?;
        }
        if let Some(to) = write.compact_to {
            compact(outline, &mut plan, to)?;
        }
    }
    Ok(plan)
}

fn name_snapshot(outline: &mut Outline, plan: &mut Plan, snapshot: &PersistSnapshot) -> Result<(), String> {
    let last = snapshot.meta.last;
    if snapshot.discard_log {
        if last.index < outline.base.position.index {
            return Err(format!("snapshot {last} lies below the log, which starts at {}", outline.first()));
        }
        // Before the install the log has what precedes the snapshot, after it only what the snapshot covers: the end of
        // what both have is the entry before it, if the log reaches that far, else the end of the log.
        let shared = last.index.previous().min(outline.last_index());
        let (position, chain) = outline.at(shared).unwrap_or_default();
        if position.index < outline.last_index() {
            plan.keep_in_common(position, chain);
        }
        plan.cut_from(outline, Index::ZERO);
        plan.removes.retain(|index| *index > last.index);
        *outline = Outline::new(Base { position: last, chain: snapshot.meta.chain });
    } else {
        match outline.at(last.index) {
            Some(here) if here == (last, snapshot.meta.chain) => {}
            Some((here, _)) => return Err(format!("snapshot {last} differs from the log, which has {here} there")),
            None => return Err(format!("snapshot {last} is not within the log, which ends at {}", outline.last())),
        }
    }
    plan.snapshot = Some(snapshot.clone());
    Ok(())
}

fn compact(outline: &mut Outline, plan: &mut Plan, to: Base) -> Result<(), String> {
    let index = to.position.index;
    // At or below the base: a snapshot that replaced the log has been there already.
    if index > outline.base.position.index && outline.at(index) != Some((to.position, to.chain)) {
        return Err(format!("compaction to {} does not fit the log, which ends at {}", to.position, outline.last()));
    }
    while outline.base.position.index < index {
        let index = outline.first();
        if let Some((term, chain)) = outline.entries.pop_front() {
            outline.base = Base { position: LogPosition { index, term }, chain };
        }
        plan.puts.remove(&index);
    }
    Ok(())
}
