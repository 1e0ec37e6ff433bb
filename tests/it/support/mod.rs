//! What tests share.

pub mod cores;
pub mod forge;
pub mod laws;
pub mod script;
