//! Bytes and values: what is encoded comes back, and what is damaged is refused without a panic and without taking more
//! memory than the bytes justify.

use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::codec::{LIMIT_BYTES, decode, encode};
use raft_tui::raft::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply, SnapshotOutcome,
};
use raft_tui::raft::{
    Configuration, Digest, Entry, EntryKind, Envelope, Epoch, Event, HardState, Index, LogPosition, Message, NodeId,
    SnapshotMeta, Status, Term, Ticket,
};

fn position() -> impl Strategy<Value = LogPosition> {
    (any::<u64>(), any::<u64>()).prop_map(|(index, term)| LogPosition::new(index, term))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from)
}

fn entry() -> BoxedStrategy<Entry> {
    (position(), any::<bool>(), any::<u64>(), bytes(), any::<u128>())
        .prop_map(|(position, command, proposed_at_us, bytes, chain)| Entry {
            term: position.term,
            index: position.index,
            kind: if command { EntryKind::Command } else { EntryKind::NoOp },
            proposed_at_us,
            command: bytes,
            chain: Digest(chain),
        })
        .boxed()
}

fn meta() -> BoxedStrategy<SnapshotMeta> {
    let voters = prop::collection::vec(any::<u64>(), 1..6);
    (position(), voters, any::<[u64; 2]>(), any::<[u128; 3]>())
        .prop_map(|(last, voters, [proposed_at_us, size_bytes], [chain, digest, checksum])| SnapshotMeta {
            last,
            chain: Digest(chain),
            configuration: Configuration::new(voters.into_iter().map(NodeId)),
            proposed_at_us,
            digest: Digest(digest),
            size_bytes,
            checksum: Digest(checksum),
        })
        .boxed()
}

fn append() -> BoxedStrategy<Message> {
    let chain = prop::option::of(any::<u128>().prop_map(Digest));
    let applied = prop::option::of((any::<u64>().prop_map(Index), any::<u128>().prop_map(Digest)));
    (position(), chain, prop::collection::vec(entry(), 0..4), any::<[u64; 4]>(), applied)
        .prop_map(|(prev, prev_chain, entries, [commit, stream, round, epoch], applied)| {
            let (commit, your_epoch) = (Index(commit), Epoch(epoch));
            Message::AppendEntries(AppendEntries {
                prev,
                prev_chain,
                entries,
                commit,
                stream,
                round,
                your_epoch,
                applied,
            })
        })
        .boxed()
}

fn message() -> BoxedStrategy<Message> {
    let outcome = prop_oneof![
        any::<u64>().prop_map(|index| AppendOutcome::Accepted { match_index: Index(index) }),
        (any::<u64>(), position()).prop_map(|(prev, hint)| AppendOutcome::Rejected { prev: Index(prev), hint }),
        Just(AppendOutcome::NotLooked),
    ];
    let progress = prop_oneof![
        any::<u64>().prop_map(|next_offset| SnapshotOutcome::Continue { next_offset }),
        Just(SnapshotOutcome::Installing),
        any::<u64>().prop_map(|index| SnapshotOutcome::Installed { match_index: Index(index) }),
    ];
    prop_oneof![
        position().prop_map(|last| Message::PreVote { last }),
        (any::<u64>(), any::<bool>())
            .prop_map(|(term, granted)| Message::PreVoteReply { campaign_term: Term(term), granted }),
        position().prop_map(|last| Message::RequestVote { last }),
        any::<bool>().prop_map(|granted| Message::RequestVoteReply { granted }),
        append(),
        (any::<[u64; 2]>(), any::<bool>(), outcome).prop_map(|([stream, round], counted, outcome)| {
            Message::AppendEntriesReply(AppendEntriesReply { stream, round, counted, outcome })
        }),
        (meta(), bytes(), any::<[u64; 4]>()).prop_map(|(meta, chunk, [offset, stream, round, epoch])| {
            let your_epoch = Epoch(epoch);
            Message::InstallSnapshot(InstallSnapshot { meta, offset, chunk, stream, round, your_epoch })
        }),
        (position(), any::<[u64; 2]>(), any::<bool>(), progress).prop_map(
            |(last, [stream, round], counted, outcome)| {
                Message::InstallSnapshotReply(InstallSnapshotReply { last, stream, round, counted, outcome })
            }
        ),
        any::<u64>().prop_map(|ticket| Message::ReadIndex { ticket: Ticket(ticket) }),
        any::<[u64; 3]>().prop_map(|[ticket, epoch, index]| Message::ReadIndexReply {
            ticket: Ticket(ticket),
            your_epoch: Epoch(epoch),
            index: Index(index),
        }),
    ]
    .boxed()
}

fn envelope() -> BoxedStrategy<Envelope> {
    (any::<[u64; 5]>(), message())
        .prop_map(|([from, to, epoch, number, term], message)| Envelope {
            from: NodeId(from),
            to: NodeId(to),
            epoch: Epoch(epoch),
            number,
            term: Term(term),
            message,
        })
        .boxed()
}

/// What any bytes are, read as each type that is ever read: an error or a value, and never a panic.
fn read_as_everything(bytes: &[u8]) {
    if let Ok(value) = decode::<Envelope>(bytes) {
        let again = encode(&value).expect("it was encoded");
        assert_eq!(decode::<Envelope>(&again).expect("it was just encoded"), value);
    }
    let _ = decode::<Vec<Envelope>>(bytes);
    let _ = decode::<Entry>(bytes);
    let _ = decode::<Vec<Entry>>(bytes);
    let _ = decode::<SnapshotMeta>(bytes);
    let _ = decode::<HardState>(bytes);
    let _ = decode::<Event>(bytes);
    let _ = decode::<Status>(bytes);
    let _ = decode::<String>(bytes);
    let _ = decode::<Bytes>(bytes);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_message_comes_back(envelope in envelope()) {
        let bytes = encode(&envelope).expect("it is small");
        prop_assert_eq!(decode::<Envelope>(&bytes).expect("it was encoded"), envelope);
    }

    #[test]
    fn records_come_back(entry in entry(), meta in meta(), vote in prop::option::of(any::<u64>()), term in any::<u64>()) {
        let hard_state = HardState { current_term: Term(term), voted_for: vote.map(NodeId) };
        prop_assert_eq!(decode::<HardState>(&encode(&hard_state).expect("small")).expect("encoded"), hard_state);
        prop_assert_eq!(decode::<Entry>(&encode(&entry).expect("small")).expect("encoded"), entry);
        prop_assert_eq!(decode::<SnapshotMeta>(&encode(&meta).expect("small")).expect("encoded"), meta);
    }

    #[test]
    fn a_byte_more_and_every_byte_less_is_refused(envelope in envelope(), more in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = encode(&envelope).expect("it is small");
        let cut = cut.index(bytes.len());
        prop_assert!(decode::<Envelope>(&bytes[..cut]).is_err());
        bytes.push(more);
        prop_assert!(decode::<Envelope>(&bytes).is_err());
    }

    #[test]
    fn flipped_bits_and_any_bytes_are_an_error_or_a_value(
        envelope in envelope(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..6),
        any in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut bytes = encode(&envelope).expect("it is small");
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        read_as_everything(&bytes);
        read_as_everything(&any);
    }
}

#[test]
fn a_value_beyond_the_limit_is_not_even_encoded() {
    let large = Bytes::from(vec![7; LIMIT_BYTES as usize]);
    assert!(encode(&large).is_err());
    let just = Bytes::from(vec![7; LIMIT_BYTES as usize - 9]);
    let bytes = encode(&just).expect("it is within the limit");
    assert_eq!(decode::<Bytes>(&bytes).expect("it was encoded"), just);
}

/// Nobody is no configuration, and members are in order, wherever they come from.
#[test]
fn members_that_arrive_are_made_a_configuration_or_refused() {
    let read = |voters: &[u64]| decode::<Configuration>(&encode(&voters.to_vec()).expect("small"));
    for voters in [&[1, 2, 5][..], &[5, 1, 2], &[1, 2, 2, 5]] {
        assert_eq!(read(voters).expect("three members"), Configuration::new([NodeId(2), NodeId(1), NodeId(5)]));
    }
    assert!(read(&[]).is_err());
}
