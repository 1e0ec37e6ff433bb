//! A terminal console to watch, understand, break and mend a Raft cluster, over a Raft of its own.

pub mod codec;
pub mod text;

pub mod machine;
pub mod raft;

pub mod storage;
pub mod transport;

pub mod node;

pub mod control;

pub mod cluster;
