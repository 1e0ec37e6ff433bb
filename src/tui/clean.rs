//! Strings that came from a node, a key or a value, made fit for the screen.
//!
//! Kept true: what comes out has no control character and nothing that turns or hides text.

/// The string with everything dangerous made visible.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{061c}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
        if (c.is_control() && (c as u32) < 0x100) || c == '\u{7f}' {
            out += &format!("\\x{:02x}", c as u32);
        } else if hidden {
            out += &format!("\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}
