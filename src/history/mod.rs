//! What clients saw, one object a line, for checkers of linearizability (`docs/formats.md`, "History of client
//! operations"; paper §8).
//!
//! A client asks (`invoke`) and hears that it took effect (`ok`), that it certainly had none (`fail`), or nothing that
//! it could rely upon (`info`). Order of lines is order in time: one writer, `invoke` before anything is sent, the end
//! after it was heard.
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | a record |
//! | `line.rs` | a record as a line, and back |
//! | `recorder.rs` | numbers, names and time: histories that keep the rules |
//!
//! Kept true: fields are only ever added; what [`line()`] writes, [`parse`] reads.
//! Not here: whether a history is right (`check/history.rs`), the file (`cli/`), LIST (the format does not know it).

mod line;
mod recorder;

use bytes::Bytes;

pub use line::{NotAHistory, NotARecord, line, parse, read};
pub use recorder::Recorder;

use crate::machine::kv::{KvCommand, KvQuery, KvReply};
use crate::raft::{Index, NodeId, Term};

/// A line of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The operation that it is about.
    pub op: u64,
    /// When: nanoseconds on one clock that never goes back.
    pub t_ns: u64,
    /// What.
    pub what: What,
}

/// What happened to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client asks for something.
    Invoke {
        /// Who. After an `info` it goes on under another name.
        client: String,
        /// Of which key.
        key: Bytes,
        /// For what.
        ask: Ask,
        /// The node asked, if it is known which.
        node: Option<NodeId>,
    },
    /// It took effect, between its `invoke` and now.
    Ok {
        /// What came back.
        reply: Reply,
        /// Of which term the entry is; none for a read.
        term: Option<Term>,
        /// Where in the log: the entry, or after which entry it was read.
        index: Option<Index>,
    },
    /// It certainly had no effect and never will.
    Fail {
        /// Why.
        why: String,
    },
    /// Unknown: it may take effect any time later, or never.
    Info {
        /// Why nothing is known.
        why: String,
    },
}

/// What a client asks of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Its value.
    Get,
    /// To have this value.
    Set(Bytes),
    /// To be gone.
    Del,
    /// Compare and set.
    Cas {
        /// What it must have; `None`: it must not exist.
        expected: Option<Bytes>,
        /// What it has then.
        new: Bytes,
    },
    /// To grow by so much.
    Incr(i64),
}

impl Ask {
    /// What a command asks, and of which key.
    #[must_use]
    pub fn of_command(command: &KvCommand) -> (Bytes, Self) {
        match command.clone() {
            KvCommand::Set { key, value } => (key, Self::Set(value)),
            KvCommand::Delete { key } => (key, Self::Del),
            KvCommand::Cas { key, expected, new } => (key, Self::Cas { expected, new }),
            KvCommand::Incr { key, delta } => (key, Self::Incr(delta)),
        }
    }

    /// What a query asks, and of which key; `None` for LIST, which is about many.
    #[must_use]
    pub fn of_query(query: &KvQuery) -> Option<(Bytes, Self)> {
        match query {
            KvQuery::Get { key } => Some((key.clone(), Self::Get)),
            KvQuery::List { .. } => None,
        }
    }

    /// Its name in the format.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set(_) => "set",
            Self::Del => "del",
            Self::Cas { .. } => "cas",
            Self::Incr(_) => "incr",
        }
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Of `set`: it is done.
    Done,
    /// Of `get`: the value, if the key exists.
    Value(Option<Bytes>),
    /// Of `del`, whether the key existed; of `cas`, whether it was swapped.
    Yes(bool),
    /// Of `incr`: the new value. One beyond 2^53 is written as text, and read as [`Reply::Value`].
    Number(i64),
}

impl What {
    /// The end of an operation that the store has answered. A refusal by the store is a `fail`: nothing was changed.
    #[must_use]
    pub fn answered(reply: &KvReply, term: Option<Term>, index: Option<Index>) -> Self {
        let reply = match reply {
            KvReply::Stored => Reply::Done,
            KvReply::Deleted(existed) => Reply::Yes(*existed),
            KvReply::Swapped { swapped, .. } => Reply::Yes(*swapped),
            KvReply::Number(number) => Reply::Number(*number),
            KvReply::Value(value) => Reply::Value(value.clone()),
            KvReply::Entries(..) => return Self::Fail { why: "a list has no place in this format".to_owned() },
            KvReply::Error(why) => return Self::Fail { why: why.clone() },
        };
        Self::Ok { reply, term, index }
    }
}
