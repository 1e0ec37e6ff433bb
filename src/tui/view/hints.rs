//! The last line: keys that work here, a short message, or the line being typed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::widgets::{Pen, blank, span, spans_width, tone, width};
use crate::control::{Held, Mode as Right};
use crate::tui::action::{Action, Dialog as Act, Overlay, Row, TABLE};
use crate::tui::command;
use crate::tui::dialog::Dialog;
use crate::tui::glyphs::Glyphs;
use crate::tui::layout::{self, Class};
use crate::tui::state::{Mode, Prompt, PromptKind, State};
use crate::tui::theme::{Slot, Theme};
use crate::tui::update::context;

/// Columns from which hints may take more than a word.
const ROOMY: u16 = 100;

/// Keys, message or line.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let above = Rect { y: area.y.saturating_sub(1), ..area };
    match &state.mode {
        Mode::Prompt(prompt) => {
            draw_prompt(state, prompt, theme, area, buf);
            let message = prompt.error.as_deref().map(|error| (error, theme.style(Slot::Error)));
            let toast = state.toast.as_ref().map(|toast| (toast.text.as_str(), tone(theme, toast.tone)));
            let usage = Some(prompt).filter(|prompt| prompt.kind == PromptKind::Command);
            let usage = usage.and_then(|prompt| command::usage(prompt.input.value()));
            if let Some((text, style)) = message.or(toast) {
                blank(theme, above, buf);
                Pen::new(buf, above, 0, state).skip(1).put(text, style);
            } else if let Some((how, what)) = usage {
                blank(theme, above, buf);
                let mut pen = Pen::new(buf, above, 0, state);
                pen.skip(1).put(how, theme.style(Slot::Key)).skip(2).put(what, theme.style(Slot::Muted));
            }
        }
        Mode::Browse | Mode::Partition(_) | Mode::Help(_) | Mode::Detail { .. } | Mode::Dialog(_) => {
            if let Some(toast) = &state.toast {
                Pen::new(buf, area, 0, state).skip(1).put(&toast.text, tone(theme, toast.tone));
            } else if let Some(asked) = state.asked.last().filter(|_| !shows_events(state)) {
                let text = format!("asked: {} {}", asked.line, Glyphs::of(state.ascii).ellipsis);
                Pen::new(buf, area, 0, state).skip(1).put(&text, theme.style(Slot::Info));
            } else {
                draw_keys(state, theme, area, buf);
            }
        }
    }
}

fn shows_events(state: &State) -> bool {
    let areas = layout::areas(state.width, state.height, state);
    areas.class == Class::Full && !areas.events.is_empty()
}

fn draw_keys(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let context = context(&state.mode);
    let in_detail = matches!(state.mode, Mode::Detail { .. });
    let in_preview = matches!(state.mode, Mode::Dialog(Dialog::Preview(_)));
    let runs = |row: &Row| row.action == Action::Overlay(Overlay::Run);
    let chooses = |row: &Row| matches!(row.action, Action::Dialog(Act::Less | Act::More));
    let fits = |row: &&Row| {
        let is_hinted = row.hint.is_some() && row.need.is_hinted(state.capabilities);
        row.context == context && is_hinted && !(in_detail && runs(row)) && !(in_preview && chooses(row))
    };
    let rows: Vec<&Row> = TABLE.iter().filter(fits).collect();
    let hint = |row: &Row| {
        let met = row.need.met(state.capabilities, &state.view.mode).is_yes();
        let (key, word) = if met { (Slot::Key, Slot::Hint) } else { (Slot::Placeholder, Slot::Placeholder) };
        let mut text = row.hint.unwrap_or("");
        if text == "stop" && state.view.stopped {
            text = "resume";
        }
        if text == "arm" && matches!(state.view.mode, Right::Armed { .. }) {
            text = "disarm";
        }
        if text == "quit" && state.view.held == Held::Remote && area.width >= ROOMY {
            text = "quit (the cluster goes on)";
        }
        [span(row.shown, theme.style(key)), span(format!(" {text}"), theme.style(word))]
    };
    // The way out is always there, at the right; the others as far as there is room.
    let Some((out, others)) = rows.split_last() else { return };
    let out = hint(out);
    let mut pen = Pen::new(buf, area, 0, state);
    pen.skip(1);
    let end = area.right().saturating_sub(spans_width(&out) + 1);
    for row in others {
        let spans = hint(row);
        if pen.column() + spans_width(&spans) + 2 > end {
            break;
        }
        pen.spans(&spans).skip(2);
    }
    pen.to(end).spans(&out);
}

fn draw_prompt(state: &State, prompt: &Prompt, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let label = match prompt.kind.label() {
        ":" => String::from(":"),
        label => format!("{label}> "),
    };
    let mut pen = Pen::new(buf, area, 0, state);
    pen.skip(1).put(&label, theme.style(Slot::Key));
    draw_line(&mut pen, &prompt.input, theme);
    if prompt.input.value().is_empty() {
        pen.skip(1).put(prompt.kind.placeholder(), theme.style(Slot::Placeholder));
    }
    let hint = "Enter go  Esc cancel";
    if pen.left() > width(hint) + 2 {
        let column = area.right().saturating_sub(width(hint) + 1);
        pen.to(column).put(hint, theme.style(Slot::Muted));
    }
}

/// A line being typed, with its cursor as a cell of its own.
pub(super) fn draw_line(pen: &mut Pen<'_>, input: &tui_input::Input, theme: &Theme) {
    let style = theme.style(Slot::Input);
    let room = usize::from(pen.left().saturating_sub(2)).max(1);
    let scroll = input.visual_scroll(room);
    let mut seen = 0;
    let (mut before, mut under, mut after) = (String::new(), String::from(" "), String::new());
    for (at, c) in input.value().chars().enumerate() {
        let wide = unicode_width::UnicodeWidthChar::width(c).unwrap_or(0);
        if seen >= scroll && seen + wide <= scroll + room {
            match at.cmp(&input.cursor()) {
                std::cmp::Ordering::Less => before.push(c),
                std::cmp::Ordering::Equal => under = c.to_string(),
                std::cmp::Ordering::Greater => after.push(c),
            }
        }
        seen += wide;
    }
    pen.put(&before, style).put(&under, theme.style(Slot::Cursor)).put(&after, style);
}
