//! Threads, temporary folders, tokio.

mod clock;
mod mesh;
mod storage_contract;
mod cluster_local;
