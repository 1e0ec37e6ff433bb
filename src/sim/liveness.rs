//! After the faults: a majority is healed, the rest stays dead or cut off for ever, and the majority must work again.
//!
//! It must elect a leader, bring all its members up to date with equal machines, take its members out of quarantine and
//! accept fresh writes, all within a bound of virtual time; and then stay at peace: nobody campaigns where nothing is
//! wrong (paper §5.6, §9.3).
//!
//! Kept true: who belongs to the healed core is drawn, but its sound members are a majority.
//! Not here: safety (`check/`), which holds all the time.

use super::fault::DiskTrouble;
use super::host::Host;
use super::marks::Mark;
use super::plan::{Concern, Plan};
use super::world::{Happening, World};
use crate::check::{Property, Verdict, broken};
use crate::machine::kv::{KvQuery, KvReply, LIST_MAX};
use crate::raft::rng::Rng;
use crate::raft::{Index, NodeId, Status, Term};
use crate::transport::faults::{LinkRule, Links, Rules};

/// Virtual time in which a healed core must work again, in microseconds.
const BOUND_US: u64 = 20_000_000;

/// How often it is looked at.
const LOOK_US: u64 = 50_000;

/// How long nobody may campaign after that.
const PEACE_US: u64 = 700_000;

/// Fresh writes that must be acknowledged.
const PROBES: u64 = 2;

/// The second phase of a run.
pub(super) struct Healing {
    luck: Rng,
    begun_us: Option<u64>,
    core: Vec<usize>,
    /// A member of the core whose disk never answers again: it may follow, but not lead.
    lame: Option<usize>,
    /// When the last message of before has arrived: one that took long may bring a higher term, once.
    quiet_from_us: u64,
    /// The core can be asked to work.
    demanded: bool,
    /// Since when, and in which term, all is well.
    well: Option<(u64, Term)>,
}

impl Healing {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            luck: plan.luck(Concern::Healing),
            begun_us: None,
            core: Vec::new(),
            lame: None,
            quiet_from_us: 0,
            demanded: false,
            well: None,
        }
    }

    pub(super) fn has_begun(&self) -> bool {
        self.begun_us.is_some()
    }

    /// The core's leader, or somebody of the core.
    pub(super) fn whom_to_ask(&mut self, hosts: &[Host]) -> Option<usize> {
        let leader = self
            .core
            .iter()
            .copied()
            .filter(|host| Some(*host) != self.lame && hosts[*host].leads().is_some())
            .max_by_key(|host| hosts[*host].leads());
        let anybody = self.luck.below(self.core.len().max(1) as u64) as usize;
        leader.or_else(|| self.core.get(anybody).copied())
    }
}

impl World<'_> {
    /// No more faults: a core is chosen and healed.
    pub(super) fn begin_healing(&mut self) -> Verdict {
        self.era += 1;
        self.healing.begun_us = Some(self.now_us);
        self.healing.quiet_from_us = self.last_delivery_us();
        let count = self.hosts.len();
        let majority = count / 2 + 1;
        let mut sound: Vec<usize> = (0..count).filter(|host| !self.is_unsound(*host)).collect();
        self.healing.demanded = sound.len() >= majority;
        let mut core = Vec::new();
        while core.len() < majority && !sound.is_empty() {
            let place = self.healing.luck.below(sound.len() as u64) as usize;
            core.push(sound.swap_remove(place));
        }
        for host in 0..count {
            if !core.contains(&host)
                && !self.hosts[host].dead
                && !self.hosts[host].doomed
                && self.healing.luck.chance(2, 3)
            {
                core.push(host);
            }
        }
        core.sort_unstable();
        let sound_core = core.iter().filter(|host| !self.is_unsound(**host)).count();
        self.marks.hit_if(Mark::CoreSmallerThanCluster, core.len() < count && self.healing.demanded);
        let names: Vec<String> = core.iter().map(|host| Self::id(*host).to_string()).collect();
        self.trace.line(self.now_us, || format!("healed: {}", names.join(" ")));
        let mut rules = Rules::new((0..count).map(Self::id), self.plan.base_delay_us);
        // A node that hears nobody and can still speak must not disturb; that takes both protections.
        let protected = self.plan.options.pre_vote && self.plan.options.check_quorum;
        for host in (0..count).filter(|host| !core.contains(host)) {
            rules.set(Links::Of(Self::id(host)), LinkRule::Cut { kind: None });
            if protected && self.healing.luck.chance(1, 2) {
                for to in core.iter().map(|to| Self::id(*to)) {
                    rules.heal(Links::One { from: Self::id(host), to });
                }
            }
        }
        if sound_core > majority && self.healing.luck.chance(1, 4) {
            let place = self.healing.luck.below(core.len() as u64) as usize;
            self.healing.lame = Some(core[place]);
            self.marks.hit(Mark::CoreWithStalledDisk);
        }
        self.net.set_rules(rules);
        self.healing.core.clone_from(&core);
        for host in 0..count {
            self.hosts[host].clock_permille = 1000;
            self.hosts[host].crash_after = None;
            if core.contains(&host) {
                self.mend_disk(host)?;
                self.resume(host)?;
                let life = self.hosts[host].life;
                let wait_us = self.healing.luck.below(200_000);
                self.after(wait_us, Happening::Start { host, life });
            } else if self.healing.luck.chance(1, 2) {
                self.crash_for(host, true, None)?;
            }
        }
        if let Some(lame) = self.healing.lame {
            self.spoil(lame, DiskTrouble::Stall);
        }
        self.after(LOOK_US, Happening::Look);
        Ok(())
    }

    /// Is all well?
    pub(super) fn look(&mut self) -> Verdict {
        let Some(begun_us) = self.healing.begun_us else { return Ok(()) };
        let waited_us = self.now_us - begun_us;
        if !self.healing.demanded {
            if waited_us > 2_000_000 {
                return self.end();
            }
            self.look_again();
            return Ok(());
        }
        let trouble = self.trouble();
        match (trouble, self.healing.well) {
            // What may still bring a higher term has a right to.
            (None, None) if waited_us < BOUND_US && !self.is_quiet() => {}
            (None, None) => {
                let term = self.highest_term();
                self.healing.well = Some((self.now_us, term));
            }
            (None, Some((since_us, term))) => {
                let now = self.highest_term();
                if now != term {
                    return broken(Property::Liveness, || format!("term {term} rises to {now}, and nothing is wrong"));
                }
                if self.now_us - since_us >= PEACE_US {
                    return self.end();
                }
            }
            (Some(_), Some((_, term))) if self.highest_term() != term => {
                let now = self.highest_term();
                return broken(Property::Liveness, || format!("term {term} rises to {now}, and nothing is wrong"));
            }
            (Some(why), None) if waited_us >= BOUND_US => {
                return broken(Property::Liveness, || {
                    format!("{} s after healing {:?}: {why}", waited_us / 1_000_000, self.core_ids())
                });
            }
            // Not yet; or a probe is on its way.
            (Some(_), _) => {}
        }
        self.look_again();
        Ok(())
    }

    /// Nothing from before the healing can raise a term any more: no message is under way, and whoever cannot lead has
    /// brought the term that its disk had.
    fn is_quiet(&self) -> bool {
        let term = |host: usize| self.hosts[host].node().map(|node| node.status().hard_state.current_term);
        self.now_us > self.healing.quiet_from_us
            && self.healing.lame.is_none_or(|lame| term(lame).is_some_and(|term| term <= self.highest_term()))
    }

    fn look_again(&mut self) {
        self.after(LOOK_US, Happening::Look);
        if self.workload.probes_answered() < PROBES || self.healing.well.is_none() {
            let client = self.plan.clients as usize;
            self.act(client);
        }
    }

    fn core_ids(&self) -> Vec<NodeId> {
        self.healing.core.iter().map(|host| Self::id(*host)).collect()
    }

    fn highest_term(&self) -> Term {
        let members = self.healing.core.iter().filter(|host| Some(**host) != self.healing.lame);
        let terms = members.filter_map(|host| self.hosts[*host].node());
        terms.map(|node| node.status().hard_state.current_term).max().unwrap_or_default()
    }

    /// Why the core does not work yet.
    fn trouble(&self) -> Option<String> {
        let mut all: Vec<Status> = Vec::new();
        for host in self.healing.core.iter().filter(|host| Some(**host) != self.healing.lame) {
            match self.hosts[*host].node() {
                None => return Some(format!("{} is down", Self::id(*host))),
                Some(node) => all.push(node.status()),
            }
        }
        let told = |status: &Status| {
            format!(
                "{} {} term {} leader {:?} last {} commit {} applied {}{}",
                status.id,
                status.role.name(),
                status.hard_state.current_term,
                status.leader,
                status.last,
                status.commit,
                status.applied,
                if status.quarantined { " quarantined" } else { "" }
            )
        };
        let leader = all.iter().map(|status| status.leader).next().flatten();
        let settled = leader.is_some()
            && leader != self.healing.lame.map(Self::id)
            && all.iter().all(|status| status.leader == leader);
        let whole = all.iter().all(|status| !status.quarantined);
        let (applied, digest) = all.first().map(|status| (status.applied, status.digest))?;
        let level = all.iter().all(|s| (s.applied, s.commit, s.digest) == (applied, applied, digest));
        let probed = self.workload.probes_answered() >= PROBES;
        if settled && whole && level && probed {
            return None;
        }
        let lines: Vec<_> = all.iter().map(told).collect();
        Some(format!("{} probes answered; {}", self.workload.probes_answered(), lines.join("; ")))
    }

    /// Nobody leads whom no majority answers.
    fn nobody_leads_alone(&self) -> Verdict {
        let alone = (0..self.hosts.len()).find(|host| {
            !self.healing.core.contains(host) && !self.hosts[*host].is_paused() && self.hosts[*host].leads().is_some()
        });
        match alone {
            Some(host) if self.healing.demanded && self.plan.options.check_quorum => broken(Property::Liveness, || {
                format!("{} still leads, and nobody has answered it since the others were healed", Self::id(host))
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// The last looks at everything.
    fn end(&mut self) -> Verdict {
        self.nobody_leads_alone()?;
        self.judge.durability()?;
        let query = KvQuery::List { prefix: bytes::Bytes::new(), limit: LIST_MAX };
        for host in &self.hosts {
            let Some(node) = host.node() else { continue };
            let applied: Index = node.status().applied;
            let given = KvReply::decode(&node.machine().query(&query.encode()));
            let right = self.judge.right_answer(applied, &query);
            if given.as_ref() != Ok(&right) {
                let id = host.id;
                return broken(Property::StateMachineSafety, || {
                    format!("the machine of {id} at {applied} holds {given:?}, right is {right:?}")
                });
            }
        }
        self.search_histories()?;
        self.finish();
        Ok(())
    }
}
