//! What happened, newest first, with what was asked and is not answered on top.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::widgets::{Frame, Pen, cut, pane, span, stamp, tone, width};
use crate::tui::glyphs::Glyphs;
use crate::tui::layout;
use crate::tui::state::{Pane, State};
use crate::tui::theme::{Slot, Theme};

/// Columns of the time.
const TIME: u16 = 9;

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
    let top = state.events.at.map(|at| at.top).or(newest);
    let selected = state.events.at.filter(|_| focused).map(|at| at.selected);
    let mut serial = top;
    while row < inner.height
        && let Some(now) = serial
        && let Some(line) = state.events.line(now)
    {
        let is_selected = selected == Some(now);
        if is_selected {
            let band = Rect { y: inner.y + row, height: 1, ..inner };
            buf.set_style(band.intersection(buf.area), theme.style(Slot::Selection));
        }
        let mut pen = Pen::new(buf, inner, row, state);
        pen.field(&[span(if is_selected { glyphs.mark } else { " " }, theme.style(Slot::Key))], 2, false);
        pen.field(&[span(stamp(line.at_us), muted)], TIME, false).skip(1);
        let times = if line.times > 1 { format!("  x{}", line.times) } else { String::new() };
        let room = pen.left().saturating_sub(width(&times));
        pen.put(&cut(&line.text, room, glyphs), tone(theme, line.tone)).put(&times, muted);
        if is_selected && let Some(cause) = &line.cause {
            pen.put(&format!("  because: {cause}"), muted);
        }
        row += 1;
        serial = now.checked_sub(1);
    }
}
