//! The stores of the peers that a node has met, kept in its folder (`peers`).
//!
//! A peer whose disk was wiped has lost its votes, and a copy of a disk votes twice; both come with their old name. So
//! the store that a name came with first is remembered, and no other is accepted for it.
//!
//! ```text
//! | magic, 8 bytes | format, 4 bytes LE | length, 4 bytes LE | list (codec.rs) | xxh3-128 of all before, 16 bytes LE |
//! ```
//!
//! Kept true: what was remembered is durable before it is believed; the file is whole or as it was before.
//! Not here: what happens to a peer that comes with another store (`transport/tcp/`).

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::StorageError;
use super::files::{Doing, Files, OsFiles, read_full, write_whole};
use crate::codec;
use crate::raft::NodeId;

/// Its name in a node's folder.
pub const FILE_NAME: &str = "peers";

const MAGIC: [u8; 8] = *b"RAFTPEE1";
/// Format that is written, and the newest that is read.
const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 8 + 4 + 4;
const CHECKSUM_BYTES: usize = 16;
/// A cluster has a handful of members; a longer file is not ours.
const FILE_BYTES_MAX: usize = 1 << 20;

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its store.
    pub store: u128,
    /// Where its consoles connect.
    pub control: String,
}

/// What became of a meeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Met {
    /// It is the one that is known, or it is known from now on.
    AsKnown,
    /// Another store is remembered of it.
    OtherStore {
        /// Which.
        remembered: u128,
    },
}

/// The open file.
#[derive(Debug)]
pub struct KnownStores {
    files: Box<dyn Files>,
    path: PathBuf,
    peers: Mutex<BTreeMap<NodeId, Record>>,
}

impl KnownStores {
    /// Reads the file in a node's folder, which must be there; none yet is an empty one.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        Self::open_with(Box::new(OsFiles), folder)
    }

    /// The same through other files.
    pub fn open_with(files: Box<dyn Files>, folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join(FILE_NAME);
        let peers = match files.open(&path) {
            Ok(handle) => {
                let mut bytes = vec![0; FILE_BYTES_MAX];
                let length = read_full(handle.as_ref(), 0, &mut bytes).doing("reading", &path)?;
                bytes.truncate(length);
                let peers = read(&bytes, &path)?;
                // A writer that died may have left the new name undurable; what is believed from here on must stay.
                files.sync_dir(folder).doing("syncing", folder)?;
                peers
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(StorageError::Io { doing: "opening", path, source }),
        };
        Ok(Self { files, path, peers: Mutex::new(peers) })
    }

    /// `node` has come with `store` and tells where its consoles connect; what is new is durable when this returns.
    pub fn meet(&self, node: NodeId, store: u128, control: &str) -> Result<Met, StorageError> {
        // A writer that panicked has not changed the map: that happens after its last failure.
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record { store, control: control.to_owned() };
        match peers.get(&node) {
            Some(known) if known.store != store => return Ok(Met::OtherStore { remembered: known.store }),
            Some(known) if *known == record => return Ok(Met::AsKnown),
            Some(_) | None => {}
        }
        let mut next = peers.clone();
        next.insert(node, record);
        write_whole(self.files.as_ref(), &self.path, &written(&next, &self.path)?)?;
        *peers = next;
        Ok(Met::AsKnown)
    }

    /// All that are known, in order.
    pub fn list(&self) -> Vec<(NodeId, Record)> {
        let peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        peers.iter().map(|(node, record)| (*node, record.clone())).collect()
    }
}

fn written(peers: &BTreeMap<NodeId, Record>, path: &Path) -> Result<Vec<u8>, StorageError> {
    let corrupt = |why: String| StorageError::Corrupt { path: path.to_owned(), why };
    let list = codec::encode(peers).map_err(|error| corrupt(error.to_string()))?;
    let length = u32::try_from(list.len()).map_err(|_| corrupt("it would grow too long".to_owned()))?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + list.len() + CHECKSUM_BYTES);
    bytes.extend(MAGIC);
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend(length.to_le_bytes());
    bytes.extend(list);
    bytes.extend(xxh3_128(&bytes).to_le_bytes());
    Ok(bytes)
}

fn read(bytes: &[u8], path: &Path) -> Result<BTreeMap<NodeId, Record>, StorageError> {
    let corrupt = |why: &str| StorageError::Corrupt {
        path: path.to_owned(),
        why: format!(
            "{why}; restore it from a copy, or remove it while the node is stopped: the node then learns its peers \
             anew, so make sure first that no peer has lost its disk or runs twice"
        ),
    };
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else { return Err(corrupt("it is too short")) };
    if *magic != MAGIC {
        return Err(corrupt("it does not begin as a list of peers does"));
    }
    let Some((format, rest)) = rest.split_first_chunk::<4>() else { return Err(corrupt("it is too short")) };
    let found = u32::from_le_bytes(*format);
    if found > FORMAT {
        return Err(StorageError::NewerFormat { path: path.to_owned(), found, supported: FORMAT });
    }
    let Some((covered, checksum)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(corrupt("it is too short"));
    };
    if u128::from_le_bytes(*checksum) != xxh3_128(covered) {
        return Err(corrupt("its checksum is wrong"));
    }
    let list = rest.split_first_chunk::<4>().and_then(|(length, rest)| {
        let (list, after) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        (after.len() == CHECKSUM_BYTES).then_some(list)
    });
    let list = list.ok_or_else(|| corrupt("its length is wrong"))?;
    codec::decode(list).map_err(|_| corrupt("it cannot be understood"))
}
