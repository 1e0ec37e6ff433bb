//! Many seeds, and making a failing one small (delta debugging).
//!
//! Kept true: shrinking keeps only what still breaks the same property; its result is a command line.
//! Not here: threads and progress bars (`cli/sim.rs`).

use super::marks::Marks;
use super::plan::{Limits, Plan, Profile};
use super::world::{Ended, World};
use crate::check::Property;

/// Runs one seed.
#[must_use]
pub fn run(seed: u64, profile: Profile, limits: &Limits) -> Ended {
    World::new(Plan::draw(seed, profile, limits), None).run()
}

/// What many seeds came to.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// How many.
    pub seeds: u64,
    /// Events in all.
    pub events: u64,
    /// Faults in all.
    pub faults: u64,
    /// Virtual time in all, in microseconds.
    pub virtual_us: u64,
    /// Answered operations in all.
    pub answered: u64,
    /// Situations met.
    pub marks: Marks,
    /// Those in which something was found.
    pub failed: Vec<Ended>,
}

impl Batch {
    /// One more.
    pub fn add(&mut self, ended: Ended) {
        self.seeds += 1;
        self.events += ended.events;
        self.faults += ended.faults;
        self.virtual_us += ended.virtual_us;
        self.answered += ended.answered;
        self.marks.add(&ended.marks);
        if ended.violation.is_some() {
            self.failed.push(ended);
        }
    }
}

/// A failing run made small.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What it takes.
    pub limits: Limits,
    /// How many faults are left.
    pub faults: usize,
    /// How many runs it took.
    pub runs: u64,
    /// The small run.
    pub ended: Ended,
}

struct Shrinker {
    seed: u64,
    profile: Profile,
    property: Property,
    runs: u64,
    runs_max: u64,
}

impl Shrinker {
    fn fails(&mut self, limits: &Limits) -> Option<Ended> {
        if self.runs >= self.runs_max {
            return None;
        }
        self.runs += 1;
        let ended = run(self.seed, self.profile, limits);
        ended.violation.as_ref().is_some_and(|(violation, _)| violation.property == self.property).then_some(ended)
    }
}

/// Takes away what a failing seed does not need: faults, nodes, clients, operations. `None` when it does not fail.
#[must_use]
pub fn shrink(seed: u64, profile: Profile, limits: &Limits, runs_max: u64) -> Option<Shrunk> {
    let first = run(seed, profile, limits);
    let property = first.violation.as_ref()?.0.property;
    let failed_at_us = first.virtual_us;
    let mut shrinker = Shrinker { seed, profile, property, runs: 1, runs_max };
    let mut best = limits.clone();
    let mut ended = first;
    // What had not happened yet when it failed has no part in it.
    let plan = Plan::draw(seed, profile, limits);
    let mut keep: Vec<usize> =
        plan.faults.iter().filter(|fault| fault.at_us <= failed_at_us).map(|fault| fault.number).collect();
    let mut pieces = 1;
    while !keep.is_empty() && pieces <= keep.len() {
        let size = keep.len().div_ceil(pieces);
        let smaller = keep.chunks(size).enumerate().find_map(|(place, _)| {
            let without: Vec<usize> =
                keep.iter().enumerate().filter(|(at, _)| at / size != place).map(|(_, number)| *number).collect();
            let tried = Limits { keep: Some(without.clone()), ..best.clone() };
            shrinker.fails(&tried).map(|ended| (without, tried, ended))
        });
        match smaller {
            Some((without, tried, found)) => {
                (keep, best, ended) = (without, tried, found);
                pieces = pieces.saturating_sub(1).max(1);
            }
            None if pieces == keep.len() => break,
            None => pieces = (pieces * 2).min(keep.len()),
        }
    }
    for nodes in 1..plan.nodes {
        let tried = Limits { nodes: Some(nodes), ..best.clone() };
        if let Some(found) = shrinker.fails(&tried) {
            (best, ended) = (tried, found);
            break;
        }
    }
    for clients in 1..plan.clients {
        let tried = Limits { clients: Some(clients), ..best.clone() };
        if let Some(found) = shrinker.fails(&tried) {
            (best, ended) = (tried, found);
            break;
        }
    }
    let mut most = ended.answered;
    while most > 0 {
        let tried = Limits { operations: Some(most / 2), ..best.clone() };
        let Some(found) = shrinker.fails(&tried) else { break };
        (best, ended) = (tried, found);
        most /= 2;
    }
    Some(Shrunk { faults: keep.len(), limits: best, runs: shrinker.runs, ended })
}
