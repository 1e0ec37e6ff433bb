//! Load on clusters in this process: figures, histories, ends.

use std::time::Duration;

use clap::Parser as _;
use raft_tui::check::history::judge;
use raft_tui::cli::headless::load::mix::Mix;
use raft_tui::cli::headless::load::{self, LoadArguments};
use raft_tui::cli::headless::{End, Headless};
use raft_tui::cli::{Arguments, Command, Exit};
use raft_tui::control::{Operation, Request, Target};
use raft_tui::history::{self, Ask, What};

use crate::support::headless::started;

fn arguments(line: &[&str]) -> LoadArguments {
    let line = ["raft-tui", "load"].iter().chain(line);
    match Arguments::try_parse_from(line).expect("it makes sense").command {
        Some(Command::Headless(Headless::Load(arguments))) => arguments,
        other => panic!("{other:?}"),
    }
}

fn json(out: &[u8]) -> serde_json::Value {
    serde_json::from_slice(out).unwrap_or_else(|error| panic!("{}: {error}", String::from_utf8_lossy(out)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_with_a_crash_of_the_leader_in_it_is_linearizable() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history.jsonl");
    let path = file.to_str().expect("it is text");
    let (session, guard) = started(3, &["wait leader"]).await;
    let operations = session.operations.clone();
    let line = ["--clients", "8", "--duration", "3s", "--keys", "5", "--value-size", "9", "--json", "--history", path];
    let arguments = arguments(&line);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let view = session.view.clone();
    let crashing = async {
        for (id, operation) in
            [Operation::Crash(Target::Leader), Operation::Restart(Target::All)].into_iter().enumerate()
        {
            let before = view.borrow().clients.applied;
            let applied = async {
                while view.borrow().clients.applied < before + 20 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            // The load may end first on a slow machine.
            let _ = tokio::time::timeout(Duration::from_secs(2), applied).await;
            let id = u64::MAX - id as u64;
            operations.send(Request { id, operation }).await.expect("it listens");
        }
        drop(operations);
    };
    let end = End::never();
    let (exit, ()) = tokio::join!(load::run(session, &arguments, &mut out, &mut err, &end), crashing);
    assert_eq!(exit.expect("it is written"), Exit::Fine);
    guard.ended().await;
    let records = history::read(&std::fs::read_to_string(&file).expect("it is there")).expect("it is a history");
    let summary = judge(&records).unwrap_or_else(|violation| panic!("{violation:?}"));
    let told = json(&out);
    assert_eq!(summary.ok, told["ok"].as_u64().expect("a number"), "{told} {summary:?}");
    assert_eq!(summary.fail, told["failed"].as_u64().expect("a number"), "{told} {summary:?}");
    assert_eq!(summary.info, told["unknown"].as_u64().expect("a number"), "{told} {summary:?}");
    assert!(summary.ok > 100 && summary.too_hard.is_empty(), "{summary:?}");
    // New keys take over: no key has more operations than a checker can bear; no value is written twice.
    let mut uses = std::collections::BTreeMap::<_, u64>::new();
    let mut values = std::collections::BTreeSet::new();
    for record in &records {
        if let What::Invoke { key, ask, .. } = &record.what {
            *uses.entry(key.clone()).or_default() += 1;
            if let Ask::Set(value) | Ask::Cas { new: value, .. } = ask {
                assert!(values.insert(value.clone()), "{value:?} is written twice");
            }
        }
    }
    assert!(uses.values().all(|uses| *uses <= 400), "{uses:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_is_kept_and_the_figures_say_so() {
    let (session, guard) = started(1, &["wait leader"]).await;
    let arguments =
        arguments(&["--clients", "4", "--rate", "100/s", "--duration", "2s", "--json", "--mix", "set=1,get=1"]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = load::run(session, &arguments, &mut out, &mut err, &End::never()).await.expect("it is written");
    assert_eq!(exit, Exit::Fine);
    let told = json(&out);
    assert_eq!(told["ok"].as_u64().zip(told["failed"].as_u64()).map(|(ok, failed)| ok + failed), Some(200), "{told}");
    let both = [&told["writes"], &told["reads"]];
    for latencies in both {
        let at = |name: &str| latencies[name].as_u64().unwrap_or_else(|| panic!("{name}: {told}"));
        assert!(
            at("p50_us") <= at("p90_us") && at("p99_us") <= at("p99_9_us") && at("p99_9_us") <= at("max_us"),
            "{told}"
        );
    }
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_counts_from_when_an_operation_should_have_begun() {
    // The clock stands still for a while: one client cannot ask, and what it could not ask counts as slow.
    let (session, guard) = started(1, &["wait leader"]).await;
    let operations = session.operations.clone();
    let arguments = arguments(&["--clients", "1", "--rate", "100/s", "--duration", "2s", "--json", "--mix", "set=1"]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let stalling = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        operations.send(Request { id: u64::MAX, operation: Operation::Stop }).await.expect("it listens");
        tokio::time::sleep(Duration::from_secs(1)).await;
        operations.send(Request { id: u64::MAX - 1, operation: Operation::Resume }).await.expect("it listens");
        drop(operations);
    };
    let end = End::never();
    let (exit, ()) = tokio::join!(load::run(session, &arguments, &mut out, &mut err, &end), stalling);
    assert_eq!(exit.expect("it is written"), Exit::Fine);
    let told = json(&out);
    // A second of a hundred operations: half of those that came in it waited for more than half of it.
    let p90 = told["writes"]["p90_us"].as_u64().expect("a number");
    assert!(p90 > 300_000, "a stall of a second shows in more than one operation: {told}");
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_called_for_gives_the_summary_early() {
    let (session, guard) = started(1, &["wait leader"]).await;
    let arguments = arguments(&["--clients", "2", "--duration", "10m"]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (call, end) = End::new();
    let mut view = session.view.clone();
    let calling = async {
        view.wait_for(|view| view.clients.applied > 10).await.expect("it lives");
        call.send_replace(true);
    };
    let (exit, ()) = tokio::join!(load::run(session, &arguments, &mut out, &mut err, &end), calling);
    assert_eq!(exit.expect("it is written"), Exit::Fine);
    let text = String::from_utf8(out).expect("it is text");
    assert!(text.starts_with("2 clients, ") && text.contains("s, interrupted: "), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    guard.ended().await;
}

#[test]
fn a_mix_is_parts_of_known_operations() {
    assert!("set=50,get=40,cas=5,incr=3,del=2".parse::<Mix>().is_ok());
    for wrong in ["", "set", "set=x", "jump=1", "set=0,get=0", "set=-1"] {
        let error = wrong.parse::<Mix>().expect_err(wrong);
        assert!(error.0.contains("is no part of a mix"), "{error}");
    }
}
