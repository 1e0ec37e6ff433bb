//! What must hold in one node after every step (paper Figures 2 and 3). On in release builds.
//!
//! These guard our own state: a failure is a bug here, and the node stops. What other nodes do wrong is never an assert
//! but `Event::Violated`.

use super::event::Mode;
use super::types::{Index, LogPosition, NodeId, Term};
use super::{Raft, RoleState};

/// What may only grow, as it was before a step.
pub(super) struct Before {
    term: Term,
    voted_for: Option<NodeId>,
    commit: Index,
    applied: Index,
    led: Option<(Term, LogPosition)>,
}

impl Before {
    pub(super) fn of(raft: &Raft) -> Self {
        Self {
            term: raft.hard_state.current_term,
            voted_for: raft.hard_state.voted_for,
            commit: raft.commit,
            applied: raft.applied,
            led: raft.is_leader().then(|| (raft.hard_state.current_term, raft.log.last())),
        }
    }
}

pub(super) fn check(raft: &Raft, before: &Before) {
    let term = raft.hard_state.current_term;
    assert!(term >= before.term, "current_term fell from {} to {term}", before.term);
    assert!(
        term > before.term || before.voted_for.is_none() || raft.hard_state.voted_for == before.voted_for,
        "the vote of term {term} changed from {:?} to {:?}",
        before.voted_for,
        raft.hard_state.voted_for
    );
    assert!(raft.commit >= before.commit, "commit index fell from {} to {}", before.commit, raft.commit);
    assert!(raft.applied >= before.applied, "applied index fell from {} to {}", before.applied, raft.applied);
    let last = raft.log.last();
    assert!(last.term <= term, "the log's last entry {last} is above the term {term}");
    assert!(raft.commit <= last.index, "commit index {} is beyond the log's end {last}", raft.commit);
    assert!(raft.applied <= raft.handed, "applied {} what was not handed out, {}", raft.applied, raft.handed);
    assert!(raft.handed <= raft.commit, "handed out {} what is not committed, {}", raft.handed, raft.commit);
    assert!(raft.log.durable() <= last.index, "durable {} beyond the log's end {last}", raft.log.durable());
    let snapshot = raft.snapshot.as_ref().map_or(Index::ZERO, |meta| meta.last.index);
    assert!(snapshot <= raft.applied, "the snapshot ends at {snapshot}, only {} is applied", raft.applied);
    assert!(
        raft.log.base().position.index <= snapshot,
        "the log starts after {}, the snapshot ends at {snapshot}",
        raft.log.base().position
    );
    let RoleState::Leader(leader) = &raft.role else { return };
    assert!(!raft.quarantined, "a node in quarantine leads term {term}");
    if let Some((led, end)) = before.led
        && led == term
    {
        assert!(raft.log.has(end), "a leader removed or changed its own entry {end} (Leader Append-Only)");
    }
    for (peer, progress) in &leader.progress {
        let (matched, next) = (progress.match_index, progress.next_index);
        assert!(matched < next, "{peer}: match {matched} is not below next {next}");
        assert!(next <= last.index.next(), "{peer}: next {next} is beyond the log's end {last}");
        assert!(
            progress.mode == Mode::Replicate || progress.in_flight() == (0, 0),
            "{peer}: {:?} is in flight while {:?}",
            progress.in_flight(),
            progress.mode
        );
    }
}
