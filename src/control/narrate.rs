//! Whole sentences for people, from what happened: each says the fact, its reason, and where the paper argues it.
//!
//! Kept true: nothing that came from a client, a disk or a wire is in a sentence before it passed the sanitizer; a
//! sentence is one line.
//! Not here: time stamps and colours (`cli/plain.rs`, `tui/`); the dense form of an event (`raft/event.rs`).

use super::observation::{Happened, Life, What, WritesStand};
use super::operation::Answer;
use crate::machine::kv;
use crate::raft::event::{IgnoredWhy, Mode, Refusal, StepDown};
use crate::raft::{Cause, Event, EventKind, MessageKind, NodeId, Term};
use crate::text::{clip, is_safe, sanitize_str};

/// Cluster time of one tick, in milliseconds.
const TICK_MS: u64 = 10;
/// Longest quotation of something that a client wrote, in cells.
const QUOTE_MAX: usize = 100;

/// How much a person should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The protocol at work.
    Info,
    /// A change worth a look.
    Notice,
    /// Something that costs availability, or that somebody broke.
    Warn,
    /// Something that costs data or a node.
    Error,
}

impl Severity {
    /// The word for it, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How much a person should care about this.
#[must_use]
pub fn severity(happened: &Happened) -> Severity {
    match &happened.what {
        What::Node { event, .. } => event_severity(&event.kind),
        What::Life { life: Life::Halted { .. }, .. } => Severity::Error,
        What::Life { life: Life::Crashed { .. } | Life::Paused | Life::Unreachable { .. }, .. } | What::Note { .. } => {
            Severity::Warn
        }
        What::Faults { .. } | What::Clock { .. } => Severity::Notice,
        What::Life { life: Life::Starting | Life::Running, .. } | What::Applied { .. } | What::Dropped { .. } => {
            Severity::Info
        }
    }
}

fn event_severity(kind: &EventKind) -> Severity {
    match kind {
        EventKind::Violated { .. }
        | EventKind::PeerLostData { .. }
        | EventKind::Quarantined
        | EventKind::Started { quarantined: true, .. }
        | EventKind::Ignored { why: IgnoredWhy::Corrupt, .. } => Severity::Error,
        EventKind::SteppedDown { .. }
        | EventKind::Truncated { .. }
        | EventKind::ElectionTimeout { .. }
        | EventKind::Ignored { why: IgnoredWhy::Malformed | IgnoredWhy::NotAMember, .. } => Severity::Warn,
        EventKind::BecameCandidate
        | EventKind::BecameLeader
        | EventKind::SnapshotInstalled { .. }
        | EventKind::PeerMode { mode: Mode::Snapshot, .. }
        | EventKind::QuarantineLeft => Severity::Notice,
        _ => Severity::Info,
    }
}

/// A sentence for people, without time; `None` for what only a dense listing shows.
#[must_use]
pub fn sentence(happened: &Happened) -> Option<String> {
    match &happened.what {
        What::Node { node, event } => event_sentence(*node, event),
        What::Life { node, life } => match life {
            // The protocol's own `Started` says more.
            Life::Starting | Life::Running => None,
            Life::Paused => Some(format!("{node} is paused: its process stands still, its timers will fire late")),
            Life::Unreachable { why, .. } => {
                Some(format!("nothing is heard of {node}, whether it runs is not known: {}", safe(why)))
            }
            Life::Crashed { .. } => Some(format!("{node} crashed: what it had not synced to its disk is lost")),
            Life::Halted { why } => Some(format!("{node} halts: {}", safe(why))),
        },
        What::Note { node, note } => Some(format!("{node}: {}", safe(note))),
        What::Applied { node, index, command, .. } => Some(format!("{node} applies entry {index}: {}", quote(command))),
        What::Faults { what } => Some(format!("by the operator: {}", safe(what))),
        What::Clock { what } => Some(safe(what)),
        What::Dropped { from, to, kind, count } => match kind {
            MessageKind::RequestVote
            | MessageKind::RequestVoteReply
            | MessageKind::InstallSnapshot
            | MessageKind::InstallSnapshotReply => {
                Some(format!("a fault on {from}>{to} swallowed {count} {kind}: {to} does not know that it was sent"))
            }
            // Under a cut these are lost many times a second, and each election timeout.
            MessageKind::PreVote
            | MessageKind::PreVoteReply
            | MessageKind::Heartbeat
            | MessageKind::AppendEntries
            | MessageKind::AppendEntriesReply
            | MessageKind::ReadIndex
            | MessageKind::ReadIndexReply => None,
        },
    }
}

/// Whether people are told of an event.
#[must_use]
pub fn is_told(node: NodeId, event: &Event) -> bool {
    event_sentence(node, event).is_some()
}

/// What a node does again and again while it finds no leader, and changes nothing by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vain {
    /// Its election timeout is over.
    TimesOut,
    /// It asks for pre-votes.
    Asks,
    /// It refuses this node its pre-vote.
    Refuses(NodeId),
    /// It got too few.
    GivesUp,
}

/// Who does so in which term, where this is such a thing: many of them in a row may be told as one.
#[must_use]
pub fn in_vain(happened: &Happened) -> Option<(NodeId, Term, Vain)> {
    let What::Node { node, event } = &happened.what else { return None };
    let vain = match &event.kind {
        EventKind::ElectionTimeout { .. } => Vain::TimesOut,
        EventKind::BecamePreCandidate { .. } => Vain::Asks,
        EventKind::VoteRefused { candidate, pre: true, .. } => Vain::Refuses(*candidate),
        EventKind::BecameFollower { leader: None } if is_pre_vote_reply(event.cause) => Vain::GivesUp,
        _ => return None,
    };
    Some((*node, event.term, vain))
}

/// A sentence for a node that takes part again without having been started anew: nothing else tells of it.
#[must_use]
pub fn returned(node: NodeId, before: &Life, now: &Life) -> Option<String> {
    match (before, now) {
        (Life::Unreachable { .. }, Life::Running) => Some(format!("{node} is heard again")),
        (Life::Paused, Life::Running) => Some(format!("{node} goes on where it stood")),
        _ => None,
    }
}

/// What an operation came to, in words: one line, of any length.
#[must_use]
pub fn answer(answer: &Answer) -> String {
    match answer {
        Answer::Done(text) => safe(text),
        Answer::Applied { index, term, reply, took_us } => {
            let reply = kv::describe_reply(reply);
            format!("{reply} (entry {index} of term {term}, after {})", took(*took_us))
        }
        Answer::Value { index, node, reply, took_us } => {
            let reply = kv::describe_reply(reply);
            format!("{reply} (read from {node} at entry {index}, after {})", took(*took_us))
        }
        Answer::NotApplied { why } => format!("not applied: {}", safe(why)),
        Answer::Unknown { why } => format!("unknown, it may be applied later or never: {}", safe(why)),
        Answer::Status(view) => {
            let who = match view.leader() {
                Some(leader) => format!("{} leads term {}", leader.id, leader.term),
                None => "nobody leads".into(),
            };
            let writes = match &view.writes {
                WritesStand::Available => "writes go through".into(),
                WritesStand::Stalled { why } => format!("writes wait: {}", safe(why)),
            };
            format!("{who}, {} of {} nodes run, {writes}", view.running(), view.nodes.len())
        }
        Answer::Refused { why } => format!("refused: {}", safe(why)),
        Answer::TimedOut { why } => format!("timed out: {}", safe(why)),
    }
}

/// Cluster time that something took.
fn took(us: u64) -> String {
    if us < 10_000 { format!("{:.1} ms", us as f64 / 1_000.0) } else { format!("{} ms", us / 1_000) }
}

/// `text`, if it can be shown as it is: what the machine or a store described has been escaped already, and twice would
/// not be what was written.
#[must_use]
pub fn safe(text: &str) -> String {
    if is_safe(text) { text.to_owned() } else { sanitize_str(text) }
}

/// What a client wrote, on one line, of a bearable length.
fn quote(text: &str) -> String {
    let safe = safe(text);
    let shown = clip(&safe, QUOTE_MAX);
    if shown == safe { safe } else { format!("{shown} ({} bytes)", text.len()) }
}

fn event_sentence(node: NodeId, event: &Event) -> Option<String> {
    let term = event.term;
    Some(match &event.kind {
        EventKind::Started { epoch, last, snapshot, quarantined } => {
            let log = match (last.index.0, snapshot.0) {
                (0, _) => "an empty log".to_owned(),
                (_, 0) => format!("a log up to entry {} of term {}", last.index, last.term),
                _ => format!("a log up to entry {} of term {}, a snapshot up to {snapshot}", last.index, last.term),
            };
            let life = if epoch.0 > 1 { format!(", life {epoch},") } else { String::new() };
            let doubt = if *quarantined { "; that may be less than it promised" } else { "" };
            format!("{node} starts{life} in term {term} with {log}{doubt}")
        }
        EventKind::ElectionTimeout { waited_ticks } => {
            format!("{node} heard no leader for {} ms: its election timeout is over (§5.2)", waited_ticks * TICK_MS)
        }
        EventKind::BecamePreCandidate { campaign_term } => {
            format!("{node} asks whether it could win term {campaign_term}, before it disturbs anybody (pre-vote, thesis 9.6)")
        }
        EventKind::BecameCandidate => format!("{node} stands for election in term {term} and asks for votes (§5.2)"),
        EventKind::VoteCounted { from, granted: true, pre: false, have, need } => {
            format!("{node} has {have} of the {need} votes it needs for term {term}: {}", voter(node, *from))
        }
        EventKind::BecameLeader => format!("{node} leads term {term}: a majority voted for it (§5.2)"),
        EventKind::BecameFollower { leader: Some(leader) } => format!("{node} follows {leader} in term {term}"),
        // The vote, or its refusal, is told next.
        EventKind::BecameFollower { leader: None } if asked_for_a_vote(event.cause) => return None,
        EventKind::BecameFollower { leader: None } => format!("{node} is in term {term} and waits for a leader (§5.1)"),
        EventKind::SteppedDown { why } => stepped_down(node, event, *why),
        EventKind::Voted { candidate } => {
            format!("{node} votes for {} in term {term} (§5.2)", self_or(node, *candidate))
        }
        // Who asks too late learns the newer term; that it was elected without him is told anyway.
        EventKind::VoteRefused { pre, why: Refusal::OldTerm, .. } if *pre => return None,
        EventKind::VoteRefused { candidate, pre, why } => refused(node, event, *candidate, *pre, *why),
        EventKind::Truncated { from, to } if from == to => {
            format!("{node} removes entry {from}, which conflicts with its leader's log (§5.3)")
        }
        EventKind::Truncated { from, to } => {
            format!("{node} removes entries {from}..{to}, which conflict with its leader's log (§5.3)")
        }
        // A follower learns from its leader what is committed; the leader's own decision is the news.
        EventKind::Committed { .. } if follows(event.cause) => return None,
        EventKind::Committed { index } => {
            format!("{node} commits up to entry {index}: a majority holds it on disk (§5.3)")
        }
        EventKind::PeerRejected { peer, next } => {
            format!("{node} learns that {peer}'s log differs from its own, and tries again from entry {next} (§5.3)")
        }
        EventKind::PeerMode { peer, mode: Mode::Snapshot } => {
            format!("{node} sends {peer} a snapshot: the entries that {peer} misses are gone from its log (§7)")
        }
        EventKind::PeerRestarted { peer, epoch } => {
            format!("{node} sees that {peer} has started again (life {epoch}) and asks anew how far its log reaches")
        }
        EventKind::PeerLostData { peer, had, has } => {
            format!("{peer} has lost entries that it had acknowledged to {node}: it had {had} and has {has}")
        }
        EventKind::SnapshotTaken { last, size_bytes } => {
            format!("{node} has written a snapshot of its state at entry {} ({}, §7)", last.index, bytes(*size_bytes))
        }
        EventKind::SnapshotReceived { last } => {
            format!("{node} has received the whole snapshot up to entry {} and writes it to its disk (§7)", last.index)
        }
        EventKind::SnapshotInstalled { last } => {
            format!("{node} has replaced its log and its state by the snapshot up to entry {} (§7)", last.index)
        }
        EventKind::Compacted { first } => {
            format!("{node} keeps its log from entry {first} on: the snapshot covers what was before (§7)")
        }
        EventKind::Quarantined => {
            format!("{node} does not trust its own log: it neither votes nor counts until a leader has made it whole")
        }
        EventKind::QuarantineLeft => format!("{node} is whole again: it votes and counts as before"),
        EventKind::Ignored { from, message, why: IgnoredWhy::NotAMember } => {
            format!("{node} ignores {message} of {from}, which is no member")
        }
        EventKind::Ignored { from, message, why: IgnoredWhy::Malformed } => {
            format!("{node} ignores {message} of {from}: it cannot be right")
        }
        EventKind::Ignored { from, message, why: IgnoredWhy::Corrupt } => {
            format!("{node} ignores {message} of {from}: its bytes do not have the checksum that was promised")
        }
        EventKind::Violated { evidence } => {
            format!("{node} stops: a rule of Raft was broken: {}", safe(evidence))
        }
        // The voter tells why it refuses; a pre-vote is told by who asks for it, and by who wins.
        EventKind::VoteCounted { .. }
        | EventKind::PreVoteGranted { .. }
        // The protocol's every-day work.
        | EventKind::Appended { .. }
        | EventKind::Durable { .. }
        | EventKind::Applied { .. }
        | EventKind::PeerMode { mode: Mode::Probe | Mode::Replicate, .. }
        | EventKind::Ignored {
            why: IgnoredWhy::OldTerm | IgnoredWhy::OldEpoch | IgnoredWhy::LateAnswer | IgnoredWhy::NotForMe,
            ..
        } => return None,
    })
}

fn self_or(node: NodeId, other: NodeId) -> String {
    if node == other { "itself".into() } else { other.to_string() }
}

fn voter(node: NodeId, from: NodeId) -> String {
    if node == from { "its own".into() } else { format!("{from} said yes") }
}

const fn follows(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Message { kind: MessageKind::Heartbeat | MessageKind::AppendEntries | MessageKind::InstallSnapshot, .. }
            | Cause::Boot
            | Cause::Machine
    )
}

const fn is_pre_vote_reply(cause: Cause) -> bool {
    matches!(cause, Cause::Message { kind: MessageKind::PreVoteReply, .. })
}

const fn asked_for_a_vote(cause: Cause) -> bool {
    matches!(cause, Cause::Message { kind: MessageKind::RequestVote, .. })
}

fn stepped_down(node: NodeId, event: &Event, why: StepDown) -> String {
    let term = event.term;
    match why {
        StepDown::HigherTerm => format!("{node} steps down: the newer term {term} has begun (§5.1)"),
        StepDown::LostQuorum => {
            format!("{node} steps down: a majority did not answer for an election timeout (thesis 6.2)")
        }
        StepDown::DiskStalled => {
            format!("{node} steps down: its disk does not answer while a majority without it goes on")
        }
        StepDown::LeaderSpoke => {
            let leader = match event.cause {
                Cause::Message { from, .. } => from.to_string(),
                Cause::Boot | Cause::Tick | Cause::Client(_) | Cause::Disk { .. } | Cause::Machine => "another".into(),
            };
            format!("{node} gives up its election: {leader} leads term {term} (§5.2)")
        }
    }
}

fn refused(node: NodeId, event: &Event, candidate: NodeId, pre: bool, why: Refusal) -> String {
    let term = event.term;
    let reason = match why {
        Refusal::OldTerm => format!("the request is from a term before {term} (§5.1)"),
        Refusal::AlreadyVoted(other) => format!("it has voted for {} in term {term} (§5.2)", self_or(node, other)),
        Refusal::LogBehind => "its own log is newer (§5.4.1)".into(),
        Refusal::HearsLeader(leader) if leader == node => "it leads itself (thesis 4.2.3)".into(),
        Refusal::HearsLeader(leader) => format!("it hears its leader {leader} (thesis 4.2.3)"),
        Refusal::Quarantined => "it may have lost part of its own log".into(),
    };
    let what = if pre { "pre-vote" } else { "vote" };
    format!("{node} refuses {candidate} its {what}: {reason}")
}

fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}
