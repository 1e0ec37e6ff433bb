//! Clients that wait: tickets until their entry is applied or lost, or until time is up (paper §8).
//!
//! A command has three outcomes: applied, certainly not, unknown. It is *certainly not* applied when another entry was
//! applied at its place; it is *unknown* when time is up first, for the entry may still be committed later.
//!
//! Kept true: each ticket gets one outcome.
//! Not here: finding the leader, asking again (`cluster/`).

use std::collections::BTreeMap;

use bytes::Bytes;

use super::ClientOutcome;
use crate::mutants;
use crate::raft::{Index, LogPosition, Outcome, Ticket, Ticks};

type Answer<'a> = &'a mut dyn FnMut(Ticket, ClientOutcome);

#[derive(Debug)]
enum Wait {
    /// Submitted; its position once it is in the log.
    Command(Option<LogPosition>),
    /// Asked, with its query.
    Query(Bytes),
}

/// The waiting clients of one node in one life.
#[derive(Debug)]
pub struct Waiting {
    timeout: Ticks,
    now: Ticks,
    tickets: BTreeMap<Ticket, (Ticks, Wait)>,
    /// By position; an index may be waited for in several terms.
    commands: BTreeMap<(Index, crate::raft::Term), Ticket>,
}

impl Waiting {
    /// Nobody; whoever comes waits at most `timeout` ticks.
    #[must_use]
    pub fn new(timeout: Ticks) -> Self {
        Self { timeout, now: 0, tickets: BTreeMap::new(), commands: BTreeMap::new() }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// A client submitted a command.
    pub fn submitted(&mut self, ticket: Ticket) {
        self.tickets.insert(ticket, (self.now + self.timeout, Wait::Command(None)));
    }

    /// A client asked a query.
    pub fn asked(&mut self, ticket: Ticket, query: Bytes) {
        self.tickets.insert(ticket, (self.now + self.timeout, Wait::Query(query)));
    }

    /// What the core said; `query` reads the machine as it is now.
    pub fn replied(
        &mut self,
        ticket: Ticket,
        outcome: Outcome,
        query: impl FnOnce(&[u8]) -> Bytes,
        answer: Answer<'_>,
    ) {
        let Some((_, wait)) = self.tickets.get_mut(&ticket) else { return };
        let told = match (outcome, wait) {
            (Outcome::Appended(position), Wait::Command(_)) if mutants::on("M48") => {
                ClientOutcome::Applied { position, reply: Bytes::new() }
            }
            (Outcome::Appended(position), Wait::Command(at)) => {
                *at = Some(position);
                self.commands.insert((position.index, position.term), ticket);
                return;
            }
            (Outcome::NotLeader { leader }, _) | (Outcome::ReadAborted { leader }, Wait::Command(_)) => {
                ClientOutcome::NotLeader { leader }
            }
            (Outcome::Busy { uncommitted_bytes }, _) => ClientOutcome::Busy { uncommitted_bytes },
            (Outcome::ReadReady(index), Wait::Query(text)) => ClientOutcome::Value { index, reply: query(text) },
            (Outcome::ReadAborted { .. }, Wait::Query(_)) => {
                ClientOutcome::ReadFailed { why: "no leader confirmed the read".into() }
            }
            (Outcome::ReadReady(_), Wait::Command(_)) | (Outcome::Appended(_), Wait::Query(_)) => return,
        };
        self.tickets.remove(&ticket);
        answer(ticket, told);
    }

    /// An entry was applied: whoever waited for it has its reply, whoever waited for another entry there has lost.
    pub fn applied(&mut self, position: LogPosition, reply: Bytes, answer: Answer<'_>) {
        let mut reply = Some(reply);
        while let Some((&(index, term), &ticket)) = self.commands.first_key_value() {
            if index > position.index {
                break;
            }
            self.commands.pop_first();
            if self.tickets.remove(&ticket).is_none() {
                continue;
            }
            let mine = (index, term) == (position.index, position.term);
            match reply.take_if(|_| mine) {
                Some(reply) => answer(ticket, ClientOutcome::Applied { position, reply }),
                None => answer(
                    ticket,
                    ClientOutcome::NotApplied { why: "another leader's entry was committed in its place".into() },
                ),
            }
        }
    }

    /// A snapshot replaced the log up to `last`: what happened to the entries below cannot be known here.
    pub fn covered(&mut self, last: Index, answer: Answer<'_>) {
        while let Some((&(index, _), &ticket)) = self.commands.first_key_value() {
            if index > last {
                break;
            }
            self.commands.pop_first();
            if self.tickets.remove(&ticket).is_some() {
                answer(
                    ticket,
                    ClientOutcome::Unknown { why: "a snapshot of the new leader replaced the log meanwhile".into() },
                );
            }
        }
    }

    /// 10 ms of cluster time passed. Tickets rise, and with them deadlines, so the first is the oldest.
    pub fn tick(&mut self, answer: Answer<'_>) {
        self.now += 1;
        while let Some(first) = self.tickets.first_entry() {
            if first.get().0 > self.now {
                break;
            }
            let (ticket, (_, wait)) = first.remove_entry();
            let outcome = match wait {
                Wait::Command(_) if mutants::on("M49") => ClientOutcome::NotApplied { why: "no answer in time".into() },
                Wait::Command(Some(position)) => {
                    self.commands.remove(&(position.index, position.term));
                    ClientOutcome::Unknown {
                        why: "it is in the leader's log, but no majority has confirmed it in time".into(),
                    }
                }
                Wait::Command(None) => ClientOutcome::Unknown { why: "no answer in time".into() },
                Wait::Query(_) => ClientOutcome::ReadFailed { why: "no majority confirmed the leader in time".into() },
            };
            answer(ticket, outcome);
        }
    }
}
