//! Waiting until something holds, by what nodes report after the waiting began.
//!
//! Kept true: an old report never makes a condition true.
//! Not here: the words for conditions (`control/grammar.rs`).

use std::time::Duration;

use tokio::time::Instant;

use super::Hub;
use crate::control::{Answer, Condition, Life, OperationId};
use crate::node::driver::Report;
use crate::raft::{NodeId, Role};

pub(super) struct Wait {
    pub(super) id: OperationId,
    pub(super) condition: Condition,
    pub(super) started: Instant,
    pub(super) timeout: Duration,
}

impl Hub {
    pub(super) fn settle_waits(&mut self) {
        let waits = std::mem::take(&mut self.waits);
        for wait in waits {
            match self.holds(&wait) {
                Ok(what) => self.answer(wait.id, Answer::Done(what)),
                Err(why) if wait.started.elapsed() >= wait.timeout => {
                    let seconds = wait.timeout.as_secs_f32();
                    self.answer(wait.id, Answer::TimedOut { why: format!("not within {seconds} s: {why}") });
                }
                Err(_) => self.waits.push(wait),
            }
        }
    }

    /// The newest report of each running node, all younger than the wait.
    fn fresh(&self, wait: &Wait) -> Result<Vec<&Report>, String> {
        let mut reports = Vec::new();
        for host in self.hosts.values().filter(|host| host.is_alive()) {
            match &host.last_report {
                Some(report) if report.made_at > wait.started && host.life == Life::Running => reports.push(&**report),
                Some(_) | None => return Err(format!("{} has reported nothing since", host.id)),
            }
        }
        Ok(reports)
    }

    fn holds(&self, wait: &Wait) -> Result<String, String> {
        match wait.condition {
            Condition::Leader => {
                let reports = self.fresh(wait)?;
                let leader = self.working_leader(&reports)?;
                let status = &leader.status;
                Ok(format!("{} leads term {}", status.id, status.hard_state.current_term))
            }
            Condition::Converged => {
                let reports = self.fresh(wait)?;
                let leader = self.working_leader(&reports)?;
                let last = leader.status.last;
                for report in &reports {
                    let status = &report.status;
                    if status.last != last || status.commit != last.index || status.applied != last.index {
                        let (id, at, applied) = (status.id, status.last, status.applied);
                        return Err(format!("{id} is at {at}, applied {applied}; the leader is at {last}"));
                    }
                    if status.quarantined {
                        return Err(format!("{} is in quarantine", status.id));
                    }
                    if status.digest != leader.status.digest {
                        return Err(format!("{} has another state than the leader", status.id));
                    }
                }
                let digest = leader.status.digest;
                Ok(format!("{} nodes are at {last} with state {digest}", reports.len()))
            }
            Condition::Applied { node, index } => {
                let reports = self.fresh(wait)?;
                let applied =
                    reports.iter().find(|report| report.status.id == node).map(|report| report.status.applied);
                match applied {
                    Some(applied) if applied >= index => Ok(format!("{node} has applied {applied}")),
                    Some(applied) => Err(format!("{node} has applied {applied}")),
                    None => Err(format!("{node} does not run")),
                }
            }
            Condition::Down(node) => match self.hosts.get(&node).map(|host| &host.life) {
                Some(Life::Crashed { .. }) => Ok(format!("{node} is down")),
                Some(Life::Halted { why }) => Ok(format!("{node} halted: {why}")),
                Some(Life::Running | Life::Starting | Life::Paused) => Err(format!("{node} runs")),
                Some(Life::Unreachable { why, .. }) => Err(format!("whether {node} runs cannot be known: {why}")),
                None => Err(format!("there is no {node}")),
            },
        }
    }

    /// A leader in whom a majority believes, over links that are not cut in either direction.
    fn working_leader<'a>(&self, reports: &[&'a Report]) -> Result<&'a Report, String> {
        let rules = self.common.mesh.rules();
        let quorum = self.hosts.len() / 2 + 1;
        let believers = |leader: &Report| {
            let reaches = |node: NodeId| {
                let id = leader.status.id;
                node == id || !(rules.is_cut(id, node) || rules.is_cut(node, id))
            };
            let believes = |report: &&&Report| {
                report.status.leader == Some(leader.status.id)
                    && report.status.hard_state.current_term == leader.status.hard_state.current_term
                    && reaches(report.status.id)
            };
            reports.iter().filter(believes).count()
        };
        let leaders = reports.iter().copied().filter(|report| report.status.role == Role::Leader);
        let Some(leader) = leaders.max_by_key(|report| report.status.hard_state.current_term) else {
            return Err("no node leads".into());
        };
        let have = believers(leader);
        if have < quorum {
            return Err(format!("{} leads, but only {have} of {} believe in it", leader.status.id, self.hosts.len()));
        }
        Ok(leader)
    }
}
