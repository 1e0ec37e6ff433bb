//! A JSON value whose fields keep their order, to be written and never read.
//!
//! Public formats say how values look: numbers beyond what a double holds exactly become strings, bytes that are no UTF-8
//! become `{"b64":"…"}`, nodes are `"n1"`, a place in the log is `[index, term]`.
//!
//! Kept true: equal values give equal bytes, for ever.
//! Not here: reading JSON (`door/`), the bytes themselves (whoever names `serde_json`).

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

pub use crate::codec::{base64, from_base64};
use crate::raft::{Digest, Epoch, Index, LogPosition, NodeId, Term};

/// The largest whole number below which a double holds every one.
const EXACT_MAX: u64 = 1 << 53;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// Unknown, or none.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Number(u64),
    /// Text.
    Text(String),
    /// Values in order.
    List(Vec<Self>),
    /// Fields in order.
    Object(Vec<(&'static str, Self)>),
}

impl Json {
    /// Bytes of somebody else: text if they are UTF-8.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        match str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Object(vec![("b64", Self::Text(base64(bytes)))]),
        }
    }

    /// A 128-bit number as 32 hexadecimal digits.
    #[must_use]
    pub fn hex(number: u128) -> Self {
        Self::Text(format!("{number:032x}"))
    }

    /// The field of an object.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::Number(number) if *number > EXACT_MAX => serializer.collect_str(number),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(value)?;
                }
                list.end()
            }
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl From<bool> for Json {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<NodeId> for Json {
    fn from(id: NodeId) -> Self {
        Self::Text(id.to_string())
    }
}

impl From<Term> for Json {
    fn from(term: Term) -> Self {
        Self::Number(term.0)
    }
}

impl From<Index> for Json {
    fn from(index: Index) -> Self {
        Self::Number(index.0)
    }
}

impl From<Epoch> for Json {
    fn from(epoch: Epoch) -> Self {
        Self::Number(epoch.0)
    }
}

impl From<LogPosition> for Json {
    fn from(position: LogPosition) -> Self {
        Self::List(vec![position.index.into(), position.term.into()])
    }
}

impl From<Digest> for Json {
    fn from(digest: Digest) -> Self {
        Self::hex(digest.0)
    }
}

impl<T: Into<Self>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Self>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Self {
        Self::List(values.into_iter().map(Into::into).collect())
    }
}
