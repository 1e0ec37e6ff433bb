//! What tests share.

pub mod logs;
