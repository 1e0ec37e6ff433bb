//! A cluster in this process: real nodes with their own disks, over the mesh, on a clock that can stop and slow down.
//!
//! One task, the hub, holds it: it carries out operations one after another, hears what the nodes observe, and publishes
//! the picture. Operations that take time (a command, a wait, a load) are answered when they are done; the hub does not
//! wait for them.
//!
//! Kept true: each operation gets one answer; when the session is gone, all nodes have been stopped and their stores
//! closed.
//! Not here: the node itself (`node/`), other ways to hold a cluster (`process.rs`, `remote/`).

mod door;
mod hosts;
mod operations;
pub(super) mod view;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clients::{Clients, Load};
use super::folder::Folder;
use super::waits::{self, Wait};
use super::{ClusterError, Guard, Session, Spec};
use crate::control::{
    Access, ActiveFault, Answer, Can, Capabilities, ClusterView, Happened, Held, Life, LinkState, Mode, NodeView,
    Observation, OperationId, Pace, Request, What, WritesStand,
};
use crate::machine::kv;
use crate::node::driver::{Ended, Observed, Stop, Trouble};
use crate::raft::{Configuration, Index, NodeId, Options};
use crate::transport::clock::ClusterClock;
use crate::transport::faults::{Links, Rules};
use crate::transport::mesh::{Mesh, QUEUE_CAPACITY};
use door::Door;
use hosts::{Common, Host};

pub use view::writes;

/// The most nodes that one process holds.
pub const NODES_MAX: u64 = 25;

/// Everything, but what only processes can do.
const CAPABILITIES: Capabilities = Capabilities {
    crash: Can::Yes,
    restart: Can::Yes,
    pause: Can::No("nodes in this process cannot be paused one by one: stop the clock, or start with --processes"),
    links: Can::Yes,
    clock: Can::Yes,
    pace: Can::Yes,
    disks: Can::Yes,
    arm: Can::No("this cluster is the console's own: nothing needs arming"),
};

/// Real time between two pictures.
const VIEW_EVERY: Duration = Duration::from_millis(50);

/// Real time between two reports of dropped messages.
const DROPS_EVERY: Duration = Duration::from_secs(1);

/// Real time that nodes get to close their stores at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// What is queued for a session at most.
const OBSERVATIONS_MAX: usize = 8_192;

/// Starts a cluster; it runs until the session asks it to quit or is dropped. Must be called within a tokio runtime.
pub fn start(spec: Spec) -> Result<(Session, Guard), ClusterError> {
    if spec.nodes == 0 || spec.nodes > NODES_MAX {
        return Err(ClusterError::Nodes { nodes: spec.nodes, max: NODES_MAX });
    }
    let folder = Folder::open(&spec.disks, spec.nodes)?;
    let (operations, asked) = mpsc::channel(256);
    let (observations, heard) = mpsc::channel(OBSERVATIONS_MAX);
    let (observer, observed) = mpsc::channel(OBSERVATIONS_MAX);
    let (ends, ended) = mpsc::unbounded_channel();
    let clock = ClusterClock::new(spec.pace.cluster, spec.pace.real);
    let members: Vec<_> = Configuration::first(spec.nodes).voters().to_vec();
    let rules = Rules::new(members.iter().copied(), spec.link_delay_us);
    let mesh = Mesh::new(clock.clone(), spec.seed, rules, QUEUE_CAPACITY);
    let common = Common {
        cluster_id: folder.as_ref().map_or_else(|| u128::from(spec.seed), |folder| folder.cluster_id),
        folder: folder.as_ref().map(|folder| folder.path.clone()),
        clock: clock.clone(),
        mesh,
        observer,
        dropped: Arc::default(),
        ends,
        spec,
    };
    let hosts = members.iter().map(|id| (*id, Host::new(*id, common.spec.seed, common.spec.trace.as_ref()))).collect();
    let mut hub = Hub {
        clients: Clients::new(clock, common.spec.client_timeout_ticks, "does not run; restart it first"),
        started: Instant::now(),
        hosts,
        faults: Vec::new(),
        fault_numbers: 0,
        link_delay_us: common.spec.link_delay_us,
        load: None,
        waits: Vec::new(),
        pending: Vec::new(),
        happened: 0,
        applied_told: Index::ZERO,
        observations,
        published: watch::channel(Arc::new(empty_view())).0,
        views: 0,
        worst: None,
        quitting: None,
        observation_drops: AtomicU64::new(0),
        folder,
        common,
    };
    hub.publish();
    let session =
        Session { operations, observations: heard, view: hub.published.subscribe(), capabilities: CAPABILITIES };
    let hub = tokio::spawn(hub.run(asked, observed, ended));
    Ok((session, Guard::new(hub)))
}

pub(super) fn empty_view() -> ClusterView {
    ClusterView {
        version: 0,
        name: String::new(),
        now_us: 0,
        real_us: 0,
        pace: Pace::REAL,
        stopped: false,
        seed: 0,
        nodes: Vec::new(),
        faults: Vec::new(),
        links: Vec::new(),
        load: None,
        clients: crate::control::ClientsView::default(),
        writes: WritesStand::Stalled { why: "starting".into() },
        data_dir: String::new(),
        dropped_details: 0,
        held: Held::Lab,
        mode: Mode::Own,
        chaos: true,
        may: Access::Chaos,
        chaos_allowed: true,
        alarms: Vec::new(),
        console_bytes_per_second: None,
        values_masked: false,
    }
}

struct Hub {
    common: Common,
    folder: Option<Folder>,
    hosts: BTreeMap<NodeId, Host>,
    clients: Clients<Door>,
    started: Instant,
    faults: Vec<ActiveFault>,
    fault_numbers: u64,
    link_delay_us: u64,
    /// With the operation that is answered at its end.
    load: Option<(Option<OperationId>, Load)>,
    waits: Vec<Wait>,
    pending: Vec<operations::Pending>,
    happened: u64,
    /// Applied commands are told once, by the first node.
    applied_told: Index,
    observations: mpsc::Sender<Observation>,
    published: watch::Sender<Arc<ClusterView>>,
    views: u64,
    worst: Option<Trouble>,
    quitting: Option<(OperationId, Instant)>,
    observation_drops: AtomicU64,
}

impl Hub {
    async fn run(
        mut self,
        mut asked: mpsc::Receiver<Request>,
        mut observed: mpsc::Receiver<Observed>,
        mut ended: mpsc::UnboundedReceiver<(NodeId, u64, Ended)>,
    ) -> Option<Trouble> {
        for id in self.common_members() {
            self.start_node(id);
        }
        let mut views = tokio::time::interval(VIEW_EVERY);
        views.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut drops = tokio::time::interval(DROPS_EVERY);
        drops.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                request = asked.recv(), if self.quitting.is_none() => match request {
                    Some(request) => self.operate(request),
                    None => self.quit(0),
                },
                Some((node, life, end)) = ended.recv() => self.on_end(node, life, end),
                count = observed.recv_many(&mut events, 256) => if count > 0 {
                    for event in events.drain(..) {
                        self.on_observed(event);
                    }
                },
                _ = views.tick() => self.on_view_tick(),
                _ = drops.tick() => self.tell_drops(),
            }
            if let Some((id, since)) = self.quitting {
                let all_ended = self.hosts.values().all(|host| !host.is_alive() && !host.ending);
                if all_ended || since.elapsed() > CLOSE_WITHIN {
                    self.publish();
                    let _ = self.observations.try_send(Observation::Answered {
                        id,
                        answer: Answer::Done("all nodes stopped, all stores closed".into()),
                    });
                    // Only now may a temporary folder go.
                    drop(self.folder.take());
                    return self.worst;
                }
            }
        }
    }

    fn common_members(&self) -> Vec<NodeId> {
        self.hosts.keys().copied().collect()
    }

    fn real_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn start_node(&mut self, id: NodeId) {
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.start(&self.common);
        if let (Some(requests), Some(report)) = (host.requests(), host.report()) {
            self.clients.open_door(id, Door { requests, report });
        }
        self.tell(What::Life { node: id, life: Life::Starting });
    }

    fn stop_node(&mut self, id: NodeId, how: Stop) {
        self.clients.close_door(id);
        self.common.mesh.detach(id);
        let at_us = self.real_us();
        let Some(host) = self.hosts.get_mut(&id) else { return };
        host.stop(how);
        host.life = Life::Crashed { at_us };
        // A node that is shut down at the end has not crashed.
        if how == Stop::Crash {
            self.tell(What::Life { node: id, life: Life::Crashed { at_us } });
        }
    }

    fn on_end(&mut self, id: NodeId, life: u64, end: Ended) {
        let Some(host) = self.hosts.get_mut(&id).filter(|host| host.lives == life) else { return };
        host.ended();
        if let Ended::Halted { why, trouble } = end {
            host.life = Life::Halted { why: why.clone() };
            self.clients.close_door(id);
            self.common.mesh.detach(id);
            if self.worst != Some(Trouble::Violation) && trouble != Trouble::OnPurpose {
                self.worst = Some(trouble);
            }
            tracing::error!(node = %id, %why, "the node halted");
            self.tell(What::Life { node: id, life: Life::Halted { why } });
        }
        self.publish();
        self.settle_pending();
    }

    fn on_observed(&mut self, observed: Observed) {
        match observed {
            Observed::Event { node, at_us, event } => self.tell_at(at_us, What::Node { node, event }),
            Observed::Applied { node, at_us, index, command } => {
                if index > self.applied_told {
                    let after = std::mem::replace(&mut self.applied_told, index);
                    let command = kv::describe_command(&command);
                    self.tell_at(at_us, What::Applied { node, index, after, command });
                }
            }
        }
    }

    fn on_view_tick(&mut self) {
        let mut notes = Vec::new();
        for host in self.hosts.values_mut() {
            let was_starting = host.life == Life::Starting;
            host.look();
            if was_starting && host.life == Life::Running {
                notes.push((host.id, host.last_report.as_ref().map(|report| Arc::clone(&report.notes))));
            }
        }
        for (node, found) in notes {
            self.tell(What::Life { node, life: Life::Running });
            for note in found.iter().flat_map(|notes| notes.iter()) {
                tracing::warn!(%node, %note, "found at opening");
                self.tell(What::Note { node, note: note.clone() });
            }
        }
        if self.load.as_ref().is_some_and(|(_, load)| load.view(0).is_none()) {
            self.load = None;
        }
        self.publish();
        self.settle_pending();
        self.settle_waits();
    }

    fn settle_waits(&mut self) {
        let view = self.published.borrow().clone();
        let fresh = |node: NodeId, moment: Instant| {
            let report = self.hosts.get(&node).and_then(|host| host.last_report.as_ref());
            report.is_some_and(|report| report.made_at > moment)
        };
        for (id, answer) in waits::settle(&mut self.waits, &view, fresh) {
            self.answer(id, answer);
        }
    }

    fn tell_drops(&mut self) {
        for (from, to, kind, count) in self.common.mesh.take_drops() {
            self.tell(What::Dropped { from, to, kind, count });
        }
    }

    fn tell(&mut self, what: What) {
        self.tell_at(self.common.clock.now_us(), what);
    }

    fn tell_at(&mut self, at_us: u64, what: What) {
        self.happened += 1;
        let happened = Arc::new(Happened { number: self.happened, at_us, what });
        // Answers need room too: events give way before the queue is full.
        let room = self.observations.capacity() > OBSERVATIONS_MAX / 4;
        if !room || self.observations.try_send(Observation::Happened(happened)).is_err() {
            self.observation_drops.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn answer(&self, id: OperationId, answer: Answer) {
        let answered = Observation::Answered { id, answer };
        if let Err(mpsc::error::TrySendError::Full(answered)) = self.observations.try_send(answered) {
            let observations = self.observations.clone();
            tokio::spawn(async move {
                // A session that has gone away needs no answer.
                let _ = observations.send(answered).await;
            });
        }
    }

    fn nodes(&self) -> Vec<NodeView> {
        let heartbeat_ticks = Options::new(NodeId(1), Configuration::first(1)).heartbeat_ticks;
        let picture = |host: &Host| match &host.last_report {
            Some(report) => view::node(report, host.life.clone(), heartbeat_ticks),
            None => NodeView { life: host.life.clone(), ..view::unknown(host.id) },
        };
        let totals = self.common.mesh.totals();
        let traffic = |id| view::traffic(totals.iter().filter(|(from, ..)| *from == id));
        self.hosts.values().map(|host| NodeView { traffic: Some(traffic(host.id)), ..picture(host) }).collect()
    }

    fn picture(&mut self) -> ClusterView {
        self.views += 1;
        let spec = &self.common.spec;
        let (now_us, stopped) = self.common.clock.read();
        let (cluster, real) = self.common.clock.pace();
        let nodes = self.nodes();
        let election_timeout_ticks = Options::new(NodeId(1), Configuration::first(1)).election_timeout_ticks;
        let links = self.common.mesh.rules().list().map(|(links, rule)| LinkState { links, rule }).collect();
        let data_dir = match &self.folder {
            Some(folder) if folder.is_temporary() => format!("{} (removed at the end)", folder.path.display()),
            Some(folder) => folder.path.display().to_string(),
            None => "memory".to_owned(),
        };
        ClusterView {
            version: self.views,
            name: "demo".into(),
            now_us,
            real_us: self.real_us(),
            pace: Pace { cluster, real },
            stopped,
            seed: spec.seed,
            writes: writes(&nodes, stopped, election_timeout_ticks),
            nodes,
            faults: self.faults.clone(),
            links,
            load: self.load.as_ref().and_then(|(_, load)| load.view(now_us)),
            clients: self.clients.view(now_us),
            data_dir,
            dropped_details: self.common.dropped.load(Ordering::Relaxed)
                + self.observation_drops.load(Ordering::Relaxed),
            held: Held::Lab,
            mode: Mode::Own,
            chaos: true,
            may: Access::Chaos,
            chaos_allowed: true,
            alarms: Vec::new(),
            console_bytes_per_second: None,
            values_masked: false,
        }
    }

    fn publish(&mut self) {
        for host in self.hosts.values_mut() {
            host.look();
        }
        let picture = Arc::new(self.picture());
        self.published.send_replace(picture);
    }

    fn quit(&mut self, id: OperationId) {
        self.end_load();
        self.quitting = Some((id, Instant::now()));
        for node in self.common_members() {
            if self.hosts.get(&node).is_some_and(Host::is_alive) {
                self.stop_node(node, Stop::Shutdown);
            }
        }
    }

    fn add_fault(&mut self, text: String) {
        self.fault_numbers += 1;
        let since_us = self.common.clock.now_us();
        self.tell(What::Faults { what: text.clone() });
        self.faults.push(ActiveFault { number: self.fault_numbers, text, since_us, left_us: None, by: None });
    }

    /// After links were healed one by one: the list says what is left, link by link.
    fn relist_faults(&mut self, links: Links) {
        let left: Vec<_> = self.common.mesh.rules().list().collect();
        self.faults.retain(|fault| fault.text.starts_with("slow-disk"));
        for (links, rule) in left {
            let operation = crate::control::Operation::Link { links, rule };
            self.fault_numbers += 1;
            let text = crate::control::grammar::print(&operation);
            let since_us = self.common.clock.now_us();
            self.faults.push(ActiveFault { number: self.fault_numbers, text, since_us, left_us: None, by: None });
        }
        self.tell(What::Faults { what: format!("heal {links}") });
    }
}
