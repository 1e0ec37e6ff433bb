//! A store that stops in the middle: after every single operation on its own files, of an opening and of every kind of
//! write. What comes back is what was acknowledged, or that and the write that was on its way; never a quarantine,
//! which would mean that the order of a write is wrong.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use raft_tui::raft::{Persist, Recovered};
use raft_tui::storage::fjall::{FjallOptions, FjallStorage};
use raft_tui::storage::{Storage, StorageError};

use crate::support::folders::{copy, find_in, journal_bytes, options, recover, root_folder};
use crate::support::gated_files::GatedFiles;
use crate::support::logs::{Log, identity, put};

/// How many changes are allowed; then the power is gone.
#[derive(Clone, Debug)]
struct Budget {
    left: Arc<AtomicI64>,
    /// Whether the write at which it ends is torn, or not there at all.
    torn: bool,
}

impl Budget {
    fn new(changes: i64, torn: bool) -> Self {
        Self { left: Arc::new(AtomicI64::new(changes)), torn }
    }

    fn unlimited() -> Self {
        Self::new(1_000, false)
    }

    fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    fn files(&self) -> GatedFiles {
        let left = Arc::clone(&self.left);
        let kind = if self.torn { io::ErrorKind::WriteZero } else { io::ErrorKind::Other };
        GatedFiles::new(move |_| if left.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(kind.into()) })
    }
}

fn open_with(dir: &Path, budget: &Budget) -> Result<FjallStorage, StorageError> {
    FjallStorage::open(dir, &identity(), FjallOptions { files: Arc::new(budget.files()), ..options() })
}

/// All kinds of writes; each with the log before and after it. Bodies that the node writes itself come with theirs.
fn script() -> Vec<(Option<Vec<u8>>, Persist, Log)> {
    let mut log = Log::default();
    let mut steps = Vec::new();
    let mut step =
        |body: Option<&[u8]>, write: Persist, log: &Log| steps.push((body.map(<[u8]>::to_vec), write, log.clone()));
    let write = log.vote(1, Some(1));
    step(None, write, &log);
    let write = log.append(1, 12, 30);
    step(None, write, &log);
    let write = Persist { hard_state: log.vote(2, None).hard_state, ..log.replace(9, 2, 2) };
    step(None, write, &log);
    let write = log.replace(10, 2, 0);
    step(None, write, &log);
    let meta = log.meta(8, b"eight");
    let write = log.take(&meta, 5);
    step(Some(b"eight"), write, &log);
    let write = log.append(2, 4, 30);
    step(None, write, &log);
    let mut theirs = Log::default();
    theirs.append(3, 30, 10);
    let meta = theirs.meta(11, b"eleven");
    let write = Persist { hard_state: log.vote(3, None).hard_state, ..log.install(&meta, b"eleven") };
    step(None, write, &log);
    let write = log.append(3, 3, 30);
    step(None, write, &log);
    let meta = theirs.meta(25, b"twenty-five");
    let write = log.install(&meta, b"twenty-five");
    step(None, write, &log);
    steps
}

/// Runs the script until it is over or the budget is; gives what was acknowledged and what was on its way.
fn run(dir: &Path, budget: &Budget) -> (Log, Log) {
    let mut acknowledged = Log::default();
    let Ok(mut store) = open_with(dir, budget) else { return (acknowledged.clone(), acknowledged) };
    for (body, write, after) in script() {
        if let (Some(body), Some(snapshot)) = (body, &write.snapshot) {
            let written = store.snapshots().write(snapshot.meta.last, Box::new(move |to| to.write_all(&body)));
            if written.is_err() {
                return (acknowledged.clone(), acknowledged);
            }
        }
        if store.persist(&[write]).is_err() {
            return (acknowledged, after);
        }
        acknowledged = after;
    }
    (acknowledged.clone(), acknowledged)
}

fn is(log: &Log, recovered: &Recovered) -> bool {
    recovered.base == log.base && recovered.entries == log.entries && recovered.snapshot == log.snapshot
}

/// A folder in which nothing was written yet.
fn fresh(root: &Path) -> PathBuf {
    let dir = root.join("fresh");
    drop(open_with(&dir, &Budget::unlimited()).expect("opened"));
    dir
}

#[test]
fn whatever_operation_of_a_beginning_is_the_last_the_next_one_begins_anew() {
    let root = root_folder();
    for changes in 0.. {
        let dir = root.path().join(format!("node-{changes}"));
        let budget = Budget::new(changes, changes % 2 == 0);
        let opened = open_with(&dir, &budget).map(drop).is_ok();
        Log::default().assert_is(&recover(&dir));
        if opened && !budget.is_spent() {
            assert!(changes > 15, "{changes}");
            break;
        }
    }
}

#[test]
fn whatever_operation_of_a_write_is_the_last_the_log_is_whole() {
    let root = root_folder();
    let fresh = fresh(root.path());
    for torn in [false, true] {
        for changes in 4.. {
            let dir = root.path().join(format!("node-{torn}-{changes}"));
            copy(&fresh, &dir);
            let budget = Budget::new(changes, torn);
            let (acknowledged, coming) = run(&dir, &budget);
            let recovered = recover(&dir);
            assert_eq!(recovered.quarantine, None, "after {changes} changes");
            assert!(
                is(&acknowledged, &recovered) || is(&coming, &recovered),
                "after {changes} changes: {recovered:?} is neither {acknowledged:?} nor {coming:?}"
            );
            assert!([acknowledged.hard_state, coming.hard_state].contains(&recovered.hard_state), "{changes} changes");
            if !budget.is_spent() {
                assert!(is(&coming, &recovered));
                assert!(changes > 50, "{changes}");
                break;
            }
            fs::remove_dir_all(&dir).expect("removed");
        }
    }
}

/// The same for the opening of a folder that has lived, and of one whose database is lost.
#[test]
fn whatever_operation_of_an_opening_is_the_last_the_next_one_finds_the_same() {
    let root = root_folder();
    let lived = fresh(root.path());
    let (log, _) = run(&lived, &Budget::unlimited());
    for lost in [false, true] {
        for changes in 0.. {
            let dir = root.path().join(format!("node-{lost}-{changes}"));
            copy(&lived, &dir);
            if lost {
                fs::remove_dir_all(dir.join("db")).expect("removed");
            }
            let budget = Budget::new(changes, changes % 2 == 0);
            let opened = open_with(&dir, &budget).is_ok();
            let recovered = recover(&dir);
            assert_eq!(recovered.quarantine.is_some(), lost, "after {changes} changes");
            assert_eq!(recovered.hard_state, log.hard_state);
            assert!(lost || is(&log, &recovered), "after {changes} changes");
            if opened && !budget.is_spent() {
                break;
            }
            fs::remove_dir_all(&dir).expect("removed");
        }
    }
}

/// The end of a quarantine is a promise too: half of it is none of it, or all.
#[test]
fn a_quarantine_ends_whole_or_not_at_all() {
    let root = root_folder();
    let lived = fresh(root.path());
    put(&mut open_with(&lived, &Budget::unlimited()).expect("opened"), &[Log::default().append(1, 5, 10)]);
    for changes in 0.. {
        let dir = root.path().join(format!("node-{changes}"));
        copy(&lived, &dir);
        fs::remove_dir_all(dir.join("db")).expect("removed");
        let budget = Budget::unlimited();
        let mut store = open_with(&dir, &budget).expect("opened");
        // A leader may have brought back less than there was: what was not committed is gone for good.
        let mut log = Log::default();
        put(&mut store, &[log.append(2, 3, 10)]);
        budget.left.store(changes, Ordering::Relaxed);
        let ended = store.end_quarantine().is_ok();
        drop(store);
        let recovered = recover(&dir);
        assert!(is(&log, &recovered));
        match recovered.quarantine {
            None => {}
            Some(why) => assert_eq!(why, "the log's database is missing", "after {changes} changes"),
        }
        if ended {
            log.assert_is(&recover(&dir));
            return;
        }
        assert!(changes < 20);
    }
}

/// The order of a write, seen from the files beside the database: fence and body before the batch, the mark after it.
#[test]
fn the_fence_is_written_before_the_log_and_the_mark_after_it() {
    let root = root_folder();
    let dir = root.path().join("node-1");
    let expected: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
    let files = {
        let (dir, expected, seen) = (dir.clone(), Arc::clone(&expected), Arc::clone(&seen));
        GatedFiles::new(move |path| {
            let Some(needle) = expected.lock().expect("not poisoned").clone() else { return Ok(()) };
            let is_in_log = find_in(&journal_bytes(&dir), &needle).is_some();
            let mut seen = seen.lock().expect("not poisoned");
            let fits = match path.strip_prefix(&dir).ok().and_then(|path| path.iter().next()?.to_str()) {
                Some("fence") => !is_in_log,
                // Old bodies are removed when all else is done.
                Some("snap") => !is_in_log || seen.contains(&"mark"),
                Some("mark") => is_in_log,
                _ => false,
            };
            let name = path.strip_prefix(&dir).ok().and_then(|path| path.iter().next()?.to_str()).unwrap_or("?");
            seen.push(
                ["fence", "snap", "mark"]
                    .into_iter()
                    .find(|known| *known == name && fits)
                    .unwrap_or("too early or late"),
            );
            Ok(())
        })
    };
    let options = FjallOptions { files: Arc::new(files), ..options() };
    let mut store = FjallStorage::open(&dir, &identity(), options).expect("opened");
    let mut log = Log::default();
    let put = |store: &mut FjallStorage, needle: &[u8], write: Persist| {
        seen.lock().expect("not poisoned").clear();
        *expected.lock().expect("not poisoned") = Some(needle.to_vec());
        store.persist(&[write]).expect("persisted");
        *expected.lock().expect("not poisoned") = None;
        let mut seen = seen.lock().expect("not poisoned").clone();
        seen.dedup();
        seen
    };
    let write = Persist { hard_state: log.vote(2, Some(1)).hard_state, ..log.append(2, 2, 64) };
    assert_eq!(put(&mut store, &log.entry(2).command.clone(), write), ["fence", "mark"]);
    let write = log.append(2, 1, 64);
    assert_eq!(put(&mut store, &log.entry(3).command.clone(), write), ["mark"]);
    let mut theirs = Log::default();
    theirs.append(2, 9, 9);
    let meta = theirs.meta(9, b"body");
    let write = log.install(&meta, b"body");
    let pointer = meta.checksum.0.to_le_bytes();
    let order = put(&mut store, &pointer, write);
    assert_eq!(order[..2], ["snap", "mark"]);
}
