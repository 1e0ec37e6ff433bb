//! Linearizability by search, from what clients saw and nothing else (Wing and Gong 1993, with Lowe's memory).
//!
//! For each key: is there an order of the operations that respects real time and in which every answer is right? A write
//! whose outcome is unknown may take effect at any time after it was asked for, or never. The search takes the earliest
//! possible operations first, remembers which sets of them led to which value, and gives up after a bound.
//!
//! Kept true: no index, no term and no node of the cluster is believed.
//! Not here: several keys at once (LIST is judged by `linearizable.rs` only).

use std::collections::BTreeSet;

use bytes::Bytes;

/// What a client did with one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Read it: what was found.
    Get(Option<Bytes>),
    /// Wrote a value.
    Set(Bytes),
    /// Deleted it: whether it had existed.
    Delete(Option<bool>),
    /// Compare and set.
    Cas {
        /// What it must have had.
        expected: Option<Bytes>,
        /// What it has then.
        new: Bytes,
        /// Whether it was swapped, if that is known.
        swapped: Option<bool>,
    },
    /// Added to a number.
    Incr {
        /// How much.
        delta: i64,
        /// The sum, if that is known; `None` inside: it was no number.
        sum: Option<Option<i64>>,
    },
}

/// An operation on one key, in the clients' time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// When it was asked for.
    pub invoked: u64,
    /// When its answer came; `None`: never, so it may take effect at any time later.
    pub returned: Option<u64>,
    /// What, and what came back.
    pub act: Act,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// An order exists.
    Linearizable,
    /// None does; the operations that no order could place next when it had come farthest.
    Impossible(Vec<Operation>),
    /// The bound was reached first.
    Undecided,
}

/// What a key has; `None` when it does not exist.
type Value = Option<Bytes>;

/// What the key has after the operation, if the answer can be right.
fn step(value: Option<&Bytes>, act: &Act) -> Option<Value> {
    match act {
        Act::Get(found) => (found.as_ref() == value).then(|| value.cloned()),
        Act::Set(new) => Some(Some(new.clone())),
        Act::Delete(existed) => existed.is_none_or(|existed| existed == value.is_some()).then_some(None),
        Act::Cas { expected, new, swapped } => {
            let swaps = expected.as_ref() == value;
            let after = if swaps { Some(new.clone()) } else { value.cloned() };
            swapped.is_none_or(|swapped| swapped == swaps).then_some(after)
        }
        Act::Incr { delta, sum } => {
            let number =
                value.map_or(Some(0), |value| str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()));
            let added = number.and_then(|number| number.checked_add(*delta));
            let after = added.map_or_else(|| value.cloned(), |sum| Some(Bytes::from(sum.to_string())));
            sum.is_none_or(|sum| sum == added).then_some(after)
        }
    }
}

/// Which operations have been placed, as bits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Placed(Vec<u64>);

impl Placed {
    fn toggle(&mut self, operation: usize) {
        self.0[operation / 64] ^= 1 << (operation % 64);
    }

    fn has(&self, operation: usize) -> bool {
        self.0[operation / 64] & (1 << (operation % 64)) != 0
    }
}

/// Looks for an order of `operations`, all on one key that did not exist before, in at most `steps_max` steps.
#[must_use]
pub fn search(operations: &[Operation], steps_max: usize) -> Found {
    let mut operations: Vec<_> = operations.to_vec();
    operations.sort_by_key(|operation| (operation.invoked, operation.returned));
    let certain = operations.iter().filter(|operation| operation.returned.is_some()).count();
    let mut placed = Placed(vec![0; operations.len().div_ceil(64)]);
    let mut value: Value = None;
    let mut seen = BTreeSet::new();
    // What was placed, the value before it, in order.
    let mut path: Vec<(usize, Value)> = Vec::new();
    let mut certain_placed = 0;
    let mut farthest: (usize, Vec<Operation>) = (0, Vec::new());
    let mut from = 0;
    for _ in 0..steps_max {
        if certain_placed == certain {
            return Found::Linearizable;
        }
        if let Some((operation, after)) = next(&operations, &placed, value.as_ref(), from, &seen) {
            placed.toggle(operation);
            seen.insert((placed.clone(), after.clone()));
            path.push((operation, std::mem::replace(&mut value, after)));
            certain_placed += usize::from(operations[operation].returned.is_some());
            from = 0;
            continue;
        }
        if certain_placed >= farthest.0 {
            let stuck = candidates(&operations, &placed).map(|at| operations[at].clone()).collect();
            farthest = (certain_placed, stuck);
        }
        let Some((operation, before)) = path.pop() else { return Found::Impossible(farthest.1) };
        placed.toggle(operation);
        value = before;
        certain_placed -= usize::from(operations[operation].returned.is_some());
        from = operation + 1;
    }
    Found::Undecided
}

/// Operations that may be next: those invoked before any that is not placed had returned.
fn candidates<'a>(operations: &'a [Operation], placed: &'a Placed) -> impl Iterator<Item = usize> + 'a {
    let open = (0..operations.len()).filter(|at| !placed.has(*at));
    let first_return = open.filter_map(|at| operations[at].returned).min().unwrap_or(u64::MAX);
    (0..operations.len())
        .take_while(move |at| operations[*at].invoked <= first_return)
        .filter(move |at| !placed.has(*at))
}

fn next(
    operations: &[Operation],
    placed: &Placed,
    value: Option<&Bytes>,
    from: usize,
    seen: &BTreeSet<(Placed, Value)>,
) -> Option<(usize, Value)> {
    candidates(operations, placed).filter(|at| *at >= from).find_map(|at| {
        let after = step(value, &operations[at].act)?;
        let mut then = placed.clone();
        then.toggle(at);
        (!seen.contains(&(then, after.clone()))).then_some((at, after))
    })
}
