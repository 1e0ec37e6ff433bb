//! Files in memory that remember every operation, so that every crash can be tried.
//!
//! A crash is a place in the trace of operations and a fate for each write that was not synced by then: kept, lost, or
//! torn at a sector. Names are durable once their folder is synced; before that a crash may leave any beginning of the
//! changes of names.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use raft_tui::storage::files::{Files, Handle};

#[derive(Clone, Debug)]
pub enum Op {
    Create { path: PathBuf, file: usize },
    Write { file: usize, offset: usize, bytes: Vec<u8> },
    Sync { file: usize },
    Rename { from: PathBuf, to: PathBuf },
    Remove { path: PathBuf },
    SyncDir,
}

/// What is on a disk: names, and the bytes of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Image {
    names: BTreeMap<PathBuf, usize>,
    files: BTreeMap<usize, Vec<u8>>,
}

impl Image {
    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let content = self.files.entry(file).or_default();
        if content.len() < offset + bytes.len() {
            content.resize(offset + bytes.len(), 0);
        }
        content[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { path, file } => {
                self.names.insert(path.clone(), *file);
                self.files.entry(*file).or_default();
            }
            Op::Write { file, offset, bytes } => self.write(*file, *offset, bytes),
            Op::Rename { from, to } => {
                if let Some(file) = self.names.remove(from) {
                    self.names.insert(to.clone(), file);
                }
            }
            Op::Remove { path } => {
                self.names.remove(path);
            }
            Op::Sync { .. } | Op::SyncDir => {}
        }
    }
}

#[derive(Debug, Default)]
struct State {
    image: Image,
    trace: Vec<Op>,
}

#[derive(Clone, Debug, Default)]
pub struct RecordedFiles {
    start: Image,
    state: Arc<Mutex<State>>,
}

const SECTOR: usize = 512;

/// The fates of a write that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Kept,
    Lost,
    FirstSector,
    EvenSectors,
    AllButFirst,
    Zeros,
}

const FATES: [Fate; 6] = [Fate::Kept, Fate::Lost, Fate::FirstSector, Fate::EvenSectors, Fate::AllButFirst, Fate::Zeros];

impl RecordedFiles {
    fn on(image: Image) -> Self {
        Self { start: image.clone(), state: Arc::new(Mutex::new(State { image, trace: Vec::new() })) }
    }

    /// How many operations there were.
    pub fn steps(&self) -> usize {
        self.state.lock().expect("not poisoned").trace.len()
    }

    /// The death of the process after `steps` operations: the system keeps all that was written, synced or not.
    pub fn death(&self, steps: usize) -> Self {
        let trace = self.state.lock().expect("not poisoned").trace[..steps].to_vec();
        let mut image = self.start.clone();
        for op in &trace {
            image.apply(op);
        }
        Self { start: self.start.clone(), state: Arc::new(Mutex::new(State { image, trace })) }
    }

    /// Every disk that a crash after `steps` operations may leave.
    pub fn crashes(&self, steps: usize) -> Vec<Self> {
        let trace = self.state.lock().expect("not poisoned").trace[..steps].to_vec();
        let mut durable = self.start.clone();
        let mut writes: Vec<Op> = Vec::new();
        let mut names: Vec<Op> = Vec::new();
        for op in trace {
            match &op {
                Op::Write { .. } => writes.push(op),
                Op::Create { file, .. } => {
                    durable.files.entry(*file).or_default();
                    names.push(op);
                }
                Op::Rename { .. } | Op::Remove { .. } => names.push(op),
                Op::Sync { file } => {
                    for write in writes.extract_if(.., |write| matches!(write, Op::Write { file: f, .. } if f == file))
                    {
                        durable.apply(&write);
                    }
                }
                Op::SyncDir => names.drain(..).for_each(|op| durable.apply(&op)),
            }
        }
        assert!(writes.len() <= 5, "{} writes without a sync are too many to try", writes.len());
        let mut images = Vec::new();
        for fates in 0..FATES.len().pow(writes.len() as u32) {
            let mut image = durable.clone();
            let mut rest = fates;
            for write in &writes {
                let fate = FATES[rest % FATES.len()];
                rest /= FATES.len();
                let Op::Write { file, offset, bytes } = write else { continue };
                for (at, sector) in bytes.chunks(SECTOR).enumerate() {
                    let kept = match fate {
                        Fate::Kept => true,
                        Fate::Lost => false,
                        Fate::FirstSector => at == 0,
                        Fate::EvenSectors => at % 2 == 0,
                        Fate::AllButFirst => at != 0,
                        Fate::Zeros => {
                            image.write(*file, offset + at * SECTOR, &vec![0; sector.len()]);
                            false
                        }
                    };
                    if kept {
                        image.write(*file, offset + at * SECTOR, sector);
                    }
                }
            }
            for beginning in 0..=names.len() {
                let mut image = image.clone();
                names[..beginning].iter().for_each(|op| image.apply(op));
                if !images.contains(&image) {
                    images.push(image);
                }
            }
        }
        images.into_iter().map(Self::on).collect()
    }

    /// Flips a bit.
    pub fn rot(&self, path: &Path, offset: usize) {
        let mut state = self.state.lock().expect("not poisoned");
        let file = state.image.names[path];
        state.image.files.get_mut(&file).expect("there")[offset] ^= 0x10;
    }

    fn record(&self, op: Op) {
        let mut state = self.state.lock().expect("not poisoned");
        state.image.apply(&op);
        state.trace.push(op);
    }

    fn handle(&self, file: usize) -> Box<dyn Handle> {
        Box::new(RecordedHandle { files: self.clone(), file })
    }
}

impl Files for RecordedFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let file = self.state.lock().expect("not poisoned").image.names.get(path).copied();
        file.map(|file| self.handle(file)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        let file = self.state.lock().expect("not poisoned").image.files.len();
        self.record(Op::Create { path: path.to_owned(), file });
        Ok(self.handle(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.state.lock().expect("not poisoned").image.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.record(Op::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.record(Op::Remove { path: path.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.record(Op::SyncDir);
        Ok(())
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock().expect("not poisoned");
        let within = state.image.names.keys().filter(|name| name.parent() == Some(path));
        Ok(within.filter_map(|name| Some(name.file_name()?.to_string_lossy().into_owned())).collect())
    }
}

#[derive(Debug)]
struct RecordedHandle {
    files: RecordedFiles,
    file: usize,
}

impl Handle for RecordedHandle {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.files.state.lock().expect("not poisoned");
        let content = &state.image.files[&self.file];
        let from = (offset as usize).min(content.len());
        let length = buffer.len().min(content.len() - from);
        buffer[..length].copy_from_slice(&content[from..from + length]);
        Ok(length)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.files.record(Op::Write { file: self.file, offset: offset as usize, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.files.record(Op::Sync { file: self.file });
        Ok(())
    }
}
