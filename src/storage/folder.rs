//! A node's folder: what may be in it, who holds it, how much room there is.
//!
//! All that is checked here is checked before a byte changes: a folder that is not ours, or in use, stays as it is.
//!
//! Kept true: one holder at a time, in this process and among all.
//! Not here: what the files say (`fence.rs`, `mark.rs`, `fjall.rs`).

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StorageError;
use super::files::Doing;

/// The names in a node's folder.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) fence: PathBuf,
    pub(super) mark: PathBuf,
    pub(super) database: PathBuf,
    pub(super) snapshots: PathBuf,
    /// The active journal as it was found after an unclean stop.
    pub(super) journal_aside: PathBuf,
    /// Where journals are tried.
    pub(super) scratch: PathBuf,
}

/// Held for the life of a store; gone with it.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            fence: path.join("fence"),
            mark: path.join("mark"),
            database: path.join("db"),
            snapshots: path.join("snap"),
            journal_aside: path.join("journal.aside"),
            scratch: path.join("salvage.tmp"),
        }
    }

    /// Looks at the folder, makes it when it is missing, and takes its lock.
    pub(super) fn enter(&self) -> Result<Lock, StorageError> {
        match fs::symlink_metadata(&self.path) {
            Ok(meta) if meta.is_dir() => self.refuse_foreign()?,
            Ok(meta) => {
                let what = if meta.is_symlink() { "a symbolic link" } else { "no folder" };
                return Err(StorageError::Foreign { path: self.path.clone(), why: format!("it is {what}") });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().mode(0o700).create(&self.path).doing("making", &self.path)?;
                let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
                let parent = parent.unwrap_or_else(|| Path::new("."));
                File::open(parent).and_then(|folder| folder.sync_all()).doing("syncing", parent)?;
            }
            Err(source) => return Err(StorageError::Io { doing: "looking at", path: self.path.clone(), source }),
        }
        let path = self.path.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .doing("opening", &path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StorageError::Locked { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(StorageError::Io { doing: "locking", path, source }),
        }
    }

    /// A folder without a fence is ours only if it is empty, or if the making of the fence was interrupted.
    fn refuse_foreign(&self) -> Result<(), StorageError> {
        let mut lost = None;
        for found in fs::read_dir(&self.path).doing("listing", &self.path)? {
            let name = found.doing("listing", &self.path)?.file_name().to_string_lossy().into_owned();
            match name.as_str() {
                "fence" => return Ok(()),
                "lock" | "fence.tmp" => {}
                "mark" | "mark.tmp" | "db" | "snap" | "journal.aside" | "salvage.tmp" | "peers" | "peers.tmp" => {
                    lost = Some(Ok(name));
                }
                _ if name.starts_with("db.broken-") => lost = Some(Ok(name)),
                _ => {
                    lost = Some(Err(name));
                    if self.fence.exists() {
                        return Ok(());
                    }
                    break;
                }
            }
        }
        match lost {
            None => Ok(()),
            Some(Ok(name)) => Err(StorageError::Amnesia {
                path: self.fence.clone(),
                why: format!("the fence is missing while `{name}` is there"),
            }),
            Some(Err(name)) => Err(StorageError::Foreign {
                path: self.path.clone(),
                why: format!("it holds `{name}` and has no fence"),
            }),
        }
    }

    /// Refuses when less than `needed_bytes` are free.
    pub(super) fn check_space(&self, needed_bytes: u64) -> Result<(), StorageError> {
        let space = rustix::fs::statvfs(&self.path).map_err(io::Error::from).doing("measuring", &self.path)?;
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        if free_bytes < needed_bytes {
            return Err(StorageError::NoSpace { path: self.path.clone(), free_bytes, needed_bytes });
        }
        Ok(())
    }

    /// Makes names in the folder durable.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        File::open(&self.path).and_then(|folder| folder.sync_all()).doing("syncing", &self.path)
    }

    /// Moves a damaged database out of the way, with the journal as it was found; gives its new name.
    pub(super) fn put_database_aside(&self) -> Result<Option<PathBuf>, StorageError> {
        if !self.database.exists() {
            return Ok(None);
        }
        let aside = (1..u32::MAX)
            .map(|number| self.path.join(format!("db.broken-{number}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| self.path.join("db.broken-0"));
        fs::rename(&self.database, &aside).doing("renaming", &self.database)?;
        if self.journal_aside.exists() {
            fs::rename(&self.journal_aside, aside.join("journal.aside")).doing("renaming", &self.journal_aside)?;
        }
        self.sync()?;
        Ok(Some(aside))
    }

    /// Removes what opening leaves behind when all was well.
    pub(super) fn tidy(&self) -> Result<(), StorageError> {
        remove_if_there(&self.journal_aside, |path| fs::remove_file(path))?;
        remove_if_there(&self.scratch, |path| fs::remove_dir_all(path))
    }
}

/// Removes a file or folder that need not be there.
pub(super) fn remove_if_there(path: &Path, remove: impl Fn(&Path) -> io::Result<()>) -> Result<(), StorageError> {
    match remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.doing("removing", path),
    }
}
