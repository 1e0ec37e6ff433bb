//! What tests share.

pub mod second_machine;
