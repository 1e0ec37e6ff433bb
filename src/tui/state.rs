//! Everything that the screen depends on.
//!
//! Time comes in with [`Event::Tick`](super::event::Event::Tick), sizes with `Resize`, the cluster with `View` and
//! `Observed`; a view reads nothing else.
//!
//! Kept true: what was asked (`asked`) and what the cluster reported (`view`) are never mixed.
//! Not here: who changes it (`update/`), how it is drawn (`view/`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::dialog::Dialog;
use super::event::Key;
use super::partition::Draft;
use crate::control::narrate::Vain;
use crate::control::{Capabilities, ClusterView, Life, NodeView, Operation, OperationId, STALE_US};
use crate::raft::{Index, NodeId, Term};

/// How many events are kept.
pub const EVENTS_KEPT: usize = 4000;
/// How many lines are kept of each history.
pub const HISTORY_KEPT: usize = 200;

/// A pane that can have the focus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pane {
    /// The table of nodes.
    #[default]
    Nodes,
    /// The matrix of logs.
    Log,
    /// What happened.
    Events,
}

impl Pane {
    /// All, in the order of Tab.
    pub const ALL: [Self; 3] = [Self::Nodes, Self::Log, Self::Events];
}

/// What is open.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Nothing.
    Browse,
    /// A line is typed.
    Prompt(Prompt),
    /// Nodes are sorted into groups; nothing is applied yet.
    Partition(Draft),
    /// The list of keys.
    Help(Help),
    /// The detail of a node or an event, scrolled down by so many lines.
    Detail {
        /// Of what.
        of: Detail,
        /// Lines.
        scroll: u16,
    },
    /// The console asks something.
    Dialog(Dialog),
}

/// Whose detail is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The selected node.
    Node,
    /// The event with this serial number.
    Event(u64),
}

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptKind {
    /// A command of the machine.
    Submit,
    /// A key to read.
    Read,
    /// Commands a second.
    Load,
    /// Any operation.
    Command,
}

impl PromptKind {
    /// All kinds; each has its history.
    pub const ALL: [Self; 4] = [Self::Submit, Self::Read, Self::Load, Self::Command];

    /// What stands before the line.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Read => "read",
            Self::Load => "load, commands a second",
            Self::Command => ":",
        }
    }

    /// What can be typed, shown while the line is empty.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Submit => "SET key value | DELETE key | CAS key old new | INCR key",
            Self::Read => "key",
            Self::Load => "20",
            Self::Command => "crash leader | partition 1,2/3,4,5 | delay n3>n5 80ms | loss n2 20% | heal",
        }
    }

    /// Its place among the histories.
    #[must_use]
    pub const fn slot(self) -> usize {
        match self {
            Self::Submit => 0,
            Self::Read => 1,
            Self::Load => 2,
            Self::Command => 3,
        }
    }
}

/// A line being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What for.
    pub kind: PromptKind,
    /// The line with its cursor.
    pub input: tui_input::Input,
    /// Which line of the history is shown, counted from the newest; `None`: the line as typed.
    pub recalled: Option<usize>,
    /// The line as typed, while older ones are shown.
    pub draft: String,
    /// Why the line could not be run.
    pub error: Option<String>,
}

/// The list of keys being searched.
#[derive(Clone, Debug, Default)]
pub struct Help {
    /// What was typed.
    pub filter: tui_input::Input,
    /// Which of the rows that match is selected.
    pub selected: usize,
}

/// How the log matrix is scrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogScroll {
    /// The newest entries.
    Follow,
    /// This index is the first.
    From(Index),
}

/// How a line stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Not at all.
    Plain,
    /// Less than others.
    Quiet,
    /// As something good.
    Good,
    /// As something worth knowing.
    Info,
    /// As a warning.
    Warn,
    /// As something bad.
    Bad,
}

/// A line of the events panel. Its texts are clean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventLine {
    /// Rises by one with each line.
    pub serial: u64,
    /// Cluster time in microseconds.
    pub at_us: u64,
    /// When the last event happened that it stands for.
    pub last_us: u64,
    /// Where it happened.
    pub node: Option<NodeId>,
    /// The sentence.
    pub text: String,
    /// Why it happened, if known.
    pub cause: Option<String>,
    /// How it stands out.
    pub tone: Tone,
    /// What is done all the time.
    pub routine: Option<Routine>,
    /// How many events it stands for.
    pub times: u64,
}

/// What is done all the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routine {
    /// Entries are committed.
    Committed,
    /// Entries are applied.
    Applied,
    /// A node looks for a leader in vain, in this term.
    Vain(Vain, Term),
}

impl Routine {
    /// Whether a working cluster does it.
    #[must_use]
    pub const fn is_work(self) -> bool {
        matches!(self, Self::Committed | Self::Applied)
    }
}

/// Routine events of this much cluster time, in microseconds, become one line: a load must not wash away what matters.
const ROUTINE_US: u64 = 300_000;

/// What a node does in vain it does again after an election timeout.
const VAIN_US: u64 = 1_000_000;

/// So many lines of routine may lie between two that become one: some of each node.
const BETWEEN_MAX: usize = 32;

/// What happened, newest last; the oldest fall out.
#[derive(Clone, Debug, Default)]
pub struct Events {
    /// The lines.
    pub lines: VecDeque<EventLine>,
    /// The serial number of the next line.
    pub next_serial: u64,
    /// `None`: the newest are shown. Otherwise which line is on top and which is selected.
    pub at: Option<EventsAt>,
}

/// A place in the events that does not move when more happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsAt {
    /// Serial number of the top line.
    pub top: u64,
    /// Serial number of the selected line.
    pub selected: u64,
}

impl Events {
    /// Appends a line, numbered.
    ///
    /// Routine joins a line of its kind just before, if nothing else happened since.
    pub fn push(&mut self, line: EventLine) {
        if let Some(routine) = line.routine {
            let within = if routine.is_work() { ROUTINE_US } else { VAIN_US };
            let joins = |earlier: &&mut EventLine| {
                earlier.routine == line.routine
                    && earlier.node == line.node
                    && line.at_us.saturating_sub(earlier.last_us) < within
            };
            let passes = |earlier: &&mut EventLine| {
                earlier.routine.is_some_and(|earlier| earlier.is_work() || !routine.is_work())
            };
            let most = if routine.is_work() { 2 } else { BETWEEN_MAX };
            let recent = self.lines.iter_mut().rev().take_while(passes).take(most);
            if let Some(earlier) = recent.into_iter().find(joins) {
                (earlier.times, earlier.last_us) = (earlier.times + 1, line.at_us);
                // Work is shown as it goes on; other lines stay what and when they were, so that their order is true.
                if routine.is_work() {
                    *earlier = EventLine { serial: earlier.serial, times: earlier.times, ..line };
                }
                return;
            }
        }
        self.lines.push_back(EventLine { serial: self.next_serial, ..line });
        self.next_serial += 1;
        if self.lines.len() > EVENTS_KEPT {
            self.lines.pop_front();
        }
        if let (Some(at), Some(oldest)) = (self.at.as_mut(), self.lines.front()) {
            at.top = at.top.max(oldest.serial);
            at.selected = at.selected.max(oldest.serial);
        }
    }

    /// Serial number of the newest line.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.lines.back().map(|line| line.serial)
    }

    /// Serial number of the oldest line.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.lines.front().map(|line| line.serial)
    }

    /// The line with this serial number.
    #[must_use]
    pub fn line(&self, serial: u64) -> Option<&EventLine> {
        let oldest = self.oldest()?;
        self.lines.get(usize::try_from(serial.checked_sub(oldest)?).ok()?)
    }
}

/// An operation that is not answered yet.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its number.
    pub id: OperationId,
    /// What was asked, as it is written on the command line; clean.
    pub line: String,
    /// What was asked.
    pub operation: Operation,
    /// When, in milliseconds of real time.
    pub at_ms: u64,
}

/// A short message that goes away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// The message; clean.
    pub text: String,
    /// How it stands out.
    pub tone: Tone,
    /// Until when, in milliseconds of real time.
    pub until_ms: u64,
}

/// Everything that the screen depends on.
#[derive(Clone, Debug)]
pub struct State {
    /// Columns of the terminal.
    pub width: u16,
    /// Rows of the terminal.
    pub height: u16,
    /// Real time since the console started, in milliseconds.
    pub now_ms: u64,
    /// What the cluster reported last.
    pub view: Arc<ClusterView>,
    /// When it did.
    pub view_at_ms: u64,
    /// What can be asked.
    pub capabilities: Capabilities,
    /// What is open.
    pub mode: Mode,
    /// Which pane has the focus.
    pub focus: Pane,
    /// Whether it is alone on the screen.
    pub zoomed: bool,
    /// The selected node.
    pub selected: NodeId,
    /// How the log matrix is scrolled.
    pub log: LogScroll,
    /// What happened.
    pub events: Events,
    /// What was asked and is not answered.
    pub asked: Vec<Asked>,
    /// The number of the next operation.
    pub next_id: OperationId,
    /// A short message.
    pub toast: Option<Toast>,
    /// Lines typed, newest last, for each [`PromptKind`].
    pub history: [Vec<String>; 4],
    /// A key that begins a sequence.
    pub prefix: Option<Key>,
    /// When text was pasted last.
    pub pasted_at_ms: Option<u64>,
    /// Draw with ASCII glyphs only.
    pub ascii: bool,
    /// Name of the theme in use.
    pub theme: String,
    /// The lines of operations that this console asked for and got.
    pub own: Vec<String>,
    /// With the answer to this operation the console ends.
    pub leaving: Option<OperationId>,
    /// What was told last of each node's life.
    pub lives: BTreeMap<NodeId, Life>,
    /// The cluster is gone.
    pub gone: bool,
    /// Something that a view shows has changed.
    pub dirty: bool,
}

impl State {
    /// A console over a cluster, before any key.
    #[must_use]
    pub fn new(view: Arc<ClusterView>, capabilities: Capabilities) -> Self {
        let selected = view.nodes.first().map_or(NodeId(1), |node| node.id);
        Self {
            width: 80,
            height: 24,
            now_ms: 0,
            view,
            view_at_ms: 0,
            capabilities,
            mode: Mode::Browse,
            focus: Pane::Nodes,
            zoomed: false,
            selected,
            log: LogScroll::Follow,
            events: Events::default(),
            asked: Vec::new(),
            next_id: 1,
            toast: None,
            history: Default::default(),
            prefix: None,
            pasted_at_ms: None,
            ascii: false,
            theme: String::from("default"),
            own: Vec::new(),
            leaving: None,
            lives: BTreeMap::new(),
            gone: false,
            dirty: true,
        }
    }

    /// Real time of the cluster now, in microseconds: as reported, and what passed since.
    #[must_use]
    pub fn real_us(&self) -> u64 {
        self.view.real_us + self.since_view_us()
    }

    /// Real time since the cluster reported last, in microseconds.
    #[must_use]
    pub fn since_view_us(&self) -> u64 {
        self.now_ms.saturating_sub(self.view_at_ms) * 1000
    }

    /// What is left now of a time that was left when the cluster reported, in microseconds.
    #[must_use]
    pub fn left_us(&self, left_us: u64) -> u64 {
        left_us.saturating_sub(self.since_view_us())
    }

    /// How old a node's picture is, in microseconds; `None` for one in this process, or before it reported.
    #[must_use]
    pub fn age_us(&self, node: &NodeView) -> Option<u64> {
        node.reach.as_ref()?.age_us.map(|age| age + self.since_view_us())
    }

    /// How old the picture is of a node that runs, as far as is known, if it is old.
    #[must_use]
    pub fn stale_us(&self, node: &NodeView) -> Option<u64> {
        // Processes that stand still because they were told to are as they were.
        self.age_us(node).filter(|age| node.is_running() && !self.view.stopped && *age >= STALE_US)
    }

    /// The selected node, if it is still a member.
    #[must_use]
    pub fn selected_node(&self) -> Option<&NodeView> {
        self.view.node(self.selected)
    }

    /// The place of the selected node among the members.
    #[must_use]
    pub fn selected_place(&self) -> usize {
        self.view.nodes.iter().position(|node| node.id == self.selected).unwrap_or(0)
    }
}
