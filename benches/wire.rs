//! What a cluster of real processes does on loopback with real syncs: writes a second, fail-over, what consoles cost.
//!
//! `cargo bench --bench wire` measures for about six minutes and prints tables; with `throughput`, `failover` or `consoles`
//! behind `--` only that part. With `--test` each part runs once, tiny. Figures are of this machine as busy as it is: look
//! at ratios within a run, and at the spread.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::print_stdout, reason = "a bench prints what it measured")]

#[path = "../tests/it/support/nodes.rs"]
mod nodes;
#[path = "../tests/it/support/program.rs"]
mod program;

use std::fmt;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use raft_tui::cli::headless::hand::{Asked, Hand};
use raft_tui::cli::headless::load::{self, LoadArguments};
use raft_tui::cli::headless::{End, Endpoints, News, connect};
use raft_tui::cli::way::Way;
use raft_tui::cluster::{Disks, Spec, local};
use raft_tui::control::client::{Line, LineSpec};
use raft_tui::control::protocol::Detail;
use raft_tui::control::tokens::Tokens;
use raft_tui::control::{Access, Answer, Condition, Operation};
use raft_tui::machine::kv::KvCommand;
use raft_tui::raft::{Configuration, NodeId, Options};
use raft_tui::transport::net::Tcp;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::timeout;

use nodes::{Nodes, PATIENCE};

/// Nodes, where nothing else is said.
const NODES: u64 = 3;
/// Clock ticks a second in `/proc`: the same on every Linux that Rust runs on.
const PROC_TICKS: f64 = 100.0;
/// Writes a second while consoles watch.
const WATCHED_RATE: u32 = 500;
/// How many syncs tell what the disk alone can do.
const SYNCS: usize = 200;

/// How much is done.
struct Size {
    rounds: usize,
    clients: &'static [u64],
    warm_up: Duration,
    round: Duration,
    /// Of the clusters in one process.
    contrast: Duration,
    kills: u64,
    consoles: Duration,
}

const WHOLE: Size = Size {
    rounds: 3,
    clients: &[1, 16, 64, 256],
    warm_up: Duration::from_secs(1),
    round: Duration::from_secs(4),
    contrast: Duration::from_secs(2),
    kills: 50,
    consoles: Duration::from_secs(8),
};

const TINY: Size = Size {
    rounds: 1,
    clients: &[16],
    warm_up: Duration::from_millis(200),
    round: Duration::from_millis(300),
    contrast: Duration::from_millis(200),
    kills: 1,
    consoles: Duration::from_millis(500),
};

/// What rounds gave: least, median, most.
#[derive(Clone, Default)]
struct Spread(Vec<f64>);

impl Spread {
    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The nearest rank.
    fn at(&self, percent: f64) -> f64 {
        let sorted = self.sorted();
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }

    fn median(&self) -> f64 {
        self.at(50.0)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = if self.median() < 10.0 { 2 } else { usize::from(self.median() < 100.0) };
        let [least, median, most] = [self.at(0.0), self.median(), self.at(100.0)];
        if self.0.len() == 1 {
            return write!(f, "{median:.digits$}");
        }
        write!(f, "{least:.digits$}–**{median:.digits$}**–{most:.digits$}")
    }
}

fn row(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}

fn head(cells: &[&str]) {
    println!("\n| {} |", cells.join(" | "));
    println!("|{}", "---|".repeat(cells.len()));
}

/// Seconds of processor that a process has used, all its threads.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    // The name before them is in parentheses and may hold anything.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |place: usize| fields[place].parse::<f64>().expect("a count of ticks");
    (ticks(11) + ticks(12)) / PROC_TICKS
}

fn cpu_of(nodes: &Nodes) -> f64 {
    (1..=NODES).map(|id| cpu_seconds(nodes.pid(id))).sum()
}

// How many writes.

/// What one run of the load measured.
#[derive(Default)]
struct Load {
    per_second: Spread,
    p50_ms: Spread,
    p99_ms: Spread,
    cpu: Spread,
    lost: u64,
}

impl Load {
    fn add(&mut self, json: &[u8]) {
        let json: Value = serde_json::from_slice(json).expect("the load prints JSON");
        let number = |name: &str| json["writes"][name].as_f64().unwrap_or(f64::NAN);
        self.per_second.0.push(number("per_second"));
        self.p50_ms.0.push(number("p50_us") / 1e3);
        self.p99_ms.0.push(number("p99_us") / 1e3);
        self.lost += json["failed"].as_u64().unwrap_or(0) + json["unknown"].as_u64().unwrap_or(0);
    }
}

fn arguments(clients: u64, time: Duration) -> Vec<String> {
    let text = format!("--mix set=1 --rate max --value-size 64 --json --clients {clients} --duration {time:?}");
    text.split(' ').map(str::to_owned).collect()
}

fn load_processes(nodes: &Nodes, clients: u64, time: Duration) -> Vec<u8> {
    let output = nodes.command("load").args(arguments(clients, time)).stderr(Stdio::inherit()).output();
    let output = output.expect("the program starts");
    assert!(output.status.success(), "the load ended with {}", output.status);
    output.stdout
}

#[derive(Parser)]
struct Parsed {
    #[command(flatten)]
    load: LoadArguments,
}

/// The same load on three nodes in this process, over queues instead of a wire.
fn load_here(runtime: &Runtime, disks: &Disks, clients: u64, size: &Size) -> Vec<u8> {
    let parsed = Parsed::parse_from(std::iter::once("load".to_owned()).chain(arguments(clients, size.contrast)));
    runtime.block_on(async {
        let spec = Spec { disks: disks.clone(), ..Spec::new(NODES).real_time() };
        let (mut session, guard) = local::start(spec).expect("a cluster starts");
        session.ask(wait(Condition::Leader)).await.expect("it runs");
        let warm = Operation::Load { per_second: 1_000, duration_us: Some(size.warm_up.as_micros() as u64) };
        session.ask(warm).await.expect("it runs");
        let mut json = Vec::new();
        let loaded = load::run(session, &parsed.load, &mut json, &mut std::io::sink(), &End::never()).await;
        loaded.expect("the load runs");
        guard.ended().await;
        json
    })
}

fn wait(condition: Condition) -> Operation {
    Operation::Wait { condition, timeout_us: PATIENCE.as_micros() as u64 }
}

/// Milliseconds of a small write with its sync, in the folder in which nodes keep theirs.
fn sync_ms() -> Spread {
    let mut file = tempfile::tempfile().expect("a file");
    let one = |_| {
        let started = Instant::now();
        file.write_all(&[7; 512]).and_then(|()| file.sync_data()).expect("the disk takes it");
        started.elapsed().as_secs_f64() * 1e3
    };
    Spread((0..SYNCS).map(one).collect())
}

fn throughput(runtime: &Runtime, size: &Size) {
    println!("\n## Writes of 64 bytes, three nodes, clients with one write open each");
    let syncs = sync_ms();
    println!(
        "\nA write of 512 bytes with fdatasync, alone on this disk: p50 {:.3} ms, p99 {:.3} ms.",
        syncs.median(),
        syncs.at(99.0)
    );
    let title =
        ["clients", "cluster", "acknowledged/s", "p50 ms", "p99 ms", "CPU s/s of nodes", "not acknowledged", "ratio"];
    head(&title);
    let nodes = Nodes::start(NODES, &[]);
    for clients in size.clients.iter().copied() {
        let (mut wire, mut disk, mut memory) = (Load::default(), Load::default(), Load::default());
        for _ in 0..size.rounds {
            // All three in turn, so that whatever else the machine does meets all of them.
            load_processes(&nodes, clients, size.warm_up);
            let (cpu, started) = (cpu_of(&nodes), Instant::now());
            wire.add(&load_processes(&nodes, clients, size.round));
            wire.cpu.0.push((cpu_of(&nodes) - cpu) / started.elapsed().as_secs_f64());
            disk.add(&load_here(runtime, &Disks::Temporary, clients, size));
            memory.add(&load_here(runtime, &Disks::Memory, clients, size));
        }
        let whole = wire.per_second.median();
        for (name, load) in [("processes, disk", &wire), ("one process, disk", &disk), ("one process, memory", &memory)]
        {
            row(&[
                clients.to_string(),
                name.to_owned(),
                load.per_second.to_string(),
                load.p50_ms.to_string(),
                load.p99_ms.to_string(),
                if load.cpu.0.is_empty() { "–".to_owned() } else { load.cpu.to_string() },
                load.lost.to_string(),
                format!("{:.2}", load.per_second.median() / whole),
            ]);
        }
    }
}

// Fail-over.

fn endpoints(nodes: &Nodes) -> Endpoints {
    Endpoints {
        endpoints: nodes.endpoints().split(',').map(str::to_owned).collect(),
        way: Way { token_file: Some(nodes.path("tokens")), ..Way::default() },
        ..Endpoints::default()
    }
}

/// One client that writes, one write after the other; it tells when acknowledged writes began and ended.
async fn write_on(hand: Hand, told: mpsc::UnboundedSender<(Instant, Instant)>) {
    for number in 0_u64.. {
        let command = KvCommand::Set { key: "failover".into(), value: number.to_string().into() }.encode();
        let began = Instant::now();
        let asked = hand.ask(Operation::Submit { command, via: None }, Some(PATIENCE)).await;
        match asked {
            Asked::Answered(Answer::Applied { .. }) => {
                if told.send((began, Instant::now())).is_err() {
                    return;
                }
            }
            Asked::NotTaken => return,
            Asked::Answered(_) | Asked::NoAnswer => {}
        }
    }
}

/// Waits until a node lives in a later life than `before`, follows the leader, and has nearly all that the leader has.
async fn in_step(hand: &Hand, node: NodeId, before: raft_tui::raft::Epoch) {
    let mut view = hand.view.clone();
    let waited = timeout(
        PATIENCE,
        view.wait_for(|view| {
            let (Some(node), Some(leader)) = (view.node(node), view.leader()) else { return false };
            node.is_running()
                && node.epoch > before
                && (node.leader, node.term) == (Some(leader.id), leader.term)
                && node.applied.0 + 200 >= leader.applied.0
                && view.running() == view.nodes.len()
        }),
    );
    waited.await.expect("it comes into step in time").expect("the session lasts");
}

async fn fail_over(count: u64, kills: u64) -> Spread {
    let mut nodes = Nodes::start(count, &[]);
    let (session, guard) = connect_when_up(&endpoints(&nodes)).await;
    let hand = Hand::take(session);
    hand.settled(PATIENCE).await;
    hand.arm(Access::Operator, "bench", PATIENCE).await.expect("armed");
    hand.ask(wait(Condition::Leader), Some(PATIENCE)).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let client = tokio::spawn(write_on(hand.clone(), tell));
    let mut took = Spread::default();
    for number in 0..kills {
        // At any time between two heartbeats.
        tokio::time::sleep(Duration::from_millis(50 + number * 37 % 200)).await;
        hand.ask(wait(Condition::Leader), Some(PATIENCE)).await;
        let view = hand.now();
        let leader = view.leader().expect("it was waited for");
        let (id, epoch) = (leader.id, leader.epoch);
        let killed = Instant::now();
        nodes.kill(id.0);
        let gone = Instant::now();
        loop {
            let (began, ended) = timeout(PATIENCE, told.recv()).await.expect("in time").expect("the client lasts");
            if began >= gone {
                took.0.push((ended - killed).as_secs_f64() * 1e3);
                break;
            }
        }
        nodes.restart(id.0);
        in_step(&hand, id, epoch).await;
    }
    client.abort();
    drop((hand, told));
    let _ = timeout(PATIENCE, guard.ended()).await;
    took
}

async fn connect_when_up(endpoints: &Endpoints) -> (raft_tui::cluster::Session, raft_tui::cluster::Guard) {
    let started = Instant::now();
    loop {
        match connect(endpoints, Access::Operator, News::default()).await {
            Ok(connected) => return connected,
            Err(error) => assert!(started.elapsed() < PATIENCE, "no node is reached: {error}"),
        }
    }
}

fn fail_overs(runtime: &Runtime, size: &Size) {
    println!("\n## Fail-over: the leader gets SIGKILL while one client writes on");
    let options = Options::new(NodeId(1), Configuration::first(3));
    let tick_ms = raft_tui::node::driver::TICK_US / 1_000;
    let election = options.election_timeout_ticks * tick_ms;
    println!(
        "\nHeartbeats each {} ms, elections after {election} to {} ms without one. Time from the signal to the first \
         acknowledged write that began when the process was gone.",
        options.heartbeat_ticks * tick_ms,
        election * 2
    );
    head(&["nodes", "kills", "least ms", "p50 ms", "p99 ms", "max ms"]);
    for count in [3, 5] {
        let took = runtime.block_on(fail_over(count, size.kills));
        let at = |percent| format!("{:.0}", took.at(percent));
        row(&[count.to_string(), took.0.len().to_string(), at(0.0), at(50.0), at(99.0), at(100.0)]);
    }
}

// What consoles cost.

/// A child that is killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        let started = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        Self(started.expect("the program starts"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Bytes between all nodes and all consoles since the nodes' start.
async fn console_bytes(nodes: &Nodes) -> u64 {
    let tokens = Tokens::read(&nodes.path("tokens")).expect("a file of our own");
    let token = tokens.for_access(Access::Viewer).map(|holder| Arc::new(holder.token.clone()));
    let mut sum = 0;
    for address in endpoints(nodes).endpoints {
        let line = Line::open(LineSpec {
            net: Arc::new(Tcp),
            address,
            access: Access::Viewer,
            name: "nemesis".into(),
            session: u128::from(std::process::id()),
            token: token.clone(),
            tls: None,
            detail: Detail::Pictures { every_ms: 60_000 },
        });
        let mut heard = line.heard();
        let picture = timeout(PATIENCE, heard.wait_for(|heard| heard.picture.is_some())).await;
        let picture = picture.expect("it answers").expect("the line lasts").picture.clone();
        sum += picture.expect("it was waited for").console_bytes;
    }
    sum
}

fn consoles(runtime: &Runtime, size: &Size) {
    println!("\n## What attached consoles cost: three nodes, {WATCHED_RATE} writes a second");
    println!("\nThe load is a console too: what it asks and is told is in the bytes of the first row.");
    head(&["consoles", "CPU s/s of nodes", "KiB/s of consoles", "CPU s/s a console", "KiB/s a console"]);
    let nodes = Nodes::start(NODES, &[]);
    load_processes(&nodes, 4, size.warm_up);
    let mut measured = [0, 1, 4].map(|count| (count, Spread::default(), Spread::default()));
    for _ in 0..size.rounds {
        for (count, cpu, kib) in &mut measured {
            let lasts = size.consoles + size.warm_up + Duration::from_mins(1);
            let mut command = nodes.command("load");
            command.args(["--clients", "16", "--mix", "set=1", "--value-size", "64"]);
            command.args(["--rate", &format!("{WATCHED_RATE}/s"), "--duration", &format!("{lasts:?}")]);
            let _load = Running::start(&mut command);
            let console = |_| Running::start(nodes.command("attach").arg("--json").arg(nodes.endpoints()));
            let _consoles: Vec<_> = (0..*count).map(console).collect();
            std::thread::sleep(size.warm_up);
            let started = Instant::now();
            let (bytes, seconds) = (runtime.block_on(console_bytes(&nodes)), cpu_of(&nodes));
            std::thread::sleep(size.consoles);
            let (bytes_then, seconds_then) = (runtime.block_on(console_bytes(&nodes)), cpu_of(&nodes));
            let took = started.elapsed().as_secs_f64();
            cpu.0.push((seconds_then - seconds) / took);
            kib.0.push(bytes_then.saturating_sub(bytes) as f64 / 1024.0 / took);
        }
    }
    let (alone_cpu, alone_kib) = (measured[0].1.median(), measured[0].2.median());
    for (count, cpu, kib) in &measured {
        let each = |more: f64| if *count == 0 { "–".to_owned() } else { format!("{:.3}", more / f64::from(*count)) };
        let (more_cpu, more_kib) = (each(cpu.median() - alone_cpu), each(kib.median() - alone_kib));
        row(&[count.to_string(), cpu.to_string(), kib.to_string(), more_cpu, more_kib]);
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    // `cargo bench` says that it benches; whoever runs this otherwise wants to know whether it works.
    let tiny = arguments.iter().any(|argument| argument == "--test") || !arguments.iter().any(|it| it == "--bench");
    let size = if tiny { TINY } else { WHOLE };
    let chosen: Vec<_> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let wanted = |part: &str| chosen.is_empty() || chosen.iter().any(|chosen| *chosen == part);
    let runtime = Runtime::new().expect("threads");
    let started = Instant::now();
    if wanted("throughput") {
        throughput(&runtime, &size);
    }
    if wanted("failover") {
        fail_overs(&runtime, &size);
    }
    if wanted("consoles") {
        consoles(&runtime, &size);
    }
    println!("\nIt took {:.0} s.", started.elapsed().as_secs_f64());
}
