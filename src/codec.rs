//! Bytes ↔ values: the only file that names bincode. Bytes ↔ text: base64, for formats that are text.
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

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Bytes as base64 with padding (RFC 4648, section 4).
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |place: usize| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(if place <= three.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

/// The bytes that base64 with padding stands for; `None` for anything else.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for (place, four) in text.chunks(4).enumerate() {
        let is_last = (place + 1) * 4 == text.len();
        let padding = four.iter().rev().take_while(|byte| **byte == b'=').count();
        if padding > 2 || (padding > 0 && !is_last) {
            return None;
        }
        let mut bits = 0_u32;
        for digit in &four[..4 - padding] {
            let value = ALPHABET.iter().position(|known| known == digit)?;
            bits = bits << 6 | value as u32;
        }
        bits <<= 6 * padding;
        let three = [(bits >> 16) as u8, (bits >> 8) as u8, bits as u8];
        let (kept, cut) = three.split_at(3 - padding);
        // Digits with bits that stand for nothing would be a second way to write the same bytes.
        if cut.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}
