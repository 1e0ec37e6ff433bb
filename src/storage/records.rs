//! What is in the database, as bytes: records with a version and a checksum of their own.
//!
//! Disk records are types of this room: a change of a message is never a change of the disk. An entry's checksum is its
//! chain; every other record carries xxh3-64 of what follows.
//!
//! Kept true: a record that does not verify is never used.
//! Not here: which keys exist when (`fjall.rs`).

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::outline::Outline;
use crate::codec;
use crate::raft::{
    Base, Configuration, Digest, Entry, EntryKind, HardState, Index, LogPosition, NodeId, SnapshotMeta, Term,
};

/// Version of all records below.
const VERSION: u8 = 1;

/// Where the log starts and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bounds {
    /// The entry before the first.
    pub(super) base: Base,
    /// The last entry, or `base`.
    pub(super) last: LogPosition,
    /// Fingerprint of the log up to it.
    pub(super) chain: Digest,
    /// Up to here compacted entries have been removed from the database too.
    pub(super) removed_to: Index,
}

impl Bounds {
    pub(super) fn of(outline: &Outline, removed_to: Index) -> Self {
        Self { base: outline.base(), last: outline.last(), chain: outline.chain(), removed_to }
    }
}

#[derive(Serialize, Deserialize)]
struct EntryRecord {
    term: u64,
    kind: u8,
    proposed_at_us: u64,
    chain: u128,
    command: Bytes,
}

#[derive(Serialize, Deserialize)]
struct SnapshotRecord {
    last: (u64, u64),
    chain: u128,
    voters: Vec<u64>,
    proposed_at_us: u64,
    digest: u128,
    size_bytes: u64,
    checksum: u128,
}

/// Who the database belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    pub(super) cluster: u128,
    pub(super) node: NodeId,
    pub(super) store: u128,
}

/// The bytes of a record: version, checksum, payload.
pub(super) fn seal<T: Serialize>(record: &T) -> Result<Vec<u8>, String> {
    let payload = codec::encode(record).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(9 + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

/// The record that was sealed.
pub(super) fn unseal<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (version, rest) = bytes.split_first().ok_or("an empty record")?;
    if *version != VERSION {
        return Err(format!("a record of version {version}"));
    }
    let (checksum, payload) = rest.split_at_checked(8).ok_or("a cut record")?;
    if xxh3_64(payload).to_le_bytes() != *checksum {
        return Err("a record whose checksum does not match".to_owned());
    }
    codec::decode(payload).map_err(|error| error.to_string())
}

pub(super) fn entry_to_bytes(entry: &Entry) -> Result<Vec<u8>, String> {
    let record = EntryRecord {
        term: entry.term.0,
        kind: match entry.kind {
            EntryKind::NoOp => 0,
            EntryKind::Command => 1,
        },
        proposed_at_us: entry.proposed_at_us,
        chain: entry.chain.0,
        command: entry.command.clone(),
    };
    let payload = codec::encode(&record).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(1 + payload.len());
    bytes.push(VERSION);
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

/// The entry at `index`; whether it is what was written shows when it is put to the chain.
pub(super) fn entry_from_bytes(index: Index, bytes: &[u8]) -> Result<Entry, String> {
    let (version, payload) = bytes.split_first().ok_or_else(|| format!("entry {index} is empty"))?;
    if *version != VERSION {
        return Err(format!("entry {index} has version {version}"));
    }
    let record: EntryRecord = codec::decode(payload).map_err(|error| format!("entry {index}: {error}"))?;
    let kind = match record.kind {
        0 => EntryKind::NoOp,
        1 => EntryKind::Command,
        other => return Err(format!("entry {index} is of unknown kind {other}")),
    };
    Ok(Entry {
        term: Term(record.term),
        index,
        kind,
        proposed_at_us: record.proposed_at_us,
        command: record.command,
        chain: Digest(record.chain),
    })
}

pub(super) fn snapshot_to_bytes(meta: &SnapshotMeta) -> Result<Vec<u8>, String> {
    seal(&SnapshotRecord {
        last: (meta.last.index.0, meta.last.term.0),
        chain: meta.chain.0,
        voters: meta.configuration.voters().iter().map(|voter| voter.0).collect(),
        proposed_at_us: meta.proposed_at_us,
        digest: meta.digest.0,
        size_bytes: meta.size_bytes,
        checksum: meta.checksum.0,
    })
}

pub(super) fn snapshot_from_bytes(bytes: &[u8]) -> Result<SnapshotMeta, String> {
    let record: SnapshotRecord = unseal(bytes)?;
    if record.voters.is_empty() {
        return Err("a snapshot without members".to_owned());
    }
    Ok(SnapshotMeta {
        last: LogPosition::new(record.last.0, record.last.1),
        chain: Digest(record.chain),
        configuration: Configuration::new(record.voters.into_iter().map(NodeId)),
        proposed_at_us: record.proposed_at_us,
        digest: Digest(record.digest),
        size_bytes: record.size_bytes,
        checksum: Digest(record.checksum),
    })
}

/// Term and vote of two copies, the fence's and the database's: what is certain of them.
///
/// The fence is written first, so its term may be ahead. A vote beats none; two votes in one term are damage.
pub(super) fn reconcile(fence: HardState, copy: HardState) -> Result<(HardState, Option<String>), String> {
    if copy.current_term > fence.current_term {
        let note = format!("the fence was at term {}, the database at {}", fence.current_term, copy.current_term);
        return Ok((copy, Some(note)));
    }
    if copy.current_term < fence.current_term {
        return Ok((fence, None));
    }
    match (fence.voted_for, copy.voted_for) {
        (Some(one), Some(other)) if one != other => {
            Err(format!("in term {} the fence has a vote for {one}, the database one for {other}", fence.current_term))
        }
        (None, Some(vote)) => {
            Ok((copy, Some(format!("in term {} only the database had the vote for {vote}", fence.current_term))))
        }
        _ => Ok((fence, None)),
    }
}

/// Whether a node that promised `old` may come to `new` (paper Figure 2: terms rise, one vote a term).
pub(super) fn may_follow(old: HardState, new: HardState) -> Result<(), String> {
    let vote_stands = old.voted_for.is_none() || new.voted_for == old.voted_for;
    if new.current_term > old.current_term || (new.current_term == old.current_term && vote_stands) {
        return Ok(());
    }
    Err(format!("term and vote may not go from {old:?} to {new:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
    }

    /// What is on disks already must be read for ever: a change here is a new version, not a new expectation.
    #[test]
    fn the_bytes_of_every_record_stay_as_they_are() {
        let entry = Entry {
            term: Term(300),
            index: Index(7),
            kind: EntryKind::Command,
            proposed_at_us: 5,
            command: Bytes::from_static(b"SET a b"),
            chain: Digest(1 << 100),
        };
        let position = LogPosition::new(7, 300);
        let base = Base { position, chain: Digest(9) };
        let snapshot = SnapshotMeta {
            last: position,
            chain: Digest(9),
            configuration: Configuration::first(3),
            proposed_at_us: 5,
            digest: Digest(10),
            size_bytes: 1_000,
            checksum: Digest(11),
        };
        let bounds = Bounds { base, last: position, chain: Digest(9), removed_to: Index(6) };
        let hard = HardState { current_term: Term(3), voted_for: Some(NodeId(2)) };
        let owner = Owner { cluster: 1, node: NodeId(2), store: 3 };
        let written = [
            entry_to_bytes(&entry).expect("encoded"),
            snapshot_to_bytes(&snapshot).expect("encoded"),
            seal(&bounds).expect("encoded"),
            seal(&hard).expect("encoded"),
            seal(&owner).expect("encoded"),
        ];
        let golden = [
            "01fb2c010105fe000000000000000000000000100000000753455420612062",
            "012b99613fb9cef68007fb2c010903010203050afbe8030b",
            "01bd56df64b1b1a8ef07fb2c010907fb2c010906",
            "01236aa78ddeaf3d1f030102",
            "013b73ae32769bceeb010203",
        ];
        assert_eq!(written.each_ref().map(|bytes| hex(bytes)), golden);
        assert_eq!(entry_from_bytes(Index(7), &written[0]), Ok(entry));
        assert_eq!(snapshot_from_bytes(&written[1]), Ok(snapshot));
        assert_eq!(unseal(&written[2]), Ok(bounds));
        assert_eq!(unseal(&written[3]), Ok(hard));
        assert_eq!(unseal(&written[4]), Ok(owner));
    }

    #[test]
    fn a_damaged_record_is_refused() {
        let sealed = seal(&HardState { current_term: Term(3), voted_for: Some(NodeId(2)) }).expect("encoded");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(unseal::<HardState>(&damaged).is_err(), "byte {at}");
            assert!(unseal::<HardState>(&sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_vote_beats_none_and_two_votes_are_damage() {
        let hard = |term, vote: Option<u64>| HardState { current_term: Term(term), voted_for: vote.map(NodeId) };
        let certain = |fence, copy| reconcile(fence, copy).map(|(certain, note)| (certain, note.is_some()));
        assert_eq!(certain(hard(3, Some(1)), hard(3, Some(1))), Ok((hard(3, Some(1)), false)));
        assert_eq!(certain(hard(3, Some(1)), hard(3, None)), Ok((hard(3, Some(1)), false)));
        assert_eq!(certain(hard(3, None), hard(3, Some(1))), Ok((hard(3, Some(1)), true)));
        assert_eq!(certain(hard(4, None), hard(3, Some(1))), Ok((hard(4, None), false)));
        assert_eq!(certain(hard(3, Some(1)), hard(4, None)), Ok((hard(4, None), true)));
        assert!(certain(hard(3, Some(1)), hard(3, Some(2))).is_err());
    }
}
