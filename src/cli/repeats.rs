//! What nodes do in vain again and again, told as few lines.
//!
//! A node without a leader asks for pre-votes for as long as it is cut off. People read the first time, then each time that
//! there were four times as many, and the last when something else comes of it, each with its number. Programs get all.
//!
//! Kept true: what is folded is of one node, one term and one sort, with nothing else told of that node in between; how many
//! there were is told in the end.
//! Not here: what is done in vain (`control/narrate.rs`), the window's own folding (`tui/state.rs`).

use std::collections::BTreeMap;

use super::lines::{Form, clock};
use crate::control::narrate::{Vain, in_vain, sentence};
use crate::control::{Happened, Life, What};
use crate::raft::{NodeId, Term};

/// What comes later than this, in microseconds of cluster time, is a new beginning.
const WITHIN_US: u64 = 1_000_000;

/// Told when there were so many times as many as when it was told before.
const GROWS: u64 = 4;

/// So many are counted at a time: some of each node.
const SEEN_MAX: usize = 256;

#[derive(Debug)]
struct Seen {
    term: Term,
    text: String,
    since_us: u64,
    last_us: u64,
    count: u64,
    told: u64,
}

impl Seen {
    fn line(&mut self) -> Option<String> {
        if self.count == self.told {
            return None;
        }
        self.told = self.count;
        Some(format!("{} {} (no. {} since {})", clock(self.last_us), self.text, self.count, clock(self.since_us)))
    }
}

/// Makes lines of what happens.
#[derive(Debug)]
pub struct Repeats {
    form: Form,
    lives: BTreeMap<NodeId, Life>,
    seen: BTreeMap<(NodeId, Vain), Seen>,
}

impl Repeats {
    /// Lines of this form.
    #[must_use]
    pub const fn new(form: Form) -> Self {
        Self { form, lives: BTreeMap::new(), seen: BTreeMap::new() }
    }

    /// The lines for what happened, in order.
    pub fn lines(&mut self, happened: &Happened) -> Vec<String> {
        let before = match &happened.what {
            What::Life { node, life } => self.lives.insert(*node, life.clone()),
            _ => None,
        };
        let line = self.form.happened(happened, before.as_ref());
        if self.form == Form::Json {
            return line.into_iter().collect();
        }
        let Some(line) = line else { return Vec::new() };
        if let Some((node, term, vain)) = in_vain(happened) {
            return self.again(node, term, vain, happened, line);
        }
        let node = match &happened.what {
            What::Node { node, .. } | What::Life { node, .. } | What::Note { node, .. } => Some(*node),
            What::Applied { .. } | What::Faults { .. } | What::Dropped { .. } | What::Clock { .. } => None,
        };
        let mut lines = node.map(|node| self.end(Some(node))).unwrap_or_default();
        lines.push(line);
        lines
    }

    /// How many there were of what was not told to its end.
    pub fn rest(&mut self) -> Vec<String> {
        self.end(None)
    }

    fn again(&mut self, node: NodeId, term: Term, vain: Vain, happened: &Happened, line: String) -> Vec<String> {
        let at_us = happened.at_us;
        if let Some(seen) = self.seen.get_mut(&(node, vain))
            && seen.term == term
            && at_us.saturating_sub(seen.last_us) < WITHIN_US
        {
            (seen.count, seen.last_us) = (seen.count + 1, at_us);
            seen.text = sentence(happened).unwrap_or_default();
            let told = if seen.count >= seen.told.saturating_mul(GROWS) { seen.line() } else { None };
            return told.into_iter().collect();
        }
        let text = sentence(happened).unwrap_or_default();
        let seen = Seen { term, text, since_us: at_us, last_us: at_us, count: 1, told: 1 };
        let mut lines = if self.seen.len() < SEEN_MAX { Vec::new() } else { self.end(None) };
        let former = self.seen.insert((node, vain), seen);
        lines.extend(former.and_then(|mut former| former.line()));
        lines.push(line);
        lines
    }

    fn end(&mut self, node: Option<NodeId>) -> Vec<String> {
        let of_node = |(of, _): &(NodeId, Vain), _: &mut Seen| node.is_none_or(|node| node == *of);
        let mut ended: Vec<_> = self.seen.extract_if(.., of_node).map(|(_, seen)| seen).collect();
        ended.sort_by_key(|seen| seen.last_us);
        ended.iter_mut().filter_map(Seen::line).collect()
    }
}
