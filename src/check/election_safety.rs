//! Election Safety: at most one leader can be elected in a given term (paper §5.2, Figure 3).
//!
//! Looked at twice: by claim (who says that it leads) and by votes (who could have been elected).
//!
//! Kept true: a vote is known here before anybody can count it.
//! Not here: whether the elected may lead (`leader_completeness.rs`).

use std::collections::BTreeMap;

use super::picture::{Picture, names};
use super::{Property, Verdict, broken};
use crate::raft::{NodeId, Term};

/// Claims and votes.
#[derive(Clone, Debug, Default)]
pub(super) struct Elections {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(Term, NodeId), NodeId>,
}

impl Elections {
    /// `voter` has promised its vote, on its disk or in a message.
    pub(super) fn voted(&mut self, voter: NodeId, term: Term, candidate: NodeId) -> Verdict {
        let vote = *self.votes.entry((term, voter)).or_insert(candidate);
        if vote == candidate {
            return Ok(());
        }
        broken(Property::ElectionSafety, || format!("{voter} votes for {vote} and for {candidate} in term {term}"))
    }

    /// `node` says that it leads `term`.
    pub(super) fn claimed(&mut self, picture: &Picture, node: NodeId, term: Term) -> Verdict {
        if let Some(other) = self.leaders.insert(term, node) {
            return broken(Property::ElectionSafety, || format!("{other} and {node} both lead term {term}"));
        }
        let voters: Vec<_> = (self.votes.range((term, NodeId(0))..=(term, NodeId(u64::MAX))))
            .filter(|(_, candidate)| **candidate == node)
            .map(|((_, voter), _)| *voter)
            .collect();
        if voters.len() >= picture.majority() {
            return Ok(());
        }
        broken(Property::ElectionSafety, || {
            format!("{node} leads term {term} with the votes of [{}], which are no majority", names(&voters))
        })
    }
}
