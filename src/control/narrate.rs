//! Whole sentences for people, from what happened.

use super::observation::Happened;

/// A sentence for people, without time; `None` for what only a dense listing shows.
#[must_use]
pub fn sentence(happened: &Happened) -> Option<String> {
    let _ = happened;
    None
}
