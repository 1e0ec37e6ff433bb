//! What may only grow (paper Figure 2).
//!
//! Across restarts: term, the vote within a term, the number of the life. Within one life also: commit, applied, durable
//! prefix of what is committed.
//!
//! Kept true: a restart is compared with what the disk had promised before it.
//! Not here: how these relate to each other (`order.rs`).

use super::picture::NodePicture;
use super::{Property, Verdict, broken};
use crate::raft::{Epoch, HardState, Index, NodeId, Status};

/// What was seen last of one node.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    hard: HardState,
    commit: Index,
    applied: Index,
}

impl Seen {
    /// A life begins.
    pub(super) fn booted(&mut self, node: &NodePicture, id: NodeId, hard: HardState, epoch: Epoch) -> Verdict {
        if epoch <= node.epoch {
            return broken(Property::Monotonic, || format!("{id} starts life {epoch} after life {}", node.epoch));
        }
        may_follow(id, node.hard, hard)?;
        *self = Self { hard, commit: Index::ZERO, applied: Index::ZERO };
        Ok(())
    }

    /// What it tells after a turn.
    pub(super) fn told(&mut self, id: NodeId, status: &Status) -> Verdict {
        may_follow(id, self.hard, status.hard_state)?;
        for (what, was, is) in
            [("commit index", self.commit, status.commit), ("applied index", self.applied, status.applied)]
        {
            if is < was {
                return broken(Property::Monotonic, || format!("the {what} of {id} falls from {was} to {is}"));
            }
        }
        *self = Self { hard: status.hard_state, commit: status.commit, applied: status.applied };
        Ok(())
    }
}

fn may_follow(id: NodeId, was: HardState, is: HardState) -> Verdict {
    if is.current_term < was.current_term {
        return broken(Property::Monotonic, || {
            format!("the term of {id} falls from {} to {}", was.current_term, is.current_term)
        });
    }
    if is.current_term == was.current_term && was.voted_for.is_some() && is.voted_for != was.voted_for {
        return broken(Property::Monotonic, || {
            format!(
                "the vote of {id} in term {} changes from {:?} to {:?}",
                is.current_term, was.voted_for, is.voted_for
            )
        });
    }
    Ok(())
}
