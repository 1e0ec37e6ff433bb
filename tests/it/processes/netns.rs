//! Five hosts in network namespaces of their own, joined by a switch whose links are taken down one by one.
//!
//! The real kernel, real addresses, so TLS between nodes and tokens for consoles: what a cluster on five machines has.
//! Skipped, with a message, where namespaces cannot be made.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_raft-tui");
const HOSTS: u64 = 5;
const PATIENCE: Duration = Duration::from_mins(1);

/// A switch and hosts around it. Everything that was made is taken away with this value.
struct Lan {
    name: String,
    nodes: Vec<Option<Child>>,
    folder: tempfile::TempDir,
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

impl Lan {
    fn make() -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let lan = Self { name: format!("rt{}", std::process::id()), nodes: Vec::new(), folder };
        let switch = lan.switch();
        ip(&["netns", "add", &switch])?;
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &switch, "link", "set", "br0", "up"])?;
        // The last host is the operator's.
        for host in 1..=HOSTS + 1 {
            let space = lan.host(host);
            let port = format!("p{host}");
            ip(&["netns", "add", &space])?;
            ip(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
            ip(&["-n", &switch, "link", "set", &port, "master", "br0"])?;
            ip(&["-n", &switch, "link", "set", &port, "up"])?;
            ip(&["-n", &space, "addr", "add", &format!("{}/24", address(host)), "dev", "eth0"])?;
            ip(&["-n", &space, "link", "set", "eth0", "up"])?;
            ip(&["-n", &space, "link", "set", "lo", "up"])?;
        }
        Ok(lan)
    }

    fn switch(&self) -> String {
        format!("{}s", self.name)
    }

    fn host(&self, host: u64) -> String {
        format!("{}h{host}", self.name)
    }

    fn set_link(&self, host: u64, state: &str) {
        ip(&["-n", &self.switch(), "link", "set", &format!("p{host}"), state]).expect("a link that we made");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn on(&self, host: u64) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(host), PROGRAM]);
        command
    }

    fn start_nodes(&mut self) {
        let made = Command::new(PROGRAM)
            .args(["certs", "--nodes", "5", "--out"])
            .arg(self.path("certs"))
            .output()
            .expect("the program starts");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let token = "5a".repeat(32);
        write_secret(&self.path("tokens"), &format!("operator drill {token}\n"));
        let peers: Vec<_> = (1..=HOSTS).map(|host| format!("{host}={}:7001", address(host))).collect();
        for host in 1..=HOSTS {
            let certs = self.path("certs");
            let mut command = self.on(host);
            command
                .args(["node", "--bootstrap", "--cluster", "lan", "--id", &host.to_string()])
                .args(["--listen", &format!("{}:7001", address(host))])
                .args(["--control", &format!("{}:9001", address(host))])
                .args(["--peers", &peers.join(",")])
                .arg("--data-dir")
                .arg(self.path(&format!("n{host}")))
                .arg("--token-file")
                .arg(self.path("tokens"))
                .arg("--tls-ca")
                .arg(certs.join("ca.pem"))
                .arg("--tls-cert")
                .arg(certs.join(format!("n{host}.pem")))
                .arg("--tls-key")
                .arg(certs.join(format!("n{host}.key")))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::inherit());
            self.nodes.push(Some(command.spawn().expect("the program starts")));
        }
    }

    /// The operator's program on its own host.
    fn ask(&self, arguments: &[&str]) -> Output {
        let endpoints: Vec<_> = (1..=HOSTS).map(|host| format!("{}:9001", address(host))).collect();
        let (verb, rest) = arguments.split_first().expect("a subcommand");
        self.on(HOSTS + 1)
            .arg(verb)
            .args(["--endpoints", &endpoints.join(",")])
            .arg("--token-file")
            .arg(self.path("tokens"))
            .arg("--tls-ca")
            .arg(self.path("certs").join("ca.pem"))
            .args(rest)
            .output()
            .expect("the program starts")
    }

    fn status(&self) -> Value {
        let output = self.ask(&["status", "-o", "json"]);
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    /// Tries until it is so.
    fn until(&self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let started = Instant::now();
        while !holds(self) {
            assert!(started.elapsed() < PATIENCE, "not in time: {what}; the status is {:#}", self.status());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn set(&self, key: &str, value: u64) -> ExitStatus {
        self.ask(&["submit", "SET", key, &value.to_string()]).status
    }

    fn get(&self, key: &str) -> String {
        String::from_utf8_lossy(&self.ask(&["read", key]).stdout).trim().to_owned()
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            // One that has ended by itself needs no killing.
            let _ = node.kill();
            let _ = node.wait();
        }
        for host in 1..=HOSTS + 1 {
            let _ = ip(&["netns", "del", &self.host(host)]);
        }
        let _ = ip(&["netns", "del", &self.switch()]);
    }
}

fn address(host: u64) -> String {
    format!("10.77.0.{host}")
}

fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a file of our own");
}

#[test]
fn links_that_go_down_one_by_one_take_writes_away_with_the_majority_and_nothing_else() {
    let mut lan = match Lan::make() {
        Ok(lan) => lan,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: network namespaces cannot be made here: {why}");
            return;
        }
    };
    lan.start_nodes();
    lan.until("five nodes and a leader", |lan| lan.set("k", 0).success());
    // While a majority is joined writes go through, whoever was cut off, the leader too.
    for down in 1..=2 {
        let status = lan.status();
        let leader = status["cluster"]["leader"].as_str().and_then(|name| name.trim_start_matches('n').parse().ok());
        let cut = leader.unwrap_or(down);
        lan.set_link(cut, "down");
        lan.until("a write without the nodes that are cut off", |lan| lan.set("k", down).success());
        assert_eq!(lan.get("k"), down.to_string());
    }
    let down: Vec<u64> = (1..=HOSTS).filter(|host| is_down(&lan, *host)).collect();
    assert_eq!(down.len(), 2, "the status names who is not heard: {:#}", lan.status());
    // The third takes the majority away: no write, and what was written stays.
    let third = (1..=HOSTS).find(|host| !down.contains(host)).expect("three are left");
    lan.set_link(third, "down");
    lan.until("the loss of the majority", |lan| !lan.set("k", 99).success());
    for host in down.iter().copied().chain([third]) {
        lan.set_link(host, "up");
        if host == down[0] {
            lan.until("writes again with three", |lan| lan.set("k", 3).success());
        }
    }
    lan.until("all five in step", |lan| {
        let status = lan.status();
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let applied: Vec<_> = nodes.iter().map(|node| node["applied"].clone()).collect();
        nodes.len() == 5 && applied.iter().all(|index| *index == applied[0] && !index.is_null())
    });
    assert_eq!(lan.get("k"), "3");
}

fn is_down(lan: &Lan, host: u64) -> bool {
    let status = lan.status();
    let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
    nodes.iter().any(|node| node["id"] == format!("n{host}") && !node["why"].is_null())
}
