//! A node's store on disk: the log in fjall, fence, mark and snapshots beside it (paper Figure 2, §7).
//!
//! `node-N/` holds `lock`, `fence`, `mark`, `snap/` and `db/`. The database has two keyspaces: `log`, index → entry,
//! and `meta` with bounds, snapshot pointer, owner and a copy of term and vote. Both are in every batch, so that the
//! journal of neither is pinned by the other and a cut journal cuts both alike.
//!
//! One write: fence, if term or vote change; body of a snapshot; mark, if the log becomes shorter; one batch with one
//! sync; mark. One opening: lock, mark, fence and owner are looked at before anything changes; then the boot epoch
//! rises; then the database, salvaged if need be; then the judge.
//!
//! What fjall 3.1.13 asks of who uses it: two workers at least (one deadlocks), never `clear()`, no second use after an
//! error, every handle dropped before a reopening.
//!
//! Kept true: what `persist` acknowledged is found again, or the node is in quarantine.
//! Not here: opening a damaged database (`salvage.rs`); what counts as damage (`judge.rs`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use fjall::{CompressionType, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::fence::{Fence, Stage};
use super::files::{Doing, Files, OsFiles};
use super::folder::{Folder, Lock, remove_if_there};
use super::judge::{Found, Judged, judge};
use super::mark::{Mark, MarkRecord};
use super::outline::{Outline, plan};
use super::records::{
    Bounds, Owner, entry_from_bytes, entry_to_bytes, may_follow, reconcile, seal, snapshot_from_bytes,
    snapshot_to_bytes, unseal,
};
use super::salvage::{self, Opened};
use super::snapshots::SnapshotFiles;
use super::{Identity, Loaded, Snapshots, Storage, StorageError};
use crate::raft::{Digest, Entry, HardState, Index, LogPosition, Persist, Recovered, SnapshotMeta};

/// Free space below which nothing is written, in bytes: 256 MiB.
pub const MIN_FREE_BYTES: u64 = 256 << 20;
/// Compacted entries that one batch removes at most: a tombstone costs as much as a small entry.
const REMOVES_MAX: u64 = 2_048;
/// Size of the batches in which a new database is filled.
const FILL_BYTES: u64 = 4 << 20;

/// What may be chosen.
#[derive(Clone, Debug)]
pub struct FjallOptions {
    /// Free space below which nothing is written, in bytes.
    pub min_free_bytes: u64,
    /// Where fence, mark and snapshots are kept.
    pub files: Arc<dyn Files>,
}

impl Default for FjallOptions {
    fn default() -> Self {
        Self { min_free_bytes: MIN_FREE_BYTES, files: Arc::new(OsFiles) }
    }
}

/// Why a database does not open.
#[derive(Debug)]
pub(super) enum Refused {
    /// Its files are not what they should be.
    Damaged(String),
    /// The world around is at fault: trying to repair it would make things worse.
    Failed(StorageError),
}

fn failed(doing: &'static str) -> impl Fn(fjall::Error) -> StorageError {
    move |error| match error {
        fjall::Error::Poisoned => StorageError::Poisoned(format!("{doing}: an earlier write of the database failed")),
        other => StorageError::Database { doing, why: other.to_string() },
    }
}

fn refused(error: fjall::Error, path: &Path) -> Refused {
    use std::io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotFound, Other, UnexpectedEof};
    match error {
        fjall::Error::Locked => Refused::Failed(StorageError::Locked { path: path.to_owned() }),
        fjall::Error::Io(source) | fjall::Error::Storage(fjall::LsmError::Io(source)) => match source.kind() {
            AlreadyExists | InvalidData | InvalidInput | NotFound | Other | UnexpectedEof => {
                Refused::Damaged(source.to_string())
            }
            _ => Refused::Failed(StorageError::Io { doing: "opening", path: path.to_owned(), source }),
        },
        other => Refused::Damaged(other.to_string()),
    }
}

/// The database of one node.
pub(super) struct Database {
    // Dropped before `inner`: a surviving keyspace would keep its lock.
    log: Keyspace,
    meta: Keyspace,
    inner: fjall::Database,
}

/// What a database holds.
struct Contents {
    owner: Owner,
    bounds: Bounds,
    hard_state: HardState,
    snapshot: Option<SnapshotMeta>,
    entries: Vec<Entry>,
    unreadable: Option<String>,
}

/// What one batch changes.
struct Change<'a> {
    puts: Vec<&'a Entry>,
    removes: Vec<Index>,
    bounds: Bounds,
    hard_state: HardState,
    pointer: Pointer<'a>,
}

/// What happens to the snapshot pointer.
#[derive(Clone, Copy)]
enum Pointer<'a> {
    Stays,
    Moves(&'a SnapshotMeta),
    Gone,
}

impl<'a> Pointer<'a> {
    fn to(meta: Option<&'a SnapshotMeta>) -> Self {
        meta.map_or(Self::Gone, Self::Moves)
    }
}

/// A key in `log` that no entry has: written with batches that change no entry.
const TOUCH: [u8; 8] = [0; 8];

impl Database {
    fn builder(path: &Path) -> fjall::DatabaseBuilder<fjall::Database> {
        fjall::Database::builder(path)
            .worker_threads(2)
            .cache_size(4 << 20)
            .max_journaling_size(64 << 20)
            .max_cached_files(Some(64))
            .journal_compression(CompressionType::None)
    }

    /// Makes an empty one.
    pub(super) fn create(path: &Path) -> Result<Self, StorageError> {
        let database = Self::builder(path).open().map_err(failed("making the database"))?;
        let keyspace = |name, memtable_bytes| {
            database
                .keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes))
                .map_err(failed("making a keyspace"))
        };
        let log = keyspace("log", 4 << 20)?;
        let meta = keyspace("meta", 1 << 20)?;
        Ok(Self { log, meta, inner: database })
    }

    /// Opens one that was made before. A panic of the database is damage too.
    pub(super) fn open(path: &Path) -> Result<Self, Refused> {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let database = Self::builder(path).open().map_err(|error| refused(error, path))?;
            for name in ["log", "meta"] {
                if !database.keyspace_exists(name) {
                    return Err(Refused::Damaged(format!("keyspace `{name}` is missing")));
                }
            }
            let keyspace =
                |name| database.keyspace(name, KeyspaceCreateOptions::default).map_err(|error| refused(error, path));
            let (log, meta) = (keyspace("log")?, keyspace("meta")?);
            Ok(Self { log, meta, inner: database })
        }));
        opened.unwrap_or_else(|_| Err(Refused::Damaged("opening the database panicked".to_owned())))
    }

    fn meta<T>(&self, key: &str, read: impl Fn(&[u8]) -> Result<T, String>) -> Result<Option<T>, String> {
        let value = self.meta.get(key).map_err(|error| format!("reading `{key}`: {error}"))?;
        value.map(|bytes| read(&bytes).map_err(|why| format!("`{key}` is {why}"))).transpose()
    }

    fn read(&self) -> Result<Contents, String> {
        let missing = |key: &str| format!("`{key}` is missing");
        let owner = self.meta("owner", unseal)?.ok_or_else(|| missing("owner"))?;
        let bounds: Bounds = self.meta("bounds", unseal)?.ok_or_else(|| missing("bounds"))?;
        let hard_state = self.meta("hard", unseal)?.ok_or_else(|| missing("hard"))?;
        let snapshot =
            self.meta("snap", |bytes| if bytes.is_empty() { Ok(None) } else { snapshot_from_bytes(bytes).map(Some) })?;
        let mut entries = Vec::new();
        let mut unreadable = None;
        let (first, last) = (bounds.base.position.index.next(), bounds.last.index);
        if first <= last {
            for guard in self.log.range(first.0.to_be_bytes()..=last.0.to_be_bytes()) {
                let entry = guard.into_inner().map_err(|error| error.to_string()).and_then(|(key, value)| {
                    let index = <[u8; 8]>::try_from(&*key).map_err(|_| "the log has a key that is no index")?;
                    entry_from_bytes(Index(u64::from_be_bytes(index)), &value)
                });
                match entry {
                    Ok(entry) => entries.push(entry),
                    Err(why) => {
                        unreadable = Some(why);
                        break;
                    }
                }
            }
        }
        Ok(Contents { owner, bounds, hard_state, snapshot: snapshot.flatten(), entries, unreadable })
    }

    /// Everything that can be read; a panic of the database is damage too.
    fn read_all(&self) -> Result<Contents, String> {
        catch_unwind(AssertUnwindSafe(|| self.read()))
            .unwrap_or_else(|_| Err("reading the database panicked".to_owned()))
    }

    /// One batch, one sync.
    fn commit(&self, change: &Change<'_>) -> Result<(), StorageError> {
        let encoding = |why| StorageError::Database { doing: "encoding", why };
        let mut batch = self.inner.batch().durability(Some(PersistMode::SyncData));
        for index in &change.removes {
            batch.remove(&self.log, index.0.to_be_bytes());
        }
        for entry in &change.puts {
            batch.insert(&self.log, entry.index.0.to_be_bytes(), entry_to_bytes(entry).map_err(encoding)?);
        }
        if change.removes.is_empty() && change.puts.is_empty() {
            batch.insert(&self.log, TOUCH, []);
        }
        match change.pointer {
            Pointer::Stays => {}
            Pointer::Moves(meta) => batch.insert(&self.meta, "snap", snapshot_to_bytes(meta).map_err(encoding)?),
            Pointer::Gone => batch.insert(&self.meta, "snap", []),
        }
        batch.insert(&self.meta, "hard", seal(&change.hard_state).map_err(encoding)?);
        batch.insert(&self.meta, "bounds", seal(&change.bounds).map_err(encoding)?);
        batch.commit().map_err(failed("writing the log"))
    }

    /// Makes a database that holds what the judge left. Its owner is written last: without one it counts for nothing.
    fn fill(path: &Path, owner: Owner, judged: &Judged, hard_state: HardState) -> Result<Self, StorageError> {
        let made = Self::create(path)?;
        let removed_to = judged.outline.base().position.index;
        let bounds = Bounds::of(&judged.outline, removed_to);
        let mut puts = Vec::new();
        let mut bytes = 0;
        for entry in &judged.entries {
            puts.push(entry);
            bytes += entry.cost_bytes();
            if bytes >= FILL_BYTES {
                let puts = std::mem::take(&mut puts);
                made.commit(&Change { puts, removes: Vec::new(), bounds, hard_state, pointer: Pointer::Stays })?;
                bytes = 0;
            }
        }
        let pointer = Pointer::to(judged.snapshot.as_ref());
        made.commit(&Change { puts, removes: Vec::new(), bounds, hard_state, pointer })?;
        let sealed = seal(&owner).map_err(|why| StorageError::Database { doing: "encoding", why })?;
        std::fs::write(path.join("owner"), &sealed).doing("writing", path)?;
        let mut batch = made.inner.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&made.meta, "owner", sealed);
        batch.insert(&made.log, TOUCH, []);
        batch.commit().map_err(failed("writing the owner"))?;
        Ok(made)
    }
}

/// A node's store on disk.
pub struct FjallStorage {
    // Everything of fjall goes first, the lock last.
    database: Option<Database>,
    folder: Folder,
    fence: Fence,
    mark: Mark,
    snapshots: Arc<SnapshotFiles>,
    outline: Outline,
    removed_to: Index,
    min_free_bytes: u64,
    loaded: Option<Loaded>,
    failed: Option<String>,
    _lock: Lock,
}

impl std::fmt::Debug for FjallStorage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FjallStorage")
            .field("folder", &self.folder.path)
            .field("last", &self.outline.last())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl FjallStorage {
    /// Opens the folder of one node, or makes it when it is missing or empty; its parent must be there.
    ///
    /// A folder that is foreign, locked, newer, or of another node or cluster stays as it was.
    pub fn open(dir: &Path, identity: &Identity, options: FjallOptions) -> Result<Self, StorageError> {
        let FjallOptions { min_free_bytes, files } = options;
        let folder = Folder::new(dir);
        let lock = folder.enter()?;
        folder.check_space(min_free_bytes)?;
        let now = Instant::now();
        let mut notes = Vec::new();
        if !folder.fence.exists() {
            Fence::create(files.as_ref(), &folder.fence, identity, random())?;
        }
        let (mut fence, mark) = look(files.as_ref(), &folder, identity, now)?;
        notes.extend(fence.repair()?);
        let clean = fence.record().clean;
        let owner = Owner { cluster: identity.cluster, node: identity.node, store: fence.record().store };
        if fence.record().stage == Stage::Forming {
            form(files.as_ref(), &folder, owner, now)?;
            fence.change(|record| record.stage = Stage::Formed)?;
            return Self::open_formed(
                Parts { folder, files, fence, mark: None, min_free_bytes, lock },
                owner,
                true,
                notes,
            );
        }
        Self::open_formed(Parts { folder, files, fence, mark, min_free_bytes, lock }, owner, clean, notes)
    }

    fn open_formed(parts: Parts, owner: Owner, clean: bool, mut notes: Vec<String>) -> Result<Self, StorageError> {
        let Parts { folder, files, mut fence, mark, min_free_bytes, lock } = parts;
        let now = Instant::now();
        let mark = match mark {
            Some(mark) => Some(mark),
            None => open_mark(files.as_ref(), &folder, now)?,
        };
        fence.change(|record| {
            record.epoch = record.epoch.next();
            record.clean = false;
        })?;
        files.create_dir(&folder.snapshots).doing("making", &folder.snapshots)?;
        let snapshots = Arc::new(SnapshotFiles::new(Arc::clone(&files), folder.snapshots.clone()));
        if !clean {
            notes.push("the last life of this node did not close its store".to_owned());
        }

        // In quarantine it is known already that less is here than was promised; the mark still says how much that was.
        let promised = match (&fence.record().quarantine, &mark) {
            (Some(_), _) => Some((LogPosition::ZERO, Digest::default())),
            (None, Some(mark)) => Some((mark.record().last, mark.record().chain)),
            (None, None) => None,
        };
        let (database, unusable) = match salvage::open(&folder, clean, &mut notes)? {
            Opened::Usable(database) => (Some(database), None),
            Opened::Unusable(why) => (None, Some(why)),
        };
        let read = match (&database, unusable) {
            (Some(database), _) => database.read_all(),
            (None, why) => Err(why.unwrap_or_default()),
        };
        let (judged, removed_to, hard_state) = match read {
            Ok(contents) => {
                refuse_owner(&folder.database, contents.owner, owner)?;
                let (hard_state, note) = reconcile(fence.record().hard_state, contents.hard_state)
                    .map_err(|why| StorageError::Corrupt { path: folder.path.clone(), why })?;
                notes.extend(note);
                let removed_to = contents.bounds.removed_to;
                (judge_contents(contents, promised, &snapshots, &mut notes)?, removed_to, hard_state)
            }
            Err(why) => {
                let judged =
                    Judged { outline: Outline::default(), entries: Vec::new(), snapshot: None, quarantine: Some(why) };
                (judged, Index::ZERO, fence.record().hard_state)
            }
        };
        fence.change(|record| record.hard_state = hard_state)?;

        let (database, removed_to) = match (database, &judged.quarantine) {
            (Some(database), None) => {
                // A pointer to a body that is gone must not be followed again.
                let pointer = Pointer::to(judged.snapshot.as_ref());
                let bounds = Bounds::of(&judged.outline, removed_to);
                database.commit(&Change { puts: Vec::new(), removes: Vec::new(), bounds, hard_state, pointer })?;
                (database, removed_to)
            }
            (database, why) => {
                // First the word that this node is not to be trusted, then everything else.
                drop(database);
                let why = why.clone().unwrap_or_default();
                fence.change(|record| record.quarantine = Some(why))?;
                if let Some(aside) = folder.put_database_aside()? {
                    notes.push(format!("the damaged database is kept as {}", aside.display()));
                }
                let made = Database::fill(&folder.database, owner, &judged, hard_state)?;
                folder.sync()?;
                (made, judged.outline.base().position.index)
            }
        };
        let mut mark = match mark {
            Some(mark) => mark,
            None => new_mark(files.as_ref(), &folder, owner, now)?,
        };
        if fence.record().quarantine.is_none() {
            // What outlived a crash without having been promised is promised from now on.
            mark.advance(judged.outline.last(), judged.outline.chain(), now)?;
        }
        folder.tidy()?;
        snapshots.remove_others(judged.snapshot.as_ref().map(|meta| meta.last), true)?;
        let recovered = Recovered {
            epoch: fence.record().epoch,
            hard_state,
            snapshot: judged.snapshot,
            base: judged.outline.base(),
            entries: judged.entries,
            quarantine: fence.record().quarantine.clone(),
        };
        Ok(Self {
            database: Some(database),
            folder,
            fence,
            mark,
            snapshots,
            outline: judged.outline,
            removed_to,
            min_free_bytes,
            loaded: Some(Loaded { recovered, notes, store: owner.store }),
            failed: None,
            _lock: lock,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.folder.path
    }

    /// What the database takes on the disk, in bytes.
    pub fn disk_bytes(&self) -> u64 {
        self.database.as_ref().and_then(|database| database.inner.disk_space().ok()).unwrap_or(0)
    }

    fn usable(&self) -> Result<&Database, StorageError> {
        match (&self.failed, &self.database) {
            (None, Some(database)) => Ok(database),
            (why, _) => Err(StorageError::Poisoned(why.clone().unwrap_or_default())),
        }
    }

    fn write(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        self.folder.check_space(self.min_free_bytes)?;
        let mut outline = std::mem::take(&mut self.outline);
        let plan =
            plan(&mut outline, writes).map_err(|why| StorageError::Database { doing: "planning a write", why })?;
        self.outline = outline;
        let hard_state = self.change_hard_state(writes)?;
        if let Some(snapshot) = &plan.snapshot {
            match &snapshot.body {
                Some(body) => self.snapshots.write_received(&snapshot.meta, body)?,
                None => self.snapshots.check_present(&snapshot.meta)?,
            }
        }
        let trusted = self.fence.record().quarantine.is_none();
        if let Some((position, chain)) = plan.common
            && trusted
            && self.mark.record().last.index > position.index
        {
            self.mark.lower(position, chain, Instant::now())?;
        }
        let base = self.outline.base().position.index;
        let removed_to = Index(base.0.min(self.removed_to.0.saturating_add(REMOVES_MAX)));
        let mut removes: Vec<_> = (self.removed_to.0 + 1..=removed_to.0).map(Index).collect();
        removes.extend(plan.removes);
        self.usable()?.commit(&Change {
            puts: plan.puts.values().collect(),
            removes,
            bounds: Bounds::of(&self.outline, removed_to),
            hard_state,
            pointer: plan.snapshot.as_ref().map_or(Pointer::Stays, |snapshot| Pointer::Moves(&snapshot.meta)),
        })?;
        self.removed_to = removed_to;
        if trusted {
            self.mark.advance(self.outline.last(), self.outline.chain(), Instant::now())?;
        }
        if let Some(snapshot) = &plan.snapshot
            && let Err(error) = self.snapshots.remove_others(Some(snapshot.meta.last), false)
        {
            // What is too much costs room, nothing else; the next opening tries again.
            tracing::warn!(%error, "an old snapshot was not removed");
        }
        Ok(())
    }

    fn change_hard_state(&mut self, writes: &[Persist]) -> Result<HardState, StorageError> {
        let hard_state = writes
            .iter()
            .filter_map(|write| write.hard_state)
            .try_fold(self.fence.record().hard_state, |old, new| may_follow(old, new).map(|()| new))
            .map_err(|why| StorageError::Database { doing: "planning a write", why })?;
        self.fence.change(|record| record.hard_state = hard_state)?;
        Ok(hard_state)
    }

    fn note<T>(&mut self, done: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &done {
            self.failed = Some(error.to_string());
        }
        done
    }

    fn trust(&mut self) -> Result<(), StorageError> {
        let (last, chain) = (self.outline.last(), self.outline.chain());
        self.mark.set(MarkRecord { store: self.fence.record().store, last, chain }, Instant::now())?;
        self.fence.change(|record| record.quarantine = None)
    }
}

impl Storage for FjallStorage {
    fn load(&mut self) -> Result<Loaded, StorageError> {
        self.usable()?;
        self.loaded.take().ok_or_else(|| StorageError::Poisoned("it was loaded before".to_owned()))
    }

    fn persist(&mut self, writes: &[Persist]) -> Result<(), StorageError> {
        self.usable()?;
        if writes.is_empty() {
            return Ok(());
        }
        let written = self.write(writes);
        self.note(written)
    }

    fn end_quarantine(&mut self) -> Result<(), StorageError> {
        self.usable()?;
        let trusted = self.trust();
        self.note(trusted)
    }

    fn snapshots(&self) -> Arc<dyn Snapshots> {
        Arc::clone(&self.snapshots) as Arc<dyn Snapshots>
    }
}

impl Drop for FjallStorage {
    fn drop(&mut self) {
        drop(self.database.take());
        if self.failed.is_some() {
            return;
        }
        let closed = self.mark.sync(Instant::now()).and_then(|()| self.fence.change(|record| record.clean = true));
        if let Err(error) = closed {
            tracing::warn!(%error, "the store was not closed cleanly");
        }
    }
}

struct Parts {
    folder: Folder,
    files: Arc<dyn Files>,
    fence: Fence,
    mark: Option<Mark>,
    min_free_bytes: u64,
    lock: Lock,
}

/// Reads fence, mark and owner and refuses what is not ours; changes nothing.
fn look(
    files: &dyn Files,
    folder: &Folder,
    identity: &Identity,
    now: Instant,
) -> Result<(Fence, Option<Mark>), StorageError> {
    let fence = Fence::open(files, &folder.fence, identity)?;
    let mark = open_mark(files, folder, now)?;
    let wanted = Owner { cluster: identity.cluster, node: identity.node, store: fence.record().store };
    if fence.record().stage == Stage::Formed {
        if let Some(mark) = &mark
            && mark.record().store != wanted.store
        {
            return Err(wrong_store(&folder.mark, mark.record().store, wanted.store));
        }
        // Only a hint: it is looked at before the database is touched, and what it says is in there as well.
        let owner = std::fs::read(folder.database.join("owner")).ok().and_then(|bytes| unseal(&bytes).ok());
        if let Some(owner) = owner {
            refuse_owner(&folder.database, owner, wanted)?;
        }
    }
    Ok((fence, mark))
}

fn wrong_store(path: &Path, found: u128, wanted: u128) -> StorageError {
    StorageError::WrongIdentity {
        path: path.to_owned(),
        found: format!("store {found:032x}"),
        wanted: format!("store {wanted:032x}"),
    }
}

fn refuse_owner(path: &Path, found: Owner, wanted: Owner) -> Result<(), StorageError> {
    if found == wanted { Ok(()) } else { Err(wrong_store(path, found.store, wanted.store)) }
}

fn open_mark(files: &dyn Files, folder: &Folder, now: Instant) -> Result<Option<Mark>, StorageError> {
    match Mark::open(files, &folder.mark, now) {
        Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        opened => opened,
    }
}

fn new_mark(files: &dyn Files, folder: &Folder, owner: Owner, now: Instant) -> Result<Mark, StorageError> {
    let record = MarkRecord { store: owner.store, last: LogPosition::ZERO, chain: Digest::default() };
    Mark::create(files, &folder.mark, record, now)
}

/// Makes everything beside the fence, from nothing: whatever an interrupted try left is removed.
fn form(files: &dyn Files, folder: &Folder, owner: Owner, now: Instant) -> Result<(), StorageError> {
    remove_if_there(&folder.database, |path| std::fs::remove_dir_all(path))?;
    new_mark(files, folder, owner, now)?;
    files.create_dir(&folder.snapshots).doing("making", &folder.snapshots)?;
    let nothing = Judged { outline: Outline::default(), entries: Vec::new(), snapshot: None, quarantine: None };
    drop(Database::fill(&folder.database, owner, &nothing, HardState::default())?);
    folder.sync()
}

fn judge_contents(
    contents: Contents,
    mark: Option<(LogPosition, Digest)>,
    snapshots: &SnapshotFiles,
    notes: &mut Vec<String>,
) -> Result<Judged, StorageError> {
    let mut snapshot = contents.snapshot;
    if let Some(meta) = &snapshot
        && let Err(error) = snapshots.verify(meta)
    {
        if !is_damage(&error) {
            return Err(error);
        }
        notes.push(format!("snapshot {} cannot be used: {error}", meta.last));
        snapshots.put_aside(meta)?;
        snapshot = None;
    }
    Ok(judge(Found {
        base: contents.bounds.base,
        last: contents.bounds.last,
        chain: contents.bounds.chain,
        entries: contents.entries,
        unreadable: contents.unreadable,
        snapshot,
        mark,
    }))
}

/// Whether a body is lost, rather than out of reach for now.
fn is_damage(error: &StorageError) -> bool {
    match error {
        StorageError::Io { source, .. } => {
            source.kind() == std::io::ErrorKind::NotFound
                || source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        }
        other => matches!(other, StorageError::Corrupt { .. }),
    }
}

/// A number that no other folder has: the standard library seeds its hash maps from the system's entropy.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    (half() << 64) | half()
}

/// Where the folder of a node lies in a data folder.
#[must_use]
pub fn node_dir(data: &Path, node: crate::raft::NodeId) -> PathBuf {
    data.join(format!("node-{}", node.0))
}
