//! The real binary.

mod kill;
mod scripts;
mod doors;
