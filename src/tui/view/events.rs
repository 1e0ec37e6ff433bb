//! What happened, newest first, with what was asked and is not answered on top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::widgets::{Frame, Pen, cut_at_word, pane, span, stamp, tone, width, wrap};
use crate::tui::glyphs::Glyphs;
use crate::tui::layout;
use crate::tui::state::{EventLine, Pane, Routine, State};
use crate::tui::theme::{Slot, Theme};

/// Columns of the time.
const TIME: u16 = 9;
/// Rows of a long event.
const ROWS: usize = 3;

/// The panel.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let glyphs = Glyphs::of(state.ascii);
    let areas = layout::areas(state.width, state.height, state);
    let muted = theme.style(Slot::Muted);
    let newest = state.events.newest();
    let note = match (state.events.at, newest) {
        (_, None) => span("nothing yet", muted),
        (None, Some(_)) => span("newest first", muted),
        (Some(at), Some(newest)) if newest > at.top => {
            span(format!("{} newer  F follow", newest - at.top), theme.style(Slot::Info))
        }
        (Some(_), Some(_)) => span("F follow", muted),
    };
    let focused = state.focus == Pane::Events;
    let frame = Frame { title: "Events", note: &[note], focused, boxed: areas.boxed };
    let inner = pane(state, theme, area, buf, &frame);
    let mut row = 0;
    // At most half of the panel, so that what happens is always seen too.
    let wishes = usize::from(inner.height.div_ceil(2)).min(state.asked.len());
    for asked in state.asked.iter().rev().take(wishes) {
        let waited = state.now_ms.saturating_sub(asked.at_ms) / 1000;
        let since = if waited > 0 { format!(" {waited}s") } else { String::new() };
        let text = format!("asked: {} {}{since}", asked.line, glyphs.ellipsis);
        Pen::new(buf, inner, row, state).skip(2).put(&text, theme.style(Slot::Info));
        row += 1;
    }
    let columns = inner.width.saturating_sub(2 + TIME + 1);
    let selected = state.events.at.filter(|_| focused).map(|at| at.selected);
    let mut serial = top(state, columns, inner.height - row.min(inner.height), glyphs).or(newest);
    while row < inner.height
        && let Some(now) = serial
        && let Some(line) = state.events.line(now)
    {
        let is_selected = selected == Some(now);
        let rows = rows_of(line, columns, glyphs);
        if is_selected {
            let height = u16::try_from(rows.len()).unwrap_or(1).min(inner.height - row);
            let band = Rect { y: inner.y + row, height, ..inner };
            buf.set_style(band.intersection(buf.area), theme.style(Slot::Selection));
        }
        let last = rows.len().saturating_sub(1);
        for (at, text) in rows.iter().enumerate() {
            let mut pen = Pen::new(buf, inner, row, state);
            if at == 0 {
                pen.field(&[span(if is_selected { glyphs.mark } else { " " }, theme.style(Slot::Key))], 2, false);
                pen.field(&[span(stamp(line.at_us), muted)], TIME, false).skip(1);
            } else {
                pen.skip(2 + TIME + 1);
            }
            pen.put(text, tone(theme, line.tone));
            if at == last {
                pen.put(&times(line), muted);
                if is_selected && let Some(cause) = &line.cause {
                    pen.put(&format!("  because: {cause}"), muted);
                }
            }
            row += 1;
        }
        serial = now.checked_sub(1);
    }
}

/// How often routine happened, if more than once; and until when, where that is not the line's own time.
fn times(line: &EventLine) -> String {
    match line.times {
        0 | 1 => String::new(),
        times if line.last_us > line.at_us => format!("  x{times}, last {}", stamp(line.last_us)),
        times => format!("  x{times}"),
    }
}

/// The rows of an event: work, and what happened often, has one; anything else is told whole as far as a few rows go.
fn rows_of(line: &EventLine, columns: u16, glyphs: &Glyphs) -> Vec<String> {
    let text = glyphs.spell(&line.text);
    let times = width(&times(line));
    if line.times > 1 || line.routine.is_some_and(Routine::is_work) {
        return vec![cut_at_word(&text, columns.saturating_sub(times), glyphs)];
    }
    let mut rows = wrap(&text, columns);
    if rows.len() > ROWS {
        let rest = rows.split_off(ROWS - 1).join(" ");
        rows.push(cut_at_word(&rest, columns, glyphs));
    }
    rows
}

/// The top line, so that the selected one is within so many rows.
fn top(state: &State, columns: u16, rows: u16, glyphs: &Glyphs) -> Option<u64> {
    let at = state.events.at?;
    let height = |serial| state.events.line(serial).map_or(1, |line| rows_of(line, columns, glyphs).len());
    let mut room = usize::from(rows).saturating_sub(height(at.selected));
    let mut top = at.selected;
    while top < at.top && height(top + 1) <= room {
        room -= height(top + 1);
        top += 1;
    }
    Some(top)
}
