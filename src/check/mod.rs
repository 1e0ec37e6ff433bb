//! The judge: what happened goes in, verdicts come out (paper Figure 3). PURE.
//!
//! | property | section | file |
//! | --- | --- | --- |
//! | Election Safety, by claim and by votes | §5.2 | `election_safety.rs` |
//! | Leader Append-Only | §5.3 | `leader_append_only.rs` |
//! | Log Matching | §5.3 | `log_matching.rs` |
//! | Leader Completeness | §5.4 | `leader_completeness.rs` |
//! | State Machine Safety | §5.4.3 | `state_machine_safety.rs` |
//! | commit on a durable majority, own term | §5.3, §5.4.2 | `commit_quorum.rs` |
//! | committed entries stay | §5.4.3 | `committed_immutable.rs` |
//! | what may only grow | Figure 2 | `monotonic.rs` |
//! | order of a log's places | Figure 2 | `order.rs` |
//! | no promise before persistence | §5, Figure 2 | `promises.rs` |
//! | durability of what was acknowledged | §8 | `durability.rs` |
//! | snapshots stand for their entries | §7 | `snapshots.rs` |
//! | bounded resources | §7 | `bounds.rs` |
//! | three outcomes | §8 | `outcomes.rs` |
//! | linearizability, by index | §8, thesis 6.4 | `linearizable.rs`, `model.rs` |
//! | what a local read may say | §8 | `local_reads.rs` |
//! | linearizability, by search | §8 | `wing_gong.rs` |
//! | the same of a history that was written down | §8 | `history.rs` |
//!
//! [`Judge`] keeps a picture of the whole cluster (`picture.rs`, `shadow.rs`) from what nodes ask of their disks, send and
//! tell. Each call looks only at what changed.
//!
//! Kept true: a judge changes nothing; the same facts give the same verdict.
//! Not here: what happens (`sim/`), whether a cluster makes progress (`sim/liveness.rs`).

mod bounds;
mod commit_quorum;
mod committed_immutable;
mod durability;
mod election_safety;
pub mod history;
mod leader_append_only;
mod leader_completeness;
mod linearizable;
mod local_reads;
mod log_matching;
mod model;
mod monotonic;
mod order;
mod outcomes;
mod picture;
mod promises;
mod shadow;
mod snapshots;
mod state_machine_safety;
pub mod wing_gong;

use std::fmt;

use crate::machine::kv::{KvQuery, KvReply};
use crate::raft::{
    Configuration, Digest, Envelope, Event, EventKind, Index, LogPosition, NodeId, Options, Persist, Recovered,
    SnapshotMeta, SnapshotRequest, Status,
};
use bounds::{Bounds, Held};
use election_safety::Elections;
use linearizable::Witness;
use monotonic::Seen;
use outcomes::Outcomes;
use picture::Picture;
use shadow::{Shadow, Write};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Property {
    /// At most one leader a term (I1).
    ElectionSafety,
    /// A leader keeps its log (I2).
    LeaderAppendOnly,
    /// Equal index and term, equal history (I3).
    LogMatching,
    /// Later leaders have what is committed (I4).
    LeaderCompleteness,
    /// Nobody applies anything else (I5).
    StateMachineSafety,
    /// Committed by a durable majority in the leader's own term (I6).
    CommitOnQuorum,
    /// What is committed stays (I7).
    CommittedImmutable,
    /// What may only grow (I8).
    Monotonic,
    /// Places of a log in their order (I9).
    Order,
    /// No promise before persistence (I10).
    Promise,
    /// What was acknowledged is kept (I11).
    Durability,
    /// Answers as if there were one store (I12, I15).
    Linearizability,
    /// What one node alone answers (I15).
    LocalReads,
    /// Applied, certainly not, or unknown; each at most once (I13, I14).
    Outcomes,
    /// A snapshot is its entries (I17).
    Snapshots,
    /// After healing it works again (I20).
    Liveness,
    /// Nothing grows without a bound (I21).
    Bounds,
    /// A node's own assertion, or its store's.
    Assertion,
    /// A node says that the world broke a rule, and it did not.
    Evidence,
}

impl Property {
    /// All of them.
    pub const ALL: [Self; 19] = [
        Self::ElectionSafety,
        Self::LeaderAppendOnly,
        Self::LogMatching,
        Self::LeaderCompleteness,
        Self::StateMachineSafety,
        Self::CommitOnQuorum,
        Self::CommittedImmutable,
        Self::Monotonic,
        Self::Order,
        Self::Promise,
        Self::Durability,
        Self::Linearizability,
        Self::LocalReads,
        Self::Outcomes,
        Self::Snapshots,
        Self::Liveness,
        Self::Bounds,
        Self::Assertion,
        Self::Evidence,
    ];

    /// Its name, as reports and lists of mutants write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ElectionSafety => "election safety",
            Self::LeaderAppendOnly => "leader append-only",
            Self::LogMatching => "log matching",
            Self::LeaderCompleteness => "leader completeness",
            Self::StateMachineSafety => "state machine safety",
            Self::CommitOnQuorum => "commit on a durable quorum",
            Self::CommittedImmutable => "committed entries stay",
            Self::Monotonic => "monotonic",
            Self::Order => "order",
            Self::Promise => "no promise before persistence",
            Self::Durability => "durability",
            Self::Linearizability => "linearizability",
            Self::LocalReads => "local reads",
            Self::Outcomes => "three outcomes",
            Self::Snapshots => "snapshots",
            Self::Liveness => "liveness",
            Self::Bounds => "bounded resources",
            Self::Assertion => "assertion",
            Self::Evidence => "evidence",
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {evidence}")]
pub struct Violation {
    /// Which.
    pub property: Property,
    /// What was seen.
    pub evidence: String,
}

/// Nothing, or what is broken.
pub type Verdict = Result<(), Box<Violation>>;

/// Says that a property does not hold.
pub fn broken(property: Property, evidence: impl FnOnce() -> String) -> Verdict {
    Err(Box::new(Violation { property, evidence: evidence() }))
}

/// Judges one run of one cluster.
#[derive(Clone, Debug)]
pub struct Judge {
    picture: Picture,
    elections: Elections,
    seen: Vec<Seen>,
    held: Vec<Held>,
    bounds: Option<Bounds>,
    /// The highest index that each machine was read at in this life, alone.
    looked: Vec<Index>,
    /// Last index whose command each machine ran.
    ran: Vec<Index>,
    outcomes: Outcomes,
    witness: Witness,
    /// Damage beyond the model: what is acknowledged may be gone with the disks.
    disks_may_die: bool,
}

impl Judge {
    /// Of a cluster of these members, in which nothing has happened.
    #[must_use]
    pub fn new(configuration: Configuration, disks_may_die: bool) -> Self {
        let picture = Picture::new(configuration);
        let nodes = picture.nodes().count();
        Self {
            picture,
            elections: Elections::default(),
            seen: vec![Seen::default(); nodes],
            held: vec![Held::default(); nodes],
            bounds: None,
            looked: vec![Index::ZERO; nodes],
            ran: vec![Index::ZERO; nodes],
            outcomes: Outcomes::default(),
            witness: Witness::default(),
            disks_may_die,
        }
    }

    /// Nodes with these options: what they hold is bounded by them.
    #[must_use]
    pub fn with_bounds(mut self, options: &Options) -> Self {
        self.bounds = Some(Bounds::of(options));
        self
    }

    fn held(&mut self, id: NodeId) -> &mut Held {
        &mut self.held[id.0 as usize - 1]
    }

    fn seen(&mut self, id: NodeId) -> &mut Seen {
        &mut self.seen[id.0 as usize - 1]
    }

    /// The highest committed index.
    #[must_use]
    pub fn frontier(&self) -> Index {
        self.picture.frontier()
    }

    /// The term of the committed entry at `index`.
    #[must_use]
    pub fn committed_term(&self, index: Index) -> Option<crate::raft::Term> {
        self.picture.committed_at(index).map(|(term, _)| term)
    }

    /// The term of the entry that the node has at `index`.
    #[must_use]
    pub fn term_in_log(&self, id: NodeId, index: Index) -> Option<crate::raft::Term> {
        self.picture.node(id).log.at(index).map(|(term, _)| term)
    }

    /// Whether the node may hold less than it promised.
    #[must_use]
    pub fn is_quarantined(&self, id: NodeId) -> bool {
        self.picture.node(id).quarantined
    }

    /// A life begins with what the disk brought back.
    pub fn booted(&mut self, id: NodeId, recovered: &Recovered) -> Verdict {
        let node = self.picture.node(id);
        self.seen[id.0 as usize - 1].booted(node, id, recovered.hard_state, recovered.epoch)?;
        durability::recovered(node, id, recovered)?;
        let snapshot = recovered.snapshot.as_ref();
        if let Some(SnapshotMeta { last, chain, digest, .. }) = snapshot {
            snapshots::check(&mut self.picture, id, *last, *chain, *digest)?;
        }
        let covered = snapshot.map_or(Index::ZERO, |meta| meta.last.index);
        self.ran[id.0 as usize - 1] = covered;
        self.looked[id.0 as usize - 1] = Index::ZERO;
        *self.held(id) = Held::booted(&recovered.entries, snapshot.map_or(0, |meta| meta.size_bytes));
        let node = self.picture.node_mut(id);
        let log = Shadow::recovered(recovered);
        if recovered.quarantine.is_some() && node.lost.is_none() {
            node.lost = Some(std::mem::take(&mut node.durable));
        }
        node.up = true;
        node.epoch = recovered.epoch;
        node.durable = log.clone();
        node.log = log;
        node.asked.clear();
        node.moved.clear();
        node.quarantined = recovered.quarantine.is_some();
        node.marked = node.quarantined;
        node.promised = node.durable.last_index();
        node.damaged = false;
        node.leads = None;
        (node.commit, node.applied) = (covered, covered);
        node.installing = None;
        Ok(())
    }

    /// The node asks its disk for a write.
    pub fn asked(&mut self, id: NodeId, persist: &Persist) -> Verdict {
        log_matching::check(&mut self.picture, id, &persist.entries)?;
        if let Some(snapshot) = &persist.snapshot {
            let SnapshotMeta { last, chain, digest, .. } = snapshot.meta;
            snapshots::check(&mut self.picture, id, last, chain, digest)?;
        }
        self.held(id).stored(&persist.entries);
        if let Some(snapshot) = persist.snapshot.as_ref().filter(|snapshot| snapshot.discard_log) {
            self.held(id).installs(snapshot.meta.size_bytes);
        }
        let write = Write::of(persist);
        let node = self.picture.node_mut(id);
        let before = persist.truncate_from.map(|from| (from, node.log.clone()));
        if let Err(why) = node.log.fold_end(&write) {
            return broken(Property::Order, || format!("{id}: {why}"));
        }
        let received = persist.snapshot.as_ref().filter(|snapshot| snapshot.discard_log);
        node.installing = received.map(|snapshot| snapshot.meta.last.index).or(node.installing);
        if write.moves_start() {
            node.moved.push(write.clone());
        }
        node.promised = node.promised.min(write.leaves());
        node.asked.push_back(write);
        if let Some((from, before)) = before {
            node.truncated = Some(node.truncated.map_or(from, |lowest| lowest.min(from)));
            committed_immutable::check(&self.picture, id, &before, from, persist.point.term)?;
        }
        Ok(())
    }

    /// Something happened in the node. Comes after the writes of the same turn.
    pub fn event(&mut self, id: NodeId, event: &Event) -> Verdict {
        self.held(id).event(event);
        match &event.kind {
            EventKind::BecameLeader => {
                self.picture.node_mut(id).leads = Some(event.term);
                self.elections.claimed(&self.picture, id, event.term)?;
                leader_completeness::elected(&self.picture, id, event.term)
            }
            EventKind::BecameFollower { .. } | EventKind::SteppedDown { .. } => {
                self.picture.node_mut(id).leads = None;
                Ok(())
            }
            EventKind::Committed { index } => self.committed(id, *index),
            EventKind::Applied { index } => {
                let node = self.picture.node_mut(id);
                node.applied = *index;
                let commit = node.commit;
                if *index > commit {
                    return broken(Property::Order, || {
                        format!("{id} applies {index}, it knows {commit} to be committed")
                    });
                }
                Ok(())
            }
            EventKind::SnapshotInstalled { last } => {
                let node = self.picture.node_mut(id);
                // The next may have come in the same turn.
                node.installing = node.installing.filter(|next| *next != last.index);
                (node.commit, node.applied) = (last.index, last.index);
                self.ran[id.0 as usize - 1] = last.index;
                Ok(())
            }
            EventKind::Quarantined => {
                self.picture.node_mut(id).quarantined = true;
                Ok(())
            }
            EventKind::QuarantineLeft => {
                let node = self.picture.node_mut(id);
                node.quarantined = false;
                node.lost = None;
                self.durability()
            }
            EventKind::Violated { evidence } => broken(Property::Evidence, || format!("{id}: {evidence}")),
            EventKind::Started { .. }
            | EventKind::ElectionTimeout { .. }
            | EventKind::BecamePreCandidate { .. }
            | EventKind::BecameCandidate
            | EventKind::VoteCounted { .. }
            | EventKind::Voted { .. }
            | EventKind::VoteRefused { .. }
            | EventKind::PreVoteGranted { .. }
            | EventKind::Appended { .. }
            | EventKind::Truncated { .. }
            | EventKind::Durable { .. }
            | EventKind::PeerRejected { .. }
            | EventKind::PeerMode { .. }
            | EventKind::PeerRestarted { .. }
            | EventKind::PeerLostData { .. }
            | EventKind::SnapshotTaken { .. }
            | EventKind::SnapshotReceived { .. }
            | EventKind::Compacted { .. }
            | EventKind::Ignored { .. } => Ok(()),
        }
    }

    fn committed(&mut self, id: NodeId, index: Index) -> Verdict {
        let node = self.picture.node_mut(id);
        let old = std::mem::replace(&mut node.commit, index);
        if index <= old {
            return broken(Property::Monotonic, || format!("{id} commits {index} after {old}"));
        }
        let leads = node.leads.unwrap_or_default();
        let frontier = self.picture.frontier();
        let mut at = old.next();
        while at <= index {
            let Some(entry) = self.picture.node(id).log.at(at) else {
                return broken(Property::Order, || format!("{id} commits {at}, which its log does not have"));
            };
            if let Some(known) = self.picture.committed_at(at) {
                state_machine_safety::committed(id, at, entry, known)?;
            } else {
                self.picture.committed.push(entry);
                let command = self.picture.known(at, entry.0).and_then(|known| known.command.clone());
                if let Some(command) = &command {
                    self.outcomes.committed(at, command)?;
                }
                self.witness.committed(at, command.as_deref())?;
            }
            at = at.next();
        }
        if index > frontier {
            commit_quorum::check(&self.picture, id, leads, index)?;
            self.picture.commits.insert(leads, index);
            leader_completeness::committed(&self.picture, index, leads)?;
        }
        Ok(())
    }

    /// A message leaves the node.
    pub fn sent(&mut self, envelope: &Envelope) -> Verdict {
        if let crate::raft::Message::RequestVoteReply { granted: true } = envelope.message {
            self.elections.voted(envelope.from, envelope.term, envelope.to)?;
        }
        promises::check(&self.picture, envelope)
    }

    /// The node's machine ran the command at `index`.
    pub fn ran(&mut self, id: NodeId, index: Index, command: &[u8]) -> Verdict {
        let before = std::mem::replace(&mut self.ran[id.0 as usize - 1], index);
        state_machine_safety::ran(&self.picture, id, before, index, command)
    }

    /// The node takes a snapshot of its machine.
    pub fn snapshot(&mut self, id: NodeId, request: &SnapshotRequest, digest: Digest) -> Verdict {
        self.held(id).takes_snapshot();
        snapshots::check(&mut self.picture, id, request.last, request.chain, digest)?;
        state_machine_safety::digest(&mut self.picture, id, request.last.index, digest)
    }

    /// What the node tells of itself after a turn.
    pub fn told(&mut self, id: NodeId, status: &Status, led_before: bool) -> Verdict {
        self.seen(id).told(id, status)?;
        let node = self.picture.node_mut(id);
        for write in std::mem::take(&mut node.moved) {
            if let Err(why) = node.log.fold_start(&write) {
                return broken(Property::Order, || format!("{id}: {why}"));
            }
        }
        let node = self.picture.node(id);
        order::check(node, id, status)?;
        leader_append_only::check(node, id, led_before, status)?;
        if let Some(bounds) = &self.bounds {
            self.held[id.0 as usize - 1].told(bounds, node, id, status)?;
        }
        self.picture.node_mut(id).truncated = None;
        if status.applied > Index::ZERO {
            state_machine_safety::digest(&mut self.picture, id, status.applied, status.digest)?;
        }
        Ok(())
    }

    /// The disk has made everything up to write `number` durable.
    pub fn synced(&mut self, id: NodeId, number: u64) -> Verdict {
        while self.picture.node(id).asked.front().is_some_and(|write| write.number <= number) {
            self.settle_one(id)?;
        }
        let node = self.picture.node_mut(id);
        // Where a write on its way removes entries, they are promised to nobody any more.
        let left = node.asked.iter().map(Write::leaves).min();
        let last = node.durable.last_index();
        node.promised = left.map_or(last, |left| left.min(last));
        Ok(())
    }

    /// The disk has forgotten the quarantine.
    pub fn trusted(&mut self, id: NodeId) {
        self.picture.node_mut(id).marked = false;
    }

    fn settle_one(&mut self, id: NodeId) -> Verdict {
        let node = self.picture.node_mut(id);
        let Some(write) = node.asked.pop_front() else { return Ok(()) };
        node.promised = node.promised.min(write.leaves());
        if let Err(why) = node.durable.fold(&write) {
            return broken(Property::Order, || format!("{id}: {why}"));
        }
        write.hard_state.map_or(Ok(()), |hard_state| self.settle_hard_state(id, hard_state))
    }

    fn settle_hard_state(&mut self, id: NodeId, hard_state: crate::raft::HardState) -> Verdict {
        self.picture.node_mut(id).hard = hard_state;
        hard_state.voted_for.map_or(Ok(()), |candidate| self.elections.voted(id, hard_state.current_term, candidate))
    }

    /// The node is down: of its unsynced writes the oldest `kept` survived, and of the next one, if `torn`, term and vote.
    pub fn crashed(&mut self, id: NodeId, kept: usize, torn: bool) -> Verdict {
        for _ in 0..kept {
            self.settle_one(id)?;
        }
        let node = self.picture.node_mut(id);
        let vote = node.asked.front().and_then(|write| write.hard_state).filter(|_| torn);
        node.asked.clear();
        node.up = false;
        node.leads = None;
        if let Some(hard_state) = vote {
            self.settle_hard_state(id, hard_state)?;
        }
        self.durability()
    }

    /// Something synced on the node's disk is not what it was.
    pub fn damaged(&mut self, id: NodeId) {
        self.picture.node_mut(id).damaged = true;
    }

    /// What was acknowledged is on a majority of the disks.
    pub fn durability(&self) -> Verdict {
        if self.disks_may_die { Ok(()) } else { durability::check(&self.picture, self.witness.acknowledged()) }
    }

    /// A client asks for something; `command` if it changes anything.
    pub fn invoked(&mut self, operation: u64, command: Option<&[u8]>) {
        self.witness.invoked(operation);
        if let Some(command) = command {
            self.outcomes.asked(command);
        }
    }

    /// A client is told that its command was applied.
    pub fn wrote(&mut self, operation: u64, command: &[u8], position: LogPosition, reply: &[u8]) -> Verdict {
        self.witness.wrote(&self.picture, operation, command, position, reply)
    }

    /// A client is told what its query found.
    pub fn read(&mut self, operation: u64, query: &KvQuery, index: Index, reply: &[u8]) -> Verdict {
        self.witness.read(&self.picture, operation, query, index, reply)
    }

    /// A node answers from what it has applied, asking nobody.
    pub fn local_read(&mut self, id: NodeId, query: &KvQuery, index: Index, reply: &[u8]) -> Verdict {
        let floor = &mut self.looked[id.0 as usize - 1];
        let before = std::mem::replace(floor, index.max(*floor));
        local_reads::check(&self.picture, &self.witness, id, before, query, index, reply)
    }

    /// A client is told that its request certainly had no effect.
    pub fn refused(&mut self, operation: u64, command: Option<&[u8]>) -> Verdict {
        self.witness.gave_up(operation);
        command.map_or(Ok(()), |command| self.outcomes.refused(command))
    }

    /// A client does not know what became of its request, and never will.
    pub fn unknown(&mut self, operation: u64) {
        self.witness.gave_up(operation);
    }

    /// What a machine that has applied everything up to `index` must answer.
    #[must_use]
    pub fn right_answer(&self, index: Index, query: &KvQuery) -> KvReply {
        self.witness.at(index, query)
    }
}
