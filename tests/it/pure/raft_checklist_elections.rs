//! The checklist of `docs/checklist.md`, T-16 to T-32: elections, PreVote, CheckQuorum, timers.

use std::collections::BTreeSet;

use raft_tui::raft::event::{EventKind, StepDown};
use raft_tui::raft::message::AppendOutcome;
use raft_tui::raft::{
    Configuration, Envelope, Epoch, HardState, Index, LogPosition, Message, MessageKind, NodeId, Role, Term,
};

use crate::support::cores::{Cores, n};
use crate::support::forge::{append, piece, pre_vote, request_vote, snapshot, vote};

fn led() -> Cores {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    cores
}

fn kinds(cores: &Cores, from: NodeId) -> Vec<MessageKind> {
    cores.wire.iter().filter(|message| message.from == from).map(|message| message.message.kind()).collect()
}

#[test]
fn t16_a_pre_vote_changes_nothing_at_the_voter() {
    let mut cores = Cores::new(3);
    cores.tick(n(1), 10);
    let before = cores.status(n(1));
    let disk = cores.node(n(1)).disk.synced.hard_state;
    for term in [1, 5] {
        cores.hear(n(2), n(1), term, pre_vote(LogPosition::new(4, 3)));
        assert!(cores.granted(n(1), n(2)));
    }
    assert_eq!(cores.status(n(1)), before, "no term, no vote, no timer");
    assert_eq!(cores.node(n(1)).disk.synced.hard_state, disk);
}

#[test]
fn t16_a_pre_vote_does_not_clear_a_vote() {
    let mut cores = Cores::new(3);
    cores.hear(n(2), n(1), 1, request_vote(LogPosition::ZERO));
    assert!(cores.granted(n(1), n(2)));
    cores.hear(n(3), n(1), 2, pre_vote(LogPosition::ZERO));
    assert!(cores.granted(n(1), n(3)));
    cores.hear(n(3), n(1), 1, request_vote(LogPosition::ZERO));
    assert!(!cores.granted(n(1), n(3)));
}

#[test]
fn t17_a_refused_pre_vote_carries_the_voters_term_and_the_asker_adopts_it() {
    let mut cores = Cores::new(3);
    cores.set_term(n(2), Term(9));
    cores.campaign(n(1));
    cores.deliver_where(|message| message.to == n(2));
    assert_eq!(cores.wire.iter().find(|message| message.from == n(2)).unwrap().term, Term(9));
    cores.deliver_where(|message| message.from == n(2));
    let status = cores.status(n(1));
    assert_eq!((status.role, status.hard_state.current_term), (Role::Follower, Term(9)));
    // With it, it can win.
    cores.campaign(n(1));
    cores.stabilize();
    assert_eq!(cores.leader(), Some(n(1)));
    assert_eq!(cores.raft(n(1)).current_term(), Term(10));
}

#[test]
fn t18_a_grant_speaks_for_the_requested_term_a_refusal_for_the_own() {
    let mut cores = Cores::new(3);
    cores.set_term(n(1), Term(4));
    for (asked, term, granted) in [(7, 7, true), (5, 5, true), (4, 4, false), (2, 4, false)] {
        cores.hear(n(2), n(1), asked, pre_vote(LogPosition::ZERO));
        let answer = cores.said_once(n(1), n(2));
        assert_eq!(answer.term, Term(term));
        assert_eq!(answer.message, Message::PreVoteReply { campaign_term: Term(asked), granted });
    }
}

#[test]
fn t19_a_pre_candidate_forgets_its_leader_and_its_earlier_votes() {
    let mut cores = led();
    cores.isolate(n(2));
    cores.campaign(n(2));
    let status = cores.status(n(2));
    assert_eq!((status.role, status.leader, status.votes), (Role::PreCandidate, None, vec![n(2)]));
    cores.heal();
    cores.hear(n(3), n(2), 1, Message::PreVoteReply { campaign_term: Term(2), granted: false });
    assert_eq!(cores.status(n(2)).refusals, [n(3)]);
    cores.campaign(n(2));
    assert_eq!(cores.status(n(2)).refusals, [], "a new asking starts with no answers");
}

#[test]
fn t19_two_that_lost_their_leader_do_not_keep_each_other_from_winning() {
    // etcd#8334: a pre-candidate that still believes in the dead leader would refuse everybody for ever.
    let mut cores = led();
    cores.run(20);
    cores.crash(n(1));
    cores.run(80);
    assert!(cores.leader().is_some_and(|leader| leader != n(1)));
}

#[test]
fn t19_late_pre_votes_are_ignored_by_who_has_won() {
    let mut cores = Cores::new(5);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::PreVote);
    let late = cores.take_where(|message| message.from == n(5));
    cores.stabilize();
    assert_eq!(cores.leader(), Some(n(1)));
    for message in late {
        cores.deliver_message(message);
    }
    assert_eq!((cores.leader(), cores.raft(n(1)).current_term()), (Some(n(1)), Term(1)));
}

#[test]
fn t19_the_leaders_own_pre_vote_is_not_refused_for_the_leader() {
    // The leader restarted and wants to lead again: those who follow it are not disturbed by it.
    let mut cores = led();
    cores.run(10);
    cores.crash(n(1));
    cores.restart(n(1));
    cores.hear(n(1), n(2), 2, pre_vote(LogPosition::new(1, 1)));
    assert!(cores.granted(n(2), n(1)));
}

#[test]
fn t20_a_leader_of_an_earlier_term_hears_the_newer_one() {
    let mut cores = led();
    // n3 got a higher term on the other side of a one-way link, and refuses its leader.
    cores.set_term(n(3), Term(6));
    cores.tick(n(1), 5);
    cores.deliver_where(|message| message.to == n(3));
    let answer = cores.said_once(n(3), n(1));
    assert_eq!(answer.term, Term(6));
    cores.deliver_message(answer);
    assert_eq!((cores.status(n(1)).role, cores.raft(n(1)).current_term()), (Role::Follower, Term(6)));
    cores.run(100);
    assert!(cores.leader().is_some(), "nobody is stuck");
    assert!(cores.ids().into_iter().all(|id| cores.raft(id).current_term() >= Term(7)));
}

#[test]
fn t20_a_snapshot_of_an_earlier_term_is_answered_with_the_newer_one() {
    let mut cores = led();
    cores.set_term(n(3), Term(6));
    cores.wire.clear();
    let snapshot = snapshot(&[1], 3);
    cores.hear(n(1), n(3), 1, piece(&snapshot, 0, snapshot.1.len()));
    assert_eq!(cores.said_once(n(3), n(1)).term, Term(6));
}

/// Lets a cluster of five live with these links cut, and gives who leads at the end.
fn live_with(cores: &mut Cores, keep: &[(u64, u64)]) -> Option<NodeId> {
    for a in cores.ids() {
        for b in cores.ids() {
            if a != b && !keep.contains(&(a.0, b.0)) && !keep.contains(&(b.0, a.0)) {
                cores.cuts.insert((a, b));
            }
        }
    }
    cores.run(300);
    cores.leader()
}

#[test]
fn t22_two_leaves_on_different_hubs_and_a_leader_out_of_reach() {
    // n1 leads and loses everybody but n2. n2, n3, n4 see each other; n5 hangs on n4 alone.
    let mut cores = Cores::new(5);
    cores.elect(n(1));
    let leader = live_with(&mut cores, &[(1, 2), (2, 3), (3, 4), (2, 4), (4, 5)]);
    assert!(!cores.raft(n(1)).is_leader(), "it has only n2");
    let leader = leader.expect("somebody with three who hear it leads");
    assert!([n(2), n(3), n(4)].contains(&leader));
    cores.propose(leader, "x");
    cores.run(10);
    assert!(cores.status(leader).uncommitted_bytes == 0, "and can commit");
}

#[test]
fn t22_a_bridge_does_not_keep_a_leader_without_a_majority_alive() {
    let mut cores = Cores::new(5);
    cores.elect(n(1));
    // Only n3 sees both sides.
    let leader = live_with(&mut cores, &[(1, 3), (2, 3), (3, 4), (3, 5)]);
    assert_eq!(leader, Some(n(3)));
    assert!(cores.node(n(1)).events.contains(&EventKind::SteppedDown { why: StepDown::LostQuorum }));
}

#[test]
fn t22_a_leader_that_can_send_but_not_hear_steps_down() {
    let mut cores = led();
    cores.cuts.extend([(n(2), n(1)), (n(3), n(1))]);
    cores.run(100);
    assert!(!cores.raft(n(1)).is_leader());
    assert!(cores.leader().is_some_and(|leader| leader != n(1)));
}

#[test]
fn t22_a_follower_that_can_send_but_not_hear_disturbs_nobody() {
    let mut cores = led();
    cores.cuts.insert((n(1), n(3)));
    cores.run(300);
    assert!(cores.raft(n(1)).is_leader());
    assert_eq!(cores.raft(n(1)).current_term(), Term(1));
}

#[test]
fn t23_a_leader_without_a_majority_steps_down_and_falls_silent() {
    let mut cores = led();
    let read = cores.read(n(1));
    cores.wire.clear();
    cores.isolate(n(1));
    cores.tick(n(1), 15);
    assert!(cores.node(n(1)).events.contains(&EventKind::SteppedDown { why: StepDown::LostQuorum }));
    assert!(cores.answer(n(1), read).is_some(), "the read is given up");
    cores.heal();
    cores.wire.clear();
    cores.tick(n(1), 14);
    assert!(cores.wire.is_empty(), "not a heartbeat, not a snapshot, not a round of reads: {:?}", cores.wire);
}

#[test]
fn t24_the_quorum_of_a_leader_counts_itself() {
    let mut cores = Cores::new(5);
    cores.elect(n(1));
    cores.crash(n(4));
    cores.crash(n(5));
    cores.run(200);
    assert!(cores.raft(n(1)).is_leader(), "it and two others are three of five");
    cores.crash(n(3));
    cores.run(40);
    assert!(!cores.raft(n(1)).is_leader());
}

#[test]
fn t25_majorities_of_all_sizes() {
    for (count, majority) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5), (9, 5)] {
        let configuration = Configuration::first(count);
        assert_eq!(configuration.majority(), majority);
        for yes in 0..=count {
            assert_eq!(configuration.is_majority(|voter| voter.0 <= yes), yes as usize >= majority, "{yes} of {count}");
        }
        assert_eq!(configuration.majority_index(|voter| Index(voter.0)), Index(count - majority as u64 + 1));
    }
}

#[test]
fn t25_clusters_of_one_two_and_four_elect_and_commit() {
    for count in [1, 2, 4] {
        let mut cores = Cores::new(count);
        cores.elect(n(1));
        cores.propose(n(1), "x");
        cores.stabilize();
        for id in cores.ids() {
            assert_eq!(cores.status(id).applied, Index(2), "{count} nodes");
        }
    }
    let mut cores = Cores::new(4);
    cores.crash(n(3));
    cores.crash(n(4));
    cores.run(100);
    assert_eq!(cores.leader(), None, "two of four are no majority");
}

#[test]
fn t26_a_voter_counts_once_and_only_for_this_term_and_phase() {
    let mut cores = Cores::new(5);
    cores.campaign(n(1));
    let yes = |term| Message::PreVoteReply { campaign_term: Term(term), granted: true };
    cores.hear(n(2), n(1), 1, yes(1));
    cores.hear(n(2), n(1), 1, yes(1));
    cores.hear(n(3), n(1), 1, vote(true));
    assert_eq!(cores.status(n(1)).role, Role::Follower, "a vote for term 1 shows that somebody is in term 1");
    let mut cores = Cores::new(5);
    cores.campaign(n(1));
    for _ in 0..3 {
        cores.hear(n(2), n(1), 1, yes(1));
    }
    assert_eq!(cores.status(n(1)).role, Role::PreCandidate);
    cores.hear(n(3), n(1), 1, yes(1));
    assert_eq!(cores.status(n(1)).role, Role::Candidate);
    cores.hear(n(4), n(1), 1, yes(1));
    cores.hear(n(5), n(1), 1, yes(1));
    assert_eq!(cores.status(n(1)).votes, [n(1)], "pre-votes are no votes");
    for _ in 0..3 {
        cores.hear(n(2), n(1), 1, vote(true));
    }
    assert_eq!(cores.status(n(1)).role, Role::Candidate);
    // An answer that was a no stays one.
    cores.hear(n(3), n(1), 1, vote(false));
    cores.hear(n(3), n(1), 1, vote(true));
    assert_eq!((cores.status(n(1)).votes, cores.status(n(1)).refusals), (vec![n(1), n(2)], vec![n(3)]));
}

#[test]
fn t26_votes_of_an_earlier_life_do_not_count() {
    let mut cores = Cores::new(3);
    cores.campaign(n(1));
    cores.deliver_where(|_| true);
    cores.crash(n(2));
    cores.restart(n(2));
    cores.tick(n(2), 1);
    cores.hear(n(2), n(1), 0, Message::ReadIndex { ticket: raft_tui::raft::Ticket(1) });
    let old = Envelope {
        from: n(2),
        to: n(1),
        epoch: Epoch(1),
        number: 9,
        term: Term(1),
        message: Message::PreVoteReply { campaign_term: Term(1), granted: true },
    };
    cores.wire.clear();
    cores.deliver_message(old);
    assert_eq!(cores.status(n(1)).role, Role::PreCandidate);
}

#[test]
fn t27_every_word_of_the_leader_resets_the_timer_even_one_that_is_refused() {
    let snapshot = snapshot(&[1, 1, 1, 1, 1, 1], 3);
    for message in [
        Message::AppendEntries(append(&[1, 1], 2, 2, 0)),
        Message::AppendEntries(append(&[1, 1, 1], 3, 3, 0)),
        piece(&snapshot, 0, 2),
        piece(&snapshot, 9, 12),
    ] {
        let mut cores = Cores::new(3);
        cores.set_log(n(1), &[1, 1]);
        cores.tick(n(1), 10);
        cores.hear(n(2), n(1), 1, message.clone());
        assert_eq!(cores.status(n(1)).election_elapsed, 0, "{message}");
    }
}

#[test]
fn t27_a_refused_vote_and_a_higher_term_do_not_reset_the_timer() {
    let mut cores = Cores::new(3);
    cores.set_log(n(1), &[1, 1]);
    cores.tick(n(1), 10);
    cores.hear(n(2), n(1), 5, request_vote(LogPosition::new(1, 1)));
    assert!(!cores.granted(n(1), n(2)));
    assert_eq!(cores.status(n(1)).election_elapsed, 10);
    assert_eq!(cores.raft(n(1)).current_term(), Term(5));
}

#[test]
fn t28_who_is_installing_a_snapshot_does_not_stand() {
    let snapshot = snapshot(&[1, 1, 1], 3);
    let mut cores = Cores::new(3);
    // It is durable, and the machine is still being rebuilt.
    cores.node_mut(n(1)).installs_held = true;
    cores.hear(n(2), n(1), 1, piece(&snapshot, 0, snapshot.1.len()));
    cores.wire.clear();
    cores.tick(n(1), 100);
    assert_eq!((cores.status(n(1)).role, cores.wire.len()), (Role::Follower, 0));
    cores.release_install(n(1));
    assert_eq!(cores.status(n(1)).commit, Index(3));
    cores.wire.clear();
    cores.campaign(n(1));
    assert_eq!(kinds(&cores, n(1)), [MessageKind::PreVote; 2]);
}

#[test]
fn t30_a_node_that_was_cut_off_does_not_depose_a_leader_that_works() {
    let mut cores = led();
    cores.isolate(n(3));
    cores.run(200);
    cores.heal();
    cores.run(200);
    assert_eq!((cores.leader(), cores.raft(n(1)).current_term()), (Some(n(1)), Term(1)));
    // Nor with a vote request for a high term (one that does not ask before).
    cores.hear(n(3), n(2), 40, request_vote(LogPosition::new(9, 9)));
    assert_eq!(cores.raft(n(2)).current_term(), Term(1));
    assert!(cores.said(n(2), n(3)).is_empty());
}

#[test]
fn t31_timeouts_are_spread_differ_between_nodes_and_repeat_with_the_seed() {
    let draw = |seed| {
        let mut cores = Cores::seeded(5, seed, |options| options.pre_vote = false);
        let ids = cores.ids();
        let mut drawn = Vec::new();
        for id in ids {
            for _ in 0..5 {
                drawn.push(cores.status(id).election_timeout);
                cores.campaign(id);
            }
        }
        drawn
    };
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    let drawn = draw(7);
    assert!(drawn.iter().collect::<BTreeSet<_>>().len() >= 8, "{drawn:?}");
    assert_ne!(drawn[..5], drawn[5..10], "n1 and n2 draw from streams of their own");
}

#[test]
fn t31_a_jump_of_the_clock_is_only_many_ticks() {
    let mut cores = led();
    cores.tick(n(2), 100_000);
    cores.stabilize();
    cores.run(100);
    assert!(cores.leader().is_some());
}

#[test]
fn t32_two_leaders_in_one_term_stop_the_node_with_the_evidence() {
    let mut cores = Cores::new(3);
    cores.laws.violations_are_expected = true;
    cores.hear_append(n(2), n(1), 1, append(&[1], 0, 1, 0));
    assert!(matches!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { .. }));
    cores.hear_append(n(3), n(1), 1, append(&[1], 0, 1, 0));
    let halted = cores.status(n(1)).halted.unwrap_or_default();
    assert!(halted.contains("n2 and n3 both speak as leader of term 1"), "{halted}");
    cores.tick(n(1), 100);
    cores.hear(n(2), n(1), 9, request_vote(LogPosition::new(9, 8)));
    assert!(cores.wire.is_empty(), "silent for good");
    assert_eq!(cores.status(n(1)).hard_state, HardState { current_term: Term(1), voted_for: None });
}
