//! What must hold between nodes at all times (paper Figure 3), checked after every step of a cluster of cores.
//!
//! Kept true: a broken law panics with its name, at the step that broke it.

use std::collections::BTreeMap;

use raft_tui::raft::event::EventKind;
use raft_tui::raft::message::{AppendOutcome, SnapshotOutcome};
use raft_tui::raft::{Digest, Entry, Envelope, Index, LogPosition, Message, NodeId, Outcome, Term, Ticket};

use super::cores::Core;
use super::parts::Stored;

#[derive(Clone, Default)]
pub struct Laws {
    leaders: BTreeMap<Term, NodeId>,
    votes: BTreeMap<(NodeId, Term), NodeId>,
    chains: BTreeMap<LogPositionKey, Digest>,
    /// Chain of each committed entry.
    pub committed: BTreeMap<Index, (Digest, Term)>,
    told: BTreeMap<NodeId, Index>,
    digests: BTreeMap<Index, Digest>,
    /// What was committed anywhere when a read was asked for.
    reads: BTreeMap<Ticket, Index>,
    /// For tests in which somebody breaks the rules of Raft.
    pub violations_are_expected: bool,
}

type LogPositionKey = (u64, u64);

fn key(position: LogPosition) -> LogPositionKey {
    (position.index.0, position.term.0)
}

impl Laws {
    /// Log Matching: an index and a term name one entry with one history, in the whole cluster, for ever (T-10).
    pub fn appended(&mut self, entry: &Entry) {
        let known = *self.chains.entry(key(entry.position())).or_insert(entry.chain);
        assert_eq!(known, entry.chain, "Log Matching: two entries are {} (T-10)", entry.position());
    }

    pub fn applied(&mut self, id: NodeId, index: Index, digest: Digest) {
        let known = *self.digests.entry(index).or_insert(digest);
        assert_eq!(known, digest, "State Machine Safety: {id} has another state after entry {index}");
    }

    pub fn asked(&mut self, read: Ticket) {
        self.reads.insert(read, self.committed.last_key_value().map_or(Index::ZERO, |(index, _)| *index));
    }

    /// Linearizability of reads: a read sees everything that was committed before it was asked for.
    pub fn answered(&mut self, id: NodeId, ticket: Ticket, outcome: &Outcome) {
        if let Outcome::ReadReady(index) = outcome {
            let floor = self.reads.remove(&ticket).unwrap_or_else(|| panic!("read {ticket} is answered twice"));
            assert!(*index >= floor, "{id} reads at {index}; {floor} was committed when {ticket} was asked for");
        }
    }

    pub fn event(&mut self, id: NodeId, term: Term, event: &EventKind, nodes: &BTreeMap<NodeId, Core>) {
        match event {
            EventKind::Started { snapshot, .. } => {
                self.told.insert(id, *snapshot);
            }
            EventKind::BecameLeader => {
                let known = *self.leaders.entry(term).or_insert(id);
                assert_eq!(known, id, "Election Safety: {known} and {id} lead term {term}");
                self.leader_has_all_that_is_committed(id, &nodes[&id]);
            }
            EventKind::Violated { evidence } => {
                assert!(self.violations_are_expected, "{id} halts: {evidence}");
            }
            EventKind::Committed { index } => self.commit(id, term, *index, nodes),
            EventKind::SnapshotInstalled { last } => {
                self.told.insert(id, last.index);
            }
            _ => {}
        }
    }

    fn leader_has_all_that_is_committed(&self, id: NodeId, node: &Core) {
        let (Some((index, (chain, _))), Some(raft)) = (self.committed.last_key_value(), &node.raft) else { return };
        let has = match raft.entry(*index) {
            Some(entry) => entry.chain == *chain,
            None => *index < raft.status().first_index,
        };
        assert!(has, "Leader Completeness: {id} leads and does not have the committed entry {index}");
    }

    fn commit(&mut self, id: NodeId, term: Term, index: Index, nodes: &BTreeMap<NodeId, Core>) {
        let Some(raft) = &nodes[&id].raft else { return };
        let told = self.told.get(&id).copied().unwrap_or_default();
        assert!(index > told, "{id} commits {index} again, it was at {told}");
        self.told.insert(id, index);
        for at in told.next().0..=index.0 {
            let Some(entry) = raft.entry(Index(at)) else { continue };
            let this = (entry.chain, entry.term);
            let known = *self.committed.entry(Index(at)).or_insert(this);
            assert_eq!(known, this, "State Machine Safety: {id} commits another entry {at}");
        }
        // The event may be told after the leader was deposed in the same turn; its term tells.
        if raft.is_leader() && raft.current_term() == term {
            let Some(entry) = raft.entry(index) else { return };
            // Who lost it since it acknowledged it cannot vote before it has it again (quarantine).
            let holds = |node: &&Core| node.disk.synced.holds(index, entry.chain) || node.disk.lost;
            let durable = nodes.values().filter(holds).count();
            let need = nodes[&id].options.configuration.majority();
            assert!(durable >= need, "{id} commits {index}, durable on {durable} nodes, {need} are a majority");
            assert_eq!(entry.term, term, "T-33: {id} commits entry {} by counting in term {term}", entry.position());
        }
    }

    /// No promise before persistence: what a message says must be durable at its sender when it leaves.
    pub fn leaves(&mut self, envelope: &Envelope, disk: &Stored) {
        let Envelope { from, to, term, message, .. } = envelope;
        let durable = disk.hard_state;
        match message {
            Message::PreVote { .. } | Message::PreVoteReply { granted: true, .. } => {}
            _ => assert!(
                durable.current_term >= *term,
                "{from} speaks for term {term}, only {} is durable: {envelope}",
                durable.current_term
            ),
        }
        if let Message::AppendEntries(append) = message {
            let mut before = append.prev.index;
            for entry in &append.entries {
                assert_eq!(entry.index, before.next(), "T-41: {from} sends entries with a gap: {envelope}");
                before = entry.index;
            }
        }
        let vote = match message {
            Message::RequestVote { last } => {
                assert!(
                    durable.current_term > *term || *last <= disk.last(),
                    "T-04: {from} asks for votes with {last}, durable is {}",
                    disk.last()
                );
                Some(*from)
            }
            Message::RequestVoteReply { granted: true } => Some(*to),
            _ => None,
        };
        if let Some(whom) = vote {
            assert!(
                durable.current_term > *term || durable.voted_for == Some(whom),
                "T-01: {from} votes for {whom} in term {term}, durable is {durable:?}"
            );
            let known = *self.votes.entry((*from, *term)).or_insert(whom);
            assert_eq!(known, whom, "{from} votes twice in term {term}");
        }
        let acknowledged = match message {
            Message::AppendEntriesReply(reply) => match reply.outcome {
                AppendOutcome::Accepted { match_index } => Some(match_index),
                AppendOutcome::Rejected { .. } | AppendOutcome::NotLooked => None,
            },
            Message::InstallSnapshotReply(reply) => match reply.outcome {
                SnapshotOutcome::Installed { match_index } => Some(match_index),
                SnapshotOutcome::Continue { .. } | SnapshotOutcome::Installing => None,
            },
            _ => None,
        };
        if let Some(index) = acknowledged {
            assert!(
                durable.current_term > *term || index <= disk.last().index,
                "T-05: {from} acknowledges {index}, durable is {}",
                disk.last()
            );
        }
    }
}
