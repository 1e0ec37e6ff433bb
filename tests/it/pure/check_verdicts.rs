//! The judge judged: histories that are right, and histories in which one thing is wrong.

use bytes::Bytes;
use raft_tui::check::wing_gong::{Act, Found, Operation, search};
use raft_tui::check::{Judge, Property, Verdict};
use raft_tui::machine::kv::{KvCommand, KvQuery, KvReply};
use raft_tui::raft::event::Mode;
use raft_tui::raft::message::{AppendEntriesReply, AppendOutcome};
use raft_tui::raft::rng::Rng;
use raft_tui::raft::{
    Base, Cause, Configuration, Digest, Entry, EntryKind, Envelope, Epoch, Event, EventKind, HardState, Index,
    LogPosition, Message, NodeId, Options, PeerStatus, Persist, READS_WAITING_MAX, Raft, Recovered, Role,
    SnapshotRequest, Status, SyncPoint, Term,
};

const STEPS: usize = 100_000;

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn get(invoked: u64, returned: u64, found: Option<&'static str>) -> Operation {
    Operation { invoked, returned: Some(returned), act: Act::Get(found.map(value)) }
}

fn set(invoked: u64, returned: u64, text: &'static str) -> Operation {
    Operation { invoked, returned: Some(returned), act: Act::Set(value(text)) }
}

fn impossible(operations: &[Operation]) -> bool {
    matches!(search(operations, STEPS), Found::Impossible(_))
}

#[test]
fn a_history_in_order_is_linearizable() {
    assert_eq!(search(&[], STEPS), Found::Linearizable);
    assert_eq!(search(&[get(0, 1, None), set(2, 3, "a"), get(4, 5, Some("a"))], STEPS), Found::Linearizable);
}

#[test]
fn operations_at_the_same_time_may_take_either_order() {
    for (first, second) in [(None, Some("a")), (Some("a"), Some("a")), (None, None)] {
        let history = [set(0, 10, "a"), get(1, 2, first), get(3, 4, second)];
        assert_eq!(search(&history, STEPS), Found::Linearizable, "{first:?} {second:?}");
    }
    // Once somebody has seen it, nobody after may not see it.
    assert!(impossible(&[set(0, 10, "a"), get(1, 2, Some("a")), get(3, 4, None)]));
}

#[test]
fn a_stale_read_is_found() {
    assert!(impossible(&[set(0, 1, "a"), set(2, 3, "b"), get(4, 5, Some("a"))]));
}

#[test]
fn a_lost_write_is_found() {
    assert!(impossible(&[set(0, 1, "a"), get(2, 3, None)]));
}

#[test]
fn a_value_from_nowhere_is_found() {
    assert!(impossible(&[set(0, 1, "a"), get(2, 3, Some("b"))]));
}

#[test]
fn a_write_of_unknown_outcome_may_come_late_or_never() {
    let unknown = Operation { invoked: 0, returned: None, act: Act::Set(value("a")) };
    assert_eq!(search(&[unknown.clone(), get(5, 6, None)], STEPS), Found::Linearizable);
    assert_eq!(search(&[unknown.clone(), get(5, 6, None), get(7, 8, Some("a"))], STEPS), Found::Linearizable);
    assert!(impossible(&[unknown, get(5, 6, Some("a")), get(7, 8, None)]));
}

#[test]
fn only_one_of_two_swaps_from_the_same_value_succeeds() {
    let cas = |invoked, new, swapped| Operation {
        invoked,
        returned: Some(10),
        act: Act::Cas { expected: None, new: value(new), swapped: Some(swapped) },
    };
    assert_eq!(search(&[cas(0, "a", true), cas(1, "b", false)], STEPS), Found::Linearizable);
    assert!(impossible(&[cas(0, "a", true), cas(1, "b", true)]));
}

#[test]
fn a_number_counted_twice_is_found() {
    let incr = |invoked, returned, delta, sum| Operation {
        invoked,
        returned: Some(returned),
        act: Act::Incr { delta, sum: Some(Some(sum)) },
    };
    assert_eq!(search(&[incr(0, 1, 1, 1), incr(2, 3, 2, 3)], STEPS), Found::Linearizable);
    assert!(impossible(&[incr(0, 1, 1, 1), incr(2, 3, 2, 4)]));
}

#[test]
fn a_delete_that_found_what_was_not_there_is_found() {
    let delete = |invoked, existed| Operation { invoked, returned: Some(invoked + 1), act: Act::Delete(Some(existed)) };
    assert_eq!(
        search(&[delete(0, false), set(2, 3, "a"), delete(4, true), delete(6, false)], STEPS),
        Found::Linearizable
    );
    assert!(impossible(&[delete(0, true)]));
}

#[test]
fn a_search_that_takes_too_long_says_so() {
    let history: Vec<_> = (0..40)
        .map(|at| Operation { invoked: at, returned: Some(1_000), act: Act::Incr { delta: 1 << at, sum: None } })
        .chain([Operation { invoked: 2_000, returned: Some(2_001), act: Act::Get(Some(value("never"))) }])
        .collect();
    assert_eq!(search(&history, 1_000), Found::Undecided);
}

// A cluster of three, told to the judge by hand.
struct Told {
    judge: Judge,
    writes: [u64; 3],
}

fn persist(number: u64, hard_state: Option<HardState>, entries: Vec<Entry>) -> Persist {
    let index = entries.last().map_or(Index::ZERO, |entry| entry.index);
    let point = SyncPoint { number, term: Term(1), index };
    Persist { point, hard_state, truncate_from: None, entries, snapshot: None, compact_to: None }
}

fn hard(term: u64, vote: u64) -> HardState {
    HardState { current_term: Term(term), voted_for: Some(NodeId(vote)) }
}

fn entry(before: Digest, index: u64, term: u64, command: Option<&KvCommand>) -> Entry {
    let kind = if command.is_some() { EntryKind::Command } else { EntryKind::NoOp };
    let bytes = command.map(KvCommand::encode).unwrap_or_default();
    Entry::chained(before, LogPosition::new(index, term), kind, 0, bytes)
}

fn event(term: u64, kind: EventKind) -> Event {
    Event { term: Term(term), cause: Cause::Tick, kind }
}

fn broken(verdict: Verdict) -> Option<Property> {
    verdict.err().map(|violation| violation.property)
}

impl Told {
    fn new() -> Self {
        let mut judge = Judge::new(Configuration::first(3), false);
        for id in 1..=3 {
            judge.booted(NodeId(id), &Recovered { epoch: Epoch(1), ..Recovered::default() }).expect("a first life");
        }
        Self { judge, writes: [0; 3] }
    }

    fn ask(&mut self, id: u64, hard_state: Option<HardState>, entries: Vec<Entry>) -> Verdict {
        let number = &mut self.writes[id as usize - 1];
        *number += 1;
        self.judge.asked(NodeId(id), &persist(*number, hard_state, entries))
    }

    fn sync(&mut self, id: u64) -> Verdict {
        self.judge.synced(NodeId(id), self.writes[id as usize - 1])
    }

    /// n1 leads term 1 with the votes of n1 and n2.
    fn elect(&mut self) {
        for id in [1, 2] {
            self.ask(id, Some(hard(1, 1)), vec![]).expect("a vote");
            self.sync(id).expect("synced");
        }
        self.judge.event(NodeId(1), &event(1, EventKind::BecameLeader)).expect("elected");
    }

    fn commit(&mut self, id: u64, index: u64) -> Verdict {
        self.judge.event(NodeId(id), &event(1, EventKind::Committed { index: Index(index) }))
    }
}

fn command() -> KvCommand {
    KvCommand::Set { key: value("k"), value: value("v") }
}

#[test]
fn a_leader_needs_the_votes_of_a_majority() {
    let mut told = Told::new();
    told.ask(1, Some(hard(1, 1)), vec![]).expect("a vote");
    told.sync(1).expect("synced");
    assert_eq!(broken(told.judge.event(NodeId(1), &event(1, EventKind::BecameLeader))), Some(Property::ElectionSafety));
}

#[test]
fn a_term_has_one_leader_and_a_node_one_vote() {
    let mut told = Told::new();
    told.elect();
    assert_eq!(broken(told.judge.event(NodeId(3), &event(1, EventKind::BecameLeader))), Some(Property::ElectionSafety));
    let mut told = Told::new();
    told.elect();
    told.ask(2, Some(hard(1, 3)), vec![]).expect("asked");
    assert_eq!(broken(told.sync(2)), Some(Property::ElectionSafety));
}

#[test]
fn one_place_of_one_term_has_one_history() {
    let mut told = Told::new();
    told.elect();
    told.ask(1, None, vec![entry(Digest(0), 1, 1, None)]).expect("appended");
    assert_eq!(broken(told.ask(2, None, vec![entry(Digest(0), 1, 1, Some(&command()))])), Some(Property::LogMatching));
}

#[test]
fn a_commit_needs_a_durable_majority() {
    let mut told = Told::new();
    told.elect();
    for id in [1, 2] {
        told.ask(id, None, vec![entry(Digest(0), 1, 1, None)]).expect("appended");
    }
    told.sync(1).expect("synced");
    assert_eq!(broken(told.commit(1, 1)), Some(Property::CommitOnQuorum));
    let mut told = Told::new();
    told.elect();
    for id in [1, 2] {
        told.ask(id, None, vec![entry(Digest(0), 1, 1, None)]).expect("appended");
        told.sync(id).expect("synced");
    }
    told.commit(1, 1).expect("committed");
    assert_eq!(told.judge.frontier(), Index(1));
}

#[test]
fn an_acknowledgement_that_leaves_before_the_sync_is_a_broken_promise() {
    let mut told = Told::new();
    told.elect();
    told.ask(1, None, vec![entry(Digest(0), 1, 1, None)]).expect("appended");
    told.ask(2, None, vec![entry(Digest(0), 1, 1, None)]).expect("appended");
    let outcome = AppendOutcome::Accepted { match_index: Index(1) };
    let reply = AppendEntriesReply { stream: 1, round: 1, counted: true, outcome };
    let envelope = Envelope {
        from: NodeId(2),
        to: NodeId(1),
        epoch: Epoch(1),
        number: 1,
        term: Term(1),
        message: Message::AppendEntriesReply(reply),
    };
    assert_eq!(broken(told.judge.sent(&envelope)), Some(Property::Promise));
    told.sync(2).expect("synced");
    told.judge.sent(&envelope).expect("kept");
}

#[test]
fn what_was_acknowledged_must_outlive_a_crash() {
    let mut told = Told::new();
    told.elect();
    let command = command();
    let first = entry(Digest(0), 1, 1, Some(&command));
    told.judge.invoked(7, Some(&command.encode()));
    for id in [1, 2] {
        told.ask(id, None, vec![first.clone()]).expect("appended");
        told.sync(id).expect("synced");
    }
    told.commit(1, 1).expect("committed");
    let position = LogPosition::new(1, 1);
    let reply = KvReply::Stored.encode();
    told.judge.wrote(7, &command.encode(), position, &reply).expect("right");
    told.judge.crashed(NodeId(2), 0, false).expect("nothing is lost");
    // The disk comes back without it and does not say so.
    let recovered = Recovered { epoch: Epoch(2), hard_state: hard(1, 1), ..Recovered::default() };
    assert_eq!(broken(told.judge.booted(NodeId(2), &recovered)), Some(Property::Durability));
    let whole = Recovered { base: Base::default(), entries: vec![first], ..recovered };
    told.judge.booted(NodeId(2), &whole).expect("all is there");
}

#[test]
fn a_restart_may_not_forget_a_vote() {
    let mut told = Told::new();
    told.elect();
    told.judge.crashed(NodeId(2), 0, false).expect("nothing is lost");
    let recovered = Recovered { epoch: Epoch(2), ..Recovered::default() };
    assert_eq!(broken(told.judge.booted(NodeId(2), &recovered)), Some(Property::Monotonic));
}

#[test]
fn what_was_refused_may_not_be_committed() {
    let mut told = Told::new();
    told.elect();
    let command = command();
    told.judge.invoked(7, Some(&command.encode()));
    told.judge.refused(7, Some(&command.encode())).expect("refused");
    for id in [1, 2] {
        told.ask(id, None, vec![entry(Digest(0), 1, 1, Some(&command))]).expect("appended");
        told.sync(id).expect("synced");
    }
    assert_eq!(broken(told.commit(1, 1)), Some(Property::Outcomes));
}

#[test]
fn a_command_that_nobody_asked_for_may_not_be_committed() {
    let mut told = Told::new();
    told.elect();
    for id in [1, 2] {
        told.ask(id, None, vec![entry(Digest(0), 1, 1, Some(&command()))]).expect("appended");
        told.sync(id).expect("synced");
    }
    assert_eq!(broken(told.commit(1, 1)), Some(Property::Outcomes));
}

/// Operation 7, a write, is on the disks of a majority.
fn written() -> (Told, KvCommand) {
    let mut told = Told::new();
    told.elect();
    let command = command();
    told.judge.invoked(7, Some(&command.encode()));
    for id in [1, 2] {
        told.ask(id, None, vec![entry(Digest(0), 1, 1, Some(&command))]).expect("appended");
        told.sync(id).expect("synced");
    }
    (told, command)
}

#[test]
fn a_read_may_not_be_older_than_what_had_returned() {
    let (mut told, command) = written();
    told.commit(1, 1).expect("committed");
    told.judge.wrote(7, &command.encode(), LogPosition::new(1, 1), &KvReply::Stored.encode()).expect("right");
    let query = KvQuery::Get { key: value("k") };
    told.judge.invoked(8, None);
    let stale = KvReply::Value(None).encode();
    assert_eq!(broken(told.judge.read(8, &query, Index(0), &stale)), Some(Property::Linearizability));
    told.judge.invoked(9, None);
    assert_eq!(broken(told.judge.read(9, &query, Index(1), &stale)), Some(Property::Linearizability));
    told.judge.invoked(10, None);
    told.judge.read(10, &query, Index(1), &KvReply::Value(Some(value("v"))).encode()).expect("right");
}

#[test]
fn a_local_read_tells_what_its_node_has_applied_and_does_not_go_back() {
    let (mut told, _) = written();
    let query = KvQuery::Get { key: value("k") };
    let (old, new) = (KvReply::Value(None).encode(), KvReply::Value(Some(value("v"))).encode());
    let reads =
        |judge: &mut Judge, index, reply: &[u8]| broken(judge.local_read(NodeId(1), &query, Index(index), reply));
    assert_eq!(reads(&mut told.judge.clone(), 1, &new), Some(Property::LocalReads), "not committed");
    told.commit(1, 1).expect("committed");
    assert_eq!(reads(&mut told.judge.clone(), 1, &new), Some(Property::LocalReads), "not applied");
    assert_eq!(reads(&mut told.judge.clone(), 0, &new), Some(Property::LocalReads), "what comes after");
    let mut fresh = told.judge.clone();
    fresh.booted(NodeId(3), &Recovered { epoch: Epoch(2), ..Recovered::default() }).expect("a second life");
    assert_eq!(broken(fresh.local_read(NodeId(3), &query, Index(0), &old)), None, "as old as its node is behind");
    told.judge.event(NodeId(1), &event(1, EventKind::Applied { index: Index(1) })).expect("applied");
    assert_eq!(reads(&mut told.judge.clone(), 1, &old), Some(Property::LocalReads), "another state");
    assert_eq!(reads(&mut told.judge, 1, &new), None);
    assert_eq!(reads(&mut told.judge, 0, &old), Some(Property::LocalReads), "back again");
}

// A leader and its follower n2, told to a judge that knows the bounds.
fn bounded() -> (Judge, Status) {
    let mut options = Options::new(NodeId(1), Configuration::first(3));
    (options.window_messages, options.window_bytes, options.append_bytes_max) = (2, 1_000, 100);
    (options.uncommitted_bytes_max, options.snapshot_entries, options.keep_entries) = (500, 10, 3);
    let mut judge = Judge::new(Configuration::first(3), false).with_bounds(&options);
    let recovered = Recovered { epoch: Epoch(1), ..Recovered::default() };
    judge.booted(NodeId(1), &recovered).expect("a first life");
    let mut status = Raft::new(options, recovered, 1).status();
    status.peers = vec![PeerStatus {
        id: NodeId(2),
        match_index: Index(0),
        next_index: Index(1),
        mode: Mode::Replicate,
        in_flight_messages: 0,
        in_flight_bytes: 0,
        silent_ticks: 0,
        snapshot: None,
        counted: true,
    }];
    judge.told(NodeId(1), &status, false).expect("nothing is held");
    (judge, status)
}

fn holds(change: impl FnOnce(&mut Status)) -> Option<Property> {
    let (mut judge, mut status) = bounded();
    change(&mut status);
    broken(judge.told(NodeId(1), &status, false))
}

#[test]
fn what_is_in_flight_and_what_waits_is_bounded() {
    let in_flight = |messages, bytes, mode| {
        holds(|status| {
            let peer = &mut status.peers[0];
            (peer.in_flight_messages, peer.in_flight_bytes, peer.mode) = (messages, bytes, mode);
        })
    };
    assert_eq!(in_flight(2, 1_100, Mode::Replicate), None);
    assert_eq!(in_flight(3, 1_000, Mode::Replicate), Some(Property::Bounds));
    assert_eq!(in_flight(2, 1_101, Mode::Replicate), Some(Property::Bounds));
    assert_eq!(in_flight(1, 10, Mode::Probe), Some(Property::Bounds));
    assert_eq!(holds(|status| status.pending_reads = 2 * READS_WAITING_MAX), None);
    assert_eq!(holds(|status| status.pending_reads = 2 * READS_WAITING_MAX + 1), Some(Property::Bounds));
}

#[test]
fn what_a_leader_has_not_committed_is_bounded_but_for_what_it_inherits() {
    let leads = |first: u64, then: u64| {
        let (mut judge, mut status) = bounded();
        judge.asked(NodeId(1), &persist(1, None, vec![entry(Digest(0), 1, 1, None)])).expect("appended");
        let largest = entry(Digest(0), 1, 1, None).cost_bytes();
        (status.role, status.hard_state, status.last) = (Role::Leader, hard(1, 1), LogPosition::new(1, 1));
        status.uncommitted_bytes = first + largest;
        judge.told(NodeId(1), &status, false).expect("whatever it inherits");
        status.uncommitted_bytes = then + largest;
        broken(judge.told(NodeId(1), &status, true))
    };
    assert_eq!(leads(0, 500), None);
    assert_eq!(leads(0, 501), Some(Property::Bounds));
    assert_eq!(leads(900, 800), None);
    assert_eq!(leads(900, 901), Some(Property::Bounds));
    assert_eq!(
        holds(|status| (status.role, status.uncommitted_bytes) = (Role::Leader, 1)),
        Some(Property::Bounds),
        "all is committed, and it counts something"
    );
}

/// n1 leads and has applied twelve entries, of which ten are enough for a snapshot.
fn applied_twelve() -> (Judge, Status) {
    let (_, mut status) = bounded();
    let mut options = Options::new(NodeId(1), Configuration::first(3));
    (options.snapshot_entries, options.keep_entries) = (10, 3);
    let mut told = Told::new();
    told.judge = told.judge.with_bounds(&options);
    told.elect();
    let mut before = Digest(0);
    for index in 1..=12 {
        let next = entry(before, index, 1, None);
        before = next.chain;
        for id in [1, 2] {
            told.ask(id, None, vec![next.clone()]).expect("appended");
            told.sync(id).expect("synced");
        }
    }
    told.commit(1, 12).expect("committed");
    told.judge.event(NodeId(1), &event(1, EventKind::Applied { index: Index(12) })).expect("applied");
    (status.role, status.hard_state, status.last) = (Role::Leader, hard(1, 1), LogPosition::new(12, 1));
    (status.durable, status.commit, status.applied) = (Index(12), Index(12), Index(12));
    let peer = &mut status.peers[0];
    (peer.match_index, peer.next_index) = (Index(12), Index(13));
    (told.judge, status)
}

#[test]
fn a_log_does_not_grow_without_a_snapshot_and_goes_when_there_is_one() {
    let (judge, status) = applied_twelve();
    let told = |judge: &Judge, status: &Status| broken(judge.clone().told(NodeId(1), status, true));
    assert_eq!(told(&judge, &status), Some(Property::Bounds), "no snapshot is taken");
    let sends = |mode| {
        let mut status = status.clone();
        status.peers[0].mode = mode;
        status
    };
    assert_eq!(told(&judge, &sends(Mode::Snapshot)), None, "one is being sent");
    assert_eq!(told(&judge, &sends(Mode::Probe)), Some(Property::Bounds));
    let (mut taking, last) = (judge, status.last);
    let chain = (1..=12).fold(Digest(0), |before, index| entry(before, index, 1, None).chain);
    let configuration = Configuration::first(3);
    let request = SnapshotRequest { last, chain, configuration, proposed_at_us: 0 };
    taking.snapshot(NodeId(1), &request, status.digest).expect("taken");
    assert_eq!(told(&taking, &status), None, "it is being taken");
    taking.event(NodeId(1), &event(1, EventKind::SnapshotTaken { last, size_bytes: 1_000 })).expect("taken");
    let keeps = |lacks, log_bytes, silent_ticks| {
        let mut status = Status { snapshot: last.index, log_bytes, ..status.clone() };
        let peer = &mut status.peers[0];
        (peer.match_index, peer.silent_ticks) = (Index(lacks), silent_ticks);
        told(&taking, &status)
    };
    // Entries of twelve that the judge saw in this very turn weigh something too.
    assert_eq!(keeps(3, 900, 0), None, "a follower that answers lacks them");
    assert_eq!(keeps(12, 900, 0), Some(Property::Bounds), "nobody lacks them");
    assert_eq!(keeps(3, 900, 15), Some(Property::Bounds), "who lacks them does not answer");
    assert_eq!(keeps(3, 5_000, 0), Some(Property::Bounds), "they weigh more than the snapshot");
}

/// All orders, one after another, without any thought.
fn some_order_explains(left: &mut Vec<Operation>, value: Option<&Bytes>) -> bool {
    if left.iter().all(|operation| operation.returned.is_none()) {
        return true;
    }
    let first_return = left.iter().filter_map(|operation| operation.returned).min().unwrap_or(u64::MAX);
    (0..left.len()).any(|at| {
        if left[at].invoked > first_return {
            return false;
        }
        let operation = left.remove(at);
        let number =
            value.map_or(Some(0), |value| str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()));
        let found = value.cloned();
        let after = match &operation.act {
            Act::Get(read) => (*read == found).then_some(found),
            Act::Set(new) => Some(Some(new.clone())),
            Act::Delete(existed) => existed.is_none_or(|existed| existed == found.is_some()).then_some(None),
            Act::Cas { expected, new, swapped } => {
                let swaps = *expected == found;
                swapped.is_none_or(|told| told == swaps).then(|| if swaps { Some(new.clone()) } else { found })
            }
            Act::Incr { delta, sum } => {
                let right = number.map(|number| number + delta);
                let after = right.map_or(found, |right| Some(Bytes::from(right.to_string())));
                sum.is_none_or(|told| told == right).then_some(after)
            }
        };
        let explained = after.is_some_and(|after| some_order_explains(left, after.as_ref()));
        left.insert(at, operation);
        explained
    })
}

#[test]
fn the_search_finds_what_trying_all_orders_finds() {
    let mut luck = Rng::new(11);
    let mut found = [0, 0];
    for _ in 0..30_000 {
        let mut history: Vec<Operation> = Vec::new();
        for _ in 0..=luck.below(6) {
            let invoked = luck.below(12);
            let returned = luck.chance(2, 3).then(|| invoked + luck.below(8));
            let mut text = || ["a", "b", "c", "1", "3"].map(value)[luck.below(5) as usize].clone();
            let (first, second) = (text(), text());
            let told = returned.is_some();
            let act = match luck.below(8) {
                0..=1 if told => Act::Get(luck.chance(4, 5).then_some(first)),
                0..=3 => Act::Set(first),
                4 => Act::Delete(told.then(|| luck.chance(1, 2))),
                5..=6 => {
                    let expected = luck.chance(2, 3).then_some(first);
                    Act::Cas { expected, new: second, swapped: told.then(|| luck.chance(1, 2)) }
                }
                _ => {
                    let sum = told.then(|| luck.chance(2, 3).then(|| luck.below(5).cast_signed()));
                    Act::Incr { delta: 1 + luck.below(2).cast_signed(), sum }
                }
            };
            history.push(Operation { invoked, returned, act });
        }
        let right = some_order_explains(&mut history.clone(), None);
        found[usize::from(right)] += 1;
        let told = search(&history, STEPS);
        assert_ne!(told, Found::Undecided);
        assert_eq!(told == Found::Linearizable, right, "{history:?}");
    }
    assert!(found.iter().all(|count| *count > 5_000), "{found:?}");
}
