//! How a session is shown: the flags of it, and a session's life from its start to its end.
//!
//! Kept true: what a session leaves behind does not keep the program; the log tells where a session that failed did.
//! Not here: which cluster it is (`mod.rs`, `attach.rs`), the window (`tui/`), sentences (`plain.rs`).

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tracing_subscriber::filter::Targets;

use super::{Exit, LEFTOVERS, end_signal, lines, plain};
use crate::cluster::{Guard, Session};
use crate::telemetry::{self, Telemetry};
use crate::tui::theme::Depth;
use crate::tui::{self, TuiOptions};

/// How long nodes get to close their stores when the console was closed.
const CLOSING: Duration = Duration::from_secs(6);
/// The same when a signal ended it or the terminal is gone.
const CLOSING_IN_A_HURRY: Duration = Duration::from_millis(600);

/// How a session is shown, and where the log of it goes.
#[derive(Clone, Debug, Args)]
pub struct ShowArguments {
    /// Sentences instead of a screen; commands from standard input [chosen by itself without a terminal]
    #[arg(long)]
    pub plain: bool,

    /// As --plain, one JSON object a line
    #[arg(long)]
    pub json: bool,

    /// Colours: default, dark, light, or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub theme: String,

    /// How many colours the terminal has; `NO_COLOR` in the environment counts as none
    #[arg(long, value_name = "DEPTH", value_enum, default_value_t = Color::Auto)]
    pub color: Color,

    /// Draw with ASCII only
    #[arg(long)]
    pub ascii: bool,

    /// Where the log goes [default: raft-tui.log in the data folder, if there is one, or a temporary file that goes when
    /// all went well]
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, trace, or a list such as `info,raft_tui::node=debug`
    #[arg(long, value_name = "LEVEL", default_value = telemetry::DEFAULT_LEVEL, value_parser = telemetry::parse_level)]
    pub log_level: Targets,
}

/// How many colours to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// As many as the terminal seems to have.
    Auto,
    /// 24 bits.
    Truecolor,
    /// The fixed palette of 256.
    #[value(name = "256")]
    Ansi256,
    /// The terminal's own sixteen.
    #[value(name = "16")]
    Ansi16,
    /// None: bold, underlined and reversed only.
    None,
}

impl ShowArguments {
    /// How the screen is wanted.
    fn screen(&self) -> TuiOptions {
        let depth = match self.color {
            Color::Auto => None,
            Color::Truecolor => Some(Depth::True),
            Color::Ansi256 => Some(Depth::Indexed),
            Color::Ansi16 => Some(Depth::Sixteen),
            Color::None => Some(Depth::Mono),
        };
        TuiOptions { theme: self.theme.clone(), depth, ascii: self.ascii, ..TuiOptions::default() }
    }

    /// Starts a session, of a cluster in `data_dir` if there is one, and serves it until it ends; `finish` is asked what went wrong besides.
    pub fn run(
        &self,
        data_dir: Option<&Path>,
        start: impl Future<Output = anyhow::Result<(Session, Guard)>>,
        finish: impl FnOnce() -> Option<anyhow::Result<()>>,
    ) -> anyhow::Result<Exit> {
        let log_file = self.log_file.clone().unwrap_or_else(|| telemetry::default_file(data_dir));
        let telemetry = Telemetry::start(&self.log_level)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
        let exit = runtime.block_on(async {
            let end = end_signal().context("listening to signals")?;
            let mut end = pin!(end);
            let screen = (!(self.plain || self.json || !io::stdout().is_terminal())).then(|| self.screen());
            if let Some(options) = &screen {
                tui::check(options)?;
            }
            let (session, guard) = tokio::select! {
                started = start => started?,
                () = &mut end => return Ok(Exit::Failed),
            };
            if let Err(error) = telemetry.open(&log_file) {
                drop(session);
                // A temporary data folder is removed at the end of the cluster.
                let _ = tokio::time::timeout(CLOSING, guard.ended()).await;
                return Err(error.into());
            }
            telemetry::install_panic_hook(log_file, tui::restore);
            if let Some(options) = screen {
                return show(options, session, guard).await;
            }
            let form = if self.json { lines::Form::Json } else { lines::Form::Sentences };
            let input = tokio::io::BufReader::new(tokio::io::stdin());
            let went = plain::run_plain(session, input, tokio::io::stdout(), form, end).await;
            // The cluster has been told to end, and was waited for as long as this way of ending allows.
            let trouble = tokio::time::timeout(LEFTOVERS, guard.ended()).await.ok().flatten();
            anyhow::Ok(match trouble {
                Some(trouble) if matches!(went, Exit::Fine | Exit::Failed) => Exit::of_trouble(trouble),
                _ => went,
            })
        });
        runtime.shutdown_timeout(LEFTOVERS);
        let exit = match (finish(), exit) {
            (Some(Err(error)), Ok(Exit::Fine | Exit::Failed)) => Err(error),
            (Some(_) | None, exit) => exit,
        };
        telemetry.close(matches!(exit, Ok(Exit::Fine)));
        exit
    }
}

/// Opens the console, and stops the cluster when it is closed.
async fn show(options: TuiOptions, session: Session, guard: Guard) -> anyhow::Result<Exit> {
    let ended = tui::run(session, options).await?;
    // The session is gone with the console, so the cluster is stopping. A signal leaves it less time.
    let patience = if ended == tui::Ended::Asked { CLOSING } else { CLOSING_IN_A_HURRY };
    let trouble = tokio::time::timeout(patience, guard.ended()).await.ok().flatten();
    Ok(trouble.map_or(Exit::Fine, Exit::of_trouble))
}
