//! What the cluster tells.
//!
//! Kept true: only here does the picture of the cluster change.

use std::sync::Arc;

use super::toast;
use crate::control::narrate::{self, Severity};
use crate::control::{Answer, ClusterView, Happened, Observation, What};
use crate::raft::{EventKind, NodeId};
use crate::tui::clean::clean;
use crate::tui::command;
use crate::tui::effect::Effect;
use crate::tui::state::{EventLine, HISTORY_KEPT, Routine, State, Tone};

/// The cluster published what it is.
pub(super) fn on_view(state: &mut State, view: Arc<ClusterView>) {
    let old = &state.view;
    let same = old.nodes == view.nodes
        && old.faults == view.faults
        && old.links == view.links
        && old.writes == view.writes
        && old.clients == view.clients
        && old.load == view.load
        && (old.stopped, old.pace, &old.name) == (view.stopped, view.pace, &view.name)
        && (old.held, old.chaos, &old.alarms) == (view.held, view.chaos, &view.alarms)
        && (&old.mode, old.values_masked) == (&view.mode, view.values_masked)
        && old.console_bytes_per_second == view.console_bytes_per_second
        && old.now_us / 1_000_000 == view.now_us / 1_000_000
        && old.dropped_details == view.dropped_details;
    state.dirty |= !same;
    if view.node(state.selected).is_none()
        && let Some(first) = view.nodes.first()
    {
        state.selected = first.id;
    }
    state.view_at_ms = state.now_ms;
    state.view = view;
}

/// Something happened, or an operation was answered.
pub(super) fn on_observation(state: &mut State, observation: Observation) -> Vec<Effect> {
    match observation {
        Observation::Happened(happened) => on_happened(state, &happened),
        Observation::Answered { id, answer } => {
            let Some(place) = state.asked.iter().position(|asked| asked.id == id) else { return Vec::new() };
            let asked = state.asked.remove(place);
            if answer.is_good() && !state.own.contains(&asked.line) {
                state.own.push(asked.line.clone());
                let surplus = state.own.len().saturating_sub(HISTORY_KEPT);
                state.own.drain(..surplus);
            }
            if state.leaving.take_if(|leaving| *leaving == id).is_some() && answer.is_good() {
                return vec![Effect::Quit];
            }
            let (sentence, tone) = command::answer(&answer);
            // Views come now and then: an answer is not older than what happened before it.
            let latest = state.events.lines.back().map_or(0, |line| line.at_us);
            let at_us = state.view.now_us.max(latest);
            state.events.push(EventLine {
                serial: 0,
                at_us,
                last_us: at_us,
                node: None,
                text: format!("$ {}: {sentence}", asked.line),
                cause: None,
                tone,
                routine: None,
                times: 1,
            });
            let shown = match answer {
                // What the panels show by themselves needs no message.
                Answer::Done(_) => format!("$ {}: {sentence}", asked.line),
                Answer::Applied { .. } | Answer::Value { .. } | Answer::Status(_) => sentence,
                Answer::NotApplied { .. }
                | Answer::Unknown { .. }
                | Answer::Refused { .. }
                | Answer::TimedOut { .. } => {
                    format!("{}: {sentence}", asked.line)
                }
            };
            toast(state, tone, shown);
        }
    }
    Vec::new()
}

fn on_happened(state: &mut State, happened: &Happened) {
    let returned = match &happened.what {
        What::Life { node, life } => {
            let before = state.lives.insert(*node, life.clone());
            before.and_then(|before| narrate::returned(*node, &before, life))
        }
        What::Node { .. }
        | What::Note { .. }
        | What::Applied { .. }
        | What::Faults { .. }
        | What::Dropped { .. }
        | What::Clock { .. } => None,
    };
    let Some(sentence) = narrate::sentence(happened).or(returned) else { return };
    let cause = match &happened.what {
        What::Node { event, .. } => Some(event.cause.to_string()),
        What::Life { .. }
        | What::Note { .. }
        | What::Applied { .. }
        | What::Faults { .. }
        | What::Dropped { .. }
        | What::Clock { .. } => None,
    };
    let line = EventLine {
        serial: 0,
        at_us: happened.at_us,
        last_us: happened.at_us,
        node: node(&happened.what),
        text: clean(&sentence),
        cause,
        tone: tone(happened),
        routine: routine(happened),
        times: 1,
    };
    state.events.push(line);
    state.dirty = true;
}

fn node(what: &What) -> Option<NodeId> {
    match what {
        What::Node { node, .. } | What::Life { node, .. } | What::Note { node, .. } | What::Applied { node, .. } => {
            Some(*node)
        }
        What::Dropped { to, .. } => Some(*to),
        What::Faults { .. } | What::Clock { .. } => None,
    }
}

/// What is done all the time; many of them at once become one line.
fn routine(happened: &Happened) -> Option<Routine> {
    if let Some((_, term, vain)) = narrate::in_vain(happened) {
        return Some(Routine::Vain(vain, term));
    }
    match &happened.what {
        What::Applied { .. } => Some(Routine::Applied),
        What::Node { event, .. } if matches!(event.kind, EventKind::Committed { .. }) => Some(Routine::Committed),
        What::Node { .. }
        | What::Life { .. }
        | What::Note { .. }
        | What::Faults { .. }
        | What::Dropped { .. }
        | What::Clock { .. } => None,
    }
}

fn tone(happened: &Happened) -> Tone {
    if routine(happened) == Some(Routine::Committed) {
        return Tone::Quiet;
    }
    let good = match &happened.what {
        What::Node { event, .. } => matches!(event.kind, EventKind::BecameLeader | EventKind::QuarantineLeft),
        What::Life { .. }
        | What::Note { .. }
        | What::Applied { .. }
        | What::Faults { .. }
        | What::Dropped { .. }
        | What::Clock { .. } => false,
    };
    match narrate::severity(happened) {
        _ if good => Tone::Good,
        Severity::Error => Tone::Bad,
        Severity::Warn => Tone::Warn,
        Severity::Notice => Tone::Info,
        Severity::Info => Tone::Plain,
    }
}
