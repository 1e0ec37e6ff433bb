//! What is committed, and handing it to the machine (paper §5.3, §5.4.2, Figure 8).
//!
//! A leader counts copies only for entries of its own term; those before them are committed with them. Its own copy
//! counts when it is durable, like anybody's.
//!
//! Kept true: the commit index never falls in one life; what is applied never passes what is committed and durable here.
//! Not here: how a follower learns the commit index (`replication.rs`).

use super::event::EventKind;
use super::types::Index;
use super::{Raft, RoleState};
use crate::mutants;

impl Raft {
    /// Moves a leader's commit index as far as a majority is durable, within its own term.
    pub(super) fn advance_commit(&mut self) {
        let RoleState::Leader(leader) = &self.role else { return };
        let me = self.options.id;
        let durable = if mutants::on("M06") { self.log.last().index } else { self.log.durable() };
        let index = self.configuration.majority_index(|voter| {
            if voter == me {
                durable
            } else {
                leader.progress.get(&voter).map_or(Index::ZERO, super::Progress::counted_match)
            }
        });
        let own_term = self.log.term_at(index) == Some(self.hard_state.current_term) || mutants::on("M04");
        if index > self.commit && own_term {
            self.commit_to(index);
            self.confirm_reads();
        }
    }

    /// Everything up to `index` is committed.
    pub(super) fn commit_to(&mut self, index: Index) {
        assert!(index <= self.log.last().index, "{index} is not in the log and cannot be committed");
        if index <= self.commit {
            return;
        }
        if let RoleState::Leader(leader) = &mut self.role {
            let mut at = self.commit.next();
            while at <= index {
                if let Some(entry) = self.log.get(at) {
                    leader.uncommitted_bytes -= entry.cost_bytes();
                }
                at = at.next();
            }
        }
        self.commit = index;
        // Half a snapshot of what came in entries after all is of no use.
        self.receiving.take_if(|receiving| receiving.meta.last.index <= index);
        self.emit(EventKind::Committed { index });
    }

    pub(super) fn uncommitted_bytes_in_log(&self) -> u64 {
        let mut bytes = 0;
        let mut at = self.commit.next();
        while let Some(entry) = self.log.get(at) {
            bytes += entry.cost_bytes();
            at = at.next();
        }
        bytes
    }

    /// Gives the machine what is committed and durable here, one batch at a time.
    pub(super) fn hand_out(&mut self) {
        let limit = self.commit.min(self.log.durable());
        if self.handed != self.applied || self.handed >= limit || self.installing.is_some() {
            return;
        }
        let count = (limit.0 - self.handed.0) as usize;
        let batch = self.log.slice(self.handed.next(), count, self.options.apply_bytes_max);
        if let Some(last) = batch.last() {
            self.machine.bytes_since_snapshot += batch.iter().map(super::Entry::cost_bytes).sum::<u64>();
            self.handed = last.index;
            self.effects.apply = batch;
        }
    }
}
