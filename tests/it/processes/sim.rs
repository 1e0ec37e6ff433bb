//! `raft-tui sim` through the real binary: what it writes down is the same in every process, and has not changed since it
//! was looked at last. `BLESS=1 cargo test --test it processes::sim` writes it anew; review the difference.

use std::fs;
use std::path::Path;
use std::process::Command;

use raft_tui::check::history::judge;
use raft_tui::history;

/// A small run with crashes, several leaders and operations of unknown outcome.
const SEED: &[&str] = &["--seed", "2", "--nodes", "3", "--profile", "crash", "--events", "100", "--operations", "60"];

/// Runs it: exit code, standard output, standard error.
fn sim(arguments: &[&str]) -> (Option<i32>, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_raft-tui")).arg("sim").args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (done.status.code(), text(&done.stdout), text(&done.stderr))
}

/// What a run writes into the file of `flag`.
fn written(flag: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("lines.jsonl");
    let (code, out, err) = sim(&[SEED, &[flag, file.to_str().expect("text")], arguments].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("0 seeds broke a rule"), "{out}");
    fs::read_to_string(file).expect("it is there")
}

fn is_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/sim").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("written");
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let differs = text.lines().zip(golden.lines()).position(|(new, old)| new != old);
    assert!(
        text == golden,
        "{} differs from line {:?} on; to accept: BLESS=1 cargo test --test it processes::sim",
        path.display(),
        differs.map(|line| line + 1)
    );
}

#[test]
fn the_history_of_a_seed_is_the_golden_one() {
    let text = written("--history", &[]);
    is_golden("history.jsonl", &text);
    assert_eq!(text, written("--history", &[]), "another process, another history");
    let records = history::read(&text).expect("it is a history");
    let summary = judge(&records).expect("it is right");
    assert!(summary.ok > 10 && summary.info > 0 && summary.too_hard.is_empty(), "{summary:?}");
}

#[test]
fn the_trace_of_a_seed_is_the_golden_one() {
    let text = written("--trace", &[]);
    is_golden("trace.jsonl", &text);
    assert!(!text.contains(r#""ev":"send""#));
    let messages = written("--trace", &["--trace-messages"]);
    assert!(messages.contains(r#""ev":"send""#) && messages.contains(r#""ev":"recv""#));
    assert_eq!(messages, written("--trace", &["--trace-messages"]), "another process, another trace");
}

#[test]
fn without_a_file_the_trace_is_lines_for_people_and_a_history_may_go_beside_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history.jsonl");
    let (code, out, err) = sim(&[SEED, &["--history", file.to_str().expect("text"), "--trace"]].concat());
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("became") || out.contains("leader"), "{out}");
    assert!(out.lines().last().is_some_and(|line| line.starts_with("fingerprint ")), "{out}");
    assert_eq!(fs::read_to_string(file).expect("it is there"), written("--history", &[]));
}

#[test]
fn what_cannot_be_written_down_is_told() {
    let one_run = "raft-tui: --trace and --history write down one run: name its --seed, without --seeds and --shrink, \
                   and with one variant at most\n";
    for arguments in [
        &["--seeds", "2", "--history", "/dev/null"][..],
        &["--seeds", "2", "--trace"],
        &["--shrink", "--trace", "/dev/null"],
        &["--mutants", "M20,M21", "--trace", "/dev/null"],
    ] {
        assert_eq!(sim(arguments), (Some(64), String::new(), one_run.to_owned()), "{arguments:?}");
    }
    let (code, _, err) = sim(&["--trace", "--trace-messages"]);
    assert_eq!(
        (code, err.as_str()),
        (Some(64), "raft-tui: --trace-messages adds to a file: say which with --trace FILE\n")
    );
    let (code, _, err) = sim(&["--history", "/nowhere/history.jsonl"]);
    assert_eq!(code, Some(74), "{err}");
    assert!(err.starts_with("raft-tui: opening the history /nowhere/history.jsonl: "), "{err}");
    let (code, _, err) = sim(&["--history", "/dev/full"]);
    assert_eq!(code, Some(75), "{err}");
    assert!(err.starts_with("raft-tui: writing the history /dev/full: "), "{err}");
}

/// Nodes that answer reads before they have applied what is read: what clients saw is enough to find them out. (The run
/// ends at the first read that its own judge finds wrong; not every one of these shows from outside.)
#[cfg(feature = "mutants")]
#[test]
fn the_history_of_a_variant_with_stale_reads_is_caught() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("history.jsonl");
    let caught = (1..60).find(|seed| {
        let seed = seed.to_string();
        sim(&["--mutants", "M22", "--seed", &seed, "--history", file.to_str().expect("text")]);
        let text = fs::read_to_string(&file).expect("it is there");
        judge(&history::read(&text).expect("it is a history")).is_err()
    });
    assert!(caught.is_some(), "60 runs with stale reads look right");
}
