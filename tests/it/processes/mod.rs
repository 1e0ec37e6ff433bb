//! The real binary.

mod doors;
mod kill;
mod power;
mod scripts;
mod terminal;
