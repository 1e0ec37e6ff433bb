//! How the places of one log lie to each other (paper Figure 2).
//!
//! `first ≤ snapshot + 1`, `snapshot ≤ applied ≤ commit ≤ last`, `applied ≤ durable`, and for a leader's followers
//! `match < next ≤ last + 1`.
//!
//! Kept true: the log that a node tells of is the log that it asked its disk for.
//! Not here: how they change (`monotonic.rs`).

use super::picture::NodePicture;
use super::{Property, Verdict, broken};
use crate::raft::{Index, NodeId, Status};

pub(super) fn check(node: &NodePicture, id: NodeId, status: &Status) -> Verdict {
    let Status { first_index, last, commit, applied, snapshot, durable, .. } = *status;
    let ordered: [(&str, Index, Index); 6] = [
        ("first ≤ snapshot + 1", first_index, snapshot.next()),
        ("snapshot ≤ applied", snapshot, applied),
        ("applied ≤ commit", applied, commit),
        ("commit ≤ last", commit, last.index),
        ("durable ≤ last", durable, last.index),
        ("applied ≤ durable", applied, durable),
    ];
    for (rule, low, high) in ordered {
        if low > high {
            return broken(Property::Order, || format!("{id}: {rule} does not hold: {low}, {high}"));
        }
    }
    for peer in &status.peers {
        if peer.match_index >= peer.next_index || peer.next_index > last.index.next() {
            return broken(Property::Order, || {
                format!(
                    "{id}: {} has match {} and next {}, the log ends at {last}",
                    peer.id, peer.match_index, peer.next_index
                )
            });
        }
    }
    if node.installing.is_some() {
        return Ok(());
    }
    if last != node.log.last() || first_index != node.log.base().position.index.next() {
        return broken(Property::Order, || {
            format!(
                "{id} tells of a log {first_index}..{last} and asked its disk for {}..{}",
                node.log.base().position.index.next(),
                node.log.last()
            )
        });
    }
    if durable > node.durable.last_index() {
        return broken(Property::Promise, || {
            format!("{id} believes {durable} to be durable, its disk is sure up to {}", node.durable.last())
        });
    }
    Ok(())
}
