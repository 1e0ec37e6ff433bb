//! One line for a terminal that has room for no more.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::dialog;
use super::widgets::{Pen, width};
use crate::control::{Held, Mode as Right, WritesStand};
use crate::tui::state::{Mode, State};
use crate::tui::theme::{Slot, Theme};

/// The longest form of the status that fits.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let view = &state.view;
    let leaders = view.self_declared_leaders();
    let leads = match leaders[..] {
        [] => String::from("no leader"),
        [leader] => format!("{} leads t{}", leader.id, leader.term),
        [..] => format!("{} leaders", leaders.len()),
    };
    let (writes, slot) = match view.writes {
        WritesStand::Available => ("writes ok", Slot::Ok),
        WritesStand::Stalled { .. } => ("STALLED", Slot::Bad),
    };
    if let Mode::Dialog(dialog) = &state.mode {
        Pen::new(buf, area, 0, state).put(&dialog::line(dialog), theme.style(Slot::Key));
        return;
    }
    let stopped = if view.stopped { "STOPPED " } else { "" };
    let held = match (view.held, &view.mode) {
        (Held::Lab, _) => String::new(),
        (held, Right::Own) => format!("{} ", held.name()),
        (held, mode) => format!("{} {} ", held.name(), mode.name().to_uppercase()),
    };
    let up = format!("{}/{} up", view.running(), view.nodes.len());
    let forms = [
        format!("raft-tui {held}{stopped}{leads}, {up}, {writes}, enlarge to 60x16"),
        format!("{held}{stopped}{leads}, {up}, {writes}, enlarge to 60x16"),
        format!("{held}{stopped}{leads}, {up}, {writes}"),
        format!("{leads}, {writes}, enlarge to 60x16"),
        format!("{leads}, {up}, {writes}"),
        format!("{leads}, {writes}"),
        leads,
    ];
    let second = "enlarge to 60x16";
    let fits = forms.iter().find(|form| width(form) <= area.width);
    let shown = fits.or_else(|| forms.last()).map_or("", String::as_str);
    Pen::new(buf, area, 0, state).put(shown, theme.style(slot));
    if area.height > 1 && !shown.contains(second) && width(second) <= area.width {
        Pen::new(buf, area, 1, state).put(second, theme.style(Slot::Muted));
    }
}
