//! Linearizable reads without a log entry (paper §8; thesis 6.4): ReadIndex, from any node.
//!
//! A leader notes its commit index, makes sure by a round of heartbeats that it still leads, and lets the reader wait
//! until that index is applied. Rounds are numbered by the leader; one round confirms all reads that came before it.
//!
//! Kept true: no read before an entry of the own term is committed; only answers to a round that started after the read
//! came in confirm it.
//! Not here: reading the machine (`node/`).

use std::collections::{BTreeSet, VecDeque};

use super::event::IgnoredWhy;
use super::interface::Outcome;
use super::message::{Envelope, Message};
use super::types::{Epoch, Index, NodeId, Ticket, Ticks};
use super::{Raft, RoleState};
use crate::mutants;

/// Most reads of a node's own clients that wait in it, and most that wait in a leader.
pub const READS_WAITING_MAX: usize = 65_536;

#[derive(Clone, Debug)]
struct Asked {
    /// Whose ticket it is: this node's client, or a follower in one of its lives.
    by: Option<(NodeId, Epoch)>,
    ticket: Ticket,
}

/// Reads that a leader has to confirm.
#[derive(Clone, Debug, Default)]
pub(super) struct LeaderReads {
    /// Came since the last round, or before an entry of the own term was committed.
    unstarted: Vec<Asked>,
    /// Wait for a round: the round, the index to read at, the reads.
    rounds: VecDeque<(u64, Index, Vec<Asked>)>,
}

impl LeaderReads {
    fn waiting(&self) -> usize {
        self.unstarted.len() + self.rounds.iter().map(|(_, _, asked)| asked.len()).sum::<usize>()
    }
}

/// Reads of this node's clients.
#[derive(Clone, Debug, Default)]
pub(super) struct FollowerReads {
    /// Asked of the leader, and when, in that order.
    asked: VecDeque<(Ticket, Ticks)>,
    /// Confirmed, waiting until the index is applied.
    ready: BTreeSet<(Index, Ticket)>,
}

impl Raft {
    pub(super) fn on_read(&mut self, ticket: Ticket) {
        let leader = self.leader;
        if self.pending_reads() >= READS_WAITING_MAX {
            return self.effects.replies.push((ticket, Outcome::ReadAborted { leader }));
        }
        if let RoleState::Leader(state) = &mut self.role {
            return state.reads.unstarted.push(Asked { by: None, ticket });
        }
        match leader {
            Some(leader) => {
                self.reads.asked.push_back((ticket, self.now));
                self.say(leader, Message::ReadIndex { ticket });
            }
            None => self.effects.replies.push((ticket, Outcome::ReadAborted { leader: None })),
        }
    }

    pub(super) fn pending_reads(&self) -> usize {
        let leader = match &self.role {
            RoleState::Leader(leader) => leader.reads.waiting(),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => 0,
        };
        leader + self.reads.asked.len() + self.reads.ready.len()
    }

    /// A follower asks for its client.
    pub(super) fn on_read_index(&mut self, from: NodeId, ticket: Ticket) {
        let Some(epoch) = self.epochs.get(&from).copied() else { return };
        if let RoleState::Leader(leader) = &mut self.role
            && leader.reads.waiting() < READS_WAITING_MAX
        {
            leader.reads.unstarted.push(Asked { by: Some((from, epoch)), ticket });
        }
    }

    /// Starts one round for all reads that came since the last, once an entry of the own term is committed.
    pub(super) fn start_read_round(&mut self) {
        let committed_own_term =
            self.log.term_at(self.commit) == Some(self.hard_state.current_term) || mutants::on("M19");
        let commit = self.commit;
        let RoleState::Leader(leader) = &mut self.role else { return };
        if leader.reads.unstarted.is_empty() || !committed_own_term {
            return;
        }
        let asked = std::mem::take(&mut leader.reads.unstarted);
        let round = if mutants::on("M21") { leader.round.saturating_sub(8) } else { leader.round + 1 };
        leader.reads.rounds.push_back((round, commit, asked));
        self.broadcast_heartbeats();
        self.confirm_reads();
    }

    /// Answers the reads of each round that a majority has answered.
    pub(super) fn confirm_reads(&mut self) {
        let me = self.options.id;
        let mut confirmed = Vec::new();
        let RoleState::Leader(leader) = &mut self.role else { return };
        while let Some((round, _, _)) = leader.reads.rounds.front() {
            let answered = |voter: NodeId| {
                voter == me || leader.progress.get(&voter).is_some_and(|progress| progress.round >= *round)
            };
            if !self.configuration.is_majority(answered) && !mutants::on("M20") {
                break;
            }
            confirmed.extend(leader.reads.rounds.pop_front());
        }
        for (_, index, asked) in confirmed {
            for Asked { by, ticket } in asked {
                match by {
                    Some((node, your_epoch)) => {
                        self.say(node, Message::ReadIndexReply { ticket, your_epoch, index });
                    }
                    None => {
                        self.reads.ready.insert((index, ticket));
                    }
                }
            }
        }
        self.answer_ready_reads();
    }

    pub(super) fn on_read_index_reply(&mut self, envelope: &Envelope, ticket: Ticket, your_epoch: Epoch, index: Index) {
        // Answers come mostly in order, so this looks no further than the first few.
        let asked = self.reads.asked.iter().position(|(asked, _)| *asked == ticket);
        let (Some(place), true) = (asked, your_epoch == self.epoch) else {
            return self.ignore(envelope, IgnoredWhy::LateAnswer);
        };
        self.reads.asked.remove(place);
        self.reads.ready.insert((index, ticket));
        self.answer_ready_reads();
    }

    /// Lets go of the reads whose index is applied.
    pub(super) fn answer_ready_reads(&mut self) {
        while let Some(&(index, ticket)) = self.reads.ready.first() {
            if index > self.applied && !mutants::on("M22") {
                break;
            }
            self.reads.ready.pop_first();
            self.effects.replies.push((ticket, Outcome::ReadReady(self.applied)));
        }
    }

    /// A leader that gives up cannot confirm anything any more; followers give up theirs by themselves.
    pub(super) fn abort_leader_reads(&mut self, reads: LeaderReads, leader: Option<NodeId>) {
        let started = reads.rounds.into_iter().flat_map(|(_, _, asked)| asked);
        for Asked { by, ticket } in started.chain(reads.unstarted) {
            if by.is_none() {
                self.effects.replies.push((ticket, Outcome::ReadAborted { leader }));
            }
        }
    }

    /// Whoever was asked does not lead any more.
    pub(super) fn abort_follower_reads(&mut self, leader: Option<NodeId>) {
        for (ticket, _) in std::mem::take(&mut self.reads.asked) {
            self.effects.replies.push((ticket, Outcome::ReadAborted { leader }));
        }
    }

    /// A question or its answer was lost.
    pub(super) fn expire_follower_reads(&mut self) {
        let patience = 4 * self.options.election_timeout_ticks;
        let leader = self.leader;
        while let Some(&(ticket, asked_at)) = self.reads.asked.front() {
            if self.now - asked_at < patience {
                break;
            }
            self.reads.asked.pop_front();
            self.effects.replies.push((ticket, Outcome::ReadAborted { leader }));
        }
    }
}
