//! What the judge knows of the whole cluster: more than any node can.
//!
//! Kept true: nothing in it was told by a node about itself where the disk or the wire could tell it instead.
//! Not here: verdicts (one file for each property).

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::shadow::{Shadow, Write};
use crate::raft::{Configuration, Digest, Epoch, HardState, Index, NodeId, Term};

/// One node.
#[derive(Clone, Debug, Default)]
pub(super) struct NodePicture {
    pub(super) up: bool,
    pub(super) epoch: Epoch,
    /// The log as the node asked for it in this life.
    pub(super) log: Shadow,
    /// The log that a crash would leave for certain.
    pub(super) durable: Shadow,
    /// Term and vote that a crash would leave for certain.
    pub(super) hard: HardState,
    /// Asked for, not durable yet, oldest first.
    pub(super) asked: VecDeque<Write>,
    /// What it had promised before its disk lost some of it; until it has been brought back.
    pub(super) lost: Option<Shadow>,
    pub(super) quarantined: bool,
    /// Its disk says that it is in quarantine.
    pub(super) marked: bool,
    /// Up to here the log was promised: synced, or loaded by a life. What merely outlived a crash is not.
    pub(super) promised: Index,
    /// Its disk was damaged in a way that no crash explains.
    pub(super) damaged: bool,
    /// The term that it leads.
    pub(super) leads: Option<Term>,
    pub(super) commit: Index,
    pub(super) applied: Index,
    /// The last index of a received snapshot that has been asked for and is not in place yet.
    pub(super) installing: Option<Index>,
    /// Writes of this turn that move the log's start: folded in at its end, for its events speak of what was before.
    pub(super) moved: Vec<Write>,
    /// Lowest index that was truncated in this turn.
    pub(super) truncated: Option<Index>,
}

/// An entry that some node has, or had.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) term: Term,
    pub(super) chain: Digest,
    /// `None` for a no-op.
    pub(super) command: Option<Bytes>,
}

/// The cluster.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) configuration: Configuration,
    nodes: Vec<NodePicture>,
    /// Committed entries by index; the first is the place before the log.
    pub(super) committed: Vec<(Term, Digest)>,
    /// How far the leader of each term has committed.
    pub(super) commits: BTreeMap<Term, Index>,
    /// All entries that were ever written, by index.
    pub(super) entries: Vec<Vec<Known>>,
    /// Fingerprint of the machine after each index, as far as some node told.
    pub(super) digests: Vec<Option<Digest>>,
}

impl Picture {
    pub(super) fn new(configuration: Configuration) -> Self {
        let nodes = configuration.voters().iter().map(|id| id.0 as usize).max().unwrap_or(0);
        Self {
            configuration,
            nodes: vec![NodePicture::default(); nodes],
            committed: vec![(Term::ZERO, Digest::default())],
            commits: BTreeMap::new(),
            entries: vec![Vec::new()],
            digests: vec![None],
        }
    }

    pub(super) fn node(&self, id: NodeId) -> &NodePicture {
        &self.nodes[id.0 as usize - 1]
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> &mut NodePicture {
        &mut self.nodes[id.0 as usize - 1]
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = (NodeId, &NodePicture)> {
        self.nodes.iter().enumerate().map(|(place, node)| (NodeId(place as u64 + 1), node))
    }

    /// How many voters make a majority, counted here and not by those who are judged.
    pub(super) fn majority(&self) -> usize {
        self.configuration.voters().len() / 2 + 1
    }

    /// Last committed index.
    pub(super) fn frontier(&self) -> Index {
        Index(self.committed.len() as u64 - 1)
    }

    pub(super) fn committed_at(&self, index: Index) -> Option<(Term, Digest)> {
        self.committed.get(index.0 as usize).copied()
    }

    pub(super) fn known(&self, index: Index, term: Term) -> Option<&Known> {
        self.entries.get(index.0 as usize)?.iter().find(|known| known.term == term)
    }

    /// Holders whose word counts for a commit: not those that hold it only since they are in quarantine.
    pub(super) fn counted_holders(&self, index: Index, entry: (Term, Digest)) -> Vec<NodeId> {
        let counts = |id: &NodeId| {
            let node = self.node(*id);
            !node.quarantined || node.lost.as_ref().is_some_and(|lost| lost.covers(index, entry))
        };
        self.holders(index, entry).into_iter().filter(counts).collect()
    }

    /// Voters on whose disks this entry is, or was promised to be.
    pub(super) fn holders(&self, index: Index, entry: (Term, Digest)) -> Vec<NodeId> {
        let holds = |id: &NodeId| {
            let node = self.node(*id);
            node.durable.covers(index, entry) || node.lost.as_ref().is_some_and(|lost| lost.covers(index, entry))
        };
        self.configuration.voters().iter().copied().filter(holds).collect()
    }
}

/// Node names for evidence: `n1 n3`.
pub(super) fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
