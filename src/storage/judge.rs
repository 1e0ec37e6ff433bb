//! Whether what came back from a disk is what was promised (paper Figure 2: persistent state). PURE.
//!
//! Three witnesses: the bounds, written with every batch; the chain in the entries; the mark, written beside the
//! database. Where they disagree the log is not trusted, and of it remains the longest prefix that verifies.
//!
//! Kept true: nothing that fails its check is handed on; nothing that passes all of them is doubted.
//! Not here: reading (`fjall.rs`, `memory.rs`); what a node in quarantine may do (`raft/`).

use super::outline::Outline;
use crate::mutants;
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
        Some((mark, _)) if mark.index > outline.last().index && !mutants::on("M53") => {
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::raft::{Configuration, EntryKind};

    fn log(count: u64) -> Vec<Entry> {
        let mut chain = Digest::default();
        let entry = |index| {
            let position = LogPosition::new(index, 1);
            let entry = Entry::chained(chain, position, EntryKind::Command, index, Bytes::from(vec![index as u8]));
            chain = entry.chain;
            entry
        };
        (1..=count).map(entry).collect()
    }

    fn found(entries: &[Entry], last: &Entry, mark: u64) -> Found {
        Found {
            base: Base::default(),
            last: last.position(),
            chain: last.chain,
            entries: entries.to_vec(),
            unreadable: None,
            snapshot: None,
            mark: Some((LogPosition::new(mark, 1), entries[mark as usize - 1].chain)),
        }
    }

    fn snapshot(at: &Entry) -> SnapshotMeta {
        SnapshotMeta {
            last: at.position(),
            chain: at.chain,
            configuration: Configuration::first(1),
            proposed_at_us: 0,
            digest: Digest::default(),
            size_bytes: 0,
            checksum: Digest::default(),
        }
    }

    #[test]
    fn a_whole_log_is_trusted() {
        let log = log(9);
        let judged = judge(found(&log, &log[8], 9));
        assert_eq!((judged.quarantine, judged.entries), (None, log.clone()));
        assert_eq!(judge(found(&log, &log[8], 4)).quarantine, None, "a mark behind the log is usual after a power cut");
    }

    #[test]
    fn bounds_beyond_the_entries_are_a_loss_even_where_the_mark_is_behind() {
        let log = log(9);
        let judged = judge(found(&log[..6], &log[8], 4));
        assert_eq!(judged.quarantine.as_deref(), Some("the log ends at 6@1, its bounds say 9@1"));
        assert_eq!(judged.entries, log[..6]);
    }

    #[test]
    fn another_history_at_the_mark_is_a_loss() {
        let log = log(9);
        let mut other = found(&log, &log[8], 5);
        other.mark = Some((LogPosition::new(5, 1), Digest(5)));
        assert_eq!(judge(other).quarantine.as_deref(), Some("the log differs from what was promised at 5@1"));
    }

    #[test]
    fn a_hole_ends_the_log() {
        let mut holed = log(9);
        let last = holed[8].clone();
        let full = holed.clone();
        holed.remove(3);
        let judged = judge(Found { mark: Some((last.position(), last.chain)), ..found(&holed, &last, 1) });
        assert_eq!(judged.entries, full[..3]);
        assert!(judged.quarantine.is_some_and(|why| why.contains("entry 5@1 does not follow 3@1")));
    }

    #[test]
    fn a_log_that_ends_before_its_snapshot_leaves_the_snapshot() {
        let log = log(9);
        let mut cut = found(&log[..6], &log[8], 4);
        cut.snapshot = Some(snapshot(&log[7]));
        let judged = judge(cut);
        assert!(judged.quarantine.is_some());
        assert_eq!((judged.entries, judged.outline.last()), (Vec::new(), log[7].position()));
        assert!(judged.snapshot.is_some());
    }

    #[test]
    fn a_log_that_starts_after_its_snapshot_leaves_the_snapshot() {
        let log = log(9);
        let mut late = found(&log, &log[8], 9);
        late.base = Base { position: log[4].position(), chain: log[4].chain };
        late.entries.drain(..5);
        let kept = judge(Found { snapshot: Some(snapshot(&log[4])), ..clone(&late) });
        assert_eq!((kept.quarantine, kept.entries.len()), (None, 4));
        let gap = judge(Found { snapshot: Some(snapshot(&log[2])), ..clone(&late) });
        assert!(gap.quarantine.is_some_and(|why| why.contains("something is missing")));
        assert_eq!((gap.entries, gap.outline.last()), (Vec::new(), log[2].position()));
        let bare = judge(late);
        assert!(bare.quarantine.is_some_and(|why| why.contains("there is no snapshot before it")));
        assert_eq!(bare.outline, Outline::default());
    }

    fn clone(found: &Found) -> Found {
        Found {
            base: found.base,
            last: found.last,
            chain: found.chain,
            entries: found.entries.clone(),
            unreadable: found.unreadable.clone(),
            snapshot: found.snapshot.clone(),
            mark: found.mark,
        }
    }
}
