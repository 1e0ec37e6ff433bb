//! The file of a history: one line for each beginning and end, in the order of time (`docs/formats.md`).
//!
//! Kept true: the line of a beginning is written before anything is sent, that of an end after it was heard; what is open
//! at the end is unknown.
//! Not here: what a line says (`history/`).

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;

use super::mix::Picked;
use crate::cli::headless::outcome::Outcome;
use crate::history::{self, Record, Recorder};

/// An open file of a history.
#[derive(Debug)]
pub struct Book {
    file: BufWriter<File>,
    name: String,
    recorder: Recorder,
    started: Instant,
    /// The first failure to write; what follows is not written.
    failed: Option<std::io::Error>,
}

impl Book {
    /// Opens the file, empty.
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("opening the history {name}"))?;
        Ok(Self { file: BufWriter::new(file), name, recorder: Recorder::new(), started: Instant::now(), failed: None })
    }

    /// One more client.
    pub fn client(&mut self) -> usize {
        self.recorder.client()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// A client is going to ask; the number of its operation.
    pub fn invoke(&mut self, client: usize, picked: &Picked) -> Option<u64> {
        let now = self.now();
        let record = self.recorder.invoke(now, client, picked.key.clone(), picked.ask.clone(), None)?;
        self.write(&record);
        Some(record.op)
    }

    /// A client has heard.
    pub fn end(&mut self, op: u64, outcome: &Outcome) {
        let now = self.now();
        if let Some(record) = self.recorder.end(now, op, outcome.what()) {
            self.write(&record);
        }
    }

    /// Nobody asks any more.
    pub fn close(&mut self) -> anyhow::Result<()> {
        let now = self.now();
        for record in self.recorder.close(now, "the load ended before the answer") {
            self.write(&record);
        }
        let written = self.failed.take().map_or_else(|| self.file.flush(), Err);
        written.with_context(|| format!("writing the history {}", self.name))
    }

    fn write(&mut self, record: &Record) {
        if self.failed.is_none() {
            self.failed = writeln!(self.file, "{}", history::line(record)).err();
        }
    }
}
