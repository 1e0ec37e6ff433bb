//! Leases in virtual time: a console that cannot be heard any more takes its faults with it.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_tui::control::audit::Audit;
use raft_tui::control::operation::Access;
use raft_tui::control::protocol::{FromConsole, FromNode, Reply, Wish};
use raft_tui::control::server::{Desk, News, serve};
use raft_tui::raft::NodeId;
use raft_tui::transport::net::Net as _;
use tokio::time::sleep;
use turmoil::{Builder, Sim};

use super::wire_turmoil::Simulated;
use crate::support::consoles::{BOTH, Console, Fake, Greeting, cut, lock, server, token, tokens};

/// Session of the console, over all its connections.
const SESSION: u128 = 77;

#[derive(Default)]
struct Seen {
    /// Connections that the console has had.
    entered: AtomicU64,
    /// Signs of life that were answered.
    alive: AtomicU64,
    /// What putting the fault came to, each time.
    put: Mutex<Vec<Reply>>,
}

/// One node, and one console that puts a long fault on it once and says each second that it is there.
fn stage(node: &Arc<Fake>, seen: &Arc<Seen>) -> Sim<'static> {
    let mut sim = Builder::new()
        .rng_seed(11)
        .simulation_duration(Duration::from_mins(10))
        .tick_duration(Duration::from_millis(2))
        .build();
    let node = Arc::clone(node);
    sim.host("node", move || {
        let node = Arc::clone(&node);
        async move {
            let doorway = Simulated.listen("0.0.0.0:7000").await?;
            let spec = server(node, BOTH, Some(tokens()), Audit::none(), News::default());
            serve(doorway, Desk::new(spec)).await;
            Ok(())
        }
    });
    let seen = Arc::clone(seen);
    sim.host("console", move || {
        let seen = Arc::clone(&seen);
        async move {
            loop {
                let came = tokio::time::timeout(Duration::from_secs(3), visit(&seen)).await;
                drop(came);
                sleep(Duration::from_millis(200)).await;
            }
        }
    });
    sim
}

/// One connection, for as long as it answers.
async fn visit(seen: &Seen) {
    let Ok(wire) = Simulated.dial("node:7000").await else { return };
    let greeting = Greeting { session: SESSION, ..Greeting::new(Access::Chaos, Some(token(3))) };
    let Ok(mut console) = Console::enter(wire, greeting).await else { return };
    seen.entered.fetch_add(1, Relaxed);
    // The same numbers over each connection: only the first of each acts.
    let arm = Wish::Arm { access: Access::Chaos, duration_ms: 3_600_000, reason: "a test".into() };
    console.ask_as(1, None, arm).await;
    let put = console.ask_as(2, None, cut(1, 600_000)).await;
    seen.put.lock().unwrap().push(put);
    while console.writer.send(&FromConsole::Alive { echo: 1 }).await.is_ok() {
        match console.hear().await {
            Some(FromNode::Alive { .. }) => seen.alive.fetch_add(1, Relaxed),
            Some(_) => continue,
            None => return,
        };
        sleep(Duration::from_secs(1)).await;
    }
}

fn until(sim: &mut Sim<'static>, seconds: u64, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = sim.elapsed();
    while !holds() {
        sim.step().unwrap();
        assert!(sim.elapsed().saturating_sub(begun) < Duration::from_secs(seconds), "{what}: not in {seconds} s");
    }
    sim.elapsed().saturating_sub(begun)
}

#[test]
fn faults_heal_when_their_console_is_cut_off_and_stay_while_it_reconnects() {
    let (node, seen) = (Arc::<Fake>::default(), Arc::<Seen>::default());
    let mut sim = stage(&node, &seen);
    let is_cut = || lock(&node.rules).0.is_cut(NodeId(1), NodeId(3));
    until(&mut sim, 20, "the fault is put", is_cut);
    // Each visit lasts three seconds at most: the connections change, the session stays.
    let entered = seen.entered.load(Relaxed);
    until(&mut sim, 60, "it has come again and again", || {
        assert!(is_cut(), "while its session talks");
        seen.entered.load(Relaxed) >= entered + 10
    });
    assert!(seen.alive.load(Relaxed) > 10);

    sim.partition("console", "node");
    let healed = until(&mut sim, 30, "the fault is healed", || !is_cut());
    assert!(healed >= Duration::from_secs(6) && healed <= Duration::from_secs(12), "{healed:?}");

    sim.repair("console", "node");
    let entered = seen.entered.load(Relaxed);
    until(&mut sim, 60, "it comes again", || seen.entered.load(Relaxed) >= entered + 2);
    assert!(!is_cut(), "the same request again does not put the fault again");
    let put = seen.put.lock().unwrap();
    assert!(put.len() > 10 && put.iter().all(|reply| *reply == put[0]), "{put:?}");
}
