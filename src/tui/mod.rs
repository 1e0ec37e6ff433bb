//! The window: a cluster on a terminal, for a person who watches it, breaks it and mends it.
//!
//! One loop ([`run`]) waits for keys, observations, views and time; drains all that is ready; lets the pure
//! [`update`](fn@update::update) change the [`State`]; performs the effects; and draws one frame with the pure
//! [`view::draw`], at most twenty times a second. When nothing has changed nothing is drawn.
//!
//! A key goes: terminal → `keymap` → `action` → `update` → `Effect::Ask` → the session; what the cluster then reports
//! comes back as a view, and only that is drawn.
//!
//! Kept true: `update` and `view` know no clock, no terminal and no channel.
//! Not here: how a cluster is held (`cluster/`), the words of operations and events (`control/`).

pub mod action;
pub mod clean;
pub mod command;
pub mod dialog;
pub mod effect;
pub mod event;
pub mod glyphs;
pub mod keymap;
pub mod layout;
pub mod partition;
pub mod state;
pub mod terminal;
pub mod theme;
pub mod update;
pub mod view;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;

use crate::cluster::Session;
use crate::control::{Answer, Observation, Request};
use effect::Effect;
use event::Event;
use state::State;
use terminal::{Heard, Screen};
use theme::{BUILT_IN, Depth, Theme, ThemeError};

/// How the console is to look.
#[derive(Clone, Debug)]
pub struct TuiOptions {
    /// Name of a theme or path of a theme file.
    pub theme: String,
    /// How many colours; `None`: what the environment says.
    pub depth: Option<Depth>,
    /// ASCII glyphs only.
    pub ascii: bool,
    /// Folders in which themes are looked for by name, before the built-in ones.
    pub theme_folders: Vec<PathBuf>,
}

impl Default for TuiOptions {
    fn default() -> Self {
        Self {
            theme: String::from("default"),
            depth: None,
            ascii: false,
            theme_folders: theme::usual_folders(|name| std::env::var(name).ok()),
        }
    }
}

pub use terminal::restore;

/// Why the console ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The person wished it.
    Asked,
    /// This signal came.
    Signal(&'static str),
    /// The terminal was closed.
    TerminalClosed,
}

/// Why the console could not run.
#[derive(Debug, thiserror::Error)]
pub enum TuiError {
    /// The theme cannot be used.
    #[error(transparent)]
    Theme(#[from] ThemeError),
    /// The terminal could not be taken.
    #[error("cannot use this terminal: {0}; try --plain")]
    Terminal(#[source] io::Error),
    /// Signals cannot be heard.
    #[error("cannot listen for signals: {0}")]
    Signals(#[source] io::Error),
}

/// Shortest time between two frames.
const FRAME: Duration = Duration::from_millis(50);
/// The same where each frame goes over a network.
const FRAME_OVER_SSH: Duration = Duration::from_millis(100);
/// How often seconds are looked at when nothing else happens.
const SECOND: Duration = Duration::from_secs(1);
/// How many observations are taken before the next frame at most.
const DRAIN: usize = 4096;

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.interrupt.recv() => Ended::Signal("SIGINT"),
            _ = self.terminate.recv() => Ended::Signal("SIGTERM"),
            _ = self.hang_up.recv() => Ended::Signal("SIGHUP"),
        }
    }
}

/// Finds mistakes in the options before there is a cluster to show.
pub fn check(options: &TuiOptions) -> Result<(), TuiError> {
    load_theme(options).map(|_| ())
}

fn load_theme(options: &TuiOptions) -> Result<(Theme, Depth), TuiError> {
    let depth = options.depth.unwrap_or_else(|| Depth::detect(|name| std::env::var(name).ok()));
    let folders: Vec<&Path> = options.theme_folders.iter().map(PathBuf::as_path).collect();
    Ok((Theme::load(&options.theme, &folders, depth)?, depth))
}

/// Shows a cluster on the terminal until the person, a signal or the terminal ends it. The cluster is left as it is;
/// whoever holds it stops it.
pub async fn run(mut session: Session, options: TuiOptions) -> Result<Ended, TuiError> {
    let (mut theme, depth) = load_theme(&options)?;
    let folders: Vec<&Path> = options.theme_folders.iter().map(PathBuf::as_path).collect();
    let mut signals = Signals::listen().map_err(TuiError::Signals)?;

    let first = session.view.borrow_and_update().clone();
    let mut state = State::new(first, session.capabilities);
    state.ascii = options.ascii || theme.ascii;
    state.theme.clone_from(&theme.name);

    let mut screen = Screen::take().map_err(TuiError::Terminal)?;
    if let Ok((width, height)) = screen.size() {
        update::update(&mut state, Event::Resize { width, height });
    }
    let over_ssh = std::env::var_os("SSH_CONNECTION").is_some() || std::env::var_os("SSH_TTY").is_some();
    let frame = if over_ssh { FRAME_OVER_SSH } else { FRAME };
    let start = Instant::now();
    let mut drawn_at: Option<Instant> = None;
    loop {
        let frame_due = drawn_at.map_or(start, |at| at + frame);
        let wake = if state.dirty { frame_due } else { Instant::now() + until_next_second(start) };
        let mut events = Vec::new();
        tokio::select! {
            biased;
            ended = signals.next() => return Ok(ended),
            heard = screen.next() => match heard {
                Heard::Event(event) => events.push(event),
                Heard::Nothing => {}
                Heard::Closed => return Ok(Ended::TerminalClosed),
            },
            seen = session.observations.recv(), if !state.gone => match seen {
                Some(observation) => {
                    events.push(Event::Observed(observation));
                    while events.len() < DRAIN && let Ok(more) = session.observations.try_recv() {
                        events.push(Event::Observed(more));
                    }
                }
                None => events.push(Event::ClusterGone),
            },
            changed = session.view.changed(), if !state.gone => match changed {
                Ok(()) => events.push(Event::View(session.view.borrow_and_update().clone())),
                Err(_) => events.push(Event::ClusterGone),
            },
            () = tokio::time::sleep_until(wake) => {}
        }
        let now_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        events.insert(0, Event::Tick { now_ms });
        for event in events {
            // Terminals reflow what they show while their size changes: nothing of it can be relied on.
            if matches!(event, Event::Resize { .. }) && screen.forget().is_err() {
                return Ok(Ended::TerminalClosed);
            }
            let mut effects = update::update(&mut state, event);
            while let Some(effect) = effects.pop() {
                match effect {
                    Effect::Quit => return Ok(Ended::Asked),
                    Effect::Ask(request) => {
                        if let Some(refused) = send(&session, request) {
                            effects.extend(update::update(&mut state, Event::Observed(refused)));
                        }
                    }
                    Effect::NextTheme => {
                        theme = next_theme(&theme.name, &options.theme, &folders, depth);
                        effects.extend(update::update(&mut state, Event::ThemeChanged { name: theme.name.clone() }));
                    }
                    Effect::Redraw => {
                        if screen.forget().is_err() {
                            return Ok(Ended::TerminalClosed);
                        }
                    }
                    Effect::Suspend => {
                        if screen.suspend().is_err() {
                            return Ok(Ended::TerminalClosed);
                        }
                        if let Ok((width, height)) = screen.size() {
                            update::update(&mut state, Event::Resize { width, height });
                        }
                    }
                }
            }
        }
        if state.dirty && Instant::now() >= frame_due {
            state.dirty = false;
            drawn_at = Some(Instant::now());
            if screen.draw(|area, buffer| view::draw(&state, &theme, area, buffer)).is_err() {
                return Ok(Ended::TerminalClosed);
            }
        }
    }
}

fn until_next_second(start: Instant) -> Duration {
    let into = start.elapsed().as_millis() % SECOND.as_millis();
    SECOND.saturating_sub(Duration::from_millis(u64::try_from(into).unwrap_or(0)))
}

/// Hands a request to the cluster; what cannot be handed over is answered at once.
fn send(session: &Session, request: Request) -> Option<Observation> {
    let id = request.id;
    let why = match session.operations.try_send(request) {
        Ok(()) => return None,
        Err(TrySendError::Full(_)) => "too much is being asked at once: try again in a moment",
        Err(TrySendError::Closed(_)) => "the cluster has ended: quit with q",
    };
    Some(Observation::Answered { id, answer: Answer::Refused { why: String::from(why) } })
}

/// The theme after this one: the built-in ones, and the one that was asked for.
fn next_theme(now: &str, asked: &str, folders: &[&Path], depth: Depth) -> Theme {
    let mut names: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
    if !names.contains(&asked) {
        names.push(asked);
    }
    let here = names.iter().position(|name| *name == now).unwrap_or(names.len() - 1);
    let next = names[(here + 1) % names.len()];
    Theme::load(next, folders, depth).unwrap_or_else(|_| Theme::built_in("default", depth))
}
