//! The node as its control port sees it.
//!
//! Kept true: nothing here waits; what the picture says was reported by the node or its wire.
//! Not here: who is told (`control/server/`).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot, watch};

use super::HostSpec;
use crate::cluster::local::view;
use crate::control::protocol::{Level, Member, Picture, Reply, Standing};
use crate::control::server::{News, Served};
use crate::control::{Alarm, Dropped, Life, LinkState, NodeView, PeerTraffic, Traffic, What};
use crate::node::ClientOutcome;
use crate::node::driver::{ClientRequest, Handle, Report, Wish};
use crate::raft::{Configuration, NodeId, Options};
use crate::storage::faults::{DiskRules, Failure, Kind, When};
use crate::storage::faulty::FaultHandle;
use crate::transport::clock::ClusterClock;
use crate::transport::faults::Rules;
use crate::transport::net::Later;
use crate::transport::renewal::Renewal;
use crate::transport::tcp::{self, PeerView, Peers};

/// Runs of terms in a picture at most, the newest; a longer list would not fit into a frame.
const RUNS_MAX: usize = 4_096;

/// The way to the node, once it is open.
struct Open {
    requests: mpsc::Sender<ClientRequest>,
    report: watch::Receiver<Option<Arc<Report>>>,
}

pub(super) struct Face {
    pub(super) id: NodeId,
    pub(super) news: News,
    pub(super) dropped: Arc<AtomicU64>,
    members: Vec<(NodeId, String)>,
    insecure: bool,
    pub(super) renewal: Option<Arc<Renewal>>,
    clock: ClusterClock,
    started: Instant,
    heartbeat_ticks: u64,
    disk: FaultHandle,
    crashes: mpsc::Sender<()>,
    life: Mutex<Life>,
    control: OnceLock<SocketAddr>,
    peers: OnceLock<Peers>,
    open: OnceLock<Open>,
}

impl Face {
    pub(super) fn new(
        spec: &HostSpec,
        clock: ClusterClock,
        disk: FaultHandle,
        crashes: mpsc::Sender<()>,
        insecure: bool,
        renewal: Option<Arc<Renewal>>,
    ) -> Self {
        Self {
            id: spec.id,
            news: News::default(),
            dropped: Arc::default(),
            members: spec.peers.iter().map(|(id, address)| (*id, address.clone())).collect(),
            insecure,
            renewal,
            clock,
            started: Instant::now(),
            heartbeat_ticks: Options::new(spec.id, Configuration::new([spec.id])).heartbeat_ticks,
            disk,
            crashes,
            life: Mutex::new(Life::Starting),
            control: OnceLock::new(),
            peers: OnceLock::new(),
            open: OnceLock::new(),
        }
    }

    pub(super) fn set_control(&self, address: SocketAddr) {
        // Set once, by the one who starts the node.
        let _ = self.control.set(address);
    }

    pub(super) fn set_peers(&self, peers: Peers) {
        let _ = self.peers.set(peers);
    }

    pub(super) fn set_handle(&self, handle: &Handle) {
        let _ = self.open.set(Open { requests: handle.requests.clone(), report: handle.report.clone() });
        self.set_life(Life::Running);
    }

    pub(super) fn set_life(&self, life: Life) {
        *self.life() = life;
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> Option<Arc<Report>> {
        self.open.get()?.report.borrow().clone()
    }

    pub(super) fn notes(&self) -> Vec<String> {
        self.report().map(|report| report.notes.to_vec()).unwrap_or_default()
    }

    pub(super) fn tell(&self, what: What) {
        self.news.tell(self.clock.now_us(), what);
    }

    /// What is wrong with this node itself.
    pub(super) fn own_alarms(&self) -> impl Iterator<Item = String> {
        let text = "INSECURE: open beyond this machine without proof or encryption; restart without --insecure-i-know";
        let insecure = self.insecure.then(|| text.to_owned());
        insecure.into_iter().chain(self.renewal.iter().flat_map(|renewal| renewal.alarms()))
    }

    fn ask(&self, wish: Wish, gone: fn() -> Reply) -> Later<'static, Reply> {
        let (answer, answered) = oneshot::channel();
        let sent = self.open.get().map(|open| open.requests.try_send(ClientRequest { wish, answer }));
        let now = match sent {
            Some(Ok(())) => {
                return Box::pin(async move { answered.await.map_or_else(|_| gone(), reply) });
            }
            Some(Err(mpsc::error::TrySendError::Full(_))) => Reply::Busy { uncommitted_bytes: 0 },
            Some(Err(mpsc::error::TrySendError::Closed(_))) | None => {
                Reply::NotApplied { why: "the node does not run".into() }
            }
        };
        Box::pin(std::future::ready(now))
    }
}

fn reply(outcome: ClientOutcome) -> Reply {
    match outcome {
        ClientOutcome::Applied { position, reply } => Reply::Applied { position, reply },
        ClientOutcome::Value { index, reply } => Reply::Value { index, reply },
        ClientOutcome::NotLeader { leader } => Reply::NotLeader { leader },
        ClientOutcome::Busy { uncommitted_bytes } => Reply::Busy { uncommitted_bytes },
        ClientOutcome::NotApplied { why } => Reply::NotApplied { why: why.into_owned() },
        ClientOutcome::Unknown { why } => Reply::Unknown { why: why.into_owned() },
        ClientOutcome::ReadFailed { why } => Reply::ReadFailed { why: why.into_owned() },
    }
}

fn traffic(peers: &Peers) -> Traffic {
    let of_peer = |peer: PeerView| {
        let tcp::Dropped { by_rule, by_queue, by_age, by_inbox, unfit, forged } = peer.dropped;
        PeerTraffic {
            id: peer.id,
            bytes: Some((peer.bytes_in, peer.bytes_out)),
            dropped: Dropped { by_rule, by_queue, by_age, by_inbox, by_death: 0, unfit, forged },
        }
    };
    let door = peers.door();
    Traffic {
        peers: peers.view().into_iter().map(of_peer).collect(),
        turned_away: door.turned_away,
        malformed: door.malformed,
    }
}

impl Served for Face {
    fn standing(&self) -> Option<(Standing, Option<NodeId>)> {
        let report = self.report()?;
        let status = &report.status;
        let standing = Standing { epoch: status.epoch, term: status.hard_state.current_term, role: status.role };
        Some((standing, status.leader))
    }

    fn picture(&self) -> Picture {
        let life = self.life().clone();
        let mut view = match self.report() {
            Some(report) => view::node(&report, life, self.heartbeat_ticks),
            None => NodeView { life, ..view::unknown(self.id) },
        };
        let runs_too_many = view.terms.len().saturating_sub(RUNS_MAX);
        view.terms.drain(..runs_too_many);
        let peers = self.peers.get();
        view.traffic = peers.map(traffic);
        let links = peers.map(|peers| peers.rules().list().map(|(links, rule)| LinkState { links, rule }).collect());
        let alarms = self.own_alarms().chain(peers.map(Peers::alarms).unwrap_or_default());
        Picture {
            view,
            now_us: self.clock.now_us(),
            up_us: self.started.elapsed().as_micros() as u64,
            links: links.unwrap_or_default(),
            faults: Vec::new(),
            alarms: alarms.map(|text| Alarm { node: self.id, text }).collect(),
            members: self.members(),
            consoles: 0,
            console_bytes: 0,
            dropped_details: self.dropped.load(Ordering::Relaxed),
        }
    }

    fn members(&self) -> Vec<Member> {
        let heard = self.peers.get().map(Peers::view).unwrap_or_default();
        let member = |(id, address): &(NodeId, String)| {
            let control_address = if *id == self.id {
                self.control.get().map(ToString::to_string)
            } else {
                heard.iter().find(|peer| peer.id == *id).and_then(|peer| peer.control.clone())
            };
            Member { id: *id, peer_address: address.clone(), control_address }
        };
        self.members.iter().map(member).collect()
    }

    fn submit(&self, command: Bytes) -> Later<'static, Reply> {
        self.ask(Wish::Submit(command), || Reply::Unknown { why: "the node stopped before it answered".into() })
    }

    fn read(&self, query: Bytes, level: Level) -> Later<'static, Reply> {
        let wish = match level {
            Level::Linearizable => Wish::Read(query),
            Level::Local => Wish::ReadLocal(query),
        };
        self.ask(wish, || Reply::ReadFailed { why: "the node stopped before it answered".into() })
    }

    fn set_faults(&self, rules: Rules, disk_delay_us: Option<u64>) {
        if let Some(peers) = self.peers.get() {
            peers.set_rules(rules);
        }
        let real_us = disk_delay_us.map_or(0, |us| self.clock.real_us(us));
        let former = self.disk.rules();
        // A group is a write and a sync; each takes half.
        let wanted = DiskRules { latency_us: real_us / 2, ..former.clone() };
        if wanted != former {
            self.disk.set_rules(wanted);
        }
    }

    fn fail_disk(&self) {
        let failure = Failure { kind: Kind::Write, when: When::Nth(1) };
        self.disk.set_rules(DiskRules { failures: vec![failure], ..self.disk.rules() });
    }

    fn spare_disk(&self) {
        self.disk.set_rules(DiskRules { failures: Vec::new(), ..self.disk.rules() });
    }

    fn crash(&self) {
        // Whoever asks second asks for nothing new.
        let _ = self.crashes.try_send(());
    }
}
