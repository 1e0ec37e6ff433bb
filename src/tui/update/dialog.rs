//! What the console asks before something is done.

use tui_input::Input;

use super::{Effect, danger, prompt, send, toast};
use crate::control::grammar::ARM_US;
use crate::control::{Access, ClusterView, Held, Mode as Right, Operation, words};
use crate::tui::action::Dialog as Act;
use crate::tui::clean::clean;
use crate::tui::dialog::{Arm, Choice, Confirm, Dialog, Field, Pick, Question, SWALLOW_MS};
use crate::tui::event::{Code, Key};
use crate::tui::state::{Mode, State, Tone};

/// The longest reason or name that can be typed.
const LONGEST: usize = 200;

/// `A`: arms, or offers to disarm.
pub(super) fn arm(state: &mut State) {
    match state.view.mode {
        Right::Own => toast(state, Tone::Info, String::from("this cluster is the console's own: nothing needs arming")),
        Right::Observe => match state.view.unarmable(Access::Operator) {
            Some(why) => toast(state, Tone::Warn, why),
            None => state.mode = Mode::Dialog(Dialog::Arm(Arm::default())),
        },
        Right::Armed { .. } => pick(state, Question::Disarm),
    }
}

fn pick(state: &mut State, question: Question) {
    state.mode = Mode::Dialog(Dialog::Pick(Pick { question, chosen: 0, opened_ms: state.now_ms }));
    state.toast = None;
}

/// Asks for the name of what would be lost; false: nothing would be, so go on.
pub(super) fn confirm(state: &mut State, operation: &Operation) -> bool {
    if state.view.held != Held::Remote || !state.view.mode.allows(Access::Chaos) {
        return false;
    }
    let operation = danger::resolve(&state.view, operation.clone());
    let Some(danger) = danger::of(&state.view, &operation) else { return false };
    let (typed, error, opened_ms) = (Input::default(), None, state.now_ms);
    let confirm = Confirm { operation, danger, typed, error, opened_ms };
    state.mode = Mode::Dialog(Dialog::Confirm(Box::new(confirm)));
    state.toast = None;
    true
}

/// Ends the console; asks first if that would leave faults behind that are its own.
pub(super) fn quit(state: &mut State) -> Vec<Effect> {
    if state.gone || state.view.held != Held::Remote || own_faults(&state.view, &state.own) == 0 {
        return vec![Effect::Quit];
    }
    pick(state, Question::Quit);
    Vec::new()
}

/// How many faults in force this console put there.
#[must_use]
pub fn own_faults(view: &ClusterView, own: &[String]) -> usize {
    view.faults.iter().filter(|fault| fault.by.is_none() || own.contains(&clean(&fault.text))).count()
}

/// Whether a key came so soon that it was meant for what was there before.
pub(super) fn swallows(state: &State) -> bool {
    let opened = match &state.mode {
        Mode::Dialog(Dialog::Pick(pick)) => pick.opened_ms,
        Mode::Dialog(Dialog::Confirm(confirm)) => confirm.opened_ms,
        // It takes a reason and Enter anyway.
        Mode::Dialog(Dialog::Arm(_))
        | Mode::Browse
        | Mode::Prompt(_)
        | Mode::Partition(_)
        | Mode::Help(_)
        | Mode::Detail { .. } => return false,
    };
    state.now_ms < opened + SWALLOW_MS
}

/// Carries an action out.
pub(super) fn act(state: &mut State, action: Act, key: Key) -> Vec<Effect> {
    let Mode::Dialog(dialog) = &mut state.mode else { return Vec::new() };
    match (dialog, action) {
        (_, Act::Cancel) => {
            state.mode = Mode::Browse;
            Vec::new()
        }
        (Dialog::Arm(_), Act::Accept) => accept_arm(state),
        (Dialog::Pick(pick), Act::Accept) => {
            let chosen = pick.question.choices().get(pick.chosen).copied().unwrap_or(Choice::Cancel);
            choose(state, chosen)
        }
        (Dialog::Confirm(_), Act::Accept) => accept_confirm(state),
        (Dialog::Arm(arm), action) => {
            move_in(arm, action);
            Vec::new()
        }
        (Dialog::Pick(pick), action) => {
            change_pick(pick, action, key);
            Vec::new()
        }
        (Dialog::Confirm(_), Act::NextField | Act::PreviousField | Act::Less | Act::More | Act::Pick) => Vec::new(),
    }
}

fn move_in(arm: &mut Arm, action: Act) {
    let here = Field::ALL.iter().position(|field| *field == arm.field).unwrap_or(0);
    let count = Field::ALL.len();
    match action {
        Act::NextField => arm.field = Field::ALL[(here + 1) % count],
        Act::PreviousField => arm.field = Field::ALL[(here + count - 1) % count],
        Act::Less | Act::More | Act::Pick | Act::Accept | Act::Cancel => {}
    }
    arm.error = None;
}

/// Operate or drill, the other of the two, if it can be had.
fn turn(arm: &mut Arm, view: &ClusterView) {
    let other = if arm.access == Access::Chaos { Access::Operator } else { Access::Chaos };
    if view.unarmable(other).is_none() {
        arm.access = other;
    }
}

fn change_pick(pick: &mut Pick, action: Act, key: Key) {
    let choices = pick.question.choices();
    let begins = |choice: &Choice| matches!(key.code, Code::Char(c) if choice.label().starts_with(c));
    match action {
        Act::Less | Act::PreviousField => pick.chosen = (pick.chosen + choices.len() - 1) % choices.len(),
        Act::More | Act::NextField => pick.chosen = (pick.chosen + 1) % choices.len(),
        Act::Pick => pick.chosen = choices.iter().position(begins).unwrap_or(pick.chosen),
        Act::Accept | Act::Cancel => {}
    }
}

fn accept_arm(state: &mut State) -> Vec<Effect> {
    let Mode::Dialog(Dialog::Arm(arm)) = &mut state.mode else { return Vec::new() };
    let reason = arm.reason.value().trim().to_owned();
    if reason.is_empty() {
        // From the first question Enter goes on to the next.
        let asked = arm.field != Field::What;
        arm.field = Field::Reason;
        arm.error = asked.then(|| String::from("say why: it is kept in the audit log of every node"));
        return Vec::new();
    }
    let time = arm.time.value().trim();
    let duration_us = match if time.is_empty() { Ok(ARM_US) } else { words::duration(time) } {
        Ok(0) => Err(String::from("a time box of nothing arms nothing: write 15m")),
        Ok(us) => Ok(us),
        Err(wrong) => Err(clean(&wrong.to_string())),
    };
    match duration_us {
        Ok(duration_us) => {
            let access = arm.access;
            if state.view.unarmable(access).is_some() {
                // Why not is said above; it has just become so.
                arm.field = Field::What;
                arm.error = Some(String::from("that is not offered any more: choose again, or Esc"));
                return Vec::new();
            }
            state.mode = Mode::Browse;
            send(state, Operation::Arm { access, duration_us, reason })
        }
        Err(wrong) => {
            arm.field = Field::Time;
            arm.error = Some(wrong);
            Vec::new()
        }
    }
}

fn choose(state: &mut State, chosen: Choice) -> Vec<Effect> {
    state.mode = Mode::Browse;
    match chosen {
        Choice::Disarm => send(state, Operation::Disarm),
        Choice::Heal => {
            state.leaving = Some(state.next_id);
            send(state, Operation::Heal)
        }
        Choice::Leave => vec![Effect::Quit],
        Choice::Cancel => Vec::new(),
    }
}

fn accept_confirm(state: &mut State) -> Vec<Effect> {
    let Mode::Dialog(Dialog::Confirm(confirm)) = &mut state.mode else { return Vec::new() };
    let typed = confirm.typed.value().trim();
    if typed.is_empty() {
        state.mode = Mode::Browse;
        toast(state, Tone::Info, String::from("nothing was done"));
        return Vec::new();
    }
    if typed != confirm.danger.wants {
        confirm.error = Some(format!("that is not {}: type it to go on, or Esc", confirm.danger.wants));
        return Vec::new();
    }
    let (operation, decided) = (confirm.operation.clone(), confirm.danger.clone());
    state.mode = Mode::Browse;
    if !state.view.mode.allows(Access::Chaos) {
        toast(state, Tone::Warn, format!("{}: no longer armed, nothing was done", decided.line));
        return Vec::new();
    }
    let now = danger::of(&state.view, &operation);
    let same =
        |now: &danger::Danger| (now.leader, now.quorum, &now.wants) == (decided.leader, decided.quorum, &decided.wants);
    if !now.as_ref().is_some_and(same) {
        let now = now.map_or_else(|| String::from("it takes neither leader nor quorum now"), |now| now.forecast);
        toast(state, Tone::Warn, format!("the cluster has changed, nothing was done: {now}"));
        return Vec::new();
    }
    send(state, operation)
}

/// The line being typed, if one is.
fn line(dialog: &mut Dialog) -> Option<&mut Input> {
    match dialog {
        Dialog::Arm(arm) => match arm.field {
            Field::What => None,
            Field::Reason => Some(&mut arm.reason),
            Field::Time => Some(&mut arm.time),
        },
        Dialog::Pick(_) => None,
        Dialog::Confirm(confirm) => Some(&mut confirm.typed),
    }
}

/// A key that edits what is typed.
pub(super) fn edit(state: &mut State, key: Key) {
    let Mode::Dialog(dialog) = &mut state.mode else { return };
    match dialog {
        Dialog::Arm(arm) => {
            arm.error = None;
            match (arm.field, key.code) {
                (Field::What, Code::Left | Code::Right) => turn(arm, &state.view),
                // Whatever is typed there is the reason, begun too early.
                (Field::What, Code::Char(_)) => arm.field = Field::Reason,
                _ => {}
            }
        }
        Dialog::Confirm(confirm) => confirm.error = None,
        Dialog::Pick(_) => {}
    }
    if let (Some(input), Some(request)) = (line(dialog), prompt::request(key))
        && (input.value().len() < LONGEST || !matches!(request, tui_input::InputRequest::InsertChar(_)))
    {
        input.handle(request);
    }
}

/// Pasted text goes into a reason, as one line; nowhere else.
pub(super) fn paste(state: &mut State, text: &str) {
    let Mode::Dialog(dialog) = &mut state.mode else { return };
    if let Dialog::Arm(arm) = dialog
        && arm.field != Field::Time
    {
        arm.field = Field::Reason;
        arm.reason = prompt::insert(&arm.reason, clean(text.trim()).as_str(), LONGEST);
        return;
    }
    toast(state, Tone::Warn, String::from("pasted text is not taken here: what is asked is typed"));
}
