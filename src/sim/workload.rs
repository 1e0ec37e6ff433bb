//! Clients: what they ask for, whom they ask, when they give up, and what they were told (paper §8).
//!
//! Every client has one operation open. Values, deltas and so commands are unique, so that whatever comes back says where
//! it is from. A client that does not know what became of its operation goes on as somebody else.
//!
//! Kept true: an operation ends once for its client; what comes later is not heard.
//! Not here: whether the answers are right (`check/`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::marks::Mark;
use super::plan::{Concern, Plan};
use super::world::{Happening, World};
use crate::check::wing_gong::{self, Act, Found};
use crate::check::{Property, Verdict, broken};
use crate::history;
use crate::machine::kv::{KvCommand, KvQuery, KvReply};
use crate::node::{ClientOutcome, NodeInput};
use crate::raft::rng::Rng;
use crate::raft::{Index, LogPosition, NodeId};

/// Operations on one key before clients turn to the next.
const OPERATIONS_A_KEY: u64 = 60;

/// Steps of a search through the history of one key.
const SEARCH_STEPS: usize = 100_000;

/// What a client hears.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    Applied {
        position: LogPosition,
        reply: Bytes,
    },
    Value {
        index: Index,
        reply: Bytes,
    },
    NotLeader {
        leader: Option<NodeId>,
    },
    Busy,
    NotApplied,
    Unknown,
    ReadFailed,
    /// Nothing, for as long as it waits.
    Silence,
    /// The node is gone, or was never there.
    Gone,
}

#[derive(Clone, Debug)]
enum Ask {
    Command(KvCommand, Bytes),
    Query(KvQuery, Bytes),
}

impl Ask {
    /// Its place in a history, if it has one.
    fn recorded(&self) -> Option<(Bytes, history::Ask)> {
        match self {
            Self::Command(command, _) => Some(history::Ask::of_command(command)),
            Self::Query(query, _) => history::Ask::of_query(query),
        }
    }
}

#[derive(Clone, Debug)]
struct Operation {
    client: usize,
    ask: Ask,
    invoked_us: u64,
    /// Whether a node has taken it in.
    arrived: bool,
}

#[derive(Clone, Debug, Default)]
struct Client {
    open: Option<u64>,
    leader: Option<usize>,
}

/// All clients of a run.
pub(super) struct Workload {
    luck: Rng,
    clients: Vec<Client>,
    operations: BTreeMap<u64, Operation>,
    asked: u64,
    left: u64,
    answered: u64,
    /// Operations asked of each key slot.
    used: Vec<u64>,
    /// What a key was last seen to have.
    known: BTreeMap<Bytes, Option<Bytes>>,
    given_up: BTreeSet<u64>,
    histories: BTreeMap<Bytes, Vec<wing_gong::Operation>>,
    probe_answered: u64,
}

impl Workload {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            luck: plan.luck(Concern::Clients),
            // One more looks whether the cluster works again at the end.
            clients: vec![Client::default(); plan.clients as usize + 1],
            operations: BTreeMap::new(),
            asked: 0,
            left: plan.operations,
            answered: 0,
            used: vec![0; plan.keys as usize],
            known: BTreeMap::new(),
            given_up: BTreeSet::new(),
            histories: BTreeMap::new(),
            probe_answered: 0,
        }
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// A key that is being used, by its place and kind.
    pub(super) fn key(&self, slot: u64, letter: char) -> Bytes {
        let generation = self.used[slot as usize] / OPERATIONS_A_KEY;
        Bytes::from(format!("{letter}{slot}.{generation}"))
    }

    /// Writes of the client that looks whether the cluster works again.
    pub(super) fn probes_answered(&self) -> u64 {
        self.probe_answered
    }

    fn draw(&mut self, plan: &Plan) -> Ask {
        let operation = self.asked;
        let slot = self.luck.below(plan.keys);
        self.used[slot as usize] += 1;
        let number = self.luck.chance(1, 4);
        let key = self.key(slot, if number { 'c' } else { 'k' });
        let mut value = format!("v{operation}").into_bytes();
        if plan.value_bytes > 0 {
            value.resize(value.len().max(self.luck.below(plan.value_bytes) as usize), b'.');
        }
        let (value, delta) = (Bytes::from(value), operation.cast_signed());
        let known = self.known.get(&key).cloned().flatten();
        let command = match self.luck.below(20) {
            0..=5 if number => KvCommand::Incr { key, delta },
            0..=5 => KvCommand::Set { key, value },
            6..=7 => KvCommand::Incr { key, delta },
            8..=10 => KvCommand::Cas { key, expected: known, new: value },
            11 => KvCommand::Cas { key, expected: None, new: value },
            12..=13 => KvCommand::Delete { key },
            14 => {
                let limit = 1 + self.luck.below(6);
                let prefix = Bytes::from(format!("k{slot}"));
                let query = KvQuery::List { prefix, limit };
                let bytes = query.encode();
                return Ask::Query(query, bytes);
            }
            _ => {
                let query = KvQuery::Get { key };
                let bytes = query.encode();
                return Ask::Query(query, bytes);
            }
        };
        let bytes = command.encode();
        Ask::Command(command, bytes)
    }

    fn note(&mut self, key: &Bytes, invoked_us: u64, returned: Option<u64>, act: Act) {
        let operation = wing_gong::Operation { invoked: invoked_us, returned, act };
        self.histories.entry(key.clone()).or_default().push(operation);
    }

    /// An operation has ended, or will never end, for its client.
    fn record(&mut self, operation: &Operation, returned: Option<u64>, reply: Option<&KvReply>) {
        let at_us = operation.invoked_us;
        match &operation.ask {
            Ask::Command(command, _) => match command {
                KvCommand::Set { key, value } => self.note(key, at_us, returned, Act::Set(value.clone())),
                KvCommand::Delete { key } => {
                    let existed = reply.and_then(|reply| match reply {
                        KvReply::Deleted(existed) => Some(*existed),
                        _ => None,
                    });
                    self.note(key, at_us, returned, Act::Delete(existed));
                }
                KvCommand::Cas { key, expected, new } => {
                    let swapped = reply.and_then(|reply| match reply {
                        KvReply::Swapped { swapped, .. } => Some(*swapped),
                        _ => None,
                    });
                    let act = Act::Cas { expected: expected.clone(), new: new.clone(), swapped };
                    self.note(key, at_us, returned, act);
                }
                KvCommand::Incr { key, delta } => {
                    let sum = reply.map(|reply| match reply {
                        KvReply::Number(sum) => Some(*sum),
                        _ => None,
                    });
                    self.note(key, at_us, returned, Act::Incr { delta: *delta, sum });
                }
            },
            Ask::Query(KvQuery::Get { key }, _) => {
                if let Some(KvReply::Value(value)) = reply {
                    self.known.insert(key.clone(), value.clone());
                    self.note(key, at_us, returned, Act::Get(value.clone()));
                }
            }
            Ask::Query(KvQuery::List { .. }, _) => {}
        }
    }

    fn learn(&mut self, command: &KvCommand, reply: &KvReply) {
        let (key, value) = match (command, reply) {
            (KvCommand::Set { key, value }, _) => (key, Some(value.clone())),
            (KvCommand::Delete { key }, _) => (key, None),
            (KvCommand::Cas { key, new, .. }, KvReply::Swapped { swapped: true, .. }) => (key, Some(new.clone())),
            (KvCommand::Cas { key, .. }, KvReply::Swapped { current, .. }) => (key, current.clone()),
            (KvCommand::Incr { key, .. }, KvReply::Number(sum)) => (key, Some(Bytes::from(sum.to_string()))),
            _ => return,
        };
        self.known.insert(key.clone(), value);
    }
}

impl World<'_> {
    /// A client asks for something.
    pub(super) fn act(&mut self, client: usize) {
        let is_probe = client as u64 == self.plan.clients;
        let work = &mut self.workload;
        if !is_probe && (self.healing.has_begun() || work.left == 0) || work.clients[client].open.is_some() {
            return;
        }
        work.left = work.left.saturating_sub(u64::from(!is_probe));
        work.asked += 1;
        let number = work.asked;
        let ask = if is_probe {
            let command =
                KvCommand::Set { key: Bytes::from_static(b"probe"), value: Bytes::from(format!("p{number}")) };
            let bytes = command.encode();
            Ask::Command(command, bytes)
        } else {
            work.draw(&self.plan)
        };
        let count = self.hosts.len() as u64;
        let anybody = work.luck.below(count) as usize;
        let asks_anybody = work.luck.chance(1, 4) || (matches!(ask, Ask::Query(..)) && work.luck.chance(1, 2));
        let host = work.clients[client].leader.filter(|_| !asks_anybody).unwrap_or(anybody);
        let host = if is_probe { self.healing.whom_to_ask(&self.hosts).unwrap_or(host) } else { host };
        let command = match &ask {
            Ask::Command(_, bytes) => Some(bytes.clone()),
            Ask::Query(..) => None,
        };
        self.scribe.invoked(self.now_us, client, Self::id(host), || ask.recorded());
        work.clients[client].open = Some(number);
        work.operations.insert(number, Operation { client, ask, invoked_us: self.now_us, arrived: false });
        self.judge.invoked(number, command.as_deref());
        let (wait_us, patience_us) = (work.luck.below(3_000), self.plan.patience_us);
        self.after(wait_us, Happening::Arrive { operation: number, host });
        self.after(patience_us, Happening::GiveUp { operation: number });
    }

    /// A request reaches a node.
    pub(super) fn arrive(&mut self, operation: u64, host: usize) -> Verdict {
        let ticket = self.hosts[host].ticket(operation);
        let known = self.workload.operations.get_mut(&operation);
        let (Some(ticket), Some(known)) = (ticket, known) else {
            // Nobody is there, so it certainly has no effect; or its client is not there any more.
            self.tell(operation, Heard::NotLeader { leader: None });
            return Ok(());
        };
        known.arrived = true;
        let input = match &known.ask {
            Ask::Command(_, bytes) => NodeInput::Submit { ticket, command: bytes.clone() },
            Ask::Query(_, bytes) => NodeInput::Read { ticket, query: bytes.clone() },
        };
        let fresh = self.hosts[host].leads().is_some_and(|term| {
            self.judge.committed_term(self.judge.frontier()).is_none_or(|committed| committed < term)
        });
        self.marks.hit_if(Mark::ReadBeforeOwnCommit, fresh && matches!(input, NodeInput::Read { .. }));
        self.give(host, input)
    }

    /// A node answers.
    pub(super) fn answer(&mut self, operation: u64, host: usize, outcome: ClientOutcome) {
        let heard = match outcome {
            ClientOutcome::Applied { position, reply } => Heard::Applied { position, reply },
            ClientOutcome::Value { index, reply } => {
                let leads = self.hosts[host].leads().is_some();
                self.marks.hit(if leads { Mark::ReadAtLeader } else { Mark::ReadAtFollower });
                Heard::Value { index, reply }
            }
            ClientOutcome::NotLeader { leader } => Heard::NotLeader { leader },
            ClientOutcome::Busy { .. } => Heard::Busy,
            ClientOutcome::NotApplied { .. } => Heard::NotApplied,
            ClientOutcome::Unknown { .. } => Heard::Unknown,
            ClientOutcome::ReadFailed { .. } => Heard::ReadFailed,
        };
        self.tell(operation, heard);
    }

    /// An answer is on its way to a client.
    pub(super) fn tell(&mut self, operation: u64, heard: Heard) {
        // Some answers are lost on their way; their clients will give up.
        if self.workload.luck.chance(1, 100) {
            return;
        }
        let wait_us = self.workload.luck.below(3_000);
        self.after(wait_us, Happening::Hear { operation, heard });
    }

    /// A client has waited long enough.
    pub(super) fn give_up(&mut self, operation: u64) -> Verdict {
        self.hear(operation, Heard::Silence)
    }

    /// A client hears what became of its operation.
    pub(super) fn hear(&mut self, operation: u64, heard: Heard) -> Verdict {
        let Some(known) = self.workload.operations.remove(&operation) else {
            let gave_up = self.workload.given_up.contains(&operation);
            let answer = matches!(heard, Heard::Applied { .. } | Heard::Value { .. });
            self.marks.hit_if(Mark::AnswerTooLate, gave_up && answer);
            self.marks.hit_if(Mark::UnknownButCommitted, gave_up && matches!(heard, Heard::Applied { .. }));
            return Ok(());
        };
        let client = known.client;
        self.workload.clients[client].open = None;
        self.workload.answered += 1;
        let now_us = self.now_us;
        self.trace.line(now_us, || format!("c{client} hears of {operation}: {}", said(&heard)));
        self.scribe.heard(now_us, operation, &heard);
        match (&known.ask, heard) {
            (Ask::Command(command, bytes), Heard::Applied { position, reply }) => {
                self.marks.hit(Mark::WriteAcknowledged);
                self.judge.wrote(operation, bytes, position, &reply)?;
                let reply = decoded(operation, &reply)?;
                match &reply {
                    KvReply::Swapped { swapped: true, .. } => self.marks.hit(Mark::CasSwapped),
                    KvReply::Swapped { .. } => self.marks.hit(Mark::CasNotSwapped),
                    KvReply::Number(_) => self.marks.hit(Mark::IncrCounted),
                    KvReply::Deleted(true) => self.marks.hit(Mark::DeleteFound),
                    _ => {}
                }
                self.workload.learn(command, &reply);
                self.workload.record(&known, Some(now_us), Some(&reply));
                self.workload.probe_answered += u64::from(client as u64 == self.plan.clients);
            }
            (Ask::Query(query, _), Heard::Value { index, reply }) => {
                self.judge.read(operation, query, index, &reply)?;
                let reply = decoded(operation, &reply)?;
                self.marks.hit_if(Mark::ListAnswered, matches!(reply, KvReply::Entries(..)));
                self.workload.record(&known, Some(now_us), Some(&reply));
            }
            (Ask::Command(_, bytes), heard @ (Heard::NotLeader { .. } | Heard::Busy | Heard::NotApplied)) => {
                self.judge.refused(operation, Some(bytes))?;
                match heard {
                    Heard::NotLeader { leader } => {
                        self.marks.hit(Mark::WriteRefused);
                        self.workload.clients[client].leader = leader.map(|id| id.0 as usize - 1);
                    }
                    Heard::Busy => self.marks.hit(Mark::WriteBusy),
                    _ => self.marks.hit(Mark::EntryReplaced),
                }
            }
            (Ask::Command(..), _) => {
                self.marks.hit(Mark::WriteUnknown);
                self.judge.unknown(operation);
                self.workload.given_up.insert(operation);
                self.workload.record(&known, None, None);
                self.workload.clients[client].leader = None;
            }
            (Ask::Query(..), heard) => {
                self.marks.hit(Mark::ReadFailed);
                self.judge.refused(operation, None)?;
                self.workload.given_up.insert(operation);
                if let Heard::NotLeader { leader } = heard {
                    self.workload.clients[client].leader = leader.map(|id| id.0 as usize - 1);
                }
            }
        }
        let think_us = self.workload.luck.below(2 * self.plan.think_us) + 1;
        if client as u64 != self.plan.clients {
            self.after(think_us, Happening::Act { client });
        }
        Ok(())
    }

    /// Judges what clients saw, key by key, without believing any index.
    pub(super) fn search_histories(&mut self) -> Verdict {
        for (_, operation) in std::mem::take(&mut self.workload.operations) {
            self.workload.record(&operation, None, None);
        }
        for (key, operations) in &self.workload.histories {
            match wing_gong::search(operations, SEARCH_STEPS) {
                Found::Linearizable => self.marks.hit(Mark::SearchDecided),
                Found::Undecided => {}
                Found::Impossible(stuck) => {
                    return broken(Property::Linearizability, || {
                        format!("no order explains what clients saw of {key:?}; stuck before {stuck:?}")
                    });
                }
            }
        }
        Ok(())
    }
}

fn decoded(operation: u64, reply: &[u8]) -> Result<KvReply, Box<crate::check::Violation>> {
    KvReply::decode(reply).map_err(|why| {
        Box::new(crate::check::Violation {
            property: Property::Linearizability,
            evidence: format!("operation {operation} was answered with bytes that are no reply: {why}"),
        })
    })
}

fn said(heard: &Heard) -> String {
    match heard {
        Heard::Applied { position, .. } => format!("applied at {position}"),
        Heard::Value { index, .. } => format!("read at {index}"),
        Heard::NotLeader { leader: Some(leader) } => format!("not the leader, {leader} is"),
        Heard::NotLeader { leader: None } => "not the leader".to_owned(),
        Heard::Busy => "busy".to_owned(),
        Heard::NotApplied => "not applied".to_owned(),
        Heard::Unknown => "unknown".to_owned(),
        Heard::ReadFailed => "not read".to_owned(),
        Heard::Silence => "nothing".to_owned(),
        Heard::Gone => "the node is gone".to_owned(),
    }
}
