//! The one grammar of operations: what `:`, standard input and scripts share.
//!
//! One operation is one line of words. [`HELP`] lists them; [`parse`] reads one, [`print()`] writes one so that it is read
//! back as the same. Words of the grammar may be written in any case; what follows `submit` and `read` belongs to the
//! machine, which has quoting of its own.
//!
//! Kept true: `parse(&print(operation))` is `operation`; every error names the word, what was expected there and an
//! example that works.
//! Not here: what an operation does (`cluster/`), the machine's commands (`machine/kv`), how a line is typed (`tui/`).

use std::fmt::Write as _;

use super::operation::{Access, Condition, Level, LinkRule, Links, Operation, Pace, Target};
use super::words::{self, WordError, did_you_mean};
use crate::machine::kv;
use crate::raft::{Index, MessageKind, NodeId};
use crate::text::sanitize_str;

/// How long `wait` waits when nothing is said, in microseconds of real time.
pub const WAIT_TIMEOUT_US: u64 = 30_000_000;

/// How long a console stays armed when nothing is said, in microseconds of real time.
pub const ARM_US: u64 = 15 * 60 * 1_000_000;

/// Every operation: how it is written, and what it does.
pub const HELP: &[(&str, &str)] = &[
    (
        "submit [via NODE] COMMAND",
        "replicate a command: SET k v, DELETE k, CAS k old new, INCR k; via: ask only that node",
    ),
    (
        "read [local] [via NODE] KEY | LIST PREFIX",
        "read what is linearizable now, from the leader or through any node; local: what one node has, perhaps stale",
    ),
    ("crash NODE|leader|all", "stop a node as if its process were killed"),
    ("restart NODE|all", "start a node that does not run, from its own disk"),
    ("pause NODE|leader|all", "freeze a node where it stands, as SIGSTOP does (clusters of processes)"),
    ("unpause NODE|all", "let a paused node go on"),
    ("isolate NODE|leader|all", "cut every link of a node"),
    ("partition 1,2/3,4,5", "cut every link between groups; nodes named in no group are alone"),
    ("cut LINKS [type=MESSAGE]", "let nothing pass, or no message of one type; LINKS: n3>n2, n3<>n2, n3, all"),
    ("delay LINKS TIME [jitter TIME]", "let messages take longer, in cluster time: delay n3>n5 80ms jitter 10ms"),
    ("loss LINKS PERCENT", "lose messages with this chance: loss n2 20%"),
    ("duplicate LINKS PERCENT", "let messages arrive twice with this chance"),
    ("reorder LINKS PERCENT", "let messages be overtaken with this chance"),
    ("heal [LINKS]", "take all network faults away, or those of some links"),
    ("slow-disk NODE|leader|all TIME", "delay each write of a disk, in cluster time; 0ms takes the fault away"),
    ("fail-disk NODE|leader|all", "let the next write of a disk fail: the node halts"),
    ("load RATE/s [TIME]", "submit commands by itself, in cluster time: load 200/s 5s"),
    ("load stop", "end the load"),
    (
        "wait leader [timeout TIME]",
        "go on when a majority follows a leader; at most 30s of real time if nothing is said",
    ),
    ("wait converged [timeout TIME]", "go on when all running nodes have applied the leader's last entry"),
    ("wait applied NODE INDEX [timeout TIME]", "go on when a node has applied this index"),
    ("wait down NODE [timeout TIME]", "go on when a node does not run"),
    ("status", "show the cluster as it is now"),
    ("stop", "stop the cluster's clock: nothing moves, no timer runs"),
    ("resume", "let the clock run again"),
    ("pace 1/10|real|2", "run slower or faster than real time"),
    (
        "arm operate|drill [TIME] [REASON]",
        "ask for the right to change an attached cluster; drill: to inject faults too",
    ),
    ("disarm", "only watch again"),
    ("quit", "stop all nodes and end; leave an attached cluster as it is"),
];

/// The first words of all operations, with an example each.
const VERBS: &[(&str, &str)] = &[
    ("submit", "submit SET k v"),
    ("read", "read k"),
    ("crash", "crash leader"),
    ("restart", "restart n2"),
    ("pause", "pause n2"),
    ("unpause", "unpause n2"),
    ("isolate", "isolate n3"),
    ("partition", "partition 1,2/3,4,5"),
    ("cut", "cut n3>n2"),
    ("delay", "delay n3>n5 80ms"),
    ("loss", "loss n2 20%"),
    ("duplicate", "duplicate n2 20%"),
    ("reorder", "reorder n2 20%"),
    ("heal", "heal"),
    ("slow-disk", "slow-disk n2 50ms"),
    ("fail-disk", "fail-disk n2"),
    ("load", "load 200/s 5s"),
    ("wait", "wait leader"),
    ("status", "status"),
    ("stop", "stop"),
    ("resume", "resume"),
    ("pace", "pace 1/10"),
    ("arm", "arm operate 15m add a key"),
    ("disarm", "disarm"),
    ("quit", "quit"),
];

/// Words that people bring from elsewhere, and how it is said here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("set", "submit SET k v"),
    ("put", "submit SET k v"),
    ("write", "submit SET k v"),
    ("delete", "submit DELETE k"),
    ("del", "submit DELETE k"),
    ("cas", "submit CAS k old new"),
    ("incr", "submit INCR k"),
    ("get", "read k"),
    ("list", "read LIST prefix"),
    ("kill", "crash n2"),
    ("start", "restart n2"),
    ("freeze", "pause n2"),
    ("continue", "resume"),
    ("speed", "pace 1/10"),
    ("split", "partition 1,2/3,4,5"),
    ("drop", "loss n2 20%"),
    ("disconnect", "isolate n3"),
    ("clear", "heal"),
    ("exit", "quit"),
    ("bye", "quit"),
];

/// A line that is no operation: which word, what was expected, and an example.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct GrammarError {
    /// A sentence for people, safe to print.
    pub sentence: String,
    /// Where in the line the word starts that cannot be, in bytes; the line's length when something is missing.
    pub at: usize,
}

/// Reads one line of a script: `None` for an empty line or a comment (`# …`).
pub fn read_line(line: &str) -> Result<Option<Operation>, GrammarError> {
    let trimmed = line.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') { Ok(None) } else { parse(line).map(Some) }
}

/// Reads one operation.
pub fn parse(line: &str) -> Result<Operation, GrammarError> {
    let mut words = Words { line, rest: line, example: "status" };
    let Some(verb) = words.next() else {
        return Err(words.missing("a command"));
    };
    let lower = verb.to_ascii_lowercase();
    let Some((name, example)) = VERBS.iter().find(|(name, _)| *name == lower) else {
        return Err(words.no_such_command(verb, &lower));
    };
    words.example = example;
    let operation = match *name {
        "submit" => words.submit()?,
        "read" => words.read()?,
        "crash" => Operation::Crash(words.target("a node, leader or all")?),
        "restart" => Operation::Restart(words.restart_target()?),
        "pause" => Operation::Pause(words.target("a node, leader or all")?),
        "unpause" => Operation::Unpause(words.restart_target()?),
        "isolate" => Operation::Isolate(words.target("a node, leader or all")?),
        "partition" => Operation::Partition(words.groups()?),
        "cut" => {
            let links = words.links()?;
            Operation::Link { links, rule: LinkRule::Cut { kind: words.kind()? } }
        }
        "delay" => words.delay()?,
        "loss" => Operation::Link { links: words.links()?, rule: LinkRule::Loss { per_million: words.chance()? } },
        "duplicate" => {
            Operation::Link { links: words.links()?, rule: LinkRule::Duplicate { per_million: words.chance()? } }
        }
        "reorder" => {
            Operation::Link { links: words.links()?, rule: LinkRule::Reorder { per_million: words.chance()? } }
        }
        "heal" if words.is_empty() => Operation::Heal,
        "heal" => match words.links()? {
            Links::All => Operation::Heal,
            links => Operation::HealLinks(links),
        },
        "slow-disk" => {
            let node = words.target("a node, leader or all")?;
            Operation::SlowDisk { node, delay_us: words.time("how long each write takes longer")? }
        }
        "fail-disk" => Operation::FailDisk(words.target("a node, leader or all")?),
        "load" => words.load()?,
        "wait" => words.wait()?,
        "status" => Operation::Status,
        "stop" => Operation::Stop,
        "resume" => Operation::Resume,
        "pace" => Operation::Pace(words.pace()?),
        "arm" => words.arm()?,
        "disarm" => Operation::Disarm,
        "quit" => Operation::Quit,
        // A verb of the table without a line here.
        _ => return Err(words.no_such_command(verb, &lower)),
    };
    words.end()?;
    Ok(operation)
}

/// Writes an operation as [`parse`] reads it, as far as the grammar has words for it: a command that no line of the
/// key-value machine stands for, or a number outside the grammar's limits, is written but not read back.
#[must_use]
pub fn print(operation: &Operation) -> String {
    match operation {
        Operation::Submit { command, via } => format!("submit {}{}", via_words(*via), kv::describe_command(command)),
        Operation::Read { query, via, level } => {
            let level = if *level == Level::Local { "local " } else { "" };
            format!("read {level}{}{}", via_words(*via), kv::describe_query(query))
        }
        Operation::Crash(target) => format!("crash {target}"),
        Operation::Restart(target) => format!("restart {target}"),
        Operation::Pause(target) => format!("pause {target}"),
        Operation::Unpause(target) => format!("unpause {target}"),
        Operation::Isolate(target) => format!("isolate {target}"),
        Operation::Partition(groups) => {
            let group = |group: &Vec<NodeId>| group.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            format!("partition {}", groups.iter().map(group).collect::<Vec<_>>().join("/"))
        }
        Operation::Link { links, rule } => print_rule(*links, *rule),
        Operation::Heal => "heal".into(),
        Operation::HealLinks(links) => format!("heal {links}"),
        Operation::SlowDisk { node, delay_us } => format!("slow-disk {node} {}", print_time(*delay_us)),
        Operation::FailDisk(node) => format!("fail-disk {node}"),
        Operation::Load { per_second, duration_us: None } => format!("load {per_second}/s"),
        Operation::Load { per_second, duration_us: Some(duration_us) } => {
            format!("load {per_second}/s {}", print_time(*duration_us))
        }
        Operation::LoadStop => "load stop".into(),
        Operation::Wait { condition, timeout_us: WAIT_TIMEOUT_US } => format!("wait {condition}"),
        Operation::Wait { condition, timeout_us } => format!("wait {condition} timeout {}", print_time(*timeout_us)),
        Operation::Status => "status".into(),
        Operation::Stop => "stop".into(),
        Operation::Resume => "resume".into(),
        Operation::Pace(Pace { cluster: 1, real: 1 }) => "pace real".into(),
        Operation::Pace(Pace { cluster, real: 1 }) => format!("pace {cluster}"),
        Operation::Pace(Pace { cluster, real }) => format!("pace {cluster}/{real}"),
        Operation::Arm { access, duration_us, reason } => {
            let what = if *access == Access::Chaos { "drill" } else { "operate" };
            format!("arm {what} {} {}", print_time(*duration_us), sanitize_str(reason)).trim_end().to_owned()
        }
        Operation::Disarm => "disarm".into(),
        Operation::Quit => "quit".into(),
    }
}

fn via_words(via: Option<NodeId>) -> String {
    via.map(|node| format!("via {node} ")).unwrap_or_default()
}

fn print_rule(links: Links, rule: LinkRule) -> String {
    match rule {
        LinkRule::Cut { kind: None } => format!("cut {links}"),
        LinkRule::Cut { kind: Some(kind) } => format!("cut {links} type={kind}"),
        LinkRule::Delay { delay_us, jitter_us: 0 } => format!("delay {links} {}", print_time(delay_us)),
        LinkRule::Delay { delay_us, jitter_us } => {
            format!("delay {links} {} jitter {}", print_time(delay_us), print_time(jitter_us))
        }
        LinkRule::Loss { per_million } => format!("loss {links} {}", print_chance(per_million)),
        LinkRule::Duplicate { per_million } => format!("duplicate {links} {}", print_chance(per_million)),
        LinkRule::Reorder { per_million } => format!("reorder {links} {}", print_chance(per_million)),
    }
}

/// `80ms`, `5s`, `15m`, `1500us`: the largest unit that is exact.
#[must_use]
pub fn print_time(us: u64) -> String {
    match us {
        0 => "0ms".into(),
        us if us % 60_000_000 == 0 && us > 60_000_000 => format!("{}m", us / 60_000_000),
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1_000 == 0 => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

/// `20%`, `0.5%`: a chance of so many in a million.
#[must_use]
pub fn print_chance(per_million: u32) -> String {
    let mut text = format!("{}", per_million / 10_000);
    let rest = per_million % 10_000;
    if rest > 0 {
        let digits = format!("{rest:04}");
        // Writing to a string cannot fail.
        let _ = write!(text, ".{}", digits.trim_end_matches('0'));
    }
    text.push('%');
    text
}

/// The words of one line, taken one after another.
struct Words<'a> {
    line: &'a str,
    rest: &'a str,
    example: &'static str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.trim_start();
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn peek(&self) -> Option<&'a str> {
        self.rest.split_whitespace().next()
    }

    fn is_empty(&self) -> bool {
        self.peek().is_none()
    }

    /// Takes the next word if it is this one.
    fn take(&mut self, wanted: &str) -> bool {
        let is_it = self.peek().is_some_and(|word| word.eq_ignore_ascii_case(wanted));
        if is_it {
            self.next();
        }
        is_it
    }

    /// The next word, or what is missing.
    fn need(&mut self, expected: &str) -> Result<&'a str, GrammarError> {
        self.next().ok_or_else(|| self.missing(expected))
    }

    fn end(&self) -> Result<(), GrammarError> {
        let Some(extra) = self.peek() else { return Ok(()) };
        let at = self.line.len() - self.rest.trim_start().len();
        let before = self.line.get(..at).unwrap_or_default().trim();
        Err(GrammarError {
            sentence: format!("`{}` is too much: nothing follows `{}`", sanitize_str(extra), sanitize_str(before)),
            at,
        })
    }

    fn missing(&self, expected: &str) -> GrammarError {
        let line = self.line.trim();
        let sentence = if line.is_empty() {
            format!("nothing is written: expected {expected}, for example `{}`", self.example)
        } else {
            let line = sanitize_str(line);
            format!("something is missing after `{line}`: expected {expected}, for example `{}`", self.example)
        };
        GrammarError { sentence, at: self.line.len() }
    }

    /// `word` was taken last and cannot be there.
    fn wrong(&self, word: &str, expected: &str) -> GrammarError {
        let shown = sanitize_str(word);
        self.about(word, format!("`{shown}`: expected {expected}, for example `{}`", self.example))
    }

    /// `word` was taken last and is not what it should be.
    fn not_that(&self, word: &str, error: &WordError) -> GrammarError {
        self.about(word, error.to_string())
    }

    fn about(&self, word: &str, sentence: String) -> GrammarError {
        GrammarError { sentence, at: self.line.len().saturating_sub(self.rest.len() + word.len()) }
    }

    fn no_such_command(&self, verb: &str, lower: &str) -> GrammarError {
        let at = self.line.len().saturating_sub(self.rest.len() + verb.len());
        let verb = sanitize_str(verb);
        let names: Vec<_> = VERBS.iter().map(|(name, _)| *name).collect();
        let sentence = if let Some((_, here)) = ELSEWHERE.iter().find(|(word, _)| *word == lower) {
            format!("`{verb}` is no command here: write `{here}`")
        } else if let Some(name) = did_you_mean(lower, &names) {
            format!("`{verb}` is no command: did you mean `{name}`?")
        } else {
            format!("`{verb}` is no command: expected one of {}", names.join(", "))
        };
        GrammarError { sentence, at }
    }

    fn via(&mut self) -> Result<Option<NodeId>, GrammarError> {
        if self.take("via") { self.node("the node to ask").map(Some) } else { Ok(None) }
    }

    /// The machine's part of the line, and where it starts.
    fn machine(&mut self, expected: &str) -> Result<(&'a str, usize), GrammarError> {
        if self.is_empty() {
            return Err(self.missing(expected));
        }
        let text = self.rest.trim_start();
        self.rest = "";
        Ok((text, self.line.len() - text.len()))
    }

    fn submit(&mut self) -> Result<Operation, GrammarError> {
        let via = self.via()?;
        let (text, at) = self.machine("a command of the machine")?;
        let command = kv::parse_command(text).map_err(|error| GrammarError { sentence: error.to_string(), at })?;
        Ok(Operation::Submit { command, via })
    }

    fn read(&mut self) -> Result<Operation, GrammarError> {
        // Alone it is a key like any other.
        let is_key = words::split_first_word(self.rest.trim_start()).1.trim().is_empty();
        let level = if !is_key && self.take("local") { Level::Local } else { Level::Linearizable };
        let via = self.via()?;
        let (text, at) = self.machine("a key, or LIST and a prefix")?;
        let (first, _) = words::split_first_word(text);
        let is_query = ["GET", "LIST"].iter().any(|verb| first.eq_ignore_ascii_case(verb));
        // A key alone is what people want to read; a key named `list` can be quoted.
        let query = if is_query { kv::parse_query(text) } else { kv::parse_query(&format!("GET {text}")) };
        let query = query.map_err(|error| GrammarError { sentence: error.to_string(), at })?;
        Ok(Operation::Read { query, via, level })
    }

    /// The next word, read by `words.rs`, which says what it is when it is not what it should be.
    fn value<T>(&mut self, expected: &str, read: impl Fn(&str) -> Result<T, WordError>) -> Result<T, GrammarError> {
        let word = self.need(expected)?;
        read(word).map_err(|error| self.not_that(word, &error))
    }

    fn node(&mut self, expected: &str) -> Result<NodeId, GrammarError> {
        self.value(expected, words::node)
    }

    fn target(&mut self, expected: &str) -> Result<Target, GrammarError> {
        let word = self.need(expected)?;
        if word.eq_ignore_ascii_case("leader") {
            Ok(Target::Leader)
        } else if word.eq_ignore_ascii_case("all") {
            Ok(Target::All)
        } else {
            word.parse().map(Target::Node).map_err(|_| self.wrong(word, expected))
        }
    }

    fn restart_target(&mut self) -> Result<Target, GrammarError> {
        let expected = "a node or all";
        match self.target(expected)? {
            // Whoever leads runs: there is nobody to restart.
            Target::Leader => Err(self.wrong("leader", expected)),
            target @ (Target::Node(_) | Target::All) => Ok(target),
        }
    }

    fn groups(&mut self) -> Result<Vec<Vec<NodeId>>, GrammarError> {
        self.value("groups of nodes, `,` within a group and `/` between groups", words::groups)
    }

    fn links(&mut self) -> Result<Links, GrammarError> {
        self.value("links: n3>n2, n3<>n2 for both directions, n3 for all of a node's, or all", |word| {
            if word.eq_ignore_ascii_case("all") {
                Ok(Links::All)
            } else if word.contains("<>") {
                words::link(&word.replacen("<>", ">", 1)).map(|(one, other)| Links::Between(one, other))
            } else if let Some((to, from)) = word.split_once('<') {
                words::link(&format!("{from}>{to}")).map(|(from, to)| Links::One { from, to })
            } else if word.contains('>') {
                words::link(word).map(|(from, to)| Links::One { from, to })
            } else {
                words::node(word).map(Links::Of)
            }
        })
    }

    fn kind(&mut self) -> Result<Option<MessageKind>, GrammarError> {
        let Some(word) = self.next() else { return Ok(None) };
        let names = MessageKind::ALL.map(MessageKind::name);
        let Some((key, name)) = word.split_once('=').filter(|(key, _)| key.eq_ignore_ascii_case("type")) else {
            return Err(self.wrong(word, "nothing, or type= and a message, such as type=RequestVoteReply"));
        };
        if let Some(kind) = MessageKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(name)) {
            return Ok(Some(kind));
        }
        let expected = match did_you_mean(name, &names) {
            Some(close) => format!("a message after {key}=, perhaps {close}"),
            None => format!("a message after {key}=: one of {}", names.join(", ")),
        };
        Err(self.wrong(word, &expected))
    }

    fn delay(&mut self) -> Result<Operation, GrammarError> {
        let links = self.links()?;
        let (delay_us, jitter_us) = self.value("a time such as 80ms, or 80ms+-10ms", |word| {
            match word.split_once("+-").or_else(|| word.split_once('±')) {
                Some((delay, jitter)) => Ok((words::duration(delay)?, Some(words::duration(jitter)?))),
                None => Ok((words::duration(word)?, None)),
            }
        })?;
        let jitter_us = match jitter_us {
            Some(jitter_us) => jitter_us,
            None if self.take("jitter") => self.time("how much longer it may take")?,
            None => 0,
        };
        Ok(Operation::Link { links, rule: LinkRule::Delay { delay_us, jitter_us } })
    }

    fn time(&mut self, expected: &str) -> Result<u64, GrammarError> {
        self.value(expected, words::duration)
    }

    fn chance(&mut self) -> Result<u32, GrammarError> {
        self.value("a chance from 0% to 100%", words::percent)
    }

    fn load(&mut self) -> Result<Operation, GrammarError> {
        if self.take("stop") {
            return Ok(Operation::LoadStop);
        }
        let per_second = self.value("commands a second, as 200/s, or stop", words::rate)?;
        let duration_us = if self.is_empty() { None } else { Some(self.time("how long")?) };
        Ok(Operation::Load { per_second, duration_us })
    }

    fn wait(&mut self) -> Result<Operation, GrammarError> {
        let expected = "leader, converged, applied NODE INDEX, or down NODE";
        let word = self.need(expected)?;
        let condition = match word.to_ascii_lowercase().as_str() {
            "leader" => Condition::Leader,
            "converged" => Condition::Converged,
            "applied" => {
                self.example = "wait applied n3 120";
                let node = self.node("whose")?;
                let index = self.need("an index of the log")?;
                let digits = index.bytes().all(|byte| byte.is_ascii_digit()).then_some(index);
                let number = digits.and_then(|digits| digits.parse().ok());
                let index = number.ok_or_else(|| self.wrong(index, "an index of the log"))?;
                Condition::Applied { node, index: Index(index) }
            }
            "down" => {
                self.example = "wait down n2";
                Condition::Down(self.node("which node")?)
            }
            _ => return Err(self.wrong(word, expected)),
        };
        let timeout_us = match self.next() {
            None => WAIT_TIMEOUT_US,
            Some(word) if word.eq_ignore_ascii_case("timeout") => self.time("at most how long")?,
            Some(word) => {
                self.example = "wait converged timeout 10s";
                return Err(self.wrong(word, "nothing, or timeout and a time"));
            }
        };
        Ok(Operation::Wait { condition, timeout_us })
    }

    fn arm(&mut self) -> Result<Operation, GrammarError> {
        let expected = "operate, or drill to inject faults too";
        let word = self.need(expected)?;
        let access = match word.to_ascii_lowercase().as_str() {
            "operate" => Access::Operator,
            "drill" => Access::Chaos,
            _ => return Err(self.wrong(word, expected)),
        };
        let is_time = |word: &str| word.starts_with(|first: char| first.is_ascii_digit());
        let duration_us = if self.peek().is_some_and(is_time) { self.time("for how long")? } else { ARM_US };
        let reason = self.rest.trim().to_owned();
        self.rest = "";
        Ok(Operation::Arm { access, duration_us, reason })
    }

    fn pace(&mut self) -> Result<Pace, GrammarError> {
        self.value("a pace: real, 1/10 or 2", words::pace).map(|(cluster, real)| Pace { cluster, real })
    }
}
