//! `raft-tui check`: one line and an exit code, in the manner of monitoring plugins; or JSON (`docs/formats.md`, "Check").
//!
//! | exit | word | when |
//! | --- | --- | --- |
//! | 0 | `OK` | all nodes are there and follow |
//! | 3 | `WARNING` | a node is missing, behind, silent or in quarantine, there is an alarm or a stale leader |
//! | 4 | `CRITICAL` | no majority runs, nobody leads, or writes wait |
//! | 5 | `UNKNOWN` | no node was reached in time |
//!
//! Kept true: always exactly one line, or one document; the worst finding decides, all of them are told; the exit code
//! does not depend on the form.
//! Not here: how a picture is had.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::super::Exit;
use super::hand::{Hand, is_reached};
use super::status::{N, lag, life_word};
use super::{Endpoints, Output, OutputArguments, time};
use crate::cluster::Session;
use crate::control::narrate::safe;
use crate::control::{ClusterView, NodeView, WritesStand};
use crate::node::driver::TICK_US;

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui check --expect 5 --lag-critical 100 --seen-critical 2s
  raft-tui check --expect 5 -o json | jq -r .state

Exit codes: 0 fine; 3 degraded; 4 no majority, no leader, or writes wait;
5 no node was reached in time.";

/// What is expected.
#[derive(Clone, Debug, Default, Args)]
pub struct CheckArguments {
    /// How many nodes the cluster should have
    #[arg(long, value_name = "NODES", value_parser = clap::value_parser!(u64).range(1..))]
    pub expect: u64,

    /// Most entries that a node's log may be behind
    #[arg(long, value_name = "ENTRIES")]
    pub lag_critical: Option<u64>,

    /// Longest time that a node may not have been heard, by its leader or from here
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub seen_critical: Option<Duration>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub output: OutputArguments,
}

/// The version of the JSON.
const VERSION: u32 = 1;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How the program ends.
    pub exit: Exit,
    /// The line.
    pub line: String,
    /// The same for programs.
    pub document: Document,
}

/// What was found, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    version: u32,
    state: &'static str,
    exit: u8,
    critical: Vec<String>,
    warnings: Vec<String>,
    why: Option<String>,
    leader: Option<String>,
    term: Option<N>,
    expected: N,
    members: Option<N>,
    running: Option<N>,
    quorum: Option<N>,
    lag: Option<N>,
    lag_critical: Option<N>,
    seen_us: Option<N>,
    seen_critical_us: Option<N>,
}

/// Looks, and says what was found.
pub async fn run(session: Session, arguments: &CheckArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let hand = Hand::take(session);
    let view = hand.settled(arguments.endpoints.patience()).await;
    judge(&view, arguments).write(arguments.output.output, out)
}

impl Verdict {
    /// There is nothing to be said, and why.
    #[must_use]
    pub fn unknown(why: &str, arguments: &CheckArguments) -> Self {
        let exit = Exit::NotReached;
        let why = safe(why);
        let line = format!("UNKNOWN - {why}");
        let document = Document { why: Some(why), ..Document::empty("unknown", exit, arguments) };
        Self { exit, line, document }
    }

    /// Writes it in this form; gives the exit code.
    pub fn write(&self, form: Output, out: &mut dyn Write) -> anyhow::Result<Exit> {
        match form {
            Output::Table => writeln!(out, "{}", self.line)?,
            Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&self.document)?)?,
            Output::Jsonl => writeln!(out, "{}", serde_json::to_string(&self.document)?)?,
        }
        Ok(self.exit)
    }
}

impl Document {
    fn empty(state: &'static str, exit: Exit, arguments: &CheckArguments) -> Self {
        let us = |time: Duration| N(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        Self {
            version: VERSION,
            state,
            exit: exit as u8,
            critical: Vec::new(),
            warnings: Vec::new(),
            why: None,
            leader: None,
            term: None,
            expected: N(arguments.expect),
            members: None,
            running: None,
            quorum: None,
            lag: None,
            lag_critical: arguments.lag_critical.map(N),
            seen_us: None,
            seen_critical_us: arguments.seen_critical.map(us),
        }
    }
}

/// For how long a node has not been heard, in microseconds; `None` when nobody can say.
fn silent_us(view: &ClusterView, node: &NodeView) -> Option<u64> {
    let by_leader = view.leader().and_then(|leader| leader.peers.iter().find(|peer| peer.id == node.id));
    let by_leader = by_leader.map(|peer| peer.silent_ticks.saturating_mul(TICK_US));
    let from_here = node.reach.as_ref().and_then(|reach| reach.age_us);
    by_leader.max(from_here)
}

/// Judges a picture.
#[must_use]
pub fn judge(view: &ClusterView, arguments: &CheckArguments) -> Verdict {
    if !is_reached(view) {
        return Verdict::unknown("no node was reached in time", arguments);
    }
    let running = view.running();
    let mut stalls = Vec::new();
    let mut flaws = Vec::new();
    if running < view.quorum() {
        stalls.push(format!("{running} of {} nodes run, a majority is {}", view.nodes.len(), view.quorum()));
    }
    if view.leader().is_none() {
        stalls.push("nobody leads".to_owned());
    }
    if let WritesStand::Stalled { why } = &view.writes
        && stalls.is_empty()
    {
        stalls.push(format!("writes wait: {}", safe(why)));
    }
    if view.nodes.len() as u64 != arguments.expect {
        flaws.push(format!("{} members, {} expected", view.nodes.len(), arguments.expect));
    }
    let mut worst_lag = 0;
    let mut worst_silence = None;
    for node in &view.nodes {
        if !node.is_running() {
            flaws.push(format!("{} is {}", node.id, life_word(&node.life)));
            continue;
        }
        let behind = lag(view, node).unwrap_or_default();
        worst_lag = worst_lag.max(behind);
        if arguments.lag_critical.is_some_and(|most| behind > most) {
            flaws.push(format!("{} lags {behind} entries", node.id));
        }
        let silent = silent_us(view, node);
        worst_silence = worst_silence.max(silent);
        if let Some((silent, most)) = silent.zip(arguments.seen_critical)
            && u128::from(silent) > most.as_micros()
        {
            flaws.push(format!("{} was not heard for {:.1}s", node.id, silent as f64 / 1e6));
        }
        if node.quarantined {
            flaws.push(format!("{} is in quarantine", node.id));
        }
    }
    for stale in view.self_declared_leaders().iter().skip(1) {
        flaws.push(format!("{} is a stale leader of term {}", stale.id, stale.term));
    }
    for alarm in &view.alarms {
        flaws.push(format!("alarm of {}: {}", alarm.node, safe(&alarm.text)));
    }
    let (exit, state) = match (stalls.is_empty(), flaws.is_empty()) {
        (false, _) => (Exit::NoQuorum, "critical"),
        (true, false) => (Exit::Degraded, "warning"),
        (true, true) => (Exit::Fine, "ok"),
    };
    let count = |number: usize| Some(N(number as u64));
    let document = Document {
        critical: stalls.clone(),
        warnings: flaws.clone(),
        leader: view.leader().map(|leader| leader.id.to_string()),
        term: view.leader().map(|leader| N(leader.term.0)),
        members: count(view.nodes.len()),
        running: count(running),
        quorum: count(view.quorum()),
        lag: Some(N(worst_lag)),
        seen_us: worst_silence.map(N),
        ..Document::empty(state, exit, arguments)
    };
    let word = state.to_ascii_uppercase();
    let who = view.leader().map(|leader| format!("{} leads term {}", leader.id, leader.term));
    let facts = [format!("{running}/{} nodes", arguments.expect), format!("lag {worst_lag}")];
    let told: Vec<String> = stalls.into_iter().chain(flaws).chain(who).chain(facts).collect();
    let bound = arguments.lag_critical.map(|most| most.to_string()).unwrap_or_default();
    let expected = arguments.expect;
    let lag = format!("lag={worst_lag};;{bound}");
    let nodes = format!("nodes={running};;;0;{expected}");
    let seen = worst_silence.map(|silent| {
        let bound = arguments.seen_critical.map(|most| most.as_secs_f64().to_string()).unwrap_or_default();
        format!("seen={:.3}s;;{bound}", silent as f64 / 1e6)
    });
    let term = view.leader().map(|leader| format!("term={}", leader.term));
    let figures: Vec<String> = [Some(lag), Some(nodes), seen, term].into_iter().flatten().collect();
    let figures = figures.join(" ");
    // What is before the bar is for people; a bar in it would end it.
    let line = format!("{word} - {} | {figures}", told.join(", ").replace('|', "/"));
    Verdict { exit, line, document }
}
