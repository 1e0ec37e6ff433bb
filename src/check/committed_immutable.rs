//! What is committed stays in every log that has it (paper §5.3, §5.4.3).
//!
//! Kept true: looked at whenever a log loses entries at its end.
//! Not here: the leader's own log (`leader_append_only.rs`).

use super::picture::Picture;
use super::shadow::Shadow;
use super::{Property, Verdict, broken};
use crate::raft::{Index, NodeId, Term};

/// The log of `node` was `before`, now, in `term`, it is what the picture says; it lost entries from `from` on.
///
/// A node that is behind may still follow the leader of a term that has passed: what higher terms have committed without
/// it is not its affair yet.
pub(super) fn check(picture: &Picture, node: NodeId, before: &Shadow, from: Index, term: Term) -> Verdict {
    let after = &picture.node(node).log;
    let commit = picture.node(node).commit;
    if from <= commit && after.at(commit) != before.at(commit) {
        return broken(Property::CommittedImmutable, || {
            format!("{node} removes its log from {from} on, and knows {commit} to be committed")
        });
    }
    // Several messages may have come in one turn: what took the place tells of which term the leader was.
    let term = after.at(from).map_or(term, |(replacing, _)| replacing);
    let frontier = picture.commits.range(..=term).map(|(_, index)| *index).max().unwrap_or_default();
    let mut index = from;
    while index <= before.last_index().min(frontier) {
        let committed = picture.committed_at(index);
        if before.at(index) == committed && after.at(index) != committed {
            return broken(Property::CommittedImmutable, || format!("{node} removes {index}, which is committed"));
        }
        index = index.next();
    }
    Ok(())
}
