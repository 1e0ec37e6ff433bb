//! Each request of a session acts once, however often and over whichever connection it comes. Pure.
//!
//! Kept true: of the newest [`ANSWERS_MAX`] requests the answers are known; an older one that comes again is not acted on.
//! Not here: what a request does (`desk.rs`).

use std::collections::BTreeMap;

use crate::control::protocol::Reply;

/// Answers that a session can ask for again, and their bytes.
pub(super) const ANSWERS_MAX: usize = 4_096;
/// See [`ANSWERS_MAX`].
const BYTES_MAX: usize = 1 << 20;

/// What is known of a request; `W` is who waits for its answer.
#[derive(Debug)]
enum Known<W> {
    UnderWay(Vec<W>),
    Answered(Reply),
}

/// What is to be done about a request that comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Coming {
    /// It is new: act.
    New,
    /// It is under way: whoever asks now waits with the others.
    Joined,
    /// It has been answered.
    Again(Reply),
    /// It is so old that its answer is not known any more.
    TooOld,
}

/// The requests of one session.
#[derive(Debug)]
pub(super) struct Requests<W> {
    known: BTreeMap<u64, Known<W>>,
    answered: usize,
    bytes: usize,
    /// Up to here, what is not known any more may have been.
    forgotten: u64,
}

impl<W> Default for Requests<W> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), answered: 0, bytes: 0, forgotten: 0 }
    }
}

impl<W> Requests<W> {
    /// Whether nothing was ever asked.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty() && self.forgotten == 0
    }

    /// A request comes in; `waiter` makes whoever wants its answer.
    pub(super) fn come(&mut self, number: u64, waiter: impl FnOnce() -> W) -> Coming {
        match self.known.get_mut(&number) {
            Some(Known::Answered(reply)) => Coming::Again(reply.clone()),
            Some(Known::UnderWay(waiters)) => {
                waiters.push(waiter());
                Coming::Joined
            }
            None if number <= self.forgotten => Coming::TooOld,
            None => {
                self.known.insert(number, Known::UnderWay(vec![waiter()]));
                Coming::New
            }
        }
    }

    /// It was never begun, and is new when it comes again; gives who waits for it.
    pub(super) fn forget(&mut self, number: u64) -> Vec<W> {
        match self.known.remove(&number) {
            Some(Known::UnderWay(waiters)) => waiters,
            Some(answered @ Known::Answered(_)) => {
                self.known.insert(number, answered);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// It was answered; gives who waits for it.
    pub(super) fn answer(&mut self, number: u64, reply: Reply) -> Vec<W> {
        let size = size(&reply);
        let former = self.known.insert(number, Known::Answered(reply));
        self.answered += 1;
        self.bytes += size;
        while self.answered > ANSWERS_MAX || self.bytes > BYTES_MAX {
            let oldest = self.known.iter().find_map(|(number, known)| match known {
                Known::Answered(reply) => Some((*number, self::size(reply))),
                Known::UnderWay(_) => None,
            });
            let Some((oldest, size)) = oldest else { break };
            self.known.remove(&oldest);
            self.answered -= 1;
            self.bytes -= size;
            self.forgotten = self.forgotten.max(oldest);
        }
        match former {
            Some(Known::UnderWay(waiters)) => waiters,
            Some(Known::Answered(_)) | None => Vec::new(),
        }
    }
}

fn size(reply: &Reply) -> usize {
    match reply {
        Reply::Applied { reply, .. } | Reply::Value { reply, .. } => reply.len(),
        Reply::Done(text) => text.len(),
        Reply::NotApplied { why } | Reply::Unknown { why } | Reply::ReadFailed { why } | Reply::Refused { why } => {
            why.len()
        }
        Reply::NotLeader { .. } | Reply::Busy { .. } => 0,
    }
}
