//! Writes down what a node does while it does it: the lines of a trace, in the order of its doing.
//!
//! A [`Tracer`] belongs to one life; it sees what goes into each turn and what comes out of it. A vote is told when the
//! disk has answered the write that carries it, an entry when it is handed to the disk, what is applied when the core has
//! heard of it.
//!
//! Kept true: a node never waits for its trace: lines that find no room are counted, and the next line is preceded by a
//! gap; the lines of a node are numbered from 1 over all its lives.
//! Not here: what a line looks like (`trace/`), the file (`cli/`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{NodeInput, Output};
use crate::raft::{
    Cause, Configuration, Digest, Entry, Envelope, Epoch, EventKind, HardState, Index, LogPosition, NodeId, Persist,
    Recovered, SnapshotMeta, Term,
};
use crate::trace::{Line, Record, command_hash, message};

/// How many lines one node has written, how many it could not, and when it was asked to write the last.
#[derive(Debug, Default)]
struct Counters {
    seq: AtomicU64,
    lost: AtomicU64,
    at_us: AtomicU64,
}

/// Where the lines of all nodes go.
#[derive(Clone, Debug)]
pub struct TraceSink {
    lines: SyncSender<Line>,
    messages: bool,
    nodes: Arc<Mutex<BTreeMap<NodeId, Arc<Counters>>>>,
}

impl TraceSink {
    /// Lines go to `lines`; those about messages only if they are wanted.
    #[must_use]
    pub fn new(lines: SyncSender<Line>, messages: bool) -> Self {
        Self { lines, messages, nodes: Arc::default() }
    }

    /// The lines of one node, over all its lives.
    #[must_use]
    pub fn of(&self, node: NodeId) -> NodeSink {
        let counters = Arc::clone(self.nodes().entry(node).or_default());
        NodeSink { sink: self.clone(), node, counters }
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Counters>>> {
        // The map is whole after each of its changes.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines that say what found no room at the very end, when nothing follows any more.
    #[must_use]
    pub fn last_gaps(&self) -> Vec<Line> {
        let gap = |(node, counters): (&NodeId, &Arc<Counters>)| {
            let lost = counters.lost.swap(0, Ordering::Relaxed);
            let seq = counters.seq.load(Ordering::Relaxed) + 1;
            let at_us = counters.at_us.load(Ordering::Relaxed);
            (lost > 0).then_some(Line { node: *node, seq, at_us, record: Record::Gap { lost } })
        };
        self.nodes().iter().filter_map(gap).collect()
    }
}

/// Where the lines of one node go.
#[derive(Clone, Debug)]
pub struct NodeSink {
    sink: TraceSink,
    node: NodeId,
    counters: Arc<Counters>,
}

impl NodeSink {
    /// Writes a line if there is room for it; a node has one life at a time, so nobody else writes for it.
    fn write(&self, at_us: u64, record: Record) {
        self.counters.at_us.store(at_us, Ordering::Relaxed);
        let lost = self.counters.lost.load(Ordering::Relaxed);
        if lost > 0 && self.try_write(at_us, Record::Gap { lost }) {
            self.counters.lost.store(0, Ordering::Relaxed);
        }
        if !self.try_write(at_us, record) {
            self.counters.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn try_write(&self, at_us: u64, record: Record) -> bool {
        let seq = self.counters.seq.load(Ordering::Relaxed) + 1;
        let written = self.sink.lines.try_send(Line { node: self.node, seq, at_us, record }).is_ok();
        if written {
            self.counters.seq.store(seq, Ordering::Relaxed);
        }
        written
    }
}

/// What a write will make durable.
#[derive(Debug)]
struct Written {
    number: u64,
    hard_state: Option<HardState>,
    snapshot: Option<SnapshotMeta>,
    compact_to: Option<LogPosition>,
}

/// The trace of one life.
#[derive(Debug)]
pub struct Tracer {
    sink: NodeSink,
    voters: Vec<NodeId>,
    applied: Index,
    /// Stored and not applied: where, and what.
    stored: BTreeMap<Index, (LogPosition, Digest)>,
    /// Asked of the disk and not answered.
    writes: VecDeque<Written>,
    installing: Option<SnapshotMeta>,
    /// Life in which each peer was heard last.
    epochs: BTreeMap<NodeId, Epoch>,
}

impl Tracer {
    /// The beginning of a life with what its disk gave back.
    #[must_use]
    pub fn boot(sink: NodeSink, at_us: u64, configuration: &Configuration, recovered: &Recovered) -> Self {
        let boot = Record::boot(recovered);
        let Record::Boot { commit, .. } = &boot else { unreachable!("it is the boot") };
        let applied = *commit;
        let configuration = recovered.snapshot.as_ref().map_or(configuration, |meta| &meta.configuration);
        let mut tracer = Self {
            voters: configuration.voters().to_vec(),
            sink,
            applied,
            stored: BTreeMap::new(),
            writes: VecDeque::new(),
            installing: None,
            epochs: BTreeMap::new(),
        };
        for entry in recovered.entries.iter().filter(|entry| entry.index > applied) {
            tracer.store(entry);
        }
        tracer.write(at_us, boot);
        tracer
    }

    fn store(&mut self, entry: &Entry) -> Digest {
        let hash = command_hash(&entry.command);
        self.stored.insert(entry.index, (entry.position(), hash));
        hash
    }

    fn write(&self, at_us: u64, record: Record) {
        self.sink.write(at_us, record);
    }

    /// What is about to go into a turn.
    pub fn takes(&mut self, at_us: u64, inputs: &[NodeInput]) {
        for input in inputs {
            match input {
                NodeInput::Receive(envelope) => self.receives(at_us, envelope),
                NodeInput::Persisted(point) => self.persisted(at_us, point.number),
                NodeInput::Tick
                | NodeInput::Submit { .. }
                | NodeInput::Read { .. }
                | NodeInput::SnapshotWritten(_)
                | NodeInput::Restored { .. }
                | NodeInput::ChunkRead { .. } => {}
            }
        }
    }

    fn receives(&mut self, at_us: u64, envelope: &Envelope) {
        let known = self.epochs.entry(envelope.from).or_default();
        *known = envelope.epoch.max(*known);
        if self.sink.sink.messages {
            let message = message::message(envelope, None);
            self.write(at_us, Record::Recv { from: envelope.from, message });
        }
    }

    /// The disk has answered a write and all before it.
    fn persisted(&mut self, at_us: u64, number: u64) {
        while let Some(written) = self.writes.pop_front_if(|written| written.number <= number) {
            match written.hard_state {
                Some(HardState { current_term: term, voted_for: Some(candidate) }) => {
                    self.write(at_us, Record::Vote { term, candidate });
                }
                Some(HardState { current_term: term, voted_for: None }) => self.write(at_us, Record::Term { term }),
                None => {}
            }
            if let Some(meta) = written.snapshot {
                let record = Record::Snapshot { last: meta.last, digest: meta.digest, installed: false };
                self.write(at_us, record);
            }
            if let Some(to) = written.compact_to {
                self.write(at_us, Record::Compact { to });
            }
        }
    }

    /// What came out of a turn, in order; `causes` of its messages, one after another.
    pub fn gives(&mut self, at_us: u64, causes_of_sends: &[Cause], outputs: &[Output]) {
        let mut causes = causes_of_sends.iter();
        let mut told_to = None;
        for (place, output) in outputs.iter().enumerate() {
            match output {
                Output::Send(envelope) => {
                    let cause = causes.next();
                    if self.sink.sink.messages {
                        let cause = cause.map(|cause| message::cause(cause, |from| self.epochs.get(&from).copied()));
                        let message = message::message(envelope, cause);
                        self.write(at_us, Record::Send { to: envelope.to, message });
                    }
                }
                // The write follows the events and messages of its round; what it stores comes before them here.
                Output::Event(event) => match &event.kind {
                    EventKind::Appended { .. } | EventKind::Truncated { .. } => {
                        let rest = outputs.iter().enumerate().skip(place);
                        let next = rest.filter_map(|(at, output)| match output {
                            Output::Persist(persist) => Some((at, persist)),
                            _ => None,
                        });
                        if let Some((at, persist)) = next.min_by_key(|(at, _)| *at)
                            && told_to != Some(at)
                        {
                            told_to = Some(at);
                            self.stores(at_us, persist);
                        }
                    }
                    kind => self.event(at_us, event.term, kind),
                },
                Output::Persist(persist) => {
                    if told_to != Some(place) {
                        self.stores(at_us, persist);
                    }
                    self.asks(persist);
                }
                Output::TakeSnapshot { .. }
                | Output::Restore(_)
                | Output::ReadChunk(_)
                | Output::Answer(..)
                | Output::Applied { .. } => {}
            }
        }
    }

    fn stores(&mut self, at_us: u64, persist: &Persist) {
        if let Some(from) = persist.truncate_from {
            self.stored.split_off(&from);
            self.write(at_us, Record::Truncate { from });
        }
        for entry in &persist.entries {
            let hash = self.store(entry);
            self.write(at_us, Record::Append { term: persist.point.term, at: entry.position(), hash });
        }
    }

    fn asks(&mut self, persist: &Persist) {
        let mut snapshot = None;
        if let Some(named) = &persist.snapshot {
            if named.discard_log {
                self.installing = Some(named.meta.clone());
            } else {
                snapshot = Some(named.meta.clone());
            }
        }
        self.writes.push_back(Written {
            number: persist.point.number,
            hard_state: persist.hard_state,
            snapshot,
            compact_to: persist.compact_to.map(|base| base.position),
        });
    }

    fn event(&mut self, at_us: u64, term: Term, kind: &EventKind) {
        match kind {
            EventKind::BecameLeader => self.write(at_us, Record::Leader { term, voters: self.voters.clone() }),
            EventKind::Durable { index } => self.write(at_us, Record::Durable { index: *index }),
            EventKind::Committed { index } => self.write(at_us, Record::Commit { term, index: *index }),
            EventKind::Applied { index } => {
                while self.applied < *index {
                    self.applied = self.applied.next();
                    if let Some((at, hash)) = self.stored.remove(&self.applied) {
                        self.write(at_us, Record::Apply { at, hash });
                    }
                }
            }
            EventKind::SnapshotInstalled { last } => {
                if let Some(meta) = self.installing.take_if(|meta| meta.last == *last) {
                    self.voters = meta.configuration.voters().to_vec();
                    self.applied = last.index;
                    self.stored.clear();
                    self.write(at_us, Record::Snapshot { last: *last, digest: meta.digest, installed: true });
                }
            }
            _ => {}
        }
    }

    /// The end of the life.
    pub fn ends(self, at_us: u64, record: Record) {
        self.write(at_us, record);
    }
}
