//! A bad disk in front of a store.
//!
//! [`Faulty`] asks `faults.rs` what becomes of each request, waits as long as it says by a clock that is handed in, and
//! fails as it says. What fails is not tried again: the store behind sees nothing of a request that left nothing
//! behind.
//!
//! Kept true: without rules it changes nothing.
//! Not here: the rules (`faults.rs`).

use std::io::Read;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::faults::{DiskFaults, DiskRules, Request, Survival, Verdict};
use super::{Loaded, Snapshots, Storage, StorageError};
use crate::machine::Frozen;
use crate::raft::{Digest, LogPosition, Persist, SnapshotMeta};

/// How often a stalled request looks whether the rules changed.
const STALL_POLL: Duration = Duration::from_millis(5);

/// Waits; called from the thread that asks the disk.
pub type Sleep = Arc<dyn Fn(Duration) + Send + Sync>;

#[derive(Debug)]
struct Shared {
    faults: DiskFaults,
    abandoned: bool,
}

/// The rules of a bad disk, from any thread; clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultHandle {
    shared: Arc<Mutex<Shared>>,
}

impl FaultHandle {
    /// A good disk, so far, with this luck.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { faults: DiskFaults::new(seed), abandoned: false })) }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the rules.
    pub fn set_rules(&self, rules: DiskRules) {
        self.lock().faults.set_rules(rules);
    }

    /// The rules in force.
    #[must_use]
    pub fn rules(&self) -> DiskRules {
        self.lock().faults.rules().clone()
    }

    /// Back to a good disk; what is stalled goes on.
    pub fn heal(&self) {
        self.lock().faults.heal();
    }

    /// Gives up what is stalled, with an error: its node is gone and its thread shall end. [`Self::revive`] undoes it.
    pub fn abandon(&self) {
        self.lock().abandoned = true;
    }

    /// A new life of the node begins on the same disk, under the same rules.
    pub fn revive(&self) {
        self.lock().abandoned = false;
    }

    /// Waits as the rules say; gives what survives, or why it fails and what survives then.
    fn ask(&self, request: Request, sleep: &Sleep) -> Result<(), (StorageError, Survival)> {
        let mut fate = self.lock().faults.decide(request);
        while fate.delay_us.is_none() {
            sleep(STALL_POLL);
            let mut shared = self.lock();
            if shared.abandoned {
                let why = format!("{request:?} was given up while the disk was stalled");
                return Err((StorageError::Injected(why), Survival::Lost));
            }
            if !shared.faults.is_stalled() {
                fate = shared.faults.decide(request);
            }
        }
        if let Some(us) = fate.delay_us.filter(|us| *us > 0) {
            sleep(Duration::from_micros(us));
        }
        match fate.result {
            Verdict::Done => Ok(()),
            Verdict::Failed => Err((StorageError::Injected(format!("{request:?} failed")), fate.survives)),
            Verdict::NoSpace => Err((StorageError::Injected(format!("no space left for {request:?}")), fate.survives)),
        }
    }
}

/// A store with a bad disk in front.
pub struct Faulty<S> {
    inner: S,
    faults: FaultHandle,
    sleep: Sleep,
    failed: Option<String>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for Faulty<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty").field("inner", &self.inner).field("faults", &self.faults).finish_non_exhaustive()
    }
}

impl<S: Storage> Faulty<S> {
    /// Puts `faults` in front of `inner`; `sleep` is how time passes.
    pub fn new(inner: S, faults: FaultHandle, sleep: Sleep) -> Self {
        Self { inner, faults, sleep, failed: None }
    }

    /// The store behind.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn usable(&self) -> Result<(), StorageError> {
        match &self.failed {
            Some(why) => Err(StorageError::Poisoned(why.clone())),
            None => Ok(()),
        }
    }

    fn note<T>(&mut self, done: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &done {
            self.failed = Some(error.to_string());
        }
        done
    }

    fn persist_with_faults(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        let asked = self
            .faults
            .ask(Request::Write { bytes: bytes_of(writes) }, &self.sleep)
            .and_then(|()| self.faults.ask(Request::Sync, &self.sleep));
        match asked {
            Ok(()) => self.inner.persist(writes),
            Err((error, survives)) => {
                if survives == Survival::Kept {
                    self.inner.persist(writes)?;
                }
                Err(error)
            }
        }
    }
}

/// What a group of writes costs on a disk, in bytes.
#[must_use]
pub fn bytes_of(writes: &[Persist]) -> u64 {
    let of_write = |write: &Persist| {
        let body = write.snapshot.as_ref().and_then(|snapshot| snapshot.body.as_ref()).map_or(0, Bytes::len) as u64;
        64 + body + write.entries.iter().map(crate::raft::Entry::cost_bytes).sum::<u64>()
    };
    writes.iter().map(of_write).sum()
}

impl<S: Storage> Storage for Faulty<S> {
    fn load(&mut self) -> Result<Loaded, StorageError> {
        self.usable()?;
        let loaded =
            self.faults.ask(Request::Read, &self.sleep).map_err(|(error, _)| error).and_then(|()| self.inner.load());
        self.note(loaded)
    }

    fn persist(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        self.usable()?;
        let persisted = self.persist_with_faults(writes);
        self.note(persisted)
    }

    fn end_quarantine(&mut self) -> Result<(), StorageError> {
        self.usable()?;
        let ended =
            self.faults.ask(Request::Sync, &self.sleep).map_err(|(e, _)| e).and_then(|()| self.inner.end_quarantine());
        self.note(ended)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::new(FaultySnapshots {
            inner: self.inner.snapshots(),
            faults: self.faults.clone(),
            sleep: Arc::clone(&self.sleep),
        })
    }
}

struct FaultySnapshots {
    inner: Arc<dyn Snapshots>,
    faults: FaultHandle,
    sleep: Sleep,
}

impl FaultySnapshots {
    fn ask(&self, request: Request) -> Result<(), StorageError> {
        self.faults.ask(request, &self.sleep).map_err(|(error, _)| error)
    }
}

impl Snapshots for FaultySnapshots {
    fn write(&self, last: LogPosition, body: Frozen) -> Result<(u64, Digest), StorageError> {
        // How large it is shows only when it has been written; a file that no pointer names counts for nothing.
        let written = self.inner.write(last, body)?;
        self.ask(Request::SnapshotWrite { bytes: written.0 })?;
        Ok(written)
    }

    fn read(&self, meta: &SnapshotMeta, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        self.ask(Request::Read)?;
        self.inner.read(meta, offset, length)
    }

    fn open(&self, meta: &SnapshotMeta) -> Result<Box<dyn Read + Send>, StorageError> {
        self.ask(Request::Read)?;
        self.inner.open(meta)
    }
}
