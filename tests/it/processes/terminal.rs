//! The console on a real terminal: a few keys, and every way to end it.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::terminal::Terminal;

/// "Within a second", with room for a machine that does other things too.
const A_SECOND: Duration = Duration::from_secs(3);

fn console(columns: u16, rows: u16) -> Terminal {
    let terminal = Terminal::start(columns, rows, &["--nodes", "3", "--pace", "real", "--memory", "--seed", "5"]);
    terminal.until_shown("LEADER");
    terminal
}

fn signal(terminal: &Terminal, signal: Signal) {
    let id = i32::try_from(terminal.id()).ok().and_then(Pid::from_raw).expect("an id is a number");
    kill_process(id, signal).expect("it can be signalled");
}

#[test]
fn keys_break_and_mend_a_cluster() {
    // On real disks, as people start it.
    let mut terminal = Terminal::start(120, 40, &["--nodes", "5", "--pace", "real", "--seed", "7"]);
    terminal.until_shown("leads t");
    terminal.until_shown("WRITES ok");
    assert!(terminal.is_taken(), "the console has a screen of its own");
    terminal.press("sSET colour blue\r");
    terminal.until_shown("SET colour blue");
    terminal.press("Rcolour\r");
    terminal.until_shown("read from");
    terminal.press(":crash leader\r");
    terminal.until_shown("4/5 up");
    terminal.until_shown("DOWN");
    terminal.until("another leader", |picture| picture.contains("leads t") && !picture.contains("leads t1"));
    terminal.press(":restart all\r");
    terminal.until_shown("5/5 up");
    terminal.press("pbb\r");
    terminal.until_shown("FAULTS 1: partition");
    terminal.press("H");
    terminal.until_shown("no faults");
    terminal.press(" ");
    terminal.until_shown("STOPPED");
    terminal.press(" ");
    terminal.until("running again", |picture| !picture.contains("STOPPED"));
    terminal.press("x");
    terminal.until_shown("x does nothing here, ? lists the keys");
    terminal.press("q");
    let (status, _) = terminal.end();
    assert!(status.success(), "{status:?}");
    terminal.until("given back", |_| !terminal.is_taken());
    assert!(!terminal.is_cursor_hidden(), "the cursor is back");
}

#[test]
fn a_resized_terminal_is_drawn_anew() {
    let mut terminal = console(120, 40);
    for (columns, rows) in [(80, 24), (30, 8), (200, 60), (3, 1), (80, 24)] {
        terminal.resize(columns, rows);
    }
    terminal.until("drawn at 80x24", |picture| {
        picture.contains("LEADER") && picture.lines().all(|line| line.chars().count() <= 80)
    });
    terminal.press("q");
    assert!(terminal.end().0.success());
}

#[test]
fn signals_end_it_and_give_the_terminal_back() {
    for what in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut terminal = console(80, 24);
        signal(&terminal, what);
        let (_, took) = terminal.end();
        assert!(took < A_SECOND, "{what:?} took {took:?}");
        terminal.until("given back", |_| !terminal.is_taken());
        assert!(!terminal.is_cursor_hidden(), "the cursor is back after {what:?}");
    }
}

#[test]
fn a_closed_terminal_ends_it() {
    let mut terminal = console(80, 24);
    terminal.close();
    let (_, took) = terminal.end();
    assert!(took < A_SECOND, "it took {took:?}");
}

#[test]
fn ctrl_z_gives_the_terminal_back_until_it_is_continued() {
    let mut terminal = Terminal::shell(80, 24);
    terminal.until_shown("shell>");
    let program = env!("CARGO_BIN_EXE_raft-tui");
    terminal.press(&format!("{program} --nodes 3 --pace real --memory\r"));
    terminal.until_shown("LEADER");
    terminal.press("\u{1a}");
    terminal.until("given back", |_| !terminal.is_taken());
    terminal.until_shown("Stopped");
    terminal.press("fg\r");
    terminal.until_shown("LEADER");
    assert!(terminal.is_taken(), "it has its screen again");
    terminal.press("q");
    terminal.until("given back at the end", |_| !terminal.is_taken());
    terminal.press("exit $?\r");
    assert!(terminal.end().0.success());
}

/// In the environment of a test that is run on a terminal of its own, to panic there.
const PANIC: &str = "RAFT_TUI_TEST_PANICS_WITH_LOG";

#[test]
fn a_panic_gives_the_terminal_back_and_names_the_log_file() {
    let name = "processes::terminal::a_panic_gives_the_terminal_back_and_names_the_log_file";
    if let Ok(log) = std::env::var(PANIC) {
        // This is the program: its screen is taken, then something that cannot be happens.
        raft_tui::telemetry::install_panic_hook(log.into(), raft_tui::tui::restore);
        let screen = raft_tui::tui::terminal::Screen::take().expect("there is a terminal");
        assert!(screen.size().is_err(), "this cannot be");
        return;
    }
    let mut terminal = Terminal::this_test(80, 24, name, PANIC, "/somewhere/raft-tui.log");
    let (status, _) = terminal.end();
    assert!(!status.success(), "a panic is a failure");
    terminal.until_shown("details are in /somewhere/raft-tui.log");
    assert!(!terminal.is_taken(), "the shell's screen is back");
    assert!(!terminal.is_cursor_hidden(), "the cursor is back");
}
