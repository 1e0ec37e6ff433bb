//! The cores behind the door, each with a disk and a machine that do at once what they are asked, and the wire.
//!
//! Kept true: what a crash forgets is what was never written; a message is on the wire once, until it is moved.
//! Not here: what a command means (`commands.rs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

use super::DoorError;
use crate::codec;
use crate::raft::{
    Base, ChunkRequest, Digest, Effects, Entry, EntryKind, Envelope, Epoch, EventKind, HardState, Index, Input,
    MessageKind, NodeId, Options, Outcome, Persist, Proposal, Raft, Recovered, Send, SnapshotMeta, Ticket,
};
use crate::trace::{Json, message};

/// Messages of one `stabilize` after which something must be wrong.
const DELIVERIES_MAX: usize = 100_000;

/// What a disk holds, all of it durable.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) epoch: Epoch,
    pub(super) hard_state: HardState,
    pub(super) snapshot: Option<(SnapshotMeta, Bytes)>,
    pub(super) base: Base,
    pub(super) entries: Vec<Entry>,
}

impl Stored {
    fn write(&mut self, persist: &Persist, body: Option<Bytes>) {
        if let Some(hard_state) = persist.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(from) = persist.truncate_from {
            self.entries.retain(|entry| entry.index < from);
        }
        self.entries.extend_from_slice(&persist.entries);
        if let Some(snapshot) = &persist.snapshot {
            let meta = snapshot.meta.clone();
            if snapshot.discard_log {
                self.entries.clear();
                self.base = Base { position: meta.last, chain: meta.chain };
            }
            self.snapshot = Some((meta, snapshot.body.clone().or(body).unwrap_or_default()));
        }
        if let Some(base) = persist.compact_to {
            self.entries.retain(|entry| entry.index > base.position.index);
            self.base = base;
        }
    }

    fn recovered(&self) -> Recovered {
        Recovered {
            epoch: self.epoch,
            hard_state: self.hard_state,
            snapshot: self.snapshot.as_ref().map(|(meta, _)| meta.clone()),
            base: self.base,
            entries: self.entries.clone(),
            quarantine: None,
        }
    }
}

/// A machine that remembers its commands.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    pub(super) commands: Vec<(Index, Bytes)>,
    pub(super) digest: Digest,
}

impl Machine {
    fn apply(&mut self, index: Index, command: Bytes) {
        self.digest = Digest(xxh3_128(&[&self.digest.0.to_le_bytes()[..], &command[..]].concat()));
        self.commands.push((index, command));
    }

    /// As it was when `index` had been applied.
    fn at(&self, index: Index) -> Self {
        let mut machine = Self::default();
        for (at, command) in self.commands.iter().filter(|(at, _)| *at <= index) {
            machine.apply(*at, command.clone());
        }
        machine
    }

    fn body(&self) -> Bytes {
        // Indexes and bytes are nothing that could fail to be encoded, below the codec's limit.
        Bytes::from(codec::encode(&self.commands).unwrap_or_default())
    }

    fn restore(body: &[u8]) -> Self {
        let mut machine = Self::default();
        let commands: Vec<(Index, Bytes)> = codec::decode(body).unwrap_or_default();
        for (index, command) in commands {
            machine.apply(index, command);
        }
        machine
    }
}

/// A core and what surrounds it.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pub(super) options: Options,
    /// `None` after a crash.
    pub(super) raft: Option<Raft>,
    pub(super) disk: Stored,
    pub(super) machine: Machine,
    /// A snapshot whose name is not durable yet.
    written: Option<Bytes>,
    /// Life in which each peer was heard last.
    heard: BTreeMap<NodeId, Epoch>,
    /// Election timeouts, over all lives.
    pub(super) timeouts: u64,
}

/// A message that has left and not arrived.
#[derive(Clone, Debug)]
pub(super) struct OnWire {
    pub(super) envelope: Envelope,
    cause: String,
    /// Counts all messages that ever left.
    number: u64,
}

impl OnWire {
    pub(super) fn json(&self) -> Json {
        message::message(&self.envelope, Some(self.cause.clone()))
    }
}

/// What a command made happen.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) moved: Vec<(MessageKind, Json)>,
    pub(super) happened: Vec<Json>,
    pub(super) answers: Vec<Json>,
}

/// Nodes and the wire between them.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    pub(super) nodes: BTreeMap<NodeId, Core>,
    /// In the order in which they left.
    pub(super) wire: Vec<OnWire>,
    seed: u64,
    tickets: u64,
    told: Told,
    /// Messages that ever left, and how many of them have been told.
    left: u64,
    told_to: u64,
}

impl Cores {
    pub(super) fn new(options: impl IntoIterator<Item = Options>, seed: u64) -> Self {
        let core = |options: Options| {
            let core = Core {
                options,
                raft: None,
                disk: Stored::default(),
                machine: Machine::default(),
                written: None,
                heard: BTreeMap::new(),
                timeouts: 0,
            };
            (core.options.id, core)
        };
        let nodes: BTreeMap<_, _> = options.into_iter().map(core).collect();
        let mut cores = Self { nodes, wire: Vec::new(), seed, tickets: 0, told: Told::default(), left: 0, told_to: 0 };
        for id in cores.ids() {
            cores.start(id);
        }
        cores
    }

    /// What has happened since it was asked for last, and the messages that left since and are still on the wire.
    pub(super) fn take_told(&mut self) -> (Told, Vec<&OnWire>) {
        let before = std::mem::replace(&mut self.told_to, self.left);
        let told = std::mem::take(&mut self.told);
        (told, self.wire.iter().filter(|on_wire| on_wire.number > before).collect())
    }

    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub(super) fn core(&self, id: NodeId) -> Result<&Core, DoorError> {
        self.nodes.get(&id).ok_or(DoorError::NoSuchNode(id))
    }

    /// A node that runs.
    pub(super) fn raft(&self, id: NodeId) -> Result<&Raft, DoorError> {
        self.core(id)?.raft.as_ref().ok_or(DoorError::Down(id))
    }

    pub(super) fn is_up(&self, id: NodeId) -> bool {
        self.nodes.get(&id).is_some_and(|core| core.raft.is_some())
    }

    // Lives.

    fn start(&mut self, id: NodeId) {
        let seed = self.seed;
        let Some(core) = self.nodes.get_mut(&id) else { return };
        core.disk.epoch = core.disk.epoch.next();
        core.machine = core.disk.snapshot.as_ref().map_or_else(Machine::default, |(_, body)| Machine::restore(body));
        core.heard.clear();
        let recovered = core.disk.recovered();
        core.raft = Some(Raft::new(core.options.clone(), recovered, seed.wrapping_add(core.disk.epoch.0 << 32)));
        self.settle(id);
    }

    pub(super) fn crash(&mut self, id: NodeId) -> bool {
        let Some(core) = self.nodes.get_mut(&id) else { return false };
        core.machine = Machine::default();
        core.raft.take().is_some()
    }

    pub(super) fn restart(&mut self, id: NodeId) {
        self.crash(id);
        self.start(id);
    }

    /// Starts a node from another disk. The first `commit` entries are covered by a snapshot and stay in the log.
    pub(super) fn start_from(&mut self, id: NodeId, hard_state: HardState, entries: Vec<Entry>, commit: usize) {
        self.crash(id);
        let Some(core) = self.nodes.get_mut(&id) else { return };
        let mut machine = Machine::default();
        for entry in entries.iter().take(commit) {
            machine.apply(entry.index, entry.command.clone());
        }
        let last = commit.checked_sub(1).and_then(|place| entries.get(place));
        let snapshot = last.map(|last| (meta_of(&core.options, last, &machine), machine.body()));
        let epoch = core.disk.epoch;
        core.disk = Stored { epoch, hard_state, snapshot, base: Base::default(), entries };
        self.start(id);
    }

    // What happens to nodes.

    fn step(&mut self, id: NodeId, input: Input) {
        if let Some(raft) = self.nodes.get_mut(&id).and_then(|core| core.raft.as_mut()) {
            raft.step(input);
            self.settle(id);
        }
    }

    pub(super) fn tick(&mut self, id: NodeId) {
        self.step(id, Input::Tick);
    }

    pub(super) fn propose(&mut self, id: NodeId, command: Bytes) -> Ticket {
        let ticket = self.ticket();
        self.step(id, Input::Propose(Proposal { ticket, command, proposed_at_us: 0 }));
        ticket
    }

    pub(super) fn read(&mut self, id: NodeId) -> Ticket {
        let ticket = self.ticket();
        self.step(id, Input::Read(ticket));
        ticket
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Takes a snapshot of what had been applied at `at`.
    pub(super) fn snapshot(&mut self, id: NodeId, at: Index) -> Result<(), DoorError> {
        let raft = self.raft(id)?;
        let (applied, newest) = (raft.status().applied, raft.status().snapshot);
        if at > applied {
            return Err(DoorError::Impossible(format!("{id} has applied {applied} only, not {at}")));
        }
        if at <= newest {
            return Err(DoorError::Impossible(format!("{id} has a snapshot up to {newest} already")));
        }
        let Some(entry) = raft.entry(at).cloned() else {
            return Err(DoorError::Impossible(format!("{id} has no entry {at} in its log")));
        };
        let Some(core) = self.nodes.get_mut(&id) else { return Err(DoorError::NoSuchNode(id)) };
        let machine = core.machine.at(at);
        let meta = meta_of(&core.options, &entry, &machine);
        core.written = Some(machine.body());
        self.step(id, Input::SnapshotTaken(meta));
        Ok(())
    }

    // What happens to messages.

    /// Takes the message at this place off the wire, or leaves it there as well, and gives it to its receiver.
    pub(super) fn deliver(&mut self, place: usize, keep: bool) {
        let on_wire = if keep { self.wire[place].clone() } else { self.wire.remove(place) };
        let to = on_wire.envelope.to;
        if !self.is_up(to) {
            return self.tell_moved(&on_wire, "dropped", Some(format!("{to} has crashed")));
        }
        self.tell_moved(&on_wire, "delivered", None);
        if let Some(core) = self.nodes.get_mut(&to) {
            let known = core.heard.entry(on_wire.envelope.from).or_default();
            *known = on_wire.envelope.epoch.max(*known);
        }
        self.step(to, Input::Receive(on_wire.envelope));
    }

    /// Takes the message at this place off the wire for good.
    pub(super) fn lose(&mut self, place: usize) {
        let on_wire = self.wire.remove(place);
        self.tell_moved(&on_wire, "dropped", None);
    }

    /// Delivers among these nodes until nothing moves; what goes to others is lost, what comes from others stays.
    pub(super) fn stabilize(&mut self, among: &[NodeId]) -> Result<(), DoorError> {
        for _ in 0..DELIVERIES_MAX {
            let moves =
                |on_wire: &OnWire| among.contains(&on_wire.envelope.from) || !among.contains(&on_wire.envelope.to);
            let Some(place) = self.wire.iter().position(moves) else { return Ok(()) };
            if among.contains(&self.wire[place].envelope.to) {
                self.deliver(place, false);
            } else {
                self.lose(place);
            }
        }
        Err(DoorError::Impossible(format!("these nodes do not come to rest within {DELIVERIES_MAX} messages")))
    }

    fn tell_moved(&mut self, on_wire: &OnWire, fate: &str, why: Option<String>) {
        let Json::Object(mut fields) = on_wire.json() else { return };
        fields.push(("fate", fate.into()));
        fields.extend(why.map(|why| ("why", why.into())));
        self.told.moved.push((on_wire.envelope.message.kind(), Json::Object(fields)));
    }

    // What a step leaves behind.

    fn settle(&mut self, id: NodeId) {
        loop {
            let Some(raft) = self.nodes.get_mut(&id).and_then(|core| core.raft.as_mut()) else { return };
            let effects = raft.take_effects();
            if effects == Effects::default() {
                return;
            }
            for input in self.perform(id, effects) {
                if let Some(raft) = self.nodes.get_mut(&id).and_then(|core| core.raft.as_mut()) {
                    raft.step(input);
                }
            }
        }
    }

    /// Does what a core asks for, and gives what it has to hear of that.
    fn perform(&mut self, id: NodeId, effects: Effects) -> Vec<Input> {
        let Effects { sends, persist, apply, replies, events, take_snapshot, read_chunks } = effects;
        let Some(core) = self.nodes.get_mut(&id) else { return Vec::new() };
        let mut inputs = Vec::new();
        for event in events {
            core.timeouts += u64::from(matches!(event.kind, EventKind::ElectionTimeout { .. }));
            self.told.happened.push(Json::Object(vec![
                ("node", id.into()),
                ("term", event.term.into()),
                ("what", event.kind.to_string().into()),
            ]));
        }
        for (ticket, outcome) in replies {
            self.told.answers.push(answered(id, ticket, &outcome));
        }
        if let Some(persist) = persist {
            let body = core.written.take();
            core.disk.write(&persist, body);
            inputs.push(Input::Persisted(persist.point));
            if let Some(snapshot) = persist.snapshot.filter(|snapshot| snapshot.discard_log) {
                core.machine = Machine::restore(snapshot.body.as_deref().unwrap_or_default());
                inputs.push(Input::SnapshotInstalled(snapshot.meta));
            }
        }
        // What is asked of the disk is durable by now, so no message has to wait for it.
        for Send { envelope, cause, .. } in sends {
            let cause = message::cause(&cause, |from| core.heard.get(&from).copied());
            self.left += 1;
            self.wire.push(OnWire { envelope, cause, number: self.left });
        }
        if let Some(request) = take_snapshot {
            let machine = core.machine.clone();
            let last = core.raft.as_ref().and_then(|raft| raft.entry(request.last.index));
            if let Some(last) = last {
                let meta = meta_of(&core.options, last, &machine);
                core.written = Some(machine.body());
                inputs.push(Input::SnapshotTaken(meta));
            }
        }
        let mut applied = Vec::new();
        for entry in apply {
            if entry.kind == EntryKind::Command {
                core.machine.apply(entry.index, entry.command);
            }
            applied.push((entry.index, core.machine.digest));
        }
        if !applied.is_empty() {
            inputs.push(Input::Applied(applied));
        }
        for ChunkRequest { meta, to, offset, length } in read_chunks {
            let newest = core.disk.snapshot.as_ref().filter(|(newest, _)| *newest == meta);
            if let Some((_, body)) = newest {
                let from = (offset as usize).min(body.len());
                let chunk = body.slice(from..from.saturating_add(length).min(body.len()));
                inputs.push(Input::ChunkRead { last: meta.last, to, offset, chunk });
            }
        }
        inputs
    }
}

fn meta_of(options: &Options, last: &Entry, machine: &Machine) -> SnapshotMeta {
    let body = machine.body();
    SnapshotMeta {
        last: last.position(),
        chain: last.chain,
        configuration: options.configuration.clone(),
        proposed_at_us: last.proposed_at_us,
        digest: machine.digest,
        size_bytes: body.len() as u64,
        checksum: Digest(xxh3_128(&body)),
    }
}

/// What became of a request.
fn answered(id: NodeId, ticket: Ticket, outcome: &Outcome) -> Json {
    let mut fields: Vec<(&'static str, Json)> = vec![("node", id.into()), ("ticket", ticket.0.into())];
    match outcome {
        Outcome::Appended(position) => fields.push(("appended", (*position).into())),
        Outcome::NotLeader { leader } => {
            fields.extend([("refused", "not the leader".into()), ("leader", Json::from(*leader))]);
        }
        Outcome::Busy { uncommitted_bytes } => {
            fields.extend([("refused", "busy".into()), ("uncommitted_bytes", Json::from(*uncommitted_bytes))]);
        }
        Outcome::ReadReady(index) => fields.push(("read_at", (*index).into())),
        Outcome::ReadAborted { leader } => {
            fields.extend([("refused", "read given up".into()), ("leader", Json::from(*leader))]);
        }
    }
    Json::Object(fields)
}
