//! A session whose answers come back to whoever asked: many operations at once over one session.
//!
//! One task reads the observations; an answer goes to its asker, what happened to the one who listens, if there is one.
//!
//! Kept true: each operation that was taken gets one outcome; after the end of the cluster all of them do.
//! Not here: what is asked (`submit.rs`, `load.rs`, `client.rs`), how a session is had (`mod.rs`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;

use super::End;
use crate::cluster::Session;
use crate::control::{
    Access, Answer, Capabilities, ClusterView, Happened, Life, Mode, Observation, Operation, OperationId, Request,
};

/// Most of what happened that waits for its listener.
const HAPPENED_MAX: usize = 4_096;

/// How long an attached cluster stays armed for one command, in microseconds of real time.
const ARMED_US: u64 = 15 * 60 * 1_000_000;

/// Age of a session from which on a node that is not heard is believed to be unreachable, in microseconds.
const BELIEVED_AFTER_US: u64 = 1_000_000;

type Waiting = Arc<Mutex<Askers>>;

#[derive(Debug, Default)]
struct Askers {
    by_id: HashMap<OperationId, oneshot::Sender<Answer>>,
    /// The cluster is gone: nobody is answered any more.
    over: bool,
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, Askers> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What came of asking.
#[derive(Clone, Debug)]
pub enum Asked {
    /// An answer.
    Answered(Answer),
    /// None in time, though it was sent: it may have any effect, later too.
    NoAnswer,
    /// The session has ended: it was not taken.
    NotTaken,
}

/// A session that many may ask at once. Clones are the same hand; the cluster is let go when all are gone.
#[derive(Clone, Debug)]
pub struct Hand {
    operations: mpsc::Sender<Request>,
    waiting: Waiting,
    ids: Arc<AtomicU64>,
    /// What the cluster is.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// What can be done with it.
    pub capabilities: Capabilities,
}

impl Hand {
    /// Takes a session over; what happens is passed over.
    #[must_use]
    pub fn take(session: Session) -> Self {
        Self::split(session, None)
    }

    /// Takes a session over, and gives what happens besides.
    #[must_use]
    pub fn listening(session: Session) -> (Self, mpsc::Receiver<Arc<Happened>>) {
        let (told, happened) = mpsc::channel(HAPPENED_MAX);
        (Self::split(session, Some(told)), happened)
    }

    fn split(session: Session, told: Option<mpsc::Sender<Arc<Happened>>>) -> Self {
        let Session { operations, mut observations, view, capabilities } = session;
        let waiting = Waiting::default();
        let askers = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(observation) = observations.recv().await {
                match observation {
                    Observation::Answered { id, answer } => {
                        let asker = lock(&askers).by_id.remove(&id);
                        if let Some(asker) = asker {
                            // Whoever stopped waiting needs no answer.
                            let _ = asker.send(answer);
                        }
                    }
                    // A gap in the numbers tells the listener what found no room.
                    Observation::Happened(happened) => {
                        let _ = told.as_ref().map(|told| told.try_send(happened));
                    }
                }
            }
            let mut askers = lock(&askers);
            askers.over = true;
            askers.by_id.clear();
        });
        Self { operations, waiting, ids: Arc::default(), view, capabilities }
    }

    /// Asks, and waits so long for the answer; `None`: as long as it takes.
    pub async fn ask(&self, operation: Operation, within: Option<Duration>) -> Asked {
        let id = self.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let (asker, answered) = oneshot::channel();
        {
            let mut askers = lock(&self.waiting);
            if askers.over {
                return Asked::NotTaken;
            }
            askers.by_id.insert(id, asker);
        }
        let whole = async {
            if self.operations.send(Request { id, operation }).await.is_err() {
                return Asked::NotTaken;
            }
            answered.await.map_or(Asked::NoAnswer, Asked::Answered)
        };
        let asked = match within {
            Some(within) => timeout(within, whole).await.unwrap_or(Asked::NoAnswer),
            None => whole.await,
        };
        if !matches!(asked, Asked::Answered(_)) {
            lock(&self.waiting).by_id.remove(&id);
        }
        asked
    }

    /// The newest picture.
    #[must_use]
    pub fn now(&self) -> Arc<ClusterView> {
        self.view.borrow().clone()
    }

    /// Waits until every node has been heard, or is known not to be; gives what is known when the time is over.
    pub async fn settled(&self, within: Duration) -> Arc<ClusterView> {
        let mut view = self.view.clone();
        // What has not settled in time is shown as it is.
        let _ = timeout(within, view.wait_for(|view| is_settled(view))).await;
        self.now()
    }

    /// Arms an attached cluster for this access, if it is not already. An error is a sentence.
    pub async fn arm(&self, access: Access, reason: &str, within: Duration) -> Result<(), String> {
        if self.now().mode.allows(access) || matches!(self.now().mode, Mode::Own) {
            return Ok(());
        }
        let operation = Operation::Arm { access, duration_us: ARMED_US, reason: reason.to_owned() };
        match self.ask(operation, Some(within)).await {
            Asked::Answered(Answer::Done(_)) => Ok(()),
            Asked::Answered(answer) => Err(crate::control::narrate::answer(&answer)),
            Asked::NoAnswer | Asked::NotTaken => Err("arming was not answered in time".to_owned()),
        }
    }

    /// Waits until somebody wants the end, or the cluster has gone.
    pub async fn gone(&self, end: &End) {
        let gone = async {
            let mut view = self.view.clone();
            while view.changed().await.is_ok() {}
        };
        tokio::select! {
            () = end.came() => {}
            () = gone => {}
        }
    }
}

/// Whether something is known of every node.
#[must_use]
pub fn is_settled(view: &ClusterView) -> bool {
    let known = |node: &crate::control::NodeView| match &node.life {
        // A node to which the first connection is being made is not heard either.
        Life::Unreachable { .. } => view.real_us >= BELIEVED_AFTER_US,
        life => *life != Life::Starting && node.reach.as_ref().is_none_or(|reach| reach.age_us.is_some()),
    };
    !view.nodes.is_empty() && view.nodes.iter().all(known)
}

/// Whether any node of the cluster has been heard.
#[must_use]
pub fn is_reached(view: &ClusterView) -> bool {
    let heard = |node: &crate::control::NodeView| match &node.life {
        Life::Unreachable { .. } => false,
        _ => node.reach.as_ref().is_none_or(|reach| reach.age_us.is_some()),
    };
    view.nodes.iter().any(heard)
}
