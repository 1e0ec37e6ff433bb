//! The checklist of `docs/checklist.md`, T-01 to T-15: durability and hard state.

use raft_tui::raft::event::{EventKind, StepDown};
use raft_tui::raft::message::AppendOutcome;
use raft_tui::raft::{HardState, Index, Input, LogPosition, Message, MessageKind, Outcome, Role, SyncPoint, Term};

use crate::support::cores::{Cores, n};
use crate::support::forge::{accepted, append, request_vote};

fn three(terms: &[u64]) -> Cores {
    let mut cores = Cores::with(3, |options| {
        options.pre_vote = false;
        options.check_quorum = false;
    });
    for id in cores.ids() {
        cores.set_log(id, terms);
    }
    cores
}

#[test]
fn t01_a_vote_is_durable_before_it_leaves() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(1, 1)));
    assert!(cores.wire.is_empty(), "the vote of term 2 is not durable yet");
    cores.sync(n(1), 1);
    assert!(cores.granted(n(1), n(2)));
    assert_eq!(cores.node(n(1)).disk.synced.hard_state.voted_for, Some(n(2)));
}

#[test]
fn t01_the_second_yes_to_the_same_candidate_waits_too() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    for _ in 0..2 {
        cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(1, 1)));
    }
    assert!(cores.wire.is_empty(), "the first request has not been answered by the disk, so the second cannot be");
}

#[test]
fn t02_term_and_vote_are_one_record() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(1, 1)));
    let writes: Vec<_> = cores.node(n(1)).disk.queue.iter().map(|write| write.hard_state).collect();
    assert_eq!(writes, [Some(HardState { current_term: Term(2), voted_for: Some(n(2)) })], "one write holds both");
    cores.campaign(n(3));
    cores.crash(n(3));
    assert_eq!(cores.node(n(3)).disk.synced.hard_state, HardState { current_term: Term(2), voted_for: Some(n(3)) });
}

#[test]
fn t03_the_own_vote_counts_when_it_is_durable_and_only_then_others_are_asked() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.campaign(n(1));
    assert!(cores.wire.is_empty(), "term 2 is not durable yet");
    assert_eq!(cores.status(n(1)).votes, []);
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).votes, [n(1)]);
    assert_eq!(cores.wire.len(), 2);
}

#[test]
fn t03_one_voter_leads_when_its_own_vote_is_durable() {
    let mut cores = Cores::new(1);
    cores.hold_disk(n(1));
    cores.campaign(n(1));
    assert_eq!(cores.status(n(1)).role, Role::Candidate);
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).role, Role::Leader);
}

#[test]
fn t04_a_vote_request_waits_for_the_entries_it_names() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 0));
    // The write with the entries is stuck; nothing can be promised on top of it.
    cores.tick(n(1), 14);
    cores.sync(n(1), 1);
    cores.campaign(n(1));
    assert_eq!(cores.said(n(1), n(3)).len(), 0);
    cores.sync(n(1), 1);
    assert_eq!(cores.said_once(n(1), n(3)).message, request_vote(LogPosition::new(3, 1)));
    assert_eq!(cores.node(n(1)).disk.synced.last(), LogPosition::new(3, 1));
}

#[test]
fn t05_entries_are_acknowledged_after_their_sync() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 0));
    assert!(cores.wire.is_empty());
    // Sent again, it is in memory already, and still not durable.
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 0));
    assert!(cores.wire.is_empty(), "entry 3 is in memory, not on disk");
    cores.sync(n(1), 1);
    assert_eq!(cores.said(n(1), n(2)).len(), 2);
}

#[test]
fn t05_a_heartbeat_is_answered_at_once_and_names_only_what_is_durable() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 0));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 3, 3, 0));
    assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(1) });
}

#[test]
fn t06_a_term_is_durable_with_or_before_its_first_entry() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear_append(n(2), n(1), 5, append(&[1, 5], 1, 2, 0));
    let writes = &cores.node(n(1)).disk.queue;
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].hard_state.unwrap().current_term, Term(5));
    // The harness refuses a disk that holds an entry above its term.
    cores.release_disk(n(1));
    assert_eq!(cores.node(n(1)).disk.synced.last(), LogPosition::new(2, 5));
}

#[test]
fn t07_a_late_completion_does_not_bless_what_was_overwritten_since() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 0));
    cores.hear_append(n(3), n(1), 2, append(&[1, 2, 2], 1, 3, 0));
    // Write 1 carried 2@1 and 3@1; the log has 2@2 and 3@2 now.
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).durable, Index(1));
    assert!(cores.said(n(1), n(3)).is_empty());
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).durable, Index(3));
    assert_eq!(cores.outcome(n(1), n(3)), AppendOutcome::Accepted { match_index: Index(3) });
}

#[test]
fn t07_the_same_entries_again_after_an_overwriting_are_new() {
    // A, then B over it, then A again: the completion of the first A says nothing about the last.
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear_append(n(2), n(1), 2, append(&[1, 2], 1, 2, 0));
    cores.hear_append(n(3), n(1), 3, append(&[1, 3], 1, 2, 0));
    cores.hear_append(n(2), n(1), 4, append(&[1, 2, 4], 1, 3, 0));
    assert_eq!(cores.terms(n(1)), [1, 2, 4]);
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).durable, Index(1));
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).durable, Index(1));
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).durable, Index(3));
}

#[test]
fn t08_a_completion_covers_all_before_it_and_an_older_one_takes_nothing_back() {
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    for last in 2..=4 {
        cores.hear_append(n(2), n(1), 1, append(&[1; 4], last - 1, last, 0));
    }
    let points: Vec<SyncPoint> = cores.node(n(1)).disk.queue.iter().map(|write| write.point).collect();
    cores.step(n(1), Input::Persisted(points[2]));
    assert_eq!(cores.status(n(1)).durable, Index(4));
    cores.step(n(1), Input::Persisted(points[0]));
    cores.step(n(1), Input::Persisted(points[1]));
    assert_eq!(cores.status(n(1)).durable, Index(4));
}

#[test]
fn t09_a_leader_counts_itself_when_its_own_write_is_durable() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hold_disk(n(1));
    cores.propose(n(1), "x");
    // One follower and the leader's memory are no majority.
    let to_n2 = cores.said_once(n(1), n(2));
    cores.wire.clear();
    cores.deliver_message(to_n2);
    cores.stabilize();
    assert_eq!(cores.status(n(1)).commit, Index(2));
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).commit, Index(3));
}

#[test]
fn t09_others_may_commit_while_the_leaders_disk_lags_but_it_applies_only_what_it_has() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hold_disk(n(1));
    cores.propose(n(1), "x");
    cores.stabilize();
    let status = cores.status(n(1));
    assert_eq!((status.commit, status.durable, status.applied), (Index(3), Index(2), Index(2)));
    assert_eq!(cores.status(n(2)).applied, Index(3));
    cores.release_disk(n(1));
    assert_eq!(cores.status(n(1)).applied, Index(3));
}

#[test]
fn t09_one_voter_commits_nothing_before_its_sync() {
    let mut cores = Cores::new(1);
    cores.campaign(n(1));
    cores.hold_disk(n(1));
    cores.propose(n(1), "x");
    assert_eq!(cores.status(n(1)).commit, Index(1));
    cores.sync(n(1), 1);
    assert_eq!(cores.status(n(1)).commit, Index(2));
}

#[test]
fn t10_a_leader_that_lost_its_unsynced_entries_never_uses_their_index_and_term_again() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hold_disk(n(1));
    cores.propose(n(1), "x");
    cores.deliver_where(|message| message.to == n(2));
    cores.crash(n(1));
    cores.wire.clear();
    cores.restart(n(1));
    assert_eq!(cores.terms(n(1)), [1, 2], "3@2 went, but n2 has it");
    // It has to win a new term before it writes index 3 again. (The laws compare all entries ever written.)
    let refused = cores.propose(n(1), "y");
    assert!(matches!(cores.answer(n(1), refused), Some(Outcome::NotLeader { .. })));
    cores.campaign(n(1));
    cores.deliver_where(|message| message.to == n(3));
    cores.deliver_where(|message| message.from == n(3));
    cores.propose(n(1), "y");
    assert_eq!(cores.terms(n(1))[2..], [3, 3]);
    cores.stabilize();
    assert_eq!(cores.terms(n(2)), [1, 2, 3, 3]);
}

#[test]
fn t11_after_a_failed_sync_nothing_that_waited_for_it_ever_leaves() {
    // The store is poisoned and the node halts (storage, node); of the core it asks that all hangs on the completion.
    let mut cores = three(&[1]);
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(1, 1)));
    cores.hear_append(n(3), n(1), 3, append(&[1, 3], 1, 2, 0));
    cores.tick(n(1), 100);
    assert!(cores.wire.is_empty(), "{:?}", cores.wire);
    assert_eq!(
        cores.status(n(1)).hard_state.current_term,
        Term(3),
        "and it does not campaign for a term it cannot keep"
    );
}

#[test]
fn t12_the_no_op_of_a_new_leader_is_written_like_any_entry() {
    let mut cores = three(&[1]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.hold_disk(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    let write = &cores.node(n(1)).disk.queue[0];
    assert_eq!(write.entries.iter().map(raft_tui::raft::Entry::position).collect::<Vec<_>>(), [LogPosition::new(2, 2)]);
    cores.wire.clear();
    cores.hear(n(2), n(1), 2, accepted(1, 0, 1));
    assert_eq!(cores.status(n(1)).commit, Index(0));
}

#[test]
fn t13_a_peer_that_comes_back_with_less_than_it_acknowledged_is_reported() {
    let mut cores = Cores::led_by_n1(3, &[1, 1, 1]);
    cores.propose(n(1), "x");
    cores.stabilize();
    assert_eq!(cores.status(n(1)).peers[0].match_index, Index(5));
    cores.lose_from(n(2), Index(3), true);
    cores.run(10);
    let lost = EventKind::PeerLostData { peer: n(2), had: Index(5), has: Index(2) };
    assert!(cores.node(n(1)).events.contains(&lost));
    assert!(cores.node(n(2)).events.contains(&EventKind::QuarantineLeft), "and healed");
}

#[test]
fn t13_a_quarantined_node_gives_no_vote_and_does_not_stand() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    cores.isolate(n(1));
    cores.lose_from(n(2), Index(1), true);
    cores.tick(n(2), 200);
    assert_eq!(cores.status(n(2)).role, Role::Follower);
    cores.hear(n(3), n(2), 2, Message::PreVote { last: LogPosition::new(9, 1) });
    assert!(!cores.granted(n(2), n(3)));
    cores.hear(n(3), n(2), 2, request_vote(LogPosition::new(9, 1)));
    assert!(!cores.granted(n(2), n(3)));
}

#[test]
fn t13_a_quarantined_copy_does_not_count_for_commit_until_it_is_whole() {
    let mut cores = Cores::led_by_n1(3, &[1, 1]);
    cores.isolate(n(3));
    cores.lose_from(n(2), Index(2), true);
    cores.hold_disk(n(2));
    cores.propose(n(1), "x");
    cores.run(10);
    assert_eq!(cores.status(n(1)).commit, Index(3), "n2 has nothing durable to show");
    assert!(!cores.status(n(1)).peers[0].counted);
    cores.release_disk(n(2));
    cores.run(10);
    assert!(!cores.status(n(2)).quarantined);
    assert_eq!(cores.status(n(1)).commit, Index(4));
}

#[test]
fn t13_the_only_voter_cannot_heal_and_halts() {
    let mut cores = Cores::new(1);
    cores.campaign(n(1));
    cores.laws.violations_are_expected = true;
    cores.lose_from(n(1), Index(1), true);
    assert!(cores.status(n(1)).halted.unwrap_or_default().contains("only voter"));
}

#[test]
fn t15_after_a_restart_commit_starts_at_the_snapshot_and_grows_with_what_the_leader_says() {
    let mut cores = Cores::led_by_n1(3, &[1, 1, 1]);
    cores.snapshot(n(2));
    cores.propose(n(1), "x");
    cores.stabilize();
    cores.crash(n(2));
    cores.restart(n(2));
    assert_eq!((cores.status(n(2)).commit, cores.status(n(2)).applied), (Index(4), Index(4)));
    let early = cores.read(n(2));
    assert!(matches!(cores.answer(n(2), early), Some(Outcome::ReadAborted { .. })), "it knows no leader yet");
    cores.run(10);
    assert_eq!(cores.status(n(2)).applied, Index(5));
}

#[test]
fn t79_a_leader_whose_disk_stalls_steps_down_while_a_majority_goes_on_without_it() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    cores.hold_disk(n(1));
    cores.propose(n(1), "x");
    cores.run(100);
    assert!(cores.raft(n(1)).is_leader(), "not within the bound");
    cores.run(60);
    assert!(cores.node(n(1)).events.contains(&EventKind::SteppedDown { why: StepDown::DiskStalled }));
    assert_eq!(cores.leader().filter(|leader| *leader != n(1)), cores.leader(), "another one leads");
    let candidacies = |cores: &Cores| {
        cores.node(n(1)).events.iter().filter(|event| matches!(event, EventKind::BecamePreCandidate { .. })).count()
    };
    let before = candidacies(&cores);
    cores.isolate(n(1));
    cores.run(100);
    assert_eq!(candidacies(&cores), before, "it does not stand before its disk has answered");
    cores.release_disk(n(1));
    cores.run(100);
    assert!(candidacies(&cores) > before);
}

#[test]
fn t79_a_leader_does_not_step_down_for_the_disk_of_a_follower() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    cores.hold_disk(n(2));
    cores.propose(n(1), "x");
    cores.run(400);
    assert!(cores.raft(n(1)).is_leader());
    assert_eq!(cores.status(n(1)).commit, Index(2), "and T-80: commits go on");
}

#[test]
fn t79_when_every_disk_stalls_nobody_gains_by_a_new_leader() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    for id in cores.ids() {
        cores.hold_disk(id);
    }
    cores.propose(n(1), "x");
    cores.run(300);
    assert!(cores.raft(n(1)).is_leader());
}
