//! What panels are drawn with: a pen for a line, frames, words for numbers.
//!
//! Kept true: nothing here writes outside the rectangle that it was given.
//! Not here: panels.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use crate::tui::command::duration;
use crate::tui::glyphs::Glyphs;
use crate::tui::layout;
use crate::tui::state::{State, Tone};
use crate::tui::theme::{Slot, Theme};

/// Text in one style.
pub(super) type Span = (Cow<'static, str>, Style);

/// A span of text made for this frame.
pub(super) fn span(text: impl Into<Cow<'static, str>>, style: Style) -> Span {
    (text.into(), style)
}

/// Columns that a text takes.
pub(super) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// Columns that spans take.
pub(super) fn spans_width(spans: &[Span]) -> u16 {
    spans.iter().map(|(text, _)| width(text)).fold(0, u16::saturating_add)
}

/// The text, cut with a sign that says so if it takes more columns.
pub(super) fn cut<'a>(text: &'a str, columns: u16, glyphs: &Glyphs) -> Cow<'a, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let room = columns.saturating_sub(width(glyphs.ellipsis));
    let mut kept = String::new();
    let mut used = 0;
    for cluster in text.graphemes(true) {
        let wide = width(cluster);
        if used + wide > room {
            break;
        }
        used += wide;
        kept += cluster;
    }
    if columns > 0 {
        kept += glyphs.ellipsis;
    }
    Cow::Owned(kept)
}

/// The text, cut between two words if it takes more columns.
pub(super) fn cut_at_word(text: &str, columns: u16, glyphs: &Glyphs) -> String {
    let cut = cut(text, columns, glyphs);
    match cut.strip_suffix(glyphs.ellipsis).and_then(|kept| kept.rsplit_once(' ')) {
        Some((words, _)) if width(text) > columns && !words.trim().is_empty() => format!("{words} {}", glyphs.ellipsis),
        _ => cut.into_owned(),
    }
}

/// Text broken into lines at spaces.
pub(super) fn wrap(text: &str, columns: u16) -> Vec<String> {
    let columns = columns.max(8);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word = word.to_owned();
        loop {
            let used = lines.last().map_or(0, |line| width(line));
            let gap = u16::from(used > 0);
            if used + gap + width(&word) <= columns {
                if let Some(last) = lines.last_mut() {
                    if gap > 0 {
                        last.push(' ');
                    }
                    *last += &word;
                }
                break;
            }
            if used > 0 {
                lines.push(String::new());
                continue;
            }
            // A word longer than a line is broken where it must be.
            let head: String = word.chars().take(usize::from(columns / 2)).collect();
            word = word.chars().skip(usize::from(columns / 2)).collect();
            if let Some(last) = lines.last_mut() {
                *last = head;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// Writes a line from left to right.
pub(super) struct Pen<'b> {
    buf: &'b mut Buffer,
    glyphs: &'static Glyphs,
    x: u16,
    y: u16,
    right: u16,
}

impl<'b> Pen<'b> {
    /// A pen on a row of an area; one that writes nothing if there is no such row.
    pub(super) fn new(buf: &'b mut Buffer, area: Rect, row: u16, state: &State) -> Self {
        let area = area.intersection(buf.area);
        let right = if row < area.height { area.right() } else { area.x };
        Self { buf, glyphs: Glyphs::of(state.ascii), x: area.x, y: area.y.saturating_add(row), right }
    }

    /// Columns that are left.
    pub(super) fn left(&self) -> u16 {
        self.right.saturating_sub(self.x)
    }

    /// The column where the pen is.
    pub(super) fn column(&self) -> u16 {
        self.x
    }

    /// Writes a text, cut at the end of the line.
    pub(super) fn put(&mut self, text: &str, style: Style) -> &mut Self {
        let room = self.left();
        if room > 0 {
            let text = self.glyphs.spell(text);
            let text = cut(&text, room, self.glyphs);
            (self.x, _) = self.buf.set_stringn(self.x, self.y, text, usize::from(room), style);
        }
        self
    }

    /// Writes spans one after the other.
    pub(super) fn spans(&mut self, spans: &[Span]) -> &mut Self {
        for (text, style) in spans {
            self.put(text, *style);
        }
        self
    }

    /// Goes on.
    pub(super) fn skip(&mut self, columns: u16) -> &mut Self {
        self.x = self.x.saturating_add(columns).min(self.right.max(self.x));
        self
    }

    /// Goes to a column, if it is ahead.
    pub(super) fn to(&mut self, column: u16) -> &mut Self {
        self.x = column.clamp(self.x, self.right.max(self.x));
        self
    }

    /// Writes spans into a field of so many columns, to its left or right side.
    pub(super) fn field(&mut self, spans: &[Span], columns: u16, to_right: bool) -> &mut Self {
        let end = self.x.saturating_add(columns);
        let used = spans_width(spans);
        if to_right {
            self.skip(columns.saturating_sub(used));
        }
        let right = self.right;
        self.right = self.right.min(end);
        self.spans(spans);
        self.right = right;
        self.to(end)
    }
}

/// What stands in the frame of a pane.
pub(super) struct Frame<'a> {
    /// To the left.
    pub(super) title: &'a str,
    /// To the right; left out if there is no room.
    pub(super) note: &'a [Span],
    /// Whether keys go to this pane.
    pub(super) focused: bool,
    /// Borders all round.
    pub(super) boxed: bool,
}

/// Draws a pane's frame and returns what is within.
pub(super) fn pane(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer, frame: &Frame<'_>) -> Rect {
    let area = area.intersection(buf.area);
    if area.is_empty() {
        return Rect::ZERO;
    }
    let glyphs = Glyphs::of(state.ascii);
    let style = theme.style(if frame.focused { Slot::BorderFocus } else { Slot::Border });
    let (line, side, corners) = if frame.focused {
        (glyphs.focus_horizontal, glyphs.focus_vertical, glyphs.focus_corners)
    } else {
        (glyphs.horizontal, glyphs.vertical, glyphs.corners)
    };
    let (right, bottom) = (area.right() - 1, area.bottom() - 1);
    for x in area.x..area.right() {
        buf[(x, area.y)].set_symbol(line).set_style(style);
        if frame.boxed && area.height > 1 {
            buf[(x, bottom)].set_symbol(line).set_style(style);
        }
    }
    if frame.boxed && area.height > 1 && area.width > 1 {
        for y in area.y..area.bottom() {
            buf[(area.x, y)].set_symbol(side).set_style(style);
            buf[(right, y)].set_symbol(side).set_style(style);
        }
        let places = [(area.x, area.y), (right, area.y), (area.x, bottom), (right, bottom)];
        for (place, corner) in places.into_iter().zip(corners) {
            buf[place].set_symbol(corner);
        }
    }
    let plain = |buf: &mut Buffer, from: u16, columns: u16| {
        // The line's own bold or dim must not show through.
        for x in from..from.saturating_add(columns).min(right) {
            buf[(x, area.y)].modifier = Modifier::empty();
        }
    };
    let title_style = if frame.focused { style.patch(theme.style(Slot::Title)) } else { theme.style(Slot::Title) };
    let title = format!(" {} ", frame.title);
    let start = area.x.saturating_add(2);
    plain(buf, start, width(&title));
    let wanted = spans_width(frame.note).saturating_add(2);
    let room = area.width.saturating_sub(4 + width(&title));
    let note_fits = !frame.note.is_empty() && wanted <= room;
    if note_fits {
        plain(buf, area.right().saturating_sub(2 + wanted), wanted);
    }
    let mut pen = Pen::new(buf, Rect { x: start, width: area.width.saturating_sub(4), ..area }, 0, state);
    pen.put(&title, title_style);
    if note_fits && wanted <= pen.left() {
        let column = pen.column() + pen.left() - wanted;
        pen.to(column).put(" ", style).spans(frame.note).put(" ", style);
    }
    layout::inner(area, frame.boxed)
}

/// Empties an area for something that lies over the rest.
pub(super) fn blank(theme: &Theme, area: Rect, buf: &mut Buffer) {
    let area = area.intersection(buf.area);
    // A wide sign that the area cuts in half would lose its right half: it goes.
    if area.x > 0 {
        for y in area.y..area.bottom() {
            if width(buf[(area.x - 1, y)].symbol()) > 1 {
                buf[(area.x - 1, y)].set_symbol(" ");
            }
        }
    }
    for y in area.y..area.bottom() {
        for x in area.x..area.right() {
            buf[(x, y)].reset();
        }
    }
    buf.set_style(area, theme.style(Slot::Background).patch(theme.style(Slot::Overlay)));
}

/// A rectangle of at most this size in the middle of another.
pub(super) fn middle(area: Rect, columns: u16, rows: u16) -> Rect {
    let (width, height) = (columns.min(area.width), rows.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// The style of a tone.
pub(super) fn tone(theme: &Theme, tone: Tone) -> Style {
    theme.style(match tone {
        Tone::Plain => Slot::Text,
        Tone::Quiet => Slot::Muted,
        Tone::Good => Slot::Ok,
        Tone::Info => Slot::Info,
        Tone::Warn => Slot::Warn,
        Tone::Bad => Slot::Bad,
    })
}

/// Cluster time as minutes, seconds and milliseconds.
pub(super) fn stamp(us: u64) -> String {
    format!("{:02}:{:02}.{:03}", us / 60_000_000, us / 1_000_000 % 60, us / 1000 % 1000)
}

/// A rate in few columns.
pub(super) fn rate(per_second: f32) -> String {
    let value = f64::from(per_second);
    if value >= 9_999.5 {
        format!("{:.0}k", value / 1e3)
    } else if value >= 999.5 {
        format!("{:.1}k", value / 1e3)
    } else if value >= 9.95 || value <= 0.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

/// A size in few columns.
pub(super) fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1024.0),
        _ => format!("{:.1} MiB", count as f64 / 1_048_576.0),
    }
}

/// How old something is: tenths while it is young.
pub(super) fn age(us: u64) -> String {
    if us < 10_000_000 { format!("{:.1}s", us as f64 / 1e6) } else { duration(us / 1_000_000 * 1_000_000) }
}

/// Bytes a second, in few columns.
pub(super) fn per_second(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B/s"),
        1_000..9_950 => format!("{:.1} KB/s", bytes as f64 / 1e3),
        9_950..9_950_000 => format!("{:.0} KB/s", bytes as f64 / 1e3),
        _ => format!("{:.0} MB/s", bytes as f64 / 1e6),
    }
}

/// `1 node`, `2 nodes`.
pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
