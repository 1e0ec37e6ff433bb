//! The table of nodes: one row each, as many columns as there is room for.
//!
//! Kept true: a node that does not run shows what it reported last, dimmed, and no timer or rate; so does one of which
//! nothing is heard, and nothing that was never heard is drawn as a number.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::widgets::{Frame, Pen, Span, age, bytes, cut, pane, rate, span, width};
use crate::control::{ClusterView, Life, NodeView, STALE_US};
use crate::raft::{Index, PeerStatus, Role};
use crate::tui::clean::clean;
use crate::tui::command::duration;
use crate::tui::glyphs::Glyphs;
use crate::tui::layout;
use crate::tui::state::{Pane, State};
use crate::tui::theme::{Slot, Theme};

/// Microseconds of cluster time in a tick.
pub(super) const TICK_US: u64 = 10_000;

/// What all rows need.
pub(super) struct Context<'a> {
    pub(super) state: &'a State,
    pub(super) view: &'a ClusterView,
    pub(super) theme: &'a Theme,
    pub(super) glyphs: &'static Glyphs,
    pub(super) leader: Option<&'a NodeView>,
}

impl<'a> Context<'a> {
    pub(super) fn new(state: &'a State, theme: &'a Theme) -> Self {
        let view = &state.view;
        Self { state, view, theme, glyphs: Glyphs::of(state.ascii), leader: view.leader() }
    }

    pub(super) fn unknown(&self) -> Span {
        span(self.glyphs.unknown, self.theme.style(Slot::Unknown))
    }

    /// What the leader knows of a node.
    pub(super) fn peer(&self, node: &NodeView) -> Option<&'a PeerStatus> {
        self.leader.filter(|leader| leader.id != node.id)?.peers.iter().find(|peer| peer.id == node.id)
    }

    /// The sign and the word for what a node is, and how they are drawn.
    pub(super) fn role(&self, node: &NodeView, short: bool) -> (String, Style) {
        let glyph = self.glyphs.node(node);
        let stale = self.leader.is_some_and(|leader| leader.term > node.term);
        let (word, slot) = match (&node.life, node.role) {
            (Life::Crashed { at_us }, _) => {
                let since = duration(self.state.real_us().saturating_sub(*at_us) / 1_000_000 * 1_000_000);
                let since = if since == "0ms" { String::from("now") } else { since };
                return (format!("{glyph} DOWN {since}"), self.theme.style(Slot::Down));
            }
            (Life::Halted { .. }, _) => ("HALTED", Slot::Halted),
            (Life::Paused, _) => ("PAUSED", Slot::Paused),
            (Life::Unreachable { since_us, .. }, _) => {
                let since = duration(self.state.real_us().saturating_sub(*since_us) / 1_000_000 * 1_000_000);
                let text = if short { format!("{glyph} no data") } else { format!("{glyph} no data {since}") };
                return (text, self.theme.style(Slot::Unreachable));
            }
            (Life::Starting, _) => ("starting", Slot::Starting),
            (Life::Running, _) if let Some(age) = self.state.stale_us(node) => {
                return (format!("{glyph} stale {}", whole(age)), self.theme.style(Slot::Stale));
            }
            (Life::Running, Role::Leader) if stale => (if short { "STALE" } else { "LEADER stale" }, Slot::Bad),
            (Life::Running, _) if node.quarantined => ("QUARANTINE", Slot::Quarantined),
            (Life::Running, Role::Leader) => ("LEADER", Slot::Leader),
            (Life::Running, Role::Follower) => ("follower", Slot::Follower),
            (Life::Running, Role::Candidate) => ("CANDIDATE", Slot::Candidate),
            (Life::Running, Role::PreCandidate) => {
                (if short { "pre-cand." } else { "pre-candidate" }, Slot::PreCandidate)
            }
        };
        (format!("{glyph} {word}"), self.theme.style(slot))
    }

    /// How many of the leader's entries a node lacks.
    pub(super) fn lag(&self, node: &NodeView) -> Option<u64> {
        let leader = self.leader?;
        Some(leader.last.index.0 - agreement(leader, node).0.min(leader.last.index.0))
    }

    fn number(&self, node: &NodeView, value: u64) -> Span {
        plain(self, node, value.to_string())
    }

    /// Whether what is shown of it is how it is now.
    pub(super) fn is_fresh(&self, node: &NodeView) -> bool {
        node.is_running() && self.state.stale_us(node).is_none()
    }
}

/// A time in whole seconds.
fn whole(us: u64) -> String {
    duration(us / 1_000_000 * 1_000_000)
}

/// The last index up to which a node's log is the leader's (Log Matching: all before are equal too).
fn agreement(leader: &NodeView, node: &NodeView) -> Index {
    let top = leader.last.index.min(node.last.index);
    let floor = leader.first_index.max(node.first_index).previous();
    let (mut low, mut high) = (floor.0.min(top.0), top.0);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if leader.term_at(Index(middle)) == node.term_at(Index(middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Index(low)
}

type Cell = fn(&Context<'_>, &NodeView) -> Vec<Span>;

/// A column: heading, columns it takes, how long it is kept when there is no room.
struct Column {
    head: &'static str,
    width: u16,
    keep: u8,
    to_right: bool,
    indent: u16,
    cell: Cell,
}

fn columns(context: &Context<'_>, room: u16) -> Vec<Column> {
    let widest = |value: fn(&NodeView) -> u64| {
        context.view.nodes.iter().map(|node| layout::digits(value(node))).max().unwrap_or(1)
    };
    let index = widest(|node| node.last.index.0);
    let number = |head: &'static str, keep, digits: u16, cell| Column {
        head,
        width: digits.max(width(head)),
        keep,
        to_right: true,
        indent: 0,
        cell,
    };
    let left = |head, width, keep, cell| Column { head, width, keep, to_right: false, indent: 0, cell };
    let name = layout::name_width(context.state);
    let mut all = vec![
        number("term", 18, widest(|node| node.term.0), |c, n| vec![c.number(n, n.term.0)]),
        left("vote", name.max(4), 10, |c, n| {
            vec![n.voted_for.map_or_else(|| c.unknown(), |id| plain(c, n, id.to_string()))]
        }),
        left("follows", name.max(7), 5, |c, n| {
            let leader = n.leader.filter(|_| n.is_running());
            vec![leader.map_or_else(|| c.unknown(), |id| plain(c, n, id.to_string()))]
        }),
        number("first", 2, index, |c, n| vec![c.number(n, n.first_index.0)]),
        number("log", 17, index, |c, n| vec![c.number(n, n.last.index.0)]),
        number("durable", 4, index, |c, n| vec![c.number(n, n.durable.0)]),
        number("commit", 16, index, |c, n| vec![c.number(n, n.commit.0)]),
        number("apply", 15, index, |c, n| vec![c.number(n, n.applied.0)]),
        number("lag", 14, index.max(3), lag),
        number("match", 8, index, |c, n| peer_number(c, n, |peer| peer.match_index.0)),
        number("next", 7, index, |c, n| peer_number(c, n, |peer| peer.next_index.0)),
        left("fed by", 10, 6, feed),
        left("timer", 8, 13, timer),
        number("in/out", 12, 9, messages),
        number("sync p99", 11, 8, |c, n| vec![sync(c, n)]),
        left("digest", 8, 3, digest),
        number("snapshot", 1, index, |c, n| {
            vec![if n.snapshot.0 == 0 || !n.was_heard() { c.unknown() } else { c.number(n, n.snapshot.0) }]
        }),
        number("life", 0, widest(|node| node.epoch.0), |c, n| vec![c.number(n, n.epoch.0)]),
        number("in memory", 0, 9, |c, n| vec![plain(c, n, bytes(n.log_bytes))]),
    ];
    if context.view.nodes.iter().any(|node| node.reach.is_some()) {
        all.push(number("age", 11, 5, age_of));
        all.push(number("rtt", 3, 6, |c, n| {
            let round_trip = n.reach.as_ref().and_then(|reach| reach.round_trip_us).filter(|_| c.is_fresh(n));
            vec![round_trip.map_or_else(|| c.unknown(), |us| plain(c, n, duration(us)))]
        }));
    }
    let used = |all: &[Column]| all.iter().map(|column| column.width + 1).fold(0, u16::saturating_add);
    while used(&all) > room && all.len() > 1 {
        let least = (0..all.len()).min_by_key(|at| all[*at].keep).unwrap_or(0);
        all.remove(least);
    }
    // What is left over makes the timer longer, so that it can be read from afar, then spreads the columns.
    let mut spare = room.saturating_sub(used(&all));
    if let Some(timer) = all.iter_mut().find(|column| column.head == "timer") {
        let more = spare.min(18);
        timer.width += more;
        spare -= more;
    }
    // A column that begins at its left needs distance from one that ends at its right.
    for at in 1..all.len() {
        if spare > 0 && !all[at].to_right && all[at - 1].to_right {
            all[at].indent = 1;
            all[at].width += 1;
            spare -= 1;
        }
    }
    let count = u16::try_from(all.len()).unwrap_or(1).max(1);
    let each = (spare / count).min(3);
    for column in &mut all {
        column.width += if column.head == "timer" { 0 } else { each };
        column.indent += if column.to_right || column.head == "timer" { 0 } else { each };
    }
    all
}

fn plain(context: &Context<'_>, node: &NodeView, text: String) -> Span {
    if !node.was_heard() {
        return context.unknown();
    }
    let slot = if context.is_fresh(node) { Slot::Text } else { Slot::Muted };
    span(text, context.theme.style(slot))
}

/// How old the picture is.
fn age_of(context: &Context<'_>, node: &NodeView) -> Vec<Span> {
    let Some(us) = context.state.age_us(node) else { return vec![context.unknown()] };
    let slot = if us >= STALE_US { Slot::Warn } else { Slot::Muted };
    vec![span(age(us), context.theme.style(slot))]
}

fn lag(context: &Context<'_>, node: &NodeView) -> Vec<Span> {
    if !node.was_heard() {
        return vec![context.unknown()];
    }
    let Some(leader) = context.leader else { return vec![context.unknown()] };
    if leader.id == node.id {
        return vec![context.unknown()];
    }
    let Some(lag) = context.lag(node) else { return vec![context.unknown()] };
    let slot = match lag {
        0 => Slot::Muted,
        1..10 if !context.is_fresh(node) => Slot::Muted,
        1..10 => Slot::Text,
        _ => Slot::Warn,
    };
    vec![span(lag.to_string(), context.theme.style(slot))]
}

fn peer_number(context: &Context<'_>, node: &NodeView, value: fn(&PeerStatus) -> u64) -> Vec<Span> {
    vec![context.peer(node).map_or_else(|| context.unknown(), |peer| context.number(node, value(peer)))]
}

fn feed(context: &Context<'_>, node: &NodeView) -> Vec<Span> {
    use crate::raft::event::Mode;
    let Some(peer) = context.peer(node) else { return vec![context.unknown()] };
    let (text, slot) = match (peer.mode, peer.snapshot) {
        (Mode::Probe, _) => (String::from("probe"), Slot::Info),
        (Mode::Replicate, _) => (String::from("replicate"), Slot::Muted),
        (Mode::Snapshot, Some((done, all))) => (format!("snap {:>3}%", percent(done, all)), Slot::Warn),
        (Mode::Snapshot, None) => (String::from("snapshot"), Slot::Warn),
    };
    vec![span(text, context.theme.style(slot))]
}

pub(super) fn percent(done: u64, all: u64) -> u64 {
    if all == 0 { 100 } else { (u128::from(done) * 100 / u128::from(all)) as u64 }
}

/// The election timer as a bar; votes while campaigning; a leader's heartbeat.
fn timer(context: &Context<'_>, node: &NodeView) -> Vec<Span> {
    timer_of(context, node, 8)
}

pub(super) fn timer_of(context: &Context<'_>, node: &NodeView, columns: u16) -> Vec<Span> {
    let theme = context.theme;
    if !context.is_fresh(node) {
        return vec![context.unknown()];
    }
    if let Some((done, all)) = node.receiving {
        return vec![span(format!("snap {:>2}%", percent(done, all)), theme.style(Slot::Info))];
    }
    match (node.role, node.heartbeat) {
        (Role::Candidate | Role::PreCandidate, _) => {
            let text = format!("{}/{} yes", node.votes.len(), context.view.quorum());
            vec![span(text, theme.style(Slot::Candidate))]
        }
        (Role::Leader, Some((left, _))) => {
            let word = if columns >= 18 { "heartbeat in" } else { "hb" };
            vec![span(format!("{word} {}", duration(left * TICK_US)), theme.style(Slot::Muted))]
        }
        (Role::Leader, None) => vec![context.unknown()],
        (Role::Follower, _) => {
            let times = format!(" {}/{}ms", node.election_elapsed * 10, node.election_timeout * 10);
            let with_times = columns >= 8 + 12;
            let bar = if with_times { columns - 12 } else { columns };
            let timeout = node.election_timeout.max(1);
            let elapsed = node.election_elapsed.min(timeout);
            let full = usize::try_from(elapsed * u64::from(bar) / timeout).unwrap_or(0);
            let slot = if elapsed * 4 >= timeout * 3 { Slot::TimerUrgent } else { Slot::TimerElapsed };
            let mut spans = vec![
                span(context.glyphs.bar_full.repeat(full), theme.style(slot)),
                span(context.glyphs.bar_rest.repeat(usize::from(bar) - full), theme.style(Slot::TimerRest)),
            ];
            if with_times {
                spans.push(span(times, theme.style(Slot::Muted)));
            }
            spans
        }
    }
}

fn messages(context: &Context<'_>, node: &NodeView) -> Vec<Span> {
    if !context.is_fresh(node) {
        return vec![context.unknown()];
    }
    vec![plain(context, node, format!("{}/{}", rate(node.in_per_second), rate(node.out_per_second)))]
}

fn sync(context: &Context<'_>, node: &NodeView) -> Span {
    node.sync
        .p99_us
        .filter(|_| node.is_running())
        .map_or_else(|| context.unknown(), |us| plain(context, node, duration(us)))
}

fn digest(context: &Context<'_>, node: &NodeView) -> Vec<Span> {
    if node.applied.0 == 0 || !node.was_heard() {
        return vec![context.unknown()];
    }
    let differs = context.view.nodes.iter().any(|other| {
        other.is_running() && node.is_running() && other.applied == node.applied && other.digest != node.digest
    });
    let slot = if differs { Slot::Violation } else { Slot::Muted };
    vec![span(node.digest.to_string(), context.theme.style(slot))]
}

/// The table.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let context = Context::new(state, theme);
    let areas = layout::areas(state.width, state.height, state);
    let count = state.view.nodes.len();
    let rows = usize::from(layout::inner(area, areas.boxed).height.saturating_sub(1)).max(1);
    let first = first_row(state, rows);
    let muted = theme.style(Slot::Muted);
    let shown = if rows < count {
        format!("{}{}{} of {count}", first + 1, context.glyphs.range, (first + rows).min(count))
    } else {
        String::from("1-9 select  Enter detail")
    };
    let note = [span(shown, muted)];
    let focused = state.focus == Pane::Nodes;
    let frame = Frame { title: "Nodes", note: &note, focused, boxed: areas.boxed };
    let inner = pane(state, theme, area, buf, &frame);

    let short = inner.width < 78;
    let role_width = if short { 11 } else { 15 };
    let label = 2 + layout::name_width(state) + 1 + role_width;
    let columns = columns(&context, inner.width.saturating_sub(label + 1));
    let mut pen = Pen::new(buf, inner, 0, state);
    let heading = theme.style(Slot::Heading);
    pen.skip(2).field(&[span("#", heading)], layout::name_width(state), false).skip(1);
    pen.field(&[span("role", heading)], role_width, false);
    for column in &columns {
        pen.skip(1 + column.indent);
        pen.field(&[span(column.head, heading)], column.width - column.indent, column.to_right);
    }
    for (row, node) in state.view.nodes.iter().enumerate().skip(first).take(rows) {
        let y = u16::try_from(row - first + 1).unwrap_or(u16::MAX);
        draw_row(&context, node, &columns, role_width, short, inner, y, buf);
    }
}

/// The first of so many rows, so that the selected node is among them.
pub(super) fn first_row(state: &State, rows: usize) -> usize {
    let count = state.view.nodes.len();
    let place = state.selected_place();
    place.saturating_sub(rows / 2).min(count.saturating_sub(rows))
}

#[expect(clippy::too_many_arguments, reason = "a row is drawn at one place, with all that the table knows")]
fn draw_row(
    context: &Context<'_>,
    node: &NodeView,
    columns: &[Column],
    role_width: u16,
    short: bool,
    inner: Rect,
    y: u16,
    buf: &mut Buffer,
) {
    let theme = context.theme;
    let selected = context.state.selected == node.id;
    if selected && y < inner.height {
        buf.set_style(Rect { y: inner.y + y, height: 1, ..inner }.intersection(buf.area), theme.style(Slot::Selection));
    }
    let mark = if selected { context.glyphs.mark } else { " " };
    let (role, style) = context.role(node, short);
    let mut pen = Pen::new(buf, inner, y, context.state);
    pen.field(&[span(mark, theme.style(Slot::Key))], 2, false);
    pen.field(&[span(node.id.to_string(), style)], layout::name_width(context.state), false).skip(1);
    pen.field(&[span(cut(&role, role_width, context.glyphs).into_owned(), style)], role_width, false);
    for column in columns {
        pen.skip(1 + column.indent);
        let columns = column.width - column.indent;
        if column.head == "timer" {
            if let Life::Halted { why } = &node.life {
                pen.put(&clean(why), theme.style(Slot::Bad));
                return;
            }
            pen.field(&timer_of(context, node, columns), columns, false);
        } else {
            pen.field(&(column.cell)(context, node), columns, column.to_right);
        }
    }
}
