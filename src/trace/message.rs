//! A message as an object: its id, its cause, its type, its term and its fields.
//!
//! Kept true: what two messages differ in for the protocol shows, but for the bytes of commands and of snapshots.
//! Not here: the words of a message for people (`Display` in `raft/message.rs`).

use super::Json;
use crate::raft::message::{AppendOutcome, SnapshotOutcome};
use crate::raft::{Cause, Entry, Envelope, Epoch, Message, NodeId};

/// The name of a message: its sender, which life of it, and its number in that life.
#[must_use]
pub fn id(envelope: &Envelope) -> String {
    format!("{}/{}/{}", envelope.from, envelope.epoch, envelope.number)
}

/// What something was caused by: the id of a message, or `boot`, `tick`, `client #4`, `disk 7`, `machine`. `epoch_of` gives
/// the life in which a peer was heard last; messages of earlier ones cause nothing.
#[must_use]
pub fn cause(cause: &Cause, epoch_of: impl Fn(NodeId) -> Option<Epoch>) -> String {
    match cause {
        Cause::Message { from, number, .. } => {
            format!("{from}/{}/{number}", epoch_of(*from).unwrap_or_default())
        }
        Cause::Boot | Cause::Tick | Cause::Client(_) | Cause::Disk { .. } | Cause::Machine => cause.to_string(),
    }
}

/// The message as an object.
#[must_use]
pub fn message(envelope: &Envelope, cause: Option<String>) -> Json {
    let mut fields: Vec<(&'static str, Json)> = vec![("id", id(envelope).into())];
    if let Some(cause) = cause {
        fields.push(("cause", cause.into()));
    }
    fields.extend([
        ("from", envelope.from.into()),
        ("to", envelope.to.into()),
        ("type", envelope.message.kind().name().into()),
        ("term", Json::from(envelope.term)),
    ]);
    match &envelope.message {
        Message::PreVote { last } | Message::RequestVote { last } => fields.push(("last", (*last).into())),
        Message::PreVoteReply { campaign_term, granted } => {
            fields.extend([("campaign_term", Json::from(*campaign_term)), ("granted", (*granted).into())]);
        }
        Message::RequestVoteReply { granted } => fields.push(("granted", (*granted).into())),
        Message::AppendEntries(append) => fields.extend([
            ("prev", Json::from(append.prev)),
            ("entries", append.entries.iter().map(Entry::position).collect::<Vec<_>>().into()),
            ("commit", append.commit.into()),
            ("stream", append.stream.into()),
            ("round", append.round.into()),
        ]),
        Message::AppendEntriesReply(reply) => {
            match reply.outcome {
                AppendOutcome::Accepted { match_index } => fields.push(("match", match_index.into())),
                AppendOutcome::Rejected { prev, hint } => {
                    let why = vec![("prev", Json::from(prev)), ("hint", hint.into())];
                    fields.push(("reject", Json::Object(why)));
                }
                AppendOutcome::NotLooked => fields.push(("not_looked", true.into())),
            }
            fields.extend([("stream", Json::from(reply.stream)), ("round", reply.round.into())]);
            fields.push(("counted", reply.counted.into()));
        }
        Message::InstallSnapshot(piece) => fields.extend([
            ("last", Json::from(piece.meta.last)),
            ("offset", piece.offset.into()),
            ("bytes", piece.chunk.len().into()),
            ("size", piece.meta.size_bytes.into()),
            ("stream", piece.stream.into()),
            ("round", piece.round.into()),
        ]),
        Message::InstallSnapshotReply(reply) => {
            fields.push(("last", reply.last.into()));
            match reply.outcome {
                SnapshotOutcome::Continue { next_offset } => fields.push(("next_offset", next_offset.into())),
                SnapshotOutcome::Installing => fields.push(("installing", true.into())),
                SnapshotOutcome::Installed { match_index } => fields.push(("match", match_index.into())),
            }
            fields.extend([("stream", Json::from(reply.stream)), ("round", reply.round.into())]);
            fields.push(("counted", reply.counted.into()));
        }
        Message::ReadIndex { ticket } => fields.push(("ticket", ticket.0.into())),
        Message::ReadIndexReply { ticket, index, .. } => {
            fields.extend([("ticket", Json::from(ticket.0)), ("index", (*index).into())]);
        }
    }
    Json::Object(fields)
}
