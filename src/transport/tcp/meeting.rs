//! Which life of a peer is the one to speak with: a value.
//!
//! A store counts its lives, so a higher number is a restart and a lower one an old process or an old copy. The same
//! number twice, with different boot ids, is two processes on copies of one folder: which of them is right nobody can
//! know, so neither is spoken with until a higher life shows that somebody has started one of them again.
//!
//! Kept true: the life that is spoken with never falls.
//! Not here: which store is the right one ([`super::Known`]), connections (`door.rs`, `lane.rs`).

use super::handshake::{Hello, Refusal};
use crate::raft::Epoch;

/// What is known of a peer's lives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meeting {
    life: Option<(Epoch, u128)>,
    doubled: bool,
}

/// What meeting somebody changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The life that is known.
    Known,
    /// A life that was not known; connections with an earlier one are over.
    New,
    /// Not to be spoken with.
    Refused(Refusal),
    /// The same, and connections with the other process are over too.
    Doubled,
}

impl Meeting {
    /// Somebody has come, and has proved to be there now.
    pub(super) fn meet(&mut self, hello: &Hello) -> Verdict {
        let came = (hello.epoch, hello.boot);
        match self.life {
            Some((newest, _)) if hello.epoch < newest => Verdict::Refused(Refusal::OlderLife { newest }),
            Some(known) if known == came && !self.doubled => Verdict::Known,
            Some((newest, _)) if hello.epoch == newest => {
                let first = !std::mem::replace(&mut self.doubled, true);
                if first { Verdict::Doubled } else { Verdict::Refused(Refusal::SecondProcess) }
            }
            Some(_) | None => {
                *self = Self { life: Some(came), doubled: false };
                Verdict::New
            }
        }
    }

    /// Two processes have the same life.
    pub(super) const fn is_doubled(&self) -> bool {
        self.doubled
    }
}
