//! What tests share.

pub mod consoles;
pub mod cores;
pub mod folders;
pub mod forge;
pub mod gated_files;
pub mod headless;
pub mod histories;
pub mod laws;
pub mod logs;
pub mod members;
pub mod nodes;
pub mod parts;
pub mod processes;
pub mod program;
pub mod recorded_files;
pub mod screen;
pub mod script;
pub mod scripted;
pub mod second_machine;
pub mod session;
pub mod syncs;
pub mod telling;
pub mod terminal;
pub mod trace_checker;
pub mod views;
pub mod wire;
