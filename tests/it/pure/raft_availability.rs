//! How long a cluster takes no writes when links break (paper §5.2, §9.3; thesis 6.2, 9.6): bounds, in election timeouts.
//!
//! Every node is asked to take a command in every tick in which it leads; a tick in which nothing new is committed anywhere
//! is one without writes. Messages are under way for a tick. A timeout is the longest that a node may draw.

use std::collections::BTreeSet;

use raft_tui::raft::event::EventKind;
use raft_tui::raft::rng::Rng;
use raft_tui::raft::{NodeId, Options, Outcome};

use crate::support::cores::{Cores, n};

type Cut = (u64, u64);

/// The longest election timeout of the default options, in ticks.
fn timeout() -> u64 {
    2 * Options::new(n(1), raft_tui::raft::Configuration::first(1)).election_timeout_ticks
}

/// What became of the writes.
#[derive(Debug)]
struct Seen {
    longest_gap: u64,
    leaders: usize,
    campaigns: usize,
}

fn tick(cores: &mut Cores) {
    cores.tick_all(1);
    cores.deliver_where(|_| true);
}

fn count(cores: &Cores, what: &EventKind) -> usize {
    cores.nodes.values().flat_map(|node| &node.events).filter(|event| *event == what).count()
}

fn committed(cores: &Cores) -> u64 {
    cores.ids().into_iter().map(|id| cores.status(id).commit.0).max().unwrap_or(0)
}

/// n1 leads and everybody is level, at some moment between two heartbeats.
fn led_by_n1(count: u64, seed: u64) -> Cores {
    led_with(count, seed, |_| {})
}

fn led_with(count: u64, seed: u64, change: impl Fn(&mut Options)) -> Cores {
    let mut cores = Cores::seeded(count, seed, change);
    cores.recording = false;
    cores.elect(n(1));
    cores.propose(n(1), "first");
    for _ in 0..20 + Rng::new(seed).below(10) {
        tick(&mut cores);
    }
    assert!(cores.raft(n(1)).is_leader());
    cores
}

/// Time passes with these links cut, each one way.
fn watch(cores: &mut Cores, cuts: impl IntoIterator<Item = Cut>, ticks: u64) -> Seen {
    cores.cuts.extend(cuts.into_iter().map(|(from, to)| (n(from), n(to))));
    let before = [EventKind::BecameLeader, EventKind::BecameCandidate].map(|what| count(cores, &what));
    let (mut best, mut gap, mut longest_gap) = (committed(cores), 0, 0);
    for _ in 0..ticks {
        let leading: Vec<NodeId> = cores.ids().into_iter().filter(|id| cores.raft(*id).is_leader()).collect();
        for id in leading {
            cores.propose(id, "x");
        }
        tick(cores);
        let now = committed(cores);
        gap = if now > best { 0 } else { gap + 1 };
        best = now;
        longest_gap = longest_gap.max(gap);
    }
    let leaders = count(cores, &EventKind::BecameLeader) - before[0];
    let campaigns = count(cores, &EventKind::BecameCandidate) - before[1];
    Seen { longest_gap, leaders, campaigns }
}

fn both_ways(links: impl IntoIterator<Item = Cut>) -> Vec<Cut> {
    links.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

/// All links between different nodes, one way each.
fn links(count: u64) -> impl Iterator<Item = Cut> {
    (1..=count).flat_map(move |from| (1..=count).filter(move |to| *to != from).map(move |to| (from, to)))
}

/// The leader is with the minority. Two nodes that campaign at the same time may split the votes, which costs another
/// timeout: that happens, seldom, and no oftener than is said here.
#[test]
fn after_a_partition_the_majority_writes_within_two_timeouts_and_the_old_leader_gives_up_within_one() {
    let (mut runs, mut split, mut worst) = (0, 0, 0);
    for count in [3, 4, 5, 7] {
        for seed in 0..60 {
            let mut cores = led_by_n1(count, seed);
            let minority = (count - 1) / 2;
            let cuts: Vec<Cut> = links(count).filter(|(from, to)| (*from <= minority) != (*to <= minority)).collect();
            watch(&mut cores, cuts.clone(), timeout());
            assert!(!cores.raft(n(1)).is_leader(), "{count} nodes, seed {seed}: the old leader leads on");
            let ticket = cores.propose(n(1), "late");
            assert!(
                matches!(cores.answer(n(1), ticket), Some(Outcome::NotLeader { .. })),
                "{count} nodes, seed {seed}"
            );
            let mut cores = led_by_n1(count, seed);
            let seen = watch(&mut cores, cuts, 8 * timeout());
            let most = if seen.campaigns > 1 { 3 } else { 2 };
            assert!(seen.longest_gap <= most * timeout(), "{count} nodes, seed {seed}: {seen:?}");
            runs += 1;
            split += u64::from(seen.longest_gap > 2 * timeout());
            worst = worst.max(seen.longest_gap);
        }
    }
    assert!(split * 50 <= runs, "{split} of {runs} took longer than two timeouts");
    assert!(worst > timeout() / 2, "a leader that is cut off is missed: {worst}");
}

/// One link, or all links of one node in one direction; the Cloudflare shape is among them.
#[test]
fn links_cut_one_way_cost_at_most_three_timeouts_and_one_change_of_leader() {
    let mut changed = BTreeSet::new();
    for count in [3, 5] {
        let mut shapes: Vec<Vec<Cut>> =
            links(count).filter(|(from, to)| *from <= 3 && *to <= 3).map(|link| vec![link]).collect();
        for id in [1, 2] {
            shapes.push(links(count).filter(|(from, _)| *from == id).collect());
            shapes.push(links(count).filter(|(_, to)| *to == id).collect());
        }
        // A follower and the leader do not hear each other, all others hear both.
        shapes.push(both_ways([(1, 2)]));
        for shape in shapes {
            for seed in 0..12 {
                let mut cores = led_by_n1(count, seed);
                let seen = watch(&mut cores, shape.iter().copied(), 12 * timeout());
                assert!(
                    seen.longest_gap <= 3 * timeout() && seen.leaders <= 1,
                    "{count} nodes, seed {seed}, {shape:?}: {seen:?}"
                );
                changed.insert(seen.leaders);
            }
        }
    }
    assert_eq!(changed, BTreeSet::from([0, 1]));
}

/// What the bounds rest on: a leader that hears nobody is followed for ever where it need not hear a majority.
#[test]
fn without_check_quorum_a_leader_that_hears_nobody_ends_all_writes() {
    for seed in 0..12 {
        let mut cores = led_with(3, seed, |options| options.check_quorum = false);
        let seen = watch(&mut cores, links(3).filter(|(_, to)| *to == 1), 12 * timeout());
        assert!(seen.longest_gap > 11 * timeout() && seen.leaders == 0, "seed {seed}: {seen:?}");
    }
}

/// The leader hears a hub alone, and all hear the hub; or all hear their neighbours in a chain.
#[test]
fn where_each_hears_only_some_writes_go_on_within_four_timeouts() {
    let mut elected = 0;
    for (count, hub) in [(5, Some(3)), (7, Some(2)), (3, None), (5, None)] {
        let heard = |one: u64, other: u64| match hub {
            Some(hub) => one == hub || other == hub,
            None => one.abs_diff(other) == 1,
        };
        let cuts: Vec<Cut> = links(count).filter(|(from, to)| !heard(*from, *to)).collect();
        for seed in 0..40 {
            let mut cores = led_by_n1(count, seed);
            let seen = watch(&mut cores, cuts.iter().copied(), 12 * timeout());
            assert!(seen.longest_gap <= 4 * timeout(), "{count} nodes, hub {hub:?}, seed {seed}: {seen:?}");
            elected += seen.leaders;
        }
    }
    assert!(elected > 100, "{elected}");
}
