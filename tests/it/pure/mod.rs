//! No threads, no disk, no clock.

mod control_words;
mod text_sanitizer;
