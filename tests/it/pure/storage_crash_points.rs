//! Every crash of fence, mark and snapshot files: after each operation, with every fate of what was not synced.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use raft_tui::raft::{Digest, LogPosition};
use raft_tui::storage::fence::{Fence, FenceRecord};
use raft_tui::storage::files::Files;
use raft_tui::storage::mark::{Mark, MarkRecord};
use raft_tui::storage::snapshots::SnapshotFiles;
use raft_tui::storage::{Snapshots, StorageError};

use crate::support::logs::{Log, hard, identity};
use crate::support::museum;
use crate::support::recorded_files::RecordedFiles;

fn path() -> &'static Path {
    Path::new("folder/file")
}

fn missing(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

fn open_fence(files: &RecordedFiles) -> Result<Fence, StorageError> {
    let mut fence = Fence::open(files, path(), &identity())?;
    fence.repair()?;
    Ok(fence)
}

/// Changes of a fence, with the number of operations after each.
fn fence_lives(files: &RecordedFiles) -> Vec<(usize, FenceRecord)> {
    let mut fence = Fence::create(files, path(), &identity(), 77).expect("made");
    let mut states = vec![(files.steps(), fence.record().clone())];
    for (term, vote) in [(1, None), (1, Some(1)), (2, Some(3))] {
        fence.change(|record| record.hard_state = hard(term, vote)).expect("changed");
        states.push((files.steps(), fence.record().clone()));
    }
    fence.change(|record| record.epoch = record.epoch.next()).expect("changed");
    states.push((files.steps(), fence.record().clone()));
    states
}

#[test]
fn a_crash_leaves_the_fence_as_it_was_or_as_it_was_to_be() {
    museum::enter();
    let files = RecordedFiles::default();
    let states = fence_lives(&files);
    let mut tried = 0;
    for steps in 0..=files.steps() {
        // What was promised by then, and what was on its way.
        let promised = states.iter().rev().find(|(done, _)| *done <= steps).map(|(_, record)| record);
        let coming = states.iter().find(|(done, _)| *done > steps).map(|(_, record)| record);
        for crashed in files.crashes(steps) {
            tried += 1;
            match open_fence(&crashed) {
                Ok(fence) => {
                    let found = fence.record();
                    assert!(Some(found) == promised || Some(found) == coming, "after {steps}: {found:?}");
                    // Once it has been shown it is there for good.
                    for again in crashed.crashes(crashed.steps()) {
                        assert_eq!(open_fence(&again).expect("opened").record(), found);
                    }
                    // And a crash in the middle of the repair loses nothing either.
                    for repair in 0..crashed.steps() {
                        for again in crashed.crashes(repair) {
                            let found = open_fence(&again).expect("opened").record().clone();
                            assert!(Some(&found) == promised || Some(&found) == coming, "after {steps}+{repair}");
                        }
                    }
                }
                Err(error) => assert!(promised.is_none() && missing(&error), "after {steps}: {error}"),
            }
        }
    }
    assert!(tried >= 60, "{tried}");
}

/// First the process dies, which leaves what it wrote in the system's cache; then, during the next opening, the power goes.
#[test]
fn a_power_cut_after_the_death_of_the_process_leaves_the_fence() {
    let files = RecordedFiles::default();
    let states = fence_lives(&files);
    let made = states[0].0;
    for steps in made..=files.steps() {
        let promised = states.iter().rev().find(|(done, _)| *done <= steps).map(|(_, record)| record);
        let coming = states.iter().find(|(done, _)| *done > steps).map(|(_, record)| record);
        let died = files.death(steps);
        let found = open_fence(&died).expect("opened").record().clone();
        for later in steps..=died.steps() {
            for crashed in died.crashes(later) {
                let again = open_fence(&crashed).expect("opened").record().clone();
                assert!(Some(&again) == promised || Some(&again) == coming, "after {steps} and {later}");
                assert!(later < died.steps() || again == found, "after {steps}: what was shown is gone");
            }
        }
    }
}

#[test]
fn a_power_cut_after_the_death_of_the_process_leaves_a_mark() {
    let files = RecordedFiles::default();
    let now = Instant::now();
    let mut mark = Mark::create(&files, path(), record(0), now).expect("made");
    let made = files.steps();
    for index in [1, 2] {
        mark.advance(record(index).last, record(index).chain, now).expect("advanced");
    }
    for steps in made..=files.steps() {
        let died = files.death(steps);
        let mut mark = Mark::open(&died, path(), now).expect("opened").expect("readable");
        for index in [5, 6] {
            mark.advance(record(index).last, record(index).chain, now).expect("advanced");
        }
        for later in steps..=died.steps() {
            for crashed in died.crashes(later) {
                assert!(Mark::open(&crashed, path(), now).expect("opened").is_some(), "after {steps} and {later}");
            }
        }
    }
}

#[test]
fn one_rotten_slot_of_the_fence_is_harmless_at_every_step() {
    museum::enter();
    let files = RecordedFiles::default();
    let states = fence_lives(&files);
    for (steps, promised) in states {
        for crashed in files.crashes(steps) {
            // In the record, and in the zeros behind it.
            for (slot, at) in [(0, 30), (1, 30), (0, 600), (1, 600)] {
                crashed.rot(path(), slot * 4096 + at);
                assert_eq!(open_fence(&crashed).expect("opened").record(), &promised);
            }
        }
    }
}

fn record(index: u64) -> MarkRecord {
    MarkRecord { store: 1, last: LogPosition::new(index, 1), chain: Digest(u128::from(index)) }
}

/// What a log and its mark do together.
#[derive(Clone, Copy, Debug)]
enum Move {
    /// The log is synced up to here, then the mark follows; so many milliseconds later.
    Advance(u64, u64),
    /// The mark is lowered, then the log is cut to here.
    Lower(u64),
}

#[test]
fn a_crash_leaves_no_mark_ahead_of_the_log_and_none_far_behind() {
    let files = RecordedFiles::default();
    let mut now = Instant::now();
    let mut mark = Mark::create(&files, path(), record(0), now).expect("made");
    // Operations after each move; the log's end while it ran; what is certain from then on.
    let mut history = vec![(files.steps(), 0, 0)];
    let mut certain = 0;
    let mut synced_at = now;
    let moves = [
        Move::Advance(3, 10),
        Move::Advance(5, 10),
        Move::Advance(9, 40),
        Move::Advance(12, 10),
        Move::Lower(4),
        Move::Advance(6, 20),
        Move::Lower(6),
        Move::Lower(2),
        Move::Advance(7, 60),
        Move::Advance(8, 1),
        Move::Advance(9, 1),
    ];
    for step in moves {
        match step {
            Move::Advance(to, milliseconds) => {
                now += Duration::from_millis(milliseconds);
                mark.advance(record(to).last, record(to).chain, now).expect("advanced");
                if now - synced_at >= Duration::from_millis(50) {
                    (certain, synced_at) = (to, now);
                }
                history.push((files.steps(), to, certain));
            }
            Move::Lower(to) => {
                let log_end = history[history.len() - 1].1;
                mark.lower(record(to).last, record(to).chain, now).expect("lowered");
                (certain, synced_at) = (to, now);
                // While it is being lowered the log is as long as before; only then it is cut.
                history.push((files.steps(), log_end, to));
                history.push((files.steps(), to, to));
            }
        }
    }
    let mut tried = 0;
    for steps in 0..=files.steps() {
        let done: Vec<_> = history.iter().filter(|(at, ..)| *at <= steps).collect();
        let running = history.iter().find(|(at, ..)| *at > steps);
        // The log was synced before its mark was written: it is as long as the running move found it.
        let log_end = running.or_else(|| done.last().copied()).map_or(0, |(_, end, _)| *end);
        let least =
            done.last().map(|(_, _, certain)| *certain).min(running.map(|(_, _, certain)| *certain).or(Some(u64::MAX)));
        for crashed in files.crashes(steps) {
            tried += 1;
            match Mark::open(&crashed, path(), now) {
                Ok(Some(mark)) => {
                    let index = mark.record().last.index.0;
                    assert_eq!(mark.record(), record(index), "a mark that was never written");
                    assert!(index <= log_end, "after {steps}: the mark is at {index}, the log ends at {log_end}");
                    assert!(Some(index) >= least, "after {steps}: the mark is at {index}, certain was {least:?}");
                }
                Ok(None) => panic!("after {steps}: neither slot is readable"),
                Err(error) => assert!(done.is_empty() && missing(&error), "after {steps}: {error}"),
            }
        }
    }
    assert!(tried >= 120, "{tried}");
}

#[test]
fn the_death_of_the_process_leaves_the_mark_exact() {
    let files = RecordedFiles::default();
    let now = Instant::now();
    let mut mark = Mark::create(&files, path(), record(0), now).expect("made");
    for index in 1..20 {
        mark.advance(record(index).last, record(index).chain, now).expect("advanced");
        let found = Mark::open(&files, path(), now).expect("opened").expect("readable");
        assert_eq!(found.record(), record(index));
    }
}

/// A life after another keeps one durable slot at every moment.
#[test]
fn a_mark_survives_crashes_of_several_lives() {
    let mut disks = vec![RecordedFiles::default()];
    let now = Instant::now();
    Mark::create(&disks[0], path(), record(0), now).expect("made");
    for life in 0..3_u64 {
        let mut next = Vec::new();
        for files in &disks {
            let mut mark = Mark::open(files, path(), now).expect("opened").expect("readable");
            let start = mark.record().last.index.0;
            for index in [start + 1, start + 2] {
                mark.advance(record(index).last, record(index).chain, now).expect("advanced");
            }
            for crashed in files.crashes(files.steps()) {
                let found = Mark::open(&crashed, path(), now).expect("opened").expect("readable").record();
                assert!(found.last.index.0 >= start, "life {life}");
                next.push(crashed);
            }
        }
        next.truncate(40);
        disks = next;
    }
}

#[test]
fn a_snapshot_file_is_whole_or_not_there() {
    museum::enter();
    let mut log = Log::default();
    log.append(1, 9, 4);
    let body = vec![7_u8; 100_000];
    let meta = log.meta(9, &body);
    let files = RecordedFiles::default();
    let folder = PathBuf::from("folder/snap");
    let snapshots = SnapshotFiles::new(Arc::new(files.clone()), folder.clone());
    let written = body.clone();
    let told = snapshots.write(meta.last, Box::new(move |to| to.write_all(&written))).expect("written");
    assert_eq!(told, (meta.size_bytes, meta.checksum));
    for steps in 0..=files.steps() {
        for crashed in files.crashes(steps) {
            let found = SnapshotFiles::new(Arc::new(crashed.clone()), folder.clone());
            match found.open(&meta) {
                Ok(mut reader) => {
                    let mut read = Vec::new();
                    reader.read_to_end(&mut read).expect("read");
                    assert_eq!(read, body);
                }
                Err(error) => {
                    assert!(steps < files.steps(), "it was told to be durable: {error}");
                    assert!(missing(&error), "a name without its bytes: {error}");
                }
            }
        }
    }
    // What rots later is found.
    files.rot(&found_path(&files, &folder), 99_999);
    assert!(matches!(snapshots.open(&meta), Err(StorageError::Corrupt { .. })));
}

fn found_path(files: &RecordedFiles, folder: &Path) -> PathBuf {
    let names = files.list(folder).expect("listed");
    assert_eq!(names.len(), 1);
    folder.join(&names[0])
}
