//! What the simulated clients saw, as records of a history (`docs/formats.md`, "History of client operations").
//!
//! Numbers of operations are those that the lines of a trace name. LIST has no place in the format and leaves a gap.
//!
//! Kept true: watching changes nothing of what happens; the order is that of virtual time.
//! Not here: what a record is (`history/`), whether it is right (`check/`), where it goes (`cli/sim.rs`).

use super::workload::Heard;
use crate::history::{Ask, Record, Recorder, What};
use crate::machine::kv::KvReply;
use crate::raft::{Index, NodeId, Term};

/// Takes a record.
pub type HistorySink<'a> = &'a mut dyn FnMut(&Record);

/// Whoever writes down what clients see, if somebody does.
#[derive(Default)]
pub(super) struct Scribe<'a> {
    recorder: Recorder,
    clients: usize,
    sink: Option<HistorySink<'a>>,
}

impl<'a> Scribe<'a> {
    pub(super) fn new(sink: HistorySink<'a>) -> Self {
        Self { sink: Some(sink), ..Self::default() }
    }

    /// A client asks a node; nothing for what has no place in the format.
    pub(super) fn invoked(
        &mut self,
        now_us: u64,
        client: usize,
        node: NodeId,
        asked: impl FnOnce() -> Option<(bytes::Bytes, Ask)>,
    ) {
        let Some(sink) = &mut self.sink else { return };
        let Some((key, ask)) = asked() else {
            self.recorder.skip();
            return;
        };
        while self.clients <= client {
            self.recorder.client();
            self.clients += 1;
        }
        if let Some(record) = self.recorder.invoke(ns(now_us), client, key, ask, Some(node)) {
            sink(&record);
        }
    }

    /// A client hears of its operation.
    pub(super) fn heard(&mut self, now_us: u64, operation: u64, heard: &Heard) {
        let Some(sink) = &mut self.sink else { return };
        if let Some(record) = self.recorder.end(ns(now_us), operation, what(heard)) {
            sink(&record);
        }
    }

    /// The run is over.
    pub(super) fn close(&mut self, now_us: u64) {
        let Some(sink) = &mut self.sink else { return };
        for record in self.recorder.close(ns(now_us), "the run is over") {
            sink(&record);
        }
    }
}

const fn ns(us: u64) -> u64 {
    us * 1000
}

fn what(heard: &Heard) -> What {
    let answered = |reply: &[u8], term: Option<Term>, index: Index| match KvReply::decode(reply) {
        Ok(reply) => What::answered(&reply, term, Some(index)),
        Err(why) => What::Info { why: format!("the answer cannot be read: {why}") },
    };
    match heard {
        Heard::Applied { position, reply } => answered(reply, Some(position.term), position.index),
        Heard::Value { index, reply } => answered(reply, None, *index),
        Heard::NotLeader { .. } => What::Fail { why: "not leader".to_owned() },
        Heard::Busy => What::Fail { why: "busy".to_owned() },
        Heard::NotApplied => What::Fail { why: "not applied".to_owned() },
        Heard::ReadFailed => What::Fail { why: "not read".to_owned() },
        Heard::Unknown => What::Info { why: "unknown".to_owned() },
        Heard::Silence => What::Info { why: "timeout".to_owned() },
        Heard::Gone => What::Info { why: "the node is gone".to_owned() },
    }
}
