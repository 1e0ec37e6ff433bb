//! The real binary on a real terminal: keys in, the screen as a terminal would show it.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};

/// How long the screen may take to show something before a test gives up; most of it is for slow machines.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program on a pseudo-terminal. Killed when it is dropped.
pub struct Pty {
    child: Box<dyn Child + Send + Sync>,
    keys: Option<Box<dyn Write + Send>>,
    master: Option<Box<dyn MasterPty + Send>>,
    screen: Arc<Mutex<vt100::Parser>>,
    closed: Arc<AtomicBool>,
}

fn size(width: u16, height: u16) -> PtySize {
    PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 }
}

impl Pty {
    /// Starts `raft-tui` with these arguments on a terminal of this size.
    pub fn start(width: u16, height: u16, arguments: &[&str]) -> Self {
        let pair = native_pty_system().openpty(size(width, height)).expect("there are pseudo-terminals");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_raft-tui"));
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let child = pair.slave.spawn_command(command).expect("the binary starts");
        drop(pair.slave);
        let mut output = pair.master.try_clone_reader().expect("its output can be read");
        let keys = pair.master.take_writer().expect("its input can be written");
        let (rows, columns) = (height.try_into().expect("rows"), width.try_into().expect("columns"));
        let screen = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let seen = Arc::clone(&screen);
        let closed = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&closed);
        std::thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(count @ 1..) = output.read(&mut bytes) {
                seen.lock().expect("no test panics while it reads").process(&bytes[..count]);
                // The reader holds the terminal open; a console that draws lets it notice that it should not.
                if over.load(Ordering::SeqCst) {
                    return;
                }
            }
        });
        Self { child, keys: Some(keys), master: Some(pair.master), screen, closed }
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        let input = self.keys.as_mut().expect("the terminal is open");
        input.write_all(keys.as_bytes()).expect("keys can be typed");
        input.flush().expect("keys can be typed");
    }

    /// What the screen shows.
    pub fn picture(&self) -> String {
        self.screen.lock().expect("no test panics while it reads").screen().contents()
    }

    /// Whether the program's own screen is shown, not the shell's.
    pub fn is_taken(&self) -> bool {
        self.screen.lock().expect("no test panics while it reads").screen().alternate_screen()
    }

    /// Waits until a line of the screen has all of these texts.
    pub fn until(&self, texts: &[&str]) {
        let start = Instant::now();
        while !self.picture().lines().any(|line| texts.iter().all(|text| line.contains(text))) {
            assert!(start.elapsed() < PATIENCE, "no line with {texts:?}:\n{}", self.picture());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Gives the terminal another size.
    pub fn resize(&self, width: u16, height: u16) {
        let (rows, columns) = (height.try_into().expect("rows"), width.try_into().expect("columns"));
        self.screen.lock().expect("no test panics while it reads").screen_mut().set_size(rows, columns);
        self.master.as_ref().expect("the terminal is open").resize(size(width, height)).expect("it can be resized");
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.process_id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(id.expect("it runs"), signal).expect("it can be signalled");
    }

    /// Closes the terminal, as a window is closed.
    pub fn close(&mut self) {
        self.closed.store(true, Ordering::SeqCst);
        self.keys = None;
        self.master = None;
    }

    /// Waits for the end.
    pub fn ended(&mut self) -> (ExitStatus, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return (status, start.elapsed());
            }
            assert!(start.elapsed() < PATIENCE, "it does not end:\n{}", self.picture());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
