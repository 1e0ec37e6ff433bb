//! One Raft server: protocol, disk and state machine (paper Figure 1).
//!
//! [`Node`] is synchronous and has no clock, no disk and no wire. [`Node::turn`] takes what came in, lets the core
//! decide, applies what is committed, and emits what has to be done. The order in which promises become durable is
//! written here, once: a message that waits for a write stays in the outbox until the disk has answered it.
//!
//! Kept true: nothing that promises leaves before what it promises is durable; each client gets one answer.
//! Not here: threads, sleeping, channels (`driver.rs`, `writer.rs`).

pub mod driver;
mod known;
pub mod meters;
pub mod tracer;
pub mod waiting;
pub mod writer;

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::machine::{Frozen, StateMachine};
use crate::mutants;
use crate::raft::{
    Cause, ChunkRequest, Digest, Effects, Envelope, Event, Index, Input, LogPosition, Message, Persist, Proposal, Raft,
    Send, SnapshotMeta, SnapshotRequest, Status, SyncPoint, Ticket,
};
use meters::Meters;
use waiting::Waiting;

/// Everything that can happen to a node.
pub enum NodeInput {
    /// 10 ms of cluster time passed.
    Tick,
    /// A message arrived.
    Receive(Envelope),
    /// A client wants a command applied.
    Submit {
        /// Unique in this life.
        ticket: Ticket,
        /// For the machine.
        command: Bytes,
    },
    /// A client wants to read.
    Read {
        /// Unique in this life.
        ticket: Ticket,
        /// For the machine.
        query: Bytes,
    },
    /// The disk has made this write, and all before it, durable.
    Persisted(SyncPoint),
    /// A snapshot of the machine is in its file.
    SnapshotWritten(SnapshotMeta),
    /// A machine has been rebuilt from a received snapshot.
    Restored {
        /// From which.
        meta: SnapshotMeta,
        /// The machine.
        machine: Box<dyn StateMachine>,
    },
    /// Bytes of a snapshot were read for a follower.
    ChunkRead {
        /// Which was asked for.
        request: ChunkRequest,
        /// The bytes.
        chunk: Bytes,
    },
}

/// Everything that a node wants done.
pub enum Output {
    /// Hand this to the network; it may be lost.
    Send(Envelope),
    /// Make this durable and say so; writes in order.
    Persist(Persist),
    /// Write the frozen state to a snapshot file, without making the node wait.
    TakeSnapshot {
        /// What is known of it.
        request: SnapshotRequest,
        /// Digest of the frozen state.
        digest: Digest,
        /// The state.
        frozen: Frozen,
    },
    /// Rebuild a machine from this durable snapshot, aside.
    Restore(SnapshotMeta),
    /// Read a piece of the newest snapshot.
    ReadChunk(ChunkRequest),
    /// A client's answer.
    Answer(Ticket, ClientOutcome),
    /// Something happened in the protocol.
    Event(Event),
    /// A command was applied.
    Applied {
        /// Where in the log.
        index: Index,
        /// The command.
        command: Bytes,
    },
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientOutcome {
    /// Applied, here, with this reply.
    Applied {
        /// Where in the log.
        position: LogPosition,
        /// The machine's reply.
        reply: Bytes,
    },
    /// What the machine answered to a query.
    Value {
        /// Applied index at that moment.
        index: Index,
        /// The machine's reply.
        reply: Bytes,
    },
    /// This node does not lead: certainly not applied, certainly not read.
    NotLeader {
        /// Who does, if known.
        leader: Option<crate::raft::NodeId>,
    },
    /// Too much is under way: certainly not applied.
    Busy {
        /// What is uncommitted, in bytes.
        uncommitted_bytes: u64,
    },
    /// Certainly without effect.
    NotApplied {
        /// Why.
        why: Cow<'static, str>,
    },
    /// May take effect later, or never.
    Unknown {
        /// Why.
        why: Cow<'static, str>,
    },
    /// The read was not answered; it changes nothing, so ask again.
    ReadFailed {
        /// Why.
        why: Cow<'static, str>,
    },
}

/// Protocol, machine, outbox and waiting clients of one node, in one life.
pub struct Node {
    raft: Raft,
    machine: Box<dyn StateMachine>,
    /// Messages that wait for a write, in order of its number.
    outbox: VecDeque<(u64, Envelope, Cause)>,
    /// Of the messages that were sent in this turn.
    causes: Vec<Cause>,
    persisted: u64,
    /// A received snapshot that becomes durable with this write.
    installing: Option<(u64, SnapshotMeta)>,
    waiting: Waiting,
    meters: Meters,
}

impl Node {
    /// A node at the start of a life. `machine` holds the state of the snapshot that `raft` was given, or is empty.
    #[must_use]
    pub fn new(raft: Raft, machine: Box<dyn StateMachine>, client_timeout_ticks: u64) -> Self {
        Self {
            raft,
            machine,
            outbox: VecDeque::new(),
            causes: Vec::new(),
            persisted: 0,
            installing: None,
            waiting: Waiting::new(client_timeout_ticks),
            meters: Meters::default(),
        }
    }

    /// What the core tells of itself.
    #[must_use]
    pub fn status(&self) -> Status {
        self.raft.status()
    }

    /// The evidence on which the core fell silent.
    #[must_use]
    pub fn halted(&self) -> Option<&str> {
        self.raft.halted()
    }

    /// Counters and latencies.
    #[must_use]
    pub fn meters(&self) -> &Meters {
        &self.meters
    }

    /// The driver's own measurements go here too.
    pub fn meters_mut(&mut self) -> &mut Meters {
        &mut self.meters
    }

    /// Clients that wait for an outcome.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Up to where it is applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.raft.applied()
    }

    /// The machine, for tests and for reading it as it is (not linearizable).
    #[must_use]
    pub fn machine(&self) -> &dyn StateMachine {
        &*self.machine
    }

    /// Answers from what is applied here, asking nobody: perhaps stale, never what is not committed.
    #[must_use]
    pub fn read_local(&self, query: &[u8]) -> ClientOutcome {
        let index = if mutants::on("L01") { self.raft.status().commit } else { self.applied() };
        ClientOutcome::Value { index, reply: self.machine.query(query) }
    }

    /// What caused the messages that the last turn emitted, one after another.
    #[must_use]
    pub fn causes(&self) -> &[Cause] {
        &self.causes
    }

    /// Takes in what happened by `now_us` (cluster time) and emits all that follows from it.
    pub fn turn(&mut self, now_us: u64, inputs: impl IntoIterator<Item = NodeInput>, emit: &mut impl FnMut(Output)) {
        self.causes.clear();
        for input in inputs {
            self.take(now_us, input, emit);
        }
        // Applying answers reads and may ask for more, so go on until nothing is left to apply.
        while self.carry_out(now_us, emit) {}
    }

    fn take(&mut self, now_us: u64, input: NodeInput, emit: &mut impl FnMut(Output)) {
        match input {
            NodeInput::Tick => {
                self.raft.step(Input::Tick);
                self.waiting.tick(&mut |ticket, outcome| emit(Output::Answer(ticket, outcome)));
            }
            NodeInput::Receive(envelope) => {
                self.meters.received(envelope.message.kind());
                self.raft.step(Input::Receive(envelope));
            }
            NodeInput::Submit { ticket, command } => {
                self.waiting.submitted(ticket);
                self.raft.step(Input::Propose(Proposal { ticket, command, proposed_at_us: now_us }));
            }
            NodeInput::Read { ticket, query } => {
                self.waiting.asked(ticket, query);
                self.raft.step(Input::Read(ticket));
            }
            NodeInput::Persisted(point) => self.persisted(now_us, point, emit),
            NodeInput::SnapshotWritten(meta) => self.raft.step(Input::SnapshotTaken(meta)),
            NodeInput::Restored { meta, machine } => {
                let last = meta.last.index;
                self.machine = machine;
                self.raft.step(Input::SnapshotInstalled(meta));
                self.waiting.covered(last, &mut |ticket, outcome| emit(Output::Answer(ticket, outcome)));
            }
            NodeInput::ChunkRead { request, chunk } => {
                let ChunkRequest { meta, to, offset, .. } = request;
                self.raft.step(Input::ChunkRead { last: meta.last, to, offset, chunk });
            }
        }
    }

    fn persisted(&mut self, now_us: u64, point: SyncPoint, emit: &mut impl FnMut(Output)) {
        self.persisted = self.persisted.max(point.number);
        self.raft.step(Input::Persisted(point));
        self.meters.durable(self.raft.durable(), now_us);
        let term = self.raft.current_term();
        while self.outbox.front().is_some_and(|(number, ..)| *number <= self.persisted) {
            let Some((_, envelope, cause)) = self.outbox.pop_front() else { break };
            // A promise of a term that has passed helps nobody any more (T-44).
            // Nor does asking for votes when the term has a leader: the log may be another than the one it tells of.
            let over = matches!(envelope.message, Message::RequestVote { .. }) && !self.raft.is_candidate();
            if envelope.term >= term && !over && self.raft.halted().is_none() {
                self.send(envelope, cause, emit);
            }
        }
        if let Some((_, meta)) = self.installing.take_if(|(number, _)| *number <= self.persisted) {
            emit(Output::Restore(meta));
        }
    }

    fn send(&mut self, envelope: Envelope, cause: Cause, emit: &mut impl FnMut(Output)) {
        self.meters.sent(envelope.message.kind());
        self.causes.push(cause);
        emit(Output::Send(envelope));
    }

    /// One round of effects. True when something was applied, so that there may be more.
    fn carry_out(&mut self, now_us: u64, emit: &mut impl FnMut(Output)) -> bool {
        let Effects { sends, persist, apply, replies, events, take_snapshot, read_chunks } = self.raft.take_effects();
        for event in events {
            self.meters.event(&event, now_us);
            emit(Output::Event(event));
        }
        // A leader's appends leave before its own write is even asked for (thesis §10.2.1).
        for Send { after, envelope, cause } in sends {
            match after {
                Some(number) if number > self.persisted => self.outbox.push_back((number, envelope, cause)),
                Some(_) | None => self.send(envelope, cause, emit),
            }
        }
        if let Some(persist) = persist {
            if let Some(snapshot) = persist.snapshot.as_ref().filter(|snapshot| snapshot.discard_log) {
                self.installing = Some((persist.point.number, snapshot.meta.clone()));
            }
            emit(Output::Persist(persist));
        }
        for (ticket, outcome) in replies {
            let machine = &self.machine;
            let query = |query: &[u8]| machine.query(query);
            self.waiting.replied(ticket, outcome, query, &mut |ticket, outcome| emit(Output::Answer(ticket, outcome)));
        }
        for request in read_chunks {
            emit(Output::ReadChunk(request));
        }
        if let Some(request) = take_snapshot {
            let digest = Digest(self.machine.digest());
            emit(Output::TakeSnapshot { request, digest, frozen: self.machine.snapshot() });
        }
        self.apply(now_us, apply, emit)
    }

    fn apply(&mut self, now_us: u64, entries: Vec<crate::raft::Entry>, emit: &mut impl FnMut(Output)) -> bool {
        if entries.is_empty() {
            return false;
        }
        let mut applied = Vec::with_capacity(entries.len());
        for entry in entries {
            let reply = match entry.kind {
                crate::raft::EntryKind::NoOp => Bytes::new(),
                crate::raft::EntryKind::Command => self.machine.apply(entry.index.0, &entry.command),
            };
            applied.push((entry.index, Digest(self.machine.digest())));
            self.meters.applied(entry.index, now_us);
            let position = entry.position();
            self.waiting.applied(position, reply, &mut |ticket, outcome| emit(Output::Answer(ticket, outcome)));
            if entry.kind == crate::raft::EntryKind::Command {
                emit(Output::Applied { index: entry.index, command: entry.command });
            }
        }
        self.raft.step(Input::Applied(applied));
        true
    }
}
