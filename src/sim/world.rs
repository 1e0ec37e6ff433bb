//! The world of one run: virtual time, one queue of what is to happen, and everything that it happens to.
//!
//! Time jumps from one event to the next. What is due at the same time happens in the order in which it was asked for,
//! so a run is a function of its plan.
//!
//! Kept true: after every event the judge has looked at the node that stepped; the first violation ends the run.
//! Not here: what nodes, clients, faults and the healing do (`host.rs`, `workload.rs`, `nemesis.rs`, `liveness.rs`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::glances::Glances;
use super::history::{HistorySink, Scribe};
use super::host::Host;
use super::liveness::Healing;
use super::marks::{Mark, Marks};
use super::nemesis::Heal;
use super::plan::{Concern, Plan};
use super::trace::{LineSink, NodeTraces, Sink, Trace};
use super::workload::{Heard, Workload};
use crate::check::{Judge, Verdict, Violation};
use crate::machine::Frozen;
use crate::node::{NodeInput, Output};
use crate::raft::rng::Rng;
use crate::raft::{ChunkRequest, Configuration, Digest, Envelope, NodeId, SnapshotMeta, SnapshotRequest, SyncPoint};
use crate::storage::faults::{Survival, Verdict as DiskVerdict};
use crate::transport::faults::{DropWhy, Fate, Faults, Rules};

/// Something that is to happen. Nodes are places in the list of hosts; what belongs to a life names it.
pub(super) enum Happening {
    Tick {
        host: usize,
        life: u64,
    },
    Deliver {
        envelope: Envelope,
        receiver_life: u64,
    },
    Turn {
        host: usize,
        life: u64,
    },
    Synced {
        host: usize,
        life: u64,
        point: SyncPoint,
        result: DiskVerdict,
        survives: Survival,
    },
    SnapshotDone {
        host: usize,
        life: u64,
        request: SnapshotRequest,
        digest: Digest,
        frozen: Frozen,
        result: DiskVerdict,
    },
    Restore {
        host: usize,
        life: u64,
        meta: SnapshotMeta,
    },
    Chunk {
        host: usize,
        life: u64,
        request: ChunkRequest,
    },
    Start {
        host: usize,
        life: u64,
    },
    Fault {
        place: usize,
    },
    Heal {
        heal: Heal,
        era: u64,
    },
    Act {
        client: usize,
    },
    Glance,
    Arrive {
        operation: u64,
        host: usize,
    },
    Hear {
        operation: u64,
        heard: Heard,
    },
    GiveUp {
        operation: u64,
    },
    EndOfSafety,
    Look,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Of which seed.
    pub seed: u64,
    /// What was found, and when in virtual time.
    pub violation: Option<(Violation, u64)>,
    /// Events that happened.
    pub events: u64,
    /// Faults that met somebody.
    pub faults: u64,
    /// Virtual time that passed, in microseconds.
    pub virtual_us: u64,
    /// Operations that clients were told the end of.
    pub answered: u64,
    /// Of everything that happened.
    pub fingerprint: u64,
    /// Situations met.
    pub marks: Marks,
}

/// A cluster, its clients, its faults and its judge.
pub struct World<'a> {
    pub(super) plan: Plan,
    pub(super) now_us: u64,
    queue: BinaryHeap<Reverse<(u64, u64, u32)>>,
    slots: Vec<Option<Happening>>,
    free: Vec<u32>,
    asked: u64,
    pub(super) hosts: Vec<Host>,
    pub(super) net: Faults,
    pub(super) timing: Rng,
    pub(super) judge: Judge,
    pub(super) marks: Marks,
    pub(super) trace: Trace<'a>,
    pub(super) node_traces: Option<NodeTraces<'a>>,
    pub(super) scribe: Scribe<'a>,
    pub(super) workload: Workload,
    pub(super) glances: Glances,
    pub(super) healing: Healing,
    /// Rises when all faults end at once: what would have ended one of them later is void.
    pub(super) era: u64,
    pub(super) faults: u64,
    pub(super) leader_crashed: bool,
    outputs: Vec<Output>,
    events: u64,
    done: bool,
}

impl<'a> World<'a> {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(plan: Plan, sink: Option<Sink<'a>>) -> Self {
        let configuration = Configuration::first(plan.nodes);
        let rules = Rules::new(configuration.voters().iter().copied(), plan.base_delay_us);
        let hosts = configuration.voters().iter().map(|id| Host::new(*id, &plan)).collect();
        Self {
            now_us: 0,
            queue: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            asked: 0,
            hosts,
            net: Faults::new(plan.luck(Concern::Network).next_u64(), rules),
            timing: plan.luck(Concern::Timing),
            judge: Judge::new(configuration, plan.beyond_model).with_bounds(&plan.options),
            marks: Marks::default(),
            trace: Trace::new(sink),
            node_traces: None,
            scribe: Scribe::default(),
            workload: Workload::new(&plan),
            glances: Glances::new(&plan),
            healing: Healing::new(&plan),
            era: 0,
            faults: 0,
            leader_crashed: false,
            outputs: Vec::new(),
            events: 0,
            done: false,
            plan,
        }
    }

    /// What clients see goes to `sink`.
    #[must_use]
    pub fn with_history(mut self, sink: HistorySink<'a>) -> Self {
        self.scribe = Scribe::new(sink);
        self
    }

    /// What nodes do goes to `sink`, messages only if they are wanted.
    #[must_use]
    pub fn with_node_traces(mut self, messages: bool, sink: LineSink<'a>) -> Self {
        self.node_traces = Some(NodeTraces::new(messages, sink));
        self
    }

    /// Lets it all happen.
    #[must_use]
    pub fn run(mut self) -> Ended {
        let verdict = self.happen();
        self.hand_over();
        self.scribe.close(self.now_us);
        let violation = verdict.err().map(|violation| (*violation, self.now_us));
        if let Some((violation, _)) = &violation {
            self.trace.line(self.now_us, || violation.to_string());
        }
        Ended {
            seed: self.plan.seed,
            violation,
            events: self.events,
            faults: self.faults,
            virtual_us: self.now_us,
            answered: self.workload.answered(),
            fingerprint: self.trace.fingerprint(),
            marks: self.marks,
        }
    }

    fn happen(&mut self) -> Verdict {
        self.marks.hit_if(Mark::SingleNodeCluster, self.plan.nodes == 1);
        self.marks.hit_if(Mark::EvenCluster, self.plan.nodes.is_multiple_of(2));
        self.marks.hit_if(Mark::BeyondModel, self.plan.beyond_model);
        for host in 0..self.hosts.len() {
            let wait_us = self.timing.below(20_000);
            self.after(wait_us, Happening::Start { host, life: 0 });
        }
        for client in 0..self.plan.clients as usize {
            let wait_us = self.timing.below(300_000);
            self.after(wait_us, Happening::Act { client });
        }
        for place in 0..self.plan.faults.len() {
            let at_us = self.plan.faults[place].at_us;
            self.after(at_us, Happening::Fault { place });
        }
        self.glance_later();
        self.after(self.plan.safety_us, Happening::EndOfSafety);
        while let Some(Reverse((at_us, number, slot))) = self.queue.pop() {
            let Some(happening) = self.slots[slot as usize].take() else { continue };
            self.free.push(slot);
            self.now_us = at_us;
            self.events += 1;
            self.trace.note([at_us, number]);
            self.one(happening)?;
            self.hand_over();
            if self.done {
                break;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self) {
        if let Some(traces) = &mut self.node_traces {
            traces.hand_over();
        }
    }

    /// Ends the run well.
    pub(super) fn finish(&mut self) {
        self.done = true;
    }

    /// When the last message that is under way arrives.
    pub(super) fn last_delivery_us(&self) -> u64 {
        let delivered = |slot: u32| matches!(self.slots[slot as usize], Some(Happening::Deliver { .. }));
        self.queue
            .iter()
            .filter(|Reverse((.., slot))| delivered(*slot))
            .map(|Reverse((at_us, ..))| *at_us)
            .max()
            .unwrap_or(0)
    }

    /// Makes something happen later.
    pub(super) fn after(&mut self, wait_us: u64, happening: Happening) {
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(happening);
            slot
        } else {
            self.slots.push(Some(happening));
            self.slots.len() as u32 - 1
        };
        self.asked += 1;
        self.queue.push(Reverse((self.now_us + wait_us, self.asked, slot)));
    }

    fn one(&mut self, happening: Happening) -> Verdict {
        match happening {
            Happening::Tick { host, life } if self.hosts[host].life == life => {
                let wait_us = self.hosts[host].tick_us();
                self.after(wait_us, Happening::Tick { host, life });
                self.give(host, NodeInput::Tick)
            }
            Happening::Deliver { envelope, receiver_life } => {
                let host = envelope.to.0 as usize - 1;
                if !self.hosts[host].is_up() {
                    return Ok(());
                }
                self.marks.hit_if(Mark::MessageToNewLife, self.hosts[host].life != receiver_life);
                self.mark_arrival(host, &envelope.message);
                self.give(host, NodeInput::Receive(envelope))
            }
            Happening::Turn { host, life } if self.hosts[host].life == life => self.turn_of_batch(host),
            Happening::Synced { host, life, point, result, survives } if self.hosts[host].life == life => {
                self.synced(host, point, result, survives)
            }
            Happening::SnapshotDone { host, life, request, digest, frozen, result }
                if self.hosts[host].life == life =>
            {
                self.snapshot_done(host, request, digest, frozen, result)
            }
            Happening::Restore { host, life, meta } if self.hosts[host].life == life => self.restore(host, meta),
            Happening::Chunk { host, life, request } if self.hosts[host].life == life => self.chunk(host, request),
            Happening::Start { host, life } if self.hosts[host].life == life => self.boot(host),
            Happening::Fault { place } => self.strike(place),
            Happening::Heal { heal, era } if era == self.era => self.heal(heal),
            Happening::Act { client } => {
                self.act(client);
                Ok(())
            }
            Happening::Glance => self.glance(),
            Happening::Arrive { operation, host } => self.arrive(operation, host),
            Happening::Hear { operation, heard } => self.hear(operation, heard),
            Happening::GiveUp { operation } => self.give_up(operation),
            Happening::EndOfSafety => self.begin_healing(),
            Happening::Look => self.look(),
            Happening::Tick { .. }
            | Happening::Turn { .. }
            | Happening::Synced { .. }
            | Happening::SnapshotDone { .. }
            | Happening::Restore { .. }
            | Happening::Chunk { .. }
            | Happening::Start { .. }
            | Happening::Heal { .. } => Ok(()),
        }
    }

    /// Hands a message to the network.
    pub(super) fn send(&mut self, envelope: Envelope) {
        let (from, to, kind) = (envelope.from, envelope.to, envelope.message.kind());
        self.trace.note([from.0 << 32 | to.0, envelope.number, kind as u64]);
        match self.net.decide(from, to, kind, self.now_us) {
            Fate::Drop { why } => {
                match why {
                    DropWhy::Cut => {}
                    DropWhy::CutKind => self.marks.hit(Mark::KindCut),
                    DropWhy::Loss => self.marks.hit(Mark::MessageLost),
                }
                self.trace.line(self.now_us, || format!("{from} ⇥ {to} {}", envelope.message));
            }
            Fate::Deliver { due_us, again_us } => {
                self.trace.line(self.now_us, || &envelope);
                let receiver_life = self.hosts[to.0 as usize - 1].life;
                if let Some(again_us) = again_us {
                    self.marks.hit(Mark::MessageDuplicated);
                    let envelope = envelope.clone();
                    self.after(again_us.saturating_sub(self.now_us), Happening::Deliver { envelope, receiver_life });
                }
                self.after(due_us.saturating_sub(self.now_us), Happening::Deliver { envelope, receiver_life });
            }
        }
    }

    /// A list to collect outputs in, kept between turns.
    pub(super) fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    pub(super) fn keep_outputs(&mut self, mut outputs: Vec<Output>) {
        outputs.clear();
        self.outputs = outputs;
    }

    /// The name of a host's node.
    pub(super) fn id(host: usize) -> NodeId {
        NodeId(host as u64 + 1)
    }

    /// The running leader of the highest term.
    pub(super) fn leader(&self) -> Option<usize> {
        let leading = self.hosts.iter().enumerate().filter_map(|(place, host)| Some((host.leads()?, place)));
        leading.max().map(|(_, place)| place)
    }
}
