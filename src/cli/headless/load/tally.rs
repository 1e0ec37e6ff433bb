//! What a load came to: counts and percentiles.
//!
//! Kept true: latencies are of what took effect, exact to three digits.
//! Not here: when an operation should have begun (`mod.rs`).

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::cli::headless::outcome::Outcome;

/// The version of the JSON.
const VERSION: u32 = 1;
/// Longest latency that is told apart, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;
/// Which percentiles are told.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// Counts and latencies.
#[derive(Debug)]
pub struct Tally {
    writes: Histogram<u64>,
    reads: Histogram<u64>,
    failed: u64,
    unknown: u64,
    /// One of those that failed, or are unknown, and why.
    example: Option<String>,
}

impl Tally {
    /// Nothing yet.
    pub fn new() -> anyhow::Result<Self> {
        let empty = || Histogram::new_with_bounds(1, LATENCY_MAX_US, 3).context("making histograms");
        Ok(Self { writes: empty()?, reads: empty()?, failed: 0, unknown: 0, example: None })
    }

    /// One more operation has ended.
    pub fn add(&mut self, is_read: bool, outcome: &Outcome, took: Duration) {
        match outcome {
            Outcome::Ok { .. } => {
                let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                let latencies = if is_read { &mut self.reads } else { &mut self.writes };
                latencies.saturating_record(us.max(1));
            }
            Outcome::Fail { why } => {
                self.failed += 1;
                self.example.get_or_insert_with(|| format!("failed: {why}"));
            }
            Outcome::Info { why } => {
                self.unknown += 1;
                self.example.get_or_insert_with(|| format!("unknown: {why}"));
            }
        }
    }

    /// Nobody waits any more: what has begun and not ended is unknown.
    pub fn close(&mut self, begun: u64) {
        self.unknown = begun.saturating_sub(self.ok() + self.failed);
    }

    /// How many took effect.
    #[must_use]
    pub fn ok(&self) -> u64 {
        self.writes.len() + self.reads.len()
    }

    fn per_second(count: u64, took: Duration) -> f64 {
        (count as f64 / took.as_secs_f64().max(1e-6) * 10.0).round() / 10.0
    }

    /// One line while it runs.
    #[must_use]
    pub fn progress(&self, took: Duration) -> String {
        let (seconds, ok) = (took.as_secs_f64(), self.ok());
        let rate = Self::per_second(ok, took);
        format!("{seconds:6.1} s  {rate:>9.1}/s  ok {ok}  failed {}  unknown {}", self.failed, self.unknown)
    }

    /// The summary for people.
    #[must_use]
    pub fn table(&self, clients: u64, took: Duration, interrupted: bool) -> String {
        let early = if interrupted { ", interrupted" } else { "" };
        let of = if clients == 1 { "client" } else { "clients" };
        let seconds = took.as_secs_f64();
        let rate = Self::per_second(self.ok(), took);
        let mut lines = vec![
            format!("{clients} {of}, {seconds:.1} s{early}: {rate:.1} operations a second"),
            row("", "count", "a second", PERCENTILES.map(|(name, _)| name.to_owned()), "max"),
        ];
        for (name, latencies) in [("writes", &self.writes), ("reads", &self.reads)] {
            let shown = |us| if latencies.is_empty() { "-".to_owned() } else { shown(us) };
            let (count, rate) = (latencies.len().to_string(), Self::per_second(latencies.len(), took));
            let percentiles = PERCENTILES.map(|(_, percentile)| shown(latencies.value_at_percentile(percentile)));
            lines.push(row(name, &count, &format!("{rate:.1}"), percentiles, &shown(latencies.max())));
        }
        lines.push(format!("ok {}, failed {}, unknown {}", self.ok(), self.failed, self.unknown));
        lines.extend(self.example.as_ref().map(|example| format!("for example {example}")));
        lines.join("\n")
    }

    /// The summary for programs.
    #[must_use]
    pub fn json(&self, clients: u64, took: Duration, interrupted: bool) -> Value {
        let of = |latencies: &Histogram<u64>| {
            let at = |percentile| (!latencies.is_empty()).then(|| latencies.value_at_percentile(percentile));
            json!({
                "count": latencies.len(),
                "per_second": Self::per_second(latencies.len(), took),
                "p50_us": at(50.0),
                "p90_us": at(90.0),
                "p99_us": at(99.0),
                "p99_9_us": at(99.9),
                "max_us": at(100.0),
            })
        };
        json!({
            "version": VERSION,
            "clients": clients,
            "seconds": (took.as_secs_f64() * 1e3).round() / 1e3,
            "interrupted": interrupted,
            "ok": self.ok(),
            "failed": self.failed,
            "unknown": self.unknown,
            "per_second": Self::per_second(self.ok(), took),
            "writes": of(&self.writes),
            "reads": of(&self.reads),
        })
    }
}

/// A line of the table: at most 80 columns.
fn row(name: &str, count: &str, rate: &str, percentiles: [String; 4], max: &str) -> String {
    let [p50, p90, p99, p99_9] = percentiles;
    format!("{name:<7}{count:>9}{rate:>11}{p50:>9}{p90:>9}{p99:>9}{p99_9:>9}{max:>9}")
}

/// `0.12ms`, `34.5ms`, `2.10s`.
fn shown(us: u64) -> String {
    match us {
        0..10_000 => format!("{:.2}ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{:.1}ms", us as f64 / 1e3),
        _ => format!("{:.2}s", us as f64 / 1e6),
    }
}
