//! No threads, no disk, no clock.
