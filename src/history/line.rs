//! A record as a line of JSON, and back.
//!
//! Kept true: equal records give equal bytes; reading passes over fields and kinds that it does not know, and never
//! panics on any text.
//! Not here: what records follow each other (`recorder.rs`, `check/history.rs`).

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Ask, Record, Reply, What};
use crate::codec::{base64, from_base64};
use crate::raft::{Index, NodeId, Term};
use crate::text::sanitize_str;

/// The largest number below which a double holds every one.
const EXACT_MAX: u64 = 1 << 53;

/// How much of a line an error shows, in characters.
const SHOWN: usize = 80;

/// Why a line is no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// It is no JSON object.
    #[error("no JSON object: {0}")]
    Json(String),
    /// A field is missing, or has a value of another kind.
    #[error("the field `{field}` is missing or no {wanted}: {line}")]
    Field {
        /// Which.
        field: &'static str,
        /// What it should be.
        wanted: &'static str,
        /// The line.
        line: String,
    },
    /// A kind of line from a newer program; a reader passes over it.
    #[error("`{0}` is none of invoke, ok, fail and info")]
    Kind(String),
}

/// Why a text is no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: {why}")]
pub struct NotAHistory {
    /// Which line, counting from 1.
    pub number: usize,
    /// Why not.
    pub why: NotARecord,
}

#[derive(Serialize)]
struct Fields<'a> {
    e: &'static str,
    op: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    c: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    f: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    k: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
    t: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    i: Option<Value>,
}

fn number(number: u64) -> Value {
    if number > EXACT_MAX { number.to_string().into() } else { number.into() }
}

fn signed(number: i64) -> Value {
    if number.unsigned_abs() > EXACT_MAX { number.to_string().into() } else { number.into() }
}

fn text(bytes: &Bytes) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({"b64": base64(bytes)}),
    }
}

fn text_or_null(bytes: Option<&Bytes>) -> Value {
    bytes.map_or(Value::Null, text)
}

/// The line, without a line feed.
#[must_use]
pub fn line(record: &Record) -> String {
    let (op, t) = (number(record.op), number(record.t_ns));
    let none = Fields {
        e: "info",
        op,
        c: None,
        f: None,
        k: None,
        a: None,
        r: None,
        why: None,
        t,
        n: None,
        term: None,
        i: None,
    };
    let fields = match &record.what {
        What::Invoke { client, key, ask, node } => {
            let argument = match ask {
                Ask::Get | Ask::Del => None,
                Ask::Set(value) => Some(text(value)),
                Ask::Cas { expected, new } => Some(json!([text_or_null(expected.as_ref()), text(new)])),
                Ask::Incr(delta) => Some(signed(*delta)),
            };
            let n = node.map(|node| node.to_string());
            Fields { e: "invoke", c: Some(client), f: Some(ask.name()), k: Some(text(key)), a: argument, n, ..none }
        }
        What::Ok { reply, term, index } => {
            let r = match reply {
                Reply::Done => None,
                Reply::Value(value) => Some(text_or_null(value.as_ref())),
                Reply::Yes(yes) => Some((*yes).into()),
                Reply::Number(sum) => Some(signed(*sum)),
            };
            let (term, i) = (term.map(|term| number(term.0)), index.map(|index| number(index.0)));
            Fields { e: "ok", r, term, i, ..none }
        }
        What::Fail { why } => Fields { e: "fail", why: Some(why), ..none },
        What::Info { why } => Fields { why: Some(why), ..none },
    };
    // Strings and numbers under names that are strings: there is nothing that could fail.
    serde_json::to_string(&fields).unwrap_or_default()
}

fn unsigned_of(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn signed_of(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn bytes_of(value: &Value) -> Option<Bytes> {
    match value {
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        Value::Object(fields) => from_base64(fields.get("b64")?.as_str()?).map(Bytes::from),
        _ => None,
    }
}

fn ask_of(fields: &Value) -> Option<Ask> {
    let argument = &fields["a"];
    match fields["f"].as_str()? {
        "get" => Some(Ask::Get),
        "set" => bytes_of(argument).map(Ask::Set),
        "del" => Some(Ask::Del),
        "cas" => match argument.as_array()?.as_slice() {
            [Value::Null, new] => Some(Ask::Cas { expected: None, new: bytes_of(new)? }),
            [expected, new] => Some(Ask::Cas { expected: Some(bytes_of(expected)?), new: bytes_of(new)? }),
            _ => None,
        },
        "incr" => signed_of(argument).map(Ask::Incr),
        _ => None,
    }
}

fn reply_of(fields: &Value) -> Option<Reply> {
    match fields.get("r") {
        None => Some(Reply::Done),
        Some(Value::Bool(yes)) => Some(Reply::Yes(*yes)),
        Some(Value::Number(number)) => number.as_i64().map(Reply::Number),
        Some(Value::Null) => Some(Reply::Value(None)),
        Some(value) => bytes_of(value).map(|value| Reply::Value(Some(value))),
    }
}

/// Reads one line.
pub fn parse(line: &str) -> Result<Record, NotARecord> {
    let fields: Value = serde_json::from_str(line).map_err(|error| NotARecord::Json(error.to_string()))?;
    if !fields.is_object() {
        return Err(NotARecord::Json(shown(line)));
    }
    let wrong = |field, wanted| NotARecord::Field { field, wanted, line: shown(line) };
    let word = |name: &'static str| fields[name].as_str().map(str::to_owned).ok_or_else(|| wrong(name, "text"));
    // A number that may be missing.
    let place = |name: &'static str| match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => unsigned_of(value).map(Some).ok_or_else(|| wrong(name, "number")),
    };
    let kind = word("e")?;
    let what = match kind.as_str() {
        "invoke" => What::Invoke {
            client: word("c")?,
            key: bytes_of(&fields["k"]).ok_or_else(|| wrong("k", "text"))?,
            ask: ask_of(&fields).ok_or_else(|| wrong("a", "argument of its `f` (get, set, del, cas, incr)"))?,
            node: match fields.get("n") {
                None | Some(Value::Null) => None,
                Some(node) => {
                    Some(node.as_str().and_then(|node| node.parse::<NodeId>().ok()).ok_or_else(|| wrong("n", "node"))?)
                }
            },
        },
        "ok" => What::Ok {
            reply: reply_of(&fields).ok_or_else(|| wrong("r", "result"))?,
            term: place("term")?.map(Term),
            index: place("i")?.map(Index),
        },
        "fail" => What::Fail { why: word("why")? },
        "info" => What::Info { why: word("why")? },
        other => return Err(NotARecord::Kind(shown(other))),
    };
    let op = unsigned_of(&fields["op"]).ok_or_else(|| wrong("op", "number"))?;
    let t_ns = unsigned_of(&fields["t"]).ok_or_else(|| wrong("t", "number"))?;
    Ok(Record { op, t_ns, what })
}

/// Reads a whole history; empty lines and kinds of line that are not known are passed over.
pub fn read(text: &str) -> Result<Vec<Record>, NotAHistory> {
    let mut records = Vec::new();
    for (place, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match parse(line) {
            Ok(record) => records.push(record),
            Err(NotARecord::Kind(_)) => {}
            Err(why) => return Err(NotAHistory { number: place + 1, why }),
        }
    }
    Ok(records)
}

fn shown(text: &str) -> String {
    let short: String = text.chars().take(SHOWN).collect();
    sanitize_str(&short) + if short.len() < text.len() { "…" } else { "" }
}
