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
use crate::storage::{Loaded, Snapshots, Storage, StorageError};

/// Opens a store; runs on the writer thread.
pub type OpenStore = Box<dyn FnOnce() -> Result<Box<dyn Storage>, StorageError> + Send>;

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

/// Faults that an operator has put in front of a disk.
#[derive(Debug, Default)]
pub struct DiskFaults {
    delay_us: std::sync::atomic::AtomicU64,
    fail_next: AtomicBool,
}

impl DiskFaults {
    /// Each group takes longer by so much real time; zero ends it.
    pub fn set_delay_us(&self, delay_us: u64) {
        self.delay_us.store(delay_us, Ordering::Relaxed);
    }

    /// Real time that each group takes longer, in microseconds.
    #[must_use]
    pub fn delay_us(&self) -> u64 {
        self.delay_us.load(Ordering::Relaxed)
    }

    /// The next group fails.
    pub fn fail_next(&self) {
        self.fail_next.store(true, Ordering::Relaxed);
    }
}

/// A writer thread in one life of its node. Dropping it is a crash: what is queued is discarded.
pub struct Writer {
    queue: Option<mpsc::Sender<Persist>>,
    dead: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; the first answer is `Opened` or `Failed`.
    pub fn start(
        name: String,
        open: OpenStore,
        faults: Arc<DiskFaults>,
        answers: UnboundedSender<DiskAnswer>,
    ) -> std::io::Result<Self> {
        let (queue, writes) = mpsc::channel();
        let dead = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name(name).spawn({
            let dead = Arc::clone(&dead);
            move || run(open, &writes, &faults, &dead, &answers)
        })?;
        Ok(Self { queue: Some(queue), dead, thread: Some(thread) })
    }

    /// Queues a write.
    pub fn persist(&self, persist: Persist) {
        if let Some(queue) = &self.queue {
            // A thread that has ended has said why; nobody waits for an answer any more.
            let _ = queue.send(persist);
        }
    }

    /// Discards what is queued and gives the thread to be waited for.
    #[must_use]
    pub fn crash(mut self) -> Option<JoinHandle<()>> {
        self.dead.store(true, Ordering::Relaxed);
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

impl Drop for Writer {
    fn drop(&mut self) {
        if self.queue.is_some() {
            self.dead.store(true, Ordering::Relaxed);
        }
    }
}

fn run(
    open: OpenStore,
    writes: &mpsc::Receiver<Persist>,
    faults: &DiskFaults,
    dead: &AtomicBool,
    answers: &UnboundedSender<DiskAnswer>,
) {
    let opened = open().and_then(|mut storage| {
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
    while let Ok(first) = writes.recv() {
        let mut group = vec![first];
        group.extend(writes.try_iter());
        let started = Instant::now();
        if !wait(faults, dead) {
            return;
        }
        let result = if faults.fail_next.swap(false, Ordering::Relaxed) {
            Err(StorageError::Injected("the operator made this write fail".into()))
        } else {
            storage.persist(&group)
        };
        if dead.load(Ordering::Relaxed) {
            return;
        }
        match result {
            Ok(()) => {
                let took_us = started.elapsed().as_micros() as u64;
                let point = group[group.len() - 1].point;
                let _ = answers.send(DiskAnswer::Persisted { point, took_us });
            }
            Err(error) => {
                let _ = answers.send(DiskAnswer::Failed(error));
                return;
            }
        }
    }
}

/// Waits as long as the slow disk asks for, in small steps, so that taking the fault away or a crash ends it. False:
/// the node has died meanwhile.
fn wait(faults: &DiskFaults, dead: &AtomicBool) -> bool {
    let started = Instant::now();
    loop {
        if dead.load(Ordering::Relaxed) {
            return false;
        }
        let wanted = Duration::from_micros(faults.delay_us());
        let Some(left) = wanted.checked_sub(started.elapsed()).filter(|left| !left.is_zero()) else { return true };
        std::thread::sleep(left.min(Duration::from_millis(5)));
    }
}
