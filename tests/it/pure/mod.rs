//! No threads, no disk, no clock.

mod raft_golden;
mod raft_paper;
mod raft_paper_sections;
mod raft_random;
