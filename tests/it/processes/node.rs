use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use raft_tui::control::operation::{Access, Operation};
use raft_tui::control::protocol::{Detail, FromConsole, Level, Reply, Wish};
use raft_tui::control::{audit, grammar};
use raft_tui::raft::{NodeId, Role};
use raft_tui::transport::net::{Net as _, Tcp};

use crate::support::consoles::{Console, Greeting, cut, token};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running node; killed when it is dropped.
struct Process {
    child: Child,
    control: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A cluster's places.
struct Places {
    root: tempfile::TempDir,
    ports: Vec<u16>,
}

impl Places {
    fn new(nodes: usize) -> Self {
        // All at once, so that no two are the same.
        let free: Vec<_> = (0..nodes).map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
        let ports = free.iter().map(|free| free.local_addr().expect("an address").port()).collect();
        Self { root: tempfile::tempdir().expect("a folder"), ports }
    }

    fn folder(&self, id: usize) -> PathBuf {
        self.root.path().join(format!("n{id}"))
    }

    fn command(&self, id: usize, more: &[&str]) -> Command {
        let peers: Vec<_> =
            self.ports.iter().enumerate().map(|(at, port)| format!("{}=127.0.0.1:{port}", at + 1)).collect();
        let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
        command.args(["node", "--id", &format!("n{id}"), "--control", "127.0.0.1:0", "--peers", &peers.join(",")]);
        command.arg("--listen").arg(format!("127.0.0.1:{}", self.ports[id - 1]));
        command.arg("--data-dir").arg(self.folder(id)).arg("--ready-file").arg(self.ready(id)).args(more);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn ready(&self, id: usize) -> PathBuf {
        self.root.path().join(format!("ready-{id}"))
    }

    fn start(&self, id: usize, more: &[&str]) -> Process {
        self.wait(id, self.command(id, more))
    }

    /// Starts it and waits until it is ready.
    fn wait(&self, id: usize, mut command: Command) -> Process {
        // That of a former life would tell the wrong port.
        let _ = fs::remove_file(self.ready(id));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::inherit()).spawn().expect("it starts");
        let began = Instant::now();
        let control = loop {
            if let Ok(text) = fs::read_to_string(self.ready(id)) {
                let ready: serde_json::Value = serde_json::from_str(&text).expect("JSON");
                assert_eq!((ready["pid"].as_u64(), ready["node"].as_u64()), (Some(child.id().into()), Some(id as u64)));
                break ready["control"].as_str().and_then(|text| text.parse().ok()).expect("an address");
            }
            if let Some(status) = child.try_wait().expect("it can be looked at") {
                panic!("n{id} ended with {status}");
            }
            assert!(began.elapsed() < PATIENCE, "n{id} is not ready");
            std::thread::sleep(Duration::from_millis(20));
        };
        Process { child, control }
    }

    /// Runs it to its end: exit code and what it said.
    fn end(&self, id: usize, more: &[&str]) -> (i32, String) {
        run(&mut self.command(id, more))
    }
}

fn run(command: &mut Command) -> (i32, String) {
    let output = command.stderr(Stdio::piped()).output().expect("it starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    rustix::process::kill_process(pid, signal).expect("it is ours");
}

fn exit_of(mut process: Process) -> std::process::ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = process.child.try_wait().expect("it can be looked at") {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    }
}

async fn enter(process: &Process, greeting: Greeting) -> Console {
    let wire = Tcp.dial(&process.control.to_string()).await.expect("it listens");
    Console::enter(wire, greeting).await.expect("it is let in")
}

fn operator() -> Greeting {
    Greeting::new(Access::Operator, None)
}

/// Asks one node after another until one does it.
async fn ask_any(nodes: &BTreeMap<usize, Process>, line: &str) -> Reply {
    let wish = match grammar::parse(line).expect("a line") {
        Operation::Submit { command, .. } => Wish::Submit { command },
        Operation::Read { query, .. } => Wish::Read { query, level: Level::Linearizable },
        other => panic!("{other:?}"),
    };
    let began = Instant::now();
    loop {
        for process in nodes.values() {
            let reply = enter(process, operator()).await.ask(wish.clone()).await;
            match reply {
                Reply::Applied { .. } | Reply::Value { .. } => return reply,
                Reply::NotLeader { .. }
                | Reply::ReadFailed { .. }
                | Reply::NotApplied { .. }
                | Reply::Busy { .. }
                | Reply::Unknown { .. } => {}
                other => panic!("{line} got {other:?}"),
            }
        }
        assert!(began.elapsed() < PATIENCE, "{line} finds no leader");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn value(reply: &Reply) -> String {
    match reply {
        Reply::Value { reply, .. } => String::from_utf8_lossy(reply).into_owned(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn three_processes_elect_keep_what_they_acknowledged_and_end_in_order() {
    let places = Places::new(3);
    let mut nodes: BTreeMap<_, _> = (1..=3).map(|id| (id, places.start(id, &["--bootstrap"]))).collect();
    assert!(matches!(ask_any(&nodes, "submit SET colour green").await, Reply::Applied { .. }));

    let began = Instant::now();
    // A picture may be a moment older than an answer.
    let leader = loop {
        let mut leaders = Vec::new();
        for (id, process) in &nodes {
            let mut console = enter(process, operator()).await;
            console.say(&FromConsole::Follow(Detail::Everything { every_ms: 50 })).await;
            let picture = console.look().await;
            assert_eq!((picture.view.id, picture.members.len()), (NodeId(*id as u64), 3));
            leaders.extend((picture.view.role == Role::Leader).then_some(*id));
        }
        if let [leader] = leaders[..] {
            break leader;
        }
        assert!(began.elapsed() < PATIENCE, "{leaders:?} lead");
    };

    for id in [leader, 1, 2, 3] {
        let killed = nodes.remove(&id).expect("it runs");
        signal(&killed.child, rustix::process::Signal::KILL);
        assert_eq!(exit_of(killed).signal(), Some(9));
        let restarted = places.start(id, &[]);
        nodes.insert(id, restarted);
        assert!(value(&ask_any(&nodes, "read colour").await).contains("green"), "after n{id} was killed");
        let line = format!("submit SET killed n{id}");
        assert!(matches!(ask_any(&nodes, &line).await, Reply::Applied { .. }));
    }
    for process in nodes.into_values() {
        let began = Instant::now();
        signal(&process.child, rustix::process::Signal::TERM);
        assert_eq!(exit_of(process).code(), Some(0));
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    let log = fs::read_to_string(places.folder(1).join("raft-tui.log")).expect("a log");
    assert!(log.contains("raft-tui node n1 of cluster demo: peers on 127.0.0.1:"), "{log}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_own_exit_code_and_changes_nothing() {
    let places = Places::new(1);
    let folder = places.folder(1);
    let says = |(code, said): (i32, String), expected: i32, words: &str| {
        assert_eq!(code, expected, "{said}");
        assert!(said.contains(words), "{said}");
    };
    says(run(Command::new(env!("CARGO_BIN_EXE_raft-tui")).arg("node")), 64, "is missing");
    says(places.end(1, &["--pace", "warp"]), 64, "--pace");
    says(places.end(1, &["--nonsense"]), 64, "--nonsense");
    says(places.end(1, &[]), 76, "--bootstrap");
    says(places.end(1, &["--bootstrap", "--insecure-i-know", "--tls-ca", "x"]), 64, "tls-cert");
    assert!(!folder.exists(), "nothing was made");

    let open = |listen: &str| {
        let mut command = places.command(1, &["--bootstrap"]);
        run(command.args(["--cluster", "other"]).arg("--config").arg(config(&places, listen)))
    };
    says(open("bogus = 1"), 78, "node.toml:1: `bogus`");
    says(open("# mine\npace = 7"), 78, "node.toml:2: `pace`");
    says(open("\nlink-delay = \"7\""), 78, "node.toml:2: `link-delay`");
    let mut everywhere = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    everywhere.args(["node", "--id", "1", "--peers", "1=127.0.0.1:1", "--bootstrap", "--listen", "127.0.0.1:0"]);
    everywhere.args(["--control", "0.0.0.0:0", "--data-dir"]).arg(&folder);
    says(run(&mut everywhere), 78, "--insecure-i-know");

    let tokens = places.root.path().join("tokens");
    fs::write(&tokens, format!("chaos cora {}\n", token(3).to_hex())).expect("written");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o644)).expect("set");
    let tokens = tokens.to_str().expect("text");
    says(places.end(1, &["--bootstrap", "--token-file", tokens]), 77, "chmod 600");
    assert!(!folder.exists(), "nothing was made");

    symlink(places.root.path(), &folder).expect("a link");
    says(places.end(1, &["--bootstrap"]), 73, "symbolic link");
    fs::remove_file(&folder).expect("removed");
    fs::create_dir(&folder).expect("made");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("set");
    says(places.end(1, &["--bootstrap"]), 73, "everybody");
    fs::remove_dir(&folder).expect("removed");

    let process = places.start(1, &["--bootstrap"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.child.id())).expect("Linux tells");
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    assert_eq!(cores.split_whitespace().nth(4), Some("0"), "{cores}");
    drop(process);
    let mut looked_at = 0;
    let mut places_to_look = vec![folder.clone()];
    while let Some(path) = places_to_look.pop() {
        let about = path.symlink_metadata().expect("it is there");
        assert_eq!(about.permissions().mode() & 0o077, 0, "{} is open to others", path.display());
        looked_at += 1;
        if about.is_dir() {
            places_to_look.extend(fs::read_dir(&path).expect("ours").map(|entry| entry.expect("ours").path()));
        }
    }
    assert!(looked_at > 10, "{looked_at}");
    says(places.end(1, &["--cluster", "other"]), 76, "belongs to n1 of cluster");
    says(places.end(1, &["--chaos"]), 78, "without --chaos");
}

#[test]
fn a_node_that_was_paused_says_so_in_its_log() {
    let places = Places::new(1);
    let process = places.start(1, &["--bootstrap"]);
    let log = || fs::read_to_string(places.folder(1).join("raft-tui.log")).unwrap_or_default();
    assert!(!log().contains("was paused for"), "{}", log());
    let began = Instant::now();
    while !log().contains("n1 was paused for") {
        assert!(began.elapsed() < PATIENCE, "{}", log());
        signal(&process.child, rustix::process::Signal::STOP);
        std::thread::sleep(Duration::from_millis(1_200));
        signal(&process.child, rustix::process::Signal::CONT);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let places = Places::new(1);
    let process = places.start(1, &["--bootstrap", "--cluster-id", "0a"]);
    let elsewhere = Places::new(1);
    let mut second = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    let port = elsewhere.ports[0];
    second.args(["node", "--id", "1", "--peers", &format!("1=127.0.0.1:{port}"), "--listen"]);
    second.args([&format!("127.0.0.1:{port}"), "--control", "127.0.0.1:0", "--cluster-id", "0a", "--data-dir"]);
    let (code, said) = run(second.arg(places.folder(1)));
    assert_eq!(code, 73, "{said}");
    assert!(said.contains("in use"), "{said}");
    signal(&process.child, rustix::process::Signal::TERM);
    assert_eq!(exit_of(process).code(), Some(0));
}

/// All in a file but what a flag says better.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn with_certificates_and_tokens_it_is_open_beyond_this_machine() {
    let places = Places::new(1);
    let certs = places.root.path().join("certs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    let (code, said) = run(command.args(["certs", "--nodes", "1", "--out"]).arg(&certs).stdout(Stdio::null()));
    assert_eq!(code, 0, "{said}");
    let tokens = places.root.path().join("tokens");
    fs::write(&tokens, format!("operator otto {}\n", token(2).to_hex())).expect("written");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("set");
    let tls = |key: &str, name: &str| format!("tls-{key} = {:?}\n", certs.join(name));
    let text = [
        format!("id = 9\nlisten = \"0.0.0.0:0\"\ncontrol = \"0.0.0.0:0\"\nbootstrap = true\ntoken-file = {tokens:?}\n"),
        format!("data-dir = {:?}\ncluster = \"from-the-file\"\n", places.folder(1)),
        tls("ca", "ca.pem") + &tls("cert", "n1.pem") + &tls("key", "n1.key"),
        format!("[peers]\n1 = \"127.0.0.1:{}\"\n", places.ports[0]),
    ];
    let file = config(&places, &text.concat());
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    command.args(["node", "--id", "1", "--config"]).arg(file).arg("--ready-file").arg(places.ready(1));
    let process = places.wait(1, command);

    let port = process.control.port();
    let dial = || async move { Tcp.dial(&format!("127.0.0.1:{port}")).await.expect("it listens") };
    let greeting = Greeting::new(Access::Operator, Some(token(2)));
    assert!(Console::enter(dial().await, greeting.clone()).await.is_err(), "without encryption");
    let trusting = raft_tui::transport::tls::Tls::trusting(&certs.join("ca.pem")).expect("a CA");
    let (wire, _) = trusting.connect(dial().await).await.expect("it shows its certificate");
    let without = Greeting::new(Access::Viewer, None);
    assert!(Console::enter(wire, without).await.is_err(), "without a token");
    let (wire, _) = trusting.connect(dial().await).await.expect("it shows its certificate");
    let console = Console::enter(wire, greeting).await.expect("it is let in");
    assert_eq!((console.welcome.name.as_str(), console.welcome.insecure), ("from-the-file", false));
    signal(&process.child, rustix::process::Signal::TERM);
    assert_eq!(exit_of(process).code(), Some(0));
}

fn config(places: &Places, text: &str) -> PathBuf {
    let path = places.root.path().join("node.toml");
    fs::write(&path, text).expect("written");
    path
}

fn everything_in(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() { all.extend(everything_in(&path)) } else { all.extend(fs::read(&path).expect("a file")) }
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_console_with_a_token_breaks_a_node_and_the_folder_keeps_no_secret() {
    let places = Places::new(1);
    let tokens = places.root.path().join("tokens");
    fs::write(&tokens, format!("chaos cora {}\noperator otto {}\n", token(3).to_hex(), token(2).to_hex()))
        .expect("written");
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).expect("set");
    let flags = ["--chaos", "--enable-chaos", "--token-file", tokens.to_str().expect("text"), "--log-level", "trace"];
    let flags: Vec<_> = flags.into_iter().chain(["--bootstrap"]).collect();
    let arm = |access| Wish::Arm { access, duration_ms: 60_000, reason: "a test".into() };
    let breaker = || Greeting::new(Access::Chaos, Some(token(3)));

    let process = places.start(1, &flags);
    let mut console = enter(&process, breaker()).await;
    assert!(console.welcome.chaos);
    console.ask(arm(Access::Chaos)).await;
    let put = console.ask(cut(1, 60_000)).await;
    assert!(matches!(put, Reply::Refused { .. }), "n3 is no member: {put:?}");
    let crashed = console.ask(Wish::Crash).await;
    assert_eq!(crashed, Reply::Done("n1 crashes".into()));
    assert_eq!(exit_of(process).signal(), Some(9));

    let process = places.start(1, &flags);
    let mut console = enter(&process, breaker()).await;
    console.ask(arm(Access::Chaos)).await;
    assert!(matches!(console.ask(Wish::FailDisk).await, Reply::Done(_)));
    let submit = Wish::Submit { command: "SET a 1".into() };
    console.say(&FromConsole::Ask { request: 99, decided_on: None, wish: submit }).await;
    assert_eq!(exit_of(process).code(), Some(74));

    let process = places.start(1, &flags);
    let mut console = enter(&process, Greeting::new(Access::Operator, Some(token(2)))).await;
    console.ask(arm(Access::Operator)).await;
    assert!(matches!(console.ask(Wish::Crash).await, Reply::Refused { .. }), "an operator ends no node");
    drop(process);

    let log = fs::read_to_string(places.folder(1).join(audit::FILE)).expect("an audit log");
    assert!(audit::verify(&log).is_ok(), "{log}");
    assert!(["crash", "fail-disk"].iter().all(|what| log.contains(what)), "{log}");
    let all = everything_in(&places.folder(1));
    for secret in [token(2), token(3)] {
        let hex = secret.to_hex();
        assert!(!all.windows(64).any(|bytes| bytes.eq_ignore_ascii_case(hex.as_bytes())));
        let raw = &[if secret == token(2) { 2_u8 } else { 3 }; 32];
        assert!(!all.windows(32).any(|bytes| bytes == raw));
    }
}
