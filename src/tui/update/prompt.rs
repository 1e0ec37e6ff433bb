//! A line being typed.

use tui_input::{Input, InputRequest};

use super::{ask_written, toast};
use crate::text::is_safe;
use crate::tui::action::Prompt as Act;
use crate::tui::clean::clean;
use crate::tui::command;
use crate::tui::effect::Effect;
use crate::tui::event::{Code, Key};
use crate::tui::state::{HISTORY_KEPT, Mode, Prompt, PromptKind, State, Tone};

/// The longest line that can be typed: a value of 64 KiB with escapes fits.
const LONGEST: usize = 200_000;
/// Pasted text longer than this is worth a word.
const LONG_PASTE: usize = 1024;

/// Opens a prompt.
pub(super) fn open(state: &mut State, kind: PromptKind) {
    let input = Input::default();
    state.mode = Mode::Prompt(Prompt { kind, input, recalled: None, draft: String::new(), error: None });
}

/// Carries an action out.
pub(super) fn act(state: &mut State, action: Act) -> Vec<Effect> {
    let Mode::Prompt(prompt) = &mut state.mode else { return Vec::new() };
    match action {
        Act::Cancel => {
            state.mode = Mode::Browse;
            Vec::new()
        }
        Act::Older => {
            recall(prompt, &state.history[prompt.kind.slot()], true);
            Vec::new()
        }
        Act::Newer => {
            recall(prompt, &state.history[prompt.kind.slot()], false);
            Vec::new()
        }
        Act::Accept => accept(state),
    }
}

fn recall(prompt: &mut Prompt, history: &[String], older: bool) {
    let next = match (prompt.recalled, older) {
        (None, true) => {
            prompt.input.value().clone_into(&mut prompt.draft);
            Some(0)
        }
        (Some(at), true) => Some(at + 1),
        (Some(0) | None, false) => None,
        (Some(at), false) => Some(at - 1),
    };
    let shown = match next {
        None => Some(prompt.draft.clone()),
        Some(at) => history.len().checked_sub(at + 1).map(|place| history[place].clone()),
    };
    if let Some(line) = shown
        && (next.is_some() || prompt.recalled.is_some())
    {
        prompt.recalled = next;
        prompt.input = Input::new(line);
        prompt.error = None;
    }
}

/// The line of the command line that a prompt's line stands for.
pub(super) fn whole(kind: PromptKind, line: &str) -> String {
    match kind {
        PromptKind::Submit => format!("submit {line}"),
        PromptKind::Read => format!("read {line}"),
        PromptKind::Load if line.contains("/s") => format!("load {line}"),
        PromptKind::Load => format!("load {line}/s"),
        PromptKind::Command => line.to_owned(),
    }
}

fn accept(state: &mut State) -> Vec<Effect> {
    let Mode::Prompt(prompt) = &mut state.mode else { return Vec::new() };
    let kind = prompt.kind;
    let mut line = prompt.input.value().trim().to_owned();
    if line.is_empty() && kind == PromptKind::Load {
        line = String::from(PromptKind::Load.placeholder());
    }
    if line.is_empty() {
        state.mode = Mode::Browse;
        return Vec::new();
    }
    match command::parse(&whole(kind, &line)) {
        Err(error) => {
            prompt.error = Some(clean(&error));
            Vec::new()
        }
        Ok(operation) => {
            let history = &mut state.history[kind.slot()];
            history.retain(|earlier| *earlier != line);
            history.push(line);
            if history.len() > HISTORY_KEPT {
                history.remove(0);
            }
            state.mode = Mode::Browse;
            ask_written(state, operation)
        }
    }
}

/// Submits the last command again.
pub(super) fn again(state: &mut State) -> Vec<Effect> {
    match state.history[PromptKind::Submit.slot()].last().map(|line| command::parse(&whole(PromptKind::Submit, line))) {
        Some(Ok(operation)) => ask_written(state, operation),
        Some(Err(error)) => {
            toast(state, Tone::Warn, clean(&error));
            Vec::new()
        }
        None => {
            open(state, PromptKind::Submit);
            Vec::new()
        }
    }
}

/// A key that edits the line.
pub(super) fn edit(state: &mut State, key: Key) {
    let Mode::Prompt(prompt) = &mut state.mode else { return };
    if let Some(request) = request(key)
        && (prompt.input.value().len() < LONGEST || !matches!(request, InputRequest::InsertChar(_)))
    {
        prompt.input.handle(request);
        prompt.error = None;
    }
}

/// What a key does to a line of text.
pub(super) fn request(key: Key) -> Option<InputRequest> {
    Some(match key.code {
        Code::Char('a') if key.ctrl => InputRequest::GoToStart,
        Code::Char('e') if key.ctrl => InputRequest::GoToEnd,
        Code::Char('u') if key.ctrl => InputRequest::DeleteFromStart,
        Code::Char('k') if key.ctrl => InputRequest::DeleteTillEnd,
        Code::Char('w') if key.ctrl => InputRequest::DeletePrevWord,
        Code::Char('h') if key.ctrl => InputRequest::DeletePrevChar,
        Code::Char(c) if !key.ctrl && !key.alt && is_safe(c.encode_utf8(&mut [0; 4])) => InputRequest::InsertChar(c),
        Code::Backspace => InputRequest::DeletePrevChar,
        Code::Delete => InputRequest::DeleteNextChar,
        Code::Left if key.ctrl || key.alt => InputRequest::GoToPrevWord,
        Code::Right if key.ctrl || key.alt => InputRequest::GoToNextWord,
        Code::Left => InputRequest::GoToPrevChar,
        Code::Right => InputRequest::GoToNextChar,
        Code::Home => InputRequest::GoToStart,
        Code::End => InputRequest::GoToEnd,
        Code::Char(_)
        | Code::Enter
        | Code::Esc
        | Code::Tab
        | Code::BackTab
        | Code::Up
        | Code::Down
        | Code::PageUp
        | Code::PageDown
        | Code::F(_)
        | Code::Other => return None,
    })
}

/// A line with a text put in at its cursor, as far as there is room.
pub(super) fn insert(input: &Input, text: &str, longest: usize) -> Input {
    let room = longest.saturating_sub(input.value().len());
    let mut value: String = input.value().chars().take(input.cursor()).collect();
    let rest: String = input.value().chars().skip(input.cursor()).collect();
    value.extend(text.chars().take(room));
    let cursor = value.chars().count();
    Input::new(value + &rest).with_cursor(cursor)
}

/// Pasted text goes into the line as one line, with everything that could hide made visible.
pub(super) fn paste(state: &mut State, text: &str) {
    let Mode::Prompt(prompt) = &mut state.mode else { return };
    let trimmed = text.trim_end_matches(['\r', '\n']);
    let lines = trimmed.lines().count();
    let safe = clean(trimmed);
    prompt.input = insert(&prompt.input, &safe, LONGEST);
    prompt.error = None;
    if lines > 1 || trimmed.len() > LONG_PASTE {
        let size = trimmed.len();
        toast(state, Tone::Warn, format!("pasted {lines} lines, {size} bytes, as one line: look before Enter"));
    }
}
