//! The two lines on top: who leads and who agrees; do writes go through, and what is broken.
//!
//! Kept true: whole statements are left out, the least important first, before any is cut.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::widgets::{Pen, Span, age, counted, cut, per_second, rate, span, spans_width};
use crate::control::{
    Access, ActiveFault, Alarm, ClusterView, Held, Life, LinkRule, Mode, NodeView, STALE_US, WritesStand,
};
use crate::raft::Role;
use crate::tui::clean::clean;
use crate::tui::command::duration;
use crate::tui::glyphs::Glyphs;
use crate::tui::state::State;
use crate::tui::theme::{Slot, Theme};

/// Columns from which the console's own cost is shown.
const WIDE: u16 = 120;
/// Columns of a usual terminal: with them the mode is said in full.
const USUAL: u16 = 80;
/// Columns from which the clock of a cluster that runs elsewhere has room.
const ROOMY: u16 = 100;

/// A statement, with a shorter form, and how long it is kept when there is no room.
struct Statement {
    keep: u8,
    long: Vec<Span>,
    short: Vec<Span>,
}

fn say(keep: u8, long: Vec<Span>) -> Statement {
    Statement { keep, short: long.clone(), long }
}

/// From this on what matters is said in full if others had to go for it.
const GROWS: u8 = 9;

/// Chooses what fits: long forms, then short ones, then fewer statements.
fn choose(statements: Vec<Statement>, room: u16, gap: u16) -> Vec<Vec<Span>> {
    let mut full: Vec<Vec<Span>> = statements.iter().map(|one| one.long.clone()).collect();
    let mut statements = statements;
    let total = |statements: &[Statement]| {
        let used: u16 = statements.iter().map(|one| spans_width(&one.long)).fold(0, u16::saturating_add);
        used.saturating_add(gap * u16::try_from(statements.len().saturating_sub(1)).unwrap_or(0))
    };
    while total(&statements) > room {
        let shorten = |one: &&mut Statement| spans_width(&one.short) < spans_width(&one.long);
        if let Some(statement) = statements.iter_mut().filter(shorten).min_by_key(|one| one.keep) {
            statement.long = statement.short.clone();
        } else if statements.len() > 1 {
            let least = (0..statements.len()).min_by_key(|at| statements[*at].keep).unwrap_or(0);
            statements.remove(least);
            full.remove(least);
        } else {
            break;
        }
    }
    for at in 0..statements.len() {
        let more = spans_width(&full[at]).saturating_sub(spans_width(&statements[at].long));
        if statements[at].keep == GROWS && total(&statements).saturating_add(more) <= room {
            statements[at].long.clone_from(&full[at]);
        }
    }
    statements.into_iter().map(|one| one.long).collect()
}

/// Who leads, as far as the nodes say.
fn leadership(state: &State, theme: &Theme, glyphs: &Glyphs) -> Vec<Statement> {
    let view = &state.view;
    let leaders = view.self_declared_leaders();
    let bad = theme.style(Slot::Bad);
    let leads = theme.style(Slot::Leader);
    match leaders[..] {
        [] => {
            let mut out = vec![say(10, vec![span("no leader", bad)])];
            if let Some(candidate) = campaigning(view) {
                let asked = if candidate.role == Role::Candidate { "asks for votes" } else { "asks for pre-votes" };
                let text = format!(
                    "{} {} {asked} {}/{}",
                    glyphs.node(candidate),
                    candidate.id,
                    candidate.votes.len(),
                    view.quorum()
                );
                out.push(say(9, vec![span(text, theme.style(Slot::Candidate))]));
            }
            out
        }
        [leader] => {
            let believers = format!("{}/{}", view.believers(leader), view.nodes.len());
            let text = format!("{} {} leads t{}", glyphs.leader, leader.id, leader.term);
            let muted = theme.style(Slot::Muted);
            vec![
                say(10, vec![span(text, leads)]),
                Statement {
                    keep: 6,
                    long: vec![span(format!("believed by {believers}"), muted)],
                    short: vec![span(format!("{believers} agree"), muted)],
                },
            ]
        }
        [newest, ..] => {
            let mut named: Vec<&NodeView> = leaders.clone();
            named.sort_by_key(|leader| leader.id);
            let stale = |leader: &&NodeView| if leader.term < newest.term { " (stale)" } else { "" };
            let each: Vec<String> =
                named.iter().map(|leader| format!("{}@t{}{}", leader.id, leader.term, stale(leader))).collect();
            let text = format!("{} SELF-DECLARED LEADERS {}", leaders.len(), each.join(" "));
            let short = format!("{} LEADERS {}", leaders.len(), each.join(" "));
            let short = vec![span(short, bad)];
            vec![Statement { keep: 10, long: vec![span(text, bad)], short }]
        }
    }
}

fn campaigning(view: &ClusterView) -> Option<&NodeView> {
    let campaigns = |role| {
        view.nodes.iter().filter(move |node| node.is_running() && node.role == role).max_by_key(|node| node.votes.len())
    };
    campaigns(Role::Candidate).or_else(|| campaigns(Role::PreCandidate))
}

/// How the cluster is held.
fn held(view: &ClusterView, theme: &Theme) -> Span {
    let slot = match view.held {
        Held::Lab => Slot::Lab,
        Held::Processes => Slot::Processes,
        Held::Remote => Slot::Live,
    };
    span(format!("[{}]", view.held.name()), theme.style(slot))
}

/// Minutes and seconds that are left of a time box.
fn time_left(us: u64) -> String {
    let seconds = us / 1_000_000;
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

/// What the console may do now, in words; empty for one that owns its cluster.
pub(super) fn mode_word(state: &State) -> String {
    match &state.view.mode {
        Mode::Own => String::new(),
        Mode::Observe => String::from("OBSERVE read-only"),
        Mode::Armed { left_us, .. } => {
            let left = time_left(state.left_us(*left_us));
            format!("{} {left} left", state.view.mode.name().to_uppercase())
        }
    }
}

/// What the console may do now, as a band.
fn mode(state: &State, theme: &Theme) -> Option<Statement> {
    let slot = match &state.view.mode {
        Mode::Own => return None,
        Mode::Observe => Slot::Observe,
        Mode::Armed { access: Access::Chaos, .. } => Slot::Drill,
        Mode::Armed { access: Access::Viewer | Access::Operator, .. } => Slot::Operate,
    };
    let style = theme.style(slot);
    let long = mode_word(state);
    let cut = long.strip_suffix(" read-only").or_else(|| long.strip_suffix(" left"));
    let short = cut.filter(|_| state.width < USUAL).unwrap_or(&long);
    let (short, long) = (vec![span(format!(" {short} "), style)], vec![span(format!(" {long} "), style)]);
    Some(Statement { keep: 9, long, short })
}

/// How old the oldest picture is of the nodes that are heard, and how far away the farthest is.
fn reach(state: &State, theme: &Theme, width: u16) -> Vec<Span> {
    let view = &state.view;
    let muted = theme.style(Slot::Muted);
    let heard = || view.nodes.iter().filter(|node| node.is_running());
    let Some(oldest) = heard().filter_map(|node| state.age_us(node)).max() else {
        return vec![span("age ", muted), span(Glyphs::of(state.ascii).unknown, muted)];
    };
    let style = theme.style(if oldest >= STALE_US { Slot::Warn } else { Slot::Muted });
    let mut out = vec![span(format!("age {}", age(oldest)), style)];
    let farthest = heard().filter_map(|node| node.reach.as_ref()?.round_trip_us).max();
    if let Some(us) = farthest {
        let us = if us < 1_000 { us } else { us / 1_000 * 1_000 };
        out.push(span(format!(" rtt {}", duration(us)), muted));
    }
    if let Some(bytes) = view.console_bytes_per_second.filter(|_| width >= WIDE) {
        out.push(span(format!("  {}", per_second(bytes)), muted));
    }
    out
}

fn pace(state: &State, theme: &Theme, glyphs: &Glyphs) -> Vec<Span> {
    if state.gone {
        let text = if state.view.held == Held::Remote { " CONNECTION ENDED " } else { " CLUSTER ENDED " };
        return vec![span(text, theme.style(Slot::Violation))];
    }
    if state.view.stopped {
        let text = if state.view.held == Held::Processes { " CLUSTER STOPPED (SIGSTOP) " } else { " CLUSTER STOPPED " };
        return vec![span(text, theme.style(Slot::Stopped))];
    }
    if state.view.held == Held::Remote {
        return reach(state, theme, state.width);
    }
    let pace = state.view.pace;
    let word = match pace.cluster.cmp(&pace.real) {
        std::cmp::Ordering::Less => "slowed",
        std::cmp::Ordering::Equal => "real time",
        std::cmp::Ordering::Greater => "sped up",
    };
    let number = if pace.cluster == pace.real { String::new() } else { format!("{pace} ") };
    let style = theme.style(if pace.cluster == pace.real { Slot::Muted } else { Slot::Info });
    vec![span(format!("{number}{word} {}", glyphs.running), style)]
}

/// Who leads, how many are up, how fast time runs.
pub(super) fn draw(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let glyphs = Glyphs::of(state.ascii);
    let view = &state.view;
    let bar = theme.style(Slot::Bar);
    let muted = theme.style(Slot::Muted);
    buf.set_style(area, bar);
    let seconds = view.now_us / 1_000_000;
    let clock = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    let mut right = pace(state, theme, glyphs);
    let is_short = view.held == Held::Remote && area.width < ROOMY;
    right.push(if is_short { span(" ", bar) } else { span(format!(" {clock} "), bar) });

    let up = format!("{}/{} up", view.running(), view.nodes.len());
    let up_slot = if view.running() == view.nodes.len() { Slot::Ok } else { Slot::Warn };
    // Whoever attaches somewhere has to see where.
    let name = clean(&view.name);
    let name = if view.held == Held::Remote {
        let short = vec![span(cut(&name, 12, glyphs).into_owned(), bar)];
        Statement { keep: 8, long: vec![span(name, bar)], short }
    } else {
        say(2, vec![span(name, muted)])
    };
    let mut statements = vec![
        say(3, vec![span("raft-tui", bar)]),
        name,
        say(if view.held == Held::Remote { 7 } else { 5 }, vec![held(view, theme)]),
        say(8, vec![span(up, theme.style(up_slot))]),
        say(4, vec![span(format!("quorum {}", view.quorum()), muted)]),
    ];
    if let Some(mode) = mode(state, theme) {
        statements.insert(3, mode);
    }
    statements.extend(leadership(state, theme, glyphs));
    // The clock goes first, then the pace, before what is said of the leader is cut.
    let needed = statements.iter().filter(|one| one.keep == 10).map(|one| spans_width(&one.short)).max().unwrap_or(0);
    while !right.is_empty() && needed + 3 + spans_width(&right) > area.width {
        right.pop();
    }
    let room = area.width.saturating_sub(2 + spans_width(&right));
    let chosen = choose(statements, room, 2);
    let mut pen = Pen::new(buf, Rect { width: room.saturating_add(1).min(area.width), ..area }, 0, state);
    pen.skip(1);
    for statement in chosen {
        pen.spans(&statement).skip(2);
    }
    let column = area.right().saturating_sub(spans_width(&right));
    let mut pen = Pen::new(buf, area, 0, state);
    pen.to(column).spans(&right);
}

/// Whether writes go through, as a person would say it.
pub(super) fn writes(state: &State, theme: &Theme) -> (Vec<Span>, Vec<Span>) {
    let view = &state.view;
    match &view.writes {
        WritesStand::Stalled { why } => {
            let bad = theme.style(Slot::Violation);
            let why = clean(why);
            let word = span(" WRITES STALLED ", bad);
            let long = vec![word, span(format!(" {why}"), theme.style(Slot::Bad))];
            (long.clone(), long)
        }
        WritesStand::Available => {
            let good = theme.style(Slot::Ok);
            let text = theme.style(Slot::Text);
            let mut long = vec![span("WRITES ok", good)];
            let mut short = long.clone();
            let latency = view.clients.latency;
            let show = |us: Option<u64>| us.map_or_else(|| String::from(Glyphs::of(state.ascii).unknown), duration);
            if view.clients.applied_per_second > 0.0 {
                let per_second = format!(" {}/s", rate(view.clients.applied_per_second));
                long.push(span(per_second.clone(), text));
                short.push(span(per_second, text));
            }
            if latency.p99_us.is_some() {
                long.push(span(format!(" p50 {} p99 {}", show(latency.p50_us), show(latency.p99_us)), text));
                short.push(span(format!(" p99 {}", show(latency.p99_us)), text));
            } else {
                long.push(span(", none yet", theme.style(Slot::Muted)));
            }
            (long, short)
        }
    }
}

/// What a node found wrong, and who says so.
pub(super) fn alarm_words(alarm: &Alarm) -> String {
    format!("{}: {}", alarm.node, clean(&alarm.text))
}

/// A fault with the time that is left of it and who put it there.
pub(super) fn fault_words(state: &State, fault: &ActiveFault) -> String {
    let seconds = |us: u64| duration(state.left_us(us) / 1_000_000 * 1_000_000);
    let left = fault.left_us.map_or_else(String::new, |us| format!("  {} left", seconds(us)));
    let by = fault.by.as_ref().map_or_else(String::new, |by| format!("  by {}", clean(by)));
    format!("{}{left}{by}", clean(&fault.text))
}

/// How many more nodes may fail before writes stop.
fn tolerates(view: &ClusterView) -> String {
    let Some(leader) = view.leader() else { return String::from("tolerates no failure") };
    let cut = |from, to| view.rules_on(from, to).any(|rule| rule == LinkRule::Cut { kind: None });
    let reaches = |node: &NodeView| node.id == leader.id || !cut(leader.id, node.id) && !cut(node.id, leader.id);
    let able = view.nodes.iter().filter(|node| node.is_running() && !node.quarantined && reaches(node)).count();
    match able.saturating_sub(view.quorum()) {
        0 => String::from("tolerates no failure"),
        spare => format!("tolerates {}", counted(spare, "more failure", "more failures")),
    }
}

/// Do writes go through, and what is broken.
pub(super) fn draw_verdict(state: &State, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let glyphs = Glyphs::of(state.ascii);
    let view = &state.view;
    let (long, short) = writes(state, theme);
    let mut statements = vec![Statement { keep: 10, long, short }];
    for node in &view.nodes {
        if let Life::Halted { why } = &node.life {
            let text = format!("{} HALTED: {}", node.id, clean(why));
            let short = format!("{} HALTED", node.id);
            let style = theme.style(Slot::Bad);
            statements.push(Statement { keep: 9, long: vec![span(text, style)], short: vec![span(short, style)] });
        }
    }
    if view.writes == WritesStand::Available {
        let text = tolerates(view);
        let style = theme.style(if text.ends_with("no failure") { Slot::Warn } else { Slot::Text });
        statements.push(say(7, vec![span(text, style)]));
    }
    if !view.alarms.is_empty() {
        let style = theme.style(Slot::Bad);
        let text = format!("ALARMS {}: {}", view.alarms.len(), alarm_words(&view.alarms[0]));
        let short = vec![span(format!("ALARMS {}", view.alarms.len()), style)];
        statements.push(Statement { keep: 9, long: vec![span(text, style)], short });
    }
    if view.chaos && view.held != Held::Lab {
        let style = theme.style(Slot::Chaos);
        statements.push(say(8, vec![span("CHAOS ENABLED", style)]));
    }
    if view.values_masked {
        statements.push(say(5, vec![span("values masked", theme.style(Slot::Muted))]));
    }
    let faults = faults(state, theme, area.width, glyphs);
    if let Some(load) = view.load {
        let left = load.left_us.map_or_else(String::new, |us| format!(" for {}", duration(us)));
        statements.push(say(6, vec![span(format!("LOAD {}/s{left}", load.per_second), theme.style(Slot::Info))]));
    }
    statements.push(faults);
    if view.dropped_details > 0 {
        let text = format!("{} details dropped", view.dropped_details);
        statements.push(say(1, vec![span(text, theme.style(Slot::Muted))]));
    }
    let line = theme.style(Slot::Border);
    let chosen = choose(statements, area.width.saturating_sub(2), 3);
    let last = chosen.len().saturating_sub(1);
    let mut pen = Pen::new(buf, area, 0, state);
    pen.skip(1);
    for (at, statement) in chosen.iter().enumerate() {
        pen.spans(statement);
        if at < last {
            pen.put(" ", line).put(glyphs.separator, line).put(" ", line);
        }
    }
}

fn faults(state: &State, theme: &Theme, columns: u16, glyphs: &Glyphs) -> Statement {
    let faults = &state.view.faults;
    let style: Style = theme.style(Slot::Warn);
    if faults.is_empty() {
        return say(2, vec![span("no faults", theme.style(Slot::Muted))]);
    }
    let list: Vec<String> = faults.iter().map(|fault| fault_words(state, fault)).collect();
    let text = format!("FAULTS {}: {}", faults.len(), list.join("; "));
    let first: Vec<String> = faults.iter().map(|fault| clean(&fault.text)).collect();
    let left = faults[0].left_us.map(|us| format!(" {}", duration(state.left_us(us) / 1_000_000 * 1_000_000)));
    let named = format!(
        "{}{}",
        cut(&first.join("; "), 18 + columns.saturating_sub(USUAL) / 3, glyphs),
        left.unwrap_or_default()
    );
    let short = vec![span(format!("FAULTS {}: {named}", faults.len()), style)];
    Statement { keep: 8, long: vec![span(text, style)], short }
}
