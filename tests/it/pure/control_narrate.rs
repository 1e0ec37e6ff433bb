use raft_tui::control::narrate::{Severity, sentence, severity};
use raft_tui::control::{Happened, Life, What};
use raft_tui::raft::event::{IgnoredWhy, Mode, Refusal, StepDown};
use raft_tui::raft::{Cause, Epoch, Event, EventKind, Index, LogPosition, MessageKind, NodeId, Term, Ticket};

use Severity::{Error, Info, Notice, Warn};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn happened(what: What) -> Happened {
    Happened { number: 1, at_us: 0, what }
}

/// In n1, in term 8.
fn event(cause: Cause, kind: EventKind) -> Happened {
    happened(What::Node { node: N1, event: Event { term: Term(8), cause, kind } })
}

fn message(kind: MessageKind) -> Cause {
    Cause::Message { from: N3, number: 5, kind }
}

fn check(table: Vec<(EventKind, Severity, &str)>) {
    for (kind, expected, text) in table {
        let happened = event(Cause::Tick, kind);
        assert_eq!(sentence(&happened).unwrap_or_default(), text);
        assert_eq!(severity(&happened), expected, "{text}");
    }
}

#[test]
fn an_election_in_words() {
    check(vec![
        (
            EventKind::Started { epoch: Epoch(1), last: LogPosition::ZERO, snapshot: Index(0), quarantined: false },
            Info,
            "n1 starts in term 8 with an empty log",
        ),
        (
            EventKind::Started {
                epoch: Epoch(2),
                last: LogPosition::new(9, 7),
                snapshot: Index(0),
                quarantined: false,
            },
            Info,
            "n1 starts, life 2, in term 8 with a log up to entry 9 of term 7",
        ),
        (
            EventKind::Started { epoch: Epoch(3), last: LogPosition::new(9, 7), snapshot: Index(6), quarantined: true },
            Error,
            "n1 starts, life 3, in term 8 with a log up to entry 9 of term 7, a snapshot up to 6; that may be less than it promised",
        ),
        (
            EventKind::ElectionTimeout { waited_ticks: 23 },
            Warn,
            "n1 heard no leader for 230 ms: its election timeout is over (§5.2)",
        ),
        (
            EventKind::BecamePreCandidate { campaign_term: Term(9) },
            Info,
            "n1 asks whether it could win term 9, before it disturbs anybody (pre-vote, thesis 9.6)",
        ),
        (EventKind::PreVoteGranted { candidate: N2 }, Info, ""),
        (EventKind::BecameCandidate, Notice, "n1 stands for election in term 8 and asks for votes (§5.2)"),
        (EventKind::Voted { candidate: N1 }, Info, "n1 votes for itself in term 8 (§5.2)"),
        (EventKind::Voted { candidate: N2 }, Info, "n1 votes for n2 in term 8 (§5.2)"),
        (
            EventKind::VoteCounted { from: N1, granted: true, pre: false, have: 1, need: 3 },
            Info,
            "n1 has 1 of the 3 votes it needs for term 8: its own",
        ),
        (
            EventKind::VoteCounted { from: N3, granted: true, pre: false, have: 2, need: 3 },
            Info,
            "n1 has 2 of the 3 votes it needs for term 8: n3 said yes",
        ),
        (EventKind::VoteCounted { from: N3, granted: false, pre: false, have: 2, need: 3 }, Info, ""),
        (EventKind::VoteCounted { from: N3, granted: true, pre: true, have: 2, need: 3 }, Info, ""),
        (EventKind::BecameLeader, Notice, "n1 leads term 8: a majority voted for it (§5.2)"),
        (EventKind::BecameFollower { leader: Some(N3) }, Info, "n1 follows n3 in term 8"),
        (EventKind::BecameFollower { leader: None }, Info, "n1 is in term 8 and waits for a leader (§5.1)"),
    ]);
}

#[test]
fn why_somebody_steps_down_or_is_refused_in_words() {
    let refused = |pre, why| EventKind::VoteRefused { candidate: N2, pre, why };
    check(vec![
        (
            EventKind::SteppedDown { why: StepDown::HigherTerm },
            Warn,
            "n1 steps down: the newer term 8 has begun (§5.1)",
        ),
        (
            EventKind::SteppedDown { why: StepDown::LostQuorum },
            Warn,
            "n1 steps down: a majority did not answer for an election timeout (thesis 6.2)",
        ),
        (
            EventKind::SteppedDown { why: StepDown::DiskStalled },
            Warn,
            "n1 steps down: its disk does not answer while a majority without it goes on",
        ),
        (
            EventKind::SteppedDown { why: StepDown::LeaderSpoke },
            Warn,
            "n1 gives up its election: another leads term 8 (§5.2)",
        ),
        (refused(false, Refusal::OldTerm), Info, "n1 refuses n2 its vote: the request is from a term before 8 (§5.1)"),
        (
            refused(false, Refusal::AlreadyVoted(N3)),
            Info,
            "n1 refuses n2 its vote: it has voted for n3 in term 8 (§5.2)",
        ),
        (
            refused(false, Refusal::AlreadyVoted(N1)),
            Info,
            "n1 refuses n2 its vote: it has voted for itself in term 8 (§5.2)",
        ),
        (refused(true, Refusal::OldTerm), Info, ""),
        (refused(false, Refusal::LogBehind), Info, "n1 refuses n2 its vote: its own log is newer (§5.4.1)"),
        (
            refused(true, Refusal::HearsLeader(N3)),
            Info,
            "n1 refuses n2 its pre-vote: it hears its leader n3 (thesis 4.2.3)",
        ),
        (refused(true, Refusal::HearsLeader(N1)), Info, "n1 refuses n2 its pre-vote: it leads itself (thesis 4.2.3)"),
        (refused(false, Refusal::Quarantined), Info, "n1 refuses n2 its vote: it may have lost part of its own log"),
    ]);
    let asked = event(message(MessageKind::RequestVote), EventKind::BecameFollower { leader: None });
    assert_eq!(sentence(&asked), None, "its vote is told");
    let spoke = event(message(MessageKind::Heartbeat), EventKind::SteppedDown { why: StepDown::LeaderSpoke });
    assert_eq!(sentence(&spoke).unwrap(), "n1 gives up its election: n3 leads term 8 (§5.2)");
}

#[test]
fn replication_in_words() {
    check(vec![
        (EventKind::Appended { first: LogPosition::new(1, 8), last: LogPosition::new(2, 8) }, Info, ""),
        (
            EventKind::Truncated { from: Index(12), to: Index(14) },
            Warn,
            "n1 removes entries 12..14, which conflict with its leader's log (§5.3)",
        ),
        (
            EventKind::Truncated { from: Index(12), to: Index(12) },
            Warn,
            "n1 removes entry 12, which conflicts with its leader's log (§5.3)",
        ),
        (EventKind::Durable { index: Index(3) }, Info, ""),
        (
            EventKind::Committed { index: Index(17) },
            Info,
            "n1 commits up to entry 17: a majority holds it on disk (§5.3)",
        ),
        (EventKind::Applied { index: Index(17) }, Info, ""),
        (
            EventKind::PeerRejected { peer: N2, next: Index(4) },
            Info,
            "n1 learns that n2's log differs from its own, and tries again from entry 4 (§5.3)",
        ),
        (EventKind::PeerMode { peer: N2, mode: Mode::Probe }, Info, ""),
        (EventKind::PeerMode { peer: N2, mode: Mode::Replicate }, Info, ""),
        (
            EventKind::PeerMode { peer: N2, mode: Mode::Snapshot },
            Notice,
            "n1 sends n2 a snapshot: the entries that n2 misses are gone from its log (§7)",
        ),
        (
            EventKind::PeerRestarted { peer: N2, epoch: Epoch(4) },
            Info,
            "n1 sees that n2 has started again (life 4) and asks anew how far its log reaches",
        ),
        (
            EventKind::PeerLostData { peer: N2, had: Index(40), has: Index(12) },
            Error,
            "n2 has lost entries that it had acknowledged to n1: it had 40 and has 12",
        ),
        (
            EventKind::SnapshotTaken { last: LogPosition::new(50, 7), size_bytes: 900 },
            Info,
            "n1 has written a snapshot of its state at entry 50 (900 bytes, §7)",
        ),
        (
            EventKind::SnapshotTaken { last: LogPosition::new(50, 7), size_bytes: 12_800 },
            Info,
            "n1 has written a snapshot of its state at entry 50 (12.5 KiB, §7)",
        ),
        (
            EventKind::SnapshotTaken { last: LogPosition::new(50, 7), size_bytes: 3 << 20 },
            Info,
            "n1 has written a snapshot of its state at entry 50 (3.0 MiB, §7)",
        ),
        (
            EventKind::SnapshotReceived { last: LogPosition::new(50, 7) },
            Info,
            "n1 has received the whole snapshot up to entry 50 and writes it to its disk (§7)",
        ),
        (
            EventKind::SnapshotInstalled { last: LogPosition::new(50, 7) },
            Notice,
            "n1 has replaced its log and its state by the snapshot up to entry 50 (§7)",
        ),
        (
            EventKind::Compacted { first: Index(45) },
            Info,
            "n1 keeps its log from entry 45 on: the snapshot covers what was before (§7)",
        ),
    ]);
    for cause in [message(MessageKind::Heartbeat), message(MessageKind::AppendEntries)] {
        assert_eq!(sentence(&event(cause, EventKind::Committed { index: Index(17) })), None, "{cause}");
    }
    for cause in [message(MessageKind::AppendEntriesReply), Cause::Disk { number: 3 }, Cause::Client(Ticket(1))] {
        assert!(sentence(&event(cause, EventKind::Committed { index: Index(17) })).is_some(), "{cause}");
    }
}

#[test]
fn trouble_in_words() {
    let ignored = |why| EventKind::Ignored { from: N2, message: MessageKind::AppendEntries, why };
    check(vec![
        (
            EventKind::Quarantined,
            Error,
            "n1 does not trust its own log: it neither votes nor counts until a leader has made it whole",
        ),
        (EventKind::QuarantineLeft, Notice, "n1 is whole again: it votes and counts as before"),
        (ignored(IgnoredWhy::OldTerm), Info, ""),
        (ignored(IgnoredWhy::OldEpoch), Info, ""),
        (ignored(IgnoredWhy::LateAnswer), Info, ""),
        (ignored(IgnoredWhy::NotForMe), Info, ""),
        (ignored(IgnoredWhy::NotAMember), Warn, "n1 ignores AppendEntries of n2, which is no member"),
        (ignored(IgnoredWhy::Malformed), Warn, "n1 ignores AppendEntries of n2: it cannot be right"),
        (
            ignored(IgnoredWhy::Corrupt),
            Error,
            "n1 ignores AppendEntries of n2: its bytes do not have the checksum that was promised",
        ),
        (
            EventKind::Violated { evidence: "two leaders in term 8".into() },
            Error,
            "n1 stops: a rule of Raft was broken: two leaders in term 8",
        ),
    ]);
}

#[test]
fn the_cluster_in_words() {
    let dropped = |kind| What::Dropped { from: N3, to: N2, kind, count: 4 };
    let table = [
        (What::Life { node: N2, life: Life::Starting }, Info, ""),
        (What::Life { node: N2, life: Life::Running }, Info, ""),
        (
            What::Life { node: N2, life: Life::Crashed { at_us: 5 } },
            Warn,
            "n2 crashed: what it had not synced to its disk is lost",
        ),
        (What::Life { node: N2, life: Life::Halted { why: "no space left".into() } }, Error, "n2 halts: no space left"),
        (What::Note { node: N2, note: "a torn tail was cut".into() }, Warn, "n2: a torn tail was cut"),
        (
            What::Applied { node: N3, index: Index(17), after: Index::ZERO, command: "SET a 1".into() },
            Info,
            "n3 applies entry 17: SET a 1",
        ),
        (What::Faults { what: "isolate n3".into() }, Notice, "by the operator: isolate n3"),
        (What::Clock { what: "the clock stands still".into() }, Notice, "the clock stands still"),
        (dropped(MessageKind::Heartbeat), Info, ""),
        (
            dropped(MessageKind::RequestVoteReply),
            Info,
            "a fault on n3>n2 swallowed 4 RequestVoteReply: n2 does not know that it was sent",
        ),
    ];
    for (what, expected, text) in table {
        let happened = happened(what);
        assert_eq!(sentence(&happened).unwrap_or_default(), text);
        assert_eq!(severity(&happened), expected, "{text}");
    }
}

#[test]
fn nothing_reaches_a_sentence_unsanitized() {
    let nasty = "a\u{1b}]52;c;x\u{7}\r\nb\u{202e}\u{9b}".to_owned();
    for what in [
        What::Applied { node: N1, index: Index(1), after: Index::ZERO, command: nasty.clone() },
        What::Note { node: N1, note: nasty.clone() },
        What::Faults { what: nasty.clone() },
        What::Clock { what: nasty.clone() },
        What::Life { node: N1, life: Life::Halted { why: nasty.clone() } },
        What::Node {
            node: N1,
            event: Event { term: Term(1), cause: Cause::Tick, kind: EventKind::Violated { evidence: nasty.clone() } },
        },
    ] {
        let text = sentence(&happened(what)).unwrap();
        assert!(!text.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text:?}");
    }
}

#[test]
fn a_long_command_is_cut_and_says_how_long_it_was() {
    let what = What::Applied { node: N1, index: Index(1), after: Index::ZERO, command: "x".repeat(5_000) };
    let text = sentence(&happened(what)).unwrap();
    assert!(text.ends_with("xxx… (5000 bytes)"), "{text}");
    assert!(text.chars().count() < 160, "{text}");
}
