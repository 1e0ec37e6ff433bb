//! The console on a terminal, over child processes and over a cluster elsewhere: a few keys, and nothing left behind.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::processes::{Nodes, with_word};
use crate::support::scripted::PATIENCE;
use crate::support::terminal::Terminal;

/// Pressed sooner, keys are taken for what was there before a dialog.
fn once_it_asks(terminal: &Terminal, words: &str) {
    terminal.until_shown(words);
    std::thread::sleep(Duration::from_millis(400));
}

fn nobody_is_left(word: &str) {
    let began = Instant::now();
    while !with_word(word).is_empty() {
        assert!(began.elapsed() < PATIENCE, "still there: {:?}", with_word(word));
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn is_given_back(terminal: &Terminal) {
    terminal.until("given back", |_| !terminal.is_taken());
    assert!(!terminal.is_cursor_hidden(), "the cursor is back");
}

#[test]
fn keys_break_and_mend_child_processes_and_none_is_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let mut terminal =
        Terminal::start(120, 40, &["--processes", "--nodes", "3", "--pace", "real", "--data-dir", &data]);
    terminal.until_shown("[PROCESSES]");
    terminal.until_shown("leads t");
    terminal.press("sSET colour blue\r");
    terminal.until_shown("stored (entry");
    terminal.press("1c");
    terminal.until_shown("n1 ✗ DOWN");
    terminal.press("r");
    terminal.until_shown("3/3 up");
    terminal.press("2P");
    terminal.until_shown("n2 ‖ PAUSED");
    terminal.press("P");
    terminal.until("going on", |picture| !picture.contains("PAUSED"));
    terminal.press(" ");
    terminal.until_shown("CLUSTER STOPPED (SIGSTOP)");
    // Stopped processes end too.
    terminal.press("q");
    assert!(terminal.end().0.success());
    is_given_back(&terminal);
    nobody_is_left(&data);
}

#[test]
fn no_child_outlives_a_closed_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let mut terminal = Terminal::start(80, 24, &["--processes", "--nodes", "3", "--pace", "real", "--data-dir", &data]);
    terminal.until_shown("leads t");
    assert!(with_word(&data).len() > 3, "{:?}", with_word(&data));
    terminal.close();
    terminal.end();
    nobody_is_left(&data);
}

#[test]
fn a_drill_over_a_cluster_elsewhere_leaves_it_whole() {
    let mut nodes = Nodes::start(3, true);
    let token = nodes.token("chaos");
    let arguments = ["attach", &nodes.address(1), "--token-file", &token];
    let mut terminal = Terminal::start(120, 40, &arguments);
    terminal.until_shown("OBSERVE read-only");
    terminal.until_shown("3/3 up");
    terminal.press("c");
    terminal.until_shown("read-only: press A and arm for a drill");
    terminal.press("A\x1b[Cpractise\r");
    terminal.until_shown("DRILL");
    terminal.press("sSET colour blue\r");
    terminal.until_shown("stored (entry");
    terminal.press(":delay n1>n2 20ms\r");
    terminal.until_shown("FAULTS 1: delay n1>n2 20ms");
    let mut other = Terminal::start(120, 40, &["attach", &nodes.address(2), "--token-file", &nodes.token("viewer")]);
    other.until_shown("by carl");
    // A process that others stop is old news first, then nothing is heard of it.
    let paused = with_word(&nodes.path("n3").display().to_string());
    let pid = paused.first().and_then(|pid| Pid::from_raw(pid.cast_signed())).expect("n3 runs");
    kill_process(pid, Signal::STOP).expect("it can be paused");
    terminal.until_shown("n3 ? no data");
    kill_process(pid, Signal::CONT).expect("it can go on");
    terminal.until_shown("3/3 up");
    terminal.press("q");
    once_it_asks(&terminal, "(heal all, then quit)");
    terminal.press("\r");
    assert!(terminal.end().0.success());
    is_given_back(&terminal);
    other.until_shown("no faults");
    other.press("q");
    assert!(other.end().0.success());
    is_given_back(&other);
    for id in 1..=3 {
        assert!(nodes.runs(id), "n{id} is left as it is");
    }
}

#[test]
fn who_is_not_let_in_reads_why_and_gets_no_screen() {
    let nodes = Nodes::start(1, true);
    let wrong = nodes.path("wrong.token");
    let file = std::fs::File::create(&wrong).expect("a file");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    file.set_permissions(private).expect("it is private");
    std::fs::write(&wrong, format!("chaos carl {}\n", "44".repeat(32))).expect("it is written");
    let wrong = wrong.display().to_string();
    let address = nodes.address(1);
    for (arguments, why) in [
        (&["attach", &address, "--token-file", &wrong][..], "does not allow that access"),
        (&["attach", &address], "wants a token"),
    ] {
        let mut terminal = Terminal::start(120, 40, arguments);
        let (status, _) = terminal.end();
        assert_eq!(status.exit_code(), 77, "{}", terminal.picture());
        terminal.until_shown(why);
        assert!(!terminal.is_taken() && !terminal.picture().contains("OBSERVE"), "{}", terminal.picture());
    }
}

/// A value that nobody is to see who only watches, longer than a screen tells of it.
const SECRET: &str = "hunter2-correct-horse-battery-staple-and-more-of-it";

#[test]
fn a_masked_value_is_on_no_pane_and_in_no_line() {
    let nodes = Nodes::start(1, false);
    let address = nodes.address(1);
    let program = |arguments: &[&str]| {
        let told = Command::new(env!("CARGO_BIN_EXE_raft-tui")).args(arguments).output().expect("it starts");
        assert!(told.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).expect("it is text")
    };
    let submit = |line: &str| program(&["submit", line, "--endpoints", &address]);
    let has_secret = |text: &str| text.contains("hunter2") || text.contains("battery");
    let arguments = ["attach", &address, "--ascii", "--mask-values"];
    let mut masked = Terminal::start(160, 50, &arguments);
    let mut open = Terminal::start(160, 50, &["attach", &address]);
    masked.until_shown("values masked");
    open.until_shown("1/1 up");
    let watched = std::thread::scope(|scope| {
        let watches = [
            vec!["watch", "--for", "20s", "--endpoints", &address, "--mask-values=true"],
            vec!["watch", "--for", "20s", "--endpoints", &address, "--mask-values", "--jsonl"],
            vec!["watch", "--for", "20s", "--endpoints", &address],
        ];
        let watches = watches.map(|arguments| scope.spawn(move || program(&arguments)));
        // Told again and again, until all of them watch.
        for number in 0..10 {
            submit(&format!("SET k{number} {SECRET}"));
            submit(&format!("CAS k{number} {SECRET} {SECRET}{number}"));
            std::thread::sleep(Duration::from_millis(500));
        }
        watches.map(|watch| watch.join().expect("it ends"))
    });
    assert!(has_secret(&watched[2]), "{}", watched[2]);
    for told in &watched[..2] {
        assert!(!has_secret(told) && told.contains("SET k") && told.contains("‹51 bytes›"), "{told}");
        assert!(told.contains("values are masked") || told.contains("\"values_masked\":true"), "{told}");
    }
    open.until_shown("CAS k9 hunter2");
    masked.until_shown("CAS k9 <51 bytes> <52 bytes>");
    // Each pane alone, the details of its first line, and the keys.
    for _ in 0..6 {
        for key in ["z", "gg", "\r", "\x03", "z", "?", "\x03", "\t"] {
            masked.press(key);
            std::thread::sleep(Duration::from_millis(100));
            assert!(!has_secret(&masked.picture()), "{}", masked.picture());
        }
    }
    masked.press("?");
    masked.until_shown("values are masked");
    masked.press("\x03");
    masked.until("closed", |picture| !picture.contains("values are masked"));
    // What one asks for oneself one may see.
    masked.press("Rk9\r");
    masked.until_shown("hunter2");
    for terminal in [&mut masked, &mut open] {
        terminal.press("q");
        assert!(terminal.end().0.success());
    }
}
