//! Clients that look at what one node has, whoever leads and whatever is cut (local reads).
//!
//! They change nothing, so they draw from a stream of luck of their own and what happens besides is the same without them.
//! They ask between two turns, as the driver answers them; a node that is down or paused answers nobody.
//!
//! Kept true: whatever is answered is judged at once.
//! Not here: reads that are linearizable (`workload.rs`).

use super::marks::Mark;
use super::plan::{Concern, Plan};
use super::world::{Happening, World};
use crate::check::{Property, Verdict, broken};
use crate::machine::kv::KvQuery;
use crate::node::ClientOutcome;
use crate::raft::Index;
use crate::raft::rng::Rng;

/// Who looks, and how often.
pub(super) struct Glances {
    luck: Rng,
    every_us: u64,
}

impl Glances {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut luck = plan.luck(Concern::LocalReads);
        let every_us = 10_000 << luck.below(5);
        Self { luck, every_us }
    }
}

impl World<'_> {
    pub(super) fn glance_later(&mut self) {
        let glances = &mut self.glances;
        let wait_us = 1 + glances.luck.below(2 * glances.every_us);
        self.after(wait_us, Happening::Glance);
    }

    /// Somebody asks a node for what it has.
    pub(super) fn glance(&mut self) -> Verdict {
        self.glance_later();
        let luck = &mut self.glances.luck;
        let place = luck.below(self.hosts.len() as u64) as usize;
        let slot = luck.below(self.plan.keys);
        let query = match luck.below(8) {
            0 => KvQuery::List { prefix: format!("k{slot}").into(), limit: 1 + luck.below(6) },
            choice => KvQuery::Get { key: self.workload.key(slot, if choice < 3 { 'c' } else { 'k' }) },
        };
        let host = &self.hosts[place];
        let Some(node) = host.node().filter(|_| !host.is_paused()) else { return Ok(()) };
        let id = Self::id(place);
        let outcome = node.read_local(&query.encode());
        let ClientOutcome::Value { index, reply } = outcome else {
            return broken(Property::LocalReads, || format!("{id} answers a local read with {outcome:?}"));
        };
        self.marks.hit(Mark::LocalRead);
        self.marks.hit_if(Mark::LocalReadBehind, index < self.judge.frontier());
        self.marks.hit_if(Mark::LocalReadAlone, node.status().leader.is_none());
        self.marks.hit_if(Mark::LocalReadOfNewLife, index == Index::ZERO && self.judge.frontier() > Index::ZERO);
        self.judge.local_read(id, &query, index, &reply)
    }
}
