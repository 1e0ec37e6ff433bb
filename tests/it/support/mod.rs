//! What tests share.

pub mod logs;
pub mod second_machine;
pub mod session;
