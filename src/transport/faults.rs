//! What happens to a message on its way: the one interpreter of network faults, pure.
//!
//! [`Rules`] say what each directed link does; [`Faults`] adds the luck of a seed and decides the [`Fate`] of one message
//! after another. The mesh of one process, TCP and the simulator all ask here, so a partition means the same everywhere
//! (the network of paper §2: messages may be lost, delayed, reordered and duplicated, never altered).
//!
//! Kept true: equal seeds, rules and messages give equal fates; each link has a stream of luck of its own and draws as
//! often whatever its rules, so a rule that goes or comes elsewhere does not reshuffle it; a link keeps its order unless
//! a reorder rule fires or its rules change.
//! Not here: who waits until a message is due (`mesh.rs`), what an operator calls it (`control/grammar.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::raft::rng::Rng;
use crate::raft::{MessageKind, NodeId};

/// A set of directed links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Links {
    /// From one node to another, in this direction only.
    One {
        /// Sender.
        from: NodeId,
        /// Receiver.
        to: NodeId,
    },
    /// Both directions between two nodes.
    Between(NodeId, NodeId),
    /// Every link from and to this node.
    Of(NodeId),
    /// Every link.
    All,
}

impl Links {
    /// Whether the link from `from` to `to` is one of them.
    #[must_use]
    pub fn covers(self, from: NodeId, to: NodeId) -> bool {
        match self {
            Self::One { from: one, to: other } => (one, other) == (from, to),
            Self::Between(one, other) => (one, other) == (from, to) || (other, one) == (from, to),
            Self::Of(node) => node == from || node == to,
            Self::All => true,
        }
    }
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One { from, to } => write!(f, "{from}>{to}"),
            Self::Between(one, other) => write!(f, "{one}<>{other}"),
            Self::Of(node) => write!(f, "{node}"),
            Self::All => write!(f, "all"),
        }
    }
}

/// What a link does to the messages that it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkRule {
    /// Nothing passes; or nothing of one kind.
    Cut {
        /// `None`: all kinds.
        kind: Option<MessageKind>,
    },
    /// Each message takes longer by this much, plus up to the jitter.
    Delay {
        /// Microseconds of cluster time.
        delay_us: u64,
        /// Microseconds of cluster time.
        jitter_us: u64,
    },
    /// Messages are lost with this chance.
    Loss {
        /// Of a million.
        per_million: u32,
    },
    /// Messages arrive twice with this chance.
    Duplicate {
        /// Of a million.
        per_million: u32,
    },
    /// Messages overtake others with this chance.
    Reorder {
        /// Of a million.
        per_million: u32,
    },
}

/// All that is done on one directed link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Link {
    cut: bool,
    cut_kinds: BTreeSet<MessageKind>,
    delay_us: u64,
    jitter_us: u64,
    loss: u32,
    duplicate: u32,
    reorder: u32,
}

impl Link {
    fn set(&mut self, rule: LinkRule) {
        match rule {
            LinkRule::Cut { kind: None } => self.cut = true,
            LinkRule::Cut { kind: Some(kind) } => {
                self.cut_kinds.insert(kind);
            }
            LinkRule::Delay { delay_us, jitter_us } => (self.delay_us, self.jitter_us) = (delay_us, jitter_us),
            LinkRule::Loss { per_million } => self.loss = per_million,
            LinkRule::Duplicate { per_million } => self.duplicate = per_million,
            LinkRule::Reorder { per_million } => self.reorder = per_million,
        }
    }

    fn rules(&self) -> Vec<LinkRule> {
        let mut rules = Vec::new();
        if self.cut {
            rules.push(LinkRule::Cut { kind: None });
        }
        rules.extend(self.cut_kinds.iter().map(|kind| LinkRule::Cut { kind: Some(*kind) }));
        if self.delay_us > 0 || self.jitter_us > 0 {
            rules.push(LinkRule::Delay { delay_us: self.delay_us, jitter_us: self.jitter_us });
        }
        if self.loss > 0 {
            rules.push(LinkRule::Loss { per_million: self.loss });
        }
        if self.duplicate > 0 {
            rules.push(LinkRule::Duplicate { per_million: self.duplicate });
        }
        if self.reorder > 0 {
            rules.push(LinkRule::Reorder { per_million: self.reorder });
        }
        rules
    }
}

/// What every directed link between the members does. Clean at first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    base_delay_us: u64,
    members: BTreeSet<NodeId>,
    links: BTreeMap<(NodeId, NodeId), Link>,
}

impl Rules {
    /// Clean links between these members, on which each message takes `base_delay_us` microseconds of cluster time.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = NodeId>, base_delay_us: u64) -> Self {
        Self { base_delay_us, members: members.into_iter().collect(), links: BTreeMap::new() }
    }

    /// Between whom links are.
    pub fn members(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.members.iter().copied()
    }

    /// How long each message takes without any fault, in microseconds of cluster time.
    #[must_use]
    pub const fn base_delay_us(&self) -> u64 {
        self.base_delay_us
    }

    /// Changes how long each message takes without any fault.
    pub fn set_base_delay_us(&mut self, base_delay_us: u64) {
        self.base_delay_us = base_delay_us;
    }

    /// Puts a rule on links. It replaces an earlier rule of the same sort on each of them (cuts of different kinds add
    /// up); a chance or a delay of zero takes that sort away.
    pub fn set(&mut self, links: Links, rule: LinkRule) {
        for pair in self.covered(links) {
            let link = self.links.entry(pair).or_default();
            link.set(rule);
            if *link == Link::default() {
                self.links.remove(&pair);
            }
        }
    }

    /// Cuts every link between nodes of different groups; members named in no group are alone. Earlier cuts stay.
    pub fn partition(&mut self, groups: &[Vec<NodeId>]) {
        let group_of = |node: NodeId| groups.iter().position(|group| group.contains(&node));
        for (from, to) in self.covered(Links::All) {
            if group_of(from).is_none() || group_of(from) != group_of(to) {
                self.set(Links::One { from, to }, LinkRule::Cut { kind: None });
            }
        }
    }

    /// Takes all rules of these links away.
    pub fn heal(&mut self, links: Links) {
        self.links.retain(|(from, to), _| !links.covers(*from, *to));
    }

    /// Whether no link does anything to messages but take its base delay.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.links.is_empty()
    }

    /// Whether nothing at all passes from `from` to `to`.
    #[must_use]
    pub fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.links.get(&(from, to)).is_some_and(|link| link.cut)
    }

    /// Whether messages of `kind` pass from `from` to `to` at all: neither the link nor the kind is cut.
    #[must_use]
    pub fn passes(&self, from: NodeId, to: NodeId, kind: MessageKind) -> bool {
        self.links.get(&(from, to)).is_none_or(|link| !link.cut && !link.cut_kinds.contains(&kind))
    }

    /// Every rule in force, as rules of single directed links, in the order of sender and receiver.
    pub fn list(&self) -> impl Iterator<Item = (Links, LinkRule)> + '_ {
        self.links.iter().flat_map(|((from, to), link)| {
            let links = Links::One { from: *from, to: *to };
            link.rules().into_iter().map(move |rule| (links, rule))
        })
    }

    fn covered(&self, links: Links) -> Vec<(NodeId, NodeId)> {
        let pairs = self.members.iter().flat_map(|from| self.members.iter().map(move |to| (*from, *to)));
        pairs.filter(|(from, to)| from != to && links.covers(*from, *to)).collect()
    }
}

/// Why a message does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropWhy {
    /// Nothing passes.
    Cut,
    /// Nothing of its kind passes.
    CutKind,
    /// Bad luck.
    Loss,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives.
    Deliver {
        /// When, in microseconds of cluster time.
        due_us: u64,
        /// When it arrives once more, if it does; not before `due_us`.
        again_us: Option<u64>,
    },
    /// It does not.
    Drop {
        /// Why.
        why: DropWhy,
    },
}

/// A message that is to be overtaken is held back for up to this many times its usual delay …
const HELD_TIMES: u64 = 4;
/// … or, where that is shorter, of this one: microseconds of cluster time.
const HELD_AT_LEAST_US: u64 = 5_000;

#[derive(Clone, Debug)]
struct Stream {
    luck: Rng,
    /// The last that was sent in order is due then; what is sent later is not due earlier.
    last_due_us: u64,
}

/// Rules and the luck of a seed.
#[derive(Clone, Debug)]
pub struct Faults {
    luck: Rng,
    rules: Rules,
    streams: BTreeMap<(NodeId, NodeId), Stream>,
}

impl Faults {
    /// The faults of `seed`, under these rules.
    #[must_use]
    pub fn new(seed: u64, rules: Rules) -> Self {
        Self { luck: Rng::new(seed), rules, streams: BTreeMap::new() }
    }

    /// The rules in force.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Replaces the rules. On links that change, later messages do not queue behind those under way: a healed link is
    /// fast at once, and what was delayed before arrives when it arrives.
    pub fn set_rules(&mut self, rules: Rules) {
        for (pair, stream) in &mut self.streams {
            if self.rules.base_delay_us != rules.base_delay_us || self.rules.links.get(pair) != rules.links.get(pair) {
                stream.last_due_us = 0;
            }
        }
        self.rules = rules;
    }

    /// Decides what happens to the next message of `kind` from `from` to `to`, sent at `now_us` of cluster time.
    pub fn decide(&mut self, from: NodeId, to: NodeId, kind: MessageKind, now_us: u64) -> Fate {
        let root = &self.luck;
        let label = from.0.rotate_left(32) ^ to.0;
        let stream =
            self.streams.entry((from, to)).or_insert_with(|| Stream { luck: root.fork(label), last_due_us: 0 });
        let clean = Link::default();
        let link = self.rules.links.get(&(from, to)).unwrap_or(&clean);

        // All draws are made for every message, in one order, used or not: see "Kept true".
        let lost = stream.luck.chance_per_million(link.loss);
        let jitter_us = stream.luck.below(link.jitter_us.saturating_add(1));
        let twice = stream.luck.chance_per_million(link.duplicate);
        let again_jitter_us = stream.luck.below(link.jitter_us.saturating_add(1));
        let overtaken = stream.luck.chance_per_million(link.reorder);
        let usual_us = self.rules.base_delay_us.saturating_add(link.delay_us).saturating_add(link.jitter_us);
        let held_us = stream.luck.below(usual_us.max(HELD_AT_LEAST_US).saturating_mul(HELD_TIMES)).saturating_add(1);

        if link.cut {
            return Fate::Drop { why: DropWhy::Cut };
        }
        if link.cut_kinds.contains(&kind) {
            return Fate::Drop { why: DropWhy::CutKind };
        }
        if lost {
            return Fate::Drop { why: DropWhy::Loss };
        }
        let sure_us = now_us.saturating_add(self.rules.base_delay_us).saturating_add(link.delay_us);
        let in_order_us = sure_us.saturating_add(jitter_us).max(stream.last_due_us);
        let due_us = if overtaken {
            in_order_us.saturating_add(held_us)
        } else {
            stream.last_due_us = in_order_us;
            in_order_us
        };
        // The copy is not kept in order: it stands for a message that was sent again.
        let again_us = twice.then(|| sure_us.saturating_add(again_jitter_us).max(due_us));
        Fate::Deliver { due_us, again_us }
    }
}
