//! The file of `--trace`: a thread of its own writes the lines that the nodes hand over.
//!
//! Kept true: no node waits for the file; what was handed over before the end is in the file at the end.
//! Not here: what a line says (`trace/`), when it is handed over (`node/tracer.rs`).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use crate::node::tracer::TraceSink;
use crate::trace::Line;

/// Lines that may wait for the file.
const LINES_WAITING: usize = 1 << 16;

/// How often an idle writer looks whether the end has come.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// An open trace.
#[derive(Debug)]
pub struct TraceFile {
    sink: TraceSink,
    done: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<()>>,
    name: String,
}

impl TraceFile {
    /// Opens `path`, empty; lines about messages are written only if they are wanted.
    pub fn create(path: &Path, messages: bool) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("opening the trace {name}"))?;
        let (lines, waiting) = sync_channel(LINES_WAITING);
        let sink = TraceSink::new(lines, messages);
        let done = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("trace".to_owned()).spawn({
            let (sink, done) = (sink.clone(), Arc::clone(&done));
            move || {
                let mut file = BufWriter::new(file);
                let written = write_lines(&mut file, &waiting, &done);
                // What was lost at the very end must show too.
                written.and_then(|()| write_all(&mut file, &sink.last_gaps())).and_then(|()| file.flush())
            }
        });
        Ok(Self { sink, done, thread: thread.context("starting threads")?, name })
    }

    /// Where nodes hand over their lines.
    #[must_use]
    pub fn sink(&self) -> TraceSink {
        self.sink.clone()
    }

    /// Writes what was handed over, and says whether all of it could be written.
    pub fn finish(self) -> anyhow::Result<()> {
        self.done.store(true, Ordering::Release);
        let ended = self.thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread failed")));
        ended.with_context(|| format!("writing the trace {}", self.name))
    }
}

fn write_lines(file: &mut impl Write, waiting: &Receiver<Line>, done: &AtomicBool) -> io::Result<()> {
    loop {
        let ends = done.load(Ordering::Acquire);
        match waiting.recv_timeout(LOOK_EVERY) {
            Ok(line) => {
                write_all(file, &[line])?;
                // Bounded, so that a node which is never quiet cannot keep the program from its end.
                for line in waiting.try_iter().take(LINES_WAITING) {
                    write_all(file, &[line])?;
                }
                file.flush()?;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if ends {
            return Ok(());
        }
    }
}

fn write_all(file: &mut impl Write, lines: &[Line]) -> io::Result<()> {
    for line in lines {
        serde_json::to_writer(&mut *file, &line.json()).map_err(io::Error::from)?;
        file.write_all(b"\n")?;
    }
    Ok(())
}
