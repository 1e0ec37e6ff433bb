//! Log replication (paper §5.3; thesis §10.2.1): both sides, because they are two halves of one argument.
//!
//! The leader copies its log to followers with AppendEntries; a follower accepts only what continues a prefix it shares,
//! and says so only once that is durable. A heartbeat is an AppendEntries without entries whose `prev` is the last thing
//! sent, so that lost messages and lost logs are noticed within one heartbeat.
//!
//! Kept true: an acknowledgement covers `prev + entries` of its own request and nothing else (Log Matching, Figure 3);
//! entries at or below the commit index are never removed.
//! Not here: when an entry counts as committed (`commit.rs`), what to do when the log is gone (`snapshot.rs`).

use bytes::Bytes;

use super::entry::{Entry, EntryKind};
use super::event::{EventKind, IgnoredWhy, Mode, StepDown};
use super::message::{AppendEntries, AppendEntriesReply, AppendOutcome, Envelope, Message, MessageKind};
use super::types::{Index, LogPosition, NodeId, Term};
use super::{Progress, Raft, RoleState};
use crate::mutants;

/// The stream of messages that are only a sign of life.
const SIGN_OF_LIFE: u64 = 0;

// The leader's side.
impl Raft {
    /// Adds an entry of the own term to the log.
    pub(super) fn append(&mut self, kind: EntryKind, proposed_at_us: u64, command: Bytes) -> LogPosition {
        let position = LogPosition { index: self.log.last().index.next(), term: self.hard_state.current_term };
        let before_us =
            self.log.last_proposed_at_us().or_else(|| self.snapshot.as_ref().map(|meta| meta.proposed_at_us));
        let proposed_at_us = proposed_at_us.max(before_us.unwrap_or(0));
        let entry = Entry::chained(self.log.last_chain(), position, kind, proposed_at_us, command);
        if let RoleState::Leader(leader) = &mut self.role {
            leader.uncommitted_bytes += entry.cost_bytes();
        }
        self.log.append(entry);
        self.emit(EventKind::Appended { first: position, last: position });
        position
    }

    pub(super) fn tick_leader(&mut self) {
        self.check_quorum();
        let now = self.now;
        let timeout = self.options.election_timeout_ticks;
        let RoleState::Leader(leader) = &mut self.role else { return };
        let mut silent = Vec::new();
        for (peer, progress) in &mut leader.progress {
            // What is in flight to somebody who does not answer is as good as lost.
            if progress.mode != Mode::Probe && progress.silent_ticks(now) >= timeout {
                let next_index = progress.match_index.next();
                progress.probe(next_index);
                silent.push(*peer);
            }
        }
        let heartbeat_due = now >= leader.heartbeat_at;
        for peer in silent {
            self.emit(EventKind::PeerMode { peer, mode: Mode::Probe });
        }
        if heartbeat_due {
            self.broadcast_heartbeats();
        }
    }

    /// A new round: whoever answers it has seen this node lead after everything that came before.
    pub(super) fn broadcast_heartbeats(&mut self) {
        let next_heartbeat = self.now + self.options.heartbeat_ticks;
        let RoleState::Leader(leader) = &mut self.role else { return };
        leader.round += 1;
        leader.heartbeat_at = next_heartbeat;
        for &peer in &*self.peers() {
            self.send_heartbeat(peer);
        }
    }

    fn send_heartbeat(&mut self, peer: NodeId) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        let prev = progress.next_index.previous();
        match progress.mode {
            Mode::Snapshot => {
                self.send_sign_of_life(peer);
                self.resume_snapshot(peer);
            }
            Mode::Probe | Mode::Replicate if self.log.term_at(prev).is_some() => {
                progress.probing = true;
                self.send_append(peer, prev, Vec::new());
            }
            Mode::Probe | Mode::Replicate => {
                progress.probing = false;
                self.send_sign_of_life(peer);
                self.send_entries(peer);
            }
        }
    }

    fn send_sign_of_life(&mut self, peer: NodeId) {
        let RoleState::Leader(leader) = &self.role else { return };
        let message = Message::AppendEntries(AppendEntries {
            prev: LogPosition::ZERO,
            prev_chain: None,
            entries: Vec::new(),
            commit: Index::ZERO,
            stream: SIGN_OF_LIFE,
            round: leader.round,
            your_epoch: leader.progress.get(&peer).map(|progress| progress.epoch).unwrap_or_default(),
            applied: None,
        });
        self.say(peer, message);
    }

    fn send_append(&mut self, peer: NodeId, prev: Index, entries: Vec<Entry>) {
        let commit = self.commit;
        let prev_term = self.log.term_at(prev).expect("what goes out continues an entry that is known");
        let prev_chain = self.log.chain_at(prev);
        let applied = self.machine.latest_digest();
        let RoleState::Leader(leader) = &mut self.role else { return };
        let round = leader.round;
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        progress.told_commit = commit;
        let message = Message::AppendEntries(AppendEntries {
            prev: LogPosition { index: prev, term: prev_term },
            prev_chain,
            entries,
            commit,
            stream: progress.stream,
            round,
            your_epoch: progress.epoch,
            applied,
        });
        self.say(peer, message);
    }

    /// Sends what the follower's mode and window allow.
    pub(super) fn send_entries(&mut self, peer: NodeId) {
        loop {
            let RoleState::Leader(leader) = &mut self.role else { return };
            let Some(progress) = leader.progress.get_mut(&peer) else { return };
            let next = progress.next_index;
            let prev = next.previous();
            // Even when the window is full: what is in flight may be lost, and cannot be asked for again (T-67).
            if progress.mode != Mode::Snapshot && self.log.term_at(prev).is_none() {
                return self.start_snapshot(peer);
            }
            let room = match progress.mode {
                Mode::Probe => !progress.probing,
                Mode::Replicate => {
                    progress.window_has_room(self.options.window_messages, self.options.window_bytes)
                        && next <= self.log.last().index
                }
                Mode::Snapshot => false,
            };
            if !room {
                return;
            }
            let entries = self.log.slice(next, self.options.append_entries_max, self.options.append_bytes_max);
            match (progress.mode, entries.last()) {
                (Mode::Replicate, Some(last)) => {
                    progress.sent(last.index, entries.iter().map(Entry::cost_bytes).sum());
                }
                (Mode::Replicate | Mode::Probe | Mode::Snapshot, _) => progress.probing = true,
            }
            self.send_append(peer, prev, entries);
        }
    }

    /// What a leader has to say at the end of a turn.
    pub(super) fn flush_leader(&mut self) {
        if !self.is_leader() {
            return;
        }
        self.start_read_round();
        for &peer in &*self.peers() {
            self.send_entries(peer);
            self.tell_commit(peer);
        }
    }

    /// An idle follower hears of a new commit index at once; a busy one with the next entries.
    fn tell_commit(&mut self, peer: NodeId) {
        let commit = self.commit;
        let RoleState::Leader(leader) = &self.role else { return };
        let Some(progress) = leader.progress.get(&peer) else { return };
        let idle = progress.mode == Mode::Replicate && progress.in_flight().0 == 0;
        let prev = progress.next_index.previous();
        if idle && progress.told_commit < commit && self.log.term_at(prev).is_some() {
            self.send_append(peer, prev, Vec::new());
        }
    }

    pub(super) fn on_append_entries_reply(&mut self, envelope: &Envelope, reply: &AppendEntriesReply) {
        let now = self.now;
        let last = self.log.last().index;
        let RoleState::Leader(leader) = &mut self.role else {
            return self.ignore(envelope, IgnoredWhy::LateAnswer);
        };
        let newest_round = leader.round;
        let Some(progress) = leader.progress.get_mut(&envelope.from) else { return };
        if reply.round > newest_round {
            return self.ignore(envelope, IgnoredWhy::Malformed);
        }
        progress.heard_at = now;
        progress.counted = reply.counted;
        progress.round = progress.round.max(reply.round);
        match reply.outcome {
            AppendOutcome::NotLooked => {}
            AppendOutcome::Accepted { match_index } if match_index > last => {
                return self.ignore(envelope, IgnoredWhy::Malformed);
            }
            AppendOutcome::Accepted { match_index } => {
                self.on_accepted(envelope.from, reply.stream, match_index);
            }
            AppendOutcome::Rejected { prev, hint } => self.on_rejected(envelope, reply.stream, prev, hint),
        }
        self.confirm_reads();
    }

    fn on_accepted(&mut self, peer: NodeId, stream: u64, match_index: Index) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&peer) else { return };
        progress.matched(match_index);
        // An answer of this very probe says where the logs agree, even if not all of that is durable there yet.
        if progress.mode == Mode::Probe && stream == progress.stream && progress.probing {
            progress.replicate();
            self.emit(EventKind::PeerMode { peer, mode: Mode::Replicate });
        }
        self.advance_commit();
    }

    fn on_rejected(&mut self, envelope: &Envelope, stream: u64, prev: Index, hint: LogPosition) {
        let RoleState::Leader(leader) = &mut self.role else { return };
        let Some(progress) = leader.progress.get_mut(&envelope.from) else { return };
        // Within one life a follower never loses what it acknowledged, so such an answer is old.
        let late = stream != progress.stream
            || prev <= progress.match_index
            || (progress.mode == Mode::Probe && prev != progress.next_index.previous());
        if late {
            return self.ignore(envelope, IgnoredWhy::LateAnswer);
        }
        if mutants::on("M12") {
            progress.match_index = hint.index;
        }
        let lost = (hint.index < progress.former_match).then_some(progress.former_match);
        if lost.is_some() {
            progress.former_match = Index::ZERO;
        }
        // At most one probe a term: the follower skipped its terms above `prev.term`, we skip ours above `hint.term`.
        let base = self.log.base().position.index;
        let agree = if prev <= base || hint.index < base {
            // Below what this log remembers: only a snapshot reaches down there.
            base.previous()
        } else {
            self.log.last_at_most(hint.index.min(prev.previous()), hint.term).index
        };
        let was = progress.mode;
        progress.probe(agree.next());
        let next = progress.next_index;
        self.emit(EventKind::PeerRejected { peer: envelope.from, next });
        if was != Mode::Probe {
            self.emit(EventKind::PeerMode { peer: envelope.from, mode: Mode::Probe });
        }
        if let Some(had) = lost {
            self.emit(EventKind::PeerLostData { peer: envelope.from, had, has: hint.index });
        }
    }

    pub(super) fn progress_of(&mut self, peer: NodeId) -> Option<&mut Progress> {
        match &mut self.role {
            RoleState::Leader(leader) => leader.progress.get_mut(&peer),
            RoleState::Follower | RoleState::PreCandidate(_) | RoleState::Candidate(_) => None,
        }
    }
}

// The follower's side.
impl Raft {
    pub(super) fn not_looked(&self, stream: u64, round: u64) -> Message {
        self.append_reply(stream, round, AppendOutcome::NotLooked)
    }

    fn append_reply(&self, stream: u64, round: u64, outcome: AppendOutcome) -> Message {
        Message::AppendEntriesReply(AppendEntriesReply { stream, round, counted: !self.quarantined, outcome })
    }

    /// A leader of the present term spoke: follow it (§5.2). False when that cannot be.
    pub(super) fn follow(&mut self, leader: NodeId) -> bool {
        match (&self.role, self.leader) {
            (RoleState::Leader(_), _) => {
                let term = self.hard_state.current_term;
                self.violate(format!("Election Safety (§5.2): {leader} speaks as leader of term {term}, which I lead"));
                return false;
            }
            (_, Some(other)) if other != leader => {
                let term = self.hard_state.current_term;
                self.violate(format!(
                    "Election Safety (§5.2): {other} and {leader} both speak as leader of term {term}"
                ));
                return false;
            }
            (RoleState::Candidate(_) | RoleState::PreCandidate(_), _) => {
                self.step_down(StepDown::LeaderSpoke, Some(leader));
            }
            (RoleState::Follower, _) => {
                if self.leader.is_none() {
                    self.become_follower(Some(leader));
                }
            }
        }
        self.reset_election_timer();
        self.leader_heard_at = self.now;
        true
    }

    pub(super) fn on_append_entries(&mut self, from: NodeId, mut append: AppendEntries) {
        if !self.follow(from) {
            return;
        }
        if self.installing.is_some() {
            let message = self.not_looked(append.stream, append.round);
            return self.say(from, message);
        }
        if !well_formed(&append, self.hard_state.current_term) {
            return self.emit(EventKind::Ignored {
                from,
                message: Message::AppendEntries(append).kind(),
                why: IgnoredWhy::Malformed,
            });
        }
        let entries = std::mem::take(&mut append.entries);
        let heartbeat = entries.is_empty();
        match self.store_entries(&append, entries) {
            Stored::Agreed(verified) => self.accept(from, &append, verified, heartbeat),
            Stored::Mismatch => {
                let hint = self.log.last_at_most(append.prev.index, append.prev.term);
                let outcome = AppendOutcome::Rejected { prev: append.prev.index, hint };
                let message = self.append_reply(append.stream, append.round, outcome);
                self.say(from, message);
            }
            Stored::Corrupt => {
                self.emit(EventKind::Ignored {
                    from,
                    message: if heartbeat { MessageKind::Heartbeat } else { MessageKind::AppendEntries },
                    why: IgnoredWhy::Corrupt,
                });
            }
            Stored::Violated(evidence) => self.violate(evidence),
        }
    }

    fn accept(&mut self, from: NodeId, append: &AppendEntries, verified: Index, heartbeat: bool) {
        // Only what this message verified: the rest of the log may be another leader's (§5.3; Figure 2, rule 5).
        let most = if mutants::on("M09") { self.log.last().index } else { verified };
        self.commit_to(append.commit.min(most));
        if let Some((index, digest)) = append.applied
            && let Some(evidence) = self.machine.expect_digest(index, digest)
        {
            return self.violate(evidence);
        }
        let whole = append.your_epoch == self.epoch
            && append.commit <= verified
            && self.log.term_at(append.commit) == Some(self.hard_state.current_term);
        if self.quarantined && whole {
            self.heal_at = Some(append.commit);
            self.leave_quarantine_if_whole();
        }
        let verified = if mutants::on("M08") { self.log.last().index } else { verified };
        let (match_index, after) = if heartbeat {
            // A heartbeat's answer never waits for entries: it says what is durable now.
            (verified.min(self.log.durable()), self.promise())
        } else {
            (verified, if mutants::on("M07") { None } else { self.promise_log(verified) })
        };
        let message = self.append_reply(append.stream, append.round, AppendOutcome::Accepted { match_index });
        self.send(from, self.hard_state.current_term, message, after);
    }

    /// The consistency check and the five rules of Figure 2.
    fn store_entries(&mut self, append: &AppendEntries, mut entries: Vec<Entry>) -> Stored {
        let prev = append.prev;
        let base = self.log.base().position;
        let verified = entries.last().map_or(prev.index, |entry| entry.index);
        // What lies at or below the compaction boundary is committed here: it is no conflict, and it is not looked at.
        if prev.index >= base.index {
            match self.log.term_at(prev.index) {
                Some(term) if term == prev.term => {}
                Some(term) if prev.index <= self.commit => {
                    let index = prev.index;
                    return Stored::Violated(format!(
                        "Leader Completeness (§5.4): entry {index} is committed here in term {term}, the leader has term {}",
                        prev.term
                    ));
                }
                Some(_) | None => return Stored::Mismatch,
            }
            if let (Some(theirs), Some(ours)) = (append.prev_chain, self.log.chain_at(prev.index))
                && theirs != ours
            {
                return self.broken_chain(prev);
            }
        }
        let mut fresh = None;
        for (position, entry) in entries.iter().enumerate() {
            if entry.index <= base.index {
                continue;
            }
            match self.log.term_at(entry.index) {
                Some(term) if term == entry.term => {
                    if self.log.chain_at(entry.index) != Some(entry.chain) {
                        return self.broken_chain(entry.position());
                    }
                }
                Some(term) if entry.index <= self.commit => {
                    return Stored::Violated(format!(
                        "State Machine Safety (§5.4): entry {} is committed here in term {term}, the leader has {}",
                        entry.index,
                        entry.position()
                    ));
                }
                Some(_) | None => {
                    fresh = Some(position);
                    break;
                }
            }
        }
        if mutants::on("M10") && verified < self.log.last().index && verified >= self.commit {
            self.log.truncate(verified.next(), self.commit);
        }
        let Some(fresh) = fresh else { return Stored::Agreed(verified) };
        let fresh = entries.split_off(fresh);
        let mut chain = self.log.chain_at(fresh[0].index.previous()).unwrap_or_default();
        for entry in &fresh {
            if !entry.continues(chain) {
                return Stored::Corrupt;
            }
            chain = entry.chain;
        }
        let from = fresh[0].index;
        if from <= self.log.last().index && mutants::on("M11") {
            return Stored::Agreed(verified);
        }
        if from <= self.log.last().index {
            let to = self.log.truncate(from, self.commit);
            self.emit(EventKind::Truncated { from, to });
        }
        let (first, last) = (fresh[0].position(), fresh[fresh.len() - 1].position());
        for entry in fresh {
            self.log.append(entry);
        }
        self.emit(EventKind::Appended { first, last });
        Stored::Agreed(verified)
    }

    /// Same index and term, other history: either these bytes rotted in memory, or a rule of Raft was broken.
    fn broken_chain(&mut self, at: LogPosition) -> Stored {
        if self.log.verify_chain() {
            return Stored::Violated(format!(
                "Log Matching (§5.3): entry {at} is here with another history than the leader's, and mine is whole"
            ));
        }
        if !std::mem::replace(&mut self.quarantined, true) {
            self.emit(EventKind::Quarantined);
        }
        Stored::Corrupt
    }

    pub(super) fn leave_quarantine_if_whole(&mut self) {
        if self.heal_at.is_some_and(|index| index <= self.log.durable()) {
            self.heal_at = None;
            self.quarantined = false;
            self.emit(EventKind::QuarantineLeft);
        }
    }
}

enum Stored {
    /// The log agrees with the leader's up to here.
    Agreed(Index),
    /// `prev` is not here.
    Mismatch,
    /// The bytes are not what the leader hashed.
    Corrupt,
    /// A rule was broken.
    Violated(String),
}

/// Entries follow `prev` without a gap, and their terms rise no higher than the sender's (T-41).
fn well_formed(append: &AppendEntries, term: Term) -> bool {
    let mut before = append.prev;
    if before.term > term || (before.index == Index::ZERO) != (before.term == Term::ZERO) {
        return false;
    }
    for entry in &append.entries {
        if entry.index != before.index.next() || entry.term < before.term || entry.term > term {
            return false;
        }
        before = entry.position();
    }
    true
}
