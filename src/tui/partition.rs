//! The draft of a partition: which node is to be in which group.
//!
//! Kept true: a draft is only a wish; nothing changes in the cluster until it is applied.
//! Not here: its keys (`update/partition.rs`), its picture (`view/partition.rs`).

use crate::control::{ClusterView, LinkRule};
use crate::raft::NodeId;

/// How many groups there are: a to f.
pub const GROUPS: usize = 6;

/// Where a node is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// In the group with this number, from 0.
    Group(usize),
    /// Reachable from nobody.
    Alone,
}

/// Ready-made drafts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The smaller half with the leader, and the rest: the leader loses its majority.
    LeaderInMinority,
    /// The smaller half without the leader, and the rest: the leader keeps its majority.
    LeaderInMajority,
    /// The leader, and all others.
    LeaderAlone,
    /// Three groups as equal as can be.
    ThreeWay,
}

impl Preset {
    /// All, in the order in which a key goes through them.
    pub const ALL: [Self; 4] = [Self::LeaderInMinority, Self::LeaderInMajority, Self::LeaderAlone, Self::ThreeWay];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeaderInMinority => "leader in the minority",
            Self::LeaderInMajority => "leader in the majority",
            Self::LeaderAlone => "leader alone",
            Self::ThreeWay => "three groups",
        }
    }
}

/// What a group could do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strength {
    /// Members of the group.
    pub members: usize,
    /// Those that run and may vote.
    pub able: usize,
    /// How many make a majority of the cluster.
    pub quorum: usize,
    /// The present leader is among them.
    pub leads: bool,
}

impl Strength {
    /// Whether the group can elect a leader and commit.
    #[must_use]
    pub const fn has_quorum(self) -> bool {
        self.able >= self.quorum
    }
}

/// A partition being drawn up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Each member and where it is put, by id.
    pub places: Vec<(NodeId, Side)>,
    /// Which member keys move.
    pub cursor: usize,
    /// The preset that was taken last.
    pub preset: Option<Preset>,
    /// Why it was not applied.
    pub complaint: Option<&'static str>,
}

impl Draft {
    /// A draft of what holds now: nodes that reach each other, over others too, are in one group.
    #[must_use]
    pub fn of(view: &ClusterView) -> Self {
        let ids: Vec<NodeId> = view.nodes.iter().map(|node| node.id).collect();
        let cut = |from, to| view.rules_on(from, to).any(|rule| matches!(rule, LinkRule::Cut { kind: None }));
        let mut group: Vec<Option<usize>> = vec![None; ids.len()];
        let mut groups = 0;
        for start in 0..ids.len() {
            if group[start].is_some() {
                continue;
            }
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                if group[at].is_some() {
                    continue;
                }
                group[at] = Some(groups);
                open.extend((0..ids.len()).filter(|&to| group[to].is_none() && !cut(ids[at], ids[to])));
            }
            groups += 1;
        }
        let side = |group: Option<usize>| group.filter(|&group| group < GROUPS).map_or(Side::Alone, Side::Group);
        let places = ids.into_iter().zip(group.into_iter().map(side)).collect();
        Self { places, cursor: 0, preset: None, complaint: None }
    }

    /// Puts all nodes into one group.
    pub fn clear(&mut self) {
        for (_, side) in &mut self.places {
            *side = Side::Group(0);
        }
        self.preset = None;
    }

    /// Takes the preset after the last one.
    pub fn next_preset(&mut self, view: &ClusterView) {
        let next =
            self.preset.and_then(|preset| Preset::ALL.iter().position(|one| *one == preset)).map_or(0, |at| at + 1);
        let preset = Preset::ALL[next % Preset::ALL.len()];
        let leader = view.leader().map(|leader| leader.id).or_else(|| self.places.first().map(|(id, _)| *id));
        let (small, count) = ((self.places.len().saturating_sub(1)) / 2, self.places.len());
        let mut others = 0;
        for (at, (id, side)) in self.places.iter_mut().enumerate() {
            let leads = Some(*id) == leader;
            let place = others;
            others += usize::from(!leads);
            *side = Side::Group(match preset {
                Preset::LeaderInMinority => usize::from(!leads && place + 1 >= small.max(1)),
                Preset::LeaderInMajority => usize::from(leads || place >= small),
                Preset::LeaderAlone => usize::from(!leads),
                Preset::ThreeWay => at * 3 / count.max(1),
            });
        }
        self.preset = Some(preset);
    }

    /// Members of a side, by id.
    #[must_use]
    pub fn members(&self, wanted: Side) -> Vec<NodeId> {
        self.places.iter().filter(|(_, side)| *side == wanted).map(|(id, _)| *id).collect()
    }

    /// What an operation would be given: the groups that are not empty; who is in none is alone.
    #[must_use]
    pub fn groups(&self) -> Vec<Vec<NodeId>> {
        (0..GROUPS).map(|group| self.members(Side::Group(group))).filter(|members| !members.is_empty()).collect()
    }

    /// Whether it cuts any link at all.
    #[must_use]
    pub fn cuts(&self) -> bool {
        let first = self.places.first().map(|(_, side)| *side);
        self.places.iter().any(|(_, side)| *side == Side::Alone && self.places.len() > 1 || Some(*side) != first)
    }

    /// What these nodes could do by themselves.
    #[must_use]
    pub fn strength(members: &[NodeId], view: &ClusterView) -> Strength {
        let able = |id: &&NodeId| view.node(**id).is_some_and(|node| node.is_running() && !node.quarantined);
        Strength {
            members: members.len(),
            able: members.iter().filter(able).count(),
            quorum: view.quorum(),
            leads: view.leader().is_some_and(|leader| members.contains(&leader.id)),
        }
    }
}
