//! Whatever peers send, the core does not panic: a message that cannot be is ignored, evidence against the world halts the
//! node. All fields of all messages are drawn at random, near what the node holds and at the ends of their ranges.
//!
//! `RAFT_FUZZ=100000 cargo test --test it pure::raft_fuzz` goes on for longer.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use raft_tui::raft::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply, SnapshotOutcome,
};
use raft_tui::raft::rng::Rng;
use raft_tui::raft::{
    Configuration, Digest, Effects, Entry, EntryKind, Envelope, Epoch, Index, Input, LogPosition, Message, NodeId,
    Options, Proposal, Raft, Recovered, SnapshotMeta, Term, Ticket,
};
use xxhash_rust::xxh3::xxh3_128;

/// A node with a disk and a machine that answer at once.
struct Solo {
    raft: Raft,
    rng: Rng,
    kinds: BTreeMap<&'static str, u64>,
}

impl Solo {
    fn step(&mut self, input: Input) {
        self.raft.step(input);
        for _ in 0..50 {
            let Effects { persist, apply, take_snapshot, read_chunks, .. } = self.raft.take_effects();
            let mut inputs = Vec::new();
            if let Some(write) = persist {
                inputs.push(Input::Persisted(write.point));
                if let Some(snapshot) = write.snapshot.filter(|snapshot| snapshot.body.is_some()) {
                    inputs.push(Input::SnapshotInstalled(snapshot.meta));
                }
            }
            if !apply.is_empty() {
                inputs.push(Input::Applied(apply.iter().map(|entry| (entry.index, Digest(1))).collect()));
            }
            if let Some(request) = take_snapshot {
                let meta = SnapshotMeta {
                    last: request.last,
                    chain: request.chain,
                    configuration: request.configuration,
                    proposed_at_us: 0,
                    digest: Digest(1),
                    size_bytes: 3,
                    checksum: Digest(xxh3_128(b"abc")),
                };
                inputs.push(Input::SnapshotTaken(meta));
            }
            for request in read_chunks {
                let chunk = Bytes::from_static(b"a");
                inputs.push(Input::ChunkRead {
                    last: request.meta.last,
                    to: request.to,
                    offset: request.offset,
                    chunk,
                });
            }
            if inputs.is_empty() {
                return;
            }
            for input in inputs {
                self.raft.step(input);
            }
        }
    }

    /// Mostly near `around`, at times far away.
    fn near(&mut self, around: u64) -> u64 {
        match self.rng.below(40) {
            0 => 0,
            1 => u64::MAX,
            2 => u64::MAX / 2,
            3..20 => around,
            _ => around.saturating_add(self.rng.below(5)).saturating_sub(2),
        }
    }

    fn position(&mut self) -> LogPosition {
        let last = self.raft.status().last;
        let index = if self.rng.chance(1, 2) { last.index.0 } else { self.rng.below(last.index.0 + 2) };
        let index = self.near(index);
        let term = self.raft.entry(Index(index)).map_or(last.term, |entry| entry.term).0;
        LogPosition::new(index, self.near(term))
    }

    fn entries(&mut self, prev: LogPosition) -> (Option<Digest>, Vec<Entry>) {
        let before = self.raft.entry(prev.index).map(|entry| entry.chain).or_else(|| Some(Digest::default()));
        let mut chain = before.unwrap_or_default();
        let mut entries = Vec::new();
        let mut position = prev;
        for _ in 0..self.rng.below(4) {
            let term = if self.rng.chance(1, 4) { self.near(position.term.0) } else { position.term.0 };
            position = LogPosition::new(position.index.0.wrapping_add(1), term);
            if self.rng.chance(1, 20) {
                position.index = Index(self.near(position.index.0));
            }
            let kind = if self.rng.chance(1, 2) { EntryKind::NoOp } else { EntryKind::Command };
            let entry = Entry::chained(chain, position, kind, self.rng.next_u64(), Bytes::from_static(b"x"));
            chain = if self.rng.chance(1, 20) { Digest(7) } else { entry.chain };
            entries.push(entry);
        }
        (if self.rng.chance(1, 4) { None } else { before }, entries)
    }

    fn message(&mut self) -> Message {
        let status = self.raft.status();
        let (stream, round) = (self.rng.below(6), self.rng.below(6));
        let your_epoch = Epoch(self.rng.below(3));
        let counted = self.rng.chance(3, 4);
        match self.rng.below(10) {
            0 => Message::PreVote { last: self.position() },
            1 => {
                let campaign_term = Term(self.near(status.hard_state.current_term.0 + 1));
                Message::PreVoteReply { campaign_term, granted: self.rng.chance(2, 3) }
            }
            2 => Message::RequestVote { last: self.position() },
            3 => Message::RequestVoteReply { granted: self.rng.chance(2, 3) },
            4 | 5 => {
                let prev = self.position();
                let (prev_chain, entries) = self.entries(prev);
                let commit = Index(self.near(status.commit.0));
                let applied = self.rng.chance(1, 9).then_some((status.applied, Digest(1)));
                Message::AppendEntries(AppendEntries {
                    prev,
                    prev_chain,
                    entries,
                    commit,
                    stream,
                    round,
                    your_epoch,
                    applied,
                })
            }
            6 => {
                let outcome = match self.rng.below(5) {
                    0 | 1 => AppendOutcome::Accepted { match_index: Index(self.near(status.last.index.0)) },
                    2 | 3 => {
                        let prev = self.near(status.last.index.0);
                        AppendOutcome::Rejected { prev: Index(prev), hint: self.position() }
                    }
                    _ => AppendOutcome::NotLooked,
                };
                Message::AppendEntriesReply(AppendEntriesReply { stream, round, counted, outcome })
            }
            7 => {
                let body = b"abcdef";
                let offset = self.near(0).min(u64::MAX - 1);
                // A log that ends at the end of all numbers cannot go on.
                let mut last = self.position();
                last.index = Index(last.index.0.min(u64::MAX / 2));
                let meta = SnapshotMeta {
                    last,
                    chain: Digest(9),
                    configuration: Configuration::first(1 + self.rng.below(4)),
                    proposed_at_us: self.rng.next_u64(),
                    digest: Digest(1),
                    size_bytes: self.near(6),
                    checksum: Digest(xxh3_128(body)),
                };
                let (chunk, offset) = if self.rng.chance(1, 2) { (&body[..], 0) } else { (&body[..3], offset) };
                let chunk = Bytes::copy_from_slice(chunk);
                Message::InstallSnapshot(InstallSnapshot { meta, offset, chunk, stream, round, your_epoch })
            }
            8 => {
                let outcome = match self.rng.below(3) {
                    0 => SnapshotOutcome::Continue { next_offset: self.near(1) },
                    1 => SnapshotOutcome::Installing,
                    _ => SnapshotOutcome::Installed { match_index: Index(self.near(status.last.index.0)) },
                };
                let last = if self.rng.chance(1, 2) { self.position() } else { LogPosition::new(status.snapshot.0, 1) };
                Message::InstallSnapshotReply(InstallSnapshotReply { last, stream, round, counted, outcome })
            }
            _ => {
                let ticket = Ticket(self.rng.below(4));
                if self.rng.chance(1, 2) {
                    Message::ReadIndex { ticket }
                } else {
                    Message::ReadIndexReply { ticket, your_epoch, index: Index(self.near(status.commit.0)) }
                }
            }
        }
    }
}

fn live(seed: u64) -> BTreeMap<&'static str, u64> {
    let mut rng = Rng::new(seed);
    let configuration = Configuration::first(1 + rng.below(4));
    let options = Options {
        pre_vote: rng.chance(1, 2),
        check_quorum: rng.chance(1, 2),
        snapshot_entries: 5,
        keep_entries: rng.below(4),
        chunk_bytes: 1,
        window_messages: 2,
        ..Options::new(NodeId(1), configuration)
    };
    let raft = Raft::new(options, Recovered { epoch: Epoch(1), ..Recovered::default() }, seed);
    let mut solo = Solo { raft, rng, kinds: BTreeMap::new() };
    for place in 0..300 {
        match solo.rng.below(12) {
            0..3 => {
                for _ in 0..solo.rng.below(20) {
                    solo.step(Input::Tick);
                }
            }
            3 => {
                let (ticket, command) = (Ticket(place), Bytes::from_static(b"command"));
                solo.step(Input::Propose(Proposal { ticket, command, proposed_at_us: place }));
            }
            4 => {
                let ticket = Ticket(solo.rng.below(4));
                solo.step(Input::Read(ticket));
            }
            _ => {
                let message = solo.message();
                *solo.kinds.entry(message.kind().name()).or_default() += 1;
                // A term at the end of its range would leave no election after it: nothing to be learned from that.
                let term = solo.raft.current_term().0;
                let term = (term + solo.rng.below(9)).saturating_sub(if solo.rng.chance(1, 6) { 3 } else { 0 });
                let term = if solo.rng.chance(2, 3) { solo.raft.current_term().0 } else { term };
                let from = NodeId(2 + solo.rng.below(3));
                let epoch = Epoch(1 + u64::from(solo.rng.chance(1, 50)));
                solo.step(Input::Receive(Envelope {
                    from,
                    to: NodeId(1),
                    epoch,
                    number: place,
                    term: Term(term),
                    message,
                }));
            }
        }
        if let Some(evidence) = solo.raft.halted() {
            let rule = if evidence.contains("speak") { "halted: two leaders" } else { "halted: another rule" };
            *solo.kinds.entry(rule).or_default() += 1;
            break;
        }
        *solo.kinds.entry(solo.raft.status().role.name()).or_default() += 1;
    }
    solo.kinds
}

#[test]
#[expect(clippy::print_stdout, reason = "what was tried, for who looks")]
fn no_message_makes_the_core_panic() {
    let count = std::env::var("RAFT_FUZZ").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let mut kinds = BTreeMap::new();
    for seed in 1..=count {
        let seen = catch_unwind(AssertUnwindSafe(|| live(seed))).unwrap_or_else(|_| panic!("seed {seed} panics"));
        for (kind, times) in seen {
            *kinds.entry(kind).or_insert(0) += times;
        }
    }
    println!("{count} lives heard {kinds:?}");
    assert!(kinds.len() >= 10, "{kinds:?}");
}
