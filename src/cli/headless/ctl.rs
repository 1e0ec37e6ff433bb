//! `raft-tui ctl`: operations of the grammar, one or a script of them, each answered before the next is begun.
//!
//! Kept true: nothing is begun before every line has been understood and what takes a leader or a majority away has been
//! confirmed; a script ends at the first operation that fails.
//! Not here: what operations do (`cluster/`), how answers look (`cli/lines.rs`).

use std::fs;
use std::io::{BufRead, Read as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;

use super::super::Exit;
use super::super::lines::{self, Form};
use super::hand::{self, Hand};
use super::submit::line_of;
use super::{End, Endpoints, NotAllowed, Output, OutputArguments, time};
use crate::cluster::Session;
use crate::control::grammar::GrammarError;
use crate::control::{Access, ClusterView, Held, LinkRule, Links, Operation, Target, grammar};
use crate::raft::NodeId;

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui ctl status
  raft-tui ctl crash leader --yes --arm 'drill of Tuesday'
  raft-tui ctl 'cut n3>n2' --yes --arm 'drill' --hold 30s
  raft-tui ctl --script drill.txt --yes --arm 'drill'

Faults end with the session that put them there; --hold keeps it open.
Exit codes: 0 done; 1 an operation failed; 64 no such operation; 77 not allowed.";

/// Longest script in bytes.
const SCRIPT_MAX: u64 = 1 << 20;

/// What to carry out.
#[derive(Clone, Debug, Default, Args)]
pub struct CtlArguments {
    /// One operation, as after `:` in the console; `raft-tui --plain` lists them with `help`
    #[arg(value_name = "OPERATION", required_unless_present = "script", conflicts_with = "script")]
    pub operation: Vec<String>,

    /// Operations from a file, one a line; `-`: from standard input
    #[arg(long, value_name = "FILE|-")]
    pub script: Option<PathBuf>,

    /// Arm the cluster first, for this reason: it takes that to change one that runs elsewhere
    #[arg(long, value_name = "REASON")]
    pub arm: Option<String>,

    /// Yes, take a leader or a majority away
    #[arg(long)]
    pub yes: bool,

    /// Stay so long after the last operation, so that faults last
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub hold: Option<Duration>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub output: OutputArguments,
}

/// Operations that have been understood, with their lines.
#[derive(Clone, Debug, Default)]
pub struct Plan(Vec<(lines::Asked, Operation)>);

impl Plan {
    /// Reads what the arguments say; a script from `input` where they say so.
    pub fn read(arguments: &CtlArguments, input: &mut dyn BufRead) -> anyhow::Result<Self> {
        let text = match &arguments.script {
            None => {
                let takes_text = arguments
                    .operation
                    .first()
                    .is_some_and(|verb| verb.eq_ignore_ascii_case("submit") || verb.eq_ignore_ascii_case("read"));
                let line = if takes_text { line_of(&arguments.operation) } else { arguments.operation.join(" ") };
                return Ok(Self(vec![(lines::Asked { line: 1, text: line.clone() }, grammar::parse(&line)?)]));
            }
            Some(file) if file.as_os_str() == "-" => {
                let mut text = String::new();
                input.take(SCRIPT_MAX).read_to_string(&mut text).context("reading the script")?;
                text
            }
            Some(file) => fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?,
        };
        let mut plan = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let operation = grammar::read_line(line).map_err(|error: GrammarError| {
                let sentence = format!("line {number}: {}", error.sentence);
                GrammarError { sentence, at: error.at }
            })?;
            plan.extend(operation.map(|operation| (lines::Asked { line: number, text: line.to_owned() }, operation)));
        }
        Ok(Self(plan))
    }

    /// What all of it takes.
    #[must_use]
    pub fn access(&self) -> Access {
        self.0.iter().map(|(_, operation)| access(operation)).max().unwrap_or(Access::Viewer)
    }
}

/// What an operation takes.
fn access(operation: &Operation) -> Access {
    match operation {
        Operation::Read { .. } | Operation::Wait { .. } | Operation::Status | Operation::Disarm | Operation::Quit => {
            Access::Viewer
        }
        Operation::Arm { access, .. } => *access,
        Operation::Submit { .. } | Operation::Load { .. } | Operation::LoadStop => Access::Operator,
        Operation::Crash(_)
        | Operation::Pause(_)
        | Operation::Unpause(_)
        | Operation::Restart(_)
        | Operation::Heal
        | Operation::HealLinks(_)
        | Operation::Isolate(_)
        | Operation::Partition(_)
        | Operation::Link { .. }
        | Operation::SlowDisk { .. }
        | Operation::FailDisk(_)
        | Operation::Stop
        | Operation::Resume
        | Operation::Pace(_) => Access::Chaos,
    }
}

/// What it would do, if that can take a leader or a majority away.
#[must_use]
pub fn danger(operation: &Operation, view: &ClusterView) -> Option<String> {
    let (what, nodes) = match operation {
        Operation::Crash(target) => ("end", targets(*target, view)),
        Operation::Pause(target) => ("freeze", targets(*target, view)),
        Operation::FailDisk(target) => ("halt", targets(*target, view)),
        Operation::Isolate(target) => ("cut off", targets(*target, view)),
        Operation::Link { links: Links::Of(node), rule: LinkRule::Cut { .. } } => ("cut off", vec![*node]),
        Operation::Link { links, rule: LinkRule::Cut { .. } } => {
            return Some(format!("it would cut {links}; nodes that hear no leader elect another"));
        }
        Operation::Partition(groups) => {
            let largest = groups.iter().map(Vec::len).max().unwrap_or_default();
            let (all, quorum) = (view.nodes.len(), view.quorum());
            let end = if largest < quorum { "nobody could write" } else { "only there writes would go through" };
            return Some(format!(
                "it would leave {largest} of {all} nodes in the largest group, a majority is {quorum}: {end}"
            ));
        }
        _ => return None,
    };
    let names: Vec<_> = nodes.iter().map(NodeId::to_string).collect();
    let names = if names.is_empty() { "nobody now".to_owned() } else { names.join(" ") };
    let leads = match view.leader() {
        Some(leader) if nodes.contains(&leader.id) => format!(", which leads term {}", leader.term),
        _ => String::new(),
    };
    let left = view.nodes.iter().filter(|node| node.is_running() && !nodes.contains(&node.id)).count();
    let (all, quorum) = (view.nodes.len(), view.quorum());
    let end = if left < quorum { ": nobody could write" } else { "" };
    Some(format!("it would {what} {names}{leads}; {left} of {all} nodes would be left, a majority is {quorum}{end}"))
}

fn targets(target: Target, view: &ClusterView) -> Vec<NodeId> {
    match target {
        Target::Node(node) => vec![node],
        Target::Leader => view.leader().map(|leader| leader.id).into_iter().collect(),
        Target::All => view.nodes.iter().map(|node| node.id).collect(),
    }
}

/// Carries the plan out.
pub async fn run(
    session: Session,
    arguments: &CtlArguments,
    plan: Plan,
    out: &mut dyn Write,
    err: &mut dyn Write,
    end: &End,
) -> anyhow::Result<Exit> {
    let hand = Hand::take(session);
    let patience = arguments.endpoints.patience();
    let view = hand.settled(patience).await;
    for (asked, operation) in &plan.0 {
        if let Some(what) = danger(operation, &view).filter(|_| !arguments.yes) {
            let text = crate::text::sanitize_str(asked.text.trim());
            return Err(NotAllowed(format!("`{text}`: {what}. Add --yes if that is what you want")).into());
        }
    }
    if let Some(reason) = &arguments.arm {
        hand.arm(plan.access(), reason, patience).await.map_err(NotAllowed)?;
    }
    let form = if arguments.output.output == Output::Table { Form::Sentences } else { Form::Json };
    let mut faults = false;
    for (asked, operation) in plan.0 {
        faults |= matches!(
            operation,
            Operation::Isolate(_) | Operation::Partition(_) | Operation::Link { .. } | Operation::SlowDisk { .. }
        );
        let needs = access(&operation);
        // Mending takes a token, and no arming.
        let unarmed = matches!(operation, Operation::Arm { .. } | Operation::Heal | Operation::HealLinks(_));
        if arguments.arm.is_none() && !unarmed && !hand.now().mode.allows(needs) {
            let text = crate::text::sanitize_str(asked.text.trim());
            return Err(NotAllowed(format!("`{text}` changes the cluster: add --arm REASON")).into());
        }
        let answer = tokio::select! {
            answer = hand.ask(operation, None) => answer,
            () = end.came() => hand::Asked::NoAnswer,
        };
        let (line, good) = match answer {
            hand::Asked::Answered(answer) => (form.answered(&asked, &answer), answer.is_good()),
            hand::Asked::NoAnswer => (form.wrong(&asked, "it was not answered before the end"), false),
            hand::Asked::NotTaken => (form.wrong(&asked, "the cluster has ended"), false),
        };
        writeln!(out, "{line}")?;
        out.flush()?;
        if !good {
            return Ok(Exit::Failed);
        }
    }
    match arguments.hold {
        Some(hold) => {
            // Whichever comes first.
            let _ = tokio::time::timeout(hold, hand.gone(end)).await;
        }
        None if faults && hand.now().held == Held::Remote => {
            writeln!(err, "faults end with this session, which is now; --hold TIME keeps them")?;
        }
        None => {}
    }
    Ok(Exit::Fine)
}
