//! What a leader commits is an entry of its own term that is durable on a majority (paper §5.3, §5.4.2, Figure 8).
//!
//! Kept true: counted on the disks, not in what the leader believes of them.
//! Not here: whether all agree on it (`state_machine_safety.rs`).

use super::picture::{Picture, names};
use super::{Property, Verdict, broken};
use crate::raft::{Index, NodeId, Term};

/// `node` is the first to hold everything up to `index` to be committed.
pub(super) fn check(picture: &Picture, node: NodeId, term: Term, index: Index) -> Verdict {
    if picture.node(node).leads != Some(term) {
        return broken(Property::CommitOnQuorum, || {
            format!("{node} holds {index} to be committed in term {term}, which no leader has committed")
        });
    }
    let Some(entry) = picture.committed_at(index) else { return Ok(()) };
    if entry.0 != term {
        return broken(Property::CommitOnQuorum, || {
            format!("{node} leads term {term} and commits {index}@{} by counting (Figure 8)", entry.0)
        });
    }
    let holders = picture.counted_holders(index, entry);
    if holders.len() >= picture.majority() {
        return Ok(());
    }
    broken(Property::CommitOnQuorum, || {
        format!("{node} commits {index}@{term}, which is durable on [{}] only", names(&holders))
    })
}
