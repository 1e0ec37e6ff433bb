//! The tokio task of a node: ticks, inbox, disk answers and clients, drained together into one turn.
//!
//! Ticks never wait for the disk: writes go to the writer thread, snapshots to threads of their own, and their answers
//! are inputs like messages. While the cluster's clock stands still every input is held, the disk's answers too.
//!
//! Kept true: one task sees every message, tick and disk answer of its node, in one queue (no out-of-band heartbeats).
//! Not here: what a turn does (`mod.rs`), which nodes there are (`cluster/`).

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::meters::Meters;
use super::tracer::{NodeSink, Tracer};
use super::writer::{DiskAnswer, OpenStore, Writer};
use super::{ClientOutcome, Node, NodeInput, Output};
use crate::machine::StateMachine;
use crate::raft::{Epoch, Event, EventKind, Index, MessageKind, NodeId, Options, Raft, SnapshotMeta, Status, Ticket};
use crate::storage::faulty::FaultHandle;
use crate::storage::{Loaded, Snapshots, StorageError};
use crate::trace::Record;
use crate::transport::Link;
use crate::transport::clock::ClusterClock;

/// Cluster time of one tick in microseconds.
pub const TICK_US: u64 = 10_000;
/// A tick that comes so late, in real time, is told in the log.
const STALL: Duration = Duration::from_secs(1);

/// Most inputs of one turn.
const TURN_MAX: usize = 1024;

/// Real time between two reports.
const REPORT_EVERY: Duration = Duration::from_millis(33);

/// Makes an empty machine.
pub type MachineFactory = Arc<dyn Fn() -> Box<dyn StateMachine> + Send + Sync>;

/// Everything that one life of a node needs.
pub struct Spec {
    /// Who, with whom, how.
    pub options: Options,
    /// Of its election timeouts.
    pub seed: u64,
    /// How long a client waits at most.
    pub client_timeout_ticks: u64,
    /// Opens its store.
    pub open: OpenStore,
    /// Makes its machine.
    pub machine: MachineFactory,
    /// The cluster's clock.
    pub clock: ClusterClock,
    /// Joins the network when the life's number and the store's are known.
    pub connect: Box<dyn FnOnce(Epoch, u128) -> Link + Send>,
    /// Faults in front of its disk.
    pub disk_faults: FaultHandle,
    /// Hears what happens; what it is too slow for is counted and dropped.
    pub observer: mpsc::Sender<Observed>,
    /// Counts that.
    pub dropped: Arc<AtomicU64>,
    /// Takes the lines of its trace, if they are wanted.
    pub trace: Option<NodeSink>,
}

/// What a node tells its observer.
#[derive(Debug)]
pub enum Observed {
    /// Something happened in its protocol.
    Event {
        /// Whose.
        node: NodeId,
        /// Cluster time in microseconds.
        at_us: u64,
        /// What.
        event: Event,
    },
    /// It applied a command.
    Applied {
        /// Whose.
        node: NodeId,
        /// Cluster time in microseconds.
        at_us: u64,
        /// Where in the log.
        index: Index,
        /// The command.
        command: Bytes,
    },
}

/// What a client asks of a node.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Apply this command.
    Submit(Bytes),
    /// Answer this query, linearizably.
    Read(Bytes),
    /// Answer this query from what is applied here, however old.
    ReadLocal(Bytes),
}

/// A client's request; a dropped answer means that the node died first.
#[derive(Debug)]
pub struct ClientRequest {
    /// What.
    pub wish: Wish,
    /// Where to answer.
    pub answer: oneshot::Sender<ClientOutcome>,
}

/// How a life ends on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// As if the process were killed: what is queued for the disk is discarded.
    Crash,
    /// What is queued is written first.
    Shutdown,
}

/// How a life ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to.
    Stopped,
    /// It stopped itself.
    Halted {
        /// Why, and what to do; one sentence.
        why: String,
        /// What kind of trouble it is.
        trouble: Trouble,
    },
}

/// Kinds of trouble, for exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The disk failed.
    Disk,
    /// No room on the disk.
    NoSpace,
    /// The bytes on disk are not what was written.
    Corrupt,
    /// Somebody else's folder, or one in use.
    Locked,
    /// Another cluster's or node's store.
    WrongStore,
    /// A newer format.
    Newer,
    /// A rule of Raft was broken, or the program is wrong.
    Violation,
    /// None: a fault that the operator asked for.
    OnPurpose,
}

/// A picture of a node, from itself.
#[derive(Clone, Debug)]
pub struct Report {
    /// Of the core.
    pub status: Status,
    /// Messages received, sent since the start.
    pub messages: (u64, u64),
    /// Kind, received, sent since the start; kinds that never travelled are left out.
    pub by_kind: Vec<(MessageKind, u64, u64)>,
    /// Elections that it stood in since the start.
    pub elections: u64,
    /// Messages received, sent a second of cluster time.
    pub per_second: (f32, f32),
    /// Real time of a group of writes: median, 99th percentile.
    pub sync: Option<(u64, u64)>,
    /// Cluster time from proposal to durable here.
    pub to_durable: Option<(u64, u64)>,
    /// Cluster time from proposal to commit.
    pub to_commit: Option<(u64, u64)>,
    /// Cluster time from proposal to applied.
    pub to_apply: Option<(u64, u64)>,
    /// Clients that wait.
    pub waiting: usize,
    /// What the store repaired at opening.
    pub notes: Arc<[String]>,
    /// When it was made.
    pub made_at: Instant,
}

/// A hand on one life of a node.
pub struct Handle {
    /// For clients; a full queue means busy.
    pub requests: mpsc::Sender<ClientRequest>,
    /// The newest picture; `None` until the store is open.
    pub report: watch::Receiver<Option<Arc<Report>>>,
    /// Ends with the life.
    pub ended: tokio::task::JoinHandle<Ended>,
    stop: Option<oneshot::Sender<Stop>>,
}

impl Handle {
    /// Asks the life to end; `ended` tells when it has, with the store closed.
    pub fn stop(&mut self, how: Stop) {
        if let Some(stop) = self.stop.take() {
            // A life that has ended by itself needs no asking.
            let _ = stop.send(how);
        }
    }
}

/// Starts a life.
pub fn start(spec: Spec) -> Handle {
    let (requests, wishes) = mpsc::channel(4096);
    let (report, reports) = watch::channel(None);
    let (stop, stopped) = oneshot::channel();
    let ended = tokio::spawn(live(spec, wishes, report, stopped));
    Handle { requests, report: reports, ended, stop: Some(stop) }
}

async fn live(
    spec: Spec,
    wishes: mpsc::Receiver<ClientRequest>,
    report: watch::Sender<Option<Arc<Report>>>,
    mut stopped: oneshot::Receiver<Stop>,
) -> Ended {
    let (answers, mut disk) = mpsc::unbounded_channel();
    let name = format!("{}-writer", spec.options.id);
    let writer = match Writer::start(name, spec.open, spec.disk_faults.clone(), answers) {
        Ok(writer) => writer,
        Err(error) => {
            return Ended::Halted { why: format!("no thread for the disk: {error}"), trouble: Trouble::Disk };
        }
    };
    let opened = tokio::select! {
        _ = &mut stopped => {
            join(writer.crash()).await;
            return Ended::Stopped;
        }
        opened = disk.recv() => opened,
    };
    let (loaded, snapshots) = match opened {
        Some(DiskAnswer::Opened(loaded, snapshots)) => (loaded, snapshots),
        Some(DiskAnswer::Failed(error)) => {
            join(writer.crash()).await;
            return halted_by(&error);
        }
        Some(DiskAnswer::Persisted { .. }) | None => {
            join(writer.crash()).await;
            return Ended::Halted { why: "the writer thread ended".into(), trouble: Trouble::Violation };
        }
    };
    let Loaded { recovered, notes, store } = *loaded;
    if recovered.quarantine.is_some() && spec.options.configuration.voters().len() == 1 {
        join(writer.crash()).await;
        let why = recovered.quarantine.unwrap_or_default();
        return Ended::Halted {
            why: format!("{why}; a cluster of one has nobody to mend it: restore its folder from a copy"),
            trouble: Trouble::Corrupt,
        };
    }
    let mut notes = notes;
    notes.extend(recovered.quarantine.clone());
    let machine = match &recovered.snapshot {
        None => Ok((spec.machine)()),
        Some(meta) => rebuild(Arc::clone(&snapshots), meta.clone(), Arc::clone(&spec.machine)).await,
    };
    let machine = match machine {
        Ok(machine) => machine,
        Err(error) => {
            join(writer.crash()).await;
            return halted_by(&error);
        }
    };
    let epoch = recovered.epoch;
    let id = spec.options.id;
    let now_us = spec.clock.now_us();
    let tracer = spec.trace.map(|sink| Tracer::boot(sink, now_us, &spec.options.configuration, &recovered));
    // Another life has other timeouts.
    let seed = spec.seed.wrapping_add(epoch.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let node = Node::new(Raft::new(spec.options, recovered, seed), machine, spec.client_timeout_ticks);
    let (done, jobs) = mpsc::unbounded_channel();
    let mut driver = Driver {
        id,
        node,
        clock: spec.clock,
        link: (spec.connect)(epoch, store),
        machine: spec.machine,
        writer,
        snapshots,
        disk,
        wishes,
        jobs,
        done,
        observer: spec.observer,
        dropped: spec.dropped,
        clients: BTreeMap::new(),
        tickets: 0,
        report,
        reported_at: None,
        unreported: false,
        notes: notes.into(),
        tracer,
    };
    let end = driver.run(&mut stopped).await;
    driver.publish();
    let ended_at_us = driver.clock.now_us();
    let Driver { writer, tracer, .. } = driver;
    let told = |record| {
        if let Some(tracer) = tracer {
            tracer.ends(ended_at_us, record);
        }
    };
    match end {
        End::Asked(Stop::Shutdown) => {
            join(writer.finish()).await;
            told(Record::Stop);
            Ended::Stopped
        }
        End::Asked(Stop::Crash) => {
            join(writer.crash()).await;
            told(Record::Crash { why: None });
            Ended::Stopped
        }
        End::Halted(why, trouble) => {
            join(writer.crash()).await;
            told(Record::Crash { why: Some(why.clone()) });
            Ended::Halted { why, trouble }
        }
    }
}

/// Waits until the writer thread has ended and the store's lock is free.
async fn join(thread: Option<std::thread::JoinHandle<()>>) {
    if let Some(thread) = thread {
        // A panic of that thread has been reported by the panic hook; there is nothing left to do about it.
        let _ = tokio::task::spawn_blocking(move || thread.join()).await;
    }
}

fn halted_by(error: &StorageError) -> Ended {
    Ended::Halted { why: error.to_string(), trouble: trouble(error) }
}

fn trouble(error: &StorageError) -> Trouble {
    match error {
        StorageError::Injected(_) => Trouble::OnPurpose,
        StorageError::NoSpace { .. } => Trouble::NoSpace,
        StorageError::Locked { .. } => Trouble::Locked,
        StorageError::WrongIdentity { .. } | StorageError::Foreign { .. } => Trouble::WrongStore,
        StorageError::NewerFormat { .. } => Trouble::Newer,
        StorageError::Amnesia { .. } | StorageError::Corrupt { .. } => Trouble::Corrupt,
        _ => Trouble::Disk,
    }
}

/// A new machine with a snapshot's state, made on a thread that may wait for the disk.
async fn rebuild(
    snapshots: Arc<dyn Snapshots>,
    meta: SnapshotMeta,
    machine: MachineFactory,
) -> Result<Box<dyn StateMachine>, StorageError> {
    let work = move || {
        let mut body = snapshots.open(&meta)?;
        let mut machine = machine();
        machine.restore(&mut *body).map_err(|error| StorageError::Corrupt {
            path: format!("snapshot {}", meta.last).into(),
            why: error.to_string(),
        })?;
        if machine.digest() != meta.digest.0 {
            return Err(StorageError::Corrupt {
                path: format!("snapshot {}", meta.last).into(),
                why: "the machine restored from it has another digest than the one it was taken from".into(),
            });
        }
        Ok(machine)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => Err(StorageError::Corrupt { path: "snapshot".into(), why: panic.to_string() }),
    }
}

enum End {
    Asked(Stop),
    Halted(String, Trouble),
}

/// Work that was done off the task.
enum Job {
    Input(NodeInput),
    Failed(StorageError),
}

struct Driver {
    id: NodeId,
    node: Node,
    clock: ClusterClock,
    link: Link,
    machine: MachineFactory,
    writer: Writer,
    snapshots: Arc<dyn Snapshots>,
    disk: mpsc::UnboundedReceiver<DiskAnswer>,
    wishes: mpsc::Receiver<ClientRequest>,
    jobs: mpsc::UnboundedReceiver<Job>,
    done: mpsc::UnboundedSender<Job>,
    observer: mpsc::Sender<Observed>,
    dropped: Arc<AtomicU64>,
    clients: BTreeMap<Ticket, oneshot::Sender<ClientOutcome>>,
    tickets: u64,
    report: watch::Sender<Option<Arc<Report>>>,
    reported_at: Option<Instant>,
    /// Something happened since the last report.
    unreported: bool,
    notes: Arc<[String]>,
    tracer: Option<Tracer>,
}

impl Driver {
    async fn run(&mut self, stopped: &mut oneshot::Receiver<Stop>) -> End {
        let mut next_tick_us = self.clock.now_us() + TICK_US;
        let mut inputs = Vec::new();
        // The first turn says what was found on disk.
        if let Err(end) = self.turn(&mut inputs) {
            return end;
        }
        loop {
            if self.clock.is_stopped() && self.unreported {
                self.publish();
            }
            let clock = self.clock.clone();
            // All of this is held while the clock stands still; only the end of the life is not.
            tokio::select! {
                biased;
                how = &mut *stopped => return End::Asked(how.unwrap_or(Stop::Crash)),
                () = clock.running() => {}
            }
            if inputs.is_empty() {
                let report_due = self.reported_at.map_or_else(Instant::now, |at| at + REPORT_EVERY);
                tokio::select! {
                    biased;
                    how = &mut *stopped => return End::Asked(how.unwrap_or(Stop::Crash)),
                    () = clock.sleep_until(next_tick_us) => {}
                    // What happened last is told even when nothing more does, or the clock has been stopped.
                    () = tokio::time::sleep_until(report_due), if self.unreported => {
                        self.publish();
                        continue;
                    }
                    Some(answer) = self.disk.recv() => match self.disk_input(answer) {
                        Ok(input) => inputs.push(input),
                        Err(end) => return end,
                    },
                    Some(job) = self.jobs.recv() => match job {
                        Job::Input(input) => inputs.push(input),
                        Job::Failed(error) => return End::Halted(error.to_string(), trouble(&error)),
                    },
                    Some(envelope) = self.link.incoming.recv() => inputs.push(NodeInput::Receive(envelope)),
                    Some(request) = self.wishes.recv() => inputs.extend(self.wish(request)),
                }
                if self.clock.is_stopped() {
                    continue;
                }
            }
            if let Err(end) = self.drain(&mut inputs) {
                return end;
            }
            let now_us = self.clock.now_us();
            if now_us >= next_tick_us {
                inputs.push(NodeInput::Tick);
                let late = Duration::from_micros(self.clock.real_us(now_us - next_tick_us));
                if late >= STALL {
                    tracing::warn!(
                        "{} was paused for {:.1} s, or its machine is too busy",
                        self.id,
                        late.as_secs_f64()
                    );
                }
                // Missed ticks are skipped, never made up in a burst.
                next_tick_us = (next_tick_us + TICK_US).max(now_us + TICK_US / 2);
            }
            if let Err(end) = self.turn(&mut inputs) {
                return end;
            }
        }
    }

    /// Takes what else is ready, up to a bound.
    fn drain(&mut self, inputs: &mut Vec<NodeInput>) -> Result<(), End> {
        while inputs.len() < TURN_MAX {
            if let Ok(answer) = self.disk.try_recv() {
                inputs.push(self.disk_input(answer)?);
            } else if let Ok(envelope) = self.link.incoming.try_recv() {
                inputs.push(NodeInput::Receive(envelope));
            } else if let Ok(request) = self.wishes.try_recv() {
                inputs.extend(self.wish(request));
            } else {
                break;
            }
        }
        Ok(())
    }

    fn disk_input(&mut self, answer: DiskAnswer) -> Result<NodeInput, End> {
        match answer {
            DiskAnswer::Persisted { point, took_us } => {
                self.node.meters_mut().sync.add(took_us);
                Ok(NodeInput::Persisted(point))
            }
            DiskAnswer::Failed(error) => Err(End::Halted(error.to_string(), trouble(&error))),
            DiskAnswer::Opened(..) => Err(End::Halted("the store was opened twice".into(), Trouble::Violation)),
        }
    }

    fn wish(&mut self, request: ClientRequest) -> Option<NodeInput> {
        let ticket = Ticket(self.tickets + 1);
        let input = match request.wish {
            Wish::Submit(command) => NodeInput::Submit { ticket, command },
            Wish::Read(query) => NodeInput::Read { ticket, query },
            Wish::ReadLocal(query) => {
                // A client that has gone away needs no answer.
                let _ = request.answer.send(self.node.read_local(&query));
                return None;
            }
        };
        self.tickets += 1;
        self.clients.insert(ticket, request.answer);
        Some(input)
    }

    fn turn(&mut self, inputs: &mut Vec<NodeInput>) -> Result<(), End> {
        let now_us = self.clock.now_us();
        let mut outputs = Vec::new();
        let node = &mut self.node;
        if let Some(tracer) = &mut self.tracer {
            tracer.takes(now_us, inputs);
        }
        // A broken invariant stops this node, not the others in this process.
        let turned = catch_unwind(AssertUnwindSafe(|| {
            node.turn(now_us, inputs.drain(..), &mut |output| outputs.push(output));
        }));
        inputs.clear();
        if let Some(tracer) = &mut self.tracer {
            tracer.gives(now_us, self.node.causes(), &outputs);
        }
        for output in outputs {
            self.carry_out(now_us, output);
        }
        if let Err(panic) = turned {
            let what = panic
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| panic.downcast_ref::<&str>().copied())
                .unwrap_or("a panic without words");
            return Err(End::Halted(format!("an invariant of this node is broken: {what}"), Trouble::Violation));
        }
        if let Some(evidence) = self.node.halted() {
            let evidence = evidence.to_owned();
            return Err(End::Halted(evidence, Trouble::Violation));
        }
        if self.reported_at.is_none_or(|at| at.elapsed() >= REPORT_EVERY) {
            self.publish();
        } else {
            self.unreported = true;
        }
        Ok(())
    }

    fn carry_out(&mut self, now_us: u64, output: Output) {
        match output {
            Output::Send(envelope) => {
                // A full queue loses the message, as networks do.
                let _ = self.link.outgoing.try_send(envelope);
            }
            Output::Persist(persist) => self.writer.persist(persist),
            Output::TakeSnapshot { request, digest, frozen } => {
                let snapshots = Arc::clone(&self.snapshots);
                self.aside(move || {
                    let (size_bytes, checksum) = snapshots.write(request.last, frozen)?;
                    Ok(NodeInput::SnapshotWritten(SnapshotMeta {
                        last: request.last,
                        chain: request.chain,
                        configuration: request.configuration,
                        proposed_at_us: request.proposed_at_us,
                        digest,
                        size_bytes,
                        checksum,
                    }))
                });
            }
            Output::Restore(meta) => {
                let (snapshots, machine) = (Arc::clone(&self.snapshots), Arc::clone(&self.machine));
                let done = self.done.clone();
                tokio::spawn(async move {
                    let job = match rebuild(snapshots, meta.clone(), machine).await {
                        Ok(machine) => Job::Input(NodeInput::Restored { meta, machine }),
                        Err(error) => Job::Failed(error),
                    };
                    let _ = done.send(job);
                });
            }
            Output::ReadChunk(request) => {
                let snapshots = Arc::clone(&self.snapshots);
                let done = self.done.clone();
                let id = self.id;
                tokio::task::spawn_blocking(move || {
                    match snapshots.read(&request.meta, request.offset, request.length) {
                        Ok(chunk) => {
                            let _ = done.send(Job::Input(NodeInput::ChunkRead { request, chunk }));
                        }
                        // A newer snapshot may have taken its place; the core asks again.
                        Err(error) => tracing::warn!(%id, %error, "a piece of a snapshot could not be read"),
                    }
                });
            }
            Output::Answer(ticket, outcome) => {
                if let Some(client) = self.clients.remove(&ticket) {
                    // A client that has gone away needs no answer.
                    let _ = client.send(outcome);
                }
            }
            Output::Event(event) => {
                tracing::debug!(node = %self.id, term = event.term.0, "{}", event.kind);
                if event.kind == EventKind::QuarantineLeft {
                    self.writer.end_quarantine();
                }
                self.tell(Observed::Event { node: self.id, at_us: now_us, event });
            }
            Output::Applied { index, command } => {
                self.tell(Observed::Applied { node: self.id, at_us: now_us, index, command });
            }
        }
    }

    /// Runs work that may wait for the disk on a thread of its own.
    fn aside(&self, work: impl FnOnce() -> Result<NodeInput, StorageError> + Send + 'static) {
        let done = self.done.clone();
        tokio::task::spawn_blocking(move || {
            let job = work().map_or_else(Job::Failed, Job::Input);
            let _ = done.send(job);
        });
    }

    fn tell(&self, observed: Observed) {
        if self.observer.try_send(observed).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn publish(&mut self) {
        let now_us = self.clock.now_us();
        let status = self.node.status();
        let waiting = self.node.waiting();
        let meters: &mut Meters = self.node.meters_mut();
        let report = Report {
            status,
            messages: (meters.in_rate.total(), meters.out_rate.total()),
            by_kind: meters.by_kind().filter(|(_, received, sent)| received + sent > 0).collect(),
            elections: meters.elections,
            per_second: (meters.in_rate.per_second(now_us), meters.out_rate.per_second(now_us)),
            sync: meters.sync.percentiles(),
            to_durable: meters.to_durable.percentiles(),
            to_commit: meters.to_commit.percentiles(),
            to_apply: meters.to_apply.percentiles(),
            waiting,
            notes: Arc::clone(&self.notes),
            made_at: Instant::now(),
        };
        self.reported_at = Some(report.made_at);
        self.unreported = false;
        self.report.send_replace(Some(Arc::new(report)));
    }
}
