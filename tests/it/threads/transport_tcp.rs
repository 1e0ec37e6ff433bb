//! Transports of nodes over real loopback: who gets through to whom, who is refused and how that is named.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_tui::raft::message::InstallSnapshot;
use raft_tui::raft::{Configuration, Digest, Envelope, Epoch, LogPosition, Message, MessageKind, SnapshotMeta, Term};
use raft_tui::storage::known::KnownStores;
use raft_tui::transport::faults::{LinkRule, Links, Rules};
use raft_tui::transport::tcp::{Known, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX, TcpSpec, open};

use crate::support::wire::{Book, End, Memory, N1, N2, N3, envelope, spec, store, until, until_heard};

type Ids = Vec<(raft_tui::raft::NodeId, u64)>;

fn ids(heard: &[Envelope]) -> Ids {
    heard.iter().map(|envelope| (envelope.from, envelope.number)).collect()
}

async fn three() -> (Book, End, End, End) {
    let book = Book::default();
    let (one, two, three) = (End::plain(&book, N1).await, End::plain(&book, N2).await, End::plain(&book, N3).await);
    for end in [&one, &two, &three] {
        until("all are connected", || end.peers.view().iter().all(|peer| peer.connected && peer.heard)).await;
    }
    (book, one, two, three)
}

#[tokio::test]
async fn three_nodes_exchange_messages_in_order() {
    let (_book, mut one, mut two, mut three) = three().await;
    for _ in 0..100 {
        one.say(N2);
        three.say(N2);
        two.say(N1);
    }
    let (mut at_two, mut at_one) = (Vec::new(), Vec::new());
    until("all arrive", || {
        at_two.extend(ids(&two.heard()));
        at_one.extend(ids(&one.heard()));
        at_two.len() == 200 && at_one.len() == 100
    })
    .await;
    let from = |node, heard: &Ids| heard.iter().filter(|(from, _)| *from == node).map(|(_, n)| *n).collect::<Vec<_>>();
    let counted: Vec<_> = (1..=100).collect();
    assert_eq!(from(N1, &at_two), counted);
    assert_eq!(from(N3, &at_two), counted);
    assert_eq!(from(N2, &at_one), counted);
    assert!(three.heard().is_empty());
    assert!(one.peers.alarms().is_empty(), "{:?}", one.peers.alarms());
    let view = one.peers.view();
    assert!(view.iter().all(|peer| peer.bytes_out > 0 && peer.bytes_in > 0));
    // A wildcard is no address; where the peer was heard from is.
    assert!(
        view.iter().all(|peer| peer.control == Some(format!("127.0.0.1:{}", 7_000 + peer.id.0))
            || peer.control == Some(format!("{}:{}", peer.id, 7_000 + peer.id.0))),
        "{view:?}"
    );
    until("signs of life are answered", || one.peers.view().iter().all(|peer| peer.round_trip_us.is_some())).await;
}

#[tokio::test]
async fn nobody_is_let_in_before_the_node_is_attached() {
    let book = Book::default();
    let mut one = End::plain(&book, N1).await;
    let peers = open(spec(book.clone(), N2)).await.unwrap();
    book.put("n2", peers.address());
    until("it was tried", || one.peers.view()[0].refusal.as_deref().is_some_and(|why| why.contains("no answer"))).await;
    assert!(!one.is_connected(N2));
    let link = peers.attach(Epoch(1), store(N2));
    let mut two = End { node: N2, epoch: Epoch(1), peers, link, number: 0 };
    until_heard(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_node_that_was_away_is_connected_again() {
    let (book, mut one, mut two, three) = three().await;
    drop(three);
    until("it is missed", || !one.is_connected(N3)).await;
    until_heard(&mut one, &mut two).await;
    assert!(one.peers.alarms().is_empty(), "being away is no alarm: {:?}", one.peers.alarms());
    let mut again = End::plain(&book, N3).await;
    assert!(one.peers.view().iter().any(|peer| peer.id == N3 && peer.refusal.is_some()));
    again.live(2, store(N3));
    until_heard(&mut one, &mut again).await;
    until_heard(&mut again, &mut one).await;
    assert!(one.peers.alarms().is_empty(), "{:?}", one.peers.alarms());
}

#[tokio::test]
async fn a_life_that_was_detached_says_and_hears_nothing() {
    let (_book, mut one, mut two, _three) = three().await;
    two.peers.detach();
    until("the link ends", || {
        matches!(two.link.incoming.try_recv(), Err(tokio::sync::mpsc::error::TryRecvError::Disconnected))
    })
    .await;
    until("it is missed", || !one.is_connected(N2)).await;
    let former = one.say(N2);
    two.live(2, store(N2));
    let mut heard = Vec::new();
    until("the new life hears", || {
        one.say(N2);
        heard.extend(two.heard());
        !heard.is_empty()
    })
    .await;
    assert!(heard.iter().all(|envelope| envelope.number >= former));
}

#[tokio::test]
async fn the_queue_to_a_node_that_is_away_is_bounded_and_delays_nobody() {
    let book = Book::default();
    let (mut one, mut two) = (End::plain(&book, N1).await, End::plain(&book, N2).await);
    until_heard(&mut one, &mut two).await;
    let queued = |end: &End| end.peers.view().iter().find(|peer| peer.id == N3).map(|peer| (peer.queued, peer.dropped));
    let sent = QUEUE_MESSAGES_MAX as u64 + 1_000;
    let begun = Instant::now();
    for number in 0..sent {
        one.link.outgoing.send(envelope(N1, N3, Epoch(1), number)).await.unwrap();
    }
    until("all are queued or dropped", || {
        queued(&one).is_some_and(|(queued, dropped)| queued as u64 + dropped.by_queue == sent)
    })
    .await;
    assert_eq!(queued(&one).unwrap().0, QUEUE_MESSAGES_MAX);
    assert!(begun.elapsed() < Duration::from_secs(20), "the node was held up");
    two.heard();
    until_heard(&mut one, &mut two).await;
    // What is told when it comes back is what is new, not what waited for too long.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let mut three = End::plain(&book, N3).await;
    until("it hears", || {
        one.say(N3);
        !three.heard().is_empty()
    })
    .await;
    assert_eq!(queued(&one).unwrap().1.by_age, QUEUE_MESSAGES_MAX as u64);
}

#[tokio::test]
async fn the_queue_is_bounded_in_bytes_too() {
    let book = Book::default();
    let one = End::plain(&book, N1).await;
    let last = LogPosition::new(1, 1);
    let (chain, digest, checksum) = (Digest(0), Digest(0), Digest(0));
    let configuration = Configuration::first(3);
    let meta = SnapshotMeta { last, chain, configuration, proposed_at_us: 0, digest, size_bytes: 1 << 30, checksum };
    let chunk = Bytes::from(vec![0; 1 << 20]);
    let piece = InstallSnapshot { meta, offset: 0, chunk, stream: 1, round: 1, your_epoch: Epoch(1) };
    for number in 0..40 {
        let message = Message::InstallSnapshot(piece.clone());
        let envelope = Envelope { from: N1, to: N3, epoch: Epoch(1), number, term: Term(1), message };
        one.link.outgoing.send(envelope).await.unwrap();
    }
    let view = || one.peers.view().into_iter().find(|peer| peer.id == N3).unwrap();
    until("all are queued or dropped", || view().queued as u64 + view().dropped.by_queue == 40).await;
    assert_eq!(view().queued as u64, QUEUE_BYTES_MAX / (1 << 20) - 1);
}

/// Neither of two has heard anything, and both say why.
async fn refused(one: &mut End, here: &str, two: &mut End, there: &str) {
    let (first, second) = (one.node, two.node);
    until(here, || {
        one.say(second);
        one.alarmed(here)
    })
    .await;
    until(there, || {
        two.say(first);
        two.alarmed(there)
    })
    .await;
    assert!(one.heard().is_empty() && two.heard().is_empty(), "a message got through");
    assert!(!one.is_connected(second) && !two.is_connected(first));
}

#[tokio::test]
async fn another_cluster_is_refused_and_named_on_both_sides() {
    let book = Book::default();
    let mut one = End::plain(&book, N1).await;
    let mut two = End::open(&book, TcpSpec { cluster: 78, ..spec(book.clone(), N2) }).await;
    refused(&mut one, "is of another cluster", &mut two, "is of another cluster").await;
}

#[tokio::test]
async fn a_wiped_or_copied_store_is_refused_and_named_on_both_sides() {
    let book = Book::default();
    let known = Arc::new(Memory::default());
    known.meet(N2, 5, "").unwrap();
    let mut one = End::open(&book, TcpSpec { known, ..spec(book.clone(), N1) }).await;
    let mut two = End::plain(&book, N2).await;
    refused(&mut one, "another store than the one it had", &mut two, "remembers another store of this node").await;
    two.live(2, 5);
    until_heard(&mut two, &mut one).await;
    until_heard(&mut one, &mut two).await;
    assert!(one.peers.alarms().is_empty(), "{:?}", one.peers.alarms());
}

#[tokio::test]
async fn what_a_folder_remembers_of_peers_holds_in_the_next_process() {
    let book = Book::default();
    let folder = tempfile::tempdir().unwrap();
    let remembering = || {
        let known = Arc::new(KnownStores::open(folder.path()).unwrap());
        TcpSpec { known, ..spec(book.clone(), N1) }
    };
    let mut two = End::plain(&book, N2).await;
    let mut one = End::open(&book, remembering()).await;
    until_heard(&mut one, &mut two).await;
    drop(one);
    let mode = folder.path().join("peers").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    drop(two);

    let mut one = End::open(&book, remembering()).await;
    let control = one.peers.view().into_iter().find(|peer| peer.id == N2).unwrap().control;
    assert!(control.is_some_and(|control| control.ends_with(":7002")), "it is known before it is met");
    let mut two = End::plain(&book, N2).await;
    two.live(2, 5);
    refused(&mut one, "another store than the one it had", &mut two, "remembers another store of this node").await;
}

#[tokio::test]
async fn the_wrong_node_at_an_address_is_refused_and_named() {
    let book = Book::default();
    let mut one = End::plain(&book, N1).await;
    let three = End::plain(&book, N3).await;
    book.put("n2", three.peers.address());
    until("it is named", || {
        one.say(N2);
        one.alarmed("n3 is at n2, where n2 is looked for")
    })
    .await;
    assert!(!one.is_connected(N2));
}

#[tokio::test]
async fn who_is_no_member_is_refused_and_named_on_both_sides() {
    let book = Book::default();
    let n9 = raft_tui::raft::NodeId(9);
    let mut one = End::plain(&book, N1).await;
    let mut nine = End::open(&book, spec(book.clone(), n9)).await;
    until("here", || one.alarmed("n9 at 127.0.0.1")).await;
    until("there", || nine.alarmed("does not know this node as a member")).await;
    nine.say(N1);
    assert!(one.heard().is_empty());
}

#[tokio::test]
async fn of_two_processes_with_one_identity_neither_is_heard_until_one_starts_again() {
    let book = Book::default();
    let (mut one, mut two) = (End::plain(&book, N1).await, End::plain(&book, N2).await);
    until_heard(&mut two, &mut one).await;
    until_heard(&mut one, &mut two).await;
    // A copy of the folder, started elsewhere: the same store, the same life.
    let own = Book::default();
    own.put("n1", one.peers.address());
    let mut copy = End::plain(&own, N2).await;
    until("here", || one.alarmed("two processes run as n2")).await;
    one.heard();
    until("there", || {
        two.say(N1);
        two.alarmed("two processes with the identity of this node")
    })
    .await;
    until("at the copy", || {
        copy.say(N1);
        copy.alarmed("two processes with the identity of this node")
    })
    .await;
    until("we do not speak with it either", || !one.is_connected(N2)).await;
    assert!(one.heard().is_empty());

    two.live(2, store(N2));
    until_heard(&mut two, &mut one).await;
    until_heard(&mut one, &mut two).await;
    assert!(!one.alarmed("two processes"));
    copy.live(1, store(N2));
    until("the copy is old", || copy.alarmed("knows life 2 of this node")).await;
    until("here too", || one.alarmed("an old copy of its folder")).await;
    copy.say(N1);
    until_heard(&mut two, &mut one).await;
}

#[tokio::test]
async fn a_later_life_takes_over_at_once() {
    let (_book, mut one, mut two, _three) = three().await;
    until_heard(&mut two, &mut one).await;
    let begun = Instant::now();
    two.live(2, store(N2));
    until("the new life speaks", || {
        two.say(N1);
        one.heard().iter().any(|envelope| envelope.epoch == Epoch(2))
    })
    .await;
    until_heard(&mut one, &mut two).await;
    assert!(begun.elapsed() < Duration::from_secs(20));
    assert!(one.peers.alarms().is_empty(), "{:?}", one.peers.alarms());
}

fn ruled(links: Links, rule: LinkRule) -> Rules {
    let mut rules = Rules::new([N1, N2, N3], 0);
    rules.set(links, rule);
    rules
}

const ONE_TO_TWO: Links = Links::One { from: N1, to: N2 };

#[tokio::test]
async fn a_cut_in_one_direction_leaves_the_other() {
    for cut_at_the_receiver in [false, true] {
        let (_book, mut one, mut two, _three) = three().await;
        let cut = if cut_at_the_receiver { &two } else { &one };
        cut.peers.set_rules(ruled(ONE_TO_TWO, LinkRule::Cut { kind: None }));
        for _ in 0..10 {
            one.say(N2);
        }
        let mut drops = 0;
        let taken = if cut_at_the_receiver { two.peers.clone() } else { one.peers.clone() };
        until("all are dropped, and counted where the cut is known", || {
            drops += taken
                .take_drops()
                .iter()
                .map(|drop| {
                    assert_eq!((drop.0, drop.1, drop.2), (N1, N2, MessageKind::RequestVote));
                    drop.3
                })
                .sum::<u64>();
            drops == 10
        })
        .await;
        until_heard(&mut two, &mut one).await;
        assert!(two.heard().is_empty());
        taken.set_rules(Rules::new([N1, N2, N3], 0));
        until_heard(&mut one, &mut two).await;
    }
}

#[tokio::test]
async fn a_kind_can_be_cut_alone() {
    let (_book, mut one, mut two, _three) = three().await;
    one.peers.set_rules(ruled(ONE_TO_TWO, LinkRule::Cut { kind: Some(MessageKind::RequestVote) }));
    one.say(N2);
    let message = Message::RequestVoteReply { granted: true };
    let other = Envelope { message, ..envelope(N1, N2, Epoch(1), 500) };
    one.link.outgoing.send(other).await.unwrap();
    let mut heard = Vec::new();
    until("the other kind arrives", || {
        heard.extend(two.heard());
        !heard.is_empty()
    })
    .await;
    assert_eq!(ids(&heard), [(N1, 500)]);
    assert_eq!(one.peers.take_drops(), [(N1, N2, MessageKind::RequestVote, 1)]);
}

#[tokio::test]
async fn delays_are_cluster_time_and_duplicates_arrive_twice() {
    let (_book, mut one, mut two, _three) = three().await;
    let mut rules = ruled(ONE_TO_TWO, LinkRule::Delay { delay_us: 300_000, jitter_us: 0 });
    rules.set(ONE_TO_TWO, LinkRule::Duplicate { per_million: 1_000_000 });
    one.peers.set_rules(rules);
    let begun = Instant::now();
    one.say(N2);
    let mut heard = Vec::new();
    until("both arrive", || {
        heard.extend(two.heard());
        heard.len() == 2
    })
    .await;
    assert!(begun.elapsed() >= Duration::from_millis(300));
    assert_eq!(ids(&heard), [(N1, 1), (N1, 1)]);
}

#[tokio::test]
async fn a_place_that_is_taken_is_an_error_that_says_what_to_do() {
    let book = Book::default();
    let one = End::plain(&book, N1).await;
    let listen = one.peers.address().to_string();
    let error = open(TcpSpec { listen, ..spec(book, N2) }).await.unwrap_err();
    assert!(error.to_string().contains("choose a free port with --listen"), "{error}");
}
