//! Carrying out what an operator asks, by asking nodes.
//!
//! Kept true: what changes the cluster is refused until the session is armed for it; a fault is in force on all nodes
//! that it touches and that are there, or on none.
//! Not here: leases and rules (`faults.rs`), the words for operations (`control/grammar.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::faults::{is_nothing, takes_quorum, touched};
use super::{ANSWER_WITHIN, Armed, Hub};
use crate::cluster::clients::{Load, LoadCount};
use crate::cluster::members::{Members, Sides, names};
use crate::cluster::process::Supervisor;
use crate::cluster::waits::Wait;
use crate::control::client::Lost;
use crate::control::protocol::{Reply, Standing, Wish};
use crate::control::{
    Access, Answer, Can, Life, LinkRule, Links, Observation, Operation, OperationId, Request, Target, What, grammar,
};
use crate::raft::NodeId;
use crate::text::Untrusted;
use crate::transport::faults::Rules;

/// Faults last so long when nothing else is said …
const FAULT_TTL: Duration = Duration::from_mins(1);
/// … and so long when they take the majority away.
const QUORUM_FAULT_TTL: Duration = Duration::from_secs(30);

type Carried = Result<Option<String>, String>;

/// What nodes answered.
pub(super) type Answers = Vec<(NodeId, Result<Reply, Lost>)>;

/// A crash or restart of processes that is not done yet.
pub(super) struct Pending {
    id: OperationId,
    nodes: Vec<NodeId>,
    wanted: Wanted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Down,
    Up,
}

/// A fault that is to be put in force.
#[derive(Default)]
struct NewFault {
    text: String,
    links: Vec<(Links, LinkRule)>,
    disk_delay_us: Option<u64>,
    nodes: BTreeSet<NodeId>,
    /// Own faults whose place it takes.
    instead_of: Vec<u64>,
    /// The facts on which nodes were chosen for it.
    decided_on: BTreeMap<NodeId, Standing>,
    done: String,
}

/// Who did not do what it was asked, and why.
pub(super) fn refusals(answers: &Answers) -> Vec<(NodeId, String)> {
    let refusal = |(node, answer): &(NodeId, Result<Reply, Lost>)| {
        let why = match answer {
            Ok(Reply::Done(_)) => return None,
            Ok(Reply::Refused { why } | Reply::NotApplied { why } | Reply::Unknown { why }) => why.clone(),
            Ok(_) => "it answered something else".to_owned(),
            Err(lost) => lost.why.clone(),
        };
        Some((*node, why))
    };
    answers.iter().filter_map(refusal).collect()
}

fn said(refusals: &[(NodeId, String)]) -> String {
    let said: Vec<_> = refusals.iter().map(|(node, why)| format!("{node}: {why}")).collect();
    said.join("; ")
}

/// What an operation takes.
const fn needed(operation: &Operation) -> Access {
    match operation {
        Operation::Submit { .. } | Operation::Load { .. } => Access::Operator,
        Operation::Crash(_)
        | Operation::Isolate(_)
        | Operation::Partition(_)
        | Operation::Link { .. }
        | Operation::SlowDisk { .. }
        | Operation::FailDisk(_) => Access::Chaos,
        // Healing too: whoever's time is up must still be able to clean up, and the node asks for the token.
        _ => Access::Viewer,
    }
}

impl Hub {
    pub(super) fn operate(&mut self, request: Request) {
        let Request { id, operation } = request;
        let text = grammar::print(&operation);
        tracing::info!(operation = %text, "asked");
        let carried = match needed(&operation) {
            needed if !self.mode().allows(needed) => {
                let word = if needed == Access::Chaos { "drill" } else { "operate" };
                Err(format!("read-only: arm first, for example `arm {word} 15m reason`"))
            }
            _ => self.carry_out(id, operation, text),
        };
        match carried {
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
                self.meant().known(via)?;
                let (clients, observations) = (self.clients.clone(), self.observations.clone());
                tokio::spawn(async move {
                    let answer = clients.submit(command, via).await;
                    // A session that has gone away needs no answer.
                    let _ = observations.send(Observation::Answered { id, answer }).await;
                });
                Ok(None)
            }
            Operation::Read { query, via, level } => {
                self.meant().known(via)?;
                let (clients, observations) = (self.clients.clone(), self.observations.clone());
                tokio::spawn(async move {
                    let answer = clients.read(query, via, level).await;
                    let _ = observations.send(Observation::Answered { id, answer }).await;
                });
                Ok(None)
            }
            Operation::Crash(target) => self.crash(id, target),
            Operation::Restart(target) => self.restart(id, target),
            Operation::Pause(target) => self.pause(target, true),
            Operation::Unpause(target) => self.pause(target, false),
            Operation::Isolate(target) => {
                let nodes = self.meant().targets(target)?;
                let links = nodes.iter().map(|node| (Links::Of(*node), LinkRule::Cut { kind: None })).collect();
                let done = format!("{} is cut off from all others", names(&nodes));
                let decided_on = self.decided_on(target, &nodes);
                Ok(self.put_links(id, NewFault { text, links, decided_on, done, ..NewFault::default() }))
            }
            Operation::Partition(groups) => self.partition(id, &groups, text),
            Operation::Link { links, rule } => {
                self.meant().known_links(links)?;
                if is_nothing(rule) {
                    return Ok(self.thin(id, links, Some(rule)));
                }
                let done = format!("{text} is in force");
                let links = vec![(links, rule)];
                Ok(self.put_links(id, NewFault { text, links, done, ..NewFault::default() }))
            }
            Operation::Heal => Ok(self.heal(id)),
            Operation::HealLinks(links) => {
                self.meant().known_links(links)?;
                Ok(self.thin(id, links, None))
            }
            Operation::SlowDisk { node, delay_us } => self.slow_disk(id, node, delay_us, text),
            Operation::FailDisk(target) => {
                let nodes = self.meant().targets(target)?;
                if let Some(supervisor) = &mut self.supervisor {
                    supervisor.expect_halt(&nodes);
                }
                let done = format!("the next write of {} will fail", names(&nodes));
                let decided_on = self.decided_on(target, &nodes);
                let wishes = nodes.iter().map(|node| (*node, Wish::FailDisk, decided_on.get(node).copied()));
                self.ask_and_answer(id, wishes.collect(), done);
                Ok(None)
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
            Operation::Stop => self.set_stopped(true),
            Operation::Resume => self.set_stopped(false),
            Operation::Pace(_) => {
                let own = self.supervisor.is_some();
                Err(no(if own { crate::cluster::process::CAPABILITIES } else { super::CAPABILITIES }.pace))
            }
            Operation::Arm { access, duration_us, reason } => self.arm(id, access, duration_us, reason),
            Operation::Disarm => Ok(self.disarm(id)),
            // Carried out by the hub's loop.
            Operation::Quit => Ok(None),
        }
    }

    /// Asks nodes, all at the same time. Those without a line are lost at once.
    pub(super) fn ask_nodes(
        &self,
        wishes: Vec<(NodeId, Wish, Option<Standing>)>,
        within: Duration,
    ) -> impl Future<Output = Answers> + Send + use<> {
        let asked = wishes.into_iter().map(|(node, wish, decided_on)| {
            let asker = self.nodes.live(node).map(super::nodes::NodeLine::asker);
            async move {
                let answer = match asker {
                    Some(asker) => asker.ask(wish, decided_on, within).await,
                    None => Err(Lost { maybe_acted: false, why: "it is not heard".into() }),
                };
                (node, answer)
            }
        });
        join_all(asked.collect::<Vec<_>>())
    }

    /// Asks, and answers with `done`, and with who did not do it; refused where nobody did.
    fn ask_and_answer(&self, id: OperationId, wishes: Vec<(NodeId, Wish, Option<Standing>)>, done: String) {
        let asked = self.ask_nodes(wishes, ANSWER_WITHIN);
        self.later(asked, move |hub, answers: Answers| {
            let refused = refusals(&answers);
            let answer = match refused.len() {
                0 => Answer::Done(done),
                some if some < answers.len() => Answer::Done(format!("{done}; but not {}", said(&refused))),
                _ => Answer::Refused { why: said(&refused) },
            };
            hub.publish();
            hub.answer(id, answer);
        });
    }

    /// Does something in the hub when something else is ready.
    fn later<T: Send + 'static>(
        &self,
        ready: impl Future<Output = T> + Send + 'static,
        then: impl FnOnce(&mut Self, T) + Send + 'static,
    ) {
        let thens = self.then.clone();
        tokio::spawn(async move {
            let ready = ready.await;
            // A hub that has ended has nothing to do any more.
            let _ = thens.send(Box::new(move |hub| then(hub, ready)));
        });
    }

    fn members(&self) -> Vec<NodeId> {
        self.supervisor.as_ref().map_or_else(|| self.nodes.ids(), Supervisor::ids)
    }

    fn meant(&self) -> Members {
        Members::new(self.members(), self.nodes.leader())
    }

    /// The nodes that were chosen, with the facts on which. Whoever says `all` means them whatever they are, and to the
    /// console's own cluster nothing is done by others.
    fn decided_on(&self, target: Target, nodes: &[NodeId]) -> BTreeMap<NodeId, Standing> {
        let nodes = if target == Target::All || self.supervisor.is_some() { &[] } else { nodes };
        nodes.iter().filter_map(|node| Some((*node, self.nodes.standing(*node)?))).collect()
    }

    fn crash(&mut self, id: OperationId, target: Target) -> Carried {
        let nodes = self.meant().targets(target)?;
        if let Some(supervisor) = &mut self.supervisor {
            let nodes: Vec<_> = nodes.into_iter().filter(|node| supervisor.is_alive(*node)).collect();
            if nodes.is_empty() {
                return Err(format!("{target} does not run; restart it first"));
            }
            let at_us = self.started.elapsed().as_micros() as u64;
            for node in &nodes {
                supervisor.kill(*node, at_us);
            }
            self.pending.push(Pending { id, nodes, wanted: Wanted::Down });
            return Ok(None);
        }
        let decided_on = self.decided_on(target, &nodes);
        let wishes = nodes.iter().map(|node| (*node, Wish::Crash, decided_on.get(node).copied()));
        let asked = self.ask_nodes(wishes.collect(), ANSWER_WITHIN);
        self.later(asked, move |hub, answers| {
            // A node that crashes may have no time to say so.
            let crashed = |answer: &Result<Reply, Lost>| match answer {
                Ok(Reply::Done(_)) => true,
                Ok(_) => false,
                Err(lost) => lost.maybe_acted,
            };
            let (gone, not): (Answers, Answers) = answers.into_iter().partition(|(_, answer)| crashed(answer));
            let refused = said(&refusals(&not));
            let gone = names(gone.iter().map(|(node, _)| node));
            hub.answer(
                id,
                match (gone.is_empty(), not.is_empty()) {
                    (true, _) => Answer::Refused { why: refused },
                    (false, true) => Answer::Done(format!("{gone} was told to crash")),
                    (false, false) => Answer::Done(format!("{gone} was told to crash; but not {refused}")),
                },
            );
        });
        Ok(None)
    }

    fn restart(&mut self, id: OperationId, target: Target) -> Carried {
        let nodes = self.meant().targets(target)?;
        let view = self.published.borrow().clone();
        let Some(supervisor) = &mut self.supervisor else { return Err(no(super::CAPABILITIES.restart)) };
        // A node that has halted tells so for a moment before its process ends.
        let halted = |node| view.node(node).is_some_and(|node| matches!(node.life, Life::Halted { .. }));
        let nodes: Vec<_> = nodes.into_iter().filter(|node| !supervisor.is_running(*node) || halted(*node)).collect();
        if nodes.is_empty() {
            return match target {
                Target::All => Ok(Some("all nodes run already".into())),
                Target::Node(_) | Target::Leader => Err(format!("{target} runs; crash it first")),
            };
        }
        for node in &nodes {
            let epoch = self.nodes.line(*node).and_then(|line| line.heard().welcome).map(|welcome| welcome.epoch);
            supervisor.restart(*node, epoch);
        }
        self.pending.push(Pending { id, nodes, wanted: Wanted::Up });
        Ok(None)
    }

    /// Answers crashes whose processes have ended and restarts whose nodes are heard.
    pub(super) fn settle_pending(&mut self) {
        let Some(supervisor) = &self.supervisor else { return };
        let view = self.published.borrow().clone();
        let mut answers = Vec::new();
        self.pending.retain(|pending| {
            let life = |node: &NodeId| view.node(*node).map(|node| node.life.clone());
            let names = names(&pending.nodes);
            let answer = match pending.wanted {
                Wanted::Down if pending.nodes.iter().all(|node| !supervisor.is_alive(*node)) => {
                    Answer::Done(format!("{names} crashed"))
                }
                Wanted::Up => {
                    let halted = pending.nodes.iter().find_map(|node| match life(node) {
                        Some(Life::Halted { why }) if !supervisor.is_running(*node) => Some((*node, why)),
                        Some(Life::Crashed { .. }) if !supervisor.is_running(*node) => {
                            Some((*node, "its process ended at once".to_owned()))
                        }
                        _ => None,
                    });
                    if let Some((node, why)) = halted {
                        Answer::Refused { why: format!("{node} halted: {why}") }
                    } else if pending.nodes.iter().all(|node| life(node) == Some(Life::Running)) {
                        Answer::Done(format!("{names} runs"))
                    } else {
                        return true;
                    }
                }
                Wanted::Down => return true,
            };
            answers.push((pending.id, answer));
            false
        });
        if !answers.is_empty() {
            self.publish();
        }
        for (id, answer) in answers {
            self.answer(id, answer);
        }
    }

    fn pause(&mut self, target: Target, pause: bool) -> Carried {
        let nodes = self.meant().targets(target)?;
        let Some(supervisor) = &mut self.supervisor else { return Err(no(super::CAPABILITIES.pause)) };
        let nodes: Vec<_> = nodes.into_iter().filter(|node| supervisor.is_alive(*node)).collect();
        if nodes.is_empty() {
            return Err(format!("{target} does not run; restart it first"));
        }
        for node in &nodes {
            supervisor.pause(*node, pause);
        }
        if pause {
            Ok(Some(format!("{} stands still where it is", names(&nodes))))
        } else {
            // Its leases may have ended while it stood still.
            self.own.put_again(|node| nodes.contains(&node));
            Ok(Some(format!("{} goes on", names(&nodes))))
        }
    }

    fn set_stopped(&mut self, stopped: bool) -> Carried {
        let Some(supervisor) = &mut self.supervisor else { return Err(no(super::CAPABILITIES.clock)) };
        supervisor.set_stopped(stopped);
        let what = if stopped {
            self.clock.stop();
            "all processes stand still, and the cluster's clock with them"
        } else {
            self.clock.resume();
            self.own.put_again(|_| true);
            "all processes go on, and the cluster's clock with them"
        };
        self.tell(What::Clock { what: what.into() });
        Ok(Some(what.into()))
    }

    fn partition(&mut self, id: OperationId, groups: &[Vec<NodeId>], text: String) -> Carried {
        let Sides { groups, told } = self.meant().sides(groups)?;
        let mut rules = Rules::new(self.members(), 0);
        rules.partition(&groups);
        // A new partition takes the place of an old one.
        let cut = (LinkRule::Cut { kind: None },);
        let whole = |rules: &[(Links, LinkRule)]| !rules.is_empty() && rules.iter().all(|(_, rule)| (*rule,) == cut);
        let instead_of = self.own.all.iter().filter(|fault| whole(&fault.links)).map(|fault| fault.number).collect();
        let links = rules.list().collect();
        Ok(self.put_links(id, NewFault { text, links, instead_of, done: told, ..NewFault::default() }))
    }

    fn put_links(&mut self, id: OperationId, new: NewFault) -> Option<String> {
        let nodes = touched(&self.members(), &new.links);
        self.put(id, NewFault { nodes, ..new });
        None
    }

    /// Puts a fault on all nodes that it touches, or on none.
    fn put(&mut self, id: OperationId, new: NewFault) {
        let NewFault { text, links, disk_delay_us, nodes, instead_of, decided_on, done } = new;
        let quorum = takes_quorum(&self.members(), &self.published.borrow().links, &links);
        let usual = if quorum { QUORUM_FAULT_TTL } else { FAULT_TTL };
        // The console's own cluster keeps a fault until it is healed.
        let ttl = self.supervisor.is_none().then(|| self.spec.fault_ttl.unwrap_or(usual));
        let there: Vec<_> = nodes.iter().copied().filter(|node| self.nodes.live(*node).is_some()).collect();
        let away: Vec<_> = nodes.iter().copied().filter(|node| !there.contains(node)).collect();
        if there.is_empty() {
            let why = format!("none of {} is heard: nobody can be asked", names(&nodes));
            return self.answer(id, Answer::Refused { why });
        }
        let number = self.own.add(text, links, disk_delay_us, nodes, ttl);
        let Some(fault) = self.own.get(number) else { return };
        let wish = fault.wish();
        let put = |node| (node, Wish::Fault(wish.clone()), decided_on.get(&node).copied());
        let wishes = there.into_iter().map(put).collect();
        let asked = self.ask_nodes(wishes, ANSWER_WITHIN);
        self.later(asked, move |hub, answers: Answers| {
            let refused = refusals(&answers);
            if !refused.is_empty() {
                let fault = hub.own.remove(number);
                let nodes = fault.map(|fault| fault.nodes).unwrap_or_default();
                let heal = nodes.into_iter().map(|node| (node, Wish::HealFault { fault: number }, None)).collect();
                let healed = hub.ask_nodes(heal, ANSWER_WITHIN);
                let why = said(&refused);
                let others = if refused.len() < answers.len() { "; it is healed on the others again" } else { "" };
                return hub.later(healed, move |hub, _| {
                    hub.publish();
                    hub.answer(id, Answer::Refused { why: format!("{why}{others}") });
                });
            }
            for (node, _) in &answers {
                let epoch = hub.nodes.greeted(*node);
                if let (Some(fault), Some(epoch)) = (hub.own.get(number), epoch) {
                    fault.place(*node, epoch, true);
                }
            }
            if let Some(fault) = hub.own.get(number) {
                fault.settling = false;
            }
            let mut done = done;
            if let Some(ttl) = ttl {
                done = format!("{done}, for {} s", ttl.as_secs());
            }
            if !away.is_empty() {
                done = format!("{done}; {} is not heard and gets it when it is back", names(&away));
            }
            let healed = hub.heal_own(&instead_of);
            hub.later(healed, move |hub, _| {
                hub.publish();
                hub.answer(id, Answer::Done(done));
            });
        });
    }

    /// Takes own faults away, and forgets them.
    fn heal_own(&mut self, numbers: &[u64]) -> impl Future<Output = Answers> + Send + use<> {
        let faults: Vec<_> = numbers.iter().filter_map(|number| self.own.remove(*number)).collect();
        let wishes = faults
            .iter()
            .flat_map(|fault| fault.nodes.iter().map(|node| (*node, Wish::HealFault { fault: fault.number }, None)));
        self.ask_nodes(wishes.collect(), ANSWER_WITHIN)
    }

    fn slow_disk(&mut self, id: OperationId, target: Target, delay_us: u64, text: String) -> Carried {
        let nodes = self.meant().targets(target)?;
        let decided_on = self.decided_on(target, &nodes);
        let nodes: BTreeSet<_> = nodes.into_iter().collect();
        let slow = self.own.all.iter().filter(|fault| fault.disk_delay_us.is_some() && fault.nodes.is_subset(&nodes));
        let instead_of: Vec<_> = slow.map(|fault| fault.number).collect();
        let done = format!("each write of {} takes {} ms longer", names(&nodes), delay_us / 1000);
        if delay_us > 0 {
            let disk_delay_us = Some(delay_us);
            let links = Vec::new();
            self.put(id, NewFault { text, links, disk_delay_us, nodes, instead_of, decided_on, done });
        } else {
            let healed = self.heal_own(&instead_of);
            self.later(healed, move |hub, _| hub.answer(id, Answer::Done(done)));
        }
        Ok(None)
    }

    fn heal(&mut self, id: OperationId) -> Option<String> {
        self.own.all.clear();
        let mut members = self.members();
        // Processes that do not run have no faults.
        if let Some(supervisor) = &self.supervisor {
            members.retain(|node| supervisor.is_alive(*node));
        }
        let wishes = members.into_iter().map(|node| (node, Wish::HealAll, None)).collect();
        let asked = self.ask_nodes(wishes, ANSWER_WITHIN);
        self.later(asked, move |hub, answers: Answers| {
            let refused = refusals(&answers);
            let answer = match refused.len() {
                0 => Answer::Done("all faults are healed".into()),
                some if some < answers.len() => Answer::Done(format!(
                    "all faults are healed but on {}; there they end by themselves",
                    said(&refused)
                )),
                _ => Answer::Refused { why: said(&refused) },
            };
            hub.publish();
            hub.answer(id, answer);
        });
        None
    }

    /// Heals links, or takes rules of one sort from them.
    fn thin(&mut self, id: OperationId, links: Links, sort: Option<LinkRule>) -> Option<String> {
        let members = self.members();
        let mut wishes = Vec::new();
        if sort.is_none() {
            wishes.extend(members.iter().map(|node| (*node, Wish::HealLinks(links), None)));
            wishes.retain(|(node, ..)| self.nodes.live(*node).is_some());
        }
        for (fault, left) in self.own.thin(&members, links, sort) {
            let wish = if left { Wish::Fault(fault.wish()) } else { Wish::HealFault { fault: fault.number } };
            let there = fault.nodes.iter().filter(|node| self.nodes.live(**node).is_some());
            // After healing the links: what is put again goes over what was there.
            wishes.extend(there.map(|node| (*node, wish.clone(), None)));
        }
        let done = format!("{links} is healed");
        if wishes.is_empty() {
            return Some(done);
        }
        let (heal, put): (Vec<_>, Vec<_>) =
            wishes.into_iter().partition(|(_, wish, _)| !matches!(wish, Wish::Fault(_)));
        let healed = self.ask_nodes(heal, ANSWER_WITHIN);
        self.later(healed, move |hub, healed: Answers| {
            let asked = hub.ask_nodes(put, ANSWER_WITHIN);
            hub.later(asked, move |hub, answers: Answers| {
                let refused = [refusals(&healed), refusals(&answers)].concat();
                hub.publish();
                hub.answer(
                    id,
                    if refused.is_empty() { Answer::Done(done) } else { Answer::Refused { why: said(&refused) } },
                );
            });
        });
        None
    }

    fn start_load(&mut self, id: OperationId, per_second: u32, duration_us: Option<u64>) -> Option<String> {
        let observations = self.observations.clone();
        let finished = move |count: LoadCount| {
            if duration_us.is_some() {
                let answer = Answer::Done(count.to_string());
                tokio::spawn(async move {
                    let _ = observations.send(Observation::Answered { id, answer }).await;
                });
            }
        };
        // A load that takes the place of another ends it.
        self.end_load();
        let load = Load::start(self.clients.clone(), per_second, duration_us, finished);
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

    fn arm(&mut self, id: OperationId, access: Access, duration_us: u64, reason: String) -> Carried {
        if self.supervisor.is_some() {
            return Ok(Some("this cluster is the console's own: nothing to arm".into()));
        }
        if access > self.spec.access {
            let has = self.spec.access;
            return Err(format!("this console has {has} access and no more: attach with a token for {access}"));
        }
        let wish = Wish::Arm { access, duration_ms: duration_us / 1000, reason: reason.clone() };
        let wishes = self.nodes.ids().into_iter().map(|node| (node, wish.clone(), None)).collect();
        let asked = self.ask_nodes(wishes, ANSWER_WITHIN);
        self.later(asked, move |hub, answers: Answers| {
            let refused = refusals(&answers);
            if refused.len() == answers.len() {
                return hub.answer(id, Answer::Refused { why: said(&refused) });
            }
            for (node, _) in answers.iter().filter(|(_, answer)| answer.is_ok()) {
                if let Some(epoch) = hub.nodes.greeted(*node) {
                    hub.told_armed.insert(*node, (epoch, Instant::now()));
                }
            }
            let shown = Untrusted::from(reason.as_str()).display_max(200);
            let mut done = format!("armed for {access}, {}: {shown}", grammar::print_time(duration_us));
            if !refused.is_empty() {
                done = format!("{done}; but not {}", said(&refused));
            }
            hub.armed =
                Some(Armed { access, until: Instant::now() + Duration::from_micros(duration_us), reason: shown });
            hub.publish();
            hub.answer(id, Answer::Done(done));
        });
        Ok(None)
    }

    fn disarm(&mut self, id: OperationId) -> Option<String> {
        if self.supervisor.is_some() {
            return Some("this cluster is the console's own: nothing to arm".into());
        }
        self.end_load();
        self.armed = None;
        self.told_armed.clear();
        let numbers: Vec<_> = self.own.all.iter().map(|fault| fault.number).collect();
        let healed = self.heal_own(&numbers);
        let wishes = self.nodes.ids().into_iter().map(|node| (node, Wish::Disarm, None)).collect();
        let disarmed = self.ask_nodes(wishes, ANSWER_WITHIN);
        let both = async move { (healed.await, disarmed.await) };
        self.later(both, move |hub, _| {
            hub.publish();
            hub.answer(id, Answer::Done("only watching again; the faults of this console are healed".into()));
        });
        None
    }
}

/// Why something cannot be done.
fn no(can: Can) -> String {
    match can {
        Can::No(why) => why.to_owned(),
        Can::Yes => "that cannot be done here".to_owned(),
    }
}
