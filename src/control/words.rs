//! The small words of the one grammar: durations, rates, shares, paces, nodes, groups, links.
//!
//! Each function reads one word and says on failure what was read and what was expected, with an example. All numbers
//! are read exactly, without floating point, so that a script means the same on every machine.
//!
//! Kept true: nothing here knows a clock or a cluster; messages are safe to show.
//! Not here: which command takes which words (`grammar.rs`).

use crate::raft::NodeId;
use crate::text::{Untrusted, nearest};

/// Longest duration: one day, in microseconds.
pub const DURATION_MAX_US: u64 = 24 * 60 * 60 * 1_000_000;

/// Highest rate, a second.
pub const RATE_MAX: u32 = 1_000_000;

/// Fastest pace, and the slowest the other way round.
pub const PACE_MAX: u32 = 1_000;

/// A word that does not mean what it should. The message is safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WordError(pub String);

fn wrong(read: &str, expected: &str) -> WordError {
    WordError(format!("`{}` is {expected}", Untrusted::from(read).display_max(32)))
}

/// The first word of `text` and the rest, both without the white space around them.
#[must_use]
pub fn split_first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let cut = text.find(char::is_whitespace).and_then(|at| text.split_at_checked(at));
    cut.map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// The candidate that was probably meant.
#[must_use]
pub fn did_you_mean<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    nearest(word, candidates)
}

/// `12`, `1.5`, `.5` as a whole number of `1 / 10^places`; `None` when it is no number, too precise, or too large.
fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = places.checked_sub(u32::try_from(fraction.len()).ok()?)?;
    let number = |part: &str| if part.is_empty() { Some(0) } else { part.parse::<u64>().ok() };
    let scaled = number(whole)?.checked_mul(10_u64.checked_pow(places)?)?;
    scaled.checked_add(number(fraction)?.checked_mul(10_u64.pow(missing))?)
}

/// `80ms`, `1.5s`, `2m`, `250us`: a length of time in microseconds, up to [`DURATION_MAX_US`].
pub fn duration(word: &str) -> Result<u64, WordError> {
    let lower = word.to_lowercase();
    // `ms` before `s`: the longer unit is the one that was meant. Nothing is finer than a microsecond.
    let units =
        [("us", 0, 1), ("µs", 0, 1), ("ms", 3, 1), ("s", 6, 1), ("m", 6, 60), ("min", 6, 60), ("h", 6, 60 * 60)];
    let read =
        |(unit, places, times): &(&str, u32, u64)| decimal(lower.strip_suffix(unit)?, *places)?.checked_mul(*times);
    match units.iter().find_map(read) {
        Some(us) if us <= DURATION_MAX_US => Ok(us),
        Some(_) => Err(wrong(word, "too long: at most 24h")),
        None if decimal(&lower, 6).is_some() => {
            Err(wrong(word, "a number without a unit: write us, ms, s, m or h after it, as in 80ms"))
        }
        None => Err(wrong(word, "no duration: write 250us, 80ms, 1.5s or 2m")),
    }
}

/// `200/s`: how often a second, 1 to [`RATE_MAX`].
pub fn rate(word: &str) -> Result<u32, WordError> {
    let number = word.strip_suffix("/s").or_else(|| word.strip_suffix("/S")).and_then(|number| decimal(number, 0));
    match number {
        Some(0) => Err(wrong(word, "no rate that would do anything: write 200/s, 1/s at least")),
        Some(number) => match u32::try_from(number) {
            Ok(rate) if rate <= RATE_MAX => Ok(rate),
            _ => Err(wrong(word, "too fast: at most 1000000/s")),
        },
        None => Err(wrong(word, "no rate: write a whole number a second, as in 200/s")),
    }
}

/// `20%`, `0.5%`: a share in parts per million, 0 to 1,000,000.
pub fn percent(word: &str) -> Result<u32, WordError> {
    let read = word.strip_suffix('%').and_then(|number| decimal(number, 4));
    match read.map(u32::try_from) {
        Some(Ok(ppm)) if ppm <= 1_000_000 => Ok(ppm),
        Some(_) => Err(wrong(word, "too much: at most 100%")),
        None => Err(wrong(word, "no share: write 20% or 0.5%, four digits after the point at most")),
    }
}

/// `1/10`, `2`, `0.5`, `1x`, `real`: the speed of the cluster's clock as a reduced fraction (numerator, denominator),
/// from 1/[`PACE_MAX`] to [`PACE_MAX`].
pub fn pace(word: &str) -> Result<(u32, u32), WordError> {
    let lower = word.to_lowercase();
    if lower == "real" {
        return Ok((1, 1));
    }
    let number = lower.strip_suffix(['x', '×']).unwrap_or(&lower);
    let read = match number.split_once('/') {
        Some((over, under)) => decimal(over, 0).zip(decimal(under, 0)).filter(|(_, under)| *under > 0),
        None => decimal(number, 3).map(|thousandths| (thousandths, 1_000)),
    };
    let Some((over, under)) = read else {
        return Err(wrong(word, "no pace: write 1/10, 0.5, 2 or real"));
    };
    if over == 0 {
        return Err(wrong(word, "no pace: a clock that stands still is `stop`; write 1/10, 0.5, 2 or real"));
    }
    let (mut a, mut b) = (over, under);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let (over, under) = (over / a, under / a);
    let max = u64::from(PACE_MAX);
    if over > under.saturating_mul(max) || under > over.saturating_mul(max) {
        return Err(wrong(word, "out of bounds: from 1/1000 to 1000"));
    }
    match (u32::try_from(over), u32::try_from(under)) {
        (Ok(over), Ok(under)) => Ok((over, under)),
        _ => Err(wrong(word, "too fine a fraction: write 1/10, 0.5, 2 or real")),
    }
}

/// `n2` or `2`: one node.
pub fn node(word: &str) -> Result<NodeId, WordError> {
    word.parse().map_err(|_| wrong(word, "no node: write n1 or 1, counting from 1"))
}

/// `1,2` or `n1,n2`: nodes, each once, in the order written.
pub fn nodes(word: &str) -> Result<Vec<NodeId>, WordError> {
    let mut all = Vec::new();
    list(word, word, &mut all)?;
    Ok(all)
}

/// `1,2/3,4,5`: sides of a partition, each node once. One group alone is allowed: those against the rest.
pub fn groups(word: &str) -> Result<Vec<Vec<NodeId>>, WordError> {
    let mut all = Vec::new();
    let mut group = |part| {
        let from = all.len();
        list(word, part, &mut all)?;
        Ok(all.iter().skip(from).copied().collect())
    };
    word.split('/').map(&mut group).collect()
}

/// `n3>n2`: messages from the first to the second.
pub fn link(word: &str) -> Result<(NodeId, NodeId), WordError> {
    let Some((from, to)) = word.split_once('>') else {
        return Err(wrong(word, "no link: write n3>n2, from the sender to the receiver"));
    };
    let (from, to) = (node(from)?, node(to)?);
    if from == to {
        return Err(wrong(word, "a link from a node to itself: write two nodes, as in n3>n2"));
    }
    Ok((from, to))
}

/// Adds the nodes of `part`, which is part of `word`, to `all`.
fn list(word: &str, part: &str, all: &mut Vec<NodeId>) -> Result<(), WordError> {
    for item in part.split(',') {
        if item.is_empty() {
            return Err(wrong(word, "missing a node: write 1,2 or 1,2/3,4,5, without spaces"));
        }
        let node = node(item)?;
        if all.contains(&node) {
            return Err(wrong(word, &format!("naming {node} twice: each node once, as in 1,2/3,4,5")));
        }
        all.push(node);
    }
    Ok(())
}
