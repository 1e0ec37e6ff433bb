use std::time::Duration;

use raft_tui::transport::clock::ClusterClock;
use tokio::time::{Instant, advance, timeout};

async fn pass(ms: u64) {
    advance(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn it_runs_at_its_pace() {
    let clock = ClusterClock::new(1, 5);
    assert_eq!(clock.now_us(), 0);
    pass(50).await;
    assert_eq!(clock.now_us(), 10_000);
    clock.set_pace(2, 1);
    pass(50).await;
    assert_eq!(clock.now_us(), 110_000);
    assert_eq!(clock.pace(), (2, 1));
    assert_eq!(clock.real_us(3), 2, "rounded up");
}

#[tokio::test(start_paused = true)]
async fn it_stands_still_while_it_is_stopped() {
    let clock = ClusterClock::new(1, 1);
    pass(10).await;
    clock.stop();
    clock.stop();
    pass(1_000).await;
    assert_eq!(clock.read(), (10_000, true));
    clock.set_pace(1, 10);
    clock.resume();
    clock.resume();
    pass(100).await;
    assert_eq!(clock.read(), (20_000, false));
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_wakes_when_cluster_time_comes() {
    let clock = ClusterClock::new(1, 5);
    let begun = Instant::now();
    clock.sleep_until(10_000).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(50));
    clock.sleep_until(5_000).await;
    assert_eq!(begun.elapsed(), Duration::from_millis(50), "what is past is not waited for");
}

#[tokio::test(start_paused = true)]
async fn a_sleeper_follows_every_change() {
    let clock = ClusterClock::new(1, 1);
    let sleeper = tokio::spawn({
        let clock = clock.clone();
        async move {
            clock.sleep_until(100_000).await;
            clock.now_us()
        }
    });
    tokio::task::yield_now().await;
    pass(50).await;
    clock.stop();
    pass(10_000).await;
    assert!(!sleeper.is_finished(), "woke while the clock was stopped");
    clock.set_pace(10, 1);
    clock.resume();
    let begun = Instant::now();
    assert_eq!(sleeper.await.unwrap(), 100_000);
    assert_eq!(begun.elapsed(), Duration::from_millis(5), "the rest ran ten times as fast");
}

#[tokio::test(start_paused = true)]
async fn running_waits_for_the_clock() {
    let clock = ClusterClock::new(1, 1);
    clock.running().await;
    clock.stop();
    assert!(timeout(Duration::from_mins(1), clock.running()).await.is_err());
    clock.resume();
    clock.running().await;
}
