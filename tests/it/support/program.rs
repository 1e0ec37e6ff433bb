//! The real binary, driven by lines through its `--json` door.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::Value;

/// How long an answer may take before a test gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `raft-tui --json`. Killed when it is dropped.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Every line that came, for the words of a failure.
    pub heard: Vec<String>,
}

impl Program {
    /// Starts it with these arguments besides `--json`; the log goes beside the tests' own files.
    pub fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(env!("CARGO_BIN_EXE_raft-tui")).arg("--json").args(arguments))
    }

    /// Starts whatever ends up being `raft-tui --json`.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the binary starts");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let input = child.stdin.take();
        Self { child, input, lines, heard: Vec::new() }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line without waiting for its answer. False: it reads no more.
    pub fn write(&mut self, line: &str) -> bool {
        self.input.as_mut().is_some_and(|input| writeln!(input, "{line}").is_ok())
    }

    /// The next answer, if there is one before the output ends or patience does.
    pub fn answer(&mut self) -> Option<Value> {
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("no answer in time; heard last: {:#?}", self.last()),
            };
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            self.heard.push(line);
            if value["e"] == "answer" {
                return Some(value);
            }
        }
    }

    pub fn last(&self) -> &[String] {
        &self.heard[self.heard.len().saturating_sub(40)..]
    }

    /// Asks and gives the answer, whatever it is.
    pub fn ask(&mut self, line: &str) -> Value {
        assert!(self.write(line), "it reads `{line}`; heard last: {:#?}", self.last());
        self.answer().unwrap_or_else(|| panic!("`{line}` is answered; heard last: {:#?}", self.last()))
    }

    /// Asks and expects a good answer.
    pub fn good(&mut self, line: &str) -> Value {
        let answer = self.ask(line);
        assert_eq!(answer["ok"], true, "`{line}` got {answer}; heard last: {:#?}", self.last());
        answer
    }

    pub fn all_good(&mut self, lines: &[&str]) {
        for line in lines {
            self.good(line);
        }
    }

    /// What a read gives, in words.
    pub fn value(&mut self, line: &str) -> String {
        let answer = self.good(line);
        answer["reply"].as_str().unwrap_or_else(|| panic!("`{line}` got {answer}")).to_owned()
    }

    /// The node that leads, as `wait leader` says.
    pub fn leader(&mut self) -> String {
        let answer = self.good("wait leader");
        let text = answer["text"].as_str().unwrap_or_default();
        text.split_whitespace().find(|word| word.starts_with('n')).expect("a node is named").to_owned()
    }

    /// Events whose sentence holds `text`.
    pub fn told(&self, text: &str) -> usize {
        self.heard.iter().filter(|line| line.contains(text)).count()
    }

    /// SIGKILL, and the end of it.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
        while let Ok(line) = self.lines.recv() {
            self.heard.push(line);
        }
        std::mem::take(&mut self.heard)
    }

    /// Ends the input and waits for the end.
    pub fn end(mut self) -> ExitStatus {
        self.input = None;
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.heard.push(line);
        }
        self.child.wait().expect("it ends")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The newest value of each key `k…` that was acknowledged; values rise with every write.
#[derive(Debug, Default)]
pub struct Acknowledged {
    pub newest: BTreeMap<u64, u64>,
    /// How many writes were acknowledged.
    pub writes: u64,
}

impl Acknowledged {
    /// Takes note of an answer, if it acknowledges a `submit SET k… value`.
    pub fn note(&mut self, answer: &Value) {
        if answer["e"] != "answer" || answer["kind"] != "applied" {
            return;
        }
        let command = answer["command"].as_str().expect("a command is named");
        let mut words = command.split_whitespace().skip(2);
        let key = words.next().and_then(|key| key.strip_prefix('k')).and_then(|key| key.parse().ok());
        let value = words.next().and_then(|value| value.parse().ok());
        let (key, value) = key.zip(value).expect("keys are k and a number, values are numbers");
        let newest = self.newest.entry(key).or_insert(value);
        *newest = value.max(*newest);
        self.writes += 1;
    }

    /// Nothing acknowledged is missing.
    pub fn check(&self, program: &mut Program, after: &str) {
        for (key, value) in &self.newest {
            let read: u64 = program.value(&format!("read k{key}")).parse().expect("values are numbers");
            assert!(read >= *value, "k{key} had {value} acknowledged and has {read} after {after}");
        }
    }
}

/// Runs a whole script through the door for people and gives its output and how it ended.
pub fn run_plain(arguments: &[&str], script: &str, folder: &Path) -> (String, ExitStatus) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft-tui"))
        .arg("--plain")
        .args(arguments)
        .arg("--log-file")
        .arg(folder.join("script.log"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    // One that refuses at once may have ended before it is written to.
    let _ = child.stdin.take().expect("stdin is piped").write_all(script.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text =
        String::from_utf8(output.stdout).expect("plain output is text") + &String::from_utf8_lossy(&output.stderr);
    (text, output.status)
}
