//! The protocol as a value (Ongaro and Ousterhout, extended version; Ongaro's thesis).
//!
//! [`Raft`] is one node's part in the protocol: [`Input`]s go in through [`Raft::step`], [`Effects`] come out of
//! [`Raft::take_effects`]. It has no clock, no disk, no wire and no thread; time is a count of ticks and luck is a seed,
//! so the same inputs give the same effects for ever. The disk is one more peer: a [`Persist`] goes out, its
//! [`SyncPoint`] comes back, and every message that promises something durable says which sync point it waits for.
//!
//! | section | file |
//! | --- | --- |
//! | Figure 2, persistent state | `types.rs`, `entry.rs` |
//! | Figure 2 and 13, RPCs | `message.rs` |
//! | §5.1 terms, who may speak | `mod.rs` |
//! | §5.2, §5.4.1, thesis 6.2, 9.6 elections | `election.rs` |
//! | §5.3 log matching | `log.rs` |
//! | §5.3, thesis 10.2.1 replication | `replication.rs`, `progress.rs` |
//! | §5.3, §5.4.2 commitment | `commit.rs` |
//! | §7 snapshots | `snapshot.rs` |
//! | §8, thesis 6.4 reads | `read.rs` |
//! | Figure 3 properties | `invariants.rs` |
//!
//! Kept true: a promise never leaves before what it promises is durable.
//! Not here: who calls this and when (`node/`); what commands mean (`machine/`).

#![deny(clippy::wildcard_enum_match_arm)]

mod commit;
pub mod configuration;
mod election;
pub mod entry;
pub mod event;
pub mod interface;
mod invariants;
mod log;
pub mod message;
mod progress;
mod read;
mod replication;
pub mod rng;
mod snapshot;
pub mod status;
pub mod types;

pub use configuration::Configuration;
pub use entry::{Entry, EntryKind};
pub use event::{Cause, Event, EventKind};
pub use interface::{
    Base, ChunkRequest, Effects, Input, Options, Outcome, Persist, PersistSnapshot, Proposal, Recovered, Send,
    SnapshotRequest,
};
pub use message::{Envelope, Message, MessageKind, SnapshotMeta};
pub use read::READS_WAITING_MAX;
pub use status::{PeerStatus, Role, Status, TermRun};
pub use types::{Digest, Epoch, HardState, Index, LogPosition, NodeId, SyncPoint, Term, Ticket, Ticks};

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::mutants;
use event::{IgnoredWhy, StepDown};
use log::Log;
use progress::Progress;
use rng::Rng;

/// One node's part in the protocol.
#[derive(Clone, Debug)]
pub struct Raft {
    options: Options,
    rng: Rng,
    epoch: Epoch,
    configuration: Configuration,
    /// The members without this node.
    peers: Arc<[NodeId]>,
    hard_state: HardState,
    hard_state_changed: bool,
    /// Number of the newest write that carries term and vote, until it is durable.
    hard_state_write: Option<u64>,
    log: Log,
    commit: Index,
    /// Handed to the machine.
    handed: Index,
    /// The machine says that it has applied these.
    applied: Index,
    snapshot: Option<SnapshotMeta>,
    machine: snapshot::MachineState,
    role: RoleState,
    leader: Option<NodeId>,
    now: Ticks,
    /// When the election timer was reset.
    timer_reset_at: Ticks,
    election_timeout: Ticks,
    /// When a message of the present leader was heard.
    leader_heard_at: Ticks,
    writes: u64,
    /// Writes that the disk has not answered: number and tick of asking.
    unsynced: VecDeque<(u64, Ticks)>,
    /// After a stalled disk: no campaign before it has answered.
    wait_for_disk: bool,
    epochs: BTreeMap<NodeId, Epoch>,
    receiving: Option<snapshot::Receiving>,
    installing: Option<SnapshotMeta>,
    reads: read::FollowerReads,
    quarantined: bool,
    /// The index at which the quarantine ends, once it is durable.
    heal_at: Option<Index>,
    messages: u64,
    cause: Cause,
    pending_write: PendingWrite,
    effects: Effects,
    halted: Option<String>,
}

#[derive(Clone, Debug, Default)]
struct PendingWrite {
    snapshot: Option<PersistSnapshot>,
    compact_to: Option<Base>,
}

#[derive(Clone, Debug)]
enum RoleState {
    Follower,
    PreCandidate(election::Campaign),
    Candidate(election::Campaign),
    Leader(Leader),
}

/// What only a leader knows (Figure 2, volatile state on leaders).
#[derive(Clone, Debug)]
struct Leader {
    progress: BTreeMap<NodeId, Progress>,
    heartbeat_at: Ticks,
    /// Newest round; each broadcast of heartbeats is one.
    round: u64,
    reads: read::LeaderReads,
    uncommitted_bytes: u64,
}

impl Raft {
    /// A node at the start of a life, from what its store gave back. The same seed gives the same election timeouts.
    #[must_use]
    pub fn new(options: Options, recovered: Recovered, seed: u64) -> Self {
        let Recovered { epoch, hard_state, snapshot, base, entries, quarantine } = recovered;
        let configuration =
            snapshot.as_ref().map_or_else(|| options.configuration.clone(), |meta| meta.configuration.clone());
        let mut log = Log::recovered(base, entries);
        let mut commit = Index::ZERO;
        if let Some(meta) = &snapshot {
            if !log.has(meta.last) {
                log.reset(Base { position: meta.last, chain: meta.chain });
            }
            commit = meta.last.index;
        }
        let mut raft = Self {
            rng: Rng::new(seed).fork(options.id.0),
            epoch,
            peers: configuration.without(options.id),
            configuration,
            hard_state,
            hard_state_changed: false,
            hard_state_write: None,
            commit,
            handed: commit,
            applied: commit,
            machine: snapshot::MachineState::new(snapshot.as_ref()),
            snapshot,
            role: RoleState::Follower,
            leader: None,
            now: 0,
            timer_reset_at: 0,
            election_timeout: options.election_timeout_ticks,
            leader_heard_at: 0,
            writes: 0,
            unsynced: VecDeque::new(),
            wait_for_disk: false,
            epochs: BTreeMap::new(),
            receiving: None,
            installing: None,
            reads: read::FollowerReads::default(),
            quarantined: quarantine.is_some(),
            heal_at: None,
            messages: 0,
            cause: Cause::Boot,
            pending_write: PendingWrite::default(),
            effects: Effects::default(),
            halted: None,
            log,
            options,
        };
        raft.reset_election_timer();
        raft.emit(EventKind::Started {
            epoch,
            last: raft.log.last(),
            snapshot: raft.commit,
            quarantined: raft.quarantined,
        });
        if raft.quarantined {
            raft.emit(EventKind::Quarantined);
            if raft.peers.is_empty() {
                raft.violate(
                    "the only voter lost a part of its log: there is nobody who could make it whole".to_owned(),
                );
            }
        }
        raft
    }

    /// One thing happened. Never blocks, never fails; what follows from it is in [`Raft::take_effects`].
    pub fn step(&mut self, input: Input) {
        if self.halted.is_some() {
            return;
        }
        let before = invariants::Before::of(self);
        match input {
            Input::Tick => {
                self.cause = Cause::Tick;
                self.now += 1;
                self.on_tick();
            }
            Input::Receive(envelope) => {
                let kind = envelope.message.kind();
                self.cause = Cause::Message { from: envelope.from, number: envelope.number, kind };
                self.on_envelope(envelope);
            }
            Input::Propose(proposal) => {
                self.cause = Cause::Client(proposal.ticket);
                self.on_propose(proposal);
            }
            Input::Read(ticket) => {
                self.cause = Cause::Client(ticket);
                self.on_read(ticket);
            }
            Input::Persisted(point) => {
                self.cause = Cause::Disk { number: point.number };
                self.on_persisted(point);
            }
            Input::Applied(applied) => {
                self.cause = Cause::Machine;
                self.on_applied(&applied);
            }
            Input::SnapshotTaken(meta) => {
                self.cause = Cause::Machine;
                self.on_snapshot_taken(meta);
            }
            Input::SnapshotInstalled(meta) => {
                self.cause = Cause::Machine;
                self.on_snapshot_installed(meta);
            }
            Input::ChunkRead { last, to, offset, chunk } => {
                self.cause = Cause::Machine;
                self.on_chunk_read(last, to, offset, chunk);
            }
        }
        invariants::check(self, &before);
    }

    /// Everything that the steps since the last call ask of the world. The one write in it comes first in meaning: its
    /// number is what the sends wait for.
    pub fn take_effects(&mut self) -> Effects {
        if self.halted.is_none() {
            self.flush_leader();
            self.take_write();
            self.hand_out();
        }
        std::mem::take(&mut self.effects)
    }

    /// This node.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.options.id
    }

    /// Whether it leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        matches!(self.role, RoleState::Leader(_))
    }

    /// Whether it asks for votes.
    #[must_use]
    pub fn is_candidate(&self) -> bool {
        matches!(self.role, RoleState::Candidate(_))
    }

    /// Its term.
    #[must_use]
    pub fn current_term(&self) -> Term {
        self.hard_state.current_term
    }

    /// Last durable index of its log.
    #[must_use]
    pub fn durable(&self) -> Index {
        self.log.durable()
    }

    /// Last index that the machine has applied.
    #[must_use]
    pub const fn applied(&self) -> Index {
        self.applied
    }

    /// The evidence on which it fell silent for good.
    #[must_use]
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// The entry at `index`, if it is in memory.
    #[must_use]
    pub fn entry(&self, index: Index) -> Option<&Entry> {
        self.log.get(index)
    }

    fn take_write(&mut self) {
        let snapshot = self.pending_write.snapshot.take();
        let compact_to = self.pending_write.compact_to.take();
        if !self.hard_state_changed && !self.log.has_changes() && snapshot.is_none() && compact_to.is_none() {
            return;
        }
        self.writes += 1;
        let number = self.writes;
        let hard_state = std::mem::take(&mut self.hard_state_changed).then_some(self.hard_state);
        if hard_state.is_some() {
            self.hard_state_write = Some(number);
        }
        let (truncate_from, entries) = self.log.take_changes(number);
        self.unsynced.push_back((number, self.now));
        let point = SyncPoint { number, term: self.hard_state.current_term, index: self.log.last().index };
        self.effects.persist = Some(Persist { point, hard_state, truncate_from, entries, snapshot, compact_to });
    }

    /// What a message must wait for so that its term and vote are durable when it leaves.
    fn promise(&self) -> Option<u64> {
        if self.hard_state_changed { Some(self.writes + 1) } else { self.hard_state_write }
    }

    /// What a message must wait for that says that the log is durable up to `index`.
    fn promise_log(&self, index: Index) -> Option<u64> {
        let log = if index <= self.log.durable() {
            None
        } else {
            Some(self.log.durable_after(index).unwrap_or(self.writes + 1))
        };
        log.max(self.promise())
    }

    fn on_persisted(&mut self, point: SyncPoint) {
        let number = point.number.min(self.writes);
        while self.unsynced.front().is_some_and(|(asked, _)| *asked <= number) {
            self.unsynced.pop_front();
        }
        if self.hard_state_write.is_some_and(|write| write <= number) {
            self.hard_state_write = None;
        }
        self.wait_for_disk = false;
        let durable = self.log.durable();
        self.log.persisted(number);
        if self.log.durable() > durable {
            self.emit(EventKind::Durable { index: self.log.durable() });
        }
        self.leave_quarantine_if_whole();
        self.count_own_vote(number);
        self.advance_commit();
    }

    fn emit(&mut self, kind: EventKind) {
        self.effects.events.push(Event { term: self.hard_state.current_term, cause: self.cause, kind });
    }

    fn ignore(&mut self, envelope: &Envelope, why: IgnoredWhy) {
        self.emit(EventKind::Ignored { from: envelope.from, message: envelope.message.kind(), why });
    }

    /// The world broke a rule: the node says so and is silent from now on.
    fn violate(&mut self, evidence: String) {
        self.emit(EventKind::Violated { evidence: evidence.clone() });
        self.effects.sends.clear();
        self.halted = Some(evidence);
    }

    fn send(&mut self, to: NodeId, term: Term, message: Message, after: Option<u64>) {
        self.messages += 1;
        let envelope = Envelope { from: self.options.id, to, epoch: self.epoch, number: self.messages, term, message };
        self.effects.sends.push(Send { after, envelope, cause: self.cause });
    }

    /// A message that speaks for the present term and promises nothing but that.
    fn say(&mut self, to: NodeId, message: Message) {
        let after = self.promise();
        self.send(to, self.hard_state.current_term, message, after);
    }

    /// Everybody else; shared, so that walking over it leaves `self` free.
    fn peers(&self) -> Arc<[NodeId]> {
        Arc::clone(&self.peers)
    }

    /// Enters a higher term without having voted in it (§5.1).
    fn adopt_term(&mut self, term: Term) {
        assert!(term > self.hard_state.current_term, "{term} is not above {}", self.hard_state.current_term);
        self.hard_state = HardState { current_term: term, voted_for: None };
        self.hard_state_changed = true;
    }

    fn become_follower(&mut self, leader: Option<NodeId>) {
        let was_follower = matches!(self.role, RoleState::Follower);
        let news = !was_follower || self.leader != leader;
        if let RoleState::Leader(state) = std::mem::replace(&mut self.role, RoleState::Follower) {
            self.abort_leader_reads(state.reads, leader);
        }
        if self.leader != leader {
            self.abort_follower_reads(leader);
        }
        self.leader = leader;
        if news {
            self.emit(EventKind::BecameFollower { leader });
        }
    }

    /// Gives up leading or campaigning in the present term.
    fn step_down(&mut self, why: StepDown, leader: Option<NodeId>) {
        if matches!(self.role, RoleState::Leader(_) | RoleState::Candidate(_)) {
            self.emit(EventKind::SteppedDown { why });
        }
        // A higher term alone does not put off a follower's own election (T-27).
        if !matches!(self.role, RoleState::Follower) {
            self.reset_election_timer();
        }
        self.become_follower(leader);
    }

    /// Who may speak, for which term, from which life (§5.1).
    fn on_envelope(&mut self, envelope: Envelope) {
        if envelope.to != self.options.id {
            return self.ignore(&envelope, IgnoredWhy::NotForMe);
        }
        if envelope.from == self.options.id || !self.configuration.contains(envelope.from) {
            return self.ignore(&envelope, IgnoredWhy::NotAMember);
        }
        if !envelope.is_plausible() {
            return self.ignore(&envelope, IgnoredWhy::Malformed);
        }
        if !self.note_epoch(envelope.from, envelope.epoch) {
            return self.ignore(&envelope, IgnoredWhy::OldEpoch);
        }
        // Pre-votes speak for a term that nobody is in yet.
        match &envelope.message {
            Message::PreVote { last } => return self.on_pre_vote(envelope.from, envelope.term, *last),
            Message::PreVoteReply { campaign_term, granted } => {
                let (campaign_term, granted) = (*campaign_term, *granted);
                return self.on_pre_vote_reply(&envelope, campaign_term, granted);
            }
            Message::RequestVote { .. } if self.hears_other_leader(envelope.from) => {
                return self.refuse_undisturbed(envelope.from);
            }
            Message::RequestVote { .. }
            | Message::RequestVoteReply { .. }
            | Message::AppendEntries(_)
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshot(_)
            | Message::InstallSnapshotReply(_)
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => {}
        }
        let answer = matches!(envelope.message, Message::AppendEntriesReply(_) | Message::RequestVoteReply { .. });
        if answer && envelope.term > self.hard_state.current_term && mutants::on("M15") {
            return self.ignore(&envelope, IgnoredWhy::LateAnswer);
        }
        if envelope.term > self.hard_state.current_term {
            self.adopt_term(envelope.term);
            self.step_down(StepDown::HigherTerm, None);
        } else if envelope.term < self.hard_state.current_term {
            if mutants::on("M16") {
                self.hard_state.current_term = envelope.term;
            } else if !(answer && mutants::on("M14")) {
                return self.on_old_term(&envelope);
            }
        }
        match envelope.message {
            Message::PreVote { .. } | Message::PreVoteReply { .. } => {}
            Message::RequestVote { last } => self.on_request_vote(envelope.from, last),
            Message::RequestVoteReply { granted } => self.on_request_vote_reply(&envelope, granted),
            Message::AppendEntries(append) => self.on_append_entries(envelope.from, append),
            Message::AppendEntriesReply(ref reply) => self.on_append_entries_reply(&envelope, reply),
            Message::InstallSnapshot(piece) => self.on_install_snapshot(envelope.from, &piece),
            Message::InstallSnapshotReply(ref reply) => self.on_install_snapshot_reply(&envelope, reply),
            Message::ReadIndex { ticket } => self.on_read_index(envelope.from, ticket),
            Message::ReadIndexReply { ticket, your_epoch, index } => {
                self.on_read_index_reply(&envelope, ticket, your_epoch, index);
            }
        }
    }

    /// A sender that is behind hears our term, so that it does not stay stuck (etcd's rule for PreVote and CheckQuorum).
    fn on_old_term(&mut self, envelope: &Envelope) {
        match &envelope.message {
            Message::AppendEntries(append) => {
                let message = self.not_looked(append.stream, append.round);
                self.say(envelope.from, message);
            }
            Message::InstallSnapshot(piece) => {
                let message = self.not_looked(piece.stream, piece.round);
                self.say(envelope.from, message);
            }
            Message::RequestVote { .. } => {
                self.emit(EventKind::VoteRefused {
                    candidate: envelope.from,
                    pre: false,
                    why: event::Refusal::OldTerm,
                });
                return self.say(envelope.from, Message::RequestVoteReply { granted: false });
            }
            Message::PreVote { .. }
            | Message::PreVoteReply { .. }
            | Message::RequestVoteReply { .. }
            | Message::AppendEntriesReply(_)
            | Message::InstallSnapshotReply(_)
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. } => {}
        }
        self.ignore(envelope, IgnoredWhy::OldTerm);
    }

    /// Remembers the newest life of a peer. False: the message is from an earlier one.
    fn note_epoch(&mut self, from: NodeId, epoch: Epoch) -> bool {
        let known = self.epochs.insert(from, epoch);
        match known {
            Some(known) if epoch < known => {
                self.epochs.insert(from, known);
                return false;
            }
            Some(known) if epoch > known => {
                self.emit(EventKind::PeerRestarted { peer: from, epoch });
                if let RoleState::Leader(leader) = &mut self.role
                    && let Some(progress) = leader.progress.get_mut(&from)
                {
                    progress.restarted(epoch);
                }
            }
            Some(_) => {}
            None => {
                if let RoleState::Leader(leader) = &mut self.role
                    && let Some(progress) = leader.progress.get_mut(&from)
                {
                    progress.epoch = epoch;
                }
            }
        }
        true
    }

    fn on_tick(&mut self) {
        match self.role {
            RoleState::Leader(_) => self.tick_leader(),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => self.tick_election(),
        }
        self.expire_follower_reads();
    }

    fn on_propose(&mut self, proposal: Proposal) {
        let leader_id = self.leader;
        let RoleState::Leader(leader) = &self.role else {
            return self.effects.replies.push((proposal.ticket, Outcome::NotLeader { leader: leader_id }));
        };
        let uncommitted_bytes = leader.uncommitted_bytes;
        if uncommitted_bytes >= self.options.uncommitted_bytes_max && !mutants::on("B02") {
            return self.effects.replies.push((proposal.ticket, Outcome::Busy { uncommitted_bytes }));
        }
        let position = self.append(EntryKind::Command, proposal.proposed_at_us, proposal.command);
        self.effects.replies.push((proposal.ticket, Outcome::Appended(position)));
    }
}
