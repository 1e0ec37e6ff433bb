//! The real binary.

mod doors;
mod kill;
mod scripts;
