//! `raft-tui submit` and `raft-tui read`: one command, one reply.
//!
//! Kept true: exit code 0 means that it was applied, or read; what is not known is called so.
//! Not here: the words of commands (`machine/kv`).

use std::io::Write;

use clap::Args;

use super::super::Exit;
use super::hand::Hand;
use super::outcome::{Outcome, Reply};
use super::{Endpoints, NotAllowed, Output, OutputArguments};
use crate::cluster::Session;
use crate::control::{Access, Level, Operation, grammar, words};
use crate::machine::kv::{KvReply, print_word};
use crate::raft::NodeId;

/// Shown at the end of the help.
pub const SUBMIT_EXAMPLE: &str = "Examples:
  raft-tui submit SET city 'New York'
  raft-tui submit INCR hits --via n2
  raft-tui submit CAS city NONE Oslo -o json

Exit codes: 0 applied; 1 not applied, or unknown (the message says which);
5 no node was reached.";

/// Shown at the end of the help.
pub const READ_EXAMPLE: &str = "Examples:
  raft-tui read city
  raft-tui read LIST user/ -o json
  raft-tui read photo --raw > photo.png
  raft-tui read city --level local --via n3";

/// A command.
#[derive(Clone, Debug, Default, Args)]
pub struct SubmitArguments {
    /// SET key value, DELETE key, CAS key expected|NONE new, INCR key (by 1) or INCR key number
    #[arg(required = true, value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Ask this node, and nobody else
    #[arg(long, value_name = "NODE", value_parser = words::node)]
    pub via: Option<NodeId>,

    /// Why, for the audit log of the nodes
    #[arg(long, value_name = "REASON", default_value = "raft-tui submit")]
    pub arm: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub output: OutputArguments,
}

/// A query.
#[derive(Clone, Debug, Default, Args)]
pub struct ReadArguments {
    /// A key, or LIST and a prefix
    #[arg(required = true, value_name = "KEY")]
    pub query: Vec<String>,

    /// Ask this node; what it answers is linearizable too, unless --level local is given
    #[arg(long, value_name = "NODE", value_parser = words::node)]
    pub via: Option<NodeId>,

    /// linearizable: nothing that was acknowledged before is missing; local: what one node has, perhaps stale, even
    /// where nobody leads
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    pub level: Level,

    /// The value's bytes as they are, without a line feed
    #[arg(long, conflicts_with = "output")]
    pub raw: bool,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub output: OutputArguments,
}

/// The words of a command line as a line of the grammar: one word is a line already; of several, those that would fall
/// apart or vanish are quoted.
#[must_use]
pub fn line_of(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" "),
    }
}

fn quoted(word: &str) -> String {
    let is_quoted = word.starts_with(['"', '\'']);
    if word.is_empty() || (word.contains(char::is_whitespace) && !is_quoted) {
        print_word(word.as_bytes(), usize::MAX)
    } else {
        word.to_owned()
    }
}

fn parse(verb: &str, via: Option<NodeId>, words: &[String]) -> Result<Operation, grammar::GrammarError> {
    let via = via.map(|via| format!("via {via} ")).unwrap_or_default();
    grammar::parse(&format!("{verb} {via}{}", line_of(words)))
}

/// Submits, and prints the reply.
pub async fn submit(
    session: Session,
    arguments: &SubmitArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let operation = parse("submit", arguments.via, &arguments.command)?;
    let patience = arguments.endpoints.patience();
    let hand = Hand::take(session);
    hand.settled(patience).await;
    hand.arm(Access::Operator, &arguments.arm, patience).await.map_err(NotAllowed)?;
    let outcome = Outcome::of(hand.ask(operation, Some(patience)).await);
    tell(&outcome, arguments.output.output, false, out, err)
}

/// Reads, and prints the value.
pub async fn read(
    session: Session,
    arguments: &ReadArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let verb = if arguments.level == Level::Local { "read local" } else { "read" };
    let operation = parse(verb, arguments.via, &arguments.query)?;
    let patience = arguments.endpoints.patience();
    let hand = Hand::take(session);
    hand.settled(patience).await;
    let outcome = Outcome::of(hand.ask(operation, Some(patience)).await);
    tell(&outcome, arguments.output.output, arguments.raw, out, err)
}

fn tell(
    outcome: &Outcome,
    output: Output,
    raw: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> anyhow::Result<Exit> {
    if output != Output::Table {
        writeln!(out, "{}", outcome.line(&1.into()))?;
    }
    match outcome {
        Outcome::Ok { reply, .. } if output == Output::Table => match reply {
            Reply::Kv(KvReply::Value(value)) if raw => {
                out.write_all(value.as_deref().unwrap_or_default())?;
                // Nothing is not the same as no bytes.
                return Ok(if value.is_some() { Exit::Fine } else { Exit::Failed });
            }
            Reply::Bytes(bytes) if raw => out.write_all(bytes)?,
            reply => writeln!(out, "{}", reply.print())?,
        },
        Outcome::Ok { .. } => {}
        Outcome::Fail { why } => writeln!(err, "not applied, certainly without effect: {why}")?,
        Outcome::Info { why } => writeln!(err, "unknown, it may be applied later or never: {why}")?,
    }
    Ok(if matches!(outcome, Outcome::Ok { .. }) { Exit::Fine } else { Exit::Failed })
}
