//! Folders of nodes, and ways to damage them.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use raft_tui::raft::{Persist, Recovered};
use raft_tui::storage::fjall::{FjallOptions, FjallStorage};
use raft_tui::storage::{Loaded, Storage, StorageError};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::logs::{Log, identity, load, put};

/// A folder for a test; in memory where there is such a place: these tests sync thousands of times, and what a sync is
/// worth is not what they are about.
pub fn root_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

pub fn options() -> FjallOptions {
    FjallOptions { min_free_bytes: 0, ..FjallOptions::default() }
}

pub fn try_open(dir: &Path) -> Result<FjallStorage, StorageError> {
    FjallStorage::open(dir, &identity(), options())
}

pub fn open(dir: &Path) -> FjallStorage {
    try_open(dir).expect("opened")
}

pub fn load_all(dir: &Path) -> Loaded {
    open(dir).load().expect("loaded")
}

pub fn recover(dir: &Path) -> Recovered {
    load(&mut open(dir))
}

/// A folder that lived once: a vote, twenty entries in ten groups.
pub fn lived(root: &Path) -> (PathBuf, Log) {
    let dir = root.join("node-1");
    let mut log = Log::default();
    let mut store = open(&dir);
    put(&mut store, &[log.vote(3, Some(2))]);
    for _ in 0..10 {
        put(&mut store, &[log.append(3, 2, 600)]);
    }
    (dir, log)
}

pub fn made(path: PathBuf) -> PathBuf {
    fs::create_dir_all(&path).expect("made");
    path
}

/// Every file below `dir`, with the hash of its bytes.
pub fn tree(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("listed") {
        let path = entry.expect("listed").path();
        if path.is_dir() {
            found.push((path.clone(), 0));
            found.extend(tree(&path));
        } else {
            let hash = xxh3_64(&fs::read(&path).expect("read"));
            found.push((path, hash));
        }
    }
    found.sort();
    found
}

/// Copies what a power cut would leave, at worst, of a folder that is in use: all that was written.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("listed").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            // Journals are long and empty: what is empty stays a hole.
            let mut bytes = fs::read(&path).expect("read");
            let length = bytes.len() as u64;
            bytes.truncate(used(&bytes));
            fs::write(&target, &bytes).expect("written");
            fs::OpenOptions::new().write(true).open(&target).and_then(|file| file.set_len(length)).expect("as long");
        }
    }
}

pub fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).expect("opened");
    file.seek(SeekFrom::Start(offset)).expect("sought");
    file.write_all(bytes).expect("written");
}

pub fn journal(dir: &Path) -> PathBuf {
    let mut journals: Vec<_> = fs::read_dir(dir.join("db"))
        .expect("listed")
        .map(|entry| entry.expect("listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jnl"))
        .collect();
    journals.sort();
    journals.pop().expect("a journal")
}

/// How long `bytes` are without the zeros at their end, which may be many.
pub fn used(bytes: &[u8]) -> usize {
    let zeros = [0; 4096];
    let mut end = bytes.len();
    while end >= zeros.len() && bytes[end - zeros.len()..end] == zeros {
        end -= zeros.len();
    }
    bytes[..end].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The bytes of the journal without the zeros at its end.
pub fn journal_bytes(dir: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    fs::File::open(journal(dir)).expect("opened").read_to_end(&mut bytes).expect("read");
    bytes.truncate(used(&bytes));
    bytes
}

pub fn find_in(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

pub fn find(haystack: &[u8], needle: &[u8]) -> usize {
    find_in(haystack, needle).expect("found")
}

/// The damaged store is in quarantine with `kept` entries of `log`, knows the vote, takes writes, stays in quarantine
/// over restarts and is whole when the core says so.
pub fn assert_quarantined_then_healed(dir: &Path, log: &Log, kept: usize, why: &str) {
    let loaded = load_all(dir);
    let recovered = loaded.recovered;
    let reason = recovered.quarantine.clone().expect("in quarantine");
    assert!(reason.contains(why), "`{reason}` does not say `{why}`");
    assert_eq!(recovered.entries, log.entries[..kept]);
    assert_eq!(recovered.hard_state, log.hard_state);
    let broken = fs::read_dir(dir)
        .expect("listed")
        .filter(|entry| entry.as_ref().expect("listed").file_name().to_string_lossy().starts_with("db.broken-"));
    assert!(broken.count() <= 1);

    let mut store = open(dir);
    let again = load(&mut store);
    assert_eq!(again.quarantine, Some(reason), "a restart does not end it");
    assert_eq!(again.entries, log.entries[..kept]);
    let mut healed = Log { base: again.base, snapshot: again.snapshot, ..log.clone() };
    put(&mut store, &[Persist { entries: log.entries[kept..].to_vec(), ..healed.persist() }]);
    drop(store);
    let mut store = open(dir);
    assert!(load(&mut store).quarantine.is_some(), "having all entries does not end it");
    store.end_quarantine().expect("ended");
    drop(store);
    healed.assert_is(&recover(dir));
    assert_takes_a_thousand_writes(dir, healed);
}

pub fn assert_takes_a_thousand_writes(dir: &Path, mut log: Log) {
    let mut store = open(dir);
    for _ in 0..100 {
        let group: Vec<_> = (0..10).map(|_| log.append(99, 1, 40)).collect();
        put(&mut store, &group);
    }
    drop(store);
    log.assert_is(&recover(dir));
}
