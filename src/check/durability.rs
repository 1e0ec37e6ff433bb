//! What a client was told to be done is on the disks of a majority, always (paper §5.3, §8; Figure 2).
//!
//! Kept true: looked at after every crash, after every start and at the end; what a disk brings back is compared entry
//! by entry with what it had promised.
//! Not here: promises between nodes (`promises.rs`).

use super::picture::{NodePicture, Picture, names};
use super::shadow::Shadow;
use super::{Property, Verdict, broken};
use crate::raft::{Index, NodeId, Recovered};

/// Everything up to `acknowledged` is on a majority of the disks.
pub(super) fn check(picture: &Picture, acknowledged: Index) -> Verdict {
    let Some(entry) = picture.committed_at(acknowledged) else { return Ok(()) };
    let holders = picture.holders(acknowledged, entry);
    if holders.len() >= picture.majority() {
        return Ok(());
    }
    broken(Property::Durability, || {
        format!(
            "{acknowledged}@{} was acknowledged to a client and is on the disks of [{}] only",
            entry.0,
            names(&holders)
        )
    })
}

/// What a disk brought back is what it had promised, or it says that it is not.
pub(super) fn recovered(node: &NodePicture, id: NodeId, recovered: &Recovered) -> Verdict {
    let brought = Shadow::recovered(recovered);
    let whole = brought.last() == node.durable.last() && brought.base() == node.durable.base();
    // Damage may take what outlived a crash and was never promised: nobody can miss it.
    let enough = node.damaged && brought.last_index() >= node.promised;
    if recovered.quarantine.is_none() && !whole && !enough {
        return broken(Property::Durability, || {
            format!(
                "{id} starts with {}..{} and trusts it, its disk had promised {}..{}",
                brought.base().position,
                brought.last(),
                node.durable.base().position,
                node.promised
            )
        });
    }
    if recovered.quarantine.is_some() && !node.damaged && !node.marked {
        return broken(Property::Durability, || {
            format!("{id} mistrusts a disk that is whole: {}", recovered.quarantine.as_deref().unwrap_or_default())
        });
    }
    let mut index = brought.base().position.index;
    while index <= brought.last_index() {
        if let (Some(here), Some(promised)) = (brought.at(index), node.durable.at(index))
            && here != promised
        {
            return broken(Property::Durability, || format!("{id} brings back another entry {index} than it wrote"));
        }
        index = index.next();
    }
    Ok(())
}
