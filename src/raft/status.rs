//! What an observer may see of a node, as plain data.
//!
//! Not here: what only the node knows that surrounds the core: rates, latencies, whether it runs (`control/observation.rs`).

use serde::{Deserialize, Serialize};

use super::event::Mode;
use super::types::{Digest, Epoch, HardState, Index, LogPosition, NodeId, Term, Ticks};
use super::{Progress, Raft, RoleState};

/// The roles of the paper (§5.1), with the pre-candidate of thesis 9.6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// Answers leaders and candidates.
    Follower,
    /// Asks whether it could win.
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Handles all clients' commands.
    Leader,
}

impl Role {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::PreCandidate => "pre-candidate",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        }
    }
}

/// Entries from `first` on are of term `term`, up to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TermRun {
    /// First index of the run.
    pub first: Index,
    /// Its term.
    pub term: Term,
}

/// What a leader knows of a follower.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Who.
    pub id: NodeId,
    /// Highest index known to be durable there.
    pub match_index: Index,
    /// Next index to send.
    pub next_index: Index,
    /// How it is fed.
    pub mode: Mode,
    /// Messages with entries that are not acknowledged yet.
    pub in_flight_messages: usize,
    /// Their bytes.
    pub in_flight_bytes: u64,
    /// Ticks since it was heard last.
    pub silent_ticks: Ticks,
    /// Snapshot being sent: bytes acknowledged, bytes in all.
    pub snapshot: Option<(u64, u64)>,
    /// Whether its log counts (false in quarantine).
    pub counted: bool,
}

/// A node's state at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Who.
    pub id: NodeId,
    /// Which life.
    pub epoch: Epoch,
    /// What it is now.
    pub role: Role,
    /// Term and vote, as held in memory.
    pub hard_state: HardState,
    /// Whom it believes to be the leader of its term; itself when it leads.
    pub leader: Option<NodeId>,
    /// Yes votes, or pre-votes, while campaigning.
    pub votes: Vec<NodeId>,
    /// No votes while campaigning.
    pub refusals: Vec<NodeId>,
    /// First index in the log (snapshot's last index + 1 or earlier).
    pub first_index: Index,
    /// Last entry of the log.
    pub last: LogPosition,
    /// Last durable index.
    pub durable: Index,
    /// Commit index.
    pub commit: Index,
    /// Applied index.
    pub applied: Index,
    /// Last index of the snapshot.
    pub snapshot: Index,
    /// Bytes of the log in memory.
    pub log_bytes: u64,
    /// Bytes appended by this leader and not committed.
    pub uncommitted_bytes: u64,
    /// Ticks since the election timer was reset.
    pub election_elapsed: Ticks,
    /// At how many it fires.
    pub election_timeout: Ticks,
    /// Leader: ticks until the next heartbeat.
    pub heartbeat_in: Ticks,
    /// Digest of the machine at `applied`.
    pub digest: Digest,
    /// Terms of the log in memory, as runs.
    pub terms: Vec<TermRun>,
    /// The log may be incomplete; neither votes nor counts.
    pub quarantined: bool,
    /// Being replaced by a received snapshot: bytes here, bytes in all.
    pub receiving: Option<(u64, u64)>,
    /// Why the core is silent for good.
    pub halted: Option<String>,
    /// Leader: its followers.
    pub peers: Vec<PeerStatus>,
    /// Reads that wait.
    pub pending_reads: usize,
}

impl Raft {
    /// A picture of this moment.
    #[must_use]
    pub fn status(&self) -> Status {
        let (role, campaign, leader) = match &self.role {
            RoleState::Follower => (Role::Follower, None, None),
            RoleState::PreCandidate(campaign) => (Role::PreCandidate, Some(campaign), None),
            RoleState::Candidate(campaign) => (Role::Candidate, Some(campaign), None),
            RoleState::Leader(leader) => (Role::Leader, None, Some(leader)),
        };
        let answered = |wanted: bool| -> Vec<NodeId> {
            let votes = campaign.into_iter().flat_map(|campaign| &campaign.votes);
            votes.filter(|(_, answer)| **answer == wanted).map(|(voter, _)| *voter).collect()
        };
        Status {
            id: self.options.id,
            epoch: self.epoch,
            role,
            hard_state: self.hard_state,
            leader: self.leader,
            votes: answered(true),
            refusals: answered(false),
            first_index: self.log.first_index(),
            last: self.log.last(),
            durable: self.log.durable(),
            commit: self.commit,
            applied: self.applied,
            snapshot: self.snapshot.as_ref().map_or(Index::ZERO, |meta| meta.last.index),
            log_bytes: self.log.bytes(),
            uncommitted_bytes: leader.map_or(0, |leader| leader.uncommitted_bytes),
            election_elapsed: self.election_elapsed(),
            election_timeout: self.election_timeout,
            heartbeat_in: leader.map_or(0, |leader| leader.heartbeat_at.saturating_sub(self.now)),
            digest: self.machine.latest_digest().map_or_else(Digest::default, |(_, digest)| digest),
            terms: self.log.terms().to_vec(),
            quarantined: self.quarantined,
            receiving: self.receiving.as_ref().map(|part| (part.body.len() as u64, part.meta.size_bytes)),
            halted: self.halted.clone(),
            peers: leader.map_or_else(Vec::new, |leader| {
                leader.progress.iter().map(|(id, progress)| self.peer_status(*id, progress)).collect()
            }),
            pending_reads: self.pending_reads(),
        }
    }

    fn peer_status(&self, id: NodeId, progress: &Progress) -> PeerStatus {
        let (in_flight_messages, in_flight_bytes) = progress.in_flight();
        PeerStatus {
            id,
            match_index: progress.match_index,
            next_index: progress.next_index,
            mode: progress.mode,
            in_flight_messages,
            in_flight_bytes,
            silent_ticks: progress.silent_ticks(self.now),
            snapshot: progress.sending.as_ref().map(|sending| (sending.next_offset, sending.meta.size_bytes)),
            counted: progress.counted,
        }
    }
}
