//! Linearizability by search, from what clients saw and nothing else (Wing and Gong 1993, with Lowe's memory).
//!
//! For each key: is there an order of the operations that respects real time and in which every answer is right? A write
//! whose outcome is unknown may take effect at any time after it was asked for, or never. The search takes what returned
//! first and what is unknown last, leaves out what cannot help, remembers which sets of operations led to which value,
//! and gives up after a bound.
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
    /// None does; the operations with an answer that no order could place next when it had come farthest.
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

/// Whether the answer says that nothing was changed, whatever the key had.
fn only_looks(act: &Act) -> bool {
    match act {
        Act::Get(_) => true,
        Act::Set(_) => false,
        Act::Delete(existed) => *existed == Some(false),
        Act::Cas { swapped, .. } => *swapped == Some(false),
        Act::Incr { sum, .. } => *sum == Some(None),
    }
}

/// What an addition sees of a value: the number, if it is one.
fn is_number(value: &Bytes) -> bool {
    str::from_utf8(value).is_ok_and(|text| text.parse::<i64>().is_ok())
}

/// Which operations have been placed, as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Placed(Vec<u64>);

impl Placed {
    fn of(operations: usize) -> Self {
        Self(vec![0; operations.div_ceil(64)])
    }

    fn toggle(&mut self, operation: usize) {
        self.0[operation / 64] ^= 1 << (operation % 64);
    }

    fn has(&self, operation: usize) -> bool {
        self.0[operation / 64] & (1 << (operation % 64)) != 0
    }

    /// The same without what is all ones at the front and all zeros at the end, so that long histories stay small.
    fn key(&self, low: usize) -> Self {
        let rest = self.0.get(low / 64..).unwrap_or_default();
        let used = rest.iter().rposition(|word| *word != 0).map_or(0, |last| last + 1);
        Self(rest.get(..used).unwrap_or_default().to_vec())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Certain(usize),
    Unknown(usize),
}

/// What may be next, and what the key has then.
#[derive(Clone, Debug)]
struct Choice {
    place: Place,
    after: Value,
}

/// A state on the way, what it came by, and what was there before.
struct Frame {
    came_by: Option<(Place, Value)>,
    choices: std::vec::IntoIter<Choice>,
}

/// Where a search has been: the first operation that is not placed, which are from there on, which of the unknown ones,
/// and the value.
type State = (usize, Placed, Placed, Value);

struct Walk {
    /// With an answer, in the order in which they were asked for.
    certain: Vec<Operation>,
    /// Without one.
    unknown: Vec<Operation>,
    /// Unknown writes of values that no answer and no comparison names: one is as good as another.
    nameless: Vec<bool>,
    placed: Placed,
    placed_unknown: Placed,
    /// The first of the certain ones that is not placed.
    low: usize,
    left: usize,
    value: Value,
    seen: BTreeSet<State>,
}

impl Walk {
    fn new(operations: &[Operation]) -> Self {
        let mut operations: Vec<_> = operations.to_vec();
        operations.sort_by_key(|operation| (operation.invoked, operation.returned));
        let named: BTreeSet<Bytes> = operations
            .iter()
            .filter_map(|operation| match &operation.act {
                Act::Get(found) => found.clone(),
                Act::Cas { expected, .. } => expected.clone(),
                Act::Set(_) | Act::Delete(_) | Act::Incr { .. } => None,
            })
            .collect();
        let (certain, unknown): (Vec<_>, Vec<_>) =
            operations.into_iter().partition(|operation| operation.returned.is_some());
        let nameless = unknown.iter().map(|operation| match &operation.act {
            Act::Set(value) => !named.contains(value) && !is_number(value),
            Act::Get(_) | Act::Delete(_) | Act::Cas { .. } | Act::Incr { .. } => false,
        });
        Self {
            nameless: nameless.collect(),
            placed: Placed::of(certain.len()),
            placed_unknown: Placed::of(unknown.len()),
            low: 0,
            left: certain.len(),
            value: None,
            seen: BTreeSet::new(),
            certain,
            unknown,
        }
    }

    /// Those with an answer that were asked for before any that is not placed had returned, and when that was.
    fn candidates(&self) -> (Vec<usize>, u64) {
        let mut first_return = u64::MAX;
        let mut open = Vec::new();
        for (at, operation) in self.certain.iter().enumerate().skip(self.low) {
            if operation.invoked > first_return {
                break;
            }
            if !self.placed.has(at) {
                first_return = first_return.min(operation.returned.unwrap_or(u64::MAX));
                open.push(at);
            }
        }
        open.retain(|at| self.certain[*at].invoked <= first_return);
        open.sort_by_key(|at| self.certain[*at].returned);
        (open, first_return)
    }

    /// What may be next. Some of what is possible is left out, because something that is not left out is as good:
    /// an answer that is right now and only looks can be taken at once; an operation of unknown outcome that
    /// changes nothing, or whose effect is overwritten before anybody saw it, might as well not have happened yet.
    fn choices(&self, came_by: Option<Place>) -> Vec<Choice> {
        let (candidates, first_return) = self.candidates();
        let unseen = matches!(came_by, Some(Place::Unknown(_)));
        let mut choices = Vec::new();
        for at in candidates {
            let act = &self.certain[at].act;
            let Some(after) = step(self.value.as_ref(), act) else { continue };
            let choice = Choice { place: Place::Certain(at), after };
            if only_looks(act) {
                return vec![choice];
            }
            if !(unseen && matches!(act, Act::Set(_))) {
                choices.push(choice);
            }
        }
        let mut nameless = false;
        for (at, operation) in self.unknown.iter().enumerate() {
            if operation.invoked > first_return {
                break;
            }
            let blind = matches!(operation.act, Act::Set(_) | Act::Delete(_));
            if self.placed_unknown.has(at) || unseen && blind || self.nameless[at] && nameless {
                continue;
            }
            let after = step(self.value.as_ref(), &operation.act);
            if let Some(after) = after.filter(|after| *after != self.value) {
                nameless |= self.nameless[at];
                choices.push(Choice { place: Place::Unknown(at), after });
            }
        }
        choices
    }

    /// Goes on with a choice, unless that leads where the search has been; gives the value before.
    fn take(&mut self, choice: Choice) -> Option<Value> {
        self.toggle(choice.place);
        let before = std::mem::replace(&mut self.value, choice.after);
        let state = (self.low, self.placed.key(self.low), self.placed_unknown.clone(), self.value.clone());
        if self.seen.insert(state) {
            return Some(before);
        }
        self.undo(choice.place, before);
        None
    }

    fn undo(&mut self, place: Place, before: Value) {
        self.toggle(place);
        self.value = before;
    }

    fn toggle(&mut self, place: Place) {
        match place {
            Place::Unknown(at) => self.placed_unknown.toggle(at),
            Place::Certain(at) => {
                self.placed.toggle(at);
                if self.placed.has(at) {
                    self.left -= 1;
                    while self.low < self.certain.len() && self.placed.has(self.low) {
                        self.low += 1;
                    }
                } else {
                    self.left += 1;
                    self.low = self.low.min(at);
                }
            }
        }
    }
}

/// Looks for an order of `operations`, all on one key that did not exist before, in at most `steps_max` steps.
#[must_use]
pub fn search(operations: &[Operation], steps_max: usize) -> Found {
    let mut walk = Walk::new(operations);
    let mut path = vec![Frame { came_by: None, choices: walk.choices(None).into_iter() }];
    let mut farthest: (usize, Vec<Operation>) = (usize::MAX, Vec::new());
    for _ in 0..steps_max {
        if walk.left == 0 {
            return Found::Linearizable;
        }
        let Some(frame) = path.last_mut() else { return Found::Impossible(farthest.1) };
        if let Some(choice) = frame.choices.next() {
            let place = choice.place;
            if let Some(before) = walk.take(choice) {
                let choices = walk.choices(Some(place)).into_iter();
                path.push(Frame { came_by: Some((place, before)), choices });
            }
            continue;
        }
        if walk.left < farthest.0 {
            let stuck = walk.candidates().0.into_iter().map(|at| walk.certain[at].clone());
            farthest = (walk.left, stuck.collect());
        }
        if let Some((place, before)) = path.pop().and_then(|frame| frame.came_by) {
            walk.undo(place, before);
        }
    }
    Found::Undecided
}
