//! What may happen to the core: everything that anybody could say, and now and then what an honest peer would.

use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::raft::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply, SnapshotOutcome,
};
use raft_tui::raft::{
    Configuration, Digest, Entry, EntryKind, Envelope, Epoch, Index, LogPosition, Message, NodeId, SnapshotMeta, Term,
    Ticket,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::parts::log_of;

/// Logs that other nodes could have; equal prefixes are equal histories.
pub(super) const SHAPES: [&[u64]; 4] =
    [&[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 8, 8], &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3], &[1, 1, 4, 4, 4, 7, 7], &[2, 2, 2, 9]];

/// What happens to the core.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Ticks(u64),
    /// The disk answers so many of the writes that wait.
    Sync(usize),
    /// The machine answers.
    Apply,
    /// A snapshot that was asked for is in its file.
    SnapshotTaken,
    Propose(usize),
    Read,
    /// A message; its term counts from the one of the core, unless there is none to add.
    Receive(Box<Envelope>, Option<u64>),
    /// A peer answers one of the last messages of the core: as it should (0), the other way, or not quite.
    Answer(usize, u8),
    /// Somebody who leads the last term of a log sends the rest of it, and commits it.
    Lead(usize, usize, u64),
    /// A leader sends a whole snapshot.
    Snapshot(Box<SnapshotMeta>, u64),
    /// The last message again.
    Again,
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        20 => 0..14_u64,
        1 => Just(u64::MAX),
        1 => Just(u64::MAX - 1),
        1 => Just(1 << 62),
        1 => any::<u64>(),
    ]
}

fn small() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 0..10_u64, 1 => number()]
}

fn position() -> impl Strategy<Value = LogPosition> {
    prop_oneof![
        4 => (0..SHAPES.len(), 0..13_usize).prop_map(|(shape, index)| {
            let index = index.min(SHAPES[shape].len());
            index.checked_sub(1).map_or(LogPosition::ZERO, |last| LogPosition::new(index as u64, SHAPES[shape][last]))
        }),
        1 => (number(), number()).prop_map(|(index, term)| LogPosition::new(index, term)),
    ]
}

fn digest() -> impl Strategy<Value = Digest> {
    prop_oneof![Just(Digest::default()), any::<u128>().prop_map(Digest)]
}

/// Part of a log that somebody could have, and sometimes that nobody could have.
fn append() -> BoxedStrategy<AppendEntries> {
    let twist = prop_oneof![10 => Just(0_u8), 1 => 1..8_u8];
    let log = (0..SHAPES.len(), 0..12_usize, 0..6_usize, twist, position());
    let rest = (small(), 0..4_u64, 0..6_u64, 0..3_u64, prop::option::weighted(0.1, (number(), digest())));
    (log, rest)
        .prop_map(|((shape, prev, count, twist, odd), (commit, stream, round, your_epoch, applied))| {
            let log = log_of(SHAPES[shape]).entries;
            let prev = prev.min(log.len());
            let before = prev.checked_sub(1).map(|last| &log[last]);
            let mut append = AppendEntries {
                prev: before.map_or(LogPosition::ZERO, Entry::position),
                prev_chain: Some(before.map(|entry| entry.chain).unwrap_or_default()),
                entries: log[prev..log.len().min(prev + count)].to_vec(),
                commit: Index(commit),
                stream,
                round,
                your_epoch: Epoch(your_epoch),
                applied: applied.map(|(index, digest)| (Index(index), digest)),
            };
            let last = append.entries.len().saturating_sub(1);
            match (twist, append.entries.get_mut(last)) {
                (1, _) => append.prev = odd,
                (2, _) => append.prev_chain = Some(Digest(7)),
                (3, _) => append.prev_chain = None,
                (4, Some(entry)) => entry.chain = Digest(9),
                (5, Some(entry)) => entry.command = Bytes::from_static(b"rot"),
                (6, Some(entry)) => (entry.index, entry.term) = (odd.index, odd.term),
                (7, Some(_)) => {
                    // Well chained, and of another history.
                    let before = last.checked_sub(1).map(|place| append.entries[place].chain);
                    let before = before.or(append.prev_chain).unwrap_or_default();
                    let position = append.entries[last].position();
                    append.entries[last] = Entry::chained(before, position, EntryKind::NoOp, 5, Bytes::new());
                }
                _ => {}
            }
            append
        })
        .boxed()
}

pub(super) fn body_of(last: LogPosition) -> Bytes {
    Bytes::from(format!("the state at {last}"))
}

fn snapshot_meta() -> BoxedStrategy<SnapshotMeta> {
    (position(), digest(), any::<bool>(), number(), prop::collection::vec(1..6_u64, 1..4))
        .prop_map(|(last, chain, whole, size_bytes, voters)| {
            let body = body_of(last);
            SnapshotMeta {
                last,
                chain,
                configuration: if whole {
                    Configuration::first(3)
                } else {
                    Configuration::new(voters.into_iter().map(NodeId))
                },
                proposed_at_us: size_bytes,
                digest: Digest(xxh3_128(&body)),
                size_bytes: if whole { body.len() as u64 } else { size_bytes },
                checksum: Digest(xxh3_128(&body)),
            }
        })
        .boxed()
}

fn message() -> BoxedStrategy<Message> {
    let outcome = prop_oneof![
        small().prop_map(|index| AppendOutcome::Accepted { match_index: Index(index) }),
        (small(), position()).prop_map(|(prev, hint)| AppendOutcome::Rejected { prev: Index(prev), hint }),
        Just(AppendOutcome::NotLooked),
    ];
    let progress = prop_oneof![
        number().prop_map(|next_offset| SnapshotOutcome::Continue { next_offset }),
        Just(SnapshotOutcome::Installing),
        small().prop_map(|index| SnapshotOutcome::Installed { match_index: Index(index) }),
    ];
    prop_oneof![
        1 => position().prop_map(|last| Message::PreVote { last }),
        2 => (number(), any::<bool>())
            .prop_map(|(term, granted)| Message::PreVoteReply { campaign_term: Term(term), granted }),
        2 => position().prop_map(|last| Message::RequestVote { last }),
        3 => any::<bool>().prop_map(|granted| Message::RequestVoteReply { granted }),
        6 => append().prop_map(Message::AppendEntries),
        3 => (0..6_u64, small(), any::<bool>(), outcome).prop_map(|(stream, round, counted, outcome)| {
            Message::AppendEntriesReply(AppendEntriesReply { stream, round, counted, outcome })
        }),
        2 => (snapshot_meta(), 0..3_usize, number(), 0..4_u64).prop_map(|(meta, part, odd, stream)| {
            let body = body_of(meta.last);
            let half = body.len() / 2;
            let (offset, chunk) = match part {
                0 => (0, body.slice(..half)),
                1 => (half as u64, body.slice(half..)),
                _ => (odd, body.slice(..odd.min(3) as usize)),
            };
            Message::InstallSnapshot(InstallSnapshot { meta, offset, chunk, stream, round: odd, your_epoch: Epoch(1) })
        }),
        1 => (position(), 0..4_u64, small(), any::<bool>(), progress).prop_map(|(last, stream, round, counted, outcome)| {
            Message::InstallSnapshotReply(InstallSnapshotReply { last, stream, round, counted, outcome })
        }),
        1 => number().prop_map(|ticket| Message::ReadIndex { ticket: Ticket(ticket) }),
        1 => (0..6_u64, 0..3_u64, number()).prop_map(|(ticket, your_epoch, index)| Message::ReadIndexReply {
            ticket: Ticket(ticket),
            your_epoch: Epoch(your_epoch),
            index: Index(index),
        }),
    ]
    .boxed()
}

/// What a peer says to a message of the core.
pub(super) fn answer_to(asked: &Envelope, how: u8) -> Option<Message> {
    let granted = how == 0;
    Some(match &asked.message {
        Message::PreVote { .. } => Message::PreVoteReply { campaign_term: asked.term, granted },
        Message::RequestVote { .. } => Message::RequestVoteReply { granted },
        Message::AppendEntries(append) => {
            let verified = append.prev.index.0 + append.entries.len() as u64;
            let outcome = match how {
                0 => AppendOutcome::Accepted { match_index: Index(verified) },
                1 => AppendOutcome::Rejected { prev: append.prev.index, hint: LogPosition::ZERO },
                2 => AppendOutcome::Rejected { prev: append.prev.index, hint: LogPosition::new(2, 1) },
                _ => AppendOutcome::Accepted { match_index: Index(verified / 2) },
            };
            let (stream, round) = (append.stream, append.round);
            Message::AppendEntriesReply(AppendEntriesReply { stream, round, counted: how != 3, outcome })
        }
        Message::InstallSnapshot(piece) => {
            let next_offset = piece.offset + piece.chunk.len() as u64;
            let outcome = match how {
                0 if next_offset >= piece.meta.size_bytes => {
                    SnapshotOutcome::Installed { match_index: piece.meta.last.index }
                }
                0 => SnapshotOutcome::Continue { next_offset },
                1 => SnapshotOutcome::Continue { next_offset: 0 },
                _ => SnapshotOutcome::Installing,
            };
            let (last, stream, round) = (piece.meta.last, piece.stream, piece.round);
            Message::InstallSnapshotReply(InstallSnapshotReply { last, stream, round, counted: true, outcome })
        }
        Message::ReadIndex { ticket } => {
            Message::ReadIndexReply { ticket: *ticket, your_epoch: Epoch(1), index: Index(u64::from(how)) }
        }
        Message::PreVoteReply { .. }
        | Message::RequestVoteReply { .. }
        | Message::AppendEntriesReply(_)
        | Message::InstallSnapshotReply(_)
        | Message::ReadIndexReply { .. } => return None,
    })
}

fn envelope() -> BoxedStrategy<Envelope> {
    let from = prop_oneof![20 => 2..4_u64, 1 => Just(1), 1 => Just(9)];
    let to = prop_oneof![30 => Just(1_u64), 1 => Just(2)];
    let epoch = prop_oneof![20 => Just(1_u64), 1 => number()];
    (from, to, epoch, number(), small(), message())
        .prop_map(|(from, to, epoch, number, term, message)| Envelope {
            from: NodeId(from),
            to: NodeId(to),
            epoch: Epoch(epoch),
            number,
            term: Term(term),
            message,
        })
        .boxed()
}

pub(super) fn action() -> BoxedStrategy<Action> {
    prop_oneof![
        3 => (1..40_u64).prop_map(Action::Ticks),
        5 => (1..4_usize).prop_map(Action::Sync),
        3 => Just(Action::Apply),
        1 => Just(Action::SnapshotTaken),
        2 => (0..40_usize).prop_map(Action::Propose),
        1 => Just(Action::Read),
        14 => (envelope(), prop::option::weighted(0.6, prop_oneof![4 => Just(0_u64), 1 => Just(1)]))
            .prop_map(|(envelope, above)| Action::Receive(Box::new(envelope), above)),
        12 => (0..6_usize, prop_oneof![6 => Just(0_u8), 1 => 1..4_u8]).prop_map(|(which, how)| Action::Answer(which, how)),
        2 => (0..SHAPES.len(), 0..8_usize, 2..4_u64).prop_map(|(shape, prev, from)| Action::Lead(shape, prev, from)),
        1 => (snapshot_meta(), 0..2_u64).prop_map(|(meta, above)| Action::Snapshot(Box::new(meta), above)),
        1 => Just(Action::Again),
    ]
    .boxed()
}
