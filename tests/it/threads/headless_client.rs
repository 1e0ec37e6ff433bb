//! Client by lines, submit, read and ctl, over clusters in this process.

use std::path::Path;
use std::time::Duration;

use raft_tui::cli::Exit;
use raft_tui::cli::headless::client::{self, ClientArguments};
use raft_tui::cli::headless::ctl::{self, CtlArguments, Plan, danger};
use raft_tui::cli::headless::submit::{self, ReadArguments, SubmitArguments, line_of};
use raft_tui::cli::headless::{End, NotAllowed, Output, OutputArguments};
use raft_tui::control::{Level, grammar};
use raft_tui::raft::NodeId;
use tokio::io::BufReader;

use crate::support::headless::{Shared, Typed, started};
use crate::support::views::healthy;

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_client_is_what_stands_in_the_golden_files() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/client");
    let asked = std::fs::read_to_string(folder.join("session.jsonl")).expect("it is there");
    let wanted = std::fs::read_to_string(folder.join("session.answers.jsonl")).unwrap_or_default();
    let (session, guard) = started(1, &["wait leader"]).await;
    let (sender, typed) = Typed::new();
    let mut out = Shared::default();
    let written = out.clone();
    let typing = async {
        // One after another, so that the answers have an order.
        for (number, line) in asked.lines().enumerate() {
            sender.send(line.to_owned()).expect("it reads");
            let answered = async {
                while written.lines().len() <= number {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(30), answered).await.unwrap_or_else(|_| panic!("{line}"));
        }
        drop(sender);
    };
    let arguments = ClientArguments::default();
    let end = End::never();
    let (exit, ()) = tokio::join!(client::run(session, &arguments, BufReader::new(typed), &mut out, &end), typing);
    assert_eq!(exit.expect("it is written"), Exit::Failed, "lines that make no sense were among them");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(folder.join("session.answers.jsonl"), written.text()).expect("it can be written");
    }
    assert_eq!(written.text(), wanted, "run with BLESS=1 if it should be so, and look at the difference");
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_input_waits_for_all_that_is_under_way() {
    let (session, guard) = started(3, &["wait leader"]).await;
    let lines: Vec<String> =
        (0..3_000).map(|op| format!("{{\"op\":{op},\"f\":\"incr\",\"k\":\"n\",\"a\":1}}\n")).collect();
    let lines = lines.concat();
    let mut out = Vec::new();
    let arguments = ClientArguments::default();
    let input = std::io::Cursor::new(lines.into_bytes());
    let exit = client::run(session, &arguments, input, &mut out, &End::never()).await.expect("it is written");
    assert_eq!(exit, Exit::Fine);
    let answers: Vec<serde_json::Value> = String::from_utf8(out)
        .expect("it is text")
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect();
    assert_eq!(answers.len(), 3_000);
    let sums: Vec<u64> = answers.iter().filter(|answer| answer["e"] == "ok").filter_map(|a| a["r"].as_u64()).collect();
    let mut sorted = sums.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), sums.len(), "each increment gave another sum");
    assert!(sums.len() > 1_000, "most of them were applied, {}", sums.len());
    guard.ended().await;
}

#[test]
fn words_of_a_command_line_are_quoted_only_where_they_would_fall_apart() {
    let line = |words: &[&str]| line_of(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(line(&["SET city Oslo"]), "SET city Oslo");
    assert_eq!(line(&["SET", "city", "New York"]), "SET city \"New York\"");
    assert_eq!(line(&["SET", "a", ""]), "SET a \"\"");
    assert_eq!(line(&["CAS", "a", "\"NONE\"", "b"]), "CAS a \"NONE\" b");
    assert_eq!(line(&["SET", "a", "say \"hi\" now"]), "SET a \"say \\\"hi\\\" now\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_submitted_can_be_read_and_bytes_come_back_as_they_are() {
    let (session, guard) = started(1, &["wait leader", "submit SET city \"New\\nYork\""]).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = ReadArguments { query: words("city"), raw: true, ..ReadArguments::default() };
    let exit = submit::read(session, &arguments, &mut out, &mut err).await.expect("it is written");
    assert_eq!((exit, out.as_slice(), err.as_slice()), (Exit::Fine, &b"New\nYork"[..], &b""[..]));
    guard.ended().await;

    let (session, guard) = started(1, &["wait leader"]).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let output = OutputArguments { output: Output::Json };
    let arguments = SubmitArguments { command: words("INCR n 7"), output, ..SubmitArguments::default() };
    let exit = submit::submit(session, &arguments, &mut out, &mut err).await.expect("it is written");
    assert_eq!(exit, Exit::Fine);
    assert_eq!(String::from_utf8_lossy(&out), "{\"op\":1,\"e\":\"ok\",\"r\":7,\"term\":1,\"i\":2}\n");
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_read_is_answered_where_nobody_leads() {
    for (level, via, answered) in [
        (Level::Local, Some(NodeId(2)), true),
        (Level::Local, None, true),
        (Level::Linearizable, Some(NodeId(2)), false),
        (Level::Linearizable, None, false),
    ] {
        let lines = ["wait leader", "submit SET city Oslo", "wait converged", "isolate all"];
        let (session, guard) = started(3, &lines).await;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut arguments = ReadArguments { query: words("city"), level, via, ..ReadArguments::default() };
        arguments.endpoints.timeout = Some(Duration::from_secs(if answered { 30 } else { 1 }));
        let exit = submit::read(session, &arguments, &mut out, &mut err).await.expect("it is written");
        let wanted = if answered { (Exit::Fine, &b"Oslo\n"[..]) } else { (Exit::Failed, &b""[..]) };
        assert_eq!((exit, out.as_slice()), wanted, "{level:?} via {via:?}: {}", String::from_utf8_lossy(&err));
        guard.ended().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_applied_is_told_apart_from_what_nobody_knows() {
    // The store refuses it: certainly without effect.
    let (session, guard) = started(1, &["wait leader", "submit SET a text"]).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = SubmitArguments { command: words("INCR a"), ..SubmitArguments::default() };
    let exit = submit::submit(session, &arguments, &mut out, &mut err).await.expect("it is written");
    assert_eq!((exit, out.as_slice()), (Exit::Failed, &b""[..]));
    assert!(String::from_utf8_lossy(&err).starts_with("not applied, certainly"), "{err:?}");
    guard.ended().await;

    // It was sent to a leader that nobody answers: unknown.
    let (session, guard) = started(3, &["wait leader", "isolate all"]).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let via = session.view.borrow().leader().map(|leader| leader.id);
    let mut arguments = SubmitArguments { command: words("SET a 1"), via, ..SubmitArguments::default() };
    arguments.endpoints.timeout = Some(Duration::from_millis(50));
    let exit = submit::submit(session, &arguments, &mut out, &mut err).await.expect("it is written");
    assert_eq!((exit, out.as_slice()), (Exit::Failed, &b""[..]));
    assert!(String::from_utf8_lossy(&err).starts_with("unknown, it may be applied later"), "{err:?}");
    guard.ended().await;
}

fn plan(script: &str) -> anyhow::Result<Plan> {
    let arguments = CtlArguments { script: Some("-".into()), ..CtlArguments::default() };
    Plan::read(&arguments, &mut script.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_carried_out_in_order_and_ends_at_the_first_failure() {
    let (session, guard) = started(3, &["wait leader"]).await;
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let arguments = CtlArguments { yes: true, ..CtlArguments::default() };
    let script = "# a drill\nsubmit SET a 1\n\ncrash leader\nwait leader\nread a\ncrash n9\nsubmit SET a 2\n";
    let plan = plan(script).expect("it is understood");
    let exit = ctl::run(session, &arguments, plan, &mut out, &mut err, &End::never()).await.expect("it is written");
    assert_eq!(exit, Exit::Failed);
    let text = String::from_utf8(out).expect("it is text");
    let marks: String = text.lines().filter_map(|line| line.chars().next()).collect();
    assert_eq!(marks, "====!", "{text}");
    assert!(text.contains("= read a: 1 "), "{text}");
    guard.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_takes_a_leader_away_is_not_begun_without_a_yes() {
    let (session, guard) = started(3, &["wait leader"]).await;
    let view = session.view.clone();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let plan = plan("submit SET a 1\ncrash leader\n").expect("it is understood");
    let arguments = CtlArguments::default();
    let went = ctl::run(session, &arguments, plan, &mut out, &mut err, &End::never()).await;
    let error = went.expect_err("it is not allowed");
    assert!(error.is::<NotAllowed>() && Exit::of(&error) == Exit::Refused, "{error}");
    assert!(error.to_string().contains("which leads term 1; 2 of 3 nodes would be left"), "{error}");
    assert!(out.is_empty(), "nothing was begun");
    assert_eq!(view.borrow().clients.applied, 0);
    guard.ended().await;
}

#[test]
fn what_can_take_a_leader_or_a_majority_away_is_known_and_said() {
    let view = healthy(5);
    let says = |line: &str| danger(&grammar::parse(line).expect("it is one"), &view);
    for (line, part) in [
        ("crash leader", "end n3, which leads term 7; 4 of 5 nodes would be left"),
        ("crash all", "0 of 5 nodes would be left, a majority is 3: nobody could write"),
        ("isolate n1", "cut off n1; 4 of 5"),
        ("partition 1,2/3,4/5", "2 of 5 nodes in the largest group, a majority is 3: nobody could write"),
        ("partition 1,2/3,4,5", "only there writes would go through"),
        ("cut n3>n2", "cut n3>n2"),
        ("cut n3", "cut off n3, which leads"),
        ("fail-disk n3", "halt n3, which leads"),
        ("pause leader", "freeze n3"),
    ] {
        let said = says(line).unwrap_or_else(|| panic!("{line} is dangerous"));
        assert!(said.contains(part), "{line}: {said}");
    }
    for line in
        ["submit SET a 1", "read a", "heal", "delay n1 5ms", "loss n2 5%", "restart all", "status", "wait leader"]
    {
        assert_eq!(says(line), None, "{line}");
    }
}

#[test]
fn a_script_with_a_line_that_makes_no_sense_is_refused_as_a_whole_with_its_number() {
    let error = plan("status\nfrobnicate n1\n").expect_err("it makes no sense");
    assert!(error.to_string().starts_with("line 2: `frobnicate`"), "{error}");
    assert_eq!(Exit::of(&error), Exit::Usage);
}
