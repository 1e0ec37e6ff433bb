//! Three outcomes: applied, certainly not, unknown (paper §8). What was reported as failed never appears.
//!
//! A command is committed at most as often as it was asked for and not refused, and none is committed that nobody asked
//! for. Commands of a workload are unique, so at most as often means at most once.
//!
//! Kept true: looked at from both ends, at the commit and at the refusal, whichever comes later.
//! Not here: what the command did (`linearizable.rs`).

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

use super::{Property, Verdict, broken};
use crate::raft::Index;

#[derive(Clone, Copy, Debug, Default)]
struct Fact {
    asked: u32,
    refused: u32,
    committed: u32,
    at: Index,
}

/// What became of each command.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcomes {
    facts: BTreeMap<u128, Fact>,
}

impl Outcomes {
    pub(super) fn asked(&mut self, command: &[u8]) {
        self.facts.entry(xxh3_128(command)).or_default().asked += 1;
    }

    /// A client was told that its command certainly had no effect.
    pub(super) fn refused(&mut self, command: &[u8]) -> Verdict {
        let fact = self.facts.entry(xxh3_128(command)).or_default();
        fact.refused += 1;
        fact.hold()
    }

    pub(super) fn committed(&mut self, index: Index, command: &[u8]) -> Verdict {
        let fact = self.facts.entry(xxh3_128(command)).or_default();
        fact.committed += 1;
        fact.at = index;
        fact.hold()
    }
}

impl Fact {
    fn hold(self) -> Verdict {
        if self.committed + self.refused <= self.asked {
            return Ok(());
        }
        broken(Property::Outcomes, || {
            format!(
                "the command at {} was asked for {} times, refused {} times, and is committed {} times",
                self.at, self.asked, self.refused, self.committed
            )
        })
    }
}
