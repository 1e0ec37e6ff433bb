//! Whom an operation means: nodes, links and groups, held against the members that there are.
//!
//! Kept true: what comes out names members only; an error says who they are or what to try.
//! Not here: what is done to them (the hubs).

use std::collections::BTreeSet;

use crate::control::{Links, Target};
use crate::raft::NodeId;

/// The members of a cluster, and who leads it now.
pub(super) struct Members {
    ids: Vec<NodeId>,
    leader: Option<NodeId>,
}

/// The groups of a partition.
pub(super) struct Sides {
    pub(super) groups: Vec<Vec<NodeId>>,
    /// Which of them has a majority, in words.
    pub(super) told: String,
}

/// Nodes one after another, for a sentence.
pub(super) fn names<'a>(nodes: impl IntoIterator<Item = &'a NodeId>) -> String {
    let names: Vec<_> = nodes.into_iter().map(ToString::to_string).collect();
    names.join(" ")
}

impl Members {
    pub(super) fn new(ids: Vec<NodeId>, leader: Option<NodeId>) -> Self {
        Self { ids, leader }
    }

    /// Whether a node that was named is one of them.
    pub(super) fn known(&self, node: Option<NodeId>) -> Result<(), String> {
        match node {
            Some(node) if !self.ids.contains(&node) => {
                Err(format!("there is no {node}; the nodes are {}", names(&self.ids)))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn known_links(&self, links: Links) -> Result<(), String> {
        match links {
            Links::One { from, to } | Links::Between(from, to) => {
                self.known(Some(from))?;
                self.known(Some(to))?;
                if from == to { Err(format!("{from} has no link to itself")) } else { Ok(()) }
            }
            Links::Of(node) => self.known(Some(node)),
            Links::All => Ok(()),
        }
    }

    pub(super) fn targets(&self, target: Target) -> Result<Vec<NodeId>, String> {
        match target {
            Target::Node(node) => self.known(Some(node)).map(|()| vec![node]),
            Target::All => Ok(self.ids.clone()),
            Target::Leader => {
                let leader = self.leader.map(|leader| vec![leader]);
                leader.ok_or_else(|| "no node leads now; `wait leader` waits for one".to_owned())
            }
        }
    }

    /// The sides of a partition. One group alone means: these against all others.
    pub(super) fn sides(&self, groups: &[Vec<NodeId>]) -> Result<Sides, String> {
        let mut seen = BTreeSet::new();
        for node in groups.iter().flatten() {
            self.known(Some(*node))?;
            if !seen.insert(*node) {
                return Err(format!("{node} is in two groups; a node is on one side"));
            }
        }
        let rest: Vec<_> = self.ids.iter().copied().filter(|node| !seen.contains(node)).collect();
        let mut groups = groups.to_vec();
        if groups.len() == 1 && !rest.is_empty() {
            groups.push(rest);
        }
        let quorum = self.ids.len() / 2 + 1;
        let side = |group: &Vec<NodeId>| {
            let has = if group.len() >= quorum { "a majority" } else { "no majority" };
            format!("{} ({has})", names(group))
        };
        let told = format!("cut into {}", groups.iter().map(side).collect::<Vec<_>>().join(" | "));
        Ok(Sides { groups, told })
    }
}
