//! Damage to a node's log and snapshots, and what comes back.

use std::fs;
use std::path::{Path, PathBuf};

use raft_tui::raft::{Base, Configuration, Entry, Index};
use raft_tui::storage::fjall::FjallStorage;
use raft_tui::storage::{Identity, Storage, StorageError};

use crate::support::folders::{
    assert_quarantined_then_healed, assert_takes_a_thousand_writes, copy, find, journal, journal_bytes, lived,
    load_all, made, open, options, overwrite, recover, root_folder, tree,
};
use crate::support::logs::{Log, identity, load, put, read_body, write_body};

// Log.

#[test]
fn a_cut_journal_is_quarantine() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let bytes = journal_bytes(&dir);
    // Before the ninth group: eight of two entries are left.
    let cut = find(&bytes, &log.entries[16].command);
    fs::write(journal(&dir), &bytes[..cut]).expect("written");
    assert_quarantined_then_healed(&dir, &log, 16, "it was promised up to 20@3");
    assert!(dir.join("db.broken-1").is_dir());
}

#[test]
fn a_zeroed_sector_in_the_synced_journal_is_quarantine() {
    for (cut, kept) in [(8, 8), (9, 8), (0, 0), (19, 18)] {
        let root = root_folder();
        let (dir, log) = lived(root.path());
        let at = find(&journal_bytes(&dir), &log.entries[cut].command) as u64;
        overwrite(&journal(&dir), at + 20, &[0; 512]);
        assert_quarantined_then_healed(&dir, &log, kept, "promised up to 20@3");
    }
}

#[test]
fn a_flipped_bit_in_the_synced_journal_keeps_the_database_from_opening_and_is_quarantine() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let bytes = journal_bytes(&dir);
    let at = find(&bytes, &log.entries[11].command) + 300;
    overwrite(&journal(&dir), at as u64, &[bytes[at] ^ 4]);
    assert_quarantined_then_healed(&dir, &log, 10, "promised up to 20@3");
    assert!(dir.join("db.broken-1").join("journal.aside").is_file(), "the evidence is kept");
}

/// A batch that was being written when the power went: its frame is there, its content is not all there. The database
/// refuses to open; nothing that was acknowledged is in it.
#[test]
fn a_torn_unsynced_tail_costs_nothing() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let mut store = open(&dir);
    load(&mut store);
    let used = journal_bytes(&dir).len();
    let crashed = root.path().join("crashed");
    copy(&dir, &crashed);
    let mut next = log.clone();
    put(&mut store, &[next.append(3, 40, 600)]);
    let bytes = journal_bytes(&dir);
    assert!(bytes.len() > used + 24_000);
    let mut torn_opened = 0;
    for (name, torn) in [("page", 4096..8192), ("sector", 9000..9512), ("end", 20_000..24_000)] {
        let copied = root.path().join(name);
        copy(&crashed, &copied);
        let mut after = bytes.clone();
        after[used + torn.start..used + torn.end].fill(0);
        fs::write(journal(&copied), &after).expect("written");
        let loaded = load_all(&copied);
        log.assert_is(&loaded.recovered);
        assert!(loaded.notes.iter().any(|note| note.contains("did not close")), "{:?}", loaded.notes);
        torn_opened += usize::from(loaded.notes.iter().any(|note| note.contains("were cut off")));
        assert!(!copied.join("journal.aside").exists());
        assert!(!copied.join("salvage.tmp").exists());
        assert_takes_a_thousand_writes(&copied, log.clone());
    }
    // A byte inside a value: this one the database never opens by itself.
    let copied = root.path().join("flip");
    copy(&crashed, &copied);
    let mut after = bytes.clone();
    let at = find(&bytes, &next.entries[40].command) + 100;
    after[at] ^= 1;
    fs::write(journal(&copied), &after).expect("written");
    let loaded = load_all(&copied);
    log.assert_is(&loaded.recovered);
    torn_opened += usize::from(loaded.notes.iter().any(|note| note.contains("were cut off")));
    assert!(torn_opened > 0, "the database opened all of them by itself: this test shows nothing");
    assert_takes_a_thousand_writes(&copied, log);
}

/// A power cut at any byte of the tail that was written after the last acknowledgement.
#[test]
fn a_tail_cut_anywhere_leaves_what_was_acknowledged() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let mut store = open(&dir);
    let used = journal_bytes(&dir).len();
    let crashed = root.path().join("crashed");
    copy(&dir, &crashed);
    let mut next = log.clone();
    put(&mut store, &[next.append(3, 2, 50)]);
    let bytes = journal_bytes(&dir);
    for cut in (used..=bytes.len()).step_by(23).chain([bytes.len()]) {
        let copied = root.path().join(format!("cut-{cut}"));
        copy(&crashed, &copied);
        fs::write(journal(&copied), &bytes[..cut]).expect("written");
        let recovered = recover(&copied);
        if cut < bytes.len() { log.assert_is(&recovered) } else { next.assert_is(&recovered) }
    }
}

#[test]
fn a_missing_keyspace_is_quarantine() {
    for keyspace in ["1", "2"] {
        let root = root_folder();
        let (dir, log) = lived(root.path());
        fs::remove_dir_all(dir.join("db/keyspaces").join(keyspace)).expect("removed");
        assert_quarantined_then_healed(&dir, &log, 0, "is missing");
    }
}

#[test]
fn a_missing_or_emptied_database_is_quarantine() {
    for emptied in [false, true] {
        let root = root_folder();
        let (dir, log) = lived(root.path());
        fs::remove_dir_all(dir.join("db")).expect("removed");
        if emptied {
            fs::create_dir(dir.join("db")).expect("made");
        }
        assert_quarantined_then_healed(&dir, &log, 0, "the");
    }
}

#[test]
fn any_missing_file_of_the_database_is_noticed() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let files: Vec<_> = tree(&dir.join("db")).into_iter().filter(|(path, _)| path.is_file()).collect();
    assert!(files.len() > 5);
    for (number, (path, _)) in files.iter().enumerate() {
        let copied = root.path().join(format!("copy-{number}"));
        copy(&dir, &copied);
        let gone = path.strip_prefix(&dir).expect("below");
        fs::remove_file(copied.join(gone)).expect("removed");
        let recovered = recover(&copied);
        if recovered.quarantine.is_none() {
            log.assert_is(&recovered);
        }
        assert_eq!(recovered.hard_state, log.hard_state, "{}", gone.display());
    }
}

/// Two lives of one folder that went apart, and the log of the one beside the mark of the other: every entry verifies,
/// the log is long enough, and yet it is not what was promised.
#[test]
fn another_history_than_the_promised_is_quarantine() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let other = root.path().join("other");
    copy(&dir, &other);
    let (mut mine, mut theirs) = (log.clone(), log);
    put(&mut open(&dir), &[mine.append(4, 2, 10)]);
    put(&mut open(&other), &[theirs.append(5, 9, 10)]);
    fs::remove_dir_all(dir.join("db")).expect("removed");
    copy(&other.join("db"), &dir.join("db"));
    let recovered = recover(&dir);
    assert_eq!(recovered.quarantine.as_deref(), Some("the log differs from what was promised at 22@4"));
}

#[test]
fn an_unreadable_mark_is_quarantine() {
    for missing in [false, true] {
        let root = root_folder();
        let (dir, log) = lived(root.path());
        if missing {
            fs::remove_file(dir.join("mark")).expect("removed");
        } else {
            fs::write(dir.join("mark"), vec![1; 8192]).expect("written");
        }
        assert_quarantined_then_healed(&dir, &log, 20, "the mark is unreadable");
    }
}

/// Bytes that were written and synced, anywhere in the journal: healed, quarantined or harmless, never silent.
#[test]
fn no_rot_in_the_synced_journal_is_silent() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let bytes = journal_bytes(&dir);
    let mut quarantined = 0;
    let count = 24;
    for number in 0..count {
        let copied = root.path().join(format!("rot-{number}"));
        copy(&dir, &copied);
        let mut rotten = bytes.clone();
        let at = number * bytes.len() / count;
        rotten[at] ^= 1 << (number % 8);
        fs::write(journal(&copied), &rotten).expect("written");
        let recovered = recover(&copied);
        assert_eq!(recovered.hard_state, log.hard_state);
        assert!(log.entries.starts_with(&recovered.entries), "byte {at}: what is left is not what was written");
        if recovered.quarantine.is_some() {
            quarantined += 1;
        } else {
            log.assert_is(&recovered);
        }
    }
    assert!(quarantined > count / 2, "{quarantined} of {count}");
}

// Snapshots.

/// A folder with a snapshot at 15 and a log from 11 on (`compact_to` 10) or from 1 on (0).
fn with_snapshot(root: &Path, compact_to: u64) -> (PathBuf, Log) {
    let (dir, mut log) = lived(root);
    let mut store = open(&dir);
    let meta = log.meta(15, b"the state at fifteen");
    write_body(&store, meta.last, b"the state at fifteen");
    put(&mut store, &[log.take(&meta, compact_to)]);
    (dir, log)
}

fn body(dir: &Path) -> PathBuf {
    dir.join("snap").join(format!("{:020}-{:020}.snap", 3, 15))
}

#[test]
fn a_rotten_snapshot_is_not_loaded() {
    for missing in [false, true] {
        let root = root_folder();
        let (dir, log) = with_snapshot(root.path(), 10);
        if missing {
            fs::remove_file(body(&dir)).expect("removed");
        } else {
            overwrite(&body(&dir), 5, b"?");
        }
        let loaded = load_all(&dir);
        let recovered = loaded.recovered;
        assert!(recovered.quarantine.expect("in quarantine").contains("there is no snapshot before it"));
        assert_eq!((recovered.snapshot, recovered.base, recovered.entries), (None, Base::default(), Vec::new()));
        assert_eq!(recovered.hard_state, log.hard_state);
        assert!(loaded.notes.iter().any(|note| note.contains("snapshot 15@3")), "{:?}", loaded.notes);
        assert_eq!(body(&dir).with_extension("snap.broken").exists(), !missing, "the file is kept for a look");

        // The leader sends its own.
        let mut theirs = lived(&made(root.path().join("theirs"))).1;
        theirs.append(3, 5, 10);
        let meta = theirs.meta(22, b"sent");
        let mut healed = Log { hard_state: log.hard_state, ..Log::default() };
        let mut store = open(&dir);
        put(&mut store, &[healed.install(&meta, b"sent"), healed.append(3, 1, 10)]);
        store.end_quarantine().expect("ended");
        drop(store);
        let mut store = open(&dir);
        healed.assert_is(&load(&mut store));
        assert_eq!(read_body(&store, &meta), b"sent");
    }
}

#[test]
fn a_rotten_snapshot_costs_nothing_while_the_whole_log_is_there() {
    let root = root_folder();
    let (dir, mut log) = with_snapshot(root.path(), 0);
    overwrite(&body(&dir), 5, b"?");
    log.snapshot = None;
    let loaded = load_all(&dir);
    log.assert_is(&loaded.recovered);
    assert!(!loaded.notes.is_empty());
    let loaded = load_all(&dir);
    log.assert_is(&loaded.recovered);
    assert_eq!(loaded.notes, Vec::<String>::new());
}

#[test]
fn a_journal_cut_before_the_pointer_knows_nothing_of_the_snapshot() {
    let root = root_folder();
    let (dir, log) = with_snapshot(root.path(), 10);
    let bytes = journal_bytes(&dir);
    fs::write(journal(&dir), &bytes[..find(&bytes, &log.entry(19).command)]).expect("written");
    let recovered = recover(&dir);
    assert!(recovered.quarantine.expect("in quarantine").contains("promised up to 20@3"));
    assert_eq!((recovered.snapshot, recovered.base), (None, Base::default()));
    assert_eq!(recovered.entries.len(), 18);
    assert_eq!(recovered.entries[10..], log.entries[..8]);
}

#[test]
fn a_snapshot_that_is_not_what_was_announced_is_refused() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let mut theirs = log.clone();
    theirs.append(3, 20, 10);
    let meta = theirs.meta(30, b"announced");
    let mut store = open(&dir);
    let error = store.persist(&[log.clone().install(&meta, b"delivered")]).expect_err("refused");
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
    drop(store);
    log.assert_is(&recover(&dir));
    assert_eq!(fs::read_dir(dir.join("snap")).expect("listed").count(), 0, "no body is left behind");
}

#[test]
fn many_compacted_entries_go_little_by_little() {
    let root = root_folder();
    let dir = root.path().join("node-1");
    let mut log = Log::default();
    let mut store = open(&dir);
    put(&mut store, &[log.append(1, 5_000, 4)]);
    let meta = log.meta(5_000, b"all");
    write_body(&store, meta.last, b"all");
    put(&mut store, &[log.take(&meta, 5_000)]);
    drop(store);
    let mut store = open(&dir);
    log.assert_is(&load(&mut store));
    for _ in 0..3 {
        put(&mut store, &[log.append(1, 1, 4)]);
    }
    drop(store);
    log.assert_is(&recover(&dir));
}

// Lives.

#[test]
fn a_copy_of_a_folder_in_use_has_all_that_was_acknowledged() {
    let root = root_folder();
    let (dir, mut log) = lived(root.path());
    let mut store = open(&dir);
    for round in 0..10_u64 {
        put(&mut store, &[log.append(4 + round, 3, 100), log.vote(4 + round, Some(1))]);
        if round % 3 == 2 {
            let from = log.last().index.0;
            put(&mut store, &[log.replace(from, 4 + round, 2)]);
        }
        let copied = root.path().join(format!("copy-{round}"));
        copy(&dir, &copied);
        log.assert_is(&recover(&copied));
    }
    drop(store);
    let recovered = recover(&dir);
    log.assert_is(&recovered);
    assert_takes_a_thousand_writes(&dir, log);
}

#[test]
fn the_configuration_of_the_bootstrap_does_not_lock_a_store() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    let other = Identity { configuration: Configuration::first(5), ..identity() };
    log.assert_is(&load(&mut FjallStorage::open(&dir, &other, options()).expect("opened")));
}

#[test]
fn lives_leave_nothing_behind() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    for _ in 0..5 {
        let recovered = recover(&dir);
        assert_eq!(recovered.entries.last().map(|entry: &Entry| entry.index), Some(Index(20)));
    }
    let mut names: Vec<_> =
        fs::read_dir(&dir).expect("listed").map(|entry| entry.expect("listed").file_name()).collect();
    names.sort();
    assert_eq!(names, ["db", "fence", "lock", "mark", "snap"]);
}
