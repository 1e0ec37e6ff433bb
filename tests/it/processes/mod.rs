//! The real binary.

mod doors;
mod formats;
mod headless;
mod kill;
mod memory;
mod node;
mod power;
mod scripts;
mod sim;
mod terminal;
