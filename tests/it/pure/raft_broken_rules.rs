//! What a node does when somebody breaks a rule or asks for more than there may be: it stops, refuses or ignores, and
//! never goes on as if nothing were wrong.

use raft_tui::raft::event::{EventKind, IgnoredWhy};
use raft_tui::raft::message::{AppendEntries, InstallSnapshotReply, SnapshotOutcome};
use raft_tui::raft::{Base, Cause, Digest, Entry, Index, Input, LogPosition, Message, Outcome, Raft, Ticket};

use crate::support::cores::{Cores, n};
use crate::support::forge::{append, snapshot};

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

/// State Machine Safety (§5.4.3): the leader tells the digest of its machine, and each node compares.
#[test]
fn a_machine_that_differs_from_the_leaders_stops_its_node() {
    let told = Some((Index(2), Digest(7)));
    // The leader's digest comes before this machine has applied the entry, or after it.
    for later in [false, true] {
        let mut cores = three(&[]);
        cores.laws.violations_are_expected = true;
        if later {
            cores.hear_append(n(2), n(1), 1, append(&[1; 3], 0, 3, 3));
            assert_eq!((cores.status(n(1)).applied, cores.status(n(1)).halted), (Index(3), None));
            cores.hear_append(n(2), n(1), 1, AppendEntries { applied: told, ..append(&[1; 3], 3, 3, 3) });
        } else {
            let early = append(&[1; 3], 0, 3, 0);
            cores.hear_append(n(2), n(1), 1, AppendEntries { applied: told, ..early });
            assert_eq!((cores.status(n(1)).applied, cores.status(n(1)).halted), (Index(0), None));
            cores.hear_append(n(2), n(1), 1, append(&[1; 3], 3, 3, 3));
        }
        let halted = cores.status(n(1)).halted.unwrap_or_default();
        assert!(halted.contains("State Machine Safety") && halted.contains("after entry 2"), "{later}: {halted}");
    }
}

#[test]
fn a_machine_that_agrees_with_the_leaders_goes_on() {
    let mut cores = three(&[]);
    let (meta, _) = snapshot(&[1; 2], 3);
    let told = AppendEntries { applied: Some((Index(2), meta.digest)), ..append(&[1; 3], 0, 3, 3) };
    cores.hear_append(n(2), n(1), 1, told.clone());
    cores.hear_append(n(2), n(1), 1, told);
    assert_eq!((cores.status(n(1)).applied, cores.status(n(1)).halted), (Index(3), None));
}

/// A crash may come after the snapshot was written and before the log was thrown away (§7).
#[test]
fn a_log_without_the_end_of_its_snapshot_is_replaced_by_it() {
    let (meta, _) = snapshot(&[1, 1, 2], 3);
    let cores = three(&[1, 1]);
    let mut recovered = cores.node(n(1)).disk.synced.recovered(None);
    recovered.hard_state.current_term = meta.last.term;
    recovered.snapshot = Some(meta.clone());
    assert_eq!(recovered.base, Base::default());
    let status = Raft::new(cores.node(n(1)).options.clone(), recovered, 1).status();
    assert_eq!((status.last, status.snapshot, status.commit), (meta.last, Index(3), Index(3)));
    assert_eq!(status.last, LogPosition::new(3, 2));
}

/// Log Matching (§5.3): one place of one term has one history. Here two leaders of one term gave it two.
#[test]
fn another_history_of_the_same_place_stops_a_node_whose_log_is_whole() {
    let others = |mut append: AppendEntries| {
        let mut before = Digest::default();
        for entry in &mut append.entries {
            *entry = Entry::chained(before, entry.position(), entry.kind, 0, "another".into());
            before = entry.chain;
        }
        append
    };
    let theirs = others(append(&[1; 2], 0, 2, 0));
    let after = AppendEntries {
        prev: LogPosition::new(2, 1),
        prev_chain: theirs.entries.last().map(|entry| entry.chain),
        entries: Vec::new(),
        ..theirs.clone()
    };
    for told in [theirs, after] {
        let mut cores = three(&[1; 2]);
        cores.laws.violations_are_expected = true;
        cores.hear_append(n(2), n(1), 1, told);
        let halted = cores.status(n(1)).halted.unwrap_or_default();
        assert!(halted.contains("Log Matching") && halted.contains("mine is whole"), "{halted}");
    }
}

/// The same, but it is this node whose bytes have changed since they were read: it says nothing, and promises nothing.
#[test]
fn a_node_that_finds_its_own_log_rotten_is_in_quarantine() {
    let mut cores = three(&[1; 3]);
    let mut recovered = cores.node(n(1)).disk.synced.recovered(None);
    recovered.entries[1].chain.0 ^= 1;
    let node = cores.node_mut(n(1));
    node.raft = Some(Raft::new(node.options.clone(), recovered, 1));
    cores.hear_append(n(2), n(1), 1, append(&[1; 3], 1, 3, 0));
    let status = cores.status(n(1));
    assert!(status.quarantined && status.halted.is_none(), "{status:?}");
    let events = &cores.node(n(1)).events;
    assert_eq!(events.iter().filter(|event| **event == EventKind::Quarantined).count(), 1);
    let corrupt = |event: &EventKind| matches!(event, EventKind::Ignored { why: IgnoredWhy::Corrupt, .. });
    assert!(events.iter().any(corrupt), "{events:?}");
    assert!(cores.said(n(1), n(2)).is_empty());
}

#[test]
fn a_round_that_the_leader_never_began_is_malformed() {
    let mut cores = Cores::led_by_n1(3, &[1]);
    let (meta, _) = snapshot(&[1], 3);
    let outcome = SnapshotOutcome::Installed { match_index: Index(1) };
    let reply = InstallSnapshotReply { last: meta.last, stream: 1, round: 1_000, counted: true, outcome };
    cores.hear(n(2), n(1), 2, Message::InstallSnapshotReply(reply));
    let malformed = |event: &EventKind| matches!(event, EventKind::Ignored { why: IgnoredWhy::Malformed, .. });
    assert!(cores.node(n(1)).events.iter().any(malformed));
}

#[test]
fn a_node_with_too_many_reads_waiting_aborts_the_next() {
    let mut cores = three(&[1]);
    let mut raft = cores.node_mut(n(1)).raft.take().expect("it runs");
    for ticket in 1..=65_537 {
        raft.step(Input::Read(Ticket(ticket)));
    }
    let replies = raft.take_effects().replies;
    assert_eq!(replies.last(), Some(&(Ticket(65_537), Outcome::ReadAborted { leader: None })));
}

#[test]
fn causes_have_words() {
    assert_eq!(Cause::Disk { number: 7 }.to_string(), "disk 7");
}
