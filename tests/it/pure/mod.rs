//! No threads, no disk, no clock.

mod text_sanitizer;
