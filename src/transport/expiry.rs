//! When a certificate ends (RFC 5280 §4.1.2.5), and how that is said ahead.
//!
//! Kept true: nothing is believed here; bytes that are no certificate give no date, and no panic.
//! Not here: whom to believe (`tls.rs`), who is told (`renewal.rs`).

use std::fmt;
use std::path::Path;

/// How long ahead it is said, in days.
pub const WARNED_DAYS: u64 = 30;

const DAY_SECONDS: u64 = 86_400;

/// Days from 0000-03-01.
const UNTIL_1970: u64 = 719_468;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The last moment at which a certificate is good. Shown as a date, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ends {
    /// In seconds since 1970.
    pub seconds: u64,
    date: (u64, u64, u64),
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date;
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl Ends {
    /// Finds it in a certificate in DER form.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = expect(SEQUENCE, certificate)?;
        let (signed, _) = expect(SEQUENCE, certificate)?;
        let signed = expect(VERSION, signed).map_or(signed, |(_, rest)| rest);
        let (_, rest) = expect(INTEGER, signed)?;
        let (_, rest) = expect(SEQUENCE, rest)?;
        let (_, rest) = expect(SEQUENCE, rest)?;
        let (validity, _) = expect(SEQUENCE, rest)?;
        let (_, _, rest) = element(validity)?;
        let (tag, time, _) = element(rest)?;
        Self::read(tag, time)
    }

    fn read(tag: u8, time: &[u8]) -> Option<Self> {
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = number(time, 2)?;
                (if year < 50 { 2_000 + year } else { 1_900 + year }, rest)
            }
            GENERALIZED_TIME => number(time, 4)?,
            _ => return None,
        };
        let (month, rest) = number(rest, 2)?;
        let (day, rest) = number(rest, 2)?;
        let (hour, rest) = number(rest, 2)?;
        let (minute, rest) = number(rest, 2)?;
        let (second, rest) = number(rest, 2)?;
        let real = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second < 61;
        if rest != b"Z" || !real {
            return None;
        }
        // Years that begin in March have their odd day at the end.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
        let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
        let seconds = days.checked_sub(UNTIL_1970)? * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
        Some(Self { seconds, date: (year, month, day) })
    }

    /// What to say of it in the last days and afterwards; `remedy` is what to do.
    #[must_use]
    pub fn warning(self, file: &Path, now_seconds: u64, remedy: &str) -> Option<String> {
        let file = file.display();
        if let Some(since) = now_seconds.checked_sub(self.seconds + 1) {
            let ago = days(since / DAY_SECONDS);
            return Some(format!("the certificate in {file} has expired: it ended on {self} ({ago} ago); {remedy}"));
        }
        let left = (self.seconds - now_seconds) / DAY_SECONDS;
        let soon = || format!("the certificate in {file} ends on {self} ({} left); {remedy}", days(left));
        (left < WARNED_DAYS).then(soon)
    }
}

fn days(count: u64) -> String {
    match count {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        _ => format!("{count} days"),
    }
}

/// One element of DER: its tag, what is in it, and what comes after it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

fn expect(wanted: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    element(bytes).filter(|(tag, ..)| *tag == wanted).map(|(_, content, rest)| (content, rest))
}

fn number(bytes: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_at_checked(digits)?;
    let digit = |sum: u64, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'));
    Some((number.iter().try_fold(0, digit)?, rest))
}
