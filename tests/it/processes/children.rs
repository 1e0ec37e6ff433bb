//! `raft-tui --processes`: the same cluster as child processes, by the same commands.

use std::time::{Duration, Instant};

use crate::support::processes::with_word;
use crate::support::program::{Program, run_plain};
use crate::support::scripted::PATIENCE;

#[test]
fn five_children_do_all_that_nodes_in_one_process_do_and_can_be_paused() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "\
        wait leader\n submit SET city Oslo\n crash leader\n wait leader\n read city\n restart all\n wait converged\n\
        pause n1\n wait leader\n submit SET city Rome\n unpause n1\n wait converged\n\
        partition 1,2/3,4,5\n wait leader\n submit SET city Bonn\n heal\n wait converged\n\
        isolate leader\n wait leader\n heal\n wait converged\n\
        delay n1>n2 20ms\n heal n1>n2\n slow-disk n2 5ms\n slow-disk n2 0ms\n\
        stop\n resume\n wait leader\n crash all\n wait down n3\n restart all\n wait leader\n read city\n\
        load 100/s 1s\n wait converged\n status\n";
    let (said, status) = run_plain(&["--processes", "--pace", "real", "--nodes", "5"], script, folder.path());
    assert!(status.success(), "{said}");
    assert!(said.contains("= read city: Bonn"), "{said}");
    assert!(said.contains("n1 is paused"), "{said}");
}

#[test]
fn a_child_that_halts_says_why_and_comes_back_when_it_is_restarted() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "\
        wait leader\n submit SET a 1\n wait converged\n fail-disk n2\n load 50/s 1s\n wait down n2\n restart n2\n\
        wait converged\n read a\n";
    let (said, status) = run_plain(&["--processes", "--pace", "real", "--nodes", "3"], script, folder.path());
    assert!(status.success(), "{said}");
    assert!(said.contains("n2 halted: "), "{said}");
}

#[test]
fn a_folder_serves_with_and_without_processes() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let arguments = ["--pace", "real", "--nodes", "3", "--data-dir", &data];
    let with: Vec<_> = ["--processes"].iter().chain(&arguments).copied().collect();
    for (arguments, script) in [
        (&arguments[..], "wait leader\nsubmit INCR n\n"),
        (&with, "wait leader\nsubmit INCR n\n"),
        (&arguments, "wait leader\nsubmit INCR n\n"),
        (&with, "wait leader\nread n\n"),
    ] {
        let (said, status) = run_plain(arguments, script, folder.path());
        assert!(status.success(), "{said}");
        if script.contains("read") {
            assert!(said.contains("= read n: 3"), "{said}");
        }
    }
}

#[test]
fn no_child_outlives_a_console_that_was_killed_not_even_a_paused_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let mut console = Program::start(&["--processes", "--pace", "real", "--nodes", "3", "--data-dir", &data]);
    console.good("wait leader");
    console.good("pause n2");
    // Three nodes and the console itself.
    assert_eq!(with_word(&data).len(), 4, "{:?}", with_word(&data));
    console.kill();
    let began = Instant::now();
    while !with_word(&data).is_empty() {
        assert!(began.elapsed() < PATIENCE, "still there: {:?}", with_word(&data));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_life_of_a_child_writes_a_trace_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let trace = folder.path().join("trace");
    let name = trace.display().to_string();
    let arguments = ["--processes", "--pace", "real", "--nodes", "3", "--trace", &name];
    let script = "wait leader\n crash n2\n restart n2\n wait converged\n submit SET a 1\n";
    let (said, status) = run_plain(&arguments, script, folder.path());
    assert!(status.success(), "{said}");
    for (node, life) in [(1, 1), (2, 1), (2, 2), (3, 1)] {
        let file = raft_tui::cluster::process::trace_file(&trace, raft_tui::raft::NodeId(node), life);
        let lines = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        // What was killed may have written nothing yet.
        assert!(life == 1 && node == 2 || lines.lines().count() > 1, "{}: {lines}", file.display());
        assert!(lines.lines().next().is_none_or(|line| line.starts_with('{')), "{lines}");
    }
    assert!(!trace.exists(), "nothing is written where no node writes");
}
