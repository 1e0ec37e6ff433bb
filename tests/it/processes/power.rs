//! A power cut: after a SIGKILL in the middle of load, everything that was not synced is taken out of the folders.
//!
//! The trace of the system calls says how far each journal was synced. Copies of the folders, with their journals cut
//! there, must hold everything that was acknowledged, and no node may find that it promised more than it has.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::program::{Acknowledged, Program};
use crate::support::syncs::{CALLS, strace_works, synced_lengths};

/// Acknowledged writes before the power goes.
const WRITES: u64 = 300;
/// How often it goes.
const CUTS: usize = 3;

#[test]
fn nothing_acknowledged_is_missing_when_unsynced_bytes_are() {
    if !strace_works() {
        assert!(std::env::var_os("CI").is_none(), "CI must have strace: this proof may not be skipped there");
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            b"skipped: strace is not installed, so what was synced cannot be told (apt-get install strace)\n",
        );
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("power.log");
    let mut data = folder.path().join("data-0");
    let mut acknowledged = Acknowledged::default();
    let mut next = 0;
    for cut in 1..=CUTS {
        let before = journals(&data);
        let trace = folder.path().join(format!("trace-{cut}"));
        let mut program = Program::spawn(
            Command::new("strace")
                .args(["-f", "-y", "-qq", "-e", &format!("trace={CALLS}"), "-o"])
                .arg(&trace)
                .arg(env!("CARGO_BIN_EXE_raft-tui"))
                .args(["--json", "--pace", "real", "--nodes", "3", "--data-dir"])
                .arg(&data)
                .arg("--log-file")
                .arg(&log),
        );
        program.good("wait leader");
        acknowledged.check(&mut program, "the power cut");
        let first = next;
        let mut answered = 0;
        while answered < WRITES {
            while next - first < answered + 32 {
                assert!(program.write(&format!("submit SET k{} {next}", next % 20)));
                next += 1;
            }
            let answer = program.answer().expect("it lives");
            answered += 1;
            acknowledged.note(&answer);
        }
        kill_traced(&mut program);
        // What had been answered before the kill and not read yet counts too.
        while let Some(answer) = program.answer() {
            acknowledged.note(&answer);
        }
        drop(program);
        let trace = fs::read_to_string(&trace).expect("strace wrote a trace");
        let after = folder.path().join(format!("data-{cut}"));
        let journals = copy_without_unsynced(&data, &after, &synced_lengths(&trace, &before));
        assert!(journals >= 3, "each node has a journal, {journals} were found");
        data = after;
    }
    let mut program = Program::start(&[
        "--pace",
        "real",
        "--nodes",
        "3",
        "--data-dir",
        data.to_str().expect("a path is text"),
        "--log-file",
        log.to_str().expect("a path is text"),
    ]);
    program.good("wait leader");
    acknowledged.check(&mut program, "the power cut");
    program.good("wait converged");
    assert_eq!(program.told("quarantine"), 0, "no node promised more than it has: {:#?}", program.heard);
    assert!(program.end().success());
}

/// Kills the program behind strace; strace itself ends with it, its trace complete.
fn kill_traced(program: &mut Program) {
    let children = format!("/proc/{0}/task/{0}/children", program.id());
    let children = fs::read_to_string(children).expect("the system tells who is whose child");
    let child = children.split_whitespace().next().expect("strace runs the program");
    let killed = Command::new("kill").args(["-KILL", child]).status().expect("kill runs");
    assert!(killed.success(), "the program can be killed");
}

/// Copies a data folder; of each journal only what was synced. Gives how many journals there were.
fn copy_without_unsynced(from: &Path, to: &Path, synced: &BTreeMap<PathBuf, u64>) -> usize {
    // `cp` keeps the holes of sparse files.
    let copied = Command::new("cp").args(["-a", "--sparse=always"]).arg(from).arg(to).status().expect("cp runs");
    assert!(copied.success(), "the folder can be copied");
    let copies = journals(to);
    for (journal, preallocated) in &copies {
        let original = from.canonicalize().expect("it is there").join(journal.strip_prefix(to).expect("it lies below"));
        let length = synced.get(&original).copied().unwrap_or(0);
        let journal = OpenOptions::new().write(true).open(journal).expect("it can be cut");
        journal.set_len(length).expect("it can be cut");
        // A journal is preallocated; the rest of it reads as zeros.
        journal.set_len(*preallocated).expect("it can be made as long as it was");
    }
    copies.len()
}

/// The journals of all nodes with their lengths.
fn journals(data: &Path) -> BTreeMap<PathBuf, u64> {
    let mut found = BTreeMap::new();
    for node in fs::read_dir(data).into_iter().flatten().flatten() {
        let files = fs::read_dir(node.path().join("db")).into_iter().flatten().flatten();
        for file in files.filter(|file| file.path().extension().is_some_and(|ending| ending == "jnl")) {
            found.insert(file.path(), file.metadata().expect("it is there").len());
        }
    }
    found
}
