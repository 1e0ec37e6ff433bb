//! Golden transcripts: a script of commands, each followed by what it made happen.
//!
//! Lines that start with `> ` are commands, lines that start with `#` explain; all other lines are what the commands
//! printed and are compared. `BLESS=1 cargo test --test it pure::raft_golden` writes them anew; review the difference.
//!
//! A message is printed when it arrives, and indented under it what it makes the receiver do; `⤓` is a sync of the
//! disk, `⇥` a message that was lost. The commands are the arms of [`Script::run`].

use std::fmt::Write as _;
use std::path::Path;

use raft_tui::raft::status::Role;
use raft_tui::raft::{Index, MessageKind, NodeId, Options};

use super::cores::Cores;
use super::telling::picture;

/// Runs the script in `path` and compares, or blesses, its output.
pub fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let ran = run(&text);
    if ran == text {
        return;
    }
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, ran).expect("the transcript can be written");
        return;
    }
    panic!(
        "{} differs (- expected, + now); to accept: BLESS=1 cargo test --test it pure::raft_golden\n{}",
        path.display(),
        difference(&text, &ran)
    );
}

/// The script with the output that it has now.
pub fn run(text: &str) -> String {
    let mut script = Script { cores: None, kept: None };
    let mut output = String::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            output.push_str(line);
            output.push('\n');
        } else if let Some(command) = line.strip_prefix("> ") {
            output.push_str(line);
            output.push('\n');
            let printed = script.run(command).unwrap_or_else(|error| panic!("line {}: {line}: {error}", number + 1));
            for line in printed.lines().filter(|line| !line.is_empty()) {
                output.push_str(line);
                output.push('\n');
            }
        }
    }
    output
}

/// The lines around each difference.
fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let same_start = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_start;
    let same_end = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut text = String::new();
    for line in &old[same_start.saturating_sub(5)..same_start] {
        let _ = writeln!(text, "  {line}");
    }
    for line in &old[same_start..old.len() - same_end] {
        let _ = writeln!(text, "- {line}");
    }
    for line in &new[same_start..new.len() - same_end] {
        let _ = writeln!(text, "+ {line}");
    }
    for line in old[old.len() - same_end..].iter().take(3) {
        let _ = writeln!(text, "  {line}");
    }
    text
}

struct Script {
    cores: Option<Cores>,
    /// What `remember` kept for `return`.
    kept: Option<Cores>,
}

type Ran = Result<String, String>;

impl Script {
    fn run(&mut self, command: &str) -> Ran {
        let mut words = command.split_whitespace();
        let verb = words.next().ok_or("a command is missing")?;
        let words: Vec<&str> = words.collect();
        if verb == "nodes" {
            self.cores = Some(start(&words)?);
            return Ok(String::new());
        }
        let cores = self.cores.as_mut().ok_or("the first command is `nodes`")?;
        match (verb, words.as_slice()) {
            ("log", [node, terms @ ..]) => {
                let terms: Vec<u64> = terms.iter().map(|term| number(term)).collect::<Result<_, _>>()?;
                cores.set_log(id(node)?, &terms);
            }
            ("term", [node, term]) => cores.set_term(id(node)?, raft_tui::raft::Term(number(term)?)),
            ("hide", sorts) => sorts.iter().for_each(|sort| cores.hide(sort)),
            ("show", sorts) => sorts.iter().for_each(|sort| cores.show(sort)),
            ("quiet", rest) => {
                cores.recording = false;
                let ran = self.run(&rest.join(" "));
                if let Some(cores) = &mut self.cores {
                    cores.recording = true;
                }
                return ran.map(|_| String::new());
            }
            ("tick", [times]) => cores.tick_all(number(times)?),
            ("tick", [nodes @ .., times]) => {
                for node in nodes {
                    cores.tick(id(node)?, number(times)?);
                }
            }
            ("run", [ticks]) => cores.run(number(ticks)?),
            ("campaign", [node]) => cores.campaign(id(node)?),
            ("propose", [node, command @ ..]) => {
                cores.propose(id(node)?, &command.join(" "));
            }
            ("propose-many", [node, count]) => {
                for place in 0..number(count)? {
                    cores.propose(id(node)?, &format!("v{place}"));
                }
            }
            ("read", [node]) => {
                cores.read(id(node)?);
            }
            ("deliver", filter) => return deliver(cores, filter),
            ("drop", filter) => {
                let filter = Filter::parse(filter)?;
                if cores.drop_where(|envelope| filter.passes(envelope)) == 0 {
                    return Ok("nothing to drop".to_owned());
                }
            }
            ("stabilize", []) => cores.stabilize(),
            ("cut", [link]) => {
                let (from, to) = link.split_once('>').ok_or("write n1>n2")?;
                cores.cuts.insert((id(from)?, id(to)?));
            }
            ("partition", [sides]) => {
                let sides = sides
                    .split('/')
                    .map(|side| side.split(',').map(id).collect::<Result<Vec<_>, _>>())
                    .collect::<Result<Vec<_>, _>>()?;
                cores.partition(&sides);
            }
            ("isolate", [node]) => cores.isolate(id(node)?),
            ("heal", []) => cores.heal(),
            ("hold-disk", [node]) => cores.hold_disk(id(node)?),
            ("release-disk", [node]) => cores.release_disk(id(node)?),
            ("sync", [node]) => cores.sync(id(node)?, usize::MAX),
            ("sync", [node, count]) => cores.sync(id(node)?, number(count)? as usize),
            ("hold-machine", [node]) => cores.hold_machine(id(node)?),
            ("release-machine", [node]) => cores.release_machine(id(node)?),
            ("crash", [node]) => cores.crash(id(node)?),
            ("restart", [node]) => cores.restart(id(node)?),
            ("lose", [node, "from", index]) => cores.lose_from(id(node)?, Index(number(index)?), false),
            ("lose", [node, "from", index, "noticed"]) => cores.lose_from(id(node)?, Index(number(index)?), true),
            ("snapshot", [node]) => cores.snapshot(id(node)?),
            ("remember", []) => self.kept = Some(cores.clone()),
            ("return", []) => *cores = self.kept.clone().ok_or("nothing was remembered")?,
            ("logs", []) => return Ok(picture(cores)),
            ("wire", []) => return Ok(wire(cores)),
            ("status", []) => {
                let rows: Vec<_> = cores.ids().into_iter().map(|id| status(cores, id)).collect();
                return Ok(rows.join("\n"));
            }
            ("status", nodes) => {
                let rows: Result<Vec<_>, String> = nodes.iter().map(|node| Ok(status(cores, id(node)?))).collect();
                return rows.map(|rows| rows.join("\n"));
            }
            ("peers", [node]) => return Ok(peers(cores, id(node)?)),
            ("digests", []) => return Ok(digests(cores)),
            _ => return Err(format!("no such command: {command}")),
        }
        Ok(cores.take_transcript())
    }
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("`{word}` is no number"))
}

fn id(word: &str) -> Result<NodeId, String> {
    word.parse().map_err(|error| format!("{error}"))
}

/// `nodes 3 pre_vote=off window=4`.
fn start(words: &[&str]) -> Result<Cores, String> {
    let (count, changes) = words.split_first().ok_or("how many nodes?")?;
    let mut parsed = Vec::new();
    let mut seed = 1;
    for change in changes {
        let (name, value) = change.split_once('=').ok_or("write option=value")?;
        let value = match value {
            "on" => 1,
            "off" => 0,
            other => number(other)?,
        };
        if name == "seed" {
            seed = value;
        } else {
            set(&mut Options::new(NodeId(1), raft_tui::raft::Configuration::first(1)), name, value)?;
            parsed.push((name, value));
        }
    }
    Ok(Cores::seeded(number(count)?, seed, |options| {
        for (name, value) in &parsed {
            let _ = set(options, name, *value);
        }
    }))
}

fn set(options: &mut Options, name: &str, value: u64) -> Result<(), String> {
    match name {
        "pre_vote" => options.pre_vote = value != 0,
        "check_quorum" => options.check_quorum = value != 0,
        "window" => options.window_messages = value as usize,
        "window_bytes" => options.window_bytes = value,
        "entries" => options.append_entries_max = value as usize,
        "chunk" => options.chunk_bytes = value as usize,
        "keep" => options.keep_entries = value,
        "snapshot_entries" => options.snapshot_entries = value,
        "uncommitted" => options.uncommitted_bytes_max = value,
        "stall" => options.disk_stall_ticks = value,
        _ => return Err(format!("there is no option `{name}`")),
    }
    Ok(())
}

/// `n1>n2`, `n1>`, `>n2`, `n2`, a kind of message, in any order; none passes everything.
#[derive(Default)]
struct Filter {
    from: Option<NodeId>,
    to: Option<NodeId>,
    kind: Option<MessageKind>,
    /// The newest first.
    backwards: bool,
    /// Each arrives twice.
    twice: bool,
    /// Only so many.
    first: Option<usize>,
}

impl Filter {
    fn parse(words: &[&str]) -> Result<Self, String> {
        let mut filter = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if let Some((from, to)) = word.split_once('>') {
                filter.from = (!from.is_empty()).then(|| id(from)).transpose()?;
                filter.to = (!to.is_empty()).then(|| id(to)).transpose()?;
            } else if let Some(kind) = MessageKind::ALL.into_iter().find(|kind| kind.name() == *word) {
                filter.kind = Some(kind);
            } else {
                match *word {
                    "backwards" => filter.backwards = true,
                    "twice" => filter.twice = true,
                    "first" => filter.first = Some(number(words.next().ok_or("first how many?")?)? as usize),
                    _ => return Err(format!("`{word}` is no filter")),
                }
            }
        }
        Ok(filter)
    }

    fn passes(&self, envelope: &raft_tui::raft::Envelope) -> bool {
        self.from.is_none_or(|from| from == envelope.from)
            && self.to.is_none_or(|to| to == envelope.to)
            && self.kind.is_none_or(|kind| kind == envelope.message.kind())
    }
}

fn deliver(cores: &mut Cores, words: &[&str]) -> Ran {
    let filter = Filter::parse(words)?;
    let mut messages = cores.take_where(|envelope| filter.passes(envelope));
    if messages.is_empty() {
        return Ok("nothing to deliver".to_owned());
    }
    if filter.backwards {
        messages.reverse();
    }
    let later = messages.split_off(filter.first.unwrap_or(messages.len()).min(messages.len()));
    cores.wire.splice(0..0, later);
    for message in messages {
        if filter.twice {
            cores.deliver_message(message.clone());
        }
        cores.deliver_message(message);
    }
    Ok(cores.take_transcript())
}

/// What is on its way, and what waits for a disk.
fn wire(cores: &Cores) -> String {
    let mut text = String::new();
    for envelope in &cores.wire {
        let _ = writeln!(text, "on the wire: {envelope}");
    }
    for (id, node) in &cores.nodes {
        for send in &node.outbox {
            let after = send.after.unwrap_or_default();
            let _ = writeln!(text, "waits for write {after} of {id}: {}", send.envelope);
        }
    }
    if text.is_empty() { "nothing".to_owned() } else { text }
}

fn status(cores: &Cores, id: NodeId) -> String {
    let node = cores.node(id);
    if node.raft.is_none() {
        return format!("{id} crashed");
    }
    let status = cores.status(id);
    let vote = status.hard_state.voted_for.map_or_else(|| "–".to_owned(), |vote| vote.to_string());
    let leader = status.leader.map_or_else(|| "–".to_owned(), |leader| leader.to_string());
    let log = if status.last.index < status.first_index {
        format!("empty after {}", status.last)
    } else {
        format!("{}..{}", status.first_index, status.last)
    };
    let mut text = format!(
        "{id} {} term={} vote={vote} leader={leader} log={log} durable={} commit={} applied={}",
        status.role.name(),
        status.hard_state.current_term,
        status.durable,
        status.commit,
        status.applied
    );
    if status.snapshot > Index::ZERO {
        let _ = write!(text, " snapshot={}", status.snapshot);
    }
    if status.quarantined {
        text.push_str(" quarantined");
    }
    if let Some((have, all)) = status.receiving {
        let _ = write!(text, " receiving={have}/{all}");
    }
    if let Some(why) = &status.halted {
        let _ = write!(text, " HALTED {why}");
    }
    text
}

fn peers(cores: &Cores, id: NodeId) -> String {
    let status = cores.status(id);
    if status.role != Role::Leader {
        return format!("{id} does not lead");
    }
    let mut text = String::new();
    for peer in &status.peers {
        let _ = write!(
            text,
            "{} match={} next={} {:?} in flight: {} messages, {} bytes",
            peer.id, peer.match_index, peer.next_index, peer.mode, peer.in_flight_messages, peer.in_flight_bytes
        );
        if let Some((sent, all)) = peer.snapshot {
            let _ = write!(text, ", snapshot {sent}/{all}");
        }
        text.push_str(if peer.counted { "\n" } else { ", not counted\n" });
    }
    text
}

/// Whether machines that applied equally much are equal.
fn digests(cores: &Cores) -> String {
    let mut rows = Vec::new();
    for (id, node) in &cores.nodes {
        if node.raft.is_some() {
            rows.push(format!("{id} applied={} digest={}", node.machine.applied, node.machine.digest));
        }
    }
    rows.join("\n")
}
