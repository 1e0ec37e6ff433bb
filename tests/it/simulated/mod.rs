//! Virtual time: whole clusters of real nodes, simulated disks, network, clocks and clients.

mod control_turmoil;
mod regressions;
mod replay;
mod swarm;
mod watched;
mod wire_turmoil;

use raft_tui::sim::{Ended, Limits, Plan, Profile, World};

/// Runs a seed and keeps its trace.
pub fn traced(seed: u64, profile: Profile) -> (Ended, Vec<String>) {
    let mut lines = Vec::new();
    let mut sink = |line: &str| lines.push(line.to_owned());
    let ended = World::new(Plan::draw(seed, profile, &Limits::default()), Some(&mut sink)).run();
    (ended, lines)
}
