//! The way of a client to a node in this process.
//!
//! Kept true: asking never waits for a node's inbox: what is full is busy.
//! Not here: who asks (`cluster/clients.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::cluster::clients;
use crate::node::ClientOutcome;
use crate::node::driver::{ClientRequest, Report, Wish};
use crate::raft::{Role, Term};
use crate::transport::net::Later;

/// The way to one running node.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) requests: mpsc::Sender<ClientRequest>,
    pub(super) report: watch::Receiver<Option<Arc<Report>>>,
}

impl clients::Door for Door {
    fn leads(&self) -> Option<Term> {
        let report = self.report.borrow();
        let status = &report.as_ref()?.status;
        (status.role == Role::Leader).then_some(status.hard_state.current_term)
    }

    fn ask(&self, wish: Wish, _within: Duration) -> Later<'static, ClientOutcome> {
        let (answer, answered) = oneshot::channel();
        let died = match wish {
            Wish::Submit(_) => ClientOutcome::Unknown { why: "the node stopped before it answered".into() },
            Wish::Read(_) | Wish::ReadLocal(_) => {
                ClientOutcome::ReadFailed { why: "the node stopped before it answered".into() }
            }
        };
        let sent = self.requests.try_send(ClientRequest { wish, answer });
        Box::pin(async move {
            match sent {
                Ok(()) => answered.await.unwrap_or(died),
                Err(_) => ClientOutcome::Busy { uncommitted_bytes: 0 },
            }
        })
    }
}
