//! What programs read, compared with `tests/golden/headless/`: clusters are played, so that each line is the same each time.
//! `BLESS=1 cargo test --test it threads::headless_golden` writes them anew; look at the difference.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use raft_tui::cli::headless::check::{CheckArguments, Verdict, judge};
use raft_tui::cli::headless::ctl::{self, CtlArguments, Plan};
use raft_tui::cli::headless::load::tally::Tally;
use raft_tui::cli::headless::outcome::{Outcome, Reply};
use raft_tui::cli::headless::watch::{self, WatchArguments};
use raft_tui::cli::headless::{End, Headless, Output};
use raft_tui::cli::lines::Form;
use raft_tui::cli::plain::run_plain;
use raft_tui::cli::{Arguments, Command, Exit};
use raft_tui::cluster::Session;
use raft_tui::control::{Answer, ClusterView, Happened, Life, Observation, Request, What, WritesStand};
use raft_tui::machine::kv::KvReply;
use raft_tui::raft::{Cause, Event, EventKind, Index, NodeId, Term};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, watch as latest};

use super::headless_status::troubled;
use crate::support::headless::Shared;
use crate::support::views::{ALL, drill, half_heard, healthy};

/// Compares with what stands there; `BLESS=1` writes it.
fn compare(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/headless").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).expect("it can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, wanted, "{name}; if it should be so, run with BLESS=1 and look at the difference");
}

/// The other ends of a session.
struct Played {
    asked: mpsc::Receiver<Request>,
    told: mpsc::Sender<Observation>,
    view: latest::Sender<Arc<ClusterView>>,
}

fn played(view: ClusterView) -> (Session, Played) {
    let (operations, asked) = mpsc::channel(16);
    let (told, observations) = mpsc::channel(64);
    let (published, view) = latest::channel(Arc::new(view));
    (Session { operations, observations, view, capabilities: ALL }, Played { asked, told, view: published })
}

impl Played {
    async fn happens(&self, number: u64, what: What) {
        let happened = Happened { number, at_us: 61_002_000 + number, what };
        self.told.send(Observation::Happened(Arc::new(happened))).await.expect("it is heard");
    }

    /// Answers each operation with the next of these, the last with that it is done.
    async fn answers(mut self, answers: Vec<Answer>) {
        let mut answers = answers.into_iter();
        while let Some(Request { id, .. }) = self.asked.recv().await {
            let answer = answers.next().unwrap_or_else(|| Answer::Done("all nodes stopped".into()));
            // Whoever has gone needs no answer.
            let _ = self.told.send(Observation::Answered { id, answer }).await;
        }
    }
}

fn leads() -> What {
    let event = Event { term: Term(8), cause: Cause::Tick, kind: EventKind::BecameLeader };
    What::Node { node: NodeId(3), event }
}

fn crashed() -> What {
    What::Life { node: NodeId(1), life: Life::Crashed { at_us: 61_000_000 } }
}

fn applied() -> Answer {
    let reply = KvReply::Stored.encode();
    Answer::Applied { index: Index(132), term: Term(7), reply, took_us: 31_000 }
}

fn value() -> Answer {
    let reply = KvReply::Value(Some("Oslo".into())).encode();
    Answer::Value { index: Index(132), node: NodeId(3), reply, took_us: 1_200 }
}

#[test]
fn the_json_of_a_check_is_what_stands_in_the_golden_files() {
    let plain = CheckArguments { expect: 5, ..CheckArguments::default() };
    let bounds =
        CheckArguments { lag_critical: Some(40), seen_critical: Some(Duration::from_secs(2)), ..plain.clone() };
    let halted = ClusterView { writes: WritesStand::Stalled { why: "n3 hears nobody".into() }, ..healthy(5) };
    let verdicts = [
        ("check_ok", judge(&healthy(5), &bounds), Exit::Fine),
        ("check_warning", judge(&troubled(), &bounds), Exit::Degraded),
        ("check_critical", judge(&halted, &plain), Exit::NoQuorum),
        ("check_unknown", Verdict::unknown("no node \u{1b}[31manswers", &bounds), Exit::NotReached),
    ];
    for (name, verdict, exit) in verdicts {
        let mut out = Vec::new();
        assert_eq!(verdict.write(Output::Json, &mut out).expect("it is written"), exit);
        let document: serde_json::Value = serde_json::from_slice(&out).expect("it is JSON");
        assert_eq!((&document["version"], &document["exit"]), (&1.into(), &(exit as u8).into()), "{document}");
        compare(&format!("{name}.json"), &String::from_utf8(out).expect("it is text"));
        let mut line = Vec::new();
        verdict.write(Output::Jsonl, &mut line).expect("it is written");
        let line = String::from_utf8(line).expect("it is text");
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("it is JSON"), document);
    }
}

#[test]
fn the_figures_of_a_load_are_what_stands_in_the_golden_files() {
    let shown = |tally: &Tally, interrupted| {
        let json = tally.json(4, Duration::from_millis(2_500), interrupted);
        assert_eq!(json["version"], 1, "{json}");
        serde_json::to_string_pretty(&json).expect("it is written") + "\n"
    };
    let mut tally = Tally::new().expect("there is memory");
    compare("load_nothing.json", &shown(&tally, true));
    let ok = Outcome::Ok { reply: Reply::Kv(KvReply::Stored), term: None, index: Index(1), node: None };
    for number in 1..=1_000 {
        tally.add(false, &ok, Duration::from_micros(number * 10));
        tally.add(true, &ok, Duration::from_micros(number));
    }
    tally.add(false, &Outcome::Fail { why: "nobody leads".into() }, Duration::from_secs(1));
    tally.close(2_004);
    compare("load.json", &shown(&tally, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_watch_are_what_stands_in_the_golden_file() {
    let (session, played) = played(healthy(3));
    let (call, end) = End::new();
    let mut out = Shared::default();
    let written = out.clone();
    let lines = async |count: usize| {
        let reached = async {
            while written.lines().len() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap_or_else(|_| panic!("{}", written.text()));
    };
    let playing = async {
        lines(1).await;
        played.happens(1, leads()).await;
        lines(2).await;
        played.happens(2, crashed()).await;
        lines(3).await;
        played.happens(9, What::Faults { what: "cut n3>n2".into() }).await;
        lines(5).await;
        played.view.send_replace(Arc::new(troubled()));
        lines(6).await;
        call.send_replace(true);
    };
    let arguments = WatchArguments { jsonl: true, ..WatchArguments::default() };
    let (exit, ()) = tokio::join!(watch::run(session, &arguments, &mut out, &end), playing);
    assert_eq!(exit.expect("it is written"), Exit::Fine);
    compare("watch.jsonl", &written.text());
}

fn ctl_arguments(line: &[&str]) -> CtlArguments {
    let line = ["raft-tui", "ctl"].iter().chain(line);
    match Arguments::try_parse_from(line).expect("it makes sense").command {
        Some(Command::Headless(Headless::Ctl(arguments))) => arguments,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_of_ctl_are_what_stands_in_the_golden_file() {
    let (session, played) = played(healthy(3));
    let arguments = ctl_arguments(&["--script", "-", "-o", "json"]);
    let script = "wait leader\n# a comment\nsubmit SET city Oslo\nread city\nstatus\nrestart n1\nheal\n";
    let plan = Plan::read(&arguments, &mut script.as_bytes()).expect("it makes sense");
    let answers = vec![
        Answer::Done("n3 leads term 7".into()),
        applied(),
        value(),
        Answer::Status(Arc::new(half_heard())),
        Answer::Refused { why: "n1 runs".into() },
    ];
    let playing = tokio::spawn(played.answers(answers));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = ctl::run(session, &arguments, plan, &mut out, &mut err, &End::never()).await.expect("it is written");
    assert_eq!(exit, Exit::Failed, "a script ends at the first that fails");
    assert!(err.is_empty());
    playing.await.expect("it ended");
    compare("ctl.jsonl", &String::from_utf8(out).expect("it is text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_of_a_session_as_json_are_what_stands_in_the_golden_file() {
    let (session, played) = played(healthy(3));
    let script = "wait leader\nsubmit SET city Oslo\nread city\nstatus\nsubmit SET a b\nsubmit SET c d\nisolate n1\n\
                  wait converged\ncrsh \u{7}\n";
    let answers = vec![
        Answer::Done("n3 leads term 7".into()),
        applied(),
        value(),
        Answer::Status(Arc::new(drill())),
        Answer::Unknown { why: "n3 was lost before it answered".into() },
        Answer::NotApplied { why: "n3 does not lead any more".into() },
        Answer::Refused { why: "arm first".into() },
        Answer::TimedOut { why: "n1 lacks 12 entries".into() },
    ];
    // What happened is there before the first answer; the gap is what found no room.
    played.happens(1, leads()).await;
    played.happens(2, crashed()).await;
    played.happens(9, What::Clock { what: "the clock stands still".into() }).await;
    let playing = tokio::spawn(played.answers(answers));
    let (output, mut taken) = tokio::io::duplex(1 << 20);
    let never = std::future::pending();
    let exit = run_plain(session, script.as_bytes(), output, Form::Json, never).await;
    assert_eq!(exit, Exit::Failed);
    playing.await.expect("it ended");
    let mut text = String::new();
    taken.read_to_string(&mut text).await.expect("it is text");
    let version = format!("\"e\":\"start\",\"version\":\"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(text.contains(&version), "{text}");
    let text = text.replace(&version, "\"e\":\"start\",\"version\":\"(the program's)\"");
    // An event may be told before or after the line that is read first: kinds keep their own order.
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_by_key(|line| line.starts_with("{\"e\":\"answer\""));
    compare("session.jsonl", &(lines.join("\n") + "\n"));
}
