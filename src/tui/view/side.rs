//! Clients, load and faults, where the screen is wide.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::header::{alarm_words, fault_words};
use super::widgets::{Frame, Pen, Span, pane, rate, span, stamp};
use crate::control::{Access, Held};
use crate::tui::clean::clean;
use crate::tui::command::duration;
use crate::tui::glyphs::Glyphs;
use crate::tui::state::State;
use crate::tui::theme::{Slot, Theme};

/// Rows of the clients' panel with its frame.
const CLIENTS: u16 = 10;

/// Clients above, faults below.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    // In a low panel what was done to the cluster comes before what clients saw.
    if area.height < CLIENTS + 4 {
        let mut lines = vec![load(state, theme)];
        lines.extend(faults(state, theme));
        draw_lines(state, theme, "Load and faults", &lines, area, buf);
        return;
    }
    // In a band the two stand side by side.
    if area.width >= 70 {
        let left = Rect { width: (area.width * 2 / 5).clamp(30, 40), ..area };
        let right = Rect { x: area.x + left.width, width: area.width - left.width, ..area };
        draw_lines(state, theme, "Clients", &clients(state, theme), left, buf);
        draw_lines(state, theme, "Faults", &faults(state, theme), right, buf);
        return;
    }
    let top = Rect { height: CLIENTS.min(area.height), ..area };
    let bottom = Rect { y: area.y + top.height, height: area.height - top.height, ..area };
    draw_lines(state, theme, "Clients", &clients(state, theme), top, buf);
    draw_lines(state, theme, "Faults", &faults(state, theme), bottom, buf);
}

fn draw_lines(state: &State, theme: &Theme, title: &str, lines: &[Vec<Span>], area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let inner = pane(state, theme, area, buf, &Frame { title, note: &[], focused: false, boxed: true });
    let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    for (row, line) in lines.iter().take(usize::from(room.height)).enumerate() {
        Pen::new(buf, room, u16::try_from(row).unwrap_or(u16::MAX), state).spans(line);
    }
}

fn load(state: &State, theme: &Theme) -> Vec<Span> {
    let text = state.view.load.map_or_else(
        || {
            let may = state.view.mode.allows(Access::Operator);
            String::from(if may { "off, a starts it" } else { "off" })
        },
        |load| {
            format!(
                "{}/s{}",
                load.per_second,
                load.left_us.map_or_else(String::new, |us| format!(" for {}", duration(us)))
            )
        },
    );
    vec![span(format!("{:<12}", "load"), theme.style(Slot::Muted)), span(text, theme.style(Slot::Text))]
}

fn clients(state: &State, theme: &Theme) -> Vec<Vec<Span>> {
    let clients = &state.view.clients;
    let unknown = Glyphs::of(state.ascii).unknown;
    let muted = theme.style(Slot::Muted);
    let text = theme.style(Slot::Text);
    let time = |us: Option<u64>| us.map_or_else(|| String::from(unknown), duration);
    let line = |word: &str, value: String| vec![span(format!("{word:<12}"), muted), span(value, text)];
    let mut lines = vec![
        load(state, theme),
        line("applied", format!("{} ({}/s)", clients.applied, rate(clients.applied_per_second))),
        line("latency", format!("p50 {} p99 {}", time(clients.latency.p50_us), time(clients.latency.p99_us))),
        line("reads", clients.reads.to_string()),
        line("waiting", clients.waiting.to_string()),
        line("not applied", clients.not_applied.to_string()),
        line("unknown", clients.unknown.to_string()),
    ];
    if clients.unknown > 0 {
        lines[6] =
            vec![span(format!("{:<12}", "unknown"), muted), span(clients.unknown.to_string(), theme.style(Slot::Warn))];
    }
    if state.view.held != Held::Remote {
        lines.push(line("seed", state.view.seed.to_string()));
    }
    lines
}

fn faults(state: &State, theme: &Theme) -> Vec<Vec<Span>> {
    let muted = theme.style(Slot::Muted);
    let warn = theme.style(Slot::Warn);
    let mut lines: Vec<Vec<Span>> = state
        .view
        .faults
        .iter()
        .map(|fault| {
            let mut line = vec![span(format!("#{} ", fault.number), muted), span(fault_words(state, fault), warn)];
            // What is left says more than when it began.
            if fault.left_us.is_none() {
                line.push(span(format!("  since {}", stamp(fault.since_us)), muted));
            }
            line
        })
        .collect();
    let is_allowed = state.view.mode.allows(Access::Chaos);
    if lines.is_empty() {
        lines.push(vec![span("none in force", muted)]);
        let how = if is_allowed { "i isolate  p partition  : any other" } else { "A arms for a drill" };
        lines.push(vec![span(how, muted)]);
    } else if is_allowed {
        lines.push(vec![span("H takes them all away", muted)]);
    }
    for alarm in &state.view.alarms {
        lines.push(vec![span("alarm ", theme.style(Slot::Bad)), span(alarm_words(alarm), theme.style(Slot::Text))]);
    }
    if !state.view.data_dir.is_empty() {
        let word = if state.view.held == Held::Remote { "attached  " } else { "data  " };
        lines.push(vec![span(word, muted), span(clean(&state.view.data_dir), theme.style(Slot::Text))]);
    }
    lines
}
