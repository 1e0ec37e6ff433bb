//! Judges a history of client operations that somebody else has recorded, key by key (paper §8).
//!
//! The order of the records is the order in time. An operation with an `info`, and one without an end, may take effect any
//! time later or never; one with a `fail` must never. Keys are taken not to exist before.
//!
//! Kept true: nothing but the records is believed, not their terms and indexes either; the work for each key is bounded,
//! and a key that takes more is named instead of passed over.
//! Not here: the search (`wing_gong.rs`), the format (`history/`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::wing_gong::{self, Act, Found, Operation};
use super::{Property, Violation};
use crate::history::{Ask, Record, Reply, What};
use crate::text::sanitize;

/// Steps of the search through the history of one key.
pub const STEPS_MAX: usize = 200_000;

/// How many operations the evidence names one by one.
const NAMED_MAX: usize = 8;

/// What was judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Operations asked for.
    pub operations: u64,
    /// Those that took effect.
    pub ok: u64,
    /// Those that had none.
    pub fail: u64,
    /// Those of which it is not known, those without an end included.
    pub info: u64,
    /// Keys for which an order was found.
    pub linearizable: u64,
    /// Keys that were too hard: the bound was reached, nothing is known.
    pub too_hard: Vec<Bytes>,
}

/// How an operation ended.
enum End {
    Ok { at: u64, reply: Reply },
    Fail,
    Unknown,
}

struct Seen {
    op: u64,
    client: String,
    key: Bytes,
    ask: Ask,
    /// Places of lines, so that no two are the same.
    invoked: u64,
    end: Option<End>,
}

fn malformed(evidence: String) -> Violation {
    Violation { property: Property::Outcomes, evidence }
}

/// Judges the history. An error is a broken rule of the format ([`Property::Outcomes`]) or a key whose operations no
/// order explains ([`Property::Linearizability`]), with the operations named.
pub fn judge(records: &[Record]) -> Result<Summary, Violation> {
    judge_within(records, STEPS_MAX)
}

/// As [`judge`], with at most so many steps a key.
pub fn judge_within(records: &[Record], steps_max: usize) -> Result<Summary, Violation> {
    let operations = pair(records)?;
    let mut summary = Summary { operations: operations.len() as u64, ..Summary::default() };
    let mut keys: BTreeMap<&Bytes, Vec<&Seen>> = BTreeMap::new();
    for operation in &operations {
        match &operation.end {
            Some(End::Ok { .. }) => summary.ok += 1,
            Some(End::Fail) => summary.fail += 1,
            Some(End::Unknown) | None => summary.info += 1,
        }
        keys.entry(&operation.key).or_default().push(operation);
    }
    for (key, seen) in keys {
        let acts: Vec<Operation> =
            seen.iter().map(|seen| act(seen)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        match wing_gong::search(&acts, steps_max) {
            Found::Linearizable => summary.linearizable += 1,
            Found::Undecided => summary.too_hard.push(key.clone()),
            Found::Impossible(stuck) => {
                let evidence = evidence(key, &seen, &stuck);
                return Err(Violation { property: Property::Linearizability, evidence });
            }
        }
    }
    Ok(summary)
}

/// Joins each operation with its end, and holds the records against the rules of the format.
fn pair(records: &[Record]) -> Result<Vec<Seen>, Violation> {
    let mut operations: Vec<Seen> = Vec::new();
    let mut places: BTreeMap<u64, usize> = BTreeMap::new();
    let mut busy: BTreeMap<String, u64> = BTreeMap::new();
    let mut gone: BTreeSet<String> = BTreeSet::new();
    let mut last_t_ns = 0;
    for (place, Record { op, t_ns, what }) in records.iter().enumerate() {
        if *t_ns < last_t_ns {
            return Err(malformed(format!("time goes back at operation {op}, from {last_t_ns} to {t_ns}")));
        }
        last_t_ns = *t_ns;
        if let What::Invoke { client, key, ask, .. } = what {
            if operations.last().is_some_and(|last| last.op >= *op) {
                return Err(malformed(format!("operation {op} is asked for after a higher one, or twice")));
            }
            let name = || sanitize(client.as_bytes());
            if gone.contains(client) {
                return Err(malformed(format!("{} asks for operation {op} after an info", name())));
            }
            if let Some(other) = busy.insert(client.clone(), *op) {
                return Err(malformed(format!("{} asks for operation {op} while {other} is open", name())));
            }
            places.insert(*op, operations.len());
            let (client, key, ask) = (client.clone(), key.clone(), ask.clone());
            operations.push(Seen { op: *op, client, key, ask, invoked: place as u64, end: None });
            continue;
        }
        let seen = places.get(op).and_then(|at| operations.get_mut(*at));
        let Some(seen) = seen else {
            return Err(malformed(format!("operation {op} ends and was not asked for before")));
        };
        if seen.end.is_some() {
            return Err(malformed(format!("operation {op} ends twice")));
        }
        busy.remove(&seen.client);
        seen.end = Some(match what {
            What::Ok { reply, .. } => End::Ok { at: place as u64, reply: reply.clone() },
            What::Fail { .. } => End::Fail,
            What::Info { .. } | What::Invoke { .. } => {
                gone.insert(seen.client.clone());
                End::Unknown
            }
        });
    }
    Ok(operations)
}

/// What the operation did with its key; nothing for one that failed and for a read without an answer.
fn act(seen: &Seen) -> Result<Option<Operation>, Violation> {
    let (returned, reply) = match &seen.end {
        Some(End::Fail) => return Ok(None),
        Some(End::Ok { at, reply }) => (Some(*at), Some(reply)),
        Some(End::Unknown) | None => (None, None),
    };
    let wrong = || malformed(format!("operation {} ({}) has a result of another kind", seen.op, seen.ask.name()));
    let yes = |reply: &Reply| match reply {
        Reply::Yes(yes) => Ok(*yes),
        Reply::Done | Reply::Value(_) | Reply::Number(_) => Err(wrong()),
    };
    let act = match (&seen.ask, reply) {
        (Ask::Get, None) => return Ok(None),
        (Ask::Get, Some(Reply::Value(value))) => Act::Get(value.clone()),
        (Ask::Set(value), None | Some(Reply::Done)) => Act::Set(value.clone()),
        (Ask::Del, reply) => Act::Delete(reply.map(yes).transpose()?),
        (Ask::Cas { expected, new }, reply) => {
            Act::Cas { expected: expected.clone(), new: new.clone(), swapped: reply.map(yes).transpose()? }
        }
        (Ask::Incr(delta), None) => Act::Incr { delta: *delta, sum: None },
        (Ask::Incr(delta), Some(Reply::Number(sum))) => Act::Incr { delta: *delta, sum: Some(Some(*sum)) },
        // A sum beyond what a double holds is written as text.
        (Ask::Incr(delta), Some(Reply::Value(Some(text)))) => {
            let sum = str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
            Act::Incr { delta: *delta, sum: Some(Some(sum)) }
        }
        (Ask::Get | Ask::Set(_) | Ask::Incr(_), Some(_)) => return Err(wrong()),
    };
    Ok(Some(Operation { invoked: seen.invoked, returned, act }))
}

fn shown(bytes: Option<&Bytes>) -> String {
    bytes.map_or_else(|| "null".to_owned(), |bytes| format!("`{}`", sanitize(bytes)))
}

fn told(seen: &Seen) -> String {
    let asked = match &seen.ask {
        Ask::Get | Ask::Del => seen.ask.name().to_owned(),
        Ask::Set(value) => format!("set {}", shown(Some(value))),
        Ask::Cas { expected, new } => format!("cas {} to {}", shown(expected.as_ref()), shown(Some(new))),
        Ask::Incr(delta) => format!("incr {delta}"),
    };
    let ended = match &seen.end {
        Some(End::Ok { reply: Reply::Done, .. }) => "ok".to_owned(),
        Some(End::Ok { reply: Reply::Value(value), .. }) => format!("ok {}", shown(value.as_ref())),
        Some(End::Ok { reply: Reply::Yes(yes), .. }) => format!("ok {yes}"),
        Some(End::Ok { reply: Reply::Number(number), .. }) => format!("ok {number}"),
        Some(End::Fail) => "fail".to_owned(),
        Some(End::Unknown) | None => "unknown".to_owned(),
    };
    format!("operation {} of {} ({asked}: {ended})", seen.op, sanitize(seen.client.as_bytes()))
}

/// Names the operations that could not be placed, and where the values come from that they have seen.
fn evidence(key: &Bytes, all: &[&Seen], stuck: &[Operation]) -> String {
    let find = |operation: &Operation| all.iter().find(|seen| seen.invoked == operation.invoked);
    let certain = stuck.iter().filter(|operation| operation.returned.is_some()).filter_map(find);
    let mut named: Vec<String> = certain.clone().take(NAMED_MAX).map(|seen| told(seen)).collect();
    for seen in certain.take(NAMED_MAX) {
        let Some(End::Ok { reply: Reply::Value(Some(value)), .. }) = &seen.end else { continue };
        let mut writers = all.iter().filter(|other| match &other.ask {
            Ask::Set(new) | Ask::Cas { new, .. } => new == value,
            Ask::Get | Ask::Del | Ask::Incr(_) => false,
        });
        match (writers.next(), all.iter().any(|other| matches!(other.ask, Ask::Incr(_)))) {
            (Some(writer), _) => named.push(format!("{} was written by {}", shown(Some(value)), told(writer))),
            (None, false) => named.push(format!("nobody wrote {}", shown(Some(value)))),
            (None, true) => {}
        }
    }
    let key = sanitize(key);
    format!("no order explains what clients saw of key `{key}`: nothing fits before {}", named.join("; "))
}
