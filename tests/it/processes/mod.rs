//! The real binary.

mod attach;
mod certificates;
mod children;
mod doors;
mod formats;
mod headless;
mod hostile;
mod identity;
mod kill;
mod memory;
#[cfg(feature = "mutants")]
mod museum;
mod nemesis;
mod netns;
mod node;
mod power;
mod screens;
mod scripts;
mod sim;
mod terminal;
