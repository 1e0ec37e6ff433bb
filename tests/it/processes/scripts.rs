//! Scripts through the doors without a screen.
//!
//! The files in `tests/scripts/` are fed to `raft-tui --plain` as they are. A line `#= words` expects an answer with these
//! words to what stands before it, `#! words` a refusal.

use std::fs;
use std::path::PathBuf;

use crate::support::program::{Program, run_plain};

fn script(name: &str, arguments: &[&str], exit: i32) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    let script = fs::read_to_string(path).expect("the script is there");
    let folder = tempfile::tempdir().expect("a folder");
    let (output, status) = run_plain(arguments, &script, folder.path());
    let mut answers = output.lines().filter(|line| line.starts_with(['=', '!']));
    for expected in script.lines().filter(|line| line.starts_with("#=") || line.starts_with("#!")) {
        let expected = expected.trim_start_matches('#');
        let mark = if expected.starts_with('=') { '=' } else { '!' };
        let words = expected.trim_start_matches(mark).trim();
        assert!(
            answers.any(|answer| answer.starts_with(mark) && answer.contains(words)),
            "no answer like `{expected}` in\n{output}"
        );
    }
    assert_eq!(status.code(), Some(exit), "{output}");
    assert!(output.chars().all(|c| c == '\n' || !c.is_control()), "no escapes in {output:?}");
    output
}

#[test]
fn failover() {
    script("failover.txt", &["--pace", "real", "--seed", "1"], 0);
}

#[test]
fn restart_of_all_nodes_keeps_the_values() {
    script("restart_all.txt", &["--pace", "real", "--nodes", "3"], 0);
}

#[test]
fn an_isolated_leader_gives_way() {
    script("isolated_leader.txt", &["--pace", "real"], 0);
}

#[test]
fn words_without_sense_are_refused_and_fail_the_script() {
    script("bad_words.txt", &["--pace", "real", "--nodes", "3", "--memory"], 1);
}

/// Splits five nodes so that the leader is with one other: `(minority, majority)` as lists for the grammar.
fn sides(leader: &str) -> (Vec<String>, Vec<String>) {
    let mut others: Vec<_> = (1..=5).map(|n| format!("n{n}")).filter(|node| node != leader).collect();
    let minority = vec![leader.to_owned(), others.remove(0)];
    (minority, others)
}

fn partition(program: &mut Program, one: &[String], other: &[String]) {
    program.good(&format!("partition {}/{}", one.join(","), other.join(",")));
}

#[test]
fn a_leader_in_a_minority_cannot_commit() {
    let mut program = Program::start(&["--pace", "real", "--memory"]);
    let leader = program.leader();
    program.good("submit SET a before");
    let (minority, majority) = sides(&leader);
    partition(&mut program, &minority, &majority);
    // It still takes the command, for it does not know yet; it must not say that it was applied.
    let answer = program.ask(&format!("submit via {leader} SET a lost"));
    assert_eq!(answer["ok"], false, "{answer}");
    assert_ne!(answer["kind"], "applied");
    let next = program.leader();
    assert!(majority.contains(&next), "{next} leads, of {majority:?}");
    program.good("submit SET a after");
    program.all_good(&["heal", "wait converged"]);
    assert_eq!(program.value("read a"), "after");
    assert!(program.end().success() || answer["ok"] == false);
}

#[test]
fn healing_truncates_the_conflicting_suffix() {
    let mut program = Program::start(&["--pace", "real", "--memory"]);
    let leader = program.leader();
    program.good("submit SET a before");
    let (minority, majority) = sides(&leader);
    partition(&mut program, &minority, &majority);
    // Entries that only the minority has: unknown to the client, never applied anywhere.
    for number in 0..3 {
        program.ask(&format!("submit via {leader} SET a lost-{number}"));
    }
    program.leader();
    program.good("submit SET a after");
    program.all_good(&["heal", "wait converged"]);
    assert_eq!(program.value("read a"), "after");
    assert!(program.told("\"what\":\"truncate ") > 0, "a suffix was removed: {:#?}", program.last());
    assert_eq!(program.told("SET a lost"), program.told("\"command\":\"submit via"), "no lost command was applied");
    program.end();
}

#[test]
fn a_follower_far_behind_gets_a_snapshot() {
    let mut program = Program::start(&["--pace", "real", "--memory", "--nodes", "3", "--snapshot-entries", "50"]);
    let leader = program.leader();
    let late = if leader == "n1" { "n2" } else { "n1" };
    program.good(&format!("crash {late}"));
    for number in 0..200 {
        program.good(&format!("submit SET k{} {number}", number % 10));
    }
    program.all_good(&[&format!("restart {late}"), "wait converged"]);
    assert!(program.told("snapshot 1") + program.told("\"what\":\"snapshot") > 0, "{:#?}", program.last());
    assert_eq!(program.value(&format!("read via {late} k9")), "199");
    program.end();
}

#[test]
fn a_stopped_clock_holds_everything() {
    let mut program = Program::start(&["--pace", "real", "--memory", "--nodes", "3"]);
    program.all_good(&["wait leader", "stop"]);
    let before = program.good("status");
    let waited = program.ask("wait applied n1 1000 timeout 300ms");
    assert_eq!(waited["kind"], "timed_out", "{waited}");
    let after = program.good("status");
    assert_eq!(before["status"]["at_us"], after["status"]["at_us"]);
    assert_eq!(after["status"]["stopped"], true);
    program.all_good(&["resume", "submit SET k v"]);
    assert_eq!(program.end().code(), Some(1), "one wait came to nothing");
}

#[test]
fn a_failed_disk_halts_its_node_and_nobody_else() {
    let mut program = Program::start(&["--pace", "real", "--memory", "--nodes", "3"]);
    let victim = if program.leader() == "n1" { "n2" } else { "n1" };
    program.all_good(&[&format!("fail-disk {victim}"), "submit SET k v", &format!("wait down {victim}")]);
    assert!(program.told(&format!("{victim} halts: ")) > 0, "{:#?}", program.last());
    program.good("submit SET k w");
    assert_eq!(program.end().code(), Some(0), "it was asked for");
}
