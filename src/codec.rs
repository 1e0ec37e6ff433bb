//! Bytes ↔ values: the only file that names bincode.
//!
//! One format everywhere: little endian, variable-length integers, trailing bytes refused, a limit on every call. It is
//! not self-describing, so whatever is kept or sent carries a version of its own before the first encoded byte.
//!
//! Kept true: decoding never allocates more than its limit and never panics on any input.
//! Not here: checksums and frames (`storage/`, `transport/`).

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Largest value that may be encoded or decoded, in bytes.
pub const LIMIT_BYTES: u64 = 64 << 20;

/// What went wrong between bytes and a value.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The value is larger than [`LIMIT_BYTES`].
    #[error("encoding: {0}")]
    Encode(#[source] bincode::Error),
    /// The bytes are no such value.
    #[error("decoding {bytes} bytes: {source}")]
    Decode {
        /// How many there were.
        bytes: usize,
        /// Why not.
        #[source]
        source: bincode::Error,
    },
}

fn options() -> impl Options {
    bincode::DefaultOptions::new().with_limit(LIMIT_BYTES)
}

/// The bytes of `value`.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CodecError> {
    options().serialize(value).map_err(CodecError::Encode)
}

/// The value that `bytes`, all of them, stand for.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    options().deserialize(bytes).map_err(|source| CodecError::Decode { bytes: bytes.len(), source })
}
