//! All that is known of one node or event, as lines.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::header::{alarm_words, fault_words};
use super::nodes::{Context, TICK_US, percent};
use super::widgets::{Frame, Pen, Span, age, blank, bytes, cut, middle, pane, rate, span, stamp, tone, wrap};
use crate::control::{Life, LinkRule, NodeView};
use crate::raft::Role;
use crate::raft::event::Mode;
use crate::tui::clean::clean;
use crate::tui::command::duration;
use crate::tui::layout;
use crate::tui::state::{Detail, State};
use crate::tui::theme::{Slot, Theme};

type Line = Vec<Span>;

/// Columns that an age and a round trip take at most.
const HEARD: usize = 24;
/// Columns of the word before a value.
const LABEL: usize = 10;

/// The selected node, where there is room beside the events.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let Some(node) = state.selected_node().filter(|_| !area.is_empty()) else { return };
    let context = Context::new(state, theme);
    let title = format!("Node {}", node.id);
    let frame = Frame { title: &title, note: &[], focused: false, boxed: true };
    let inner = pane(state, theme, area, buf, &frame);
    let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let mut lines = node_lines(&context, node, room.width);
    let hidden = lines.len().saturating_sub(usize::from(room.height));
    if hidden > 0 {
        let keep = usize::from(room.height).saturating_sub(1);
        let more = lines.len() - keep;
        lines.truncate(keep);
        lines.push(vec![span(format!("{more} more lines: Enter"), theme.style(Slot::Muted))]);
    }
    write(state, &lines, 0, room, buf);
}

/// What the leader knows of the others, and how long its entries take.
pub(super) fn draw_leader(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    if area.is_empty() {
        return;
    }
    let context = Context::new(state, theme);
    let title = context.leader.map_or_else(|| String::from("Leader"), |leader| format!("Leader {}", leader.id));
    let inner = pane(state, theme, area, buf, &Frame { title: &title, note: &[], focused: false, boxed: true });
    let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let muted = theme.style(Slot::Muted);
    let mut lines = Vec::new();
    match context.leader {
        None => lines.push(vec![span("nobody leads: entries are neither sent nor committed", muted)]),
        Some(leader) => {
            lines.push(vec![span("from the proposal of an entry, in cluster time", muted)]);
            let stages = [
                ("to its own disk", leader.durable_latency),
                ("committed", leader.commit_latency),
                ("applied", leader.apply_latency),
            ];
            for (word, latency) in stages {
                let time = |us: Option<u64>| us.map_or_else(|| String::from(context.glyphs.unknown), duration);
                let value = format!("p50 {:>7}  p99 {:>7}", time(latency.p50_us), time(latency.p99_us));
                lines.push(vec![span(format!("{word:<17}"), muted), span(value, theme.style(Slot::Text))]);
            }
            lines.extend(peer_lines(&context, leader));
        }
    }
    write(state, &lines, 0, room, buf);
}

/// A node or an event, over everything else.
pub(super) fn draw_over(state: &State, of: Detail, scroll: u16, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let context = Context::new(state, theme);
    let columns = 76.min(area.width);
    let (title, lines) = match of {
        Detail::Node => match state.selected_node() {
            Some(node) => {
                let mut lines = node_lines(&context, node, columns.saturating_sub(4));
                lines.extend(peer_lines(&context, node));
                lines.extend(cluster_lines(&context, node, columns.saturating_sub(4)));
                (format!("Node {}", node.id), lines)
            }
            None => (String::from("Node"), Vec::new()),
        },
        Detail::Event(serial) => (String::from("Event"), event_lines(state, theme, serial, columns.saturating_sub(4))),
    };
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_add(2);
    let place = middle(area, columns, rows);
    blank(theme, place, buf);
    let note = [span("Esc closes", theme.style(Slot::Muted))];
    let frame = Frame { title: &title, note: &note, focused: true, boxed: true };
    let inner = pane(state, theme, place, buf, &frame);
    let room = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let most = u16::try_from(lines.len()).unwrap_or(u16::MAX).saturating_sub(room.height);
    write(state, &lines, scroll.min(most), room, buf);
}

fn write(state: &State, lines: &[Line], scroll: u16, area: Rect, buf: &mut Buffer) {
    for (row, line) in lines.iter().skip(usize::from(scroll)).take(usize::from(area.height)).enumerate() {
        Pen::new(buf, area, u16::try_from(row).unwrap_or(u16::MAX), state).spans(line);
    }
}

fn event_lines(state: &State, theme: &Theme, serial: u64, columns: u16) -> Vec<Line> {
    let muted = theme.style(Slot::Muted);
    let Some(line) = state.events.line(serial) else {
        return vec![vec![span("this event is no longer kept", muted)]];
    };
    let mut lines: Vec<Line> =
        wrap(&line.text, columns).into_iter().map(|text| vec![span(text, tone(theme, line.tone))]).collect();
    lines.push(Vec::new());
    lines.push(vec![span(label("when"), muted), span(stamp(line.at_us), theme.style(Slot::Text))]);
    if let Some(node) = line.node {
        lines.push(vec![span(label("where"), muted), span(node.to_string(), theme.style(Slot::Text))]);
    }
    if let Some(cause) = &line.cause {
        lines.push(vec![span(label("because"), muted), span(cause.clone(), theme.style(Slot::Text))]);
    }
    lines
}

fn label(word: &str) -> String {
    format!("{word:<LABEL$}")
}

/// A word and a value over as many lines as it takes.
fn told(word: &str, value: &str, slot: Slot, theme: &Theme, columns: u16) -> Vec<Line> {
    let muted = theme.style(Slot::Muted);
    let parts = wrap(value, columns.saturating_sub(LABEL as u16)).into_iter().enumerate();
    parts
        .map(|(at, part)| vec![span(label(if at == 0 { word } else { "" }), muted), span(part, theme.style(slot))])
        .collect()
}

/// What a node is, why, and how it is heard.
fn life_lines(context: &Context<'_>, node: &NodeView, columns: u16) -> Vec<Line> {
    let theme = context.theme;
    let (role, style) = context.role(node, false);
    let mut lines = vec![vec![span(label("is"), theme.style(Slot::Muted)), span(role, style)]];
    let stale = context.state.stale_us(node);
    let why = match &node.life {
        Life::Halted { why } => Some((clean(why), Slot::Bad)),
        Life::Unreachable { why, .. } => {
            Some((format!("{}. Whether it runs cannot be known from here", clean(why)), Slot::Warn))
        }
        Life::Paused => {
            let why = "frozen where it stands, as by SIGSTOP: its timers will fire late. P lets it go on";
            Some((String::from(why), Slot::Warn))
        }
        Life::Running if let Some(age_us) = stale => {
            let what = format!("{}, {} ago: what it does now is not known", node.role.name(), age(age_us));
            Some((format!("it was heard last as {what}"), Slot::Warn))
        }
        Life::Starting | Life::Running | Life::Crashed { .. } => None,
    };
    if let Some((why, slot)) = why {
        lines.extend(told("because", &why, slot, theme, columns));
    }
    if let Some(reach) = &node.reach {
        let unknown = context.glyphs.unknown;
        let or_unknown = |text: &str| if text.is_empty() { String::from(unknown) } else { clean(text) };
        let old =
            context.state.age_us(node).map_or_else(|| String::from("never heard"), |us| format!("age {}", age(us)));
        let round_trip = reach.round_trip_us.map_or_else(|| String::from(unknown), duration);
        let (address, heard) = (or_unknown(&reach.address), format!("{old}  rtt {round_trip}"));
        // Numbers that change must not move lines: in a narrow panel they have one of their own.
        if usize::from(columns) >= LABEL + address.chars().count() + 2 + HEARD {
            lines.extend(told("at", &format!("{address}  {heard}"), Slot::Text, theme, columns));
        } else {
            lines.extend(told("at", &address, Slot::Text, theme, columns));
            lines.extend(told("heard", &heard, Slot::Text, theme, columns));
        }
        lines.extend(told("program", &format!("raft-tui {}", or_unknown(&reach.version)), Slot::Text, theme, columns));
    }
    for alarm in context.view.alarms.iter().filter(|alarm| alarm.node == node.id) {
        lines.extend(told("alarm", &clean(&alarm.text), Slot::Bad, theme, columns));
    }
    lines
}

/// Faults in force, and what the other nodes found wrong.
fn cluster_lines(context: &Context<'_>, node: &NodeView, columns: u16) -> Vec<Line> {
    let theme = context.theme;
    let mut lines = Vec::new();
    for fault in &context.view.faults {
        let text = format!("#{} {}", fault.number, fault_words(context.state, fault));
        lines.extend(told("fault", &text, Slot::Warn, theme, columns));
    }
    for alarm in context.view.alarms.iter().filter(|alarm| alarm.node != node.id) {
        lines.extend(told("alarm", &alarm_words(alarm), Slot::Bad, theme, columns));
    }
    if !lines.is_empty() {
        lines.insert(0, Vec::new());
    }
    lines
}

fn node_lines(context: &Context<'_>, node: &NodeView, columns: u16) -> Vec<Line> {
    let mut lines = life_lines(context, node, columns);
    if node.was_heard() {
        lines.extend(number_lines(context, node, columns));
    }
    lines
}

fn number_lines(context: &Context<'_>, node: &NodeView, columns: u16) -> Vec<Line> {
    let theme = context.theme;
    let is_fresh = context.is_fresh(node);
    let text = theme.style(if is_fresh { Slot::Text } else { Slot::Muted });
    let muted = theme.style(Slot::Muted);
    let unknown = context.glyphs.unknown;
    let mut lines: Vec<Line> = Vec::new();
    let room = columns.saturating_sub(LABEL as u16);
    let mut say = |word: &str, value: String| {
        for (at, part) in wrap(&value, room).into_iter().enumerate() {
            lines.push(vec![span(label(if at == 0 { word } else { "" }), muted), span(part, text)]);
        }
    };
    let name = |id: Option<crate::raft::NodeId>| id.map_or_else(|| String::from(unknown), |id| id.to_string());
    let time = |us: Option<u64>| us.map_or_else(|| String::from(unknown), duration);
    say("term", format!("{}, voted for {}, follows {}", node.term, name(node.voted_for), name(node.leader)));
    let snapshot = if node.snapshot.0 == 0 { String::new() } else { format!(", snapshot {}", node.snapshot) };
    let log = if node.last.index < node.first_index {
        format!("empty{snapshot}")
    } else {
        format!("{} to {}, last term {}{snapshot}", node.first_index, node.last.index, node.last.term)
    };
    say("log", log);
    say("", format!("durable {}  commit {}  apply {}", node.durable, node.commit, node.applied));
    say("state", format!("digest {} at {}", node.digest, node.applied));
    if is_fresh {
        let timer = match (node.role, node.heartbeat) {
            (Role::Leader, Some((left, of))) => {
                format!("heartbeat in {}, each {}", duration(left * TICK_US), duration(of * TICK_US))
            }
            _ => format!(
                "election {} of {}",
                duration(node.election_elapsed * TICK_US),
                duration(node.election_timeout * TICK_US)
            ),
        };
        say("timer", timer);
        if matches!(node.role, Role::Candidate | Role::PreCandidate) {
            let votes: Vec<String> = node.votes.iter().map(ToString::to_string).collect();
            say("votes", format!("{} of {}: {}", votes.len(), context.view.quorum(), votes.join(" ")));
        }
        if let Some((done, all)) = node.receiving {
            say("receives", format!("snapshot, {} of {} ({}%)", bytes(done), bytes(all), percent(done, all)));
        }
        say(
            "messages",
            format!(
                "in {}/s ({}), out {}/s ({})",
                rate(node.in_per_second),
                node.messages_in,
                rate(node.out_per_second),
                node.messages_out
            ),
        );
    }
    say("disk", format!("sync p50 {} p99 {}, life {}", time(node.sync.p50_us), time(node.sync.p99_us), node.epoch));
    if node.is_running() && node.role == Role::Leader {
        say("commit", format!("p50 {} p99 {}", time(node.commit_latency.p50_us), time(node.commit_latency.p99_us)));
    }
    if node.quarantined {
        let why = "may have lost entries: neither votes nor counts until the leader made its log whole";
        for part in wrap(why, columns) {
            lines.push(vec![span(part, theme.style(Slot::Quarantined))]);
        }
    }
    lines.extend(link_lines(context, node, columns));
    for note in &node.notes {
        for part in wrap(&clean(note), columns) {
            lines.push(vec![span(part, theme.style(Slot::Warn))]);
        }
    }
    lines
}

/// What is done to messages to and from the node.
fn link_lines(context: &Context<'_>, node: &NodeView, columns: u16) -> Vec<Line> {
    let theme = context.theme;
    let mut cut_both = Vec::new();
    let mut others = Vec::new();
    for other in context.view.nodes.iter().map(|other| other.id).filter(|id| *id != node.id) {
        let whole = |from, to| context.view.rules_on(from, to).any(|rule| rule == LinkRule::Cut { kind: None });
        if whole(node.id, other) && whole(other, node.id) {
            cut_both.push(other.to_string());
            continue;
        }
        for (from, to) in [(node.id, other), (other, node.id)] {
            for rule in context.view.rules_on(from, to) {
                let said = match rule {
                    LinkRule::Cut { kind: None } => String::from("cut"),
                    LinkRule::Cut { kind: Some(kind) } => format!("no {kind}"),
                    LinkRule::Delay { delay_us, .. } => format!("+{}", duration(delay_us)),
                    LinkRule::Loss { per_million } => format!("{}% lost", per_million / 10_000),
                    LinkRule::Duplicate { per_million } => format!("{}% twice", per_million / 10_000),
                    LinkRule::Reorder { per_million } => format!("{}% reordered", per_million / 10_000),
                };
                others.push(format!("{from}{}{to} {said}", context.glyphs.to));
            }
        }
    }
    let mut lines = Vec::new();
    let style = theme.style(Slot::Warn);
    let muted = theme.style(Slot::Muted);
    if !cut_both.is_empty() {
        lines.push(vec![span(label("cut from"), muted), span(cut_both.join(" "), style)]);
    }
    if !others.is_empty() {
        let wide = columns.saturating_sub(LABEL as u16);
        for (at, part) in wrap(&others.join("; "), wide).into_iter().enumerate() {
            lines.push(vec![span(label(if at == 0 { "links" } else { "" }), muted), span(part, style)]);
        }
    }
    lines
}

/// A leader's followers, as it knows them.
fn peer_lines(context: &Context<'_>, node: &NodeView) -> Vec<Line> {
    if node.peers.is_empty() || !node.is_running() {
        return Vec::new();
    }
    let theme = context.theme;
    let heading = theme.style(Slot::Heading);
    let wide = usize::from(layout::name_width(context.state));
    let mut lines = vec![
        Vec::new(),
        vec![span(
            format!("{:<wide$}  {:>7} {:>7}  {:<9} {:>6} {:>7}", "#", "match", "next", "fed by", "flying", "silent"),
            heading,
        )],
    ];
    for peer in &node.peers {
        let mode = match (peer.mode, peer.snapshot) {
            (Mode::Probe, _) => String::from("probe"),
            (Mode::Replicate, _) => String::from("replicate"),
            (Mode::Snapshot, Some((done, all))) => format!("snap {}%", percent(done, all)),
            (Mode::Snapshot, None) => String::from("snapshot"),
        };
        let silent = duration(peer.silent_ticks * TICK_US);
        let text = format!(
            "{:<wide$}  {:>7} {:>7}  {:<9} {:>6} {:>7}",
            peer.id,
            peer.match_index,
            peer.next_index,
            cut(&mode, 9, context.glyphs),
            peer.in_flight_messages,
            silent
        );
        let slot = if peer.counted && peer.silent_ticks < 30 { Slot::Text } else { Slot::Warn };
        lines.push(vec![span(text, theme.style(slot))]);
    }
    lines
}
