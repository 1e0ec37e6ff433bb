//! How long a frame takes: nine nodes at 120x40 (goal: p99 below 4 ms) and at 200x60 (below 8 ms).
//!
//! Drawing means what the loop does: the views into a buffer, the differences to the last frame, the bytes for them.
#![allow(missing_docs, dead_code, unreachable_pub, clippy::print_stdout, reason = "a bench prints what it measured")]

#[path = "../tests/it/support/views.rs"]
mod views;

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use raft_tui::control::ClusterView;
use raft_tui::tui::event::Event;
use raft_tui::tui::state::State;
use raft_tui::tui::theme::{Depth, Theme};
use raft_tui::tui::update::update;
use raft_tui::tui::view;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};

/// Frames of which the percentile is taken.
const FRAMES: usize = 2_000;

/// Counts the bytes that a terminal would be sent.
struct Counted(Rc<Cell<usize>>);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.set(self.0.get() + bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Console {
    state: State,
    theme: Theme,
    terminal: Terminal<CrosstermBackend<Counted>>,
    written: Rc<Cell<usize>>,
    frames: usize,
    views: Vec<Arc<ClusterView>>,
    turn: usize,
}

impl Console {
    fn new(width: u16, height: u16) -> Self {
        // Two pictures in turn, so that timers, log and rates change with each frame.
        let first = views::healthy(9);
        let mut second = first.clone();
        for node in &mut second.nodes {
            node.election_elapsed = (node.election_elapsed + 7) % 16;
            node.last.index.0 += 3;
            node.in_per_second += 11.5;
            node.messages_in += 40;
        }
        let views = vec![Arc::new(first), Arc::new(second)];
        let mut state = State::new(views[0].clone(), views::ALL);
        update(&mut state, Event::Resize { width, height });
        for observation in views::story() {
            update(&mut state, Event::Observed(observation));
        }
        let written = Rc::new(Cell::new(0));
        let viewport = Viewport::Fixed(Rect { x: 0, y: 0, width, height });
        let terminal =
            Terminal::with_options(CrosstermBackend::new(Counted(written.clone())), TerminalOptions { viewport });
        let terminal = terminal.expect("a terminal over bytes");
        Self { state, theme: Theme::built_in("dark", Depth::True), terminal, written, frames: 0, views, turn: 0 }
    }

    fn frame(&mut self) {
        self.frames += 1;
        self.turn = (self.turn + 1) % self.views.len();
        update(&mut self.state, Event::View(self.views[self.turn].clone()));
        let mut frame = self.terminal.get_frame();
        let area = frame.area();
        view::draw(&self.state, &self.theme, area, frame.buffer_mut());
        self.terminal.flush().expect("bytes can be written");
        self.terminal.swap_buffers();
    }
}

fn main() {
    let mut criterion = Criterion::default().warm_up_time(Duration::from_millis(500)).configure_from_args();
    for (width, height) in [(120, 40), (200, 60)] {
        let mut console = Console::new(width, height);
        criterion.bench_function(&format!("draw 9 nodes {width}x{height}"), |bencher| bencher.iter(|| console.frame()));
        let mut times: Vec<Duration> = (0..FRAMES)
            .map(|_| {
                let start = Instant::now();
                console.frame();
                start.elapsed()
            })
            .collect();
        let bytes = console.written.replace(0) / console.frames.max(1);
        times.sort_unstable();
        println!(
            "draw 9 nodes {width}x{height}: p50 {:?} p99 {:?} of {FRAMES} frames, {bytes} bytes a frame",
            times[FRAMES / 2],
            times[FRAMES * 99 / 100]
        );
    }
    criterion.final_summary();
}
