//! What tests share.

pub mod second_machine;
pub mod logs;
