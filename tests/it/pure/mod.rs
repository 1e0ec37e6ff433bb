//! No threads, no disk, no clock.

mod raft_golden;
