//! The audit log: who asked to change what on this node, and what came of it.
//!
//! One JSON object a line in a file of the node's folder. Each line carries the hash of the line before, so a line that
//! is changed, taken out or put in is noticed by [`verify`] (not against one who writes the whole file anew: copy it away
//! for that). Lines go through a bounded queue to a thread of its own; what finds no room is counted, and the next line
//! says how many are missing.
//!
//! Kept true: nobody waits for the disk here; a line holds nothing that a terminal would obey, and no secret.
//! Not here: what is worth a line (`access.rs`, `server/`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use crate::text::{clip, is_safe, sanitize_str};

/// Its name in the node's folder.
pub const FILE: &str = "audit.log";

/// A file of so many bytes is put aside, and so many are kept.
const FILE_BYTES_MAX: u64 = 8 << 20;
const FILES_KEPT: u32 = 4;

/// Lines that wait for the disk.
const WAITING: usize = 1_024;

/// Longest field, in cells.
const FIELD_CELLS: usize = 400;

/// Longest line that is read back, in bytes.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// What is worth a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As `name` or, unproved, `~name`; `node` where it was the node itself.
    pub who: String,
    /// From where.
    pub address: String,
    /// What its connection may.
    pub access: String,
    /// Its session.
    pub session: u128,
    /// What was asked, or what ended.
    pub what: String,
    /// What came of it.
    pub result: String,
}

/// A line as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Of this file's lines.
    format: u32,
    /// Counts lines.
    number: u64,
    /// UTC.
    at: String,
    who: String,
    address: String,
    access: String,
    session: String,
    what: String,
    result: String,
    /// Lines before this one that found no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    missing: u64,
    /// Hash of the line before, without its end.
    before: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A hand on the log; clones write into the same.
#[derive(Clone, Debug)]
pub struct Audit {
    entries: Option<SyncSender<(SystemTime, Entry)>>,
    missing: Arc<AtomicU64>,
}

/// The thread that writes; it ends when the last hand is gone.
#[derive(Debug)]
pub struct Writing {
    thread: JoinHandle<()>,
}

impl Writing {
    /// Waits until everything is on disk. The hands must be gone first.
    pub fn finish(self) {
        // A panic of that thread has been told by the panic hook.
        let _ = self.thread.join();
    }
}

/// A log whose folder is not known to be ours yet: what is told waits.
#[derive(Debug)]
pub struct Waiting {
    taken: Receiver<(SystemTime, Entry)>,
    missing: Arc<AtomicU64>,
}

impl Waiting {
    /// Goes on with the log in `folder`, or begins it, and writes what waits.
    pub fn open(self, folder: &Path) -> io::Result<Writing> {
        let log = Log::open(&folder.join(FILE))?;
        let Self { taken, missing } = self;
        let thread = std::thread::Builder::new().name("audit".into()).spawn(move || write(log, &taken, &missing))?;
        Ok(Writing { thread })
    }
}

impl Audit {
    /// One whose folder comes later.
    #[must_use]
    pub fn waiting() -> (Self, Waiting) {
        let (entries, taken) = sync_channel(WAITING);
        let missing = Arc::<AtomicU64>::default();
        (Self { entries: Some(entries), missing: Arc::clone(&missing) }, Waiting { taken, missing })
    }

    /// Goes on with the log in `folder`, or begins it.
    pub fn open(folder: &Path) -> io::Result<(Self, Writing)> {
        let (audit, waiting) = Self::waiting();
        Ok((audit, waiting.open(folder)?))
    }

    /// One that writes nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { entries: None, missing: Arc::default() }
    }

    /// Writes a line soon, if there is room for it.
    pub fn tell(&self, entry: Entry) {
        let Some(entries) = &self.entries else { return };
        tracing::info!(who = %entry.who, address = %entry.address, result = %entry.result, "audit: {}", entry.what);
        if entries.try_send((SystemTime::now(), entry)).is_err() {
            self.missing.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(mut log: Log, taken: &Receiver<(SystemTime, Entry)>, missing: &AtomicU64) {
    while let Ok(first) = taken.recv() {
        let mut next = Some(first);
        let written = (|| {
            while let Some((at, entry)) = next {
                log.append(at, entry, missing.swap(0, Ordering::Relaxed))?;
                next = taken.try_recv().ok();
            }
            log.file.sync_data()
        })();
        if let Err(error) = written {
            missing.fetch_add(1, Ordering::Relaxed);
            tracing::error!(%error, "the audit log cannot be written");
        }
    }
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    number: u64,
    before: u128,
}

impl Log {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = options.open(path)?;
        let bytes = file.metadata()?.len();
        file.seek(SeekFrom::Start(bytes.saturating_sub(LINE_BYTES_MAX)))?;
        let mut end = Vec::new();
        (&file).take(LINE_BYTES_MAX).read_to_end(&mut end)?;
        let mut log = Self { path: path.to_owned(), file, bytes, number: 0, before: 0 };
        if !end.is_empty() && !end.ends_with(b"\n") {
            // The last line was cut off by a crash: it stays, as evidence, and the next begins a line of its own.
            log.file.write_all(b"\n")?;
            log.bytes += 1;
            end.push(b'\n');
        }
        let last = end.strip_suffix(b"\n").map(|end| end.rsplit(|byte| *byte == b'\n').next().unwrap_or_default());
        if let Some(last) = last {
            log.before = xxh3_128(last);
            let lines = end.split(|byte| *byte == b'\n').rev();
            log.number = lines
                .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
                .map(|line| line.number)
                .max()
                .unwrap_or(0);
        }
        Ok(log)
    }

    fn append(&mut self, at: SystemTime, entry: Entry, missing: u64) -> io::Result<()> {
        self.number += 1;
        let short = |text: String| {
            let text = if is_safe(&text) { text } else { sanitize_str(&text) };
            clip(&text, FIELD_CELLS)
        };
        let line = Line {
            format: 1,
            number: self.number,
            at: utc(at),
            who: short(entry.who),
            address: short(entry.address),
            access: short(entry.access),
            session: format!("{:032x}", entry.session),
            what: short(entry.what),
            result: short(entry.result),
            missing,
            before: format!("{:032x}", self.before),
        };
        let mut bytes = serde_json::to_vec(&line)?;
        self.before = xxh3_128(&bytes);
        bytes.push(b'\n');
        if self.bytes > 0 && self.bytes + bytes.len() as u64 > FILE_BYTES_MAX {
            self.turn_over()?;
        }
        self.file.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// The full file becomes number 1, that one 2, and so on; the oldest goes.
    fn turn_over(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        for number in (1..FILES_KEPT).rev() {
            let aside = self.aside(number);
            if aside.exists() {
                fs::rename(aside, self.aside(number + 1))?;
            }
        }
        fs::rename(&self.path, self.aside(1))?;
        let mut options = OpenOptions::new();
        self.file = options.append(true).create_new(true).mode(0o600).open(&self.path)?;
        self.bytes = 0;
        Ok(())
    }

    fn aside(&self, number: u32) -> PathBuf {
        self.path.with_file_name(format!("{FILE}.{number}"))
    }
}

/// Whether each line of a file carries the hash of the line before it: how many lines there are, or the first that is
/// wrong. The first line of a file may follow one of the file before. A line that a crash cut off says nothing itself,
/// and the next vouches for it.
pub fn verify(text: &str) -> Result<usize, usize> {
    let mut before: Option<&str> = None;
    let lines: Vec<_> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let follows = match serde_json::from_str::<Line>(line) {
            Ok(line) => before.is_none_or(|before| line.before == format!("{:032x}", xxh3_128(before.as_bytes()))),
            Err(_) => at + 1 < lines.len(),
        };
        if !follows {
            return Err(at + 1);
        }
        before = Some(line);
    }
    Ok(lines.len())
}

/// `2026-11-22T16:00:00.123Z`.
#[must_use]
pub fn utc(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Days since 1970-03-01 of the era of 400 years that began on 0000-03-01, so that leap days come last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}
