//! The main screen: moving about, and acting on the selected node.

use super::{ask, dialog, partition, prompt, toast};
use crate::control::{Life, LinkRule, Links, Operation, Pace, Target};
use crate::raft::{Index, NodeId};
use crate::tui::action::Browse;
use crate::tui::command;
use crate::tui::effect::Effect;
use crate::tui::event::{Code, Key};
use crate::tui::layout;
use crate::tui::state::{Detail, EventsAt, Help, LogScroll, Mode, Pane, PromptKind, State, Tone};

/// Carries an action out.
pub(super) fn act(state: &mut State, action: Browse, key: Key) -> Vec<Effect> {
    let target = Target::Node(state.selected);
    match action {
        Browse::Up => vertical(state, -1),
        Browse::Down => vertical(state, 1),
        Browse::Left => scroll_log(state, -1),
        Browse::Right => scroll_log(state, 1),
        Browse::First => edge(state, true),
        Browse::Last => edge(state, false),
        Browse::PageUp => page(state, -1),
        Browse::PageDown => page(state, 1),
        Browse::NextPane => next_pane(state, 1),
        Browse::PreviousPane => next_pane(state, Pane::ALL.len() - 1),
        Browse::Digit => digit(state, key),
        Browse::Open => {
            let of = match (state.focus, state.events.at) {
                (Pane::Events, Some(at)) => Some(Detail::Event(at.selected)),
                (Pane::Events, None) => state.events.newest().map(Detail::Event),
                (Pane::Nodes | Pane::Log, _) => Some(Detail::Node),
            };
            if let Some(of) = of {
                state.mode = Mode::Detail { of, scroll: 0 };
            }
        }
        Browse::Zoom => state.zoomed = !state.zoomed,
        Browse::Follow => {
            state.log = LogScroll::Follow;
            state.events.at = None;
        }
        Browse::Back => back(state),
        Browse::Help => state.mode = Mode::Help(Help::default()),
        Browse::Command => prompt::open(state, PromptKind::Command),
        Browse::Crash => return ask(state, Operation::Crash(target)),
        Browse::Restart => return ask(state, Operation::Restart(target)),
        Browse::Pause => return pause(state),
        Browse::Arm => dialog::arm(state),
        Browse::Isolate => return isolate(state),
        Browse::Partition => partition::open(state),
        Browse::Heal => return ask(state, Operation::Heal),
        Browse::Submit => prompt::open(state, PromptKind::Submit),
        Browse::SubmitAgain => return prompt::again(state),
        Browse::Read => prompt::open(state, PromptKind::Read),
        Browse::Load => {
            if state.view.load.is_some() {
                return ask(state, Operation::LoadStop);
            }
            prompt::open(state, PromptKind::Load);
        }
        Browse::Clock => {
            let operation = if state.view.stopped { Operation::Resume } else { Operation::Stop };
            return ask(state, operation);
        }
        Browse::Slower => return pace(state, false),
        Browse::Faster => return pace(state, true),
        Browse::Theme => return vec![Effect::NextTheme],
        Browse::Glyphs => state.ascii = !state.ascii,
        Browse::Quit => {
            if state.zoomed {
                state.zoomed = false;
            } else {
                return dialog::quit(state);
            }
        }
    }
    Vec::new()
}

/// Freezes a node, or lets it go on when the cluster reports that it is paused.
fn pause(state: &mut State) -> Vec<Effect> {
    let node = state.selected;
    match state.selected_node().map(|node| &node.life) {
        Some(Life::Paused) => ask(state, Operation::Unpause(Target::Node(node))),
        // One key for both may not guess.
        Some(Life::Unreachable { .. }) => {
            let text = format!("nothing is heard of {node}: type :pause {node} or :unpause {node}");
            toast(state, Tone::Warn, text);
            Vec::new()
        }
        Some(Life::Starting | Life::Running | Life::Crashed { .. } | Life::Halted { .. }) | None => {
            ask(state, Operation::Pause(Target::Node(node)))
        }
    }
}

fn back(state: &mut State) {
    if state.toast.take().is_some() {
        return;
    }
    if state.zoomed {
        state.zoomed = false;
    } else if state.events.at.is_some() || state.log != LogScroll::Follow {
        state.log = LogScroll::Follow;
        state.events.at = None;
    } else {
        state.focus = Pane::Nodes;
    }
}

/// Cuts a node off, or lets it rejoin when the cluster reports that it is cut off.
fn isolate(state: &mut State) -> Vec<Effect> {
    let node = state.selected;
    let cut = |from: NodeId, to: NodeId| state.view.rules_on(from, to).any(|rule| rule == LinkRule::Cut { kind: None });
    let others: Vec<NodeId> = state.view.nodes.iter().map(|other| other.id).filter(|id| *id != node).collect();
    let alone = !others.is_empty() && others.iter().all(|other| cut(node, *other) && cut(*other, node));
    let operation = if alone { Operation::HealLinks(Links::Of(node)) } else { Operation::Isolate(Target::Node(node)) };
    ask(state, operation)
}

/// A step from the pace that was asked for last, so that two quick presses are two steps.
fn pace(state: &mut State, faster: bool) -> Vec<Effect> {
    let asked = state.asked.iter().rev().find_map(|asked| pace_of(&asked.operation));
    if let Some(pace) = command::next_pace(asked.unwrap_or(state.view.pace), faster) {
        return ask(state, Operation::Pace(pace));
    }
    let end = if faster { "the cluster runs in real time: it cannot go faster" } else { "1/100 is the slowest pace" };
    toast(state, Tone::Info, String::from(end));
    Vec::new()
}

fn pace_of(operation: &Operation) -> Option<Pace> {
    if let Operation::Pace(pace) = operation { Some(*pace) } else { None }
}

fn digit(state: &mut State, key: Key) {
    let Code::Char(c) = key.code else { return };
    let Some(digit) = c.to_digit(10) else { return };
    let id = NodeId(if digit == 0 { 10 } else { u64::from(digit) });
    if state.view.node(id).is_some() {
        state.selected = id;
    } else {
        toast(state, Tone::Warn, format!("there is no {id}: the cluster has {} nodes", state.view.nodes.len()));
    }
}

fn next_pane(state: &mut State, by: usize) {
    let here = Pane::ALL.iter().position(|pane| *pane == state.focus).unwrap_or(0);
    state.focus = Pane::ALL[(here + by) % Pane::ALL.len()];
}

fn vertical(state: &mut State, by: i64) {
    match state.focus {
        Pane::Nodes | Pane::Log => {
            let last = state.view.nodes.len().saturating_sub(1);
            let place = state.selected_place().saturating_add_signed(by as isize).min(last);
            if let Some(node) = state.view.nodes.get(place) {
                state.selected = node.id;
            }
        }
        Pane::Events => scroll_events(state, by),
    }
}

fn page(state: &mut State, by: i64) {
    let areas = layout::areas(state.width, state.height, state);
    match state.focus {
        Pane::Nodes => vertical(state, by * i64::from(areas.node_rows().max(1))),
        Pane::Log => scroll_log(state, by * i64::from(areas.log_columns(state).max(2) - 1)),
        Pane::Events => scroll_events(state, by * i64::from(areas.event_rows().max(2) - 1)),
    }
}

fn edge(state: &mut State, first: bool) {
    match state.focus {
        Pane::Nodes => {
            let node = if first { state.view.nodes.first() } else { state.view.nodes.last() };
            if let Some(node) = node {
                state.selected = node.id;
            }
        }
        Pane::Log if first => {
            let oldest = state.view.nodes.iter().map(|node| node.first_index).min().unwrap_or(Index(1));
            state.log = LogScroll::From(oldest.max(Index(1)));
        }
        Pane::Log => state.log = LogScroll::Follow,
        Pane::Events if first => state.events.at = None,
        Pane::Events => scroll_events(state, i64::MAX / 2),
    }
}

/// Moves the selection among the events: down is older.
fn scroll_events(state: &mut State, by: i64) {
    let rows = u64::from(layout::areas(state.width, state.height, state).event_rows().max(1));
    let (Some(newest), Some(oldest)) = (state.events.newest(), state.events.oldest()) else { return };
    let now = state.events.at.unwrap_or(EventsAt { top: newest, selected: newest });
    let moved = if state.events.at.is_none() && by == 1 { 0 } else { by };
    let selected = now.selected.saturating_add_signed(-moved).clamp(oldest, newest);
    if by < 0 && selected == newest && now.selected == newest {
        state.events.at = None;
        return;
    }
    let mut top = now.top.max(selected);
    if top - selected >= rows {
        top = selected + rows - 1;
    }
    state.events.at = Some(EventsAt { top, selected });
}

fn scroll_log(state: &mut State, by: i64) {
    let columns = u64::from(layout::areas(state.width, state.height, state).log_columns(state));
    let (first, last) = layout::log_range(state, columns);
    let lowest = state.view.nodes.iter().map(|node| node.first_index.0).min().unwrap_or(1).max(1);
    let end = state.view.nodes.iter().map(|node| node.last.index.0).max().unwrap_or(0);
    let next = first.saturating_add_signed(by).max(lowest.saturating_sub(1).max(1));
    let _ = last;
    state.log = if next + columns > end { LogScroll::Follow } else { LogScroll::From(Index(next)) };
}
