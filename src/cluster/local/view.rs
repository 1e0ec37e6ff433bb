//! The picture of a cluster, from what its nodes reported.
//!
//! Kept true: what is in the picture was reported; what was only asked for is not.
//! Not here: who asks for pictures (`mod.rs`), how they are drawn (`tui/`).

use crate::control::{Dropped, Latency, Life, NodeView, PeerTraffic, Traffic, WritesStand};
use crate::node::driver::Report;
use crate::raft::{Digest, Epoch, Index, LogPosition, NodeId, Role, Term};
use crate::transport::mesh::Counts;

/// A node of which nothing is known yet.
pub(in crate::cluster) fn unknown(id: NodeId) -> NodeView {
    NodeView {
        id,
        life: Life::Starting,
        epoch: Epoch::ZERO,
        role: Role::Follower,
        term: Term::ZERO,
        voted_for: None,
        leader: None,
        votes: Vec::new(),
        first_index: Index::ZERO.next(),
        last: LogPosition::ZERO,
        durable: Index::ZERO,
        commit: Index::ZERO,
        applied: Index::ZERO,
        snapshot: Index::ZERO,
        log_bytes: 0,
        terms: Vec::new(),
        digest: Digest::default(),
        election_elapsed: 0,
        election_timeout: 0,
        heartbeat: None,
        quarantined: false,
        receiving: None,
        peers: Vec::new(),
        messages_in: 0,
        messages_out: 0,
        messages_by_kind: Vec::new(),
        elections: 0,
        in_per_second: 0.0,
        out_per_second: 0.0,
        sync: Latency::default(),
        durable_latency: Latency::default(),
        commit_latency: Latency::default(),
        apply_latency: Latency::default(),
        notes: Vec::new(),
        traffic: None,
        reach: None,
    }
}

fn latency(percentiles: Option<(u64, u64)>) -> Latency {
    Latency { p50_us: percentiles.map(|(p50, _)| p50), p99_us: percentiles.map(|(_, p99)| p99) }
}

/// A node as it reported itself.
pub(in crate::cluster) fn node(report: &Report, life: Life, heartbeat_ticks: u64) -> NodeView {
    let status = &report.status;
    let running = life == Life::Running;
    NodeView {
        id: status.id,
        epoch: status.epoch,
        role: status.role,
        term: status.hard_state.current_term,
        voted_for: status.hard_state.voted_for,
        leader: status.leader,
        votes: status.votes.clone(),
        first_index: status.first_index,
        last: status.last,
        durable: status.durable,
        commit: status.commit,
        applied: status.applied,
        snapshot: status.snapshot,
        log_bytes: status.log_bytes,
        terms: status.terms.clone(),
        digest: status.digest,
        election_elapsed: status.election_elapsed,
        election_timeout: status.election_timeout,
        heartbeat: (status.role == Role::Leader).then_some((status.heartbeat_in, heartbeat_ticks)),
        quarantined: status.quarantined,
        receiving: status.receiving,
        peers: status.peers.clone(),
        messages_in: report.messages.0,
        messages_out: report.messages.1,
        messages_by_kind: report.by_kind.clone(),
        elections: report.elections,
        in_per_second: if running { report.per_second.0 } else { 0.0 },
        out_per_second: if running { report.per_second.1 } else { 0.0 },
        sync: latency(report.sync),
        durable_latency: latency(report.to_durable),
        commit_latency: latency(report.to_commit),
        apply_latency: latency(report.to_apply),
        notes: report.notes.to_vec(),
        traffic: None,
        reach: None,
        life,
    }
}

/// What became of what a node sent over the mesh, where no bytes travel.
pub(super) fn traffic<'a>(sent: impl Iterator<Item = &'a (NodeId, NodeId, Counts)>) -> Traffic {
    let to_peer = |(_, to, counts): &(NodeId, NodeId, Counts)| PeerTraffic {
        id: *to,
        bytes: None,
        dropped: Dropped {
            by_rule: counts.dropped_by_rule,
            by_queue: counts.dropped_by_queue,
            by_death: counts.dropped_by_death,
            ..Dropped::default()
        },
    };
    Traffic { peers: sent.map(to_peer).collect(), ..Traffic::default() }
}

/// Whether writes go through, by what the newest leader says about whom it hears.
pub fn writes(nodes: &[NodeView], stopped: bool, election_timeout_ticks: u64) -> WritesStand {
    let stalled = |why: String| WritesStand::Stalled { why };
    let quorum = nodes.len() / 2 + 1;
    let up = nodes.iter().filter(|node| node.is_running()).count();
    if stopped {
        return stalled("the cluster's clock is stopped: resume it".into());
    }
    let unheard = nodes.iter().filter(|node| matches!(node.life, Life::Unreachable { .. })).count();
    if up < quorum && unheard > 0 {
        return stalled(format!("only {up} of {} nodes are heard and a majority is {quorum}", nodes.len()));
    }
    if up < quorum {
        return stalled(format!("{up} of {} nodes run and a majority is {quorum}: restart one", nodes.len()));
    }
    let leaders = nodes.iter().filter(|node| node.is_running() && node.role == Role::Leader);
    let Some(leader) = leaders.max_by_key(|node| node.term) else {
        return stalled("no node leads: an election is under way".into());
    };
    if leader.is_stale() {
        return stalled(format!("nothing is heard of {}, which led term {}, for seconds", leader.id, leader.term));
    }
    let hears = |peer: &&crate::raft::PeerStatus| peer.silent_ticks < election_timeout_ticks;
    let heard = leader.peers.iter().filter(hears).count() + 1;
    if heard < quorum {
        let silent: Vec<_> = leader.peers.iter().filter(|peer| !hears(peer)).map(|peer| peer.id.to_string()).collect();
        return stalled(format!(
            "{} leads term {} but hears only {heard} of {}, a majority is {quorum}; silent: {}",
            leader.id,
            leader.term,
            nodes.len(),
            silent.join(" ")
        ));
    }
    if leader.peers.iter().filter(|peer| hears(peer) && peer.counted).count() + 1 < quorum {
        return stalled(format!("{} leads, but too many nodes are in quarantine until they are healed", leader.id));
    }
    WritesStand::Available
}
