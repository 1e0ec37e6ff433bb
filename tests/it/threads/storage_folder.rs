//! A node's folder: whose it is, who may open it, and what becomes of a damaged fence.

use std::fs;
use std::path::PathBuf;

use raft_tui::raft::{Epoch, NodeId};
use raft_tui::storage::fjall::{FjallOptions, FjallStorage};
use raft_tui::storage::{Identity, StorageError, fence, mark, slots};

use crate::support::folders::{
    copy, lived, load_all, made, open, options, overwrite, recover, root_folder, tree, try_open,
};
use crate::support::logs::{Log, identity, put};

// Whose it is.

#[test]
fn files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let root = root_folder();
    let (dir, _) = lived(root.path());
    let mode = |path: PathBuf| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(dir.clone()), 0o700);
    assert_eq!(mode(dir.join("snap")), 0o700);
    for name in ["fence", "mark", "lock"] {
        assert_eq!(mode(dir.join(name)), 0o600, "{name}");
    }
}

#[test]
fn a_foreign_folder_is_refused_unchanged() {
    let root = root_folder();
    let dir = root.path().join("node-1");
    fs::create_dir(&dir).expect("made");
    fs::write(dir.join("thesis.tex"), "precious").expect("written");
    let before = tree(root.path());
    let error = try_open(&dir).expect_err("refused");
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("thesis.tex"), "{error}");
    assert_eq!(tree(root.path()), before);
}

#[test]
fn a_symbolic_link_and_a_file_are_refused() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    let link = root.path().join("link");
    std::os::unix::fs::symlink(&dir, &link).expect("linked");
    let file = root.path().join("file");
    fs::write(&file, "").expect("written");
    for path in [link, file] {
        assert!(matches!(try_open(&path), Err(StorageError::Foreign { .. })));
    }
}

#[test]
fn an_empty_folder_and_an_interrupted_beginning_are_taken() {
    let root = root_folder();
    for names in [&[][..], &["lock"], &["lock", "fence.tmp"]] {
        let dir = root.path().join(format!("node-{}", names.len()));
        fs::create_dir(&dir).expect("made");
        for name in names {
            fs::write(dir.join(name), "torn").expect("written");
        }
        Log::default().assert_is(&recover(&dir));
    }
}

#[test]
fn a_folder_in_use_is_refused_unchanged() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    let store = open(&dir);
    let before = tree(&dir);
    let error = try_open(&dir).expect_err("refused");
    assert!(matches!(error, StorageError::Locked { .. }), "{error}");
    assert_eq!(tree(&dir), before);
    drop(store);

    // As another process would hold it.
    let lock = fs::OpenOptions::new().write(true).open(dir.join("lock")).expect("opened");
    lock.lock().expect("locked");
    let before = tree(&dir);
    assert!(matches!(try_open(&dir), Err(StorageError::Locked { .. })));
    assert_eq!(tree(&dir), before);
    drop(lock);
    assert_eq!(recover(&dir).epoch, Epoch(3));
}

#[test]
fn another_cluster_and_another_node_are_refused_unchanged() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    let before = tree(&dir);
    for other in [Identity { cluster: 5, ..identity() }, Identity { node: NodeId(2), ..identity() }] {
        let error = FjallStorage::open(&dir, &other, options()).expect_err("refused");
        assert!(matches!(error, StorageError::WrongIdentity { .. }), "{error}");
        assert!(error.to_string().contains("n1"), "{error}");
        assert_eq!(tree(&dir), before);
    }
}

#[test]
fn files_of_another_store_are_refused_unchanged() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    let other_root = root_folder();
    let (other, _) = lived(other_root.path());
    for name in ["mark", "db"] {
        let mixed = root.path().join(format!("mixed-{name}"));
        copy(&dir, &mixed);
        if name == "db" {
            fs::remove_dir_all(mixed.join("db")).expect("removed");
            copy(&other.join("db"), &mixed.join("db"));
        } else {
            fs::copy(other.join(name), mixed.join(name)).expect("copied");
        }
        let before = tree(&mixed);
        let error = try_open(&mixed).expect_err("refused");
        assert!(matches!(error, StorageError::WrongIdentity { .. }), "{error}");
        assert_eq!(tree(&mixed), before);
    }
}

#[test]
fn a_newer_format_is_refused_unchanged() {
    let root = root_folder();
    for (name, magic) in [("fence", fence::MAGIC), ("mark", mark::MAGIC)] {
        let (dir, _) = lived(&made(root.path().join(name)));
        fs::write(dir.join(name), slots::page_of_format(magic, slots::FORMAT + 1)).expect("written");
        let before = tree(&dir);
        let error = try_open(&dir).expect_err("refused");
        assert!(matches!(error, StorageError::NewerFormat { found: 2, supported: 1, .. }), "{error}");
        assert_eq!(tree(&dir), before);
    }
}

#[test]
fn a_full_disk_is_refused_unchanged_and_ends_a_store() {
    let root = root_folder();
    let (dir, mut log) = lived(root.path());
    let before = tree(&dir);
    let greedy = FjallOptions { min_free_bytes: u64::MAX, ..options() };
    let error = FjallStorage::open(&dir, &identity(), greedy).expect_err("refused");
    assert!(matches!(error, StorageError::NoSpace { needed_bytes: u64::MAX, .. }), "{error}");
    assert_eq!(tree(&dir), before);
    let mut store = open(&dir);
    put(&mut store, &[log.append(3, 1, 10)]);
    drop(store);
    log.assert_is(&recover(&dir));
}

// Fence.

#[test]
fn a_rotten_slot_of_the_fence_is_written_again() {
    let root = root_folder();
    let (dir, log) = lived(root.path());
    for (life, slot) in [(2, 0), (4, 1)] {
        overwrite(&dir.join("fence"), slot * 4096 + 40, &[0xAA; 8]);
        let loaded = load_all(&dir);
        log.assert_is(&loaded.recovered);
        assert_eq!(loaded.recovered.epoch, Epoch(life));
        assert!(
            loaded.notes.iter().any(|note| note.contains(&format!("slot {slot} of the fence"))),
            "{:?}",
            loaded.notes
        );
        assert!(load_all(&dir).notes.is_empty(), "it was repaired");
    }
}

#[test]
fn a_rotten_fence_is_amnesia() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    for slot in 0..2 {
        overwrite(&dir.join("fence"), slot * 4096 + 40, &[0xAA; 8]);
    }
    let before = tree(&dir);
    let error = try_open(&dir).expect_err("refused");
    assert!(matches!(error, StorageError::Amnesia { .. }), "{error}");
    assert!(error.to_string().contains("must not vote again"), "{error}");
    assert_eq!(tree(&dir), before);
}

#[test]
fn a_missing_fence_is_amnesia() {
    let root = root_folder();
    let (dir, _) = lived(root.path());
    fs::remove_file(dir.join("fence")).expect("removed");
    let before = tree(&dir);
    assert!(matches!(try_open(&dir), Err(StorageError::Amnesia { .. })));
    assert_eq!(tree(&dir), before);
}

/// The fence of an earlier moment, in place of the present one: what the database knows better counts.
#[test]
fn a_folder_of_which_only_the_list_of_peers_is_left_is_amnesia() {
    let root = root_folder();
    let dir = made(root.path().join("node-1"));
    fs::write(dir.join("peers"), "").expect("written");
    let before = tree(&dir);
    assert!(matches!(try_open(&dir), Err(StorageError::Amnesia { .. })));
    assert_eq!(tree(&dir), before);
}

#[test]
fn a_fence_behind_the_database_is_brought_forward() {
    let root = root_folder();
    let (dir, mut log) = lived(root.path());
    let old = fs::read(dir.join("fence")).expect("read");
    put(&mut open(&dir), &[log.vote(4, None)]);
    fs::write(dir.join("fence"), &old).expect("written");
    let loaded = load_all(&dir);
    log.assert_is(&loaded.recovered);
    assert!(loaded.notes.iter().any(|note| note.contains("the fence was at term 3")), "{:?}", loaded.notes);
}

#[test]
fn two_votes_in_a_term_are_corruption() {
    let root = root_folder();
    let (dir, mut log) = lived(root.path());
    let other = root.path().join("other");
    copy(&dir, &other);
    put(&mut open(&dir), &[log.vote(4, Some(1))]);
    put(&mut open(&other), &[log.vote(4, Some(3))]);
    fs::copy(other.join("fence"), dir.join("fence")).expect("copied");
    let error = try_open(&dir).expect_err("refused");
    assert!(matches!(error, StorageError::Corrupt { .. }), "{error}");
}
