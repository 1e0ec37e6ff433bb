//! The partition editor.

use super::{ask_written, toast};
use crate::control::Operation;
use crate::tui::action::Partition as Act;
use crate::tui::effect::Effect;
use crate::tui::event::{Code, Key};
use crate::tui::partition::{Draft, GROUPS, Side};
use crate::tui::state::{Mode, State, Tone};

/// Opens the editor with what holds now.
pub(super) fn open(state: &mut State) {
    state.mode = Mode::Partition(Draft::of(&state.view));
}

/// Carries an action out.
pub(super) fn act(state: &mut State, action: Act, key: Key) -> Vec<Effect> {
    let Mode::Partition(draft) = &mut state.mode else { return Vec::new() };
    let last = draft.places.len().saturating_sub(1);
    draft.complaint = None;
    match action {
        Act::Up => draft.cursor = draft.cursor.saturating_sub(1),
        Act::Down => draft.cursor = if draft.cursor >= last { 0 } else { draft.cursor + 1 },
        Act::Left => shift(draft, false),
        Act::Right => shift(draft, true),
        Act::Digit => {
            if let Code::Char(c) = key.code
                && let Some(digit) = c.to_digit(10)
            {
                let place = draft.places.iter().position(|(id, _)| id.0 == u64::from(digit));
                match place {
                    Some(place) => draft.cursor = place,
                    None => toast(state, Tone::Warn, format!("there is no n{digit}")),
                }
            }
        }
        Act::Group => {
            if let Code::Char(c) = key.code
                && let Some(group) = "abcdef".find(c)
            {
                place(draft, Side::Group(group));
            }
        }
        Act::Alone => place(draft, Side::Alone),
        Act::Preset => draft.next_preset(&state.view),
        Act::Clear => draft.clear(),
        Act::Cancel => state.mode = Mode::Browse,
        Act::Apply => {
            if !draft.cuts() {
                draft.complaint = Some("all nodes are in one group: move some with a to f (Esc H heals)");
                return Vec::new();
            }
            let groups = draft.groups();
            state.mode = Mode::Browse;
            return ask_written(state, Operation::Partition(groups));
        }
    }
    Vec::new()
}

/// Moves the node under the cursor, and goes on to the next.
fn place(draft: &mut Draft, side: Side) {
    let last = draft.places.len().saturating_sub(1);
    if let Some(at) = draft.places.get_mut(draft.cursor) {
        at.1 = side;
    }
    draft.preset = None;
    draft.cursor = if draft.cursor >= last { 0 } else { draft.cursor + 1 };
}

fn shift(draft: &mut Draft, right: bool) {
    draft.preset = None;
    if let Some((_, side)) = draft.places.get_mut(draft.cursor) {
        *side = match (*side, right) {
            (Side::Alone, true) | (Side::Group(0), false) => Side::Group(0),
            (Side::Alone, false) => Side::Group(GROUPS - 1),
            (Side::Group(group), true) if group + 1 >= GROUPS => Side::Alone,
            (Side::Group(group), true) => Side::Group(group + 1),
            (Side::Group(group), false) => Side::Group(group - 1),
        };
    }
}
