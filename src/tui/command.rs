//! Operations as lines of text, both ways, and answers as sentences.
//!
//! Every action on the screen echoes the line that does the same on the command line or in a script.
//!
//! Not here: the grammar itself (`control/grammar.rs`).

use super::clean::clean;
use super::state::Tone;
use crate::control::{Answer, LinkRule, Links, Operation, Pace};
use crate::raft::NodeId;

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
    super::shim::parse(line)
}

/// The line that asks for an operation; clean.
#[must_use]
pub fn line(operation: &Operation) -> String {
    match operation {
        Operation::Submit { command, via } => with_via(format!("submit {}", text(command)), *via),
        Operation::Read { query, via } => with_via(format!("read {}", text(query)), *via),
        Operation::Crash(target) => format!("crash {target}"),
        Operation::Restart(target) => format!("restart {target}"),
        Operation::Isolate(target) => format!("isolate {target}"),
        Operation::Partition(groups) => format!("partition {}", groups_text(groups)),
        Operation::Link { links, rule } => link_line(*links, *rule),
        Operation::Heal => String::from("heal"),
        Operation::HealLinks(links) => format!("heal {links}"),
        Operation::SlowDisk { node, delay_us } => format!("slow-disk {node} {}", duration(*delay_us)),
        Operation::FailDisk(target) => format!("fail-disk {target}"),
        Operation::Load { per_second, duration_us: None } => format!("load {per_second}/s"),
        Operation::Load { per_second, duration_us: Some(us) } => format!("load {per_second}/s {}", duration(*us)),
        Operation::LoadStop => String::from("load stop"),
        Operation::Wait { condition, .. } => format!("wait {condition}"),
        Operation::Status => String::from("status"),
        Operation::Stop => String::from("stop"),
        Operation::Resume => String::from("resume"),
        Operation::Pace(pace) => format!("pace {}", pace.to_string().trim_end_matches('x')),
        Operation::Quit => String::from("quit"),
    }
}

fn with_via(line: String, via: Option<NodeId>) -> String {
    via.map_or(line.clone(), |via| format!("{line} via {via}"))
}

fn groups_text(groups: &[Vec<NodeId>]) -> String {
    let group = |members: &Vec<NodeId>| members.iter().map(|id| id.0.to_string()).collect::<Vec<_>>().join(",");
    groups.iter().map(group).collect::<Vec<_>>().join("/")
}

fn link_line(links: Links, rule: LinkRule) -> String {
    match rule {
        LinkRule::Cut { kind: None } => format!("cut {links}"),
        LinkRule::Cut { kind: Some(kind) } => format!("cut {links} {kind}"),
        LinkRule::Delay { delay_us, jitter_us: 0 } => format!("delay {links} {}", duration(delay_us)),
        LinkRule::Delay { delay_us, jitter_us } => {
            format!("delay {links} {} {}", duration(delay_us), duration(jitter_us))
        }
        LinkRule::Loss { per_million } => format!("loss {links} {}", percent(per_million)),
        LinkRule::Duplicate { per_million } => format!("duplicate {links} {}", percent(per_million)),
        LinkRule::Reorder { per_million } => format!("reorder {links} {}", percent(per_million)),
    }
}

fn percent(per_million: u32) -> String {
    format!("{}%", f64::from(per_million) / 10_000.0)
}

/// A length of time the way a person writes it.
#[must_use]
pub fn duration(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..10_000 if us % 1000 != 0 => format!("{:.1}ms", us as f64 / 1e3),
        1_000..1_000_000 => format!("{}ms", us / 1000),
        1_000_000..10_000_000 if us % 1_000_000 != 0 => format!("{:.1}s", us as f64 / 1e6),
        1_000_000..60_000_000 => format!("{}s", us / 1_000_000),
        60_000_000..3_600_000_000 => format!("{}m{:02}s", us / 60_000_000, us / 1_000_000 % 60),
        _ => format!("{}h{:02}m", us / 3_600_000_000, us / 60_000_000 % 60),
    }
}

/// Bytes of the machine as text; clean.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    crate::text::sanitize(bytes)
}

/// An answer as a sentence, and how it stands out; clean.
#[must_use]
pub fn answer(answer: &Answer) -> (String, Tone) {
    match answer {
        Answer::Done(sentence) => (clean(sentence), Tone::Info),
        Answer::Applied { index, term, reply, took_us } => {
            (format!("{}, applied at {index} in term {term} after {}", text(reply), duration(*took_us)), Tone::Good)
        }
        Answer::Value { index, node, reply, took_us } => {
            (format!("{}, read at {index} by {node} after {}", text(reply), duration(*took_us)), Tone::Good)
        }
        Answer::NotApplied { why } => (format!("not applied: {}", clean(why)), Tone::Warn),
        Answer::Unknown { why } => (format!("outcome unknown: {}", clean(why)), Tone::Warn),
        Answer::Status(view) => {
            (format!("{} of {} nodes run, {} faults", view.running(), view.nodes.len(), view.faults.len()), Tone::Info)
        }
        Answer::Refused { why } => (format!("refused: {}", clean(why)), Tone::Bad),
        Answer::TimedOut { why } => (format!("timed out: {}", clean(why)), Tone::Warn),
    }
}
