//! No threads, no disk, no clock.

mod control_words;
mod kv_commands;
mod kv_store;
mod second_machine;
mod text_sanitizer;
