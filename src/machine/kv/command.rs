//! What can be asked of the key-value store, and what it answers: as text for people, as bytes for the log.
//!
//! | command | reply | query | reply |
//! | --- | --- | --- | --- |
//! | `SET key value` | stored | `GET key` | the value, or none |
//! | `DELETE key` | whether it existed | `LIST [prefix] [limit]` | entries in the order of keys |
//! | `CAS key expected new` | whether it was swapped | | |
//! | `INCR key [delta]` | the new number | | |
//!
//! Keywords are read in any case. `expected` may be the bare word `NONE`: the key must not exist; `"NONE"` in quotes is
//! a value like any other. The bytes begin with [`FORMAT_VERSION`].
//!
//! Kept true: what is printed parses back to the same; what is encoded decodes to the same; limits are checked on both
//! ways in. Replies carry no text that depends on more than the command and the state.
//! Not here: how a line falls into words (`lexer.rs`), what a command does (`store.rs`).

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::lexer::{ParseError, Word, print_word, words};
use super::{KEY_MAX, VALUE_MAX};
use crate::codec;
use crate::text::{nearest, sanitize_str};

/// First byte of every encoded command, query and reply.
pub const FORMAT_VERSION: u8 = 1;

/// How many entries LIST gives when it is not said.
pub const LIST_DEFAULT: u64 = 100;

/// How many entries LIST gives at most.
pub const LIST_MAX: u64 = 1_000;

/// How many bytes of keys and values LIST gives at most; the first entry is always given.
pub const LIST_BYTES_MAX: usize = 1 << 20;

/// How much of a key, and of a value, a line of the log shows, in cells.
const PREVIEW_CELLS: usize = 40;

/// How many entries of a LIST a line of the log shows.
const PREVIEW_ENTRIES: usize = 8;

/// Changes the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvCommand {
    /// The key has this value from now on.
    Set {
        /// Which.
        key: Bytes,
        /// What.
        value: Bytes,
    },
    /// The key is gone.
    Delete {
        /// Which.
        key: Bytes,
    },
    /// Compare and set: the key has the new value if it has the expected one.
    Cas {
        /// Which.
        key: Bytes,
        /// What it must have; `None`: it must not exist.
        expected: Option<Bytes>,
        /// What it has then.
        new: Bytes,
    },
    /// Adds to a whole number of 64 bits, written in decimal; no value counts as 0.
    Incr {
        /// Which.
        key: Bytes,
        /// How much; may be negative.
        delta: i64,
    },
}

/// Reads the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvQuery {
    /// One value.
    Get {
        /// Which.
        key: Bytes,
    },
    /// The entries whose keys begin with the prefix.
    List {
        /// Empty for all.
        prefix: Bytes,
        /// How many at most; 1 to [`LIST_MAX`].
        limit: u64,
    },
}

/// What the store answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KvReply {
    /// SET is done.
    Stored,
    /// DELETE is done; whether the key existed.
    Deleted(bool),
    /// CAS was tried.
    Swapped {
        /// Whether the value is the new one.
        swapped: bool,
        /// When it was not swapped: the value that was found instead, `None` when the key does not exist.
        current: Option<Bytes>,
    },
    /// INCR is done; the new value.
    Number(i64),
    /// GET; `None` when the key does not exist.
    Value(Option<Bytes>),
    /// LIST: entries in the order of keys, and whether there are more.
    Entries(Vec<(Bytes, Bytes)>, bool),
    /// Nothing was changed, and why. Contains no data of the user, so that its text is the same on all nodes.
    Error(String),
}

/// Why bytes are no command or no query; the text of [`KvReply::Error`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are no bytes.
    #[error("empty request")]
    Empty,
    /// Written by a newer program, or by no program of ours.
    #[error("request of format {0}, this store reads format {FORMAT_VERSION}")]
    Version(u8),
    /// The bytes after the version make no sense.
    #[error("malformed request")]
    Malformed,
    /// A key longer than [`KEY_MAX`].
    #[error("a key of {0} bytes: at most {KEY_MAX} are allowed")]
    LongKey(usize),
    /// A value longer than [`VALUE_MAX`].
    #[error("a value of {0} bytes: at most {VALUE_MAX} are allowed")]
    LongValue(usize),
    /// A limit of LIST out of bounds.
    #[error("a limit of {0} entries: 1 to {LIST_MAX} are allowed")]
    Limit(u64),
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    // A value within the limits of this module is far below the codec's; an empty request is refused by every reader.
    codec::encode(&(FORMAT_VERSION, value)).map(Bytes::from).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    match bytes.split_first() {
        None => Err(Refused::Empty),
        Some((&FORMAT_VERSION, body)) => codec::decode(body).map_err(|_| Refused::Malformed),
        Some((&version, _)) => Err(Refused::Version(version)),
    }
}

fn check(key: &[u8], values: &[&[u8]]) -> Result<(), Refused> {
    if key.len() > KEY_MAX {
        return Err(Refused::LongKey(key.len()));
    }
    values.iter().find(|value| value.len() > VALUE_MAX).map_or(Ok(()), |value| Err(Refused::LongValue(value.len())))
}

impl KvCommand {
    /// As bytes for the log.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// From bytes of the log, limits checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let command: Self = decode(bytes)?;
        match &command {
            Self::Set { key, value } => check(key, &[value])?,
            Self::Cas { key, expected, new } => check(key, &[expected.as_deref().unwrap_or_default(), new])?,
            Self::Delete { key } | Self::Incr { key, .. } => check(key, &[])?,
        }
        Ok(command)
    }

    fn print(&self, cells: usize) -> String {
        let word = |bytes: &Bytes| print_word(bytes, cells);
        match self {
            Self::Set { key, value } => format!("SET {} {}", word(key), word(value)),
            Self::Delete { key } => format!("DELETE {}", word(key)),
            Self::Cas { key, expected, new } => {
                let expected = match expected {
                    None => "NONE".to_owned(),
                    Some(value) if value.eq_ignore_ascii_case(b"NONE") => format!("\"{}\"", word(value)),
                    Some(value) => word(value),
                };
                format!("CAS {} {expected} {}", word(key), word(new))
            }
            Self::Incr { key, delta: 1 } => format!("INCR {}", word(key)),
            Self::Incr { key, delta } => format!("INCR {} {delta}", word(key)),
        }
    }
}

impl KvQuery {
    /// As bytes for a read.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// From bytes of a read, limits checked.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        let query: Self = decode(bytes)?;
        match &query {
            Self::Get { key } => check(key, &[])?,
            Self::List { prefix, limit } => {
                check(prefix, &[])?;
                if !(1..=LIST_MAX).contains(limit) {
                    return Err(Refused::Limit(*limit));
                }
            }
        }
        Ok(query)
    }

    fn print(&self, cells: usize) -> String {
        match self {
            Self::Get { key } => format!("GET {}", print_word(key, cells)),
            Self::List { prefix, limit } => match (prefix.is_empty(), *limit == LIST_DEFAULT) {
                (true, true) => "LIST".to_owned(),
                (false, true) => format!("LIST {}", print_word(prefix, cells)),
                (_, false) => format!("LIST {} {limit}", print_word(prefix, cells)),
            },
        }
    }
}

impl KvReply {
    /// As bytes for the client.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        encode(self)
    }

    /// From bytes of a node.
    pub fn decode(bytes: &[u8]) -> Result<Self, Refused> {
        decode(bytes)
    }

    fn print(&self, cells: usize, entries_max: usize, separator: &str) -> String {
        match self {
            Self::Stored => "stored".to_owned(),
            Self::Deleted(true) => "deleted".to_owned(),
            Self::Deleted(false) => "nothing to delete".to_owned(),
            Self::Swapped { swapped: true, .. } => "swapped".to_owned(),
            Self::Swapped { swapped: false, current: None } => "not swapped: no such key".to_owned(),
            Self::Swapped { swapped: false, current: Some(found) } => {
                format!("not swapped: found {}", print_word(found, cells))
            }
            Self::Number(number) => number.to_string(),
            // Parentheses are never part of a bare word, so no value prints like this.
            Self::Value(None) => "(no such key)".to_owned(),
            Self::Value(Some(value)) => print_word(value, cells),
            Self::Entries(entries, false) if entries.is_empty() => "(no entries)".to_owned(),
            Self::Entries(entries, truncated) => {
                let one = |(key, value): &(Bytes, Bytes)| {
                    format!("{} = {}", print_word(key, cells), print_word(value, cells))
                };
                let mut lines: Vec<String> = entries.iter().take(entries_max).map(one).collect();
                if *truncated || entries.len() > entries_max {
                    lines.push("(and more)".to_owned());
                }
                lines.join(separator)
            }
            Self::Error(problem) => format!("error: {}", sanitize_str(problem)),
        }
    }
}

impl fmt::Display for KvCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(usize::MAX))
    }
}

impl fmt::Display for KvQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(usize::MAX))
    }
}

/// For people: LIST has one entry a line; values are quoted where they must be.
impl fmt::Display for KvReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.print(usize::MAX, usize::MAX, "\n"))
    }
}

fn unreadable(what: &str, bytes: &[u8], why: &Refused) -> String {
    format!("({} bytes that are no {what}: {why})", bytes.len())
}

/// One safe line for the bytes of a command, long keys and values cut as `…(+n)`.
#[must_use]
pub fn describe_command(bytes: &[u8]) -> String {
    let command = KvCommand::decode(bytes).map(|command| command.print(PREVIEW_CELLS));
    command.unwrap_or_else(|why| unreadable("command", bytes, &why))
}

/// One safe line for the bytes of a query, a long key cut as `…(+n)`.
#[must_use]
pub fn describe_query(bytes: &[u8]) -> String {
    let query = KvQuery::decode(bytes).map(|query| query.print(PREVIEW_CELLS));
    query.unwrap_or_else(|why| unreadable("query", bytes, &why))
}

/// One safe line for the bytes of a reply, long values cut as `…(+n)` and long lists as `(and more)`.
#[must_use]
pub fn describe_reply(bytes: &[u8]) -> String {
    let reply = KvReply::decode(bytes).map(|reply| reply.print(PREVIEW_CELLS, PREVIEW_ENTRIES, ", "));
    reply.unwrap_or_else(|why| unreadable("reply", bytes, &why))
}

const COMMANDS: [&str; 4] = ["SET", "DELETE", "CAS", "INCR"];
const QUERIES: [&str; 2] = ["GET", "LIST"];

/// What other stores call the same thing.
const ELSEWHERE: [(&str, &str); 10] = [
    ("PUT", "SET"),
    ("DEL", "DELETE"),
    ("REMOVE", "DELETE"),
    ("RM", "DELETE"),
    ("SWAP", "CAS"),
    ("ADD", "INCR"),
    ("READ", "GET"),
    ("KEYS", "LIST"),
    ("SCAN", "LIST"),
    ("RANGE", "LIST"),
];

/// One line, its keyword found, its arguments taken one by one.
struct Sentence<'a> {
    keyword: &'static str,
    usage: &'static str,
    rest: std::slice::Iter<'a, Word>,
    /// The word before the next, in words: `SET wants a value after the key`.
    previous: Option<&'static str>,
    position: usize,
}

impl<'a> Sentence<'a> {
    fn take(&mut self, what: &'static str) -> Result<&'a Word, ParseError> {
        self.optional(what).ok_or_else(|| {
            let after = self.previous.map(|previous| format!(" after {previous}")).unwrap_or_default();
            let message = format!("{} wants {what}{after}: {}", self.keyword, self.usage);
            ParseError { word: self.position + 1, message }
        })
    }

    fn optional(&mut self, what: &'static str) -> Option<&'a Word> {
        let word = self.rest.next()?;
        self.position = word.position;
        self.previous = Some(match what {
            "a key" => "the key",
            "an expected value or NONE" => "the expected value",
            "a delta" => "the delta",
            "a prefix" => "the prefix",
            "a limit" => "the limit",
            _ => "the value",
        });
        Some(word)
    }

    fn key(&mut self, what: &'static str) -> Result<Bytes, ParseError> {
        let word = self.take(what)?;
        check(&word.bytes, &[]).map_err(|why| self.wrong(word, format_args!("is {why}")))?;
        Ok(word.bytes.clone())
    }

    fn value(&self, word: &Word) -> Result<Bytes, ParseError> {
        check(b"", &[&word.bytes]).map_err(|why| self.wrong(word, format_args!("is {why}")))?;
        Ok(word.bytes.clone())
    }

    fn number<T: FromStr>(&self, word: &Word, what: &str) -> Result<T, ParseError> {
        let number = str::from_utf8(&word.bytes).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.wrong(word, format_args!("is no {what}: {}", self.usage)))
    }

    fn wrong(&self, word: &Word, problem: impl fmt::Display) -> ParseError {
        let ParseError { word, message } = word.error(problem);
        ParseError { word, message: format!("{}: {message}", self.keyword) }
    }

    fn end(mut self) -> Result<(), ParseError> {
        let Some(word) = self.rest.next() else { return Ok(()) };
        Err(self.wrong(word, format_args!("is too many (quote what has spaces): {}", self.usage)))
    }
}

/// The usage line of every keyword.
fn usage(keyword: &str) -> &'static str {
    match keyword {
        "SET" => "SET key value",
        "DELETE" => "DELETE key",
        "CAS" => "CAS key expected|NONE new",
        "INCR" => "INCR key [delta]",
        "GET" => "GET key",
        _ => "LIST [prefix] [limit]",
    }
}

/// Finds the keyword; `kind` is what is expected, `others` what it must not be mixed up with.
fn sentence<'a>(
    words: &'a [Word],
    (kind, keywords): (&str, &[&'static str]),
    (other_kind, others): (&str, &[&'static str]),
) -> Result<Sentence<'a>, ParseError> {
    let all = keywords.join(", ");
    let Some((first, _)) = words.split_first() else {
        return Err(ParseError { word: 1, message: format!("there is no {kind}: begin with one of {all}") });
    };
    if let Some(keyword) = keywords.iter().copied().find(|keyword| first.is(keyword)) {
        let mut rest = words.iter();
        rest.next();
        return Ok(Sentence { keyword, usage: usage(keyword), rest, previous: None, position: 1 });
    }
    if let Some(other) = others.iter().find(|other| first.is(other)) {
        return Err(first.error(format_args!("is a {other_kind}, not a {kind} ({}); there are {all}", usage(other))));
    }
    let known: Vec<&'static str> = keywords.iter().chain(others).copied().collect();
    let elsewhere = ELSEWHERE.iter().find(|(word, _)| first.is(word)).map(|(_, ours)| *ours);
    let meant = elsewhere.or_else(|| nearest(&String::from_utf8_lossy(&first.bytes), &known));
    let hint = meant.map_or_else(|| "; there".to_owned(), |meant| format!(": did you mean {meant}? There"));
    Err(first.error(format_args!("is no {kind}{hint} are {all}")))
}

impl FromStr for KvCommand {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let words = words(line)?;
        let mut sentence = sentence(&words, ("command", &COMMANDS), ("query", &QUERIES))?;
        let key = sentence.key("a key")?;
        let command = match sentence.keyword {
            "SET" => {
                let word = sentence.take("a value")?;
                Self::Set { key, value: sentence.value(word)? }
            }
            "DELETE" => Self::Delete { key },
            "CAS" => {
                let word = sentence.take("an expected value or NONE")?;
                let expected = if word.is("NONE") { None } else { Some(sentence.value(word)?) };
                let word = sentence.take("a new value")?;
                Self::Cas { key, expected, new: sentence.value(word)? }
            }
            _ => {
                let delta = sentence.optional("a delta");
                let number = |word| sentence.number(word, "whole number of 64 bits");
                Self::Incr { key, delta: delta.map(number).transpose()?.unwrap_or(1) }
            }
        };
        sentence.end()?;
        Ok(command)
    }
}

impl FromStr for KvQuery {
    type Err = ParseError;

    fn from_str(line: &str) -> Result<Self, ParseError> {
        let words = words(line)?;
        let mut sentence = sentence(&words, ("query", &QUERIES), ("command", &COMMANDS))?;
        if sentence.keyword == "GET" {
            let key = sentence.key("a key")?;
            sentence.end()?;
            return Ok(Self::Get { key });
        }
        let prefix = if sentence.rest.len() == 0 { Bytes::new() } else { sentence.key("a prefix")? };
        let mut limit = LIST_DEFAULT;
        if let Some(word) = sentence.optional("a limit") {
            limit = sentence.number(word, "number of entries")?;
            if !(1..=LIST_MAX).contains(&limit) {
                return Err(sentence.wrong(word, format_args!("is {}", Refused::Limit(limit))));
            }
        }
        sentence.end()?;
        Ok(Self::List { prefix, limit })
    }
}
