//! The real binary.

mod attach;
mod doors;
mod formats;
mod headless;
mod kill;
mod memory;
mod nemesis;
mod netns;
mod node;
mod power;
mod processes;
mod scripts;
mod sim;
mod terminal;
