//! What a program may say to a terminal, and nothing else: a strict reader of all its bytes.
//!
//! Knows nothing of the program's own sanitizer, so that both cannot be wrong in the same way.

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// The program alone.
    Program,
    /// A shell that edits a line, and what it starts.
    Shell,
}

/// Modes that the console switches: the cursor, its own screen, pasting in brackets.
const MODES: [&str; 6] = ["?25h", "?25l", "?1049h", "?1049l", "?2004h", "?2004l"];

/// How many bytes before an offence are told with it.
const TOLD: usize = 60;

/// The longest sequence that is allowed.
const SEQUENCE_MAX: usize = 40;

/// Reads on from where it stopped, so that it does not matter how the bytes come.
pub struct Allowed {
    speaker: Speaker,
    /// The sequence or character that is not whole.
    begun: Vec<u8>,
    told: Vec<u8>,
    offence: Option<String>,
}

impl Allowed {
    pub const fn new(speaker: Speaker) -> Self {
        Self { speaker, begun: Vec::new(), told: Vec::new(), offence: None }
    }

    /// The first thing that was not allowed, after what.
    pub fn take_offence(&mut self) -> Option<String> {
        self.offence.take()
    }

    pub fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.offence.is_some() {
                return;
            }
            self.told.push(*byte);
            let surplus = self.told.len().saturating_sub(TOLD);
            self.told.drain(..surplus);
            self.begun.push(*byte);
            match self.judge() {
                Ok(true) => self.begun.clear(),
                Ok(false) => {}
                Err(why) => {
                    let told = String::from_utf8_lossy(&self.told);
                    self.offence = Some(format!("{why}, at the end of {told:?}"));
                }
            }
        }
    }

    /// Whether what was begun is whole now.
    fn judge(&self) -> Result<bool, String> {
        match self.begun.as_slice() {
            [0x1b] | [0x1b, b'['] => Ok(false),
            [0x1b, b'[', .., last] => self.judge_sequence(*last),
            [0x1b, second, ..] => Err(format!("ESC {:?}", char::from(*second))),
            [b'\r' | b'\n'] => Ok(true),
            [0x07 | 0x08] if self.speaker == Speaker::Shell => Ok(true),
            [control @ (..0x20 | 0x7f)] => Err(format!("the control character {control:#04x}")),
            bytes => match str::from_utf8(bytes) {
                Ok(text) => text.chars().all(is_visible).then_some(true).ok_or_else(|| format!("{text:?}")),
                Err(error) if error.error_len().is_none() => Ok(false),
                Err(_) => Err(format!("{bytes:x?}, which is no UTF-8")),
            },
        }
    }

    fn judge_sequence(&self, last: u8) -> Result<bool, String> {
        let text = String::from_utf8_lossy(&self.begun[2..]);
        match last {
            b'0'..=b'9' | b';' | b'?' if text.len() < SEQUENCE_MAX => return Ok(false),
            _ => {}
        }
        let numbers = text.get(..text.len() - 1).unwrap_or_default();
        let plain = numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b';');
        let known = match last {
            // Colours, where to write, what to erase.
            b'm' | b'H' | b'J' | b'K' => plain,
            b'h' | b'l' => MODES.contains(&text.as_ref()),
            b'A' | b'B' | b'C' | b'D' | b'P' | b'@' => plain && self.speaker == Speaker::Shell,
            _ => false,
        };
        if known { Ok(true) } else { Err(format!("CSI {text:?}")) }
    }
}

/// Whether a character stays in its cell: no C1, nothing that turns, joins or hides what is around it.
const fn is_visible(c: char) -> bool {
    !matches!(c,
        '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
        | '\u{e0000}'..='\u{e007f}')
}
