//! The network of a cluster that lives in one process.
//!
//! Each attached node has a queue out and a queue in. What comes out of the one is judged by [`Faults`] and put into the
//! other: at once when it is due and the clock runs, else when cluster time reaches it. While the clock stands still
//! everything under way stands still with it.
//!
//! Kept true: nobody waits for a slow receiver; what does not fit into its queue is dropped and counted. What was under
//! way to a node that was detached is gone, also when the node is attached again.
//! Not here: what faults mean (`faults.rs`), who is attached when (`cluster/local.rs`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

use super::Link;
use super::clock::ClusterClock;
use super::faults::{Fate, Faults, Rules};
use super::held::{self, Held};
use crate::raft::{Envelope, Epoch, MessageKind, NodeId};

/// How many messages fit into each queue of a node, and how many may be under way on one link.
pub const QUEUE_CAPACITY: usize = 4_096;

/// Messages taken out of a sender's queue under one lock.
const BATCH: usize = 64;

/// What became of the messages of one kind on one directed link since the mesh was made. What is in none of the last
/// four is under way; a duplicate counts as delivered once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken from the sender.
    pub sent: u64,
    /// Put into the receiver's queue.
    pub delivered: u64,
    /// Cut or lost by a rule.
    pub dropped_by_rule: u64,
    /// The receiver's queue, or the link, was full.
    pub dropped_by_queue: u64,
    /// The receiver was not there, or died while it was under way.
    pub dropped_by_death: u64,
}

/// Counters of one directed link, by kind in the order of [`MessageKind::ALL`].
#[derive(Clone, Copy, Debug, Default)]
struct LinkCounts {
    kinds: [Counts; MessageKind::ALL.len()],
    /// Dropped by a rule since they were asked for.
    news: [u64; MessageKind::ALL.len()],
    under_way: usize,
}

impl LinkCounts {
    fn of(&mut self, kind: MessageKind) -> &mut Counts {
        &mut self.kinds[kind as usize]
    }
}

/// An attached node.
#[derive(Debug)]
struct Port {
    epoch: Epoch,
    generation: u64,
    inbox: mpsc::Sender<Envelope>,
    forwarder: AbortHandle,
}

#[derive(Debug)]
struct UnderWay {
    /// Of the receiver when it was sent.
    generation: u64,
    envelope: Envelope,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    ports: BTreeMap<NodeId, Port>,
    generations: u64,
    under_way: Held<UnderWay>,
    counts: BTreeMap<(NodeId, NodeId), LinkCounts>,
}

impl State {
    fn counts(&mut self, from: NodeId, to: NodeId) -> &mut LinkCounts {
        self.counts.entry((from, to)).or_default()
    }

    /// Decides one message's fate; `now_us` and `stopped` are the clock's.
    fn send(&mut self, envelope: Envelope, now_us: u64, stopped: bool, capacity: usize) {
        let (from, to, kind) = (envelope.from, envelope.to, envelope.message.kind());
        self.counts(from, to).of(kind).sent += 1;
        match self.faults.decide(from, to, kind, now_us) {
            Fate::Drop { .. } => {
                let counts = self.counts(from, to);
                counts.of(kind).dropped_by_rule += 1;
                counts.news[kind as usize] += 1;
            }
            Fate::Deliver { due_us, again_us } => {
                let Some(generation) = self.ports.get(&to).map(|port| port.generation) else {
                    self.counts(from, to).of(kind).dropped_by_death += 1;
                    return;
                };
                let again = again_us.map(|due_us| (due_us, envelope.clone()));
                for (due_us, envelope) in [(due_us, envelope)].into_iter().chain(again) {
                    if due_us <= now_us && !stopped {
                        self.deliver(generation, envelope);
                    } else {
                        self.hold(due_us, UnderWay { generation, envelope }, capacity);
                    }
                }
            }
        }
    }

    fn hold(&mut self, due_us: u64, under_way: UnderWay, capacity: usize) {
        let (from, to, kind) = (under_way.envelope.from, under_way.envelope.to, under_way.envelope.message.kind());
        let counts = self.counts(from, to);
        if counts.under_way >= capacity {
            counts.of(kind).dropped_by_queue += 1;
            return;
        }
        counts.under_way += 1;
        self.under_way.hold(due_us, under_way);
    }

    fn deliver(&mut self, generation: u64, envelope: Envelope) {
        let (from, to, kind) = (envelope.from, envelope.to, envelope.message.kind());
        let sent = match self.ports.get(&to).filter(|port| port.generation == generation) {
            Some(port) => port.inbox.try_send(envelope),
            None => Err(mpsc::error::TrySendError::Closed(envelope)),
        };
        let counts = self.counts(from, to).of(kind);
        match sent {
            Ok(()) => counts.delivered += 1,
            Err(mpsc::error::TrySendError::Full(_)) => counts.dropped_by_queue += 1,
            Err(mpsc::error::TrySendError::Closed(_)) => counts.dropped_by_death += 1,
        }
    }

    /// Delivers all that is due, in order.
    fn pump(&mut self, now_us: u64) {
        while let Some(UnderWay { generation, envelope }) = self.under_way.take_due(now_us) {
            self.counts(envelope.from, envelope.to).under_way -= 1;
            self.deliver(generation, envelope);
        }
    }
}

#[derive(Debug)]
struct Shared {
    clock: ClusterClock,
    capacity: usize,
    state: Mutex<State>,
    /// Something is due earlier than the courier knows.
    earlier: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock panics half-way through a change that others could misread.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send_all(&self, batch: &mut Vec<Envelope>) {
        let mut state = self.lock();
        let (now_us, stopped) = self.clock.read();
        let first_before = state.under_way.first();
        if !stopped {
            // What is due goes before what is sent now, or a link would lose its order to a late courier.
            state.pump(now_us);
        }
        for envelope in batch.drain(..) {
            state.send(envelope, now_us, stopped, self.capacity);
        }
        let first = state.under_way.first();
        if first.is_some() && first != first_before {
            self.earlier.notify_one();
        }
    }

    /// Delivers in cluster time, for ever.
    async fn carry(&self) {
        held::carry(&self.clock, &self.earlier, || self.lock().under_way.first(), |now_us| self.lock().pump(now_us))
            .await;
    }
}

/// Ends the mesh's tasks with the last hand on it.
#[derive(Debug)]
struct Courier {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.task.abort();
        for port in self.shared.lock().ports.values() {
            port.forwarder.abort();
        }
    }
}

/// A hand on the network; clones are hands on the same. It ends with the last of them.
#[derive(Clone, Debug)]
pub struct Mesh {
    courier: Arc<Courier>,
}

impl Mesh {
    /// A network without nodes, under these rules, with the luck of `seed`; queues hold `capacity` messages (usually
    /// [`QUEUE_CAPACITY`]). Must be called within a tokio runtime.
    #[must_use]
    pub fn new(clock: ClusterClock, seed: u64, rules: Rules, capacity: usize) -> Self {
        let state = State {
            faults: Faults::new(seed, rules),
            ports: BTreeMap::new(),
            generations: 0,
            under_way: Held::default(),
            counts: BTreeMap::new(),
        };
        let shared = Arc::new(Shared { clock, capacity, state: Mutex::new(state), earlier: Notify::new() });
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.carry().await }
        });
        Self { courier: Arc::new(Courier { shared, task: task.abort_handle() }) }
    }

    /// Gives `node`, in its life `epoch`, a place in the network. A former place of it is taken away first.
    pub fn attach(&self, node: NodeId, epoch: Epoch) -> Link {
        let shared = &self.courier.shared;
        let (outgoing, mut taken) = mpsc::channel(shared.capacity);
        let (inbox, incoming) = mpsc::channel(shared.capacity);
        let forwarder = tokio::spawn({
            let shared = Arc::clone(shared);
            async move {
                let mut batch = Vec::with_capacity(BATCH);
                while taken.recv_many(&mut batch, BATCH).await > 0 {
                    shared.send_all(&mut batch);
                }
            }
        });
        let mut state = shared.lock();
        state.generations += 1;
        let generation = state.generations;
        let port = Port { epoch, generation, inbox, forwarder: forwarder.abort_handle() };
        if let Some(former) = state.ports.insert(node, port) {
            former.forwarder.abort();
        }
        Link { outgoing, incoming }
    }

    /// Takes the place of `node` away: what it has not handed over yet and what is under way to it is lost.
    pub fn detach(&self, node: NodeId) {
        if let Some(port) = self.courier.shared.lock().ports.remove(&node) {
            port.forwarder.abort();
        }
    }

    /// Who has a place, and in which life.
    #[must_use]
    pub fn attached(&self) -> Vec<(NodeId, Epoch)> {
        self.courier.shared.lock().ports.iter().map(|(node, port)| (*node, port.epoch)).collect()
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> Rules {
        self.courier.shared.lock().faults.rules().clone()
    }

    /// Replaces the rules, for messages sent from now on.
    pub fn set_rules(&self, rules: Rules) {
        self.courier.shared.lock().faults.set_rules(rules);
    }

    /// How many messages are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.courier.shared.lock().under_way.len()
    }

    /// What became of the messages of `kind` from `from` to `to`.
    #[must_use]
    pub fn counts(&self, from: NodeId, to: NodeId, kind: MessageKind) -> Counts {
        let state = self.courier.shared.lock();
        state.counts.get(&(from, to)).map(|counts| counts.kinds[kind as usize]).unwrap_or_default()
    }

    /// What became of all messages on each link that has carried any, by sender and receiver.
    #[must_use]
    pub fn totals(&self) -> Vec<(NodeId, NodeId, Counts)> {
        let state = self.courier.shared.lock();
        let total = |link: &LinkCounts| {
            link.kinds.iter().fold(Counts::default(), |sum, kind| Counts {
                sent: sum.sent + kind.sent,
                delivered: sum.delivered + kind.delivered,
                dropped_by_rule: sum.dropped_by_rule + kind.dropped_by_rule,
                dropped_by_queue: sum.dropped_by_queue + kind.dropped_by_queue,
                dropped_by_death: sum.dropped_by_death + kind.dropped_by_death,
            })
        };
        state.counts.iter().map(|((from, to), link)| (*from, *to, total(link))).collect()
    }

    /// Messages dropped by a rule since this was asked last, by sender, receiver and kind.
    pub fn take_drops(&self) -> Vec<(NodeId, NodeId, MessageKind, u64)> {
        let mut drops = Vec::new();
        for ((from, to), counts) in &mut self.courier.shared.lock().counts {
            for kind in MessageKind::ALL {
                let count = std::mem::take(&mut counts.news[kind as usize]);
                if count > 0 {
                    drops.push((*from, *to, kind, count));
                }
            }
        }
        drops
    }
}
