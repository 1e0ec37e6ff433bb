//! Threads, temporary folders, tokio.

mod clock;
mod mesh;
