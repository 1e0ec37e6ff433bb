//! A seed is a run: the same trace, byte for byte, every time.

use raft_tui::sim::plan::Plan;
use raft_tui::sim::swarm::{run, shrink};
use raft_tui::sim::{Limits, Profile};

use super::traced;

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..12 {
        let (first, lines) = traced(seed, Profile::Everything);
        let (second, again) = traced(seed, Profile::Everything);
        assert_eq!(lines, again, "seed {seed}");
        assert_eq!((first.fingerprint, first.events), (second.fingerprint, second.events), "seed {seed}");
        assert!(!lines.is_empty());
    }
}

#[test]
fn a_run_nobody_watches_is_the_same_run() {
    for seed in 0..12 {
        let watched = traced(seed, Profile::Everything).0;
        let alone = run(seed, Profile::Everything, &Limits::default());
        assert_eq!((watched.fingerprint, watched.events), (alone.fingerprint, alone.events), "seed {seed}");
    }
}

#[test]
fn other_seeds_are_other_runs() {
    let fingerprints: std::collections::BTreeSet<u64> =
        (0..20).map(|seed| run(seed, Profile::Crash, &Limits::default()).fingerprint).collect();
    assert_eq!(fingerprints.len(), 20);
}

/// Cutting a fault out leaves the others as they were drawn.
#[test]
fn faults_keep_their_numbers_when_others_go() {
    let all = Plan::draw(3, Profile::Everything, &Limits::default()).faults;
    let keep: Vec<usize> = all.iter().map(|fault| fault.number).filter(|number| number % 3 == 0).collect();
    let some = Plan::draw(3, Profile::Everything, &Limits { keep: Some(keep), ..Limits::default() }).faults;
    assert!(!some.is_empty());
    assert!(some.iter().all(|fault| all[fault.number] == *fault));
}

#[test]
fn a_seed_that_breaks_nothing_is_not_shrunk() {
    assert!(shrink(1, Profile::Quiet, &Limits::default(), 10).is_none());
}
