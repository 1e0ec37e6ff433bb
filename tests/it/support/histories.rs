//! Histories of client operations, made by hand or drawn from a store that is right.

use std::collections::BTreeMap;

use bytes::Bytes;
use raft_tui::history::{Ask, Record, Recorder, Reply, What};
use raft_tui::raft::rng::Rng;

/// A history that grows.
#[derive(Default)]
pub struct History {
    recorder: Recorder,
    clients: usize,
    t_ns: u64,
    pub records: Vec<Record>,
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn set(value: &str) -> Ask {
    Ask::Set(bytes(value))
}

pub fn cas(expected: Option<&str>, new: &str) -> Ask {
    Ask::Cas { expected: expected.map(bytes), new: bytes(new) }
}

pub fn value(text: &str) -> Reply {
    Reply::Value(Some(bytes(text)))
}

impl History {
    /// Client number `client` asks; the number of the operation.
    pub fn invoke(&mut self, client: usize, key: &str, ask: Ask) -> u64 {
        while self.clients <= client {
            self.recorder.client();
            self.clients += 1;
        }
        self.t_ns += 1;
        let record = self.recorder.invoke(self.t_ns, client, bytes(key), ask, None).expect("the client is there");
        let op = record.op;
        self.records.push(record);
        op
    }

    pub fn end(&mut self, op: u64, what: What) {
        self.t_ns += 1;
        self.records.push(self.recorder.end(self.t_ns, op, what).expect("it is open"));
    }

    pub fn ok(&mut self, op: u64, reply: Reply) {
        self.end(op, What::Ok { reply, term: None, index: None });
    }

    pub fn fail(&mut self, op: u64) {
        self.end(op, What::Fail { why: "not the leader".into() });
    }

    pub fn info(&mut self, op: u64) {
        self.end(op, What::Info { why: "timeout".into() });
    }

    /// Asked and answered before anything else happens.
    pub fn did(&mut self, key: &str, ask: Ask, reply: Reply) {
        let op = self.invoke(0, key, ask);
        self.ok(op, reply);
    }
}

fn apply(store: &mut BTreeMap<Bytes, Bytes>, key: &Bytes, ask: &Ask) -> Reply {
    match ask {
        Ask::Get => Reply::Value(store.get(key).cloned()),
        Ask::Set(value) => {
            store.insert(key.clone(), value.clone());
            Reply::Done
        }
        Ask::Del => Reply::Yes(store.remove(key).is_some()),
        Ask::Cas { expected, new } => {
            let swaps = store.get(key) == expected.as_ref();
            if swaps {
                store.insert(key.clone(), new.clone());
            }
            Reply::Yes(swaps)
        }
        Ask::Incr(delta) => {
            let old = store.get(key).map_or(0, |value| str::from_utf8(value).expect("text").parse().expect("a number"));
            store.insert(key.clone(), bytes(&i64::to_string(&(old + delta))));
            Reply::Number(old + delta)
        }
    }
}

struct Open {
    op: u64,
    key: Bytes,
    ask: Ask,
    applied: Option<Reply>,
}

/// What `clients` clients of a store that is right see in `operations` operations on keys that change after `a_key` of
/// them. Of a thousand operations, `unknown` end with an info; some of these take effect later, some never.
pub fn drawn(seed: u64, operations: u64, clients: usize, a_key: u64, unknown: u64) -> Vec<Record> {
    let mut luck = Rng::new(seed);
    let mut history = History::default();
    let mut store = BTreeMap::new();
    let mut open: Vec<Option<Open>> = (0..clients).map(|_| None).collect();
    let mut late: Vec<(Bytes, Ask)> = Vec::new();
    let mut asked = 0;
    while asked < operations || open.iter().any(Option::is_some) {
        if !late.is_empty() && luck.chance(1, 40) {
            let (key, ask) = late.swap_remove(luck.below(late.len() as u64) as usize);
            if luck.chance(1, 2) {
                apply(&mut store, &key, &ask);
            }
        }
        let client = luck.below(clients as u64) as usize;
        match &mut open[client] {
            None if asked < operations => {
                asked += 1;
                let generation = asked / a_key;
                let number = generation.is_multiple_of(4);
                let key = bytes(&format!("k{generation}"));
                let known = store.get(&key).cloned();
                let ask = match luck.below(10) {
                    0..=2 if number => Ask::Incr(asked.cast_signed()),
                    0..=2 => set(&format!("v{asked}")),
                    3..=4 if !number => Ask::Cas { expected: known, new: bytes(&format!("v{asked}")) },
                    5 => Ask::Del,
                    _ => Ask::Get,
                };
                let op = history.invoke(client, &format!("k{generation}"), ask.clone());
                open[client] = Some(Open { op, key, ask, applied: None });
            }
            None => {}
            Some(Open { op, .. }) if luck.chance(unknown, 2_000) => {
                history.info(*op);
                let Open { key, ask, applied, .. } = open[client].take().expect("it is open");
                if applied.is_none() {
                    late.push((key, ask));
                }
            }
            Some(Open { key, ask, applied: applied @ None, .. }) => *applied = Some(apply(&mut store, key, ask)),
            Some(_) => {
                let Open { op, applied, .. } = open[client].take().expect("it is open");
                history.ok(op, applied.expect("it took effect"));
            }
        }
    }
    history.records
}
