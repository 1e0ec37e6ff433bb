//! What a leader knows of one follower's log (Figure 2 `nextIndex`, `matchIndex`; thesis 10.2.1 pipelining).
//!
//! Three modes: *probe* looks for the place where the logs agree, one message at a time; *replicate* keeps a window of
//! messages in flight; *snapshot* sends what the log does not have any more. Each change of mode starts a new stream, so
//! that late answers to an earlier one are told apart.
//!
//! Kept true: `match_index` never exceeds what the follower has said is durable and never falls within one life of it;
//! `next_index` is above it; the window is empty after each change of mode.
//! Not here: what is sent and when (`replication.rs`).

use std::collections::VecDeque;

use super::event::Mode;
use super::message::SnapshotMeta;
use super::types::{Epoch, Index, Ticks};
use crate::mutants;

/// A snapshot on its way to a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sending {
    pub(super) meta: SnapshotMeta,
    /// What the follower has acknowledged.
    pub(super) next_offset: u64,
    /// When a chunk was last asked for or sent; `None` when the next may go.
    pub(super) asked_at: Option<Ticks>,
}

#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) epoch: Epoch,
    pub(super) match_index: Index,
    /// What an earlier life of this follower had acknowledged.
    pub(super) former_match: Index,
    pub(super) next_index: Index,
    pub(super) mode: Mode,
    pub(super) stream: u64,
    /// Probe: a message is out and not answered.
    pub(super) probing: bool,
    in_flight: VecDeque<(Index, u64)>,
    in_flight_bytes: u64,
    /// Tick at which it was heard last.
    pub(super) heard_at: Ticks,
    /// Highest round that it has answered.
    pub(super) round: u64,
    /// Commit index that it was told last.
    pub(super) told_commit: Index,
    pub(super) counted: bool,
    pub(super) sending: Option<Sending>,
}

impl Progress {
    pub(super) fn new(epoch: Epoch, next_index: Index, now: Ticks) -> Self {
        Self {
            epoch,
            match_index: Index::ZERO,
            former_match: Index::ZERO,
            next_index,
            mode: Mode::Probe,
            stream: 1,
            probing: false,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            heard_at: now,
            round: 0,
            told_commit: Index::ZERO,
            counted: true,
            sending: None,
        }
    }

    /// The index that counts towards a majority.
    pub(super) fn counted_match(&self) -> Index {
        if self.counted || mutants::on("Q02") { self.match_index } else { Index::ZERO }
    }

    fn change(&mut self, mode: Mode) {
        self.mode = mode;
        self.stream += 1;
        self.probing = false;
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.sending = None;
    }

    pub(super) fn probe(&mut self, next_index: Index) {
        self.next_index = next_index.max(self.match_index.next());
        self.change(Mode::Probe);
    }

    pub(super) fn replicate(&mut self) {
        self.change(Mode::Replicate);
    }

    pub(super) fn send_snapshot(&mut self, meta: SnapshotMeta) {
        self.change(Mode::Snapshot);
        self.sending = Some(Sending { meta, next_offset: 0, asked_at: None });
    }

    /// A new life of the follower: what the former acknowledged does not bind it.
    pub(super) fn restarted(&mut self, epoch: Epoch) {
        self.epoch = epoch;
        self.former_match = self.former_match.max(self.match_index);
        if !mutants::on("M67") {
            self.match_index = Index::ZERO;
        }
        self.told_commit = Index::ZERO;
        self.round = 0;
        let next_index = self.next_index;
        self.probe(next_index);
    }

    /// Its log agrees and is durable up to `index`. Returns whether that is new.
    pub(super) fn matched(&mut self, index: Index) -> bool {
        if index <= self.match_index {
            return false;
        }
        self.match_index = index;
        if !mutants::on("M13") {
            self.next_index = self.next_index.max(index.next());
        }
        while let Some(&(last, bytes)) = self.in_flight.front() {
            if last > index {
                break;
            }
            self.in_flight.pop_front();
            self.in_flight_bytes -= bytes;
        }
        true
    }

    pub(super) fn sent(&mut self, last: Index, bytes: u64) {
        self.in_flight.push_back((last, bytes));
        self.in_flight_bytes += bytes;
        self.next_index = last.next();
    }

    pub(super) fn window_has_room(&self, messages: usize, bytes: u64) -> bool {
        (self.in_flight.len() < messages && self.in_flight_bytes < bytes) || mutants::on("B01")
    }

    pub(super) fn in_flight(&self) -> (usize, u64) {
        (self.in_flight.len(), self.in_flight_bytes)
    }

    pub(super) fn silent_ticks(&self, now: Ticks) -> Ticks {
        now - self.heard_at
    }
}
