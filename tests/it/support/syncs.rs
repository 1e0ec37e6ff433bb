//! What a program has really synced, read from a trace of its system calls (`strace -f -y`).
//!
//! For each file: how far it was written, in order, by the time that the newest sync began which has ended. What lies
//! beyond that a power cut may take away.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

/// The calls that have to be in the trace.
pub const CALLS: &str = "openat,lseek,ftruncate,write,pwrite64,fsync,fdatasync";

/// Whether `strace` can be run here at all.
pub fn strace_works() -> bool {
    let tried = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).status();
    tried.is_ok_and(|status| status.success())
}

#[derive(Default)]
struct Files {
    /// Position of each descriptor; `None`: it appends.
    positions: BTreeMap<u64, Option<u64>>,
    /// Length of each file; a preallocated one is longer than what was written.
    lengths: BTreeMap<PathBuf, u64>,
    /// How far each file was written.
    written: BTreeMap<PathBuf, u64>,
    /// How far each file was synced.
    synced: BTreeMap<PathBuf, u64>,
    /// Syncs that have begun, by thread: the file, and how far it was written then.
    begun: BTreeMap<u64, (PathBuf, u64)>,
}

/// A call: its name, its descriptor with the file's path, what else it was given, and its result if it has ended.
struct Call<'a> {
    name: &'a str,
    descriptor: Option<(u64, PathBuf)>,
    rest: &'a str,
    result: Option<i64>,
}

impl Call<'_> {
    /// The number before the closing parenthesis, which strace pads with spaces.
    fn last_argument(&self) -> Option<u64> {
        let (call, _) = self.rest.rsplit_once(" = ")?;
        let (_, last) = call.trim_end().strip_suffix(')')?.rsplit_once(", ")?;
        last.trim().parse().ok()
    }
}

fn parse(text: &str) -> Option<Call<'_>> {
    let (name, rest) = text.split_once('(')?;
    let result = rest
        .rsplit_once(" = ")
        .and_then(|(_, result)| result.split(['<', ' ']).next().and_then(|number| number.parse().ok()));
    let (number, path) = rest.split_once('<').unwrap_or((rest, ""));
    let descriptor = number.parse().ok().zip(path.split_once('>')).map(|(number, (path, _))| (number, path.into()));
    Some(Call { name, descriptor, rest, result })
}

/// How far each file was synced when the trace ended, in bytes. `before` is how long files were, and synced, when it began.
pub fn synced_lengths(trace: &str, before: &BTreeMap<PathBuf, u64>) -> BTreeMap<PathBuf, u64> {
    let mut files =
        Files { lengths: before.clone(), written: before.clone(), synced: before.clone(), ..Files::default() };
    // Calls that were interrupted in the trace by those of other threads: their beginning.
    let mut unfinished: BTreeMap<u64, String> = BTreeMap::new();
    for line in trace.lines() {
        let Some((thread, text)) = line.trim_start().split_once(' ') else { continue };
        let Ok(thread) = thread.parse::<u64>() else { continue };
        let text = text.trim_start();
        if let Some(beginning) = text.strip_suffix(" <unfinished ...>") {
            files.begin(thread, beginning);
            unfinished.insert(thread, beginning.to_owned());
        } else if let Some((_, end)) = text.strip_prefix("<... ").and_then(|resumed| resumed.split_once("resumed>")) {
            let Some(beginning) = unfinished.remove(&thread) else { continue };
            files.end(thread, &format!("{beginning}{end}"));
        } else {
            files.begin(thread, text);
            files.end(thread, text);
        }
    }
    files.synced
}

impl Files {
    fn begin(&mut self, thread: u64, text: &str) {
        let Some(call) = parse(text) else { return };
        if let ("fsync" | "fdatasync", Some((_, path))) = (call.name, call.descriptor) {
            let written = self.written.get(&path).copied().unwrap_or(0);
            self.begun.insert(thread, (path, written));
        }
    }

    fn end(&mut self, thread: u64, text: &str) {
        let Some(call) = parse(text) else { return };
        match (call.name, call.descriptor.clone(), call.result) {
            ("openat", _, Some(descriptor)) if descriptor >= 0 => {
                let position = if call.rest.contains("O_APPEND") { None } else { Some(0) };
                self.positions.insert(descriptor as u64, position);
            }
            ("ftruncate", Some((_, path)), Some(0)) => {
                let length = call.last_argument().expect("a length is told");
                for known in [&mut self.written, &mut self.synced] {
                    if let Some(known) = known.get_mut(&path) {
                        *known = length.min(*known);
                    }
                }
                self.lengths.insert(path, length);
            }
            ("lseek", Some((descriptor, _)), Some(position)) if position >= 0 => {
                self.positions.insert(descriptor, Some(position as u64));
            }
            ("write", Some((descriptor, path)), Some(count)) if count > 0 => {
                let length = self.lengths.entry(path.clone()).or_default();
                let end = match self.positions.entry(descriptor).or_insert(Some(0)) {
                    Some(position) => {
                        *position += count as u64;
                        *position
                    }
                    None => *length + count as u64,
                };
                *length = end.max(*length);
                let written = self.written.entry(path).or_default();
                *written = end.max(*written);
            }
            ("pwrite64", Some((_, path)), Some(count)) if count > 0 => {
                let end = call.last_argument().expect("an offset is told") + count as u64;
                let written = self.written.entry(path).or_default();
                *written = end.max(*written);
            }
            ("fsync" | "fdatasync", _, Some(0)) => {
                if let Some((path, written)) = self.begun.remove(&thread) {
                    let synced = self.synced.entry(path).or_default();
                    *synced = written.max(*synced);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn a_sync_covers_what_was_written_before_it_began() {
    let trace = "\
7 openat(AT_FDCWD</>, \"/d/0.jnl\", O_RDWR) = 5</d/0.jnl>
7 write(5</d/0.jnl>, \"abc\"..., 100) = 100
7 fdatasync(5</d/0.jnl> <unfinished ...>
8 write(5</d/0.jnl>, \"abc\"..., 50) = 50
7 <... fdatasync resumed>) = 0
8 fdatasync(5</d/0.jnl> <unfinished ...>
9 openat(AT_FDCWD</>, \"/d/1.jnl\", O_RDWR) = 6</d/1.jnl>
9 lseek(6</d/1.jnl>, 10, SEEK_SET) = 10
9 write(6</d/1.jnl>, \"x\", 1 <unfinished ...>
9 <... write resumed>) = 1
9 fsync(6</d/1.jnl>) = 0
9 ftruncate(6</d/1.jnl>, 5 <unfinished ...>
9 <... ftruncate resumed>)             = 0
9 openat(AT_FDCWD</>, \"/d/1.jnl\", O_WRONLY|O_APPEND) = 7</d/1.jnl>
9 write(7</d/1.jnl>, \"xyz\", 3) = 3
9 fsync(7</d/1.jnl>) = 0
9 write(7</d/1.jnl>, \"lost\", 4) = 4
";
    let synced = synced_lengths(trace, &BTreeMap::new());
    assert_eq!(synced[&PathBuf::from("/d/0.jnl")], 100);
    assert_eq!(synced[&PathBuf::from("/d/1.jnl")], 8);
}
