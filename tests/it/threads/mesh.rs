use std::time::Duration;

use raft_tui::raft::{Envelope, Epoch, LogPosition, Message, MessageKind, NodeId, Term};
use raft_tui::transport::Link;
use raft_tui::transport::clock::ClusterClock;
use raft_tui::transport::faults::{LinkRule, Links, Rules};
use raft_tui::transport::mesh::{Counts, Mesh};
use tokio::sync::mpsc::error::TryRecvError;
use tokio::time::{Instant, advance};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const KIND: MessageKind = MessageKind::RequestVote;

fn rules(base_delay_us: u64) -> Rules {
    Rules::new([N1, N2, N3], base_delay_us)
}

fn ruled(links: Links, rule: LinkRule) -> Rules {
    let mut rules = rules(0);
    rules.set(links, rule);
    rules
}

fn message(from: NodeId, to: NodeId, number: u64) -> Envelope {
    let message = Message::RequestVote { last: LogPosition::ZERO };
    Envelope { from, to, epoch: Epoch(1), number, term: Term(1), message }
}

fn send(link: &Link, from: NodeId, to: NodeId, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        assert!(link.outgoing.try_send(message(from, to, number)).is_ok(), "the queue is full");
    }
}

/// Lets everything that can run at this moment run.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn pass(ms: u64) {
    settle().await;
    advance(Duration::from_millis(ms)).await;
    settle().await;
}

fn arrived(link: &mut Link) -> Vec<u64> {
    std::iter::from_fn(|| link.incoming.try_recv().ok()).map(|envelope| envelope.number).collect()
}

fn mesh(rules: Rules) -> (ClusterClock, Mesh, Link, Link) {
    let clock = ClusterClock::new(1, 1);
    let mesh = Mesh::new(clock.clone(), 1, rules, 16);
    let (one, two) = (mesh.attach(N1, Epoch(1)), mesh.attach(N2, Epoch(1)));
    (clock, mesh, one, two)
}

#[tokio::test(start_paused = true)]
async fn without_delay_messages_arrive_at_once_and_in_order() {
    let (_, mesh, one, mut two) = mesh(rules(0));
    send(&one, N1, N2, 0..10);
    settle().await;
    assert_eq!(arrived(&mut two), (0..10).collect::<Vec<_>>());
    assert_eq!(mesh.counts(N1, N2, KIND), Counts { sent: 10, delivered: 10, ..Counts::default() });
    assert_eq!(mesh.attached(), [(N1, Epoch(1)), (N2, Epoch(1))]);
}

#[tokio::test(start_paused = true)]
async fn messages_take_their_delay_in_cluster_time() {
    let (clock, mesh, one, mut two) = mesh(rules(15_000));
    clock.set_pace(1, 5);
    let begun = Instant::now();
    send(&one, N1, N2, [7]);
    assert_eq!(two.incoming.recv().await.unwrap().number, 7);
    assert_eq!(begun.elapsed(), Duration::from_millis(75));
    assert_eq!(mesh.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_earlier_message_on_another_link_overtakes_a_waiting_one() {
    let (_, mesh, one, mut two) =
        mesh(ruled(Links::One { from: N1, to: N2 }, LinkRule::Delay { delay_us: 100_000, jitter_us: 0 }));
    let three = mesh.attach(N3, Epoch(1));
    send(&one, N1, N2, [1]);
    settle().await;
    send(&three, N3, N2, [2]);
    settle().await;
    assert_eq!(arrived(&mut two), [2]);
    pass(100).await;
    assert_eq!(arrived(&mut two), [1]);
}

#[tokio::test(start_paused = true)]
async fn while_the_clock_stands_everything_stands() {
    let (clock, mesh, one, mut two) = mesh(rules(10_000));
    send(&one, N1, N2, [1]);
    pass(5).await;
    clock.stop();
    send(&one, N1, N2, [2]);
    pass(10_000).await;
    assert!(arrived(&mut two).is_empty());
    assert_eq!(mesh.under_way(), 2);
    clock.resume();
    pass(5).await;
    assert_eq!(arrived(&mut two), [1]);
    pass(5).await;
    assert_eq!(arrived(&mut two), [2]);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_goes_before_what_is_sent_after_the_stop() {
    let (clock, _mesh, one, mut two) = mesh(rules(0));
    clock.stop();
    send(&one, N1, N2, 0..3);
    settle().await;
    assert!(arrived(&mut two).is_empty());
    clock.resume();
    send(&one, N1, N2, 3..6);
    settle().await;
    assert_eq!(arrived(&mut two), [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_full_receiver_loses_messages_and_delays_nobody() {
    let (_, mesh, one, mut two) = mesh(rules(0));
    let mut three = mesh.attach(N3, Epoch(1));
    for round in 0..4 {
        send(&one, N1, N2, round * 10..round * 10 + 10);
        settle().await;
    }
    send(&one, N1, N3, [99]);
    settle().await;
    assert_eq!(arrived(&mut three), [99]);
    assert_eq!(arrived(&mut two), (0..16).collect::<Vec<_>>());
    let counts = mesh.counts(N1, N2, KIND);
    assert_eq!(counts, Counts { sent: 40, delivered: 16, dropped_by_queue: 24, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_holds_no_more_than_its_capacity() {
    let (_, mesh, one, mut two) = mesh(rules(1_000_000));
    for round in 0..4 {
        send(&one, N1, N2, round * 10..round * 10 + 10);
        settle().await;
    }
    assert_eq!(mesh.under_way(), 16);
    assert_eq!(mesh.counts(N1, N2, KIND).dropped_by_queue, 24);
    pass(1_000).await;
    assert_eq!(arrived(&mut two).len(), 16);
    send(&one, N1, N2, [50]);
    settle().await;
    assert_eq!(mesh.under_way(), 1, "the link is free again");
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_to_the_dead_does_not_reach_their_next_life() {
    let (_, mesh, one, mut two) = mesh(rules(10_000));
    send(&one, N1, N2, [1]);
    pass(5).await;
    mesh.detach(N2);
    send(&one, N1, N2, [2]);
    settle().await;
    assert_eq!(two.incoming.try_recv(), Err(TryRecvError::Disconnected));
    let mut two = mesh.attach(N2, Epoch(2));
    send(&one, N1, N2, [3]);
    pass(20).await;
    assert_eq!(arrived(&mut two), [3]);
    let counts = mesh.counts(N1, N2, KIND);
    assert_eq!(counts, Counts { sent: 3, delivered: 1, dropped_by_death: 2, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn the_dead_do_not_speak() {
    let (_, mesh, one, mut two) = mesh(rules(0));
    mesh.detach(N1);
    settle().await;
    assert!(one.outgoing.try_send(message(N1, N2, 1)).is_err());
    settle().await;
    assert!(arrived(&mut two).is_empty());
}

#[tokio::test(start_paused = true)]
async fn drops_by_rule_are_told_once() {
    let (_, mesh, one, mut two) = mesh(ruled(Links::Between(N1, N2), LinkRule::Cut { kind: None }));
    send(&one, N1, N2, 0..3);
    settle().await;
    assert_eq!(mesh.take_drops(), [(N1, N2, KIND, 3)]);
    assert!(mesh.take_drops().is_empty());
    mesh.set_rules(rules(0));
    send(&one, N1, N2, [4]);
    settle().await;
    assert_eq!(arrived(&mut two), [4]);
    assert!(mesh.take_drops().is_empty());
    assert!(mesh.rules().is_clean());
}

#[tokio::test(start_paused = true)]
async fn duplicates_arrive_twice() {
    let (_, mesh, one, mut two) = mesh(ruled(Links::All, LinkRule::Duplicate { per_million: 1_000_000 }));
    send(&one, N1, N2, [1, 2]);
    settle().await;
    assert_eq!(arrived(&mut two), [1, 1, 2, 2]);
    assert_eq!(mesh.counts(N1, N2, KIND).delivered, 4);
}

#[tokio::test(start_paused = true)]
async fn the_last_hand_ends_the_mesh() {
    let (_, mesh, one, mut two) = mesh(rules(0));
    let other = mesh.clone();
    drop(mesh);
    send(&one, N1, N2, [1]);
    settle().await;
    assert_eq!(arrived(&mut two), [1]);
    drop(other);
    settle().await;
    assert!(one.outgoing.is_closed());
}
