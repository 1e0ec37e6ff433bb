//! The real binary.

mod doors;
mod formats;
mod kill;
mod power;
mod scripts;
mod terminal;
