//! No threads, no disk, no clock.

mod faults_rules;
mod raft_rng;
