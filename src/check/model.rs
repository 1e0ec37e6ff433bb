//! The key-value store once more, written apart from the one that is judged, with its whole past (paper §8).
//!
//! Every key remembers its value after each index that changed it, so that a read at any index can be answered.
//!
//! Kept true: fed with committed commands in order, each once.
//! Not here: bytes of commands and replies (`machine/kv`).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::machine::kv::{KvCommand, KvQuery, KvReply};

/// All values that each key ever had.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    keys: BTreeMap<Bytes, Vec<(u64, Option<Bytes>)>>,
}

impl Model {
    fn value_at(&self, key: &[u8], index: u64) -> Option<&Bytes> {
        let versions = self.keys.get(key)?;
        let after = versions.partition_point(|(at, _)| *at <= index);
        versions.get(after.checked_sub(1)?)?.1.as_ref()
    }

    /// Does what the command at `index` says; gives the reply that is right.
    pub(super) fn apply(&mut self, index: u64, command: &KvCommand) -> KvReply {
        let (key, value, reply) = match command {
            KvCommand::Set { key, value } => (key, Some(value.clone()), KvReply::Stored),
            KvCommand::Delete { key } => (key, None, KvReply::Deleted(self.value_at(key, index).is_some())),
            KvCommand::Cas { key, expected, new } => {
                let current = self.value_at(key, index).cloned();
                if current != *expected {
                    return KvReply::Swapped { swapped: false, current };
                }
                (key, Some(new.clone()), KvReply::Swapped { swapped: true, current: None })
            }
            KvCommand::Incr { key, delta } => {
                let number = self
                    .value_at(key, index)
                    .map_or(Some(0), |value| str::from_utf8(value).ok().and_then(|text| text.parse::<i64>().ok()));
                let Some(sum) = number.and_then(|number| number.checked_add(*delta)) else {
                    // What the error says is the store's own affair; that it is one is ours.
                    return KvReply::Error(String::new());
                };
                (key, Some(Bytes::from(sum.to_string())), KvReply::Number(sum))
            }
        };
        self.keys.entry(key.clone()).or_default().push((index, value));
        reply
    }

    /// Answers as the store should when everything up to `index` was applied.
    pub(super) fn ask(&self, index: u64, query: &KvQuery) -> KvReply {
        match query {
            KvQuery::Get { key } => KvReply::Value(self.value_at(key, index).cloned()),
            KvQuery::List { prefix, limit } => {
                let from = self.keys.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(prefix));
                let mut found: Vec<_> = from
                    .filter_map(|(key, _)| Some((key.clone(), self.value_at(key, index)?.clone())))
                    .take(*limit as usize + 1)
                    .collect();
                let more = found.len() as u64 > *limit;
                found.truncate(*limit as usize);
                KvReply::Entries(found, more)
            }
        }
    }
}

/// Whether the store's answer is the right one.
pub(super) fn agrees(right: &KvReply, given: &KvReply) -> bool {
    match (right, given) {
        (KvReply::Error(_), KvReply::Error(_)) => true,
        (right, given) => right == given,
    }
}
