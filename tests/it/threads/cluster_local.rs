//! Clusters in this process, driven through their session.

use raft_tui::cluster::{Disks, Spec};
use raft_tui::control::Answer;

use crate::support::session::Driven;

fn fast(nodes: u64) -> Spec {
    Spec { seed: 7, ..Spec::new(nodes).real_time().in_memory() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_elects_and_applies() {
    let mut cluster = Driven::start(fast(5));
    cluster.all_good(&["wait leader", "submit SET a 1", "submit INCR n 5"]).await;
    assert_eq!(cluster.value("read a").await, "1");
    assert_eq!(cluster.value("read n").await, "5");
    cluster.good("wait converged").await;
    let heard = cluster.end().await;
    assert!(!heard.iter().any(|what| what.contains("Crashed")), "nodes that are shut down did not crash: {heard:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_leader_is_replaced_and_catches_up() {
    let mut cluster = Driven::start(fast(5));
    cluster.all_good(&["wait leader", "submit SET a 1", "crash leader", "wait leader", "submit SET a 2"]).await;
    cluster.all_good(&["restart all", "wait converged"]).await;
    assert_eq!(cluster.value("read a").await, "2");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_restart_with_their_values() {
    let dir = tempfile::tempdir().unwrap();
    let spec = Spec { disks: Disks::Folder(dir.path().join("data")), ..fast(3) };
    let mut cluster = Driven::start(spec.clone());
    cluster.all_good(&["wait leader", "submit SET a 1", "crash all", "restart all", "wait leader"]).await;
    assert_eq!(cluster.value("read a").await, "1");
    cluster.end().await;
    let mut cluster = Driven::start(spec);
    cluster.good("wait leader").await;
    assert_eq!(cluster.value("read a").await, "1");
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minority_leader_cannot_commit() {
    let mut cluster = Driven::start(fast(5));
    cluster.all_good(&["wait leader", "submit SET a 1", "isolate leader"]).await;
    cluster.all_good(&["wait leader", "submit SET a 2", "heal", "wait converged"]).await;
    assert_eq!(cluster.value("read a").await, "2");
    let answer = cluster.ask("crash n9").await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    cluster.end().await;
}
