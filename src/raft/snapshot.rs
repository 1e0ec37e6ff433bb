//! Log compaction and InstallSnapshot (paper §7, Figure 13).
//!
//! A node asks its machine for a snapshot when enough has been applied since the last one; when that is durable, the log
//! before it goes, but for a tail that spares followers which are a little late. A leader sends its newest snapshot in
//! chunks to a follower whose next entry is gone; the follower checks the whole against its checksum before it counts.
//!
//! Kept true: a snapshot never takes back what is committed here; it is acknowledged when it is durable and installed;
//! nothing is applied while one is being installed.
//! Not here: bytes of the machine (`machine/`), files (`storage/`).

use std::collections::VecDeque;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::event::{EventKind, IgnoredWhy, Mode};
use super::interface::{Base, ChunkRequest, PersistSnapshot, SnapshotRequest};
use super::message::{Envelope, InstallSnapshot, InstallSnapshotReply, Message, SnapshotMeta, SnapshotOutcome};
use super::types::{Digest, Index, LogPosition, NodeId, Term, Ticks};
use super::{Raft, RoleState};
use crate::mutants;

/// How many digests of the machine are remembered.
const DIGESTS_KEPT: usize = 1024;

/// What the core knows of the machine's state.
#[derive(Clone, Debug)]
pub(super) struct MachineState {
    digests: VecDeque<(Index, Digest)>,
    /// A digest that the leader told, for a place that is not applied here yet.
    expected: Option<(Index, Digest)>,
    pub(super) bytes_since_snapshot: u64,
    /// A snapshot is being taken.
    taking: bool,
}

impl MachineState {
    pub(super) fn new(snapshot: Option<&SnapshotMeta>) -> Self {
        let digests = snapshot.map(|meta| (meta.last.index, meta.digest)).into_iter().collect();
        Self { digests, expected: None, bytes_since_snapshot: 0, taking: false }
    }

    pub(super) fn latest_digest(&self) -> Option<(Index, Digest)> {
        self.digests.back().copied()
    }

    /// Compares with what another node has at `index`, now or when it is applied here. Gives the evidence of a difference.
    pub(super) fn expect_digest(&mut self, index: Index, digest: Digest) -> Option<String> {
        match self.digests.binary_search_by_key(&index, |(at, _)| *at) {
            Ok(found) => differing(index, self.digests[found].1, digest),
            Err(place) if place == self.digests.len() => {
                self.expected.get_or_insert((index, digest));
                None
            }
            Err(_) => None,
        }
    }

    fn applied(&mut self, applied: &[(Index, Digest)]) -> Option<String> {
        let mut evidence = None;
        for (index, digest) in applied {
            if let Some((expected_at, expected)) = self.expected
                && expected_at <= *index
            {
                self.expected = None;
                if expected_at == *index {
                    evidence = evidence.or_else(|| differing(*index, *digest, expected));
                }
            }
            self.digests.push_back((*index, *digest));
        }
        let excess = self.digests.len().saturating_sub(DIGESTS_KEPT);
        self.digests.drain(..excess);
        evidence
    }
}

fn differing(index: Index, ours: Digest, theirs: Digest) -> Option<String> {
    (ours != theirs).then(|| {
        format!(
            "State Machine Safety (§5.4.3): after entry {index} my machine's digest is {ours}, the leader's {theirs}"
        )
    })
}

/// A snapshot that arrives in pieces.
#[derive(Clone, Debug)]
pub(super) struct Receiving {
    pub(super) meta: SnapshotMeta,
    pub(super) body: Vec<u8>,
}

// Taking one.
impl Raft {
    pub(super) fn on_applied(&mut self, applied: &[(Index, Digest)]) {
        let Some((index, _)) = applied.last().copied() else { return };
        assert_eq!(index, self.handed, "the machine applies what it was handed, all of it");
        self.applied = index;
        self.emit(EventKind::Applied { index });
        if let Some(evidence) = self.machine.applied(applied) {
            return self.violate(evidence);
        }
        self.answer_ready_reads();
        self.take_snapshot_if_due();
    }

    fn take_snapshot_if_due(&mut self) {
        let covered = self.snapshot.as_ref().map_or(Index::ZERO, |meta| meta.last.index);
        let entries = self.applied.0 - covered.0;
        let due = entries >= self.options.snapshot_entries
            || (entries > 0 && self.machine.bytes_since_snapshot >= self.options.snapshot_bytes);
        // A follower that receives the present one should not have to start again, and should find the entries after it,
        // unless they weigh more than the snapshot: then it is too slow to be waited for.
        let sent_bytes = self.snapshot.as_ref().map_or(0, |meta| meta.size_bytes);
        let few = entries < self.options.snapshot_entries.saturating_mul(4) || self.log.bytes() < sent_bytes;
        let wanted = few && self.is_sending_snapshot();
        if !due || wanted || self.machine.taking || self.installing.is_some() {
            return;
        }
        let (Some(term), Some(chain)) = (self.log.term_at(self.applied), self.log.chain_at(self.applied)) else {
            return;
        };
        let proposed_at_us = self.log.get(self.applied).map_or(0, |entry| entry.proposed_at_us);
        self.machine.taking = true;
        self.machine.bytes_since_snapshot = 0;
        if mutants::on("M43") {
            self.log.compact(self.applied.previous());
            self.pending_write.compact_to = Some(self.log.base());
        }
        self.effects.take_snapshot = Some(SnapshotRequest {
            last: LogPosition { index: if mutants::on("M40") { self.applied.previous() } else { self.applied }, term },
            chain,
            configuration: self.configuration.clone(),
            proposed_at_us,
        });
    }

    /// The last entry that all followers have who answer and get entries.
    fn needed_from(&self) -> Index {
        let RoleState::Leader(leader) = &self.role else { return self.applied };
        let timeout = self.options.election_timeout_ticks;
        let served = leader.progress.values().filter(|peer| peer.silent_ticks(self.now) < timeout);
        served.filter(|peer| peer.mode != Mode::Snapshot).map(|peer| peer.match_index).min().unwrap_or(self.applied)
    }

    fn is_sending_snapshot(&self) -> bool {
        match &self.role {
            RoleState::Leader(leader) => leader.progress.values().any(|peer| peer.mode == Mode::Snapshot),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => false,
        }
    }

    /// The machine's snapshot is in its file: it counts from now on, and the log before it may go.
    pub(super) fn on_snapshot_taken(&mut self, meta: SnapshotMeta) {
        self.machine.taking = false;
        let newest = self.snapshot.as_ref().map_or(Index::ZERO, |newest| newest.last.index);
        if meta.last.index <= newest || self.installing.is_some() {
            return;
        }
        self.emit(EventKind::SnapshotTaken { last: meta.last, size_bytes: meta.size_bytes });
        let mut keep_from = Index(meta.last.index.0.saturating_sub(self.options.keep_entries));
        // What a follower that answers still lacks is cheaper sent than the snapshot, as long as it weighs less.
        if self.log.bytes() < meta.size_bytes || mutants::on("B03") {
            keep_from = keep_from.min(self.needed_from());
        }
        self.pending_write.snapshot = Some(PersistSnapshot { meta: meta.clone(), body: None, discard_log: false });
        self.snapshot = Some(meta);
        if keep_from >= self.log.first_index() {
            self.log.compact(keep_from);
            self.pending_write.compact_to = Some(self.log.base());
            self.emit(EventKind::Compacted { first: self.log.first_index() });
        }
    }
}

// Sending one.
impl Raft {
    /// The entries that a follower needs are gone: it gets the newest snapshot, if it answers at all.
    pub(super) fn start_snapshot(&mut self, peer: NodeId) {
        let now = self.now;
        let timeout = self.options.election_timeout_ticks;
        let Some(meta) = self.snapshot.clone() else { return };
        let Some(progress) = self.progress_of(peer) else { return };
        if progress.silent_ticks(now) >= timeout {
            return;
        }
        progress.send_snapshot(meta);
        self.emit(EventKind::PeerMode { peer, mode: Mode::Snapshot });
        self.ask_for_chunk(peer);
    }

    fn ask_for_chunk(&mut self, peer: NodeId) {
        let now = self.now;
        let length = self.options.chunk_bytes;
        let Some(newest) = self.snapshot.clone() else { return };
        let Some(progress) = self.progress_of(peer) else { return };
        let Some(sending) = &mut progress.sending else { return };
        // The file of an older one is gone.
        if sending.meta != newest {
            sending.meta = newest;
            sending.next_offset = 0;
        }
        sending.asked_at = Some(now);
        let request = ChunkRequest { meta: sending.meta.clone(), to: peer, offset: sending.next_offset, length };
        self.effects.read_chunks.push(request);
    }

    /// Asks again when nothing was heard of the last chunk for a while.
    pub(super) fn resume_snapshot(&mut self, peer: NodeId) {
        let now = self.now;
        let patience: Ticks = 2 * self.options.heartbeat_ticks + self.options.election_timeout_ticks;
        let waits = self
            .progress_of(peer)
            .and_then(|progress| progress.sending.as_ref())
            .is_some_and(|sending| sending.asked_at.is_none_or(|asked_at| now - asked_at >= patience));
        if waits {
            self.ask_for_chunk(peer);
        }
    }

    pub(super) fn on_chunk_read(&mut self, last: LogPosition, to: NodeId, offset: u64, chunk: Bytes) {
        let now = self.now;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let round = leader.round;
        let Some(progress) = leader.progress.get_mut(&to) else { return };
        let (stream, your_epoch) = (progress.stream, progress.epoch);
        let Some(sending) = &mut progress.sending else { return };
        if sending.meta.last != last || sending.next_offset != offset {
            return;
        }
        sending.asked_at = Some(now);
        let meta = sending.meta.clone();
        self.say(to, Message::InstallSnapshot(InstallSnapshot { meta, offset, chunk, stream, round, your_epoch }));
    }

    pub(super) fn on_install_snapshot_reply(&mut self, envelope: &Envelope, reply: &InstallSnapshotReply) {
        let now = self.now;
        let last = self.log.last().index;
        let peer = envelope.from;
        let RoleState::Leader(leader) = &mut self.role else {
            return self.ignore(envelope, IgnoredWhy::LateAnswer);
        };
        let newest_round = leader.round;
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        if reply.round > newest_round {
            return self.ignore(envelope, IgnoredWhy::Malformed);
        }
        progress.heard_at = now;
        progress.counted = reply.counted;
        progress.round = progress.round.max(reply.round);
        let stream = progress.stream;
        match (reply.outcome, &mut progress.sending) {
            (SnapshotOutcome::Installed { match_index }, _) if match_index > last => {
                return self.ignore(envelope, IgnoredWhy::Malformed);
            }
            (SnapshotOutcome::Installed { match_index }, sending) => {
                let done = sending.as_ref().is_some_and(|sending| match_index >= sending.meta.last.index);
                progress.matched(match_index);
                if done {
                    let next = progress.match_index.next();
                    progress.probe(next);
                    progress.replicate();
                    self.emit(EventKind::PeerMode { peer, mode: Mode::Replicate });
                }
                self.advance_commit();
            }
            (SnapshotOutcome::Continue { next_offset }, Some(sending))
                if reply.stream == stream
                    && reply.last == sending.meta.last
                    && next_offset < sending.meta.size_bytes
                    && next_offset != sending.next_offset =>
            {
                sending.next_offset = next_offset;
                self.ask_for_chunk(peer);
            }
            (SnapshotOutcome::Installing, Some(sending)) if reply.stream == stream => sending.asked_at = Some(now),
            (SnapshotOutcome::Continue { .. } | SnapshotOutcome::Installing, _) => {
                self.ignore(envelope, IgnoredWhy::LateAnswer);
            }
        }
        self.confirm_reads();
    }
}

// Receiving one.
impl Raft {
    pub(super) fn on_install_snapshot(&mut self, from: NodeId, piece: &InstallSnapshot) {
        if !self.follow(from) {
            return;
        }
        if self.installing.is_some() {
            return self.answer_piece(from, piece, SnapshotOutcome::Installing, None);
        }
        let last = piece.meta.last;
        if last.term > self.hard_state.current_term || (last.index == Index::ZERO) != (last.term == Term::ZERO) {
            return self.emit(EventKind::Ignored {
                from,
                message: super::MessageKind::InstallSnapshot,
                why: IgnoredWhy::Malformed,
            });
        }
        if last.index <= self.commit && !mutants::on("M41") {
            if self.log.term_at(last.index).is_some_and(|term| term != last.term) {
                return self.violate(format!(
                    "Leader Completeness (§5.4): the leader's snapshot ends at {last}, which is committed here in another term"
                ));
            }
            let match_index = self.commit.min(self.log.durable());
            let outcome = SnapshotOutcome::Installed { match_index };
            return self.answer_piece(from, piece, outcome, self.promise());
        }
        // Figure 13, rule 6: what the log has already need not be sent, and what follows it stays.
        let here = self.log.has(last) && self.log.chain_at(last.index) == Some(piece.meta.chain);
        if here && !mutants::on("M41") {
            self.commit_to(last.index);
            let outcome = SnapshotOutcome::Installed { match_index: last.index };
            return self.answer_piece(from, piece, outcome, self.promise_log(last.index));
        }
        if !self.take_piece(piece) {
            let next_offset = self.receiving.as_ref().map_or(0, |receiving| receiving.body.len() as u64);
            return self.answer_piece(from, piece, SnapshotOutcome::Continue { next_offset }, None);
        }
        let Some(Receiving { meta, body }) = self.receiving.take() else { return };
        if Digest(xxh3_128(&body)) != meta.checksum && !mutants::on("M47") {
            // Not answered: the leader asks again after a while, and not as fast as the wire allows.
            return self.emit(EventKind::Ignored {
                from,
                message: super::MessageKind::InstallSnapshot,
                why: IgnoredWhy::Corrupt,
            });
        }
        self.emit(EventKind::SnapshotReceived { last });
        self.pending_write.snapshot =
            Some(PersistSnapshot { meta: meta.clone(), body: Some(Bytes::from(body)), discard_log: true });
        self.installing = Some(meta);
        self.answer_piece(from, piece, SnapshotOutcome::Installing, None);
    }

    /// Adds a piece where it belongs. True when the whole body is here.
    fn take_piece(&mut self, piece: &InstallSnapshot) -> bool {
        if self.receiving.as_ref().is_none_or(|receiving| receiving.meta != piece.meta && !mutants::on("M47")) {
            self.receiving = Some(Receiving { meta: piece.meta.clone(), body: Vec::new() });
        }
        let Some(receiving) = &mut self.receiving else { return false };
        let here = receiving.body.len() as u64;
        let size = piece.meta.size_bytes;
        if piece.offset == here && here + piece.chunk.len() as u64 <= size {
            receiving.body.extend_from_slice(&piece.chunk);
        }
        receiving.body.len() as u64 == size
    }

    fn answer_piece(&mut self, to: NodeId, piece: &InstallSnapshot, outcome: SnapshotOutcome, after: Option<u64>) {
        let message = Message::InstallSnapshotReply(InstallSnapshotReply {
            last: piece.meta.last,
            stream: piece.stream,
            round: piece.round,
            counted: !self.quarantined,
            outcome,
        });
        let after = after.max(self.promise());
        self.send(to, self.hard_state.current_term, message, after);
    }

    /// File, pointer and machine are in place: log boundary, commit and applied move in one step (T-63).
    pub(super) fn on_snapshot_installed(&mut self, meta: SnapshotMeta) {
        if self.installing.as_ref() != Some(&meta) {
            return;
        }
        let last = meta.last;
        self.installing = None;
        if !mutants::on("M42") {
            self.log.reset(Base { position: last, chain: meta.chain });
        }
        self.commit = last.index;
        self.handed = last.index;
        self.applied = last.index;
        self.configuration = meta.configuration.clone();
        self.peers = self.configuration.without(self.options.id);
        self.machine = MachineState::new(Some(&meta));
        self.emit(EventKind::SnapshotInstalled { last });
        self.answer_ready_reads();
        if let Some(leader) = self.leader {
            let message = Message::InstallSnapshotReply(InstallSnapshotReply {
                last,
                stream: 0,
                round: 0,
                counted: !self.quarantined,
                outcome: SnapshotOutcome::Installed { match_index: last.index },
            });
            self.say(leader, message);
        }
        self.snapshot = Some(meta);
    }
}
