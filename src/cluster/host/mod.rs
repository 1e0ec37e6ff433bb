//! One node in a process of its own: its disk, its wire to its peers, its control port.
//!
//! The node and its wire run on the caller's runtime, the control port on a thread of its own. Nothing is written into
//! the folder before the store has found it to be this node's.
//!
//! Kept true: a folder without a store is a new node only if that was said (`bootstrap`); nobody beyond this machine is
//! let in without proof and encryption, unless that was said too.
//! Not here: flags and files of settings (`cli/`), what consoles may (`control/`), several nodes at once (`local/`).

mod face;
mod place;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::control::access::ChaosKeys;
use crate::control::audit::{Audit, Writing};
use crate::control::server::{Secure, Server, ServerSpec};
use crate::control::tokens::{TokenError, Tokens};
use crate::control::{Life, Pace, What, narrate};
use crate::machine::kv;
use crate::node::driver::{self, MachineFactory, Observed, Stop};
pub use crate::node::driver::{Ended, Trouble};
use crate::node::tracer::TraceSink;
use crate::raft::{Configuration, Index, NodeId, Options};
use crate::storage::faulty::{FaultHandle, Faulty};
use crate::storage::fjall::{FjallOptions, FjallStorage};
use crate::storage::known::KnownStores;
use crate::storage::{Identity, Storage, StorageError};
use crate::transport::clock::ClusterClock;
use crate::transport::faults::Rules;
use crate::transport::net::{Net, Tcp};
use crate::transport::renewal::Renewal;
use crate::transport::tcp::{self, Peers, TcpError, TcpSpec};
use crate::transport::tls::{Tls, TlsError};
use face::Face;
pub use place::cluster_id;
pub(super) use place::is_local;

/// How long the node gets to close its store when it is asked to end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// How long the control port and the audit log get then.
const FORGET_WITHIN: Duration = Duration::from_secs(1);

/// How long consoles are told that the node has halted before the process ends.
const LAST_WORDS: Duration = Duration::from_millis(400);

/// Real time between two reports of dropped messages.
const DROPS_EVERY: Duration = Duration::from_secs(1);

/// What the node tells and was not taken yet.
const OBSERVED_MAX: usize = 8_192;

/// Certificates of the cluster and of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Of the cluster's CA.
    pub ca: PathBuf,
    /// Of this node.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A node to be started.
#[derive(Clone)]
pub struct HostSpec {
    /// Who.
    pub id: NodeId,
    /// The cluster's name.
    pub cluster: String,
    /// All members with their peer addresses, this node too.
    pub peers: BTreeMap<NodeId, String>,
    /// Where it listens to peers, `host:port`.
    pub listen: String,
    /// Where it listens to consoles, `host:port`.
    pub control: String,
    /// Its folder.
    pub data_dir: PathBuf,
    /// How fast cluster time runs.
    pub pace: Pace,
    /// How long each message takes besides, in microseconds of cluster time.
    pub link_delay_us: u64,
    /// Of all luck.
    pub seed: u64,
    /// Applied entries between two snapshots.
    pub snapshot_entries: u64,
    /// Entries kept in the log behind a snapshot.
    pub keep_entries: u64,
    /// How long a client waits at most, in ticks of 10 ms cluster time.
    pub client_timeout_ticks: u64,
    /// Makes the machine that is replicated.
    pub machine: MachineFactory,
    /// An empty folder becomes a new node.
    pub bootstrap: bool,
    /// A new cluster allows fault injection, for good.
    pub chaos: bool,
    /// This process allows it.
    pub enable_chaos: bool,
    /// The cluster's number, where it is not made of its name and members.
    pub cluster_id: Option<u128>,
    /// Tokens of consoles.
    pub token_file: Option<PathBuf>,
    /// Encryption.
    pub tls: Option<TlsFiles>,
    /// Listen beyond this machine without proof and encryption.
    pub insecure: bool,
    /// Takes the lines of the node's trace, if they are wanted.
    pub trace: Option<TraceSink>,
}

/// Why a node cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The members make no cluster.
    #[error("{0}")]
    Members(String),
    /// It would be open to everybody.
    #[error(
        "{address} can be reached from other machines and {missing}: give --tls-ca, --tls-cert, --tls-key and --token-file, or listen on 127.0.0.1 (--insecure-i-know lets everybody in)"
    )]
    Open {
        /// Where it would listen.
        address: String,
        /// What is missing.
        missing: &'static str,
    },
    /// The folder cannot be used.
    #[error("{path} {why}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What is wrong, and what to try.
        why: String,
    },
    /// There is no node in the folder.
    #[error(
        "{path} holds no node: give --bootstrap to make a new one there. If this node took part before, its disk is gone and it must not come back under its id"
    )]
    NotBootstrapped {
        /// Which.
        path: PathBuf,
    },
    /// What was decided at bootstrap cannot be changed.
    #[error("the cluster in {path} was bootstrapped without --chaos, and that stays so: leave --chaos away")]
    NoChaos {
        /// Which.
        path: PathBuf,
    },
    /// The tokens cannot be used.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The place for peers cannot be had.
    #[error(transparent)]
    Peers(#[from] TcpError),
    /// The place for consoles cannot be had.
    #[error("listening at {address}: {source}; choose a free port with --control")]
    Control {
        /// Which.
        address: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder's files cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The audit log cannot be written.
    #[error("opening the audit log in {path}: {source}")]
    Audit {
        /// Which folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The node ended while it was opened.
    #[error("{why}")]
    Halted {
        /// Why, and what to do.
        why: String,
        /// What kind of trouble it is.
        trouble: Trouble,
    },
}

/// A node that runs.
pub struct Host {
    face: Arc<Face>,
    peers: Peers,
    handle: driver::Handle,
    server: Server,
    writing: Writing,
    crashes: mpsc::Receiver<()>,
    observed: mpsc::Receiver<Observed>,
}

/// Starts a node; it is there when its store is open and both of its ports listen. Must be called within a tokio runtime.
pub async fn start(spec: HostSpec) -> Result<Host, HostError> {
    start_on(Arc::new(Tcp), spec).await
}

/// The same on another network.
pub async fn start_on(net: Arc<dyn Net>, spec: HostSpec) -> Result<Host, HostError> {
    place::check_members(&spec)?;
    let insecure = place::check_doors(&spec)?;
    let tokens = spec.token_file.as_deref().map(Tokens::read).transpose()?;
    let tls = spec.tls.as_ref().map(|files| Tls::load(&files.ca, &files.cert, &files.key)).transpose()?.map(Arc::new);
    let cluster = place::settle(&spec)?;
    let keys = ChaosKeys { cluster: cluster & 1 == 1, node: spec.enable_chaos };
    let members: Vec<_> = spec.peers.keys().copied().collect();
    let clean = Rules::new(members.iter().copied(), spec.link_delay_us);
    let clock = ClusterClock::new(spec.pace.cluster, spec.pace.real);
    let disk_faults = FaultHandle::new(spec.seed ^ spec.id.0);
    let renewal = tls.as_ref().map(|tls| Arc::new(Renewal::new(Arc::clone(tls), spec.id)));
    let (ask_crash, crashes) = mpsc::channel(1);
    let (observer, observed) = mpsc::channel(OBSERVED_MAX);
    let face = Arc::new(Face::new(&spec, clock.clone(), disk_faults.clone(), ask_crash, insecure, renewal));
    let (audit, waiting) = Audit::waiting();
    let server = ServerSpec {
        node: Arc::clone(&face) as _,
        id: spec.id,
        cluster,
        name: spec.cluster.clone(),
        clean: clean.clone(),
        keys,
        tokens,
        secure: tls.clone().map(console_door),
        insecure,
        audit,
        news: face.news.clone(),
    };
    let server = Server::start(Arc::clone(&net), spec.control.clone(), server).await;
    let server = server.map_err(|source| HostError::Control { address: spec.control.clone(), source })?;
    face.set_control(server.address());
    let known = KnownStores::open(&spec.data_dir)?;
    let peers = tcp::open(TcpSpec {
        net,
        clock: clock.clone(),
        cluster,
        node: spec.id,
        listen: spec.listen.clone(),
        peers: spec.peers.clone(),
        control: server.address().to_string(),
        seed: spec.seed,
        rules: clean,
        tls,
        known: Arc::new(known),
    })
    .await?;
    face.set_peers(peers.clone());

    let configuration = Configuration::new(members);
    let identity = Identity { cluster, node: spec.id, configuration: configuration.clone() };
    let (door, dir, faults) = (peers.clone(), spec.data_dir.clone(), disk_faults.clone());
    let mut handle = driver::start(driver::Spec {
        options: Options {
            snapshot_entries: spec.snapshot_entries,
            keep_entries: spec.keep_entries,
            ..Options::new(spec.id, configuration)
        },
        seed: spec.seed,
        client_timeout_ticks: spec.client_timeout_ticks,
        open: Box::new(move |sleep| {
            let store = FjallStorage::open(&dir, &identity, FjallOptions::default())?;
            Ok(Box::new(Faulty::new(store, faults, sleep)) as Box<dyn Storage>)
        }),
        machine: Arc::clone(&spec.machine),
        clock,
        connect: Box::new(move |epoch, store| door.attach(epoch, store)),
        disk_faults,
        observer,
        dropped: face.dropped.clone(),
        trace: spec.trace.as_ref().map(|sink| sink.of(spec.id)),
    });
    opened(&mut handle).await?;
    face.set_handle(&handle);
    let writing = waiting.open(&spec.data_dir);
    let writing = writing.map_err(|source| HostError::Audit { path: spec.data_dir.clone(), source })?;
    Ok(Host { face, peers, handle, server, writing, crashes, observed })
}

fn console_door(tls: Arc<Tls>) -> Secure {
    Arc::new(move |wire| {
        let tls = Arc::clone(&tls);
        Box::pin(async move { tls.accept_console(wire).await })
    })
}

/// Waits until the store is open.
async fn opened(handle: &mut driver::Handle) -> Result<(), HostError> {
    let mut report = handle.report.clone();
    let ended = tokio::select! {
        seen = report.wait_for(Option::is_some) => match seen {
            Ok(_) => return Ok(()),
            Err(_) => (&mut handle.ended).await,
        },
        ended = &mut handle.ended => ended,
    };
    Err(match end_of(ended) {
        Ended::Halted { why, trouble } => HostError::Halted { why, trouble },
        Ended::Stopped => HostError::Halted { why: "the node ended".into(), trouble: Trouble::Violation },
    })
}

fn end_of(ended: Result<Ended, tokio::task::JoinError>) -> Ended {
    ended.unwrap_or_else(|panic| Ended::Halted {
        why: format!("the node's task failed: {panic}"),
        trouble: Trouble::Violation,
    })
}

impl Host {
    /// Where it listens to peers.
    #[must_use]
    pub fn peer_address(&self) -> SocketAddr {
        self.peers.address()
    }

    /// Where it listens to consoles.
    #[must_use]
    pub fn control_address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What is wrong for as long as the node runs; sentences for people.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.face.own_alarms().collect()
    }

    /// Runs until `stop` is ready, a console crashes the node, or it ends by itself; then the store is closed.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Ended {
        let Self { face, peers, mut handle, server, writing, mut crashes, mut observed } = self;
        face.tell(What::Life { node: face.id, life: Life::Running });
        for note in face.notes() {
            tracing::warn!(node = %face.id, %note, "found at opening");
            face.tell(What::Note { node: face.id, note });
        }
        let mut drops = tokio::time::interval(DROPS_EVERY);
        drops.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let renewal = face.renewal.clone();
        let mut watching = std::pin::pin!(async move {
            match renewal {
                Some(renewal) => renewal.watch().await,
                None => std::future::pending().await,
            }
        });
        let mut stop = std::pin::pin!(stop);
        let (mut batch, mut last_command) = (Vec::new(), None);
        let by_itself = loop {
            tokio::select! {
                () = &mut stop => break None,
                Some(()) = crashes.recv() => place::kill_ourselves(),
                ended = &mut handle.ended => break Some(end_of(ended)),
                count = observed.recv_many(&mut batch, 256) => if count > 0 {
                    for one in batch.drain(..) {
                        face.observed(one, &mut last_command);
                    }
                },
                never = &mut watching => match never {},
                _ = drops.tick() => for (from, to, kind, count) in peers.take_drops() {
                    face.tell(What::Dropped { from, to, kind, count });
                },
            }
        };
        let ended = if let Some(ended) = by_itself {
            if let Ended::Halted { why, .. } = &ended {
                tracing::error!(node = %face.id, %why, "the node halted");
                let life = Life::Halted { why: why.clone() };
                face.set_life(life.clone());
                face.tell(What::Life { node: face.id, life });
            }
            peers.detach();
            tokio::time::sleep(LAST_WORDS).await;
            ended
        } else {
            handle.stop(Stop::Shutdown);
            let ended = tokio::time::timeout(CLOSE_WITHIN, &mut handle.ended).await;
            peers.detach();
            let late = || Ended::Halted {
                why: "the disk did not finish its writes in time; they are as after a crash".into(),
                trouble: Trouble::Disk,
            };
            ended.map_or_else(|_| late(), end_of)
        };
        // The thread of the control port is joined, and with it the last hand on the audit log goes.
        let close = tokio::task::spawn_blocking(move || {
            drop(server);
            writing.finish();
        });
        let _ = tokio::time::timeout(FORGET_WITHIN, close).await;
        ended
    }
}

impl Face {
    fn observed(&self, observed: Observed, last_command: &mut Option<Index>) {
        let after = match &observed {
            Observed::Applied { index, .. } => last_command.replace(*index),
            Observed::Event { .. } => None,
        };
        if !self.news.is_heard() {
            return;
        }
        match observed {
            Observed::Event { node, at_us, event } if narrate::is_told(node, &event) => {
                self.news.tell(at_us, What::Node { node, event });
            }
            Observed::Applied { node, at_us, index, command } if self.news.wants_commands() => {
                let after = after.unwrap_or_else(|| Index(index.0.saturating_sub(1)));
                let command = kv::describe_command(&command);
                self.news.tell(at_us, What::Applied { node, index, after, command });
            }
            Observed::Event { .. } | Observed::Applied { .. } => {}
        }
    }
}

/// The log of a node, in its folder.
#[must_use]
pub fn log_file(data_dir: &Path) -> PathBuf {
    data_dir.join("raft-tui.log")
}
