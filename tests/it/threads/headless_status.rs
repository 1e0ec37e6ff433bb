//! Status, check and watch: from pictures that are made up, and from clusters in this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use raft_tui::cli::Exit;
use raft_tui::cli::headless::check::{CheckArguments, Verdict, judge};
use raft_tui::cli::headless::status::{Document, StatusArguments, table};
use raft_tui::cli::headless::watch::{self, WatchArguments};
use raft_tui::cli::headless::{End, Endpoints, Output, OutputArguments, status};
use raft_tui::control::observation::{Alarm, Dropped, PeerTraffic, Reach, Traffic};
use raft_tui::control::{ActiveFault, ClusterView, Held, Life, Mode, Operation, Request, Target, WritesStand};
use raft_tui::raft::{Index, NodeId, Role, Term};
use raft_tui::text::width;

use crate::support::headless::{Shared, started};
use crate::support::views::{healthy, leader};

/// Five nodes elsewhere: n2 is not reached, n4 lags, n5 was never heard, n1 believes that it still leads.
pub(super) fn troubled() -> ClusterView {
    let mut view = ClusterView { held: Held::Remote, mode: Mode::Observe, name: "prod".into(), ..healthy(5) };
    for node in &mut view.nodes {
        node.reach = Some(Reach {
            address: format!("10.0.0.{}:7101", node.id.0),
            age_us: Some(120_000),
            round_trip_us: Some(850),
            version: "0.1.0".into(),
            chaos: Some(node.id.0 != 4),
        });
    }
    let stale = leader(1, 5);
    let reach = view.nodes[0].reach.take();
    view.nodes[0] = raft_tui::control::NodeView { term: Term(6), reach, ..stale };
    view.nodes[1].life = Life::Unreachable { since_us: 180_000_000, why: "connection refused".into() };
    view.nodes[3].last.index = Index(90);
    view.nodes[3].applied = Index(90);
    view.nodes[4].life = Life::Unreachable { since_us: 0, why: "no route to host".into() };
    if let Some(reach) = &mut view.nodes[4].reach {
        (reach.age_us, reach.round_trip_us, reach.version, reach.chaos) = (None, None, String::new(), None);
    }
    for peer in &mut view.nodes[2].peers {
        if peer.id.0 == 4 {
            peer.match_index = Index(90);
            peer.silent_ticks = 250;
        }
    }
    let peer = |id, bytes, dropped| PeerTraffic { id: NodeId(id), bytes: Some(bytes), dropped };
    let (cut, stranger) = (Dropped { by_rule: 40, by_age: 2, ..Dropped::default() }, Dropped::default());
    view.nodes[2].traffic = Some(Traffic {
        peers: vec![peer(2, (0, 0), stranger), peer(4, (1_200, 96_000), cut)],
        turned_away: 7,
        malformed: 3,
    });
    view.faults = vec![ActiveFault {
        number: 1,
        text: "cut n3>n4".into(),
        since_us: 1,
        left_us: Some(9_500_000),
        by: Some("ann".into()),
    }];
    view.alarms = vec![Alarm { node: view.nodes[2].id, text: "n4 came back with another store\u{1b}[31m".into() }];
    view
}

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/status").join(name)
}

/// Compares with what stands there; `BLESS=1` writes it.
fn compare(name: &str, found: &str) {
    let path = golden(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("it can be written");
    }
    let wanted = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(found, wanted, "{name}; if it should be so, run with BLESS=1 and look at the difference");
}

#[test]
fn the_json_of_a_status_is_what_stands_in_the_golden_files() {
    for (name, view) in [("healthy.json", healthy(3)), ("troubled.json", troubled())] {
        let text = serde_json::to_string_pretty(&Document::of(&view)).expect("it is written") + "\n";
        compare(name, &text);
    }
}

#[test]
fn the_table_of_a_status_fits_80_columns_and_names_who_is_not_reached() {
    for (name, view) in [("healthy.txt", healthy(5)), ("troubled.txt", troubled())] {
        let lines = table(&Arc::new(view));
        for line in &lines {
            assert!(width(line) <= 80, "{line}");
            assert!(!line.contains('\u{1b}'), "{line}");
        }
        compare(name, &(lines.join("\n") + "\n"));
    }
}

/// What the table says of fault injection.
fn told_of_faults(view: ClusterView) -> Option<String> {
    let text = table(&Arc::new(view)).join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, from) = text.split_once("fault injection is allowed here: ")?;
    Some(from.split_once(" in force").expect("it ends so").0.to_owned())
}

#[test]
fn the_table_says_where_faults_can_be_injected_and_how_many_are_in_force() {
    let with = |on: [Option<bool>; 3], allowed: bool| {
        let mut view = ClusterView { held: Held::Remote, chaos_allowed: allowed, ..healthy(3) };
        view.chaos = on.contains(&Some(true));
        for (node, chaos) in view.nodes.iter_mut().zip(on) {
            node.reach = Some(Reach { age_us: Some(1), chaos, ..Reach::default() });
        }
        view
    };
    let [yes, no, unknown] = [Some(true), Some(false), None];
    let told = |on, allowed| told_of_faults(with(on, allowed));
    assert_eq!(told([no, no, no], false), None);
    assert_eq!(told_of_faults(healthy(3)), None, "in one process nobody asks");
    assert_eq!(told([yes, yes, yes], true), Some("on at n1 n2 n3; no fault".into()));
    assert_eq!(told([no, yes, unknown], true), Some("on at n2, off at n1, not known of n3; no fault".into()));
    assert_eq!(told([no, no, no], true), Some("off at n1 n2 n3; no fault".into()));
    let document = serde_json::to_value(Document::of(&with([no, yes, unknown], true))).expect("it is written");
    assert_eq!((&document["cluster"]["chaos"], &document["cluster"]["chaos_allowed"]), (&true.into(), &true.into()));
    let of_nodes: Vec<_> = (0..3).map(|node| document["nodes"][node]["chaos"].as_bool()).collect();
    assert_eq!(of_nodes, [no, yes, unknown]);
}

fn judged(view: &ClusterView, change: impl FnOnce(&mut CheckArguments)) -> Verdict {
    let mut arguments = CheckArguments { expect: 5, ..CheckArguments::default() };
    change(&mut arguments);
    judge(view, &arguments)
}

#[test]
fn check_says_ok_of_a_whole_cluster() {
    let verdict = judged(&healthy(5), |arguments| arguments.lag_critical = Some(100));
    assert_eq!(verdict.exit, Exit::Fine);
    assert_eq!(verdict.line, "OK - n3 leads term 7, 5/5 nodes, lag 0 | lag=0;;100 nodes=5;;;0;5 seen=0.030s;; term=7");
}

#[test]
fn check_warns_of_each_thing_that_is_missing_or_behind() {
    let told = |view: &ClusterView, change: fn(&mut CheckArguments), says: &str| {
        let verdict = judged(view, change);
        assert_eq!(verdict.exit, Exit::Degraded, "{}", verdict.line);
        assert!(verdict.line.starts_with("WARNING - ") && verdict.line.contains(says), "{says}: {}", verdict.line);
    };
    told(&healthy(5), |arguments| arguments.expect = 7, "5 members, 7 expected");
    let mut view = healthy(5);
    view.nodes[0].life = Life::Crashed { at_us: 1 };
    told(&view, |_| {}, "n1 is crashed, n3 leads term 7, 4/5 nodes");
    let mut view = healthy(5);
    view.nodes[0].quarantined = true;
    told(&view, |_| {}, "n1 is in quarantine");
    let mut view = healthy(5);
    view.alarms = vec![Alarm { node: view.nodes[0].id, text: "wrong | store".into() }];
    told(&view, |_| {}, "alarm of n1: wrong / store");
    let mut view = healthy(5);
    view.nodes[0].role = Role::Leader;
    view.nodes[0].term = Term(6);
    told(&view, |_| {}, "n1 is a stale leader of term 6");
    told(&troubled(), |arguments| arguments.lag_critical = Some(40), "n4 lags 41 entries");
    told(&troubled(), |arguments| arguments.seen_critical = Some(Duration::from_secs(2)), "n4 was not heard for 2.5s");
    let bounds = |arguments: &mut CheckArguments| {
        arguments.lag_critical = Some(41);
        arguments.seen_critical = Some(Duration::from_millis(2_500));
    };
    let verdict = judged(&troubled(), bounds);
    assert!(
        !verdict.line.contains("n4 lags") && !verdict.line.contains("n4 was"),
        "a bound that is kept is no flaw: {}",
        verdict.line
    );
}

#[test]
fn check_is_critical_without_a_majority_a_leader_or_writes_and_unknown_when_nobody_was_reached() {
    let mut view = healthy(5);
    for node in view.nodes.iter_mut().skip(2) {
        node.life = Life::Crashed { at_us: 1 };
    }
    let verdict = judged(&view, |_| {});
    assert_eq!(verdict.exit, Exit::NoQuorum);
    assert!(verdict.line.starts_with("CRITICAL - 2 of 5 nodes run, a majority is 3, nobody leads"), "{}", verdict.line);
    let view = ClusterView { writes: WritesStand::Stalled { why: "n3 hears nobody".into() }, ..healthy(5) };
    let verdict = judged(&view, |_| {});
    assert_eq!(verdict.exit, Exit::NoQuorum);
    assert!(verdict.line.contains("writes wait: n3 hears nobody"), "{}", verdict.line);
    let mut view = healthy(3);
    for node in &mut view.nodes {
        node.life = Life::Unreachable { since_us: 0, why: "refused".into() };
    }
    let verdict = judged(&view, |_| {});
    assert_eq!(verdict.exit, Exit::NotReached);
    assert!(verdict.line.starts_with("UNKNOWN - "), "{}", verdict.line);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_of_a_cluster_in_this_process_tells_of_each_node() {
    let (session, guard) = started(3, &["wait leader", "submit SET a 1", "crash n2"]).await;
    let output = OutputArguments { output: Output::Jsonl };
    let arguments = StatusArguments { output, endpoints: Endpoints::default() };
    let mut out = Vec::new();
    let exit = status::run(session, &arguments, &mut out).await.expect("it is written");
    assert_eq!(exit, Exit::Fine);
    let status: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
    assert_eq!(status["version"], 1, "{status}");
    assert_eq!(status["nodes"].as_array().expect("a list").len(), 3, "{status}");
    assert_eq!(status["nodes"][1]["reach"], "crashed", "{status}");
    let sent = |node: &serde_json::Value| node["messages"]["by_type"]["RequestVote"]["sent"].as_u64().unwrap_or(0);
    let nodes = status["nodes"].as_array().expect("a list");
    assert!(nodes.iter().any(|node| sent(node) > 0 && node["elections"].as_u64() > Some(0)), "{status}");
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_tells_a_change_of_leader_and_ends_when_it_is_asked_to() {
    let (session, guard) = started(3, &["wait leader"]).await;
    let operations = session.operations.clone();
    let mut view = session.view.clone();
    let (call, end) = End::new();
    let old = view.borrow().leader().map(|leader| leader.id).expect("it leads");
    let mut out = Shared::default();
    let written = out.clone();
    let arguments = WatchArguments { jsonl: true, ..WatchArguments::default() };
    let driven = async {
        let told = |what: &str| written.text().contains(what);
        let within = Duration::from_secs(30);
        let waited = async {
            while !told("\"e\":\"status\"") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let crash = Request { id: 1, operation: Operation::Crash(Target::Leader) };
            operations.send(crash).await.expect("it listens");
            view.wait_for(|view| view.leader().is_some_and(|leader| leader.id != old)).await.expect("it lives");
            while !told("became leader") && !told("leads term 2") {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(within, waited).await.unwrap_or_else(|_| panic!("{}", written.text()));
        // What the view has, its reader has seen by the next picture.
        while written.lines().iter().filter(|line| line.starts_with("{\"e\":\"status\"")).count() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        call.send_replace(true);
    };
    let (exit, ()) = tokio::join!(watch::run(session, &arguments, &mut out, &end), driven);
    assert_eq!(exit.expect("it is written"), Exit::Fine);
    for line in written.lines() {
        let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(["status", "event", "missed"].contains(&value["e"].as_str().expect("what it is")), "{line}");
    }
    drop(operations);
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watch_ends_when_its_time_is_over() {
    let (session, guard) = started(1, &["wait leader"]).await;
    let arguments = WatchArguments { span: Some(Duration::from_millis(50)), ..WatchArguments::default() };
    let mut out = Vec::new();
    let exit = watch::run(session, &arguments, &mut out, &End::never()).await.expect("it is written");
    assert_eq!(exit, Exit::Fine);
    let text = String::from_utf8(out).expect("it is text");
    assert!(text.starts_with("= n1 leads term 1, 1 of 1 nodes run, writes go through\n"), "{text}");
    guard.ended().await;
}
