//! §5 to §8 of the paper, one test a sentence; the sentence is the comment, shortened where it is long. Figure 2 is in
//! `raft_paper.rs`, Figures 7 and 8 are golden transcripts. §6 (membership changes) is not built yet.

use std::collections::BTreeSet;

use raft_tui::raft::event::EventKind;
use raft_tui::raft::message::{AppendOutcome, SnapshotOutcome};
use raft_tui::raft::{Configuration, Index, LogPosition, Message, MessageKind, NodeId, Options, Outcome, Role, Term};

use crate::support::cores::{Cores, n};
use crate::support::forge::{append, piece, request_vote, snapshot, vote};

/// A cluster whose nodes have these logs, none of which leads; the paper has neither PreVote nor CheckQuorum.
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

fn three() -> Cores {
    logs(&[&[1], &[1], &[1]])
}

// §5.1 Raft basics.

/// "Terms are numbered with consecutive integers. Each term begins with an election."
#[test]
fn terms_are_consecutive_and_begin_with_an_election() {
    let mut cores = three();
    for term in 2..6 {
        cores.campaign(n(1));
        assert_eq!(cores.raft(n(1)).current_term(), Term(term));
    }
}

/// "Raft ensures that there is at most one leader in a given term." (Also a law of every cluster of cores here.)
#[test]
fn a_term_in_which_the_vote_is_split_has_no_leader() {
    let mut cores = logs(&[&[1], &[1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.campaign(n(2));
    cores.deliver_where(|message| message.from == n(1) && message.to == n(3));
    cores.deliver_where(|message| message.from == n(2) && message.to == n(4));
    cores.stabilize();
    assert_eq!(cores.leader(), None);
    cores.campaign(n(1));
    cores.stabilize();
    assert_eq!(cores.leader(), Some(n(1)), "the next term has one");
}

/// "If a server receives a request with a stale term number, it rejects the request", and its answer carries the term.
#[test]
fn every_stale_request_is_rejected_with_the_newer_term() {
    let snapshot = snapshot(&[1, 1], 3);
    for request in [
        request_vote(LogPosition::new(9, 2)),
        Message::AppendEntries(append(&[1, 2], 1, 2, 0)),
        piece(&snapshot, 0, snapshot.1.len()),
    ] {
        let mut cores = logs(&[&[1, 3], &[1], &[1]]);
        cores.hear(n(2), n(1), 2, request);
        assert_eq!(cores.said_once(n(1), n(2)).term, Term(3));
        assert_eq!((cores.terms(n(1)), cores.status(n(1)).leader), (vec![1, 3], None));
    }
}

// §5.2 Leader election.

/// "When servers start up, they begin as followers."
#[test]
fn servers_start_as_followers() {
    let mut cores = three();
    cores.elect(n(1));
    cores.crash(n(1));
    cores.restart(n(1));
    assert_eq!((cores.status(n(1)).role, cores.status(n(1)).leader), (Role::Follower, None));
}

/// "A server remains in follower state as long as it receives valid RPCs from a leader or candidate."
#[test]
fn heartbeats_keep_followers_followers() {
    let mut cores = Cores::new(3);
    cores.elect(n(1));
    cores.run(500);
    for follower in [n(2), n(3)] {
        let timeouts = |event: &&EventKind| matches!(event, EventKind::ElectionTimeout { .. });
        assert_eq!(cores.node(follower).events.iter().filter(timeouts).count(), 0);
    }
    assert_eq!(cores.raft(n(1)).current_term(), Term(1));
}

/// "Leaders send periodic heartbeats … to all followers in order to maintain their authority."
#[test]
fn a_leader_sends_a_heartbeat_to_everybody_each_interval() {
    let mut cores = Cores::led_by_n1(5, &[1]);
    cores.tick(n(1), 4);
    assert!(cores.wire.is_empty());
    cores.tick(n(1), 1);
    for follower in 2..=5 {
        assert_eq!(cores.said_once(n(1), n(follower)).message.kind(), MessageKind::Heartbeat);
    }
}

/// "A candidate … remains in candidate state": "if the term in the RPC is smaller than the candidate's current term, then
/// the candidate rejects the RPC and continues in candidate state."
#[test]
fn a_candidate_refuses_a_leader_of_an_earlier_term_and_stays_candidate() {
    let mut cores = three();
    cores.campaign(n(1));
    cores.wire.clear();
    cores.hear_append(n(2), n(1), 1, append(&[1, 1], 1, 2, 2));
    assert_eq!(cores.status(n(1)).role, Role::Candidate);
    assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::NotLooked);
}

/// "A candidate wins an election if it receives votes from a majority of the servers in the full cluster for the same
/// term": answers of other terms, and the same voter twice, do not count.
#[test]
fn only_different_voters_of_this_term_count() {
    let mut cores = logs(&[&[1], &[1], &[1], &[1], &[1]]);
    cores.campaign(n(1));
    cores.campaign(n(1));
    cores.hear(n(2), n(1), 3, vote(true));
    cores.hear(n(2), n(1), 3, vote(true));
    cores.hear(n(3), n(1), 2, vote(true));
    cores.hear(n(4), n(1), 3, vote(false));
    assert_eq!(cores.status(n(1)).role, Role::Candidate);
    cores.hear(n(5), n(1), 3, vote(true));
    assert_eq!(cores.status(n(1)).role, Role::Leader);
}

/// "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis", across crashes.
#[test]
fn a_vote_is_not_given_again_after_a_crash() {
    let mut cores = three();
    cores.hear(n(2), n(1), 2, request_vote(LogPosition::new(1, 1)));
    assert!(cores.granted(n(1), n(2)));
    cores.crash(n(1));
    cores.restart(n(1));
    cores.hear(n(3), n(1), 2, request_vote(LogPosition::new(5, 1)));
    assert!(!cores.granted(n(1), n(3)));
}

/// "Election timeouts are chosen randomly from a fixed interval (e.g., 150–300ms)."
#[test]
fn election_timeouts_are_random_in_a_fixed_interval() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let mut cores = Cores::seeded(3, seed, |_| {});
        for _ in 0..3 {
            let timeout = cores.status(n(1)).election_timeout;
            assert!((15..30).contains(&timeout), "{timeout}");
            seen.insert(timeout);
            cores.campaign(n(1));
        }
    }
    assert_eq!(seen.len(), 15, "all of them occur: {seen:?}");
}

/// "Each candidate restarts its randomized election timeout at the start of an election."
#[test]
fn a_candidate_draws_a_new_timeout_for_each_election() {
    let mut cores = three();
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        cores.campaign(n(1));
        assert_eq!(cores.status(n(1)).election_elapsed, 0);
        seen.insert(cores.status(n(1)).election_timeout);
    }
    assert!(seen.len() > 5, "{seen:?}");
}

// §5.3 Log replication.

/// "The leader … issues AppendEntries RPCs in parallel to each of the other servers": nobody waits for another.
#[test]
fn a_follower_that_does_not_answer_does_not_hold_up_the_others() {
    let mut cores = Cores::led_by_n1(5, &[1]);
    cores.crash(n(4));
    cores.crash(n(5));
    for _ in 0..20 {
        cores.propose(n(1), "x");
    }
    cores.stabilize();
    assert_eq!(cores.status(n(1)).commit, Index(22));
}

/// "If followers crash or run slowly, or if network packets are lost, the leader retries AppendEntries RPCs indefinitely …
/// until all followers eventually store all log entries."
#[test]
fn the_leader_retries_until_all_followers_have_all_entries() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.crash(n(3));
    for _ in 0..10 {
        cores.propose(n(1), "x");
    }
    cores.run(200);
    cores.restart(n(3));
    cores.run(10);
    assert_eq!(cores.terms(n(3)), cores.terms(n(1)));
    assert_eq!(cores.status(n(3)).applied, Index(12));
}

/// "A log entry is committed once the leader that created the entry has replicated it on a majority of the servers.
/// This also commits all preceding entries in the leader's log, including entries created by previous leaders."
#[test]
fn committing_an_entry_commits_all_before_it() {
    let mut cores = logs(&[&[1, 2, 2, 3], &[1], &[1]]);
    cores.elect(n(1));
    let committed: Vec<_> =
        cores.node(n(1)).events.iter().filter(|event| matches!(event, EventKind::Committed { .. })).collect();
    assert_eq!(committed, [&EventKind::Committed { index: Index(5) }], "all at once");
    assert_eq!(cores.node(n(1)).machine.values.len(), 4);
}

/// "The leader keeps track of the highest index it knows to be committed, and it includes that index in future
/// AppendEntries RPCs (including heartbeats)": a follower then applies in log order.
#[test]
fn a_follower_learns_the_commit_index_from_the_next_message() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.propose(n(1), "x");
    cores.deliver_where(|message| message.to == n(2));
    cores.deliver_where(|message| message.from == n(2));
    assert_eq!((cores.status(n(1)).commit, cores.status(n(2)).commit), (Index(3), Index(2)));
    cores.stabilize();
    assert_eq!((cores.status(n(2)).commit, cores.status(n(2)).applied), (Index(3), Index(3)));
}

/// "If two entries in different logs have the same index and term, then they store the same command", "… then the logs
/// are identical in all preceding entries": here with a fingerprint, and whoever breaks it is not believed.
#[test]
fn equal_index_and_term_with_another_history_stops_the_node() {
    let mut cores = three();
    cores.laws.violations_are_expected = true;
    let mut other = append(&[1, 1], 1, 2, 0);
    other.prev_chain = Some(raft_tui::raft::Digest(7));
    cores.hear_append(n(2), n(1), 1, other);
    let halted = cores.status(n(1)).halted.unwrap_or_default();
    assert!(halted.contains("Log Matching"), "{halted}");
    assert!(cores.wire.is_empty(), "it says nothing any more");
}

/// "The leader handles inconsistencies by forcing the followers' logs to duplicate its own": all
/// small logs against one. (Figure 7 is a golden transcript.)
#[test]
fn followers_logs_become_the_leaders() {
    let all: Vec<Vec<u64>> = (0..3_usize.pow(4))
        .map(|code| {
            let mut terms: Vec<u64> = (0..4).map(|place| (code / 3_usize.pow(place) % 3) as u64).collect();
            terms.retain(|term| *term > 0);
            terms
        })
        .filter(|terms| terms.is_sorted())
        .collect();
    for theirs in &all {
        let mut cores = logs(&[&[1, 1, 3, 3, 3], theirs, &[1]]);
        cores.set_term(n(2), Term(3));
        cores.elect(n(1));
        assert_eq!(cores.terms(n(2)), [1, 1, 3, 3, 3, 4], "{theirs:?}");
    }
}

/// "A leader never overwrites or deletes entries in its own log (… Leader Append-Only)."
#[test]
fn a_leader_that_hears_another_leader_of_its_term_stops_rather_than_delete() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.laws.violations_are_expected = true;
    cores.hear_append(n(2), n(1), 2, append(&[1], 1, 1, 0));
    assert_eq!(cores.terms(n(1)), [1, 2]);
    assert!(cores.status(n(1)).halted.unwrap_or_default().contains("Election Safety"));
}

/// "With this optimization, one AppendEntries RPC will be required for each term with conflicting entries, rather than one
/// RPC per entry."
#[test]
fn one_message_a_conflicting_term_finds_where_the_logs_agree() {
    let mut cores = logs(&[&[1, 1, 1, 4, 4, 4, 4, 4, 4], &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3], &[1]]);
    cores.set_term(n(2), Term(4));
    cores.elect(n(1));
    let rejections = cores
        .node(n(1))
        .events
        .iter()
        .filter(|event| matches!(event, EventKind::PeerRejected { peer, .. } if *peer == n(2)));
    assert!(rejections.count() <= 2, "terms 2 and 3");
    assert_eq!(cores.terms(n(2)), cores.terms(n(1)));
}

// §5.4 Safety.

/// "If the logs have last entries with different terms, then the log with the later term is more up-to-date. If the logs
/// end with the same term, then whichever log is longer is more up-to-date."
#[test]
fn up_to_date_compares_last_terms_then_lengths() {
    for (mine, theirs, granted) in [
        (&[1, 1][..], LogPosition::new(2, 1), true),
        (&[1, 1], LogPosition::new(3, 1), true),
        (&[1, 1], LogPosition::new(1, 1), false),
        (&[1, 1], LogPosition::new(1, 2), true),
        (&[1, 2], LogPosition::new(9, 1), false),
        (&[1, 1, 1], LogPosition::new(1, 2), true),
        (&[], LogPosition::ZERO, true),
        (&[1], LogPosition::ZERO, false),
    ] {
        let mut cores = logs(&[mine, &[1], &[1]]);
        cores.hear(n(2), n(1), 3, request_vote(theirs));
        assert_eq!(cores.granted(n(1), n(2)), granted, "{mine:?} and {theirs}");
    }
}

/// "The voting process … prevent[s] a candidate from winning an election unless its log contains all committed entries."
#[test]
fn who_lacks_a_committed_entry_cannot_win() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.isolate(n(3));
    cores.propose(n(1), "x");
    cores.run(20);
    assert_eq!(cores.status(n(1)).commit, Index(3));
    cores.crash(n(1));
    cores.heal();
    for _ in 0..5 {
        cores.campaign(n(3));
        cores.stabilize();
        assert!(!cores.raft(n(3)).is_leader());
    }
    cores.elect(n(2));
}

/// "Raft never commits log entries from previous terms by counting replicas." (Figure 8 is a golden transcript.)
#[test]
fn entries_of_earlier_terms_are_not_committed_by_counting() {
    let mut cores = logs(&[&[1, 2], &[1, 2], &[1, 2]]);
    cores.campaign(n(1));
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVote);
    cores.deliver_where(|message| message.message.kind() == MessageKind::RequestVoteReply);
    cores.wire.clear();
    for follower in [2, 3] {
        cores.hear(n(follower), n(1), 3, crate::support::forge::accepted(1, 0, 2));
    }
    assert_eq!(cores.status(n(1)).peers[0].match_index, Index(2));
    assert_eq!(cores.status(n(1)).commit, Index(0));
}

/// "Log entries retain their original term numbers when a leader replicates entries from previous terms."
#[test]
fn entries_keep_their_term_under_a_new_leader() {
    let mut cores = logs(&[&[1, 2, 2], &[1], &[1]]);
    cores.elect(n(1));
    assert_eq!(cores.terms(n(2)), [1, 2, 2, 3]);
}

// §5.5 Follower and candidate crashes.

/// "If a server crashes after completing an RPC but before responding, then it will receive the same RPC again after it
/// restarts. Raft RPCs are idempotent, so this causes no harm."
#[test]
fn the_same_request_again_changes_nothing_and_is_answered_alike() {
    let mut cores = three();
    let request = append(&[1, 2, 2], 1, 3, 2);
    for _ in 0..3 {
        cores.hear_append(n(2), n(1), 2, request.clone());
        assert_eq!(cores.outcome(n(1), n(2)), AppendOutcome::Accepted { match_index: Index(3) });
        assert_eq!(cores.terms(n(1)), [1, 2, 2]);
        cores.crash(n(1));
        cores.restart(n(1));
    }
}

// §5.6 Timing and availability.

/// "broadcastTime ≪ electionTimeout": the heartbeat interval leaves room for lost messages.
#[test]
fn three_heartbeats_fit_into_the_shortest_election_timeout() {
    let options = Options::new(NodeId(1), Configuration::first(3));
    assert!(3 * options.heartbeat_ticks <= options.election_timeout_ticks);
}

// §7 Log compaction.

/// "Each server takes snapshots independently, covering just the committed entries in its log", with "the last included
/// index", "the last included term" and "the latest configuration".
#[test]
fn a_snapshot_covers_what_is_applied_and_says_where_it_ends() {
    let mut cores = Cores::led_by_n1(3, &[1, 1]);
    cores.isolate(n(2));
    cores.propose(n(2), "lost");
    cores.snapshot(n(2));
    let (meta, body) = cores.node(n(2)).disk.synced.snapshot.clone().unwrap();
    assert_eq!((meta.last, meta.configuration), (LogPosition::new(3, 2), Configuration::first(3)));
    assert_eq!(&body[..], b"1@1\n2@1\n");
    assert_eq!(cores.status(n(1)).snapshot, Index(0), "n1 took none");
}

/// "Once a server completes writing a snapshot, it may delete all log entries up through the last included index, as well
/// as any prior snapshot."
#[test]
fn the_log_that_a_snapshot_covers_goes() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.elect(n(1));
    cores.snapshot(n(1));
    let disk = &cores.node(n(1)).disk.synced;
    assert_eq!((disk.base.position, disk.entries.len()), (LogPosition::new(4, 2), 0));
    cores.propose(n(1), "x");
    cores.stabilize();
    cores.snapshot(n(1));
    assert_eq!(cores.node(n(1)).disk.synced.snapshot.as_ref().unwrap().0.last, LogPosition::new(5, 2));
    cores.crash(n(1));
    cores.restart(n(1));
    assert_eq!(cores.status(n(1)).applied, Index(5));
}

/// "… the AppendEntries consistency check for the first log entry following the snapshot … requires a previous log index
/// and term."
#[test]
fn the_end_of_the_snapshot_serves_as_prev() {
    let mut cores = logs(&[&[1, 1, 1], &[1], &[1]]);
    cores.elect(n(1));
    cores.snapshot(n(2));
    assert_eq!(cores.status(n(2)).first_index, Index(5));
    cores.propose(n(1), "x");
    cores.stabilize();
    assert_eq!(cores.status(n(2)).applied, Index(5));
}

/// "The leader must occasionally send snapshots to followers that lag behind", when "the leader has already discarded the
/// next log entry that it needs to send".
#[test]
fn a_follower_whose_next_entry_is_gone_gets_the_snapshot() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.node_mut(n(1)).options.keep_entries = 0;
    cores.crash(n(3));
    for place in 0..6_000 {
        cores.propose(n(1), &format!("{place}"));
    }
    cores.stabilize();
    cores.snapshot(n(1));
    cores.restart(n(3));
    cores.run(30);
    assert!(cores.node(n(3)).events.iter().any(|event| matches!(event, EventKind::SnapshotInstalled { .. })));
    assert_eq!(cores.node(n(3)).machine.digest, cores.node(n(1)).machine.digest);
}

/// Figure 13: "1. Reply immediately if term < currentTerm"; "2. Create new snapshot file if first chunk"; "3. Write data
/// into snapshot file at given offset"; "4. Reply and wait for more data chunks if done is false".
#[test]
fn chunks_are_put_together_in_order_and_each_is_answered() {
    let snapshot = snapshot(&[1, 1, 2, 2, 2], 3);
    let end = snapshot.1.len();
    let mut cores = three();
    for (from, to) in [(0, 7), (7, 12)] {
        cores.hear(n(2), n(1), 2, piece(&snapshot, from, to));
        let reply = cores.snapshot_reply(n(1), n(2));
        assert_eq!(reply.outcome, SnapshotOutcome::Continue { next_offset: to as u64 });
    }
    cores.hear(n(2), n(1), 2, piece(&snapshot, 12, end));
    let answers: Vec<_> = cores.said(n(1), n(2)).into_iter().map(|envelope| envelope.message.to_string()).collect();
    assert_eq!(
        answers,
        ["InstallSnapshotReply last=5@2 installing", "InstallSnapshotReply last=5@2 match=5"],
        "acknowledged when it is installed"
    );
}

/// Figure 13: "6. If existing log entry has same index and term as snapshot's last included entry, retain log entries
/// following it and reply."
#[test]
fn a_snapshot_that_the_log_contains_keeps_what_follows() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = logs(&[&[1, 1, 2, 2, 2], &[1], &[1]]);
    cores.hear(n(2), n(1), 2, piece(&snapshot, 0, 3));
    assert_eq!(cores.terms(n(1)), [1, 1, 2, 2, 2]);
    assert_eq!(cores.status(n(1)).commit, Index(3));
    let reply = cores.snapshot_reply(n(1), n(2));
    assert_eq!(reply.outcome, SnapshotOutcome::Installed { match_index: Index(3) });
}

/// Figure 13: "7. Discard the entire log"; "8. Reset state machine using snapshot contents (and load snapshot's cluster
/// configuration)."
#[test]
fn a_snapshot_that_the_log_does_not_contain_replaces_it() {
    let snapshot = snapshot(&[1, 1, 2], 3);
    let mut cores = logs(&[&[1, 1, 1, 1, 1], &[1], &[1]]);
    cores.hear(n(2), n(1), 2, piece(&snapshot, 0, snapshot.1.len()));
    let status = cores.status(n(1));
    assert_eq!((status.last, status.commit, status.applied), (LogPosition::new(3, 2), Index(3), Index(3)));
    assert_eq!((cores.node(n(1)).disk.synced.entries.len(), cores.node(n(1)).machine.values.len()), (0, 3));
}

// §8 Client interaction.

/// "If the client's first choice is not the leader, that server will reject the client's request and supply information
/// about the most recent leader it has heard from."
#[test]
fn who_is_not_the_leader_says_who_is() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    let ticket = cores.propose(n(2), "x");
    assert_eq!(cores.answer(n(2), ticket), Some(&Outcome::NotLeader { leader: Some(n(1)) }));
}

/// "Raft handles this by having each leader commit a blank no-op entry into the log at the start of its term."
#[test]
fn a_leader_starts_its_term_with_a_no_op_that_the_machine_never_sees() {
    let cores = Cores::led_by_n1(3, &[1]);
    let entry = cores.raft(n(1)).entry(Index(2)).unwrap();
    assert_eq!((entry.kind, entry.term), (raft_tui::raft::EntryKind::NoOp, Term(2)));
    assert_eq!((cores.status(n(1)).applied, cores.node(n(1)).machine.values.len()), (Index(2), 1));
}

/// "Raft handles this by having the leader exchange heartbeat messages with a majority of the cluster before responding to
/// read-only requests."
#[test]
fn a_read_waits_for_a_majority_to_answer_a_heartbeat_sent_after_it() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    let ticket = cores.read(n(1));
    assert_eq!(cores.answer(n(1), ticket), None);
    assert_eq!(cores.deliver_where(|message| message.message.kind() == MessageKind::Heartbeat), 2);
    cores.deliver_where(|message| message.from == n(2));
    assert_eq!(cores.answer(n(1), ticket), Some(&Outcome::ReadReady(Index(2))));
}

/// "A leader must check whether it has been deposed before processing a read-only request."
#[test]
fn a_leader_that_was_deposed_does_not_answer_reads() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    cores.isolate(n(1));
    let ticket = cores.read(n(1));
    cores.elect(n(2));
    cores.propose(n(2), "x");
    cores.run(20);
    assert_eq!(cores.answer(n(1), ticket), None);
    cores.heal();
    cores.run(20);
    assert!(matches!(cores.answer(n(1), ticket), Some(Outcome::ReadAborted { .. })));
}
