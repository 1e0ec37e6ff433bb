//! A snapshot stands for exactly the committed entries up to its last (paper §7, Figure 13).
//!
//! Kept true: compared when it is taken, when it is named on a disk and when it is installed.
//! Not here: bytes and checksums (`storage/`).

use super::picture::Picture;
use super::{Property, Verdict, broken};
use crate::raft::{Digest, LogPosition, NodeId};

pub(super) fn check(picture: &mut Picture, node: NodeId, last: LogPosition, chain: Digest, digest: Digest) -> Verdict {
    if picture.committed_at(last.index) != Some((last.term, chain)) {
        return broken(Property::Snapshots, || {
            format!("{node} has a snapshot of {last}, which is not committed like that")
        });
    }
    let known = picture.digests.get(last.index.0 as usize).copied().flatten();
    match known {
        Some(known) if known != digest => broken(Property::Snapshots, || {
            format!("{node} has a snapshot of {last} with the fingerprint {digest}, the machine had {known} there")
        }),
        _ => Ok(()),
    }
}
