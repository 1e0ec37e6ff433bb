//! Sentences about a cluster, made fit for the screen.
//!
//! Sentences may quote keys and values that were escaped already; escaping them again would double their backslashes.
//! So a text that can do no harm passes as it is, and any other is escaped whole.
//!
//! Kept true: what comes out has no control character and nothing that turns or hides text.
//! Not here: how characters are escaped (`text.rs`).

use crate::text;

/// The text with everything dangerous made visible.
#[must_use]
pub fn clean(sentence: &str) -> String {
    if text::is_safe(sentence) { sentence.to_owned() } else { text::sanitize_str(sentence) }
}
