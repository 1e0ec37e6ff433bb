//! The real terminal: taken at the start, given back at the end, whatever the end is.
//!
//! Kept true: after [`Screen`] is dropped and while suspended, the terminal is as it was found; [`restore`] is for whoever
//! hears of a panic first (a panic of a node, on another thread, must not take the screen away).
//! `Terminal::clear` is never called: it asks the terminal for its cursor, and the event stream swallows the answer.
//! Not here: what is drawn.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste, EventStream};
use crossterm::execute;
use crossterm::style::ResetColor;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size};
use futures_util::StreamExt;
use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::event::Event;
use super::keymap;

/// Whether the terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The terminal, while it is ours.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
    keys: Option<EventStream>,
    /// What the terminal shows, if that is known.
    shown: Option<Buffer>,
}

/// What the terminal says.
pub enum Heard {
    /// Something that the console takes note of.
    Event(Event),
    /// Something that it does not.
    Nothing,
    /// It is gone.
    Closed,
}

impl Screen {
    /// Takes the terminal.
    pub fn take() -> io::Result<Self> {
        enter()?;
        let made = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(64 * 1024, io::stdout())));
        let terminal = made.inspect_err(|_| restore())?;
        Ok(Self { terminal, keys: Some(EventStream::new()), shown: None })
    }

    /// Columns and rows.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        size()
    }

    /// Draws a frame; only what differs from the last one is written.
    pub fn draw(&mut self, paint: impl FnOnce(Rect, &mut Buffer)) -> io::Result<()> {
        // `Terminal::draw` would write cursor commands for each frame, even if nothing differs.
        self.terminal.autoresize()?;
        let mut frame = self.terminal.get_frame();
        paint(frame.area(), frame.buffer_mut());
        // Even an empty difference would write a reset of the style.
        let same = self.shown.as_ref() == Some(frame.buffer_mut());
        if !same {
            self.shown = Some(frame.buffer_mut().clone());
            self.terminal.flush()?;
            Backend::flush(self.terminal.backend_mut())?;
        }
        self.terminal.swap_buffers();
        Ok(())
    }

    /// Makes the next frame write every cell.
    pub fn forget(&mut self) -> io::Result<()> {
        self.shown = None;
        let (width, height) = self.size()?;
        self.terminal.resize(Rect { x: 0, y: 0, width, height })
    }

    /// Waits for the next thing that the terminal says.
    pub async fn next(&mut self) -> Heard {
        let Some(keys) = &mut self.keys else { return std::future::pending().await };
        match keys.next().await {
            Some(Ok(event)) => keymap::from_terminal(event).map_or(Heard::Nothing, Heard::Event),
            Some(Err(_)) | None => Heard::Closed,
        }
    }

    /// Gives the terminal back and stops this process until the shell brings it to the front again.
    pub fn suspend(&mut self) -> io::Result<()> {
        self.keys = None;
        restore();
        let stopped = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TSTP);
        // Here again: the shell has sent SIGCONT.
        enter()?;
        self.keys = Some(EventStream::new());
        stopped.map_err(io::Error::from)?;
        self.forget()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.keys = None;
        restore();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide).inspect_err(|_| restore())
}

/// Gives the terminal back, if it is ours. Errors are of no use here: there is nobody left to tell.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = io::stdout();
        let _ = execute!(out, ResetColor, DisableBracketedPaste, LeaveAlternateScreen, Show);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}
