//! The list of keys: searched by typing, run with Enter.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::hints::draw_line;
use super::widgets::{Frame, Pen, blank, middle, pane, span};
use crate::control::Can;
use crate::tui::action::Context;
use crate::tui::glyphs::Glyphs;
use crate::tui::state::{Help, State};
use crate::tui::theme::{Slot, Theme};
use crate::tui::update::overlay::matching;

/// Columns of the keys.
const KEYS: u16 = 12;

/// The list, over everything else.
pub(super) fn draw(state: &State, help: &Help, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let glyphs = Glyphs::of(state.ascii);
    let rows = matching(help.filter.value(), state.capabilities);
    let place = middle(area, 92, u16::try_from(rows.len()).unwrap_or(u16::MAX).max(2).saturating_add(3));
    blank(theme, place, buf);
    let muted = theme.style(Slot::Muted);
    let note = [span("type to search  Enter runs  Esc closes", muted)];
    let title = if state.view.values_masked { "Keys (values are masked)" } else { "Keys" };
    let frame = Frame { title, note: &note, focused: true, boxed: true };
    let inner = pane(state, theme, place, buf, &frame);
    let mut pen = Pen::new(buf, inner, 0, state);
    pen.skip(1).put("search ", theme.style(Slot::Key));
    draw_line(&mut pen, &help.filter, theme);
    let room = usize::from(inner.height.saturating_sub(1));
    if rows.is_empty() {
        Pen::new(buf, inner, 2, state).skip(1).put("no key does that; Backspace to search on", muted);
    }
    let first = help.selected.saturating_sub(room.saturating_sub(1));
    for (row, entry) in rows.iter().enumerate().skip(first).take(room) {
        let y = u16::try_from(row - first + 1).unwrap_or(u16::MAX);
        let selected = row == help.selected;
        if selected {
            let band = Rect { y: inner.y + y, height: 1, ..inner };
            buf.set_style(band.intersection(buf.area), theme.style(Slot::Selection));
        }
        let can = entry.need.met(state.capabilities, &state.view.mode);
        let (key, word) = if can.is_yes() { (Slot::Key, Slot::Text) } else { (Slot::Placeholder, Slot::Placeholder) };
        let mut pen = Pen::new(buf, inner, y, state);
        pen.field(&[span(if selected { glyphs.mark } else { " " }, theme.style(Slot::Key))], 2, false);
        let shown = if state.ascii { entry.keys.join(" ") } else { entry.shown.to_owned() };
        pen.field(&[span(shown, theme.style(key))], KEYS, false);
        pen.put(entry.help, theme.style(word));
        if let Can::No(why) = can {
            pen.put(&format!(" ({why})"), theme.style(Slot::Warn));
        } else if entry.context != Context::Browse && entry.context != Context::Everywhere {
            pen.put(&format!("  ({})", entry.context.title().to_lowercase()), muted);
        }
    }
}
