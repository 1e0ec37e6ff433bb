//! What tests share.

pub mod folders;
pub mod gated_files;
pub mod logs;
pub mod program;
pub mod recorded_files;
pub mod screen;
pub mod second_machine;
pub mod session;
pub mod views;
