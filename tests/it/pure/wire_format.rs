//! The bytes of each kind of message, pinned: a change of these is a change of the wire, and needs a new version of it.
//!
//! `BLESS=1 cargo test --test it pure::wire_format` writes them anew; review the difference.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use raft_tui::codec::{decode, encode};
use raft_tui::raft::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply, SnapshotOutcome,
};
use raft_tui::raft::{
    Configuration, Digest, Entry, EntryKind, Envelope, Epoch, Index, LogPosition, Message, MessageKind, NodeId,
    SnapshotMeta, Term, Ticket,
};

/// One message of each kind and of each outcome, with numbers of all lengths that the encoding knows.
fn messages() -> Vec<(&'static str, Message)> {
    let last = LogPosition::new(300, 7);
    let entry = |index, kind, command: &'static [u8]| {
        let position = LogPosition::new(index, 7);
        Entry::chained(Digest(1), position, kind, 1_700_000_000_000_000, Bytes::from_static(command))
    };
    let append = |entries| AppendEntries {
        prev: last,
        prev_chain: Some(Digest(0x0102)),
        entries,
        commit: Index(299),
        stream: 2,
        round: 70_000,
        your_epoch: Epoch(3),
        applied: Some((Index(298), Digest(0x0304))),
    };
    let appended =
        |outcome| Message::AppendEntriesReply(AppendEntriesReply { stream: 2, round: 70_000, counted: true, outcome });
    let installed = |outcome| {
        Message::InstallSnapshotReply(InstallSnapshotReply { last, stream: 2, round: 1, counted: false, outcome })
    };
    let meta = SnapshotMeta {
        last,
        chain: Digest(5),
        configuration: Configuration::first(3),
        proposed_at_us: 1 << 40,
        digest: Digest(u128::MAX),
        size_bytes: 3,
        checksum: Digest(6),
    };
    let chunk = Bytes::from_static(b"abc");
    let piece = InstallSnapshot { meta, offset: 0, chunk, stream: 2, round: 1, your_epoch: Epoch(3) };
    let hint = LogPosition::new(250, 6);
    let (ticket, your_epoch) = (Ticket(17), Epoch(3));
    vec![
        ("pre_vote", Message::PreVote { last }),
        ("pre_vote_reply", Message::PreVoteReply { campaign_term: Term(8), granted: true }),
        ("request_vote", Message::RequestVote { last }),
        ("request_vote_reply", Message::RequestVoteReply { granted: false }),
        ("heartbeat", Message::AppendEntries(AppendEntries { prev_chain: None, applied: None, ..append(Vec::new()) })),
        (
            "append_entries",
            Message::AppendEntries(append(vec![
                entry(301, EntryKind::NoOp, b""),
                entry(302, EntryKind::Command, b"command"),
            ])),
        ),
        ("append_entries_reply_accepted", appended(AppendOutcome::Accepted { match_index: Index(302) })),
        ("append_entries_reply_rejected", appended(AppendOutcome::Rejected { prev: Index(300), hint })),
        ("append_entries_reply_not_looked", appended(AppendOutcome::NotLooked)),
        ("install_snapshot", Message::InstallSnapshot(piece)),
        ("install_snapshot_reply_continue", installed(SnapshotOutcome::Continue { next_offset: 1 << 33 })),
        ("install_snapshot_reply_installing", installed(SnapshotOutcome::Installing)),
        ("install_snapshot_reply_installed", installed(SnapshotOutcome::Installed { match_index: Index(300) })),
        ("read_index", Message::ReadIndex { ticket }),
        ("read_index_reply", Message::ReadIndexReply { ticket, your_epoch, index: Index(302) }),
    ]
}

#[test]
fn the_bytes_of_every_message_are_what_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire");
    let blessing = std::env::var_os("BLESS").is_some();
    let mut known = Vec::new();
    let mut kinds = Vec::new();
    for (name, message) in messages() {
        kinds.push(message.kind());
        let envelope =
            Envelope { from: NodeId(1), to: NodeId(2), epoch: Epoch(4), number: 1 << 20, term: Term(8), message };
        let bytes = encode(&envelope).expect("it is small");
        assert_eq!(decode::<Envelope>(&bytes).expect("it was encoded"), envelope);
        let mut text = format!("{envelope}\n");
        for line in bytes.chunks(16) {
            let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{}", digits.join(" ")).expect("it is text");
        }
        let path = folder.join(format!("{name}.txt"));
        if blessing {
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(&path, &text).expect("it can be written");
        }
        let before = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, before, "{name}: the wire has changed; if it is meant, it needs a new version (and BLESS=1)");
        known.push(format!("{name}.txt"));
    }
    assert!(MessageKind::ALL.iter().all(|kind| kinds.contains(kind)), "a kind of message is not pinned");
    for file in fs::read_dir(&folder).expect("a folder") {
        let name = file.expect("a file").file_name().into_string().expect("text");
        if name == "frames" {
            continue;
        }
        assert!(known.contains(&name), "{name} is of no message");
    }
}
