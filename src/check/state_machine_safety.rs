//! State Machine Safety: no two nodes apply different entries at the same index (paper §5.4.3, Figure 3).
//!
//! Compared at commit (one chain for each index), at apply (the very command, each once, in order) and after it (the
//! machine's fingerprint).
//!
//! Kept true: the first to commit fixes the index for all others.
//! Not here: whether it could be committed (`commit_quorum.rs`).

use super::picture::Picture;
use super::{Property, Verdict, broken};
use crate::raft::{Digest, Index, NodeId, Term};

/// `node` holds `entry` to be committed at `index`, where something is committed already.
pub(super) fn committed(node: NodeId, index: Index, entry: (Term, Digest), known: (Term, Digest)) -> Verdict {
    if entry == known {
        return Ok(());
    }
    broken(Property::StateMachineSafety, || {
        format!("{node} commits {index}@{} where {index}@{} is committed", entry.0, known.0)
    })
}

/// `node` ran `command`, the entry at `index`, after it had run everything up to `before`.
pub(super) fn ran(picture: &Picture, node: NodeId, before: Index, index: Index, command: &[u8]) -> Verdict {
    if index <= before {
        return broken(Property::StateMachineSafety, || format!("{node} applies {index} after {before}"));
    }
    let mut skipped = before.next();
    while skipped < index {
        if committed_command(picture, skipped).is_some() {
            return broken(Property::StateMachineSafety, || {
                format!("{node} applies {index} without {skipped} before it")
            });
        }
        skipped = skipped.next();
    }
    match committed_command(picture, index) {
        Some(known) if known == command => Ok(()),
        _ => broken(Property::StateMachineSafety, || format!("{node} applies at {index} what is not committed there")),
    }
}

fn committed_command(picture: &Picture, index: Index) -> Option<&[u8]> {
    let (term, _) = picture.committed_at(index)?;
    picture.known(index, term)?.command.as_deref()
}

/// `node` tells the fingerprint of its machine after `index`.
pub(super) fn digest(picture: &mut Picture, node: NodeId, index: Index, digest: Digest) -> Verdict {
    let place = index.0 as usize;
    if picture.digests.len() <= place {
        picture.digests.resize(place + 1, None);
    }
    let known = *picture.digests[place].get_or_insert(digest);
    if known == digest {
        return Ok(());
    }
    broken(Property::StateMachineSafety, || {
        format!("after {index} the machine of {node} has the fingerprint {digest}, another's had {known}")
    })
}
