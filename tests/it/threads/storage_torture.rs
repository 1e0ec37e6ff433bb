//! Rot, anywhere: one bit of one byte that was written and synced, in any file of a node's folder. Every outcome has a
//! name and is counted; silence, which is to come back with less or with something else and not to say so, is the one
//! that there must not be.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use raft_tui::raft::Persist;
use raft_tui::raft::rng::Rng;
use raft_tui::storage::Storage;
use raft_tui::storage::StorageError;

use crate::support::folders::{assert_takes_a_thousand_writes, copy, lived, open, root_folder, tree, try_open, used};
use crate::support::logs::{Log, put, read_body, write_body};
use crate::support::museum;

#[derive(Debug, Default)]
struct Outcomes {
    harmless: usize,
    healed: usize,
    quarantined: usize,
    refused: usize,
}

/// A folder with a snapshot and a short log.
fn small(root: &Path) -> (PathBuf, Log) {
    let (dir, mut log) = lived(root);
    let mut store = open(&dir);
    let body = b"a body that is long enough to be hit as often as other files are hit";
    let meta = log.meta(15, body);
    write_body(&store, meta.last, body);
    put(&mut store, &[log.take(&meta, 10)]);
    put(&mut store, &[log.append(3, 10, 300)]);
    drop(store);
    // One more life: the journal loses the zeros that it was made with.
    drop(open(&dir));
    (dir, log)
}

/// A folder whose log has gone to tables.
fn large(root: &Path) -> (PathBuf, Log) {
    let (dir, mut log) = lived(root);
    let tables = |dir: &Path| {
        let files = tree(&dir.join("db/keyspaces/1"));
        files
            .iter()
            .filter(|(path, _)| path.is_file() && path.parent().is_some_and(|dir| dir.ends_with("tables")))
            .count()
    };
    while tables(&dir) == 0 {
        let mut store = open(&dir);
        for _ in 0..12 {
            put(&mut store, &[log.append(3, 4, 100_000)]);
        }
        drop(store);
        assert!(log.entries.len() < 1_000, "nothing goes to tables");
    }
    (dir, log)
}

/// Flips one bit in a file that `hits` chooses, `count` times, and says what became of it.
fn torture(template: &Path, log: &Log, count: u64, seed: u64, hits: impl Fn(&Path) -> bool) -> Outcomes {
    let files: Vec<_> = tree(template)
        .into_iter()
        .map(|(path, _)| path.strip_prefix(template).expect("below").to_owned())
        .filter(|path| template.join(path).is_file() && path.as_os_str() != "lock" && hits(path))
        .filter(|path| used(&fs::read(template.join(path)).expect("read")) > 0)
        .collect();
    assert!(files.len() > 3, "{files:?}");
    let mut rng = Rng::new(seed);
    let mut outcomes = Outcomes::default();
    let place = template.parent().expect("a parent").join("rotten");
    for number in 0..count {
        copy(template, &place);
        let file = &files[rng.below(files.len() as u64) as usize];
        let mut bytes = fs::read(place.join(file)).expect("read");
        let at = rng.below(used(&bytes) as u64) as usize;
        bytes[at] ^= 1 << rng.below(8);
        fs::write(place.join(file), &bytes).expect("written");
        let hit = format!("injection {number}: byte {at} of {}", file.display());
        judge(&place, log, &hit, number % 20 == 0, &mut outcomes);
        fs::remove_dir_all(&place).expect("removed");
    }
    outcomes
}

fn judge(place: &Path, log: &Log, hit: &str, write_on: bool, outcomes: &mut Outcomes) {
    let mut store = match try_open(place) {
        Ok(store) => store,
        Err(error) => {
            // Only where a vote may be lost, or somebody else's files are here, is a refusal the answer.
            let named = matches!(
                error,
                StorageError::Amnesia { .. } | StorageError::Corrupt { .. } | StorageError::WrongIdentity { .. }
            );
            assert!(named, "{hit}: {error}");
            outcomes.refused += 1;
            return;
        }
    };
    let loaded = store.load().expect("loaded");
    let recovered = loaded.recovered;
    assert_eq!(recovered.hard_state, log.hard_state, "{hit}: the vote");
    if let Some(meta) = &recovered.snapshot {
        assert_eq!(read_body(&store, meta).len() as u64, meta.size_bytes, "{hit}");
    }
    if recovered.quarantine.is_some() {
        outcomes.quarantined += 1;
        for entry in &recovered.entries {
            let old = log.entries.iter().find(|old| old.index == entry.index);
            assert!(old.is_none_or(|old| old == entry), "{hit}: an entry that was never written");
        }
        if write_on {
            // A leader goes on from what is left.
            let mut whole = Log {
                base: recovered.base,
                entries: recovered.entries,
                hard_state: recovered.hard_state,
                snapshot: recovered.snapshot,
                ..Log::default()
            };
            put(&mut store, &[whole.append(50, 30, 30)]);
            store.end_quarantine().expect("ended");
            drop(store);
            assert_takes_a_thousand_writes(place, whole);
        }
        return;
    }
    log.assert_is(&recovered);
    if loaded.notes.is_empty() {
        outcomes.harmless += 1;
    } else {
        outcomes.healed += 1;
    }
    if write_on {
        drop(store);
        assert_takes_a_thousand_writes(place, log.clone());
    }
}

fn tell(what: &str, found: &Outcomes) {
    // Shown with --nocapture, or when something fails.
    let _ = writeln!(std::io::stderr(), "{what}: {found:?}");
}

fn run(count: u64) {
    let root = root_folder();
    let (dir, log) = small(root.path());
    let found = torture(&dir, &log, count, 1, |_| true);
    tell("anywhere", &found);
    assert!(found.quarantined > 0 && found.healed > 0 && found.harmless > 0, "{found:?}");
    assert!(found.refused * 20 <= count as usize, "where quarantine could heal, refusal is no answer: {found:?}");
    let found = torture(&dir, &log, count, 2, |path| path.starts_with("db"));
    tell("in the database", &found);
    assert!(found.quarantined > 0, "{found:?}");

    let root = root_folder();
    let (dir, log) = large(root.path());
    let found = torture(&dir, &log, count / 4, 3, |path| path.starts_with("db/keyspaces"));
    tell("in tables", &found);
    assert!(found.quarantined > 0, "{found:?}");
}

/// `RAFT_TUI_ROT=4000` makes so many injections in each kind of file; a quarter of that in tables.
#[test]
fn no_rot_is_silent() {
    museum::enter();
    let asked = std::env::var("RAFT_TUI_ROT").ok();
    run(asked.map_or(60, |count| count.parse().expect("RAFT_TUI_ROT is a number")));
}

/// The manifest of a keyspace, byte by byte: the database stops the process at some of them.
#[test]
fn no_rot_in_a_manifest_is_silent() {
    let root = root_folder();
    let (dir, log) = small(root.path());
    let manifest = Path::new("db/keyspaces/1/v0");
    let bytes = fs::read(dir.join(manifest)).expect("read");
    let mut outcomes = Outcomes::default();
    let place = root.path().join("rotten");
    for at in (0..bytes.len()).step_by(5) {
        copy(&dir, &place);
        let mut rotten = bytes.clone();
        rotten[at] ^= 0x80;
        fs::write(place.join(manifest), &rotten).expect("written");
        judge(&place, &log, &format!("byte {at} of the manifest"), false, &mut outcomes);
        fs::remove_dir_all(&place).expect("removed");
    }
    assert!(outcomes.quarantined > 20 && outcomes.harmless == 0, "{outcomes:?}");
}

/// Files of the database that are not there any more, or are empty.
#[test]
fn no_lost_file_is_silent() {
    let root = root_folder();
    let (dir, log) = small(root.path());
    let files = tree(&dir.join("db")).into_iter().map(|(path, _)| path).filter(|path| path.is_file());
    let mut outcomes = Outcomes::default();
    for path in files {
        let file = path.strip_prefix(&dir).expect("below");
        let place = root.path().join("lossy");
        for emptied in [false, true] {
            copy(&dir, &place);
            if emptied {
                fs::write(place.join(file), []).expect("emptied");
            } else {
                fs::remove_file(place.join(file)).expect("removed");
            }
            judge(&place, &log, &format!("{} (emptied: {emptied})", file.display()), true, &mut outcomes);
            fs::remove_dir_all(&place).expect("removed");
        }
    }
    assert!(outcomes.quarantined > 5 && outcomes.refused == 0, "{outcomes:?}");
}

/// After all that, an ordinary write still is one.
#[test]
fn the_template_of_the_torture_is_whole() {
    let root = root_folder();
    let (dir, mut log) = small(root.path());
    let mut store = open(&dir);
    log.assert_is(&store.load().expect("loaded").recovered);
    let write: Persist = log.append(3, 1, 1);
    put(&mut store, &[write]);
}
