//! Tokens: how a console proves what it may, without ever sending the secret.
//!
//! A token file has a line a token, `ACCESS NAME HEX64`, and `#` comments; it is its owner's alone to read. The console
//! sends HMAC-SHA256 under the token over both nonces, its session and the access it asks for. Nonces are new with each
//! connection, so what was overheard once opens nothing later; which token it was, the node finds by trying.
//!
//! Kept true: a secret is in no `Debug`, no error and no log; proofs are compared in constant time.
//! Not here: what access allows (`access.rs`), encryption (`transport/tls.rs`).

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::SecureRandom as _;
use ring::{hmac, rand};

use super::operation::Access;
use super::protocol::NAME_BYTES_MAX;
use crate::text::Untrusted;

/// What every proof is over, before the rest.
const PURPOSE: &[u8] = b"raft-tui control 1";

/// Longest token file in bytes, and most tokens in it.
const FILE_BYTES_MAX: u64 = 64 << 10;
const TOKENS_MAX: usize = 256;

/// A secret of 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(secret)")
    }
}

impl Token {
    /// A new one.
    ///
    /// # Panics
    /// When the system has no randomness: then nothing is secret.
    #[must_use]
    pub fn random() -> Self {
        Self(random_bytes())
    }

    /// From 64 hexadecimal digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut bytes = [0; 32];
        if digits.len() != 64 {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }

    /// As it stands in a token file. Whoever calls this holds a secret in his hands.
    #[must_use]
    pub fn to_hex(&self) -> String {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or('0');
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }
}

/// Random bytes for nonces and sessions.
///
/// # Panics
/// When the system has no randomness.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::SystemRandom::new().fill(&mut bytes).expect("the system has randomness");
    bytes
}

/// A random number for a session.
#[must_use]
pub fn random_session() -> u128 {
    u128::from_le_bytes(random_bytes())
}

/// All that a proof is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The console's nonce.
    pub console_nonce: [u8; 32],
    /// The node's nonce.
    pub node_nonce: [u8; 32],
    /// The console's session.
    pub session: u128,
    /// What it asks for.
    pub access: Access,
}

impl Claim {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = PURPOSE.to_vec();
        bytes.extend(self.console_nonce);
        bytes.extend(self.node_nonce);
        bytes.extend(self.session.to_le_bytes());
        bytes.push(match self.access {
            Access::Viewer => 0,
            Access::Operator => 1,
            Access::Chaos => 2,
        });
        bytes
    }
}

/// What a console sends to prove that it knows `token`.
#[must_use]
pub fn proof(token: &Token, claim: &Claim) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &token.0);
    hmac::sign(&key, &claim.bytes()).as_ref().to_vec()
}

/// One line of a token file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The most that it allows.
    pub access: Access,
    /// Whose it is.
    pub name: String,
    /// The secret.
    pub token: Token,
}

impl Holder {
    /// As it stands in a token file. Whoever calls this holds a secret in his hands.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {} {}", self.access, self.name, self.token.to_hex())
    }
}

/// The tokens that a node knows, or the one that a console has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    holders: Vec<Holder>,
}

/// Why a token file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("reading the token file {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Others could have read or changed it.
    #[error("the token file {path} {why}: chmod 600 it and give its tokens up if others may have read them")]
    Open {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A line is no token.
    #[error("{path}:{line}: {why}; a line is `ACCESS NAME HEX64`, as `raft-tui token` prints it")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Which line.
        line: usize,
        /// What is wrong, without the line's words.
        why: String,
    },
    /// There is no telling two holders of one name apart.
    #[error("the token file {path} has a token for {name} already: choose another name, or take that line out first")]
    Taken {
        /// Which.
        path: PathBuf,
        /// Whose.
        name: String,
    },
    /// It holds none, or far too many.
    #[error("the token file {path} holds {count} tokens; 1 to {TOKENS_MAX} are wanted")]
    Count {
        /// Which.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

impl Tokens {
    /// These.
    #[must_use]
    pub const fn new(holders: Vec<Holder>) -> Self {
        Self { holders }
    }

    /// Reads a token file; refuses one that others can read or write, and one behind a symbolic link.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let file = open_private(path, OpenOptions::new().read(true))?;
        Self::parse(path, &text_of(path, &file)?)
    }

    /// Puts one more into a token file, which is made if it is not there; refuses what [`Self::read`] refuses, and a name
    /// that is there already. What could not be written whole is taken back.
    pub fn append(path: &Path, holder: &Holder) -> Result<(), TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let file = open_private(path, OpenOptions::new().read(true).append(true).create(true).mode(0o600))?;
        // Two that append at once must see each other's names.
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).map_err(|error| io(error.into()))?;
        let text = text_of(path, &file)?;
        let there = match Self::parse(path, &text) {
            Ok(there) => there.holders,
            Err(TokenError::Count { count: 0, .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        let line = holder.line();
        if there.iter().any(|one| one.name == holder.name) {
            return Err(TokenError::Taken { path: path.to_owned(), name: holder.name.clone() });
        }
        if there.len() >= TOKENS_MAX || text.len() + line.len() + 2 > FILE_BYTES_MAX as usize {
            return Err(TokenError::Count { path: path.to_owned(), count: there.len() + 1 });
        }
        let before = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let written = (&file).write_all(format!("{before}{line}\n").as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|source| {
            // Half a line would make the whole file useless; if even this fails, the error tells of the file.
            let _ = file.set_len(text.len() as u64);
            io(source)
        })
    }

    /// Reads what stands in a token file; `path` is for the words of an error.
    pub fn parse(path: &Path, text: &str) -> Result<Self, TokenError> {
        let mut holders = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let holder =
                holder(line).map_err(|why| TokenError::Line { path: path.to_owned(), line: number + 1, why })?;
            holders.push(holder);
        }
        if holders.is_empty() || holders.len() > TOKENS_MAX {
            return Err(TokenError::Count { path: path.to_owned(), count: holders.len() });
        }
        Ok(Self { holders })
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// All of them.
    #[must_use]
    pub fn holders(&self) -> &[Holder] {
        &self.holders
    }

    /// The token for a console that wants this access: the least that allows it.
    #[must_use]
    pub fn for_access(&self, access: Access) -> Option<&Holder> {
        self.holders.iter().filter(|holder| holder.access >= access).min_by_key(|holder| holder.access)
    }

    /// Whose token proves this claim, if one does that allows so much.
    #[must_use]
    pub fn check(&self, claim: &Claim, hmac: &[u8]) -> Option<&Holder> {
        let bytes = claim.bytes();
        let mut found = None;
        // All are tried, whichever it is: how long it takes tells nothing.
        for holder in &self.holders {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &holder.token.0);
            let proved = hmac::verify(&key, &bytes, hmac).is_ok();
            if proved && holder.access >= claim.access {
                found = Some(holder);
            }
        }
        found
    }
}

/// Opens a file of secrets, if it is its owner's alone.
fn open_private(path: &Path, options: &mut OpenOptions) -> Result<File, TokenError> {
    let io = |source| TokenError::Io { path: path.to_owned(), source };
    let open = |why| TokenError::Open { path: path.to_owned(), why };
    // A fifo in its place must not stop the program.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(open("is a symbolic link"));
        }
        opened => opened.map_err(io)?,
    };
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() {
        return Err(open("is no file"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(open("can be read or written by others"));
    }
    if ![0, rustix::process::geteuid().as_raw()].contains(&meta.uid()) {
        return Err(open("belongs to another user"));
    }
    Ok(file)
}

fn text_of(path: &Path, file: &File) -> Result<String, TokenError> {
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|source| TokenError::Io { path: path.to_owned(), source })?;
    Ok(text)
}

/// Whether this can be a console's name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// The error says nothing of what stands in the line: a secret may be where the name should be.
fn holder(line: &str) -> Result<Holder, String> {
    let mut words = line.split_whitespace();
    let (Some(access), Some(name), Some(token), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err("three words are wanted".into());
    };
    let access = match access {
        "viewer" => Access::Viewer,
        "operator" => Access::Operator,
        "chaos" => Access::Chaos,
        other if other.len() < 20 => {
            return Err(format!("`{}` is no access: viewer, operator or chaos", Untrusted::from(other).display()));
        }
        _ => return Err("the first word is no access: viewer, operator or chaos".into()),
    };
    if !is_name(name) {
        return Err("the second word is no name: letters, digits, `.`, `_`, `-`, 64 at most".into());
    }
    let token = Token::from_hex(token).ok_or("the third word is not 64 hexadecimal digits")?;
    Ok(Holder { access, name: name.to_owned(), token })
}
