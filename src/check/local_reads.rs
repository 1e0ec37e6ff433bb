//! What a local read may say (paper §8; `docs/formats.md`, `level`).
//!
//! It is not linearizable: it may be as old as its node is behind, and no age is promised. But it tells a state that the
//! cluster went through: that of the index which the node has applied, and which it names. That index is committed, and
//! within one life it does not go back.
//!
//! Kept true: judged when the node answers, against what the judge knows of it, not against what it says of itself.
//! Not here: reads that a majority confirmed (`linearizable.rs`).

use super::linearizable::Witness;
use super::model::agrees;
use super::picture::Picture;
use super::{Property, Verdict, broken};
use crate::machine::kv::{KvQuery, KvReply};
use crate::raft::{Index, NodeId};

pub(super) fn check(
    picture: &Picture,
    witness: &Witness,
    id: NodeId,
    floor: Index,
    query: &KvQuery,
    index: Index,
    reply: &[u8],
) -> Verdict {
    let frontier = picture.frontier();
    if index > frontier {
        return broken(Property::LocalReads, || format!("{id} reads at {index}, only {frontier} is committed"));
    }
    if index < floor {
        return broken(Property::LocalReads, || {
            format!("{id} reads at {index}, and in the same life it has read at {floor}")
        });
    }
    let applied = picture.node(id).applied;
    if index != applied {
        return broken(Property::LocalReads, || {
            format!("{id} says that it reads at {index}, it has applied {applied}")
        });
    }
    let right = witness.at(index, query);
    match KvReply::decode(reply) {
        Ok(given) if agrees(&right, &given) => Ok(()),
        given => broken(Property::LocalReads, || format!("{id} reads {given:?} at {index}, right is {right:?}")),
    }
}
