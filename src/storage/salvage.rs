//! Opening a database after an unclean stop.
//!
//! A torn tail that was never synced may keep the database from opening although nothing acknowledged is lost. The
//! journal's format is the database's own business, so the longest prefix of it that opens is found by trying:
//! bisection on copies, in a scratch database. A prefix opens exactly if it ends before the first bad record, so
//! bisection finds the end of the last good one. What is lost by that, if anything, mark and chain tell.
//!
//! Kept true: the journal as it was found is kept until the outcome is known.
//! Not here: the verdict (`judge.rs`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_128;

use super::StorageError;
use super::files::Doing;
use super::fjall::{Database, Refused};
use super::folder::{Folder, remove_if_there};

/// What became of the database.
pub(super) enum Opened {
    /// It opens.
    Usable(Database),
    /// It does not, and no prefix of its journal does.
    Unusable(String),
}

/// Opens the database in `folder`, at the price of the end of its active journal if it must be. `clean`: the last life
/// closed it.
pub(super) fn open(folder: &Folder, clean: bool, notes: &mut Vec<String>) -> Result<Opened, StorageError> {
    if let Some(why) = unfit(&folder.database)? {
        return Ok(Opened::Unusable(why));
    }
    let journal = active_journal(&folder.database)?;
    if let Some(journal) = journal.as_deref().filter(|_| !clean) {
        forget_cached(journal)?;
        copy_used(journal, &folder.journal_aside)?;
    }
    let why = match Database::open(&folder.database) {
        Ok(database) => return Ok(Opened::Usable(database)),
        Err(Refused::Failed(error)) => return Err(error),
        Err(Refused::Damaged(why)) => why,
    };
    let Some(journal) = journal else {
        return Ok(Opened::Unusable(why));
    };
    if clean {
        copy_used(&journal, &folder.journal_aside)?;
    }
    let Some(prefix_bytes) = longest_prefix(folder)? else {
        // The journal is sound: the damage is somewhere else.
        return Ok(Opened::Unusable(why));
    };
    let aside = File::open(&folder.journal_aside).doing("opening", &folder.journal_aside)?;
    aside.sync_all().doing("syncing", &folder.journal_aside)?;
    let found_bytes = aside.metadata().doing("measuring", &folder.journal_aside)?.len();
    let cut = OpenOptions::new().write(true).open(&journal).doing("opening", &journal)?;
    cut.set_len(prefix_bytes).and_then(|()| cut.sync_all()).doing("cutting", &journal)?;
    match Database::open(&folder.database) {
        Ok(database) => {
            notes.push(format!(
                "the database did not open ({why}); {} bytes at the end of its journal, of {found_bytes}, were cut off",
                found_bytes - prefix_bytes
            ));
            Ok(Opened::Usable(database))
        }
        Err(Refused::Failed(error)) => Err(error),
        Err(Refused::Damaged(_)) => Ok(Opened::Unusable(why)),
    }
}

/// What the database itself would answer with a panic, with a removal of what is left, or with a new and empty database
/// in place of the old one.
fn unfit(database: &Path) -> Result<Option<String>, StorageError> {
    if !database.exists() {
        return Ok(Some("the log's database is missing".to_owned()));
    }
    if !database.join("version").is_file() {
        return Ok(Some("the database has no version file".to_owned()));
    }
    let keyspaces = database.join("keyspaces");
    if !keyspaces.is_dir() {
        return Ok(Some("the database has no keyspaces".to_owned()));
    }
    for found in fs::read_dir(&keyspaces).doing("listing", &keyspaces)? {
        let found = found.doing("listing", &keyspaces)?;
        let name = found.file_name().to_string_lossy().into_owned();
        if name.parse::<u64>().is_err() || !found.path().join("current").is_file() {
            return Ok(Some(format!("keyspace folder `{name}` of the database is damaged")));
        }
        if !manifest_is_sound(&found.path())? {
            return Ok(Some(format!("the manifest of keyspace folder `{name}` of the database is damaged")));
        }
    }
    Ok(None)
}

/// Whether the manifest of a keyspace is what was written. `current` names its version and has its checksum, which the
/// database writes but does not read: it stops with a panic at some damage, and that panic ends the whole process.
fn manifest_is_sound(keyspace: &Path) -> Result<bool, StorageError> {
    let path = keyspace.join("current");
    let current = fs::read(&path).doing("reading", &path)?;
    // Version number, xxh3-128, kind of checksum; anything else is another format, about which nothing is known here.
    let Ok(current) = <[u8; 25]>::try_from(current) else { return Ok(true) };
    let (Some(number), Some(checksum)) = (current.first_chunk::<8>(), current[8..].first_chunk::<16>()) else {
        return Ok(true);
    };
    let path = keyspace.join(format!("v{}", u64::from_le_bytes(*number)));
    match fs::read(&path) {
        Ok(manifest) => Ok(xxh3_128(&manifest).to_le_bytes() == *checksum),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(StorageError::Io { doing: "reading", path, source }),
    }
}

/// The journal that was written last.
fn active_journal(database: &Path) -> Result<Option<PathBuf>, StorageError> {
    let mut newest = None;
    for found in fs::read_dir(database).doing("listing", database)? {
        let path = found.doing("listing", database)?.path();
        let number = path
            .extension()
            .filter(|extension| *extension == "jnl")
            .and_then(|_| path.file_stem()?.to_str()?.parse::<u64>().ok());
        if let Some(number) = number {
            newest = newest.max(Some((number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

/// Asks the system to read the file from the device again: after a failed sync its pages may look written that are not.
fn forget_cached(path: &Path) -> Result<(), StorageError> {
    #[cfg(target_os = "linux")]
    {
        let file = File::open(path).doing("opening", path)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .map_err(io::Error::from)
            .doing("reading", path)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = path;
    Ok(())
}

/// Copies a file without the zeros at its end: journals are made 64 MiB long in advance.
fn copy_used(from: &Path, to: &Path) -> Result<(), StorageError> {
    let mut source = File::open(from).doing("opening", from)?;
    let mut target = File::create(to).doing("creating", to)?;
    let zeros = vec![0; 64 << 10];
    let mut block = zeros.clone();
    let mut offset = 0;
    let mut used = 0;
    loop {
        let read = source.read(&mut block).doing("reading", from)?;
        if read == 0 {
            break;
        }
        // Nearly all of it is zeros; comparing is much faster than searching.
        if block[..read] != zeros[..read]
            && let Some(last) = block[..read].iter().rposition(|byte| *byte != 0)
        {
            target.seek(SeekFrom::Start(offset)).doing("writing", to)?;
            target.write_all(&block[..=last]).doing("writing", to)?;
            used = offset + last as u64 + 1;
        }
        offset += read as u64;
    }
    target.set_len(used).doing("writing", to)
}

/// The length of the longest prefix of the journal aside that opens; `None` when all of it does.
fn longest_prefix(folder: &Folder) -> Result<Option<u64>, StorageError> {
    remove_if_there(&folder.scratch, |path| fs::remove_dir_all(path))?;
    drop(Database::create(&folder.scratch)?);
    let Some(scratch) = active_journal(&folder.scratch)? else {
        return Ok(None);
    };
    let opens = |length: u64| {
        replace_by_prefix(&folder.journal_aside, &scratch, length)?;
        match Database::open(&folder.scratch) {
            Ok(_) => Ok(true),
            Err(Refused::Damaged(_)) => Ok(false),
            Err(Refused::Failed(error)) => Err(error),
        }
    };
    let length = fs::metadata(&folder.journal_aside).doing("measuring", &folder.journal_aside)?.len();
    if opens(length)? {
        return Ok(None);
    }
    let (mut good, mut bad) = (0, length);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if opens(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(Some(good))
}

fn replace_by_prefix(from: &Path, to: &Path, length: u64) -> Result<(), StorageError> {
    let source = File::open(from).doing("opening", from)?;
    let mut target = File::create(to).doing("opening", to)?;
    io::copy(&mut source.take(length), &mut target).doing("copying", to)?;
    Ok(())
}
