//! The help and the detail of something.

use super::perform;
use crate::control::Capabilities;
use crate::tui::action::{Context, Need, Overlay, Row, TABLE};
use crate::tui::effect::Effect;
use crate::tui::event::{Code, Key};
use crate::tui::state::{Help, Mode, State};

/// Rows of the table that match what was typed into the help: all words, in name, help or keys.
pub fn matching(filter: &str, capabilities: Capabilities) -> Vec<&'static Row> {
    let words: Vec<String> = filter.split_whitespace().map(str::to_lowercase).collect();
    let fits = |row: &&Row| {
        let text = format!("{} {} {}", row.name, row.help, row.context.title()).to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()) || row.keys.contains(&word.as_str()))
    };
    let order = [
        Context::Browse,
        Context::Everywhere,
        Context::Partition,
        Context::Prompt,
        Context::Choice,
        Context::Form,
        Context::Overlay,
    ];
    // Where nothing needs arming nobody has to read of it.
    let concerns = |row: &&Row| row.need != Need::Arm || row.need.is_hinted(capabilities);
    // A key typed by itself means that key, before all that merely has the letter in its words.
    let exact = |row: &&Row| words.len() == 1 && row.keys.contains(&filter.trim());
    let mut rows: Vec<&Row> = order
        .into_iter()
        .flat_map(|context| TABLE.iter().filter(move |row| row.context == context))
        .filter(fits)
        .filter(concerns)
        .collect();
    rows.sort_by_key(|row| !exact(row));
    rows
}

/// A key that edits what is searched for.
pub(super) fn filter(help: &mut Help, key: Key) {
    if let Some(request) = super::prompt::request(key) {
        help.filter.handle(request);
        help.selected = 0;
    }
}

/// In a detail, keys of the main screen close it and are carried out.
pub(super) fn other_key(state: &mut State, key: Key) -> Vec<Effect> {
    let scrolled = match key.code {
        Code::Char('j') => Some(Overlay::Down),
        Code::Char('k') => Some(Overlay::Up),
        Code::Char('q') => Some(Overlay::Close),
        Code::Char(_)
        | Code::Enter
        | Code::Esc
        | Code::Tab
        | Code::BackTab
        | Code::Backspace
        | Code::Delete
        | Code::Up
        | Code::Down
        | Code::Left
        | Code::Right
        | Code::Home
        | Code::End
        | Code::PageUp
        | Code::PageDown
        | Code::F(_)
        | Code::Other => None,
    };
    if let Some(action) = scrolled {
        return act(state, action);
    }
    state.mode = Mode::Browse;
    super::on_key(state, key)
}

/// Carries an action out.
pub(super) fn act(state: &mut State, action: Overlay) -> Vec<Effect> {
    let page = state.height.saturating_sub(8).max(1);
    match (&mut state.mode, action) {
        (Mode::Help(help), Overlay::Run) => {
            let chosen = matching(help.filter.value(), state.capabilities).get(help.selected).copied();
            state.mode = Mode::Browse;
            if let Some(row) = chosen {
                return run(state, row);
            }
        }
        (_, Overlay::Run | Overlay::Close) => state.mode = Mode::Browse,
        (Mode::Help(help), moved) => {
            let last = matching(help.filter.value(), state.capabilities).len().saturating_sub(1);
            help.selected = match moved {
                Overlay::Up => help.selected.saturating_sub(1),
                Overlay::Down => help.selected + 1,
                Overlay::PageUp => help.selected.saturating_sub(usize::from(page)),
                Overlay::PageDown => help.selected + usize::from(page),
                Overlay::Run | Overlay::Close => help.selected,
            }
            .min(last);
        }
        (Mode::Detail { scroll, .. }, moved) => {
            *scroll = match moved {
                Overlay::Up => scroll.saturating_sub(1),
                Overlay::Down => scroll.saturating_add(1),
                Overlay::PageUp => scroll.saturating_sub(page),
                Overlay::PageDown => scroll.saturating_add(page),
                Overlay::Run | Overlay::Close => *scroll,
            }
            .min(200);
        }
        (Mode::Browse | Mode::Prompt(_) | Mode::Partition(_) | Mode::Dialog(_), _) => {}
    }
    Vec::new()
}

fn run(state: &mut State, row: &'static Row) -> Vec<Effect> {
    let name = row.keys.first().and_then(|keys| keys.split(' ').next_back());
    match (row.context, name.and_then(|name| name.parse::<Key>().ok())) {
        (Context::Browse | Context::Everywhere, Some(key)) => perform(state, row.action, key),
        (Context::Partition, _) => super::toasted(state, "that key works in the partition editor: press p first"),
        (Context::Prompt, _) => super::toasted(state, "that key works while a line is typed: press s or : first"),
        (Context::Choice | Context::Form, _) => {
            super::toasted(state, "that key works while the console asks something")
        }
        (Context::Overlay, _) | (_, None) => super::toasted(state, "that key works while the help is open"),
    }
}
