//! The writer thread of a node: group commit (thesis §10.2.1).
//!
//! It opens the store, then takes everything that is queued, writes it as one group with one sync, and answers with the
//! last sync point. Under load the groups grow by themselves. Any error ends it: the node halts.
//!
//! Kept true: the store is touched by this thread only; when it ends, the store is closed and its lock is free.
//! Not here: what a write is (`raft/`), how it is stored (`storage/`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use crate::raft::{Persist, SyncPoint};
use crate::storage::faulty::{FaultHandle, Sleep};
use crate::storage::{Loaded, Snapshots, Storage, StorageError};

/// Opens a store; runs on the writer thread, which hands in how to wait (for faults in front of the disk).
pub type OpenStore = Box<dyn FnOnce(Sleep) -> Result<Box<dyn Storage>, StorageError> + Send>;

/// What the writer thread says.
pub enum DiskAnswer {
    /// The store is open.
    Opened(Box<Loaded>, Arc<dyn Snapshots>),
    /// A group of writes is durable.
    Persisted {
        /// The last of the group.
        point: SyncPoint,
        /// Real time the group took, in microseconds.
        took_us: u64,
    },
    /// The store is not used any more.
    Failed(StorageError),
}

/// What the thread is asked for.
enum Job {
    Persist(Box<Persist>),
    /// The log is whole again.
    EndQuarantine,
}

/// A writer thread in one life of its node. Dropping it is a crash: what is queued is discarded.
pub struct Writer {
    queue: Option<mpsc::Sender<Job>>,
    dead: Arc<AtomicBool>,
    faults: FaultHandle,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; the first answer is `Opened` or `Failed`.
    pub fn start(
        name: String,
        open: OpenStore,
        faults: FaultHandle,
        answers: UnboundedSender<DiskAnswer>,
    ) -> std::io::Result<Self> {
        faults.revive();
        let (queue, jobs) = mpsc::channel();
        let dead = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name(name).spawn({
            let dead = Arc::clone(&dead);
            move || run(open, &jobs, &dead, &answers)
        })?;
        Ok(Self { queue: Some(queue), dead, faults, thread: Some(thread) })
    }

    /// Queues a write.
    pub fn persist(&self, persist: Persist) {
        self.send(Job::Persist(Box::new(persist)));
    }

    /// Lets the store know that its log is whole again, behind what is queued.
    pub fn end_quarantine(&self) {
        self.send(Job::EndQuarantine);
    }

    fn send(&self, job: Job) {
        if let Some(queue) = &self.queue {
            // A thread that has ended has said why; nobody waits for an answer any more.
            let _ = queue.send(job);
        }
    }

    /// Discards what is queued and gives the thread to be waited for.
    #[must_use]
    pub fn crash(mut self) -> Option<JoinHandle<()>> {
        self.die();
        self.queue = None;
        self.thread.take()
    }

    /// Lets the thread write what is queued and gives it to be waited for.
    #[must_use]
    pub fn finish(mut self) -> Option<JoinHandle<()>> {
        self.queue = None;
        self.thread.take()
    }
}

impl Writer {
    fn die(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.faults.abandon();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.queue.is_some() {
            self.die();
        }
    }
}

fn run(open: OpenStore, jobs: &mpsc::Receiver<Job>, dead: &Arc<AtomicBool>, answers: &UnboundedSender<DiskAnswer>) {
    let opened = open(sleep_while_alive(Arc::clone(dead))).and_then(|mut storage| {
        let loaded = storage.load()?;
        Ok((storage, loaded))
    });
    let mut storage = match opened {
        Ok((storage, loaded)) => {
            let snapshots = storage.snapshots();
            let _ = answers.send(DiskAnswer::Opened(Box::new(loaded), snapshots));
            storage
        }
        Err(error) => {
            let _ = answers.send(DiskAnswer::Failed(error));
            return;
        }
    };
    while let Ok(first) = jobs.recv() {
        let mut group = Vec::new();
        let mut whole_again = false;
        for job in std::iter::once(first).chain(jobs.try_iter()) {
            match job {
                Job::Persist(persist) => group.push(*persist),
                Job::EndQuarantine => whole_again = true,
            }
        }
        let started = Instant::now();
        let mut result = if group.is_empty() { Ok(()) } else { storage.persist(&group) };
        // It may come late, but never before the writes that made the log whole.
        if whole_again && result.is_ok() {
            result = storage.end_quarantine();
        }
        if dead.load(Ordering::Relaxed) {
            return;
        }
        match (result, group.last()) {
            (Ok(()), Some(last)) => {
                let took_us = started.elapsed().as_micros() as u64;
                let _ = answers.send(DiskAnswer::Persisted { point: last.point, took_us });
            }
            (Ok(()), None) => {}
            (Err(error), _) => {
                let _ = answers.send(DiskAnswer::Failed(error));
                return;
            }
        }
    }
}

/// Sleeps in small steps, so that the end of the node's life ends the waiting too.
fn sleep_while_alive(dead: Arc<AtomicBool>) -> Sleep {
    Arc::new(move |wanted: Duration| {
        let started = Instant::now();
        while !dead.load(Ordering::Relaxed) {
            let Some(left) = wanted.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else { return };
            std::thread::sleep(left.min(Duration::from_millis(5)));
        }
    })
}
