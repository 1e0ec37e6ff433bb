//! A cluster of pure cores that does nothing until it is told: no clock, no thread, no wire.
//!
//! Each node has a disk that syncs at once unless it is held, and forgets what was not synced when it crashes; a machine
//! whose digest is a hash over everything applied; and an outbox that lets a message go when the write it waits for is
//! synced. What happens is written down one line a fact ([`Cores::take_transcript`]); what must hold between nodes is
//! checked after every step ([`Laws`]).
//!
//! Not here: commands and files of golden transcripts (`script.rs`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use raft_tui::raft::event::EventKind;
use raft_tui::raft::{
    Configuration, Digest, Effects, Envelope, HardState, Index, Input, LogPosition, MessageKind, NodeId, Options,
    Outcome, Proposal, Raft, Send, SnapshotMeta, Status, SyncPoint, Term, Ticket,
};
use xxhash_rust::xxh3::xxh3_128;

use super::laws::Laws;
use super::parts::{Disk, Machine, Stored, log_of};
use super::telling::{dropped, what_is_written, words};

/// Node `n{id}`.
pub const fn n(id: u64) -> NodeId {
    NodeId(id)
}

/// One node with what surrounds its core.
#[derive(Clone)]
pub struct Core {
    pub options: Options,
    /// `None` while it is crashed.
    pub raft: Option<Raft>,
    pub disk: Disk,
    pub machine: Machine,
    pub outbox: Vec<Send>,
    pub answers: Vec<(Ticket, Outcome)>,
    /// Every event of all lives.
    pub events: Vec<EventKind>,
    /// Requests for snapshots are not heard.
    pub snapshots_held: bool,
    /// The machine is slow to be rebuilt from a received snapshot.
    pub installs_held: bool,
    installing: Option<SnapshotMeta>,
}

/// The cluster.
#[derive(Clone)]
pub struct Cores {
    pub nodes: BTreeMap<NodeId, Core>,
    /// Messages on their way, in the order in which they left.
    pub wire: Vec<Envelope>,
    /// Links that lose everything.
    pub cuts: BTreeSet<(NodeId, NodeId)>,
    pub laws: Laws,
    seed: u64,
    tickets: u64,
    lines: Vec<String>,
    depth: usize,
    hidden: BTreeSet<String>,
    /// Whether anything is written down at all.
    pub recording: bool,
}

impl Cores {
    /// Nodes n1 to n{count} that have just started for the first time.
    pub fn new(count: u64) -> Self {
        Self::with(count, |_| {})
    }

    /// The same, with other options.
    pub fn with(count: u64, change: impl Fn(&mut Options)) -> Self {
        Self::seeded(count, 1, change)
    }

    pub fn seeded(count: u64, seed: u64, change: impl Fn(&mut Options)) -> Self {
        let mut cores = Self {
            nodes: BTreeMap::new(),
            wire: Vec::new(),
            cuts: BTreeSet::new(),
            laws: Laws::default(),
            seed,
            tickets: 0,
            lines: Vec::new(),
            depth: 0,
            hidden: BTreeSet::new(),
            recording: true,
        };
        for id in (1..=count).map(NodeId) {
            let mut options = Options::new(id, Configuration::first(count));
            change(&mut options);
            let node = Core {
                options,
                raft: None,
                disk: Disk::default(),
                machine: Machine::default(),
                outbox: Vec::new(),
                answers: Vec::new(),
                events: Vec::new(),
                snapshots_held: false,
                installs_held: false,
                installing: None,
            };
            cores.nodes.insert(id, node);
            cores.restart(id);
        }
        cores.take_transcript();
        cores
    }

    pub fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub fn node(&self, id: NodeId) -> &Core {
        self.nodes.get(&id).unwrap_or_else(|| panic!("there is no {id}"))
    }

    pub fn node_mut(&mut self, id: NodeId) -> &mut Core {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is no {id}"))
    }

    pub fn raft(&self, id: NodeId) -> &Raft {
        self.node(id).raft.as_ref().unwrap_or_else(|| panic!("{id} is crashed"))
    }

    pub fn status(&self, id: NodeId) -> Status {
        self.raft(id).status()
    }

    pub fn is_up(&self, id: NodeId) -> bool {
        self.node(id).raft.is_some()
    }

    /// Who leads, if exactly one node of the highest led term does.
    pub fn leader(&self) -> Option<NodeId> {
        let leading = self.nodes.values().filter_map(|node| node.raft.as_ref()).filter(|raft| raft.is_leader());
        leading.max_by_key(|raft| raft.current_term()).map(Raft::id)
    }

    /// Terms of a node's log in memory, from its first entry on.
    pub fn terms(&self, id: NodeId) -> Vec<u64> {
        let status = self.status(id);
        let raft = self.raft(id);
        (status.first_index.0..=status.last.index.0)
            .filter_map(|index| raft.entry(Index(index)).map(|entry| entry.term.0))
            .collect()
    }

    // What happens to nodes.

    pub fn step(&mut self, id: NodeId, input: Input) {
        let Some(raft) = self.node_mut(id).raft.as_mut() else { return };
        raft.step(input);
        self.settle(id);
    }

    pub fn tick(&mut self, id: NodeId, times: u64) {
        for _ in 0..times {
            self.step(id, Input::Tick);
        }
    }

    pub fn tick_all(&mut self, times: u64) {
        for _ in 0..times {
            for id in self.ids() {
                self.step(id, Input::Tick);
            }
        }
    }

    /// Lets one node's time pass until its election timeout fires.
    pub fn campaign(&mut self, id: NodeId) {
        let timeouts =
            |node: &Core| node.events.iter().filter(|event| matches!(event, EventKind::ElectionTimeout { .. })).count();
        let before = timeouts(self.node(id));
        for _ in 0..3 * self.node(id).options.election_timeout_ticks {
            self.tick(id, 1);
            if timeouts(self.node(id)) > before {
                return;
            }
        }
        panic!("{id} does not time out: {:?}", self.status(id));
    }

    /// Makes `id` the leader; panics when it cannot be.
    pub fn elect(&mut self, id: NodeId) {
        self.campaign(id);
        self.stabilize();
        assert!(self.raft(id).is_leader(), "{id} did not win:\n{}", self.take_transcript());
    }

    pub fn propose(&mut self, id: NodeId, command: &str) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let command = Bytes::copy_from_slice(command.as_bytes());
        self.step(id, Input::Propose(Proposal { ticket, command, proposed_at_us: 0 }));
        ticket
    }

    pub fn read(&mut self, id: NodeId) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.laws.asked(ticket);
        self.step(id, Input::Read(ticket));
        ticket
    }

    pub fn answer(&self, id: NodeId, ticket: Ticket) -> Option<&Outcome> {
        self.node(id).answers.iter().rev().find(|(other, _)| *other == ticket).map(|(_, outcome)| outcome)
    }

    /// Everything that was not synced is lost.
    pub fn crash(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        node.raft = None;
        node.outbox.clear();
        node.disk.queue.clear();
        node.disk.held = false;
        node.machine = Machine::default();
        node.snapshots_held = false;
        node.installs_held = false;
        node.installing = None;
        self.line("crash", || format!("{id} crashes"));
    }

    pub fn restart(&mut self, id: NodeId) {
        let seed = self.seed;
        let node = self.node_mut(id);
        node.disk.synced.epoch = node.disk.synced.epoch.next();
        let synced = &node.disk.synced;
        node.machine = Machine::default();
        if let Some((meta, body)) = &synced.snapshot {
            node.machine = Machine::restore(meta, body, false);
            node.disk.files.insert(meta.last, body.clone());
        }
        let quarantine = node.disk.lost.then(|| "the log is shorter than its mark".to_owned());
        let recovered = synced.recovered(quarantine);
        node.raft = Some(Raft::new(node.options.clone(), recovered, seed.wrapping_add(synced.epoch.0 << 32)));
        self.settle(id);
    }

    /// Gives a node a disk with entries of these terms, and the term of the last of them, and starts it again.
    pub fn set_log(&mut self, id: NodeId, terms: &[u64]) {
        let stored = log_of(terms);
        let node = self.node_mut(id);
        let epoch = node.disk.synced.epoch;
        node.disk = Disk { synced: Stored { epoch, ..stored }, ..Disk::default() };
        for entry in &node.disk.synced.entries.clone() {
            self.laws.appended(entry);
        }
        self.restart(id);
    }

    /// Gives a node's disk a term without a vote, and starts it again.
    pub fn set_term(&mut self, id: NodeId, term: Term) {
        self.node_mut(id).disk.synced.hard_state = HardState { current_term: term, voted_for: None };
        self.restart(id);
    }

    /// What the disk has from here on rots away, and the node starts again; `known`: its store noticed.
    pub fn lose_from(&mut self, id: NodeId, from: Index, known: bool) {
        self.crash(id);
        let disk = &mut self.node_mut(id).disk;
        disk.synced.entries.retain(|entry| entry.index < from);
        disk.lost |= known;
        self.restart(id);
    }

    pub fn hold_disk(&mut self, id: NodeId) {
        self.node_mut(id).disk.held = true;
    }

    pub fn release_disk(&mut self, id: NodeId) {
        self.node_mut(id).disk.held = false;
        self.sync(id, usize::MAX);
    }

    /// Syncs the oldest writes that wait.
    pub fn sync(&mut self, id: NodeId, count: usize) {
        let Some(point) = self.sync_silently(id, count) else { return };
        self.step(id, Input::Persisted(point));
    }

    /// A machine that is held is handed entries and does not answer.
    pub fn hold_machine(&mut self, id: NodeId) {
        self.node_mut(id).machine.held = true;
    }

    pub fn release_machine(&mut self, id: NodeId) {
        self.node_mut(id).machine.held = false;
        if let Some(input) = self.apply_queued(id) {
            self.step(id, input);
        }
    }

    /// Takes a snapshot of what is applied, whatever the policy says.
    pub fn snapshot(&mut self, id: NodeId) {
        let raft = self.raft(id);
        let applied = self.node(id).machine.applied;
        let entry = raft.entry(applied).unwrap_or_else(|| panic!("{id} has nothing new to take a snapshot of"));
        let (last, chain, at) = (entry.position(), entry.chain, entry.proposed_at_us);
        let configuration = self.node(id).options.configuration.clone();
        let meta = self.write_snapshot(id, last, chain, configuration, at);
        self.step(id, Input::SnapshotTaken(meta));
    }

    fn write_snapshot(
        &mut self,
        id: NodeId,
        last: LogPosition,
        chain: Digest,
        configuration: Configuration,
        proposed_at_us: u64,
    ) -> SnapshotMeta {
        let node = self.node_mut(id);
        assert_eq!(node.machine.applied, last.index, "a snapshot is taken of what is applied");
        let body = node.machine.body();
        let meta = SnapshotMeta {
            last,
            chain,
            configuration,
            proposed_at_us,
            digest: node.machine.digest,
            size_bytes: body.len() as u64,
            checksum: Digest(xxh3_128(&body)),
        };
        node.disk.files.insert(last, body);
        meta
    }

    // What happens to messages.

    pub fn deliver_at(&mut self, place: usize) {
        let envelope = self.wire.remove(place);
        self.deliver_message(envelope);
    }

    /// Gives a message to its receiver, wherever it came from.
    pub fn deliver_message(&mut self, envelope: Envelope) {
        let to = envelope.to;
        if self.cuts.contains(&(envelope.from, to)) || !self.is_up(to) {
            return self.drop_message(&envelope);
        }
        let quiet = self.hidden.contains("heartbeat") && envelope.message.kind() == MessageKind::Heartbeat
            || self.hidden.contains("reply") && envelope.message.kind() == MessageKind::AppendEntriesReply;
        let place = self.lines.len();
        self.line("message", || envelope.to_string());
        self.depth += 1;
        self.step(to, Input::Receive(envelope));
        self.depth -= 1;
        if quiet && self.lines.len() == place + 1 {
            self.lines.pop();
        }
    }

    fn drop_message(&mut self, envelope: &Envelope) {
        self.line("drop", || dropped(envelope));
    }

    pub fn drop_at(&mut self, place: usize) {
        let envelope = self.wire.remove(place);
        self.drop_message(&envelope);
    }

    /// Delivers what is on the wire now and passes the filter, not what follows from it. Returns how many.
    pub fn deliver_where(&mut self, wanted: impl Fn(&Envelope) -> bool) -> usize {
        let (now, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire).into_iter().partition(wanted);
        self.wire = later;
        let count = now.len();
        for envelope in now {
            self.deliver_message(envelope);
        }
        count
    }

    pub fn drop_where(&mut self, wanted: impl Fn(&Envelope) -> bool) -> usize {
        let (gone, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire).into_iter().partition(wanted);
        self.wire = later;
        for envelope in &gone {
            self.drop_message(envelope);
        }
        gone.len()
    }

    /// Takes messages off the wire, to be delivered later or never.
    pub fn take_where(&mut self, wanted: impl Fn(&Envelope) -> bool) -> Vec<Envelope> {
        let (taken, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.wire).into_iter().partition(wanted);
        self.wire = later;
        taken
    }

    /// Delivers until nothing is on the wire any more.
    pub fn stabilize(&mut self) {
        let mut delivered = 0;
        while !self.wire.is_empty() {
            self.deliver_at(0);
            delivered += 1;
            assert!(delivered < 100_000, "the cluster does not come to rest:\n{}", self.tail());
        }
    }

    /// Lets time pass for everybody, with a wire that takes no time.
    pub fn run(&mut self, ticks: u64) {
        for _ in 0..ticks {
            for id in self.ids() {
                self.step(id, Input::Tick);
            }
            self.stabilize();
        }
    }

    /// Nodes of different sides do not hear each other.
    pub fn partition(&mut self, sides: &[Vec<NodeId>]) {
        for (place, side) in sides.iter().enumerate() {
            for other in sides.iter().skip(place + 1) {
                for a in side {
                    for b in other {
                        self.cuts.extend([(*a, *b), (*b, *a)]);
                    }
                }
            }
        }
    }

    pub fn isolate(&mut self, id: NodeId) {
        let others = self.ids().into_iter().filter(|other| *other != id).collect();
        self.partition(&[vec![id], others]);
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
    }

    // What a step leaves behind.

    fn settle(&mut self, id: NodeId) {
        loop {
            let Some(raft) = self.node_mut(id).raft.as_mut() else { return };
            let effects = raft.take_effects();
            if effects == Effects::default() {
                return;
            }
            let inputs = self.perform(id, effects);
            for input in inputs {
                if let Some(raft) = self.node_mut(id).raft.as_mut() {
                    raft.step(input);
                }
            }
        }
    }

    fn perform(&mut self, id: NodeId, effects: Effects) -> Vec<Input> {
        let Effects { sends, persist, apply, replies, events, take_snapshot, read_chunks } = effects;
        let mut inputs = Vec::new();
        for event in events {
            self.tell(id, event.term, &event.kind);
            let Self { laws, nodes, .. } = self;
            laws.event(id, event.term, &event.kind, nodes);
            if event.kind == EventKind::QuarantineLeft {
                self.node_mut(id).disk.lost = false;
            }
            self.node_mut(id).events.push(event.kind);
        }
        for (ticket, outcome) in replies {
            self.line("answer", || format!("{id} tells {ticket}: {}", words(&outcome)));
            self.laws.answered(id, ticket, &outcome);
            self.node_mut(id).answers.push((ticket, outcome));
        }
        if let Some(persist) = persist {
            for entry in &persist.entries {
                self.laws.appended(entry);
            }
            self.node_mut(id).disk.queue.push_back(persist);
        }
        self.node_mut(id).outbox.extend(sends);
        let installed = if self.node(id).disk.held { None } else { self.sync_queue(id, usize::MAX, &mut inputs) };
        self.let_go(id);
        inputs.extend(self.install(id, installed));
        if let Some(request) = take_snapshot
            && !self.node(id).snapshots_held
        {
            let meta =
                self.write_snapshot(id, request.last, request.chain, request.configuration, request.proposed_at_us);
            inputs.push(Input::SnapshotTaken(meta));
        }
        self.node_mut(id).machine.queue.extend(apply);
        if !self.node(id).machine.held {
            inputs.extend(self.apply_queued(id));
        }
        for request in read_chunks {
            let Some(body) = self.node(id).disk.files.get(&request.meta.last) else { continue };
            let from = (request.offset as usize).min(body.len());
            let to = (from + request.length).min(body.len());
            let chunk = body.slice(from..to);
            inputs.push(Input::ChunkRead { last: request.meta.last, to: request.to, offset: request.offset, chunk });
        }
        inputs
    }

    fn sync_silently(&mut self, id: NodeId, count: usize) -> Option<SyncPoint> {
        let mut inputs = Vec::new();
        let installed = self.sync_queue(id, count, &mut inputs);
        self.let_go(id);
        let Some(Input::Persisted(point)) = inputs.pop() else { return None };
        if let Some(input) = self.install(id, installed) {
            self.step(id, Input::Persisted(point));
            self.step(id, input);
            return None;
        }
        Some(point)
    }

    fn install(&mut self, id: NodeId, durable: Option<SnapshotMeta>) -> Option<Input> {
        let node = self.node_mut(id);
        if durable.is_some() {
            node.installing = durable;
        }
        if node.installs_held { None } else { node.installing.take().map(Input::SnapshotInstalled) }
    }

    /// The machine has been rebuilt at last.
    pub fn release_install(&mut self, id: NodeId) {
        self.node_mut(id).installs_held = false;
        if let Some(input) = self.install(id, None) {
            self.step(id, input);
        }
    }

    /// Makes the oldest writes durable, as one group. Gives the snapshot that was installed with them.
    fn sync_queue(&mut self, id: NodeId, count: usize, inputs: &mut Vec<Input>) -> Option<SnapshotMeta> {
        let recording = self.recording;
        let node = self.node_mut(id);
        let mut installed = None;
        let mut lines = Vec::new();
        let count = count.min(node.disk.queue.len());
        for write in node.disk.queue.drain(..count) {
            node.disk.synced.write(&write, &node.disk.files);
            if recording {
                lines.push(format!("{id}@{} ⤓ {}", write.point.term, what_is_written(&write)));
            }
            if let Some(snapshot) = &write.snapshot
                && let Some(body) = &snapshot.body
            {
                node.disk.files.insert(snapshot.meta.last, body.clone());
                node.machine = Machine::restore(&snapshot.meta, body, node.machine.held);
                installed = Some(snapshot.meta.clone());
            }
            match inputs.last_mut() {
                Some(Input::Persisted(point)) => *point = write.point,
                _ => inputs.push(Input::Persisted(write.point)),
            }
        }
        for line in lines {
            self.line("sync", || line);
        }
        installed
    }

    /// Lets the messages go whose write is synced.
    fn let_go(&mut self, id: NodeId) {
        let node = self.node_mut(id);
        let unsynced = node.disk.queue.front().map_or(u64::MAX, |write| write.point.number);
        let (go, wait) = std::mem::take(&mut node.outbox)
            .into_iter()
            .partition(|send| send.after.is_none_or(|after| after < unsynced));
        node.outbox = wait;
        let go: Vec<Send> = go;
        for send in go {
            self.laws.leaves(&send.envelope, &self.nodes[&id].disk.synced);
            if self.cuts.contains(&(id, send.envelope.to)) {
                self.drop_message(&send.envelope);
            } else {
                self.wire.push(send.envelope);
            }
        }
    }

    fn apply_queued(&mut self, id: NodeId) -> Option<Input> {
        let node = self.node_mut(id);
        if node.machine.queue.is_empty() {
            return None;
        }
        let mut applied = Vec::new();
        for entry in std::mem::take(&mut node.machine.queue) {
            let durable = node.disk.synced.last().index;
            assert!(entry.index <= durable, "T-09: {id} applies {} and only {durable} is durable", entry.index);
            node.machine.apply(&entry);
            applied.push((entry.index, node.machine.digest));
        }
        for (index, digest) in &applied {
            self.laws.applied(id, *index, *digest);
        }
        Some(Input::Applied(applied))
    }

    // What is written down.

    /// Lines of these sorts are left out: sync, apply, mode, drop, heartbeat, reply, timeout, vote, start.
    pub fn hide(&mut self, sort: &str) {
        self.hidden.insert(sort.to_owned());
    }

    pub fn show(&mut self, sort: &str) {
        self.hidden.remove(sort);
    }

    fn tell(&mut self, id: NodeId, term: Term, event: &EventKind) {
        let sort = match event {
            // Syncs are told by the disk.
            EventKind::Durable { .. } => return,
            EventKind::Applied { .. } => "apply",
            EventKind::PeerMode { .. } => "mode",
            EventKind::ElectionTimeout { .. } => "timeout",
            EventKind::VoteCounted { .. } => "vote",
            EventKind::Started { .. } => "start",
            _ => "event",
        };
        self.line(sort, || format!("{id}@{term} {event}"));
    }

    #[expect(clippy::print_stderr, reason = "only when a walk is repeated aloud")]
    pub fn line(&mut self, sort: &str, line: impl FnOnce() -> String) {
        if self.recording && !self.hidden.contains(sort) {
            self.lines.push(format!("{:1$}{2}", "", 2 * self.depth, line()));
            if TEE.get() {
                eprintln!("{}", self.lines[self.lines.len() - 1]);
            }
        }
    }

    pub fn take_transcript(&mut self) -> String {
        let mut text = std::mem::take(&mut self.lines).join("\n");
        text.push('\n');
        text
    }

    fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(60)..].join("\n")
    }
}

thread_local! {
    static TEE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Also prints each line when it is written down: a transcript that survives a panic.
pub fn tee(on: bool) {
    TEE.set(on);
}
