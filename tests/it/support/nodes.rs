//! Real `raft-tui node` processes on loopback, held by a test: killed, stopped, started again, by their ids.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::program::Program;

/// The program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_raft-tui");
/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// Nodes of one cluster, each a process; killed when this is dropped.
pub struct Nodes {
    folder: tempfile::TempDir,
    ports: BTreeMap<u64, (u16, u16)>,
    children: BTreeMap<u64, Child>,
    extra: Vec<String>,
}

/// Loopback ports that are free now.
pub fn free_ports(count: usize) -> Vec<u16> {
    let taken: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port")).collect();
    taken.iter().map(|listener| listener.local_addr().expect("it is bound").port()).collect()
}

impl Nodes {
    /// Bootstraps so many, with faults allowed by both keys, and these arguments besides; `{id}` in one is the node's.
    pub fn start(count: u64, extra: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let ports = free_ports(2 * count as usize);
        let ports = (1..=count).zip(ports.chunks(2).map(|pair| (pair[0], pair[1]))).collect();
        let extra = extra.iter().map(ToString::to_string).collect();
        let mut nodes = Self { folder, ports, children: BTreeMap::new(), extra };
        write_secret(&nodes.path("tokens"), &format!("chaos nemesis {}\n", "c4".repeat(32)));
        for id in 1..=count {
            nodes.restart(id);
        }
        nodes
    }

    /// A file in the cluster's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where consoles find the nodes, as `--endpoints` takes it.
    pub fn endpoints(&self) -> String {
        self.ports.values().map(|(_, control)| format!("127.0.0.1:{control}")).collect::<Vec<_>>().join(",")
    }

    /// Where consoles find one of them.
    pub fn control(&self, id: u64) -> String {
        format!("127.0.0.1:{}", self.ports[&id].1)
    }

    /// Starts a node that does not run.
    pub fn restart(&mut self, id: u64) {
        let (listen, control) = self.ports[&id];
        let peers: Vec<_> = self.ports.iter().map(|(id, (listen, _))| format!("{id}=127.0.0.1:{listen}")).collect();
        let dir = self.path(&format!("n{id}"));
        let mut command = Command::new(PROGRAM);
        command.args(["node", "--id", &id.to_string(), "--cluster", "proof", "--chaos", "--enable-chaos"]);
        if !dir.exists() {
            command.arg("--bootstrap");
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.path(&format!("n{id}.stderr")));
        let child = command
            .args(["--listen", &format!("127.0.0.1:{listen}"), "--control", &format!("127.0.0.1:{control}")])
            .args(["--peers", &peers.join(",")])
            .arg("--data-dir")
            .arg(&dir)
            .arg("--token-file")
            .arg(self.path("tokens"))
            .args(self.extra.iter().map(|argument| argument.replace("{id}", &id.to_string())))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.expect("a file of our own"))
            .spawn()
            .expect("the program starts");
        let former = self.children.insert(id, child);
        assert!(former.is_none(), "n{id} ran already");
    }

    fn child(&self, id: u64) -> &Child {
        self.children.get(&id).unwrap_or_else(|| panic!("n{id} does not run"))
    }

    /// The process of a node that runs.
    pub fn pid(&self, id: u64) -> u32 {
        self.child(id).id()
    }

    fn signal(&self, id: u64, signal: Signal) {
        let pid = i32::try_from(self.pid(id)).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a process of our own");
    }

    /// SIGKILL, and waits for its end.
    pub fn kill(&mut self, id: u64) {
        let mut child = self.children.remove(&id).unwrap_or_else(|| panic!("n{id} does not run"));
        child.kill().expect("a process of our own");
        child.wait().expect("a process of our own");
    }

    /// SIGSTOP.
    pub fn pause(&self, id: u64) {
        self.signal(id, Signal::STOP);
    }

    /// SIGCONT.
    pub fn unpause(&self, id: u64) {
        self.signal(id, Signal::CONT);
    }

    /// SIGTERM, and waits for its end.
    pub fn terminate(&mut self, id: u64) -> ExitStatus {
        self.signal(id, Signal::TERM);
        let mut child = self.children.remove(&id).expect("it was signalled");
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("a process of our own") {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "n{id} does not end on SIGTERM; it says {}", self.said(id));
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Those whose process has ended without being asked, and what they said.
    pub fn dead(&mut self) -> Vec<String> {
        let mut dead = Vec::new();
        let ended: Vec<_> = self
            .children
            .iter_mut()
            .filter_map(|(id, child)| Some((*id, child.try_wait().expect("a process of our own")?)))
            .collect();
        for (id, status) in ended {
            dead.push(format!("n{id} ended with {status}: {}", self.said(id)));
        }
        dead
    }

    /// The end of what a node wrote to standard error.
    pub fn said(&self, id: u64) -> String {
        let text = std::fs::read_to_string(self.path(&format!("n{id}.stderr"))).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }

    /// A subcommand that talks to the cluster.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg(verb);
        if verb != "attach" {
            command.args(["--endpoints", &self.endpoints()]);
        }
        command.arg("--token-file").arg(self.path("tokens"));
        command
    }

    /// A console without a screen, armed for faults.
    pub fn console(&self) -> Program {
        let mut command = self.command("attach");
        command.arg("--json").arg(self.endpoints());
        let mut console = Program::spawn(&mut command);
        console.good("wait leader");
        console.good("arm drill 60m nemesis");
        console
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for child in self.children.values_mut() {
            // One that has ended by itself needs no killing.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A file that only its owner may read.
pub fn write_secret(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file of our own");
}
