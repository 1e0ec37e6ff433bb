//! The folder of a cluster: who its members are, and a lock for as long as it is open.
//!
//! `cluster.toml` is written once, before any node is formatted; below it each node has a folder of its own. A folder
//! that is somebody else's, in use, or of another cluster is refused and left as it is.
//!
//! Kept true: nothing is written before everything has been checked.
//! Not here: what is in a node's folder (`storage/`).

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ClusterError, Disks};

/// The format of `cluster.toml` that this program writes, and the newest it reads.
const FORMAT: u32 = 1;

/// The bit of a cluster's number that allows faults to be injected into its processes: this folder is for learning.
const FAULTS_ALLOWED: u128 = 1;

/// What `cluster.toml` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterToml {
    format: u32,
    /// A random 128-bit number in hexadecimal.
    cluster_id: String,
    nodes: u64,
}

/// What `ports.toml` says: where the processes of the cluster listen on loopback, in the order of their ids.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ports {
    /// All nodes have been made: one that comes without its store must not come back as new.
    pub(super) bootstrapped: bool,
    /// For peers.
    pub(super) peer: Vec<u16>,
    /// For consoles.
    pub(super) control: Vec<u16>,
}

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// Random; every store of the cluster carries it.
    pub cluster_id: u128,
    /// Held for as long as the folder is open.
    _lock: File,
    /// Removed with this value.
    temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// Opens or makes the folder of a cluster of so many nodes. `None`: the cluster needs none.
    pub fn open(disks: &Disks, nodes: u64) -> Result<Option<Self>, ClusterError> {
        match disks {
            Disks::Memory => Ok(None),
            Disks::Folder(path) => Self::open_at(path.clone(), nodes, None).map(Some),
            Disks::Temporary => {
                let made = tempfile::Builder::new().prefix("raft-tui-").tempdir();
                let made = made.map_err(io_error("making a temporary folder in", &std::env::temp_dir()))?;
                Self::open_at(made.path().to_owned(), nodes, Some(made)).map(Some)
            }
        }
    }

    /// Whether it is removed at the end.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// The ports that its processes have, if it ever had processes.
    pub(super) fn ports(&self) -> Result<Option<Ports>, ClusterError> {
        let path = self.path.join("ports.toml");
        match fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|error| ClusterError::Unreadable { path, why: error.to_string() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ClusterError::Io { doing: "reading", path, source }),
        }
    }

    /// Keeps them.
    pub(super) fn keep_ports(&self, ports: &Ports) -> Result<(), ClusterError> {
        write(&self.path, &self.path.join("ports.toml"), ports)
    }

    fn open_at(path: PathBuf, nodes: u64, temporary: Option<tempfile::TempDir>) -> Result<Self, ClusterError> {
        let file = path.join("cluster.toml");
        let existed = path.symlink_metadata().is_ok();
        if existed {
            check_is_ours(&path, &file)?;
        } else {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io_error("making", &path))?;
        }
        let lock = lock(&path)?;
        let toml = match fs::read_to_string(&file) {
            Ok(text) => read(&file, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let toml =
                    ClusterToml { format: FORMAT, cluster_id: format!("{:032x}", random() | FAULTS_ALLOWED), nodes };
                write(&path, &file, &toml)?;
                toml
            }
            Err(source) => return Err(ClusterError::Io { doing: "reading", path: file, source }),
        };
        if toml.nodes != nodes {
            return Err(ClusterError::OtherMembers { path, found: toml.nodes, wanted: nodes });
        }
        let cluster_id = u128::from_str_radix(&toml.cluster_id, 16).map_err(|error| ClusterError::Unreadable {
            path: file,
            why: format!("cluster_id `{}` is no hexadecimal number: {error}", toml.cluster_id),
        })?;
        Ok(Self { path, cluster_id, _lock: lock, temporary })
    }
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ClusterError + 'a {
    move |source| ClusterError::Io { doing, path: path.to_owned(), source }
}

/// An existing folder is a cluster's, or empty.
fn check_is_ours(path: &Path, file: &Path) -> Result<(), ClusterError> {
    let entries = fs::read_dir(path).map_err(io_error("reading", path))?;
    let foreign = entries.flatten().any(|entry| entry.file_name() != "lock");
    if foreign && !file.exists() {
        return Err(ClusterError::NotOurs { path: path.to_owned() });
    }
    if fs::metadata(path).map_err(io_error("looking at", path))?.mode() & 0o002 != 0 {
        return Err(ClusterError::Open { path: path.to_owned() });
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, ClusterError> {
    let name = path.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&name)
        .map_err(io_error("making", &name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(ClusterError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(ClusterError::Io { doing: "locking", path: name, source }),
    }
}

fn read(file: &Path, text: &str) -> Result<ClusterToml, ClusterError> {
    let unreadable = |why: String| ClusterError::Unreadable { path: file.to_owned(), why };
    // The format alone first: what a newer one holds besides is not ours to judge.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
    let format = table.get("format").and_then(toml::Value::as_integer).unwrap_or(0);
    let found = u32::try_from(format).unwrap_or(u32::MAX);
    if found > FORMAT {
        return Err(ClusterError::Newer { path: file.to_owned(), found, supported: FORMAT });
    }
    table.try_into().map_err(|error: toml::de::Error| unreadable(error.to_string()))
}

/// Written beside, synced, renamed: it is there whole or not at all.
fn write(path: &Path, file: &Path, toml: &impl Serialize) -> Result<(), ClusterError> {
    let text = toml::to_string(toml)
        .map_err(|error| ClusterError::Unreadable { path: file.to_owned(), why: error.to_string() })?;
    let beside = file.with_extension("toml.new");
    let written = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut new| new.write_all(text.as_bytes()).and_then(|()| new.sync_all()))
        .and_then(|()| fs::rename(&beside, file))
        .and_then(|()| File::open(path)?.sync_all());
    written.map_err(io_error("writing", file))
}

/// A number that no other cluster has: the standard library seeds its hash maps from the system's entropy.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    (half() << 64) | half()
}
