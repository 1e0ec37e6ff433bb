//! What is replicated: a deterministic state machine (paper §2, §8).
//!
//! Bring your own by implementing [`StateMachine`]; the one that ships is the key-value store in [`kv`]. Commands,
//! queries and replies are bytes, so that Raft never looks into them.
//!
//! Determinism asks that a command's effect depends on nothing but the state and the command: no clock, no randomness, no
//! iteration order of a hash map, no floating point that differs between machines. `digest` is how a cluster notices
//! that it was broken: equal at equal applied index on all nodes.
//!
//! Kept true: no-ops of the protocol never reach a machine.
//! Not here: who may call it and when (`node/`); exactly-once sessions (`session.rs`, not built yet).

use std::io;

use bytes::Bytes;

pub mod kv;

/// Writes a snapshot that was frozen at one applied index, whatever happened since; may run on another thread.
pub type Frozen = Box<dyn FnOnce(&mut dyn io::Write) -> io::Result<()> + Send>;

/// A deterministic machine that is fed with the committed commands, in order, on every node.
pub trait StateMachine: Send + 'static {
    /// Applies the command at log index `index` and returns the reply for the client who proposed it.
    ///
    /// A command that makes no sense is data too: answer it with a reply that says so, on all nodes alike.
    fn apply(&mut self, index: u64, command: &[u8]) -> Bytes;

    /// Answers a query from the present state without changing it.
    fn query(&self, query: &[u8]) -> Bytes;

    /// A frozen view of the present state; cheap, because it is made between two commands.
    fn snapshot(&self) -> Frozen;

    /// Replaces the state by a snapshot's; on an error the machine is not used any more.
    fn restore(&mut self, body: &mut dyn io::Read) -> io::Result<()>;

    /// Fingerprint of the present state; cheap, because it is asked for after every command.
    fn digest(&self) -> u128;
}
