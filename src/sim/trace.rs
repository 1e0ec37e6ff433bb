//! What happened in a run: a fingerprint of everything, and one line an event for whoever wants to read it.
//!
//! The lines come from the one formatter that golden transcripts and the console use (`Display` of envelopes and events).
//!
//! Kept true: the same seed gives the same fingerprint and the same lines, in every process.
//! Not here: where the lines go (`cli/sim.rs`).

use std::fmt::Display;

use xxhash_rust::xxh3::Xxh3;

/// Takes a line.
pub type Sink<'a> = &'a mut dyn FnMut(&str);

/// The trace of one run.
pub struct Trace<'a> {
    hash: Xxh3,
    sink: Option<Sink<'a>>,
}

impl std::fmt::Debug for Trace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").field("lines", &self.sink.is_some()).finish_non_exhaustive()
    }
}

impl<'a> Trace<'a> {
    /// Lines go to `sink`, if there is one.
    #[must_use]
    pub fn new(sink: Option<Sink<'a>>) -> Self {
        Self { hash: Xxh3::new(), sink }
    }

    /// Takes numbers into the fingerprint.
    pub fn note<const N: usize>(&mut self, numbers: [u64; N]) {
        for number in numbers {
            self.hash.update(&number.to_le_bytes());
        }
    }

    /// One line, made only if somebody reads it.
    pub fn line<D: Display>(&mut self, now_us: u64, what: impl FnOnce() -> D) {
        if let Some(sink) = &mut self.sink {
            sink(&format!("{:>4}.{:06} {}", now_us / 1_000_000, now_us % 1_000_000, what()));
        }
    }

    /// Of everything so far.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.hash.digest()
    }
}
