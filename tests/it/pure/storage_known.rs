//! The file that remembers peers: what it refuses, and what crashes and rot may do to it.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::path::Path;

use raft_tui::raft::NodeId;
use raft_tui::storage::StorageError;
use raft_tui::storage::files::Files as _;
use raft_tui::storage::known::{FILE_NAME, KnownStores, Met, Record};

use crate::support::recorded_files::RecordedFiles;

const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn folder() -> &'static Path {
    Path::new("node-1")
}

fn open(files: &RecordedFiles) -> Result<KnownStores, StorageError> {
    KnownStores::open_with(Box::new(files.clone()), folder())
}

fn record(store: u128, control: &str) -> Record {
    Record { store, control: control.to_owned() }
}

#[test]
fn the_first_store_of_a_peer_is_remembered_and_no_other_accepted() {
    let files = RecordedFiles::default();
    let known = open(&files).unwrap();
    assert!(known.list().is_empty());
    assert_eq!(known.meet(N2, 20, "a:1").unwrap(), Met::AsKnown);
    assert_eq!(known.meet(N3, 30, "b:1").unwrap(), Met::AsKnown);
    assert_eq!(known.meet(N2, 21, "a:2").unwrap(), Met::OtherStore { remembered: 20 });
    assert_eq!(known.meet(N2, 20, "a:3").unwrap(), Met::AsKnown);
    let wanted = [(N2, record(20, "a:3")), (N3, record(30, "b:1"))];
    assert_eq!(known.list(), wanted);
    assert_eq!(open(&files).unwrap().list(), wanted);
    assert_eq!(open(&files).unwrap().meet(N2, 21, "a:1").unwrap(), Met::OtherStore { remembered: 20 });
}

#[test]
fn meeting_somebody_who_is_known_writes_nothing() {
    let files = RecordedFiles::default();
    let known = open(&files).unwrap();
    known.meet(N2, 20, "a:1").unwrap();
    let before = files.steps();
    known.meet(N2, 20, "a:1").unwrap();
    known.meet(N2, 21, "a:1").unwrap();
    assert_eq!(files.steps(), before);
}

#[test]
fn a_crash_leaves_the_list_as_it_was_or_as_it_was_to_be_and_never_less_than_was_told() {
    let files = RecordedFiles::default();
    let known = open(&files).unwrap();
    // Steps after which the caller had been told, and what is known from then on.
    let mut told = vec![(0, known.list())];
    for (node, store) in [(N2, 20), (N3, 30), (NodeId(4), 40)] {
        known.meet(node, store, "a:1").unwrap();
        told.push((files.steps(), known.list()));
    }
    for steps in 0..=files.steps() {
        let at_least = told.iter().rposition(|(when, _)| *when <= steps).unwrap();
        let allowed: Vec<_> = told.iter().skip(at_least).take(2).map(|(_, list)| list.clone()).collect();
        for disk in files.crashes(steps) {
            let found = open(&disk).unwrap().list();
            assert!(allowed.contains(&found), "after {steps} steps: {found:?}");
        }
        // What a process found after the death of another stays, also when the power goes then.
        let dead = files.death(steps);
        let found = open(&dead).unwrap().list();
        for disk in dead.crashes(dead.steps()) {
            assert_eq!(open(&disk).unwrap().list(), found, "after {steps} steps");
        }
    }
}

#[test]
fn every_flipped_bit_is_noticed_and_told_with_what_to_do() {
    let files = RecordedFiles::default();
    open(&files).unwrap().meet(N2, 20, "a:1").unwrap();
    let path = folder().join(FILE_NAME);
    let mut bytes = [0; 4096];
    let length = files.open(&path).unwrap().read_at(0, &mut bytes).unwrap();
    for offset in 0..length {
        files.rot(&path, offset);
        match open(&files).unwrap_err() {
            StorageError::Corrupt { why, .. } => assert!(why.contains("restore it from a copy, or remove it"), "{why}"),
            StorageError::NewerFormat { .. } => assert!((8..12).contains(&offset), "{offset}"),
            error => panic!("{error}"),
        }
        files.rot(&path, offset);
    }
    assert_eq!(open(&files).unwrap().list().len(), 1);
}
