//! The checklist of `docs/checklist.md`, T-48 to T-50 (reads) and T-62 to T-68 (snapshots and compaction).

use raft_tui::raft::event::{EventKind, IgnoredWhy, Mode};
use raft_tui::raft::message::{InstallSnapshotReply, SnapshotOutcome};
use raft_tui::raft::{Index, Input, LogPosition, Message, MessageKind, NodeId, Outcome, PeerStatus, Role, Term};

use crate::support::cores::{Cores, n};
use crate::support::forge::{accepted, append, piece, read_index, snapshot};

fn three(terms: &[u64]) -> Cores {
    let mut cores = Cores::with(3, |options| {
        options.pre_vote = false;
        options.check_quorum = false;
        options.keep_entries = 0;
        options.chunk_bytes = 8;
    });
    for id in cores.ids() {
        cores.set_log(id, terms);
    }
    cores
}

/// n1 leads, n3 has nothing, and what n3 needs is only in n1's snapshot.
fn far_behind() -> Cores {
    let mut cores = three(&[]);
    cores.isolate(n(3));
    cores.elect(n(1));
    for place in 0..9 {
        cores.propose(n(1), &format!("value {place}"));
    }
    cores.run(20);
    cores.snapshot(n(1));
    cores.set_term(n(3), Term(1));
    cores.heal();
    cores.take_transcript();
    cores
}

fn peer(cores: &Cores, id: NodeId) -> PeerStatus {
    cores.status(n(1)).peers.into_iter().find(|peer| peer.id == id).expect("the leader knows all peers")
}

fn has_event(cores: &Cores, id: NodeId, wanted: impl Fn(&EventKind) -> bool) -> bool {
    cores.node(id).events.iter().any(wanted)
}

fn installed(event: &EventKind) -> bool {
    matches!(event, EventKind::SnapshotInstalled { .. })
}

// Reads.

#[test]
fn t48_no_read_before_an_entry_of_the_own_term_is_committed() {
    let mut cores = three(&[1, 1]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    let read = cores.read(n(1));
    // The no-op stays on its way; everything else is answered.
    let no_ops = cores.take_where(|message| message.message.kind() == MessageKind::AppendEntries);
    for _ in 0..5 {
        cores.tick(n(1), 5);
        cores.deliver_where(|message| message.from == n(1));
        let answers = cores.take_where(|message| message.to == n(1));
        for answer in answers {
            let Message::AppendEntriesReply(reply) = &answer.message else { panic!("{answer}") };
            let (stream, seen) = (0, reply.round);
            cores.hear(answer.from, n(1), 2, accepted(stream, seen, 2));
        }
    }
    assert_eq!(cores.answer(n(1), read), None, "commit is {} of term 1", cores.status(n(1)).commit);
    for message in no_ops {
        cores.deliver_message(message);
    }
    cores.stabilize();
    assert_eq!(cores.answer(n(1), read), Some(&Outcome::ReadReady(Index(3))));
}

#[test]
fn t49_answers_to_an_earlier_round_do_not_confirm_a_later_read() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.tick(n(1), 5);
    cores.deliver_where(|message| message.message.kind() == MessageKind::Heartbeat);
    let earlier = cores.take_where(|message| message.to == n(1));
    assert_eq!(earlier.len(), 2);
    let read = cores.read(n(1));
    for answer in earlier.iter().chain(&earlier).cloned() {
        cores.deliver_message(answer);
    }
    assert_eq!(cores.answer(n(1), read), None, "these were sent before the read came");
    cores.stabilize();
    assert_eq!(cores.answer(n(1), read), Some(&Outcome::ReadReady(Index(2))));
}

#[test]
fn t49_one_follower_twice_is_no_majority_of_five() {
    let mut cores = Cores::led_by_n1(5, &[1]);
    let read = cores.read(n(1));
    cores.deliver_where(|message| message.to == n(2));
    let answer = cores.said_once(n(2), n(1));
    for _ in 0..3 {
        cores.deliver_message(answer.clone());
    }
    assert_eq!(cores.answer(n(1), read), None);
    cores.deliver_where(|message| message.to == n(3));
    cores.deliver_where(|message| message.from == n(3));
    assert!(cores.answer(n(1), read).is_some());
}

#[test]
fn t49_rounds_are_the_leaders_and_the_same_ticket_of_two_nodes_is_two_reads() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hear(n(2), n(1), 2, read_index(7));
    cores.hear(n(3), n(1), 2, read_index(7));
    cores.drop_where(|message| message.message.kind() == MessageKind::ReadIndexReply);
    cores.deliver_where(|message| message.from == n(1));
    cores.deliver_where(|message| message.to == n(1));
    let answers = cores.take_where(|message| message.message.kind() == MessageKind::ReadIndexReply);
    let mut to: Vec<_> = answers.iter().map(|message| message.to).collect();
    to.sort_unstable();
    assert_eq!(to, [n(2), n(3)]);
}

#[test]
fn t50_a_read_waits_until_its_index_is_applied() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hold_machine(n(1));
    cores.propose(n(1), "x");
    cores.stabilize();
    let read = cores.read(n(1));
    cores.stabilize();
    assert_eq!(cores.status(n(1)).pending_reads, 1);
    assert_eq!(cores.answer(n(1), read), None);
    cores.release_machine(n(1));
    assert_eq!(cores.answer(n(1), read), Some(&Outcome::ReadReady(Index(3))));
}

#[test]
fn t50_a_follower_reads_at_the_leaders_index() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.propose(n(1), "x");
    cores.deliver_where(|message| message.to == n(3));
    cores.deliver_where(|message| message.from == n(3));
    assert_eq!((cores.status(n(1)).commit, cores.status(n(2)).applied), (Index(3), Index(2)));
    let read = cores.read(n(2));
    cores.stabilize();
    assert_eq!(cores.answer(n(2), read), Some(&Outcome::ReadReady(Index(3))));
}

#[test]
fn t50_losing_the_leader_gives_reads_up_and_t52_none_hangs() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    let own = cores.read(n(1));
    cores.wire.clear();
    let asked = cores.read(n(2));
    cores.wire.clear();
    cores.isolate(n(1));
    cores.run(60);
    assert!(matches!(cores.answer(n(1), own), Some(Outcome::ReadAborted { .. })));
    assert!(matches!(cores.answer(n(2), asked), Some(Outcome::ReadAborted { .. })));
}

#[test]
fn t52_a_question_that_was_lost_is_given_up_after_a_while_oldest_first() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    // Tickets need not rise: whoever hands them out chooses them.
    cores.step(n(2), Input::Read(raft_tui::raft::Ticket(900)));
    cores.wire.clear();
    cores.run(30);
    cores.step(n(2), Input::Read(raft_tui::raft::Ticket(5)));
    cores.wire.clear();
    cores.run(31);
    assert!(cores.answer(n(2), raft_tui::raft::Ticket(900)).is_some());
    assert!(cores.answer(n(2), raft_tui::raft::Ticket(5)).is_none());
    cores.run(30);
    assert!(cores.answer(n(2), raft_tui::raft::Ticket(5)).is_some());
}

// Snapshots.

#[test]
fn t62_a_conflicting_snapshot_discards_the_whole_log() {
    // The leader's log is 1 1 2; the follower's 1 1 1 1 1 1 has another entry 3.
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = three(&[1, 1, 1, 1, 1, 1]);
    cores.hear(n(2), n(1), 2, piece(&snapshot, 0, snapshot.1.len()));
    assert!(cores.terms(n(1)).is_empty());
    assert_eq!(cores.status(n(1)).last, LogPosition::new(3, 2));
    let disk = &cores.node(n(1)).disk.synced;
    assert_eq!((disk.base.position, disk.entries.len()), (LogPosition::new(3, 2), 0));
}

#[test]
fn t62_a_matching_snapshot_keeps_the_suffix() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = three(&[1, 1, 2, 2, 2]);
    cores.hear(n(2), n(1), 2, piece(&snapshot, 0, 3));
    assert_eq!(cores.terms(n(1)), [1, 1, 2, 2, 2]);
    assert_eq!((cores.status(n(1)).commit, cores.status(n(1)).applied), (Index(3), Index(3)));
    assert!(!has_event(&cores, n(1), installed));
}

#[test]
fn t62_a_snapshot_at_or_below_commit_is_acknowledged_and_ignored() {
    let snapshot = snapshot(&[1, 1], 3);
    let mut cores = three(&[1]);
    cores.hear_append(n(2), n(1), 1, append(&[1; 4], 1, 4, 3));
    cores.wire.clear();
    cores.hear(n(2), n(1), 1, piece(&snapshot, 0, snapshot.1.len()));
    let reply = cores.snapshot_reply(n(1), n(2));
    assert_eq!(reply.outcome, SnapshotOutcome::Installed { match_index: Index(3) });
    assert_eq!(cores.terms(n(1)), [1; 4]);
    assert_eq!(cores.status(n(1)).snapshot, Index(0));
}

#[test]
fn t62_a_snapshot_that_takes_back_what_is_committed_stops_the_node() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = three(&[1]);
    cores.laws.violations_are_expected = true;
    cores.hear_append(n(2), n(1), 1, append(&[1; 4], 1, 4, 4));
    cores.hear(n(3), n(1), 2, piece(&snapshot, 0, snapshot.1.len()));
    assert!(cores.status(n(1)).halted.unwrap_or_default().contains("committed here in another term"));
    assert_eq!(cores.terms(n(1)), [1; 4]);
}

#[test]
fn t63_nothing_has_moved_before_the_install_is_durable_and_all_of_it_after() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    for crash in [false, true] {
        let mut cores = three(&[1, 1, 1, 1, 1, 1]);
        cores.hold_disk(n(1));
        cores.hear(n(2), n(1), 2, piece(&snapshot, 0, snapshot.1.len()));
        let status = cores.status(n(1));
        assert_eq!((status.last, status.commit, status.snapshot), (LogPosition::new(6, 1), Index(0), Index(0)));
        if crash {
            cores.crash(n(1));
            cores.restart(n(1));
            assert_eq!(cores.status(n(1)).last, LogPosition::new(6, 1), "as if nothing had come");
        } else {
            cores.sync(n(1), usize::MAX);
            let status = cores.status(n(1));
            assert_eq!((status.last, status.commit, status.applied), (LogPosition::new(3, 2), Index(3), Index(3)));
            assert_eq!(status.snapshot, Index(3));
            cores.crash(n(1));
            cores.restart(n(1));
            assert_eq!(cores.status(n(1)).applied, Index(3));
        }
    }
}

#[test]
fn t63_a_crash_between_the_sync_and_its_answer_finds_the_snapshot() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = three(&[1, 1, 1, 1]);
    cores.hear(n(2), n(1), 2, piece(&snapshot, 0, 8));
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 2, piece(&snapshot, 8, snapshot.1.len()));
    // The batch is on disk; the node never hears of it.
    let mut disk = cores.node(n(1)).disk.clone();
    disk.held = false;
    let mut other = cores.clone();
    other.sync(n(1), usize::MAX);
    disk.synced = other.node(n(1)).disk.synced.clone();
    cores.crash(n(1));
    cores.node_mut(n(1)).disk.synced = disk.synced;
    cores.restart(n(1));
    let status = cores.status(n(1));
    assert_eq!((status.last, status.commit, status.applied), (LogPosition::new(3, 2), Index(3), Index(3)));
}

#[test]
fn t64_a_snapshot_is_acknowledged_when_it_is_durable_and_installed() {
    let mut cores = far_behind();
    cores.hold_disk(n(3));
    cores.run(20);
    assert_eq!(peer(&cores, n(3)).mode, Mode::Snapshot);
    assert_eq!(peer(&cores, n(3)).match_index, Index(0), "it has all bytes, and they are not durable");
    cores.release_disk(n(3));
    cores.run(10);
    assert_eq!(peer(&cores, n(3)).match_index, Index(10));
}

#[test]
fn t64_a_newer_snapshot_while_one_is_being_installed_waits() {
    let older = snapshot(&[1, 1, 2], 3);
    let newer = snapshot(&[1, 1, 2, 2, 2], 3);
    let mut cores = three(&[]);
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 2, piece(&older, 0, older.1.len()));
    cores.hear(n(2), n(1), 2, piece(&newer, 0, newer.1.len()));
    assert_eq!(cores.node(n(1)).disk.queue.iter().filter(|write| write.snapshot.is_some()).count(), 1);
    cores.release_disk(n(1));
    assert_eq!(cores.status(n(1)).commit, Index(3));
    cores.hear(n(2), n(1), 2, piece(&newer, 0, newer.1.len()));
    assert_eq!(cores.status(n(1)).commit, Index(5));
}

#[test]
fn t65_the_leader_goes_on_where_the_follower_is_and_a_restart_begins_anew() {
    let mut cores = far_behind();
    cores.tick(n(1), 5);
    // Heartbeats, the refusal, the first chunks.
    for _ in 0..8 {
        cores.deliver_where(|message| message.to == n(3) || message.from == n(3));
    }
    let here = cores.status(n(3)).receiving.expect("half of it is here").0;
    assert!(here >= 16, "{here}");
    // The next chunk is lost: after a while it is asked for again, from where the follower is.
    cores.drop_where(|message| message.message.kind() == MessageKind::InstallSnapshot);
    cores.wire.clear();
    let mut again = None;
    for _ in 0..30 {
        cores.tick(n(1), 1);
        let mut chunks = cores.take_where(|message| message.message.kind() == MessageKind::InstallSnapshot);
        cores.stabilize();
        again = again.or_else(|| chunks.pop());
    }
    let again = again.expect("a chunk was sent again");
    let Message::InstallSnapshot(sent) = &again.message else { panic!("{again}") };
    assert!(sent.offset > 0 && sent.offset >= here - 8, "{again}, here are {here}");
    cores.deliver_message(again);
    cores.crash(n(3));
    cores.restart(n(3));
    cores.run(60);
    assert_eq!(cores.status(n(3)).applied, Index(10));
    assert!(has_event(&cores, n(3), installed));
}

#[test]
fn t65_a_piece_at_another_offset_is_not_taken_and_the_follower_says_where_it_is() {
    let snapshot = snapshot(&[1, 1, 2, 2], 3);
    let mut cores = three(&[]);
    for (from, to, next) in [(4, 8, 0), (0, 4, 4), (8, 12, 4), (0, 4, 4), (4, 8, 8)] {
        cores.hear(n(2), n(1), 2, piece(&snapshot, from, to));
        let reply = cores.snapshot_reply(n(1), n(2));
        assert_eq!(reply.outcome, SnapshotOutcome::Continue { next_offset: next }, "{from}..{to}");
    }
}

#[test]
fn t65_a_body_that_is_not_what_was_promised_is_thrown_away_and_not_asked_for_in_a_hurry() {
    let mut broken = snapshot(&[1, 1, 2, 2], 3);
    broken.1[5] ^= 1;
    let mut cores = three(&[]);
    cores.hear(n(2), n(1), 2, piece(&broken, 0, broken.1.len()));
    assert!(has_event(&cores, n(1), |event| matches!(
        event,
        EventKind::Ignored { why: IgnoredWhy::Corrupt, message: MessageKind::InstallSnapshot, .. }
    )));
    assert!(cores.wire.is_empty(), "the leader asks again after a while");
    assert_eq!((cores.status(n(1)).receiving, cores.status(n(1)).commit), (None, Index(0)));
    let whole = snapshot(&[1, 1, 2, 2], 3);
    cores.hear(n(2), n(1), 2, piece(&whole, 0, whole.1.len()));
    assert_eq!(cores.status(n(1)).commit, Index(4));
}

#[test]
fn t65_pieces_of_two_snapshots_are_never_mixed() {
    let older = snapshot(&[1, 1, 2], 3);
    let newer = snapshot(&[1, 1, 2, 2], 3);
    let mut cores = three(&[]);
    cores.hear(n(2), n(1), 2, piece(&older, 0, 8));
    cores.wire.clear();
    cores.hear(n(3), n(1), 3, piece(&newer, 8, newer.1.len()));
    let reply = cores.snapshot_reply(n(1), n(3));
    assert_eq!(reply.outcome, SnapshotOutcome::Continue { next_offset: 0 });
    assert_eq!(cores.status(n(1)).receiving, Some((0, newer.1.len() as u64)));
}

#[test]
fn t65_a_half_received_snapshot_is_dropped_when_the_entries_came_otherwise() {
    let half = snapshot(&[1, 1, 2], 3);
    let mut cores = three(&[]);
    cores.hear(n(2), n(1), 2, piece(&half, 0, 8));
    assert!(cores.status(n(1)).receiving.is_some());
    cores.hear_append(n(3), n(1), 3, append(&[1, 1, 2, 3], 0, 4, 4));
    assert_eq!(cores.status(n(1)).receiving, None);
}

#[test]
fn t66_a_leader_without_the_entries_sends_the_snapshot_rather_than_nothing() {
    let mut cores = far_behind();
    assert_eq!(cores.status(n(1)).first_index, Index(11));
    assert_eq!(peer(&cores, n(3)).match_index, Index(0));
    cores.run(20);
    assert_eq!(cores.status(n(3)).applied, Index(10));
}

#[test]
fn t66_no_snapshot_goes_to_a_node_that_does_not_answer() {
    let mut cores = three(&[]);
    cores.crash(n(3));
    cores.elect(n(1));
    cores.propose(n(1), "x");
    cores.run(20);
    cores.snapshot(n(1));
    cores.run(100);
    let chunks = |line: &&str| line.contains("InstallSnapshot");
    assert_eq!(cores.take_transcript().lines().filter(chunks).count(), 0);
    assert_eq!(peer(&cores, n(3)).mode, Mode::Probe);
    cores.restart(n(3));
    cores.run(20);
    assert_eq!(cores.status(n(3)).applied, Index(2), "as soon as it is there again");
}

#[test]
fn t66_heartbeats_go_on_while_a_snapshot_travels_and_is_installed() {
    let mut cores = far_behind();
    cores.run(3);
    cores.hold_disk(n(3));
    for _ in 0..10 {
        cores.run(5);
        assert_eq!(cores.status(n(3)).leader, Some(n(1)));
        assert!(peer(&cores, n(3)).silent_ticks < 10, "it answers, and counts for CheckQuorum");
    }
    assert_eq!(cores.status(n(3)).role, Role::Follower);
}

#[test]
fn t67_a_follower_that_is_a_little_late_is_spared_the_snapshot() {
    let mut cores = Cores::with(3, |options| {
        options.keep_entries = 5;
        options.snapshot_entries = 10;
    });
    cores.elect(n(1));
    for _ in 0..6 {
        cores.propose(n(1), "x");
    }
    cores.stabilize();
    cores.isolate(n(3));
    for _ in 0..4 {
        cores.propose(n(1), "x");
    }
    cores.run(2);
    assert_eq!((cores.status(n(1)).snapshot, cores.status(n(1)).first_index), (Index(10), Index(6)));
    cores.heal();
    cores.run(20);
    assert_eq!(cores.status(n(3)).applied, Index(11));
    assert!(!has_event(&cores, n(3), installed));
}

#[test]
fn t67_a_full_window_that_was_lost_and_compacted_falls_back_to_the_snapshot() {
    let mut cores = Cores::with(3, |options| {
        options.keep_entries = 0;
        options.window_messages = 2;
    });
    cores.elect(n(1));
    cores.cuts.insert((n(1), n(3)));
    for _ in 0..6 {
        cores.propose(n(1), "x");
    }
    cores.stabilize();
    assert_eq!(peer(&cores, n(3)).in_flight_messages, 2);
    cores.snapshot(n(1));
    assert_eq!(cores.status(n(1)).first_index, Index(8));
    cores.heal();
    cores.run(40);
    assert_eq!(cores.status(n(3)).applied, Index(7));
}

#[test]
fn t67_the_policy_counts_bytes_too_and_is_armed_again_after_each_snapshot() {
    let mut cores = Cores::with(1, |options| {
        options.keep_entries = 0;
        options.snapshot_bytes = 1_000;
    });
    cores.campaign(n(1));
    let long = "0123456789".repeat(20);
    let mut snapshots = Vec::new();
    for _ in 0..20 {
        cores.propose(n(1), &long);
        snapshots.push(cores.status(n(1)).snapshot);
    }
    snapshots.dedup();
    assert_eq!(snapshots, [0, 5, 10, 15, 20].map(Index));
}

#[test]
fn t67_a_policy_that_says_never_is_no_accident() {
    let mut cores = Cores::with(1, |options| {
        options.snapshot_entries = u64::MAX;
        options.snapshot_bytes = u64::MAX;
        options.keep_entries = u64::MAX;
    });
    cores.campaign(n(1));
    for _ in 0..30 {
        cores.propose(n(1), "x");
    }
    assert_eq!((cores.status(n(1)).applied, cores.status(n(1)).snapshot), (Index(31), Index(0)));
    cores.snapshot(n(1));
    assert_eq!((cores.status(n(1)).first_index, cores.status(n(1)).snapshot), (Index(1), Index(31)));
}

#[test]
fn t67_only_one_snapshot_is_taken_at_a_time() {
    let mut cores = Cores::with(1, |options| options.snapshot_entries = 3);
    cores.campaign(n(1));
    cores.node_mut(n(1)).snapshots_held = true;
    for _ in 0..20 {
        cores.propose(n(1), "x");
    }
    assert_eq!(cores.status(n(1)).snapshot, Index(0));
    // The one that was asked for at 3 is late; the policy goes on from it.
    cores.node_mut(n(1)).snapshots_held = false;
    cores.snapshot(n(1));
    assert_eq!(cores.status(n(1)).snapshot, Index(21));
    for _ in 0..3 {
        cores.propose(n(1), "x");
    }
    assert_eq!(cores.status(n(1)).snapshot, Index(24));
}

#[test]
fn t68_no_entry_is_taken_or_applied_while_a_snapshot_is_being_installed() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 2, piece(&snapshot, 0, snapshot.1.len()));
    cores.hear_append(n(2), n(1), 2, append(&[1, 1, 2, 2], 1, 4, 4));
    assert_eq!((cores.terms(n(1)), cores.status(n(1)).commit), (vec![1], Index(0)));
    cores.release_disk(n(1));
    assert_eq!((cores.status(n(1)).applied, cores.status(n(1)).last.index), (Index(3), Index(3)));
    cores.hear_append(n(2), n(1), 2, append(&[1, 1, 2, 2], 3, 4, 4));
    assert_eq!(cores.status(n(1)).applied, Index(4));
}

#[test]
fn a_snapshot_that_cannot_be_is_ignored() {
    let future = snapshot(&[1, 1, 9], 3);
    let mut cores = three(&[]);
    cores.hear(n(2), n(1), 2, piece(&future, 0, future.1.len()));
    assert!(cores.wire.is_empty());
    assert_eq!(cores.raft(n(1)).current_term(), Term(2));
    let lie = SnapshotOutcome::Installed { match_index: Index(99) };
    let mut cores = Cores::led_by_n1(3, &[1]);
    let reply = InstallSnapshotReply { last: LogPosition::ZERO, stream: 1, round: 0, counted: true, outcome: lie };
    cores.hear(n(2), n(1), 2, Message::InstallSnapshotReply(reply));
    assert_eq!(peer(&cores, n(2)).match_index, Index(2));
}
