//! What the loop has to do for the console: the only ways in which it touches the world.
//!
//! Not here: who decides (`update/`), who does it (`mod.rs`).

use crate::control::Request;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the cluster.
    Ask(Request),
    /// Draw with the next theme.
    NextTheme,
    /// Draw everything anew.
    Redraw,
    /// Give the terminal back until the shell brings the console to the front again.
    Suspend,
    /// End.
    Quit,
}
