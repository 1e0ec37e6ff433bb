//! The lines of a transcript that no `Display` of the core's own types gives.

use std::fmt::Write as _;

use raft_tui::raft::{Envelope, HardState, Index, Outcome, Persist};

use super::cores::Cores;

/// A message that did not arrive.
pub fn dropped(envelope: &Envelope) -> String {
    format!("{} ⇥ {} {}", envelope.from, envelope.to, envelope.message)
}

pub fn what_is_written(write: &Persist) -> String {
    let mut parts = Vec::new();
    if let Some(HardState { current_term, voted_for }) = write.hard_state {
        let vote = voted_for.map_or_else(|| "no vote".to_owned(), |whom| format!("vote {whom}"));
        parts.push(format!("term {current_term} {vote}"));
    }
    if let Some(from) = write.truncate_from {
        parts.push(format!("cut from {from}"));
    }
    match write.entries.as_slice() {
        [] => {}
        [one] => parts.push(one.position().to_string()),
        [first, .., last] => parts.push(format!("{}..{}", first.position(), last.position())),
    }
    if let Some(snapshot) = &write.snapshot {
        parts.push(format!("snapshot {}", snapshot.meta.last));
    }
    if let Some(base) = write.compact_to {
        parts.push(format!("compact to {}", base.position));
    }
    parts.join(", ")
}

pub fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Appended(position) => format!("in the log at {position}"),
        Outcome::NotLeader { leader: Some(leader) } => format!("not the leader, ask {leader}"),
        Outcome::NotLeader { leader: None } => "not the leader".to_owned(),
        Outcome::Busy { uncommitted_bytes } => format!("busy, {uncommitted_bytes} bytes are not committed"),
        Outcome::ReadReady(index) => format!("read at {index}"),
        Outcome::ReadAborted { leader: Some(leader) } => format!("read given up, ask {leader}"),
        Outcome::ReadAborted { leader: None } => "read given up".to_owned(),
    }
}

/// The logs of all nodes, one row a node: the term of each entry; `·` where it was compacted.
pub fn picture(cores: &Cores) -> String {
    let ends = cores.nodes.values().map(|node| node.raft.as_ref().map_or(0, |raft| raft.status().last.index.0));
    let end = ends.max().unwrap_or(0);
    let mut text = String::from("index");
    for index in 1..=end {
        let _ = write!(text, "{index:>3}");
    }
    for (id, node) in &cores.nodes {
        let _ = write!(text, "\n{id:<5}");
        let Some(raft) = &node.raft else {
            text.push_str("  crashed");
            continue;
        };
        let status = raft.status();
        for index in 1..=end {
            let cell = match raft.entry(Index(index)) {
                Some(entry) => entry.term.to_string(),
                None if index < status.first_index.0 => "·".to_owned(),
                None => String::new(),
            };
            let _ = write!(text, "{cell:>3}");
        }
        let _ = write!(text, "  commit={} applied={}", status.commit, status.applied);
    }
    text
}
