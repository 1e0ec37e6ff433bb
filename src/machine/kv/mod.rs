//! The key-value store: SET, DELETE, CAS, INCR change it; GET and LIST read it.
//!
//! `command.rs` says what the words and bytes are, `lexer.rs` how a line falls into words, `store.rs` what they do, `mask.rs` how
//! a command is told without its values. The
//! functions here are what the doors use: a line in, bytes out for a proposal or a read, and bytes in, a line out for
//! an event or a reply. Lines that come out are safe to show ([`crate::text`]) and must not be sanitized again.
//!
//! Kept true: keys and values are any bytes within the limits; a printed command parses back to the same command.
//! Not here: who is leader, retries, sessions (`node/`, `machine/session.rs`).

mod command;
mod lexer;
mod mask;
mod store;

use bytes::Bytes;

pub use command::{
    FORMAT_VERSION, KvCommand, KvQuery, KvReply, LIST_BYTES_MAX, LIST_DEFAULT, LIST_MAX, Refused, describe_command,
    describe_query, describe_reply,
};
pub use lexer::{ParseError, print_word};
pub use mask::mask_values;
pub use store::KvStore;

/// Longest key in bytes.
pub const KEY_MAX: usize = 1 << 10;

/// Longest value in bytes.
pub const VALUE_MAX: usize = 64 << 10;

/// The bytes of the command that `line` says, to be proposed.
pub fn parse_command(line: &str) -> Result<Bytes, ParseError> {
    Ok(line.parse::<KvCommand>()?.encode())
}

/// The bytes of the query that `line` says, to be asked with a read.
pub fn parse_query(line: &str) -> Result<Bytes, ParseError> {
    Ok(line.parse::<KvQuery>()?.encode())
}
