//! What a node keeps of one peer: the queue to it, which connections count, what was counted.
//!
//! Kept true: the queue is bounded in messages and bytes, and what does not fit is dropped; a connection that was
//! replaced delivers nothing more.
//! Not here: dialling (`lane.rs`), letting in (`door.rs`).

use std::collections::VecDeque;
use std::mem::Discriminant;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::handshake::{Hello, Refusal};
use super::meeting::{Meeting, Verdict};
use super::{Dropped, PeerView};
use crate::raft::{Envelope, NodeId};

/// Messages that may wait for a peer.
pub const QUEUE_MESSAGES_MAX: usize = 4_096;
/// Bytes of them, roughly.
pub const QUEUE_BYTES_MAX: u64 = 32 << 20;
/// Messages that have waited longer for a connection are not worth sending: Raft has sent others since.
const STALE: Duration = Duration::from_secs(2);
/// A refusal at the door is told for as long as it takes to try thrice.
const TOLD_FOR: Duration = Duration::from_secs(100);

/// So many refusals at the door are told of one peer: whoever comes can make them up.
const TOLD_MAX: usize = 4;

/// A lock under which nothing panics half-way through a change that others could misread.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Instant, Envelope)>,
    bytes: u64,
}

/// Messages that did not arrive.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) by_rule: AtomicU64,
    pub(super) by_queue: AtomicU64,
    pub(super) by_age: AtomicU64,
    pub(super) by_inbox: AtomicU64,
    pub(super) unfit: AtomicU64,
    pub(super) forged: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) bytes_in: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

/// Why connections with a peer do not come about.
#[derive(Debug, Default)]
struct Trouble {
    /// The last attempt to dial it.
    dialled: Option<(String, bool)>,
    /// It was turned away at the door, or turned away itself: the last time of each sort, oldest first.
    came: VecDeque<(Sort, String, Instant)>,
}

/// From where somebody came, whether we refused, and why: what is the same again takes its place.
pub(super) type Sort = (IpAddr, bool, Discriminant<Refusal>);

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) id: NodeId,
    pub(super) address: String,
    pub(super) counts: Counts,
    /// Something has been put into the queue.
    pub(super) news: Notify,
    /// The peer has shown up: dial it now.
    pub(super) wake: Notify,
    /// Counts the peer's lives: what was connected with an earlier one hangs up.
    pub(super) lives: watch::Sender<u64>,
    /// Numbers the peer's connections to us: only the last counts.
    pub(super) incoming: watch::Sender<u64>,
    connected: AtomicUsize,
    heard: AtomicU64,
    round_trip_us: AtomicU64,
    queue: Mutex<Queue>,
    meeting: Mutex<Meeting>,
    trouble: Mutex<Trouble>,
    control: Mutex<Option<String>>,
}

impl Peer {
    pub(super) fn new(id: NodeId, address: String, control: Option<String>) -> Self {
        Self {
            id,
            address,
            counts: Counts::default(),
            news: Notify::new(),
            wake: Notify::new(),
            lives: watch::Sender::new(0),
            incoming: watch::Sender::new(0),
            connected: AtomicUsize::new(0),
            heard: AtomicU64::new(0),
            round_trip_us: AtomicU64::new(0),
            queue: Mutex::default(),
            meeting: Mutex::default(),
            trouble: Mutex::default(),
            control: Mutex::new(control),
        }
    }

    /// Puts a message at the end of the queue, or drops it.
    pub(super) fn push(&self, envelope: Envelope) {
        let cost = envelope.message.cost_bytes();
        let mut queue = lock(&self.queue);
        if queue.waiting.len() >= QUEUE_MESSAGES_MAX || queue.bytes + cost > QUEUE_BYTES_MAX {
            count(&self.counts.by_queue, 1);
            return;
        }
        queue.bytes += cost;
        queue.waiting.push_back((Instant::now(), envelope));
        drop(queue);
        self.news.notify_one();
    }

    /// Takes what is first, at least one message and at most about so many bytes.
    pub(super) fn take(&self, bytes_max: u64) -> Vec<Envelope> {
        let mut queue = lock(&self.queue);
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while bytes < bytes_max
            && let Some((_, envelope)) = queue.waiting.pop_front()
        {
            bytes += envelope.message.cost_bytes();
            batch.push(envelope);
        }
        queue.bytes -= bytes;
        batch
    }

    /// Drops what has waited too long.
    pub(super) fn drop_stale(&self) {
        let mut queue = lock(&self.queue);
        let now = Instant::now();
        let mut dropped = 0;
        while let Some((since, envelope)) = queue.waiting.front()
            && now.duration_since(*since) > STALE
        {
            let cost = envelope.message.cost_bytes();
            queue.bytes -= cost;
            queue.waiting.pop_front();
            dropped += 1;
        }
        count(&self.counts.by_age, dropped);
    }

    /// Drops all that waits: the life that sent it is over.
    pub(super) fn clear(&self) {
        *lock(&self.queue) = Queue::default();
    }

    /// The peer has come and proved to be there: whether it is to be spoken with. What is connected with an earlier life
    /// hangs up.
    pub(super) fn meet(&self, hello: &Hello) -> Result<(), Refusal> {
        self.meet_locked(&mut lock(&self.meeting), hello)
    }

    fn meet_locked(&self, meeting: &mut Meeting, hello: &Hello) -> Result<(), Refusal> {
        let verdict = meeting.meet(hello);
        match verdict {
            Verdict::Known => Ok(()),
            Verdict::Refused(refusal) => Err(refusal),
            Verdict::New | Verdict::Doubled => {
                self.lives.send_modify(|lives| *lives += 1);
                self.incoming.send_modify(|number| *number += 1);
                if verdict == Verdict::New { Ok(()) } else { Err(Refusal::SecondProcess) }
            }
        }
    }

    /// Where its consoles connect, as it says and as we can reach it.
    pub(super) fn set_control(&self, control: String) {
        *lock(&self.control) = Some(control);
    }

    /// A connection to us becomes the one that counts; its number.
    pub(super) fn comes_in(&self, hello: &Hello) -> Result<u64, Refusal> {
        let mut meeting = lock(&self.meeting);
        self.meet_locked(&mut meeting, hello)?;
        self.incoming.send_modify(|number| *number += 1);
        let number = *self.incoming.borrow();
        self.heard.store(number, Relaxed);
        drop(meeting);
        lock(&self.trouble).came.clear();
        if self.connected.load(Relaxed) == 0 {
            self.wake.notify_one();
        }
        Ok(number)
    }

    pub(super) fn goes_out(&self, number: u64) {
        // Not when a later one has come.
        let _ = self.heard.compare_exchange(number, 0, Relaxed, Relaxed);
    }

    pub(super) fn connected(&self) -> Connected<'_> {
        self.connected.fetch_add(1, Relaxed);
        lock(&self.trouble).dialled = None;
        Connected(self)
    }

    /// A connection could not be made; `identity`: because of who somebody is, or can show to be.
    pub(super) fn not_connected(&self, why: String, identity: bool) {
        lock(&self.trouble).dialled = Some((why, identity));
    }

    /// The peer, or somebody in its name, did not come in.
    pub(super) fn turned_away(&self, sort: Sort, why: String) {
        let came = &mut lock(&self.trouble).came;
        came.retain(|(former, ..)| *former != sort);
        came.push_back((sort, why, Instant::now()));
        let too_many = came.len().saturating_sub(TOLD_MAX);
        came.drain(..too_many);
    }

    pub(super) fn answered(&self, took: Duration) {
        self.round_trip_us.store(u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1), Relaxed);
    }

    /// What is wrong with it, for as long as it holds.
    pub(super) fn alarms(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        if lock(&self.meeting).is_doubled() {
            alarms.push(Refusal::SecondProcess.of_peer(self.id, &self.address));
        }
        let trouble = lock(&self.trouble);
        if let Some((why, true)) = &trouble.dialled {
            alarms.push(why.clone());
        }
        let told = trouble.came.iter().filter(|(.., at)| at.elapsed() < TOLD_FOR);
        alarms.extend(told.map(|(_, why, _)| why.clone()));
        alarms
    }

    pub(super) fn view(&self) -> PeerView {
        let queued = lock(&self.queue).waiting.len();
        let refusal = lock(&self.trouble).dialled.as_ref().map(|(why, _)| why.clone());
        let took = self.round_trip_us.load(Relaxed);
        let connected = self.connected.load(Relaxed) > 0;
        let counts = &self.counts;
        PeerView {
            id: self.id,
            address: self.address.clone(),
            control: lock(&self.control).clone(),
            connected,
            heard: self.heard.load(Relaxed) > 0,
            refusal,
            round_trip_us: (connected && took > 0).then_some(took),
            bytes_out: counts.bytes_out.load(Relaxed),
            bytes_in: counts.bytes_in.load(Relaxed),
            queued,
            dropped: Dropped {
                by_rule: counts.by_rule.load(Relaxed),
                by_queue: counts.by_queue.load(Relaxed),
                by_age: counts.by_age.load(Relaxed),
                by_inbox: counts.by_inbox.load(Relaxed),
                unfit: counts.unfit.load(Relaxed),
                forged: counts.forged.load(Relaxed),
            },
        }
    }
}

/// Our connection is open as long as this is held.
pub(super) struct Connected<'a>(&'a Peer);

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.0.connected.fetch_sub(1, Relaxed);
    }
}
