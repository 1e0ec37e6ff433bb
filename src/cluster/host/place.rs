//! What is checked before a node is started: its members, its doors, its folder, its cluster.
//!
//! Kept true: nothing is changed here but that an absent folder is made.
//! Not here: what is in the folder (`storage/`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use super::{HostError, HostSpec};
use crate::raft::NodeId;
use crate::storage::fence;
use crate::storage::files::OsFiles;

/// The most members that a cluster has.
const MEMBERS_MAX: usize = 25;

/// The number of a cluster that is bootstrapped by hand: the same for all who were given the same name and members. Its
/// upper half is the name's, its lowest bit the cluster's key for fault injection.
#[must_use]
pub fn cluster_id(name: &str, members: &BTreeMap<NodeId, String>, chaos: bool) -> u128 {
    let mut text = String::new();
    for (node, address) in members {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}={address}", node.0);
    }
    let members = xxh3_64(text.as_bytes()) & !1 | u64::from(chaos);
    of_name(name) << 64 | u128::from(members)
}

fn of_name(name: &str) -> u128 {
    u128::from(xxh3_64(name.as_bytes()))
}

pub(super) fn check_members(spec: &HostSpec) -> Result<(), HostError> {
    let wrong = |why: String| Err(HostError::Members(why));
    if !spec.peers.contains_key(&spec.id) {
        return wrong(format!(
            "--peers does not name {}: list all members, this node too, as 1=host:port,2=…",
            spec.id
        ));
    }
    if spec.peers.len() > MEMBERS_MAX {
        return wrong(format!("{} members are too many: at most {MEMBERS_MAX}", spec.peers.len()));
    }
    Ok(())
}

/// Whether an address can be reached from this machine only.
pub(in crate::cluster) fn is_local(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Refuses to be open to everybody, unless that is wished; then it is true.
pub(super) fn check_doors(spec: &HostSpec) -> Result<bool, HostError> {
    let missing = match (&spec.tls, &spec.token_file) {
        (None, None) => "nothing is encrypted and nobody has to prove anything",
        (None, Some(_)) => "nothing is encrypted",
        (Some(_), None) => "no console has to prove anything",
        (Some(_), Some(_)) => return Ok(false),
    };
    match [&spec.listen, &spec.control].into_iter().find(|address| !is_local(address)) {
        None => Ok(false),
        Some(_) if spec.insecure => Ok(true),
        Some(address) => Err(HostError::Open { address: address.clone(), missing }),
    }
}

/// Looks at the folder, or makes it, and says which cluster's it is to be.
pub(super) fn settle(spec: &HostSpec) -> Result<u128, HostError> {
    let path = &spec.data_dir;
    check_folder(path)?;
    let fence_path = path.join("fence");
    if let Some(record) = fence::peek(&OsFiles, &fence_path) {
        let chaos = record.cluster & 1 == 1;
        if spec.chaos && !chaos {
            return Err(HostError::NoChaos { path: path.clone() });
        }
        // A cluster stays what it is when its members move: those of its first start count, and only the name is compared.
        let kept = (record.cluster >> 64 == of_name(&spec.cluster)).then_some(record.cluster);
        let wanted = spec.cluster_id.or(kept);
        return Ok(wanted.unwrap_or_else(|| cluster_id(&spec.cluster, &spec.peers, chaos)));
    }
    // A fence that cannot be read is judged by the store, which knows what that means.
    if !spec.bootstrap && fence_path.symlink_metadata().is_err() && holds_no_store(path) {
        return Err(HostError::NotBootstrapped { path: path.clone() });
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| folder(path, format!("cannot be made: {error}; choose another --data-dir")))?;
    Ok(spec.cluster_id.unwrap_or_else(|| cluster_id(&spec.cluster, &spec.peers, spec.chaos)))
}

fn folder(path: &Path, why: String) -> HostError {
    HostError::Folder { path: path.to_owned(), why }
}

fn check_folder(path: &Path) -> Result<(), HostError> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(folder(path, format!("cannot be looked at: {error}"))),
    };
    if meta.is_symlink() {
        return Err(folder(path, "is a symbolic link: name the folder itself with --data-dir".into()));
    }
    if !meta.is_dir() {
        return Err(folder(path, "is no folder: choose another --data-dir".into()));
    }
    if meta.mode() & 0o002 != 0 {
        return Err(folder(path, "can be written by everybody: chmod 700 it, or choose another --data-dir".into()));
    }
    Ok(())
}

/// Nothing in it, or nothing but what is left of a start that was interrupted.
fn holds_no_store(path: &Path) -> bool {
    let Ok(entries) = fs::read_dir(path) else { return true };
    entries.flatten().all(|entry| ["lock", "fence.tmp"].iter().any(|name| entry.file_name() == *name))
}

/// The end of this process as if it were killed: nothing is closed, nothing is written, no core is dumped.
pub(super) fn kill_ourselves() -> ! {
    tracing::warn!("crashing, as a console wished");
    // Should the system not kill us, this ends us as abruptly.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::exit(137)
}
