//! The picture: one file a panel, all drawn from the state into a buffer.
//!
//! Kept true: a view reads no clock and changes nothing; it draws what the cluster reported; `–` stands for what is not
//! known; a state is told by a word or a sign, never by colour alone; no size makes it panic.
//! Not here: where panels are (`layout.rs`), colours (`theme/`).

mod detail;
mod dialog;
mod events;
mod header;
mod help;
mod hints;
mod log;
mod nodes;
mod partition;
mod side;
mod small;
mod widgets;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::layout::{self, Class};
use super::state::{Mode, State};
use super::theme::{Slot, Theme};

/// Draws the whole screen.
pub fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return;
    }
    buf.set_style(area, theme.style(Slot::Background));
    let areas = layout::areas(area.width, area.height, state);
    if areas.class == Class::Line {
        small::draw(state, theme, areas.header, buf);
        return;
    }
    header::draw(state, theme, areas.header, buf);
    header::draw_verdict(state, theme, areas.verdict, buf);
    nodes::draw(state, theme, areas.nodes, buf);
    log::draw(state, theme, areas.log, buf);
    events::draw(state, theme, areas.events, buf);
    detail::draw(state, theme, areas.detail, buf);
    detail::draw_leader(state, theme, areas.leader, buf);
    side::draw(state, theme, areas.side, buf);
    match &state.mode {
        Mode::Browse | Mode::Prompt(_) => {}
        Mode::Partition(draft) => partition::draw(state, draft, theme, areas.body, buf),
        Mode::Help(help) => help::draw(state, help, theme, areas.body, buf),
        Mode::Dialog(dialog) => dialog::draw(state, dialog, theme, areas.body, buf),
        Mode::Detail { of, scroll } => detail::draw_over(state, *of, *scroll, theme, areas.body, buf),
    }
    hints::draw(state, theme, areas.hints, buf);
}
