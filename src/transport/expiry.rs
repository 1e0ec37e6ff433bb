//! When a certificate ends (RFC 5280 §4.1.2.5), and how that is said ahead.
//!
//! Kept true: nothing is believed here; bytes that are no certificate give no date.
//! Not here: whom to believe (`tls.rs`), who is told (`renewal.rs`).

use std::fmt;
use std::path::Path;

use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::time::ASN1Time;

/// How long ahead it is said, in days.
pub const WARNED_DAYS: u64 = 30;

const DAY_SECONDS: u64 = 86_400;

/// The last moment at which a certificate is good. Shown as a date, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ends(ASN1Time);

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.to_datetime().date().fmt(f)
    }
}

impl Ends {
    /// Finds it in a certificate in DER form.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        Some(Self(certificate.validity().not_after))
    }

    /// In seconds since 1970.
    #[must_use]
    pub fn seconds(self) -> u64 {
        u64::try_from(self.0.timestamp()).unwrap_or(0)
    }

    /// What to say of it in the last days and afterwards; `remedy` is what to do.
    #[must_use]
    pub fn warning(self, file: &Path, now_seconds: u64, remedy: &str) -> Option<String> {
        let file = file.display();
        if let Some(since) = now_seconds.checked_sub(self.seconds() + 1) {
            let ago = days(since / DAY_SECONDS);
            return Some(format!("the certificate in {file} has expired: it ended on {self} ({ago} ago); {remedy}"));
        }
        let left = (self.seconds() - now_seconds) / DAY_SECONDS;
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
