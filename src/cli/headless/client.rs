//! `raft-tui client`: operations as JSON lines, many at once over one session, for programs in other languages
//! (`docs/formats.md`, "Client by lines").
//!
//! Kept true: every line is answered by one line, as it ends; the end of the input waits for what is under way; a line that
//! makes no sense is answered too, with its number, and the stream goes on.
//! Not here: what an operation came to (`outcome.rs`).

use std::io::Write;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncBufRead;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::Exit;
use super::super::plain::{Read, read_lines};
use super::hand::{Asked, Hand};
use super::outcome::{Outcome, operation};
use super::{End, Endpoints, NotAllowed};
use crate::cluster::Session;
use crate::control::{Access, Level, Operation};
use crate::history::{self, NotARecord};
use crate::raft::NodeId;
use crate::text::sanitize_str;

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Example:
  echo '{\"op\":1,\"f\":\"set\",\"k\":\"x\",\"a\":\"v\"}' |
    raft-tui client --jsonl --endpoint 10.0.0.1:7101

Operations are set, get, del, cas and incr; the fields are op, f, k, a, via,
level and timeout_ms: docs/formats.md, \"Client by lines\".";

/// Most operations under way; more are read when some have ended.
const UNDER_WAY_MAX: usize = 1_024;

/// Lines that are read before they are begun.
const LINES_AHEAD: usize = 64;

/// Which cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct ClientArguments {
    /// JSON lines: the only form there is
    #[arg(long)]
    pub jsonl: bool,

    /// Why, for the audit log of the nodes
    #[arg(long, value_name = "REASON", default_value = "raft-tui client")]
    pub arm: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
}

/// An operation that has been understood.
#[derive(Debug)]
struct Wanted {
    op: Value,
    operation: Operation,
    within: Duration,
}

/// Answers lines until the input ends or the end is wanted.
pub async fn run(
    session: Session,
    arguments: &ClientArguments,
    input: impl AsyncBufRead + Send + Unpin + 'static,
    out: &mut dyn Write,
    end: &End,
) -> anyhow::Result<Exit> {
    let hand = Hand::take(session);
    let patience = arguments.endpoints.patience();
    hand.settled(patience).await;
    let (read, mut lines) = mpsc::channel(LINES_AHEAD);
    let reader = tokio::spawn(read_lines(input, read));
    let mut under_way: JoinSet<(Value, Outcome)> = JoinSet::new();
    let mut exit = Exit::Fine;
    let mut reading = true;
    while reading || !under_way.is_empty() {
        tokio::select! {
            () = end.came() => {
                reader.abort();
                return Ok(Exit::Failed);
            }
            Some(ended) = under_way.join_next(), if !under_way.is_empty() => {
                if let Ok((op, outcome)) = ended {
                    writeln!(out, "{}", outcome.line(&op))?;
                    out.flush()?;
                }
            }
            line = lines.recv(), if reading && under_way.len() < UNDER_WAY_MAX => {
                let wanted = match line {
                    None => {
                        reading = false;
                        continue;
                    }
                    Some(Read::Line(asked)) if asked.text.trim().is_empty() => continue,
                    Some(Read::Line(asked)) => understand(&asked.text, patience).map_err(|why| (asked.line, why)),
                    Some(Read::Wrong(asked, why)) => Err((asked.line, (Value::Null, why))),
                };
                match wanted {
                    Ok(Wanted { op, operation, within }) => {
                        if matches!(operation, Operation::Submit { .. }) {
                            hand.arm(Access::Operator, &arguments.arm, patience).await.map_err(NotAllowed)?;
                        }
                        let hand = hand.clone();
                        under_way.spawn(async move {
                            let asked: Asked = hand.ask(operation, Some(within)).await;
                            (op, Outcome::of(asked))
                        });
                    }
                    Err((line, (op, why))) => {
                        exit = Exit::Failed;
                        writeln!(out, "{}", wrong(&op, line, &why))?;
                        out.flush()?;
                    }
                }
            }
        }
    }
    Ok(exit)
}

/// The answer to a line that makes no sense.
fn wrong(op: &Value, line: u64, why: &str) -> String {
    #[derive(Serialize)]
    struct Wrong<'a> {
        op: &'a Value,
        e: &'static str,
        line: u64,
        why: &'a str,
    }
    // Nothing here can fail to be written.
    serde_json::to_string(&Wrong { op, e: "error", line, why }).unwrap_or_default()
}

/// Reads one line; an error has the operation's number, if there is one, and why not.
fn understand(line: &str, patience: Duration) -> Result<Wanted, (Value, String)> {
    let mut fields: Value =
        serde_json::from_str(line).map_err(|error| (Value::Null, format!("no JSON object: {error}")))?;
    let op = fields.get("op").cloned().unwrap_or_default();
    if !fields.is_object() || !(op.is_number() || op.is_string()) {
        return Err((Value::Null, "the field `op` is missing or no number or text".into()));
    }
    read_fields(&mut fields, patience)
        .map(|(operation, within)| Wanted { op: op.clone(), operation, within })
        .map_err(|why| (op, why))
}

fn read_fields(fields: &mut Value, patience: Duration) -> Result<(Operation, Duration), String> {
    let within = match &fields["timeout_ms"] {
        Value::Null => patience,
        given => given
            .as_u64()
            .filter(|ms| (1..=86_400_000).contains(ms))
            .map(Duration::from_millis)
            .ok_or("the field `timeout_ms` is no number from 1 to 86400000")?,
    };
    let via = match &fields["via"] {
        Value::Null => None,
        given => {
            let node = given.as_str().and_then(|node| node.parse::<NodeId>().ok());
            Some(node.ok_or("the field `via` is no node such as \"n2\"")?)
        }
    };
    let wanted = match &fields["level"] {
        Value::Null => Level::Linearizable,
        Value::String(level) if level == "lease" => return Err(Level::NO_LEASE.into()),
        given => {
            let level = given.as_str().and_then(|level| level.parse().ok());
            level.ok_or("the field `level` is none of linearizable and local")?
        }
    };
    if !fields["f"].as_str().is_some_and(|f| ["get", "set", "del", "cas", "incr"].contains(&f)) {
        return Err("the field `f` is none of get, set, del, cas and incr".into());
    }
    // What is asked is written as in a history: there it is read.
    fields["e"] = "invoke".into();
    fields["c"] = "c1".into();
    (fields["op"], fields["t"], fields["n"]) = (0.into(), 0.into(), Value::Null);
    match history::parse(&fields.to_string()) {
        Ok(history::Record { what: history::What::Invoke { key, ask, .. }, .. }) => {
            let mut operation = operation(key, ask, via);
            match &mut operation {
                Operation::Read { level, .. } => *level = wanted,
                _ if wanted == Level::Local => return Err("the field `level` is for `get` alone".into()),
                _ => {}
            }
            Ok((operation, within))
        }
        Err(NotARecord::Field { field, wanted, .. }) => Err(format!("the field `{field}` is missing or no {wanted}")),
        Ok(_) => Err("it asks for nothing".into()),
        Err(error) => Err(sanitize_str(&error.to_string())),
    }
}
