//! What tests share.

pub mod folders;
pub mod gated_files;
pub mod logs;
pub mod program;
pub mod recorded_files;
pub mod second_machine;
pub mod session;
pub mod syncs;
pub mod cores;
pub mod forge;
pub mod laws;
pub mod script;
