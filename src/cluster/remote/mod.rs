//! A cluster that runs elsewhere, as a session: found from any of its nodes, watched, and changed only when armed.
//!
//! One task, the hub, holds the lines to all members: it publishes what they report as one picture, tells what happens on
//! the console's own clock, and carries operations out by asking nodes. Nothing that takes time stops it: what was asked
//! of nodes comes back to it as something to do.
//!
//! Kept true: each operation gets one answer; what is in the picture was reported by a node; a session that ends heals
//! its own faults and leaves the cluster as it is.
//! Not here: one line (`control/client.rs`), the processes of a cluster of one's own (`cluster/process.rs`).

mod door;
mod faults;
mod nodes;
mod operations;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::clients::{Clients, Load};
use super::host::is_local;
use super::local::view;
use super::process::Supervisor;
use super::waits::{self, Wait};
use super::{ClusterError, Guard, Session};
use crate::control::client::{LineSpec, State};
use crate::control::protocol::{Detail, Wish};
use crate::control::tokens::{Token, random_session};
use crate::control::{
    Access, ActiveFault, Answer, Can, Capabilities, ClusterView, Happened, Held, Life, LinkState, Mode, NodeView,
    Observation, OperationId, Pace, Request, What,
};
use crate::machine::kv;
use crate::node::driver::Trouble;
use crate::node::meters::Rate;
use crate::raft::{Configuration, Epoch, Index, NodeId, Options, Ticks};
use crate::transport::clock::ClusterClock;
use crate::transport::net::Net;
use crate::transport::tls::Tls;
use door::Door;
use faults::{OwnFaults, Reported};
use nodes::Nodes;

/// How long the first answer of any address may take.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long addresses are tried at which nobody listens: nodes that were started a moment ago are waited for.
const NOBODY_FOR: Duration = Duration::from_secs(1);

/// Real time between two pictures of a node, and of the cluster.
const VIEW_EVERY: Duration = Duration::from_millis(50);

/// A picture is published so often even if nothing is heard: ages grow.
const VIEW_AT_LEAST_EVERY: Duration = Duration::from_millis(500);

/// What is heard so long after a moment, beyond the way there and back, was reported after it: nodes look at themselves
/// some thirty times a second, and send at most twenty times.
const FRESH_AFTER: Duration = Duration::from_millis(100);

/// How long a node may take to answer what is no command.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// How long healing one's own faults may take at the end.
const HEAL_WITHIN: Duration = Duration::from_millis(400);

/// Queues of a session.
const OBSERVATIONS_MAX: usize = 8_192;

/// How long a console of its own cluster is armed each time; it arms again by itself at half of it.
const OWN_ARM: Duration = Duration::from_mins(50);

/// What can be done with a cluster that runs elsewhere.
pub const CAPABILITIES: Capabilities = Capabilities {
    crash: Can::Yes,
    restart: Can::No("a process elsewhere is started there, on its own machine"),
    pause: Can::No("a process elsewhere is paused there: kill -STOP on its own machine"),
    links: Can::Yes,
    clock: Can::No("a cluster that runs elsewhere has no clock to stop"),
    pace: Can::No("a cluster that runs elsewhere keeps its pace"),
    disks: Can::Yes,
    arm: Can::Yes,
};

/// How to attach.
#[derive(Clone)]
pub struct RemoteSpec {
    /// What to dial with.
    pub net: Arc<dyn Net>,
    /// Where some of the nodes listen to consoles; one is enough.
    pub addresses: Vec<String>,
    /// The most that may be armed.
    pub access: Access,
    /// What proves it.
    pub token: Option<Arc<Token>>,
    /// Whom to trust; without it nothing is encrypted.
    pub tls: Option<Arc<Tls>>,
    /// Who this console is.
    pub name: String,
    /// How long faults last; `None`: a minute, and half of that where they take the majority away.
    pub fault_ttl: Option<Duration>,
    /// How long a client waits at most, in ticks of 10 ms.
    pub client_timeout_ticks: Ticks,
    /// Hear what happens on nodes: one of them, the leader where it can be, tells of each command that is applied. Who
    /// only drives or asks does better without.
    pub news: bool,
    /// Hide the values of commands in what happens; `None`: where any node is not on this machine.
    pub mask_values: Option<bool>,
}

impl RemoteSpec {
    /// As an operator at most, without a token, over a network.
    #[must_use]
    pub fn new(net: Arc<dyn Net>, addresses: Vec<String>) -> Self {
        Self {
            net,
            addresses,
            access: Access::Operator,
            token: None,
            tls: None,
            name: "console".into(),
            fault_ttl: None,
            client_timeout_ticks: 200,
            news: true,
            mask_values: None,
        }
    }

    /// Whether values are hidden, given where nodes were found.
    #[must_use]
    pub fn masks_values<'a>(&self, found: impl IntoIterator<Item = &'a str>) -> bool {
        let named = || self.addresses.iter().any(|address| !is_local(address));
        self.mask_values.unwrap_or_else(|| named() || found.into_iter().any(|address| !is_local(address)))
    }
}

/// Attaches; fails at once where all addresses refuse this console, after a second where nobody is there, and when none
/// answers within five seconds. Must be called within a tokio runtime.
pub async fn attach(spec: RemoteSpec) -> Result<(Session, Guard), ClusterError> {
    let clock = ClusterClock::new(1, 1);
    let addresses = spec.addresses.clone();
    let mut hub = Hub::new(spec, clock, Pace::REAL, None);
    let started = Instant::now();
    loop {
        hub.nodes.look();
        if hub.nodes.lines().iter().any(nodes::NodeLine::is_live) {
            break;
        }
        let states: Vec<_> = hub.nodes.lines().iter().map(|line| (&line.address, line.heard().state)).collect();
        let refused = states.iter().all(|(_, state)| matches!(state, State::Lost { refused: true, .. }));
        let nobody = states.iter().all(|(_, state)| matches!(state, State::Lost { .. }));
        let waited = started.elapsed();
        if refused || nobody && waited > NOBODY_FOR || waited > FIRST_ANSWER_WITHIN {
            let why = states.iter().filter_map(|(address, state)| match state {
                State::Lost { why, .. } => Some(format!("{address}: {why}")),
                State::Connecting => Some(format!("{address}: no answer")),
                State::Live => None,
            });
            let why = why.collect::<Vec<_>>().join("; ");
            if refused {
                return Err(ClusterError::NotLetIn { why });
            }
            return Err(ClusterError::NoAnswer { addresses: addresses.join(", "), why });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(hub.serve(CAPABILITIES))
}

/// A session over processes of one's own.
pub(super) fn supervise(
    spec: RemoteSpec,
    clock: ClusterClock,
    pace: Pace,
    capabilities: Capabilities,
    supervisor: Supervisor,
) -> (Session, Guard) {
    Hub::new(spec, clock, pace, Some(supervisor)).serve(capabilities)
}

struct Armed {
    access: Access,
    until: Instant,
    reason: String,
}

/// What comes back to the hub when nodes have answered.
type Then = Box<dyn FnOnce(&mut Hub) + Send>;

struct Hub {
    spec: RemoteSpec,
    session: u128,
    nodes: Nodes,
    supervisor: Option<Supervisor>,
    clients: Clients<Door>,
    clock: ClusterClock,
    pace: Pace,
    started: Instant,
    own: OwnFaults,
    reported: Reported,
    faults: Vec<ActiveFault>,
    armed: Option<Armed>,
    /// Which life of which node was told that this session is armed, and when.
    told_armed: BTreeMap<NodeId, (Epoch, Instant)>,
    load: Option<(Option<OperationId>, Load)>,
    waits: Vec<Wait>,
    pending: Vec<operations::Pending>,
    lives: BTreeMap<NodeId, Life>,
    happened: u64,
    applied_told: Index,
    missed: u64,
    traffic: Rate,
    traffic_before: u64,
    observations: mpsc::Sender<Observation>,
    heard: Option<mpsc::Receiver<Observation>>,
    published: watch::Sender<Arc<ClusterView>>,
    published_at: Instant,
    views: u64,
    then: mpsc::UnboundedSender<Then>,
    thens: Option<mpsc::UnboundedReceiver<Then>>,
    ended: bool,
}

impl Hub {
    fn new(spec: RemoteSpec, clock: ClusterClock, pace: Pace, supervisor: Option<Supervisor>) -> Self {
        let session = random_session();
        let started = Instant::now();
        let every_ms = VIEW_EVERY.as_millis() as u32;
        let line = LineSpec {
            net: Arc::clone(&spec.net),
            address: String::new(),
            access: spec.access,
            name: spec.name.clone(),
            session,
            token: spec.token.clone(),
            tls: spec.tls.clone(),
            detail: if spec.news { Detail::Events { every_ms } } else { Detail::Pictures { every_ms } },
        };
        let (observations, heard) = mpsc::channel(OBSERVATIONS_MAX);
        let (then, thens) = mpsc::unbounded_channel();
        Self {
            session,
            nodes: Nodes::new(line, &spec.addresses, started),
            supervisor,
            clients: Clients::new(clock.clone(), spec.client_timeout_ticks, "is not heard; `status` says why"),
            clock,
            pace,
            started,
            own: OwnFaults::default(),
            reported: Reported::default(),
            faults: Vec::new(),
            armed: None,
            told_armed: BTreeMap::new(),
            load: None,
            waits: Vec::new(),
            pending: Vec::new(),
            lives: BTreeMap::new(),
            happened: 0,
            applied_told: Index::ZERO,
            missed: 0,
            traffic: Rate::default(),
            traffic_before: 0,
            observations,
            heard: Some(heard),
            published: watch::channel(Arc::new(super::local::empty_view())).0,
            published_at: started,
            views: 0,
            then,
            thens: Some(thens),
            ended: false,
            spec,
        }
    }

    fn serve(mut self, capabilities: Capabilities) -> (Session, Guard) {
        let (operations, asked) = mpsc::channel(256);
        self.publish();
        let observations = self.heard.take().expect("a hub serves once");
        let thens = self.thens.take().expect("a hub serves once");
        let session = Session { operations, observations, view: self.published.subscribe(), capabilities };
        (session, Guard::new(tokio::spawn(self.run(asked, thens))))
    }

    async fn run(
        mut self,
        mut asked: mpsc::Receiver<Request>,
        mut thens: mpsc::UnboundedReceiver<Then>,
    ) -> Option<Trouble> {
        let mut views = tokio::time::interval(VIEW_EVERY);
        views.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut quit = None;
        while !self.ended {
            tokio::select! {
                request = asked.recv(), if quit.is_none() => match request {
                    Some(request) if request.operation == crate::control::Operation::Quit => quit = Some(request.id),
                    Some(request) => self.operate(request),
                    None => quit = Some(0),
                },
                Some(then) = thens.recv() => then(&mut self),
                _ = views.tick() => self.on_tick(),
            }
            if let Some(id) = quit.take_if(|_| true) {
                self.ended = true;
                self.leave(id).await;
            }
        }
        self.supervisor.as_ref().and_then(Supervisor::worst)
    }

    /// Heals what this session did, and ends its own processes.
    async fn leave(&mut self, id: OperationId) {
        self.end_load();
        let own: Vec<_> = std::mem::take(&mut self.own.all);
        let wishes = own
            .iter()
            .flat_map(|fault| fault.nodes.iter().map(|node| (*node, Wish::HealFault { fault: fault.number }, None)));
        let mut wishes: Vec<_> = wishes.collect();
        if self.armed.is_some() {
            wishes.extend(self.nodes.ids().into_iter().map(|node| (node, Wish::Disarm, None)));
        }
        let keeps = self.supervisor.as_ref().is_none_or(Supervisor::keeps);
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.set_stopped(false);
        }
        if keeps && !wishes.is_empty() {
            self.ask_nodes(wishes, HEAL_WITHIN).await;
        }
        let said = match &mut self.supervisor {
            Some(supervisor) => supervisor.end().await,
            None => "left the cluster as it is; the faults of this console are healed".to_owned(),
        };
        self.publish();
        let _ = self.observations.try_send(Observation::Answered { id, answer: Answer::Done(said) });
    }

    fn on_tick(&mut self) {
        self.nodes.look();
        let mut notes = Vec::new();
        if let Some(supervisor) = &mut self.supervisor {
            for (node, why) in supervisor.poll() {
                tracing::info!(%node, %why, "a process has ended");
                if !why.is_empty() {
                    notes.push((node, why));
                }
            }
        }
        for (node, note) in notes {
            self.tell(What::Note { node, note });
        }
        for id in self.nodes.ids() {
            match self.nodes.live(id) {
                Some(line) => self.clients.open_door(id, Door(line.asker())),
                None => self.clients.close_door(id),
            }
        }
        let (happened, missed) = self.nodes.take_happened(self.clock.now_us());
        self.miss(missed);
        let many = !happened.is_empty();
        for one in happened {
            self.on_happened(one);
        }
        if self.load.as_ref().is_some_and(|(_, load)| load.view(0).is_none()) {
            self.load = None;
        }
        self.keep_armed();
        self.keep_faults();
        if self.nodes.has_news() || many || self.published_at.elapsed() >= VIEW_AT_LEAST_EVERY {
            self.publish();
        }
        self.settle_pending();
        self.settle_waits();
    }

    fn on_happened(&mut self, happened: Happened) {
        let Happened { at_us, mut what, .. } = happened;
        let masks = self.masks_values();
        if let What::Applied { index, after, command, .. } = &mut what {
            // Who told before may have told it already.
            if *index <= self.applied_told {
                return;
            }
            let told = std::mem::replace(&mut self.applied_told, *index);
            if told > Index::ZERO {
                // Applied when nobody was there who told this console.
                self.miss(after.0.saturating_sub(told.0));
            }
            if masks {
                // Here, before it is handed to anybody, so that no screen, line or log can forget to.
                *command = kv::mask_values(command);
            }
        }
        self.tell_at(at_us, what);
    }

    /// A gap in the numbers shows where something is missing.
    fn miss(&mut self, count: u64) {
        // Nodes are not believed beyond what can be counted.
        let count = count.min(u64::from(u32::MAX));
        self.missed = self.missed.saturating_add(count);
        self.happened = self.happened.saturating_add(count);
    }

    fn tell(&mut self, what: What) {
        self.tell_at(self.clock.now_us(), what);
    }

    fn tell_at(&mut self, at_us: u64, what: What) {
        self.happened += 1;
        let happened = Arc::new(Happened { number: self.happened, at_us, what });
        // Answers need room too: events give way before the queue is full.
        let room = self.observations.capacity() > OBSERVATIONS_MAX / 4;
        if !room || self.observations.try_send(Observation::Happened(happened)).is_err() {
            self.missed += 1;
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

    fn real_us(&self) -> u64 {
        self.started.elapsed().as_micros() as u64
    }

    fn settle_waits(&mut self) {
        if self.waits.is_empty() {
            return;
        }
        let view = self.published.borrow().clone();
        let fresh = |node: NodeId, moment: Instant| {
            let Some(heard) = self.nodes.live(node).map(nodes::NodeLine::heard) else { return false };
            let after = FRESH_AFTER + Duration::from_micros(heard.round_trip_us.unwrap_or(0));
            heard.heard_at.is_some_and(|at| at > moment + after) && self.published_at > moment + after
        };
        for (id, answer) in waits::settle(&mut self.waits, &view, fresh) {
            self.answer(id, answer);
        }
    }

    /// Nodes that came back hear that the session is armed.
    fn keep_armed(&mut self) {
        if self.armed.as_ref().is_some_and(|armed| armed.until <= Instant::now()) {
            self.armed = None;
        }
        let own = self.supervisor.is_some();
        let wish = match &self.armed {
            _ if own => Wish::Arm {
                access: Access::Chaos,
                duration_ms: OWN_ARM.as_millis() as u64,
                reason: "the console's own cluster".into(),
            },
            Some(armed) => Wish::Arm {
                access: armed.access,
                duration_ms: (armed.until.saturating_duration_since(Instant::now()).as_millis() as u64).max(1),
                reason: armed.reason.clone(),
            },
            None => return,
        };
        let mut wishes = Vec::new();
        for node in self.nodes.ids() {
            let Some(epoch) = self.nodes.greeted(node) else { continue };
            let told = self.told_armed.get(&node);
            let lasts = |at: &Instant| !own || at.elapsed() < OWN_ARM / 2;
            if !told.is_some_and(|(told, at)| *told == epoch && lasts(at)) {
                self.told_armed.insert(node, (epoch, Instant::now()));
                wishes.push((node, wish.clone(), None));
            }
        }
        if !wishes.is_empty() {
            let asked = self.ask_nodes(wishes, ANSWER_WITHIN);
            tokio::spawn(async move {
                for (node, refused) in operations::refusals(&asked.await) {
                    tracing::warn!(%node, %refused, "not armed");
                }
            });
        }
    }

    /// Puts this console's faults where they should be and are not.
    fn keep_faults(&mut self) {
        if self.own.all.is_empty() {
            return;
        }
        let (mut live, mut pictures) = (BTreeMap::new(), BTreeMap::new());
        for node in self.nodes.ids() {
            if let Some(epoch) = self.nodes.greeted(node) {
                live.insert(node, epoch);
                let picture = self.nodes.live(node).and_then(|line| line.heard().picture);
                pictures.extend(picture.map(|picture| (node, picture)));
            }
        }
        self.own.forget_healed(self.session, &pictures);
        for (node, fault) in self.own.due(&live) {
            let number = fault.number;
            let Some(epoch) = live.get(&node).copied() else { continue };
            let asked = self.ask_nodes(vec![(node, Wish::Fault(fault), None)], ANSWER_WITHIN);
            let then = self.then.clone();
            tokio::spawn(async move {
                let taken = operations::refusals(&asked.await).is_empty();
                // A hub that has ended keeps no faults.
                let _ = then.send(Box::new(move |hub| {
                    if let Some(fault) = hub.own.get(number) {
                        fault.place(node, epoch, taken);
                    }
                }));
            });
        }
    }

    fn masks_values(&self) -> bool {
        self.spec.masks_values(self.nodes.lines().iter().map(|line| line.address.as_str()))
    }

    fn mode(&self) -> Mode {
        match (&self.supervisor, &self.armed) {
            (Some(_), _) => Mode::Own,
            (None, Some(armed)) => {
                let left_us = armed.until.saturating_duration_since(Instant::now()).as_micros() as u64;
                Mode::Armed { access: armed.access, left_us, reason: armed.reason.clone() }
            }
            (None, None) => Mode::Observe,
        }
    }

    /// The most that can be armed; as long as no node has said what it grants, what it was asked for.
    fn may(&self) -> Access {
        if self.supervisor.is_some() {
            return Access::Chaos;
        }
        let granted = |line: &nodes::NodeLine| line.heard().welcome.map(|welcome| welcome.access);
        let most = self.nodes.lines().iter().filter_map(granted).max();
        most.map_or(self.spec.access, |most| most.min(self.spec.access))
    }

    fn node_views(&mut self) -> Vec<NodeView> {
        let mut views = self.nodes.views();
        if let Some(supervisor) = &self.supervisor {
            for id in supervisor.ids() {
                if !views.iter().any(|view| view.id == id) {
                    views.push(NodeView { life: Life::Starting, ..view::unknown(id) });
                }
            }
            views.sort_by_key(|view| view.id);
            for view in &mut views {
                if let Some(life) = supervisor.life(view) {
                    view.life = life;
                }
            }
        }
        views
    }

    fn picture(&mut self) -> ClusterView {
        self.views += 1;
        let nodes = self.node_views();
        let pictures = self.nodes.pictures();
        let (now_us, stopped) = self.clock.read();
        let (mut faults, told) = self.reported.merge(&pictures, &self.faults, now_us);
        if self.supervisor.is_some() {
            // The console renews them for as long as it lives, and nobody else is asked for.
            for fault in &mut faults {
                (fault.left_us, fault.by) = (None, None);
            }
        }
        self.faults.clone_from(&faults);
        for what in told {
            self.tell(What::Faults { what });
        }
        let mut links: Vec<LinkState> = Vec::new();
        for state in pictures.iter().flat_map(|picture| &picture.links) {
            if !links.contains(state) {
                links.push(*state);
            }
        }
        let mut alarms = self.nodes.alarms();
        alarms.extend(pictures.iter().flat_map(|picture| picture.alarms.iter().cloned()));
        let bytes = self.nodes.bytes();
        // Lines that were closed take their counts with them.
        self.traffic.add(bytes.saturating_sub(self.traffic_before));
        self.traffic_before = bytes;
        let election_timeout_ticks = Options::new(NodeId(1), Configuration::first(1)).election_timeout_ticks;
        let chaos = self.nodes.lines().iter().any(|line| line.heard().welcome.is_some_and(|welcome| welcome.chaos));
        let dropped = pictures.iter().fold(self.missed, |sum, picture| sum.saturating_add(picture.dropped_details));
        ClusterView {
            version: self.views,
            name: self.name(),
            now_us,
            real_us: self.real_us(),
            pace: self.pace,
            stopped,
            seed: self.supervisor.as_ref().map_or(0, Supervisor::seed),
            writes: view::writes(&nodes, stopped, election_timeout_ticks),
            nodes,
            faults,
            links,
            load: self.load.as_ref().and_then(|(_, load)| load.view(now_us)),
            clients: self.clients.view(now_us),
            data_dir: self.supervisor.as_ref().map_or_else(|| self.spec.addresses.join(", "), Supervisor::data_dir),
            dropped_details: dropped,
            held: if self.supervisor.is_some() { Held::Processes } else { Held::Remote },
            mode: self.mode(),
            chaos,
            may: self.may(),
            // The lowest bit of its id is the cluster's key.
            chaos_allowed: self.nodes.cluster.as_ref().is_some_and(|(cluster, _)| cluster & 1 == 1),
            alarms,
            values_masked: self.masks_values(),
            console_bytes_per_second: Some(self.traffic.per_second(self.real_us()) as u64),
        }
    }

    fn name(&self) -> String {
        let own = self.supervisor.as_ref().map(|_| super::process::CLUSTER.to_owned());
        let heard = self.nodes.cluster.as_ref().map(|(_, name)| name.clone());
        heard.or(own).unwrap_or_default()
    }

    fn publish(&mut self) {
        let picture = self.picture();
        // What ends at the end has not crashed.
        for node in &picture.nodes {
            let before = self.lives.get(&node.id);
            // What was never tried to the end is no news.
            if before.is_none() && nodes::is_being_tried(&node.life) {
                continue;
            }
            let changed = before.is_none_or(|life| std::mem::discriminant(life) != std::mem::discriminant(&node.life));
            if changed && !self.ended {
                self.lives.insert(node.id, node.life.clone());
                self.tell(What::Life { node: node.id, life: node.life.clone() });
            }
        }
        self.published_at = Instant::now();
        self.published.send_replace(Arc::new(picture));
    }
}
