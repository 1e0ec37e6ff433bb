//! A museum of bugs: deliberately broken variants, chosen by name at run time (cargo feature `mutants`).
//!
//! Each is a line at its place in the source that asks [`on`]. Without the feature the answer is a constant, so nothing of
//! it is left in the program. What each stands for, and which property must find it, says `sim/museum.rs`.
//!
//! Kept true: at most one is chosen at a time; none is when nobody has chosen.
//! Not here: running them (`cli/sim.rs`).

#[cfg(feature = "mutants")]
mod chosen {
    use std::sync::atomic::{AtomicU32, Ordering};

    static CHOSEN: AtomicU32 = AtomicU32::new(0);

    const fn number(name: &str) -> u32 {
        let bytes = name.as_bytes();
        let mut number = 0;
        let mut at = 0;
        while at < bytes.len() {
            number = (number << 8) | bytes[at] as u32;
            at += 1;
        }
        number
    }

    /// Whether this variant is chosen.
    #[must_use]
    pub fn on(name: &str) -> bool {
        CHOSEN.load(Ordering::Relaxed) == number(name)
    }

    /// Chooses one for the whole process, or none.
    pub fn choose(name: Option<&str>) {
        CHOSEN.store(name.map_or(0, number), Ordering::Relaxed);
    }
}

#[cfg(feature = "mutants")]
pub use chosen::{choose, on};

/// Whether this variant is chosen: never, in a program without the museum.
#[cfg(not(feature = "mutants"))]
#[must_use]
pub const fn on(_name: &str) -> bool {
    false
}
