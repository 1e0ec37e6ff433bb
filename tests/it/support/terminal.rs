//! The real binary on a real pseudo-terminal: keys in, picture out.
//!
//! Kept true: a test fails if a byte came that is not allowed on a terminal, whatever else it looks at.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

use super::allowed::{Allowed, Speaker};

/// How long a picture may take to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// How long what an ended program wrote may take to be read; what it started may hold the terminal open for longer.
const READ_WITHIN: Duration = Duration::from_secs(5);

/// A program on its terminal. Killed when it is dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    /// Ends the reading, which holds the terminal open too.
    closed: Arc<AtomicBool>,
    heard: Arc<Mutex<Heard>>,
    reader: JoinHandle<()>,
}

/// All that a program wrote.
struct Heard {
    screen: vt100::Parser,
    allowed: Allowed,
}

const fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts `raft-tui` with these arguments on a terminal of this size.
    pub fn start(columns: u16, rows: u16, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_raft-tui"));
        command.args(arguments);
        Self::run(columns, rows, command, Speaker::Program)
    }

    /// Starts another program on a terminal of this size.
    pub fn other(columns: u16, rows: u16, program: &str, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(program);
        command.args(arguments);
        Self::run(columns, rows, command, Speaker::Program)
    }

    /// Starts one test of this very binary, with a word in its environment that lets it do what it does.
    pub fn this_test(columns: u16, rows: u16, test: &str, word: &str, value: &str) -> Self {
        let mut command = CommandBuilder::new(std::env::current_exe().expect("a test is a program"));
        command.args(["--exact", test, "--nocapture"]);
        command.env(word, value);
        Self::run(columns, rows, command, Speaker::Program)
    }

    /// Starts a shell with job control, as people have one.
    pub fn shell(columns: u16, rows: u16) -> Self {
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        command.env("PS1", "shell> ");
        Self::run(columns, rows, command, Speaker::Shell)
    }

    fn run(columns: u16, rows: u16, mut command: CommandBuilder, speaker: Speaker) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("the system has terminals");
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).expect("the binary starts");
        drop(pair.slave);
        let wide = |length| NonZeroU16::new(length).expect("a terminal has cells");
        let screen = vt100::Parser::new(wide(rows), wide(columns), 0);
        let heard = Arc::new(Mutex::new(Heard { screen, allowed: Allowed::new(speaker) }));
        let mut output = pair.master.try_clone_reader().expect("a terminal can be read");
        let closed = Arc::new(AtomicBool::new(false));
        let reader = std::thread::spawn({
            let (heard, closed) = (Arc::clone(&heard), Arc::clone(&closed));
            move || {
                let mut bytes = [0; 4096];
                while let Ok(count) = output.read(&mut bytes) {
                    if count == 0 || closed.load(Ordering::SeqCst) {
                        return;
                    }
                    let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                    heard.allowed.read(&bytes[..count]);
                    heard.screen.process(&bytes[..count]);
                }
            }
        });
        let keys = pair.master.take_writer().expect("a terminal can be typed on");
        Self { child, master: Some(pair.master), keys: Some(keys), closed, heard, reader }
    }

    pub fn id(&self) -> u32 {
        self.child.process_id().expect("it has an id")
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first thing that it should not have said to a terminal, so that the end does not fail for it.
    pub fn take_offence(&self) -> Option<String> {
        self.heard().allowed.take_offence()
    }

    /// What the terminal shows.
    pub fn picture(&self) -> String {
        self.heard().screen.screen().contents()
    }

    /// Whether the program's own screen is shown, rather than the shell's.
    pub fn is_taken(&self) -> bool {
        self.heard().screen.screen().alternate_screen()
    }

    pub fn is_cursor_hidden(&self) -> bool {
        self.heard().screen.screen().hide_cursor()
    }

    pub fn press(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().expect("it is there");
        terminal.write_all(keys.as_bytes()).and_then(|()| terminal.flush()).expect("it can be typed on");
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master.as_ref().expect("it is there").resize(size(columns, rows)).expect("it can be resized");
        let wide = |length| NonZeroU16::new(length).expect("a terminal has cells");
        self.heard().screen.screen_mut().set_size(wide(rows), wide(columns));
    }

    /// Waits until the picture is like that.
    pub fn until(&self, what: &str, like: impl Fn(&str) -> bool) {
        let started = Instant::now();
        while !like(&self.picture()) {
            assert!(started.elapsed() < PATIENCE, "never {what}:\n{}", self.picture());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until these words are shown.
    pub fn until_shown(&self, words: &str) {
        self.until(&format!("showed `{words}`"), |picture| picture.contains(words));
    }

    /// The terminal is closed under the program.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.keys = None;
        self.master = None;
    }

    /// Waits for the end and tells how long it took.
    pub fn end(&mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return (status, started.elapsed());
            }
            assert!(started.elapsed() < PATIENCE, "it does not end:\n{}", self.picture());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let ended = Instant::now();
        let closed = self.closed.load(Ordering::SeqCst);
        while !closed && !self.reader.is_finished() && ended.elapsed() < READ_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
        if !std::thread::panicking() {
            assert_eq!(self.take_offence(), None, "this is not for a terminal");
        }
    }
}
