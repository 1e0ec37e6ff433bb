//! Leader Append-Only: a leader never overwrites or deletes entries in its log (paper §5.3, Figure 3).
//!
//! Kept true: judged by what the leader asks of its disk.
//! Not here: what a follower may remove (`committed_immutable.rs`).

use super::picture::NodePicture;
use super::{Property, Verdict, broken};
use crate::raft::{NodeId, Role, Status};

pub(super) fn check(node: &NodePicture, id: NodeId, led_before: bool, status: &Status) -> Verdict {
    let Some(from) = node.truncated else { return Ok(()) };
    // It led this term before the turn and leads it after: the entries were its own to keep.
    if led_before && status.role == Role::Leader && node.leads == Some(status.hard_state.current_term) {
        return broken(Property::LeaderAppendOnly, || {
            format!("{id} leads term {} and removes its log from {from} on", status.hard_state.current_term)
        });
    }
    Ok(())
}
