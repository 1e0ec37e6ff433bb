//! Log Matching: logs that have an entry with the same index and term are identical up to it (paper §5.3, Figure 3).
//!
//! The chain in an entry stands for its whole history, so one comparison for each new entry is enough.
//!
//! Kept true: every entry that any node ever asked its disk to keep is known here.
//! Not here: which of them are committed (`state_machine_safety.rs`).

use super::picture::{Known, Picture};
use super::{Property, Verdict, broken};
use crate::raft::{Entry, EntryKind, NodeId};

pub(super) fn check(picture: &mut Picture, id: NodeId, entries: &[Entry]) -> Verdict {
    for entry in entries {
        let place = entry.index.0 as usize;
        if picture.entries.len() <= place {
            picture.entries.resize_with(place + 1, Vec::new);
        }
        let here = &mut picture.entries[place];
        match here.iter().find(|known| known.term == entry.term) {
            Some(known) if known.chain == entry.chain => {}
            Some(known) => {
                let theirs = known.chain;
                return broken(Property::LogMatching, || {
                    format!(
                        "{id} writes {} with chain {}, it exists with chain {theirs}",
                        entry.position(),
                        entry.chain
                    )
                });
            }
            None => {
                let command = (entry.kind == EntryKind::Command).then(|| entry.command.clone());
                here.push(Known { term: entry.term, chain: entry.chain, command });
            }
        }
    }
    Ok(())
}
