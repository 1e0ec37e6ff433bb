//! Whether what came back from a disk is what was promised (paper Figure 2: persistent state). PURE.
//!
//! Three witnesses: the bounds, written with every batch; the chain in the entries; the mark, written beside the
//! database. Where they disagree the log is not trusted, and of it remains the longest prefix that verifies.
//!
//! Kept true: nothing that fails its check is handed on; nothing that passes all of them is doubted.
//! Not here: reading (`fjall.rs`, `memory.rs`); what a node in quarantine may do (`raft/`).

use super::outline::Outline;
use crate::raft::{Base, Digest, Entry, LogPosition, SnapshotMeta};

/// What was read.
#[derive(Debug)]
pub(super) struct Found {
    /// The entry before the first.
    pub(super) base: Base,
    /// The last entry, as the bounds tell.
    pub(super) last: LogPosition,
    /// Fingerprint at it, as the bounds tell.
    pub(super) chain: Digest,
    /// The entries between, until the first that could not be read.
    pub(super) entries: Vec<Entry>,
    /// Why there are no more.
    pub(super) unreadable: Option<String>,
    /// The newest snapshot, its body verified.
    pub(super) snapshot: Option<SnapshotMeta>,
    /// How far the log was promised; `None` when that cannot be known.
    pub(super) mark: Option<(LogPosition, Digest)>,
}

/// What can be used of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) outline: Outline,
    pub(super) entries: Vec<Entry>,
    pub(super) snapshot: Option<SnapshotMeta>,
    /// Why it may be less than was promised.
    pub(super) quarantine: Option<String>,
}

pub(super) fn judge(found: Found) -> Judged {
    let mut outline = Outline::new(found.base);
    let mut entries = Vec::with_capacity(found.entries.len());
    let mut doubts = Vec::new();
    for entry in found.entries {
        if let Err(why) = outline.push(&entry) {
            doubts.push(why);
            break;
        }
        entries.push(entry);
    }
    if doubts.is_empty() {
        doubts.extend(found.unreadable);
    }
    if doubts.is_empty() && (outline.last(), outline.chain()) != (found.last, found.chain) {
        doubts.push(format!("the log ends at {}, its bounds say {}", outline.last(), found.last));
    }
    match found.mark {
        None => doubts.push("the mark is unreadable, so nobody knows how far the log was promised".to_owned()),
        Some((mark, _)) if mark.index > outline.last().index => {
            doubts.push(format!("the log ends at {}, it was promised up to {mark}", outline.last()));
        }
        Some((mark, chain)) => {
            // Below the base nothing can be compared: a log that goes on beyond the mark has what it promised.
            if outline.at(mark.index).is_some_and(|here| here != (mark, chain)) {
                doubts.push(format!("the log differs from what was promised at {mark}"));
            }
        }
    }
    if let Some(snapshot) = &found.snapshot {
        let base = Base { position: snapshot.last, chain: snapshot.chain };
        let here = outline.at(snapshot.last.index);
        if here.is_some_and(|here| here != (snapshot.last, snapshot.chain)) {
            doubts.push(format!("the log differs from the snapshot at {}", snapshot.last));
        }
        if here != Some((snapshot.last, snapshot.chain)) {
            // A log that ends before its snapshot, or contradicts it, is of no use beside it.
            if outline.base().position.index > snapshot.last.index {
                doubts.push(format!(
                    "between snapshot {} and the log, {} on, something is missing",
                    snapshot.last,
                    outline.first()
                ));
            }
            outline = Outline::new(base);
            entries.clear();
        }
    } else if outline.base().position != LogPosition::ZERO {
        doubts.push(format!("the log starts at {} and there is no snapshot before it", outline.first()));
        outline = Outline::default();
        entries.clear();
    }
    let quarantine = (!doubts.is_empty()).then(|| doubts.join("; "));
    Judged { outline, entries, snapshot: found.snapshot, quarantine }
}
