//! The sessions in `tests/golden/core/` and the examples of `docs/formats.md`, through the real door.
//!
//! `BLESS=1 cargo test --test it pure::formats_core` writes the answers anew; review the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use raft_tui::door::Door;
use raft_tui::raft::rng::Rng;
use serde_json::Value;

fn root(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn answer(door: &mut Door, line: &str) -> Option<String> {
    door.line(line).map(|answer| {
        let text = serde_json::to_string(&answer.json).expect("it can be written");
        let read: Value = serde_json::from_str(&text).expect("an answer is JSON");
        assert_eq!(read.get("error").is_none(), answer.ok, "{text}");
        text
    })
}

/// Compares with what is in the file, or writes it there.
fn compare(path: &Path, now: &str) {
    let before = fs::read_to_string(path).unwrap_or_default();
    if before == now {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        return fs::write(path, now).expect("it can be written");
    }
    let place = before.lines().zip(now.lines()).take_while(|(a, b)| a == b).count();
    let was = before.lines().nth(place).unwrap_or("(the end)");
    let is = now.lines().nth(place).unwrap_or("(the end)");
    let same = was.chars().zip(is.chars()).take_while(|(a, b)| a == b).count();
    let around = |line: &str| line.chars().skip(same.saturating_sub(60)).take(160).collect::<String>();
    panic!(
        "{}: line {} differs after {same} characters\n- {}\n+ {}\nto accept: BLESS=1 cargo test --test it pure::formats_core",
        path.display(),
        place + 1,
        around(was),
        around(is)
    );
}

fn session(name: &str) {
    let commands = fs::read_to_string(root("tests/golden/core").join(format!("{name}.jsonl"))).expect("it is there");
    let mut door = Door::new();
    let mut answers = String::new();
    for line in commands.lines() {
        if let Some(answer) = answer(&mut door, line) {
            answers.push_str(&answer);
            answers.push('\n');
        }
    }
    compare(&root("tests/golden/core").join(format!("{name}.answers.jsonl")), &answers);
}

macro_rules! sessions {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                session(stringify!($name));
            }
        )*

        #[test]
        fn every_session_is_checked() {
            let known = [$(stringify!($name)),*];
            for file in fs::read_dir(root("tests/golden/core")).expect("a folder") {
                let name = file.expect("a file").file_name().into_string().expect("text");
                let name = name.trim_end_matches(".jsonl").trim_end_matches(".answers");
                assert!(known.contains(&name), "{name} has no test");
            }
        }
    };
}

sessions! {
    errors
    figure_7
    figure_8
    leader_change
    messages
    snapshot
}

/// In blocks of `raft-tui core` a command begins with `> `, and its answer follows.
#[test]
fn the_examples_in_the_documentation_are_what_the_program_says() {
    let path = root("docs/formats.md");
    let text = fs::read_to_string(&path).expect("it is there");
    let (mut now, mut door, mut inside, mut commands) = (String::new(), Door::new(), false, 0);
    for line in text.lines() {
        match line {
            "```core" => inside = true,
            "```" => inside = false,
            _ if inside && !line.starts_with("> ") && !line.starts_with('#') => continue,
            _ => {}
        }
        writeln!(now, "{line}").expect("it is text");
        if let Some(command) = line.strip_prefix("> ").filter(|_| inside) {
            let answer = answer(&mut door, command).expect("a command is answered");
            writeln!(now, "{answer}").expect("it is text");
            commands += 1;
        }
    }
    assert!(commands > 20, "there are only {commands} examples");
    compare(&path, &now);
}

/// Whatever a line holds, it is answered; nothing panics, and the next line is answered too.
#[test]
fn damaged_commands_are_answered() {
    let mut rng = Rng::new(3);
    let mut lines = Vec::new();
    for name in ["errors", "figure_8", "messages", "snapshot"] {
        let text = fs::read_to_string(root("tests/golden/core").join(format!("{name}.jsonl"))).expect("it is there");
        lines.extend(text.lines().map(str::to_owned));
    }
    let mut door = Door::new();
    door.line(r#"{"cmd":"nodes","n":3}"#);
    for _ in 0..4_000 {
        let line = &lines[rng.below(lines.len() as u64) as usize];
        let mut bytes = line.clone().into_bytes();
        for _ in 0..rng.below(4) {
            let at = rng.below(bytes.len().max(1) as u64) as usize;
            match rng.below(3) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, b"0123456789-[]{},\":n"[rng.below(19) as usize]),
                _ => {
                    let other = lines[rng.below(lines.len() as u64) as usize].as_bytes();
                    bytes.extend_from_slice(&other[other.len() / 2..]);
                }
            }
        }
        // Time of its own is tried elsewhere; here it would only take long.
        let line = String::from_utf8_lossy(&bytes);
        if !line.contains("tick") {
            answer(&mut door, &line);
        }
    }
    assert!(answer(&mut door, r#"{"cmd":"nodes","n":3}"#).is_some());
}
