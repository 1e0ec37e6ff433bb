//! The real binary.

mod console;
mod doors;
mod formats;
mod kill;
mod power;
mod scripts;
mod terminal;
