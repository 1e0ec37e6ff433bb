//! What happened in a run: a fingerprint of everything, one line an event for whoever wants to read it, and what each
//! node did, for programs.
//!
//! The lines for people come from the one formatter that golden transcripts and the console use (`Display` of envelopes
//! and events), those for programs from the tracer of every node (`node/tracer.rs`).
//!
//! Kept true: the same seed gives the same fingerprint and the same lines, in every process.
//! Not here: what the lines of a node say (`trace/`), where the lines go (`cli/sim.rs`).

use std::fmt::Display;
use std::sync::mpsc::{Receiver, sync_channel};

use xxhash_rust::xxh3::Xxh3;

use crate::node::tracer::{NodeSink, TraceSink};
use crate::raft::NodeId;
use crate::trace::Line;

/// Lines that one event may cause; far more than any does.
const LINES_AN_EVENT: usize = 1 << 16;

/// Takes a line.
pub type Sink<'a> = &'a mut dyn FnMut(&str);

/// Takes a line of a node.
pub type LineSink<'a> = &'a mut dyn FnMut(&Line);

/// What all nodes did: the tracers write into a queue that is emptied after every event.
pub(super) struct NodeTraces<'a> {
    nodes: TraceSink,
    lines: Receiver<Line>,
    sink: LineSink<'a>,
}

impl<'a> NodeTraces<'a> {
    pub(super) fn new(messages: bool, sink: LineSink<'a>) -> Self {
        let (sender, lines) = sync_channel(LINES_AN_EVENT);
        Self { nodes: TraceSink::new(sender, messages), lines, sink }
    }

    pub(super) fn of(&self, node: NodeId) -> NodeSink {
        self.nodes.of(node)
    }

    pub(super) fn hand_over(&mut self) {
        for line in self.lines.try_iter() {
            (self.sink)(&line);
        }
    }
}

/// The trace of one run.
pub struct Trace<'a> {
    hash: Xxh3,
    sink: Option<Sink<'a>>,
}

impl std::fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("lines", &self.sink.is_some()).finish_non_exhaustive()
    }
}

impl<'a> Trace<'a> {
    /// Lines go to `sink`, if there is one.
    #[must_use]
    pub fn new(sink: Option<Sink<'a>>) -> Self {
        Self { hash: Xxh3::new(), sink }
    }

    /// Takes numbers into the fingerprint.
    pub fn note<const N: usize>(&mut self, numbers: [u64; N]) {
        for number in numbers {
            self.hash.update(&number.to_le_bytes());
        }
    }

    /// One line, made only if somebody reads it.
    pub fn line<D: Display>(&mut self, now_us: u64, what: impl FnOnce() -> D) {
        if let Some(sink) = &mut self.sink {
            sink(&format!("{:>4}.{:06} {}", now_us / 1_000_000, now_us % 1_000_000, what()));
        }
    }

    /// Of everything so far.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.hash.digest()
    }
}
