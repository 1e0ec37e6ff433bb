//! The small file layer under fence, mark and snapshots.
//!
//! Everything of this room that is not inside the log's database is written through [`Files`], so that a simulator or
//! an enumeration of crash points can stand in for the disk.
//!
//! Kept true: folders are 0700, files 0600; a symbolic link is never followed when a file is opened.
//! Not here: what the bytes mean (`slots.rs`, `snapshots.rs`); the database (`fjall.rs`), which has files of its own.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StorageError;
use crate::mutants;

/// What fence, mark and snapshots ask of a disk.
pub trait Files: Send + Sync + Debug {
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>>;
    /// Opens a file for reading and writing, new or emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>>;
    /// Gives a file the name `to`, in place of what had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes a folder, with its parents.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
}

/// An open file.
pub trait Handle: Send + Sync + Debug {
    /// Reads at most `buffer.len()` bytes at `offset`; 0 at the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes all that was written durable.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsFiles;

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

impl Files for OsFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(OsHandle(options().open(path)?)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        Ok(Box::new(OsHandle(options().create(true).truncate(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for found in fs::read_dir(path)? {
            names.push(found?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }
}

#[derive(Debug)]
struct OsHandle(File);

impl Handle for OsHandle {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match FileExt::read_at(&self.0, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        // fdatasync: it covers the length of a file that grew, and nothing here needs times or owners.
        self.0.sync_data()
    }
}

/// Puts what was being done, and with what, to an error of the operating system.
pub(super) trait Doing<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StorageError>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, doing: &'static str, path: &Path) -> Result<T, StorageError> {
        self.map_err(|source| StorageError::Io { doing, path: path.to_owned(), source })
    }
}

/// Reads `buffer.len()` bytes at `offset`, or as many as there are.
pub(super) fn read_full(handle: &dyn Handle, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        let read = handle.read_at(offset + done as u64, &mut buffer[done..])?;
        if read == 0 {
            break;
        }
        done += read;
    }
    Ok(done)
}

/// Writes a whole new file so that after a crash there is all of it or none: temporary name, sync, rename, sync of the
/// folder.
pub(super) fn write_whole(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<Box<dyn Handle>, StorageError> {
    let temporary = temporary(path);
    let handle = files.create(&temporary).doing("creating", &temporary)?;
    handle.write_at(0, bytes).doing("writing", &temporary)?;
    handle.sync().doing("syncing", &temporary)?;
    put_in_place(files, &temporary, path)?;
    Ok(handle)
}

/// Renames a synced file and makes the new name durable.
pub(super) fn put_in_place(files: &dyn Files, temporary: &Path, path: &Path) -> Result<(), StorageError> {
    files.rename(temporary, path).doing("renaming", temporary)?;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    if mutants::on("M56") {
        return Ok(());
    }
    files.sync_dir(folder).doing("syncing", folder)
}

/// The name under which a file is written before it counts.
pub(super) fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}
