//! Threads, temporary folders, tokio.
