//! How the program begins and ends, seen from outside.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn raft_tui(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end with this input; gives the exit code, standard output and standard error.
fn run(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = raft_tui(arguments).spawn().expect("it starts");
    // One that refuses at once may have ended before it is written to.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    told(&child.wait_with_output().expect("it ends"))
}

fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("it is text")
}

/// A running child, and its output after the first line.
fn running(arguments: &[&str]) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = raft_tui(arguments).spawn().expect("it starts");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut first = String::new();
    output.read_line(&mut first).expect("it speaks");
    assert!(first.starts_with("raft-tui "), "{first}");
    (child, output)
}

#[test]
fn help_is_fine_and_nonsense_is_usage() {
    let (code, out, err) = run(&["--help"], "");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("--data-dir"), "{out}");
    assert_eq!(run(&["--version"], "").0, 0);
    for (arguments, says) in [
        (&["--nodes", "0"][..], "1..=25"),
        (&["--nodes", "26"], "1..=25"),
        (&["--pace", "fast"], "no pace"),
        (&["--log-level", "loud"], "`loud` is no log level"),
        (&["--frobnicate"], "--frobnicate"),
        (&["--memory", "--data-dir", "x"], "cannot be used with"),
        (&["--color", "17"], "truecolor"),
        (&["--snapshot-entries", "0"], "0"),
    ] {
        let (code, out, err) = run(arguments, "");
        assert_eq!((code, out.as_str()), (64, ""), "{arguments:?}: {err}");
        assert!(err.contains(says), "{arguments:?}: {err}");
    }
}

#[test]
fn the_end_of_the_input_ends_it_and_the_log_is_where_it_was_wished() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("a.log");
    let arguments = ["--nodes", "1", "--memory", "--pace", "real", "--log-file", path(&log), "--log-level", "debug"];
    let (code, out, err) = run(&arguments, "wait leader\nsubmit SET a 1\nread a\n");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("\n= wait leader: n1 leads"), "{out}");
    assert!(out.contains("\n= read a: 1 (read from n1"), "{out}");
    assert!(!out.contains('\u{1b}'), "{out}");
    assert!(log.exists());
}

#[test]
fn a_temporary_log_and_data_go_when_all_went_well_and_the_log_stays_when_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let left = |input: &str| {
        let mut child =
            raft_tui(&["--nodes", "1", "--pace", "real"]).env("TMPDIR", folder.path()).spawn().expect("it starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
        let (code, ..) = told(&child.wait_with_output().expect("it ends"));
        let files = std::fs::read_dir(folder.path()).expect("a folder").flatten();
        (code, files.map(|file| file.file_name().to_string_lossy().into_owned()).collect::<Vec<_>>())
    };
    assert_eq!(left("wait leader\nsubmit SET a 1\n"), (0, vec![]));
    let (code, files) = left("wait leader\nfrobnicate\n");
    assert_eq!((code, files.len()), (1, 1), "{files:?}");
    assert!(files[0].starts_with("raft-tui-"), "{files:?}");
    assert!(Path::new(&files[0]).extension().is_some_and(|end| end == "log"), "{files:?}");
}

#[test]
fn a_data_folder_is_kept_and_another_number_of_nodes_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("demo");
    let of = |nodes: &'static str| ["--pace", "real", "--nodes", nodes, "--data-dir", path(&data)];
    let (code, out, err) = run(&of("3"), "wait leader\nsubmit SET a 1\n");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(data.join("raft-tui.log").exists());
    let (code, out, err) = run(&of("3"), "wait leader\nread a\n");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("\n= read a: 1 ("), "{out}");
    let (code, _, err) = run(&of("5"), "");
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("--nodes 3"), "{err}");
}

#[test]
fn somebody_elses_folder_and_one_in_use_are_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("letter.txt"), "dear").expect("written");
    let (code, _, err) = run(&["--data-dir", path(folder.path())], "");
    assert_eq!(code, 76, "{err}");
    assert!(err.starts_with("raft-tui: "), "{err}");
    let left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|file| file.file_name()).collect();
    assert_eq!(left, ["letter.txt"]);

    let data = folder.path().join("demo");
    let arguments = ["--nodes", "1", "--data-dir", path(&data)];
    let (mut child, _output) = running(&arguments);
    let (code, _, err) = run(&arguments, "");
    assert_eq!(code, 73, "{err}");
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn each_signal_ends_it_within_a_second() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let (mut child, mut output) = running(&["--nodes", "3", "--memory"]);
        let begun = Instant::now();
        rustix::process::kill_process(rustix::process::Pid::from_child(&child), signal).expect("it lives");
        let status = child.wait().expect("it ends");
        assert!(begun.elapsed() < Duration::from_secs(1), "{signal:?}: {:?}", begun.elapsed());
        assert_eq!(status.code(), Some(0), "{signal:?}");
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("it spoke");
        assert!(!rest.contains('\u{1b}'), "{rest}");
    }
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let (mut child, output) = running(&["--nodes", "3", "--memory", "--pace", "real"]);
    drop(output);
    let mut input = child.stdin.take().expect("piped");
    // It may be gone before it reads this.
    let _ = input.write_all(b"wait leader\nstatus\nstatus\n");
    let status = child.wait().expect("it ends, with its input still open");
    let mut err = String::new();
    child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
    assert_eq!(err, "");
    assert!(matches!(status.code(), Some(0 | 1)), "{status:?}");
}
