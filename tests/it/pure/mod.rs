//! No threads, no disk, no clock.

mod raft_checklist_durability;
mod raft_checklist_elections;
mod raft_checklist_replication;
mod raft_checklist_snapshots;
mod raft_fuzz;
mod raft_golden;
mod raft_paper;
mod raft_paper_sections;
mod raft_random;
