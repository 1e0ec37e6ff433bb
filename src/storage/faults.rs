//! What a bad disk does. PURE.
//!
//! A request goes in, its fate comes out: how long it takes, whether it fails, and what of it survives. The driver
//! sleeps and the simulator schedules; nothing here waits.
//!
//! Kept true: the same rules, seed and requests give the same fates for ever.
//! Not here: who waits and who stops (`faulty.rs`, `node/`, `sim/`).

use serde::{Deserialize, Serialize};

use crate::raft::rng::Rng;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Write so many bytes of log.
    Write {
        /// How many.
        bytes: u64,
    },
    /// Make what was written durable.
    Sync,
    /// Read something.
    Read,
    /// Write so many bytes of a snapshot's body, synced.
    SnapshotWrite {
        /// How many.
        bytes: u64,
    },
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// As wished.
    Done,
    /// The device failed (EIO).
    Failed,
    /// There is no room (ENOSPC).
    NoSpace,
}

/// What is there after a crash of a write that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Survival {
    /// All of it.
    Kept,
    /// Nothing of it.
    Lost,
    /// A part: the part that is written and synced first (the vote), or bytes that no checksum fits.
    Torn,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// Microseconds until it ends; `None`: not before the rules change.
    pub delay_us: Option<u64>,
    /// How it ends.
    pub result: Verdict,
    /// What of it is on the disk when it fails, and after a crash before the next sync.
    pub survives: Survival,
}

/// A time in which nothing ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stall {
    /// The next request takes this many microseconds more, once.
    OnceUs(u64),
    /// No request ends before the rules change.
    UntilHealed,
}

/// What kinds of request a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Writes of the log.
    Write,
    /// Syncs.
    Sync,
    /// Reads.
    Read,
    /// Writes of snapshots.
    SnapshotWrite,
}

impl Request {
    /// Its kind.
    #[must_use]
    pub const fn kind(self) -> Kind {
        match self {
            Self::Write { .. } => Kind::Write,
            Self::Sync => Kind::Sync,
            Self::Read => Kind::Read,
            Self::SnapshotWrite { .. } => Kind::SnapshotWrite,
        }
    }

    const fn bytes(self) -> u64 {
        match self {
            Self::Write { bytes } | Self::SnapshotWrite { bytes } => bytes,
            Self::Sync | Self::Read => 0,
        }
    }
}

/// When a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// The n-th of its kind from now on, counted from 1, once.
    Nth(u64),
    /// So many of a million, each.
    PerMillion(u32),
}

/// A rule that fails requests of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which kind.
    pub kind: Kind,
    /// Which of them.
    pub when: When,
}

/// Weights of what becomes of unsynced writes in a crash, of a million: the rest is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TornTail {
    /// Lost.
    pub lost_per_million: u32,
    /// Torn.
    pub torn_per_million: u32,
}

/// How a disk behaves. The default is a good and infinitely fast one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRules {
    /// Every request takes this long, in microseconds.
    pub latency_us: u64,
    /// And up to this much more.
    pub jitter_us: u64,
    /// A time in which nothing ends.
    pub stall: Option<Stall>,
    /// Requests that fail with EIO.
    pub failures: Vec<Failure>,
    /// Bytes that fit before there is no room.
    pub space_bytes: Option<u64>,
    /// What a crash leaves of unsynced writes.
    pub torn_tail: TornTail,
}

impl DiskRules {
    /// Whether this is a good disk.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        *self == Self::default()
    }
}

/// What a byte is flipped in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RotTarget {
    /// The log.
    Log,
    /// A slot of the fence.
    Fence,
    /// The mark.
    Mark,
    /// The body of a snapshot.
    Snapshot,
}

/// A byte of synced data that is to become another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rot {
    /// Where.
    pub target: RotTarget,
    /// Which of the target's bytes.
    pub offset: u64,
    /// Which bits of it; never zero.
    pub flip: u8,
}

/// Rules, and the luck by which they are interpreted.
#[derive(Clone, Debug)]
pub struct DiskFaults {
    rules: DiskRules,
    requests: Rng,
    crashes: Rng,
    rot: Rng,
    /// How many requests of each failure's kind were seen since the rules were set.
    seen: Vec<u64>,
    written_bytes: u64,
}

impl DiskFaults {
    /// A good disk with this luck.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let root = Rng::new(seed);
        // Streams of their own: a fault less in one concern does not reshuffle the others.
        Self {
            rules: DiskRules::default(),
            requests: root.fork(1),
            crashes: root.fork(2),
            rot: root.fork(3),
            seen: Vec::new(),
            written_bytes: 0,
        }
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> &DiskRules {
        &self.rules
    }

    /// Replaces the rules; their counters start anew.
    pub fn set_rules(&mut self, rules: DiskRules) {
        self.seen = vec![0; rules.failures.len()];
        self.written_bytes = 0;
        self.rules = rules;
    }

    /// Back to a good disk.
    pub fn heal(&mut self) {
        self.set_rules(DiskRules::default());
    }

    /// Whether nothing ends before the rules change.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.rules.stall == Some(Stall::UntilHealed)
    }

    /// What becomes of `request`. One that is stalled until the rules change has no fate yet: ask again then.
    pub fn decide(&mut self, request: Request) -> Fate {
        if self.is_stalled() {
            return Fate { delay_us: None, result: Verdict::Done, survives: Survival::Lost };
        }
        let jitter_us = if self.rules.jitter_us == 0 { 0 } else { self.requests.below(self.rules.jitter_us + 1) };
        let mut delay_us = self.rules.latency_us.saturating_add(jitter_us);
        if let Some(Stall::OnceUs(us)) = self.rules.stall {
            delay_us = delay_us.saturating_add(us);
            self.rules.stall = None;
        }
        let mut result = Verdict::Done;
        for (failure, seen) in self.rules.failures.iter().zip(&mut self.seen) {
            if failure.kind != request.kind() {
                continue;
            }
            *seen += 1;
            let fails = match failure.when {
                When::Nth(nth) => *seen == nth,
                When::PerMillion(share) => self.requests.chance_per_million(share),
            };
            if fails {
                result = Verdict::Failed;
            }
        }
        if let Some(space_bytes) = self.rules.space_bytes {
            let wanted = self.written_bytes.saturating_add(request.bytes());
            if request.bytes() > 0 && wanted > space_bytes {
                result = Verdict::NoSpace;
            } else {
                self.written_bytes = wanted;
            }
        }
        let survives = match (result, request.kind()) {
            (Verdict::Done, Kind::Read | Kind::Sync) => Survival::Kept,
            // A failed sync may have done its work or not (ATC'20, "Can applications recover from fsync failures?").
            (Verdict::Failed, Kind::Sync) if self.requests.chance(1, 2) => Survival::Kept,
            (Verdict::Done, _) => self.survival(),
            _ => Survival::Lost,
        };
        Fate { delay_us: Some(delay_us), result, survives }
    }

    fn survival(&mut self) -> Survival {
        let TornTail { lost_per_million, torn_per_million } = self.rules.torn_tail;
        let drawn = self.crashes.below(1_000_000);
        if drawn < u64::from(lost_per_million) {
            Survival::Lost
        } else if drawn < u64::from(lost_per_million) + u64::from(torn_per_million) {
            Survival::Torn
        } else {
            Survival::Kept
        }
    }

    /// What a crash leaves of `unsynced` writes, the oldest first. No write survives one that did not.
    pub fn crash(&mut self, unsynced: usize) -> Vec<Survival> {
        let mut fates = Vec::with_capacity(unsynced);
        while fates.len() < unsynced {
            let survival = self.survival();
            fates.push(survival);
            if survival != Survival::Kept {
                fates.resize(unsynced, Survival::Lost);
            }
        }
        fates
    }

    /// A byte of `target`, which has `length_bytes`, that is to rot; `None` when it is empty.
    pub fn rot(&mut self, target: RotTarget, length_bytes: u64) -> Option<Rot> {
        if length_bytes == 0 {
            return None;
        }
        let offset = self.rot.below(length_bytes);
        let flip = 1 << self.rot.below(8);
        Some(Rot { target, offset, flip })
    }
}
