//! A small seeded generator (xoshiro256++, seeded by splitmix64).
//!
//! Kept true: a seed gives the same numbers for ever, whatever versions of crates do.
//! Not here: secrets; nothing that must not be guessed may come from it.

/// A stream of numbers that a seed fixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut mixer = seed;
        Self { state: std::array::from_fn(|_| splitmix64(&mut mixer)) }
    }

    /// A stream of its own for one concern: what others draw from theirs does not change it.
    #[must_use]
    pub fn fork(&self, label: u64) -> Self {
        let mut mixer = self.state[0] ^ self.state[3].rotate_left(17) ^ label.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { state: std::array::from_fn(|_| splitmix64(&mut mixer)) }
    }

    /// Any 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`.
    ///
    /// # Panics
    /// When `bound` is zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "no number is below zero");
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `numerator` of `denominator` cases.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// True in `per_million` of a million cases.
    pub fn chance_per_million(&mut self, per_million: u32) -> bool {
        self.chance(u64::from(per_million), 1_000_000)
    }
}

fn splitmix64(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
