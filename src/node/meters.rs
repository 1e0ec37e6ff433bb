//! Counters, rates and latencies of one node. Pure: whoever measures hands in the time.
//!
//! Percentiles are over the latest [`SAMPLES`] samples; rates over the last two seconds of cluster time.
//!
//! Not here: how they are shown.

use std::collections::{BTreeMap, VecDeque};

use crate::raft::{Cause, Event, EventKind, Index, MessageKind};

/// Samples kept for a percentile.
pub const SAMPLES: usize = 1024;

/// Entries whose stages are followed at the same time; more are not measured.
const FOLLOWED_MAX: usize = 4096;

const RATE_WINDOW_US: u64 = 2_000_000;

/// The latest samples of a latency, in microseconds.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    ring: VecDeque<u64>,
}

impl Samples {
    /// One more; the oldest goes when there are too many.
    pub fn add(&mut self, us: u64) {
        if self.ring.len() == SAMPLES {
            self.ring.pop_front();
        }
        self.ring.push_back(us);
    }

    /// Median and 99th percentile; `None` before the first sample.
    #[must_use]
    pub fn percentiles(&self) -> Option<(u64, u64)> {
        let mut sorted: Vec<_> = self.ring.iter().copied().collect();
        sorted.sort_unstable();
        let at = |hundredths: usize| sorted.get((sorted.len().saturating_sub(1)) * hundredths / 100).copied();
        at(50).zip(at(99))
    }
}

/// Counts events, and how many of them there were a second lately.
#[derive(Clone, Debug, Default)]
pub struct Rate {
    total: u64,
    marks: VecDeque<(u64, u64)>,
}

impl Rate {
    /// So many more.
    pub fn add(&mut self, count: u64) {
        self.total += count;
    }

    /// Since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// A second of cluster time, over the last two; call it now and then.
    pub fn per_second(&mut self, now_us: u64) -> f32 {
        if self.marks.back().is_none_or(|(at_us, _)| now_us >= at_us + 100_000) {
            self.marks.push_back((now_us, self.total));
        }
        while self.marks.len() > 1 && self.marks[1].0 + RATE_WINDOW_US <= now_us {
            self.marks.pop_front();
        }
        match self.marks.front() {
            Some((at_us, total)) if now_us > *at_us => {
                ((self.total - total) as f64 * 1e6 / (now_us - at_us) as f64) as f32
            }
            Some(_) | None => 0.0,
        }
    }
}

/// When an entry that a client proposed here reached each stage, in cluster time.
#[derive(Clone, Copy, Debug)]
struct Stages {
    proposed_us: u64,
    durable: bool,
    committed: bool,
}

/// All meters of one node in one life.
#[derive(Clone, Debug, Default)]
pub struct Meters {
    received: [u64; MessageKind::ALL.len()],
    sent: [u64; MessageKind::ALL.len()],
    /// Elections that it stood in, without those that it only asked about.
    pub elections: u64,
    /// Messages received.
    pub in_rate: Rate,
    /// Messages sent.
    pub out_rate: Rate,
    /// A group of writes, from asking to answer, in real time.
    pub sync: Samples,
    /// From proposal to durable in the leader's own log, in cluster time.
    pub to_durable: Samples,
    /// From proposal to commit, in cluster time.
    pub to_commit: Samples,
    /// From proposal to applied, in cluster time.
    pub to_apply: Samples,
    followed: BTreeMap<Index, Stages>,
}

impl Meters {
    /// A message came.
    pub fn received(&mut self, kind: MessageKind) {
        self.received[kind as usize] += 1;
        self.in_rate.add(1);
    }

    /// A message went.
    pub fn sent(&mut self, kind: MessageKind) {
        self.sent[kind as usize] += 1;
        self.out_rate.add(1);
    }

    /// Received, sent, by kind.
    pub fn by_kind(&self) -> impl Iterator<Item = (MessageKind, u64, u64)> + '_ {
        MessageKind::ALL.into_iter().map(|kind| (kind, self.received[kind as usize], self.sent[kind as usize]))
    }

    /// Something happened in the protocol.
    pub fn event(&mut self, event: &Event, now_us: u64) {
        match (&event.kind, event.cause) {
            (EventKind::Appended { last, .. }, Cause::Client(_)) if self.followed.len() < FOLLOWED_MAX => {
                let stages = Stages { proposed_us: now_us, durable: false, committed: false };
                self.followed.insert(last.index, stages);
            }
            (EventKind::Committed { index }, _) => {
                for stages in self.followed.range_mut(..=*index).map(|(_, stages)| stages) {
                    if !std::mem::replace(&mut stages.committed, true) {
                        self.to_commit.add(now_us.saturating_sub(stages.proposed_us));
                    }
                }
            }
            (EventKind::BecameCandidate, _) => self.elections += 1,
            (EventKind::SteppedDown { .. }, _) => self.followed.clear(),
            _ => {}
        }
    }

    /// The log is durable up to here.
    pub fn durable(&mut self, index: Index, now_us: u64) {
        for stages in self.followed.range_mut(..=index).map(|(_, stages)| stages) {
            if !std::mem::replace(&mut stages.durable, true) {
                self.to_durable.add(now_us.saturating_sub(stages.proposed_us));
            }
        }
    }

    /// The entry at `index` was applied.
    pub fn applied(&mut self, index: Index, now_us: u64) {
        if let Some(stages) = self.followed.remove(&index) {
            self.to_apply.add(now_us.saturating_sub(stages.proposed_us));
        }
    }
}
