//! Node processes whose every place is said by the test: other folders, other ports, other peers than they should have.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Where a node is started, and what it is told.
#[derive(Clone)]
pub struct Member {
    /// The cluster's number; none: it is what the first start makes of its name and members.
    pub cluster: Option<&'static str>,
    pub id: u64,
    pub dir: PathBuf,
    pub listen: u16,
    pub control: u16,
    pub peers: BTreeMap<u64, u16>,
    pub more: Vec<String>,
}

/// Three of one cluster, as they should be.
pub fn three(root: &Path, more: &[&str]) -> BTreeMap<u64, Member> {
    // All at once, so that no two are the same.
    let free: Vec<_> = (0..6).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports: Vec<_> = free.iter().map(|free| free.local_addr().expect("an address").port()).collect();
    let peers: BTreeMap<_, _> = (1..=3).zip(ports[..3].iter().copied()).collect();
    let member = |id: u64| Member {
        cluster: Some("0a"),
        id,
        dir: root.join(format!("n{id}")),
        listen: peers[&id],
        control: ports[2 + id as usize],
        peers: peers.clone(),
        more: more.iter().map(ToString::to_string).collect(),
    };
    (1..=3).map(|id| (id, member(id))).collect()
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port()
}

impl Member {
    /// Its command, without what tells a new node from an old one.
    pub fn command(&self) -> Command {
        let peers: Vec<_> = self.peers.iter().map(|(id, port)| format!("{id}=127.0.0.1:{port}")).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
        command
            .args(["node", "--id", &self.id.to_string(), "--peers", &peers.join(",")])
            .args(self.cluster.map(|id| ["--cluster-id", id]).into_iter().flatten())
            .args(["--listen", &format!("127.0.0.1:{}", self.listen)])
            .args(["--control", &format!("127.0.0.1:{}", self.control)])
            .arg("--data-dir")
            .arg(&self.dir)
            .args(&self.more)
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }

    /// Starts it, as a new node where there is no folder.
    pub fn start(&self) -> Running {
        let mut command = self.command();
        if !self.dir.exists() {
            command.arg("--bootstrap");
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.dir.with_extension("stderr"));
        let child = command.stderr(log.expect("a file of our own")).spawn().expect("it starts");
        Running { child }
    }

    /// Runs it to its end: exit code and what it said.
    pub fn end(&self, more: &[&str]) -> (Option<i32>, String) {
        let output = self.command().args(more).stderr(Stdio::piped()).output().expect("it starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// A process of a node; killed when it is dropped.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a process of our own");
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a process of our own").is_some()
    }

    /// SIGTERM, and waits for the end.
    pub fn terminate(mut self) {
        self.signal(Signal::TERM);
        until("it ends", || self.has_ended().then_some(()));
    }

    /// What it has in memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("Linux tells");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it runs");
        line.split_whitespace().next().expect("a number").parse().expect("a number")
    }

    /// Open files and connections.
    pub fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("Linux tells").count()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended by itself needs no killing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Runs a subcommand against these control ports.
pub fn ask(verb: &str, controls: &[u16], more: &[&str]) -> Output {
    let endpoints: Vec<_> = controls.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    command.args([verb, "--endpoints", &endpoints.join(",")]).args(more).stdin(Stdio::null());
    command.output().expect("it starts")
}

/// What `status -o json` says.
pub fn status(controls: &[u16]) -> Value {
    serde_json::from_slice(&ask("status", controls, &["-o", "json"]).stdout).unwrap_or_default()
}

/// What a node says of itself.
pub fn node(status: &Value, id: u64) -> &Value {
    let nodes = status["nodes"].as_array().map(Vec::as_slice).unwrap_or_default();
    nodes.iter().find(|node| node["id"] == format!("n{id}")).unwrap_or(&Value::Null)
}

/// Waits until `by` raises an alarm with these words, and gives it.
pub fn alarm(controls: &[u16], by: u64, words: &str) -> String {
    let mut heard = Value::Null;
    let began = Instant::now();
    loop {
        heard = match status(controls) {
            Value::Null => heard,
            status => status["cluster"]["alarms"].clone(),
        };
        let alarms = heard.as_array().map(Vec::as_slice).unwrap_or_default();
        let found = alarms.iter().filter(|alarm| alarm["node"] == format!("n{by}"));
        if let Some(text) = found.filter_map(|alarm| alarm["text"].as_str()).find(|text| text.contains(words)) {
            return text.to_owned();
        }
        assert!(began.elapsed() < PATIENCE, "n{by} does not say `{words}`, but {heard}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Writes, and waits until it is acknowledged.
pub fn write(controls: &[u16], key: &str, value: &str) {
    until("a write is acknowledged", || {
        ask("submit", controls, &[&format!("SET {key} {value}")]).status.success().then_some(())
    });
}

/// Reads, and waits for an answer.
pub fn read(controls: &[u16], key: &str) -> String {
    until("a read is answered", || {
        let output = ask("read", controls, &[key]);
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    })
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder of our own");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let (path, place) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &place);
        } else {
            std::fs::copy(&path, &place).expect("a file of our own");
        }
    }
}
