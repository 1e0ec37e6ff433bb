//! The certificates of a running node: taken up when their files change, and warned of before they end.
//!
//! Files are looked at again and again, as a whole. What does not fit together (a file half written, a certificate whose
//! key is still the old one) leaves what was read before in force, and is an alarm until it is mended.
//!
//! Kept true: a certificate is in force with its own key only; nothing of a key is told.
//! Not here: whether files fit together (`tls.rs`), when a certificate ends (`expiry.rs`).

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::{MissedTickBehavior, interval};

use super::tls::Tls;
use crate::raft::NodeId;
use crate::text::sanitize_str;

/// Real time between two looks.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
struct Told {
    trouble: Option<String>,
    endings: Vec<String>,
}

/// Watches over the certificates of one node.
#[derive(Debug)]
pub struct Renewal {
    tls: Arc<Tls>,
    node: NodeId,
    told: Mutex<Told>,
}

impl Renewal {
    /// Of certificates that were just read.
    #[must_use]
    pub fn new(tls: Arc<Tls>, node: NodeId) -> Self {
        let told = Told { trouble: None, endings: tls.endings(SystemTime::now()) };
        Self { tls, node, told: Mutex::new(told) }
    }

    /// Looks once. It waits for the disk.
    pub fn look(&self, now: SystemTime) {
        let renewed = self.tls.renew(self.node);
        if let Ok(true) = renewed {
            tracing::info!("certificates were renewed: new connections use them");
        }
        let stays = |why| format!("the changed certificates are not used, those read before stay in force: {why}");
        let trouble = renewed.err().map(|why| sanitize_str(&stays(why)));
        let endings = self.tls.endings(now);
        let mut told = self.lock();
        for alarm in endings.iter().filter(|alarm| !told.endings.contains(alarm)) {
            tracing::warn!("{alarm}");
        }
        match (&told.trouble, &trouble) {
            (former, Some(trouble)) if former.as_ref() != Some(trouble) => tracing::warn!("{trouble}"),
            (Some(_), None) => tracing::info!("certificates are in order again"),
            _ => {}
        }
        *told = Told { trouble, endings };
    }

    /// What is wrong or soon will be, a sentence each with what to do, for as long as it holds.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        let told = self.lock();
        told.trouble.iter().chain(&told.endings).cloned().collect()
    }

    /// Looks for ever. Must be called within a tokio runtime.
    pub async fn watch(self: Arc<Self>) -> Infallible {
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            let this = Arc::clone(&self);
            // A look that panicked has ended the process, or is made up for by the next.
            let _ = tokio::task::spawn_blocking(move || this.look(SystemTime::now())).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        // Nothing under this lock panics half-way through a change that others could misread.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
