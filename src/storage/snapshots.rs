//! Snapshot files (paper §7): one file a snapshot, named after the last entry it covers.
//!
//! A file is written under a temporary name, synced, renamed, and its folder synced; it counts once the pointer in the
//! database names it. A body whose checksum does not match is never handed out.
//!
//! Kept true: a file that the pointer names is whole, or is found not to be.
//! Not here: the pointer (`fjall.rs`); what a body means (`machine/`).

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::files::{Doing, Files, Handle, put_in_place, read_full, temporary};
use super::{Snapshots, StorageError};
use crate::machine::Frozen;
use crate::raft::{Digest, LogPosition, SnapshotMeta};

const BUFFER_BYTES: usize = 64 << 10;

/// The snapshot files in one folder.
#[derive(Debug)]
pub struct SnapshotFiles {
    files: Arc<dyn Files>,
    folder: PathBuf,
    /// The one that was read last: a follower that is being sent a snapshot is not cut off when a newer one replaces
    /// it.
    recent: Mutex<Option<(LogPosition, Arc<dyn Handle>)>>,
}

impl SnapshotFiles {
    /// The files in `folder`, which is there already.
    pub fn new(files: Arc<dyn Files>, folder: PathBuf) -> Self {
        Self { files, folder, recent: Mutex::new(None) }
    }

    /// The file of the snapshot that ends at `last`.
    pub fn path(&self, last: LogPosition) -> PathBuf {
        self.folder.join(format!("{:020}-{:020}.snap", last.term.0, last.index.0))
    }

    /// Writes a body that came from a leader and compares it with what the leader said of it.
    pub(super) fn write_received(&self, meta: &SnapshotMeta, body: &Bytes) -> Result<(), StorageError> {
        let body = body.clone();
        let (size_bytes, checksum) = self.write(meta.last, Box::new(move |to| to.write_all(&body)))?;
        if (size_bytes, checksum) == (meta.size_bytes, meta.checksum) {
            return Ok(());
        }
        Err(StorageError::Corrupt {
            path: self.path(meta.last),
            why: format!(
                "the body has {size_bytes} bytes with checksum {checksum}, announced were {} with {}",
                meta.size_bytes, meta.checksum
            ),
        })
    }

    /// Whether the body is there and is what `meta` says; the error of the check is why not.
    pub(super) fn verify(&self, meta: &SnapshotMeta) -> Result<(), StorageError> {
        let path = self.path(meta.last);
        let handle = self.files.open(&path).doing("opening", &path)?;
        let mut hash = Xxh3::new();
        let mut offset = 0;
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let read = read_full(handle.as_ref(), offset, &mut buffer).doing("reading", &path)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            offset += read as u64;
        }
        let checksum = Digest(hash.digest128());
        if (offset, checksum) == (meta.size_bytes, meta.checksum) {
            return Ok(());
        }
        Err(StorageError::Corrupt {
            path,
            why: format!(
                "it has {offset} bytes with checksum {checksum}, written were {} with {}",
                meta.size_bytes, meta.checksum
            ),
        })
    }

    /// Whether a body of the right length is there: one that this process has written and hashed a moment ago.
    pub(super) fn check_present(&self, meta: &SnapshotMeta) -> Result<(), StorageError> {
        let path = self.path(meta.last);
        let handle = self.files.open(&path).doing("opening", &path)?;
        let mut two = [0; 2];
        let from = meta.size_bytes.saturating_sub(1);
        let read = read_full(handle.as_ref(), from, &mut two).doing("reading", &path)? as u64;
        if from + read == meta.size_bytes {
            return Ok(());
        }
        Err(StorageError::Corrupt { path, why: format!("it is not {} bytes long", meta.size_bytes) })
    }

    /// Puts a damaged body aside under a name that says so.
    pub(super) fn put_aside(&self, meta: &SnapshotMeta) -> Result<(), StorageError> {
        let path = self.path(meta.last);
        let aside = path.with_extension("snap.broken");
        match self.files.rename(&path, &aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done.doing("renaming", &path),
        }
    }

    /// Removes the files that `keep` replaced. Only a store that nobody uses yet (`all`) is rid of newer and temporary
    /// files too: another thread may be writing them.
    pub(super) fn remove_others(&self, keep: Option<LogPosition>, all: bool) -> Result<(), StorageError> {
        for name in self.files.list(&self.folder).doing("listing", &self.folder)? {
            let path = self.folder.join(&name);
            let obsolete = match position_of(&name) {
                Some(position) => Some(position) != keep && (all || keep.is_some_and(|keep| position < keep)),
                None => all && path.extension().is_some_and(|extension| extension == "tmp"),
            };
            if obsolete {
                self.files.remove(&path).doing("removing", &path)?;
            }
        }
        Ok(())
    }

    fn handle(&self, meta: &SnapshotMeta) -> Result<Arc<dyn Handle>, StorageError> {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, handle)) = recent.as_ref()
            && *last == meta.last
        {
            return Ok(Arc::clone(handle));
        }
        let path = self.path(meta.last);
        let handle: Arc<dyn Handle> = Arc::from(self.files.open(&path).doing("opening", &path)?);
        *recent = Some((meta.last, Arc::clone(&handle)));
        Ok(handle)
    }
}

fn position_of(name: &str) -> Option<LogPosition> {
    let (term, index) = name.strip_suffix(".snap")?.split_once('-')?;
    Some(LogPosition::new(index.parse().ok()?, term.parse().ok()?))
}

impl Snapshots for SnapshotFiles {
    fn write(&self, last: LogPosition, body: Frozen) -> Result<(u64, Digest), StorageError> {
        let path = self.path(last);
        let temporary = temporary(&path);
        let handle = self.files.create(&temporary).doing("creating", &temporary)?;
        let mut writer = BodyWriter { handle: handle.as_ref(), hash: Xxh3::new(), buffer: Vec::new(), written: 0 };
        body(&mut writer).and_then(|()| writer.flush()).doing("writing", &temporary)?;
        let (size_bytes, checksum) = (writer.written, Digest(writer.hash.digest128()));
        handle.sync().doing("syncing", &temporary)?;
        // A file of this name may be open for reading: the rename leaves those readers with what they have.
        put_in_place(self.files.as_ref(), &temporary, &path)?;
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.as_ref().is_some_and(|(known, _)| *known == last) {
            *recent = None;
        }
        Ok((size_bytes, checksum))
    }

    fn read(&self, meta: &SnapshotMeta, offset: u64, length: usize) -> Result<Bytes, StorageError> {
        let handle = self.handle(meta)?;
        let length = length.min(meta.size_bytes.saturating_sub(offset) as usize);
        let mut buffer = vec![0; length];
        let read = read_full(handle.as_ref(), offset, &mut buffer).doing("reading", &self.path(meta.last))?;
        buffer.truncate(read);
        Ok(Bytes::from(buffer))
    }

    fn open(&self, meta: &SnapshotMeta) -> Result<Box<dyn Read + Send>, StorageError> {
        self.verify(meta)?;
        let path = self.path(meta.last);
        let handle = self.files.open(&path).doing("opening", &path)?;
        Ok(Box::new(io::BufReader::with_capacity(BUFFER_BYTES, BodyReader { handle, offset: 0 })))
    }
}

struct BodyWriter<'a> {
    handle: &'a dyn Handle,
    hash: Xxh3,
    buffer: Vec<u8>,
    written: u64,
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.handle.write_at(self.written, &self.buffer)?;
        self.hash.update(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

struct BodyReader {
    handle: Box<dyn Handle>,
    offset: u64,
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.handle.read_at(self.offset, buffer)?;
        self.offset += read as u64;
        Ok(read)
    }
}
