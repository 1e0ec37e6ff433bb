//! Runs the console over a picture that does not change. For looking at.
#![allow(missing_docs, unreachable_pub, dead_code, clippy::pedantic, clippy::unwrap_used, reason = "a dev tool")]
#[path = "../tests/it/support/views.rs"]
mod views;

use raft_tui::cluster::Session;
use raft_tui::tui::{self, TuiOptions};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let which = args.next().unwrap_or_default();
    let theme = args.next().unwrap_or_else(|| "default".into());
    if which == "live" {
        let spec = raft_tui::cluster::Spec { seed: 7, ..raft_tui::cluster::Spec::new(5) };
        let (session, guard) = raft_tui::cluster::local::start(spec).unwrap();
        let ended = tui::run(session, TuiOptions { theme, ..TuiOptions::default() }).await;
        drop((ended, guard));
        return;
    }
    let view = match which.as_str() {
        "healthy" => views::healthy(5),
        "nine" => views::healthy(9),
        "many" => views::healthy(25),
        "one" => views::healthy(1),
        "fresh" => views::fresh(),
        "election" => views::election(),
        "partitioned" => views::partitioned(),
        "disks" => views::broken_disks(),
        "stopped" => views::stopped(),
        _ => views::busy(),
    };
    let (operations, mut asked) = mpsc::channel(16);
    let (tell, observations) = mpsc::channel(64);
    let (_show, view) = watch::channel(Arc::new(view));
    for observation in views::story() {
        tell.send(observation).await.unwrap();
    }
    let session = Session { operations, observations, view, capabilities: views::ALL };
    tokio::spawn(async move {
        while asked.recv().await.is_some() {}
        drop(tell)
    });
    let ended = tui::run(session, TuiOptions { theme, ..TuiOptions::default() }).await;
    drop(ended);
}
