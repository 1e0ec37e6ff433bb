//! A cluster of one's own as child processes of this executable: `raft-tui node`, one a node, over TCP on loopback.
//!
//! The console holds them as it holds a cluster elsewhere (`remote/`), with a token made for the run; beside it a
//! supervisor does what only a parent can: SIGKILL is a crash, SIGSTOP a pause, a new process a restart. A child's
//! standard input is a pipe whose other end this process holds: when it is gone, however it went, the child ends.
//!
//! Kept true: a process is signalled only while it is not reaped; a node has at most one process at a time; without
//! `keep` no child outlives the session.
//! Not here: what nodes report and how faults are put in force (`remote/`), the folder's format (`folder.rs`).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::folder::{Folder, Ports};
use super::remote::{self, RemoteSpec};
use super::{ClusterError, Guard, Session, Spec};
use crate::control::tokens::Token;
use crate::control::{Access, Can, Capabilities, Life, NodeView, admit};
use crate::node::driver::Trouble;
use crate::raft::{Configuration, Epoch, NodeId};
use crate::storage::fjall::node_dir;
use crate::transport::clock::ClusterClock;
use crate::transport::net::Tcp;

/// Everything but another pace.
pub(super) const CAPABILITIES: Capabilities = Capabilities {
    crash: Can::Yes,
    restart: Can::Yes,
    pause: Can::Yes,
    links: Can::Yes,
    clock: Can::Yes,
    pace: Can::No("child processes keep the pace they were started with: start again with --pace"),
    disks: Can::Yes,
    arm: Can::No("this cluster is the console's own: nothing needs arming"),
};

/// The name of the cluster.
pub(super) const CLUSTER: &str = "demo";

/// How often other ports are tried when somebody else was faster.
const PORT_TRIES: usize = 5;

/// How long the processes may take to be ready before the session begins without them.
const READY_WITHIN: Duration = Duration::from_secs(10);

/// How long processes get to end in order, and then to be killed.
const END_WITHIN: Duration = Duration::from_secs(5);
const KILL_WITHIN: Duration = Duration::from_secs(1);

/// What is read of the end of a child's standard error.
const STDERR_READ: u64 = 4 << 10;

/// A cluster of processes to be started.
#[derive(Clone)]
pub struct ProcessSpec {
    /// The executable: this one.
    pub program: PathBuf,
    /// Nodes, pace, luck and folder, as of a cluster in this process.
    pub cluster: Spec,
    /// Leave the processes running when the session ends.
    pub keep: bool,
    /// What their logs hold.
    pub log_level: Option<String>,
    /// Each life of a node writes its trace into a file of its own, beside this one: see [`trace_file`].
    pub trace: Option<PathBuf>,
    /// Messages too go into the traces.
    pub trace_messages: bool,
}

/// Starts the processes. Gives the session and the command with which others attach to the cluster. Must be called
/// within a tokio runtime.
pub async fn start(spec: ProcessSpec) -> Result<(Session, Guard, String), ClusterError> {
    let nodes = spec.cluster.nodes;
    if nodes == 0 || nodes > super::local::NODES_MAX {
        return Err(ClusterError::Nodes { nodes, max: super::local::NODES_MAX });
    }
    let folder = Folder::open(&spec.cluster.disks, nodes)?;
    let folder = folder.ok_or(ClusterError::MemoryProcesses)?;
    let token = Token::random();
    let token_file = folder.path.join("console.token");
    write_private(&token_file, &format!("{} console {}\n", Access::Chaos, token.to_hex()))?;

    let mut supervisor = Supervisor::new(spec, folder, token_file);
    supervisor.start_all().await?;
    let addresses: Vec<_> = supervisor.ports.control.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let attach = format!("raft-tui attach {} --token-file {}", addresses.join(","), supervisor.token_file.display());
    let Spec { pace, client_timeout_ticks, .. } = supervisor.spec.cluster;
    let remote = RemoteSpec {
        mask_values: Some(false),
        access: Access::Chaos,
        token: Some(Arc::new(token)),
        client_timeout_ticks,
        ..RemoteSpec::new(Arc::new(Tcp), addresses)
    };
    let clock = ClusterClock::new(pace.cluster, pace.real);
    let (session, guard) = remote::supervise(remote, clock, pace, CAPABILITIES, supervisor);
    Ok((session, guard, attach))
}

/// Where a node writes the trace of a life: `FILE.n1`, and `FILE.n1.2` after it was restarted.
#[must_use]
pub fn trace_file(file: &Path, node: NodeId, life: u32) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{node}"));
    if life > 1 {
        name.push(format!(".{life}"));
    }
    name.into()
}

fn io_error<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(std::io::Error) -> ClusterError + 'a {
    move |source| ClusterError::Io { doing, path: path.to_owned(), source }
}

/// A new file that nobody else can read, in the place of any other.
fn write_private(path: &Path, text: &str) -> Result<(), ClusterError> {
    let writing = |error| io_error("writing", path)(error);
    if path.symlink_metadata().is_ok() {
        fs::remove_file(path).map_err(writing)?;
    }
    let made = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    made.and_then(|mut file| file.write_all(text.as_bytes())).map_err(writing)
}

/// Ports of this machine that nobody has now, for two places a node.
fn free_ports(nodes: u64) -> Result<Ports, ClusterError> {
    let taking = |error| io_error("taking ports of", Path::new("127.0.0.1"))(error);
    let listeners = (0..nodes * 2).map(|_| TcpListener::bind("127.0.0.1:0"));
    // All are held at the same time, so that all are different.
    let listeners: Vec<_> = listeners.collect::<Result<_, _>>().map_err(taking)?;
    let ports = listeners.iter().map(|listener| listener.local_addr().map(|address| address.port()));
    let mut ports: Vec<_> = ports.collect::<Result<_, _>>().map_err(taking)?;
    let control = ports.split_off(nodes as usize);
    Ok(Ports { bootstrapped: false, peer: ports, control })
}

fn are_free(ports: &Ports) -> bool {
    let listeners: Vec<_> =
        ports.peer.iter().chain(&ports.control).map(|port| TcpListener::bind(("127.0.0.1", *port))).collect();
    listeners.iter().all(Result::is_ok)
}

/// One node's process, through its lives.
#[derive(Default)]
struct Process {
    /// Takes signals for it, as long as it is not reaped.
    signals: Option<mpsc::UnboundedSender<Signal>>,
    paused: bool,
    /// It was killed by us, at this time.
    killed_at_us: Option<u64>,
    /// It is to be started again when it is reaped.
    again: bool,
    /// The life before this one: what is still heard of it is old.
    epoch_before: Option<Epoch>,
    /// It was asked to halt.
    halts_on_purpose: bool,
    /// How it ended.
    ended: Option<Life>,
    /// How often it was started in this session.
    starts: u32,
}

/// A process has ended.
struct Exited {
    node: NodeId,
    status: Option<ExitStatus>,
}

/// The parent of all processes of a cluster.
pub(super) struct Supervisor {
    spec: ProcessSpec,
    folder: Folder,
    token_file: PathBuf,
    ports: Ports,
    processes: BTreeMap<NodeId, Process>,
    exited: mpsc::UnboundedReceiver<Exited>,
    exits: mpsc::UnboundedSender<Exited>,
    stopped: bool,
    started: Instant,
    worst: Option<Trouble>,
}

impl Supervisor {
    fn new(spec: ProcessSpec, folder: Folder, token_file: PathBuf) -> Self {
        let (exits, exited) = mpsc::unbounded_channel();
        let members = Configuration::first(spec.cluster.nodes).voters().to_vec();
        Self {
            spec,
            folder,
            token_file,
            ports: Ports::default(),
            processes: members.into_iter().map(|node| (node, Process::default())).collect(),
            exited,
            exits,
            stopped: false,
            started: Instant::now(),
            worst: None,
        }
    }

    /// Starts all processes and waits until they are ready or have ended. Takes other ports when some are taken.
    async fn start_all(&mut self) -> Result<(), ClusterError> {
        let nodes = self.spec.cluster.nodes;
        let kept = self.folder.ports()?.filter(|ports| ports.control.len() as u64 == nodes && are_free(ports));
        let bootstrapped = self.folder.ports()?.is_some_and(|ports| ports.bootstrapped);
        self.ports = match kept {
            Some(ports) => ports,
            None => free_ports(nodes)?,
        };
        for attempt in 1.. {
            self.ports.bootstrapped = bootstrapped;
            self.folder.keep_ports(&self.ports)?;
            for node in self.ids() {
                self.spawn(node)?;
            }
            let taken = self.ready().await;
            if taken && attempt < PORT_TRIES {
                self.kill_all().await;
                self.ports = free_ports(nodes)?;
                continue;
            }
            break;
        }
        if self.processes.values().all(|process| process.signals.is_some()) {
            self.ports.bootstrapped = true;
            self.folder.keep_ports(&self.ports)?;
        }
        Ok(())
    }

    /// Waits until all are ready or one has ended; true: one has ended because its port was taken.
    async fn ready(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < READY_WITHIN {
            for (node, _) in self.poll() {
                let why = self.last_words(node);
                if why.contains("listening at") || why.contains("in use") && why.contains("ddress") {
                    return true;
                }
            }
            let ready = |node: &NodeId| self.ready_file(*node).exists();
            if self.processes.iter().all(|(node, process)| process.signals.is_none() || ready(node)) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }

    async fn kill_all(&mut self) {
        for process in self.processes.values().filter_map(|process| process.signals.as_ref()) {
            let _ = process.send(Signal::KILL);
        }
        self.wait_for_ends(KILL_WITHIN).await;
        for process in self.processes.values_mut() {
            *process = Process::default();
        }
        self.worst = None;
    }

    fn ready_file(&self, node: NodeId) -> PathBuf {
        self.folder.path.join(format!("{node}.ready"))
    }

    fn stderr_file(&self, node: NodeId) -> PathBuf {
        self.folder.path.join(format!("{node}.stderr"))
    }

    fn command(&self, node: NodeId) -> Command {
        let Spec { pace, link_delay_us, seed, snapshot_entries, .. } = &self.spec.cluster;
        let place = (node.0 - 1) as usize;
        let peers: Vec<_> =
            self.ports.peer.iter().enumerate().map(|(at, port)| format!("{}=127.0.0.1:{port}", at + 1)).collect();
        let mut command = Command::new(&self.spec.program);
        command
            .arg("node")
            .args(["--id", &node.0.to_string()])
            .args(["--cluster", CLUSTER])
            .args(["--peers", &peers.join(",")])
            .args(["--listen", &format!("127.0.0.1:{}", self.ports.peer[place])])
            .args(["--control", &format!("127.0.0.1:{}", self.ports.control[place])])
            .arg("--data-dir")
            .arg(node_dir(&self.folder.path, node))
            .args(["--cluster-id", &format!("{:032x}", self.folder.cluster_id)])
            .arg("--token-file")
            .arg(&self.token_file)
            .arg("--ready-file")
            .arg(self.ready_file(node))
            .arg("--log-file")
            .arg(self.folder.path.join(format!("{node}.log")))
            .args(["--pace", &format!("{}/{}", pace.cluster, pace.real)])
            .args(["--link-delay", &format!("{link_delay_us}us")])
            .args(["--seed", &seed.to_string()])
            .args(["--snapshot-entries", &snapshot_entries.to_string()])
            .arg("--enable-chaos");
        if !self.ports.bootstrapped {
            command.arg("--bootstrap");
        }
        if let Some(file) = &self.spec.trace {
            let starts = self.processes.get(&node).map_or(0, |process| process.starts);
            command.arg("--trace").arg(trace_file(file, node, starts + 1));
            if self.spec.trace_messages {
                command.arg("--trace-messages");
            }
        }
        if let Some(level) = &self.spec.log_level {
            command.args(["--log-level", level]);
        }
        if self.spec.keep {
            command.stdin(Stdio::null());
        } else {
            command.arg("--die-with-parent").stdin(Stdio::piped());
        }
        // A key pressed at this terminal is not meant for them.
        command.process_group(0).stdout(Stdio::null());
        command
    }

    fn spawn(&mut self, node: NodeId) -> Result<(), ClusterError> {
        let ready = self.ready_file(node);
        if ready.exists() {
            fs::remove_file(&ready).map_err(io_error("removing", &ready))?;
        }
        let stderr = self.stderr_file(node);
        write_private(&stderr, "")?;
        let file = OpenOptions::new().append(true).open(&stderr).map_err(io_error("opening", &stderr))?;
        let spawned = self.command(node).stderr(file).spawn();
        let mut child = spawned.map_err(io_error("starting a node with", &self.spec.program))?;
        let (signals, mut asked) = mpsc::unbounded_channel::<Signal>();
        let exits = self.exits.clone();
        tokio::spawn(async move {
            // The child lives as long as this is held.
            let _lifeline = child.stdin.take();
            let status = loop {
                tokio::select! {
                    biased;
                    status = child.wait() => break status.ok(),
                    Some(signal) = asked.recv() => {
                        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
                        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, signal)) {
                            tracing::warn!(%node, %error, "a signal was not taken");
                        }
                    }
                }
            };
            // A supervisor that has gone away needs not know.
            let _ = exits.send(Exited { node, status });
        });
        if self.stopped {
            let _ = signals.send(Signal::STOP);
        }
        let Some(process) = self.processes.get_mut(&node) else { return Ok(()) };
        let Process { epoch_before, starts, .. } = *process;
        *process = Process { signals: Some(signals), epoch_before, starts: starts + 1, ..Process::default() };
        Ok(())
    }

    /// The last that a process wrote to standard error, safe to show.
    fn last_words(&self, node: NodeId) -> String {
        use std::io::{Read as _, Seek as _, SeekFrom};
        let mut bytes = Vec::new();
        if let Ok(mut file) = fs::File::open(self.stderr_file(node)) {
            let length = file.metadata().map_or(0, |meta| meta.len());
            // What cannot be read is not shown.
            let _ = file.seek(SeekFrom::Start(length.saturating_sub(STDERR_READ)));
            let _ = file.take(STDERR_READ).read_to_end(&mut bytes);
        }
        let text = String::from_utf8_lossy(&bytes);
        let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let mut last = last.strip_prefix("raft-tui: ").unwrap_or(last).to_owned();
        admit::clean(&mut last, 400);
        last
    }

    /// Takes note of processes that have ended, and says which and how.
    pub(super) fn poll(&mut self) -> Vec<(NodeId, String)> {
        let mut ended = Vec::new();
        while let Ok(exited) = self.exited.try_recv() {
            ended.push((exited.node, self.on_exit(&exited)));
        }
        ended
    }

    fn on_exit(&mut self, exited: &Exited) -> String {
        let Exited { node, status } = exited;
        let now_us = self.started.elapsed().as_micros() as u64;
        let words = self.last_words(*node);
        let code = status.and_then(|status| status.code());
        let how = match (status.and_then(|status| status.signal()), code) {
            (Some(signal), _) => format!("its process was ended by signal {signal}"),
            (None, Some(code)) => format!("its process ended with code {code}"),
            (None, None) => "its process ended".to_owned(),
        };
        let Some(process) = self.processes.get_mut(node) else { return how };
        process.signals = None;
        process.paused = false;
        let trouble = code.and_then(trouble);
        process.ended = Some(match (process.killed_at_us, trouble) {
            (Some(at_us), _) => Life::Crashed { at_us },
            (None, Some(_)) if !words.is_empty() => Life::Halted { why: words },
            (None, Some(_)) => Life::Halted { why: how.clone() },
            (None, None) => Life::Crashed { at_us: now_us },
        });
        if process.killed_at_us.is_none() && !process.halts_on_purpose && self.worst != Some(Trouble::Violation) {
            self.worst = trouble.or(self.worst);
        }
        let why = if process.killed_at_us.is_some() { String::new() } else { how };
        if std::mem::take(&mut process.again)
            && let Err(error) = self.spawn(*node)
        {
            self.cannot_start(*node, &error);
        }
        why
    }

    fn cannot_start(&mut self, node: NodeId, error: &ClusterError) {
        if let Some(process) = self.processes.get_mut(&node) {
            process.ended = Some(Life::Halted { why: error.to_string() });
        }
    }

    pub(super) fn ids(&self) -> Vec<NodeId> {
        self.processes.keys().copied().collect()
    }

    /// Whether its process is there.
    pub(super) fn is_alive(&self, node: NodeId) -> bool {
        self.processes.get(&node).is_some_and(|process| process.signals.is_some())
    }

    /// Whether its process is there and was not told to end.
    pub(super) fn is_running(&self, node: NodeId) -> bool {
        let running = |process: &Process| process.signals.is_some() && process.killed_at_us.is_none() || process.again;
        self.processes.get(&node).is_some_and(running)
    }

    /// What is known of a node from its process, where that is more than what it reports itself.
    pub(super) fn life(&self, view: &NodeView) -> Option<Life> {
        let process = self.processes.get(&view.id)?;
        if process.again {
            return Some(Life::Starting);
        }
        if process.signals.is_none() {
            return process.ended.clone();
        }
        if let Some(at_us) = process.killed_at_us {
            return Some(Life::Crashed { at_us });
        }
        if process.paused {
            return Some(Life::Paused);
        }
        if view.epoch == Epoch::ZERO || process.epoch_before == Some(view.epoch) {
            return Some(Life::Starting);
        }
        let unheard = matches!(view.life, Life::Unreachable { .. });
        (self.stopped && unheard).then_some(Life::Running)
    }

    fn signal(&self, node: NodeId, signal: Signal) {
        if let Some(signals) = self.processes.get(&node).and_then(|process| process.signals.as_ref()) {
            // It may have ended at this moment.
            let _ = signals.send(signal);
        }
    }

    /// SIGKILL.
    pub(super) fn kill(&mut self, node: NodeId, at_us: u64) {
        self.signal(node, Signal::KILL);
        if let Some(process) = self.processes.get_mut(&node) {
            process.killed_at_us = Some(at_us);
        }
    }

    /// Starts a process that does not run, or that is being killed when it is reaped. `epoch`: the life heard last.
    pub(super) fn restart(&mut self, node: NodeId, epoch: Option<Epoch>) {
        let Some(process) = self.processes.get_mut(&node) else { return };
        process.epoch_before = epoch;
        if process.signals.is_some() {
            process.again = true;
        } else if let Err(error) = self.spawn(node) {
            self.cannot_start(node, &error);
        }
    }

    /// SIGSTOP or SIGCONT to one.
    pub(super) fn pause(&mut self, node: NodeId, pause: bool) {
        if let Some(process) = self.processes.get_mut(&node) {
            process.paused = pause;
        }
        if !self.stopped {
            self.signal(node, if pause { Signal::STOP } else { Signal::CONT });
        }
    }

    /// SIGSTOP or SIGCONT to all; who was paused by itself stays so.
    pub(super) fn set_stopped(&mut self, stopped: bool) {
        self.stopped = stopped;
        for node in self.ids() {
            let paused = self.processes.get(&node).is_some_and(|process| process.paused);
            match (stopped, paused) {
                (true, _) => self.signal(node, Signal::STOP),
                (false, false) => self.signal(node, Signal::CONT),
                (false, true) => {}
            }
        }
    }

    /// These will halt because they were asked to: that is no trouble.
    pub(super) fn expect_halt(&mut self, nodes: &[NodeId]) {
        for node in nodes {
            if let Some(process) = self.processes.get_mut(node) {
                process.halts_on_purpose = true;
            }
        }
    }

    /// Whether processes stay when the session ends.
    pub(super) const fn keeps(&self) -> bool {
        self.spec.keep
    }

    pub(super) const fn worst(&self) -> Option<Trouble> {
        self.worst
    }

    pub(super) const fn seed(&self) -> u64 {
        self.spec.cluster.seed
    }

    pub(super) fn data_dir(&self) -> String {
        let path = self.folder.path.display();
        if self.folder.is_temporary() { format!("{path} (removed at the end)") } else { path.to_string() }
    }

    /// Ends all processes in order, or leaves them running, and says what was done.
    pub(super) async fn end(&mut self) -> String {
        let worst = self.worst;
        let running: Vec<_> = self.ids().into_iter().filter(|node| self.is_alive(*node)).collect();
        for node in &running {
            // A process that stands still takes no other signal but the last.
            self.signal(*node, Signal::CONT);
        }
        if self.spec.keep {
            return "the processes keep running".to_owned();
        }
        for node in &running {
            self.signal(*node, Signal::TERM);
        }
        if !self.wait_for_ends(END_WITHIN).await {
            for node in self.ids() {
                self.kill(node, 0);
            }
            self.wait_for_ends(KILL_WITHIN).await;
        }
        self.worst = worst.or_else(|| self.worst.filter(|trouble| *trouble == Trouble::Violation));
        "all processes have ended, all stores are closed".to_owned()
    }

    /// Waits until no process is there; false: there still is one.
    async fn wait_for_ends(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        while self.processes.values().any(|process| process.signals.is_some()) {
            match tokio::time::timeout_at(deadline, self.exited.recv()).await {
                Ok(Some(exited)) => {
                    if let Some(process) = self.processes.get_mut(&exited.node) {
                        process.again = false;
                    }
                    self.on_exit(&exited);
                }
                Ok(None) | Err(_) => return false,
            }
        }
        true
    }
}

/// What a node's exit code says, where it stopped itself.
const fn trouble(code: i32) -> Option<Trouble> {
    Some(match code {
        65 => Trouble::Corrupt,
        70 => Trouble::Violation,
        73 => Trouble::Locked,
        74 => Trouble::Disk,
        75 => Trouble::NoSpace,
        76 => Trouble::WrongStore,
        64 | 77 | 78 => Trouble::Newer,
        _ => return None,
    })
}
