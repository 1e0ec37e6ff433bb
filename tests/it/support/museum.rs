//! Tests that broken variants of the store must fail: run in a process of its own, such a test is one of a variant.

/// Chooses the variant that the environment names, in a program that has any.
pub fn enter() {
    #[cfg(feature = "mutants")]
    if let Ok(name) = std::env::var(VARIANT) {
        raft_tui::mutants::choose(Some(&name));
    }
}

/// Names a variant.
#[cfg(feature = "mutants")]
pub const VARIANT: &str = "RAFT_TUI_VARIANT";
