//! The doors for other programs, through the real binary.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::program::Program;
use crate::support::trace_checker::Checker;

/// Runs `raft-tui core` and gives the exit code, the answers and what it said on standard error.
fn core(commands: &[u8]) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft-tui"))
        .arg("core")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    let commands = commands.to_vec();
    // Answers fill the pipe before all commands are written.
    let writer = std::thread::spawn(move || input.write_all(&commands));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it lives").expect("it reads to the end");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_sessions_are_what_the_program_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/core");
    for (name, exit) in [("figure_7", 0), ("figure_8", 0), ("leader_change", 0), ("snapshot", 0), ("errors", 1)] {
        let commands = fs::read(folder.join(format!("{name}.jsonl"))).expect("it is there");
        let answers = fs::read_to_string(folder.join(format!("{name}.answers.jsonl"))).expect("it is there");
        assert_eq!(core(&commands), (Some(exit), answers, String::new()), "{name}");
    }
}

#[test]
fn lines_that_cannot_be_read_are_answered_and_the_stream_goes_on() {
    let mut commands = b"{\"cmd\":\"nodes\",\"n\":1}\n\xff\xfe\n".to_vec();
    commands.extend(std::iter::repeat_n(b'x', 3 << 20));
    commands.extend_from_slice(b"\n\n# nothing\n{\"cmd\":\"dump\",\"fields\":\"id\"}");
    let (exit, answers, err) = core(&commands);
    let answers: Vec<_> = answers.lines().collect();
    assert_eq!((exit, answers.len(), err.as_str()), (Some(1), 4, ""), "{answers:#?}");
    assert!(answers[1].contains("not UTF-8") && answers[1].contains("\"line\":2"), "{}", answers[1]);
    assert!(answers[2].contains("longer than 1048576 bytes") && answers[2].contains("\"line\":3"), "{}", answers[2]);
    assert_eq!(answers[3], r#"{"cmd":"dump","nodes":[{"id":"n1"}]}"#);
}

#[test]
fn a_trace_of_a_cluster_that_is_crashed_and_cut_keeps_the_rules_of_raft() {
    let folder = tempfile::tempdir().expect("a folder");
    let (trace, log) = (folder.path().join("trace.jsonl"), folder.path().join("test.log"));
    let path = |path: &Path| path.to_str().expect("text").to_owned();
    let (trace_path, log) = (path(&trace), path(&log));
    let mut program = Program::start(&[
        "--nodes",
        "3",
        "--pace",
        "real",
        "--snapshot-entries",
        "20",
        "--trace",
        &trace_path,
        "--trace-messages",
        "--log-file",
        &log,
    ]);
    let mut written = 0;
    for round in 0..4 {
        let leader = program.leader();
        for _ in 0..15 {
            written += 1;
            program.good(&format!("submit SET k{} {written}", written % 5));
        }
        if round == 0 {
            // A cut leader appends what it will have to take back.
            program.good(&format!("isolate {leader}"));
            program.ask(&format!("submit via {leader} SET lost 1"));
            program.leader();
            program.good("submit SET kept 1");
            program.good("heal");
        } else {
            program.good(&format!("crash {leader}"));
            program.leader();
            program.good("submit SET kept 2");
            program.good(&format!("restart {leader}"));
        }
    }
    program.leader();
    program.good("submit SET end 1");
    let ended = program.end();
    assert!(matches!(ended.code(), Some(0 | 1)), "{ended:?}");

    let mut checker = Checker::of(3);
    let text = fs::read_to_string(&trace).expect("the trace is there");
    // Lines of one node are in order; a message is sent by another before it arrives, though not always before in the file.
    for line in text.lines() {
        checker.line(line);
    }
    for line in text.lines().filter(|line| line.contains(r#""ev":"recv""#)) {
        let line: Value = serde_json::from_str(line).expect("it is JSON");
        let mut sent = checker.sent.get(line["m"]["id"].as_str().expect("an id")).cloned().expect("it was sent");
        sent.as_object_mut().expect("an object").remove("cause");
        assert_eq!(sent, line["m"]);
    }
    let count = |ev: &str| checker.counts.get(ev).copied().unwrap_or(0);
    assert_eq!((count("boot"), count("crash"), count("stop"), count("gap")), (6, 3, 3, 0), "{:?}", checker.counts);
    assert!(count("apply") >= 3 * 60, "{:?}", checker.counts);
    for ev in ["vote", "leader", "append", "durable", "commit", "snapshot", "compact", "send", "recv"] {
        assert!(count(ev) > 0, "{ev}: {:?}", checker.counts);
    }
    assert!(checker.leaders.len() >= 4, "{:?}", checker.leaders);
}

#[test]
fn a_trace_that_cannot_be_written_is_told_and_one_without_messages_has_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |trace: &str| {
        let arguments = ["--nodes", "1", "--memory", "--pace", "real", "--plain", "--trace", trace];
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
        command.args(arguments).env("TMPDIR", folder.path());
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it starts");
        // One that refuses at once may have ended before it is written to.
        let _ = child.stdin.take().expect("piped").write_all(b"wait leader\nsubmit SET a 1\n");
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, err) = run("/dev/full");
    assert_eq!(code, Some(75), "{err}");
    assert!(err.starts_with("raft-tui: writing the trace /dev/full: "), "{err}");
    let (code, err) = run("/nowhere/trace.jsonl");
    assert_eq!(code, Some(74), "{err}");
    assert!(err.starts_with("raft-tui: opening the trace /nowhere/trace.jsonl: "), "{err}");
    let trace = folder.path().join("trace.jsonl");
    assert_eq!(run(trace.to_str().expect("text")), (Some(0), String::new()));
    let text = fs::read_to_string(trace).expect("it is there");
    let name = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("it is JSON");
        line["ev"].as_str().expect("what").to_owned()
    };
    let names: Vec<_> = text.lines().map(name).collect();
    let wanted = [
        "boot", "vote", "leader", "append", "durable", "commit", "apply", "append", "durable", "commit", "apply",
        "stop",
    ];
    assert_eq!(names, wanted);
}
