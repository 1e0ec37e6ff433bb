//! A store that stops in the middle: after every single operation on its own files, of an opening and of every kind of
//! write. What comes back is what was acknowledged, or that and the write that was on its way; never a quarantine, which
//! would mean that the order of a write is wrong.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use raft_tui::raft::{Persist, Recovered};
use raft_tui::storage::fjall::{FjallOptions, FjallStorage};
use raft_tui::storage::{Storage, StorageError};

use crate::support::folders::{find_in, journal_bytes, options, recover};
use crate::support::gated_files::GatedFiles;
use crate::support::logs::{Log, identity};

/// How many changes are allowed; then the power is gone.
#[derive(Clone, Debug)]
struct Budget {
    left: Arc<AtomicI64>,
}

impl Budget {
    fn new(changes: i64) -> Self {
        Self { left: Arc::new(AtomicI64::new(changes)) }
    }

    fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    fn files(&self) -> GatedFiles {
        let left = Arc::clone(&self.left);
        GatedFiles::new(move |_| {
            if left.fetch_sub(1, Ordering::Relaxed) > 0 { Ok(()) } else { Err(io::Error::other("the power is gone")) }
        })
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

#[test]
fn whatever_operation_is_the_last_the_log_is_whole() {
    let root = tempfile::tempdir().expect("a folder");
    let mut stops = 0;
    for changes in 0.. {
        let dir = root.path().join(format!("node-{changes}"));
        let budget = Budget::new(changes);
        let (acknowledged, coming) = run(&dir, &budget);
        let recovered = recover(&dir);
        assert_eq!(recovered.quarantine, None, "after {changes} changes");
        assert!(
            is(&acknowledged, &recovered) || is(&coming, &recovered),
            "after {changes} changes: {recovered:?} is neither {acknowledged:?} nor {coming:?}"
        );
        assert!(
            [acknowledged.hard_state, coming.hard_state].contains(&recovered.hard_state),
            "after {changes} changes"
        );
        if !budget.is_spent() {
            assert!(is(&coming, &recovered));
            break;
        }
        stops += 1;
    }
    assert!(stops > 60, "{stops}");
}

/// The same for the opening of a folder that has lived, and of one that is in quarantine.
#[test]
fn whatever_operation_of_an_opening_is_the_last_the_next_one_finds_the_same() {
    let root = tempfile::tempdir().expect("a folder");
    for lost in [false, true] {
        for changes in 0.. {
            let dir = root.path().join(format!("node-{lost}-{changes}"));
            let (log, _) = run(&dir, &Budget::new(1_000));
            if lost {
                std::fs::remove_dir_all(dir.join("db")).expect("removed");
            }
            let budget = Budget::new(changes);
            let opened = open_with(&dir, &budget).is_ok();
            let recovered = recover(&dir);
            assert_eq!(recovered.quarantine.is_some(), lost, "after {changes} changes");
            assert_eq!(recovered.hard_state, log.hard_state);
            assert!(lost || is(&log, &recovered), "after {changes} changes");
            if opened && !budget.is_spent() {
                break;
            }
        }
    }
}

/// The end of a quarantine is a promise too: half of it is none of it, or all.
#[test]
fn a_quarantine_ends_whole_or_not_at_all() {
    let root = tempfile::tempdir().expect("a folder");
    for changes in 0.. {
        let dir = root.path().join(format!("node-{changes}"));
        drop(open_with(&dir, &Budget::new(1_000)));
        std::fs::remove_dir_all(dir.join("db")).expect("removed");
        let budget = Budget::new(1_000);
        let mut store = open_with(&dir, &budget).expect("opened");
        let mut log = Log::default();
        store.persist(&[log.append(1, 3, 10)]).expect("persisted");
        budget.left.store(changes, Ordering::Relaxed);
        let ended = store.end_quarantine().is_ok();
        drop(store);
        let recovered = recover(&dir);
        assert!(is(&log, &recovered));
        if ended {
            assert_eq!(recovered.quarantine, None);
            break;
        }
        assert!(changes < 9);
    }
}

/// The order of a write, seen from the files beside the database: fence and body before the batch, the mark after it.
#[test]
fn the_fence_is_written_before_the_log_and_the_mark_after_it() {
    let root = tempfile::tempdir().expect("a folder");
    let dir = root.path().join("node-1");
    let expected: Arc<Mutex<Option<Vec<u8>>>> = Arc::default();
    let seen: Arc<Mutex<Vec<&str>>> = Arc::default();
    let files = {
        let (dir, expected, seen) = (dir.clone(), Arc::clone(&expected), Arc::clone(&seen));
        GatedFiles::new(move |path| {
            let Some(needle) = expected.lock().expect("not poisoned").clone() else { return Ok(()) };
            let is_in_log = find_in(&journal_bytes(&dir), &needle).is_some();
            let name = path.strip_prefix(&dir).expect("below").iter().next().and_then(|name| name.to_str());
            let (name, after) = match name {
                Some("fence") => ("fence", false),
                Some("snap") => ("snap", false),
                Some("mark") => ("mark", true),
                other => panic!("{other:?} is written"),
            };
            // Old bodies are removed when all else is done.
            assert!(is_in_log == after || (name == "snap" && seen.lock().expect("not poisoned").contains(&"mark")));
            seen.lock().expect("not poisoned").push(name);
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
