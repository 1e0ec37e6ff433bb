//! `raft-tui sim`: many simulated clusters, judged after every event.
//!
//! Kept true: what is printed replays; standard output has results, standard error progress; a violation ends with 70.
//! Not here: what happens in a run (`sim/`), what is right (`check/`).

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use super::Exit;
use crate::history::{self, Record};
use crate::sim::marks::Mark;
use crate::sim::swarm::{self, Batch, Shrunk};
use crate::sim::{Ended, Limits, Plan, Profile, World};
use crate::trace::Line;

/// A batch of so many seeds must have met every situation at least once.
const SEEDS_FOR_ALL_MARKS: u64 = 2_000;

/// Runs that shrinking may take.
const SHRINKING_RUNS: u64 = 600;

/// How long a broken variant may stay unfound.
#[cfg(feature = "mutants")]
const MUTANT_TIME: Duration = Duration::from_mins(1);

/// Faults that a shrunk seed may keep, at the median of all that were shrunk.
#[cfg(feature = "mutants")]
const FAULTS_LEFT: usize = 15;

/// How often the progress is shown.
const PROGRESS: Duration = Duration::from_millis(200);

/// Which faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProfileName {
    /// None at all
    Quiet,
    /// Cut, slow, lossy and repeating links
    Network,
    /// Slow, stalled, failing, full and rotting disks
    Disk,
    /// Crashes, power cuts, pauses and wrong clocks
    Crash,
    /// Everything at once
    Everything,
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Quiet => Self::Quiet,
            ProfileName::Network => Self::Network,
            ProfileName::Disk => Self::Disk,
            ProfileName::Crash => Self::Crash,
            ProfileName::Everything => Self::Everything,
        }
    }
}

/// Run simulated clusters in virtual time, with every fault, and judge them after every event.
///
/// A seed fixes everything that happens. A seed that breaks a rule is told with the evidence and the command that
/// replays it; the exit code is 70 then.
#[derive(Clone, Debug, Args)]
pub struct SimArguments {
    /// The first seed
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,

    /// How many seeds, counting up from the first
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,

    /// How many nodes [default: 1 to 7, drawn by each seed]
    #[arg(long, value_name = "1..7", value_parser = clap::value_parser!(u64).range(1..=7))]
    pub nodes: Option<u64>,

    /// About how many events before a run is healed
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(100..))]
    pub events: Option<u64>,

    /// Which faults a seed may draw
    #[arg(long, value_enum, default_value_t = ProfileName::Everything)]
    pub profile: ProfileName,

    /// How many seeds run at the same time
    #[arg(long, value_name = "THREADS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=256))]
    pub jobs: u64,

    /// Print what happens, one line an event; or, into a file, what each node does, one JSON object a line
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub trace: Option<Option<PathBuf>>,

    /// Write messages into the file of --trace too
    #[arg(long, requires = "trace")]
    pub trace_messages: bool,

    /// Write what the clients saw into this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// Make a failing seed small: fewer faults, clients and operations
    #[arg(long)]
    pub shrink: bool,

    /// One JSON object a line
    #[arg(long)]
    pub json: bool,

    /// Run broken variants until each is found (a build with `--features mutants`): all, or those named
    #[arg(long, value_name = "NAMES", value_delimiter = ',', num_args = 0..)]
    pub mutants: Option<Vec<String>>,

    /// Only these faults of those that the seed draws, by number (from --shrink)
    #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0..)]
    pub keep: Option<Vec<usize>>,

    /// At most so many clients (from --shrink)
    #[arg(long, value_name = "COUNT")]
    pub clients: Option<u64>,

    /// At most so many operations (from --shrink)
    #[arg(long, value_name = "COUNT")]
    pub operations: Option<u64>,
}

impl SimArguments {
    fn limits(&self) -> Limits {
        Limits {
            nodes: self.nodes,
            events: self.events,
            clients: self.clients,
            operations: self.operations,
            keep: self.keep.clone(),
        }
    }

    /// The command that runs `seed` again within `limits`.
    fn replay(&self, seed: u64, limits: &Limits) -> String {
        let profile = self.profile.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut words = vec![format!("raft-tui sim --seed {seed} --profile {profile}")];
        let Limits { nodes, events, clients, operations, keep } = limits;
        let numbers = [("nodes", nodes), ("events", events), ("clients", clients), ("operations", operations)];
        words.extend(numbers.iter().filter_map(|(name, number)| Some(format!("--{name} {}", number.as_ref()?))));
        if let Some(keep) = keep {
            let list: Vec<String> = keep.iter().map(ToString::to_string).collect();
            words.push(format!("--keep {}", list.join(",")));
        }
        words.join(" ")
    }
}

/// Runs it all; results go to `out`, progress to `err` if that is a terminal.
pub fn run(arguments: &SimArguments, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Exit> {
    let watched = arguments.trace.is_some() || arguments.history.is_some();
    let variants = arguments.mutants.as_deref();
    if watched && (arguments.seeds > 1 || arguments.shrink || variants.is_some_and(|names| names.len() != 1)) {
        let why = "--trace and --history write down one run: name its --seed, without --seeds and --shrink, and with one \
                   variant at most";
        // Nobody is left to tell when standard error is closed.
        let _ = writeln!(err, "raft-tui: {why}");
        return Ok(Exit::Usage);
    }
    if arguments.trace_messages && !matches!(arguments.trace, Some(Some(_))) {
        let _ = writeln!(err, "raft-tui: --trace-messages adds to a file: say which with --trace FILE");
        return Ok(Exit::Usage);
    }
    // A panic of a node is a finding and told as one.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = match variants {
        Some(names) if !watched || !cfg!(feature = "mutants") => Ok(museum(arguments, names, out).unwrap_or(Exit::Io)),
        variant if watched => {
            choose(variant.and_then(|names| names.first()));
            watch(arguments, out)
        }
        _ => Ok(batch(arguments, out, err).unwrap_or(Exit::Io)),
    };
    std::panic::set_hook(hook);
    done
}

/// A file of lines. The first error is kept, later lines are not written.
struct Lines {
    what: &'static str,
    name: String,
    file: BufWriter<File>,
    written: io::Result<()>,
}

impl Lines {
    fn create(what: &'static str, path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let file = File::create(path).with_context(|| format!("opening the {what} {name}"))?;
        Ok(Self { what, name, file: BufWriter::new(file), written: Ok(()) })
    }

    fn line(&mut self, line: &str) {
        if self.written.is_ok() {
            self.written = writeln!(self.file, "{line}");
        }
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let done = self.written.and_then(|()| self.file.flush());
        done.with_context(|| format!("writing the {} {}", self.what, self.name))
    }
}

/// One seed, and whatever is to be written down of it.
fn watch(arguments: &SimArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let open = |what, path: Option<&PathBuf>| path.map(|path| Lines::create(what, path)).transpose();
    let mut trace = open("trace", arguments.trace.as_ref().and_then(Option::as_ref))?;
    let mut history = open("history", arguments.history.as_ref())?;
    let prints = matches!(arguments.trace, Some(None));
    let limits = arguments.limits();
    let mut closed = Ok(());
    let mut print = |line: &str| {
        if closed.is_ok() {
            closed = writeln!(out, "{line}");
        }
    };
    let (traced, told) = (trace.is_some(), history.is_some());
    let mut to_trace = |line: &Line| {
        if let (Some(file), Ok(line)) = (&mut trace, serde_json::to_string(&line.json())) {
            file.line(&line);
        }
    };
    let mut to_history = |record: &Record| {
        if let Some(file) = &mut history {
            file.line(&history::line(record));
        }
    };
    let plan = Plan::draw(arguments.seed, arguments.profile.into(), &limits);
    let mut world = World::new(plan, if prints { Some(&mut print) } else { None });
    if traced {
        world = world.with_node_traces(arguments.trace_messages, &mut to_trace);
    }
    if told {
        world = world.with_history(&mut to_history);
    }
    let ended = world.run();
    for file in [trace, history].into_iter().flatten() {
        file.finish()?;
    }
    let exit = if ended.violation.is_some() { Exit::Broken } else { Exit::Fine };
    let tell = || -> io::Result<()> {
        closed?;
        if prints {
            return writeln!(out, "fingerprint {:016x} after {} events", ended.fingerprint, ended.events);
        }
        if let Some((violation, at_us)) = &ended.violation {
            tell_failure(arguments, out, &ended, &violation.to_string(), *at_us, &limits)?;
        }
        let mut all = Batch::default();
        all.add(ended);
        tell_sum(arguments, out, &all, started.elapsed(), &[])
    };
    Ok(tell().map_or(Exit::Io, |()| exit))
}

#[cfg(not(feature = "mutants"))]
const fn choose(_name: Option<&String>) {}

/// The one variant of a run that is watched.
#[cfg(feature = "mutants")]
fn choose(name: Option<&String>) {
    crate::mutants::choose(name.map(String::as_str));
}

#[cfg(not(feature = "mutants"))]
fn museum(_arguments: &SimArguments, _names: &[String], out: &mut dyn Write) -> io::Result<Exit> {
    writeln!(out, "this program has no broken variants in it: build it with --features mutants")?;
    Ok(Exit::Usage)
}

/// Runs each variant until something finds it.
#[cfg(feature = "mutants")]
fn museum(arguments: &SimArguments, names: &[String], out: &mut dyn Write) -> io::Result<Exit> {
    use crate::mutants;
    use crate::sim::museum::MUSEUM;

    let mut missed = 0;
    let mut faults = Vec::new();
    for mutant in MUSEUM.iter().filter(|mutant| names.is_empty() || names.iter().any(|name| name == mutant.name)) {
        let started = Instant::now();
        mutants::choose(Some(mutant.name));
        let found = (arguments.seed..).take_while(|_| started.elapsed() < MUTANT_TIME).find_map(|seed| {
            swarm::run(seed, arguments.profile.into(), &arguments.limits()).violation.map(|v| (seed, v.0))
        });
        let took = started.elapsed().as_secs_f64();
        let as_named = found.as_ref().is_some_and(|(_, violation)| mutant.found_by.contains(&violation.property));
        missed += u64::from(!as_named);
        let (name, what) = (mutant.name, mutant.what);
        let verdict = match (&found, as_named) {
            (None, _) => "NOT FOUND".to_owned(),
            (Some((seed, violation)), named) => {
                let by = if named { "found by" } else { "FOUND BY SOMETHING ELSE:" };
                format!("{by} {violation} (seed {seed}, {} seeds)", seed - arguments.seed + 1)
            }
        };
        writeln!(out, "{name} in {took:.1} s: {what}: {verdict}")?;
        if let Some((seed, _)) = found.filter(|_| arguments.shrink) {
            let started = Instant::now();
            if let Some(shrunk) = swarm::shrink(seed, arguments.profile.into(), &arguments.limits(), SHRINKING_RUNS) {
                faults.push(shrunk.faults);
                write!(out, "  in {:.1} s: ", started.elapsed().as_secs_f64())?;
                tell_shrunk(arguments, out, seed, &shrunk)?;
            }
        }
        mutants::choose(None);
        out.flush()?;
    }
    faults.sort_unstable();
    let median = faults.get(faults.len() / 2).copied();
    if let Some(median) = median {
        writeln!(out, "{median} faults are left at the median, {FAULTS_LEFT} may be")?;
    }
    writeln!(out, "{missed} not found by what was named")?;
    Ok(if missed == 0 && median.is_none_or(|median| median <= FAULTS_LEFT) { Exit::Fine } else { Exit::Failed })
}

fn batch(arguments: &SimArguments, out: &mut dyn Write, err: &mut dyn Write) -> io::Result<Exit> {
    let started = Instant::now();
    let shows_progress = io::stderr().is_terminal() && !arguments.json;
    let (next, limits, profile) = (AtomicU64::new(0), arguments.limits(), arguments.profile.into());
    let (sender, results) = mpsc::channel::<Ended>();
    let mut all = Batch::default();
    std::thread::scope(|scope| -> io::Result<()> {
        for _ in 0..arguments.jobs.min(arguments.seeds) {
            let (sender, next, limits) = (sender.clone(), &next, &limits);
            scope.spawn(move || {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    if place >= arguments.seeds
                        || sender.send(swarm::run(arguments.seed.wrapping_add(place), profile, limits)).is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut shown = Instant::now();
        for ended in results {
            if let Some((violation, at_us)) = &ended.violation {
                tell_failure(arguments, out, &ended, &violation.to_string(), *at_us, &limits)?;
            }
            all.add(ended);
            if shows_progress && shown.elapsed() >= PROGRESS {
                shown = Instant::now();
                write!(err, "\r{} ", progress(arguments.seeds, &all, started.elapsed()))?;
                err.flush()?;
            }
        }
        if shows_progress {
            writeln!(err)?;
        }
        Ok(())
    })?;
    if arguments.shrink {
        for ended in all.failed.iter().take(3) {
            if let Some(shrunk) = swarm::shrink(ended.seed, profile, &limits, SHRINKING_RUNS) {
                tell_shrunk(arguments, out, ended.seed, &shrunk)?;
            }
        }
    }
    let missing =
        if arguments.seeds >= SEEDS_FOR_ALL_MARKS && profile == Profile::Everything && limits == Limits::default() {
            all.marks.missing()
        } else {
            Vec::new()
        };
    tell_sum(arguments, out, &all, started.elapsed(), &missing)?;
    Ok(if !all.failed.is_empty() {
        Exit::Broken
    } else if missing.is_empty() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn per_second(count: u64, elapsed: Duration) -> u64 {
    (count as f64 / elapsed.as_secs_f64().max(1e-3)) as u64
}

fn progress(seeds: u64, all: &Batch, elapsed: Duration) -> String {
    let width = 24;
    let full = (all.seeds * width / seeds.max(1)) as usize;
    format!(
        "[{}{}] {} of {seeds} seeds, {} events/s, {} faults/s, {} failed",
        "#".repeat(full),
        ".".repeat(width as usize - full),
        all.seeds,
        per_second(all.events, elapsed),
        per_second(all.faults, elapsed),
        all.failed.len()
    )
}

fn tell_failure(
    arguments: &SimArguments,
    out: &mut dyn Write,
    ended: &Ended,
    violation: &str,
    at_us: u64,
    limits: &Limits,
) -> io::Result<()> {
    let replay = arguments.replay(ended.seed, limits);
    if arguments.json {
        let line = json!({"event": "failed", "seed": ended.seed.to_string(), "violation": violation, "at_us": at_us,
            "events": ended.events, "replay": replay});
        return writeln!(out, "{line}");
    }
    writeln!(out, "seed {} breaks a rule after {} events ({} us): {violation}", ended.seed, ended.events, at_us)?;
    writeln!(out, "  replay: {replay} --trace")
}

fn tell_shrunk(arguments: &SimArguments, out: &mut dyn Write, seed: u64, shrunk: &Shrunk) -> io::Result<()> {
    let replay = arguments.replay(seed, &shrunk.limits);
    if arguments.json {
        let line = json!({"event": "shrunk", "seed": seed.to_string(), "faults": shrunk.faults, "runs": shrunk.runs,
            "events": shrunk.ended.events, "replay": replay});
        return writeln!(out, "{line}");
    }
    let what = shrunk.ended.violation.as_ref().map(|(violation, _)| violation.to_string()).unwrap_or_default();
    writeln!(
        out,
        "seed {seed} with {} faults and {} events ({} runs): {what}",
        shrunk.faults, shrunk.ended.events, shrunk.runs
    )?;
    writeln!(out, "  replay: {replay} --trace")
}

fn tell_sum(
    arguments: &SimArguments,
    out: &mut dyn Write,
    all: &Batch,
    elapsed: Duration,
    missing: &[Mark],
) -> io::Result<()> {
    let met = Mark::ALL.iter().filter(|mark| all.marks.count(**mark) > 0).count();
    let names: Vec<&str> = missing.iter().map(|mark| mark.words()).collect();
    if arguments.json {
        let marks: serde_json::Map<String, serde_json::Value> =
            Mark::ALL.iter().map(|mark| (mark.words().to_owned(), json!(all.marks.count(*mark)))).collect();
        let line = json!({"event": "ended", "seeds": all.seeds, "events": all.events, "faults": all.faults,
            "virtual_s": all.virtual_us / 1_000_000, "answered": all.answered, "failed": all.failed.len(),
            "elapsed_ms": elapsed.as_millis() as u64, "events_per_second": per_second(all.events, elapsed),
            "marks": marks, "missing": names});
        return writeln!(out, "{line}");
    }
    writeln!(
        out,
        "{} seeds, {} events, {} faults, {} operations, {} s of virtual time in {:.1} s: {} events/s",
        all.seeds,
        all.events,
        all.faults,
        all.answered,
        all.virtual_us / 1_000_000,
        elapsed.as_secs_f64(),
        per_second(all.events, elapsed)
    )?;
    writeln!(out, "{met} of {} situations met", Mark::ALL.len())?;
    if !names.is_empty() {
        writeln!(out, "never met, and every one must be: {}", names.join("; "))?;
    }
    writeln!(out, "{} seeds broke a rule", all.failed.len())
}
