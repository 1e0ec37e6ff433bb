//! The wire in virtual time: hosts that crash, networks that split, hold and let go, readers that do not read.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use raft_tui::raft::{Epoch, NodeId};
use raft_tui::transport::frame::frames;
use raft_tui::transport::net::{Doorway, Later, Net, Wire};
use raft_tui::transport::tcp::handshake::{HELLO_BYTES_MAX, Hello, Refusal, Settled, receive};
use raft_tui::transport::tcp::{PeerView, Pong, QUEUE_MESSAGES_MAX, Said, TcpSpec, open};
use tokio::time::{Instant, sleep};
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use crate::support::wire::{Memory, N1, N2, N3, envelope, greeted, hello, spec, store};

const PORT: &str = "0.0.0.0:7000";

/// The network of a simulation.
pub(super) struct Simulated;

impl Net for Simulated {
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Wire>> {
        Box::pin(async move { Ok(Box::new(TcpStream::connect(address).await?) as Wire) })
    }

    fn listen<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Doorway>>> {
        Box::pin(async move { Ok(Box::new(Door(TcpListener::bind(address).await?)) as Box<dyn Doorway>) })
    }
}

struct Door(TcpListener);

impl Doorway for Door {
    fn accept(&mut self) -> Later<'_, io::Result<(Wire, std::net::SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = self.0.accept().await?;
            Ok((Box::new(stream) as Wire, from))
        })
    }

    fn address(&self) -> std::net::SocketAddr {
        self.0.local_addr().expect("it is bound")
    }
}

/// What a host has seen, for the test outside.
#[derive(Default)]
struct Seen {
    lives: AtomicU64,
    /// Life and number, in the order of arrival, by sender.
    heard: Mutex<BTreeMap<NodeId, Vec<(Epoch, u64)>>>,
    view: Mutex<Vec<PeerView>>,
    alarms: Mutex<Vec<String>>,
}

impl Seen {
    fn count(&self, from: NodeId) -> usize {
        self.heard.lock().unwrap().get(&from).map_or(0, Vec::len)
    }

    fn last(&self, from: NodeId) -> Option<(Epoch, u64)> {
        self.heard.lock().unwrap().get(&from).and_then(|heard| heard.last().copied())
    }

    fn peer(&self, id: NodeId) -> Option<PeerView> {
        self.view.lock().unwrap().iter().find(|peer| peer.id == id).cloned()
    }

    fn is_connected(&self, id: NodeId) -> bool {
        self.peer(id).is_some_and(|peer| peer.connected)
    }

    fn alarmed(&self, words: &str) -> bool {
        self.alarms.lock().unwrap().iter().any(|alarm| alarm.contains(words))
    }

    /// Whatever happened, each sender was heard in the order in which it spoke, and nothing twice.
    fn assert_in_order(&self) {
        for (from, heard) in self.heard.lock().unwrap().iter() {
            assert!(heard.windows(2).all(|two| two[0] < two[1]), "{from} was heard out of order");
        }
    }
}

fn simulation() -> Sim<'static> {
    Builder::new()
        .rng_seed(7)
        .simulation_duration(Duration::from_mins(10))
        .tick_duration(Duration::from_millis(2))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(5))
        .build()
}

/// A node that speaks to all others, `each_ms` once; each start of the host is a new life.
fn node(sim: &mut Sim<'static>, node: NodeId, each_ms: u64) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let known = Arc::new(Memory::default());
    let outside = Arc::clone(&seen);
    sim.host(node.to_string(), move || {
        let (seen, known) = (Arc::clone(&seen), Arc::clone(&known));
        async move {
            let epoch = Epoch(seen.lives.fetch_add(1, Relaxed) + 1);
            let peers = [N1, N2, N3].map(|id| (id, format!("{id}:7000"))).into();
            let listen = PORT.to_owned();
            let peers = open(TcpSpec { listen, peers, known, ..spec(Simulated, node) }).await?;
            let mut link = peers.attach(epoch, store(node));
            for number in 1.. {
                sleep(Duration::from_millis(each_ms)).await;
                for to in [N1, N2, N3] {
                    let _ = link.outgoing.try_send(envelope(node, to, epoch, number));
                }
                while let Ok(envelope) = link.incoming.try_recv() {
                    let mut heard = seen.heard.lock().unwrap();
                    heard.entry(envelope.from).or_default().push((envelope.epoch, envelope.number));
                }
                *seen.view.lock().unwrap() = peers.view();
                *seen.alarms.lock().unwrap() = peers.alarms();
            }
            Ok(())
        }
    });
    outside
}

/// Lets time pass until something holds; how much time it took.
fn until(sim: &mut Sim<'static>, seconds: u64, what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let begun = sim.elapsed();
    while !holds() {
        sim.step().unwrap();
        assert!(sim.elapsed().saturating_sub(begun) < Duration::from_secs(seconds), "{what}: not in {seconds} s");
    }
    sim.elapsed().saturating_sub(begun)
}

fn pass(sim: &mut Sim<'static>, seconds: u64) {
    let end = sim.elapsed() + Duration::from_secs(seconds);
    while sim.elapsed() < end {
        sim.step().unwrap();
    }
}

#[test]
fn a_host_that_crashed_is_greeted_again_in_its_next_life() {
    let mut sim = simulation();
    let (one, two, three) = (node(&mut sim, N1, 20), node(&mut sim, N2, 20), node(&mut sim, N3, 20));
    until(&mut sim, 5, "all hear all", || one.count(N2) > 0 && two.count(N1) > 0 && one.count(N3) > 0);
    for life in 2..5 {
        sim.crash("n2");
        until(&mut sim, 7, "it is missed", || !one.is_connected(N2) && !three.is_connected(N2));
        let before = one.count(N3);
        until(&mut sim, 2, "the others go on", || one.count(N3) > before + 20);
        sim.bounce("n2");
        let took = until(&mut sim, 10, "it is back", || {
            one.last(N2).is_some_and(|(epoch, _)| epoch == Epoch(life)) && two.last(N1).is_some()
        });
        assert!(took < Duration::from_secs(7), "back-off is at most 5 s: {took:?}");
        until(&mut sim, 10, "it hears too", || one.is_connected(N2));
    }
    assert!(one.alarms.lock().unwrap().is_empty());
    one.assert_in_order();
    two.assert_in_order();
}

#[test]
fn after_a_partition_connections_come_back_by_themselves() {
    let mut sim = simulation();
    let (one, two, three) = (node(&mut sim, N1, 20), node(&mut sim, N2, 20), node(&mut sim, N3, 20));
    until(&mut sim, 5, "all hear all", || one.count(N2) > 0 && two.count(N1) > 0 && three.count(N1) > 0);
    sim.partition("n1", "n2");
    let took = until(&mut sim, 20, "both notice", || !one.is_connected(N2) && !two.is_connected(N1));
    assert!(took < Duration::from_secs(8), "{took:?}");
    let (before, at_three) = (two.count(N1), three.count(N1));
    pass(&mut sim, 10);
    assert_eq!(two.count(N1), before);
    assert!(three.count(N1) > at_three + 400, "the third is not held up");
    sim.repair("n1", "n2");
    let took = until(&mut sim, 30, "they hear each other", || two.count(N1) > before && one.is_connected(N2));
    assert!(took < Duration::from_secs(10), "{took:?}");
    // What waited through the partition was not worth sending any more.
    assert!(one.peer(N2).unwrap().dropped.by_age > 0);
    one.assert_in_order();
    two.assert_in_order();
}

#[test]
fn a_connection_that_is_open_at_one_end_only_is_noticed_and_its_bytes_never_arrive() {
    let mut sim = simulation();
    let (one, two, three) = (node(&mut sim, N1, 20), node(&mut sim, N2, 20), node(&mut sim, N3, 20));
    until(&mut sim, 5, "all hear all", || one.count(N2) > 0 && two.count(N1) > 0);
    sim.hold("n1", "n2");
    let took = until(&mut sim, 20, "the silence is noticed", || {
        !one.is_connected(N2) && !two.is_connected(N1) && !one.peer(N2).is_some_and(|peer| peer.heard)
    });
    assert!(took > Duration::from_secs(3) && took < Duration::from_secs(8), "{took:?}");
    let before = two.count(N1);
    pass(&mut sim, 3);
    assert_eq!(two.count(N1), before);
    sim.release("n1", "n2");
    until(&mut sim, 20, "they hear each other", || two.count(N1) > before + 10 && one.is_connected(N2));
    // What was held back in the network came from an old connection.
    one.assert_in_order();
    two.assert_in_order();
    assert!(three.count(N1) > 100);
}

#[test]
fn a_reader_that_does_not_read_is_bounded_and_hung_up_on() {
    let mut sim = simulation();
    let (one, three) = (node(&mut sim, N1, 1), node(&mut sim, N3, 20));
    let opened = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&opened);
    sim.host("n2", move || {
        let count = Arc::clone(&count);
        async move {
            let listener = TcpListener::bind(PORT).await?;
            let mut silent = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await?;
                count.fetch_add(1, Relaxed);
                silent.spawn(async move {
                    let (mut reader, mut writer) = frames(Box::new(stream), HELLO_BYTES_MAX);
                    let ours = hello(N2, N2);
                    let went = receive(&mut reader, &mut writer, ours, |_| Ok(()), async |_| Ok(())).await;
                    let Ok(Settled { seed, .. }) = went else { return };
                    writer.set_seed(seed);
                    // It gives signs of life, and takes nothing.
                    while writer.send(&Pong(0)).await.is_ok() {
                        sleep(Duration::from_secs(1)).await;
                    }
                });
            }
        }
    });
    until(&mut sim, 5, "it is connected", || one.is_connected(N2));
    let took = until(&mut sim, 60, "it is hung up on", || !one.is_connected(N2));
    assert!(took > Duration::from_secs(4), "{took:?}");
    let why = one.peer(N2).unwrap().refusal.unwrap();
    assert!(why.contains("it takes nothing"), "{why}");
    pass(&mut sim, 30);
    let view = one.peer(N2).unwrap();
    assert!(view.queued <= QUEUE_MESSAGES_MAX);
    assert!(view.dropped.by_queue > 0, "the queue overflows, and that is all");
    assert!(opened.load(Relaxed) > 1, "it is dialled again");
    let heard = three.count(N1);
    assert!(heard > 1_000, "the third is not held up: {heard}");
    three.assert_in_order();
}

/// A node that speaks these versions, greets node 1, and says one thing when it is let in; how it went.
fn dialler(sim: &mut Sim<'static>, versions: (u16, u16)) -> Arc<Mutex<Option<Result<u16, String>>>> {
    let went = Arc::new(Mutex::new(None));
    let outside = Arc::clone(&went);
    sim.host("n2", move || {
        let went = Arc::clone(&went);
        async move {
            let wire = loop {
                match TcpStream::connect("n1:7000").await {
                    Ok(stream) => break Box::new(stream),
                    Err(_) => sleep(Duration::from_millis(100)).await,
                }
            };
            let more = bytes::Bytes::from_static(b"what version 2 adds");
            let greeting = greeted(wire, Hello { versions, more, ..hello(N2, N1) }).await;
            match greeting {
                Ok((_reader, mut writer, settled)) => {
                    *went.lock().unwrap() = Some(Ok(settled.version));
                    writer.send(&Said::Message(envelope(N2, N1, Epoch(1), 1))).await.map_err(io::Error::other)?;
                    sleep(Duration::from_mins(1)).await;
                }
                Err(error) => *went.lock().unwrap() = Some(Err(error.to_string())),
            }
            std::future::pending().await
        }
    });
    outside
}

#[test]
fn the_newest_common_version_is_spoken_and_what_it_adds_is_passed_over() {
    let mut sim = simulation();
    let one = node(&mut sim, N1, 20);
    let went = dialler(&mut sim, (1, 9));
    until(&mut sim, 5, "it is heard", || one.count(N2) > 0);
    assert_eq!(*went.lock().unwrap(), Some(Ok(1)));
}

#[test]
fn without_a_common_version_both_sides_say_so() {
    let mut sim = simulation();
    let one = node(&mut sim, N1, 20);
    let went = dialler(&mut sim, (2, 9));
    until(&mut sim, 5, "it is refused", || went.lock().unwrap().is_some());
    let refusal = Refusal::Version { spoken: (1, 1) };
    assert_eq!(*went.lock().unwrap(), Some(Err(format!("refused there: {refusal:?}"))));
    until(&mut sim, 5, "it is named", || one.alarmed("run releases that go together"));
    assert_eq!(one.count(N2), 0);
}

#[test]
fn a_doorkeeper_without_a_common_version_is_left_and_named() {
    let mut sim = simulation();
    let one = node(&mut sim, N1, 20);
    sim.host("n2", || async {
        let listener = TcpListener::bind(PORT).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let (mut reader, mut writer) = frames(Box::new(stream), HELLO_BYTES_MAX);
            let ours = Hello { versions: (2, 9), ..hello(N2, N2) };
            let went = receive(&mut reader, &mut writer, ours, |_| Ok(()), async |_| Ok(())).await;
            assert!(went.is_err());
        }
    });
    until(&mut sim, 5, "it is named", || one.alarmed("speaks versions 2 to 9 of the wire, this node 1 to 1"));
    assert!(!one.is_connected(N2));
}

#[test]
fn a_doorkeeper_that_says_nothing_is_left_in_time() {
    let mut sim = simulation();
    let one = node(&mut sim, N1, 20);
    let left = Arc::new(Mutex::new(None));
    let outside = Arc::clone(&left);
    sim.host("n2", move || {
        let left = Arc::clone(&left);
        async move {
            let listener = TcpListener::bind(PORT).await?;
            let (mut stream, _) = listener.accept().await?;
            let begun = Instant::now();
            let mut heard = Vec::new();
            let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut heard).await;
            *left.lock().unwrap() = Some((begun.elapsed(), heard.len()));
            std::future::pending().await
        }
    });
    until(&mut sim, 10, "it is left", || outside.lock().unwrap().is_some());
    let (took, bytes) = outside.lock().unwrap().unwrap();
    assert!(took < Duration::from_millis(2_500) && bytes <= HELLO_BYTES_MAX + 4, "{took:?}, {bytes} bytes");
    until(&mut sim, 5, "it is told", || one.peer(N2).is_some_and(|peer| peer.refusal.is_some()));
}
