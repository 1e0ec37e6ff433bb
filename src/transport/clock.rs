//! The one clock of a cluster: it can stop, run slower and run faster than the world's.
//!
//! Cluster time counts microseconds from 0. Ticks, link delays and client time-outs are all measured in it, so that a
//! cluster behaves the same at every pace and stands still as a whole.
//!
//! Kept true: cluster time never falls; while the clock is stopped it does not move and nobody who sleeps wakes.
//! Not here: the length of a tick (`node/`), the operator's word for a pace (`control/operation.rs`).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

#[derive(Clone, Copy, Debug)]
struct Setting {
    /// Cluster time at `since`.
    at_us: u64,
    since: Instant,
    /// Cluster time for …
    cluster: u32,
    /// … so much real time.
    real: u32,
    stopped: bool,
}

impl Setting {
    fn now_us(&self) -> u64 {
        if self.stopped {
            return self.at_us;
        }
        let elapsed_us = self.since.elapsed().as_micros() * u128::from(self.cluster) / u128::from(self.real);
        self.at_us.saturating_add(u64::try_from(elapsed_us).unwrap_or(u64::MAX))
    }

    /// Rounded up: whoever sleeps that long does not wake before its time.
    fn real_us(&self, cluster_us: u64) -> u64 {
        let real_us = (u128::from(cluster_us) * u128::from(self.real)).div_ceil(u128::from(self.cluster));
        u64::try_from(real_us).unwrap_or(u64::MAX)
    }
}

/// A hand on the clock; clones are hands on the same.
#[derive(Clone, Debug)]
pub struct ClusterClock {
    setting: Arc<watch::Sender<Setting>>,
}

impl ClusterClock {
    /// A running clock at 0, on which `cluster` units of cluster time pass in `real` units of real time.
    ///
    /// # Panics
    /// When either is zero: stop the clock instead.
    #[must_use]
    pub fn new(cluster: u32, real: u32) -> Self {
        assert!(cluster > 0 && real > 0, "a pace of {cluster}/{real} is no pace; stop the clock instead");
        let setting = Setting { at_us: 0, since: Instant::now(), cluster, real, stopped: false };
        Self { setting: Arc::new(watch::Sender::new(setting)) }
    }

    /// Cluster time in microseconds.
    #[must_use]
    pub fn now_us(&self) -> u64 {
        self.setting.borrow().now_us()
    }

    /// Cluster time, and whether it stands still, read at one moment.
    #[must_use]
    pub fn read(&self) -> (u64, bool) {
        let setting = self.setting.borrow();
        (setting.now_us(), setting.stopped)
    }

    /// Whether it stands still.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.setting.borrow().stopped
    }

    /// Stops it; stopping twice is stopping once.
    pub fn stop(&self) {
        self.change(|setting| setting.stopped = true);
    }

    /// Lets it run again from where it stopped.
    pub fn resume(&self) {
        self.change(|setting| setting.stopped = false);
    }

    /// `cluster` units of cluster time pass in `real` units of real time from now on.
    ///
    /// # Panics
    /// When either is zero.
    pub fn set_pace(&self, cluster: u32, real: u32) {
        assert!(cluster > 0 && real > 0, "a pace of {cluster}/{real} is no pace; stop the clock instead");
        self.change(|setting| (setting.cluster, setting.real) = (cluster, real));
    }

    /// Cluster time over real time.
    #[must_use]
    pub fn pace(&self) -> (u32, u32) {
        let setting = self.setting.borrow();
        (setting.cluster, setting.real)
    }

    /// How much real time `cluster_us` microseconds take at the present pace, as if the clock were running.
    #[must_use]
    pub fn real_us(&self, cluster_us: u64) -> u64 {
        self.setting.borrow().real_us(cluster_us)
    }

    /// Returns when the clock runs and has reached `at_us`, however often it is stopped and paced meanwhile.
    pub async fn sleep_until(&self, at_us: u64) {
        let mut changes = self.setting.subscribe();
        loop {
            let setting = *changes.borrow_and_update();
            if setting.stopped {
                // The sender lives as long as this hand on the clock: a closed channel cannot be.
                let _ = changes.changed().await;
                continue;
            }
            let now_us = setting.now_us();
            if now_us >= at_us {
                return;
            }
            let left = Duration::from_micros(setting.real_us(at_us - now_us));
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = changes.changed() => {}
            }
        }
    }

    /// Returns when the clock runs: at once, or when it is resumed.
    pub async fn running(&self) {
        // The sender lives as long as this hand on the clock: a closed channel cannot be.
        let _ = self.setting.subscribe().wait_for(|setting| !setting.stopped).await;
    }

    fn change(&self, change: impl FnOnce(&mut Setting)) {
        self.setting.send_modify(|setting| {
            setting.at_us = setting.now_us();
            setting.since = Instant::now();
            change(setting);
        });
    }
}
