//! The settings of `raft-tui node` in a TOML file, under the same names as the flags, which go before them.
//!
//! ```toml
//! id = "n2"
//! listen = "127.0.0.1:7002"
//! control = "127.0.0.1:7102"
//! data-dir = "/var/lib/raft-tui"
//! token-file = "/etc/raft-tui/tokens"
//!
//! [peers]
//! 1 = "127.0.0.1:7001"
//! 2 = "127.0.0.1:7002"
//! 3 = "127.0.0.1:7003"
//! ```
//!
//! Kept true: a name that is not known is refused; an error says in which file, which line and which key.
//! Not here: what the settings mean (`node.rs`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::raft::NodeId;
use crate::text::sanitize_str;

/// Longest file in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A number or a text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Name {
    /// `2`
    Number(u64),
    /// `"n2"`
    Text(String),
}

/// What the file may say. What it does not say is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[expect(missing_docs, reason = "they are the flags of the same names")]
pub struct NodeFile {
    pub id: Option<Name>,
    pub listen: Option<String>,
    pub control: Option<String>,
    pub peers: Option<BTreeMap<String, String>>,
    pub data_dir: Option<PathBuf>,
    pub cluster: Option<String>,
    pub bootstrap: Option<bool>,
    pub chaos: Option<bool>,
    pub enable_chaos: Option<bool>,
    pub token_file: Option<PathBuf>,
    pub tls_ca: Option<PathBuf>,
    pub tls_cert: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub insecure_i_know: Option<bool>,
    pub pace: Option<String>,
    pub link_delay: Option<String>,
    pub snapshot_entries: Option<u64>,
    pub seed: Option<u64>,
    pub log_file: Option<PathBuf>,
    pub log_level: Option<String>,
    pub trace: Option<PathBuf>,
    pub trace_messages: Option<bool>,
}

/// Why settings make no sense.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("reading {path}: {source}; name another with --config")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A line makes no sense.
    #[error("{path}:{line}: {key}{why}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// `key: `, or nothing where there is none.
        key: String,
        /// Why.
        why: String,
    },
    /// A value makes no sense.
    #[error("{place}`{key}`: {why}")]
    Value {
        /// `FILE:LINE: `, or nothing for a flag.
        place: String,
        /// Which setting.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// Something is said nowhere.
    #[error("--{0} is missing: give it as a flag or in the file of --config")]
    Missing(&'static str),
}

/// The file, and its text for the words of errors.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What it says.
    pub node: NodeFile,
    path: PathBuf,
    text: String,
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        use std::io::Read as _;
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(path, text)
    }

    /// Reads what stands in a file; `path` is for the words of an error.
    pub fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let node = toml::from_str(&text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1;
            let said = text.lines().nth(line - 1).unwrap_or_default();
            let key = said.split_once('=').map(|(key, _)| format!("`{}`: ", sanitize_str(key.trim())));
            let why = error.message().replace('\n', " ");
            ConfigError::Line { path: path.to_owned(), line, key: key.unwrap_or_default(), why: sanitize_str(&why) }
        })?;
        Ok(Self { node, path: path.to_owned(), text })
    }

    /// An error about the value of `key`, which stands in this file.
    #[must_use]
    pub fn wrong(&self, key: &'static str, why: String) -> ConfigError {
        let is_it = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim().trim_matches('"') == key);
        let table = format!("[{key}]");
        let line = self.text.lines().position(|line| is_it(line) || line.trim() == table).map_or(1, |line| line + 1);
        ConfigError::Value { place: format!("{}:{line}: ", self.path.display()), key, why }
    }
}

/// `n2` or `2`.
pub fn node_id(text: &str) -> Result<NodeId, String> {
    let digits = text.strip_prefix(['n', 'N']).unwrap_or(text);
    match digits.parse::<u64>() {
        Ok(number) if number > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()) => Ok(NodeId(number)),
        _ => Err(format!("`{}` is no node: write n1 or 1, counting from 1", sanitize_str(text))),
    }
}

/// Whether this can be an address: `host:port`.
pub fn address(text: &str) -> Result<String, String> {
    let fits = text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if fits && text.len() <= 255 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no address: write host:port, as in 127.0.0.1:7001", sanitize_str(text)))
    }
}

/// `1=host:port,2=host:port`.
pub fn peers(text: &str) -> Result<BTreeMap<NodeId, String>, String> {
    let pair = |part: &str| {
        let (id, address) = part.split_once('=').ok_or_else(|| {
            format!("`{}` is no member: write 1=host:port,2=host:port without spaces", sanitize_str(part))
        })?;
        Ok((id.to_owned(), address.to_owned()))
    };
    let pairs: Result<Vec<_>, String> = text.split(',').map(pair).collect();
    members(pairs?)
}

/// Members from ids and addresses, each once.
pub fn members(pairs: impl IntoIterator<Item = (String, String)>) -> Result<BTreeMap<NodeId, String>, String> {
    let mut members = BTreeMap::new();
    for (id, place) in pairs {
        let (id, place) = (node_id(&id)?, address(&place)?);
        if members.values().any(|known| *known == place && !place.ends_with(":0")) {
            return Err(format!("two members have the address {place}: each has its own"));
        }
        if members.insert(id, place).is_some() {
            return Err(format!("{id} is named twice: each member once"));
        }
    }
    Ok(members)
}
