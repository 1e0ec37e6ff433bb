//! Operations as lines of text, both ways, answers as sentences, and the steps of the pace.
//!
//! Every action on the screen echoes the line that does the same on the command line or in a script.
//!
//! Not here: the grammar itself (`control/grammar.rs`), the sentences (`control/narrate.rs`).

use super::clean::clean;
use super::state::Tone;
use crate::control::{Answer, Operation, Pace, grammar, narrate};

/// The steps of `<` and `>`.
pub const PACES: [Pace; 7] = [
    Pace { cluster: 1, real: 100 },
    Pace { cluster: 1, real: 50 },
    Pace { cluster: 1, real: 20 },
    Pace { cluster: 1, real: 10 },
    Pace { cluster: 1, real: 5 },
    Pace { cluster: 1, real: 2 },
    Pace::REAL,
];

/// The step slower or faster than a pace, if there is one.
#[must_use]
pub fn next_pace(pace: Pace, faster: bool) -> Option<Pace> {
    let order = |one: &Pace| u64::from(one.cluster) * u64::from(pace.real);
    let here = |one: &Pace| u64::from(pace.cluster) * u64::from(one.real);
    if faster {
        PACES.iter().copied().find(|one| order(one) > here(one))
    } else {
        PACES.iter().copied().rev().find(|one| order(one) < here(one))
    }
}

/// Reads a line of the command line.
pub fn parse(line: &str) -> Result<Operation, String> {
    grammar::parse(line).map_err(|error| error.to_string())
}

/// The line that asks for an operation; clean.
#[must_use]
pub fn line(operation: &Operation) -> String {
    clean(&grammar::print(operation))
}

/// How the operations that begin like this line are written, and what they do.
#[must_use]
pub fn usage(line: &str) -> Option<(&'static str, &'static str)> {
    let typed = line.trim_start().to_lowercase();
    let word = typed.split_whitespace().next()?;
    let begins = |how: &str| how.starts_with(typed.trim_end()) && !typed.trim_end().is_empty();
    let same_word = |how: &str| how.split([' ', '|']).next().is_some_and(|first| first.starts_with(word));
    let found = grammar::HELP.iter().find(|(how, _)| begins(how));
    found.or_else(|| grammar::HELP.iter().find(|(how, _)| same_word(how))).copied()
}

/// A length of time the way a person writes it.
#[must_use]
pub fn duration(us: u64) -> String {
    match us {
        0 => String::from("0ms"),
        1..1_000 => format!("{us}us"),
        1_000..10_000 if !us.is_multiple_of(1000) => format!("{:.1}ms", us as f64 / 1e3),
        1_000..1_000_000 => format!("{}ms", us / 1000),
        1_000_000..10_000_000 if !us.is_multiple_of(1_000_000) => format!("{:.1}s", us as f64 / 1e6),
        1_000_000..60_000_000 => format!("{}s", us / 1_000_000),
        60_000_000..3_600_000_000 => format!("{}m{:02}s", us / 60_000_000, us / 1_000_000 % 60),
        _ => format!("{}h{:02}m", us / 3_600_000_000, us / 60_000_000 % 60),
    }
}

/// An answer as a sentence, and how it stands out; clean.
#[must_use]
pub fn answer(answer: &Answer) -> (String, Tone) {
    let tone = match answer {
        Answer::Done(_) | Answer::Status(_) => Tone::Info,
        Answer::Applied { .. } | Answer::Value { .. } => Tone::Good,
        Answer::NotApplied { .. } | Answer::Unknown { .. } | Answer::TimedOut { .. } => Tone::Warn,
        Answer::Refused { .. } => Tone::Bad,
    };
    (clean(&narrate::answer(answer)), tone)
}
