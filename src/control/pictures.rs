//! A node's picture in parts, so that only what changed travels. Pure.
//!
//! A [`Picture`] is cut into [`PARTS`] parts, each a few fields that change together. A part's number and the order of its
//! fields are the protocol's: a new field needs a new part, and a new version.
//!
//! Kept true: `apply(changes(a, b))` makes `b` of `a`; a part that is not known, or bytes that are none, are refused and
//! the console asks to follow anew.
//! Not here: who sends when (`server/`).

use bytes::Bytes;

use super::protocol::Picture;
use crate::codec::{self, CodecError};

/// Why changes cannot be applied; the picture is of no use any more.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// No such part.
    #[error("part {0} of a picture is not known: use a raft-tui of the same release")]
    NoSuchPart(u8),
    /// The bytes of a part are none.
    #[error("part {part} of a picture cannot be understood: {source}")]
    Bytes {
        /// Which.
        part: u8,
        /// Why not.
        #[source]
        source: CodecError,
    },
}

/// One row a part: its number, and the fields in it.
macro_rules! parts {
    ($($number:literal: $($($field:ident).+),+;)+) => {
        /// How many parts a picture has.
        pub const PARTS: u8 = [$($number),+].len() as u8;

        /// Numbers and bytes of the parts in which `new` differs from `old`; of all where there is no old.
        #[expect(clippy::float_cmp, reason = "whatever differs at all has changed")]
        pub fn changes(old: Option<&Picture>, new: &Picture) -> Result<Vec<(u8, Bytes)>, CodecError> {
            let mut parts = Vec::new();
            $(
                if old.is_none_or(|old| $(old.$($field).+ != new.$($field).+)||+) {
                    parts.push(($number, Bytes::from(codec::encode(&($(&new.$($field).+,)+))?)));
                }
            )+
            Ok(parts)
        }

        /// Puts parts into a picture. After an error the picture is neither the old nor the new one.
        pub fn apply(picture: &mut Picture, parts: &[(u8, Bytes)]) -> Result<(), PictureError> {
            for (number, bytes) in parts {
                match number {
                    $(
                        $number => {
                            let fields = codec::decode(bytes);
                            ($(picture.$($field).+,)+) =
                                fields.map_err(|source| PictureError::Bytes { part: *number, source })?;
                        }
                    )+
                    other => return Err(PictureError::NoSuchPart(*other)),
                }
            }
            Ok(())
        }
    };
}

parts! {
    0: view.id, view.life, view.epoch, view.role, view.term, view.voted_for, view.leader, view.votes, view.quarantined,
       view.receiving;
    1: view.first_index, view.last, view.durable, view.commit, view.applied, view.snapshot, view.log_bytes, view.digest;
    2: view.terms;
    3: view.election_elapsed, view.election_timeout, view.heartbeat;
    4: view.peers;
    5: view.messages_in, view.messages_out, view.messages_by_kind, view.elections, view.in_per_second,
       view.out_per_second;
    6: view.sync, view.durable_latency, view.commit_latency, view.apply_latency;
    7: view.notes;
    8: now_us, up_us;
    9: links;
    10: faults;
    11: alarms;
    12: members;
    13: consoles, console_bytes, dropped_details;
    14: view.traffic;
}
