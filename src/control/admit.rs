//! What a node says, before it is believed: lists that are too long are refused, strings are made safe to show.
//!
//! Kept true: no string of what was admitted holds anything that a terminal would obey; no list is longer than a cluster
//! can make it.
//! Not here: bytes and frames (`transport/frame.rs`).

use super::observation::{Happened, Life, NodeView, What};
use super::protocol::{Member, Picture, Reply, Welcome};
use crate::raft::EventKind;
use crate::text::{Untrusted, is_safe};

/// Most members of a cluster that a console looks at.
pub const MEMBERS_MAX: usize = 64;

/// Most rules of links, counted link by link.
const LINKS_MAX: usize = 1 << 15;
/// Most of anything else.
const LIST_MAX: usize = 1_024;
/// Most terms in a log.
const TERMS_MAX: usize = 1 << 16;

/// Longest sentence and longest word, in cells.
const SENTENCE_CELLS: usize = 400;
const WORD_CELLS: usize = 100;

/// More than a node of this program would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it says more {what} than there can be: that is no raft-tui of ours")]
pub struct TooMuch {
    /// Of what.
    what: &'static str,
}

fn at_most<T>(list: &[T], max: usize, what: &'static str) -> Result<(), TooMuch> {
    if list.len() <= max { Ok(()) } else { Err(TooMuch { what }) }
}

/// Safe to show, and no longer than so many cells.
pub fn clean(text: &mut String, cells: usize) {
    if text.len() > cells || !is_safe(text) {
        *text = Untrusted::from(std::mem::take(text)).display_max(cells);
    }
}

fn sentence(text: &mut String) {
    clean(text, SENTENCE_CELLS);
}

fn members(members: &mut [Member]) -> Result<(), TooMuch> {
    at_most(members, MEMBERS_MAX, "members")?;
    for member in members {
        clean(&mut member.peer_address, WORD_CELLS);
        if let Some(address) = &mut member.control_address {
            clean(address, WORD_CELLS);
        }
    }
    Ok(())
}

/// A node's greeting.
pub fn welcome(welcome: &mut Welcome) -> Result<(), TooMuch> {
    clean(&mut welcome.name, WORD_CELLS);
    clean(&mut welcome.program, WORD_CELLS);
    members(&mut welcome.members)
}

/// A node's picture.
pub fn picture(picture: &mut Picture) -> Result<(), TooMuch> {
    view(&mut picture.view)?;
    at_most(&picture.links, LINKS_MAX, "rules")?;
    at_most(&picture.faults, LIST_MAX, "faults")?;
    at_most(&picture.alarms, LIST_MAX, "alarms")?;
    for fault in &mut picture.faults {
        clean(&mut fault.by, WORD_CELLS);
        sentence(&mut fault.text);
    }
    for alarm in &mut picture.alarms {
        sentence(&mut alarm.text);
    }
    members(&mut picture.members)
}

fn view(view: &mut NodeView) -> Result<(), TooMuch> {
    at_most(&view.votes, MEMBERS_MAX, "votes")?;
    at_most(&view.peers, MEMBERS_MAX, "followers")?;
    at_most(&view.terms, TERMS_MAX, "terms")?;
    at_most(view.traffic.as_ref().map_or(&[], |traffic| &traffic.peers), MEMBERS_MAX, "peers")?;
    at_most(&view.notes, LIST_MAX, "notes")?;
    at_most(&view.messages_by_kind, LIST_MAX, "kinds of messages")?;
    view.notes.iter_mut().for_each(sentence);
    life(&mut view.life);
    // How it is heard is the console's to say.
    view.reach = None;
    Ok(())
}

fn life(life: &mut Life) {
    match life {
        Life::Halted { why } | Life::Unreachable { why, .. } => sentence(why),
        Life::Starting | Life::Running | Life::Paused | Life::Crashed { .. } => {}
    }
}

/// Something that happened on a node.
pub fn happened(happened: &mut Happened) {
    match &mut happened.what {
        What::Node { event, .. } => {
            if let EventKind::Violated { evidence, .. } = &mut event.kind {
                sentence(evidence);
            }
        }
        What::Life { life: it, .. } => life(it),
        What::Note { note: text, .. } | What::Faults { what: text } | What::Clock { what: text } => sentence(text),
        What::Applied { command, .. } => sentence(command),
        What::Dropped { .. } => {}
    }
}

/// An answer; what the machine replied stays as it is, and is made safe where it is put into words.
pub fn reply(reply: &mut Reply) {
    match reply {
        Reply::Done(why)
        | Reply::NotApplied { why }
        | Reply::Unknown { why }
        | Reply::ReadFailed { why }
        | Reply::Refused { why } => sentence(why),
        Reply::Applied { .. } | Reply::Value { .. } | Reply::NotLeader { .. } | Reply::Busy { .. } => {}
    }
}
