//! Ways to hold a cluster: each returns the same [`Session`].
//!
//! Kept true: whoever holds a session cannot tell, but for its capabilities, how the cluster is held.
//! Not here: what an operator sees of it (`tui/`, `cli/`).

mod clients;
pub mod folder;
pub mod host;
pub mod local;
mod members;
pub mod process;
pub mod remote;
mod waits;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::control::{Answer, Capabilities, ClusterView, Observation, Operation, OperationId, Pace, Request};
use crate::machine::StateMachine;
use crate::machine::kv::KvStore;
use crate::node::driver::{MachineFactory, Trouble};
use crate::node::tracer::TraceSink;

/// A hand on a cluster.
pub struct Session {
    /// What is asked of it.
    pub operations: mpsc::Sender<Request>,
    /// What happens, and the answers.
    pub observations: mpsc::Receiver<Observation>,
    /// What it is.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// What can be done with it.
    pub capabilities: Capabilities,
}

impl Session {
    /// Asks and waits for the answer; what happens meanwhile is passed over. `None`: the cluster has ended.
    ///
    /// For programs that do one thing at a time; a console reads `observations` itself.
    pub async fn ask(&mut self, operation: Operation) -> Option<Answer> {
        // Consoles count up from one.
        let id = OperationId::MAX;
        self.operations.send(Request { id, operation }).await.ok()?;
        loop {
            match self.observations.recv().await? {
                Observation::Answered { id: answered, answer } if answered == id => return Some(answer),
                Observation::Answered { .. } | Observation::Happened(_) => {}
            }
        }
    }
}

/// Ends with the session; tells whether a node stopped on a broken rule.
pub struct Guard {
    hub: tokio::task::JoinHandle<Option<Trouble>>,
}

impl Guard {
    pub(crate) const fn new(hub: tokio::task::JoinHandle<Option<Trouble>>) -> Self {
        Self { hub }
    }

    /// Waits until all that the session held has ended: nodes have stopped, stores and connections are closed. Gives the
    /// worst trouble of any node.
    pub async fn ended(self) -> Option<Trouble> {
        self.hub.await.unwrap_or(Some(Trouble::Violation))
    }
}

/// Where nodes keep their logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disks {
    /// fjall stores in a temporary folder, removed at the end.
    Temporary,
    /// fjall stores in this folder, which stays.
    Folder(PathBuf),
    /// Memory: nothing survives the process, but crashes of nodes are real.
    Memory,
}

/// A cluster to be started in this process.
#[derive(Clone)]
pub struct Spec {
    /// How many nodes; `n1` to `n{nodes}`.
    pub nodes: u64,
    /// How fast cluster time runs.
    pub pace: Pace,
    /// How long each message takes, in microseconds of cluster time.
    pub link_delay_us: u64,
    /// Of all luck: election timeouts, faults.
    pub seed: u64,
    /// Where the logs are.
    pub disks: Disks,
    /// Applied entries between two snapshots.
    pub snapshot_entries: u64,
    /// Entries kept in the log behind a snapshot.
    pub keep_entries: u64,
    /// How long a client waits at most, in ticks of 10 ms cluster time.
    pub client_timeout_ticks: u64,
    /// Makes the machine that is replicated.
    pub machine: MachineFactory,
    /// Takes the lines of the nodes' traces, if they are wanted.
    pub trace: Option<TraceSink>,
}

impl Spec {
    /// A cluster of so many nodes with the key-value store, at the pace for people, in a temporary folder.
    #[must_use]
    pub fn new(nodes: u64) -> Self {
        Self {
            nodes,
            pace: Pace::PEOPLE,
            link_delay_us: 15_000,
            seed: 0,
            disks: Disks::Temporary,
            snapshot_entries: 50_000,
            keep_entries: 5_000,
            client_timeout_ticks: 200,
            machine: Arc::new(|| Box::new(KvStore::default())),
            trace: None,
        }
    }

    /// At the speed of real time, without artificial delay: elections of 150 to 300 ms, heartbeats of 50 ms.
    #[must_use]
    pub fn real_time(self) -> Self {
        Self { pace: Pace::REAL, link_delay_us: 0, ..self }
    }

    /// Logs in memory.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self { disks: Disks::Memory, ..self }
    }

    /// Another machine than the key-value store.
    #[must_use]
    pub fn with_machine<M: StateMachine>(self, machine: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self { machine: Arc::new(move || Box::new(machine())), ..self }
    }
}

/// Why a cluster cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A number that makes no cluster.
    #[error("{nodes} nodes make no cluster here; --nodes takes 1 to {max}")]
    Nodes {
        /// What was asked for.
        nodes: u64,
        /// The most that can be.
        max: u64,
    },
    /// The folder holds another cluster than the one asked for.
    #[error("{path} holds a cluster of {found} nodes, not of {wanted}: use --nodes {found}, or another --data-dir")]
    OtherMembers {
        /// Which folder.
        path: PathBuf,
        /// How many members it has.
        found: u64,
        /// How many were asked for.
        wanted: u64,
    },
    /// Somebody else has the folder open.
    #[error("{path} is in use by another raft-tui; end it, or choose another --data-dir")]
    Locked {
        /// Which folder.
        path: PathBuf,
    },
    /// The folder is there, but it is no cluster's.
    #[error("{path} is not empty and holds no cluster; choose an empty or new folder with --data-dir")]
    NotOurs {
        /// Which folder.
        path: PathBuf,
    },
    /// Whoever is on this machine could put something there.
    #[error("{path} can be written by everybody: chmod 700 it, or choose another --data-dir")]
    Open {
        /// Which folder.
        path: PathBuf,
    },
    /// A newer program made it.
    #[error("{path} has format {found}, this raft-tui reads up to {supported}; use the newer program that made it")]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that can be read.
        supported: u32,
    },
    /// `cluster.toml` cannot be understood.
    #[error("{path}: {why}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Processes cannot share memory.
    #[error("processes keep their logs on disk: leave --memory away")]
    MemoryProcesses,
    /// Nobody to attach to.
    #[error("no node of {addresses} answers ({why}); see that one runs and that this is its control address")]
    NoAnswer {
        /// Where it was tried.
        addresses: String,
        /// What went wrong at each.
        why: String,
    },
    /// Somebody is there, and does not let this console in.
    #[error("not let in: {why}")]
    NotLetIn {
        /// What each address said.
        why: String,
    },
    /// A file operation failed.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
}
