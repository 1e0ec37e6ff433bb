//! What is on its way and not due yet, and who brings it when it is.
//!
//! Kept true: things come in the order of their due times, equal ones in the order in which they were held; while the
//! clock stands still nothing comes.
//! Not here: when something is due (`faults.rs`), where it goes then (`mesh.rs`, `tcp/`).

use std::collections::BTreeMap;
use std::collections::btree_map::OccupiedEntry;

use tokio::sync::Notify;

use super::clock::ClusterClock;

/// Things by the cluster time at which they are due.
#[derive(Debug)]
pub(super) struct Held<T> {
    /// By due time, then by the order in which they were held.
    under_way: BTreeMap<(u64, u64), T>,
    sequence: u64,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { under_way: BTreeMap::new(), sequence: 0 }
    }
}

impl<T> Held<T> {
    pub(super) fn hold(&mut self, due_us: u64, thing: T) {
        self.sequence += 1;
        self.under_way.insert((due_us, self.sequence), thing);
    }

    /// The next that is due by `now_us`.
    pub(super) fn take_due(&mut self, now_us: u64) -> Option<T> {
        self.under_way.first_entry().filter(|first| first.key().0 <= now_us).map(OccupiedEntry::remove)
    }

    /// When the next is due; compared before and after a change it tells whether the courier must look again.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.under_way.first_key_value().map(|(key, _)| *key)
    }

    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }
}

/// Calls `pump` with cluster time whenever something is due, for ever. `first_due` is asked anew after each pump and
/// each time that `earlier` is told.
pub(super) async fn carry(
    clock: &ClusterClock,
    earlier: &Notify,
    first_due: impl Fn() -> Option<(u64, u64)>,
    pump: impl Fn(u64),
) {
    loop {
        let Some((due_us, _)) = first_due() else {
            earlier.notified().await;
            continue;
        };
        tokio::select! {
            () = clock.sleep_until(due_us) => {
                let (now_us, stopped) = clock.read();
                if !stopped {
                    pump(now_us);
                }
            }
            () = earlier.notified() => {}
        }
    }
}
