//! The real binary on a real pseudo-terminal: keys in, picture out.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long a picture may take to come.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program on its terminal. Killed when it is dropped.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    keys: Option<Box<dyn Write + Send>>,
    /// Ends the reading, which holds the terminal open too.
    closed: Arc<AtomicBool>,
    screen: Arc<Mutex<vt100::Parser>>,
}

const fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts `raft-tui` with these arguments on a terminal of this size.
    pub fn start(columns: u16, rows: u16, arguments: &[&str]) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_raft-tui"));
        command.args(arguments);
        Self::run(columns, rows, command)
    }

    /// Starts one test of this very binary, with a word in its environment that lets it do what it does.
    pub fn this_test(columns: u16, rows: u16, test: &str, word: &str, value: &str) -> Self {
        let mut command = CommandBuilder::new(std::env::current_exe().expect("a test is a program"));
        command.args(["--exact", test, "--nocapture"]);
        command.env(word, value);
        Self::run(columns, rows, command)
    }

    /// Starts a shell with job control, as people have one.
    pub fn shell(columns: u16, rows: u16) -> Self {
        let mut command = CommandBuilder::new("bash");
        command.args(["--norc", "--noprofile", "-i"]);
        command.env("PS1", "shell> ");
        Self::run(columns, rows, command)
    }

    fn run(columns: u16, rows: u16, mut command: CommandBuilder) -> Self {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("the system has terminals");
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).expect("the binary starts");
        drop(pair.slave);
        let wide = |length| NonZeroU16::new(length).expect("a terminal has cells");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(wide(rows), wide(columns), 0)));
        let mut output = pair.master.try_clone_reader().expect("a terminal can be read");
        let closed = Arc::new(AtomicBool::new(false));
        std::thread::spawn({
            let (screen, closed) = (Arc::clone(&screen), Arc::clone(&closed));
            move || {
                let mut bytes = [0; 4096];
                while let Ok(count) = output.read(&mut bytes) {
                    if count == 0 || closed.load(Ordering::SeqCst) {
                        return;
                    }
                    screen.lock().unwrap_or_else(PoisonError::into_inner).process(&bytes[..count]);
                }
            }
        });
        let keys = pair.master.take_writer().expect("a terminal can be typed on");
        Self { child, master: Some(pair.master), keys: Some(keys), closed, screen }
    }

    pub fn id(&self) -> u32 {
        self.child.process_id().expect("it has an id")
    }

    /// What the terminal shows.
    pub fn picture(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents()
    }

    /// Whether the program's own screen is shown, rather than the shell's.
    pub fn is_taken(&self) -> bool {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().alternate_screen()
    }

    pub fn is_cursor_hidden(&self) -> bool {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().hide_cursor()
    }

    pub fn press(&mut self, keys: &str) {
        let terminal = self.keys.as_mut().expect("it is there");
        terminal.write_all(keys.as_bytes()).and_then(|()| terminal.flush()).expect("it can be typed on");
    }

    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.master.as_ref().expect("it is there").resize(size(columns, rows)).expect("it can be resized");
        let wide = |length| NonZeroU16::new(length).expect("a terminal has cells");
        let mut screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        screen.screen_mut().set_size(wide(rows), wide(columns));
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
    }
}
