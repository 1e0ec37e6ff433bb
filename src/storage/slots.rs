//! A small file of two slots, of which one survives whatever happens to the other: the form of fence and mark.
//!
//! A slot is a 4 KiB page: magic, format, the oldest format that a reader must know, a number that rises with each
//! write, the length of the payload, the payload, zeros, and xxh3-128 of all that. What a reader needs to refuse a
//! newer file is in front of the payload and stays where it is in every format to come.
//!
//! Kept true: bytes that were never written as one slot are never read as one.
//! Not here: which slot is written when (`fence.rs`, `mark.rs`).

use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::StorageError;
use super::files::{Doing, Files, Handle, read_full, write_whole};
use crate::mutants;

/// Size of a slot in bytes.
pub const SLOT_BYTES: usize = 4096;
const HEAD_BYTES: usize = 8 + 4 + 4 + 8 + 4;
const CHECKSUM_BYTES: usize = 16;

/// Which file a slot belongs to: a page that strayed from another file is not mistaken for one of this.
pub(super) type Magic = [u8; 8];

/// Format of fence and mark that this program writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) number: u64,
    pub(super) payload: Vec<u8>,
}

/// An open file of two slots.
#[derive(Debug)]
pub(super) struct Slots {
    path: PathBuf,
    magic: Magic,
    handle: Box<dyn Handle>,
}

impl Slots {
    /// Writes a new file with `payload` in both slots, all of it durable or nothing.
    pub(super) fn create(
        files: &dyn Files,
        path: &Path,
        magic: Magic,
        number: u64,
        payload: &[u8],
    ) -> Result<Self, StorageError> {
        let slot = encode(magic, FORMAT, number, payload);
        let handle = write_whole(files, path, &[slot.as_slice(), slot.as_slice()].concat())?;
        Ok(Self { path: path.to_owned(), magic, handle })
    }

    /// Opens a file and reads both slots, `None` for one that is unreadable; changes nothing.
    pub(super) fn open(
        files: &dyn Files,
        path: &Path,
        magic: Magic,
    ) -> Result<(Self, [Option<Slot>; 2]), StorageError> {
        let handle = files.open(path).doing("opening", path)?;
        let mut found = [None, None];
        for (which, slot) in found.iter_mut().enumerate() {
            let mut page = [0; SLOT_BYTES];
            // A page that cannot be read is as good as a damaged one: the other slot is there for that.
            let read = read_full(handle.as_ref(), (which * SLOT_BYTES) as u64, &mut page).unwrap_or(0);
            if read == SLOT_BYTES {
                *slot = decode(magic, &page, path)?;
            }
        }
        Ok((Self { path: path.to_owned(), magic, handle }, found))
    }

    /// Writes one slot, not yet durable.
    pub(super) fn write(&self, which: usize, number: u64, payload: &[u8]) -> Result<(), StorageError> {
        let page = encode(self.magic, FORMAT, number, payload);
        self.handle.write_at((which * SLOT_BYTES) as u64, &page).doing("writing", &self.path)
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.handle.sync().doing("syncing", &self.path)
    }

    /// Writes both slots, each synced before the next, so that at every moment one of them is whole.
    pub(super) fn write_both(&self, first: usize, number: u64, payload: &[u8]) -> Result<(), StorageError> {
        for which in [first, 1 - first] {
            self.write(which, number, payload)?;
            self.sync()?;
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The page of a slot; `format` says what its reader must understand.
///
/// # Panics
/// When the payload is larger than a slot: the records of fence and mark are bounded far below it.
pub(super) fn encode(magic: Magic, format: u32, number: u64, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() <= SLOT_BYTES - HEAD_BYTES - CHECKSUM_BYTES, "{} bytes do not fit a slot", payload.len());
    let mut page = Vec::with_capacity(SLOT_BYTES);
    page.extend_from_slice(&magic);
    page.extend_from_slice(&format.to_le_bytes());
    page.extend_from_slice(&format.to_le_bytes());
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    page.extend_from_slice(payload);
    page.resize(SLOT_BYTES - CHECKSUM_BYTES, 0);
    let checksum = xxh3_128(&page);
    page.extend_from_slice(&checksum.to_le_bytes());
    page
}

fn decode(magic: Magic, page: &[u8; SLOT_BYTES], path: &Path) -> Result<Option<Slot>, StorageError> {
    let (body, checksum) = page.split_at(SLOT_BYTES - CHECKSUM_BYTES);
    let whole = xxh3_128(body).to_le_bytes() == *checksum || mutants::on("M52");
    if body[..8] != magic || !whole {
        return Ok(None);
    }
    let four = |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    let oldest_reader = four(12);
    if oldest_reader > FORMAT {
        return Err(StorageError::NewerFormat { path: path.to_owned(), found: oldest_reader, supported: FORMAT });
    }
    let number = u64::from(four(16)) | (u64::from(four(20)) << 32);
    let length = four(24) as usize;
    Ok(body.get(HEAD_BYTES..HEAD_BYTES + length).map(|payload| Slot { number, payload: payload.to_vec() }))
}

/// A file of two equal slots in a format that is not this program's, to try what a program does that meets a newer one.
#[must_use]
pub fn page_of_format(magic: [u8; 8], format: u32) -> Vec<u8> {
    let slot = encode(magic, format, 1, b"what a newer program may write");
    [slot.as_slice(), slot.as_slice()].concat()
}
