//! One core, and everything that anybody could say to it: well-typed messages of any content from anybody, between ticks,
//! answers of a disk and a machine that take their time, and clients.
//!
//! It never panics; its own invariants (`raft/invariants.rs`) hold after every step, and those below, seen from outside;
//! what it promises is durable; and it accuses the world only of what the world did.
//!
//! `FUZZ_CASES=20000 cargo test --release --test it pure::fuzz_core` looks longer.

mod said;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use raft_tui::raft::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply, SnapshotOutcome,
};
use raft_tui::raft::{
    Base, Configuration, Digest, Effects, Entry, Envelope, Epoch, EventKind, HardState, Index, Input, LogPosition,
    Message, NodeId, Options, Persist, Proposal, Raft, Recovered, Send, SnapshotMeta, Status, SyncPoint, Term, Ticket,
};
use xxhash_rust::xxh3::xxh3_128;

use crate::support::cores::n;
use crate::support::parts::log_of;
use said::{Action, SHAPES, action, answer_to, body_of};

/// What the world has done by which it could be accused.
#[derive(Debug, Default)]
struct Evidence {
    /// Digests that leaders have told.
    digests: Vec<(Index, Digest)>,
}

/// A core between a disk, a machine and the world.
struct Lone {
    raft: Raft,
    queue: VecDeque<Persist>,
    /// Durable: term, vote and the log.
    hard_state: HardState,
    entries: BTreeMap<Index, Entry>,
    /// Everything below is in a snapshot.
    covered: Index,
    /// What the core knows of the entry before its first.
    base: Base,
    outbox: Vec<Send>,
    handed: Vec<Entry>,
    digests: BTreeMap<Index, Digest>,
    digest: Digest,
    taken: Option<SnapshotMeta>,
    evidence: Evidence,
    violated: Option<String>,
    tickets: u64,
    said: Option<Envelope>,
    /// What has left.
    sent: Vec<Envelope>,
    /// Words of all events.
    told: String,
}

impl Lone {
    fn new(shape: usize, length: usize, vote: Option<u64>, pre_vote: bool, quarantine: bool) -> Self {
        let terms = &SHAPES[shape][..length.min(SHAPES[shape].len())];
        let log = log_of(terms);
        let hard_state = HardState { current_term: log.hard_state.current_term, voted_for: vote.map(NodeId) };
        let options = Options {
            pre_vote,
            append_entries_max: 2,
            window_messages: 2,
            chunk_bytes: 4,
            snapshot_entries: 4,
            keep_entries: 1,
            uncommitted_bytes_max: 600,
            ..Options::new(n(1), Configuration::first(3))
        };
        let recovered = Recovered {
            epoch: Epoch(1),
            hard_state,
            entries: log.entries.clone(),
            quarantine: quarantine.then(|| "for a test".to_owned()),
            ..Recovered::default()
        };
        Self {
            raft: Raft::new(options, recovered, 5),
            queue: VecDeque::new(),
            hard_state,
            entries: log.entries.into_iter().map(|entry| (entry.index, entry)).collect(),
            covered: Index::ZERO,
            base: Base::default(),
            outbox: Vec::new(),
            handed: Vec::new(),
            digests: BTreeMap::new(),
            digest: Digest::default(),
            taken: None,
            evidence: Evidence::default(),
            violated: None,
            tickets: 0,
            said: None,
            sent: Vec::new(),
            told: String::new(),
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Ticks(count) => {
                for _ in 0..count {
                    self.step(Input::Tick);
                }
            }
            Action::Sync(count) => self.sync(count),
            Action::Apply => {
                let applied: Vec<_> =
                    std::mem::take(&mut self.handed).into_iter().map(|entry| self.apply(&entry)).collect();
                if !applied.is_empty() {
                    self.step(Input::Applied(applied));
                }
            }
            Action::SnapshotTaken => {
                if let Some(meta) = self.taken.take() {
                    self.step(Input::SnapshotTaken(meta));
                }
            }
            Action::Propose(length) => {
                let proposal = Proposal { ticket: self.ticket(), command: vec![7; length].into(), proposed_at_us: 1 };
                self.step(Input::Propose(proposal));
            }
            Action::Read => {
                let ticket = self.ticket();
                self.step(Input::Read(ticket));
            }
            Action::Receive(envelope, above) => {
                let status = self.raft.status();
                let mut envelope = *envelope;
                if let Some(above) = above {
                    let leads = matches!(envelope.message, Message::AppendEntries(_) | Message::InstallSnapshot(_));
                    // Mostly there is one leader a term, so that not every walk is over at once.
                    let honest = leads && envelope.number % 8 != 0;
                    let above = if honest && status.leader == Some(n(1)) { 1 } else { above };
                    envelope.term = Term(status.hard_state.current_term.0.saturating_add(above));
                    if let (0, true, Some(leader)) = (above, honest, status.leader) {
                        envelope.from = leader;
                    }
                }
                self.receive(&envelope);
            }
            Action::Lead(shape, prev, from) => {
                let log = log_of(SHAPES[shape]).entries;
                let prev = prev.min(log.len() - 1);
                let last = log[log.len() - 1].position();
                let before = prev.checked_sub(1).map(|place| &log[place]);
                let append = AppendEntries {
                    prev: before.map_or(LogPosition::ZERO, Entry::position),
                    prev_chain: Some(before.map(|entry| entry.chain).unwrap_or_default()),
                    entries: log[prev..].to_vec(),
                    commit: last.index,
                    stream: 1,
                    round: 1,
                    your_epoch: Epoch(1),
                    applied: None,
                };
                let message = Message::AppendEntries(append);
                let from = NodeId(from);
                self.receive(&Envelope { from, to: n(1), epoch: Epoch(1), number: 0, term: last.term, message });
            }
            Action::Answer(which, how) => {
                let asked = self.sent.iter().rev().nth(which).cloned();
                if let Some((asked, message)) =
                    asked.and_then(|asked| answer_to(&asked, how).map(|message| (asked, message)))
                {
                    let (from, term) = (asked.to, asked.term);
                    self.receive(&Envelope { from, to: n(1), epoch: Epoch(1), number: 0, term, message });
                }
            }
            Action::Snapshot(meta, above) => {
                let status = self.raft.status();
                let term = Term(status.hard_state.current_term.0.saturating_add(above));
                let from = status.leader.filter(|leader| above == 0 && *leader != n(1)).unwrap_or(n(2));
                let body = body_of(meta.last);
                let meta = SnapshotMeta { size_bytes: body.len() as u64, ..*meta };
                for (offset, chunk) in [(0, body.slice(..4)), (4, body.slice(4..))] {
                    let (meta, your_epoch) = (meta.clone(), Epoch(1));
                    let piece = InstallSnapshot { meta, offset, chunk, stream: 1, round: 1, your_epoch };
                    let message = Message::InstallSnapshot(piece);
                    self.receive(&Envelope { from, to: n(1), epoch: Epoch(1), number: 0, term, message });
                }
            }
            Action::Again => {
                if let Some(envelope) = self.said.clone() {
                    self.receive(&envelope);
                }
            }
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn apply(&mut self, entry: &Entry) -> (Index, Digest) {
        assert!(self.entries.contains_key(&entry.index), "{} is applied before it is durable", entry.position());
        self.digest = Digest(xxh3_128(&[&self.digest.0.to_le_bytes()[..], &entry.command[..]].concat()));
        self.digests.insert(entry.index, self.digest);
        (entry.index, self.digest)
    }

    fn receive(&mut self, envelope: &Envelope) {
        let accused = self.contradicts(envelope);
        if let Message::AppendEntries(append) = &envelope.message {
            self.evidence.digests.extend(append.applied);
        }
        self.said = Some(envelope.clone());
        // Words are made of whatever came.
        assert!(!envelope.to_string().is_empty());
        let before = self.raft.status();
        let was_halted = self.violated.is_some();
        self.step(Input::Receive(envelope.clone()));
        if let Some(evidence) = self.violated.as_ref().filter(|_| !was_halted) {
            assert!(accused, "{evidence}\nis no contradiction: {envelope:?}\n{before:?}");
        }
    }

    /// Whether the message cannot be true, given what is certain here.
    fn contradicts(&self, envelope: &Envelope) -> bool {
        let status = self.raft.status();
        let (commit, same_term) = (status.commit, envelope.term == status.hard_state.current_term);
        let here = |index: Index| match self.raft.entry(index) {
            Some(entry) => Some((entry.term, entry.chain)),
            None => Some((self.base.position.term, self.base.chain)).filter(|_| index == self.base.position.index),
        };
        let term_at = |index: Index| here(index).map(|(term, _)| term);
        let two_leaders = same_term && status.leader.is_some_and(|leader| leader != envelope.from);
        match &envelope.message {
            Message::AppendEntries(append) => {
                let other_term =
                    |at: LogPosition| at.index <= commit && term_at(at.index).is_some_and(|term| term != at.term);
                let other_chain = |at: LogPosition, chain: Digest| {
                    here(at.index).is_some_and(|(term, known)| term == at.term && known != chain)
                };
                let digest = append
                    .applied
                    .is_some_and(|(index, told)| self.digests.get(&index).is_some_and(|known| *known != told));
                two_leaders
                    || digest
                    || other_term(append.prev)
                    || append
                        .entries
                        .iter()
                        .any(|entry| other_term(entry.position()) || other_chain(entry.position(), entry.chain))
                    || append.prev_chain.is_some_and(|chain| other_chain(append.prev, chain))
            }
            Message::InstallSnapshot(piece) => {
                let last = piece.meta.last;
                two_leaders || (last.index <= commit && term_at(last.index).is_some_and(|term| term != last.term))
            }
            _ => false,
        }
    }

    fn step(&mut self, input: Input) {
        let before = self.raft.status();
        let applies = matches!(input, Input::Applied(_));
        let was_halted = self.violated.is_some();
        self.raft.step(input);
        self.take();
        if let (true, false, Some(evidence)) = (applies, was_halted, &self.violated) {
            let told = |(index, told): &(Index, Digest)| self.digests.get(index).is_some_and(|known| known != told);
            assert!(self.evidence.digests.iter().any(told), "{evidence} was told by nobody");
        }
        self.compare(&before, &self.raft.status());
    }

    fn take(&mut self) {
        let Effects { sends, persist, apply, events, take_snapshot, read_chunks, replies: _ } =
            self.raft.take_effects();
        for event in events {
            self.told.push_str(&event.kind.to_string());
            self.told.push('\n');
            if let EventKind::Violated { evidence } = event.kind {
                self.violated = Some(evidence);
            }
        }
        if self.violated.is_some() {
            assert!(sends.is_empty(), "it goes on speaking: {sends:?}");
        }
        if let Some(base) = persist.as_ref().and_then(|persist| persist.compact_to) {
            self.base = base;
        }
        self.queue.extend(persist);
        self.outbox.extend(sends);
        self.let_go();
        self.handed.extend(apply);
        if let Some(request) = take_snapshot {
            let body = body_of(request.last);
            self.taken = Some(SnapshotMeta {
                last: request.last,
                chain: request.chain,
                configuration: request.configuration,
                proposed_at_us: request.proposed_at_us,
                digest: self.digest,
                size_bytes: body.len() as u64,
                checksum: Digest(xxh3_128(&body)),
            });
        }
        for request in read_chunks {
            let body = body_of(request.meta.last);
            let from = (request.offset as usize).min(body.len());
            let chunk = body.slice(from..(from + request.length).min(body.len()));
            self.raft.step(Input::ChunkRead { last: request.meta.last, to: request.to, offset: request.offset, chunk });
        }
    }

    fn sync(&mut self, count: usize) {
        let mut point: Option<SyncPoint> = None;
        let mut installed = None;
        for _ in 0..count {
            let Some(write) = self.queue.pop_front() else { break };
            point = Some(write.point);
            if let Some(hard_state) = write.hard_state {
                assert!(hard_state.current_term >= self.hard_state.current_term);
                self.hard_state = hard_state;
            }
            if let Some(from) = write.truncate_from {
                self.entries.split_off(&from);
            }
            for entry in write.entries {
                let last = self.entries.last_key_value().map_or(self.covered, |(index, _)| *index);
                assert_eq!(entry.index, last.max(self.covered).next(), "a write leaves a gap");
                assert!(entry.term <= self.hard_state.current_term, "{} before its term", entry.position());
                self.entries.insert(entry.index, entry);
            }
            if let Some(snapshot) = write.snapshot.filter(|snapshot| snapshot.discard_log) {
                self.entries.clear();
                self.covered = snapshot.meta.last.index;
                installed = Some(snapshot.meta);
            }
            if let Some(base) = write.compact_to {
                self.entries = self.entries.split_off(&base.position.index.next());
                self.covered = self.covered.max(base.position.index);
            }
            // What the next write of the group takes back is no longer promised, and was durable.
            self.let_go();
        }
        let Some(point) = point else { return };
        self.step(Input::Persisted(point));
        if let Some(meta) = installed {
            // The rest of the writes belongs to the log that was replaced.
            self.base = Base { position: meta.last, chain: meta.chain };
            self.digest = meta.digest;
            self.digests = BTreeMap::from([(meta.last.index, meta.digest)]);
            self.handed.clear();
            self.step(Input::SnapshotInstalled(meta));
        }
    }

    /// Messages whose write is durable leave; what they promise must be durable then.
    fn let_go(&mut self) {
        let waits = self.queue.front().map_or(u64::MAX, |write| write.point.number);
        let (go, stay): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.outbox).into_iter().partition(|send| send.after.is_none_or(|after| after < waits));
        self.outbox = stay;
        for Send { envelope, .. } in go {
            assert!(!envelope.to_string().is_empty());
            self.sent.push(envelope.clone());
            let durable = self.hard_state;
            // Whoever has entered a higher term since does not send it any more.
            if envelope.term < durable.current_term {
                continue;
            }
            let last = self.entries.last_key_value().map_or(self.covered, |(index, _)| (*index).max(self.covered));
            match envelope.message {
                Message::RequestVoteReply { granted: true } => {
                    assert_eq!(durable, HardState { current_term: envelope.term, voted_for: Some(envelope.to) });
                }
                Message::RequestVote { last: told } => {
                    assert_eq!(durable, HardState { current_term: envelope.term, voted_for: Some(n(1)) });
                    assert!(told.index <= last, "it asks for votes with {told}, durable is {last}");
                }
                Message::AppendEntriesReply(AppendEntriesReply {
                    outcome: AppendOutcome::Accepted { match_index },
                    ..
                })
                | Message::InstallSnapshotReply(InstallSnapshotReply {
                    outcome: SnapshotOutcome::Installed { match_index },
                    ..
                }) => assert!(match_index <= last, "it acknowledges {match_index}, durable is {last}"),
                _ => {}
            }
        }
    }

    fn compare(&self, before: &Status, after: &Status) {
        assert!(after.hard_state.current_term >= before.hard_state.current_term, "{before:?}\n{after:?}");
        let same = after.hard_state.current_term == before.hard_state.current_term;
        assert!(!same || before.hard_state.voted_for.is_none() || after.hard_state == before.hard_state);
        assert!(after.commit >= before.commit && after.applied >= before.applied, "{before:?}\n{after:?}");
        assert!(after.applied <= after.commit && after.commit <= after.last.index, "{after:?}");
        let mut chain = None;
        let mut place = (after.first_index.previous(), Term::ZERO);
        while place.0 < after.last.index {
            let index = place.0.next();
            let entry = self.raft.entry(index).unwrap_or_else(|| panic!("entry {index} is missing: {after:?}"));
            assert!(entry.index == index && entry.term >= place.1, "{} after {place:?}", entry.position());
            assert!(chain.is_none_or(|chain| entry.continues(chain)), "{} breaks the chain", entry.position());
            chain = Some(entry.chain);
            place = (index, entry.term);
        }
    }
}

fn cases() -> u32 {
    std::env::var("FUZZ_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(400)
}

/// What a batch must have met, or it has not tried much.
const MET: [&str; 11] = [
    "candidate",
    "leader",
    "commit",
    "apply",
    "append",
    "truncate",
    "installed",
    "bytes",
    "quarantine left",
    "VIOLATED",
    "votes for",
];

#[test]
fn whatever_is_said_to_it_a_core_keeps_its_word() {
    let start = (0..SHAPES.len(), 0..12_usize, prop::option::of(1..4_u64), any::<bool>(), prop::bool::weighted(0.15));
    let life = (start, prop::collection::vec(action(), 1..120));
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::with_cases(cases()) };
    let met = RefCell::new(BTreeMap::<&str, u64>::new());
    let ran = TestRunner::new(config).run(&life, |((shape, length, vote, pre_vote, quarantine), actions)| {
        let mut lone = Lone::new(shape, length, vote, pre_vote, quarantine);
        lone.take();
        for action in actions {
            lone.act(action);
        }
        for word in MET {
            *met.borrow_mut().entry(word).or_default() += u64::from(lone.told.contains(word));
        }
        Ok(())
    });
    if let Err(failure) = ran {
        panic!("{failure}");
    }
    assert!(met.borrow().values().all(|count| *count > 0), "{met:?}");
}

/// Found by the walks above: numbers that leave no room to count on.
mod found {
    use raft_tui::raft::event::IgnoredWhy;

    use super::*;

    fn hear(term: u64, message: Message) -> Lone {
        let mut lone = Lone::new(0, 6, None, true, false);
        lone.take();
        lone.receive(&Envelope { from: n(2), to: n(1), epoch: Epoch(1), number: 1, term: Term(term), message });
        assert!(lone.told.contains(&IgnoredWhy::Malformed.to_string()), "{}", lone.told);
        assert_eq!(lone.raft.current_term(), Term(5), "it changes nothing");
        lone
    }

    #[test]
    fn a_term_after_which_there_is_none_is_not_entered() {
        let mut lone = hear(u64::MAX, Message::RequestVote { last: LogPosition::new(9, 9) });
        for _ in 0..100 {
            lone.step(Input::Tick);
        }
    }

    #[test]
    fn an_index_after_which_there_is_none_is_no_place_in_a_log() {
        let append = crate::support::forge::append(&[1, 1], 0, 1, 0);
        hear(5, Message::AppendEntries(AppendEntries { prev: LogPosition::new(u64::MAX, 5), ..append }));
    }

    #[test]
    fn a_snapshot_of_a_later_term_than_its_leaders_is_no_snapshot() {
        let last = LogPosition::new(9, 8);
        let body = body_of(last);
        let meta = SnapshotMeta {
            last,
            chain: Digest(1),
            configuration: Configuration::first(3),
            proposed_at_us: 0,
            digest: Digest(xxh3_128(&body)),
            size_bytes: body.len() as u64,
            checksum: Digest(xxh3_128(&body)),
        };
        let piece = InstallSnapshot { meta, offset: 0, chunk: body, stream: 1, round: 1, your_epoch: Epoch(1) };
        let mut lone = hear(5, Message::InstallSnapshot(piece));
        lone.sync(9);
    }

    #[test]
    fn a_piece_beyond_all_bytes_has_words() {
        let (meta, body) = crate::support::forge::snapshot(&[1, 1], 3);
        let piece = InstallSnapshot {
            meta,
            offset: u64::MAX,
            chunk: Bytes::from(body),
            stream: 1,
            round: 1,
            your_epoch: Epoch(1),
        };
        assert!(Message::InstallSnapshot(piece).to_string().contains("18446744073709551615"));
    }
}
