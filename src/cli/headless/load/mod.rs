//! `raft-tui load`: clients that ask as fast as they are answered, or at a rate, and what they measured.
//!
//! Each client has one operation open. At a rate, operations have a time at which they should begin, over all clients;
//! latency counts from then, so that a cluster which stalls cannot hide it by keeping clients from asking.
//!
//! Kept true: what was sent and not answered is unknown, never failed; the summary comes however the load ends.
//! Not here: what is asked (`mix.rs`), figures (`tally.rs`), the file of the history (`book.rs`).

pub mod book;
pub mod mix;
pub mod tally;

use std::io::{self, IsTerminal as _, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::Exit;
use super::hand::{Hand, is_reached};
use super::outcome::{Outcome, operation};
use super::{End, Endpoints, NotAllowed, NotReached, time};
use crate::cluster::Session;
use crate::control::{Access, Condition, Operation, words};
use crate::machine::kv::VALUE_MAX;
use book::Book;
use mix::{Mix, Picker};
use tally::Tally;

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui load --clients 64 --duration 30s
  raft-tui load --rate 500/s --mix set=20,get=80 --history history.jsonl
  raft-tui load --endpoints lab:5 --json

Latency counts from when an operation should have begun. Ctrl-C ends it early.";

/// How long clients may take for what is under way after the end was asked for.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long a client rests after it was refused, so that it does not ask in circles.
const AFTER_FAILURE: Duration = Duration::from_millis(10);
/// How often the progress is shown.
const PROGRESS: Duration = Duration::from_millis(500);

/// How much, of what, for how long.
#[derive(Clone, Debug, Args)]
pub struct LoadArguments {
    /// How many clients, each with one operation open
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub clients: u64,

    /// Operations a second, over all clients; max: as fast as they are answered
    #[arg(long, value_name = "RATE/s|max", default_value = "max", value_parser = rate)]
    pub rate: Rate,

    /// How long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub duration: Duration,

    /// How many keys at a time
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub keys: u64,

    /// How long values are
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=VALUE_MAX as u64))]
    pub value_size: u64,

    /// What is asked, in parts
    #[arg(long, value_name = "PARTS", default_value = "set=50,get=40,cas=5,incr=3,del=2")]
    pub mix: Mix,

    /// Write what clients saw into this file, for a checker of linearizability; new keys after 400 operations
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,

    /// The summary as one JSON object
    #[arg(long)]
    pub json: bool,

    /// Why, for the audit log of the nodes
    #[arg(long, value_name = "REASON", default_value = "raft-tui load")]
    pub arm: String,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
}

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// As fast as clients are answered.
    Max,
    /// So many a second.
    PerSecond(u32),
}

fn rate(text: &str) -> Result<Rate, words::WordError> {
    if text.eq_ignore_ascii_case("max") { Ok(Rate::Max) } else { words::rate(text).map(Rate::PerSecond) }
}

struct Shared {
    hand: Hand,
    rate: Rate,
    started: Instant,
    until: Instant,
    within: Duration,
    issued: AtomicU64,
    begun: AtomicU64,
    picker: Mutex<Picker>,
    tally: Mutex<Tally>,
    book: Option<Mutex<Book>>,
    end: End,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// When the next operation should begin; `None`: not at all.
    fn next_due(&self) -> Option<Instant> {
        let due = match self.rate {
            Rate::Max => Instant::now(),
            Rate::PerSecond(rate) => {
                let number = self.issued.fetch_add(1, Ordering::Relaxed);
                self.started + Duration::from_nanos((u128::from(number) * 1_000_000_000 / u128::from(rate)) as u64)
            }
        };
        (due < self.until && !self.end.has_come()).then_some(due)
    }

    /// One client, from first to last.
    async fn drive(&self, client: usize) {
        while let Some(due) = self.next_due() {
            if due > Instant::now() {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = self.end.came() => return,
                }
            }
            let picked = lock(&self.picker).pick();
            let began = if self.rate == Rate::Max { Instant::now() } else { due };
            let op = self.book.as_ref().and_then(|book| lock(book).invoke(client, &picked));
            self.begun.fetch_add(1, Ordering::Relaxed);
            let is_read = picked.is_read();
            let asked = operation(picked.key.clone(), picked.ask.clone(), None);
            let outcome = Outcome::of(self.hand.ask(asked, Some(self.within)).await);
            if let Some((book, op)) = self.book.as_ref().zip(op) {
                lock(book).end(op, &outcome);
            }
            lock(&self.picker).learn(picked, &outcome);
            lock(&self.tally).add(is_read, &outcome, began.elapsed());
            if !matches!(outcome, Outcome::Ok { .. }) {
                sleep(AFTER_FAILURE).await;
            }
        }
    }
}

/// Drives the cluster and tells what was measured.
pub async fn run(
    session: Session,
    arguments: &LoadArguments,
    out: &mut dyn Write,
    err: &mut dyn Write,
    end: &End,
) -> anyhow::Result<Exit> {
    let book = arguments.history.as_deref().map(Book::create).transpose()?;
    let hand = Hand::take(session);
    let patience = arguments.endpoints.patience();
    if !is_reached(&*hand.settled(patience).await) {
        return Err(NotReached::in_time().into());
    }
    hand.arm(Access::Operator, &arguments.arm, patience).await.map_err(NotAllowed)?;
    // The first election is not what is measured; a cluster that finds no leader is measured as it is.
    let wait = Operation::Wait { condition: Condition::Leader, timeout_us: patience.as_micros() as u64 };
    let _ = hand.ask(wait, Some(patience)).await;
    let started = Instant::now();
    let shared = Arc::new(Shared {
        hand,
        rate: arguments.rate,
        started,
        until: started + arguments.duration,
        within: patience,
        issued: AtomicU64::new(0),
        begun: AtomicU64::new(0),
        picker: Mutex::new(Picker::new(arguments, book.is_some())),
        tally: Mutex::new(Tally::new()?),
        book: book.map(Mutex::new),
        end: end.clone(),
    });
    let mut clients = JoinSet::new();
    for _ in 0..arguments.clients {
        let client = shared.book.as_ref().map_or(0, |book| lock(book).client());
        let shared = Arc::clone(&shared);
        clients.spawn(async move { shared.drive(client).await });
    }
    let show = io::stderr().is_terminal();
    let mut progress = tokio::time::interval(PROGRESS);
    loop {
        tokio::select! {
            ended = clients.join_next() => if ended.is_none() { break },
            () = end.came() => break,
            _ = progress.tick(), if show => {
                write!(err, "\r{}\x1b[K", lock(&shared.tally).progress(started.elapsed()))?;
                err.flush()?;
            }
        }
    }
    // Whoever is still waiting has little time left.
    let last = async { while clients.join_next().await.is_some() {} };
    let _ = timeout(LAST_ANSWERS, last).await;
    clients.shutdown().await;
    if show {
        write!(err, "\r\x1b[K")?;
    }
    let took = started.elapsed();
    shared.book.as_ref().map_or(Ok(()), |book| lock(book).close())?;
    let mut tally = lock(&shared.tally);
    tally.close(shared.begun.load(Ordering::Relaxed));
    let text = if arguments.json {
        tally.json(arguments.clients, took, end.has_come()).to_string()
    } else {
        tally.table(arguments.clients, took, end.has_come())
    };
    writeln!(out, "{text}")?;
    Ok(if tally.ok() > 0 { Exit::Fine } else { Exit::Failed })
}
