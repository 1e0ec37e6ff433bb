//! Nodes as processes with places of their own, to be attached to.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scripted::PATIENCE;

/// A cluster whose nodes listen at fixed places; its processes are killed when it is dropped.
pub struct Nodes {
    root: tempfile::TempDir,
    peers: Vec<u16>,
    control: Vec<u16>,
    children: Vec<Option<Child>>,
    chaos: bool,
}

impl Nodes {
    /// So many, started and ready. With `chaos` faults are allowed, and everybody needs a token.
    pub fn start(count: usize, chaos: bool) -> Self {
        // All at once, so that no two are the same.
        let free: Vec<_> = (0..count * 2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let mut peers: Vec<_> = free.iter().map(|free| free.local_addr().expect("an address").port()).collect();
        let control = peers.split_off(count);
        drop(free);
        let root = tempfile::tempdir().expect("a folder");
        let mut nodes = Self { root, peers, control, children: (0..count).map(|_| None).collect(), chaos };
        if chaos {
            let tokens = [("viewer", "vera", "11"), ("operator", "otto", "22"), ("chaos", "carl", "33")];
            let mut all = String::new();
            for (access, name, byte) in tokens {
                let line = format!("{access} {name} {}\n", byte.repeat(32));
                nodes.write_private(&format!("{access}.token"), &line);
                all.push_str(&line);
            }
            nodes.write_private("all.token", &all);
        }
        for id in 1..=count {
            nodes.run(id);
        }
        for id in 1..=count {
            nodes.wait_ready(id);
        }
        nodes
    }

    fn write_private(&self, name: &str, text: &str) {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = std::fs::OpenOptions::new();
        let file = options.create_new(true).write(true).mode(0o600).open(self.path(name));
        file.and_then(|mut file| file.write_all(text.as_bytes())).expect("it is written");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn token(&self, access: &str) -> String {
        self.path(&format!("{access}.token")).display().to_string()
    }

    pub fn address(&self, id: usize) -> String {
        format!("127.0.0.1:{}", self.control[id - 1])
    }

    /// Starts a node that does not run.
    pub fn run(&mut self, id: usize) {
        let peers: Vec<_> =
            self.peers.iter().enumerate().map(|(at, port)| format!("{}=127.0.0.1:{port}", at + 1)).collect();
        let ready = self.path(&format!("ready-{id}"));
        // That of a former life says nothing.
        let _ = std::fs::remove_file(&ready);
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
        command
            .args(["node", "--id", &id.to_string(), "--peers", &peers.join(","), "--bootstrap"])
            .args(["--listen", &format!("127.0.0.1:{}", self.peers[id - 1]), "--control", &self.address(id)])
            .arg("--data-dir")
            .arg(self.path(&format!("n{id}")))
            .arg("--ready-file")
            .arg(ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        if self.chaos {
            command.args(["--chaos", "--enable-chaos", "--token-file", &self.token("all")]);
        }
        self.children[id - 1] = Some(command.spawn().expect("the binary starts"));
    }

    pub fn wait_ready(&mut self, id: usize) {
        let began = Instant::now();
        while !self.path(&format!("ready-{id}")).exists() {
            let ended = self.children[id - 1].as_mut().and_then(|child| child.try_wait().expect("it can be asked"));
            assert!(ended.is_none(), "n{id} ended: {ended:?}");
            assert!(began.elapsed() < PATIENCE, "n{id} is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL, and the end of it.
    pub fn kill(&mut self, id: usize) {
        if let Some(mut child) = self.children[id - 1].take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it ends");
        }
    }

    /// Whether its process is still there.
    pub fn runs(&mut self, id: usize) -> bool {
        self.children[id - 1].as_mut().is_some_and(|child| child.try_wait().expect("it can be asked").is_none())
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for id in 1..=self.children.len() {
            self.kill(id);
        }
    }
}

/// The processes of this executable that have `word` in their command line.
pub fn with_word(word: &str) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |pid: &u32| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        // A zombie's is empty.
        String::from_utf8_lossy(&line).split('\0').any(|argument| argument.contains(word))
    };
    pids.filter(has).collect()
}
