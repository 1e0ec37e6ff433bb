//! The operating system's files behind a gate that sees every change and may refuse it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_tui::storage::files::{Files, Handle, OsFiles};

/// Refuses by an error; a write that it refuses with `WriteZero` is torn.
type Gate = Arc<dyn Fn(&Path) -> io::Result<()> + Send + Sync>;

#[derive(Clone)]
pub struct GatedFiles {
    gate: Gate,
}

impl std::fmt::Debug for GatedFiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GatedFiles")
    }
}

impl GatedFiles {
    pub fn new(gate: impl Fn(&Path) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self { gate: Arc::new(gate) }
    }

    fn wrap(&self, path: &Path, handle: Box<dyn Handle>) -> Box<dyn Handle> {
        Box::new(GatedHandle { handle, path: path.to_owned(), gate: Arc::clone(&self.gate) })
    }
}

impl Files for GatedFiles {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        Ok(self.wrap(path, OsFiles.open(path)?))
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn Handle>> {
        (self.gate)(path)?;
        Ok(self.wrap(path, OsFiles.create(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (self.gate)(to)?;
        OsFiles.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        (self.gate)(path)?;
        OsFiles.remove(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        (self.gate)(path)?;
        OsFiles.sync_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        (self.gate)(path)?;
        OsFiles.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        OsFiles.list(path)
    }
}

struct GatedHandle {
    handle: Box<dyn Handle>,
    path: PathBuf,
    gate: Gate,
}

impl std::fmt::Debug for GatedHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("GatedHandle").field(&self.path).finish()
    }
}

impl Handle for GatedHandle {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.handle.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = (self.gate)(&self.path) {
            if error.kind() == io::ErrorKind::WriteZero {
                self.handle.write_at(offset, &bytes[..bytes.len() / 3])?;
            }
            return Err(error);
        }
        self.handle.write_at(offset, bytes)
    }
    fn sync(&self) -> io::Result<()> {
        (self.gate)(&self.path)?;
        self.handle.sync()
    }
}
