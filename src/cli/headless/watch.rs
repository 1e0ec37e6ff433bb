//! `raft-tui watch`: what happens, and each change of who leads, who runs and whether writes go through.
//!
//! Kept true: a slow reader misses lines and is told how many, in their place; the end comes when it is asked for.
//! Not here: the sentences (`control/narrate.rs`), the lines (`cli/lines.rs`).

use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::super::Exit;
use super::super::lines::Form;
use super::super::repeats::Repeats;
use super::super::way::Masking;
use super::hand::{Hand, is_reached};
use super::status::summary;
use super::{End, Endpoints, NotReached, Output, OutputArguments, time};
use crate::cluster::Session;
use crate::control::narrate::safe;
use crate::control::{ClusterView, Happened, WritesStand};

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui watch --endpoints 10.0.0.1:7101
  raft-tui watch --jsonl --for 10s | jq 'select(.e == \"status\")'";

/// What to watch, and how long.
#[derive(Clone, Debug, Default, Args)]
pub struct WatchArguments {
    /// As `-o jsonl`: one JSON object a line, as in docs/formats.md, "Answers and events"
    #[arg(long)]
    pub jsonl: bool,

    /// End after so long [default: when interrupted]
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub span: Option<Duration>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub masking: Masking,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub output: OutputArguments,
}

impl WatchArguments {
    fn form(&self) -> Form {
        match self.output.output {
            Output::Table if !self.jsonl => Form::Sentences,
            Output::Table | Output::Json | Output::Jsonl => Form::Json,
        }
    }
}

/// Tells what happens until the time is over, the end is wanted, or the cluster has gone.
pub async fn run(session: Session, arguments: &WatchArguments, out: &mut dyn Write, end: &End) -> anyhow::Result<Exit> {
    let (hand, mut happened) = Hand::listening(session);
    let mut view = hand.view.clone();
    let mut over = pin!(async {
        match arguments.span {
            Some(span) => tokio::time::sleep(span).await,
            None => std::future::pending().await,
        }
    });
    let form = arguments.form();
    let first = tokio::select! {
        first = hand.settled(arguments.endpoints.patience()) => first,
        () = end.came() => return Ok(Exit::Fine),
    };
    if !is_reached(&first) {
        return Err(NotReached::in_time().into());
    }
    let mut last = standing(form, &first);
    writeln!(out, "{last}")?;
    out.flush()?;
    let mut teller = Teller { form, last_number: 0, repeats: Repeats::new(form) };
    loop {
        tokio::select! {
            () = end.came() => return teller.end(out),
            () = &mut over => return teller.end(out),
            told = happened.recv() => {
                let Some(told) = told else { return Err(NotReached("the cluster has gone".into()).into()) };
                teller.tell(&told, out)?;
                // Whatever else is there is written before the reader is woken.
                while let Ok(told) = happened.try_recv() {
                    teller.tell(&told, out)?;
                }
                out.flush()?;
            }
            changed = view.changed() => {
                if changed.is_err() {
                    return Err(NotReached("the cluster has gone".into()).into());
                }
                let now = standing(form, &view.borrow_and_update().clone());
                if now != last {
                    writeln!(out, "{now}")?;
                    out.flush()?;
                    last = now;
                }
            }
        }
    }
}

/// Writes what happens, and remembers what was told before.
struct Teller {
    form: Form,
    last_number: u64,
    repeats: Repeats,
}

impl Teller {
    fn tell(&mut self, told: &Arc<Happened>, out: &mut dyn Write) -> anyhow::Result<()> {
        let missed = if self.last_number > 0 { told.number.saturating_sub(self.last_number + 1) } else { 0 };
        self.last_number = told.number;
        if missed > 0 {
            writeln!(out, "{}", self.form.missed(missed))?;
        }
        for line in self.repeats.lines(told) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn end(&mut self, out: &mut dyn Write) -> anyhow::Result<Exit> {
        for line in self.repeats.rest() {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(Exit::Fine)
    }
}

#[derive(Serialize)]
struct Standing {
    e: &'static str,
    leader: Option<String>,
    term: Option<u64>,
    members: usize,
    running: Vec<String>,
    writes: Option<String>,
    faults: Vec<String>,
    alarms: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    values_masked: bool,
}

/// The standing of the cluster in one line; another line is another standing.
fn standing(form: Form, view: &Arc<ClusterView>) -> String {
    match form {
        Form::Sentences if view.values_masked => format!("= {}; values are masked", summary(view)),
        Form::Sentences => format!("= {}", summary(view)),
        Form::Json => {
            let writes = match &view.writes {
                WritesStand::Available => None,
                WritesStand::Stalled { why } => Some(safe(why)),
            };
            let running: Vec<String> =
                view.nodes.iter().filter(|node| node.is_running()).map(|node| node.id.to_string()).collect();
            let faults: Vec<String> = view.faults.iter().map(|fault| safe(&fault.text)).collect();
            let alarms: Vec<String> = view.alarms.iter().map(|alarm| safe(&alarm.text)).collect();
            let line = Standing {
                e: "status",
                leader: view.leader().map(|leader| leader.id.to_string()),
                term: view.leader().map(|leader| leader.term.0),
                members: view.nodes.len(),
                running,
                writes,
                faults,
                alarms,
                values_masked: view.values_masked,
            };
            // Nothing here can fail to be written.
            serde_json::to_string(&line).unwrap_or_default()
        }
    }
}
