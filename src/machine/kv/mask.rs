//! A described command without its values: `SET colour ‹4 bytes›`.
//!
//! Works on the line, because a line is what nodes tell consoles; a cut value still says how long it was.
//!
//! Kept true: a line that is not wholly understood is hidden wholly.
//! Not here: who hides values, and when (`cluster/remote/`).

use super::lexer;

/// How a cut value goes on; a number and a parenthesis follow.
const CUT: &str = "…(+";

/// What [`describe_command`](super::describe_command) said, with a length in place of each value. Keys stay.
#[must_use]
pub fn mask_values(described: &str) -> String {
    understood(described).unwrap_or_else(|| hidden(described.len()))
}

fn understood(described: &str) -> Option<String> {
    let mut words = Vec::new();
    let mut rest = described;
    loop {
        let (word, after) = word(rest)?;
        words.push(word);
        match after.strip_prefix(' ') {
            Some(more) => rest = more,
            None if after.is_empty() => break,
            None => return None,
        }
    }
    let [(keyword, _), (key, _), values @ ..] = words.as_slice() else { return None };
    let fits = match *keyword {
        "DELETE" => values.is_empty(),
        "INCR" => values.len() <= 1,
        "SET" => values.len() == 1,
        "CAS" => values.len() == 2,
        _ => false,
    };
    if !fits {
        return None;
    }
    let values: Vec<String> = values.iter().map(|(_, bytes)| format!(" {}", hidden(*bytes))).collect();
    Some(format!("{keyword} {key}{}", values.concat()))
}

/// The first word of a line and for how many bytes it stands, and what follows it.
fn word(line: &str) -> Option<((&str, usize), &str)> {
    let end = if line.starts_with('"') {
        let mut is_escaped = false;
        let closes = |(_, c): &(usize, char)| {
            let closes = *c == '"' && !is_escaped;
            is_escaped = *c == '\\' && !is_escaped;
            closes
        };
        line.char_indices().skip(1).find(closes)?.0 + 1
    } else {
        line.find([' ', '…']).unwrap_or(line.len())
    };
    let (shown, rest) = line.split_at_checked(end)?;
    let [said] = lexer::words(shown).ok()?.try_into().ok()?;
    let Some(count) = rest.strip_prefix(CUT) else { return Some(((shown, said.bytes.len()), rest)) };
    let (count, _) = count.split_once(')')?;
    let cut: usize = count.parse().ok()?;
    let (whole, rest) = line.split_at_checked(end + CUT.len() + count.len() + 1)?;
    Some(((whole, said.bytes.len().saturating_add(cut)), rest))
}

/// What stands for so many bytes.
fn hidden(bytes: usize) -> String {
    if bytes == 1 { "‹1 byte›".to_owned() } else { format!("‹{bytes} bytes›") }
}
