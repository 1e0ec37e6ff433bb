//! The checklist of `docs/checklist.md`, T-33 to T-47: replication and commit.

use proptest::prelude::*;
use raft_tui::raft::event::{EventKind, IgnoredWhy, Mode};
use raft_tui::raft::message::{AppendEntriesReply, AppendOutcome};
use raft_tui::raft::{
    Configuration, Index, LogPosition, Message, MessageKind, NodeId, Outcome, PeerStatus, Role, Term,
};

use crate::support::cores::{Cores, n};
use crate::support::forge::{accepted, append, rejected, request_vote};

fn logs(logs: &[&[u64]]) -> Cores {
    let mut cores = Cores::with(logs.len() as u64, |options| {
        options.pre_vote = false;
        options.check_quorum = false;
        options.keep_entries = 0;
    });
    for (place, terms) in logs.iter().enumerate() {
        cores.set_log(n(place as u64 + 1), terms);
    }
    cores
}

fn three(terms: &[u64]) -> Cores {
    logs(&[terms, &[1], &[1]])
}

/// n1 has just won term 2 and its first messages are lost.
fn just_elected(count: usize, terms: &[u64]) -> Cores {
    let mut cores = logs(&vec![terms; count]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    cores.wire.clear();
    cores
}

fn peer(cores: &Cores, id: NodeId) -> PeerStatus {
    cores.status(n(1)).peers.into_iter().find(|peer| peer.id == id).expect("the leader knows all peers")
}

fn sent(cores: &mut Cores, to: NodeId) -> raft_tui::raft::message::AppendEntries {
    match cores.said_once(n(1), to).message {
        Message::AppendEntries(append) => append,
        other => panic!("{other}"),
    }
}

fn ignored(cores: &Cores, why: IgnoredWhy) -> usize {
    let wanted = |event: &&EventKind| matches!(event, EventKind::Ignored { why: w, .. } if *w == why);
    cores.node(n(1)).events.iter().filter(wanted).count()
}

#[test]
fn t33_only_entries_of_the_own_term_are_committed_by_counting() {
    let mut cores = just_elected(3, &[1, 1]);
    for follower in [2, 3] {
        cores.hear(n(follower), n(1), 2, accepted(1, 0, 2));
    }
    assert_eq!((peer(&cores, n(2)).match_index, peer(&cores, n(3)).match_index), (Index(2), Index(2)));
    assert_eq!(cores.status(n(1)).commit, Index(0), "entry 2 of term 1 is everywhere and not committed");
    cores.stabilize();
    cores.run(5);
    assert_eq!(cores.status(n(1)).commit, Index(3));
}

#[test]
fn t34_follower_commit_stops_at_what_this_message_verified() {
    let mut cores = three(&[1, 1, 1]);
    // Entries 2 and 3 are an earlier leader's; the new one has committed 3 others.
    cores.hear_append(n(2), n(1), 2, append(&[1, 2, 2], 1, 1, 3));
    assert_eq!(cores.status(n(1)).commit, Index(1));
    assert_eq!(cores.terms(n(1)), [1, 1, 1]);
    cores.hear_append(n(2), n(1), 2, append(&[1, 2, 2], 1, 2, 3));
    assert_eq!(cores.status(n(1)).commit, Index(2));
}

#[test]
fn t35_an_answer_covers_what_its_message_covered_and_not_the_rest_of_the_log() {
    let mut cores = three(&[1, 1, 1]);
    cores.hear_append(n(2), n(1), 2, append(&[1, 2, 2], 1, 1, 0));
    assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(1) });
    let mut cores = three(&[1, 1, 1]);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 2, 0));
    assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(2) });
}

#[test]
fn t36_an_old_short_message_does_not_shorten_the_log() {
    let mut cores = three(&[1]);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1, 1], 1, 4, 0));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1], 1, 2, 0));
    assert_eq!(cores.terms(n(1)), [1; 4]);
    assert!(!cores.node(n(1)).events.iter().any(|event| matches!(event, EventKind::Truncated { .. })));
}

#[test]
fn t36_only_what_conflicts_is_deleted() {
    let mut cores = three(&[1, 1, 2, 2, 2]);
    cores.hear_append(n(2), n(1), 3, append(&[1, 1, 2, 3], 1, 4, 0));
    assert_eq!(cores.terms(n(1)), [1, 1, 2, 3]);
    assert!(cores.node(n(1)).events.contains(&EventKind::Truncated { from: Index(4), to: Index(5) }));
}

#[test]
fn t36_a_leader_that_would_take_back_a_committed_entry_stops_the_node() {
    for (terms, prev, last) in [(&[1, 2, 2][..], 1, 3), (&[1, 2, 2], 2, 3)] {
        let mut cores = three(&[1]);
        cores.laws.violations_are_expected = true;
        cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 3));
        cores.hear_append(n(3), n(1), 2, append(terms, prev, last, 0));
        let halted = cores.status(n(1)).halted.unwrap_or_default();
        assert!(halted.contains("is committed here in term 1"), "{halted}");
        assert_eq!(cores.terms(n(1)), [1, 1, 1]);
    }
}

#[test]
fn t37_a_heartbeat_checks_the_log_and_heals_an_idle_cluster() {
    let mut cores = Cores::led_by_n1(3, &[1, 1, 1]);
    cores.run(10);
    // n3 loses entries, and its store does not notice: the next heartbeat does.
    cores.lose_from(n(3), Index(2), false);
    cores.tick(n(1), 5);
    let heartbeat = sent(&mut cores, n(3));
    assert_eq!(heartbeat.prev.index, Index(4), "prev is the last entry that was sent");
    cores.run(20);
    assert_eq!(cores.terms(n(3)), [1, 1, 1, 2]);
    assert_eq!(cores.status(n(3)).commit, Index(4));
}

#[test]
fn t37_a_heartbeat_does_not_commit_what_its_receiver_does_not_have() {
    let mut cores = three(&[1]);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 3, 3, 3));
    assert_eq!(cores.status(n(1)).commit, Index(0));
    assert!(matches!(cores.outcome(n(1), n(2)), AppendOutcome::Rejected { .. }));
}

#[test]
fn t38_match_index_never_falls_whatever_order_answers_come_in() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    for _ in 0..4 {
        cores.propose(n(1), "x");
    }
    cores.deliver_where(|message| message.to == n(2));
    let mut answers = cores.said(n(2), n(1));
    assert_eq!(answers.len(), 4);
    answers.reverse();
    let doubled: Vec<_> = answers.iter().chain(&answers).cloned().collect();
    for answer in doubled {
        cores.deliver_message(answer);
        assert_eq!(peer(&cores, n(2)).match_index, Index(6));
        assert_eq!(peer(&cores, n(2)).next_index, Index(7));
    }
    assert_eq!(peer(&cores, n(2)).in_flight_messages, 0);
}

#[test]
fn t38_a_late_refusal_of_an_earlier_stream_changes_nothing() {
    let mut cores = Cores::led_by_n1(3, &[1, 1, 1]);
    cores.propose(n(1), "x");
    cores.stabilize();
    let (before, late) = (peer(&cores, n(2)), ignored(&cores, IgnoredWhy::LateAnswer));
    for stream in 0..4 {
        for prev in [1, 4, 5] {
            cores.hear(n(2), n(1), 2, rejected(stream, prev, LogPosition::new(1, 1)));
        }
    }
    let after = peer(&cores, n(2));
    assert_eq!((before.match_index, before.next_index, before.mode), (after.match_index, after.next_index, after.mode));
    assert_eq!(ignored(&cores, IgnoredWhy::LateAnswer), late + 12);
}

#[test]
fn t38_one_lost_message_of_many_makes_one_step_back_not_many() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    for _ in 0..6 {
        cores.propose(n(1), "x");
    }
    let mut to_n2 = cores.said(n(1), n(2));
    to_n2.remove(0);
    for message in to_n2 {
        cores.deliver_message(message);
    }
    // Five refusals of one stream.
    assert_eq!(cores.deliver_where(|message| message.from == n(2)), 5);
    let refused = |event: &&EventKind| matches!(event, EventKind::PeerRejected { .. });
    assert_eq!(cores.node(n(1)).events.iter().filter(refused).count(), 1);
    cores.stabilize();
    assert_eq!(cores.terms(n(2)), cores.terms(n(1)));
}

#[test]
fn t38_answers_that_cannot_be_right_are_ignored() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hear(n(2), n(1), 2, accepted(2, 0, 77));
    cores.hear(n(2), n(1), 2, accepted(2, 999, 2));
    assert_eq!(ignored(&cores, IgnoredWhy::Malformed), 2);
    assert_eq!(peer(&cores, n(2)).match_index, Index(2));
}

/// Two logs with a common beginning that then went apart, as elections may leave them behind: every term belongs to
/// one history.
fn two_logs() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    let runs = || prop::collection::vec((1_u64..3, 1_usize..5), 0..7);
    (runs(), runs(), runs(), any::<bool>()).prop_map(|(common, leaders, followers, leader_goes_on)| {
        let mut log = Vec::new();
        let mut term = 1;
        let extend = |log: &mut Vec<u64>, term: &mut u64, runs: Vec<(u64, usize)>, parity: Option<u64>| {
            for (step, length) in runs {
                *term += step;
                if parity.is_some_and(|parity| *term % 2 != parity) {
                    *term += 1;
                }
                log.extend(std::iter::repeat_n(*term, length));
            }
        };
        extend(&mut log, &mut term, common, None);
        let (mut leader, mut follower) = (log.clone(), log);
        if leader_goes_on {
            leader.push(term);
        } else {
            follower.push(term);
        }
        extend(&mut leader, &mut term.clone(), leaders, Some(0));
        extend(&mut follower, &mut term.clone(), followers, Some(1));
        (leader, follower)
    })
}

fn runs_after(log: &[u64], common: usize) -> usize {
    let mut terms = log[common..].to_vec();
    terms.dedup();
    terms.len()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn t39_at_most_one_probe_a_term_of_either_log((leader, follower) in two_logs()) {
        let mut cores = logs(&[&leader, &follower, &leader]);
        let seen = leader.last().max(follower.last()).copied().unwrap_or(0);
        cores.set_term(n(1), Term(seen));
        cores.set_term(n(3), Term(seen));
        cores.cuts.insert((n(2), n(1)));
        cores.campaign(n(1));
        cores.drop_where(|message| message.to == n(2));
        cores.stabilize();
        assert!(cores.raft(n(1)).is_leader());
        cores.heal();
        cores.run(10);
        prop_assert_eq!(cores.terms(n(2)), cores.terms(n(1)));
        let common = leader.iter().zip(&follower).take_while(|(a, b)| a == b).count();
        let probes = cores.node(n(1)).events.iter()
            .filter(|event| matches!(event, EventKind::PeerRejected { peer, .. } if *peer == n(2))).count();
        let terms = runs_after(&leader, common) + runs_after(&follower, common);
        prop_assert!(probes <= terms + 1, "{} probes for {} conflicting terms", probes, terms);
    }

    #[test]
    fn t43_the_majority_index_is_the_middle_of_the_sorted_indexes(reached in prop::collection::vec(0_u64..20, 1..10)) {
        let configuration = Configuration::first(reached.len() as u64);
        let index = configuration.majority_index(|voter| Index(reached[voter.0 as usize - 1]));
        let best = (0..=20).rev().find(|index| 2 * reached.iter().filter(|at| *at >= index).count() > reached.len());
        prop_assert_eq!(index, Index(best.unwrap()));
    }
}

#[test]
fn t39_an_empty_log_is_found_with_one_probe() {
    let mut cores = logs(&[&[1, 2, 3, 4, 5, 6], &[], &[1]]);
    cores.elect(n(1));
    let probes = |cores: &Cores, id| {
        let wanted = |event: &&EventKind| matches!(event, EventKind::PeerRejected { peer, .. } if *peer == id);
        cores.node(n(1)).events.iter().filter(wanted).count()
    };
    assert_eq!(probes(&cores, n(2)), 1);
    assert_eq!(cores.terms(n(2)), cores.terms(n(1)));
}

#[test]
fn t39_a_compacted_log_is_not_searched_but_replaced_by_a_snapshot() {
    let mut cores = logs(&[&[1, 2, 3, 4], &[], &[1]]);
    cores.isolate(n(2));
    cores.elect(n(1));
    cores.snapshot(n(1));
    cores.heal();
    cores.run(30);
    let wanted = |event: &&EventKind| matches!(event, EventKind::PeerRejected { .. });
    assert!(cores.node(n(1)).events.iter().filter(wanted).count() <= 2);
    assert_eq!(cores.status(n(2)).applied, Index(5));
}

#[test]
fn t40_the_window_is_empty_after_each_change_of_mode() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    for _ in 0..5 {
        cores.propose(n(1), "0123456789");
    }
    assert_eq!((peer(&cores, n(2)).in_flight_messages, peer(&cores, n(2)).in_flight_bytes), (5, 5 * 58));
    cores.wire.clear();
    // A refusal: to Probe.
    cores.tick(n(1), 5);
    cores.deliver_where(|message| message.to == n(2));
    cores.deliver_where(|message| message.from == n(2));
    assert_eq!(peer(&cores, n(2)).mode, Mode::Probe);
    assert_eq!((peer(&cores, n(2)).in_flight_messages, peer(&cores, n(2)).in_flight_bytes), (0, 0));
    // A new life: to Probe.
    assert_eq!(peer(&cores, n(3)).in_flight_messages, 5);
    cores.crash(n(3));
    cores.restart(n(3));
    cores.hear(n(3), n(1), 2, accepted(0, 0, 0));
    assert_eq!((peer(&cores, n(3)).in_flight_messages, peer(&cores, n(3)).in_flight_bytes), (0, 0));
    cores.stabilize();
    cores.run(10);
    assert_eq!(cores.terms(n(3)), cores.terms(n(1)));
    assert_eq!((peer(&cores, n(3)).in_flight_messages, peer(&cores, n(3)).in_flight_bytes), (0, 0));
}

#[test]
fn t40_a_follower_with_a_full_window_still_gets_heartbeats_and_goes_on_after_losses() {
    let mut cores = Cores::with(3, |options| options.window_messages = 2);
    cores.elect(n(1));
    cores.hold_disk(n(2));
    for _ in 0..5 {
        cores.propose(n(1), "x");
    }
    cores.stabilize();
    assert_eq!(peer(&cores, n(2)).in_flight_messages, 2);
    cores.tick(n(1), 5);
    assert_eq!(cores.said_once(n(1), n(2)).message.kind(), MessageKind::Heartbeat);
    cores.release_disk(n(2));
    cores.stabilize();
    assert_eq!(peer(&cores, n(2)).match_index, Index(6));
}

#[test]
fn t40_a_window_in_bytes_holds_back_too_and_one_entry_always_goes() {
    let mut cores = Cores::with(3, |options| {
        options.window_bytes = 100;
        options.append_bytes_max = 100;
    });
    cores.elect(n(1));
    let long = "0123456789".repeat(30);
    for _ in 0..3 {
        cores.propose(n(1), &long);
    }
    assert_eq!(peer(&cores, n(2)).in_flight_messages, 1);
    cores.stabilize();
    assert_eq!(peer(&cores, n(2)).match_index, Index(4));
}

#[test]
fn t40_a_follower_that_was_silent_and_has_everything_leaves_probe_by_a_heartbeat() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    cores.cuts.insert((n(2), n(1)));
    cores.run(40);
    assert_eq!(peer(&cores, n(2)).mode, Mode::Probe);
    cores.heal();
    cores.run(5);
    assert_eq!(peer(&cores, n(2)).mode, Mode::Replicate);
}

#[test]
fn t41_entries_with_a_gap_or_out_of_order_are_not_looked_at() {
    let good = append(&[1, 1, 2, 2], 1, 4, 0);
    let mut gap = good.clone();
    gap.entries.remove(1);
    let mut far = good.clone();
    far.entries.remove(0);
    let mut order = good.clone();
    order.entries.swap(0, 2);
    let mut future = append(&[1, 1, 9], 1, 3, 0);
    future.commit = Index(0);
    let mut prev = good;
    prev.prev = LogPosition::new(0, 1);
    for (wrong, what) in [(gap, "gap"), (far, "gap after prev"), (order, "order"), (future, "term"), (prev, "prev")] {
        let mut cores = three(&[1]);
        cores.hear_append(n(2), n(1), 2, wrong);
        assert_eq!(cores.terms(n(1)), [1], "{what}");
        assert_eq!(ignored(&cores, IgnoredWhy::Malformed), 1, "{what}");
        assert!(cores.wire.is_empty(), "{what}");
    }
}

#[test]
fn t41_an_entry_whose_bytes_are_not_what_the_leader_hashed_is_not_stored() {
    let mut cores = three(&[1]);
    let mut rotten = append(&[1, 1, 1], 1, 3, 3);
    rotten.entries[1].command = bytes::Bytes::from_static(b"other");
    cores.hear_append(n(2), n(1), 1, rotten);
    assert_eq!(cores.terms(n(1)), [1]);
    assert_eq!(ignored(&cores, IgnoredWhy::Corrupt), 1);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 3));
    assert_eq!(cores.terms(n(1)), [1; 3]);
}

#[test]
fn t42_prev_at_and_below_the_compaction_boundary_is_no_conflict() {
    for prev in 0..=4 {
        let mut cores = three(&[1]);
        cores.hear_append(n(2), n(1), 1, append(&[1; 4], 1, 4, 4));
        cores.snapshot(n(1));
        assert_eq!(cores.status(n(1)).first_index, Index(5));
        cores.wire.clear();
        cores.hear_append(n(2), n(1), 1, append(&[1; 6], prev, 6, 5));
        assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(6) }, "prev {prev}");
        assert_eq!(cores.status(n(1)).commit, Index(5));
        // All of it below the boundary.
        cores.hear_append(n(2), n(1), 1, append(&[1; 6], 1, 3, 5));
        assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(3) });
    }
}

#[test]
fn t44_an_answer_that_waited_speaks_for_the_term_in_which_it_was_given() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.hold_disk(n(2));
    cores.propose(n(1), "x");
    cores.deliver_where(|message| message.to == n(2));
    // Before its disk answers, n2 moves on to term 3 and votes there.
    cores.hear(n(3), n(2), 3, request_vote(LogPosition::new(9, 2)));
    cores.release_disk(n(2));
    let answer = cores.said_once(n(2), n(1));
    assert_eq!(answer.term, Term(2));
    assert_eq!(cores.said_once(n(2), n(3)).term, Term(3));
    // A leader of another term does not count it.
    cores.hear(n(3), n(1), 3, request_vote(LogPosition::new(9, 2)));
    let before = ignored(&cores, IgnoredWhy::OldTerm);
    cores.deliver_message(answer);
    assert_eq!(ignored(&cores, IgnoredWhy::OldTerm), before + 1);
}

#[test]
fn t45_everything_passes_one_door_and_the_same_inputs_give_the_same_effects() {
    let live = || {
        let mut cores = Cores::seeded(3, 5, |_| {});
        cores.run(40);
        let leader = cores.leader().unwrap();
        cores.hold_disk(leader);
        cores.propose(leader, "x");
        cores.read(leader);
        cores.run(20);
        cores.release_disk(leader);
        cores.crash(leader);
        cores.run(60);
        cores.take_transcript()
    };
    let first = live();
    assert!(first.lines().count() > 50);
    assert_eq!(first, live());
}

#[test]
fn t46_too_much_uncommitted_is_refused_and_the_no_op_never_is() {
    let mut cores = Cores::with(3, |options| options.uncommitted_bytes_max = 100);
    cores.elect(n(1));
    cores.isolate(n(1));
    cores.isolate(n(2));
    for _ in 0..3 {
        cores.propose(n(1), "0123456789");
    }
    let refused = cores.propose(n(1), "one more");
    assert_eq!(cores.answer(n(1), refused), Some(&Outcome::Busy { uncommitted_bytes: 116 }));
    assert_eq!(cores.status(n(1)).last.index, Index(3));
    // The same node leads again with all of it uncommitted: its no-op goes in.
    cores.run(40);
    assert_eq!(cores.status(n(1)).uncommitted_bytes, 0, "who does not lead does not count");
    cores.heal();
    cores.wire.clear();
    cores.campaign(n(1));
    cores.stabilize();
    assert_eq!(cores.status(n(1)).role, Role::Leader);
    assert_eq!(cores.status(n(1)).uncommitted_bytes, 0);
    assert_eq!(cores.status(n(1)).commit, Index(4));
    let taken = cores.propose(n(1), "again");
    assert!(matches!(cores.answer(n(1), taken), Some(Outcome::Appended(_))));
}

#[test]
fn t46_a_new_leader_counts_what_it_finds() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    // Three entries of three bytes and the no-op.
    assert_eq!(cores.status(n(1)).uncommitted_bytes, 3 * 51 + 48);
    cores.stabilize();
    assert_eq!(cores.status(n(1)).uncommitted_bytes, 0);
}

#[test]
fn t47_batches_for_the_machine_neither_lose_nor_repeat_an_entry() {
    let mut cores = Cores::with(3, |options| options.apply_bytes_max = 100);
    cores.elect(n(1));
    cores.hold_machine(n(1));
    for place in 0..20 {
        cores.propose(n(1), &format!("value {place}"));
    }
    cores.stabilize();
    assert_eq!((cores.status(n(1)).commit, cores.status(n(1)).applied), (Index(21), Index(1)));
    // The machine of the harness asserts that each index comes once and in order.
    cores.release_machine(n(1));
    assert_eq!(cores.status(n(1)).applied, Index(21));
    assert_eq!(cores.node(n(1)).machine.values.len(), 20);
    assert_eq!(cores.status(n(1)).commit, Index(21));
}

#[test]
fn an_answer_that_does_not_count_moves_match_index_but_no_commit() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    cores.deliver_where(|message| message.to == n(2));
    let answer = cores.said_once(n(2), n(1));
    let Message::AppendEntriesReply(reply) = &answer.message else { panic!("{answer}") };
    for counted in [false, true] {
        let message = Message::AppendEntriesReply(AppendEntriesReply { counted, ..reply.clone() });
        cores.hear(n(2), n(1), 2, message);
        assert_eq!(peer(&cores, n(2)).match_index, Index(2));
        assert_eq!(cores.status(n(1)).commit, Index(if counted { 2 } else { 0 }));
    }
}
