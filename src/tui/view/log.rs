//! The matrix of logs: an index to the right, a node down, in each cell the term of the entry there.
//!
//! `[7]` applied, `(7)` committed, ` 7 ` not yet, `!6!` another term than the leader's, `·` none, `==` in a snapshot.
//!
//! Kept true: each state differs by its signs; colour tells terms apart, nothing else.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::nodes::{Context, first_row};
use super::widgets::{Frame, Pen, Span, pane, span, spans_width};
use crate::control::{Life, NodeView};
use crate::raft::{Index, NodeId};
use crate::tui::glyphs::Glyphs;
use crate::tui::layout;
use crate::tui::state::{LogScroll, Pane, State};
use crate::tui::theme::{Slot, Theme};

/// What an entry is on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cell {
    Unknown,
    Missing,
    Snapshot,
    Conflict(u64),
    Pending(u64),
    Committed(u64),
    Applied(u64),
}

fn cell(node: &NodeView, leader: Option<&NodeView>, index: Index) -> Cell {
    if !node.was_heard() {
        return Cell::Unknown;
    }
    let Some(term) = node.term_at(index) else {
        return if index < node.first_index { Cell::Snapshot } else { Cell::Missing };
    };
    let leaders = leader.filter(|leader| leader.id != node.id).and_then(|leader| leader.term_at(index));
    if leaders.is_some_and(|leaders| leaders != term) {
        Cell::Conflict(term.0)
    } else if index <= node.applied {
        Cell::Applied(term.0)
    } else if index <= node.commit {
        Cell::Committed(term.0)
    } else {
        Cell::Pending(term.0)
    }
}

fn draw_cell(pen: &mut Pen<'_>, theme: &Theme, glyphs: &Glyphs, cell: Cell, columns: u16, is_old: bool) {
    let (text, style): (String, Style) = match cell {
        Cell::Unknown => (format!("{} ", glyphs.unknown), theme.style(Slot::Unknown)),
        Cell::Missing => (format!("{} ", glyphs.missing), theme.style(Slot::EntryMissing)),
        Cell::Snapshot => (String::from("== "), theme.style(Slot::EntrySnapshot)),
        Cell::Conflict(term) => (format!("!{term}!"), theme.style(Slot::EntryConflict)),
        Cell::Pending(term) => (format!(" {term} "), theme.term(term).patch(theme.style(Slot::EntryPending))),
        Cell::Committed(term) => (format!("({term})"), theme.term(term).patch(theme.style(Slot::EntryCommitted))),
        Cell::Applied(term) => (format!("[{term}]"), theme.term(term).patch(theme.style(Slot::EntryApplied))),
    };
    let used = u16::try_from(text.chars().count()).unwrap_or(columns);
    let style = if is_old { style.remove_modifier(Modifier::BOLD).add_modifier(Modifier::DIM) } else { style };
    pen.skip(columns.saturating_sub(used)).put(&text, style);
}

/// The matrix.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let areas = layout::areas(state.width, state.height, state);
    let context = Context::new(state, theme);
    let glyphs = context.glyphs;
    let columns = areas.log_columns(state);
    let (first, last) = layout::log_range(state, u64::from(columns));
    let end = state.view.nodes.iter().map(|node| node.last.index.0).max().unwrap_or(0);
    let muted = theme.style(Slot::Muted);
    let follow = if state.log == LogScroll::Follow { "follow" } else { "F follow" };
    let range = if end == 0 {
        span("no entries yet", muted)
    } else {
        span(format!("{first}{}{} of {end}  {follow}", glyphs.range, last.min(end)), muted)
    };
    let mut note = legend(theme, glyphs.missing);
    note.push(span("   ", muted));
    note.push(range.clone());
    let room = area.width.saturating_sub(14);
    let mut middle = short_legend(theme);
    middle.extend([span("  ", muted), range.clone()]);
    let forms = [note, middle, vec![range]];
    let none = Vec::new();
    let note = forms.iter().find(|form| spans_width(form) <= room).unwrap_or(&none);
    let frame = Frame { title: "Log", note, focused: state.focus == Pane::Log, boxed: areas.boxed };
    let inner = pane(state, theme, area, buf, &frame);

    let cell_width = layout::log_cell(state);
    let label = layout::log_label(state);
    let mut pen = Pen::new(buf, inner, 0, state);
    pen.field(&[span("  index", theme.style(Slot::Heading))], label, false);
    let last = last.min(end);
    for index in first..=last {
        let text = index_text(index, cell_width - 1);
        // The number stands over the term, in the middle of its cell.
        pen.field(&[span(text, theme.style(Slot::Heading))], cell_width, true);
    }
    let line = state.view.nodes.len() + 1 < usize::from(inner.height);
    let rows = usize::from(inner.height.saturating_sub(1 + u16::from(line)));
    for (row, node) in state.view.nodes.iter().skip(first_row(state, rows)).take(rows).enumerate() {
        let y = u16::try_from(row + 1).unwrap_or(u16::MAX);
        let selected = state.selected == node.id;
        if selected {
            let band = Rect { y: inner.y + y, height: 1, ..inner };
            buf.set_style(band.intersection(inner).intersection(buf.area), theme.style(Slot::Selection));
        }
        let (role, style) = context.role(node, true);
        let glyph = role.split(' ').next().unwrap_or("").to_owned();
        let is_old = state.stale_us(node).is_some() || matches!(node.life, Life::Unreachable { .. });
        let mut pen = Pen::new(buf, inner, y, state);
        pen.field(&[span(if selected { glyphs.mark } else { " " }, theme.style(Slot::Key))], 2, false);
        pen.field(&[span(node.id.to_string(), style)], layout::name_width(state), false).skip(1);
        pen.field(&[span(glyph, style)], 2, false);
        for index in first..=last {
            draw_cell(&mut pen, theme, glyphs, cell(node, context.leader, Index(index)), cell_width, is_old);
        }
    }
    if line {
        draw_leader_line(&context, inner, buf);
    }
}

/// What the leader thinks of the others: the next entry to send, the last one known to be there.
fn draw_leader_line(context: &Context<'_>, inner: Rect, buf: &mut Buffer) {
    let theme = context.theme;
    let y = inner.height.saturating_sub(1);
    let muted = theme.style(Slot::Muted);
    let mut pen = Pen::new(buf, inner, y, context.state);
    pen.skip(2);
    let Some(leader) = context.leader else {
        pen.put("no leader: nobody sends entries", muted);
        return;
    };
    let text = theme.style(Slot::Text);
    let matches: Vec<(NodeId, u64)> = leader.peers.iter().map(|peer| (peer.id, peer.match_index.0)).collect();
    let nexts: Vec<(NodeId, u64)> = leader.peers.iter().map(|peer| (peer.id, peer.next_index.0)).collect();
    pen.put(&format!("{} knows", leader.id), theme.style(Slot::Leader));
    pen.put(&format!("  committed {}", leader.commit), text);
    let one = |(id, index): &(NodeId, u64)| format!(" {id} {index}");
    for (word, values) in [("match", matches), ("next", nexts)] {
        let list: String = values.iter().map(one).collect();
        if u16::try_from(word.len() + list.len() + 3).unwrap_or(u16::MAX) > pen.left() {
            return;
        }
        pen.put(&format!("   {word}"), muted).put(&list, text);
    }
}

/// An index in few columns: all of it, or its last digits (the title names the whole range).
fn index_text(index: u64, columns: u16) -> String {
    let text = index.to_string();
    let skip = text.len().saturating_sub(usize::from(columns));
    text.chars().skip(skip).collect()
}

fn short_legend(theme: &Theme) -> Vec<Span> {
    let muted = theme.style(Slot::Muted);
    let term = theme.term(0);
    vec![
        span("[t]", term.patch(theme.style(Slot::EntryApplied))),
        span(" applied ", muted),
        span("(t)", term.patch(theme.style(Slot::EntryCommitted))),
        span(" committed ", muted),
        span("!t!", theme.style(Slot::EntryConflict)),
        span(" conflict", muted),
    ]
}

fn legend(theme: &Theme, missing: &str) -> Vec<Span> {
    let muted = theme.style(Slot::Muted);
    let term = theme.term(0);
    vec![
        span("[t]", term.patch(theme.style(Slot::EntryApplied))),
        span(" applied  ", muted),
        span("(t)", term.patch(theme.style(Slot::EntryCommitted))),
        span(" committed  ", muted),
        span(" t ", term.patch(theme.style(Slot::EntryPending))),
        span("pending  ", muted),
        span("!t!", theme.style(Slot::EntryConflict)),
        span(" conflict  ", muted),
        span("==", theme.style(Slot::EntrySnapshot)),
        span(" snapshot  ", muted),
        span(missing.to_owned(), theme.style(Slot::EntryMissing)),
        span(" missing", muted),
    ]
}
