//! What the console asks, over everything else: what would be done, what is to be expected, and the line to be typed.
//!
//! Kept true: the line to be typed and the way out are seen at every size that shows panes.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::header;
use super::hints::draw_line;
use super::widgets::{Frame, Pen, Span, blank, middle, pane, span, width, wrap};
use crate::control::Access;
use crate::tui::clean::clean;
use crate::tui::dialog::{Arm, Confirm, Dialog, Field, Pick, Question};
use crate::tui::state::State;
use crate::tui::theme::{Slot, Theme};
use crate::tui::update::dialog::own_faults;

/// Columns of a dialog.
const COLUMNS: u16 = 74;
/// Columns of the word before a value.
const LABEL: usize = 9;

/// The dialog.
pub(super) fn draw(state: &State, dialog: &Dialog, theme: &Theme, area: Rect, buf: &mut Buffer) {
    match dialog {
        Dialog::Arm(arm) => draw_arm(state, arm, theme, area, buf),
        Dialog::Pick(pick) => draw_pick(state, pick, theme, area, buf),
        Dialog::Confirm(confirm) => draw_confirm(state, confirm, theme, area, buf),
    }
}

/// The dialog in a few words, where there is only a line.
pub(super) fn line(dialog: &Dialog) -> String {
    match dialog {
        Dialog::Arm(_) => String::from("arm: enlarge, or Esc"),
        Dialog::Pick(pick) => match pick.question {
            Question::Disarm => String::from("disarm? Enter, Esc"),
            Question::Quit => String::from("faults in force: Enter heals, Esc"),
        },
        Dialog::Confirm(confirm) => format!("type {} or Esc", confirm.danger.wants),
    }
}

/// Draws a frame with these lines, and gives the rows below them that are kept for answers.
fn boxed(
    state: &State,
    theme: &Theme,
    area: Rect,
    buf: &mut Buffer,
    title: &str,
    lines: &[Vec<Span>],
    kept: u16,
) -> Rect {
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(kept + 2);
    let place = middle(area, COLUMNS, rows);
    blank(theme, place, buf);
    let inner = pane(state, theme, place, buf, &Frame { title, note: &[], focused: true, boxed: true });
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    // What does not fit is at the end; what is to be typed always fits.
    let room = inner.height.saturating_sub(kept);
    for (row, line) in lines.iter().take(usize::from(room)).enumerate() {
        Pen::new(buf, inner, u16::try_from(row).unwrap_or(u16::MAX), state).spans(line);
    }
    let shown = room.min(u16::try_from(lines.len()).unwrap_or(u16::MAX));
    Rect { y: inner.y + shown, height: inner.height - shown, ..inner }
}

fn columns(area: Rect) -> u16 {
    COLUMNS.min(area.width).saturating_sub(4)
}

/// A word and a value, over as many lines as it takes.
fn say(lines: &mut Vec<Vec<Span>>, theme: &Theme, room: u16, word: &str, value: &str, style: Style) {
    for (at, part) in wrap(value, room.saturating_sub(LABEL as u16)).into_iter().enumerate() {
        let label = format!("{:<LABEL$}", if at == 0 { word } else { "" });
        lines.push(vec![span(label, theme.style(Slot::Muted)), span(part, style)]);
    }
}

fn draw_arm(state: &State, arm: &Arm, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let text = theme.style(Slot::Text);
    let room = columns(area);
    let mut lines = Vec::new();
    say(&mut lines, theme, room, "cluster", &clean(&state.view.name), theme.style(Slot::Title));
    let what = match arm.access {
        Access::Chaos => "inject faults: crash, cut, delay; and all that operate may",
        Access::Viewer | Access::Operator => "submit commands; no faults",
    };
    say(&mut lines, theme, room, "allows", what, text);
    let no_drill = state.view.unarmable(Access::Chaos);
    if let Some(why) = &no_drill {
        say(&mut lines, theme, room, "no drill", why, theme.style(Slot::Muted));
    }
    let below = boxed(state, theme, area, buf, "Arm", &lines, 5);
    let chosen = |access| arm.access == access;
    let option = |word: &'static str, chosen: bool, can: bool| {
        let text = if chosen { format!("({word})") } else { format!(" {word} ") };
        let slot = if chosen {
            Slot::Key
        } else if can {
            Slot::Text
        } else {
            Slot::Placeholder
        };
        let style = theme.style(slot);
        [span(text, style), span("  ", style)]
    };
    let field = |pen: &mut Pen<'_>, field: Field, word: &str| {
        let here = arm.field == field;
        let (mark, style) = if here { ("> ", Slot::Key) } else { ("  ", Slot::Muted) };
        pen.put(mark, theme.style(style)).put(&format!("{word:<LABEL$}"), theme.style(style));
        here
    };
    let mut pen = Pen::new(buf, below, 0, state);
    field(&mut pen, Field::What, "for");
    let can_drill = no_drill.is_none();
    pen.spans(&option("operate", chosen(Access::Operator), true));
    pen.spans(&option("drill", chosen(Access::Chaos), can_drill));
    for (row, which, word, input, hint) in [
        (1, Field::Reason, "reason", &arm.reason, "why; kept in the audit log of every node"),
        (2, Field::Time, "time box", &arm.time, "15m"),
    ] {
        let mut pen = Pen::new(buf, below, row, state);
        if field(&mut pen, which, word) {
            draw_line(&mut pen, input, theme);
        } else {
            pen.put(input.value(), theme.style(Slot::Input));
        }
        if input.value().is_empty() {
            pen.skip(1).put(hint, theme.style(Slot::Placeholder));
        }
    }
    if let Some(error) = &arm.error {
        Pen::new(buf, below, 3, state).put(error, theme.style(Slot::Error));
    }
    let keys = match (can_drill, state.ascii) {
        (true, false) => "← → choose  Tab next  Enter arms  Esc cancels",
        (true, true) => "left right choose  Tab next  Enter arms  Esc cancels",
        (false, _) => "Tab next  Enter arms  Esc cancels",
    };
    Pen::new(buf, below, 4, state).put(keys, theme.style(Slot::Muted));
}

fn draw_pick(state: &State, pick: &Pick, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let text = theme.style(Slot::Text);
    let room = columns(area);
    let mut lines = Vec::new();
    let name = clean(&state.view.name);
    let title = match pick.question {
        Question::Disarm => {
            say(&mut lines, theme, room, "cluster", &name, theme.style(Slot::Title));
            say(&mut lines, theme, room, "armed", &header::mode_word(state), text);
            say(&mut lines, theme, room, "then", "this console only watches; its faults end by themselves", text);
            "Disarm"
        }
        Question::Quit => {
            say(&mut lines, theme, room, "cluster", &format!("{name}: it goes on without this console"), text);
            let count = own_faults(&state.view, &state.own);
            let word = if count == 1 { "fault" } else { "faults" };
            let what = format!("{count} {word} of this console in force");
            say(&mut lines, theme, room, "faults", &what, theme.style(Slot::Warn));
            for fault in state.view.faults.iter().take(4) {
                say(&mut lines, theme, room, "", &header::fault_words(state, fault), text);
            }
            "Quit"
        }
    };
    let below = boxed(state, theme, area, buf, title, &lines, 3);
    let mut pen = Pen::new(buf, below, 1, state);
    for (at, choice) in pick.question.choices().iter().enumerate() {
        let here = at == pick.chosen;
        let text = if here { format!("({})", choice.label()) } else { format!(" {} ", choice.label()) };
        pen.put(&text, theme.style(if here { Slot::Key } else { Slot::Text })).skip(1);
    }
    let keys = match pick.question {
        Question::Disarm => "Enter does what is chosen  Esc cancels",
        Question::Quit => "Enter does what is chosen  Esc cancels  Ctrl-C quits at once",
    };
    Pen::new(buf, below, 2, state).put(keys, theme.style(Slot::Muted));
}

fn draw_confirm(state: &State, confirm: &Confirm, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let danger = &confirm.danger;
    let text = theme.style(Slot::Text);
    let bad = theme.style(Slot::Bad);
    let room = columns(area);
    let mut lines = Vec::new();
    let what = match (danger.leader, danger.quorum) {
        (true, true) => "takes the leader and the QUORUM",
        (false, true) => "takes the QUORUM",
        (_, false) => "takes the leader",
    };
    say(&mut lines, theme, room, "do", &format!("{}   {what}", danger.line), bad);
    say(&mut lines, theme, room, "on", &format!("{}; {}", danger.object, danger.count), text);
    let cluster = format!("{}   {}", clean(&state.view.name), header::mode_word(state));
    say(&mut lines, theme, room, "cluster", &cluster, theme.style(Slot::Title));
    say(&mut lines, theme, room, "lasts", danger.lasts, text);
    say(&mut lines, theme, room, "expect", &format!("estimate: {}", danger.forecast), text);
    let below = boxed(state, theme, area, buf, "Confirm", &lines, 3);
    let mut pen = Pen::new(buf, below, 1, state);
    let label = format!("type {} to do it: ", danger.wants);
    if width(&label) + 8 < below.width {
        pen.put(&label, theme.style(Slot::Key));
    } else {
        pen.put("type its name: ", theme.style(Slot::Key));
    }
    draw_line(&mut pen, &confirm.typed, theme);
    let mut pen = Pen::new(buf, below, 2, state);
    match &confirm.error {
        Some(error) => pen.put(error, theme.style(Slot::Error)),
        None => pen.put("Enter alone, or Esc: nothing is done", theme.style(Slot::Muted)),
    };
}
