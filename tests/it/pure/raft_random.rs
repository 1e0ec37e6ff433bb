//! Random walks over a cluster of cores: messages are lost, doubled and reordered, nodes crash and lose what was not
//! synced, disks and machines stall, links break; the laws of `support/laws.rs` hold after every step. Then everything
//! heals, and the cluster must elect, take a command, and come to rest with equal machines.
//!
//! `RAFT_SEEDS=20000 cargo test --release --test it pure::raft_random` walks more; `RAFT_SEED=7 …` repeats one walk and
//! prints its transcript when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use raft_tui::raft::event::EventKind;
use raft_tui::raft::rng::Rng;
use raft_tui::raft::{Index, NodeId, Outcome, Role};

use crate::support::cores::Cores;
use crate::support::telling::picture;

const STEPS: u64 = 2_500;

/// How often each kind of trouble comes, in 10,000 steps; a walk has about half of the kinds.
struct Troubles {
    drop: u64,
    double: u64,
    reorder: u64,
    crash: u64,
    hold_disk: u64,
    hold_machine: u64,
    cut: u64,
    rot: u64,
    skew: u64,
    /// Of 100 steps, so many are ticks; the fewer, the faster is the network.
    ticks: u64,
    /// Links that broke heal once in so many steps.
    heal: u64,
    /// A disk that is held syncs once in so many steps of its node.
    sync: u64,
}

impl Troubles {
    fn draw(rng: &mut Rng) -> Self {
        let ticks = 10 + rng.below(50);
        let heal = 50 + rng.below(400);
        let sync = [3, 12, 60, 400][rng.below(4) as usize];
        let mut rate = |most: u64| if rng.chance(1, 2) { rng.below(most) } else { 0 };
        Self {
            drop: rate(1_000),
            double: rate(800),
            reorder: rate(6_000),
            crash: rate(150),
            hold_disk: rate(200),
            hold_machine: rate(120),
            cut: rate(150),
            rot: rate(30),
            skew: rate(4_000),
            ticks,
            heal,
            sync,
        }
    }
}

fn cluster(seed: u64, rng: &mut Rng) -> Cores {
    let count = [1, 2, 3, 3, 3, 3, 4, 5, 5, 5][rng.below(10) as usize];
    let pre_vote = rng.chance(3, 4);
    let check_quorum = rng.chance(3, 4);
    let election = 4 + rng.below(12);
    let small = rng.chance(2, 3);
    let entries = 1 + rng.below(4) as usize;
    let window = 1 + rng.below(4) as usize;
    let chunk = 1 + rng.below(64) as usize;
    let keep = rng.below(8);
    let every = 2 + rng.below(30);
    let uncommitted = 200 + rng.below(4_000);
    Cores::seeded(count, seed, move |options| {
        options.election_timeout_ticks = election;
        options.heartbeat_ticks = 1 + election / 6;
        options.disk_stall_ticks = 2 * election;
        options.pre_vote = pre_vote;
        options.check_quorum = check_quorum;
        if small {
            options.append_entries_max = entries;
            options.window_messages = window;
            options.uncommitted_bytes_max = uncommitted;
        }
        options.chunk_bytes = chunk;
        options.keep_entries = keep;
        options.snapshot_entries = every;
        options.apply_bytes_max = if small { 100 } else { 1 << 20 };
    })
}

/// One walk. Panics where a law is broken.
fn walk(seed: u64, recording: bool) -> Cores {
    let mut rng = Rng::new(seed);
    let mut cores = cluster(seed, &mut rng);
    cores.recording = recording;
    let troubles = Troubles::draw(&mut rng);
    let ids = cores.ids();
    for step in 0..STEPS {
        let id = ids[rng.below(ids.len() as u64) as usize];
        trouble(&mut cores, &troubles, &mut rng, id);
        let dice = rng.below(100);
        match dice {
            dice if dice < 85 - troubles.ticks => message(&mut cores, &troubles, &mut rng),
            0..85 => {
                // Clocks that run apart.
                let slow = rng.chance(troubles.skew, 10_000);
                cores.tick(if slow { ids[0] } else { id }, 1);
            }
            85..93 => {
                let id = cores.leader().filter(|_| rng.chance(9, 10)).unwrap_or(id);
                cores.propose(id, &format!("s{step}"));
            }
            _ => {
                cores.read(id);
            }
        }
    }
    heal(&mut cores);
    cores
}

fn trouble(cores: &mut Cores, troubles: &Troubles, rng: &mut Rng, id: NodeId) {
    let ids = cores.ids();
    let other = ids[rng.below(ids.len() as u64) as usize];
    if rng.chance(troubles.crash, 10_000) && cores.is_up(id) {
        cores.crash(id);
    } else if !cores.is_up(id) && rng.chance(1, 40) {
        cores.restart(id);
    }
    if rng.chance(troubles.hold_disk, 10_000) {
        cores.hold_disk(id);
    } else if cores.node(id).disk.held && rng.chance(1, troubles.sync) {
        match rng.below(3) {
            0 => cores.release_disk(id),
            _ => cores.sync(id, 1 + rng.below(3) as usize),
        }
    }
    if rng.chance(troubles.hold_machine, 10_000) {
        cores.hold_machine(id);
    } else if cores.node(id).machine.held && rng.chance(1, 40) {
        cores.release_machine(id);
    }
    if rng.chance(troubles.cut, 10_000) {
        match rng.below(3) {
            0 => cores.isolate(id),
            1 => {
                cores.cuts.insert((id, other));
            }
            _ => cores.partition(&[vec![id, other], ids.into_iter().filter(|n| *n != id && *n != other).collect()]),
        }
    } else if !cores.cuts.is_empty() && rng.chance(1, troubles.heal) {
        cores.heal();
    }
    // Never two at a time: what a majority promised is on a disk that is whole.
    let whole = cores.nodes.values().all(|node| !node.disk.lost);
    if whole && cores.nodes.len() > 2 && rng.chance(troubles.rot, 10_000) {
        let stored = &cores.node(id).disk.synced;
        let (base, last) = (stored.base.position.index, stored.last().index);
        let snapshot = stored.snapshot.as_ref().map_or(Index::ZERO, |(meta, _)| meta.last.index);
        let from = Index(base.max(snapshot).0 + 1 + rng.below(last.0 - base.0 + 1));
        if from <= last {
            cores.lose_from(id, from, true);
        }
    }
}

fn message(cores: &mut Cores, troubles: &Troubles, rng: &mut Rng) {
    if cores.wire.is_empty() {
        return;
    }
    let newest = rng.chance(troubles.reorder, 10_000);
    let place = if newest { rng.below(cores.wire.len() as u64) as usize } else { 0 };
    if rng.chance(troubles.drop, 10_000) {
        cores.drop_at(place);
    } else if rng.chance(troubles.double, 10_000) {
        let copy = cores.wire[place].clone();
        cores.deliver_message(copy);
    } else {
        cores.deliver_at(place);
    }
}

/// Everything works again: a leader, a fresh command applied everywhere, equal machines.
fn heal(cores: &mut Cores) {
    cores.line("event", || "—— everything heals ——".to_owned());
    cores.heal();
    for id in cores.ids() {
        if !cores.is_up(id) {
            cores.restart(id);
        }
        cores.release_disk(id);
        cores.release_machine(id);
    }
    cores.stabilize();
    cores.run(400);
    let leaders: Vec<_> = cores.ids().into_iter().filter(|id| cores.raft(*id).is_leader()).collect();
    let [leader] = leaders[..] else { panic!("liveness: {leaders:?} lead after everything healed") };
    let ticket = cores.propose(leader, "fresh");
    cores.run(100);
    let Some(Outcome::Appended(position)) = cores.answer(leader, ticket).cloned() else {
        panic!("liveness: a fresh command got {:?}", cores.answer(leader, ticket));
    };
    for id in cores.ids() {
        let status = cores.status(id);
        assert!(status.applied >= position.index, "liveness: {id} did not apply {position}: {status:?}");
        assert!(!status.quarantined, "liveness: {id} is still in quarantine: {status:?}");
        assert!(status.role == Role::Leader || status.leader == Some(leader), "liveness: {status:?}");
        assert_eq!(status.uncommitted_bytes, 0, "T-46: {status:?}");
        assert_eq!(status.pending_reads, 0, "liveness: reads wait for ever: {status:?}");
        for peer in status.peers {
            assert_eq!((peer.in_flight_messages, peer.in_flight_bytes), (0, 0), "T-40: {peer:?}");
        }
    }
    let states: BTreeSet<_> = cores.nodes.values().map(|node| (node.machine.applied, node.machine.digest.0)).collect();
    assert_eq!(states.len(), 1, "the machines are not equal: {states:?}");
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
#[expect(clippy::print_stdout, reason = "what was met, for who looks")]
fn no_walk_breaks_a_law_and_every_walk_ends_well() {
    let (first, count) = match number("RAFT_SEED") {
        Some(seed) => (seed, 1),
        None => (number("RAFT_FIRST").unwrap_or(1), number("RAFT_SEEDS").unwrap_or(50)),
    };
    let mut failed = Vec::new();
    let mut seen = BTreeMap::new();
    for seed in first..first + count {
        match catch_unwind(AssertUnwindSafe(|| walk(seed, false))) {
            Ok(cores) => cores.nodes.values().flat_map(|node| &node.events).for_each(|event| mark(&mut seen, event)),
            Err(_) => failed.push(seed),
        }
        if failed.len() >= 20 {
            break;
        }
    }
    if count == 1 && !failed.is_empty() {
        walk_aloud(first);
    }
    assert!(
        failed.is_empty(),
        "seeds {failed:?} fail; to repeat one with its transcript: RAFT_SEED={} cargo test --test it pure::raft_random",
        failed[0]
    );
    if count > 1 {
        println!("{count} walks met: {seen:#?}");
        let never: Vec<_> = SOMETIMES.iter().filter(|what| !seen.contains_key(**what)).collect();
        assert!(never.is_empty(), "{count} walks never met {never:?}; they met {seen:#?}");
    }
}

/// What the walks must meet at times, or they prove little.
const SOMETIMES: [&str; 14] = [
    "Truncated",
    "SnapshotTaken",
    "SnapshotReceived",
    "SnapshotInstalled",
    "Compacted",
    "QuarantineLeft",
    "PeerRestarted",
    "PeerLostData",
    "SteppedDown HigherTerm",
    "SteppedDown LostQuorum",
    "SteppedDown LeaderSpoke",
    "SteppedDown DiskStalled",
    "VoteRefused LogBehind",
    "VoteRefused Quarantined",
];

fn mark(seen: &mut BTreeMap<String, u64>, event: &EventKind) {
    let text = format!("{event:?}");
    let name = text.split([' ', '{']).next().unwrap_or_default();
    let why = match event {
        EventKind::SteppedDown { why } => format!(" {why:?}"),
        EventKind::VoteRefused { why, .. } => format!(" {}", format!("{why:?}").split('(').next().unwrap_or_default()),
        EventKind::Ignored { why, .. } => format!(" {why:?}"),
        EventKind::PeerMode { mode, .. } => format!(" {mode:?}"),
        _ => String::new(),
    };
    *seen.entry(format!("{name}{why}")).or_default() += 1;
}

/// Repeats a walk and prints what happened; the transcript survives the panic in a thread-local.
fn walk_aloud(seed: u64) {
    crate::support::cores::tee(true);
    let ended = catch_unwind(AssertUnwindSafe(|| walk(seed, true)));
    crate::support::cores::tee(false);
    let cores = ended.unwrap_or_else(|_| panic!("seed {seed} fails, see the transcript above"));
    panic!("seed {seed} fails only now and then?\n{}", picture(&cores));
}
