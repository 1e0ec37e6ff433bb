//! What a run can write down: what clients saw, and what each node did. Judged by judges that know neither the simulator
//! nor its own.

use raft_tui::check::Property;
use raft_tui::check::history::judge;
use raft_tui::history::{self, Ask, Record, Reply, What};
use raft_tui::sim::swarm::run;
use raft_tui::sim::{Limits, Plan, Profile, World};
use raft_tui::trace::Line;

use crate::support::trace_checker::Checker;

const PROFILES: [Profile; 5] = [Profile::Quiet, Profile::Network, Profile::Disk, Profile::Crash, Profile::Everything];

fn plan(seed: u64) -> Plan {
    Plan::draw(seed, PROFILES[seed as usize % PROFILES.len()], &Limits::default())
}

fn history(seed: u64) -> Vec<Record> {
    let mut records = Vec::new();
    let mut sink = |record: &Record| records.push(record.clone());
    let ended = World::new(plan(seed), None).with_history(&mut sink).run();
    assert_eq!(ended.violation, None, "seed {seed}");
    records
}

fn trace(plan: Plan) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut sink = |line: &Line| lines.push(line.clone());
    let ended = World::new(plan, None).with_node_traces(true, &mut sink).run();
    assert_eq!(ended.violation, None);
    lines
}

#[test]
fn what_clients_saw_is_linearizable_to_a_judge_that_knows_nothing_else() {
    let (mut ok, mut fail, mut info) = (0, 0, 0);
    for seed in 0..40 {
        let records = history(seed);
        let text: String = records.iter().map(|record| history::line(record) + "\n").collect();
        assert_eq!(history::read(&text).as_ref(), Ok(&records), "seed {seed}");
        let summary = judge(&records).unwrap_or_else(|violation| panic!("seed {seed}: {violation}"));
        assert!(summary.too_hard.is_empty(), "seed {seed}: {summary:?}");
        let unended = records.len() as u64 - 2 * summary.operations;
        assert_eq!(unended, 0, "seed {seed}: every operation ends");
        ok += summary.ok;
        fail += summary.fail;
        info += summary.info;
    }
    assert!(ok > 4_000 && fail > 400 && info > 100, "{ok} {fail} {info}");
}

/// Lets reads see what was overwritten before they were asked for, in a history that was right.
#[test]
fn a_stale_read_among_what_clients_saw_is_caught() {
    let mut caught = 0;
    for seed in 0..20 {
        let mut records = history(seed);
        let asked = |op: u64, records: &[Record]| {
            records.iter().find_map(|record| match &record.what {
                What::Invoke { key, ask, .. } if record.op == op => Some((key.clone(), ask.clone())),
                _ => None,
            })
        };
        // The last read of a key whose value an earlier read had seen differently.
        let reads: Vec<_> = (records.iter().enumerate())
            .filter_map(|(place, record)| match &record.what {
                What::Ok { reply: Reply::Value(value), .. } => {
                    Some((place, asked(record.op, &records)?.0, value.clone()))
                }
                _ => None,
            })
            .collect();
        let stale = reads.iter().rev().find_map(|(place, key, now)| {
            let old = reads.iter().find(|(_, of, value)| of == key && value != now && value.is_some())?;
            Some((*place, old.2.clone()))
        });
        let Some((place, old)) = stale else { continue };
        let What::Ok { reply, .. } = &mut records[place].what else { unreachable!("it is a read") };
        *reply = Reply::Value(old);
        let Err(violation) = judge(&records) else { continue };
        assert_eq!(violation.property, Property::Linearizability, "{violation}");
        caught += 1;
    }
    // An old value may be right where writes were under way at the same time.
    assert!(caught >= 10, "{caught}");
}

#[test]
fn lists_leave_a_gap_in_the_numbers_and_nothing_else() {
    let records = history(1);
    let asked: Vec<u64> =
        (records.iter()).filter(|record| matches!(record.what, What::Invoke { .. })).map(|record| record.op).collect();
    assert!(asked.is_sorted_by(|one, next| one < next));
    assert!(asked.len() < *asked.last().expect("somebody asks") as usize);
    let reads = |record: &Record| matches!(&record.what, What::Invoke { ask: Ask::Get, .. });
    assert!(records.iter().any(reads));
}

#[test]
fn what_nodes_did_keeps_the_rules_of_raft_to_a_judge_that_knows_nothing_else() {
    let mut all = Checker::default();
    for seed in 0..30 {
        // A disk that rots may bring back less than was durable; it says so.
        let profile = [Profile::Quiet, Profile::Network, Profile::Crash][seed as usize % 3];
        let plan = Plan::draw(seed, profile, &Limits::default());
        let mut checker = Checker::of(plan.nodes as usize);
        for line in trace(plan) {
            checker.line(&serde_json::to_string(&line.json()).expect("it is JSON"));
        }
        assert_eq!(checker.count("gap"), 0);
        for (ev, count) in checker.counts {
            *all.counts.entry(ev).or_default() += count;
        }
    }
    for ev in
        ["boot", "vote", "term", "leader", "append", "truncate", "durable", "commit", "apply", "snapshot", "crash"]
    {
        assert!(all.count(ev) > 5, "{ev}: {:?}", all.counts);
    }
}

#[test]
fn a_run_that_is_written_down_is_the_same_run() {
    for seed in [3, 4, 8] {
        let (mut lines, mut records) = (0, 0);
        let mut line = |_: &Line| lines += 1;
        let mut record = |_: &Record| records += 1;
        let world = World::new(plan(seed), None).with_node_traces(true, &mut line).with_history(&mut record);
        let written = world.run();
        let alone = run(seed, PROFILES[seed as usize % PROFILES.len()], &Limits::default());
        assert_eq!((written.fingerprint, written.events), (alone.fingerprint, alone.events), "seed {seed}");
        assert!(lines > 0 && records > 0);
    }
}
