//! What an event changes, by mode. Pure: what the world has to do is returned as effects.
//!
//! Kept true: nothing in [`State::view`] comes from here; an action only asks, and the cluster's report is drawn.
//! Not here: who performs effects (`tui/mod.rs`), which key means what (`action.rs`).
#![deny(clippy::wildcard_enum_match_arm)]

mod browse;
pub mod danger;
pub mod dialog;
mod observed;
pub mod overlay;
mod partition;
mod prompt;

use super::action::{self, Action, Context, Global};
use super::command;
use super::dialog::{Dialog, Question};
use super::effect::Effect;
use super::event::{Event, Key};
use super::keymap::{self, Found};
use super::state::{Asked, Mode, State, Toast, Tone};
use crate::control::{Can, Operation, Request};

/// How long a short message stays, in milliseconds.
const TOAST_MS: u64 = 4_000;
/// Keys this soon after a paste are taken for its rest.
const PASTE_TAIL_MS: u64 = 50;

/// Takes note of an event.
pub fn update(state: &mut State, event: Event) -> Vec<Effect> {
    match event {
        Event::Key(key) => on_key(state, key),
        Event::Paste(text) => {
            on_paste(state, &text);
            Vec::new()
        }
        Event::Resize { width, height } => {
            (state.width, state.height) = (width, height);
            state.dirty = true;
            Vec::new()
        }
        Event::Tick { now_ms } => {
            on_tick(state, now_ms);
            Vec::new()
        }
        Event::View(view) => {
            observed::on_view(state, view);
            Vec::new()
        }
        Event::Observed(observation) => observed::on_observation(state, observation),
        Event::ThemeChanged { name } => {
            toast(state, Tone::Info, format!("theme {name}"));
            state.theme = name;
            Vec::new()
        }
        Event::ClusterGone => {
            state.gone = true;
            state.dirty = true;
            Vec::new()
        }
    }
}

/// Where keys are looked up.
#[must_use]
pub fn context(mode: &Mode) -> Context {
    match mode {
        Mode::Browse => Context::Browse,
        Mode::Prompt(_) => Context::Prompt,
        Mode::Partition(_) => Context::Partition,
        Mode::Help(_) | Mode::Detail { .. } => Context::Overlay,
        Mode::Dialog(Dialog::Pick(_)) => Context::Choice,
        Mode::Dialog(Dialog::Arm(_) | Dialog::Confirm(_)) => Context::Form,
    }
}

fn on_key(state: &mut State, key: Key) -> Vec<Effect> {
    let context = context(&state.mode);
    let typing = matches!(state.mode, Mode::Prompt(_) | Mode::Help(_));
    if !typing && state.pasted_at_ms.is_some_and(|at| state.now_ms < at + PASTE_TAIL_MS) {
        return Vec::new();
    }
    if dialog::swallows(state) {
        return Vec::new();
    }
    state.dirty = true;
    let before = state.prefix.take();
    if before.is_some() {
        state.toast = None;
    }
    match keymap::look_up(context, before, key) {
        Found::Action(action) => perform(state, action, key),
        Found::Prefix => {
            state.prefix = Some(key);
            let next: Vec<String> =
                keymap::continuations(context, key).iter().map(|(key, name)| format!("{key} {name}")).collect();
            toast(state, Tone::Info, format!("{key} … then {}", next.join("   ")));
            Vec::new()
        }
        Found::Nothing => {
            match &mut state.mode {
                Mode::Prompt(_) => prompt::edit(state, key),
                Mode::Help(help) => overlay::filter(help, key),
                Mode::Browse => {
                    let pressed = before.map_or_else(|| key.to_string(), |before| format!("{before} {key}"));
                    toast(state, Tone::Warn, format!("{pressed} does nothing here, ? lists the keys"));
                }
                Mode::Detail { .. } => return overlay::other_key(state, key),
                Mode::Dialog(_) => dialog::edit(state, key),
                Mode::Partition(_) => {
                    toast(state, Tone::Warn, format!("{key} does nothing here: a-f move, Enter applies, Esc cancels"));
                }
            }
            Vec::new()
        }
    }
}

/// Carries an action out, whoever chose it: a key, or the help.
fn perform(state: &mut State, action: Action, key: Key) -> Vec<Effect> {
    let need = action::row(action).map_or(action::Need::Nothing, |row| row.need);
    if let Can::No(why) = need.met(state.capabilities, &state.view.mode) {
        toast(state, Tone::Warn, format!("{key}: {why}"));
        return Vec::new();
    }
    match action {
        Action::Global(Global::Interrupt) => {
            match &state.mode {
                Mode::Browse => return dialog::quit(state),
                // Who insists is let go; faults end without their console.
                Mode::Dialog(Dialog::Pick(pick)) if pick.question == Question::Quit => return vec![Effect::Quit],
                Mode::Prompt(_) | Mode::Partition(_) | Mode::Help(_) | Mode::Detail { .. } | Mode::Dialog(_) => {}
            }
            state.mode = Mode::Browse;
            Vec::new()
        }
        Action::Global(Global::Redraw) => vec![Effect::Redraw],
        Action::Global(Global::Suspend) => vec![Effect::Suspend],
        Action::Browse(action) => browse::act(state, action, key),
        Action::Prompt(action) => prompt::act(state, action),
        Action::Partition(action) => partition::act(state, action, key),
        Action::Overlay(action) => overlay::act(state, action),
        Action::Dialog(action) => dialog::act(state, action, key),
    }
}

fn on_paste(state: &mut State, text: &str) {
    state.dirty = true;
    state.pasted_at_ms = Some(state.now_ms);
    match &mut state.mode {
        Mode::Prompt(_) => prompt::paste(state, text),
        Mode::Dialog(_) => dialog::paste(state, text),
        Mode::Help(_) | Mode::Browse | Mode::Partition(_) | Mode::Detail { .. } => {
            let first = "pasted text is taken only while a line is typed: press s or : first";
            toast(state, Tone::Warn, String::from(first));
        }
    }
}

fn on_tick(state: &mut State, now_ms: u64) {
    // Once a second something that counts seconds may have changed: how long a node is down, how old a wish is.
    if now_ms / 1000 != state.now_ms / 1000 {
        state.dirty = true;
    }
    state.now_ms = now_ms;
    if state.toast.as_ref().is_some_and(|toast| toast.until_ms <= now_ms) {
        state.toast = None;
        state.dirty = true;
    }
}

/// Shows a short message.
fn toast(state: &mut State, tone: Tone, text: String) {
    state.toast = Some(Toast { text, tone, until_ms: state.now_ms + TOAST_MS });
    state.dirty = true;
}

/// Asks the cluster for an operation; asks the person first, if much would be lost.
fn ask(state: &mut State, operation: Operation) -> Vec<Effect> {
    if matches!(operation, Operation::Quit) {
        return dialog::quit(state);
    }
    if dialog::confirm(state, &operation) {
        return Vec::new();
    }
    send(state, operation)
}

/// Asks the cluster for an operation, and notes that it was asked.
fn send(state: &mut State, operation: Operation) -> Vec<Effect> {
    let id = state.next_id;
    state.next_id += 1;
    let line = command::line(&operation);
    state.asked.push(Asked { id, line, operation: operation.clone(), at_ms: state.now_ms });
    state.dirty = true;
    vec![Effect::Ask(Request { id, operation })]
}

/// Shows why nothing was done.
fn toasted(state: &mut State, text: &str) -> Vec<Effect> {
    toast(state, Tone::Warn, text.to_owned());
    Vec::new()
}
