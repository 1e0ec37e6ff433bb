//! The members of an attached cluster, and the lines to them.
//!
//! Kept true: all members are looked for that any node names; a node that is not heard is never called crashed, for
//! whether it runs cannot be known from here; another cluster's nodes are never mixed in.
//! Not here: connections (`control/client.rs`), what is asked of nodes (`operations.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use crate::cluster::local::view::unknown;
use crate::control::client::{Asker, Heard, Line, LineSpec, State, Told};
use crate::control::protocol::{Detail, Member, Picture, Standing};
use crate::control::{Alarm, Happened, Life, NodeView, Reach, What, admit};
use crate::raft::{Epoch, NodeId, Role, Term};

/// Most things that happened which are taken from one line at a time.
const TAKEN_AT_ONCE: usize = 1_024;

/// Most terms of which it is remembered who led.
const LED_MAX: usize = 1_000;

/// So many alarms about leaders are kept, the first: one is enough to stop a cluster.
const TWO_LEADERS_MAX: usize = 8;

/// Said of a node before the first try has come to its end.
const CONNECTING: &str = "connecting";

/// Whether nothing is known of a node yet, because it is being dialled for the first time.
pub(super) fn is_being_tried(life: &Life) -> bool {
    matches!(life, Life::Unreachable { why, .. } if why == CONNECTING)
}

pub(super) struct NodeLine {
    pub(super) address: String,
    line: Line,
    /// How far the console's clock is ahead of the node's in this life of it, in microseconds.
    ahead_us: Option<(Epoch, i64)>,
    heard: tokio::sync::watch::Receiver<Heard>,
}

impl NodeLine {
    pub(super) fn heard(&self) -> Heard {
        self.heard.borrow().clone()
    }

    pub(super) fn asker(&self) -> Asker {
        self.line.asker()
    }

    pub(super) fn is_live(&self) -> bool {
        self.heard.borrow().state == State::Live
    }

    fn node(&self) -> Option<NodeId> {
        self.heard.borrow().welcome.as_ref().map(|welcome| welcome.node)
    }
}

/// Lines to all members that are known.
pub(super) struct Nodes {
    spec: LineSpec,
    started: Instant,
    lines: Vec<NodeLine>,
    members: BTreeMap<NodeId, Member>,
    /// Which cluster, once any node has told; and its name.
    pub(super) cluster: Option<(u128, String)>,
    /// Addresses that are not of this cluster, and what is said of them.
    foreign: BTreeMap<String, Alarm>,
    /// Who led which term, to see what cannot be.
    led: BTreeMap<Term, NodeId>,
    two_leaders: Vec<Alarm>,
    /// Since when a member is not heard that has no line.
    unheard_since: BTreeMap<NodeId, u64>,
    /// The node that is asked to tell of clients' commands.
    teller: Option<NodeId>,
}

impl Nodes {
    /// Opens lines to these addresses.
    pub(super) fn new(spec: LineSpec, addresses: &[String], started: Instant) -> Self {
        let mut nodes = Self {
            spec,
            started,
            lines: Vec::new(),
            members: BTreeMap::new(),
            cluster: None,
            foreign: BTreeMap::new(),
            led: BTreeMap::new(),
            two_leaders: Vec::new(),
            unheard_since: BTreeMap::new(),
            teller: None,
        };
        for address in addresses {
            nodes.open(address);
        }
        nodes
    }

    fn open(&mut self, address: &str) {
        if self.lines.iter().any(|line| line.address == address) || self.lines.len() >= admit::MEMBERS_MAX {
            return;
        }
        let line = Line::open(LineSpec { address: address.to_owned(), ..self.spec.clone() });
        self.lines.push(NodeLine { address: address.to_owned(), heard: line.heard(), line, ahead_us: None });
    }

    pub(super) fn lines(&self) -> &[NodeLine] {
        &self.lines
    }

    /// The line to a node: one that is live, if there is one.
    pub(super) fn line(&self, node: NodeId) -> Option<&NodeLine> {
        let mut of_node = self.lines.iter().filter(|line| line.node() == Some(node));
        let first = of_node.next()?;
        if first.is_live() { Some(first) } else { of_node.find(|line| line.is_live()).or(Some(first)) }
    }

    pub(super) fn live(&self, node: NodeId) -> Option<&NodeLine> {
        self.line(node).filter(|line| line.is_live())
    }

    /// All members, by id.
    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.members.keys().copied().collect()
    }

    /// The facts on which something is decided about a node.
    pub(super) fn standing(&self, node: NodeId) -> Option<Standing> {
        let heard = self.live(node)?.heard();
        let view = &heard.picture.as_ref()?.view;
        Some(Standing { epoch: view.epoch, term: view.term, role: view.role })
    }

    /// The node that calls itself leader in the newest term.
    pub(super) fn leader(&self) -> Option<NodeId> {
        let live = self.lines.iter().filter(|line| line.is_live());
        let leads = |line: &NodeLine| {
            let heard = line.heard.borrow();
            let view = &heard.picture.as_ref()?.view;
            (view.role == Role::Leader).then_some((view.term, view.id))
        };
        live.filter_map(leads).max().map(|(_, node)| node)
    }

    /// Looks who is there, opens lines to members that became known, closes those that are of no use.
    pub(super) fn look(&mut self) {
        self.refuse_foreign();
        let mut wanted = BTreeSet::new();
        for heard in self.lines.iter().map(NodeLine::heard) {
            let of_welcome = heard.welcome.iter().flat_map(|welcome| &welcome.members);
            let of_picture = heard.picture.iter().flat_map(|picture| &picture.members);
            for member in of_welcome.chain(of_picture) {
                if let Some(address) = &member.control_address {
                    wanted.insert((member.id, address.clone()));
                }
                if self.members.len() < admit::MEMBERS_MAX || self.members.contains_key(&member.id) {
                    let known = self.members.entry(member.id).or_insert_with(|| member.clone());
                    if member.control_address.is_some() {
                        *known = member.clone();
                    }
                }
            }
        }
        for (node, address) in wanted {
            if self.live(node).is_none() && !self.foreign.contains_key(&address) {
                self.open(&address);
            }
        }
        self.drop_doubles();
        self.watch_leaders();
        self.choose_teller();
    }

    /// All nodes apply the same commands: the leader, which is the first, tells of them; while there is none, who told
    /// before, or any.
    fn choose_teller(&mut self) {
        let Detail::Events { every_ms } = self.spec.detail else { return };
        let anyone = || self.lines.iter().filter(|line| line.is_live()).find_map(NodeLine::node);
        let before = self.teller.filter(|node| self.live(*node).is_some());
        self.teller = self.leader().or(before).or_else(anyone);
        for line in &self.lines {
            let tells = self.teller.is_some() && line.node() == self.teller;
            line.line.follow(if tells { Detail::Everything { every_ms } } else { self.spec.detail });
        }
    }

    fn refuse_foreign(&mut self) {
        let mut foreign = Vec::new();
        for (place, line) in self.lines.iter().enumerate() {
            let Some(welcome) = line.heard.borrow().welcome.clone() else { continue };
            let (cluster, name) = self.cluster.get_or_insert_with(|| (welcome.cluster, welcome.name.clone()));
            if welcome.cluster != *cluster {
                let text = format!(
                    "{} is {} of another cluster ({}), not of {name}: it is left out; attach to it by itself",
                    line.address, welcome.node, welcome.name
                );
                foreign.push((place, Alarm { node: welcome.node, text }));
            }
        }
        for (place, alarm) in foreign.into_iter().rev() {
            let line = self.lines.remove(place);
            self.foreign.insert(line.address, alarm);
        }
    }

    /// Of several live lines to one node the first stays; where one is live, dead ones to it go.
    fn drop_doubles(&mut self) {
        let mut served = BTreeSet::new();
        let live: BTreeSet<_> = self.lines.iter().filter(|line| line.is_live()).filter_map(NodeLine::node).collect();
        self.lines.retain(|line| match line.node() {
            Some(node) if live.contains(&node) => line.is_live() && served.insert(node),
            Some(_) | None => true,
        });
    }

    fn watch_leaders(&mut self) {
        for line in self.lines.iter().filter(|line| line.is_live()) {
            let heard = line.heard.borrow();
            let Some(picture) = &heard.picture else { continue };
            let view = &picture.view;
            if view.role != Role::Leader {
                continue;
            }
            let led = *self.led.entry(view.term).or_insert(view.id);
            if led != view.id {
                let text = format!(
                    "{} and {led} both led term {}: that cannot be (§5.2); stop the cluster and keep its disks and logs",
                    view.id, view.term
                );
                let alarm = Alarm { node: view.id, text };
                if !self.two_leaders.contains(&alarm) && self.two_leaders.len() < TWO_LEADERS_MAX {
                    self.two_leaders.push(alarm);
                }
            }
        }
        while self.led.len() > LED_MAX {
            self.led.pop_first();
        }
    }

    /// What the console itself finds wrong.
    pub(super) fn alarms(&self) -> Vec<Alarm> {
        self.foreign.values().chain(&self.two_leaders).cloned().collect()
    }

    /// What happened since it was asked last, in the order of the console's clock; and how much was missed.
    pub(super) fn take_happened(&mut self, now_us: u64) -> (Vec<Happened>, u64) {
        let (mut happened, mut missed) = (Vec::new(), 0_u64);
        for line in &mut self.lines {
            // Each node counts from its own start; the picture that was fastest on its way tells best how far its clock is
            // from this one. Clocks that run apart are followed slowly.
            let picture = line.heard.borrow().picture.clone();
            if let Some(picture) = picture {
                let sample = now_us.cast_signed().saturating_sub(picture.now_us.cast_signed());
                let epoch = picture.view.epoch;
                let ahead = match line.ahead_us {
                    Some((of, ahead)) if of == epoch && ahead < sample => {
                        ahead.saturating_add(sample.saturating_sub(ahead) / 8)
                    }
                    Some(_) | None => sample,
                };
                line.ahead_us = Some((epoch, ahead));
            }
            let ahead = line.ahead_us.map_or(0, |(_, ahead)| ahead);
            for _ in 0..TAKEN_AT_ONCE {
                match line.line.happened().try_recv() {
                    Ok(Told::Happened(mut one)) => {
                        let at_us = one.at_us.cast_signed().saturating_add(ahead);
                        one.at_us = at_us.clamp(0, now_us.cast_signed()).cast_unsigned();
                        happened.push(one);
                    }
                    Ok(Told::Missed(count)) => missed = missed.saturating_add(count),
                    Err(_) => break,
                }
            }
        }
        happened.retain(|one| {
            matches!(one.what, What::Node { .. } | What::Note { .. } | What::Applied { .. } | What::Dropped { .. })
        });
        happened.sort_by_key(|one| one.at_us);
        (happened, missed)
    }

    /// Whether anything was heard since this was asked last.
    pub(super) fn has_news(&mut self) -> bool {
        let mut news = false;
        for line in &mut self.lines {
            // Closed only when the line is dropped.
            if line.heard.has_changed().unwrap_or(false) {
                line.heard.mark_unchanged();
                line.heard.borrow_and_update();
                news = true;
            }
        }
        news
    }

    /// Newest pictures of the nodes that are there.
    pub(super) fn pictures(&self) -> Vec<Arc<Picture>> {
        let live = self.lines.iter().filter(|line| line.is_live());
        live.filter_map(|line| line.heard.borrow().picture.clone()).collect()
    }

    /// Bytes read and written over all lines.
    pub(super) fn bytes(&self) -> u64 {
        let bytes = |line: &NodeLine| {
            let heard = line.heard.borrow();
            heard.bytes_in + heard.bytes_out
        };
        self.lines.iter().map(bytes).sum()
    }

    /// The life of a node that greeted last, if it is there now.
    pub(super) fn greeted(&self, node: NodeId) -> Option<Epoch> {
        self.live(node)?.heard.borrow().welcome.as_ref().map(|welcome| welcome.epoch)
    }

    /// All members as they are known from here.
    pub(super) fn views(&mut self) -> Vec<NodeView> {
        let ids = self.ids();
        ids.into_iter().map(|id| self.view(id)).collect()
    }

    fn since_us(&self, moment: Instant) -> u64 {
        moment.saturating_duration_since(self.started).as_micros() as u64
    }

    fn view(&mut self, id: NodeId) -> NodeView {
        let now_us = self.since_us(Instant::now());
        let member = self.members.get(&id);
        let known_address = member.and_then(|member| member.control_address.clone());
        let Some(line) = self.line(id) else {
            let trying = known_address.as_ref().and_then(|address| self.lines.iter().find(|l| l.address == *address));
            let (why, since) = match (trying.map(|line| line.heard.borrow().state.clone()), &known_address) {
                (Some(State::Lost { why, since, .. }), _) => (why, Some(since)),
                (Some(State::Connecting | State::Live), _) | (None, Some(_)) => (CONNECTING.to_owned(), None),
                (None, None) => {
                    ("no node has told yet where it listens to consoles: name its address too".to_owned(), None)
                }
            };
            let reach = Reach { address: known_address.unwrap_or_default(), ..Reach::default() };
            let since_us = match since {
                Some(since) => self.since_us(since),
                None => *self.unheard_since.entry(id).or_insert(now_us),
            };
            return NodeView { life: Life::Unreachable { since_us, why }, reach: Some(reach), ..unknown(id) };
        };
        let heard = line.heard();
        let address = line.address.clone();
        self.unheard_since.remove(&id);
        let welcome = heard.welcome.as_deref();
        let of_this_life =
            heard.picture.as_ref().is_some_and(|picture| Some(picture.view.epoch) == welcome.map(|it| it.epoch));
        let mut view = heard.picture.as_ref().map_or_else(|| unknown(id), |picture| picture.view.clone());
        // Whatever its picture says, it is who it greeted as.
        view.id = id;
        view.life = match heard.state {
            State::Live if of_this_life => view.life,
            State::Live | State::Connecting => Life::Starting,
            State::Lost { why, since, .. } => Life::Unreachable { since_us: self.since_us(since), why },
        };
        view.reach = Some(Reach {
            address,
            age_us: heard.heard_at.map(|at| at.elapsed().as_micros() as u64),
            round_trip_us: heard.round_trip_us,
            version: welcome.map(|welcome| welcome.program.clone()).unwrap_or_default(),
            chaos: welcome.map(|welcome| welcome.chaos),
        });
        view
    }
}
