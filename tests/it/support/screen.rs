//! Keys in, picture out: the console without a terminal.

use std::fmt::Write as _;
use std::sync::Arc;

use raft_tui::control::{Capabilities, ClusterView, Held, Observation, Operation};
use raft_tui::tui::effect::Effect;
use raft_tui::tui::event::{Event, Key};
use raft_tui::tui::state::State;
use raft_tui::tui::theme::{Depth, Theme};
use raft_tui::tui::update::update;
use raft_tui::tui::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::views;

/// A console of a size over a cluster.
pub struct Screen {
    pub state: State,
    pub theme: Theme,
    pub effects: Vec<Effect>,
}

impl Screen {
    pub fn new(width: u16, height: u16, view: ClusterView) -> Self {
        let capabilities = if view.held == Held::Lab { views::LAB } else { views::ALL };
        Self::with(width, height, view, capabilities)
    }

    pub fn with(width: u16, height: u16, view: ClusterView, capabilities: Capabilities) -> Self {
        let mut state = State::new(Arc::new(view), capabilities);
        update(&mut state, Event::Resize { width, height });
        Self { state, theme: Theme::built_in("default", Depth::Sixteen), effects: Vec::new() }
    }

    pub fn theme(mut self, name: &str, depth: Depth) -> Self {
        self.theme = Theme::built_in(name, depth);
        self
    }

    /// Another console in the same state.
    pub fn again(&self) -> Self {
        Self { state: self.state.clone(), theme: self.theme.clone(), effects: Vec::new() }
    }

    /// What was observed of the story of [`views::story`].
    pub fn story(mut self) -> Self {
        for observation in views::story() {
            self.observe(observation);
        }
        self
    }

    pub fn event(&mut self, event: Event) {
        let effects = update(&mut self.state, event);
        self.effects.extend(effects);
    }

    pub fn observe(&mut self, observation: Observation) {
        self.event(Event::Observed(observation));
    }

    pub fn view(&mut self, view: ClusterView) {
        self.event(Event::View(Arc::new(view)));
    }

    pub fn at(&mut self, now_ms: u64) {
        self.event(Event::Tick { now_ms });
    }

    /// Presses keys: characters, and names such as `<enter>`.
    pub fn keys(&mut self, script: &str) -> &mut Self {
        for key in keys(script) {
            self.event(Event::Key(key));
        }
        self
    }

    /// The operations that were asked for since the last call.
    pub fn asked(&mut self) -> Vec<Operation> {
        let asked = |effect| if let Effect::Ask(request) = effect { Some(request.operation) } else { None };
        std::mem::take(&mut self.effects).into_iter().filter_map(asked).collect()
    }

    pub fn buffer(&self) -> Buffer {
        let mut buffer = Buffer::empty(Rect::new(0, 0, self.state.width, self.state.height));
        view::draw(&self.state, &self.theme, buffer.area, &mut buffer);
        buffer
    }

    /// The signs, a line a row, without spaces at the ends.
    pub fn picture(&self) -> String {
        signs(&self.buffer())
    }

    /// The signs, and then one line for each run of cells of one style.
    pub fn picture_and_styles(&self) -> String {
        let buffer = self.buffer();
        let mut out = signs(&buffer);
        out += "\n";
        for y in 0..buffer.area.height {
            let style = |x: u16| buffer[(x, y)].style();
            let mut x = 0;
            while x < buffer.area.width {
                let start = x;
                while x < buffer.area.width && style(x) == style(start) {
                    x += 1;
                }
                let words = words(style(start));
                if !words.is_empty() {
                    let text: String = (start..x).map(|x| buffer[(x, y)].symbol()).collect();
                    if !text.trim().is_empty() || words.contains(" on ") {
                        writeln!(out, "{y}:{start}-{} {words} {:?}", x - 1, text.trim())
                            .expect("strings can be written");
                    }
                }
            }
        }
        out
    }

    /// Whether a line of the picture has all of these texts.
    pub fn shows(&self, texts: &[&str]) -> bool {
        self.picture().lines().any(|line| texts.iter().all(|text| line.contains(text)))
    }
}

pub fn keys(script: &str) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = script;
    while let Some(c) = rest.chars().next() {
        let named = rest.strip_prefix('<').and_then(|inner| inner.split_once('>')).filter(|(name, _)| name.len() > 1);
        if let Some((name, after)) = named {
            keys.push(name.parse().expect("a key's name"));
            rest = after;
        } else {
            keys.push(Key::char(c));
            rest = rest.get(c.len_utf8()..).unwrap_or("");
        }
    }
    keys
}

fn signs(buffer: &Buffer) -> String {
    let mut out = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut skip = 0;
        for x in 0..buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            if skip > 0 {
                skip -= 1;
                continue;
            }
            skip = raft_tui::text::width(symbol).saturating_sub(1);
            line += symbol;
        }
        out += line.trim_end();
        out += "\n";
    }
    out
}

fn words(style: Style) -> String {
    let name = |color: Color| match color {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Indexed(number) => number.to_string(),
        color => color.to_string().to_lowercase(),
    };
    let mut words = Vec::new();
    if let Some(fg) = style.fg.filter(|fg| *fg != Color::Reset) {
        words.push(name(fg));
    }
    if let Some(bg) = style.bg.filter(|bg| *bg != Color::Reset) {
        words.push(format!(" on {}", name(bg)));
    }
    if !style.add_modifier.is_empty() {
        words.push(format!("{:?}", style.add_modifier).to_lowercase());
    }
    words.join(" ")
}
