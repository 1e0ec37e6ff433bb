//! From what a terminal reports to a key, and from a key to an action.
//!
//! Not here: the keys themselves (`action.rs`).

use crossterm::event::{Event as TerminalEvent, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::action::{Action, Context, TABLE};
use super::event::{Code, Event, Key};

/// What a key, or a key after another, means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Action(Action),
    /// More keys must follow.
    Prefix,
    /// Nothing here.
    Nothing,
}

/// Looks a key up in a context, and in that of all contexts.
#[must_use]
pub fn look_up(context: Context, before: Option<Key>, key: Key) -> Found {
    let name = key.to_string();
    let wanted = before.map_or_else(|| name.clone(), |before| format!("{before} {name}"));
    let here = || TABLE.iter().filter(|row| row.context == context || row.context == Context::Everywhere);
    if let Some(row) = here().find(|row| row.keys.contains(&wanted.as_str())) {
        return Found::Action(row.action);
    }
    let starts = |keys: &str| keys.strip_prefix(wanted.as_str()).is_some_and(|rest| rest.starts_with(' '));
    if here().any(|row| row.keys.iter().any(|keys| starts(keys))) { Found::Prefix } else { Found::Nothing }
}

/// What can follow a prefix: keys and what they do.
#[must_use]
pub fn continuations(context: Context, prefix: Key) -> Vec<(&'static str, &'static str)> {
    let prefix = prefix.to_string();
    let mut found = Vec::new();
    for row in TABLE.iter().filter(|row| row.context == context) {
        for keys in row.keys {
            if let Some(rest) = keys.strip_prefix(prefix.as_str()).and_then(|rest| rest.strip_prefix(' ')) {
                found.push((rest, row.name));
            }
        }
    }
    found
}

/// What the terminal reported, if the console takes note of it.
#[must_use]
pub fn from_terminal(event: TerminalEvent) -> Option<Event> {
    match event {
        TerminalEvent::Key(key) if key.kind != KeyEventKind::Release => Some(Event::Key(from_key(key))),
        TerminalEvent::Paste(text) => Some(Event::Paste(text)),
        TerminalEvent::Resize(width, height) => Some(Event::Resize { width, height }),
        _ => None,
    }
}

fn from_key(key: KeyEvent) -> Key {
    let code = match key.code {
        KeyCode::Char(c) => Code::Char(c),
        KeyCode::Enter => Code::Enter,
        KeyCode::Esc => Code::Esc,
        KeyCode::Tab if key.modifiers.contains(KeyModifiers::SHIFT) => Code::BackTab,
        KeyCode::Tab => Code::Tab,
        KeyCode::BackTab => Code::BackTab,
        KeyCode::Backspace => Code::Backspace,
        KeyCode::Delete => Code::Delete,
        KeyCode::Up => Code::Up,
        KeyCode::Down => Code::Down,
        KeyCode::Left => Code::Left,
        KeyCode::Right => Code::Right,
        KeyCode::Home => Code::Home,
        KeyCode::End => Code::End,
        KeyCode::PageUp => Code::PageUp,
        KeyCode::PageDown => Code::PageDown,
        KeyCode::F(number) => Code::F(number),
        _ => Code::Other,
    };
    Key { code, ctrl: key.modifiers.contains(KeyModifiers::CONTROL), alt: key.modifiers.contains(KeyModifiers::ALT) }
}
