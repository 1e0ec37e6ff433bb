//! Certificates that are replaced under running nodes.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use raft_tui::control::operation::Access;
use raft_tui::control::protocol::{Detail, FromConsole, Wish};
use raft_tui::raft::NodeId;
use raft_tui::transport::net::{Net as _, Tcp};
use raft_tui::transport::tls::{PeerName, Tls};

use crate::support::consoles::{Console, Greeting, token};
use crate::support::nodes::{Nodes, PATIENCE, PROGRAM};

fn certs(folder: &Path, more: &[&str]) {
    let done = Command::new(PROGRAM).args(["certs", "--out"]).arg(folder).args(more).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Whose certificate a node shows to whom believes this CA.
async fn shown(nodes: &Nodes, id: u64, ca: &Path) -> Result<PeerName, String> {
    let wire = Tcp.dial(&nodes.control(id)).await.map_err(|error| error.to_string())?;
    let connected = Tls::trusting(ca).unwrap().connect(wire).await;
    connected.map(|(_, name)| name).map_err(|error| error.to_string())
}

/// A subcommand as a console would run it: whether it went well, and all that it said.
fn asked(nodes: &Nodes, verb: &str, ca: &Path, more: &[&str]) -> (bool, String) {
    let done = nodes.command(verb).arg("--tls-ca").arg(ca).args(more).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).into_owned())
}

fn until_says(nodes: &Nodes, verb: &str, ca: &Path, more: &[&str], good: impl Fn(bool, &str) -> bool) -> String {
    let began = Instant::now();
    loop {
        let (fine, said) = asked(nodes, verb, ca, more);
        if good(fine, &said) {
            return said;
        }
        assert!(began.elapsed() < PATIENCE, "{verb}: {said}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn copy(from: &Path, to: &Path, names: &[&str]) {
    for name in names {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

/// Lines of a key that would betray it.
fn secrets(folder: &Path) -> Vec<String> {
    let keys = ["n1.key", "n2.key"].map(|name| fs::read_to_string(folder.join(name)).unwrap());
    keys.iter().flat_map(|key| key.lines().filter(|line| !line.starts_with("---")).map(String::from)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn replaced_certificates_are_shown_and_believed_without_a_restart() {
    let root = tempfile::tempdir().unwrap();
    let [live, old, new] = ["live", "old", "new"].map(|name| root.path().join(name));
    certs(&old, &["--nodes", "2"]);
    certs(&new, &["--nodes", "2"]);
    fs::create_dir(&live).unwrap();
    let all = ["ca.pem", "n1.pem", "n1.key", "n2.pem", "n2.key"];
    copy(&old, &live, &all);
    let [old_ca, new_ca]: [PathBuf; 2] = [old.join("ca.pem"), new.join("ca.pem")];
    let path = |name: &str| live.join(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("n{id}.pem"), path("n{id}.key"));
    let mut nodes = Nodes::start(2, &["--tls-ca", &ca, "--tls-cert", &cert, "--tls-key", &key]);
    until_says(&nodes, "submit", &old_ca, &["SET colour green"], |fine, _| fine);
    let before = shown(&nodes, 1, &old_ca).await.unwrap();
    assert!(before.is(NodeId(1)));
    let wire = Tcp.dial(&nodes.control(1)).await.unwrap();
    let (wire, _) = Tls::trusting(&old_ca).unwrap().connect(wire).await.unwrap();
    let mut console = Console::enter(wire, Greeting::new(Access::Operator, Some(token(0xC4)))).await.unwrap();

    // Half of it is no more than an alarm.
    copy(&new, &live, &["n1.pem"]);
    let alarm = "those read before stay in force";
    let told = until_says(&nodes, "status", &old_ca, &["-o", "json"], |_, said| said.contains(alarm));
    assert!(told.contains("n1.pem") && told.contains("n1.key"), "{told}");
    assert!(shown(&nodes, 1, &old_ca).await.unwrap() == before);

    copy(&new, &live, &all);
    let quiet = |fine, said: &str| fine && !said.contains(alarm);
    until_says(&nodes, "status", &new_ca, &["-o", "json"], quiet);
    for id in [1, 2] {
        assert!(shown(&nodes, id, &new_ca).await.unwrap().is(NodeId(id)));
        assert!(shown(&nodes, id, &old_ca).await.is_err());
    }
    // Who was connected still is.
    console.say(&FromConsole::Follow(Detail::Everything { every_ms: 50 })).await;
    assert_eq!(console.look().await.view.id, NodeId(1));
    let _ = console.ask(Wish::Disarm).await;

    // A node that comes with the new certificate is let in by one that has not been restarted.
    let asking = nodes.pid(1);
    nodes.kill(2);
    nodes.restart(2);
    until_says(&nodes, "submit", &new_ca, &["SET colour blue"], |fine, _| fine);
    assert_eq!(nodes.pid(1), asking);

    // Later dates for the same names and keys: old and new believe each other.
    let dated = shown(&nodes, 1, &new_ca).await.unwrap();
    certs(&new, &["--renew"]);
    copy(&new, &live, &["n1.pem"]);
    let began = Instant::now();
    while shown(&nodes, 1, &new_ca).await.unwrap() == dated {
        assert!(began.elapsed() < PATIENCE, "the renewed certificate is not shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    for id in [1, 2] {
        let log = fs::read_to_string(nodes.path(&format!("n{id}")).join("raft-tui.log")).unwrap();
        assert!(log.contains("certificates were renewed"), "{log}");
        let told = log + &nodes.said(id);
        for folder in [&old, &new] {
            assert!(secrets(folder).iter().all(|secret| !told.contains(secret)), "a key is in the log");
        }
    }
}
