//! Doing what the list of faults says, and undoing it when its time is over.
//!
//! Kept true: as long as a run is within the model, disks that have lost something are fewer than a majority can do
//! without, so the last good copy is never taken.
//! Not here: which faults there are (`plan.rs`), the healing at the end (`liveness.rs`).

use super::fault::{DiskTrouble, FaultKind, Rotten, Whom};
use super::marks::Mark;
use super::world::{Happening, World};
use crate::check::Verdict;
use crate::raft::{Index, NodeId, Role};
use crate::storage::faults::{Failure, Kind, Stall, When};
use crate::transport::faults::{LinkRule, Links, Rules};

/// What is to be undone.
#[derive(Clone, Debug)]
pub(super) enum Heal {
    /// These directed links are clean again.
    Links(Vec<(NodeId, NodeId)>),
    /// A node goes on.
    Resume { host: usize, life: u64 },
    /// A clock is right again.
    Clock { host: usize },
    /// A disk is good again.
    Disk { host: usize },
}

impl World<'_> {
    fn find(&self, whom: Whom) -> Option<usize> {
        let count = self.hosts.len() as u64;
        match whom {
            Whom::Leader => self.leader(),
            Whom::Node(place) => Some((place % count) as usize),
            Whom::Follower(place) => {
                let leader = self.leader();
                let others: Vec<_> =
                    (0..self.hosts.len()).filter(|host| Some(*host) != leader && self.hosts[*host].is_up()).collect();
                others.get((place as usize).checked_rem(others.len())?).copied()
            }
        }
    }

    fn pairs(&self, covered: impl Fn(usize, usize) -> bool) -> Vec<(NodeId, NodeId)> {
        let count = self.hosts.len();
        let all = (0..count).flat_map(|from| (0..count).map(move |to| (from, to)));
        all.filter(|(from, to)| from != to && covered(*from, *to))
            .map(|(from, to)| (Self::id(from), Self::id(to)))
            .collect()
    }

    /// Puts a rule on links, for a while.
    fn rule(&mut self, pairs: Vec<(NodeId, NodeId)>, rule: LinkRule, for_us: u64) {
        let mut rules: Rules = self.net.rules().clone();
        for (from, to) in &pairs {
            rules.set(Links::One { from: *from, to: *to }, rule);
        }
        self.net.set_rules(rules);
        self.heal_later(for_us, Heal::Links(pairs));
    }

    fn heal_later(&mut self, for_us: u64, heal: Heal) {
        let era = self.era;
        self.after(for_us, Happening::Heal { heal, era });
    }

    /// The fault at `place` of the list happens.
    pub(super) fn strike(&mut self, place: usize) -> Verdict {
        if self.healing.has_begun() {
            return Ok(());
        }
        let fault = self.plan.faults[place];
        let leader = self.leader();
        self.faults += 1;
        self.trace.note([fault.number as u64]);
        self.trace.line(self.now_us, || fault);
        match fault.kind {
            FaultKind::Partition { sides } => {
                let side = |host: usize| sides >> host & 1;
                let pairs = self.pairs(|from, to| side(from) != side(to));
                self.rule(pairs, LinkRule::Cut { kind: None }, fault.for_us);
            }
            FaultKind::Isolate { whom, inward, outward } => {
                let Some(host) = self.find(whom) else { return Ok(()) };
                self.marks.hit_if(Mark::LeaderIsolated, leader == Some(host) && inward && outward);
                self.marks.hit_if(Mark::OneWayCut, inward != outward);
                let pairs = self.pairs(|from, to| (outward && from == host) || (inward && to == host));
                self.rule(pairs, LinkRule::Cut { kind: None }, fault.for_us);
            }
            FaultKind::CutLink { from, to, kind } => {
                let count = self.hosts.len();
                let (from, to) = (from as usize % count, to as usize % count);
                self.marks.hit_if(Mark::OneWayCut, kind.is_none() && from != to);
                let pairs = self.pairs(|sender, receiver| (sender, receiver) == (from, to));
                self.rule(pairs, LinkRule::Cut { kind }, fault.for_us);
            }
            FaultKind::Links { whom, rule } => {
                let host = whom.and_then(|whom| self.find(whom));
                let pairs = self.pairs(|from, to| host.is_none_or(|host| host == from || host == to));
                self.rule(pairs, rule, fault.for_us);
            }
            FaultKind::Crash { whom, power, after_outputs } => {
                let Some(host) = self.find(whom) else { return Ok(()) };
                if let Some(outputs) = after_outputs {
                    self.hosts[host].crash_after = Some((outputs, power, fault.for_us));
                    return Ok(());
                }
                return self.crash_for(host, power, Some(fault.for_us));
            }
            FaultKind::CrashAll { power } => {
                for host in 0..self.hosts.len() {
                    let more_us = self.timing.below(100_000);
                    self.crash_for(host, power, Some(fault.for_us + more_us))?;
                }
            }
            FaultKind::Pause { whom } => {
                let Some(host) = self.find(whom) else { return Ok(()) };
                self.marks.hit_if(Mark::PausedLeader, leader == Some(host));
                self.hosts[host].set_paused(true);
                let life = self.hosts[host].life;
                self.heal_later(fault.for_us, Heal::Resume { host, life });
            }
            FaultKind::Clock { whom, permille } => {
                let Some(host) = self.find(whom) else { return Ok(()) };
                self.marks.hit_if(Mark::ClockFast, permille < 1000);
                self.marks.hit_if(Mark::ClockSlow, permille > 1000);
                self.hosts[host].clock_permille = permille;
                self.heal_later(fault.for_us, Heal::Clock { host });
            }
            FaultKind::Disk { whom, trouble } => {
                let Some(host) = self.find(whom) else { return Ok(()) };
                self.spoil(host, trouble);
                self.heal_later(fault.for_us, Heal::Disk { host });
            }
            FaultKind::Rot { whom, what } => {
                let Some(host) = self.find(whom) else { return Ok(()) };
                return self.rot(host, what, fault.for_us);
            }
        }
        Ok(())
    }

    pub(super) fn spoil(&mut self, host: usize, trouble: DiskTrouble) {
        let mut rules = self.plan.disk.clone();
        let next = |kind| vec![Failure { kind, when: When::Nth(1) }];
        match trouble {
            DiskTrouble::Slow { latency_us } => rules.latency_us += latency_us,
            DiskTrouble::StallOnce { stall_us } => rules.stall = Some(Stall::OnceUs(stall_us)),
            DiskTrouble::Stall => rules.stall = Some(Stall::UntilHealed),
            DiskTrouble::FailSync => rules.failures = next(Kind::Sync),
            DiskTrouble::FailWrite => rules.failures = next(Kind::Write),
            DiskTrouble::FailSnapshot => rules.failures = next(Kind::SnapshotWrite),
            DiskTrouble::Full { space_bytes } => rules.space_bytes = Some(space_bytes),
        }
        self.hosts[host].disk_faults.set_rules(rules);
    }

    /// How many disks may have lost something at a time.
    fn spare(&self) -> usize {
        let count = self.hosts.len();
        if self.plan.beyond_model { count } else { count - (count / 2 + 1) }
    }

    /// Nodes that cannot be counted on: dead for good, or with less on their disks than they promised.
    pub(super) fn is_unsound(&self, host: usize) -> bool {
        let this = &self.hosts[host];
        this.dead || this.rotten || self.judge.is_quarantined(Self::id(host))
    }

    fn rot(&mut self, host: usize, what: Rotten, down_us: u64) -> Verdict {
        let unsound = (0..self.hosts.len()).filter(|other| *other != host && self.is_unsound(*other)).count();
        if unsound >= self.spare() {
            return Ok(());
        }
        self.crash_for(host, true, Some(down_us))?;
        let id = Self::id(host);
        self.judge.damaged(id);
        self.hosts[host].rotten = true;
        let disk = self.hosts[host].disk.clone();
        let (_, last, _) = disk.durable();
        let at = |permille: u64| Index(1 + last.index.0 * permille / 1000);
        match what {
            Rotten::Entry { permille } => {
                self.marks.hit_if(Mark::RotLogEntry, last.index > Index::ZERO);
                disk.rot_entry(at(permille));
            }
            Rotten::Tail { permille } => {
                self.marks.hit_if(Mark::RotLogTail, last.index >= at(permille));
                disk.lose_synced_from(at(permille));
            }
            Rotten::Snapshot => {
                self.marks.hit(Mark::RotSnapshot);
                disk.rot_snapshots();
            }
            Rotten::Fence => {
                disk.lose_fence();
                self.hosts[host].doomed = true;
            }
        }
        Ok(())
    }

    /// A fault's time is over.
    pub(super) fn heal(&mut self, heal: Heal) -> Verdict {
        match heal {
            Heal::Links(pairs) => {
                let mut rules = self.net.rules().clone();
                for (from, to) in pairs {
                    rules.heal(Links::One { from, to });
                }
                self.net.set_rules(rules);
                Ok(())
            }
            Heal::Resume { host, life } if self.hosts[host].life == life => self.resume(host),
            Heal::Resume { .. } => Ok(()),
            Heal::Clock { host } => {
                self.hosts[host].clock_permille = 1000;
                Ok(())
            }
            Heal::Disk { host } => self.mend_disk(host),
        }
    }

    pub(super) fn resume(&mut self, host: usize) -> Verdict {
        let was = self.hosts[host].is_paused();
        self.hosts[host].set_paused(false);
        self.marks.hit_if(Mark::ResumedWithBacklog, was && self.hosts[host].role() != Some(Role::Leader));
        self.turn_of_batch(host)
    }

    pub(super) fn mend_disk(&mut self, host: usize) -> Verdict {
        let rules = self.plan.disk.clone();
        self.marks.hit_if(Mark::DiskStalled, self.hosts[host].disk_faults.is_stalled());
        self.hosts[host].disk_faults.set_rules(rules);
        self.start_writing(host)
    }
}
