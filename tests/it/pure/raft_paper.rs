//! Figure 2 of the paper, one test a sentence; the sentence is the comment, shortened where it is long. The sections are in
//! `raft_paper_sections.rs`.

use raft_tui::raft::event::EventKind;
use raft_tui::raft::message::AppendOutcome;
use raft_tui::raft::{HardState, Index, LogPosition, Message, MessageKind, Outcome, Role, Term};

use crate::support::cores::{Cores, n};
use crate::support::forge::{accepted, append, request_vote, vote};

/// A cluster whose nodes have these logs, none of which leads; the paper has neither PreVote nor CheckQuorum.
fn logs(logs: &[&[u64]]) -> Cores {
    let mut cores = Cores::with(logs.len() as u64, |options| {
        options.pre_vote = false;
        options.check_quorum = false;
    });
    for (place, terms) in logs.iter().enumerate() {
        cores.set_log(n(place as u64 + 1), terms);
    }
    cores
}

fn voted(cores: &Cores, node: u64) -> HardState {
    cores.node(n(node)).disk.synced.hard_state
}

// State.

/// "currentTerm: latest term server has seen (initialized to 0 on first boot)"; "votedFor … (or null if none)"; "log[] …
/// (first index is 1)".
#[test]
fn a_new_node_has_term_zero_no_vote_and_a_log_that_starts_at_one() {
    let cores = Cores::new(3);
    let status = cores.status(n(1));
    assert_eq!(status.hard_state, HardState { current_term: Term(0), voted_for: None });
    assert_eq!((status.first_index, status.last), (Index(1), LogPosition::ZERO));
}

/// "Persistent state on all servers (updated on stable storage before responding to RPCs)."
#[test]
fn term_vote_and_log_are_on_disk_before_the_answer_and_survive_a_crash() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.hear(n(2), n(1), 5, request_vote(LogPosition::new(1, 1)));
    assert_eq!(voted(&cores, 1), HardState { current_term: Term(5), voted_for: Some(n(2)) });
    cores.hear_append(n(2), n(1), 5, append(&[1, 5], 1, 2, 0));
    cores.crash(n(1));
    cores.restart(n(1));
    let status = cores.status(n(1));
    assert_eq!(status.hard_state, HardState { current_term: Term(5), voted_for: Some(n(2)) });
    assert_eq!(cores.terms(n(1)), [1, 5]);
}

/// "Persistent state …": while the disk has not answered, no answer leaves.
#[test]
fn no_answer_leaves_before_the_disk_has_answered() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.hold_disk(n(1));
    cores.hear(n(2), n(1), 5, request_vote(LogPosition::new(1, 1)));
    assert!(cores.said(n(1), n(2)).is_empty());
    cores.sync(n(1), 1);
    assert!(cores.granted(n(1), n(2)));
    cores.hear_append(n(2), n(1), 5, append(&[1, 5], 1, 2, 0));
    assert!(cores.said(n(1), n(2)).is_empty());
    cores.sync(n(1), 1);
    assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(2) });
}

/// "commitIndex … (initialized to 0, increases monotonically)"; "lastApplied … (initialized to 0, increases monotonically)".
#[test]
fn commit_index_and_last_applied_start_at_zero_and_never_fall() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    assert_eq!((cores.status(n(1)).commit, cores.status(n(1)).applied), (Index(0), Index(0)));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 3));
    assert_eq!((cores.status(n(1)).commit, cores.status(n(1)).applied), (Index(3), Index(3)));
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 1, 3, 1));
    assert_eq!((cores.status(n(1)).commit, cores.status(n(1)).applied), (Index(3), Index(3)));
}

/// "nextIndex[] … (initialized to leader last log index + 1)"; "matchIndex[] … (initialized to 0 …)".
#[test]
fn a_new_leader_starts_next_index_after_its_log_and_match_index_at_zero() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    for peer in cores.status(n(1)).peers {
        assert_eq!((peer.next_index, peer.match_index), (Index(4), Index(0)), "{peer:?}");
    }
}

// AppendEntries RPC, receiver.

/// "1. Reply false if term < currentTerm (§5.1)."
#[test]
fn append_entries_of_an_earlier_term_is_refused() {
    let mut cores = logs(&[&[1, 3], &[1], &[1]]);
    cores.hear_append(n(2), n(1), 2, append(&[1, 2], 1, 2, 2));
    let reply = cores.said_once(n(1), n(2));
    assert_eq!(reply.term, Term(3));
    let Message::AppendEntriesReply(reply) = reply.message else { panic!("{reply}") };
    assert_eq!(reply.outcome, AppendOutcome::NotLooked);
    assert_eq!((cores.terms(n(1)), cores.status(n(1)).commit), (vec![1, 3], Index(0)));
}

/// "2. Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm (§5.3)."
#[test]
fn append_entries_without_its_prev_is_refused() {
    for theirs in [&[1_u64, 1, 1][..], &[1, 2, 2]] {
        let mut cores = logs(&[&[1, 1], &[1], &[1]]);
        cores.hear_append(n(2), n(1), 2, append(theirs, 2, 3, 0));
        let missing = theirs[1] == 1;
        match cores.outcome(n(1), n(2)) {
            AppendOutcome::Accepted { .. } => assert!(missing, "prev 2@2 is not there"),
            AppendOutcome::Rejected { prev, .. } => assert!(!missing && prev == Index(2)),
            AppendOutcome::NotLooked => panic!("not looked at"),
        }
    }
    let mut cores = logs(&[&[1, 1], &[1], &[1]]);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1, 1], 3, 4, 0));
    let hint = LogPosition::new(2, 1);
    assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Rejected { prev: Index(3), hint });
}

/// "3. If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all
/// that follow it (§5.3)."
#[test]
fn a_conflicting_entry_and_all_that_follow_it_are_deleted() {
    let mut cores = logs(&[&[1, 1, 1, 1], &[1], &[1]]);
    cores.hear_append(n(2), n(1), 2, append(&[1, 1, 2], 1, 3, 0));
    assert_eq!(cores.terms(n(1)), [1, 1, 2]);
    assert_eq!(cores.node(n(1)).disk.synced.last(), LogPosition::new(3, 2), "on disk too");
}

/// "4. Append any new entries not already in the log."
#[test]
fn only_entries_not_already_in_the_log_are_appended() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1, 1, 1], 1, 5, 0));
    assert_eq!(cores.terms(n(1)), [1; 5]);
    let appended = EventKind::Appended { first: LogPosition::new(4, 1), last: LogPosition::new(5, 1) };
    assert!(cores.node(n(1)).events.contains(&appended));
}

/// "5. If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new entry)."
#[test]
fn a_follower_commits_to_the_smaller_of_leader_commit_and_last_new_entry() {
    for (leader_commit, last, commit) in [(1, 3, 1), (3, 3, 3), (9, 3, 3), (9, 2, 2)] {
        let mut cores = logs(&[&[1, 1, 1, 1], &[1], &[1]]);
        cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1, 1], 1, last, leader_commit));
        assert_eq!(cores.status(n(1)).commit, Index(commit), "leader {leader_commit}, last {last}");
    }
}

// RequestVote RPC, receiver.

/// "1. Reply false if term < currentTerm (§5.1)."
#[test]
fn a_vote_request_of_an_earlier_term_is_refused() {
    let mut cores = logs(&[&[1, 3], &[1], &[1]]);
    cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(9, 2)));
    let reply = cores.said_once(n(1), n(2));
    assert_eq!((reply.term, reply.message), (Term(3), vote(false)));
}

/// "2. If votedFor is null or candidateId, and candidate's log is at least as up-to-date as receiver's log, grant vote
/// (§5.2, §5.4)."
#[test]
fn a_vote_is_granted_if_none_was_given_and_the_log_is_up_to_date() {
    let mut cores = logs(&[&[1, 2], &[1], &[1]]);
    cores.hear(n(2), n(1), 3, request_vote(LogPosition::new(2, 2)));
    assert!(cores.granted(n(1), n(2)));
    cores.hear(n(3), n(1), 3, request_vote(LogPosition::new(9, 2)));
    assert!(!cores.granted(n(1), n(3)), "the vote of term 3 is given");
    cores.hear(n(2), n(1), 3, request_vote(LogPosition::new(2, 2)));
    assert!(cores.granted(n(1), n(2)), "to the same candidate again");
    assert_eq!(voted(&cores, 1).voted_for, Some(n(2)));
}

/// "… and candidate's log is at least as up-to-date as receiver's log".
#[test]
fn a_vote_is_refused_to_a_log_that_is_behind() {
    let mut cores = logs(&[&[1, 2], &[1], &[1]]);
    cores.hear(n(2), n(1), 3, request_vote(LogPosition::new(1, 2)));
    assert!(!cores.granted(n(1), n(2)));
    assert_eq!(voted(&cores, 1), HardState { current_term: Term(3), voted_for: None });
}

// Rules for servers: all.

/// "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine (§5.3)."
#[test]
fn what_is_committed_is_applied_in_log_order() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.hear_append(n(2), n(1), 1, append(&[1, 1, 1], 0, 3, 3));
    let values: Vec<_> = cores.node(n(1)).machine.values.iter().map(|value| value.to_vec()).collect();
    assert_eq!(values, [b"1@1", b"2@1", b"3@1"]);
}

/// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to follower (§5.1)."
#[test]
fn a_higher_term_in_any_request_or_answer_makes_a_follower() {
    let messages = [
        Message::AppendEntries(append(&[1, 1], 1, 1, 0)),
        accepted(1, 0, 1),
        request_vote(LogPosition::new(1, 1)),
        vote(false),
        crate::support::forge::read_index(1),
    ];
    for message in messages {
        for lead in [false, true] {
            let mut cores = logs(&[&[1], &[1], &[1]]);
            cores.campaign(n(1));
            if lead {
                cores.stabilize();
            }
            cores.hear(n(2), n(1), 7, message.clone());
            let status = cores.status(n(1));
            assert_eq!((status.role, status.hard_state.current_term), (Role::Follower, Term(7)), "{message}");
        }
    }
}

// Rules for servers: followers.

/// "Respond to RPCs from candidates and leaders." Of itself a follower says nothing (§5.2: "followers are passive").
#[test]
fn a_follower_answers_and_says_nothing_of_itself() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.tick(n(1), 14);
    assert!(cores.wire.is_empty());
    cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(1, 1)));
    assert!(cores.granted(n(1), n(2)));
    cores.hear_append(n(2), n(1), 2, append(&[1, 2], 1, 2, 0));
    assert!(matches!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { .. }));
}

/// "If election timeout elapses without receiving AppendEntries RPC from current leader or granting vote to candidate:
/// convert to candidate."
#[test]
fn a_follower_that_hears_nobody_becomes_a_candidate() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.tick(n(1), 30);
    assert_eq!(cores.status(n(1)).role, Role::Candidate);
}

/// "… without receiving AppendEntries RPC from current leader or granting vote".
#[test]
fn append_entries_and_a_granted_vote_reset_the_timer_and_a_refused_vote_does_not() {
    let mut cores = logs(&[&[1, 1], &[1], &[1]]);
    for (message, resets) in [
        (Message::AppendEntries(append(&[1, 1], 2, 2, 0)), true),
        (request_vote(LogPosition::new(1, 1)), false),
        (request_vote(LogPosition::new(2, 1)), true),
    ] {
        cores.tick(n(1), 9);
        let term = if message.kind() == MessageKind::Heartbeat { 1 } else { 2 };
        cores.hear(n(2), n(1), term, message.clone());
        assert_eq!(cores.status(n(1)).election_elapsed == 0, resets, "{message}");
    }
}

// Rules for servers: candidates.

/// "On conversion to candidate, start election: increment currentTerm, vote for self, reset election timer, send
/// RequestVote RPCs to all other servers."
#[test]
fn a_candidate_raises_its_term_votes_for_itself_and_asks_everybody() {
    let mut cores = logs(&[&[1], &[1], &[1], &[1], &[1]]);
    cores.campaign(n(1));
    assert_eq!(voted(&cores, 1), HardState { current_term: Term(2), voted_for: Some(n(1)) });
    assert_eq!(cores.status(n(1)).election_elapsed, 0);
    for other in 2..=5 {
        let request = cores.said_once(n(1), n(other));
        assert_eq!((request.term, request.message), (Term(2), request_vote(LogPosition::new(1, 1))));
    }
}

/// "If votes received from majority of servers: become leader."
#[test]
fn votes_of_a_majority_make_a_leader() {
    for (count, needed) in [(2, 1), (3, 1), (4, 2), (5, 2), (7, 3)] {
        let mut cores = logs(&vec![&[1_u64][..]; count]);
        cores.campaign(n(1));
        for voter in 2..=needed + 1 {
            assert_eq!(cores.status(n(1)).role, Role::Candidate, "{count} nodes");
            cores.hear(n(voter), n(1), 2, vote(true));
        }
        assert_eq!(cores.status(n(1)).role, Role::Leader, "{count} nodes");
    }
}

/// "If AppendEntries RPC received from new leader: convert to follower."
#[test]
fn append_entries_of_the_new_leader_makes_a_candidate_a_follower() {
    for term in [2, 3] {
        let mut cores = logs(&[&[1], &[1], &[1]]);
        cores.campaign(n(1));
        cores.hear_append(n(2), n(1), term, append(&[1, term], 1, 2, 0));
        let status = cores.status(n(1));
        assert_eq!((status.role, status.leader), (Role::Follower, Some(n(2))));
        assert_eq!(cores.terms(n(1)), [1, term]);
    }
}

/// "If election timeout elapses: start new election."
#[test]
fn a_candidate_whose_time_runs_out_starts_a_new_election() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.campaign(n(1));
    assert_eq!(voted(&cores, 1), HardState { current_term: Term(3), voted_for: Some(n(1)) });
    assert_eq!(cores.said(n(1), n(2)).len(), 2, "and asks again");
}

// Rules for servers: leaders.

/// "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server; repeat during idle periods to
/// prevent election timeouts (§5.2)." (The first one carries the no-op of the term, §8.)
#[test]
fn a_leader_speaks_at_once_and_then_again_and_again() {
    let mut cores = logs(&[&[1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.drop_where(|_| true);
    cores.hear(n(2), n(1), 2, vote(true));
    for other in [2, 3] {
        assert_eq!(cores.said_once(n(1), n(other)).message.kind(), MessageKind::AppendEntries);
    }
    for _ in 0..10 {
        cores.tick(n(1), 5);
        for other in [2, 3] {
            assert_eq!(cores.said_once(n(1), n(other)).message.kind(), MessageKind::Heartbeat);
        }
        cores.hear(n(2), n(1), 2, accepted(0, 0, 0));
    }
}

/// "If command received from client: append entry to local log, respond after entry applied to state machine (§5.3)."
#[test]
fn a_command_is_appended_and_counts_when_it_is_applied() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    let ticket = cores.propose(n(1), "x");
    let position = LogPosition::new(3, 2);
    assert_eq!(cores.answer(n(1), ticket), Some(&Outcome::Appended(position)));
    assert!(cores.status(n(1)).applied < position.index, "nobody else has it yet");
    cores.stabilize();
    assert_eq!(cores.status(n(1)).applied, position.index);
    assert_eq!(cores.node(n(1)).machine.values.last().unwrap(), "x");
}

/// "If last log index ≥ nextIndex for a follower: send AppendEntries RPC with log entries starting at nextIndex."
#[test]
fn a_leader_sends_the_entries_from_next_index_on() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    assert_eq!(cores.status(n(1)).peers[0].next_index, Index(3));
    cores.propose(n(1), "x");
    let Message::AppendEntries(sent) = cores.said_once(n(1), n(2)).message else { panic!() };
    assert_eq!(sent.prev, LogPosition::new(2, 2));
    assert_eq!(sent.entries.iter().map(raft_tui::raft::Entry::position).collect::<Vec<_>>(), [LogPosition::new(3, 2)]);
    assert_eq!(sent.commit, Index(2));
}

/// "If successful: update nextIndex and matchIndex for follower (§5.3)."
#[test]
fn an_answer_moves_match_index_and_next_index() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.propose(n(1), "x");
    cores.stabilize();
    for peer in cores.status(n(1)).peers {
        assert_eq!((peer.match_index, peer.next_index), (Index(3), Index(4)));
    }
}

/// "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry (§5.3)."
#[test]
fn after_a_refusal_next_index_falls_and_the_leader_tries_again() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    let first = cores.said_once(n(1), n(2));
    let Message::AppendEntries(append) = &first.message else { panic!("{first}") };
    assert_eq!(append.prev, LogPosition::new(3, 1));
    cores.deliver_message(first);
    cores.deliver_where(|message| message.from == n(2));
    let retry = cores.said_once(n(1), n(2));
    let Message::AppendEntries(append) = &retry.message else { panic!("{retry}") };
    assert_eq!((append.prev, append.entries.len()), (LogPosition::new(1, 1), 3));
    cores.deliver_message(retry);
    assert_eq!(cores.terms(n(2)), [1, 1, 1, 2]);
}

/// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] ≥ N, and log[N].term == currentTerm: set
/// commitIndex = N (§5.3, §5.4)."
#[test]
fn a_leader_commits_what_a_majority_has_of_its_own_term() {
    let mut cores = logs(&[&[1, 1], &[1, 1], &[1, 1], &[1, 1], &[1, 1]]);
    cores.campaign(n(1));
    for voter in [2, 3] {
        cores.hear(n(voter), n(1), 2, vote(true));
    }
    cores.wire.clear();
    for follower in [2, 3, 4] {
        cores.hear(n(follower), n(1), 2, accepted(1, 0, 2));
        assert_eq!(cores.status(n(1)).commit, Index(0), "entry 2 is of term 1");
    }
    cores.tick(n(1), 5);
    cores.deliver_where(|message| message.to == n(2));
    cores.stabilize();
    assert_eq!(cores.status(n(1)).commit, Index(3), "entry 3 is of term 2, and takes the others along");
}
