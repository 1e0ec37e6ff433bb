//! Leader election (paper §5.2, §5.4.1), PreVote (thesis 9.6), CheckQuorum and stickiness (thesis 6.2, 4.2.3).
//!
//! A node that hears no leader first asks whether it could win; only a yes of a majority lets it raise its term. A voter
//! answers a pre-vote without changing anything. A node that hears a leader refuses candidates, so that a node which was
//! cut off cannot depose a leader that works.
//!
//! Kept true: one vote a term, durable before it is told, the own one included; a vote goes only to a log that is at
//! least as up to date.
//! Not here: what a new leader sends (`replication.rs`).

use std::collections::BTreeMap;

use super::event::{EventKind, IgnoredWhy, Refusal, StepDown};
use super::message::{Envelope, Message};
use super::types::{Index, LogPosition, NodeId, Term};
use super::{Leader, Progress, Raft, RoleState, read};
use crate::mutants;

/// An election, or the asking before it.
#[derive(Clone, Debug)]
pub(super) struct Campaign {
    pub(super) term: Term,
    /// One answer a voter; the own one when it is durable.
    pub(super) votes: BTreeMap<NodeId, bool>,
    /// The write that carries the own vote.
    pub(super) own_vote_write: Option<u64>,
}

impl Raft {
    /// Starts the election timer anew with a timeout between one and two election timeouts (§5.2).
    pub(super) fn reset_election_timer(&mut self) {
        self.timer_reset_at = self.now;
        let base = self.options.election_timeout_ticks;
        self.election_timeout = if mutants::on("M29") { base } else { base + self.rng.below(base) };
    }

    pub(super) fn election_elapsed(&self) -> u64 {
        self.now - self.timer_reset_at
    }

    /// Whether a leader other than `candidate` leads or was heard within the shortest election timeout.
    pub(super) fn hears_other_leader(&self, candidate: NodeId) -> bool {
        self.options.check_quorum
            && self.leader.is_some_and(|leader| leader != candidate)
            && (self.is_leader() || self.now - self.leader_heard_at < self.options.election_timeout_ticks)
    }

    pub(super) fn tick_election(&mut self) {
        if self.election_elapsed() < self.election_timeout {
            return;
        }
        let waited_ticks = self.election_elapsed();
        // Not while the own vote, or anything else, has been stuck in the disk that long: a new term would be stuck too.
        let disk_stuck =
            self.unsynced.front().is_some_and(|(_, asked_at)| self.now - asked_at >= self.election_timeout);
        let own_vote_pending = match &self.role {
            RoleState::Candidate(campaign) => campaign.own_vote_write.is_some(),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Leader(_) => false,
        };
        self.reset_election_timer();
        if self.quarantined
            || self.installing.is_some()
            || self.wait_for_disk
            || disk_stuck
            || own_vote_pending
            || !self.configuration.contains(self.options.id)
        {
            return;
        }
        self.emit(EventKind::ElectionTimeout { waited_ticks });
        if self.options.pre_vote { self.ask_before_campaigning() } else { self.campaign() }
    }

    fn ask_before_campaigning(&mut self) {
        let term = self.hard_state.current_term.next();
        self.abort_follower_reads(None);
        self.leader = None;
        let votes = BTreeMap::from([(self.options.id, true)]);
        self.role = RoleState::PreCandidate(Campaign { term, votes, own_vote_write: None });
        self.emit(EventKind::BecamePreCandidate { campaign_term: term });
        let last = self.log.last();
        let after = self.promise();
        for &peer in &*self.peers() {
            self.send(peer, term, Message::PreVote { last }, after);
        }
        self.decide_election();
    }

    /// Raises the term, votes for itself and asks for votes; all of it leaves when the vote is durable (§5.2).
    fn campaign(&mut self) {
        let term = self.hard_state.current_term.next();
        self.adopt_term(term);
        self.hard_state.voted_for = Some(self.options.id);
        self.abort_follower_reads(None);
        self.leader = None;
        self.reset_election_timer();
        let own_vote_write = Some(self.writes + 1);
        self.role = RoleState::Candidate(Campaign { term, votes: BTreeMap::new(), own_vote_write });
        self.emit(EventKind::BecameCandidate);
        // This waits for the sync of all writes before it too, so `last` is durable when the message leaves.
        let last = self.log.last();
        for &peer in &*self.peers() {
            self.say(peer, Message::RequestVote { last });
        }
    }

    pub(super) fn count_own_vote(&mut self, number: u64) {
        if let RoleState::Candidate(campaign) = &mut self.role
            && campaign.own_vote_write.is_some_and(|write| write <= number)
        {
            campaign.own_vote_write = None;
            campaign.votes.insert(self.options.id, true);
            self.decide_election();
        }
    }

    /// Whether this node would refuse anybody its vote now, for a log or a life that cannot be trusted.
    fn refusal_for(&self, candidate: NodeId, last: LogPosition) -> Option<Refusal> {
        if self.quarantined && !mutants::on("Q01") {
            return Some(Refusal::Quarantined);
        }
        if self.hears_other_leader(candidate) {
            return self.leader.map(Refusal::HearsLeader);
        }
        let behind = if mutants::on("M03") { last.index < self.log.last().index } else { last < self.log.last() };
        (behind && !mutants::on("M02")).then_some(Refusal::LogBehind)
    }

    /// Answers without changing anything here: no term, no vote, no timer.
    pub(super) fn on_pre_vote(&mut self, candidate: NodeId, campaign_term: Term, last: LogPosition) {
        if mutants::on("M24") && campaign_term > self.hard_state.current_term {
            self.adopt_term(campaign_term);
            self.step_down(StepDown::HigherTerm, None);
        }
        let refusal = if campaign_term <= self.hard_state.current_term {
            Some(Refusal::OldTerm)
        } else {
            self.refusal_for(candidate, last)
        };
        let granted = refusal.is_none();
        match refusal {
            None => self.emit(EventKind::PreVoteGranted { candidate }),
            Some(why) => self.emit(EventKind::VoteRefused { candidate, pre: true, why }),
        }
        let term = if granted { campaign_term } else { self.hard_state.current_term };
        let after = self.promise();
        self.send(candidate, term, Message::PreVoteReply { campaign_term, granted }, after);
    }

    pub(super) fn on_pre_vote_reply(&mut self, envelope: &Envelope, campaign_term: Term, granted: bool) {
        // A refusal speaks for the voter's own term, which may free a node that is behind (T-17).
        if !granted && envelope.term > self.hard_state.current_term && !mutants::on("M25") {
            self.adopt_term(envelope.term);
            return self.step_down(StepDown::HigherTerm, None);
        }
        match &mut self.role {
            RoleState::PreCandidate(campaign) if campaign.term == campaign_term => {
                campaign.votes.entry(envelope.from).or_insert(granted);
                self.tell_count(envelope.from, granted, true);
                self.decide_election();
            }
            RoleState::PreCandidate(_) | RoleState::Follower | RoleState::Candidate(_) | RoleState::Leader(_) => {
                self.ignore(envelope, IgnoredWhy::LateAnswer);
            }
        }
    }

    /// Refuses a candidate without even looking at its term: there is a leader (thesis 4.2.3).
    pub(super) fn refuse_undisturbed(&mut self, candidate: NodeId) {
        if let Some(leader) = self.leader {
            self.emit(EventKind::VoteRefused { candidate, pre: false, why: Refusal::HearsLeader(leader) });
        }
    }

    pub(super) fn on_request_vote(&mut self, candidate: NodeId, last: LogPosition) {
        let refusal = match (self.hard_state.voted_for, self.leader) {
            (Some(other), _) if other != candidate && !mutants::on("M17") => Some(Refusal::AlreadyVoted(other)),
            (_, Some(leader)) if leader != candidate => Some(Refusal::HearsLeader(leader)),
            (Some(_) | None, Some(_) | None) => self.refusal_for(candidate, last),
        };
        if let Some(why) = refusal {
            self.emit(EventKind::VoteRefused { candidate, pre: false, why });
            return self.say(candidate, Message::RequestVoteReply { granted: false });
        }
        if self.hard_state.voted_for.is_none() {
            self.hard_state.voted_for = Some(candidate);
            self.hard_state_changed = true;
            self.emit(EventKind::Voted { candidate });
        }
        self.reset_election_timer();
        let after = if mutants::on("M01") { None } else { self.promise() };
        self.send(candidate, self.hard_state.current_term, Message::RequestVoteReply { granted: true }, after);
    }

    pub(super) fn on_request_vote_reply(&mut self, envelope: &Envelope, granted: bool) {
        match &mut self.role {
            RoleState::Candidate(campaign) => {
                campaign.votes.entry(envelope.from).or_insert(granted);
                self.tell_count(envelope.from, granted, false);
                self.decide_election();
            }
            RoleState::PreCandidate(_) | RoleState::Follower | RoleState::Leader(_) => {
                self.ignore(envelope, IgnoredWhy::LateAnswer);
            }
        }
    }

    fn tell_count(&mut self, from: NodeId, granted: bool, pre: bool) {
        let (RoleState::Candidate(campaign) | RoleState::PreCandidate(campaign)) = &self.role else { return };
        let have = campaign.votes.values().filter(|yes| **yes).count();
        let need = self.configuration.majority();
        self.emit(EventKind::VoteCounted { from, granted, pre, have, need });
    }

    fn decide_election(&mut self) {
        let (RoleState::Candidate(campaign) | RoleState::PreCandidate(campaign)) = &self.role else { return };
        let won = self.configuration.is_majority(|voter| campaign.votes.get(&voter) == Some(&true));
        let lost = self.configuration.is_majority(|voter| campaign.votes.get(&voter) == Some(&false));
        let real = matches!(self.role, RoleState::Candidate(_));
        match (won, lost, real) {
            (true, _, true) => self.become_leader(),
            (true, _, false) => self.campaign(),
            // Somebody else may win; the timer goes on.
            (false, true, _) => self.become_follower(None),
            (false, false, _) => {}
        }
    }

    fn become_leader(&mut self) {
        let next_index = self.log.last().index.next();
        let progress = self
            .peers()
            .iter()
            .map(|&peer| {
                let epoch = self.epochs.get(&peer).copied().unwrap_or_default();
                (peer, Progress::new(epoch, next_index, self.now))
            })
            .collect();
        let uncommitted_bytes = self.uncommitted_bytes_in_log();
        self.leader = Some(self.options.id);
        self.receiving = None;
        self.role = RoleState::Leader(Leader {
            progress,
            heartbeat_at: self.now + self.options.heartbeat_ticks,
            round: 0,
            reads: read::LeaderReads::default(),
            uncommitted_bytes,
        });
        self.emit(EventKind::BecameLeader);
        // §8: a leader learns what is committed by committing an entry of its own term; never refused, however busy.
        if !mutants::on("M19") {
            self.append(super::EntryKind::NoOp, 0, bytes::Bytes::new());
        }
    }

    /// Gives up when no majority has answered within an election timeout, or the own disk holds everybody up.
    pub(super) fn check_quorum(&mut self) {
        let RoleState::Leader(leader) = &self.role else { return };
        let me = self.options.id;
        let timeout = self.options.election_timeout_ticks;
        let heard = |voter: NodeId| {
            voter == me || leader.progress.get(&voter).is_some_and(|peer| peer.silent_ticks(self.now) < timeout)
        };
        if self.options.check_quorum && !self.configuration.is_majority(heard) && !mutants::on("M27") {
            return self.step_down(StepDown::LostQuorum, None);
        }
        let stalled_after = self.options.disk_stall_ticks.max(2 * timeout);
        let stalled = self.unsynced.front().is_some_and(|(_, asked_at)| self.now - asked_at > stalled_after);
        let durable: Index = self.log.durable();
        let others_go_on = self
            .configuration
            .is_majority(|voter| leader.progress.get(&voter).is_some_and(|peer| peer.counted_match() > durable));
        if stalled && others_go_on && !mutants::on("M28") {
            self.wait_for_disk = true;
            self.step_down(StepDown::DiskStalled, None);
        }
    }
}
