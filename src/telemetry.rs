//! The log file, and what happens at a panic.
//!
//! The screen belongs to the window, so nothing is ever logged to it: `tracing` events (and fjall's, which speak through
//! `log`) go to one file, through a thread of their own that drops lines rather than make a node wait.
//!
//! Kept true: a line of the log is one event, and holds nothing that a terminal would obey; logging never blocks.
//! Not here: what the console shows of events (`control/narrate.rs`).

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::text::{is_safe, sanitize_str};

/// What is logged when nothing is said.
pub const DEFAULT_LEVEL: &str = "info,fjall=warn,lsm_tree=warn";

/// Lines that wait for the disk; later ones are dropped and counted.
const LINES_WAITING: usize = 16_384;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The file cannot be opened.
    #[error("opening the log file {path}; choose another with --log-file")]
    Open {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The level is none.
    #[error(
        "`{text}` is no log level; write error, warn, info, debug or trace, or a list such as info,raft_tui::node=debug"
    )]
    Level {
        /// What was written, safe to print.
        text: String,
    },
    /// Something else listens to `tracing` already.
    #[error("logging was started twice")]
    Twice,
}

/// Bytes that may wait for the file to be opened.
const BYTES_WAITING: usize = 1 << 20;

/// Where lines go: memory until the file is known to be ours to write.
#[derive(Debug)]
enum Sink {
    Waiting(Vec<u8>),
    File(File),
}

#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Sink>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Sink> {
        // A sink is whole after each of its changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut *self.lock() {
            Sink::Waiting(waiting) if waiting.len() + bytes.len() > BYTES_WAITING => Ok(bytes.len()),
            Sink::Waiting(waiting) => waiting.write(bytes),
            Sink::File(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut *self.lock() {
            Sink::Waiting(_) => Ok(()),
            Sink::File(file) => file.flush(),
        }
    }
}

/// The running log; closing or dropping it writes what still waits.
#[derive(Debug)]
pub struct Telemetry {
    sink: Shared,
    errors: ErrorCounter,
    guard: WorkerGuard,
}

impl Telemetry {
    /// Logs what `level` lets through, for the rest of the process; to memory until [`Telemetry::open`].
    pub fn start(level: &Targets) -> Result<Self, TelemetryError> {
        let sink = Shared(Arc::new(Mutex::new(Sink::Waiting(Vec::new()))));
        let (writer, guard) = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LINES_WAITING)
            .thread_name("log")
            .finish(sink.clone());
        let errors = writer.error_counter();
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).event_format(OneSafeLine).with_writer(writer);
        let listening = tracing_subscriber::registry().with(level.clone()).with(lines).try_init();
        listening.map_err(|_| TelemetryError::Twice)?;
        Ok(Self { sink, errors, guard })
    }

    /// From now on everything, and what waited, goes to the end of `file`. Later than the start, because a data folder
    /// must have been found to be ours before a log is put into it.
    pub fn open(&self, file: &Path) -> Result<(), TelemetryError> {
        let failed = |source| TelemetryError::Open { path: file.to_owned(), source };
        // Values of clients may be in it: nobody else's to read.
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        if file == default_file(None) {
            // Its name can be guessed, and others may write to the folder: a link there is not ours.
            options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
        }
        let opened = options.open(file);
        let mut opened = opened.map_err(failed)?;
        let mut sink = self.sink.lock();
        if let Sink::Waiting(waiting) = &*sink {
            opened.write_all(waiting).map_err(failed)?;
        }
        *sink = Sink::File(opened);
        Ok(())
    }

    /// Writes what still waits. When all went well, a temporary log is removed: there is nothing to look up.
    pub fn close(self, all_went_well: bool) {
        let Self { sink, guard, .. } = self;
        drop(guard);
        let is_open = matches!(&*sink.lock(), Sink::File(_));
        if is_open && all_went_well {
            // Where another file was chosen, there is none of this name.
            let _ = std::fs::remove_file(default_file(None));
        }
    }

    /// Lines that were lost because the disk was slower than the program.
    #[must_use]
    pub fn dropped_lines(&self) -> usize {
        self.errors.dropped_lines()
    }
}

/// What `--log-level` lets through: `info`, or `warn,raft_tui::node=debug`.
pub fn parse_level(text: &str) -> Result<Targets, TelemetryError> {
    let wrong = || TelemetryError::Level { text: sanitize_str(text) };
    // A lone word that is no level would be taken for a target and let everything of it through.
    let is_level = |part: &str| !part.is_empty() && part.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    let is_meant = |part: &str| part.contains('=') || is_level(part);
    if !text.split(',').all(is_meant) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// Where the log goes when nothing is said: `raft-tui.log` in the data folder, or a file of this process among the
/// temporary ones.
#[must_use]
pub fn default_file(data_dir: Option<&Path>) -> PathBuf {
    match data_dir {
        Some(folder) => folder.join("raft-tui.log"),
        None => std::env::temp_dir().join(format!("raft-tui-{}.log", std::process::id())),
    }
}

/// Tells of panics. One on this thread, which must be the thread of the window, ends the program: `restore` is called,
/// then a sentence with the name of the log file goes to standard error. One elsewhere is logged only: a node that
/// panics halts, and the others go on.
pub fn install_panic_hook(log_file: PathBuf, restore: impl Fn() + Send + Sync + 'static) {
    let window = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        let trace = std::backtrace::Backtrace::force_capture();
        let what = panic.payload_as_str().map_or_else(|| "no message".to_owned(), sanitize_str);
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        tracing::error!(%place, %trace, "panic: {what}");
        if std::thread::current().id() == window {
            restore();
            // There is nobody left to tell when standard error is gone as well.
            let _ = writeln!(
                io::stderr(),
                "raft-tui stopped because of a mistake of its own: {what}\n  at {place}\n  details are in {}",
                sanitize_str(&log_file.to_string_lossy())
            );
        }
    }));
}

/// `2026-11-22T16:00:00.000000Z  INFO raft_tui::node: sentence key=value`
struct OneSafeLine;

impl<S, N> FormatEvent<S, N> for OneSafeLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut out)?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        // Events of the `log` crate carry where they come from in fields.
        let metadata = event.metadata();
        let target = fields.log_target.as_deref().unwrap_or_else(|| metadata.target());
        writeln!(out, " {:>5} {}: {}{}", metadata.level(), safe(target), fields.message, fields.others)
    }
}

/// Stack traces have lines; everything else that a terminal would obey is written out.
fn safe(text: &str) -> String {
    text.split('\n')
        .map(|line| if is_safe(line) { line.to_owned() } else { sanitize_str(line) })
        .collect::<Vec<_>>()
        .join(" ⏎ ")
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
    log_target: Option<String>,
}

impl Fields {
    fn add(&mut self, name: &str, value: &str) {
        match name {
            "message" => self.message = safe(value),
            "log.target" => self.log_target = Some(value.to_owned()),
            "log.module_path" | "log.file" | "log.line" => {}
            _ => {
                // Writing to a string cannot fail.
                let _ = write!(self.others, " {name}={}", safe(value));
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }
}
