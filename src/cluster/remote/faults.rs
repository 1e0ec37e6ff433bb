//! The faults of this console: rule lists on many nodes, each a lease there.
//!
//! A fault is on every node that it touches, or on none: if one of them refuses it, it is taken from the others again. A
//! node that was not there, or started again, gets it when it is back, for as long as the fault is to last.
//!
//! Kept true: what is in force is what nodes report, never what is kept here; a fault is renewed only up to the time that
//! was asked for; one that somebody healed is not put back.
//! Not here: leases (`control/leases.rs`), the operator's words (`operations.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::control::protocol::Fault;
use crate::control::protocol::Picture;
use crate::control::{ActiveFault, LinkRule, LinkState, Links};
use crate::raft::{Epoch, NodeId};
use crate::transport::faults::Rules;

/// How long a lease runs that is renewed for as long as the session lives.
pub(super) const RENEWED_LEASE: Duration = Duration::from_mins(1);

/// A node that did not take a fault is not asked again before this.
const AGAIN_AFTER: Duration = Duration::from_secs(3);

/// A lease that a node does not report so long after it was put there was healed by somebody.
const REPORTED_WITHIN: Duration = Duration::from_secs(2);

/// Where a fault was put, and until when it holds there.
#[derive(Clone, Copy, Debug)]
struct Placed {
    epoch: Epoch,
    at: Instant,
    until: Instant,
    taken: bool,
}

/// A fault of this console.
#[derive(Clone, Debug)]
pub(super) struct OwnFault {
    pub(super) number: u64,
    pub(super) text: String,
    pub(super) links: Vec<(Links, LinkRule)>,
    pub(super) disk_delay_us: Option<u64>,
    /// Which nodes it touches.
    pub(super) nodes: BTreeSet<NodeId>,
    /// When it ends; `None`: it stays until it is healed.
    pub(super) until: Option<Instant>,
    placed: BTreeMap<NodeId, Placed>,
    /// Nodes were asked to take it, and have not all answered.
    pub(super) settling: bool,
}

impl OwnFault {
    fn lease(&self) -> Duration {
        self.until.map_or(RENEWED_LEASE, |until| until.saturating_duration_since(Instant::now()))
    }

    /// As it goes to a node now.
    pub(super) fn wish(&self) -> Fault {
        Fault {
            number: self.number,
            text: self.text.clone(),
            links: self.links.clone(),
            disk_delay_us: self.disk_delay_us,
            ttl_ms: (self.lease().as_millis() as u64).max(1),
        }
    }

    /// A node was asked to take it, or has answered.
    pub(super) fn place(&mut self, node: NodeId, epoch: Epoch, taken: bool) {
        let at = Instant::now();
        self.placed.insert(node, Placed { epoch, at, until: at + self.lease(), taken });
    }

    /// Whether a node, in the life in which it is now, should be asked to take it or to keep it longer.
    fn is_due(&self, node: NodeId, epoch: Epoch) -> bool {
        let Some(placed) = self.placed.get(&node).filter(|placed| placed.epoch == epoch) else { return true };
        if !placed.taken {
            return placed.at.elapsed() >= AGAIN_AFTER;
        }
        self.until.is_none() && placed.until.saturating_duration_since(Instant::now()) < RENEWED_LEASE / 2
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct OwnFaults {
    numbers: u64,
    pub(super) all: Vec<OwnFault>,
}

impl OwnFaults {
    /// A new one, to be put in force.
    pub(super) fn add(
        &mut self,
        text: String,
        links: Vec<(Links, LinkRule)>,
        disk_delay_us: Option<u64>,
        nodes: BTreeSet<NodeId>,
        ttl: Option<Duration>,
    ) -> u64 {
        self.numbers += 1;
        let until = ttl.map(|ttl| Instant::now() + ttl);
        let (number, placed) = (self.numbers, BTreeMap::new());
        self.all.push(OwnFault { number, text, links, disk_delay_us, nodes, until, placed, settling: true });
        number
    }

    pub(super) fn get(&mut self, number: u64) -> Option<&mut OwnFault> {
        self.all.iter_mut().find(|fault| fault.number == number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<OwnFault> {
        let place = self.all.iter().position(|fault| fault.number == number)?;
        Some(self.all.remove(place))
    }

    /// Faults that are over by themselves are forgotten, and those that somebody has healed.
    pub(super) fn forget_healed(&mut self, session: u128, pictures: &BTreeMap<NodeId, std::sync::Arc<Picture>>) {
        let now = Instant::now();
        self.all.retain(|fault| fault.until.is_none_or(|until| until > now));
        self.all.retain(|fault| {
            let healed = fault.placed.iter().any(|(node, placed)| {
                let settled = placed.taken && placed.at.elapsed() > REPORTED_WITHIN && placed.until > now;
                let reported = |picture: &Picture| {
                    picture.view.epoch != placed.epoch
                        || picture.faults.iter().any(|one| (one.session, one.number) == (session, fault.number))
                };
                settled && pictures.get(node).is_some_and(|picture| !reported(picture))
            });
            fault.settling || !healed
        });
    }

    /// What is to be put on which nodes now, of those that are there in these lives.
    pub(super) fn due(&mut self, live: &BTreeMap<NodeId, Epoch>) -> Vec<(NodeId, Fault)> {
        let mut due = Vec::new();
        for fault in self.all.iter_mut().filter(|fault| !fault.settling) {
            let nodes: Vec<_> = live.iter().filter(|(node, _)| fault.nodes.contains(node)).collect();
            for (node, epoch) in nodes {
                if fault.is_due(*node, *epoch) {
                    // Not asked again before there was time for an answer.
                    fault.place(*node, *epoch, false);
                    due.push((*node, fault.wish()));
                }
            }
        }
        due
    }

    /// Nodes have stood still: what they held may have ended meanwhile.
    pub(super) fn put_again(&mut self, stood_still: impl Fn(NodeId) -> bool) {
        for fault in &mut self.all {
            fault.placed.retain(|node, _| !stood_still(*node));
        }
    }

    /// Takes rules of some links out: all, or those of one sort. Gives what changed: `true` for what is left to be put
    /// again, `false` for what is to be healed.
    pub(super) fn thin(&mut self, members: &[NodeId], links: Links, sort: Option<LinkRule>) -> Vec<(OwnFault, bool)> {
        let mut changed = Vec::new();
        self.all.retain_mut(|fault| {
            if fault.links.is_empty() {
                return true;
            }
            let mut rules = Rules::new(members.iter().copied(), 0);
            for (links, rule) in &fault.links {
                rules.set(*links, *rule);
            }
            let before: Vec<_> = rules.list().collect();
            match sort {
                None => rules.heal(links),
                Some(nothing) => rules.set(links, nothing),
            }
            let after: Vec<_> = rules.list().collect();
            if before == after {
                return true;
            }
            let left = !after.is_empty();
            fault.links = after;
            changed.push((fault.clone(), left));
            left
        });
        changed
    }
}

/// Whether a rule does nothing, so that it takes away what was there of its sort.
pub(super) const fn is_nothing(rule: LinkRule) -> bool {
    match rule {
        LinkRule::Cut { .. } => false,
        LinkRule::Delay { delay_us, jitter_us } => delay_us == 0 && jitter_us == 0,
        LinkRule::Loss { per_million } | LinkRule::Duplicate { per_million } | LinkRule::Reorder { per_million } => {
            per_million == 0
        }
    }
}

/// The nodes that rules touch.
pub(super) fn touched(members: &[NodeId], rules: &[(Links, LinkRule)]) -> BTreeSet<NodeId> {
    let touches = |node: &NodeId| {
        let other = |other: &NodeId| {
            node != other && rules.iter().any(|(links, _)| links.covers(*node, *other) || links.covers(*other, *node))
        };
        members.iter().any(other)
    };
    members.iter().copied().filter(touches).collect()
}

/// Whether no node could reach a majority over links that pass everything, in both directions.
pub(super) fn takes_quorum(members: &[NodeId], in_force: &[LinkState], new: &[(Links, LinkRule)]) -> bool {
    let mut rules = Rules::new(members.iter().copied(), 0);
    let in_force = in_force.iter().map(|state| (state.links, state.rule));
    for (links, rule) in in_force.chain(new.iter().copied()) {
        rules.set(links, rule);
    }
    let reaches = |node: NodeId| {
        let open = |other: &&NodeId| **other == node || !(rules.is_cut(node, **other) || rules.is_cut(**other, node));
        members.iter().filter(open).count()
    };
    !members.iter().any(|node| reaches(*node) > members.len() / 2)
}

/// Faults as they are shown: what nodes report, the same one once.
#[derive(Debug, Default)]
pub(super) struct Reported {
    /// Number, and since when in console time, by session and number there.
    seen: BTreeMap<(u128, u64), (u64, u64)>,
    numbers: u64,
}

impl Reported {
    /// Merges what the nodes report. Gives the faults, and in words what came and went.
    pub(super) fn merge(
        &mut self,
        pictures: &[std::sync::Arc<Picture>],
        old: &[ActiveFault],
        now_us: u64,
    ) -> (Vec<ActiveFault>, Vec<String>) {
        let mut merged: BTreeMap<(u128, u64), ActiveFault> = BTreeMap::new();
        for fault in pictures.iter().flat_map(|picture| &picture.faults) {
            let key = (fault.session, fault.number);
            let (number, since_us) = *self.seen.entry(key).or_insert_with(|| {
                self.numbers += 1;
                (self.numbers, now_us)
            });
            let left_us = fault.left_ms.saturating_mul(1_000);
            let active = merged.entry(key).or_insert_with(|| ActiveFault {
                number,
                text: fault.text.clone(),
                since_us,
                left_us: None,
                by: Some(fault.by.clone()),
            });
            active.left_us = active.left_us.max(Some(left_us));
        }
        self.seen.retain(|key, _| merged.contains_key(key));
        let mut faults: Vec<_> = merged.into_values().collect();
        faults.sort_by_key(|fault| fault.number);
        let has = |list: &[ActiveFault], number| list.iter().any(|fault| fault.number == number);
        let came = faults.iter().filter(|fault| !has(old, fault.number)).map(|fault| fault.text.clone());
        let went =
            old.iter().filter(|fault| !has(&faults, fault.number)).map(|fault| format!("healed: {}", fault.text));
        let told = came.chain(went).collect();
        (faults, told)
    }
}
