//! The way of a client to a node over a wire.
//!
//! Kept true: what may have been appended is told as unknown; what certainly was not may be asked again.
//! Not here: who asks (`cluster/clients.rs`), connections (`control/client.rs`).

use std::time::Duration;

use crate::cluster::clients;
use crate::control::client::{Asker, State};
use crate::control::protocol::{Level, Reply, Wish};
use crate::node::{ClientOutcome, driver};
use crate::raft::{Role, Term};
use crate::transport::net::Later;

/// The way to one node.
#[derive(Clone)]
pub(super) struct Door(pub(super) Asker);

impl clients::Door for Door {
    fn leads(&self) -> Option<Term> {
        let heard = self.0.heard().borrow();
        let view = &heard.picture.as_ref()?.view;
        (heard.state == State::Live && view.role == Role::Leader).then_some(view.term)
    }

    fn ask(&self, wish: driver::Wish, within: Duration) -> Later<'static, ClientOutcome> {
        let asker = self.0.clone();
        Box::pin(async move {
            let (wish, is_read) = match wish {
                driver::Wish::Submit(command) => (Wish::Submit { command }, false),
                driver::Wish::Read(query) => (Wish::Read { query, level: Level::Linearizable }, true),
                driver::Wish::ReadLocal(query) => (Wish::Read { query, level: Level::Local }, true),
            };
            match asker.ask(wish, None, within).await {
                Ok(reply) => outcome(reply),
                Err(lost) if lost.maybe_acted && !is_read => ClientOutcome::Unknown { why: lost.why.into() },
                // Without effect, so a command too may be asked again, as a read that failed.
                Err(lost) => ClientOutcome::ReadFailed { why: lost.why.into() },
            }
        })
    }
}

fn outcome(reply: Reply) -> ClientOutcome {
    match reply {
        Reply::Applied { position, reply } => ClientOutcome::Applied { position, reply },
        Reply::Value { index, reply } => ClientOutcome::Value { index, reply },
        Reply::NotLeader { leader } => ClientOutcome::NotLeader { leader },
        Reply::Busy { uncommitted_bytes } => ClientOutcome::Busy { uncommitted_bytes },
        Reply::NotApplied { why } | Reply::Refused { why } => ClientOutcome::NotApplied { why: why.into() },
        Reply::Unknown { why } => ClientOutcome::Unknown { why: why.into() },
        Reply::ReadFailed { why } => ClientOutcome::ReadFailed { why: why.into() },
        Reply::Done(what) => ClientOutcome::Unknown { why: format!("the node answered only: {what}").into() },
    }
}
