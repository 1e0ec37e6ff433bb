//! What the cluster tells.
//!
//! Kept true: only here does the picture of the cluster change.

use std::sync::Arc;

use super::toast;
use crate::control::{Answer, ClusterView, Happened, Life, Observation, What};
use crate::raft::{EventKind, NodeId};
use crate::tui::clean::clean;
use crate::tui::command;
use crate::tui::state::{State, Tone};

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
pub(super) fn on_observation(state: &mut State, observation: Observation) {
    match observation {
        Observation::Happened(happened) => on_happened(state, &happened),
        Observation::Answered { id, answer } => {
            let Some(place) = state.asked.iter().position(|asked| asked.id == id) else { return };
            let asked = state.asked.remove(place);
            let (sentence, tone) = command::answer(&answer);
            let at_us = state.view.now_us;
            state.events.push(at_us, None, format!("$ {}: {sentence}", asked.line), None, tone);
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
}

fn on_happened(state: &mut State, happened: &Happened) {
    let Some(sentence) = sentence(happened) else { return };
    let cause = match &happened.what {
        What::Node { event, .. } => Some(event.cause.to_string()),
        What::Life { .. }
        | What::Note { .. }
        | What::Applied { .. }
        | What::Faults { .. }
        | What::Dropped { .. }
        | What::Clock { .. } => None,
    };
    state.events.push(happened.at_us, node(&happened.what), clean(&sentence), cause, tone(&happened.what));
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

fn tone(what: &What) -> Tone {
    match what {
        What::Life { life: Life::Crashed { .. } | Life::Halted { .. }, .. } => Tone::Bad,
        What::Life { life: Life::Starting | Life::Running, .. } => Tone::Good,
        What::Note { .. } | What::Faults { .. } => Tone::Warn,
        What::Clock { .. } => Tone::Info,
        What::Applied { .. } => Tone::Plain,
        What::Dropped { .. } => Tone::Quiet,
        What::Node { event, .. } => tone_of(&event.kind),
    }
}

fn tone_of(kind: &EventKind) -> Tone {
    match kind {
        EventKind::BecameLeader => Tone::Good,
        EventKind::Violated { .. } | EventKind::Quarantined | EventKind::PeerLostData { .. } => Tone::Bad,
        EventKind::SteppedDown { .. } | EventKind::Truncated { .. } | EventKind::ElectionTimeout { .. } => Tone::Warn,
        EventKind::BecameCandidate
        | EventKind::BecamePreCandidate { .. }
        | EventKind::SnapshotInstalled { .. }
        | EventKind::QuarantineLeft => Tone::Info,
        EventKind::Started { .. }
        | EventKind::VoteCounted { .. }
        | EventKind::BecameFollower { .. }
        | EventKind::Voted { .. }
        | EventKind::VoteRefused { .. }
        | EventKind::PreVoteGranted { .. }
        | EventKind::Committed { .. }
        | EventKind::PeerRejected { .. }
        | EventKind::PeerMode { .. }
        | EventKind::PeerRestarted { .. }
        | EventKind::SnapshotTaken { .. }
        | EventKind::SnapshotReceived { .. } => Tone::Plain,
        EventKind::Appended { .. }
        | EventKind::Durable { .. }
        | EventKind::Applied { .. }
        | EventKind::Compacted { .. }
        | EventKind::Ignored { .. } => Tone::Quiet,
    }
}

/// The sentence for the panel; `None` for what only a dense listing would show.
fn sentence(happened: &Happened) -> Option<String> {
    crate::control::narrate::sentence(happened).or_else(|| plain(&happened.what))
}

fn plain(what: &What) -> Option<String> {
    Some(match what {
        What::Node { event, node } => match &event.kind {
            EventKind::Durable { .. } | EventKind::Applied { .. } | EventKind::Appended { .. } => return None,
            EventKind::Ignored { .. } | EventKind::Compacted { .. } => return None,
            EventKind::Started { .. }
            | EventKind::ElectionTimeout { .. }
            | EventKind::BecamePreCandidate { .. }
            | EventKind::BecameCandidate
            | EventKind::VoteCounted { .. }
            | EventKind::BecameLeader
            | EventKind::BecameFollower { .. }
            | EventKind::SteppedDown { .. }
            | EventKind::Voted { .. }
            | EventKind::VoteRefused { .. }
            | EventKind::PreVoteGranted { .. }
            | EventKind::Truncated { .. }
            | EventKind::Committed { .. }
            | EventKind::PeerRejected { .. }
            | EventKind::PeerMode { .. }
            | EventKind::PeerRestarted { .. }
            | EventKind::PeerLostData { .. }
            | EventKind::SnapshotTaken { .. }
            | EventKind::SnapshotReceived { .. }
            | EventKind::SnapshotInstalled { .. }
            | EventKind::Quarantined
            | EventKind::QuarantineLeft
            | EventKind::Violated { .. } => format!("{node} {}, term {}", event.kind, event.term),
        },
        What::Life { node, life } => match life {
            Life::Starting => format!("{node} starts"),
            Life::Running => format!("{node} runs"),
            Life::Crashed { .. } => format!("{node} crashed"),
            Life::Halted { why } => format!("{node} halted: {why}"),
        },
        What::Note { node, note } => format!("{node}: {note}"),
        What::Applied { node, index, command } => format!("{node} applied {index}: {command}"),
        What::Faults { what } | What::Clock { what } => what.clone(),
        What::Dropped { from, to, kind, count } => format!("{from} to {to}: {count} {kind} did not arrive"),
    })
}
