//! The console on a real terminal: a few keys, and every way to end it.

use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::allowed::{Allowed, Speaker};
use crate::support::processes::Nodes;
use crate::support::scripted::PATIENCE;
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

/// What an allow-list says of all this, however the bytes are cut.
fn offence(speaker: Speaker, bytes: &[u8]) -> Option<String> {
    let mut whole = Allowed::new(speaker);
    whole.read(bytes);
    let mut single = Allowed::new(speaker);
    for byte in bytes {
        single.read(&[*byte]);
    }
    let offence = whole.take_offence();
    assert_eq!(single.take_offence(), offence);
    offence
}

#[test]
fn the_allow_list_refuses_what_the_console_never_says() {
    let fine = "\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[2J\x1b[1;1H\x1b[38;5;10;49mn1 ★ LEADER│漢字\x1b[0m\r\n\x1b[?1049l";
    assert_eq!(offence(Speaker::Program, fine.as_bytes()), None);
    let wrong: [&[u8]; 31] = [
        b"\x1b]52;c;cm0gLXJm\x07",
        b"\x1b]0;title",
        b"\x1b]8;;http://somewhere\x1b\\",
        b"\x1bPq",
        b"\x1b_Gq",
        b"\x1b^q",
        b"\x1bXq",
        b"\x1b\\",
        b"\x1bc",
        b"\x1b7",
        b"\x1b(0",
        b"\x1b\x1b",
        b"\x1b[6n",
        b"\x1b[c",
        b"\x1b[>c",
        b"\x1b[5i",
        b"\x1b[21t",
        b"\x1b[3S",
        b"\x1b[?1000h",
        b"\x1b[?1049;25h",
        b"\x1b[4h",
        b"\x1b[!p",
        b"\x1b[1;\r1H",
        b"\x1b[1111111111111111111111111111111111111111111111",
        b"\x07",
        b"\x08",
        b"\t",
        b"\x7f",
        b"\x9b31m",
        "\u{9d}0;title\u{9c}".as_bytes(),
        "\u{202e}".as_bytes(),
    ];
    for bytes in wrong {
        let shown = String::from_utf8_lossy(bytes);
        assert!(offence(Speaker::Program, &[b"fine ", bytes].concat()).is_some(), "{shown:?} is let through");
    }
    for byte in 0..=0xff {
        let plain = matches!(byte, b'\r' | b'\n' | b' '..=b'~');
        assert_eq!(offence(Speaker::Program, &[byte, b'x']).is_none(), plain, "{byte:#04x}");
    }
}

#[test]
fn whatever_is_written_to_a_terminal_is_read_by_the_allow_list() {
    let terminal = Terminal::other(80, 24, "printf", &[r"hello \033]52;c;cm0gLXJm\007"]);
    terminal.until_shown("hello");
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(offence) = terminal.take_offence() {
            assert!(offence.contains("ESC ']'"), "{offence}");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it was let through");
}

/// Keys and values of somebody who knows terminals, as words of a command line.
const HOSTILE: [&str; 14] = [
    r#""\x1b]52;c;cm0gLXJm\x07""#,
    r#""\x1b]0;swallows the rest""#,
    r#""\x1b]8;;http://somewhere\x1b\\""#,
    r#""\x1b[2J\x1b[H\x1b[6n""#,
    r#""\x1bP+q544e\x1b\\""#,
    r#""\x1b_Ga=T\x1b\\\x1b^x\x1bXy""#,
    r#""\x9b31m\x9d0;title\x9c""#,
    r#""\u{9b}31m\u{9d}0;title\u{9c}\u{90}q""#,
    r#""\u{202e}evil\u{202c}\u{2066}iso\u{2069}\u{200f}""#,
    r#""zero\u{200b}\u{feff}\u{2060}\u{e0041}""#,
    r#""\r\n\t\x08\x7f\x0e\x0f\x05""#,
    r#""\u{85}\u{2028}\u{2029}""#,
    r#""\xff\xfe\xc2""#,
    "\"raw \u{1b}]52;c;cm0gLXJm\u{7} \u{9b}31m \u{202e}evil\"",
];

#[test]
fn hostile_keys_and_values_are_shown_as_escapes() {
    let nodes = Nodes::start(1, false);
    let mut terminal = Terminal::start(160, 50, &["attach", &nodes.address(1)]);
    terminal.until_shown("1/1 up");
    let program = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
        let told = command.args(arguments).args(["--endpoints", &nodes.address(1)]).output().expect("it starts");
        assert!(told.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&told.stderr));
    };
    for (number, word) in HOSTILE.iter().enumerate() {
        program(&["submit", &format!("SET {word} v{number}-")]);
        program(&["submit", &format!("SET k{number}- {word}")]);
        // Each is seen before the next, so that none is counted instead of shown.
        terminal.until_shown(&format!("SET k{number}- \""));
        assert_eq!(terminal.take_offence(), None, "{word}");
    }
    // What is read, and what is typed.
    terminal.press("Rk0-\r");
    terminal.until_shown(r"\x1b]52;c;cm0gLXJm\x07");
    terminal.press("Rk6-\r");
    terminal.until_shown(r"\x9b31m\x9d0;title\x9c");
    terminal.press("RLIST\r");
    terminal.until_shown(r"\x1b]0;swallows the rest");
    terminal.press("R\x1b[200~\x1b]52;c;\u{202e}\u{9b}31m\x1b[201~");
    terminal.until_shown(r"\u{202e}");
    terminal.press("\x03");
    terminal.until("left the line", |picture| !picture.contains("read>"));
    terminal.press("q");
    assert!(terminal.end().0.success());
}
