//! Frames on a wire: a length, a checksum, a value.
//!
//! ```text
//! | length, 4 bytes, big endian | xxh3-64 of the value, 8 bytes, little endian | value (codec.rs) |
//! ```
//!
//! The checksum starts from a seed, 0 in a handshake; nodes agree on another for each connection, so that frames of one
//! connection are worth nothing on another. The length counts checksum and value. It is looked at before anything is allocated, the checksum before anything is
//! decoded. The same frames carry what nodes say to each other and what consoles and nodes say.
//!
//! Kept true: a frame longer than the limit is refused by its length alone; bytes that were altered are never decoded.
//! Not here: what values mean, when a peer is given up (`tcp/`, `control/`).

use std::io;
use std::pin::Pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{ReadHalf, WriteHalf};
use tokio_serde::{Deserializer, Serializer};
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::net::Wire;
use crate::codec::{self, CodecError};

/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 8;

/// What is gathered before it is written by itself.
const GATHERED_BYTES: usize = 256 << 10;

/// Why a frame cannot be read or written. The connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The wire failed, or the frame is longer than allowed.
    #[error("{0}")]
    Wire(#[from] io::Error),
    /// The checksum is wrong: the bytes were altered on their way, or are no frame of ours.
    #[error("a frame of {bytes} bytes has a wrong checksum")]
    Altered {
        /// How long it is.
        bytes: usize,
    },
    /// The bytes are no such value.
    #[error("a frame that cannot be understood: {0}")]
    Value(#[from] CodecError),
    /// The value does not fit into a frame.
    #[error("a value of {bytes} bytes does not fit into a frame of {max}")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
}

/// Values with a checksum before them.
struct Checked {
    seed: u64,
}

impl<T: Serialize> Serializer<T> for Checked {
    type Error = FrameError;

    fn serialize(self: Pin<&mut Self>, value: &T) -> Result<Bytes, FrameError> {
        let value = codec::encode(value)?;
        let mut frame = BytesMut::with_capacity(CHECKSUM_BYTES + value.len());
        frame.put_u64_le(xxh3_64_with_seed(&value, self.seed));
        frame.put_slice(&value);
        Ok(frame.freeze())
    }
}

impl<T: DeserializeOwned> Deserializer<T> for Checked {
    type Error = FrameError;

    fn deserialize(self: Pin<&mut Self>, frame: &BytesMut) -> Result<T, FrameError> {
        let altered = FrameError::Altered { bytes: frame.len() };
        let Some((checksum, value)) = frame.split_first_chunk::<CHECKSUM_BYTES>() else { return Err(altered) };
        if u64::from_le_bytes(*checksum) != xxh3_64_with_seed(value, self.seed) {
            return Err(altered);
        }
        Ok(codec::decode(value)?)
    }
}

fn lengths(max_bytes: usize) -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().length_field_length(4).big_endian().max_frame_length(max_bytes).new_codec()
}

/// Both halves of a wire, for frames of at most so many bytes.
#[must_use]
pub fn frames(wire: Wire, max_bytes: usize) -> (FrameReader, FrameWriter) {
    let (read, write) = tokio::io::split(wire);
    let mut written = FramedWrite::new(write, lengths(max_bytes));
    written.set_backpressure_boundary(GATHERED_BYTES);
    (
        FrameReader { frames: FramedRead::new(read, lengths(max_bytes)), seed: 0, bytes: 0 },
        FrameWriter { frames: written, max_bytes, seed: 0, bytes: 0 },
    )
}

/// Frames that come in.
pub struct FrameReader {
    frames: FramedRead<ReadHalf<Wire>, LengthDelimitedCodec>,
    seed: u64,
    bytes: u64,
}

impl FrameReader {
    /// The next value; `None` when the other side has closed the wire between two frames. Nothing is lost when this is
    /// dropped while it waits.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some(frame) = self.frames.next().await.transpose()? else { return Ok(None) };
        self.bytes += frame.len() as u64 + 4;
        Pin::new(&mut Checked { seed: self.seed }).deserialize(&frame).map(Some)
    }

    /// Whether a frame has begun to come in and is not whole yet.
    #[must_use]
    pub fn is_midway(&self) -> bool {
        !self.frames.read_buffer().is_empty()
    }

    /// Longer or shorter frames from now on.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.frames.decoder_mut().set_max_frame_length(max_bytes);
    }

    /// Checksums start from this seed from now on.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// What has come in so far, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Frames that go out.
pub struct FrameWriter {
    frames: FramedWrite<WriteHalf<Wire>, LengthDelimitedCodec>,
    max_bytes: usize,
    seed: u64,
    bytes: u64,
}

impl FrameWriter {
    /// Puts a value where the next [`flush`](Self::flush) finds it; waits only when much has been gathered.
    pub async fn feed<T: Serialize>(&mut self, value: &T) -> Result<(), FrameError> {
        let frame = Pin::new(&mut Checked { seed: self.seed }).serialize(value)?;
        if frame.len() > self.max_bytes {
            return Err(FrameError::TooLong { bytes: frame.len(), max: self.max_bytes });
        }
        self.bytes += frame.len() as u64 + 4;
        self.frames.feed(frame).await?;
        Ok(())
    }

    /// Hands all that was gathered to the wire, in as few writes as it takes.
    pub async fn flush(&mut self) -> Result<(), FrameError> {
        SinkExt::<Bytes>::flush(&mut self.frames).await?;
        Ok(())
    }

    /// [`feed`](Self::feed) and [`flush`](Self::flush).
    pub async fn send<T: Serialize>(&mut self, value: &T) -> Result<(), FrameError> {
        self.feed(value).await?;
        self.flush().await
    }

    /// Longer or shorter frames from now on.
    pub fn set_max_bytes(&mut self, max_bytes: usize) {
        self.max_bytes = max_bytes;
        self.frames.encoder_mut().set_max_frame_length(max_bytes);
    }

    /// Checksums start from this seed from now on.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// What has gone out so far, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
