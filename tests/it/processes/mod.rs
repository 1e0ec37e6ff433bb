//! The real binary.

mod console;
mod doors;
mod kill;
mod power;
mod scripts;
mod terminal;
