//! The door: what is written on the command line, and how the program ends.
//!
//! Kept true: a command line that makes no sense changes nothing, says what is wrong and ends with 64.
//! Not here: what a session does (`cluster/`), the window (`tui/`), the log file (`telemetry.rs`).

pub mod attach;
pub mod certs;
pub mod config;
pub mod core;
pub mod exit;
pub mod headless;
pub mod lines;
pub mod node;
pub mod plain;
pub mod repeats;
pub mod show;
pub mod sim;
pub mod token;
pub mod trace;
pub mod way;

use std::ffi::OsString;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::cluster::local;
use crate::cluster::process::{self, ProcessSpec};
use crate::cluster::{Disks, Spec};
use crate::control::{Pace, words};
use crate::text::{is_safe, sanitize_str};

pub use exit::Exit;
use show::ShowArguments;
use trace::TraceFile;

/// Watch, understand, break and mend a Raft cluster.
///
/// Starts a cluster of real nodes in this process, each with its own disk, joined by a network that can be cut, slowed
/// and made lossy. On a terminal a console opens (`?` is help); otherwise, or with --plain, commands are read from
/// standard input, one a line, and what happens is told in sentences.
#[derive(Clone, Debug, Parser)]
#[command(name = "raft-tui", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Arguments {
    /// What else this program does; nothing: a cluster.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Each node in a process of its own, over TCP on this machine
    #[arg(long, conflicts_with = "memory")]
    pub processes: bool,

    /// Leave the processes running at the end, for `raft-tui attach`
    #[arg(long, requires = "processes", requires = "data_dir")]
    pub keep: bool,

    /// How many nodes the cluster has
    #[arg(long, short = 'n', value_name = "1..25", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=25))]
    pub nodes: u64,

    /// How fast cluster time runs: real, 1/10, 2 [default: 1/5, so that elections can be followed by eye]
    #[arg(long, value_name = "PACE", value_parser = pace)]
    pub pace: Option<Pace>,

    /// Luck of elections and faults; the same seed gives the same luck [default: different each time]
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Keep the cluster in this folder, from one run to the next [default: a temporary folder, removed on exit]
    #[arg(long, short = 'd', value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Keep the cluster in memory: what a node had not synced is lost when it crashes
    #[arg(long, conflicts_with = "data_dir")]
    pub memory: bool,

    /// Take a snapshot each time so many entries were applied
    #[arg(long, value_name = "ENTRIES", default_value_t = 50_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub snapshot_entries: u64,

    /// How it is shown.
    #[command(flatten)]
    pub show: ShowArguments,

    /// What the nodes do, for programs: one JSON object a line, docs/formats.md says which; with --processes a file a
    /// node, FILE.n1 …, and FILE.n1.2 once it was restarted
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,

    /// Messages too go into the trace
    #[arg(long, requires = "trace")]
    pub trace_messages: bool,
}

/// What this program does besides its main job.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Pure Raft cores, moved by hand: JSON commands on standard input, one answer a line
    ///
    /// No clock, no disk, no network: nothing happens until a command says so. For teaching, for other people's test
    /// suites, for a debugger. The commands are in docs/formats.md, "A door into the core".
    Core,
    /// Open the console over a cluster that runs elsewhere
    ///
    /// It only watches until it is armed (`arm operate 15m reason`), and leaves the cluster as it is when it ends; faults
    /// that it injected are healed then, and soon after it is lost.
    Attach(Box<attach::AttachArguments>),
    /// One node of a cluster of processes
    ///
    /// It speaks with its peers over TCP and with consoles on a port of its own. Settings may stand in a file; flags go
    /// before it. It ends in order on SIGTERM.
    Node(Box<node::NodeArguments>),
    /// Run simulated clusters in virtual time, with every fault, and judge them after every event
    ///
    /// A seed fixes everything that happens. A seed that breaks a rule is told with the evidence and the command that
    /// replays it; the exit code is 70 then.
    Sim(sim::SimArguments),
    /// Make a CA and certificates for nodes, for development
    Certs(certs::CertsArguments),
    /// Make a token: how a console proves to nodes what it may
    #[command(after_help = token::EXAMPLE)]
    Token(token::TokenArguments),
    #[command(flatten)]
    #[expect(missing_docs, reason = "its own subcommands say what they are")]
    Headless(headless::Headless),
}

const EXAMPLES: &str = "Examples:
  raft-tui                                five nodes, on the screen
  raft-tui --pace real --data-dir ./demo  in real time, kept from one run to the next
  printf 'wait leader\\ncrash leader\\nwait leader\\nstatus\\n' | raft-tui --plain";

/// Microseconds of cluster time that a message takes, unless cluster time is real time.
const LINK_DELAY_US: u64 = 15_000;
/// Most entries that stay in a log behind a snapshot.
const KEEP_ENTRIES_MAX: u64 = 5_000;

/// How long what is left of the program may take when the session is over: a node that hangs, a read of standard input.
const LEFTOVERS: Duration = Duration::from_millis(50);

fn pace(text: &str) -> Result<Pace, words::WordError> {
    words::pace(text).map(|(cluster, real)| Pace { cluster, real })
}

impl Arguments {
    /// Reads a command line, the program's name first. When there is nothing to run, help or the error has been printed.
    pub fn read(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, Exit> {
        Self::try_parse_from(line).map_err(|error| {
            // Nobody is left to tell when the output is closed.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Fine }
        })
    }

    /// How fast cluster time runs at the start.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace.unwrap_or(Pace::PEOPLE)
    }

    /// The cluster that is wanted.
    #[must_use]
    pub fn spec(&self) -> Spec {
        let pace = self.pace();
        // Artificial delay lets people see messages; who asks for real time wants it real.
        let link_delay_us = if pace == Pace::REAL { 0 } else { LINK_DELAY_US };
        let disks = match &self.data_dir {
            _ if self.memory => Disks::Memory,
            Some(folder) => Disks::Folder(folder.clone()),
            None => Disks::Temporary,
        };
        Spec {
            pace,
            link_delay_us,
            disks,
            seed: self.seed.unwrap_or_else(|| RandomState::new().hash_one("seed") >> 32),
            snapshot_entries: self.snapshot_entries,
            keep_entries: (self.snapshot_entries / 10).min(KEEP_ENTRIES_MAX),
            ..Spec::new(self.nodes)
        }
    }
}

/// The whole program: reads the command line, runs, and says on standard error why it failed if it did.
pub fn main(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Exit {
    let arguments = match Arguments::read(line) {
        Ok(arguments) => arguments,
        Err(exit) => return exit,
    };
    if matches!(arguments.command, None | Some(Command::Attach(_) | Command::Node(_) | Command::Headless(_))) {
        keep_to_ourselves();
    }
    let job = || match &arguments.command {
        None => run(&arguments),
        Some(Command::Core) => core::run(io::stdin().lock(), io::stdout().lock()),
        Some(Command::Attach(arguments)) => attach::run(arguments),
        Some(Command::Node(arguments)) => node::run(arguments),
        Some(Command::Certs(arguments)) => certs::run(arguments, &mut io::stdout().lock()),
        Some(Command::Token(arguments)) => token::run(arguments, &mut io::stdout().lock()),
        Some(Command::Sim(arguments)) => sim::run(arguments, &mut io::stdout().lock(), &mut io::stderr()),
        Some(Command::Headless(headless)) => headless.run(),
    };
    // The panic hook has told what there is to tell.
    match std::panic::catch_unwind(AssertUnwindSafe(job)) {
        Ok(Ok(exit)) => exit,
        Ok(Err(error)) => {
            let why = said_once(&error);
            let why = if is_safe(&why) { why } else { sanitize_str(&why) };
            // Nobody is left to tell when standard error is closed.
            let _ = writeln!(io::stderr(), "raft-tui: {why}");
            Exit::of(&error)
        }
        Err(_) => Exit::Broken,
    }
}

/// What is written is its owner's alone, and what is in memory, tokens and keys, is not written at all when it crashes.
fn keep_to_ourselves() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Nothing is lost where it cannot be forbidden.
    let _ = setrlimit(Resource::Core, none);
}

/// An error and its causes; many errors say their cause themselves.
fn said_once(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

/// Starts the cluster and serves it until it ends.
fn run(arguments: &Arguments) -> anyhow::Result<Exit> {
    // Processes write traces of their own.
    let here = arguments.trace.as_deref().filter(|_| !arguments.processes);
    let trace = here.map(|file| TraceFile::create(file, arguments.trace_messages)).transpose()?;
    let spec = Spec { trace: trace.as_ref().map(TraceFile::sink), ..arguments.spec() };
    let data_dir = arguments.data_dir.as_deref();
    let finish = move || trace.map(TraceFile::finish);
    if !arguments.processes {
        return arguments.show.run(data_dir, async { Ok(local::start(spec)?) }, finish);
    }
    let program = std::env::current_exe().context("finding this program")?;
    let log_level = Some(arguments.show.log_level.to_string());
    let (trace, trace_messages) = (arguments.trace.clone(), arguments.trace_messages);
    let spec = ProcessSpec { program, cluster: spec, keep: arguments.keep, log_level, trace, trace_messages };
    let attach = Arc::new(OnceLock::new());
    let told = Arc::clone(&attach);
    let start = async move {
        let (session, guard, attach) = process::start(spec).await?;
        // Set once, here.
        let _ = told.set(attach);
        Ok((session, guard))
    };
    let exit = arguments.show.run(data_dir, start, finish);
    if let Some(attach) = attach.get().filter(|_| arguments.keep) {
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(io::stderr(), "the nodes keep running; {attach}");
    }
    exit
}

/// Ready when the system or the user asks the program to end.
fn end_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    })
}
