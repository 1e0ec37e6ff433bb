//! What a fault takes away: nothing that matters, the leader, or the quorum; and what is to be expected then.
//!
//! An estimate, from what is heard now: nodes of which nothing is heard are counted as not there.
//!
//! Kept true: a link that an operation would only slow beyond an election timeout counts as cut; what mends is no danger.
//! Not here: who is asked (`dialog.rs`).

use crate::control::{ClusterView, Held, LinkRule, NodeView, Operation, Target};
use crate::raft::NodeId;
use crate::tui::clean::clean;
use crate::tui::command;

/// Cluster time of a tick, in microseconds.
const TICK_US: u64 = 10_000;
/// The shortest election timeout, where none is reported.
const TIMEOUT_TICKS: u64 = 15;
/// Every message, in a million.
const ALL_LOST: u32 = 1_000_000;

/// What would be done, and lost. Its texts are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Danger {
    /// The line that asks for it.
    pub line: String,
    /// What it is done to.
    pub object: String,
    /// How many nodes it takes from those that could lead.
    pub count: String,
    /// How long it lasts.
    pub lasts: &'static str,
    /// What is to be expected.
    pub forecast: String,
    /// The leader goes.
    pub leader: bool,
    /// Nobody can be elected any more.
    pub quorum: bool,
    /// What is to be typed; nothing, where neither would be lost.
    pub wants: String,
}

impl Danger {
    /// Whether neither the leader nor the quorum would be lost.
    #[must_use]
    pub const fn is_mild(&self) -> bool {
        !self.leader && !self.quorum
    }
}

/// The operation with `leader` replaced by who leads now: what is confirmed is what is done.
#[must_use]
pub fn resolve(view: &ClusterView, mut operation: Operation) -> Operation {
    if let Operation::Crash(target)
    | Operation::Pause(target)
    | Operation::Isolate(target)
    | Operation::FailDisk(target) = &mut operation
        && *target == Target::Leader
        && let Some(leader) = view.leader()
    {
        *target = Target::Node(leader.id);
    }
    operation
}

/// Nodes and links as they would be.
struct After<'a> {
    view: &'a ClusterView,
    /// Nodes that it names.
    hit: Vec<NodeId>,
    gone: Vec<NodeId>,
    cut: Vec<(NodeId, NodeId)>,
    /// Links that it does something to, whether or not that cuts them.
    touched: Vec<(NodeId, NodeId)>,
    /// Cuts of now do not stay.
    replaces: bool,
}

impl<'a> After<'a> {
    fn now(view: &'a ClusterView) -> Self {
        Self { view, hit: Vec::new(), gone: Vec::new(), cut: Vec::new(), touched: Vec::new(), replaces: false }
    }

    fn is_able(&self, node: &NodeView) -> bool {
        node.is_running() && !node.quarantined && !self.gone.contains(&node.id)
    }

    fn passes(&self, from: NodeId, to: NodeId) -> bool {
        let whole = |rule| rule == LinkRule::Cut { kind: None };
        !self.cut.contains(&(from, to)) && (self.replaces || !self.view.rules_on(from, to).any(whole))
    }

    /// Who could lead: those that speak with a majority, both ways.
    fn could_lead(&self) -> Vec<NodeId> {
        let able: Vec<NodeId> = self.view.nodes.iter().filter(|node| self.is_able(node)).map(|node| node.id).collect();
        let met = |one: NodeId| {
            able.iter().filter(|other| **other == one || self.passes(one, **other) && self.passes(**other, one)).count()
        };
        able.iter().copied().filter(|one| met(*one) >= self.view.quorum()).collect()
    }
}

fn hit(view: &ClusterView, target: Target) -> Vec<NodeId> {
    match target {
        Target::Node(node) => vec![node],
        Target::Leader => view.leader().map(|leader| leader.id).into_iter().collect(),
        Target::All => view.nodes.iter().map(|node| node.id).collect(),
    }
}

/// Whether a rule keeps a leader from being heard in time.
fn severs(view: &ClusterView, rule: LinkRule) -> bool {
    match rule {
        LinkRule::Cut { .. } => true,
        LinkRule::Loss { per_million } => per_million >= ALL_LOST,
        LinkRule::Delay { delay_us, .. } => {
            let timeouts = view.nodes.iter().map(|node| node.election_timeout).filter(|ticks| *ticks > 0);
            delay_us >= timeouts.min().unwrap_or(TIMEOUT_TICKS) * TICK_US
        }
        LinkRule::Duplicate { .. } | LinkRule::Reorder { .. } => false,
    }
}

fn after<'a>(view: &'a ClusterView, operation: &Operation) -> Option<After<'a>> {
    let ids: Vec<NodeId> = view.nodes.iter().map(|node| node.id).collect();
    let pairs = || ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to))).filter(|(from, to)| from != to);
    let mut after = After::now(view);
    match operation {
        Operation::Crash(target) | Operation::Pause(target) | Operation::FailDisk(target) => {
            after.hit = hit(view, *target);
            after.gone.clone_from(&after.hit);
        }
        Operation::Isolate(target) => {
            let hit = hit(view, *target);
            after.cut = pairs().filter(|(from, to)| hit.contains(from) || hit.contains(to)).collect();
            after.hit = hit;
        }
        Operation::Partition(groups) => {
            // One group alone means these against all others; nodes in none of several are alone.
            let rest = groups.len();
            let side = |id: &NodeId| groups.iter().position(|group| group.contains(id)).unwrap_or(rest);
            let apart = |from: &NodeId, to: &NodeId| side(from) != side(to) || rest > 1 && side(from) == rest;
            after.cut = pairs().filter(|(from, to)| apart(from, to)).collect();
            after.replaces = true;
        }
        Operation::Link { links, rule } => {
            after.touched = pairs().filter(|(from, to)| links.covers(*from, *to)).collect();
            if severs(view, *rule) {
                after.cut.clone_from(&after.touched);
            }
        }
        Operation::SlowDisk { node, .. } => after.hit = hit(view, *node),
        Operation::Submit { .. }
        | Operation::Read { .. }
        | Operation::Unpause(_)
        | Operation::Restart(_)
        | Operation::Heal
        | Operation::HealLinks(_)
        | Operation::Load { .. }
        | Operation::LoadStop
        | Operation::Wait { .. }
        | Operation::Status
        | Operation::Stop
        | Operation::Resume
        | Operation::Pace(_)
        | Operation::Arm { .. }
        | Operation::Disarm
        | Operation::Quit => return None,
    }
    Some(after)
}

fn names(ids: &[NodeId]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// What an operation would take away, if it takes the leader or the quorum.
#[must_use]
pub fn of(view: &ClusterView, operation: &Operation) -> Option<Danger> {
    weigh(view, operation).filter(|danger| !danger.is_mild())
}

/// What an operation would do, if it is a fault.
#[must_use]
pub fn weigh(view: &ClusterView, operation: &Operation) -> Option<Danger> {
    let now = After::now(view);
    let then = after(view, operation)?;
    let (before, left) = (now.could_lead(), then.could_lead());
    let takes_node = view.nodes.iter().any(|node| node.is_running() && then.gone.contains(&node.id));
    let takes_link = then.cut.iter().any(|(from, to)| now.passes(*from, *to));
    // What is there already takes nothing.
    let takes = takes_node || takes_link;
    let leader = view.leader().filter(|_| takes);
    let lost = leader
        .filter(|leader| then.gone.contains(&leader.id) || before.contains(&leader.id) && !left.contains(&leader.id));
    let quorum = takes && left.is_empty();
    let cluster = clean(&view.name).trim().to_owned();
    let wants = match lost {
        None if !quorum => String::new(),
        Some(leader) if !quorum => leader.id.to_string(),
        _ if cluster.is_empty() => String::from("quorum"),
        _ => cluster,
    };
    let taken = before.iter().filter(|id| !left.contains(id)).count();
    let object = match (then.hit.as_slice(), lost) {
        ([], Some(leader)) => format!("links of {}, which leads term {}", leader.id, leader.term),
        ([], None) => links(&then),
        ([one], Some(leader)) if *one == leader.id => format!("{one}, which leads term {}", leader.term),
        (hit, _) if then.cut.is_empty() => names(hit),
        (hit, _) => format!("{}: {}", names(hit), links(&then)),
    };
    let lasts = if matches!(operation, Operation::Pause(_)) {
        "until somebody lets it go on (P)"
    } else if then.gone.is_empty() {
        "until it is healed (H), its time is over, or this console is gone"
    } else if view.held == Held::Remote {
        "until somebody starts it again on its own machine"
    } else {
        "until somebody restarts it (r)"
    };
    Some(Danger {
        line: command::line(operation),
        object,
        count: format!("{taken} of {} nodes leave the majority", view.nodes.len()),
        lasts,
        forecast: if lost.is_none() && !quorum { mild(view, &left) } else { forecast(view, &then, lost, &left) },
        leader: lost.is_some(),
        quorum,
        wants,
    })
}

/// Links that it does something to, in each direction.
fn links(then: &After<'_>) -> String {
    let touched = if then.touched.is_empty() { &then.cut } else { &then.touched };
    match touched.as_slice() {
        [(from, to)] => format!("the link {from}>{to}"),
        many => format!("{} links", many.len()),
    }
}

/// What is to be expected where neither leader nor quorum is lost.
fn mild(view: &ClusterView, left: &[NodeId]) -> String {
    let quorum = view.quorum();
    match view.leader() {
        _ if left.is_empty() => String::from("nobody could lead before, and nobody can then"),
        None => format!("quorum {quorum} kept by {}; nobody leads now", names(left)),
        Some(leader) => format!("quorum {quorum} kept by {}; {} goes on leading", names(left), leader.id),
    }
}

fn forecast(view: &ClusterView, then: &After<'_>, lost: Option<&NodeView>, left: &[NodeId]) -> String {
    let quorum = view.quorum();
    let mut said = vec![if left.is_empty() {
        format!("NOBODY can lead: no {quorum} nodes would reach each other. Writes stall until that is undone")
    } else {
        format!("{} can elect a new leader (quorum {quorum}); writes wait until they have", names(left))
    }];
    if let Some(leader) = lost.filter(|leader| !then.gone.contains(&leader.id)) {
        said.push(format!("{} calls itself leader until it notices; what only it accepted can be lost", leader.id));
    }
    let silent: Vec<NodeId> = view
        .nodes
        .iter()
        .filter(|node| matches!(node.life, crate::control::Life::Unreachable { .. }))
        .map(|node| node.id)
        .collect();
    if !silent.is_empty() {
        said.push(format!("Nothing is heard of {}: counted as not there", names(&silent)));
    }
    said.join(". ")
}
