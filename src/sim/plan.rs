//! What one seed stands for: a cluster, its options, its clients and its faults, drawn before anything runs.
//!
//! Swarm testing: each seed switches each class of faults off in half of the cases and draws the rates of the others over
//! orders of magnitude; one seed in ten is quiet and one in ten has a single class. The absence of a fault is often what
//! lets a bug show.
//!
//! Kept true: the same seed, profile and limits give the same plan; every concern draws from a stream of its own.
//! Not here: doing it (`world.rs`).

use super::fault::{DiskTrouble, Fault, FaultKind, Rotten, Whom};
use crate::raft::rng::Rng;
use crate::raft::{Configuration, MessageKind, NodeId, Options};
use crate::storage::faults::{DiskRules, TornTail};
use crate::transport::faults::LinkRule;

/// Which faults a run may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// None.
    Quiet,
    /// Messages.
    Network,
    /// Disks, and the crashes that show what they did.
    Disk,
    /// Crashes, pauses and clocks.
    Crash,
    /// All of them.
    Everything,
}

/// Streams of luck by concern.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub(super) enum Concern {
    Shape = 1,
    Options = 2,
    Faults = 3,
    Network = 4,
    Disk = 5,
    Clients = 6,
    Timing = 7,
    Nodes = 8,
    Healing = 9,
    LocalReads = 10,
}

/// What may be fixed instead of drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// So many nodes.
    pub nodes: Option<u64>,
    /// About so many events before the healing.
    pub events: Option<u64>,
    /// At most so many clients.
    pub clients: Option<u64>,
    /// At most so many operations.
    pub operations: Option<u64>,
    /// Only these faults of those that are drawn.
    pub keep: Option<Vec<usize>>,
}

/// A run that has not happened yet.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where it comes from.
    pub seed: u64,
    /// How many nodes.
    pub nodes: u64,
    /// How many clients.
    pub clients: u64,
    /// How many operations at most.
    pub operations: u64,
    /// How long faults may happen, in microseconds.
    pub safety_us: u64,
    /// Options of all nodes, but for their ids.
    pub options: Options,
    /// How long a node lets a client wait.
    pub client_timeout_ticks: u64,
    /// How long a client waits itself, in microseconds.
    pub patience_us: u64,
    /// Mean time that a client thinks, in microseconds.
    pub think_us: u64,
    /// How many keys there are at a time.
    pub keys: u64,
    /// How many bytes a value may have.
    pub value_bytes: u64,
    /// Of all links.
    pub base_delay_us: u64,
    /// Each node's disk when nothing is wrong with it.
    pub disk: DiskRules,
    /// Inputs of so many microseconds make one turn; zero: each its own.
    pub batch_us: u64,
    /// More disks may die than a cluster survives: then only what is right, or nothing, may follow.
    pub beyond_model: bool,
    /// In order of time.
    pub faults: Vec<Fault>,
}

const MS: u64 = 1000;
const SECOND: u64 = 1_000_000;

/// Between `low` and `high`, every order of magnitude alike.
fn spread(luck: &mut Rng, low: u64, high: u64) -> u64 {
    let octaves = u64::from((high / low).ilog2()) + 1;
    let base = low << luck.below(octaves);
    (base + luck.below(base)).clamp(low, high)
}

/// Classes of faults that a swarm switches.
const CLASSES: usize = 16;

impl Plan {
    /// What `seed` stands for.
    #[must_use]
    pub fn draw(seed: u64, profile: Profile, limits: &Limits) -> Self {
        let root = Rng::new(seed);
        let mut shape = root.fork(Concern::Shape as u64);
        let drawn_nodes = [1, 2, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7][shape.below(12) as usize];
        let nodes = limits.nodes.unwrap_or(drawn_nodes);
        let drawn_clients = 1 + shape.below(8);
        let clients = limits.clients.map_or(drawn_clients, |most| drawn_clients.min(most));
        let think_us = spread(&mut shape, MS, 200 * MS);
        let keys = [1, 3, 3, 10, 100][shape.below(5) as usize];
        let value_bytes = [0, 1, 16, 16, 256, 2048][shape.below(6) as usize];
        let patience_us = spread(&mut shape, 200 * MS, 4 * SECOND);
        let client_timeout_ticks = 20 + shape.below(180);
        let batch_us = if shape.chance(1, 5) { spread(&mut shape, 200, 8 * MS) } else { 0 };
        let base_delay_us = spread(&mut shape, 50, 12 * MS);
        let events = limits.events.unwrap_or(12_000);
        // A node that does nothing has a hundred ticks a second, and heartbeats with their answers.
        let per_second = nodes * 150 + clients * (2 * nodes + 6) * (SECOND / (think_us + 20 * MS)).min(60);
        let safety_us = (events * SECOND / per_second).clamp(2 * SECOND, 120 * SECOND);
        let disk = DiskRules {
            latency_us: spread(&mut shape, 20, 4 * MS),
            jitter_us: spread(&mut shape, 20, 8 * MS),
            torn_tail: TornTail {
                lost_per_million: 100_000 + shape.below(600_000) as u32,
                torn_per_million: shape.below(300_000) as u32,
            },
            ..DiskRules::default()
        };
        let mut luck = root.fork(Concern::Faults as u64);
        let beyond_model = profile == Profile::Everything && luck.chance(1, 25);
        let mut faults = draw_faults(&mut luck, profile, nodes, safety_us, beyond_model);
        if let Some(keep) = &limits.keep {
            faults.retain(|fault| keep.contains(&fault.number));
        }
        Self {
            seed,
            nodes,
            clients,
            operations: limits.operations.unwrap_or(u64::MAX),
            safety_us,
            options: draw_options(&mut root.fork(Concern::Options as u64), nodes),
            client_timeout_ticks,
            patience_us,
            think_us,
            keys,
            value_bytes,
            base_delay_us,
            disk,
            batch_us,
            beyond_model,
            faults,
        }
    }

    /// A stream of luck of its own.
    pub(super) fn luck(&self, concern: Concern) -> Rng {
        Rng::new(self.seed).fork(concern as u64)
    }
}

fn draw_options(luck: &mut Rng, nodes: u64) -> Options {
    let mut options = Options::new(NodeId(1), Configuration::first(nodes));
    options.pre_vote = !luck.chance(1, 8);
    // Without it a leader that nobody hears leads on, and only the rounds of reads keep it from reading what is old.
    options.check_quorum = !luck.chance(1, 4);
    options.append_entries_max = [1, 3, 16, 256][luck.below(4) as usize];
    options.append_bytes_max = spread(luck, 256, 1 << 20);
    options.window_messages = [1, 2, 8, 64][luck.below(4) as usize];
    options.window_bytes = spread(luck, 256, 1 << 22);
    options.chunk_bytes = spread(luck, 256, 64 << 10) as usize;
    options.snapshot_entries = spread(luck, 8, 4096);
    options.keep_entries = luck.below(options.snapshot_entries.min(200));
    options.snapshot_bytes = if luck.chance(1, 4) { spread(luck, 512, 1 << 16) } else { 64 << 20 };
    options.uncommitted_bytes_max = if luck.chance(1, 4) { spread(luck, 128, 4096) } else { 32 << 20 };
    options.apply_bytes_max = spread(luck, 64, 4 << 20);
    options
}

fn draw_faults(luck: &mut Rng, profile: Profile, nodes: u64, safety_us: u64, beyond_model: bool) -> Vec<Fault> {
    let allowed: &[usize] = match profile {
        Profile::Quiet => &[],
        Profile::Network => &[0, 1, 2, 3, 4, 5, 6, 7],
        Profile::Disk => &[8, 9, 12, 13, 14, 15],
        Profile::Crash => &[8, 9, 10, 11],
        Profile::Everything => &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    };
    // Every class draws its switch and its rate, allowed or not: a profile does not reshuffle another.
    let mood = luck.below(10);
    let single = luck.below(CLASSES as u64) as usize;
    let mut faults = Vec::new();
    for class in 0..CLASSES {
        let mut stream = luck.fork(class as u64);
        let on = match mood {
            0 => beyond_model && class == 15,
            1 => class == allowed.get(single % allowed.len().max(1)).copied().unwrap_or(CLASSES),
            _ => stream.chance(1, 2) || (beyond_model && class == 15),
        };
        // Whatever stops a whole cluster, or a disk for good, is rarer than what a cluster shrugs off.
        let rarity = if matches!(class, 9 | 14 | 15) { 3 } else { 1 };
        let every_us = rarity * spread(&mut stream, 150 * MS, 8 * SECOND);
        let lasts_us = spread(&mut stream, 20 * MS, 2 * SECOND);
        if !on || !allowed.contains(&class) {
            continue;
        }
        let mut at_us = stream.below(every_us) + 1;
        while at_us < safety_us {
            let for_us = lasts_us / 2 + stream.below(lasts_us);
            let kind = draw_fault(&mut stream, class, nodes);
            faults.push(Fault { number: 0, at_us, for_us, kind });
            at_us += every_us / 2 + stream.below(every_us) + 1;
        }
    }
    faults.sort_by_key(|fault| fault.at_us);
    for (number, fault) in faults.iter_mut().enumerate() {
        fault.number = number;
    }
    faults
}

fn whom(luck: &mut Rng, nodes: u64) -> Whom {
    match luck.below(3) {
        0 => Whom::Leader,
        1 => Whom::Follower(luck.below(nodes)),
        _ => Whom::Node(luck.below(nodes)),
    }
}

fn draw_fault(luck: &mut Rng, class: usize, nodes: u64) -> FaultKind {
    let victim = whom(luck, nodes);
    let some = |luck: &mut Rng, victim| luck.chance(1, 2).then_some(victim);
    match class {
        0 => FaultKind::Partition { sides: luck.below(1 << nodes) },
        1 => {
            let (inward, outward) = [(true, true), (true, false), (false, true)][luck.below(3) as usize];
            FaultKind::Isolate { whom: victim, inward, outward }
        }
        2 => FaultKind::CutLink { from: luck.below(nodes), to: luck.below(nodes), kind: None },
        3 => {
            let kind = MessageKind::ALL[luck.below(MessageKind::ALL.len() as u64) as usize];
            FaultKind::CutLink { from: luck.below(nodes), to: luck.below(nodes), kind: Some(kind) }
        }
        4 => {
            let per_million = spread(luck, 5_000, 500_000) as u32;
            FaultKind::Links { whom: some(luck, victim), rule: LinkRule::Loss { per_million } }
        }
        5 => {
            let per_million = spread(luck, 5_000, 500_000) as u32;
            FaultKind::Links { whom: some(luck, victim), rule: LinkRule::Duplicate { per_million } }
        }
        6 => {
            let per_million = spread(luck, 5_000, 500_000) as u32;
            FaultKind::Links { whom: some(luck, victim), rule: LinkRule::Reorder { per_million } }
        }
        7 => {
            let (delay_us, jitter_us) = (spread(luck, MS, 300 * MS), spread(luck, MS, 300 * MS));
            FaultKind::Links { whom: some(luck, victim), rule: LinkRule::Delay { delay_us, jitter_us } }
        }
        8 => {
            let after_outputs = luck.chance(1, 2).then(|| spread(luck, 1, 64));
            FaultKind::Crash { whom: victim, power: luck.chance(1, 2), after_outputs }
        }
        9 => FaultKind::CrashAll { power: luck.chance(2, 3) },
        10 => FaultKind::Pause { whom: victim },
        11 => FaultKind::Clock { whom: victim, permille: 600 + luck.below(1000) },
        12 => FaultKind::Disk { whom: victim, trouble: DiskTrouble::Slow { latency_us: spread(luck, MS, 500 * MS) } },
        13 => {
            let stall_us = spread(luck, 50 * MS, 4 * SECOND);
            let trouble = if luck.chance(1, 2) { DiskTrouble::Stall } else { DiskTrouble::StallOnce { stall_us } };
            FaultKind::Disk { whom: victim, trouble }
        }
        14 => {
            let trouble = match luck.below(4) {
                0 => DiskTrouble::FailSync,
                1 => DiskTrouble::FailWrite,
                2 => DiskTrouble::FailSnapshot,
                _ => DiskTrouble::Full { space_bytes: spread(luck, 256, 64 << 10) },
            };
            FaultKind::Disk { whom: victim, trouble }
        }
        _ => {
            let permille = luck.below(1001);
            let what = match luck.below(8) {
                0..=2 => Rotten::Entry { permille },
                3..=5 => Rotten::Tail { permille },
                6 => Rotten::Snapshot,
                _ => Rotten::Fence,
            };
            FaultKind::Rot { whom: victim, what }
        }
    }
}
