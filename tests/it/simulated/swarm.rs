//! A few seeds of every profile; CI runs tens of thousands with `raft-tui sim`.

use raft_tui::sim::swarm::{self, Batch};
use raft_tui::sim::{Limits, Profile};

fn batch(profile: Profile, seeds: std::ops::Range<u64>) -> Batch {
    let mut batch = Batch::default();
    for seed in seeds {
        let ended = swarm::run(seed, profile, &Limits::default());
        if let Some((violation, at_us)) = &ended.violation {
            panic!("seed {seed} of {profile:?} at {at_us} us: {violation}");
        }
        batch.add(ended);
    }
    batch
}

#[test]
fn a_quiet_cluster_answers_and_stays_at_peace() {
    let batch = batch(Profile::Quiet, 0..10);
    assert_eq!(batch.faults, 0);
    assert!(batch.answered > 1_000, "{}", batch.answered);
}

#[test]
fn no_fault_of_the_network_breaks_a_rule() {
    assert!(batch(Profile::Network, 0..15).faults > 100);
}

#[test]
fn no_crash_breaks_a_rule() {
    assert!(batch(Profile::Crash, 0..15).faults > 50);
}

#[test]
fn no_bad_disk_breaks_a_rule() {
    assert!(batch(Profile::Disk, 0..15).faults > 50);
}

#[test]
fn all_faults_together_break_no_rule() {
    let batch = batch(Profile::Everything, 0..40);
    assert!(batch.faults > 1_000, "{}", batch.faults);
    let missing = batch.marks.missing();
    // A batch of two thousand must meet all; forty meet most.
    assert!(missing.len() < 25, "{:?}", missing.iter().map(|mark| mark.words()).collect::<Vec<_>>());
}

#[test]
fn every_number_of_nodes_works() {
    for nodes in 1..=7 {
        let limits = Limits { nodes: Some(nodes), events: Some(3_000), ..Limits::default() };
        let ended = swarm::run(100 + nodes, Profile::Everything, &limits);
        assert_eq!(ended.violation, None, "{nodes} nodes");
    }
}
