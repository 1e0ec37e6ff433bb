//! The signs that the console draws with: one set for most terminals, one of ASCII only.
//!
//! Kept true: each takes one cell; none is an emoji; each state differs in its sign or word, never by colour alone.

use std::borrow::Cow;

use crate::control::{Life, NodeView};
use crate::raft::Role;

/// A set of signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each name says what it stands for")]
pub struct Glyphs {
    pub leader: &'static str,
    pub follower: &'static str,
    pub candidate: &'static str,
    pub pre_candidate: &'static str,
    pub down: &'static str,
    pub halted: &'static str,
    pub starting: &'static str,
    /// A paused node.
    pub paused: &'static str,
    /// A node of which nothing is heard.
    pub unheard: &'static str,
    pub quarantined: &'static str,
    pub unknown: &'static str,
    pub mark: &'static str,
    pub bar_full: &'static str,
    pub bar_rest: &'static str,
    pub missing: &'static str,
    pub ellipsis: &'static str,
    pub separator: &'static str,
    pub dot: &'static str,
    pub running: &'static str,
    pub stopped: &'static str,
    pub to: &'static str,
    pub range: &'static str,
    pub horizontal: &'static str,
    pub vertical: &'static str,
    pub corners: [&'static str; 4],
    pub focus_horizontal: &'static str,
    pub focus_vertical: &'static str,
    pub focus_corners: [&'static str; 4],
    pub good: &'static str,
    pub bad: &'static str,
    pub up: &'static str,
    pub below: &'static str,
}

/// For most terminals.
pub const UNICODE: Glyphs = Glyphs {
    leader: "★",
    follower: "○",
    candidate: "◆",
    pre_candidate: "◇",
    down: "✗",
    halted: "■",
    starting: "◌",
    paused: "‖",
    unheard: "?",
    quarantined: "□",
    unknown: "–",
    mark: "▶",
    bar_full: "━",
    bar_rest: "─",
    missing: "·",
    ellipsis: "…",
    separator: "│",
    dot: "·",
    running: "▶",
    stopped: "■",
    to: "→",
    range: "–",
    horizontal: "─",
    vertical: "│",
    corners: ["╭", "╮", "╰", "╯"],
    focus_horizontal: "━",
    focus_vertical: "┃",
    focus_corners: ["┏", "┓", "┗", "┛"],
    good: "✓",
    bad: "✗",
    up: "↑",
    below: "↓",
};

/// For terminals and fonts that have nothing else.
pub const ASCII: Glyphs = Glyphs {
    leader: "*",
    follower: "o",
    candidate: "C",
    pre_candidate: "p",
    down: "x",
    halted: "#",
    starting: "+",
    paused: "=",
    unheard: "?",
    quarantined: "q",
    unknown: "-",
    mark: ">",
    bar_full: "#",
    bar_rest: "-",
    missing: ".",
    ellipsis: "~",
    separator: "|",
    dot: "-",
    running: ">",
    stopped: "#",
    to: ">",
    range: "-",
    horizontal: "-",
    vertical: "|",
    corners: ["+", "+", "+", "+"],
    focus_horizontal: "=",
    focus_vertical: "|",
    focus_corners: ["+", "+", "+", "+"],
    good: "+",
    bad: "x",
    up: "^",
    below: "v",
};

impl Glyphs {
    /// The set for a state.
    #[must_use]
    pub const fn of(ascii: bool) -> &'static Self {
        if ascii { &ASCII } else { &UNICODE }
    }

    /// A sentence in this set: signs of the narrator that ASCII lacks are spelt out. Keys and values stay as they are.
    #[must_use]
    pub fn spell<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.ellipsis == UNICODE.ellipsis || text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let spelt = |c: char| match c {
            '§' => Some("par. "),
            '…' => Some("..."),
            '–' => Some("-"),
            '→' | '›' => Some(">"),
            '↑' => Some("^"),
            '↓' => Some("v"),
            '←' | '‹' => Some("<"),
            _ => None,
        };
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match spelt(c) {
                Some(words) => out += words,
                None => out.push(c),
            }
        }
        Cow::Owned(out)
    }

    /// The sign of a node.
    #[must_use]
    pub fn node(&self, node: &NodeView) -> &'static str {
        match (&node.life, node.role) {
            (Life::Crashed { .. }, _) => self.down,
            (Life::Halted { .. }, _) => self.halted,
            (Life::Paused, _) => self.paused,
            (Life::Unreachable { .. }, _) => self.unheard,
            (Life::Starting, _) => self.starting,
            (Life::Running, _) if node.quarantined => self.quarantined,
            (Life::Running, Role::Leader) => self.leader,
            (Life::Running, Role::Follower) => self.follower,
            (Life::Running, Role::Candidate) => self.candidate,
            (Life::Running, Role::PreCandidate) => self.pre_candidate,
        }
    }
}
