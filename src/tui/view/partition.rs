//! The partition editor: each node in the column of its group, and what each group could do by itself.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::nodes::Context;
use super::widgets::{Frame, Pen, blank, middle, pane, span};
use crate::control::Operation;
use crate::raft::NodeId;
use crate::tui::command;
use crate::tui::layout;
use crate::tui::partition::{Draft, GROUPS, Side};
use crate::tui::state::State;
use crate::tui::theme::{Slot, Theme};

const LETTERS: [&str; GROUPS] = ["A", "B", "C", "D", "E", "F"];
/// Columns of a group.
const GROUP: u16 = 4;

/// The editor, over everything else.
pub(super) fn draw(state: &State, draft: &Draft, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let context = Context::new(state, theme);
    let sides = sides(draft);
    let count = u16::try_from(draft.places.len()).unwrap_or(u16::MAX);
    let below = u16::try_from(sides.len()).unwrap_or(0) + 4;
    let place = middle(area, 84, count.saturating_add(below + 3));
    blank(theme, place, buf);
    let muted = theme.style(Slot::Muted);
    let note = [span("a draft: nothing changes until Enter", muted)];
    let frame = Frame { title: "Partition", note: &note, focused: true, boxed: true };
    let inner = pane(state, theme, place, buf, &frame);

    let heading = theme.style(Slot::Heading);
    let label = 2 + layout::name_width(state) + 1 + 15;
    let mut pen = Pen::new(buf, inner, 0, state);
    pen.field(&[span("  node", heading)], label + 1, false);
    for (group, letter) in LETTERS.iter().enumerate() {
        pen.field(&[span(*letter, theme.style(Slot::group(group)))], GROUP, false);
    }
    pen.put("alone", heading);

    let rows = usize::from(inner.height.saturating_sub(below).max(1)).min(draft.places.len());
    let first = draft.cursor.saturating_sub(rows.saturating_sub(1));
    for (row, (id, side)) in draft.places.iter().enumerate().skip(first).take(rows) {
        let y = u16::try_from(row - first + 1).unwrap_or(u16::MAX);
        draw_node(&context, *id, *side, row == draft.cursor, label, inner, y, buf);
    }
    let mut y = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(2);
    for (side, members) in &sides {
        draw_side(&context, *side, members, inner, y, buf);
        y += 1;
    }
    y += 1;
    let mut pen = Pen::new(buf, inner, y, state);
    if let Some(complaint) = draft.complaint {
        pen.skip(2).put(complaint, theme.style(Slot::Error));
    } else if !draft.cuts() {
        pen.skip(2).put("all nodes reach each other", muted);
    } else if !sides.iter().any(|(_, members)| Draft::strength(members, &state.view).has_quorum()) {
        pen.skip(2).put("NO side has a quorum: writes stop until the partition is healed", theme.style(Slot::Bad));
    } else {
        pen.skip(2).put("the sides without a quorum wait until the partition is healed", theme.style(Slot::Text));
    }
    let mut pen = Pen::new(buf, inner, y + 1, state);
    pen.skip(2);
    if draft.cuts() {
        pen.put(&format!("$ {}", command::line(&Operation::Partition(draft.groups()))), theme.style(Slot::Input));
    }
    if let Some(preset) = draft.preset {
        pen.put(&format!("   preset: {}", preset.name()), muted);
    }
}

/// The sides that have members; who is alone is a side of one.
fn sides(draft: &Draft) -> Vec<(Side, Vec<NodeId>)> {
    let groups = (0..GROUPS).map(Side::Group).map(|side| (side, draft.members(side)));
    let alone = draft.members(Side::Alone).into_iter().map(|id| (Side::Alone, vec![id]));
    groups.filter(|(_, members)| !members.is_empty()).chain(alone).collect()
}

#[expect(clippy::too_many_arguments, reason = "a row is drawn at one place, with all that the editor knows")]
fn draw_node(
    context: &Context<'_>,
    id: NodeId,
    side: Side,
    picked: bool,
    label: u16,
    inner: Rect,
    y: u16,
    buf: &mut Buffer,
) {
    let theme = context.theme;
    if picked && y < inner.height {
        buf.set_style(Rect { y: inner.y + y, height: 1, ..inner }.intersection(buf.area), theme.style(Slot::Selection));
    }
    let role = context.view.node(id).map(|node| context.role(node, false));
    let (role, style) = role.unwrap_or_else(|| (String::from("?"), theme.style(Slot::Unknown)));
    let mut pen = Pen::new(buf, inner, y, context.state);
    let start = pen.column();
    pen.field(&[span(if picked { context.glyphs.mark } else { " " }, theme.style(Slot::Key))], 2, false);
    pen.field(&[span(id.to_string(), style)], layout::name_width(context.state), false).skip(1);
    pen.field(&[span(role, style)], 15, false);
    pen.to(start + label + 1);
    for (group, letter) in LETTERS.iter().enumerate() {
        let here = side == Side::Group(group);
        let spans = if here {
            span(*letter, theme.style(Slot::group(group)))
        } else {
            span(context.glyphs.dot, theme.style(Slot::EntryMissing))
        };
        pen.field(&[spans], GROUP, false);
    }
    let alone = if side == Side::Alone {
        span("0", theme.style(Slot::Warn))
    } else {
        span(context.glyphs.dot, theme.style(Slot::EntryMissing))
    };
    pen.spans(&[alone]);
}

fn draw_side(context: &Context<'_>, side: Side, members: &[NodeId], inner: Rect, y: u16, buf: &mut Buffer) {
    let theme = context.theme;
    let strength = Draft::strength(members, context.view);
    let (name, style) = match side {
        Side::Group(group) => (LETTERS[group], theme.style(Slot::group(group))),
        Side::Alone => ("alone", theme.style(Slot::Warn)),
    };
    let (word, slot) = if strength.has_quorum() { ("QUORUM", Slot::Ok) } else { ("no quorum", Slot::Bad) };
    let then = match (strength.has_quorum(), strength.leads) {
        (true, true) => "keeps its leader, writes go on",
        (true, false) => "elects a leader",
        (false, true) => "its leader must step down",
        (false, false) => "neither elects nor commits",
    };
    let names: Vec<String> = members.iter().map(ToString::to_string).collect();
    let mut pen = Pen::new(buf, inner, y, context.state);
    pen.skip(2).field(&[span(name, style)], 6, false);
    let columns = (inner.width / 4).clamp(10, 24);
    pen.field(&[span(names.join(" "), theme.style(Slot::Text))], columns, false).skip(1);
    let counted = format!("{word} {}/{}", strength.able, strength.quorum);
    pen.field(&[span(counted, theme.style(slot))], 14, false).skip(1);
    pen.put(then, theme.style(Slot::Muted));
}
