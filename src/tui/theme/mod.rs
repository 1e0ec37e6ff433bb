//! Colours by meaning: a theme gives each slot a style, at the depth of the terminal.
//!
//! A slot that a theme does not name takes the style of its longest dotted prefix, then the parent theme's, then
//! `ui.fg`. At 16 colours and without colours a theme says itself how a slot looks, because nearest colours collide.
//!
//! Kept true: resolving a slot while drawing is an array access; without colours no style has any.
//! Not here: how theme files are read (`file.rs`), how far colours are apart (`color.rs`).

pub mod color;
pub mod file;

use std::path::{Path, PathBuf};

use ratatui::style::{Color, Modifier, Style};

use file::{Paint, SlotStyle, ThemeFile};

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 16 million.
    True,
    /// 256.
    Indexed,
    /// 16.
    Sixteen,
    /// None: bold, dim, underlined and signs carry everything.
    Mono,
}

impl Depth {
    /// What the environment says of the terminal; `look` finds a variable.
    #[must_use]
    pub fn detect(look: impl Fn(&str) -> Option<String>) -> Self {
        let is_set = |name: &str| look(name).is_some_and(|value| !value.is_empty());
        if is_set("NO_COLOR") {
            return Self::Mono;
        }
        let term = look("TERM").unwrap_or_default();
        let color = look("COLORTERM").unwrap_or_default();
        // Apple's terminal before Tahoe says nothing of truecolor and garbles it.
        if color == "truecolor" || color == "24bit" || term.ends_with("-direct") {
            Self::True
        } else if term.contains("256color") {
            Self::Indexed
        } else if term == "dumb" || term.starts_with("vt1") || term.starts_with("vt2") {
            Self::Mono
        } else {
            Self::Sixteen
        }
    }
}

macro_rules! slots {
    ($($variant:ident $name:literal,)+) => {
        /// What a style means.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each is named as in theme files")]
        pub enum Slot { $($variant),+ }

        impl Slot {
            /// All, in the order of the documents.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name in theme files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

slots! {
    Background "ui.bg",
    Text "ui.fg",
    Muted "ui.muted",
    Border "ui.border",
    BorderFocus "ui.border.focus",
    Title "ui.title",
    Heading "ui.heading",
    Bar "ui.bar",
    Selection "ui.selection",
    Cursor "ui.cursor",
    Key "ui.key",
    Hint "ui.hint",
    Overlay "ui.overlay",
    Input "ui.input",
    Placeholder "ui.placeholder",
    Error "ui.error",
    Leader "role.leader",
    Follower "role.follower",
    Candidate "role.candidate",
    PreCandidate "role.precandidate",
    Down "life.down",
    Halted "life.halted",
    Quarantined "life.quarantined",
    Starting "life.starting",
    Paused "life.paused",
    Unreachable "life.unreachable",
    Stale "life.stale",
    EntryPending "entry.pending",
    EntryCommitted "entry.committed",
    EntryApplied "entry.applied",
    EntryConflict "entry.conflict",
    EntrySnapshot "entry.snapshot",
    EntryMissing "entry.missing",
    TimerElapsed "timer.elapsed",
    TimerUrgent "timer.urgent",
    TimerRest "timer.rest",
    Ok "status.ok",
    Info "status.info",
    Warn "status.warn",
    Bad "status.error",
    Violation "status.violation",
    Unknown "status.unknown",
    Lab "mode.lab",
    Processes "mode.processes",
    Live "mode.live",
    Observe "mode.observe",
    Operate "mode.operate",
    Drill "mode.drill",
    Chaos "mode.chaos",
    Stopped "mode.stopped",
    GroupA "group.a",
    GroupB "group.b",
    GroupC "group.c",
    GroupD "group.d",
    GroupE "group.e",
    GroupF "group.f",
}

impl Slot {
    /// The slot of a group of the partition editor.
    #[must_use]
    pub const fn group(group: usize) -> Self {
        match group {
            0 => Self::GroupA,
            1 => Self::GroupB,
            2 => Self::GroupC,
            3 => Self::GroupD,
            4 => Self::GroupE,
            _ => Self::GroupF,
        }
    }
}

/// A theme at one depth, ready to draw with.
#[derive(Clone, Debug)]
pub struct Theme {
    /// Its name.
    pub name: String,
    /// Whether it asks for ASCII glyphs.
    pub ascii: bool,
    styles: Vec<Style>,
    terms: Vec<Style>,
}

/// The themes that the binary carries.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("default", include_str!("../../../themes/default.toml")),
    ("dark", include_str!("../../../themes/dark.toml")),
    ("light", include_str!("../../../themes/light.toml")),
];

/// Why a theme cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    /// No file and no built-in theme has this name.
    #[error("there is no theme `{name}`{hint}; built in are {}", built_in_names())]
    NotFound {
        /// What was asked for.
        name: String,
        /// What was perhaps meant.
        hint: String,
    },
    /// A file could not be read.
    #[error("cannot read the theme {path}: {source}")]
    Read {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something in the file is wrong.
    #[error("{0}")]
    Wrong(#[from] file::Wrong),
    /// Themes inherit from each other in a circle, or too deep.
    #[error("theme `{0}` inherits in a circle, or over more than 8 themes")]
    Circle(String),
}

fn built_in_names() -> String {
    BUILT_IN.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Where people keep themes: their configuration's `raft-tui/themes`, then `themes` here; `look` finds a variable.
#[must_use]
pub fn usual_folders(look: impl Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let set = |name: &str| look(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    config.map(|config| config.join("raft-tui").join("themes")).into_iter().chain([PathBuf::from("themes")]).collect()
}

const DEEPEST: usize = 8;

impl Theme {
    /// A theme by the name of a built-in one or of a file `NAME.toml` in a folder, or by the path of a file.
    pub fn load(name: &str, folders: &[&Path], depth: Depth) -> Result<Self, ThemeError> {
        let mut chain: Vec<ThemeFile> = Vec::new();
        let mut next = Some(name.to_owned());
        while let Some(name) = next.take() {
            let file = read(&name, folders)?;
            if chain.len() >= DEEPEST || chain.iter().any(|earlier| earlier.source == file.source) {
                return Err(ThemeError::Circle(name));
            }
            next.clone_from(&file.inherits);
            chain.push(file);
        }
        Ok(Self::resolve(&chain, depth))
    }

    /// A built-in theme; the default one for a name that is none.
    #[must_use]
    pub fn built_in(name: &str, depth: Depth) -> Self {
        Self::load(name, &[], depth).or_else(|_| Self::load("default", &[], depth)).unwrap_or_else(|_| Self::plain())
    }

    /// No colours at all: what is left if even the default theme cannot be read.
    fn plain() -> Self {
        let styles = vec![Style::reset(); Slot::ALL.len()];
        Self { name: String::from("plain"), ascii: false, styles, terms: vec![Style::reset()] }
    }

    fn resolve(chain: &[ThemeFile], depth: Depth) -> Self {
        let find = |slot: Slot| chain.iter().find_map(|file| file.slot(slot.name()));
        let text = find(Slot::Text);
        let background =
            find(Slot::Background).map_or(Color::Reset, |style| style.resolve(depth).bg.unwrap_or(Color::Reset));
        let base = Style::reset().bg(background).patch(foreground(text, depth));
        let style = |slot: &Slot| match (slot, find(*slot)) {
            (Slot::Background, _) => base,
            (_, Some(style)) => style.resolve(depth),
            (_, None) => foreground(text, depth),
        };
        let terms: Vec<Style> = chain
            .iter()
            .find(|file| !file.terms.is_empty())
            .map_or_else(Vec::new, |file| file.terms.clone())
            .iter()
            .map(|paint| paint.style(depth))
            .collect();
        Self {
            name: chain.first().map_or_else(String::new, |file| file.name.clone()),
            ascii: chain.iter().find_map(|file| file.ascii).unwrap_or(false),
            styles: Slot::ALL.iter().map(style).collect(),
            terms: if terms.is_empty() { vec![foreground(text, depth)] } else { terms },
        }
    }

    /// The style of a slot, over whatever is beneath.
    #[must_use]
    pub fn style(&self, slot: Slot) -> Style {
        self.styles.get(slot as usize).copied().unwrap_or_default()
    }

    /// The colour of a term, cycled.
    #[must_use]
    pub fn term(&self, term: u64) -> Style {
        self.terms.get(usize::try_from(term).unwrap_or(0) % self.terms.len().max(1)).copied().unwrap_or_default()
    }

    /// The colours of terms.
    #[must_use]
    pub fn terms(&self) -> &[Style] {
        &self.terms
    }
}

fn foreground(style: Option<&SlotStyle>, depth: Depth) -> Style {
    let fg = style.and_then(|style| style.resolve(depth).fg).unwrap_or(Color::Reset);
    Style::new().fg(fg)
}

impl SlotStyle {
    fn resolve(&self, depth: Depth) -> Style {
        if depth == Depth::Mono {
            return Style::new().add_modifier(self.mono.unwrap_or(self.modifiers));
        }
        let mut style = Style::new().add_modifier(self.modifiers);
        if let Some(fg) = &self.fg {
            style = style.fg(fg.color(depth));
        }
        if let Some(bg) = &self.bg {
            style = style.bg(bg.color(depth));
        }
        style
    }
}

impl Paint {
    fn color(&self, depth: Depth) -> Color {
        match depth {
            Depth::Mono => Color::Reset,
            Depth::True => self.color,
            Depth::Indexed => self.c256.map_or_else(|| color::nearest_indexed(self.color), Color::Indexed),
            Depth::Sixteen => self.ansi.unwrap_or_else(|| color::nearest_sixteen(self.color)),
        }
    }

    fn style(&self, depth: Depth) -> Style {
        if depth == Depth::Mono { Style::new() } else { Style::new().fg(self.color(depth)) }
    }
}

fn read(name: &str, folders: &[&Path]) -> Result<ThemeFile, ThemeError> {
    let looks_like_path = name.contains('/') || Path::new(name).extension().is_some_and(|end| end == "toml");
    let candidates: Vec<PathBuf> = if looks_like_path {
        vec![name.into()]
    } else {
        folders.iter().map(|folder| folder.join(format!("{name}.toml"))).filter(|path| path.exists()).collect()
    };
    if let Some(path) = candidates.first() {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| ThemeError::Read { path: shown.clone(), source })?;
        return Ok(ThemeFile::parse(&shown, &text)?);
    }
    let Some((name, text)) = BUILT_IN.iter().find(|(built_in, _)| *built_in == name) else {
        let hint = file::did_you_mean(name, BUILT_IN.iter().map(|(name, _)| *name));
        return Err(ThemeError::NotFound { name: name.to_owned(), hint });
    };
    Ok(ThemeFile::parse(&format!("themes/{name}.toml"), text)?)
}

/// Modifiers by the names that theme files use.
const MODIFIERS: [(&str, Modifier); 7] = [
    ("bold", Modifier::BOLD),
    ("dim", Modifier::DIM),
    ("italic", Modifier::ITALIC),
    ("underlined", Modifier::UNDERLINED),
    ("underline", Modifier::UNDERLINED),
    ("reversed", Modifier::REVERSED),
    ("crossed-out", Modifier::CROSSED_OUT),
];
