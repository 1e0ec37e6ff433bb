//! What is committed stays in every log that has it (paper §5.3, §5.4.3).
//!
//! Kept true: looked at whenever a log loses entries at its end.
//! Not here: the leader's own log (`leader_append_only.rs`).

use super::picture::Picture;
use super::shadow::Shadow;
use super::{Property, Verdict, broken};
use crate::raft::{Index, NodeId};

/// The log of `node` was `before`, now it is what the picture says; it lost entries from `from` on.
pub(super) fn check(picture: &Picture, node: NodeId, before: &Shadow, from: Index) -> Verdict {
    let after = &picture.node(node).log;
    let commit = picture.node(node).commit;
    if from <= commit && after.at(commit) != before.at(commit) {
        return broken(Property::CommittedImmutable, || {
            format!("{node} removes its log from {from} on, and knows {commit} to be committed")
        });
    }
    let mut index = from;
    while index <= before.last_index().min(picture.frontier()) {
        let committed = picture.committed_at(index);
        if before.at(index) == committed && after.at(index) != committed {
            return broken(Property::CommittedImmutable, || format!("{node} removes {index}, which is committed"));
        }
        index = index.next();
    }
    Ok(())
}
