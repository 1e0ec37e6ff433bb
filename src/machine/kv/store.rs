//! The store: what commands do, its fingerprint, its snapshots.
//!
//! A persistent ordered map holds the entries, so that a snapshot is a copied pointer and LIST needs no sorting. The
//! fingerprint is the wrapping sum of one xxh3-128 for each entry: order of writes does not matter, a write costs the
//! hashes of what goes and what comes. It finds machines that drifted apart, not an attacker who forges one.
//!
//! A snapshot's body, little endian: format version (1 byte), count (u64), for each entry in the order of keys the
//! length of the key (u32), key, length of the value (u32), value; then the fingerprint (u128). Nothing may follow.
//!
//! Kept true: equal entries have equal fingerprints and equal snapshots, however they came to be.
//! Not here: how commands are written (`command.rs`), checksums of snapshot files (`storage/`).

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Bound;

use bytes::Bytes;
use imbl::OrdMap;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::command::{FORMAT_VERSION, KvCommand, KvQuery, KvReply, LIST_BYTES_MAX};
use super::{KEY_MAX, VALUE_MAX};
use crate::machine::{Frozen, StateMachine};
use crate::mutants;

/// The key-value store as a state machine.
#[derive(Clone, Debug, Default)]
pub struct KvStore {
    entries: OrdMap<Bytes, Bytes>,
    digest: u128,
}

impl KvStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.entries.get(key)
    }

    /// Does what the command says.
    pub fn execute(&mut self, command: KvCommand) -> KvReply {
        match command {
            // Another machine, another order: some sets are missed by some.
            KvCommand::Set { .. } if mutants::on("M46") && std::ptr::from_ref(self).addr().is_multiple_of(48) => {
                KvReply::Stored
            }
            KvCommand::Set { key, value } => {
                self.put(&key, value);
                KvReply::Stored
            }
            KvCommand::Delete { key } => {
                let gone = self.entries.remove(&key);
                if let Some(value) = &gone {
                    self.digest = self.digest.wrapping_sub(fingerprint(&key, value));
                }
                KvReply::Deleted(gone.is_some())
            }
            KvCommand::Cas { key, expected, new } => {
                let current = self.entries.get(&key).cloned();
                if current != expected {
                    return KvReply::Swapped { swapped: false, current };
                }
                self.put(&key, new);
                KvReply::Swapped { swapped: true, current: None }
            }
            KvCommand::Incr { key, delta } => {
                let number = match self.entries.get(&key).map(|value| str::from_utf8(value)) {
                    None => Some(0),
                    Some(text) => text.ok().and_then(|text| text.parse::<i64>().ok()),
                };
                let Some(number) = number else {
                    return KvReply::Error("the value is no whole number of 64 bits".to_owned());
                };
                let Some(sum) = number.checked_add(delta) else {
                    return KvReply::Error(format!("{number} and {delta} make more than 64 bits hold"));
                };
                self.put(&key, Bytes::from(sum.to_string()));
                KvReply::Number(sum)
            }
        }
    }

    /// Answers without changing anything.
    #[must_use]
    pub fn ask(&self, query: &KvQuery) -> KvReply {
        match query {
            KvQuery::Get { key } => KvReply::Value(self.entries.get(key).cloned()),
            KvQuery::List { prefix, limit } => {
                let (mut found, mut bytes) = (Vec::new(), 0);
                let from = (Bound::Included(prefix.clone()), Bound::Unbounded);
                for (key, value) in self.entries.range(from).take_while(|(key, _)| key.starts_with(prefix)) {
                    bytes += key.len() + value.len();
                    if found.len() as u64 == *limit || (bytes > LIST_BYTES_MAX && !found.is_empty()) {
                        return KvReply::Entries(found, true);
                    }
                    found.push((key.clone(), value.clone()));
                }
                KvReply::Entries(found, false)
            }
        }
    }

    fn put(&mut self, key: &Bytes, value: Bytes) {
        self.digest = self.digest.wrapping_add(fingerprint(key, &value));
        if let Some(former) = self.entries.insert(key.clone(), value) {
            self.digest = self.digest.wrapping_sub(fingerprint(key, &former));
        }
    }
}

impl StateMachine for KvStore {
    fn apply(&mut self, _index: u64, command: &[u8]) -> Bytes {
        match KvCommand::decode(command) {
            Ok(command) => self.execute(command),
            Err(why) => KvReply::Error(why.to_string()),
        }
        .encode()
    }

    fn query(&self, query: &[u8]) -> Bytes {
        match KvQuery::decode(query) {
            Ok(query) => self.ask(&query),
            Err(why) => KvReply::Error(why.to_string()),
        }
        .encode()
    }

    fn snapshot(&self) -> Frozen {
        let Self { entries, digest } = self.clone();
        Box::new(move |body| write(&entries, digest, body))
    }

    fn restore(&mut self, body: &mut dyn Read) -> io::Result<()> {
        *self = read(body)?;
        Ok(())
    }

    fn digest(&self) -> u128 {
        self.digest
    }
}

/// One entry's part in the fingerprint. Lengths keep `ab`+`c` from being `a`+`bc`.
fn fingerprint(key: &[u8], value: &[u8]) -> u128 {
    let length = (key.len() as u64).to_le_bytes();
    let total = length.len() + key.len() + value.len();
    // Most entries are small: hash them in one go from the stack.
    let mut small = [0; 256];
    if let Some(buffer) = small.get_mut(..total) {
        buffer[..8].copy_from_slice(&length);
        buffer[8..8 + key.len()].copy_from_slice(key);
        buffer[8 + key.len()..].copy_from_slice(value);
        return xxh3_128(buffer);
    }
    let mut hash = Xxh3::new();
    hash.update(&length);
    hash.update(key);
    hash.update(value);
    hash.digest128()
}

fn write(entries: &OrdMap<Bytes, Bytes>, digest: u128, body: &mut dyn Write) -> io::Result<()> {
    let mut body = BufWriter::with_capacity(64 << 10, body);
    body.write_all(&[FORMAT_VERSION])?;
    body.write_all(&(entries.len() as u64).to_le_bytes())?;
    for (key, value) in entries {
        for part in [key, value] {
            body.write_all(&(part.len() as u32).to_le_bytes())?;
            body.write_all(part)?;
        }
    }
    body.write_all(&digest.to_le_bytes())?;
    body.flush()
}

fn read(body: &mut dyn Read) -> io::Result<KvStore> {
    let mut body = BufReader::with_capacity(64 << 10, body);
    let [version] = array(&mut body)?;
    if version != FORMAT_VERSION {
        return Err(damaged(format!("snapshot of format {version}, this store reads format {FORMAT_VERSION}")));
    }
    // The count promises memory to nobody: entries are taken one by one, as long as there are bytes.
    let count = u64::from_le_bytes(array(&mut body)?);
    let (mut store, mut previous) = (KvStore::new(), None);
    for number in 0..count {
        let key = part(&mut body, "key", KEY_MAX)?;
        let value = part(&mut body, "value", VALUE_MAX)?;
        if previous.is_some_and(|previous| previous >= key) {
            return Err(damaged(format!("key {number} of the snapshot is twice there or out of order")));
        }
        store.digest = store.digest.wrapping_add(fingerprint(&key, &value));
        store.entries.insert(key.clone(), value);
        previous = Some(key);
    }
    if u128::from_le_bytes(array(&mut body)?) != store.digest {
        return Err(damaged("the snapshot's entries do not match its fingerprint".to_owned()));
    }
    if body.read(&mut [0])? != 0 {
        return Err(damaged("the snapshot goes on after its end".to_owned()));
    }
    Ok(store)
}

fn array<const N: usize>(body: &mut impl Read) -> io::Result<[u8; N]> {
    let mut array = [0; N];
    body.read_exact(&mut array)?;
    Ok(array)
}

fn part(body: &mut impl Read, what: &str, max: usize) -> io::Result<Bytes> {
    let length = u32::from_le_bytes(array(body)?) as usize;
    if length > max {
        return Err(damaged(format!("a {what} of {length} bytes in the snapshot: at most {max} are allowed")));
    }
    let mut part = vec![0; length];
    body.read_exact(&mut part)?;
    Ok(part.into())
}

fn damaged(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
