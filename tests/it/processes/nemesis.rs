//! Real processes under SIGKILL, SIGSTOP and cut links while clients go on; what the clients saw is judged.
//!
//! `RAFT_TUI_NEMESIS_SECONDS` makes it longer; what must have happened by its end grows with it.
//! `RAFT_TUI_NEMESIS_SEED` makes the same choices again (the machine's timing is its own).

use std::io::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use raft_tui::check::history::judge;
use raft_tui::history;
use raft_tui::raft::rng::Rng;
use serde_json::Value;

use crate::support::nodes::{Nodes, PATIENCE};
use crate::support::program::Program;

const NODES: u64 = 5;
const SECONDS: u64 = 24;

/// What was done to the cluster, or must have been done by the end, or the run has proved nothing.
#[derive(Default, Debug)]
struct Done {
    kills: u64,
    /// Strokes that killed most nodes at once, and all.
    majorities: u64,
    everybody: u64,
    pauses: u64,
    /// Cuts that the nodes have in force, of both kinds.
    partitions: u64,
    one_way: u64,
}

impl Done {
    /// What so many seconds must come to.
    const fn least(seconds: u64) -> Self {
        Self {
            kills: 200 * seconds / 180,
            majorities: 1 + 5 * seconds / 180,
            everybody: 1 + 5 * seconds / 180,
            pauses: 50 * seconds / 180,
            partitions: 50 * seconds / 180,
            one_way: 1 + 5 * seconds / 180,
        }
    }

    const fn is_enough(&self, least: &Self) -> bool {
        self.kills >= least.kills
            && self.majorities >= least.majorities
            && self.everybody >= least.everybody
            && self.pauses >= least.pauses
            && self.partitions >= least.partitions
            && self.one_way >= least.one_way
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// So many different nodes.
fn some(luck: &mut Rng, count: u64) -> Vec<u64> {
    let mut nodes: Vec<_> = (1..=NODES).collect();
    for place in (1..nodes.len()).rev() {
        nodes.swap(place, luck.below(place as u64 + 1) as usize);
    }
    nodes.truncate(count as usize);
    nodes
}

fn names(nodes: &[u64]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// Lets time pass for the cluster, between two strokes.
fn meanwhile(luck: &mut Rng, least_ms: u64, most_ms: u64) {
    std::thread::sleep(Duration::from_millis(least_ms + luck.below(most_ms - least_ms)));
}

/// One stroke: something breaks, the clients go on for a while, it is mended.
fn stroke(nodes: &mut Nodes, console: &mut Program, luck: &mut Rng, done: &mut Done) {
    match luck.below(3) {
        0 => {
            // One, a minority, a majority, all.
            let count = [1, 1, 2, 3, NODES][luck.below(5) as usize];
            let chosen = some(luck, count);
            for id in &chosen {
                nodes.kill(*id);
                done.kills += 1;
            }
            done.majorities += u64::from(count == 3);
            done.everybody += u64::from(count == NODES);
            meanwhile(luck, 50, 300);
            for id in &chosen {
                nodes.restart(*id);
            }
        }
        1 => {
            let count = 1 + luck.below(2);
            let chosen = some(luck, count);
            for id in &chosen {
                nodes.pause(*id);
                done.pauses += 1;
            }
            meanwhile(luck, 100, 700);
            for id in &chosen {
                nodes.unpause(*id);
            }
        }
        _ => {
            let pair = some(luck, 2);
            let cut = match luck.below(4) {
                0 => format!("cut n{}>n{}", pair[0], pair[1]),
                1 => format!("cut n{}<>n{}", pair[0], pair[1]),
                2 => format!("isolate n{}", pair[0]),
                _ => format!("partition {}", names(&some(luck, 2))),
            };
            // A node that does not answer yet may keep the others from cutting: the answer says so.
            let answer = console.ask(&cut);
            if answer["ok"] == true {
                done.partitions += 1;
                done.one_way += u64::from(cut.contains('>') && !cut.contains("<>"));
            }
            meanwhile(luck, 200, 700);
            console.ask("heal");
        }
    }
}

#[test]
fn what_clients_saw_is_linearizable_whatever_happens_to_processes_and_links() {
    let seconds = number("RAFT_TUI_NEMESIS_SECONDS").unwrap_or(SECONDS);
    let seed = number("RAFT_TUI_NEMESIS_SEED").unwrap_or(1);
    let mut luck = Rng::new(seed);
    let mut nodes = Nodes::start(NODES, &["--snapshot-entries", "2000"]);
    let mut console = nodes.console();
    let file = nodes.path("history.jsonl");
    let mut load = nodes
        .command("load")
        .args(["--clients", "16", "--rate", "max", "--keys", "40", "--mix", "set=40,get=40,cas=10,incr=5,del=5"])
        .args(["--duration", &format!("{}s", 20 * seconds), "--json", "--history"])
        .arg(&file)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let started = Instant::now();
    let least = Done::least(seconds);
    let mut done = Done::default();
    while started.elapsed() < Duration::from_secs(seconds) || !done.is_enough(&least) {
        assert!(started.elapsed() < Duration::from_secs(10 * seconds), "seed {seed}: {done:?} is too little");
        stroke(&mut nodes, &mut console, &mut luck, &mut done);
        let dead = nodes.dead();
        assert!(dead.is_empty(), "seed {seed}: {dead:?}");
        // Often the next stroke comes before the cluster has found a leader, mostly after.
        if luck.below(4) > 0 {
            let _ = console.ask("wait leader timeout 5s");
            meanwhile(&mut luck, 200, 600);
        }
    }
    // Who was killed a moment ago may not be heard yet.
    let over = Instant::now();
    while console.ask("heal")["ok"] != true {
        assert!(over.elapsed() < PATIENCE, "seed {seed}: the nodes are not heard");
        std::thread::sleep(Duration::from_millis(50));
    }
    // What was asked of clients is over: the load writes its last lines and ends.
    let lasted = started.elapsed().as_secs();
    let pid = rustix::process::Pid::from_child(&load);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("a process of our own");
    let over = Instant::now();
    let status = loop {
        if let Some(status) = load.try_wait().expect("a process of our own") {
            break status;
        }
        assert!(over.elapsed() < PATIENCE, "the load does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    console.good("wait converged timeout 60s");
    assert!(status.success(), "the load ended with {status}");
    let records = history::read(&std::fs::read_to_string(&file).expect("a history")).expect("a history");
    let summary = judge(&records).unwrap_or_else(|violation| {
        let kept = std::env::temp_dir().join(format!("raft-tui-nemesis-{seed}.jsonl"));
        let _ = std::fs::copy(&file, &kept);
        panic!("RAFT_TUI_NEMESIS_SEED={seed}: {violation:?}; the history is in {}", kept.display())
    });
    let _ = writeln!(std::io::stderr(), "nemesis, seed {seed}, {lasted} s: {done:?}, {summary:?}");
    assert!(summary.too_hard.is_empty(), "nothing is known of {:?}", summary.too_hard);
    assert!(summary.ok >= 200 * lasted, "only {} operations in {lasted} s", summary.ok);
    assert_states_agree(&mut console);
}

/// Waits until all have applied the same: what nobody waits for any more may still be applied, and a leader change is
/// an entry too. Then their states are the same.
fn assert_states_agree(console: &mut Program) {
    let begun = Instant::now();
    loop {
        let status = console.good("status");
        let nodes = status["status"]["nodes"].as_array().cloned().unwrap_or_default();
        let same = |field: &str| nodes.iter().all(|node| node[field] == nodes[0][field] && node[field] != Value::Null);
        if nodes.len() == NODES as usize && same("applied") {
            assert!(same("digest"), "the nodes' states differ: {status}");
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "the nodes do not come together: {status}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_rolling_restart_under_load_loses_nothing() {
    let mut nodes = Nodes::start(NODES, &[]);
    let mut console = nodes.console();
    let file = nodes.path("history.jsonl");
    let mut load = nodes
        .command("load")
        .args(["--clients", "8", "--rate", "500/s", "--keys", "20", "--duration", "15s", "--json", "--history"])
        .arg(&file)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program starts");
    for id in 1..=NODES {
        assert!(nodes.terminate(id).success(), "n{id} says {}", nodes.said(id));
        nodes.restart(id);
        console.good("wait leader timeout 60s");
        console.good("wait converged timeout 60s");
    }
    let status = load.wait().expect("a process of our own");
    assert!(status.success(), "the load ended with {status}");
    let records = history::read(&std::fs::read_to_string(&file).expect("a history")).expect("a history");
    let summary = judge(&records).unwrap_or_else(|violation| panic!("{violation:?}"));
    assert!(summary.ok >= 2_000, "{summary:?}");
    assert!(summary.too_hard.is_empty(), "{summary:?}");
    console.good("wait converged timeout 60s");
    assert_states_agree(&mut console);
}
