//! Carrying out what an operator asks.
//!
//! Kept true: an operation is answered when what it asked for holds, not when it was begun.
//! Not here: the words for operations (`control/grammar.rs`).

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Hub;
use crate::cluster::clients::{Load, LoadCount};
use crate::cluster::members::{Members, Sides, names};
use crate::cluster::waits::Wait;
use crate::control::{
    Answer, Can, Life, LinkRule, Links, Operation, OperationId, Pace, Request, Target, What, grammar,
};
use crate::node::driver::Stop;
use crate::raft::{NodeId, Role};

/// Cluster time is never faster than so many times real time.
const PACE_MAX: u32 = 10;

/// … and never slower than one in so many.
const PACE_MIN: u32 = 1_000;

/// A crash or restart that is not done yet.
pub(super) struct Pending {
    id: OperationId,
    nodes: BTreeSet<NodeId>,
    what: PendingWhat,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PendingWhat {
    Crash,
    Restart,
}

type Carried = Result<Option<String>, String>;

impl Hub {
    pub(super) fn operate(&mut self, request: Request) {
        let Request { id, operation } = request;
        tracing::info!(operation = %grammar::print(&operation), "asked");
        let text = match &operation {
            // There are many of them, and nobody needs their words.
            Operation::Submit { .. } | Operation::Read { .. } => String::new(),
            operation => grammar::print(operation),
        };
        match self.carry_out(id, operation, text) {
            // It will be answered when it is done.
            Ok(None) => {}
            Ok(Some(done)) => {
                self.publish();
                self.answer(id, Answer::Done(done));
            }
            Err(why) => self.answer(id, Answer::Refused { why }),
        }
    }

    fn carry_out(&mut self, id: OperationId, operation: Operation, text: String) -> Carried {
        match operation {
            Operation::Submit { command, via } => {
                self.members().known(via)?;
                let (clients, tell) = (self.clients.clone(), self.teller(id));
                tokio::spawn(async move { tell(clients.submit(command, via).await).await });
                Ok(None)
            }
            Operation::Read { query, via, level } => {
                self.members().known(via)?;
                let (clients, tell) = (self.clients.clone(), self.teller(id));
                tokio::spawn(async move { tell(clients.read(query, via, level).await).await });
                Ok(None)
            }
            Operation::Crash(target) => self.crash(id, target),
            Operation::Restart(target) => self.restart(id, target),
            Operation::Pause(_) | Operation::Unpause(_) => {
                let Can::No(why) = super::CAPABILITIES.pause else { return Ok(None) };
                Err(why.to_owned())
            }
            Operation::Arm { .. } | Operation::Disarm => {
                Ok(Some("this cluster is the console's own: nothing to arm".into()))
            }
            Operation::Isolate(target) => {
                let nodes = self.members().targets(target)?;
                let mut rules = self.common.mesh.rules();
                for node in &nodes {
                    rules.set(Links::Of(*node), LinkRule::Cut { kind: None });
                }
                self.common.mesh.set_rules(rules);
                let names = names(&nodes);
                self.add_fault(format!("isolate {names}"));
                Ok(Some(format!("{names} is cut off from all others")))
            }
            Operation::Partition(groups) => self.partition(&groups, text),
            Operation::Link { links, rule } => {
                self.members().known_links(links)?;
                let mut rules = self.common.mesh.rules();
                rules.set(links, rule);
                self.common.mesh.set_rules(rules);
                let done = format!("{text} is in force");
                self.add_fault(text);
                Ok(Some(done))
            }
            Operation::Heal => {
                self.heal();
                Ok(Some("all faults are healed".into()))
            }
            Operation::HealLinks(links) => {
                self.members().known_links(links)?;
                let mut rules = self.common.mesh.rules();
                rules.heal(links);
                self.common.mesh.set_rules(rules);
                self.relist_faults(links);
                Ok(Some(format!("{links} is healed")))
            }
            Operation::SlowDisk { node, delay_us } => {
                let nodes = self.members().targets(node)?;
                for node in &nodes {
                    let real_us = self.common.clock.real_us(delay_us);
                    if let Some(host) = self.hosts.get(node) {
                        host.set_disk_delay(Duration::from_micros(real_us));
                    }
                }
                if delay_us > 0 {
                    self.add_fault(text);
                } else {
                    self.faults.retain(|fault| !fault.text.starts_with("slow-disk"));
                    self.tell(What::Faults { what: text });
                }
                let names = names(&nodes);
                Ok(Some(format!("each write of {names} takes {} ms longer", delay_us / 1000)))
            }
            Operation::FailDisk(target) => {
                let nodes = self.members().targets(target)?;
                for node in &nodes {
                    if let Some(host) = self.hosts.get(node) {
                        host.fail_next_write();
                    }
                }
                let names = names(&nodes);
                self.tell(What::Faults { what: text });
                Ok(Some(format!("the next write of {names} will fail")))
            }
            Operation::Load { per_second, duration_us } => Ok(self.start_load(id, per_second, duration_us)),
            Operation::LoadStop => {
                let ran = self.end_load();
                Ok(Some(if ran { "the load has ended" } else { "there was no load" }.into()))
            }
            Operation::Wait { condition, timeout_us } => {
                let timeout = Duration::from_micros(timeout_us);
                self.waits.push(Wait { id, condition, started: Instant::now(), timeout });
                Ok(None)
            }
            Operation::Status => {
                self.publish();
                self.answer(id, Answer::Status(self.published.borrow().clone()));
                Ok(None)
            }
            Operation::Stop => {
                self.common.clock.stop();
                self.tell(What::Clock { what: "the cluster's clock stands still".into() });
                Ok(Some("the cluster's clock stands still".into()))
            }
            Operation::Resume => {
                self.common.clock.resume();
                self.tell(What::Clock { what: "the cluster's clock runs".into() });
                Ok(Some("the cluster's clock runs".into()))
            }
            Operation::Pace(pace) => self.set_pace(pace),
            Operation::Quit => {
                self.quit(id);
                Ok(None)
            }
        }
    }

    /// Something that answers `id` later, from another task.
    fn teller(
        &self,
        id: OperationId,
    ) -> impl FnOnce(Answer) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Send + 'static {
        let observations = self.observations.clone();
        move |answer| {
            Box::pin(async move {
                // A session that has gone away needs no answer.
                let _ = observations.send(crate::control::Observation::Answered { id, answer }).await;
            })
        }
    }

    fn members(&self) -> Members {
        let leaders = self.hosts.values().filter(|host| host.life == Life::Running).filter_map(|host| {
            let status = &host.last_report.as_ref()?.status;
            (status.role == Role::Leader).then_some((status.hard_state.current_term, host.id))
        });
        let leader = leaders.max().map(|(_, leader)| leader);
        Members::new(self.common_members(), leader)
    }

    fn crash(&mut self, id: OperationId, target: Target) -> Carried {
        self.publish();
        let mut nodes: BTreeSet<_> = self.members().targets(target)?.into_iter().collect();
        nodes.retain(|node| self.hosts.get(node).is_some_and(super::Host::is_alive));
        if nodes.is_empty() {
            return Err(format!("{target} does not run; restart it first"));
        }
        for node in &nodes {
            self.stop_node(*node, Stop::Crash);
        }
        self.pending.push(Pending { id, nodes, what: PendingWhat::Crash });
        self.publish();
        Ok(None)
    }

    fn restart(&mut self, id: OperationId, target: Target) -> Carried {
        let mut nodes: BTreeSet<_> = self.members().targets(target)?.into_iter().collect();
        nodes.retain(|node| self.hosts.get(node).is_some_and(|host| !host.is_alive()));
        if nodes.is_empty() {
            return match target {
                Target::All => Ok(Some("all nodes run already".into())),
                Target::Node(_) | Target::Leader => Err(format!("{target} runs; crash it first")),
            };
        }
        for node in &nodes {
            // A life that is still closing its store is waited for; see `settle_pending`.
            if self.hosts.get(node).is_some_and(|host| !host.ending) {
                self.start_node(*node);
            }
        }
        self.pending.push(Pending { id, nodes, what: PendingWhat::Restart });
        Ok(None)
    }

    /// Answers crashes that have ended and restarts that run.
    pub(super) fn settle_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        for one in pending {
            let hosts = || one.nodes.iter().filter_map(|node| self.hosts.get(node));
            let names = names(&one.nodes);
            match one.what {
                PendingWhat::Crash if hosts().all(|host| !host.ending) => {
                    self.answer(one.id, Answer::Done(format!("{names} crashed")));
                }
                PendingWhat::Restart => {
                    let halted = hosts().find_map(|host| match &host.life {
                        Life::Halted { why } if host.lives > 0 && !host.is_alive() => Some((host.id, why.clone())),
                        _ => None,
                    });
                    let waiting: Vec<_> =
                        hosts().filter(|host| !host.is_alive() && !host.ending).map(|host| host.id).collect();
                    if let Some((node, why)) = halted {
                        self.answer(one.id, Answer::Refused { why: format!("{node} halted: {why}") });
                    } else if !waiting.is_empty() {
                        for node in waiting {
                            self.start_node(node);
                        }
                        self.pending.push(one);
                    } else if hosts().all(|host| host.life == Life::Running) {
                        self.answer(one.id, Answer::Done(format!("{names} runs")));
                    } else {
                        self.pending.push(one);
                    }
                }
                PendingWhat::Crash => self.pending.push(one),
            }
        }
    }

    fn partition(&mut self, groups: &[Vec<NodeId>], text: String) -> Carried {
        let Sides { groups, told } = self.members().sides(groups)?;
        let mut rules = self.common.mesh.rules();
        // A new partition takes the place of an old one.
        let cuts: Vec<_> =
            rules.list().filter(|(_, rule)| *rule == LinkRule::Cut { kind: None }).map(|(links, _)| links).collect();
        let others: Vec<_> = rules.list().filter(|(_, rule)| *rule != LinkRule::Cut { kind: None }).collect();
        for links in cuts {
            rules.heal(links);
        }
        for (links, rule) in others {
            rules.set(links, rule);
        }
        rules.partition(&groups);
        self.common.mesh.set_rules(rules);
        self.faults.retain(|fault| {
            !(fault.text.starts_with("partition") || fault.text.starts_with("isolate") || is_whole_cut(&fault.text))
        });
        self.add_fault(text);
        Ok(Some(told))
    }

    fn heal(&mut self) {
        let mut rules = self.common.mesh.rules();
        rules.heal(Links::All);
        rules.set_base_delay_us(self.link_delay_us);
        self.common.mesh.set_rules(rules);
        for host in self.hosts.values() {
            host.disk_faults.heal();
        }
        self.faults.clear();
        self.tell(What::Faults { what: "heal".into() });
    }

    fn start_load(&mut self, id: OperationId, per_second: u32, duration_us: Option<u64>) -> Option<String> {
        let tell = self.teller(id);
        let clients = self.clients.clone();
        let finished = move |count: LoadCount| {
            if duration_us.is_some() {
                tokio::spawn(tell(Answer::Done(count.to_string())));
            }
        };
        // A load that takes the place of another ends it.
        self.end_load();
        let load = Load::start(clients, per_second, duration_us, finished);
        self.load = Some((duration_us.map(|_| id), load));
        duration_us.is_none().then(|| format!("a load of {per_second}/s runs until `load stop`"))
    }

    /// Ends the load, if there is one, before its time.
    pub(super) fn end_load(&mut self) -> bool {
        let Some((waiting, load)) = self.load.take() else { return false };
        if let Some(id) = waiting.filter(|_| load.view(0).is_some()) {
            self.answer(id, Answer::Done("the load was ended before its time".into()));
        }
        true
    }

    fn set_pace(&mut self, pace: Pace) -> Carried {
        let Pace { cluster, real } = pace;
        if cluster == 0 || real == 0 || cluster > PACE_MAX * real || real > PACE_MIN * cluster {
            return Err(format!("the pace goes from 1/{PACE_MIN} to {PACE_MAX}; 1/5 is a good one for people"));
        }
        if let Some((faster, sync_us)) = self.too_fast_for_disks(pace) {
            return Err(format!(
                "at {faster} an election timeout would be shorter than 20 syncs of the disk, whose p99 is {sync_us} µs"
            ));
        }
        self.common.clock.set_pace(cluster, real);
        self.tell(What::Clock { what: format!("cluster time runs at {pace}") });
        Ok(Some(format!("cluster time runs at {pace}")))
    }

    /// Faster than real time only while an election timeout stays above 20 times the sync p99.
    fn too_fast_for_disks(&self, pace: Pace) -> Option<(Pace, u64)> {
        if pace.cluster <= pace.real {
            return None;
        }
        let reports = self.hosts.values().filter_map(|host| host.last_report.as_ref());
        let sync_us = reports.filter_map(|report| report.sync.map(|(_, p99)| p99)).max()?;
        let election_us = 150_000 * u64::from(pace.real) / u64::from(pace.cluster);
        (election_us < 20 * sync_us).then_some((pace, sync_us))
    }
}

fn is_whole_cut(text: &str) -> bool {
    text.starts_with("cut") && !text.contains("type=")
}
