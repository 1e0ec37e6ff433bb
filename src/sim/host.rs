//! A machine with a node on it: its disk, its writer, its clock, its lives.
//!
//! The node is the [`Node`] that the tokio driver runs, and this is that driver's other half in virtual time: the writer
//! takes all that is queued, writes it, and syncs it some time later (group commit); snapshots are written, read and
//! restored aside; inputs that come while the machine stands still make one turn when it goes on.
//!
//! Kept true: the judge hears of a write before the messages that it allows; a crash may come between any two outputs.
//! Not here: who crashes when (`nemesis.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::marks::Mark;
use super::plan::{Concern, Plan};
use super::workload::Heard;
use super::world::{Happening, World};
use crate::check::{Property, Verdict, broken};
use crate::machine::kv::KvStore;
use crate::machine::{Frozen, StateMachine};
use crate::mutants;
use crate::node::driver::TICK_US;
use crate::node::tracer::Tracer;
use crate::node::{Node, NodeInput, Output};
use crate::raft::event::{IgnoredWhy, Mode, Refusal, StepDown};
use crate::raft::{
    ChunkRequest, Digest, Event, EventKind, Index, Message, NodeId, Options, Persist, Raft, Role, SnapshotMeta,
    SnapshotRequest, SyncPoint, Term, Ticket,
};
use crate::storage::faults::{DiskFaults, Request, Survival, Verdict as DiskVerdict};
use crate::storage::faulty::bytes_of;
use crate::storage::memory::{MemoryDisk, MemoryStorage};
use crate::storage::{Identity, Snapshots, Storage, StorageError};
use crate::trace::Record;

/// One life of a node.
struct Life {
    node: Node,
    storage: MemoryStorage,
    snapshots: Arc<dyn Snapshots>,
    /// What the node asked for while the writer was busy.
    queue: VecDeque<Persist>,
    /// Writes of the group that is being synced.
    writing: usize,
    /// The writer waits for a disk that does not answer.
    stalled: bool,
    /// Inputs that wait for the next turn.
    inbox: Vec<NodeInput>,
    tick_due: bool,
    turn_asked: bool,
    paused: bool,
    tickets: BTreeMap<Ticket, u64>,
    last_ticket: u64,
    role: Role,
    term: Term,
    commit: Index,
    /// The latest sync of this life covered the log up to here.
    durable: Index,
    taking_snapshot: bool,
    installing: bool,
    snapshot_progress: BTreeMap<NodeId, u64>,
    /// Writes down what the node does, if somebody wants to know.
    tracer: Option<Tracer>,
}

/// A machine.
pub(super) struct Host {
    pub(super) id: NodeId,
    /// Rises with every start and every stop.
    pub(super) life: u64,
    life_now: Option<Life>,
    pub(super) disk: MemoryDisk,
    pub(super) disk_faults: DiskFaults,
    options: Options,
    seed: u64,
    pub(super) clock_permille: u64,
    /// The node is to crash after so many more outputs; with its machine or not, for so long.
    pub(super) crash_after: Option<(u64, bool, u64)>,
    /// It can never run again.
    pub(super) dead: bool,
    /// Its vote is lost, whether it has noticed or not.
    pub(super) doomed: bool,
    /// Its disk was damaged since its log was last known to be whole.
    pub(super) rotten: bool,
}

impl Host {
    pub(super) fn new(id: NodeId, plan: &Plan) -> Self {
        let mut luck = plan.luck(Concern::Disk).fork(id.0);
        let mut disk_faults = DiskFaults::new(luck.next_u64());
        disk_faults.set_rules(plan.disk.clone());
        Self {
            id,
            life: 0,
            life_now: None,
            disk: MemoryDisk::new(),
            disk_faults,
            options: Options { id, ..plan.options.clone() },
            seed: plan.luck(Concern::Nodes).fork(id.0).next_u64(),
            clock_permille: 1000,
            crash_after: None,
            dead: false,
            doomed: false,
            rotten: false,
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.life_now.is_some()
    }

    pub(super) fn is_paused(&self) -> bool {
        self.life_now.as_ref().is_some_and(|life| life.paused)
    }

    /// The term that it leads.
    pub(super) fn leads(&self) -> Option<Term> {
        self.life_now.as_ref().filter(|life| life.role == Role::Leader).map(|life| life.term)
    }

    pub(super) fn role(&self) -> Option<Role> {
        self.life_now.as_ref().map(|life| life.role)
    }

    pub(super) fn node(&self) -> Option<&Node> {
        self.life_now.as_ref().map(|life| &life.node)
    }

    pub(super) fn tick_us(&self) -> u64 {
        TICK_US * self.clock_permille / 1000
    }

    /// The number of a request, to be answered later.
    pub(super) fn ticket(&mut self, operation: u64) -> Option<Ticket> {
        let life = self.life_now.as_mut()?;
        life.last_ticket += 1;
        let ticket = Ticket(life.last_ticket);
        life.tickets.insert(ticket, operation);
        Some(ticket)
    }

    pub(super) fn set_paused(&mut self, paused: bool) {
        if let Some(life) = &mut self.life_now {
            life.paused = paused;
        }
    }
}

// Inputs and turns.
impl World<'_> {
    /// Something happened to a node: now, with others at the next turn, or when it goes on.
    pub(super) fn give(&mut self, host: usize, input: NodeInput) -> Verdict {
        let batch_us = self.plan.batch_us;
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        if !life.paused && batch_us == 0 {
            return self.turn(host, std::iter::once(input));
        }
        match input {
            // Missed ticks are skipped, never made up in a burst.
            NodeInput::Tick => life.tick_due = true,
            input => life.inbox.push(input),
        }
        if !life.paused && !life.turn_asked {
            life.turn_asked = true;
            let wait_us = self.timing.below(batch_us);
            let life = self.hosts[host].life;
            self.after(wait_us, Happening::Turn { host, life });
        }
        Ok(())
    }

    /// All that has come since the last turn.
    pub(super) fn turn_of_batch(&mut self, host: usize) -> Verdict {
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        life.turn_asked = false;
        if life.paused {
            return Ok(());
        }
        let mut inputs = std::mem::take(&mut life.inbox);
        if std::mem::take(&mut life.tick_due) {
            inputs.push(NodeInput::Tick);
        }
        self.marks.hit_if(Mark::ManyInputsInATurn, inputs.len() > 3);
        self.turn(host, inputs)
    }

    fn turn(&mut self, host: usize, inputs: impl IntoIterator<Item = NodeInput>) -> Verdict {
        let now_us = self.now_us;
        let id = Self::id(host);
        let mut outputs = self.take_outputs();
        let crash_after = self.hosts[host].crash_after.map(|(outputs_left, ..)| outputs_left);
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        let (node, tracer) = (&mut life.node, &mut life.tracer);
        let inputs = inputs.into_iter().inspect(|input| {
            if let Some(tracer) = tracer.as_mut() {
                tracer.takes(now_us, std::slice::from_ref(input));
            }
        });
        let led_before = life.role == Role::Leader;
        let turned = catch_unwind(AssertUnwindSafe(|| {
            node.turn(now_us, inputs, &mut |output| outputs.push(output));
        }));
        if let Err(panic) = turned {
            let words = panic.downcast_ref::<String>().map(String::as_str);
            let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
            return broken(Property::Assertion, || format!("{id}: {words}"));
        }
        if outputs.is_empty() {
            self.keep_outputs(outputs);
            return Ok(());
        }
        if let Some(tracer) = &mut life.tracer {
            // What a crash comes before does not happen.
            let happen = crash_after.map_or(outputs.len(), |left| outputs.len().min(left as usize));
            tracer.gives(now_us, life.node.causes(), outputs.get(..happen).unwrap_or_default());
        }
        let status = life.node.status();
        (life.role, life.term, life.commit) = (status.role, status.hard_state.current_term, status.commit);
        life.durable = status.durable;
        // First what was asked of the disk, then what the node tells of it, then what it tells others.
        for output in &outputs {
            if let Output::Persist(persist) = output {
                self.judge.asked(id, persist)?;
            }
        }
        for output in &outputs {
            match output {
                Output::Event(event) => {
                    self.mark_event(host, event);
                    self.trace.line(now_us, || format!("{id}@{} {}", event.term, event.kind));
                    self.judge.event(id, event)?;
                }
                Output::Applied { index, command } => self.judge.ran(id, *index, command)?,
                Output::TakeSnapshot { request, digest, .. } => self.judge.snapshot(id, request, *digest)?,
                Output::Send(_)
                | Output::Persist(_)
                | Output::Restore(_)
                | Output::ReadChunk(_)
                | Output::Answer(..) => {}
            }
        }
        for output in &outputs {
            if let Output::Send(envelope) = output {
                self.judge.sent(envelope)?;
            }
        }
        self.judge.told(id, &status, led_before)?;
        let life = self.hosts[host].life;
        for (place, output) in outputs.drain(..).enumerate() {
            if let Some((outputs_left, power, down_us)) = &mut self.hosts[host].crash_after {
                if let Some(left) = outputs_left.checked_sub(1) {
                    *outputs_left = left;
                } else {
                    let (power, down_us) = (*power, *down_us);
                    self.marks.hit_if(Mark::CrashBetweenOutputs, place > 0);
                    self.crash_for(host, power, Some(down_us))?;
                    break;
                }
            }
            self.carry_out(host, output)?;
            if self.hosts[host].life != life {
                break;
            }
        }
        self.keep_outputs(outputs);
        self.start_writing(host)
    }

    fn carry_out(&mut self, host: usize, output: Output) -> Verdict {
        let life_number = self.hosts[host].life;
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        match output {
            Output::Send(envelope) => self.send(envelope),
            Output::Persist(persist) => life.queue.push_back(persist),
            Output::TakeSnapshot { request, digest, frozen } => {
                life.taking_snapshot = true;
                let fate = self.hosts[host].disk_faults.decide(Request::SnapshotWrite { bytes: 512 });
                // A stall holds it as long as any stall lasts here; it has no effect on anybody who waits.
                let wait_us = fate.delay_us.unwrap_or(500_000) + self.timing.below(20_000);
                let result = fate.result;
                let done = Happening::SnapshotDone { host, life: life_number, request, digest, frozen, result };
                self.after(wait_us, done);
            }
            Output::Restore(meta) => {
                life.installing = true;
                let wait_us = self.timing.below(30_000);
                self.after(wait_us, Happening::Restore { host, life: life_number, meta });
            }
            Output::ReadChunk(request) => {
                let wait_us = self.timing.below(3_000);
                self.after(wait_us, Happening::Chunk { host, life: life_number, request });
            }
            Output::Answer(ticket, outcome) => {
                if let Some(operation) = life.tickets.remove(&ticket) {
                    self.answer(operation, host, outcome);
                }
            }
            Output::Event(event) => {
                self.trace.note([event.term.0]);
                if event.kind == EventKind::QuarantineLeft {
                    self.hosts[host].rotten = false;
                    return self.end_quarantine(host);
                }
            }
            Output::Applied { index, .. } => self.trace.note([index.0]),
        }
        Ok(())
    }

    fn end_quarantine(&mut self, host: usize) -> Verdict {
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        match life.storage.end_quarantine() {
            Ok(()) => {
                self.judge.trusted(Self::id(host));
                Ok(())
            }
            Err(error) => broken(Property::Assertion, || format!("{}: {error}", Self::id(host))),
        }
    }
}

// The disk.
impl World<'_> {
    /// The writer takes all that is queued, if it is idle.
    pub(super) fn start_writing(&mut self, host: usize) -> Verdict {
        let Host { life_now: Some(life), disk_faults, life: number, .. } = &mut self.hosts[host] else { return Ok(()) };
        if life.writing > 0 || life.queue.is_empty() {
            return Ok(());
        }
        life.stalled = disk_faults.is_stalled();
        if life.stalled {
            return Ok(());
        }
        let group = life.queue.make_contiguous();
        let write = disk_faults.decide(Request::Write { bytes: bytes_of(group) });
        let mut fate = write;
        if write.result == DiskVerdict::Done {
            if let Err(error) = life.storage.write(group) {
                return broken(Property::Assertion, || format!("{}: its store refuses: {error}", Self::id(host)));
            }
            fate = disk_faults.decide(Request::Sync);
            fate.delay_us = fate.delay_us.map(|us| us + write.delay_us.unwrap_or(0));
        }
        let Some(point) = group.last().map(|persist| persist.point) else { return Ok(()) };
        if mutants::on("M55") && write.result == DiskVerdict::NoSpace {
            fate = disk_faults.decide(Request::Sync);
        }
        life.writing = group.len();
        life.queue.clear();
        let (life, wait_us) = (*number, fate.delay_us.unwrap_or(0));
        self.after(wait_us, Happening::Synced { host, life, point, result: fate.result, survives: fate.survives });
        Ok(())
    }

    pub(super) fn synced(&mut self, host: usize, point: SyncPoint, result: DiskVerdict, survives: Survival) -> Verdict {
        let id = Self::id(host);
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        let group = std::mem::take(&mut life.writing);
        let written = life.storage.disk().unsynced() > 0;
        let ignored = mutants::on("M54") && result == DiskVerdict::Failed && written;
        if ignored {
            return self.give(host, NodeInput::Persisted(point));
        }
        if result == DiskVerdict::Done || survives == Survival::Kept {
            if let Err(error) = life.storage.sync() {
                return broken(Property::Assertion, || format!("{id}: {error}"));
            }
            self.judge.synced(id, point.number)?;
        }
        if result != DiskVerdict::Done {
            let mark = match (result, written) {
                (DiskVerdict::NoSpace, _) => Mark::NoSpace,
                (_, true) => Mark::SyncFailed,
                (_, false) => Mark::WriteFailed,
            };
            self.marks.hit(mark);
            return self.halt(host, "its disk fails");
        }
        self.marks.hit_if(Mark::GroupCommit, group > 1);
        self.trace.line(self.now_us, || format!("{id} synced {}", point.number));
        self.give(host, NodeInput::Persisted(point))?;
        self.start_writing(host)
    }

    pub(super) fn snapshot_done(
        &mut self,
        host: usize,
        request: SnapshotRequest,
        digest: Digest,
        frozen: Frozen,
        result: DiskVerdict,
    ) -> Verdict {
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        life.taking_snapshot = false;
        if result != DiskVerdict::Done {
            self.marks.hit(Mark::SnapshotWriteFailed);
            return self.halt(host, "its snapshot cannot be written");
        }
        let written = life.snapshots.write(request.last, frozen);
        let Ok((size_bytes, checksum)) = written else {
            return broken(Property::Assertion, || format!("{}: {written:?}", Self::id(host)));
        };
        let SnapshotRequest { last, chain, configuration, proposed_at_us } = request;
        let meta = SnapshotMeta { last, chain, configuration, proposed_at_us, digest, size_bytes, checksum };
        self.give(host, NodeInput::SnapshotWritten(meta))
    }

    pub(super) fn restore(&mut self, host: usize, meta: SnapshotMeta) -> Verdict {
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        life.installing = false;
        match rebuild(&*life.snapshots, &meta) {
            Ok(machine) => self.give(host, NodeInput::Restored { meta, machine }),
            Err(error) => broken(Property::Snapshots, || format!("{}: {error}", Self::id(host))),
        }
    }

    pub(super) fn chunk(&mut self, host: usize, request: ChunkRequest) -> Verdict {
        let Some(life) = &mut self.hosts[host].life_now else { return Ok(()) };
        let before = life.snapshot_progress.insert(request.to, request.offset).unwrap_or(0);
        let (again, more) = (request.offset == 0 && before > 0, request.offset > 0);
        // A newer snapshot may have taken its place; the core asks again.
        let Ok(chunk) = life.snapshots.read(&request.meta, request.offset, request.length) else { return Ok(()) };
        self.marks.hit_if(Mark::SnapshotStartedAgain, again);
        self.marks.hit_if(Mark::SnapshotSeveralChunks, more);
        self.give(host, NodeInput::ChunkRead { request, chunk })
    }
}

/// A new machine with a snapshot's state.
fn rebuild(snapshots: &dyn Snapshots, meta: &SnapshotMeta) -> Result<Box<dyn StateMachine>, StorageError> {
    let corrupt = |why: String| StorageError::Corrupt { path: format!("snapshot {}", meta.last).into(), why };
    let mut body = snapshots.open(meta)?;
    let mut machine = KvStore::new();
    machine.restore(&mut *body).map_err(|error| corrupt(error.to_string()))?;
    if machine.digest() != meta.digest.0 {
        return Err(corrupt("the restored machine has another digest".to_owned()));
    }
    Ok(Box::new(machine))
}

// Lives.
impl World<'_> {
    /// A machine is switched on.
    pub(super) fn boot(&mut self, host: usize) -> Verdict {
        let id = Self::id(host);
        let nodes = self.plan.nodes;
        let this = &mut self.hosts[host];
        if this.dead || this.life_now.is_some() {
            return Ok(());
        }
        this.life += 1;
        this.crash_after = None;
        let configuration = this.options.configuration.clone();
        let identity = Identity { cluster: u128::from(self.plan.seed), node: id, configuration };
        let mut storage = match this.disk.open(&identity) {
            Ok(storage) => storage,
            Err(StorageError::Amnesia { .. }) => {
                this.dead = true;
                self.marks.hit(Mark::FenceLost);
                self.trace.line(self.now_us, || format!("{id} has lost its vote and never runs again"));
                return Ok(());
            }
            Err(error) => return broken(Property::Assertion, || format!("{id}: {error}")),
        };
        let recovered = match storage.load() {
            Ok(loaded) => loaded.recovered,
            Err(error) => return broken(Property::Assertion, || format!("{id}: {error}")),
        };
        self.judge.booted(id, &recovered)?;
        self.marks.hit_if(Mark::RestartWithLog, !recovered.entries.is_empty());
        self.marks.hit_if(Mark::RestartWithSnapshot, recovered.snapshot.is_some());
        self.marks.hit_if(Mark::QuarantineEntered, recovered.quarantine.is_some());
        this.rotten = recovered.quarantine.is_some();
        if recovered.quarantine.is_some() && nodes == 1 {
            // A cluster of one has nobody to mend it.
            this.dead = true;
            return Ok(());
        }
        let snapshots = storage.snapshots();
        let machine: Box<dyn StateMachine> = match &recovered.snapshot {
            None => Box::new(KvStore::new()),
            Some(meta) => match rebuild(&*snapshots, meta) {
                Ok(machine) => machine,
                Err(error) => return broken(Property::Snapshots, || format!("{id}: {error}")),
            },
        };
        let seed = this.seed.wrapping_add(recovered.epoch.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let term = recovered.hard_state.current_term;
        let tracer = self
            .node_traces
            .as_ref()
            .map(|traces| Tracer::boot(traces.of(id), self.now_us, &this.options.configuration, &recovered));
        let raft = Raft::new(this.options.clone(), recovered, seed);
        this.life_now = Some(Life {
            node: Node::new(raft, machine, self.plan.client_timeout_ticks),
            storage,
            snapshots,
            queue: VecDeque::new(),
            writing: 0,
            stalled: false,
            inbox: Vec::new(),
            tick_due: false,
            turn_asked: false,
            paused: false,
            tickets: BTreeMap::new(),
            last_ticket: 0,
            role: Role::Follower,
            term,
            commit: Index::ZERO,
            durable: Index::ZERO,
            taking_snapshot: false,
            installing: false,
            snapshot_progress: BTreeMap::new(),
            tracer,
        });
        let (life, tick_us) = (this.life, this.tick_us());
        let wait_us = self.timing.below(tick_us);
        self.after(wait_us, Happening::Tick { host, life });
        // The first turn says what was found on disk.
        self.turn(host, std::iter::empty())
    }

    /// A node stops itself for good; somebody mends its disk and starts it again.
    fn halt(&mut self, host: usize, why: &str) -> Verdict {
        self.trace.line(self.now_us, || format!("{} halts: {why}", Self::id(host)));
        if let Some(tracer) = self.hosts[host].life_now.as_mut().and_then(|life| life.tracer.take()) {
            tracer.ends(self.now_us, Record::Crash { why: Some(why.to_owned()) });
        }
        let down_us = 100_000 + self.timing.below(900_000);
        self.crash_for(host, true, Some(down_us))?;
        let disk = self.plan.disk.clone();
        self.hosts[host].disk_faults.set_rules(disk);
        Ok(())
    }

    /// A node dies, alone or with its machine; it is started again after a while, if it is said.
    pub(super) fn crash_for(&mut self, host: usize, power: bool, down_us: Option<u64>) -> Verdict {
        let id = Self::id(host);
        let this = &mut self.hosts[host];
        this.crash_after = None;
        let Some(life) = this.life_now.take() else { return Ok(()) };
        let unsynced = this.disk.unsynced();
        let fates = if power { this.disk_faults.crash(unsynced) } else { vec![Survival::Kept; unsynced] };
        this.disk.crash(|place| fates.get(place).copied().unwrap_or(Survival::Lost));
        this.life += 1;
        let kept = fates.iter().take_while(|fate| **fate == Survival::Kept).count();
        let torn = fates.get(kept) == Some(&Survival::Torn);
        self.trace.note([id.0, kept as u64, unsynced as u64]);
        self.trace.line(self.now_us, || {
            format!(
                "{id} {}, {kept} of {unsynced} unsynced writes survive",
                if power { "loses power" } else { "crashes" }
            )
        });
        let leads = life.role == Role::Leader;
        self.leader_crashed |= leads;
        self.marks.hit_if(Mark::LeaderCrashed, leads);
        self.marks.hit_if(Mark::LeaderCrashedUnsynced, leads && (unsynced > 0 || !life.queue.is_empty()));
        self.marks.hit_if(Mark::CandidateCrashed, life.role == Role::Candidate);
        self.marks.hit_if(Mark::VoteUnsyncedAtCrash, life.queue.iter().any(|write| write.hard_state.is_some()) || torn);
        self.marks.hit_if(Mark::PowerLostWrite, power && kept < unsynced);
        self.marks.hit_if(Mark::PowerKeptWrite, power && kept > 0);
        self.marks.hit_if(Mark::PowerTornWrite, power && torn);
        self.marks.hit_if(Mark::CrashWhileInstalling, life.installing);
        self.marks.hit_if(Mark::CrashWhileTaking, life.taking_snapshot);
        self.judge.crashed(id, kept, torn)?;
        let Life { tickets, inbox, tracer, .. } = life;
        if let Some(tracer) = tracer {
            tracer.ends(self.now_us, Record::Crash { why: None });
        }
        drop(inbox);
        for operation in tickets.into_values() {
            self.tell(operation, Heard::Gone);
        }
        self.marks.hit_if(Mark::AllDown, self.hosts.iter().all(|host| !host.is_up()));
        if let Some(down_us) = down_us {
            let life = self.hosts[host].life;
            self.after(down_us, Happening::Start { host, life });
        }
        Ok(())
    }
}

// Situations.
impl World<'_> {
    fn mark_event(&mut self, host: usize, event: &Event) {
        let Some(life) = &self.hosts[host].life_now else { return };
        let mark = match &event.kind {
            EventKind::BecameLeader => {
                if std::mem::take(&mut self.leader_crashed) {
                    self.marks.hit(Mark::LeaderAfterCrash);
                }
                Mark::LeaderElected
            }
            EventKind::BecameCandidate => {
                let others = self.hosts.iter().enumerate().filter(|(place, _)| *place != host);
                let mut campaigns = others.filter_map(|(_, other)| other.life_now.as_ref());
                if !campaigns.any(|other| other.role == Role::Candidate && other.term == event.term) {
                    return;
                }
                Mark::TwoCandidates
            }
            EventKind::ElectionTimeout { .. } if life.role == Role::Candidate => Mark::SplitVote,
            EventKind::VoteRefused { pre, why, .. } => match (pre, why) {
                (true, Refusal::HearsLeader(_)) => Mark::PreVoteHearsLeader,
                (true, Refusal::LogBehind) => Mark::PreVoteLogBehind,
                (true, Refusal::OldTerm) => Mark::PreVoteOldTerm,
                (false, Refusal::AlreadyVoted(_)) => Mark::VoteAlreadyGiven,
                (false, Refusal::LogBehind) => Mark::VoteLogBehind,
                (false, Refusal::HearsLeader(_)) => Mark::VoteHearsLeader,
                (_, Refusal::Quarantined) => Mark::VoteQuarantined,
                (true, Refusal::AlreadyVoted(_)) | (false, Refusal::OldTerm) => return,
            },
            EventKind::SteppedDown { why } => match why {
                StepDown::HigherTerm => Mark::StepDownHigherTerm,
                StepDown::LostQuorum => Mark::StepDownLostQuorum,
                StepDown::DiskStalled => Mark::StepDownDiskStalled,
                StepDown::LeaderSpoke => Mark::StepDownLeaderSpoke,
            },
            EventKind::Truncated { .. } => Mark::ConflictTruncated,
            EventKind::PeerRejected { .. } => Mark::PeerRejected,
            EventKind::PeerMode { mode: Mode::Probe, .. } => Mark::BackToProbe,
            EventKind::PeerMode { mode: Mode::Snapshot, .. } => Mark::SnapshotModeEntered,
            EventKind::PeerRestarted { .. } if life.role == Role::Leader => Mark::PeerRestarted,
            EventKind::PeerLostData { .. } => Mark::PeerLostData,
            EventKind::SnapshotTaken { .. } => Mark::SnapshotTaken,
            EventKind::SnapshotInstalled { .. } => Mark::SnapshotInstalled,
            EventKind::Compacted { .. } => Mark::LogCompacted,
            EventKind::QuarantineLeft => Mark::QuarantineLeft,
            EventKind::Ignored { why: IgnoredWhy::OldTerm, .. } => Mark::OldTermIgnored,
            EventKind::Ignored { why: IgnoredWhy::OldEpoch, .. } => Mark::OldEpochIgnored,
            EventKind::Ignored { why: IgnoredWhy::LateAnswer, .. } => Mark::LateAnswerIgnored,
            EventKind::Committed { index } => {
                let leads = life.role == Role::Leader;
                let first = self.judge.frontier().next();
                let earlier = *index > first
                    && self.judge.term_in_log(Self::id(host), first).is_some_and(|term| term < event.term);
                self.marks.hit_if(Mark::CommitBeforeOwnSync, leads && *index > life.durable);
                self.marks.hit_if(Mark::CommitOfEarlierTerm, leads && earlier);
                return;
            }
            EventKind::BecameFollower { .. } => {
                let taught = matches!(
                    event.cause,
                    crate::raft::Cause::Message { kind: crate::raft::MessageKind::PreVoteReply, .. }
                );
                self.marks.hit_if(Mark::PreVoteTeachesTerm, taught);
                return;
            }
            _ => return,
        };
        self.marks.hit(mark);
    }

    /// Situations that show in a message as it arrives.
    pub(super) fn mark_arrival(&mut self, host: usize, message: &Message) {
        let Some(life) = &self.hosts[host].life_now else { return };
        match message {
            Message::AppendEntries(append) if !append.entries.is_empty() => {
                self.marks.hit_if(Mark::AppendWhileInstalling, life.installing);
            }
            Message::InstallSnapshot(piece) => {
                self.marks.hit_if(Mark::SnapshotOfCommitted, piece.meta.last.index <= life.commit);
            }
            _ => {}
        }
    }
}
