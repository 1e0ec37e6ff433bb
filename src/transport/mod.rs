//! What travels between nodes (paper §2: a network that may lose, delay, reorder and duplicate).
//!
//! A node holds a [`Link`]: two bounded queues. "Try to send into a bounded queue" is the whole contract: what does not
//! fit is lost, and Raft sends again. So a slow or dead peer never blocks a node.
//!
//! Kept true: sending never waits; a message is delivered whole, unaltered, or not at all.
//! Not here: what messages mean (`raft/`), when one may leave (`node/`).

pub mod clock;
pub mod expiry;
pub mod faults;
pub mod frame;
mod held;
pub mod mesh;
pub mod net;
pub mod renewal;
pub mod tcp;
pub mod tls;

use tokio::sync::mpsc;

use crate::raft::Envelope;

/// One node's end of the network.
#[derive(Debug)]
pub struct Link {
    /// To all others: use `try_send`; a full queue loses the message.
    pub outgoing: mpsc::Sender<Envelope>,
    /// From all others; `None` once the node was detached.
    pub incoming: mpsc::Receiver<Envelope>,
}
