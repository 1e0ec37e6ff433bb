//! The rules of the house, read from its source: who may import whom, where outside crates live, words that pure rooms
//! may not hold, and how long a file may grow. `docs/architecture.md` shows the tables below.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms and what each may import of the others. Itself is always allowed; the ground is open to all.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // ground
    ("codec", &[]),
    ("text", &[]),
    ("mutants", &[]),
    // floor 0
    ("raft", &["codec", "mutants"]),
    ("machine", &["codec", "text", "mutants"]),
    // floor 1
    ("storage", &["codec", "raft", "machine", "mutants"]),
    ("transport", &["codec", "text", "raft"]),
    ("trace", &["codec", "raft"]),
    ("history", &["codec", "text", "raft", "machine"]),
    // floor 2
    ("check", &["codec", "text", "raft", "machine", "history"]),
    ("node", &["raft", "machine", "storage", "transport", "trace", "mutants"]),
    // floor 3
    ("control", &["codec", "text", "raft", "machine", "transport"]),
    ("door", &["codec", "text", "raft", "machine", "trace"]),
    (
        "sim",
        &["codec", "text", "raft", "machine", "storage", "transport", "history", "check", "trace", "node", "mutants"],
    ),
    // floor 4
    ("cluster", &["codec", "text", "raft", "machine", "storage", "transport", "node", "control"]),
    // floor 6
    ("tui", &["text", "raft", "control", "cluster"]),
    // floor 7
    ("telemetry", &["text"]),
    (
        "cli",
        &[
            "codec",
            "text",
            "raft",
            "machine",
            "transport",
            "trace",
            "history",
            "node",
            "transport",
            "control",
            "door",
            "cluster",
            "sim",
            "tui",
            "telemetry",
            "mutants",
        ],
    ),
];

/// Outside crates and the only files or folders that may name them.
const HOMES: &[(&str, &[&str])] = &[
    ("bincode", &["codec.rs"]),
    ("fjall", &["storage/fjall.rs", "storage/fjall/"]),
    ("ratatui", &["tui/"]),
    ("crossterm", &["tui/terminal.rs", "tui/keymap.rs"]),
    ("tui_input", &["tui/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("clap_mangen", &["cli/"]),
    ("anyhow", &["main.rs", "cli/"]),
    ("serde_json", &["cli/", "door/", "history/", "control/audit.rs"]),
    ("toml", &["tui/theme", "cluster/folder.rs", "cli/"]),
    ("tracing_appender", &["telemetry.rs"]),
    ("tracing_subscriber", &["telemetry.rs", "cli/"]),
    ("tempfile", &["cluster/"]),
    ("tokio_serde", &["transport/frame.rs"]),
    ("tokio_util", &["transport/"]),
    ("rustls", &["transport/tls.rs"]),
    ("tokio_rustls", &["transport/tls.rs"]),
    ("rcgen", &["cli/certs.rs"]),
    ("x509_parser", &["transport/expiry.rs"]),
    ("ring", &["control/tokens.rs"]),
    ("hdrhistogram", &["cli/"]),
    ("imbl", &["machine/kv/"]),
    ("unicode_width", &["text.rs", "text/", "tui/"]),
    ("unicode_segmentation", &["text.rs", "text/", "tui/"]),
];

/// Rooms whose results depend on nothing but what goes in.
const PURE: &[&str] = &[
    "raft/",
    "machine/",
    "check/",
    "sim/",
    "trace/",
    "history/",
    "door/",
    "codec.rs",
    "text.rs",
    "storage/faults.rs",
    "transport/faults.rs",
    "node/mod.rs",
    "node/waiting.rs",
    "node/meters.rs",
    "control/grammar.rs",
    "control/words.rs",
    "control/narrate.rs",
    "control/access.rs",
    "control/leases.rs",
    "control/pictures.rs",
    "control/server/requests.rs",
    "tui/update/",
    "tui/view/",
    "tui/state.rs",
    "tui/layout.rs",
];

/// What they may not even name.
const IMPURE: &[&str] =
    &["tokio", "std::fs", "std::net", "std::thread", "Instant::now", "SystemTime", "rand::", "HashMap", "HashSet"];

/// No file is longer; those that are listed may not grow beyond what they have.
const LINES_MAX: usize = 700;
const LONGER: &[(&str, usize)] = &[];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_below(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push(path);
        }
    }
    into.sort();
}

/// Path below `src/` and text of every source file.
fn sources() -> BTreeMap<String, String> {
    let src = root().join("src");
    let mut files = Vec::new();
    files_below(&src, &mut files);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("it is below src").to_string_lossy().into_owned();
        (name, fs::read_to_string(path).expect("source is text"))
    };
    files.into_iter().map(read).collect()
}

/// A file's lines without comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(|(number, line)| {
        let line = line.split("//").next().unwrap_or_default();
        (!line.trim().is_empty()).then_some((number + 1, line))
    })
}

fn room(name: &str) -> &str {
    name.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

fn is_word_at(line: &str, at: usize, word: &str) -> bool {
    let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let (before, rest) = line.split_at(at);
    outside(before.chars().next_back()) && outside(rest.split_at(word.len()).1.chars().next())
}

fn names_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| is_word_at(line, at, word))
}

/// Names that a `use crate::{a, b::c}` or `crate::a::b` brings in.
fn imported_rooms(line: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut rooms = Vec::new();
    for (at, found) in line.match_indices("crate::") {
        let rest = line.split_at(at + found.len()).1;
        match rest.strip_prefix('{') {
            Some(list) => rooms.extend(list.split(',').map(|part| word(part.trim_start()))),
            None => rooms.push(word(rest)),
        }
    }
    rooms
}

#[test]
fn nothing_imports_upward() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let here = room(&name);
        if here == "main" || here == "lib" {
            continue;
        }
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(room, _)| *room == here) else {
            wrong.push(format!("src/{name}: the room `{here}` has no floor; give it one in this test"));
            continue;
        };
        for (number, line) in code(&text) {
            for imported in imported_rooms(line) {
                let known = MAY_IMPORT.iter().any(|(room, _)| *room == imported);
                if known && imported != here && !allowed.contains(&imported.as_str()) {
                    wrong.push(format!("src/{name}:{number}: `{here}` may not import `{imported}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn outside_crates_stay_in_their_homes() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        for (outside, homes) in HOMES {
            if homes.iter().any(|home| name.starts_with(home)) {
                continue;
            }
            for (number, line) in code(&text) {
                let path = format!("{outside}::");
                let named = line.match_indices(&path).any(|(at, _)| {
                    let before = line.split_at(at).0.chars().next_back();
                    before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
                });
                if named {
                    wrong.push(format!("src/{name}:{number}: `{outside}` is at home in {}", homes.join(", ")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_rooms_know_no_clock_disk_or_chance() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if !PURE.iter().any(|pure| name.starts_with(pure)) {
            continue;
        }
        for (number, line) in code(&text) {
            for word in IMPURE {
                let found = match word.strip_suffix("::") {
                    Some(_) => line.match_indices(word).any(|(at, _)| {
                        line.split_at(at).0.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_')
                    }),
                    None => names_word(line, word),
                };
                if found {
                    wrong.push(format!("src/{name}:{number}: a pure room may not name `{word}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_stay_short() {
    let mut files = Vec::new();
    for folder in ["src", "tests", "benches"] {
        files_below(&root().join(folder), &mut files);
    }
    let mut wrong = Vec::new();
    for path in files {
        let name = path.strip_prefix(root()).expect("it is below the root").to_string_lossy().into_owned();
        let lines = fs::read_to_string(&path).expect("source is text").lines().count();
        let most = LONGER.iter().find(|(long, _)| *long == name).map_or(LINES_MAX, |(_, most)| *most);
        if lines > most {
            wrong.push(format!("{name} has {lines} lines, {most} is the most: it wants a wall"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if !text.starts_with("//! ") {
            wrong.push(format!("src/{name} does not open with what it is"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_architecture_shows_these_tables() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md is there");
    let mut missing = Vec::new();
    for (room, _) in MAY_IMPORT {
        let there = root().join("src").join(room).is_dir() || root().join("src").join(format!("{room}.rs")).is_file();
        if there && !text.contains(&format!("`{room}`")) {
            missing.push(*room);
        }
    }
    assert!(missing.is_empty(), "docs/architecture.md does not name the rooms {missing:?}");
    assert!(text.lines().count() < 400, "docs/architecture.md is to stay under 400 lines");
}
