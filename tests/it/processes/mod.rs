//! The real binary.

mod doors;
