//! `raft-tui attach` over real processes: it finds them all, follows them, and changes nothing until it is armed.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::processes::Nodes;
use crate::support::program::{Program, run_plain};
use crate::support::scripted::PATIENCE;

fn attach(addresses: &str, more: &[&str]) -> Program {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    command.args(["attach", "--json", addresses]).args(more);
    Program::spawn(&mut command)
}

/// Asks for the state until it is as it should be.
fn until(program: &mut Program, what: &str, good: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let status = program.good("status");
        if good(&status) {
            return status;
        }
        assert!(began.elapsed() < PATIENCE, "{what} never: {status}; heard last: {:#?}", program.last());
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn state(answer: &Value, id: u64) -> String {
    let nodes = answer["status"]["nodes"].as_array().cloned().unwrap_or_default();
    let node = nodes.iter().find(|node| node["node"] == format!("n{id}"));
    node.and_then(|node| node["life"].as_str()).unwrap_or_default().to_owned()
}

fn all_run(status: &Value, count: u64) -> bool {
    (1..=count).all(|id| state(status, id) == "running")
}

#[test]
fn all_members_are_found_from_one_and_followed_through_kill_and_restart() {
    let mut nodes = Nodes::start(3, false);
    let mut console = attach(&nodes.address(2), &[]);
    until(&mut console, "all three run", |status| all_run(status, 3));
    let leader: u64 = console.leader().trim_start_matches('n').parse().expect("a number");
    nodes.kill(leader as usize);
    // Whether it runs cannot be known from here: it is never called crashed.
    until(&mut console, "it is unreachable", |status| state(status, leader) == "unreachable");
    assert_eq!(console.told("crashed"), 0, "{:#?}", console.last());
    let next = console.leader();
    assert_ne!(next, format!("n{leader}"));
    nodes.run(leader as usize);
    until(&mut console, "it is back", |status| all_run(status, 3));
    console.good("wait converged");
    assert!(console.end().success());
    for id in 1..=3 {
        assert!(nodes.runs(id), "n{id} is left as it is");
    }
}

#[test]
fn it_only_watches_until_it_is_armed() {
    let nodes = Nodes::start(3, false);
    let mut console = attach(&nodes.address(1), &[]);
    console.leader();
    for line in ["submit SET k v", "load 10/s 1s", "crash n1", "partition 1/2,3", "fail-disk n1"] {
        let refused = console.ask(line);
        assert_eq!(refused["ok"], false, "{line}: {refused}");
        assert!(refused.to_string().contains("arm first"), "{line}: {refused}");
    }
    for line in ["restart n1", "pause n1", "stop", "pace 2"] {
        assert_eq!(console.ask(line)["ok"], false, "{line}");
    }
    console.good("arm operate 5m a test");
    console.good("submit SET k v");
    // No token gives more.
    assert_eq!(console.ask("arm drill 5m a test")["ok"], false);
    assert_eq!(console.ask("crash n1")["ok"], false);
    console.good("disarm");
    assert_eq!(console.ask("submit SET k w")["ok"], false);
    assert_eq!(console.value("read k"), "v");
}

#[test]
fn faults_take_a_token_and_arming_and_are_seen_by_every_console() {
    let nodes = Nodes::start(3, true);
    let addresses = format!("{},{}", nodes.address(1), nodes.address(3));
    let mut viewer = attach(&addresses, &["--token-file", &nodes.token("viewer")]);
    let mut drill = attach(&addresses, &["--token-file", &nodes.token("chaos")]);
    drill.leader();
    viewer.leader();
    assert_eq!(viewer.ask("arm drill 5m a test")["ok"], false, "the token does not give that");
    assert!(drill.ask("isolate n2").to_string().contains("arm first"));
    drill.good("arm drill 5m a test");
    drill.good("isolate n2");
    let seen = until(&mut viewer, "the fault is seen", |status| status.to_string().contains("isolate n2"));
    assert!(seen.to_string().contains("isolate n2"), "{seen}");
    drill.good("heal");
    until(&mut viewer, "it is healed", |status| !status.to_string().contains("isolate n2"));
    let leader = drill.leader();
    drill.good("crash leader");
    let id = leader.trim_start_matches('n').parse().expect("a number");
    until(&mut drill, "it is gone", |status| state(status, id) == "unreachable");
    assert_ne!(drill.leader(), leader);
}

#[test]
fn faults_heal_soon_after_their_console_is_killed() {
    let nodes = Nodes::start(3, true);
    let token = nodes.token("chaos");
    let mut drill = attach(&nodes.address(1), &["--token-file", &token, "--fault-ttl", "9m"]);
    let mut watcher = attach(&nodes.address(2), &["--token-file", &token]);
    drill.leader();
    drill.good("arm drill 5m a test");
    drill.good("isolate n3");
    until(&mut watcher, "the fault is seen", |status| status.to_string().contains("isolate n3"));
    drill.kill();
    until(&mut watcher, "it is healed", |status| !status.to_string().contains("isolate n3"));
    watcher.good("wait converged");
}

#[test]
fn where_to_is_taken_from_a_context_or_the_environment_as_elsewhere() {
    let nodes = Nodes::start(3, true);
    let contexts = nodes.path("contexts.toml");
    let program = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raft-tui"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RAFT_TUI_")) {
            command.env_remove(name);
        }
        command.env("RAFT_TUI_CONFIG", &contexts);
        command
    };
    let set = |name: &str, more: &[&str]| {
        let status = program().args(["context", "set", name]).args(more).status().expect("it starts");
        assert!(status.success(), "{name}");
    };
    let ends = |said: &[(&str, &str)], arguments: &[&str], code: i32, words: &str| {
        let mut command = program();
        command.args(["attach", "--plain"]).args(arguments).envs(said.iter().copied());
        let output = command.stdin(std::process::Stdio::null()).output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && told.contains(words), "{arguments:?}: {told}");
    };
    ends(&[], &[], 64, "no cluster is named");
    ends(&[], &["nonsense"], 64, "is no control address");
    set("drill", &["--endpoints", &nodes.address(2), "--token-file", &nodes.token("chaos")]);
    set("watch", &["--endpoints", &nodes.address(1), "--token-file", &nodes.token("all"), "--access", "viewer"]);
    set("lab", &["--endpoints", "lab:3"]);
    ends(&[], &["--context", "lab"], 64, "raft-tui --nodes 3");
    ends(&[], &["--context", "dril"], 64, "it has drill, lab, watch");
    // The first one made is in use.
    let mut drill = Program::spawn(program().args(["attach", "--json"]));
    drill.leader();
    drill.good("arm drill 5m a test");
    drill.good("isolate n3");
    let seen = until(&mut drill, "the fault is seen", |status| status.to_string().contains("isolate n3"));
    assert!(seen["status"]["active_faults"].to_string().contains("carl"), "{seen}");
    drill.good("heal");
    let mut watcher = Program::spawn(program().args(["attach", "--json", "--context", "watch"]));
    watcher.leader();
    assert_eq!(watcher.ask("arm operate 5m a test")["ok"], false, "the context holds it to viewer");
    // The environment goes before the one in use, and has a token of its own.
    let mut other = program();
    other.args(["attach", "--json"]).env("RAFT_TUI_ENDPOINTS", nodes.address(3));
    let mut other = Program::spawn(other.env("RAFT_TUI_TOKEN_FILE", nodes.token("operator")));
    other.leader();
    other.good("arm operate 5m a test");
    assert_eq!(other.ask("arm drill 5m a test")["ok"], false, "its token is an operator's");
    let operator = nodes.token("operator");
    let mut flag = Program::spawn(program().args(["attach", "--json", "--token-file", &operator]));
    flag.leader();
    assert_eq!(flag.ask("arm drill 5m a test")["ok"], false, "a flag goes before the context");
}

#[test]
fn nobody_there_is_said_with_what_to_try() {
    let folder = tempfile::tempdir().expect("a folder");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address").to_string();
    drop(free);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    command.args(["attach", "--plain", &address]).stdin(std::process::Stdio::null()).current_dir(&folder);
    let output = command.output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains(&address) && said.contains("control address"), "{said}");
}

/// The main job's own words about processes; see `children.rs`.
#[test]
fn keep_leaves_the_nodes_running_and_says_how_to_attach() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data").display().to_string();
    let arguments = ["--processes", "--keep", "--pace", "real", "--nodes", "3", "--data-dir", &data];
    let (said, status) = run_plain(&arguments, "wait leader\nsubmit SET kept yes\n", folder.path());
    assert!(status.success(), "{said}");
    let attach_line = said.lines().find(|line| line.contains("raft-tui attach ")).expect("it is said how to attach");
    let words: Vec<_> = attach_line.split_whitespace().skip_while(|word| *word != "attach").skip(1).collect();
    let mut console = attach(words[0], &words[1..]);
    console.leader();
    assert_eq!(console.value("read kept"), "yes");
    for pid in crate::support::processes::with_word(&data) {
        if pid != console.id() {
            let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a process");
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
