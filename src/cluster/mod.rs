//! Ways to hold a cluster: each returns the same [`Session`].
//!
//! Kept true: whoever holds a session cannot tell, but for its capabilities, how the cluster is held.
//! Not here: what an operator sees of it (`tui/`, `cli/`).

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::control::{Capabilities, ClusterView, Observation, Request};

/// A hand on a cluster.
pub struct Session {
    /// What is asked of it.
    pub operations: mpsc::Sender<Request>,
    /// What happens, and the answers.
    pub observations: mpsc::Receiver<Observation>,
    /// What it is.
    pub view: watch::Receiver<Arc<ClusterView>>,
    /// What can be done with it.
    pub capabilities: Capabilities,
}
