//! Text that came from elsewhere, made safe to show on a terminal.
//!
//! Every string off the wire, the disk, a key or a value is [`Untrusted`]; what comes out of [`Untrusted::display`] holds
//! only characters that take a visible place on a terminal. The rest is written out: a control character, a broken byte
//! as `\x1b`, any other as `\u{202e}`, and a backslash as `\\`. A program that reads the output can therefore get back the
//! exact input: the mapping is **injective**, so two different keys never read the same. (Letters of different scripts
//! that look alike, and `é` written in two ways, remain a matter of fonts.)
//!
//! Injective and idempotent cannot both be had, because the backslash of a first pass is text to a second. We chose
//! injective, and let the types say what is what: sanitize once, at the last moment, where text becomes cells or a line;
//! what travels between nodes and consoles is the bytes as they were. [`is_safe`] tells whether a text would survive
//! on a screen as it is.
//!
//! Escaped although they are printable, because they are not visible or not stable: spaces other than U+0020, variation
//! selectors, private use, fillers, U+2026 before `(+` (it would forge the mark of a cut), and combining characters
//! without a base or after the fourth of a run.
//!
//! Kept true: output never holds a control, bidi, zero-width or invisible character; widths are those of `unicode-width`.
//! Not here: styles and quoting of words (`machine/kv`).

use std::fmt;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Combining characters that one visible character may carry.
const COMBINING_MAX: usize = 4;

/// Bytes that somebody else chose: maybe text, maybe an attack on the terminal. No `Display`, on purpose.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(Bytes);

impl Untrusted {
    /// The whole, safe to show; see the module for how.
    #[must_use]
    pub fn display(&self) -> String {
        sanitize(&self.0)
    }

    /// As [`Untrusted::display`], in at most `cells` cells: what is cut is counted, in bytes, as `…(+n)`.
    ///
    /// Never cuts through an escape or a grapheme. Where even the count does not fit, a lone `…` stands for it.
    #[must_use]
    pub fn display_max(&self, cells: usize) -> String {
        let (whole, used) = escape_prefix(&self.0, Escapes::Plain, cells);
        if used == self.0.len() {
            return whole;
        }
        let reserve = width(&cut_mark(self.0.len()));
        if cells < reserve {
            let Some(room) = cells.checked_sub(1) else { return String::new() };
            return escape_prefix(&self.0, Escapes::Plain, room).0 + "…";
        }
        let (mut shown, used) = escape_prefix(&self.0, Escapes::Plain, cells - reserve);
        shown.push_str(&cut_mark(self.0.len() - used));
        shown
    }

    /// Length of the original in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Untrusted({})", self.display_max(200))
    }
}

impl From<Bytes> for Untrusted {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Untrusted {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(Bytes::copy_from_slice(text.as_bytes()))
    }
}

impl From<&[u8]> for Untrusted {
    fn from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }
}

/// `bytes` safe to show, whole.
#[must_use]
pub fn sanitize(bytes: &[u8]) -> String {
    // Nearly everything that is ever shown is plain ASCII.
    if bytes.iter().all(|&b| (0x20..0x7f).contains(&b) && b != b'\\')
        && let Ok(text) = str::from_utf8(bytes)
    {
        return text.to_owned();
    }
    escape_prefix(bytes, Escapes::Plain, usize::MAX).0
}

/// `text` safe to show, whole.
#[must_use]
pub fn sanitize_str(text: &str) -> String {
    sanitize(text.as_bytes())
}

/// Whether every character of `text` is one that [`sanitize`] may leave as it is: nothing that could move a cursor, hide,
/// or reorder what is around it.
#[must_use]
pub fn is_safe(text: &str) -> bool {
    text.chars().all(is_visible)
}

/// How many cells of a terminal `text` takes.
#[must_use]
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// `text` in at most `cells` cells, with `…` in place of what was cut. For text that is safe already.
#[must_use]
pub fn clip(text: &str, cells: usize) -> String {
    let (fits, room) = (graphemes_within(text, cells), cells.saturating_sub(1));
    if fits == text.len() {
        return text.to_owned();
    }
    let mut cut = text.get(..graphemes_within(text, room)).unwrap_or_default().to_owned();
    if cells > 0 {
        cut.push('…');
    }
    cut
}

/// The candidate that `word` was probably meant to be: one or two slips away, or begun and not finished. Case is ignored.
#[must_use]
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let close = |candidate: &&&'a str| {
        let other: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
        let begun = word.len() >= 2 && other.starts_with(&word);
        let distance = edit_distance(&word, &other);
        (begun || distance <= word.len().max(other.len()).div_ceil(3).min(2)).then_some(distance)
    };
    let scored = candidates.iter().filter_map(|c| close(&c).map(|distance| (distance, *c)));
    scored.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let above = &rows[i - 1];
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// How [`escape_prefix`] writes what cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// Numbers only; quotes stay as they are.
    Plain,
    /// For the inside of a double-quoted word: also `\"`, and short names for the common ones (`\n`, `\t`, `\r`, `\0`).
    Quoted,
}

/// As much of `bytes` as fits in `cells` cells, safe to show, and how many of the bytes that is.
#[must_use]
pub fn escape_prefix(bytes: &[u8], escapes: Escapes, cells: usize) -> (String, usize) {
    let mut out = String::with_capacity(bytes.len().min(cells.saturating_mul(2)).min(1 << 16));
    // After which (output, input) lengths a cut is possible without splitting an escape.
    let mut cuts = Vec::new();
    let bounded = cells != usize::MAX;
    // Graphemes may take fewer cells than their characters do one by one, so look a little further than needed.
    let (far, mut seen) = (cells.saturating_mul(4).saturating_add(16), 0_usize);
    let (mut used, mut combining) = (0, COMBINING_MAX);
    'input: for chunk in bytes.utf8_chunks() {
        let mut chars = chunk.valid().chars();
        while let Some(c) = chars.next() {
            let zero_width = c.width() == Some(0);
            let forges_cut = c == '…' && chars.as_str().starts_with("(+");
            let quote = escapes == Escapes::Quoted && c == '"';
            let before = out.len();
            if is_visible(c) && c != '\\' && !forges_cut && !quote && (!zero_width || combining < COMBINING_MAX) {
                combining = if zero_width { combining + 1 } else { 0 };
                out.push(c);
                seen += c.width().unwrap_or(0).max(1);
            } else {
                // What follows an escape has no base to combine with.
                combining = COMBINING_MAX;
                push_escape(&mut out, c, escapes);
                seen += out.len() - before;
            }
            used += c.len_utf8();
            if bounded {
                cuts.push((out.len(), used));
                if seen > far {
                    break 'input;
                }
            }
        }
        for byte in chunk.invalid() {
            combining = COMBINING_MAX;
            push_byte(&mut out, *byte);
            seen += 4;
            used += 1;
            if bounded {
                cuts.push((out.len(), used));
                if seen > far {
                    break 'input;
                }
            }
        }
    }
    if !bounded {
        return (out, used);
    }
    let boundary = graphemes_within(&out, cells);
    if boundary == out.len() {
        return (out, used);
    }
    // A boundary of graphemes may still lie inside an escape: go back to where that began.
    let last = cuts.partition_point(|(end, _)| *end <= boundary).checked_sub(1);
    let (end, input) = last.and_then(|last| cuts.get(last)).copied().unwrap_or((0, 0));
    out.truncate(end);
    (out, input)
}

/// The mark for `bytes` bytes that are not shown; no output of this module contains it unless something was cut.
#[must_use]
pub fn cut_mark(bytes: usize) -> String {
    format!("…(+{bytes})")
}

/// Length in bytes of the longest run of whole graphemes that takes at most `cells` cells.
fn graphemes_within(text: &str, cells: usize) -> usize {
    let (mut taken, mut end) = (0_usize, 0);
    for grapheme in text.graphemes(true) {
        taken = taken.saturating_add(width(grapheme));
        if taken > cells {
            break;
        }
        end += grapheme.len();
    }
    end
}

fn push_escape(out: &mut String, c: char, escapes: Escapes) {
    match (c, escapes) {
        ('\\', _) => out.push_str("\\\\"),
        ('"', _) => out.push_str("\\\""),
        ('\n', Escapes::Quoted) => out.push_str("\\n"),
        ('\t', Escapes::Quoted) => out.push_str("\\t"),
        ('\r', Escapes::Quoted) => out.push_str("\\r"),
        ('\0', Escapes::Quoted) => out.push_str("\\0"),
        (c, _) if c.is_ascii() => push_byte(out, c as u8),
        (c, _) => {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
}

fn push_byte(out: &mut String, byte: u8) {
    let _ = write!(out, "\\x{byte:02x}");
}

/// Whether a character shows itself where it stands and leaves everything else where it is.
fn is_visible(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    if c.is_whitespace() || c.width().is_none() || u32::from(c) & 0xFFFE == 0xFFFE {
        return false;
    }
    !matches!(u32::from(c),
        0xAD | 0x34F | 0x61C                           // soft hyphen, grapheme joiner, Arabic letter mark
        | 0x600..=0x605 | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2 // Arabic and Syriac number signs (format characters)
        | 0x115F..=0x1160 | 0x3164 | 0xFFA0            // Hangul fillers
        | 0x17B4..=0x17B5 | 0x180B..=0x180F            // Khmer inherent vowels, Mongolian selectors
        | 0x200B..=0x200F | 0x2028..=0x202E            // zero width, direction marks, separators, embeddings
        | 0x2060..=0x206F | 0x2800                     // joiners, invisible operators, isolates; blank Braille
        | 0xE000..=0xF8FF                              // private use
        | 0xFDD0..=0xFDEF | 0xFE00..=0xFE0F | 0xFEFF   // noncharacters, variation selectors, byte order mark
        | 0xFFF0..=0xFFFC                              // annotations, object replacement
        | 0x110BD | 0x110CD | 0x13430..=0x1345F        // Kaithi signs, Egyptian format controls
        | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A        // shorthand and musical format controls
        | 0xE0000..=0xE0FFF | 0xF0000..                // tags, more selectors, private planes
    )
}
