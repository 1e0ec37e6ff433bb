//! One node of a cluster in this process, through its lives.
//!
//! Kept true: a node has at most one life at a time; the next starts when the former has closed its store.
//! Not here: what is asked of nodes (`mod.rs`).

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::cluster::{Disks, Spec};
use crate::control::Life;
use crate::node::driver::{self, ClientRequest, Ended, Observed, Report, Stop};
use crate::node::tracer::{NodeSink, TraceSink};
use crate::node::writer::OpenStore;
use crate::raft::{Configuration, NodeId, Options};
use crate::storage::faults::{DiskRules, Failure, Kind, Survival, When};
use crate::storage::faulty::{FaultHandle, Faulty};
use crate::storage::fjall::{FjallOptions, FjallStorage, node_dir};
use crate::storage::memory::MemoryDisk;
use crate::storage::{Identity, Storage};
use crate::transport::clock::ClusterClock;
use crate::transport::mesh::Mesh;

/// What all nodes share.
pub(super) struct Common {
    pub(super) spec: Spec,
    pub(super) cluster_id: u128,
    pub(super) folder: Option<std::path::PathBuf>,
    pub(super) clock: ClusterClock,
    pub(super) mesh: Mesh,
    pub(super) observer: mpsc::Sender<Observed>,
    pub(super) dropped: Arc<AtomicU64>,
    /// Which life of which node ended, and how.
    pub(super) ends: mpsc::UnboundedSender<(NodeId, u64, Ended)>,
}

pub(super) struct Host {
    pub(super) id: NodeId,
    pub(super) life: Life,
    /// Counts lives in this run.
    pub(super) lives: u64,
    pub(super) disk_faults: FaultHandle,
    memory: MemoryDisk,
    handle: Option<driver::Handle>,
    /// The last words of a life that was asked to end.
    last_words: Option<watch::Receiver<Option<Arc<Report>>>>,
    /// What was reported last, in whatever life.
    pub(super) last_report: Option<Arc<Report>>,
    trace: Option<NodeSink>,
    /// A life was asked to end and has not closed its store yet.
    pub(super) ending: bool,
}

impl Host {
    pub(super) fn new(id: NodeId, seed: u64, trace: Option<&TraceSink>) -> Self {
        Self {
            id,
            life: Life::Starting,
            lives: 0,
            disk_faults: FaultHandle::new(seed ^ id.0),
            memory: MemoryDisk::new(),
            handle: None,
            last_words: None,
            last_report: None,
            trace: trace.map(|sink| sink.of(id)),
            ending: false,
        }
    }

    /// Whether a life is there, starting or running.
    pub(super) fn is_alive(&self) -> bool {
        self.handle.is_some()
    }

    pub(super) fn start(&mut self, common: &Common) {
        let Common { spec, clock, mesh, observer, dropped, ends, .. } = common;
        let configuration = Configuration::first(spec.nodes);
        let options = Options {
            snapshot_entries: spec.snapshot_entries,
            keep_entries: spec.keep_entries,
            ..Options::new(self.id, configuration.clone())
        };
        let identity = Identity { cluster: common.cluster_id, node: self.id, configuration };
        let (id, mesh) = (self.id, mesh.clone());
        let mut handle = driver::start(driver::Spec {
            options,
            seed: spec.seed,
            client_timeout_ticks: spec.client_timeout_ticks,
            open: self.store(common, identity),
            machine: Arc::clone(&spec.machine),
            clock: clock.clone(),
            connect: Box::new(move |epoch, _| mesh.attach(id, epoch)),
            disk_faults: self.disk_faults.clone(),
            observer: observer.clone(),
            dropped: Arc::clone(dropped),
            trace: self.trace.clone(),
        });
        self.lives += 1;
        self.life = Life::Starting;
        self.ending = false;
        let (ends, life) = (ends.clone(), self.lives);
        let ended = std::mem::replace(&mut handle.ended, tokio::spawn(async { Ended::Stopped }));
        tokio::spawn(async move {
            let ended = ended.await.unwrap_or_else(|panic| Ended::Halted {
                why: format!("the node's task failed: {panic}"),
                trouble: driver::Trouble::Violation,
            });
            let _ = ends.send((id, life, ended));
        });
        self.handle = Some(handle);
    }

    fn store(&self, common: &Common, identity: Identity) -> OpenStore {
        let faults = self.disk_faults.clone();
        match (&common.spec.disks, &common.folder) {
            (Disks::Temporary | Disks::Folder(_), Some(folder)) => {
                let dir = node_dir(folder, self.id);
                Box::new(move |sleep| {
                    let store = FjallStorage::open(&dir, &identity, FjallOptions::default())?;
                    Ok(Box::new(Faulty::new(store, faults, sleep)) as Box<dyn Storage>)
                })
            }
            (Disks::Memory | Disks::Temporary | Disks::Folder(_), _) => {
                let disk = self.memory.clone();
                Box::new(move |sleep| {
                    let store = disk.open(&identity)?;
                    Ok(Box::new(Faulty::new(store, faults, sleep)) as Box<dyn Storage>)
                })
            }
        }
    }

    pub(super) fn requests(&self) -> Option<mpsc::Sender<ClientRequest>> {
        self.handle.as_ref().map(|handle| handle.requests.clone())
    }

    pub(super) fn report(&self) -> Option<watch::Receiver<Option<Arc<Report>>>> {
        self.handle.as_ref().map(|handle| handle.report.clone())
    }

    /// Takes over what the life has reported since.
    pub(super) fn look(&mut self) {
        if let Some(handle) = &self.handle
            && let Some(report) = handle.report.borrow().as_ref()
        {
            self.last_report = Some(Arc::clone(report));
            if self.life == Life::Starting {
                self.life = Life::Running;
            }
        }
    }

    /// Asks the life to end; it has when its end is told.
    pub(super) fn stop(&mut self, how: Stop) {
        self.look();
        if let Some(mut handle) = self.handle.take() {
            handle.stop(how);
            self.last_words = Some(handle.report);
            self.ending = true;
            // A memory disk forgets what was not synced, as a real one may.
            if how == Stop::Crash {
                self.memory.crash(|_| Survival::Lost);
            }
        }
    }

    pub(super) fn ended(&mut self) {
        self.look();
        if let Some(report) = self.last_words.take().and_then(|report| report.borrow().clone()) {
            self.last_report = Some(report);
        }
        self.handle = None;
        self.ending = false;
    }

    /// How a slow disk is told, in real time.
    pub(super) fn set_disk_delay(&self, delay: Duration) {
        // A group is a write and a sync; each takes half.
        let latency_us = (delay.as_micros() / 2) as u64;
        self.disk_faults.set_rules(DiskRules { latency_us, ..Default::default() });
    }

    /// The next write fails.
    pub(super) fn fail_next_write(&self) {
        let failure = Failure { kind: Kind::Write, when: When::Nth(1) };
        self.disk_faults.set_rules(DiskRules { failures: vec![failure], ..self.disk_faults.rules() });
    }
}
