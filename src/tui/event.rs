//! What reaches the console: keys, pasted text, sizes, time, views and observations.
//!
//! Kept true: keys are named here once (`c`, `ctrl-d`, `pgdn`), for the action table, the help and the tests alike.
//! Not here: how a terminal reports them (`keymap.rs`), what they mean (`action.rs`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::control::{ClusterView, Observation};

/// Something that the console takes note of.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted; it never reaches key bindings.
    Paste(String),
    /// The terminal has this size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// Real time since the console started.
    Tick {
        /// Milliseconds.
        now_ms: u64,
    },
    /// The cluster published what it is.
    View(Arc<ClusterView>),
    /// Something happened, or an operation was answered.
    Observed(Observation),
    /// Another theme is in use.
    ThemeChanged {
        /// Its name.
        name: String,
    },
    /// The cluster is gone: nothing will be observed any more.
    ClusterGone,
}

/// A key with what was held down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Which.
    pub code: Code,
    /// Control was held.
    pub ctrl: bool,
    /// Alt was held.
    pub alt: bool,
}

/// Keys that a terminal can report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// One that writes this character (Shift is in the character).
    Char(char),
    /// Enter.
    Enter,
    /// Escape.
    Esc,
    /// Tab.
    Tab,
    /// Shift and Tab.
    BackTab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// Arrow left.
    Left,
    /// Arrow right.
    Right,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// A function key.
    F(u8),
    /// One that the console has no name for.
    Other,
}

impl Key {
    /// A key alone.
    #[must_use]
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    /// The key that writes `c`.
    #[must_use]
    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }
}

const NAMED: [(&str, Code); 15] = [
    ("space", Code::Char(' ')),
    ("enter", Code::Enter),
    ("esc", Code::Esc),
    ("tab", Code::Tab),
    ("shift-tab", Code::BackTab),
    ("backspace", Code::Backspace),
    ("delete", Code::Delete),
    ("up", Code::Up),
    ("down", Code::Down),
    ("left", Code::Left),
    ("right", Code::Right),
    ("home", Code::Home),
    ("end", Code::End),
    ("pgup", Code::PageUp),
    ("pgdn", Code::PageDown),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ctrl {
            write!(f, "ctrl-")?;
        }
        if self.alt {
            write!(f, "alt-")?;
        }
        if let Some((name, _)) = NAMED.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            Code::Char(c) if c.is_control() => write!(f, "that key"),
            Code::Char(c) => write!(f, "{c}"),
            Code::F(number) => write!(f, "f{number}"),
            _ => write!(f, "that key"),
        }
    }
}

/// What was written where a key's name was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no key: write a character, or one of enter, esc, tab, space, up, pgdn, ctrl-c, f1, …")]
pub struct NotAKey(pub String);

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        if let Some(rest) = text.strip_prefix("ctrl-") {
            return Ok(Self { ctrl: true, ..rest.parse()? });
        }
        if let Some(rest) = text.strip_prefix("alt-") {
            return Ok(Self { alt: true, ..rest.parse()? });
        }
        if let Some((_, code)) = NAMED.iter().find(|(name, _)| *name == text) {
            return Ok(Self::plain(*code));
        }
        let mut chars = text.chars();
        match (chars.next(), chars.next()) {
            (Some(c), None) => Ok(Self::char(c)),
            (Some('f'), Some(_)) => match text.trim_start_matches('f').parse() {
                Ok(number) => Ok(Self::plain(Code::F(number))),
                Err(_) => Err(NotAKey(text.to_owned())),
            },
            _ => Err(NotAKey(text.to_owned())),
        }
    }
}
