//! Linearizability of every run, with the log index as the witness (paper §8; thesis 6.3, 6.4).
//!
//! Raft says where each operation took place: a write at its index, a read after its index. So no search is needed: the
//! index must lie after everything that had returned before the operation was invoked, must be committed when it
//! returns, and the answer must be that of a model at this index.
//!
//! Kept true: real time is that of the clients, not of the nodes.
//! Not here: judging without trusting the indexes (`wing_gong.rs`).

use std::collections::BTreeMap;

use super::model::{Model, agrees};
use super::picture::Picture;
use super::{Property, Verdict, broken};
use crate::machine::kv::{KvCommand, KvQuery, KvReply};
use crate::raft::{Index, LogPosition};

/// Operations of clients, each with a number of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness {
    model: Model,
    /// What is right to answer to the command at each index.
    replies: Vec<Option<KvReply>>,
    /// For operations under way: the highest index that had been returned when they were invoked.
    floors: BTreeMap<u64, Index>,
    claimed: BTreeMap<Index, u64>,
    returned: Index,
    acknowledged: Index,
}

impl Witness {
    /// The command at the next index, committed; `None` for a no-op.
    pub(super) fn committed(&mut self, index: Index, command: Option<&[u8]>) -> Verdict {
        self.replies.resize(index.0 as usize, None);
        let right = match command.map(KvCommand::decode) {
            None => None,
            Some(Ok(command)) => Some(self.model.apply(index.0, &command)),
            Some(Err(why)) => {
                return broken(Property::Outcomes, || format!("the command at {index} is none of ours: {why}"));
            }
        };
        self.replies.push(right);
        Ok(())
    }

    pub(super) fn invoked(&mut self, operation: u64) {
        self.floors.insert(operation, self.returned);
    }

    /// It ended without a place in the log.
    pub(super) fn gave_up(&mut self, operation: u64) {
        self.floors.remove(&operation);
    }

    pub(super) fn wrote(
        &mut self,
        picture: &Picture,
        operation: u64,
        command: &[u8],
        position: LogPosition,
        reply: &[u8],
    ) -> Verdict {
        let floor = self.floors.remove(&operation).unwrap_or_default();
        let LogPosition { index, term } = position;
        if index <= floor {
            return broken(Property::Linearizability, || {
                format!("operation {operation} was invoked after {floor} had returned and took place at {index}")
            });
        }
        let known = picture.committed_at(index).filter(|(known, _)| *known == term);
        let here = known.and_then(|_| picture.known(index, term)).and_then(|known| known.command.as_deref());
        if here != Some(command) {
            return broken(Property::Outcomes, || {
                format!("operation {operation} was acknowledged at {position}, and its command is not committed there")
            });
        }
        if let Some(other) = self.claimed.insert(index, operation) {
            return broken(Property::Outcomes, || {
                format!("operations {other} and {operation} both took place at {index}")
            });
        }
        self.returned = self.returned.max(index);
        self.acknowledged = self.acknowledged.max(index);
        let right = self.replies.get(index.0 as usize).and_then(Option::as_ref);
        compare(operation, index, right, reply)
    }

    pub(super) fn read(
        &mut self,
        picture: &Picture,
        operation: u64,
        query: &KvQuery,
        index: Index,
        reply: &[u8],
    ) -> Verdict {
        let floor = self.floors.remove(&operation).unwrap_or_default();
        if index < floor {
            return broken(Property::Linearizability, || {
                format!("read {operation} was invoked after {floor} had returned and reads at {index}")
            });
        }
        if index > picture.frontier() {
            return broken(Property::Linearizability, || {
                format!("read {operation} reads at {index}, only {} is committed", picture.frontier())
            });
        }
        self.returned = self.returned.max(index);
        compare(operation, index, Some(&self.model.ask(index.0, query)), reply)
    }

    /// The highest index of a write that a client was told to be done.
    pub(super) fn acknowledged(&self) -> Index {
        self.acknowledged
    }

    /// What the store should hold after `index`.
    pub(super) fn at(&self, index: Index, query: &KvQuery) -> KvReply {
        self.model.ask(index.0, query)
    }
}

fn compare(operation: u64, index: Index, right: Option<&KvReply>, reply: &[u8]) -> Verdict {
    match (right, KvReply::decode(reply)) {
        (Some(right), Ok(given)) if agrees(right, &given) => Ok(()),
        (right, given) => broken(Property::Linearizability, || {
            format!("operation {operation} at {index} was answered {given:?}, right is {right:?}")
        }),
    }
}
