//! The file of contexts: clusters by name.
//!
//! ```toml
//! current = "prod"
//!
//! [contexts.prod]
//! endpoints = ["10.0.0.1:7101", "10.0.0.2:7101"]
//! token_file = "/home/me/prod.token"
//! tls_ca = "/home/me/prod-ca.pem"
//! access = "operator"
//! name = "ann"
//! ```
//!
//! `$RAFT_TUI_CONFIG` names it; else it is `raft-tui/contexts.toml` below `$XDG_CONFIG_HOME` or `~/.config`.
//!
//! Kept true: the file is there whole or not at all, and nobody else may read it; a word that is not known is an error
//! that names file and line.
//! Not here: the subcommand (`context.rs`), tokens themselves.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::way::Most;
use crate::text::sanitize_str;

/// A cluster by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Control addresses of its nodes.
    pub endpoints: Vec<String>,
    /// The file with the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Certificate of whoever signed those of the nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ca: Option<PathBuf>,
    /// The most that may be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<Most>,
    /// How this console is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// All that the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The context in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
    /// All of them.
    #[serde(default)]
    pub contexts: BTreeMap<String, Cluster>,
}

/// What is wrong with addresses, names or their file.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// Nobody said which cluster.
    #[error(
        "no cluster is named: use --endpoints HOST:PORT (`raft-tui attach HOST:PORT`), RAFT_TUI_ENDPOINTS, or \
         `raft-tui context set NAME --endpoints HOST:PORT`"
    )]
    NoEndpoints,
    /// A cluster in this process, where one elsewhere is wanted.
    #[error(
        "lab:{0} is a new cluster in this process, nothing to attach to: `raft-tui --nodes {0}` opens a console on one"
    )]
    Lab(u64),
    /// An address that is none.
    #[error("`{}` is no control address: write HOST:PORT, as in 127.0.0.1:7101", sanitize_str(.0))]
    Endpoint(String),
    /// A context that is not there.
    #[error("there is no context `{}` in {file}: {}", sanitize_str(.name), known(.names))]
    NoContext {
        /// What was asked for.
        name: String,
        /// Where.
        file: String,
        /// What there is.
        names: Vec<String>,
    },
    /// A name that would be trouble in a shell.
    #[error("`{}` is no name for a context: 1 to 64 letters, digits, `.`, `_` or `-`", sanitize_str(.0))]
    Name(String),
    /// The file makes no sense.
    #[error("{file}, line {line}: {why}")]
    File {
        /// Which file.
        file: String,
        /// Where in it.
        line: usize,
        /// What is wrong.
        why: String,
    },
    /// No place for the file is known.
    #[error("no place for contexts is known: set RAFT_TUI_CONFIG to a file, or HOME to your folder")]
    NoPlace,
}

fn known(names: &[String]) -> String {
    if names.is_empty() { "it has none".into() } else { format!("it has {}", sanitize_str(&names.join(", "))) }
}

impl Settings {
    /// Where the file is, whether or not it exists.
    pub fn path() -> Result<PathBuf, Wrong> {
        let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let folder = || set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
        let file = || Some(folder()?.join("raft-tui").join("contexts.toml"));
        set("RAFT_TUI_CONFIG").or_else(file).ok_or(Wrong::NoPlace)
    }

    /// Reads the file; one that is not there says nothing.
    pub fn load(path: &Path) -> anyhow::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(anyhow::Error::new(error).context(format!("reading {}", path.display()))),
        };
        Ok(toml::from_str(&text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            Wrong::File { file: path.display().to_string(), line, why: sanitize_str(error.message()) }
        })?)
    }

    /// Writes the file: beside, synced, renamed.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        let text = toml::to_string(self)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.new", std::process::id()));
        let beside = PathBuf::from(beside);
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error: io::Error| {
            // What could not be put in its place is of no use.
            let _ = fs::remove_file(&beside);
            anyhow::Error::new(error).context(format!("writing {}", path.display()))
        })
    }

    /// The context of this name.
    pub fn get(&self, name: &str, path: &Path) -> Result<&Cluster, Wrong> {
        self.contexts.get(name).ok_or_else(|| Wrong::NoContext {
            name: name.to_owned(),
            file: path.display().to_string(),
            names: self.contexts.keys().cloned().collect(),
        })
    }
}

/// Whether a context may be called so.
pub fn check_name(name: &str) -> Result<(), Wrong> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fine = (1..=64).contains(&name.len()) && name.bytes().all(good);
    if fine { Ok(()) } else { Err(Wrong::Name(name.to_owned())) }
}

/// Whether an address can be one.
pub fn check_endpoint(endpoint: &str) -> Result<(), Wrong> {
    let (host, port) = endpoint.rsplit_once(':').ok_or_else(|| Wrong::Endpoint(endpoint.to_owned()))?;
    let is_lab = host == "lab" && port.parse().is_ok_and(|nodes: u64| (1..=25).contains(&nodes));
    let is_address = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/' && byte != b',')
        && port.parse().is_ok_and(|port: u16| port > 0);
    if is_lab || (is_address && host != "lab") { Ok(()) } else { Err(Wrong::Endpoint(endpoint.to_owned())) }
}
