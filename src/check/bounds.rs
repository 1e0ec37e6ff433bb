//! Nothing grows without a bound (paper §7; thesis 10.2.1).
//!
//! Of a leader: messages and bytes in flight to each follower, bytes that are not committed, reads that wait. Of every node:
//! how long its log may be before it takes a snapshot, and what it keeps behind one.
//!
//! Exceptions, and no others: one entry may be larger than what is left of a bound; a new leader has what it inherits; for a
//! follower that answers and lacks entries they stay while they weigh less than the snapshot; while a snapshot is on its
//! way to a follower no newer one is taken, up to four times as many entries, or what the snapshot weighs.
//!
//! Kept true: the bounds come from the options, the exceptions from what was seen to happen.
//! Not here: bounds on bytes of a log (`snapshot_bytes`), which count what was handed to the machine and show nowhere.

use super::picture::NodePicture;
use super::{Property, Verdict, broken};
use crate::raft::event::Mode;
use crate::raft::{
    Entry, Event, EventKind, Index, NodeId, Options, PeerStatus, READS_WAITING_MAX, Role, Status, Term, Ticks,
};

/// What the options allow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    window_messages: usize,
    window_bytes: u64,
    append_bytes: u64,
    uncommitted_bytes: u64,
    snapshot_entries: u64,
    keep_entries: u64,
    timeout: Ticks,
}

impl Bounds {
    pub(super) fn of(options: &Options) -> Self {
        Self {
            window_messages: options.window_messages,
            window_bytes: options.window_bytes,
            append_bytes: options.append_bytes_max,
            uncommitted_bytes: options.uncommitted_bytes_max,
            snapshot_entries: options.snapshot_entries,
            keep_entries: options.keep_entries,
            timeout: options.election_timeout_ticks,
        }
    }
}

/// What was seen of one node in this life.
#[derive(Clone, Debug, Default)]
pub(super) struct Held {
    /// The largest entry it ever stored.
    largest: u64,
    /// Bytes of entries that it stored in this turn.
    stored: u64,
    /// The term it led when it was last asked, and what was not committed then.
    led: Option<(Term, u64)>,
    /// Size of its snapshot.
    snapshot_bytes: u64,
    /// A snapshot is being taken.
    taking: bool,
    /// In this turn: a snapshot was taken, entries were applied, a follower was to get a snapshot.
    taken: bool,
    applied: bool,
    sends_snapshot: bool,
    /// What each follower that is waited for had at the end of the turn before.
    had: Vec<Index>,
}

impl Held {
    /// A life begins.
    pub(super) fn booted(entries: &[Entry], snapshot_bytes: u64) -> Self {
        let largest = entries.iter().map(Entry::cost_bytes).max().unwrap_or(0);
        Self { largest, snapshot_bytes, ..Self::default() }
    }

    pub(super) fn stored(&mut self, entries: &[Entry]) {
        for entry in entries {
            let bytes = entry.cost_bytes();
            self.largest = self.largest.max(bytes);
            self.stored += bytes;
        }
    }

    pub(super) fn installs(&mut self, size_bytes: u64) {
        self.snapshot_bytes = size_bytes;
    }

    pub(super) fn takes_snapshot(&mut self) {
        self.taking = true;
    }

    pub(super) fn event(&mut self, event: &Event) {
        match event.kind {
            EventKind::SnapshotTaken { size_bytes, .. } => {
                (self.taking, self.taken, self.snapshot_bytes) = (false, true, size_bytes);
            }
            EventKind::Applied { .. } => self.applied = true,
            EventKind::PeerMode { mode: Mode::Snapshot, .. } => self.sends_snapshot = true,
            EventKind::BecameLeader => self.led = None,
            _ => {}
        }
    }

    /// What the node tells at the end of a turn.
    pub(super) fn told(&mut self, bounds: &Bounds, node: &NodePicture, id: NodeId, status: &Status) -> Verdict {
        reads(id, status)?;
        self.windows(bounds, id, status)?;
        self.uncommitted(bounds, id, status)?;
        self.kept(bounds, id, status)?;
        self.grown(bounds, node, id, status)?;
        (self.stored, self.taken, self.applied) = (0, false, false);
        self.sends_snapshot = status.peers.iter().any(|peer| peer.mode == Mode::Snapshot);
        self.had.clear();
        self.had.extend(awaited(bounds, status).map(|peer| peer.match_index));
        Ok(())
    }

    fn windows(&self, bounds: &Bounds, id: NodeId, status: &Status) -> Verdict {
        let most_bytes = bounds.window_bytes + bounds.append_bytes.max(self.largest);
        for peer in &status.peers {
            let (messages, bytes) = (peer.in_flight_messages, peer.in_flight_bytes);
            if messages > bounds.window_messages || bytes > most_bytes {
                return broken(Property::Bounds, || {
                    format!(
                        "{id} has {messages} messages of {bytes} bytes in flight to {}, at most {} of {most_bytes} \
                         may be",
                        peer.id, bounds.window_messages
                    )
                });
            }
            if peer.mode != Mode::Replicate && (messages, bytes) != (0, 0) {
                return broken(Property::Bounds, || {
                    format!("{id} has {messages} messages in flight to {}, which it does not replicate to", peer.id)
                });
            }
        }
        Ok(())
    }

    fn uncommitted(&mut self, bounds: &Bounds, id: NodeId, status: &Status) -> Verdict {
        let term = status.hard_state.current_term;
        let before = std::mem::take(&mut self.led);
        if status.role != Role::Leader {
            return Ok(());
        }
        let bytes = status.uncommitted_bytes;
        self.led = Some((term, bytes));
        if (bytes == 0) != (status.commit == status.last.index) {
            return broken(Property::Bounds, || {
                format!(
                    "{id} counts {bytes} uncommitted bytes, commit is {}, the log ends at {}",
                    status.commit, status.last
                )
            });
        }
        let Some((_, inherited)) = before.filter(|(led, _)| *led == term) else { return Ok(()) };
        let most = inherited.max(bounds.uncommitted_bytes + self.largest);
        if bytes <= most {
            return Ok(());
        }
        broken(Property::Bounds, || format!("{id} has {bytes} uncommitted bytes, at most {most} may be"))
    }

    /// Behind a snapshot that was taken in this turn.
    fn kept(&self, bounds: &Bounds, id: NodeId, status: &Status) -> Verdict {
        let before_first = status.first_index.previous();
        let kept = status.snapshot.0.saturating_sub(before_first.0);
        if !self.taken || kept <= bounds.keep_entries {
            return Ok(());
        }
        // A follower may have got all that it lacked since, or may have fallen silent, in the same turn.
        let now = awaited(bounds, status).map(|peer| peer.match_index);
        let before = self.had.iter().copied();
        let lacks = now.chain(before).min().unwrap_or(Index(u64::MAX));
        let light = status.log_bytes < self.snapshot_bytes + self.stored;
        if light && lacks < status.snapshot {
            return Ok(());
        }
        broken(Property::Bounds, || {
            format!(
                "{id} keeps {kept} entries behind its snapshot at {}, {} may be; its followers lack what comes after \
                 {lacks}, the log weighs {} bytes and the snapshot {}",
                status.snapshot, bounds.keep_entries, status.log_bytes, self.snapshot_bytes
            )
        })
    }

    /// Before the next one.
    fn grown(&self, bounds: &Bounds, node: &NodePicture, id: NodeId, status: &Status) -> Verdict {
        let entries = status.applied.0.saturating_sub(status.snapshot.0);
        let due = self.applied && entries >= bounds.snapshot_entries;
        if !due || self.taking || node.installing.is_some() {
            return Ok(());
        }
        let few =
            entries < bounds.snapshot_entries.saturating_mul(4) || status.log_bytes < self.snapshot_bytes + self.stored;
        let sends = self.sends_snapshot || status.peers.iter().any(|peer| peer.mode == Mode::Snapshot);
        if few && sends {
            return Ok(());
        }
        broken(Property::Bounds, || {
            format!(
                "{id} has applied {entries} entries since its snapshot at {} and takes no other, {} are enough",
                status.snapshot, bounds.snapshot_entries
            )
        })
    }
}

/// Followers for which entries are kept: they answer, and get no snapshot.
fn awaited<'a>(bounds: &Bounds, status: &'a Status) -> impl Iterator<Item = &'a PeerStatus> + use<'a> {
    let timeout = bounds.timeout;
    status.peers.iter().filter(move |peer| peer.silent_ticks < timeout && peer.mode != Mode::Snapshot)
}

fn reads(id: NodeId, status: &Status) -> Verdict {
    // Its own clients' and, when it leads, those of others.
    let most = 2 * READS_WAITING_MAX;
    if status.pending_reads <= most {
        return Ok(());
    }
    broken(Property::Bounds, || format!("{} reads wait in {id}, at most {most} may", status.pending_reads))
}
