//! Waiting until something holds, by what nodes report after the waiting began.
//!
//! Kept true: an old report never makes a condition true.
//! Not here: the words for conditions (`control/grammar.rs`), which reports are young enough (whoever holds the cluster).

use std::time::Duration;

use tokio::time::Instant;

use crate::control::{Answer, ClusterView, Condition, Life, LinkRule, NodeView, OperationId};
use crate::raft::{NodeId, Role};

/// Somebody who waits.
pub(super) struct Wait {
    pub(super) id: OperationId,
    pub(super) condition: Condition,
    pub(super) started: Instant,
    pub(super) timeout: Duration,
}

/// Takes those out who have waited long enough, with their answers. `fresh` tells whether what a node reported last was
/// reported after a moment.
pub(super) fn settle(
    waits: &mut Vec<Wait>,
    view: &ClusterView,
    fresh: impl Fn(NodeId, Instant) -> bool,
) -> Vec<(OperationId, Answer)> {
    let mut settled = Vec::new();
    waits.retain(|wait| {
        let answer = match holds(wait, view, &fresh) {
            Ok(what) => Answer::Done(what),
            Err(why) if wait.started.elapsed() >= wait.timeout => {
                Answer::TimedOut { why: format!("not within {} s: {why}", wait.timeout.as_secs_f32()) }
            }
            Err(_) => return true,
        };
        settled.push((wait.id, answer));
        false
    });
    settled
}

/// What each node that runs reported after the wait began.
fn young<'a>(
    wait: &Wait,
    view: &'a ClusterView,
    fresh: &impl Fn(NodeId, Instant) -> bool,
) -> Result<Vec<&'a NodeView>, String> {
    let mut reports = Vec::new();
    for node in &view.nodes {
        match node.life {
            Life::Running if fresh(node.id, wait.started) => reports.push(node),
            Life::Running | Life::Starting => return Err(format!("{} has reported nothing since", node.id)),
            Life::Paused | Life::Crashed { .. } | Life::Halted { .. } | Life::Unreachable { .. } => {}
        }
    }
    Ok(reports)
}

fn holds(wait: &Wait, view: &ClusterView, fresh: &impl Fn(NodeId, Instant) -> bool) -> Result<String, String> {
    match wait.condition {
        Condition::Leader => {
            let leader = working_leader(view, &young(wait, view, fresh)?)?;
            Ok(format!("{} leads term {}", leader.id, leader.term))
        }
        Condition::Converged => {
            let reports = young(wait, view, fresh)?;
            let leader = working_leader(view, &reports)?;
            let last = leader.last;
            for node in &reports {
                if node.last != last || node.commit != last.index || node.applied != last.index {
                    let (id, at, applied) = (node.id, node.last, node.applied);
                    return Err(format!("{id} is at {at}, applied {applied}; the leader is at {last}"));
                }
                if node.quarantined {
                    return Err(format!("{} is in quarantine", node.id));
                }
                if node.digest != leader.digest {
                    return Err(format!("{} has another state than the leader", node.id));
                }
            }
            Ok(format!("{} nodes are at {last} with state {}", reports.len(), leader.digest))
        }
        Condition::Applied { node, index } => {
            let reports = young(wait, view, fresh)?;
            let applied = reports.iter().find(|report| report.id == node).map(|report| report.applied);
            match applied {
                Some(applied) if applied >= index => Ok(format!("{node} has applied {applied}")),
                Some(applied) => Err(format!("{node} has applied {applied}")),
                None => Err(format!("{node} does not run")),
            }
        }
        Condition::Down(node) => match view.node(node).map(|node| &node.life) {
            Some(Life::Crashed { .. }) => Ok(format!("{node} is down")),
            Some(Life::Halted { why }) => Ok(format!("{node} halted: {why}")),
            Some(Life::Running | Life::Starting | Life::Paused) => Err(format!("{node} runs")),
            Some(Life::Unreachable { why, .. }) => Err(format!("whether {node} runs cannot be known: {why}")),
            None => Err(format!("there is no {node}")),
        },
    }
}

/// A leader in whom a majority believes, over links that are not cut in either direction.
fn working_leader<'a>(view: &ClusterView, reports: &[&'a NodeView]) -> Result<&'a NodeView, String> {
    let leaders = reports.iter().copied().filter(|report| report.role == Role::Leader);
    let Some(leader) = leaders.max_by_key(|report| report.term) else {
        return Err("no node leads".into());
    };
    let is_cut = |from, to| view.rules_on(from, to).any(|rule| rule == LinkRule::Cut { kind: None });
    let reaches = |node: NodeId| node == leader.id || !(is_cut(leader.id, node) || is_cut(node, leader.id));
    let believes =
        |report: &&&NodeView| report.leader == Some(leader.id) && report.term == leader.term && reaches(report.id);
    let have = reports.iter().filter(believes).count();
    if have < view.quorum() {
        return Err(format!("{} leads, but only {have} of {} believe in it", leader.id, view.nodes.len()));
    }
    Ok(leader)
}
