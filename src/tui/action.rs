//! The one table of actions: what can be done, with which keys, and what it needs.
//!
//! The help, the key hints and `docs/keys.md` are printed from it, and keys are looked up in it.
//!
//! Kept true: within a context, and the one of all contexts, no key means two things (a test).
//! Not here: what an action does (`update/`).

use crate::control::{Access, Can, Capabilities, Mode};

/// What a key means, by the mode in which it was pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// In every mode.
    Global(Global),
    /// When nothing is open.
    Browse(Browse),
    /// While a line is typed.
    Prompt(Prompt),
    /// In the partition editor.
    Partition(Partition),
    /// In the help, and in the detail of something.
    Overlay(Overlay),
    /// While the console asks something.
    Dialog(Dialog),
}

/// Actions of every mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Global {
    Interrupt,
    Redraw,
    Suspend,
}

/// Actions when nothing is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Browse {
    Up,
    Down,
    Left,
    Right,
    First,
    Last,
    PageUp,
    PageDown,
    NextPane,
    PreviousPane,
    Digit,
    Open,
    Zoom,
    Follow,
    Back,
    Help,
    Command,
    Crash,
    Restart,
    Pause,
    Isolate,
    Partition,
    Heal,
    Arm,
    Submit,
    SubmitAgain,
    Read,
    Load,
    Clock,
    Slower,
    Faster,
    Theme,
    Glyphs,
    Quit,
}

/// Actions while a line is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Prompt {
    Accept,
    Cancel,
    Older,
    Newer,
}

/// Actions in the partition editor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Partition {
    Up,
    Down,
    Left,
    Right,
    Digit,
    Group,
    Alone,
    Preset,
    Clear,
    Apply,
    Cancel,
}

/// Actions in the help and in details.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Overlay {
    Up,
    Down,
    PageUp,
    PageDown,
    Run,
    Close,
}

/// Actions while the console asks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table below says what each does")]
pub enum Dialog {
    Accept,
    Cancel,
    NextField,
    PreviousField,
    Less,
    More,
    Pick,
}

/// Where keys are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// In every mode.
    Everywhere,
    /// When nothing is open.
    Browse,
    /// While a line is typed.
    Prompt,
    /// In the partition editor.
    Partition,
    /// In the help and in details.
    Overlay,
    /// While the console asks, and one of a few answers is chosen.
    Choice,
    /// While the console asks, and something is typed.
    Form,
}

impl Context {
    /// All, in the order of the documents.
    pub const ALL: [Self; 7] =
        [Self::Browse, Self::Partition, Self::Prompt, Self::Choice, Self::Form, Self::Overlay, Self::Everywhere];

    /// Heading in the documents.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Everywhere => "Everywhere",
            Self::Browse => "Main screen",
            Self::Prompt => "While typing a line",
            Self::Partition => "Partition editor",
            Self::Overlay => "Help and details",
            Self::Choice => "Dialogs, while choosing",
            Self::Form => "Dialogs, while typing",
        }
    }
}

/// What an action asks of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// To submit commands.
    Write,
    /// To crash nodes.
    Crash,
    /// To start nodes that do not run.
    Restart,
    /// To freeze single nodes.
    Pause,
    /// To change what links do.
    Links,
    /// To stop the clock.
    Clock,
    /// To change its pace.
    Pace,
    /// To arm and disarm.
    Arm,
}

impl Need {
    /// What access it takes.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::Nothing | Self::Arm => Access::Viewer,
            Self::Write | Self::Restart => Access::Operator,
            Self::Crash | Self::Pause | Self::Links | Self::Clock | Self::Pace => Access::Chaos,
        }
    }

    /// Whether its keys are worth a place among the hints of a session with these capabilities.
    #[must_use]
    pub const fn is_hinted(self, capabilities: Capabilities) -> bool {
        match self {
            Self::Arm => capabilities.arm.is_yes(),
            Self::Pause => capabilities.pause.is_yes(),
            Self::Restart => capabilities.restart.is_yes(),
            Self::Nothing | Self::Write | Self::Crash | Self::Links | Self::Clock | Self::Pace => true,
        }
    }

    /// Whether a session with these capabilities has it, in this mode; if not, a short sentence says why.
    #[must_use]
    pub fn met(self, capabilities: Capabilities, mode: &Mode) -> Can {
        let can = match self {
            Self::Nothing | Self::Write => Can::Yes,
            Self::Crash => capabilities.crash,
            Self::Restart => capabilities.restart,
            Self::Pause => capabilities.pause,
            Self::Links => capabilities.links,
            Self::Clock => capabilities.clock,
            Self::Pace => capabilities.pace,
            Self::Arm => capabilities.arm,
        };
        match can {
            Can::Yes if mode.allows(self.access()) => Can::Yes,
            Can::Yes if self.access() == Access::Chaos => Can::No("read-only: press A and arm for a drill"),
            Can::Yes => Can::No("read-only: press A to arm"),
            Can::No(why) => Can::No(why),
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What it means.
    pub action: Action,
    /// Unique name.
    pub name: &'static str,
    /// Keys; two words are pressed one after the other.
    pub keys: &'static [&'static str],
    /// How the keys are shown.
    pub shown: &'static str,
    /// What it does, for people.
    pub help: &'static str,
    /// What it asks of the session.
    pub need: Need,
    /// Where it holds.
    pub context: Context,
    /// One word for the line of key hints, if it is there.
    pub hint: Option<&'static str>,
}

macro_rules! rows {
    ($($context:ident / $kind:ident :: $variant:ident, $name:literal, [$($key:literal),+], $shown:literal, $need:ident, $hint:expr, $help:literal;)+) => {
        &[$(Row {
            action: Action::$kind($kind::$variant),
            name: $name,
            keys: &[$($key),+],
            shown: $shown,
            help: $help,
            need: Need::$need,
            context: Context::$context,
            hint: $hint,
        }),+]
    };
}

/// Everything that can be done, in the order in which it is listed.
pub const TABLE: &[Row] = rows! {
    Browse / Browse::Help, "help", ["?", "f1"], "?", Nothing, Some("help"), "all keys, searchable; Enter runs one";
    Browse / Browse::Arm, "arm", ["A"], "A", Arm, Some("arm"), "ask for the right to change this cluster, for a while; again: give it back";
    Browse / Browse::Crash, "crash", ["c"], "c", Crash, Some("crash"), "crash the selected node, as if its process were killed";
    Browse / Browse::Restart, "restart", ["r"], "r", Restart, Some("restart"), "restart the selected node";
    Browse / Browse::Pause, "pause", ["P"], "P", Pause, Some("pause"), "freeze the selected node, or let it go on";
    Browse / Browse::Isolate, "isolate", ["i"], "i", Links, Some("isolate"), "cut the selected node off; again: let it rejoin";
    Browse / Browse::Partition, "partition", ["p"], "p", Links, Some("partition"), "partition the cluster into groups";
    Browse / Browse::Heal, "heal", ["H"], "H", Links, Some("heal"), "take all network faults away";
    Browse / Browse::Submit, "submit", ["s"], "s", Write, Some("submit"), "submit a command: SET GET DELETE CAS INCR LIST";
    Browse / Browse::SubmitAgain, "submit-again", ["S"], "S", Write, None, "submit the last command again";
    Browse / Browse::Read, "read", ["R"], "R", Nothing, Some("read"), "read a key, linearizable";
    Browse / Browse::Load, "load", ["a"], "a", Write, Some("load"), "automatic load on or off";
    Browse / Browse::Clock, "clock", ["space"], "Space", Clock, Some("stop"), "stop the cluster's clock, or let it run again";
    Browse / Browse::Slower, "slower", ["<", "-"], "<", Pace, None, "slower: 1/2, 1/5, 1/10 … 1/100";
    Browse / Browse::Faster, "faster", [">", "+"], ">", Pace, Some("pace"), "faster, up to real time";
    Browse / Browse::Command, "command", [":", "ctrl-p"], ":", Nothing, Some("command"), "type any operation, as in scripts: crash leader, delay n3>n5 80ms …";
    Browse / Browse::Up, "up", ["k", "up"], "k ↑", Nothing, None, "up: previous node, newer event";
    Browse / Browse::Down, "down", ["j", "down"], "j ↓", Nothing, None, "down: next node, older event";
    Browse / Browse::Left, "left", ["h", "left"], "h ←", Nothing, None, "log: towards older entries";
    Browse / Browse::Right, "right", ["l", "right"], "l →", Nothing, None, "log: towards newer entries";
    Browse / Browse::First, "first", ["g g", "home"], "g g", Nothing, None, "first node, first entry, newest event";
    Browse / Browse::Last, "last", ["G", "end"], "G", Nothing, None, "last node, last entry, oldest event";
    Browse / Browse::PageUp, "page-up", ["pgup", "ctrl-u"], "PgUp", Nothing, None, "a page up, or towards older entries";
    Browse / Browse::PageDown, "page-down", ["pgdn", "ctrl-d"], "PgDn", Nothing, None, "a page down, or towards newer entries";
    Browse / Browse::Digit, "select", ["1", "2", "3", "4", "5", "6", "7", "8", "9", "0"], "1-9 0", Nothing, Some("node"), "select node 1 to 10";
    Browse / Browse::NextPane, "next-pane", ["tab"], "Tab", Nothing, Some("pane"), "next pane";
    Browse / Browse::PreviousPane, "previous-pane", ["shift-tab"], "Shift-Tab", Nothing, None, "previous pane";
    Browse / Browse::Open, "open", ["enter"], "Enter", Nothing, None, "detail of the selected node or event";
    Browse / Browse::Zoom, "zoom", ["z"], "z", Nothing, Some("zoom"), "the focused pane alone, again to restore";
    Browse / Browse::Follow, "follow", ["F"], "F", Nothing, None, "follow the end of the log and the newest events";
    Browse / Browse::Theme, "theme", ["o t"], "o t", Nothing, None, "next theme";
    Browse / Browse::Glyphs, "glyphs", ["o g"], "o g", Nothing, None, "ASCII or Unicode glyphs";
    Browse / Browse::Back, "back", ["esc"], "Esc", Nothing, None, "back: close, restore, follow";
    Browse / Browse::Quit, "quit", ["q"], "q", Nothing, Some("quit"), "back, then quit; a cluster that runs elsewhere goes on";
    Partition / Partition::Apply, "partition-apply", ["enter"], "Enter", Nothing, Some("apply"), "apply";
    Partition / Partition::Up, "partition-up", ["k", "up"], "k ↑", Nothing, None, "previous node";
    Partition / Partition::Down, "partition-down", ["j", "down", "tab"], "j ↓", Nothing, None, "next node";
    Partition / Partition::Left, "partition-left", ["h", "left"], "h ←", Nothing, None, "move the node one group to the left";
    Partition / Partition::Right, "partition-right", ["l", "right"], "l →", Nothing, None, "move the node one group to the right";
    Partition / Partition::Digit, "partition-node", ["1", "2", "3", "4", "5", "6", "7", "8", "9"], "1-9", Nothing, Some("pick"), "pick a node";
    Partition / Partition::Group, "partition-group", ["a", "b", "c", "d", "e", "f"], "a-f", Nothing, Some("group"), "move the node to this group, and pick the next";
    Partition / Partition::Alone, "partition-alone", ["0"], "0", Nothing, Some("alone"), "nobody reaches the node";
    Partition / Partition::Preset, "partition-preset", ["P", "p"], "p", Nothing, Some("preset"), "next preset: leader in the minority, in the majority, alone; three groups";
    Partition / Partition::Clear, "partition-clear", ["x"], "x", Nothing, Some("clear"), "all nodes in one group again";
    Partition / Partition::Cancel, "partition-cancel", ["esc", "q"], "Esc", Nothing, Some("cancel"), "leave; nothing changes";
    Prompt / Prompt::Accept, "accept", ["enter"], "Enter", Nothing, Some("go"), "run the line";
    Prompt / Prompt::Cancel, "cancel", ["esc"], "Esc", Nothing, Some("cancel"), "leave the line";
    Prompt / Prompt::Older, "older", ["up", "ctrl-p"], "↑", Nothing, Some("earlier lines"), "the line before, of this and earlier prompts";
    Prompt / Prompt::Newer, "newer", ["down", "ctrl-n"], "↓", Nothing, None, "the line after";
    Choice / Dialog::Accept, "choice-accept", ["enter"], "Enter", Nothing, Some("go"), "take what is chosen";
    Choice / Dialog::Less, "choice-left", ["left", "up"], "←", Nothing, None, "the choice before";
    Choice / Dialog::More, "choice-right", ["right", "down"], "← →", Nothing, Some("choose"), "the choice after";
    Choice / Dialog::Pick, "choice-letter", ["d", "h", "l", "c"], "first letter", Nothing, None, "choose by the first letter: disarm, heal, leave, cancel";
    Choice / Dialog::NextField, "choice-next", ["tab"], "Tab", Nothing, None, "what is asked next";
    Choice / Dialog::PreviousField, "choice-previous", ["shift-tab"], "Shift-Tab", Nothing, None, "what was asked before";
    Choice / Dialog::Cancel, "choice-cancel", ["esc", "q"], "Esc", Nothing, Some("cancel"), "close; nothing is done";
    Form / Dialog::Accept, "form-accept", ["enter"], "Enter", Nothing, Some("go"), "do it, if all is there that is asked for";
    Form / Dialog::NextField, "form-next", ["tab", "down"], "Tab", Nothing, Some("next"), "what is asked next";
    Form / Dialog::PreviousField, "form-previous", ["shift-tab", "up"], "Shift-Tab", Nothing, None, "what was asked before";
    Form / Dialog::Cancel, "form-cancel", ["esc"], "Esc", Nothing, Some("cancel"), "close; nothing is done";
    Overlay / Overlay::Up, "overlay-up", ["up"], "↑", Nothing, None, "up";
    Overlay / Overlay::Down, "overlay-down", ["down"], "↑ ↓", Nothing, Some("scroll"), "down";
    Overlay / Overlay::PageUp, "overlay-page-up", ["pgup"], "PgUp", Nothing, None, "a page up";
    Overlay / Overlay::PageDown, "overlay-page-down", ["pgdn"], "PgDn", Nothing, None, "a page down";
    Overlay / Overlay::Run, "overlay-run", ["enter"], "Enter", Nothing, Some("run"), "run the action (help), close (detail)";
    Overlay / Overlay::Close, "overlay-close", ["esc", "f1"], "Esc", Nothing, Some("close"), "close";
    Everywhere / Global::Interrupt, "interrupt", ["ctrl-c"], "Ctrl-C", Nothing, None, "leave what is open; on the main screen: quit";
    Everywhere / Global::Redraw, "redraw", ["ctrl-l"], "Ctrl-L", Nothing, None, "draw the screen anew";
    Everywhere / Global::Suspend, "suspend", ["ctrl-z"], "Ctrl-Z", Nothing, None, "suspend the console; the cluster in this process stops too";
};

/// The row of an action.
#[must_use]
pub fn row(action: Action) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.action == action)
}

/// The table as a document (`docs/keys.md`).
#[must_use]
pub fn document() -> String {
    let mut out = String::from(
        "# Keys\n\nPrinted from the action table (`src/tui/action.rs`); a test compares them. \
         `?` shows the same list on the screen, searchable, and runs what is selected.\n",
    );
    for context in Context::ALL {
        out += "\n## ";
        out += context.title();
        out += "\n\n| keys | action | what it does |\n|---|---|---|\n";
        for row in TABLE.iter().filter(|row| row.context == context) {
            let keys: Vec<String> = row.keys.iter().map(|key| format!("`{key}`")).collect();
            out += &["| ", &keys.join(" "), " | ", row.name, " | ", row.help, " |\n"].concat();
        }
    }
    out
}
