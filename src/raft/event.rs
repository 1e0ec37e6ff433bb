//! What an observer may hear from a node: facts, each with its cause.
//!
//! One formatter (`Display`) serves the golden transcripts, the traces and the dense mode of the events panel; whole
//! sentences for people are made in `control/narrate.rs` from the same values.
//!
//! Kept true: an event says what has happened, never what was asked for.
//! Not here: what the console does with it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::MessageKind;
use super::types::{Epoch, Index, LogPosition, NodeId, Term, Ticket};

/// Why a step was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The node started.
    Boot,
    /// Time passed.
    Tick,
    /// A message came.
    Message {
        /// From whom.
        from: NodeId,
        /// Its number in that life of the sender.
        number: u64,
        /// What it was.
        kind: MessageKind,
    },
    /// A client asked.
    Client(Ticket),
    /// The disk answered a write.
    Disk {
        /// The number of the write.
        number: u64,
    },
    /// The state machine or its snapshots answered.
    Machine,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boot => write!(f, "boot"),
            Self::Tick => write!(f, "tick"),
            Self::Message { from, number, kind } => write!(f, "{kind} {from}/{number}"),
            Self::Client(ticket) => write!(f, "client {ticket}"),
            Self::Disk { number } => write!(f, "disk {number}"),
            Self::Machine => write!(f, "machine"),
        }
    }
}

/// Something that happened in one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `current_term` right after it.
    pub term: Term,
    /// Why.
    pub cause: Cause,
    /// What.
    pub kind: EventKind,
}

/// Why a leader stopped leading, or a candidate gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepDown {
    /// Somebody is in a higher term (§5.1).
    HigherTerm,
    /// No majority answered for an election timeout (CheckQuorum, thesis 6.2).
    LostQuorum,
    /// Its disk does not answer while a majority without it goes on.
    DiskStalled,
    /// Another leader of the same term spoke (§5.2).
    LeaderSpoke,
}

/// Why a vote or pre-vote was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The request is from an earlier term.
    OldTerm,
    /// The vote of this term went to another.
    AlreadyVoted(NodeId),
    /// The candidate's log is behind the voter's (§5.4.1).
    LogBehind,
    /// The voter hears a leader (thesis 4.2.3, 6.2).
    HearsLeader(NodeId),
    /// The voter may have lost part of its log.
    Quarantined,
}

/// Why a message was put aside without effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum IgnoredWhy {
    /// From an earlier term.
    OldTerm,
    /// From an earlier life of its sender.
    OldEpoch,
    /// An answer to something that is not being asked any more.
    LateAnswer,
    /// From a node that is no member.
    NotAMember,
    /// It is addressed to somebody else, or to an earlier life of this node.
    NotForMe,
    /// It cannot be right: entries with a gap, or out of order.
    Malformed,
    /// Its bytes do not have the promised checksum, or an entry does not continue the chain.
    Corrupt,
}

/// The ways in which a leader feeds a follower (progress modes).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Finding where the logs agree: one message at a time.
    Probe,
    /// Logs agree: a pipeline of messages.
    Replicate,
    /// The entries it needs are gone: sending a snapshot.
    Snapshot,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A life began.
    Started {
        /// Which life.
        epoch: Epoch,
        /// Last entry of the log found on disk.
        last: LogPosition,
        /// Last entry of the snapshot found on disk.
        snapshot: Index,
        /// Whether the disk came back with less than it promised.
        quarantined: bool,
    },
    /// No leader was heard for an election timeout.
    ElectionTimeout {
        /// How long was waited.
        waited_ticks: u64,
    },
    /// Asks whether an election could be won (thesis 9.6).
    BecamePreCandidate {
        /// The term it would be.
        campaign_term: Term,
    },
    /// Started an election (§5.2).
    BecameCandidate,
    /// A vote, or a pre-vote, was counted.
    VoteCounted {
        /// Whose.
        from: NodeId,
        /// Yes or no.
        granted: bool,
        /// Whether it was a pre-vote.
        pre: bool,
        /// Yes votes so far.
        have: usize,
        /// Votes needed.
        need: usize,
    },
    /// Won an election (§5.2).
    BecameLeader,
    /// Follows, from another role or another leader.
    BecameFollower {
        /// Whom, if known.
        leader: Option<NodeId>,
    },
    /// A leader or candidate gave up.
    SteppedDown {
        /// Why.
        why: StepDown,
    },
    /// Gave its vote; durable before the answer leaves.
    Voted {
        /// To whom.
        candidate: NodeId,
    },
    /// Refused a vote or pre-vote.
    VoteRefused {
        /// To whom.
        candidate: NodeId,
        /// Whether it was a pre-vote.
        pre: bool,
        /// Why.
        why: Refusal,
    },
    /// Said that it would vote (thesis 9.6).
    PreVoteGranted {
        /// To whom.
        candidate: NodeId,
    },
    /// New entries are in the log, not durable yet.
    Appended {
        /// First of them.
        first: LogPosition,
        /// Last of them.
        last: LogPosition,
    },
    /// Conflicting entries were removed (§5.3).
    Truncated {
        /// First removed.
        from: Index,
        /// Last removed.
        to: Index,
    },
    /// The log is durable up to here.
    Durable {
        /// Last durable index.
        index: Index,
    },
    /// Entries are committed (§5.3, §5.4.2).
    Committed {
        /// The new commit index.
        index: Index,
    },
    /// Entries were applied to the state machine.
    Applied {
        /// The new applied index.
        index: Index,
    },
    /// A follower's log does not match; the leader goes back.
    PeerRejected {
        /// Who.
        peer: NodeId,
        /// Where the leader looks next.
        next: Index,
    },
    /// A follower is fed in another way.
    PeerMode {
        /// Who.
        peer: NodeId,
        /// How.
        mode: Mode,
    },
    /// A peer has started again.
    PeerRestarted {
        /// Who.
        peer: NodeId,
        /// Its life.
        epoch: Epoch,
    },
    /// A peer came back with less than it had acknowledged.
    PeerLostData {
        /// Who.
        peer: NodeId,
        /// What it had acknowledged.
        had: Index,
        /// What it has.
        has: Index,
    },
    /// A snapshot of the own state is durable.
    SnapshotTaken {
        /// Its last entry.
        last: LogPosition,
        /// Its size in bytes.
        size_bytes: u64,
    },
    /// All pieces of a snapshot arrived.
    SnapshotReceived {
        /// Its last entry.
        last: LogPosition,
    },
    /// A received snapshot replaced the log and the state (§7).
    SnapshotInstalled {
        /// Its last entry.
        last: LogPosition,
    },
    /// Entries covered by a snapshot left the log.
    Compacted {
        /// First entry that is still there.
        first: Index,
    },
    /// The node does not trust its log: it neither votes nor counts.
    Quarantined,
    /// A leader has made the log whole again.
    QuarantineLeft,
    /// A message had no effect.
    Ignored {
        /// Whose.
        from: NodeId,
        /// What.
        message: MessageKind,
        /// Why.
        why: IgnoredWhy,
    },
    /// The world broke a rule of Raft: this node stops with the evidence.
    Violated {
        /// Which rule, with what was seen.
        evidence: String,
    },
}

impl fmt::Display for StepDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HigherTerm => "higher term",
            Self::LostQuorum => "no majority answers",
            Self::DiskStalled => "own disk stalls",
            Self::LeaderSpoke => "a leader spoke",
        })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OldTerm => write!(f, "old term"),
            Self::AlreadyVoted(other) => write!(f, "voted for {other}"),
            Self::LogBehind => write!(f, "log behind"),
            Self::HearsLeader(leader) => write!(f, "hears {leader}"),
            Self::Quarantined => write!(f, "in quarantine"),
        }
    }
}

impl fmt::Display for IgnoredWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OldTerm => "old term",
            Self::OldEpoch => "earlier life",
            Self::LateAnswer => "late answer",
            Self::NotAMember => "no member",
            Self::NotForMe => "not for me",
            Self::Malformed => "malformed",
            Self::Corrupt => "corrupt",
        })
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { epoch, last, snapshot, quarantined } => {
                write!(f, "started epoch={epoch} last={last} snapshot={snapshot}")?;
                if *quarantined { write!(f, " quarantined") } else { Ok(()) }
            }
            Self::ElectionTimeout { waited_ticks } => write!(f, "election timeout after {waited_ticks}"),
            Self::BecamePreCandidate { campaign_term } => write!(f, "pre-candidate for {campaign_term}"),
            Self::BecameCandidate => write!(f, "candidate"),
            Self::VoteCounted { from, granted, pre, have, need } => {
                let what = if *pre { "pre-vote" } else { "vote" };
                let answer = if *granted { "yes" } else { "no" };
                write!(f, "{what} of {from}: {answer}, {have} of {need}")
            }
            Self::BecameLeader => write!(f, "leader"),
            Self::BecameFollower { leader: Some(leader) } => write!(f, "follows {leader}"),
            Self::BecameFollower { leader: None } => write!(f, "follower"),
            Self::SteppedDown { why } => write!(f, "steps down: {why}"),
            Self::Voted { candidate } => write!(f, "votes for {candidate}"),
            Self::VoteRefused { candidate, pre, why } => {
                let what = if *pre { "pre-vote" } else { "vote" };
                write!(f, "refuses {candidate} its {what}: {why}")
            }
            Self::PreVoteGranted { candidate } => write!(f, "would vote for {candidate}"),
            Self::Appended { first, last } if first == last => write!(f, "append {first}"),
            Self::Appended { first, last } => write!(f, "append {first}..{last}"),
            Self::Truncated { from, to } => write!(f, "truncate {from}..{to}"),
            Self::Durable { index } => write!(f, "durable {index}"),
            Self::Committed { index } => write!(f, "commit {index}"),
            Self::Applied { index } => write!(f, "apply {index}"),
            Self::PeerRejected { peer, next } => write!(f, "{peer} rejects, next={next}"),
            Self::PeerMode { peer, mode } => write!(f, "{peer} in {mode:?}"),
            Self::PeerRestarted { peer, epoch } => write!(f, "{peer} restarted, epoch={epoch}"),
            Self::PeerLostData { peer, had, has } => write!(f, "{peer} lost data: had {had}, has {has}"),
            Self::SnapshotTaken { last, size_bytes } => write!(f, "snapshot {last} of {size_bytes} bytes"),
            Self::SnapshotReceived { last } => write!(f, "snapshot {last} received"),
            Self::SnapshotInstalled { last } => write!(f, "snapshot {last} installed"),
            Self::Compacted { first } => write!(f, "compacted, first={first}"),
            Self::Quarantined => write!(f, "quarantined"),
            Self::QuarantineLeft => write!(f, "quarantine left"),
            Self::Ignored { from, message, why } => write!(f, "ignores {message} of {from}: {why}"),
            Self::Violated { evidence } => write!(f, "VIOLATED {evidence}"),
        }
    }
}
