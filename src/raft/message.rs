//! What nodes say to each other: the RPCs of Figure 2 and Figure 13, PreVote (thesis 9.6) and ReadIndex (thesis 6.4).
//!
//! A request and its answer are two messages; answers end in `Reply`. Every message travels in an [`Envelope`].
//!
//! Kept true: a message says all that its receiver needs to judge it: term, life of the sender, stream and round.
//! Not here: bytes (`codec.rs`), when a message may leave (`Send::after`).

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::entry::Entry;
use super::types::{Digest, Epoch, Index, LogPosition, NodeId, Term, Ticket};

/// A message on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Who sent it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// The life of the sender; messages of an earlier life than the newest known are dropped.
    pub epoch: Epoch,
    /// Counts the messages of that life; names the message as the cause of what follows from it.
    pub number: u64,
    /// The term it speaks for: `current_term` of the sender, but the term to be campaigned for in a [`Message::PreVote`]
    /// and in a granted [`Message::PreVoteReply`].
    pub term: Term,
    /// What is said.
    pub message: Message,
}

/// An RPC of the protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// "Would you vote for me?" Changes nothing at the voter (thesis 9.6).
    PreVote {
        /// Last entry of the sender's log.
        last: LogPosition,
    },
    /// Answer to [`Message::PreVote`]: a grant speaks for the requested term, a refusal for the voter's own.
    PreVoteReply {
        /// The term that was asked for.
        campaign_term: Term,
        /// Whether the voter would.
        granted: bool,
    },
    /// "Vote for me" (§5.2, §5.4.1).
    RequestVote {
        /// Last entry of the candidate's log, durable when this leaves.
        last: LogPosition,
    },
    /// Answer to [`Message::RequestVote`].
    RequestVoteReply {
        /// Whether the vote was given; durable when this leaves.
        granted: bool,
    },
    /// Entries, or none as heartbeat (§5.2, §5.3).
    AppendEntries(AppendEntries),
    /// Answer to [`Message::AppendEntries`].
    AppendEntriesReply(AppendEntriesReply),
    /// A piece of a snapshot (§7).
    InstallSnapshot(InstallSnapshot),
    /// Answer to [`Message::InstallSnapshot`].
    InstallSnapshotReply(InstallSnapshotReply),
    /// A follower asks for an index at which a read is linearizable (thesis 6.4).
    ReadIndex {
        /// The follower's claim check.
        ticket: Ticket,
    },
    /// Answer to [`Message::ReadIndex`].
    ReadIndexReply {
        /// The claim check of the request.
        ticket: Ticket,
        /// The life of the asker that the ticket belongs to.
        your_epoch: Epoch,
        /// Read when this index is applied.
        index: Index,
    },
}

/// The leader's side of replication (Figure 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntries {
    /// The entry just before `entries`.
    pub prev: LogPosition,
    /// Fingerprint of the leader's log up to `prev`; `None` where the leader does not have it any more.
    pub prev_chain: Option<Digest>,
    /// Entries from `prev.index + 1` on, without a gap.
    pub entries: Vec<Entry>,
    /// The leader's commit index.
    pub commit: Index,
    /// Which stream to this follower it belongs to; a new one starts with each change of mode. Zero: only a sign of
    /// life, its answer says nothing about where the logs agree.
    pub stream: u64,
    /// The newest round of the leader when it was sent; the answer confirms leadership up to it.
    pub round: u64,
    /// The life of the receiver that the leader has heard of.
    pub your_epoch: Epoch,
    /// A place that the leader has applied, and the digest of its machine there.
    pub applied: Option<(Index, Digest)>,
}

/// The follower's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppendEntriesReply {
    /// The stream of the request.
    pub stream: u64,
    /// The round of the request.
    pub round: u64,
    /// False while the follower is in quarantine: its log must not count for commit.
    pub counted: bool,
    /// What became of the request.
    pub outcome: AppendOutcome,
}

/// What a follower did with an AppendEntries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendOutcome {
    /// The log agrees with the leader's, and is durable, up to here.
    Accepted {
        /// At most `prev + entries` of the request.
        match_index: Index,
    },
    /// The log has no entry `prev` (§5.3).
    Rejected {
        /// `prev.index` of the request.
        prev: Index,
        /// The last place of the follower at or below `prev` whose term is at most the term of `prev`.
        hint: LogPosition,
    },
    /// The sender is behind the receiver's term, or the receiver is busy installing a snapshot: nothing was looked at.
    NotLooked,
}

/// What is known of a snapshot without its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotMeta {
    /// The last entry it covers.
    pub last: LogPosition,
    /// Fingerprint of the log up to that entry.
    pub chain: Digest,
    /// The members at that entry.
    pub configuration: Configuration,
    /// Cluster time of that entry in microseconds.
    pub proposed_at_us: u64,
    /// Digest of the machine's state.
    pub digest: Digest,
    /// Length of the body in bytes.
    pub size_bytes: u64,
    /// xxh3-128 of the body.
    pub checksum: Digest,
}

/// A piece of a snapshot (Figure 13).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshot {
    /// Which snapshot.
    pub meta: SnapshotMeta,
    /// Where in the body `chunk` starts.
    pub offset: u64,
    /// Bytes of the body; the last chunk ends at `meta.size_bytes`.
    pub chunk: Bytes,
    /// See [`AppendEntries::stream`].
    pub stream: u64,
    /// See [`AppendEntries::round`].
    pub round: u64,
    /// See [`AppendEntries::your_epoch`].
    pub your_epoch: Epoch,
}

/// The follower's answer to a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallSnapshotReply {
    /// Which snapshot.
    pub last: LogPosition,
    /// The stream of the request.
    pub stream: u64,
    /// The round of the request.
    pub round: u64,
    /// See [`AppendEntriesReply::counted`].
    pub counted: bool,
    /// How far it is.
    pub outcome: SnapshotOutcome,
}

/// How far a follower is with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotOutcome {
    /// Send on from here; zero after a restart or a disagreement.
    Continue {
        /// Where the next chunk should start.
        next_offset: u64,
    },
    /// All bytes are here and are being made durable.
    Installing,
    /// The follower's log agrees with the leader's, and is durable, up to here.
    Installed {
        /// At least the snapshot's last index, or the follower's commit index when the snapshot was old.
        match_index: Index,
    },
}

/// The kinds of message, for counters, filters and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each is the message of the same name; a heartbeat is an AppendEntries without entries")]
pub enum MessageKind {
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    Heartbeat,
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    ReadIndex,
    ReadIndexReply,
}

impl MessageKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::PreVote,
        Self::PreVoteReply,
        Self::RequestVote,
        Self::RequestVoteReply,
        Self::Heartbeat,
        Self::AppendEntries,
        Self::AppendEntriesReply,
        Self::InstallSnapshot,
        Self::InstallSnapshotReply,
        Self::ReadIndex,
        Self::ReadIndexReply,
    ];

    /// Its name as the paper writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PreVote => "PreVote",
            Self::PreVoteReply => "PreVoteReply",
            Self::RequestVote => "RequestVote",
            Self::RequestVoteReply => "RequestVoteReply",
            Self::Heartbeat => "Heartbeat",
            Self::AppendEntries => "AppendEntries",
            Self::AppendEntriesReply => "AppendEntriesReply",
            Self::InstallSnapshot => "InstallSnapshot",
            Self::InstallSnapshotReply => "InstallSnapshotReply",
            Self::ReadIndex => "ReadIndex",
            Self::ReadIndexReply => "ReadIndexReply",
        }
    }
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Message {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::PreVote { .. } => MessageKind::PreVote,
            Self::PreVoteReply { .. } => MessageKind::PreVoteReply,
            Self::RequestVote { .. } => MessageKind::RequestVote,
            Self::RequestVoteReply { .. } => MessageKind::RequestVoteReply,
            Self::AppendEntries(append) if append.entries.is_empty() => MessageKind::Heartbeat,
            Self::AppendEntries(_) => MessageKind::AppendEntries,
            Self::AppendEntriesReply(_) => MessageKind::AppendEntriesReply,
            Self::InstallSnapshot(_) => MessageKind::InstallSnapshot,
            Self::InstallSnapshotReply(_) => MessageKind::InstallSnapshotReply,
            Self::ReadIndex { .. } => MessageKind::ReadIndex,
            Self::ReadIndexReply { .. } => MessageKind::ReadIndexReply,
        }
    }

    /// Roughly what it takes on a wire, in bytes.
    #[must_use]
    pub fn cost_bytes(&self) -> u64 {
        64 + match self {
            Self::AppendEntries(append) => append.entries.iter().map(Entry::cost_bytes).sum(),
            Self::InstallSnapshot(piece) => piece.chunk.len() as u64,
            Self::PreVote { .. }
            | Self::PreVoteReply { .. }
            | Self::RequestVote { .. }
            | Self::RequestVoteReply { .. }
            | Self::AppendEntriesReply(_)
            | Self::InstallSnapshotReply(_)
            | Self::ReadIndex { .. }
            | Self::ReadIndexReply { .. } => 0,
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreVote { last } => write!(f, "PreVote last={last}"),
            Self::PreVoteReply { campaign_term, granted } => {
                write!(f, "PreVoteReply {} for {campaign_term}", grant(*granted))
            }
            Self::RequestVote { last } => write!(f, "RequestVote last={last}"),
            Self::RequestVoteReply { granted } => write!(f, "RequestVoteReply {}", grant(*granted)),
            Self::AppendEntries(append) => {
                let name = if append.entries.is_empty() { "Heartbeat" } else { "AppendEntries" };
                write!(f, "{name} prev={}", append.prev)?;
                match append.entries.as_slice() {
                    [] => {}
                    entries if entries.len() <= 4 => {
                        let all: Vec<_> = entries.iter().map(|entry| entry.position().to_string()).collect();
                        write!(f, " [{}]", all.join(" "))?;
                    }
                    [first, .., last] => write!(f, " [{}..{}]", first.position(), last.position())?,
                    [_] => {}
                }
                write!(f, " commit={}", append.commit)
            }
            Self::AppendEntriesReply(reply) => {
                match reply.outcome {
                    AppendOutcome::Accepted { match_index } => write!(f, "AppendEntriesReply match={match_index}")?,
                    AppendOutcome::Rejected { prev, hint } => {
                        write!(f, "AppendEntriesReply reject prev={prev} hint={hint}")?;
                    }
                    AppendOutcome::NotLooked => write!(f, "AppendEntriesReply not looked")?,
                }
                if reply.counted { Ok(()) } else { write!(f, " (quarantine)") }
            }
            Self::InstallSnapshot(piece) => write!(
                f,
                "InstallSnapshot last={} bytes={}..{} of {}",
                piece.meta.last,
                piece.offset,
                piece.offset.saturating_add(piece.chunk.len() as u64),
                piece.meta.size_bytes
            ),
            Self::InstallSnapshotReply(reply) => {
                write!(f, "InstallSnapshotReply last={}", reply.last)?;
                match reply.outcome {
                    SnapshotOutcome::Continue { next_offset } => write!(f, " next={next_offset}"),
                    SnapshotOutcome::Installing => write!(f, " installing"),
                    SnapshotOutcome::Installed { match_index } => write!(f, " match={match_index}"),
                }
            }
            Self::ReadIndex { ticket } => write!(f, "ReadIndex {ticket}"),
            Self::ReadIndexReply { ticket, index, .. } => write!(f, "ReadIndexReply {ticket} index={index}"),
        }
    }
}

const fn grant(granted: bool) -> &'static str {
    if granted { "granted" } else { "refused" }
}

/// No cluster ever counts so far; numbers above would not leave room to count on.
const COUNT_MAX: u64 = 1 << 62;

impl Envelope {
    /// Whether its numbers could come from any node that counts, whatever else is wrong with it.
    pub(super) fn is_plausible(&self) -> bool {
        let counts = |position: LogPosition| position.index.0 <= COUNT_MAX && position.term.0 <= COUNT_MAX;
        self.term.0 <= COUNT_MAX
            && match &self.message {
                Message::PreVote { last } | Message::RequestVote { last } => counts(*last),
                Message::AppendEntries(append) => counts(append.prev),
                Message::InstallSnapshot(piece) => counts(piece.meta.last),
                Message::PreVoteReply { .. }
                | Message::RequestVoteReply { .. }
                | Message::AppendEntriesReply(_)
                | Message::InstallSnapshotReply(_)
                | Message::ReadIndex { .. }
                | Message::ReadIndexReply { .. } => true,
            }
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{} → {} {}", self.from, self.term, self.to, self.message)
    }
}
