//! What tests share.

pub mod cores;
pub mod laws;
pub mod script;
