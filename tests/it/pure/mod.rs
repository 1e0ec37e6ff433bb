//! No threads, no disk, no clock.

mod control_grammar;
mod control_narrate;
mod control_words;
mod faults_rules;
mod kv_commands;
mod kv_store;
mod raft_checklist_durability;
mod raft_checklist_elections;
mod raft_checklist_replication;
mod raft_checklist_snapshots;
mod raft_fuzz;
mod raft_golden;
mod raft_paper;
mod raft_paper_sections;
mod raft_random;
mod raft_rng;
mod second_machine;
mod storage_crash_points;
mod storage_faults;
mod text_sanitizer;
mod tidy;
mod tui_keys;
mod tui_sizes;
mod tui_theme;
mod tui_update;
mod tui_view;
