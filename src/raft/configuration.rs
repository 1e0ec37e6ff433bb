//! Who the members are and what a majority of them is (paper §5.1, §5.2, §5.3).
//!
//! The set is fixed for now: membership changes (thesis chapter 4) belong in this file.
//!
//! Kept true: any two majorities of one configuration share a member.
//! Not here: settings of a node (`Options` in `interface.rs`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::types::{Index, NodeId};
use crate::mutants;

/// The voting members, sorted, without duplicates, never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<NodeId>", into = "Vec<NodeId>")]
pub struct Configuration {
    voters: Vec<NodeId>,
}

/// A configuration that arrived in bytes has no voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a configuration needs a voter")]
pub struct NobodyVotes;

impl TryFrom<Vec<NodeId>> for Configuration {
    type Error = NobodyVotes;

    fn try_from(voters: Vec<NodeId>) -> Result<Self, NobodyVotes> {
        if voters.is_empty() { Err(NobodyVotes) } else { Ok(Self::new(voters)) }
    }
}

impl From<Configuration> for Vec<NodeId> {
    fn from(configuration: Configuration) -> Self {
        configuration.voters
    }
}

impl Configuration {
    /// The configuration with these voters.
    ///
    /// # Panics
    /// When `voters` is empty: a cluster of nobody cannot be asked for anything.
    #[must_use]
    pub fn new(voters: impl IntoIterator<Item = NodeId>) -> Self {
        let mut voters: Vec<_> = voters.into_iter().collect();
        voters.sort_unstable();
        voters.dedup();
        assert!(!voters.is_empty(), "a configuration needs a voter");
        Self { voters }
    }

    /// Voters `n1` to `n{count}`.
    #[must_use]
    pub fn first(count: u64) -> Self {
        Self::new((1..=count).map(NodeId))
    }

    /// The voters in rising order.
    #[must_use]
    pub fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// The voters but `node`.
    pub(super) fn without(&self, node: NodeId) -> Arc<[NodeId]> {
        self.voters.iter().copied().filter(|voter| *voter != node).collect()
    }

    /// Whether `node` votes.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.voters.binary_search(&node).is_ok()
    }

    /// How many voters make a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        let even = self.voters.len().is_multiple_of(2);
        self.voters.len() / 2 + usize::from(!(even && mutants::on("M05")))
    }

    /// Whether the voters for which `says_yes` holds are a majority.
    pub fn is_majority(&self, says_yes: impl Fn(NodeId) -> bool) -> bool {
        self.voters.iter().filter(|voter| says_yes(**voter)).count() >= self.majority()
    }

    /// The highest index that a majority has reached, given how far each voter is.
    pub fn majority_index(&self, reached: impl Fn(NodeId) -> Index) -> Index {
        let mut all: Vec<_> = self.voters.iter().map(|voter| reached(*voter)).collect();
        all.sort_unstable();
        all[all.len() - self.majority() + usize::from(mutants::on("M18") && all.len() > 1)]
    }
}
