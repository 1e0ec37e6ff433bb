//! A line falls into words; a word is any bytes.
//!
//! A bare word ends at white space and is taken as it stands, backslashes and inner quotes too (`{"a":1}` is a word). A
//! word that begins with `'` or `"` ends at the same quote, and in it `\n \t \r \0 \\ \" \'`, `\xNN` (one byte) and
//! `\u{...}` (one character) stand for what they say.
//!
//! Kept true: [`print_word`] prints what parses back to the same bytes, and only what is safe on a terminal.
//! Not here: what the words mean (`command.rs`).

use std::fmt;

use bytes::Bytes;

use crate::text::{Escapes, Untrusted, cut_mark, escape_prefix};

/// How much of a wrong word an error shows, in cells.
const SHOWN_CELLS: usize = 32;

/// Why a line is no command or no query: which word, and what was expected. The message is safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ParseError {
    /// Which word is wrong or missing, counted from 1.
    pub word: usize,
    /// The sentence.
    pub message: String,
}

/// One word of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// What it stands for.
    pub(super) bytes: Bytes,
    /// Whether it was quoted, and so cannot be a keyword.
    pub(super) quoted: bool,
    /// Place in the line, counted from 1.
    pub(super) position: usize,
}

impl Word {
    /// Whether this is `keyword`, bare and in any case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        !self.quoted && self.bytes.eq_ignore_ascii_case(keyword.as_bytes())
    }

    /// An error about this word: `word 3 "x" is ...`.
    pub(super) fn error(&self, problem: impl fmt::Display) -> ParseError {
        ParseError { word: self.position, message: format!("{self} {problem}") }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "word {} `{}`", self.position, Untrusted::from(self.bytes.clone()).display_max(SHOWN_CELLS))
    }
}

/// All words of `line`.
pub(super) fn words(line: &str) -> Result<Vec<Word>, ParseError> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let position = words.len() + 1;
        if matches!(first, '"' | '\'') {
            let (bytes, after) = quoted(rest, first, position)?;
            words.push(Word { bytes: bytes.into(), quoted: true, position });
            rest = after;
        } else {
            let (bare, after) =
                rest.find(char::is_whitespace).and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
            words.push(Word { bytes: Bytes::copy_from_slice(bare.as_bytes()), quoted: false, position });
            rest = after;
        }
        rest = rest.trim_start();
    }
    Ok(words)
}

/// The bytes of the quoted word at the start of `text`, and what comes after it.
fn quoted(text: &str, quote: char, position: usize) -> Result<(Vec<u8>, &str), ParseError> {
    let fail = |problem: String| {
        let shown = Untrusted::from(text).display_max(SHOWN_CELLS);
        ParseError { word: position, message: format!("word {position} `{shown}` {problem}") }
    };
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    chars.next();
    while let Some(c) = chars.next() {
        if c == quote {
            let after = chars.as_str();
            return match after.chars().next() {
                Some(next) if !next.is_whitespace() => {
                    Err(fail("goes on after its closing quote: put a space there, or quote the whole word".to_owned()))
                }
                _ => Ok((bytes, after)),
            };
        }
        if c == '\\' {
            escape(&mut chars, &mut bytes).map_err(fail)?;
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    Err(fail(format!("has no closing quote: end it with {quote}")))
}

/// What follows a backslash.
fn escape(chars: &mut std::str::Chars<'_>, bytes: &mut Vec<u8>) -> Result<(), String> {
    let byte = match chars.next() {
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('r') => b'\r',
        Some('0') => 0,
        Some(c @ ('\\' | '"' | '\'')) => c as u8,
        Some('x') => {
            let digits = [chars.next(), chars.next()].map(|c| c.and_then(|c| c.to_digit(16)));
            let [Some(high), Some(low)] = digits else {
                return Err("has \\x without two hexadecimal digits after it, as in \\x1b".to_owned());
            };
            (high * 16 + low) as u8
        }
        Some('u') => {
            let inner = chars.as_str().strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let number = inner.filter(|(digits, _)| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let found = number.and_then(|(digits, rest)| Some((u32::from_str_radix(digits, 16).ok()?, rest)));
            let Some((c, rest)) = found.and_then(|(number, rest)| Some((char::from_u32(number)?, rest))) else {
                return Err("has \\u without a character's number in braces after it, as in \\u{1f980}".to_owned());
            };
            *chars = rest.chars();
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(());
        }
        Some(c) => {
            let c = Untrusted::from(c.to_string()).display();
            return Err(format!(r#"has the unknown escape \{c}: there are \n \t \r \0 \\ \" \' \xNN \u{{...}}"#));
        }
        None => return Err("ends in a backslash, and has no closing quote".to_owned()),
    };
    bytes.push(byte);
    Ok(())
}

/// Prints `bytes` as a word: bare where that is plain to read, else in double quotes with escapes.
///
/// With `cells`, longer ones are cut to about so many cells of content and end in `…(+n)`, n bytes not shown; those do
/// not parse back.
pub fn print_word(bytes: &[u8], cells: usize) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./:@%+,=*~^!?{}[]<>&|$".contains(b);
    let bare = !bytes.is_empty() && bytes.iter().all(plain);
    let (shown, used) = escape_prefix(bytes, Escapes::Quoted, cells);
    let mut out = if bare { shown } else { format!("\"{shown}\"") };
    if used < bytes.len() {
        out.push_str(&cut_mark(bytes.len() - used));
    }
    out
}
