//! A node is one process on one folder of one cluster: whoever else comes in its name is named, and loses nobody a write.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::members::{Member, Running, alarm, ask, copy, free_port, node, read, status, three, until, write};

/// How soon an alarm must be seen; a quiet machine takes a second.
const SOON: Duration = Duration::from_secs(15);

struct Cluster {
    root: tempfile::TempDir,
    members: BTreeMap<u64, Member>,
    running: BTreeMap<u64, Running>,
}

impl Cluster {
    /// Three that have a leader, and one write.
    fn start() -> Self {
        let mut cluster = Self::still();
        for id in 1..=3 {
            cluster.run(id);
        }
        cluster.write("first");
        cluster.settled();
        cluster
    }

    fn still() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let members = three(root.path(), &[]);
        Self { root, members, running: BTreeMap::new() }
    }

    fn run(&mut self, id: u64) {
        self.running.insert(id, self.members[&id].start());
    }

    fn terminate(&mut self, id: u64) {
        self.running.remove(&id).expect("it runs").terminate();
    }

    fn control(&self, id: u64) -> u16 {
        self.members[&id].control
    }

    fn controls(&self) -> Vec<u16> {
        self.members.values().map(|member| member.control).collect()
    }

    fn write(&self, key: &str) {
        write(&self.controls(), key, key);
    }

    /// All have met all, and have applied what was written.
    fn settled(&self) {
        until("all have applied all", || {
            let status = status(&self.controls());
            let last = &node(&status, 1)["log"]["last"];
            let same = |id| node(&status, id)["applied"] == *last && node(&status, id)["reach"] == "running";
            (!last.is_null() && (1..=3).all(same)).then_some(())
        });
    }

    /// Everything that was acknowledged is there.
    fn has(&self, keys: &[&str]) {
        for key in keys {
            assert_eq!(read(&self.controls(), key), *key);
        }
    }

    /// Who leads, and the term.
    fn stand(&self) -> (Value, Value) {
        until("somebody leads", || {
            let status = status(&self.controls());
            let cluster = &status["cluster"];
            (!cluster["leader"].is_null()).then(|| (cluster["leader"].clone(), cluster["term"].clone()))
        })
    }

    /// `check` warns, in these words: once there is a leader, should the one who led be shut out.
    fn is_warned(&self, words: &str) {
        until(words, || {
            let output = ask("check", &self.controls(), &["--expect", "3"]);
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code() == Some(3) && said.contains(words)).then_some(())
        });
    }
}

#[test]
fn a_folder_is_one_processs() {
    let cluster = Cluster::start();
    let before = cluster.stand();
    let port = free_port();
    let second = Member { listen: port, control: free_port(), ..cluster.members[&2].clone() };
    for more in [&[][..], &["--bootstrap"]] {
        let (code, said) = second.end(more);
        assert_eq!(code, Some(73), "{said}");
        assert!(said.contains("in use"), "{said}");
    }
    cluster.write("second");
    cluster.has(&["first", "second"]);
    assert_eq!(cluster.stand(), before);
}

#[test]
fn two_processes_on_copies_of_one_folder_are_named_and_lose_nothing() {
    let mut cluster = Cluster::start();
    cluster.terminate(3);
    let copied = cluster.root.path().join("copy");
    copy(&cluster.members[&3].dir, &copied);
    cluster.run(3);
    cluster.write("second");
    cluster.settled();

    let began = Instant::now();
    let clone = Member { dir: copied, listen: free_port(), control: free_port(), ..cluster.members[&3].clone() };
    let clone = clone.start();
    for by in [1, 2] {
        alarm(&cluster.controls()[..2], by, "two processes run as n3 on copies of one folder");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    cluster.is_warned("two processes run as n3");
    // Neither of them is heard: two are left of three, and go on.
    cluster.write("third");
    cluster.has(&["first", "second", "third"]);

    // One of them ends for good, the other starts anew.
    drop(clone);
    cluster.terminate(3);
    cluster.run(3);
    cluster.settled();
    cluster.write("fourth");
    until("the alarm is over", || {
        let status = status(&cluster.controls());
        (!status["cluster"]["alarms"].to_string().contains("two processes")).then_some(())
    });
    cluster.has(&["first", "second", "third", "fourth"]);
}

#[test]
fn a_copy_of_a_running_nodes_folder_shuts_that_node_out_by_name_and_loses_nothing() {
    let mut cluster = Cluster::start();
    let copied = cluster.root.path().join("copy");
    cluster.running[&3].signal(Signal::STOP);
    copy(&cluster.members[&3].dir, &copied);
    cluster.running[&3].signal(Signal::CONT);
    cluster.write("second");
    cluster.settled();

    let began = Instant::now();
    let clone = Member { dir: copied, listen: free_port(), control: free_port(), ..cluster.members[&3].clone() };
    let mut clone = clone.start();
    for by in [1, 2] {
        alarm(&cluster.controls()[..2], by, "n3");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    cluster.is_warned("old copy of its folder, or an old process of it still runs");
    cluster.write("third");
    cluster.has(&["first", "second", "third"]);
    assert!(!clone.has_ended());

    drop(clone);
    cluster.terminate(3);
    // The folder of the former process is an older life now until it was started once more.
    cluster.run(3);
    cluster.write("fourth");
    cluster.has(&["first", "second", "third", "fourth"]);
}

#[test]
fn a_wiped_node_does_not_come_back_unless_told_to_and_then_is_not_believed() {
    let mut cluster = Cluster::start();
    cluster.terminate(3);
    cluster.write("second");
    let before = cluster.stand();
    std::fs::remove_dir_all(&cluster.members[&3].dir).expect("a folder of our own");
    for made in [false, true] {
        if made {
            std::fs::create_dir(&cluster.members[&3].dir).expect("a folder of our own");
        }
        let (code, said) = cluster.members[&3].end(&[]);
        assert_eq!(code, Some(76), "{said}");
        assert!(said.contains("--bootstrap") && said.contains("must not come back"), "{said}");
    }
    std::fs::remove_dir_all(&cluster.members[&3].dir).expect("a folder of our own");

    // Somebody says --bootstrap all the same.
    let began = Instant::now();
    cluster.run(3);
    for by in [1, 2] {
        let text = alarm(&cluster.controls()[..2], by, "another store than the one it had");
        assert!(text.starts_with("n3 at ") && text.contains("its disk was wiped"), "{text}");
    }
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    alarm(&[cluster.control(3)], 3, "remembers another store of this node");
    cluster.is_warned("its disk was wiped");
    cluster.write("third");
    cluster.has(&["first", "second", "third"]);
    let after = status(&cluster.controls());
    // What is not sent to whoever came instead is told.
    let one = node(&after, 1);
    assert!(one["bytes"]["by_peer"]["n2"]["sent"].as_u64() > Some(0), "{one}");
    assert!(one["dropped"]["by_reason"]["rule"] == 0 && one["door"]["malformed"].is_u64(), "{one}");
    assert_eq!((after["cluster"]["leader"].clone(), after["cluster"]["term"].clone()), before);

    // Nor does it vote: with it alone the last of the others gets nowhere.
    cluster.running.remove(&2);
    let left = [cluster.control(1), cluster.control(3)];
    let gone = until("nobody leads", || {
        let status = status(&left);
        (node(&status, 1)["role"] != "leader" && node(&status, 1)["role"].is_string()).then_some(status)
    });
    let term = node(&gone, 1)["term"].clone();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        let status = status(&left);
        for id in [1, 3] {
            assert_ne!(node(&status, id)["role"], "leader", "{status}");
        }
        assert_eq!(node(&status, 1)["term"], term, "{status}");
        assert_eq!(node(&status, 3)["vote"], Value::Null, "{status}");
        assert_eq!(node(&status, 3)["applied"], 0, "{status}");
    }
    cluster.run(2);
    cluster.write("fourth");
    cluster.has(&["first", "second", "third", "fourth"]);
}

#[test]
fn a_node_of_another_cluster_is_refused_and_named() {
    let mut cluster = Cluster::still();
    let stranger = Member { cluster: Some("0c"), ..cluster.members[&3].clone() }.start();
    cluster.run(1);
    cluster.run(2);
    cluster.write("first");
    for by in [1, 2] {
        let text = alarm(&cluster.controls()[..2], by, "is of another cluster");
        assert!(text.contains("n3 at 127.0.0.1:"), "{text}");
    }
    alarm(&[cluster.control(3)], 3, "is of another cluster");
    let theirs = status(&[cluster.control(3)]);
    assert_eq!((&node(&theirs, 3)["applied"], &node(&theirs, 3)["leader"]), (&Value::from(0), &Value::Null));
    cluster.write("second");
    drop(stranger);
    cluster.has(&["first", "second"]);
}

#[test]
fn swapped_addresses_are_named() {
    let mut cluster = Cluster::still();
    let (second, third) = (cluster.members[&2].listen, cluster.members[&3].listen);
    cluster.members.get_mut(&1).expect("n1").peers.extend([(2, third), (3, second)]);
    for id in 1..=3 {
        cluster.run(id);
    }
    cluster.write("first");
    let controls = cluster.controls();
    alarm(&controls, 1, &format!("n3 is at 127.0.0.1:{third}, where n2 is looked for"));
    alarm(&controls, 1, &format!("n2 is at 127.0.0.1:{second}, where n3 is looked for"));
    cluster.is_warned("is looked for: check --peers");
    cluster.has(&["first"]);
    let (leader, term) = cluster.stand();
    assert_ne!(leader, "n1", "who cannot speak to anybody is not elected");
    cluster.write("second");
    assert_eq!(cluster.stand(), (leader, term));
}

/// Addresses are settings, the store says whose it is: the cluster's number is that of its first start.
#[test]
fn members_move_to_other_addresses_one_after_the_other() {
    let mut cluster = Cluster::still();
    for member in cluster.members.values_mut() {
        member.cluster = None;
    }
    for id in 1..=3 {
        cluster.run(id);
    }
    cluster.write("first");
    cluster.settled();
    let port = free_port();
    cluster.members.get_mut(&3).expect("n3").listen = port;
    for id in [3, 1, 2] {
        cluster.members.get_mut(&id).expect("one of three").peers.insert(3, port);
        cluster.terminate(id);
        cluster.run(id);
        cluster.write(&format!("moved{id}"));
    }
    cluster.settled();
    cluster.has(&["first", "moved3", "moved1", "moved2"]);
    cluster.terminate(3);
    let (code, said) = cluster.members[&3].end(&["--cluster", "another"]);
    assert!(code == Some(76) && said.contains("belongs to n3 of cluster"), "{said}");
}
