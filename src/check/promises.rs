//! No promise before persistence (paper §5, Figure 2: "updated on stable storage before responding to RPCs").
//!
//! Each message is compared, as it leaves, with what a crash at this moment would leave on its sender's disk; the
//! node's own bookkeeping of what it waits for has no part in it.
//!
//! Kept true: a message that passes could be sent again by the same node after any crash.
//! Not here: what was promised earlier and must still be there (`durability.rs`).

use super::picture::Picture;
use super::{Property, Verdict, broken};
use crate::raft::message::{AppendOutcome, SnapshotOutcome};
use crate::raft::{Envelope, Index, LogPosition, Message, NodeId, Term};

pub(super) fn check(picture: &Picture, envelope: &Envelope) -> Verdict {
    let Envelope { from, to, term, ref message, .. } = *envelope;
    let node = picture.node(from);
    let speaks_for_own_term = !matches!(message, Message::PreVote { .. } | Message::PreVoteReply { granted: true, .. });
    if speaks_for_own_term && node.hard.current_term < term {
        return unkept(envelope, &format!("the disk knows term {}", node.hard.current_term));
    }
    match message {
        Message::RequestVote { last } => {
            if node.hard.current_term == term && node.hard.voted_for != Some(from) {
                return unkept(envelope, &format!("the disk has the vote {:?}", node.hard.voted_for));
            }
            entry_is_durable(picture, envelope, *last)
        }
        Message::RequestVoteReply { granted: true } => {
            if node.hard.current_term == term && node.hard.voted_for != Some(to) {
                return unkept(envelope, &format!("the disk has the vote {:?}", node.hard.voted_for));
            }
            Ok(())
        }
        Message::AppendEntriesReply(reply) => match reply.outcome {
            AppendOutcome::Accepted { match_index } => log_is_durable(picture, envelope, match_index),
            AppendOutcome::Rejected { .. } | AppendOutcome::NotLooked => Ok(()),
        },
        Message::InstallSnapshotReply(reply) => match reply.outcome {
            SnapshotOutcome::Installed { match_index } => log_is_durable(picture, envelope, match_index),
            SnapshotOutcome::Continue { .. } | SnapshotOutcome::Installing => Ok(()),
        },
        Message::ReadIndexReply { index, .. } if *index > picture.frontier() => {
            unkept(envelope, &format!("only {} is committed", picture.frontier()))
        }
        Message::PreVote { .. }
        | Message::PreVoteReply { .. }
        | Message::RequestVoteReply { granted: false }
        | Message::AppendEntries(_)
        | Message::InstallSnapshot(_)
        | Message::ReadIndex { .. }
        | Message::ReadIndexReply { .. } => Ok(()),
    }
}

fn unkept(envelope: &Envelope, why: &str) -> Verdict {
    broken(Property::Promise, || format!("`{envelope}` leaves, and {why}"))
}

fn entry_is_durable(picture: &Picture, envelope: &Envelope, last: LogPosition) -> Verdict {
    let durable = &picture.node(envelope.from).durable;
    if durable.base().position.index > last.index || durable.at(last.index).is_some_and(|(term, _)| term == last.term) {
        return Ok(());
    }
    unkept(envelope, &format!("the disk is sure up to {}", durable.last()))
}

/// The answer covers what is durable here, and there it is the leader's own history.
fn log_is_durable(picture: &Picture, envelope: &Envelope, index: Index) -> Verdict {
    let durable = &picture.node(envelope.from).durable;
    if index > durable.last_index() {
        return unkept(envelope, &format!("the disk is sure up to {}", durable.last()));
    }
    let Some(leader) = leader_of(picture, envelope.to, envelope.term) else { return Ok(()) };
    match (leader.log.at(index), durable.at(index)) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            unkept(envelope, &format!("the disk has {index}@{} there, the leader {index}@{}", ours.0, theirs.0))
        }
        _ => Ok(()),
    }
}

fn leader_of(picture: &Picture, id: NodeId, term: Term) -> Option<&super::picture::NodePicture> {
    Some(picture.node(id)).filter(|node| node.up && node.leads == Some(term))
}
