//! Leader Completeness: a committed entry is in the logs of the leaders of all higher terms (paper §5.4, Figure 3).
//!
//! Looked at from both ends: when a leader is elected, and when an entry is committed while a newer leader exists.
//!
//! Kept true: one comparison is enough, because the chain stands for all entries before.
//! Not here: who may be elected (`election_safety.rs`).

use super::picture::Picture;
use super::{Property, Verdict, broken};
use crate::raft::{Index, NodeId, Term};

/// `node` leads `term` from now on.
pub(super) fn elected(picture: &Picture, node: NodeId, term: Term) -> Verdict {
    // Its votes may come late: what higher terms have committed meanwhile is not its affair.
    let earlier = picture.commits.range(..term).map(|(_, index)| *index).max();
    has_committed(picture, node, term, earlier.unwrap_or_default())
}

/// `index` was committed in `term`.
pub(super) fn committed(picture: &Picture, index: Index, term: Term) -> Verdict {
    for (id, node) in picture.nodes() {
        if let Some(leads) = node.leads.filter(|leads| *leads > term && node.up) {
            has_committed(picture, id, leads, index)?;
        }
    }
    Ok(())
}

fn has_committed(picture: &Picture, node: NodeId, term: Term, index: Index) -> Verdict {
    let Some(entry) = picture.committed_at(index) else { return Ok(()) };
    if picture.node(node).log.covers(index, entry) {
        return Ok(());
    }
    broken(Property::LeaderCompleteness, || {
        let here =
            picture.node(node).log.at(index).map_or_else(|| "nothing".to_owned(), |(term, _)| format!("term {term}"));
        format!("{node} leads term {term} without the committed entry {index}@{}: it has {here} there", entry.0)
    })
}
