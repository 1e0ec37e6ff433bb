//! What a load asks: which operation, of which key, with which value.
//!
//! Kept true: no value is written twice in a run; with a history, a key is left for a new one after
//! [`OPERATIONS_A_KEY`] operations, and no key was there before the run.
//! Not here: who asks (`mod.rs`).

use std::hash::{BuildHasher as _, RandomState};
use std::str::FromStr;

use bytes::Bytes;

use super::LoadArguments;
use crate::cli::headless::outcome::{Outcome, Reply};
use crate::control::words::WordError;
use crate::history::Ask;
use crate::machine::kv::KvReply;
use crate::text::sanitize_str;

/// Operations on one key before a new one takes its place, when the history is to be checked: longer ones take a checker
/// too long.
pub const OPERATIONS_A_KEY: u64 = 400;

const NAMES: [&str; 5] = ["set", "get", "cas", "incr", "del"];

/// How often each operation is asked, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// In the order of [`NAMES`].
    parts: [u64; 5],
}

impl FromStr for Mix {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let wrong = |part: &str| {
            let names = NAMES.join(", ");
            WordError(format!("`{}` is no part of a mix: write set=50,get=50 with any of {names}", sanitize_str(part)))
        };
        let mut parts = [0; 5];
        for part in text.split(',') {
            let (name, share) = part.split_once('=').ok_or_else(|| wrong(part))?;
            let place = NAMES.iter().position(|known| *known == name.trim()).ok_or_else(|| wrong(part))?;
            parts[place] = u64::from(share.trim().parse::<u16>().map_err(|_| wrong(part))?);
        }
        if parts.iter().sum::<u64>() == 0 { Err(wrong(text)) } else { Ok(Self { parts }) }
    }
}

/// Something to ask.
#[derive(Clone, Debug)]
pub struct Picked {
    /// Of which key.
    pub key: Bytes,
    /// What.
    pub ask: Ask,
    slot: usize,
}

impl Picked {
    /// Whether it changes nothing.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.ask, Ask::Get)
    }
}

/// A place for keys: one after another when each is used so often.
#[derive(Clone, Debug, Default)]
struct Slot {
    generation: u64,
    uses: u64,
    /// What was last seen in it, for comparing.
    seen: Option<Bytes>,
}

/// Chooses what is asked next.
#[derive(Clone, Debug)]
pub struct Picker {
    mix: Mix,
    /// Values first, counters behind them: INCR wants numbers.
    slots: Vec<Slot>,
    keys: usize,
    value_size: usize,
    /// With a history: tells the keys of this run from those of others.
    run: Option<u64>,
    luck: u64,
    values: u64,
}

impl Picker {
    /// A picker for these arguments.
    #[must_use]
    pub fn new(arguments: &LoadArguments, history: bool) -> Self {
        let random = RandomState::new().hash_one("load");
        let keys = arguments.keys as usize;
        Self {
            mix: arguments.mix,
            slots: vec![Slot::default(); keys * 2],
            keys,
            value_size: arguments.value_size as usize,
            run: history.then_some(random),
            luck: random,
            values: 0,
        }
    }

    /// A number below `below`: `SplitMix64`.
    fn draw(&mut self, below: u64) -> u64 {
        self.luck = self.luck.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.luck;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below.max(1)
    }

    fn value(&mut self) -> Bytes {
        self.values += 1;
        let mut value = format!("v{}.", self.values);
        while value.len() < self.value_size {
            value.push('x');
        }
        value.into()
    }

    /// What is asked next.
    pub fn pick(&mut self) -> Picked {
        let [set, get, cas, incr, del] = self.mix.parts;
        let mut at = self.draw(set + get + cas + incr + del);
        let mut name = "del";
        for (known, part) in NAMES.iter().zip(self.mix.parts) {
            if at < part {
                name = known;
                break;
            }
            at -= part;
        }
        let of_counters = match name {
            "incr" => true,
            // Whoever reads, reads what others write.
            "get" => self.draw(set + cas + incr + del) < incr,
            _ => false,
        };
        let place = self.draw(self.keys as u64) as usize;
        let slot = if of_counters { self.keys + place } else { place };
        let kind = if of_counters { 'c' } else { 'k' };
        let entry = &mut self.slots[slot];
        entry.uses += 1;
        if self.run.is_some() && entry.uses > OPERATIONS_A_KEY {
            *entry = Slot { generation: entry.generation + 1, uses: 1, seen: None };
        }
        let key = match self.run {
            Some(run) => format!("load-{run:016x}-{kind}{place}-{}", entry.generation),
            None => format!("load-{kind}{place}"),
        };
        let expected = entry.seen.clone();
        let ask = match name {
            "set" => Ask::Set(self.value()),
            "get" => Ask::Get,
            "cas" => Ask::Cas { expected, new: self.value() },
            "incr" => Ask::Incr(1 + self.draw(9).cast_signed()),
            _ => Ask::Del,
        };
        Picked { key: key.into(), ask, slot }
    }

    /// What came of it, so that a CAS has a chance.
    pub fn learn(&mut self, picked: Picked, outcome: &Outcome) {
        let Outcome::Ok { reply: Reply::Kv(reply), .. } = outcome else { return };
        let Some(slot) = self.slots.get_mut(picked.slot) else { return };
        slot.seen = match (picked.ask, reply) {
            (Ask::Set(value), KvReply::Stored) => Some(value),
            (Ask::Cas { new, .. }, KvReply::Swapped { swapped: true, .. }) => Some(new),
            (_, KvReply::Swapped { current, .. } | KvReply::Value(current)) => current.clone(),
            (_, KvReply::Deleted(_)) => None,
            _ => return,
        };
    }
}
