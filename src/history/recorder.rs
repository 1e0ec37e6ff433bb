//! Numbers, names and time of a history that is being made: whoever records with it keeps the rules of the format.
//!
//! Kept true: operations are numbered upwards; time never goes back; a client has one operation open; after an `info` it
//! goes on under a new name; an operation ends once.
//! Not here: who asks for what (`sim/`, `cli/`), where records go.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Ask, Record, What};
use crate::raft::NodeId;

#[derive(Clone, Debug)]
struct Client {
    name: u64,
    open: Option<u64>,
}

/// Makes records of what clients do and hear.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    last_op: u64,
    last_t_ns: u64,
    names: u64,
    clients: Vec<Client>,
    /// Who waits for each open operation.
    open: BTreeMap<u64, usize>,
}

impl Recorder {
    /// A recorder that nobody has told anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// One more client; the number by which it is meant from now on, counting from 0.
    pub fn client(&mut self) -> usize {
        let name = self.name();
        self.clients.push(Client { name, open: None });
        self.clients.len() - 1
    }

    fn name(&mut self) -> u64 {
        self.names += 1;
        self.names
    }

    fn now(&mut self, t_ns: u64) -> u64 {
        self.last_t_ns = self.last_t_ns.max(t_ns);
        self.last_t_ns
    }

    /// An operation that is not recorded takes its number.
    pub fn skip(&mut self) {
        self.last_op += 1;
    }

    /// A client asks for something; to be said before anything is sent. `None` for a client that there is not.
    pub fn invoke(&mut self, t_ns: u64, client: usize, key: Bytes, ask: Ask, node: Option<NodeId>) -> Option<Record> {
        // Somebody who asks again without having heard is somebody else to a checker.
        if self.clients.get(client)?.open.is_some() {
            self.rename(client);
        }
        let t_ns = self.now(t_ns);
        self.last_op += 1;
        let op = self.last_op;
        self.open.insert(op, client);
        let client = self.clients.get_mut(client)?;
        client.open = Some(op);
        Some(Record { op, t_ns, what: What::Invoke { client: format!("c{}", client.name), key, ask, node } })
    }

    /// Its client has heard the end of an operation, or stops waiting for it. `None` when it had ended before.
    pub fn end(&mut self, t_ns: u64, op: u64, what: What) -> Option<Record> {
        let place = self.open.remove(&op)?;
        let t_ns = self.now(t_ns);
        let client = self.clients.get_mut(place)?;
        if client.open == Some(op) {
            client.open = None;
            if matches!(what, What::Info { .. }) {
                self.rename(place);
            }
        }
        Some(Record { op, t_ns, what })
    }

    /// Nobody listens any more: whatever is open is unknown.
    pub fn close(&mut self, t_ns: u64, why: &str) -> Vec<Record> {
        let open: Vec<u64> = self.open.keys().copied().collect();
        open.into_iter().filter_map(|op| self.end(t_ns, op, What::Info { why: why.to_owned() })).collect()
    }

    fn rename(&mut self, client: usize) {
        let name = self.name();
        if let Some(client) = self.clients.get_mut(client) {
            client.name = name;
        }
    }
}
