//! Where each panel is: one pure function of the size and the state.
//!
//! The views draw into these rectangles and `update` scrolls by them, so both agree.
//!
//! Kept true: panels keep their places within a class of sizes; every rectangle lies within the screen.
//! Not here: what is drawn in them (`view/`).

use ratatui::layout::Rect;

use super::state::{LogScroll, Pane, State};

/// Forms of the screen, by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Below 40x10: one line.
    Line,
    /// Below 60x16: one pane and the verdict.
    Single,
    /// Header, verdict, panes, key hints.
    Full,
}

/// The rectangles of the screen. An empty one is not drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Form of the screen.
    pub class: Class,
    /// Panes have borders all round, not only a rule above.
    pub boxed: bool,
    /// Who leads, how many are up.
    pub header: Rect,
    /// Do writes go through.
    pub verdict: Rect,
    /// Table of nodes.
    pub nodes: Rect,
    /// Matrix of logs.
    pub log: Rect,
    /// What happened.
    pub events: Rect,
    /// Detail of the selected node.
    pub detail: Rect,
    /// What the leader knows of the others.
    pub leader: Rect,
    /// Clients and faults.
    pub side: Rect,
    /// Everything between verdict and key hints.
    pub body: Rect,
    /// Key hints, or the line being typed.
    pub hints: Rect,
}

/// Sizes from which a part of the screen is there.
const SINGLE: (u16, u16) = (40, 10);
const FULL: (u16, u16) = (60, 16);
const BOXED: (u16, u16) = (100, 30);
const DETAIL: (u16, u16) = (100, 32);
const SIDE: (u16, u16) = (150, 36);

/// Fewest rows of the bottom with which the detail is worth its place.
const DETAIL_ROWS: u16 = 10;
/// Rows in which most of what is known of a node fits.
const DETAIL_FULL: u16 = 14;
/// Rows of events that must remain below a band of panels.
const EVENTS_BELOW: u16 = 14;

/// The rectangles for a screen of this size.
#[must_use]
pub fn areas(width: u16, height: u16, state: &State) -> Areas {
    let none = Rect::ZERO;
    let class = match (width, height) {
        (w, h) if w < SINGLE.0 || h < SINGLE.1 => Class::Line,
        (w, h) if w < FULL.0 || h < FULL.1 => Class::Single,
        _ => Class::Full,
    };
    let boxed = width >= BOXED.0 && height >= BOXED.1;
    let row = |y: u16| Rect { x: 0, y: y.min(height), width, height: u16::from(y < height) };
    let mut areas = Areas {
        class,
        boxed,
        header: row(0),
        verdict: none,
        nodes: none,
        log: none,
        events: none,
        detail: none,
        leader: none,
        side: none,
        body: none,
        hints: none,
    };
    if class == Class::Line {
        areas.header = Rect { height: height.min(2), ..row(height.saturating_sub(1) / 2) };
        return areas;
    }
    areas.verdict = row(1);
    areas.hints = row(height.saturating_sub(1));
    let body = Rect { x: 0, y: 2, width, height: height.saturating_sub(3) };
    areas.body = body;
    if class == Class::Single || state.zoomed {
        *areas.pane_mut(state.focus) = body;
        return areas;
    }
    let frame = if boxed { 2 } else { 1 };
    let count = u16::try_from(state.view.nodes.len()).unwrap_or(u16::MAX);
    let nodes_full = count.saturating_add(1 + frame);
    let leader_line = u16::from(height >= BOXED.1);
    let log_full = count.saturating_add(1 + frame + leader_line);
    let events_least = match body.height {
        0..16 => 3 + frame,
        16..30 => 4 + frame,
        _ => 7 + frame,
    };
    let spare = body.height.saturating_sub(events_least);
    let (nodes, log) = if nodes_full.saturating_add(log_full) <= spare {
        (nodes_full, log_full)
    } else if spare >= 2 * (3 + frame) {
        let log = log_full.min((spare / 2).max(spare.saturating_sub(nodes_full)));
        (nodes_full.min(spare - log), log)
    } else if state.focus == Pane::Log {
        (0, log_full.min(spare))
    } else {
        (nodes_full.min(spare), 0)
    };
    let band = |y: u16, height: u16| Rect { x: 0, y: body.y + y, width, height };
    areas.nodes = band(0, nodes);
    areas.log = band(nodes, log);
    let bottom = band(nodes + log, body.height - nodes - log);
    areas.events = bottom;
    if width >= DETAIL.0 && height >= DETAIL.1 && bottom.height >= DETAIL_ROWS {
        let wide = width >= SIDE.0 && height >= SIDE.1;
        let panels = (count.saturating_add(8)).clamp(DETAIL_FULL, 20);
        if wide && bottom.height >= panels + EVENTS_BELOW {
            areas.above_events(bottom, panels);
        } else {
            areas.beside_events(bottom, wide);
        }
    }
    areas
}

impl Areas {
    /// A band of panels over the events: where the screen is wide and high.
    fn above_events(&mut self, bottom: Rect, panels: u16) {
        let band = Rect { height: panels, ..bottom };
        let detail = (band.width * 27 / 100).clamp(46, 60);
        self.detail = Rect { width: detail, ..band };
        self.leader = Rect { x: detail, width: detail, ..band };
        self.side = Rect { x: 2 * detail, width: band.width - 2 * detail, ..band };
        self.events = Rect { y: bottom.y + panels, height: bottom.height - panels, ..bottom };
    }

    /// One or two columns of panels to the right of the events.
    fn beside_events(&mut self, bottom: Rect, wide: bool) {
        let width = bottom.width;
        let side = if wide { (width / 5).clamp(36, 48) } else { 0 };
        let detail = if wide { (width / 4).clamp(48, 60) } else { (width * 2 / 5).clamp(44, 52) };
        let events = width - detail - side;
        self.events = Rect { width: events, ..bottom };
        let middle = Rect { x: events, width: detail, ..bottom };
        let upper = if bottom.height >= DETAIL_FULL + 6 { DETAIL_FULL } else { bottom.height };
        self.detail = Rect { height: upper, ..middle };
        let below = Rect { y: middle.y + upper, height: middle.height - upper, ..middle };
        if wide {
            self.leader = below;
            self.side = Rect { x: events + detail, width: side, ..bottom };
        } else {
            self.side = below;
        }
    }

    fn pane_mut(&mut self, pane: Pane) -> &mut Rect {
        match pane {
            Pane::Nodes => &mut self.nodes,
            Pane::Log => &mut self.log,
            Pane::Events => &mut self.events,
        }
    }

    /// What is left of a pane within its frame.
    #[must_use]
    pub fn inner(&self, pane: Rect) -> Rect {
        inner(pane, self.boxed)
    }

    /// Rows of nodes that the table shows.
    #[must_use]
    pub fn node_rows(&self) -> u16 {
        self.inner(self.nodes).height.saturating_sub(1)
    }

    /// Rows of events.
    #[must_use]
    pub fn event_rows(&self) -> u16 {
        self.inner(self.events).height
    }

    /// Entries that the log matrix shows side by side.
    #[must_use]
    pub fn log_columns(&self, state: &State) -> u16 {
        self.inner(self.log).width.saturating_sub(log_label(state)) / log_cell(state)
    }
}

/// What is left of a pane within its frame.
#[must_use]
pub const fn inner(pane: Rect, boxed: bool) -> Rect {
    let side = if boxed { 1 } else { 0 };
    Rect {
        x: pane.x + side,
        y: pane.y + 1,
        width: pane.width.saturating_sub(2 * side),
        height: pane.height.saturating_sub(1 + side),
    }
}

/// Columns that the widest node name takes.
#[must_use]
pub fn name_width(state: &State) -> u16 {
    state.view.nodes.iter().map(|node| digits(node.id.0) + 1).max().unwrap_or(2)
}

/// Columns before the first cell of the log matrix: mark, name, role.
#[must_use]
pub fn log_label(state: &State) -> u16 {
    name_width(state) + 5
}

/// Columns of a cell of the log matrix, with the space after it.
#[must_use]
pub fn log_cell(state: &State) -> u16 {
    let nodes = &state.view.nodes;
    let term = nodes.iter().map(|node| node.last.term.0).max().unwrap_or(0);
    let index = nodes.iter().map(|node| node.last.index.0).max().unwrap_or(0);
    (digits(term) + 2).max(digits(index).min(4)) + 1
}

/// First and last index that a log matrix of so many columns shows.
#[must_use]
pub fn log_range(state: &State, columns: u64) -> (u64, u64) {
    let end = state.view.nodes.iter().map(|node| node.last.index.0).max().unwrap_or(0);
    let first = match state.log {
        LogScroll::Follow => (end + 1).saturating_sub(columns).max(1),
        LogScroll::From(index) => index.0.max(1),
    };
    (first, (first + columns).saturating_sub(1))
}

/// How many decimal digits a number has.
#[must_use]
pub fn digits(number: u64) -> u16 {
    number.checked_ilog10().map_or(1, |log| log as u16 + 1)
}
