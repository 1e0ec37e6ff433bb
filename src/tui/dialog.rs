//! What the console asks before something is done: arming, faults, what takes the leader or the quorum away, and leaving
//! while faults are in force.
//!
//! Kept true: what costs most is never the answer that a key chooses by itself.
//! Not here: its keys (`update/dialog.rs`), its picture (`view/dialog.rs`), what is dangerous (`update/danger.rs`).

use tui_input::Input;

use super::update::danger::Danger;
use crate::control::{Access, Operation};

/// Input this soon after a dialog opened was meant for what was there before, in milliseconds.
pub const SWALLOW_MS: u64 = 200;

/// Something that is asked.
#[derive(Clone, Debug)]
pub enum Dialog {
    /// What the console wants to do, why and how long.
    Arm(Arm),
    /// One of a few answers.
    Pick(Pick),
    /// Whether a fault is meant that a key alone asked for.
    Preview(Box<Preview>),
    /// Whether something dangerous is meant.
    Confirm(Box<Confirm>),
}

/// What is being filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Operate or drill.
    What,
    /// Why.
    Reason,
    /// How long.
    Time,
}

impl Field {
    /// All, in the order of Tab.
    pub const ALL: [Self; 3] = [Self::What, Self::Reason, Self::Time];
}

/// A wish to be armed, being filled in.
#[derive(Clone, Debug)]
pub struct Arm {
    /// What for.
    pub access: Access,
    /// What is being filled in.
    pub field: Field,
    /// Why.
    pub reason: Input,
    /// For how long, as it is typed.
    pub time: Input,
    /// Why it could not be asked.
    pub error: Option<String>,
}

impl Default for Arm {
    fn default() -> Self {
        Self {
            access: Access::Operator,
            field: Field::What,
            reason: Input::default(),
            time: Input::new(String::from("15m")),
            error: None,
        }
    }
}

/// What one of a few answers is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Give the right back that was armed.
    Disarm,
    /// Quit although faults are in force.
    Quit,
}

/// An answer that can be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Only watch again.
    Disarm,
    /// Heal all faults, then quit.
    Heal,
    /// Quit; faults stay until they end.
    Leave,
    /// Go on as before.
    Cancel,
}

impl Question {
    /// What can be answered; the first is chosen at the beginning.
    #[must_use]
    pub const fn choices(self) -> &'static [Choice] {
        match self {
            Self::Disarm => &[Choice::Disarm, Choice::Cancel],
            Self::Quit => &[Choice::Heal, Choice::Leave, Choice::Cancel],
        }
    }
}

impl Choice {
    /// What it says; it begins with its key.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Disarm => "disarm",
            Self::Heal => "heal all, then quit",
            Self::Leave => "leave them until they end",
            Self::Cancel => "cancel",
        }
    }
}

/// One of a few answers, being chosen.
#[derive(Clone, Debug)]
pub struct Pick {
    /// To what.
    pub question: Question,
    /// Which is chosen.
    pub chosen: usize,
    /// When it was opened, in milliseconds of real time.
    pub opened_ms: u64,
}

/// A fault that takes neither leader nor quorum, and waits for Enter.
#[derive(Clone, Debug)]
pub struct Preview {
    /// What would be asked.
    pub operation: Operation,
    /// What it would do, as it was when the dialog opened.
    pub danger: Danger,
    /// When it was opened, in milliseconds of real time.
    pub opened_ms: u64,
}

/// Something dangerous that waits for its name to be typed.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// What would be asked.
    pub operation: Operation,
    /// What it would take away, as it was when the dialog opened.
    pub danger: Danger,
    /// What was typed.
    pub typed: Input,
    /// Why it was not done.
    pub error: Option<String>,
    /// When it was opened, in milliseconds of real time.
    pub opened_ms: u64,
}
