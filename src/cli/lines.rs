//! What plain output writes: one sentence a line, or one JSON object a line.
//!
//! Sentences: `00:01.230 n3 leads term 8 …` tells what happened at which cluster time; an answer begins with `= ` where
//! the operator got what was asked for and with `! ` where not, on each of its lines.
//!
//! JSON: the field `e` says what an object is. Fields are only ever added; unknown is `null`; nodes are strings (`"n3"`);
//! times are microseconds of cluster time.
//!
//! | `e` | fields |
//! | --- | --- |
//! | `start` | `version`, `cluster`, `nodes` (a list), `seed`, `pace`, `data`, and `values_masked` where they are |
//! | `event` | `number`, `at_us`, `severity` (`info` `notice` `warn` `error`), `node`, `term`, `what` (dense), `text` (a sentence) |
//! | `answer` | `line`, `command`, `ok`, `kind` (`done` `applied` `value` `not_applied` `unknown` `status` `refused` `timed_out` `wrong`), `text`, and where they apply `index`, `term`, `node`, `reply`, `took_us`, `status` |
//! | `missed` | `count` of events that the reader of the output was too slow for |
//!
//! `status` has `at_us`, `pace`, `stopped`, `leader`, `writes` (null or why they wait), `faults`, and for each of `nodes`:
//! `node`, `life`, `role`, `term`, `vote`, `leader`, `last_index`, `last_term`, `commit`, `applied`, `first`, `snapshot`,
//! `quarantined`, `digest`, `address`, `age_us`, `round_trip_us`, `version`; then `held`, `mode`, `mode_left_us`, `chaos`,
//! `alarms` (each `node`, `text`) and `active_faults` (each `number`, `text`, `since_us`, `left_us`, `by`). `left_us`,
//! `mode_left_us`, `age_us` and `round_trip_us` are real time. Of a node that was never heard all numbers are `null`.
//!
//! Kept true: nothing that a terminal would obey is in a line; one call gives whole lines.
//! Not here: when a line is written (`plain.rs`), the words of an event (`control/narrate.rs`).

use serde::Serialize;

use crate::control::grammar::HELP;
use crate::control::narrate::{self, safe, sentence, severity};
use crate::control::{ActiveFault, Alarm, Answer, ClusterView, Happened, Held, Life, Mode, NodeView, What};
use crate::machine::kv;
use crate::text::{clip, sanitize_str};

/// Most cells of a command that an answer repeats.
const COMMAND_CELLS: usize = 60;

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Sentences,
    /// For programs.
    Json,
}

/// A command as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Line of the input, counted from 1.
    pub line: u64,
    /// What it said.
    pub text: String,
}

impl Form {
    /// The first line: what runs here.
    #[must_use]
    pub fn start(self, view: &ClusterView) -> String {
        let version = env!("CARGO_PKG_VERSION");
        let (name, data) = (safe(&view.name), safe(&view.data_dir));
        match self {
            Self::Sentences => format!(
                "raft-tui {version}: cluster {name} of {} node{}, pace {}, seed {}, data in {data}{}",
                view.nodes.len(),
                if view.nodes.len() == 1 { "" } else { "s" },
                view.pace,
                view.seed,
                if view.values_masked { ", values are masked" } else { "" },
            ),
            Self::Json => json(&Start {
                e: "start",
                version,
                cluster: name,
                nodes: view.nodes.iter().map(|node| node.id.to_string()).collect(),
                seed: view.seed,
                pace: view.pace.to_string(),
                data,
                values_masked: view.values_masked,
            }),
        }
    }

    /// A line for what happened, if it is worth one; `before` is what was told of the node's life before.
    #[must_use]
    pub fn happened(self, happened: &Happened, before: Option<&Life>) -> Option<String> {
        let returned = || match (&happened.what, before) {
            (What::Life { node, life }, Some(before)) => narrate::returned(*node, before, life),
            _ => None,
        };
        let text = sentence(happened).or_else(returned)?;
        Some(match self {
            Self::Sentences => format!("{} {text}", clock(happened.at_us)),
            Self::Json => {
                let (node, term, what) = match &happened.what {
                    What::Node { node, event } => (Some(*node), Some(event.term.0), safe(&event.kind.to_string())),
                    What::Life { node, life } => (Some(*node), None, life_word(life).to_owned()),
                    What::Note { node, .. } => (Some(*node), None, "note".to_owned()),
                    What::Applied { node, index, .. } => (Some(*node), None, format!("applied {index}")),
                    What::Faults { .. } => (None, None, "faults".to_owned()),
                    What::Dropped { from, to, kind, count } => {
                        (None, None, format!("dropped {from}>{to} {kind} {count}"))
                    }
                    What::Clock { .. } => (None, None, "clock".to_owned()),
                };
                json(&Event {
                    e: "event",
                    number: happened.number,
                    at_us: happened.at_us,
                    severity: severity(happened).name(),
                    node: node.map(|node| node.to_string()),
                    term,
                    what,
                    text,
                })
            }
        })
    }

    /// What a command came to.
    #[must_use]
    pub fn answered(self, asked: &Asked, answer: &Answer) -> String {
        let text = narrate::answer(answer);
        match self {
            Self::Sentences => {
                let mark = if answer.is_good() { '=' } else { '!' };
                let mut lines = format!("{mark} {}: {text}", shown(asked));
                if let Answer::Status(view) = answer {
                    for line in table(view) {
                        lines.push_str("\n= ");
                        lines.push_str(line.trim_end());
                    }
                }
                lines
            }
            Self::Json => {
                let mut object = Answered::new(asked, answer.is_good(), kind(answer), text);
                match answer {
                    Answer::Applied { index, term, reply, took_us } => {
                        (object.index, object.term) = (Some(index.0), Some(term.0));
                        (object.reply, object.took_us) = (Some(kv::describe_reply(reply)), Some(*took_us));
                    }
                    Answer::Value { index, node, reply, took_us } => {
                        (object.index, object.node) = (Some(index.0), Some(node.to_string()));
                        (object.reply, object.took_us) = (Some(kv::describe_reply(reply)), Some(*took_us));
                    }
                    Answer::Status(view) => object.status = Some(Status::of(view)),
                    Answer::Done(_)
                    | Answer::NotApplied { .. }
                    | Answer::Unknown { .. }
                    | Answer::Refused { .. }
                    | Answer::TimedOut { .. } => {}
                }
                json(&object)
            }
        }
    }

    /// A line that is no command, or cannot be carried out here; `why` is safe to print.
    #[must_use]
    pub fn wrong(self, asked: &Asked, why: &str) -> String {
        match self {
            Self::Sentences => format!("! {}: {why}", shown(asked)),
            Self::Json => json(&Answered::new(asked, false, "wrong", why.to_owned())),
        }
    }

    /// All commands.
    #[must_use]
    pub fn help(self, asked: &Asked) -> String {
        let all = || HELP.iter().chain(&[("help", "show this list")]);
        let width = all().map(|(usage, _)| usage.len()).max().unwrap_or_default();
        let lines = all().map(|(usage, meaning)| format!("{usage:width$}  {meaning}"));
        match self {
            Self::Sentences => lines.map(|line| format!("= {line}")).collect::<Vec<_>>().join("\n"),
            Self::Json => json(&Answered::new(asked, true, "done", lines.collect::<Vec<_>>().join("\n"))),
        }
    }

    /// Events that were not written, because nobody took the lines fast enough.
    #[must_use]
    pub fn missed(self, count: u64) -> String {
        match self {
            Self::Sentences => format!("({count} events are not shown: the output is not read fast enough)"),
            Self::Json => json(&Missed { e: "missed", count }),
        }
    }
}

/// `mm:ss.mmm` of cluster time.
#[must_use]
pub fn clock(at_us: u64) -> String {
    let ms = at_us / 1_000;
    format!("{:02}:{:02}.{:03}", ms / 60_000, ms / 1_000 % 60, ms % 1_000)
}

fn shown(asked: &Asked) -> String {
    clip(&sanitize_str(asked.text.trim()), COMMAND_CELLS)
}

/// Nothing here can fail to be written: no maps with odd keys, no numbers that JSON does not have.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

const fn kind(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done(_) => "done",
        Answer::Applied { .. } => "applied",
        Answer::Value { .. } => "value",
        Answer::NotApplied { .. } => "not_applied",
        Answer::Unknown { .. } => "unknown",
        Answer::Status(_) => "status",
        Answer::Refused { .. } => "refused",
        Answer::TimedOut { .. } => "timed_out",
    }
}

const fn life_word(life: &Life) -> &'static str {
    match life {
        Life::Starting => "starting",
        Life::Running => "running",
        Life::Crashed { .. } => "crashed",
        Life::Halted { .. } => "halted",
        Life::Paused => "paused",
        Life::Unreachable { .. } => "unreachable",
    }
}

/// The lines of a status: time, nodes, faults.
fn table(view: &ClusterView) -> Vec<String> {
    let stopped = if view.stopped { ", stopped" } else { "" };
    let mode = match &view.mode {
        Mode::Own => String::new(),
        Mode::Observe => String::from(", observe: read-only"),
        Mode::Armed { left_us, .. } => format!(", {} for {} more", view.mode.name(), seconds(Some(*left_us))),
    };
    let chaos = if view.chaos && view.held == Held::Remote { ", fault injection enabled" } else { "" };
    let mut lines = vec![
        format!("cluster time {}, pace {}{stopped}{mode}{chaos}", clock(view.now_us), view.pace),
        format!(
            "{:<5}{:<14}{:>5} {:>5} {:>8} {:>8} {:>8} {:>8} {:>9}  {}",
            "node", "role", "term", "vote", "log", "commit", "applied", "snap", "sync p99", "state"
        ),
    ];
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".into());
    for node in &view.nodes {
        let role = if node.is_running() { node.role.name() } else { life_word(&node.life) };
        let number = |value: u64| or_dash(node.was_heard().then(|| value.to_string()));
        let mut state = Vec::new();
        if node.is_stale() {
            state.push(format!("heard last {} ago", seconds(node.reach.as_ref().and_then(|reach| reach.age_us))));
        }
        if node.quarantined {
            state.push("does not trust its log".to_owned());
        }
        if let Some((here, all)) = node.receiving {
            state.push(format!("receives a snapshot, {here} of {all} bytes"));
        }
        match &node.life {
            Life::Halted { why } => state.push(safe(why)),
            Life::Unreachable { since_us, why } => {
                let since = seconds(view.real_us.checked_sub(*since_us));
                state.push(format!("nothing heard for {since}: {}", safe(why)));
            }
            Life::Starting | Life::Running | Life::Paused | Life::Crashed { .. } => {}
        }
        if let Some(reach) = node.reach.as_ref().filter(|reach| !reach.address.is_empty()) {
            state.push(format!("at {}", safe(&reach.address)));
        }
        lines.push(format!(
            "{:<5}{role:<14}{:>5} {:>5} {:>8} {:>8} {:>8} {:>8} {:>9}  {}",
            node.id,
            number(node.term.0),
            or_dash(node.voted_for.map(|vote| vote.to_string())),
            or_dash(node.was_heard().then(|| node.last.to_string())),
            number(node.commit.0),
            number(node.applied.0),
            number(node.snapshot.0),
            or_dash(node.sync.p99_us.map(|us| format!("{:.1}ms", us as f64 / 1_000.0))),
            state.join(", "),
        ));
    }
    for fault in &view.faults {
        let left = fault.left_us.map_or_else(String::new, |us| format!(", {} left", seconds(Some(us))));
        let by = fault.by.as_ref().map_or_else(String::new, |by| format!(", by {}", safe(by)));
        let since = clock(fault.since_us);
        lines.push(format!("fault {}: {}, since {since}{left}{by}", fault.number, safe(&fault.text)));
    }
    for alarm in &view.alarms {
        lines.push(format!("alarm of {}: {}", alarm.node, safe(&alarm.text)));
    }
    if let Some(load) = view.load {
        lines.push(format!("load: {} commands a second", load.per_second));
    }
    lines
}

/// Real time in seconds.
fn seconds(us: Option<u64>) -> String {
    us.map_or_else(|| "–".into(), |us| format!("{:.1} s", us as f64 / 1e6))
}

#[derive(Serialize)]
struct Start {
    e: &'static str,
    version: &'static str,
    cluster: String,
    nodes: Vec<String>,
    seed: u64,
    pace: String,
    data: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    values_masked: bool,
}

#[derive(Serialize)]
struct Event {
    e: &'static str,
    number: u64,
    at_us: u64,
    severity: &'static str,
    node: Option<String>,
    term: Option<u64>,
    what: String,
    text: String,
}

#[derive(Serialize)]
struct Missed {
    e: &'static str,
    count: u64,
}

#[derive(Serialize)]
struct Answered {
    e: &'static str,
    line: u64,
    command: String,
    ok: bool,
    kind: &'static str,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

impl Answered {
    fn new(asked: &Asked, ok: bool, kind: &'static str, text: String) -> Self {
        let command = sanitize_str(asked.text.trim());
        Self {
            e: "answer",
            line: asked.line,
            command,
            ok,
            kind,
            text,
            index: None,
            term: None,
            node: None,
            reply: None,
            took_us: None,
            status: None,
        }
    }
}

#[derive(Serialize)]
struct Status {
    at_us: u64,
    pace: String,
    stopped: bool,
    leader: Option<String>,
    writes: Option<String>,
    faults: Vec<String>,
    nodes: Vec<Node>,
    held: &'static str,
    mode: &'static str,
    mode_left_us: Option<u64>,
    chaos: bool,
    alarms: Vec<Warning>,
    active_faults: Vec<Fault>,
}

#[derive(Serialize)]
struct Warning {
    node: String,
    text: String,
}

#[derive(Serialize)]
struct Fault {
    number: u64,
    text: String,
    since_us: u64,
    left_us: Option<u64>,
    by: Option<String>,
}

impl Status {
    fn of(view: &ClusterView) -> Self {
        Self {
            at_us: view.now_us,
            pace: view.pace.to_string(),
            stopped: view.stopped,
            leader: view.leader().map(|leader| leader.id.to_string()),
            writes: match &view.writes {
                crate::control::WritesStand::Available => None,
                crate::control::WritesStand::Stalled { why } => Some(safe(why)),
            },
            faults: view.faults.iter().map(|fault| safe(&fault.text)).collect(),
            nodes: view.nodes.iter().map(Node::of).collect(),
            held: match view.held {
                Held::Lab => "lab",
                Held::Processes => "processes",
                Held::Remote => "live",
            },
            mode: view.mode.name(),
            mode_left_us: match view.mode {
                Mode::Armed { left_us, .. } => Some(left_us),
                Mode::Own | Mode::Observe => None,
            },
            chaos: view.chaos,
            alarms: view.alarms.iter().map(Warning::of).collect(),
            active_faults: view.faults.iter().map(Fault::of).collect(),
        }
    }
}

impl Warning {
    fn of(alarm: &Alarm) -> Self {
        Self { node: alarm.node.to_string(), text: safe(&alarm.text) }
    }
}

impl Fault {
    fn of(fault: &ActiveFault) -> Self {
        Self {
            number: fault.number,
            text: safe(&fault.text),
            since_us: fault.since_us,
            left_us: fault.left_us,
            by: fault.by.as_ref().map(|by| safe(by)),
        }
    }
}

#[derive(Serialize)]
struct Node {
    #[serde(rename = "node")]
    id: String,
    life: &'static str,
    role: Option<&'static str>,
    term: Option<u64>,
    vote: Option<String>,
    leader: Option<String>,
    last_index: Option<u64>,
    last_term: Option<u64>,
    commit: Option<u64>,
    applied: Option<u64>,
    first: Option<u64>,
    snapshot: Option<u64>,
    quarantined: bool,
    digest: Option<String>,
    address: Option<String>,
    age_us: Option<u64>,
    round_trip_us: Option<u64>,
    version: Option<String>,
}

impl Node {
    fn of(node: &NodeView) -> Self {
        let heard = |value: u64| node.was_heard().then_some(value);
        let text = |text: &String| Some(safe(text)).filter(|text| !text.is_empty());
        let reach = node.reach.as_ref();
        Self {
            id: node.id.to_string(),
            life: life_word(&node.life),
            role: node.was_heard().then(|| node.role.name()),
            term: heard(node.term.0),
            vote: node.voted_for.map(|vote| vote.to_string()),
            leader: node.leader.map(|leader| leader.to_string()),
            last_index: heard(node.last.index.0),
            last_term: heard(node.last.term.0),
            commit: heard(node.commit.0),
            applied: heard(node.applied.0),
            first: heard(node.first_index.0),
            snapshot: heard(node.snapshot.0),
            quarantined: node.quarantined,
            digest: node.was_heard().then(|| format!("{:032x}", node.digest.0)),
            address: reach.and_then(|reach| text(&reach.address)),
            age_us: reach.and_then(|reach| reach.age_us),
            round_trip_us: reach.and_then(|reach| reach.round_trip_us),
            version: reach.and_then(|reach| text(&reach.version)),
        }
    }
}
