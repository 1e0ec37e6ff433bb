//! What an operation came to, as one of three: it took effect, it certainly did not, or nobody knows.
//!
//! Kept true: what was sent and not answered is never called a failure.
//! Not here: how it is asked (`hand.rs`).

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::hand::Asked;
use crate::codec::base64;
use crate::control::narrate::safe;
use crate::control::{Answer, Level, Operation};
use crate::history;
use crate::machine::kv::{KvCommand, KvQuery, KvReply};
use crate::raft::{Index, NodeId, Term};

/// The largest number below which a double holds every one.
const EXACT_MAX: u64 = 1 << 53;

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Ok {
        /// The machine's reply.
        reply: Reply,
        /// Of which term the entry is; none for a read.
        term: Option<Term>,
        /// Where in the log.
        index: Index,
        /// Who answered a read.
        node: Option<NodeId>,
    },
    /// It certainly had no effect.
    Fail {
        /// Why, safe to print.
        why: String,
    },
    /// It may take effect later, or never.
    Info {
        /// Why nothing is known, safe to print.
        why: String,
    },
}

/// A reply of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of the store.
    Kv(KvReply),
    /// Of another machine.
    Bytes(Bytes),
}

impl Outcome {
    /// What asking came to.
    #[must_use]
    pub fn of(asked: Asked) -> Self {
        match asked {
            Asked::Answered(Answer::Applied { index, term, reply, .. }) => Self::ok(reply, Some(term), index, None),
            Asked::Answered(Answer::Value { index, node, reply, .. }) => Self::ok(reply, None, index, Some(node)),
            Asked::Answered(Answer::NotApplied { why } | Answer::Refused { why }) => Self::Fail { why: safe(&why) },
            Asked::Answered(Answer::Unknown { why } | Answer::TimedOut { why }) => Self::Info { why: safe(&why) },
            Asked::Answered(Answer::Done(said)) => Self::Fail { why: safe(&said) },
            Asked::Answered(Answer::Status(_)) => Self::Fail { why: "answered with a status".into() },
            Asked::NoAnswer => Self::Info { why: "no answer in time".into() },
            Asked::NotTaken => Self::Fail { why: "the cluster takes no operations any more".into() },
        }
    }

    fn ok(reply: Bytes, term: Option<Term>, index: Index, node: Option<NodeId>) -> Self {
        match KvReply::decode(&reply) {
            Ok(KvReply::Error(why)) => Self::Fail { why: safe(&why) },
            Ok(reply) => Self::Ok { reply: Reply::Kv(reply), term, index, node },
            Err(_) => Self::Ok { reply: Reply::Bytes(reply), term, index, node },
        }
    }

    /// As the end of an operation in a history.
    #[must_use]
    pub fn what(&self) -> history::What {
        match self {
            Self::Ok { reply: Reply::Kv(reply), term, index, .. } => {
                history::What::answered(reply, *term, Some(*index))
            }
            Self::Ok { .. } => history::What::Info { why: "the reply is none of this store".into() },
            Self::Fail { why } => history::What::Fail { why: why.clone() },
            Self::Info { why } => history::What::Info { why: why.clone() },
        }
    }

    /// As a line of JSON for the operation with this number.
    #[must_use]
    pub fn line(&self, op: &Value) -> String {
        let line = match self {
            Self::Ok { reply, term, index, node } => Line {
                op,
                e: "ok",
                r: Some(reply.json()),
                more: reply.more(),
                term: term.map(|term| number(term.0)),
                i: Some(number(index.0)),
                n: node.map(|node| node.to_string()),
                why: None,
            },
            Self::Fail { why } => Line { op, e: "fail", why: Some(why), ..Line::empty(op) },
            Self::Info { why } => Line { op, e: "info", why: Some(why), ..Line::empty(op) },
        };
        // Strings and numbers under names that are strings: there is nothing that could fail.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Line<'a> {
    op: &'a Value,
    e: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
}

impl<'a> Line<'a> {
    const fn empty(op: &'a Value) -> Self {
        Self { op, e: "", r: None, more: None, why: None, term: None, i: None, n: None }
    }
}

impl Reply {
    /// As a JSON value.
    #[must_use]
    pub fn json(&self) -> Value {
        match self {
            Self::Kv(KvReply::Stored) => Value::Null,
            Self::Kv(KvReply::Deleted(yes) | KvReply::Swapped { swapped: yes, .. }) => (*yes).into(),
            Self::Kv(KvReply::Number(sum)) if sum.unsigned_abs() > EXACT_MAX => sum.to_string().into(),
            Self::Kv(KvReply::Number(sum)) => (*sum).into(),
            Self::Kv(KvReply::Value(value)) => value.as_ref().map_or(Value::Null, text),
            Self::Kv(KvReply::Entries(entries, _)) => {
                entries.iter().map(|(key, value)| json!([text(key), text(value)])).collect()
            }
            Self::Kv(KvReply::Error(why)) => why.as_str().into(),
            Self::Bytes(bytes) => text(bytes),
        }
    }

    /// Whether a list has more entries than these.
    const fn more(&self) -> Option<bool> {
        match self {
            Self::Kv(KvReply::Entries(_, more)) => Some(*more),
            Self::Kv(_) | Self::Bytes(_) => None,
        }
    }

    /// For people, whole.
    #[must_use]
    pub fn print(&self) -> String {
        match self {
            // A list has one entry a line; each is escaped already.
            Self::Kv(reply) => reply.to_string(),
            Self::Bytes(bytes) => crate::text::sanitize(bytes),
        }
    }
}

/// Bytes as JSON: text where they are, else base64.
fn text(bytes: &Bytes) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"b64": base64(bytes)}),
    }
}

fn number(number: u64) -> Value {
    if number > EXACT_MAX { number.to_string().into() } else { number.into() }
}

/// The operation that asks this of a key.
#[must_use]
pub fn operation(key: Bytes, ask: history::Ask, via: Option<NodeId>) -> Operation {
    let command = match ask {
        history::Ask::Get => {
            return Operation::Read { query: KvQuery::Get { key }.encode(), via, level: Level::Linearizable };
        }
        history::Ask::Set(value) => KvCommand::Set { key, value },
        history::Ask::Del => KvCommand::Delete { key },
        history::Ask::Cas { expected, new } => KvCommand::Cas { key, expected, new },
        history::Ask::Incr(delta) => KvCommand::Incr { key, delta },
    };
    Operation::Submit { command: command.encode(), via }
}
