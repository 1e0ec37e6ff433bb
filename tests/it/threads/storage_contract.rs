//! What every store owes its node: one suite, run over each store, and over each with a bad disk in front.

use std::sync::Arc;
use std::time::Duration;

use raft_tui::raft::rng::Rng;
use raft_tui::raft::{Base, Entry, Epoch, Index, LogPosition, Persist};
use raft_tui::storage::faults::{DiskRules, Failure, Kind, Stall, Survival, TornTail, When};
use raft_tui::storage::faulty::{FaultHandle, Faulty};
use raft_tui::storage::fjall::{FjallOptions, FjallStorage};
use raft_tui::storage::memory::MemoryDisk;
use raft_tui::storage::{Identity, Storage, StorageError};

use crate::support::logs::{Log, identity, load, put, read_body, write_body};

/// A place where a store's lives follow one another.
trait Place {
    fn open_as(&self, identity: &Identity) -> Result<Box<dyn Storage>, StorageError>;

    fn open(&self) -> Box<dyn Storage> {
        self.open_as(&identity()).expect("opened")
    }
}

struct Memory(MemoryDisk);

impl Place for Memory {
    fn open_as(&self, identity: &Identity) -> Result<Box<dyn Storage>, StorageError> {
        Ok(Box::new(self.0.open(identity)?))
    }
}

struct Folder(tempfile::TempDir);

impl Place for Folder {
    fn open_as(&self, identity: &Identity) -> Result<Box<dyn Storage>, StorageError> {
        let options = FjallOptions { min_free_bytes: 0, ..FjallOptions::default() };
        Ok(Box::new(FjallStorage::open(&self.0.path().join("node-1"), identity, options)?))
    }
}

macro_rules! for_every_store {
    ($($fact:ident),* $(,)?) => {
        mod memory {
            $(#[test]
            fn $fact() {
                super::$fact(&super::Memory(raft_tui::storage::memory::MemoryDisk::new()));
            })*
        }
        mod fjall {
            $(#[test]
            fn $fact() {
                super::$fact(&super::Folder(crate::support::folders::root_folder()));
            })*
        }
    };
}

for_every_store!(
    a_new_store_is_empty,
    what_was_persisted_comes_back,
    a_group_is_one_write,
    a_suffix_is_replaced_at_once,
    term_and_vote_come_back,
    a_vote_is_not_taken_back,
    a_snapshot_is_named_and_the_log_before_it_goes,
    an_installed_snapshot_replaces_the_log,
    an_install_below_the_end_of_the_log_drops_its_end,
    the_epoch_rises_with_each_life,
    nonsense_is_refused_and_ends_the_store,
    an_error_is_terminal,
    only_one_life_at_a_time,
    another_node_is_refused,
    an_injected_failure_loses_nothing_acknowledged,
    a_full_disk_loses_nothing_acknowledged,
    a_stalled_disk_goes_on_when_it_is_healed,
    a_body_is_read_in_pieces,
    any_history_comes_back,
);

fn a_new_store_is_empty(place: &dyn Place) {
    let recovered = load(place.open().as_mut());
    Log::default().assert_is(&recovered);
    assert_eq!(recovered.epoch, Epoch(1));
}

fn what_was_persisted_comes_back(place: &dyn Place) {
    let mut log = Log::default();
    let mut store = place.open();
    load(store.as_mut());
    put(store.as_mut(), &[log.vote(1, Some(1))]);
    put(store.as_mut(), &[log.append(1, 3, 100)]);
    put(store.as_mut(), &[log.append(1, 1, 0)]);
    put(store.as_mut(), &[]);
    drop(store);
    let mut store = place.open();
    log.assert_is(&load(store.as_mut()));
    put(store.as_mut(), &[log.append(2, 2, 70_000)]);
    drop(store);
    log.assert_is(&load(place.open().as_mut()));
}

fn a_group_is_one_write(place: &dyn Place) {
    let mut log = Log::default();
    let mut store = place.open();
    let group = [
        log.vote(1, None),
        log.append(1, 4, 10),
        log.replace(3, 2, 1),
        log.vote(2, Some(2)),
        log.replace(2, 3, 5),
        log.append(3, 1, 5),
    ];
    put(store.as_mut(), &group);
    drop(store);
    log.assert_is(&load(place.open().as_mut()));
}

fn a_suffix_is_replaced_at_once(place: &dyn Place) {
    let mut log = Log::default();
    let mut store = place.open();
    put(store.as_mut(), &[log.append(1, 9, 10)]);
    put(store.as_mut(), &[log.replace(4, 2, 2)]);
    drop(store);
    let mut store = place.open();
    log.assert_is(&load(store.as_mut()));
    assert_eq!(log.last().index, Index(5));
    let write = log.replace(3, 2, 0);
    put(store.as_mut(), &[write]);
    drop(store);
    let mut store = place.open();
    let recovered = load(store.as_mut());
    log.assert_is(&recovered);
    assert_eq!(recovered.entries.len(), 2);
}

fn term_and_vote_come_back(place: &dyn Place) {
    let mut log = Log::default();
    for (term, vote) in [(1, None), (1, Some(3)), (4, None), (5, Some(1))] {
        let mut store = place.open();
        load(store.as_mut());
        put(store.as_mut(), &[log.vote(term, vote)]);
        drop(store);
        log.assert_is(&load(place.open().as_mut()));
    }
}

fn a_vote_is_not_taken_back(place: &dyn Place) {
    let mut log = Log::default();
    let mut store = place.open();
    put(store.as_mut(), &[log.vote(5, Some(2))]);
    let kept = log.clone();
    assert!(store.persist(&[log.vote(5, Some(3))]).is_err());
    drop(store);
    kept.assert_is(&load(place.open().as_mut()));
    let mut store = place.open();
    assert!(store.persist(&[log.vote(4, None)]).is_err());
    drop(store);
    kept.assert_is(&load(place.open().as_mut()));
}

fn a_snapshot_is_named_and_the_log_before_it_goes(place: &dyn Place) {
    let mut log = Log::default();
    let mut store = place.open();
    put(store.as_mut(), &[log.append(1, 20, 10)]);
    let meta = log.meta(15, b"first body");
    assert_eq!(write_body(store.as_ref(), meta.last, b"first body"), (meta.size_bytes, meta.checksum));
    put(store.as_mut(), &[log.take(&meta, 10)]);
    drop(store);

    let mut store = place.open();
    let recovered = load(store.as_mut());
    log.assert_is(&recovered);
    assert_eq!(recovered.entries.first().map(|entry| entry.index), Some(Index(11)), "the tail is kept");
    assert_eq!(read_body(store.as_ref(), &meta), b"first body");

    put(store.as_mut(), &[log.append(2, 10, 10)]);
    let newer = log.meta(30, b"second");
    write_body(store.as_ref(), newer.last, b"second");
    put(store.as_mut(), &[log.take(&newer, 30)]);
    drop(store);
    let mut store = place.open();
    let recovered = load(store.as_mut());
    log.assert_is(&recovered);
    assert_eq!(recovered.entries, []);
    assert_eq!(read_body(store.as_ref(), &newer), b"second");
    assert!(store.snapshots().open(&meta).is_err(), "the older body is gone");
    put(store.as_mut(), &[log.append(2, 3, 10)]);
    drop(store);
    log.assert_is(&load(place.open().as_mut()));
}

fn an_installed_snapshot_replaces_the_log(place: &dyn Place) {
    let mut theirs = Log::default();
    theirs.append(3, 50, 10);
    let meta = theirs.meta(40, b"theirs");
    let mut log = Log::default();
    let mut store = place.open();
    put(store.as_mut(), &[log.append(1, 10, 10)]);
    put(store.as_mut(), &[log.install(&meta, b"theirs")]);
    put(store.as_mut(), &[log.append(3, 2, 10)]);
    drop(store);
    let mut store = place.open();
    log.assert_is(&load(store.as_mut()));
    assert_eq!(read_body(store.as_ref(), &meta), b"theirs");
}

fn an_install_below_the_end_of_the_log_drops_its_end(place: &dyn Place) {
    let mut theirs = Log::default();
    theirs.append(3, 50, 10);
    let meta = theirs.meta(5, b"theirs");
    let mut log = Log::default();
    let mut store = place.open();
    put(store.as_mut(), &[log.append(1, 10, 10)]);
    put(store.as_mut(), &[log.install(&meta, b"theirs")]);
    drop(store);
    let mut store = place.open();
    log.assert_is(&load(store.as_mut()));
    put(store.as_mut(), &[log.append(3, 1, 10)]);
    drop(store);
    log.assert_is(&load(place.open().as_mut()));
}

fn the_epoch_rises_with_each_life(place: &dyn Place) {
    for life in 1..=4 {
        assert_eq!(load(place.open().as_mut()).epoch, Epoch(life));
    }
}

fn nonsense_is_refused_and_ends_the_store(place: &dyn Place) {
    let mut log = Log::default();
    put(place.open().as_mut(), &[log.append(1, 5, 10)]);
    let mut gap = log.clone();
    gap.append(1, 1, 1);
    let mut other = Log::default();
    other.append(1, 4, 11);
    let no_such_snapshot = {
        let mut far = log.clone();
        far.append(1, 5, 1);
        let meta = far.meta(10, b"");
        far.take(&meta, 5)
    };
    let beyond =
        Persist { compact_to: Some(Base { position: LogPosition::new(9, 1), ..Base::default() }), ..log.persist() };
    for (what, write) in [
        ("a gap", gap.append(1, 1, 1)),
        ("another history", other.append(1, 2, 1)),
        ("a falling term", log.clone().append(0, 1, 1)),
        ("a snapshot beyond the log", no_such_snapshot),
        ("compaction beyond the log", beyond),
    ] {
        let mut store = place.open();
        assert!(store.persist(&[write]).is_err(), "{what} is accepted");
        assert!(matches!(store.persist(&[log.clone().append(1, 1, 1)]), Err(StorageError::Poisoned(_))), "{what}");
        drop(store);
        log.assert_is(&load(place.open().as_mut()));
    }
}

fn no_sleep() -> raft_tui::storage::faulty::Sleep {
    Arc::new(|_| {})
}

fn failing(kind: Kind, nth: u64) -> DiskRules {
    DiskRules { failures: vec![Failure { kind, when: When::Nth(nth) }], ..DiskRules::default() }
}

struct Boxed(Box<dyn Storage>);

impl Storage for Boxed {
    fn load(&mut self) -> Result<raft_tui::storage::Loaded, StorageError> {
        self.0.load()
    }
    fn persist(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        self.0.persist(writes)
    }
    fn end_quarantine(&mut self) -> Result<(), StorageError> {
        self.0.end_quarantine()
    }
    fn snapshots(&self) -> Arc<dyn raft_tui::storage::Snapshots> {
        self.0.snapshots()
    }
}

fn an_error_is_terminal(place: &dyn Place) {
    let mut log = Log::default();
    let faults = FaultHandle::new(1);
    let mut store = Faulty::new(Boxed(place.open()), faults.clone(), no_sleep());
    put(&mut store, &[log.append(1, 1, 10)]);
    faults.set_rules(failing(Kind::Sync, 1));
    assert!(matches!(store.persist(&[log.clone().append(1, 1, 10)]), Err(StorageError::Injected(_))));
    faults.heal();
    assert!(matches!(store.persist(&[log.clone().append(1, 1, 10)]), Err(StorageError::Poisoned(_))));
    assert!(store.end_quarantine().is_err());
}

fn only_one_life_at_a_time(place: &dyn Place) {
    let store = place.open();
    assert!(matches!(place.open_as(&identity()), Err(StorageError::Locked { .. })));
    drop(store);
    assert!(place.open_as(&identity()).is_ok());
}

fn another_node_is_refused(place: &dyn Place) {
    let mut log = Log::default();
    put(place.open().as_mut(), &[log.append(1, 1, 10)]);
    let other_node = Identity { node: raft_tui::raft::NodeId(2), ..identity() };
    let other_cluster = Identity { cluster: 2, ..identity() };
    for other in [other_node, other_cluster] {
        assert!(matches!(place.open_as(&other), Err(StorageError::WrongIdentity { .. })));
    }
    let recovered = load(place.open().as_mut());
    log.assert_is(&recovered);
    assert_eq!(recovered.epoch, Epoch(2), "the refused openings were no lives");
}

/// Writes one entry at a time until the disk fails; what came back is what was acknowledged, or one write more.
fn write_until_failure(place: &dyn Place, rules: DiskRules, seed: u64) {
    let faults = FaultHandle::new(seed);
    let mut store = Faulty::new(Boxed(place.open()), faults.clone(), no_sleep());
    let found = load(&mut store);
    let mut log = Log { entries: found.entries, hard_state: found.hard_state, ..Log::default() };
    faults.set_rules(rules);
    let mut acknowledged = log.clone();
    loop {
        let write = log.append(1, 1, 100);
        if store.persist(&[write]).is_err() {
            break;
        }
        acknowledged = log.clone();
        assert!(log.entries.len() < 500, "the rule never struck");
    }
    drop(store);
    let recovered = load(place.open().as_mut());
    if recovered.entries.len() == acknowledged.entries.len() {
        acknowledged.assert_is(&recovered);
    } else {
        log.assert_is(&recovered);
    }
}

fn an_injected_failure_loses_nothing_acknowledged(place: &dyn Place) {
    for (seed, kind) in [(1, Kind::Write), (2, Kind::Sync), (3, Kind::Sync), (4, Kind::Sync)] {
        write_until_failure(place, failing(kind, 3 + seed), seed);
    }
    let rare = Failure { kind: Kind::Sync, when: When::PerMillion(100_000) };
    write_until_failure(place, DiskRules { failures: vec![rare], ..DiskRules::default() }, 9);
}

fn a_full_disk_loses_nothing_acknowledged(place: &dyn Place) {
    write_until_failure(place, DiskRules { space_bytes: Some(5_000), ..DiskRules::default() }, 1);
}

fn a_stalled_disk_goes_on_when_it_is_healed(place: &dyn Place) {
    let mut log = Log::default();
    let faults = FaultHandle::new(1);
    let handle = faults.clone();
    let slept = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sleeps = Arc::clone(&slept);
    let sleep = Arc::new(move |time: Duration| {
        let mut sleeps = sleeps.lock().expect("not poisoned");
        sleeps.push(time);
        if sleeps.len() == 10 {
            handle.set_rules(DiskRules { latency_us: 7, stall: Some(Stall::OnceUs(100)), ..DiskRules::default() });
        }
    });
    let mut store = Faulty::new(Boxed(place.open()), faults.clone(), sleep);
    faults.set_rules(DiskRules { stall: Some(Stall::UntilHealed), ..DiskRules::default() });
    put(&mut store, &[log.append(1, 1, 10)]);
    let slept = slept.lock().expect("not poisoned").clone();
    assert_eq!(slept[10..], [Duration::from_micros(107), Duration::from_micros(7)], "a write, then a sync");

    faults.set_rules(DiskRules { stall: Some(Stall::UntilHealed), ..DiskRules::default() });
    faults.abandon();
    assert!(matches!(store.persist(&[log.clone().append(1, 1, 10)]), Err(StorageError::Injected(_))));
    drop(store);
    log.assert_is(&load(place.open().as_mut()));
}

fn a_body_is_read_in_pieces(place: &dyn Place) {
    let mut log = Log::default();
    let mut store = place.open();
    put(store.as_mut(), &[log.append(1, 2, 10)]);
    let meta = log.meta(2, b"0123456789");
    write_body(store.as_ref(), meta.last, b"0123456789");
    put(store.as_mut(), &[log.take(&meta, 2)]);
    let snapshots = store.snapshots();
    let read = |offset, length| snapshots.read(&meta, offset, length).expect("read");
    assert_eq!(read(0, 4), "0123");
    assert_eq!(read(4, 100), "456789");
    assert_eq!(read(10, 5), "");
    assert_eq!(read(99, 5), "");
    // A follower that is being sent a snapshot is not cut off by a newer one.
    put(store.as_mut(), &[log.append(1, 1, 10)]);
    let newer = log.meta(3, b"x");
    write_body(store.as_ref(), newer.last, b"x");
    assert_eq!(read(4, 1), "4");
}

/// Histories as cores make them, by seed: groups of appends, replacements, votes, snapshots and installs, with new
/// lives in between.
fn any_history_comes_back(place: &dyn Place) {
    let mut log = Log::default();
    let mut rng = Rng::new(20_261_122);
    let mut term = 1;
    let mut store = place.open();
    for step in 0..300 {
        let mut group = Vec::new();
        let mut bodies = Vec::new();
        for _ in 0..=rng.below(3) {
            let length = log.entries.len() as u64;
            group.push(match rng.below(10) {
                0..5 => log.append(term, 1 + rng.below(6) as usize, rng.below(300) as usize),
                5 if length > 2 => {
                    term += 1;
                    let from = log.last().index.0 - rng.below(length.min(5));
                    log.replace(from, term, rng.below(4) as usize)
                }
                6 => {
                    term += 1;
                    log.vote(term, rng.chance(1, 2).then_some(2))
                }
                7 if length > 4 => {
                    let at = log.entries[rng.below(length) as usize].index.0;
                    let newest = log.snapshot.as_ref().map_or(0, |meta| meta.last.index.0);
                    if at <= newest {
                        continue;
                    }
                    let meta = log.meta(at, b"ours");
                    bodies.push(meta.last);
                    let compact_to = log.base.position.index.0 + rng.below(at - log.base.position.index.0) + 1;
                    log.take(&meta, compact_to)
                }
                8 if rng.chance(1, 4) => {
                    term += 1;
                    let ahead = log.last().index.0.saturating_sub(3) + rng.below(9);
                    let newest = log.snapshot.as_ref().map_or(0, |meta| meta.last.index.0);
                    let mut theirs = Log {
                        base: Base { position: LogPosition::new(ahead.max(newest), term), ..log.base },
                        ..Log::default()
                    };
                    theirs.append(term, 1, 1);
                    let meta = theirs.meta(ahead.max(newest) + 1, b"theirs");
                    log.install(&meta, b"theirs")
                }
                _ => log.vote(log.hard_state.current_term.0 + 1, None),
            });
            term = term.max(log.hard_state.current_term.0);
        }
        for last in bodies {
            write_body(store.as_ref(), last, b"ours");
        }
        put(store.as_mut(), &group);
        if rng.chance(1, 10) {
            drop(store);
            store = place.open();
            let loaded = store.load().expect("loaded");
            log.assert_is(&loaded.recovered);
            assert!(loaded.notes.is_empty(), "step {step}: {:?}", loaded.notes);
        }
    }
    assert!(log.base.position.index.0 > 100, "{}", log.base.position);
}

#[test]
fn a_crash_forgets_what_was_not_synced() {
    let disk = MemoryDisk::new();
    let mut log = Log::default();
    let mut store = disk.open(&identity()).expect("opened");
    put(&mut store, &[log.vote(1, Some(1)), log.append(1, 2, 10)]);
    let synced = log.clone();
    let writes = [log.append(1, 1, 10), log.vote(2, Some(3)), log.append(2, 1, 10)];
    for write in &writes {
        store.write(std::slice::from_ref(write)).expect("written");
    }
    assert_eq!(disk.unsynced(), 3);

    disk.crash(|_| Survival::Lost);
    assert!(matches!(store.persist(&[log.append(2, 1, 10)]), Err(StorageError::Poisoned(_))), "that life is over");
    drop(store);
    let mut store = disk.open(&identity()).expect("opened");
    synced.assert_is(&load(&mut store));

    // The first survives, of the second only the vote, so nothing of the third.
    for write in &writes {
        store.write(std::slice::from_ref(write)).expect("written");
    }
    disk.crash(|place| [Survival::Kept, Survival::Torn, Survival::Kept][place]);
    let recovered = load(&mut disk.open(&identity()).expect("opened"));
    let mut expected = synced;
    expected.append(1, 1, 10);
    expected.vote(2, Some(3));
    expected.assert_is(&recovered);
}

#[test]
fn any_crash_of_the_memory_store_leaves_a_prefix_and_no_quarantine() {
    let rules = DiskRules {
        torn_tail: TornTail { lost_per_million: 200_000, torn_per_million: 200_000 },
        ..DiskRules::default()
    };
    for seed in 0..200 {
        let mut faults = raft_tui::storage::faults::DiskFaults::new(seed);
        faults.set_rules(rules.clone());
        let disk = MemoryDisk::new();
        let mut store = disk.open(&identity()).expect("opened");
        let mut log = Log::default();
        let mut states = vec![log.clone()];
        let mut acknowledged = 0;
        for step in 0..12 {
            let write = if step % 5 == 4 { log.replace(log.last().index.0, step, 1) } else { log.append(step, 2, 8) };
            store.write(&[write]).expect("written");
            states.push(log.clone());
            if (seed + step) % 3 == 0 {
                store.sync().expect("synced");
                acknowledged = states.len() - 1;
            }
        }
        let fates = faults.crash(disk.unsynced());
        disk.crash(|place| fates[place]);
        let recovered = load(&mut disk.open(&identity()).expect("opened"));
        let survived = acknowledged + fates.iter().take_while(|fate| **fate == Survival::Kept).count();
        states[survived].assert_is(&recovered);
    }
}

#[test]
fn damage_to_the_memory_store_is_found() {
    let filled = || {
        let disk = MemoryDisk::new();
        let mut log = Log::default();
        put(&mut disk.open(&identity()).expect("opened"), &[log.vote(1, None), log.append(1, 9, 10)]);
        (disk, log)
    };
    let quarantine_of = |disk: &MemoryDisk| load(&mut disk.open(&identity()).expect("opened"));

    let (disk, log) = filled();
    disk.lose_synced_from(Index(6));
    let recovered = quarantine_of(&disk);
    assert_eq!(recovered.entries, log.entries[..5]);
    assert_eq!(recovered.quarantine.as_deref(), Some("the log ends at 5@1, it was promised up to 9@1"));
    let mut store = disk.open(&identity()).expect("opened");
    let recovered = load(&mut store);
    assert!(recovered.quarantine.is_some(), "a restart does not end it");
    put(&mut store, &[Persist { entries: log.entries[5..].to_vec(), ..log.clone().persist() }]);
    store.end_quarantine().expect("ended");
    drop(store);
    log.assert_is(&quarantine_of(&disk));

    let (disk, log) = filled();
    disk.rot_entry(Index(3));
    let recovered = quarantine_of(&disk);
    assert_eq!(recovered.entries, log.entries[..2]);
    assert!(recovered.quarantine.is_some_and(|why| why.contains("the chain breaks at entry 3@1")));

    let (disk, _) = filled();
    disk.lose_fence();
    assert!(matches!(disk.open(&identity()), Err(StorageError::Amnesia { .. })));
}

#[test]
fn a_rotten_snapshot_is_not_used() {
    let disk = MemoryDisk::new();
    let mut log = Log::default();
    let mut store = disk.open(&identity()).expect("opened");
    put(&mut store, &[log.append(1, 9, 10)]);
    let meta = log.meta(5, b"body");
    write_body(&store, meta.last, b"body");
    put(&mut store, &[log.take(&meta, 5)]);
    disk.rot_snapshots();
    assert!(store.snapshots().open(&meta).is_err());
    drop(store);
    let recovered = load(&mut disk.open(&identity()).expect("opened"));
    assert_eq!((recovered.snapshot, recovered.entries), (None, Vec::<Entry>::new()));
    assert!(recovered.quarantine.is_some());
}
