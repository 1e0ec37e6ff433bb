//! Subcommands without a screen, over a cluster that runs elsewhere (or, to try them out, in this process).
//!
//! Each is a function over a session: what is asked goes in as arguments, lines come out of a writer. [`connect`] alone
//! knows where the session comes from.
//!
//! Kept true: standard output has results, standard error all else; a closed output ends quietly; every wait has an end,
//! by a time-out or a signal.
//! Not here: what a cluster answers (`cluster/`), the grammar of operations (`control/grammar.rs`).

pub mod check;
pub mod client;
pub mod context;
pub mod ctl;
pub mod hand;
pub mod load;
pub mod manual;
pub mod outcome;
pub mod settings;
pub mod status;
pub mod submit;
pub mod watch;

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand, ValueEnum};
use tokio::sync::watch as latest;

use super::Exit;
use super::way::{Environment, Masking, Need, Way};
use crate::cluster::remote::{self, RemoteSpec};
use crate::cluster::{ClusterError, Guard, Session, Spec, local};
use crate::control::{Access, words};
use settings::Settings;

/// What is done without a screen.
#[derive(Clone, Debug, Subcommand)]
pub enum Headless {
    /// Who leads, who lags, and why writes stall
    #[command(after_help = status::EXAMPLE)]
    Status(status::StatusArguments),
    /// What happens in a cluster, as it happens, one line each
    #[command(after_help = watch::EXAMPLE)]
    Watch(watch::WatchArguments),
    /// One line and an exit code for monitoring
    #[command(after_help = check::EXAMPLE)]
    Check(check::CheckArguments),
    /// Replicate one command and print the reply
    #[command(after_help = submit::SUBMIT_EXAMPLE)]
    Submit(submit::SubmitArguments),
    /// Read one key, or list some
    #[command(after_help = submit::READ_EXAMPLE)]
    Read(submit::ReadArguments),
    /// Carry out an operation, or a script of them
    #[command(after_help = ctl::EXAMPLE)]
    Ctl(ctl::CtlArguments),
    /// Drive a cluster with clients and measure it
    #[command(after_help = load::EXAMPLE)]
    Load(load::LoadArguments),
    /// Operations as JSON lines on standard input, outcomes on standard output
    #[command(after_help = client::EXAMPLE)]
    Client(client::ClientArguments),
    /// Names for clusters, so that their addresses need not be typed
    #[command(after_help = context::EXAMPLE)]
    Context(context::ContextArguments),
    /// Completions for a shell
    #[command(after_help = manual::COMPLETIONS_EXAMPLE)]
    Completions(manual::CompletionsArguments),
    /// Manual pages, one for each subcommand
    #[command(after_help = manual::MAN_EXAMPLE)]
    Man(manual::ManArguments),
}

/// Which cluster, and how to get there.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which cluster")]
pub struct Endpoints {
    /// Control addresses of its nodes; one is enough. `lab:3` is a new cluster in this process, to try things out
    /// [env: `RAFT_TUI_ENDPOINTS`]
    #[arg(long, alias = "endpoint", value_name = "ADDR,…", value_delimiter = ',')]
    pub endpoints: Vec<String>,

    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub way: Way,

    /// How long to wait for the cluster, and for an answer [default: 5s]
    #[arg(long, value_name = "TIME", value_parser = time, env = "RAFT_TUI_TIMEOUT", hide_env_values = true)]
    pub timeout: Option<Duration>,
}

impl Endpoints {
    /// How long anything may take.
    #[must_use]
    pub fn patience(&self) -> Duration {
        self.timeout.unwrap_or(Duration::from_secs(5))
    }
}

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// JSON, one object a line
    Jsonl,
}

/// How results are to be written.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct OutputArguments {
    /// How results are written
    #[arg(long, short = 'o', value_enum, value_name = "FORM", default_value_t)]
    pub output: Output,
}

/// Reads a time such as `5s`.
pub fn time(text: &str) -> Result<Duration, words::WordError> {
    words::duration(text).map(Duration::from_micros)
}

/// Nothing was heard of any node, or not in time.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotReached(pub String);

impl NotReached {
    /// No node answered in time.
    #[must_use]
    pub fn in_time() -> Self {
        Self("no node was reached in time; see that they run, and their control addresses".into())
    }
}

/// It was not allowed; the sentence says what would help.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAllowed(pub String);

/// Somebody wants the end of the program.
#[derive(Clone, Debug)]
pub struct End(Option<latest::Receiver<bool>>);

impl End {
    /// Nobody ever wants it.
    #[must_use]
    pub const fn never() -> Self {
        Self(None)
    }

    /// An end, and what calls for it.
    #[must_use]
    pub fn new() -> (latest::Sender<bool>, Self) {
        let (call, called) = latest::channel(false);
        (call, Self(Some(called)))
    }

    /// Whether it is wanted.
    #[must_use]
    pub fn has_come(&self) -> bool {
        self.0.as_ref().is_some_and(|called| *called.borrow())
    }

    /// Ready when it is wanted.
    pub async fn came(&self) {
        let mut called = self.0.clone();
        let came = match &mut called {
            Some(called) => called.wait_for(|called| *called).await.is_ok(),
            None => false,
        };
        if !came {
            std::future::pending::<()>().await;
        }
    }
}

/// How long a cluster in this process may take to end.
const CLOSING: Duration = Duration::from_secs(5);
/// How long what is left of the program may take: a read of standard input.
const LEFTOVERS: Duration = Duration::from_millis(50);
/// How long the program may go on after a signal.
const AFTER_SIGNAL: Duration = Duration::from_secs(5);

/// What is to be told of what happens on nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct News {
    /// Anything.
    pub wanted: bool,
    /// With values, or without.
    pub masking: Masking,
}

/// The way to a cluster. The only place that knows where it is. `news`: whether what happens on the nodes is wanted
/// too.
///
/// # Errors
///
/// When no cluster is named, the settings make no sense, or no node answers in time.
pub async fn connect(endpoints: &Endpoints, access: Access, news: News) -> anyhow::Result<(Session, Guard)> {
    let found = endpoints.way.find(&endpoints.endpoints, &Environment::here())?;
    if let Some(nodes) = found.lab() {
        return Ok(local::start(Spec::new(nodes).real_time().in_memory())?);
    }
    let spec =
        RemoteSpec { news: news.wanted, mask_values: news.masking.mask_values, ..found.spec(Need::This(access))? };
    let patience = endpoints.patience();
    match tokio::time::timeout(patience, remote::attach(spec)).await {
        Ok(Err(error @ ClusterError::NoAnswer { .. })) => Err(NotReached(error.to_string()).into()),
        Ok(attached) => Ok(attached?),
        Err(_) => {
            let to = found.cluster.endpoints.join(", ");
            Err(NotReached(format!("no node of {to} answers within {patience:?}; see that one runs there")).into())
        }
    }
}

impl Headless {
    /// Runs it; results go to standard output.
    pub fn run(&self) -> anyhow::Result<Exit> {
        let mut out = io::stdout().lock();
        let mut err = io::stderr();
        let done = match self {
            Self::Context(arguments) => context::run(arguments, &Settings::path()?, &mut out),
            Self::Completions(arguments) => manual::completions(arguments, &mut out),
            Self::Man(arguments) => manual::man(arguments, &mut out),
            _ => self.over_a_session(&mut out, &mut err),
        };
        let done = done.and_then(|exit| out.flush().map(|()| exit).map_err(Into::into));
        match done {
            // Nobody reads any more: there is nobody to tell.
            Err(error) if is_broken_pipe(&error) => Ok(Exit::Fine),
            done => done,
        }
    }

    fn endpoints(&self) -> (Endpoints, Access) {
        match self {
            Self::Status(arguments) => (arguments.endpoints.clone(), Access::Viewer),
            Self::Watch(arguments) => (arguments.endpoints.clone(), Access::Viewer),
            Self::Check(arguments) => (arguments.endpoints.clone(), Access::Viewer),
            Self::Read(arguments) => (arguments.endpoints.clone(), Access::Viewer),
            Self::Submit(arguments) => (arguments.endpoints.clone(), Access::Operator),
            Self::Ctl(arguments) => (arguments.endpoints.clone(), Access::Viewer),
            Self::Load(arguments) => (arguments.endpoints.clone(), Access::Operator),
            Self::Client(arguments) => (arguments.endpoints.clone(), Access::Operator),
            Self::Context(_) | Self::Completions(_) | Self::Man(_) => (Endpoints::default(), Access::Viewer),
        }
    }

    fn over_a_session(&self, out: &mut dyn Write, err: &mut dyn Write) -> anyhow::Result<Exit> {
        let plan = match self {
            Self::Ctl(arguments) => Some(ctl::Plan::read(arguments, &mut io::stdin().lock())?),
            _ => None,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
        let exit = runtime.block_on(async {
            let end = end_of_signals()?;
            let (endpoints, access) = self.endpoints();
            let access = plan.as_ref().map_or(access, ctl::Plan::access);
            let news = match self {
                Self::Watch(arguments) => News { wanted: true, masking: arguments.masking },
                _ => News::default(),
            };
            let (session, guard) = match connect(&endpoints, access, news).await {
                // A probe says in its own way that there is nothing to say.
                Err(error) => match self {
                    Self::Check(arguments) if error.is::<NotReached>() => {
                        let verdict = check::Verdict::unknown(&error.to_string(), arguments);
                        return verdict.write(arguments.output.output, out);
                    }
                    _ => return Err(error),
                },
                Ok(connected) => connected,
            };
            let went = match self {
                Self::Status(arguments) => status::run(session, arguments, out).await,
                Self::Watch(arguments) => watch::run(session, arguments, out, &end).await,
                Self::Check(arguments) => check::run(session, arguments, out).await,
                Self::Submit(arguments) => submit::submit(session, arguments, out, err).await,
                Self::Read(arguments) => submit::read(session, arguments, out, err).await,
                Self::Ctl(arguments) => ctl::run(session, arguments, plan.unwrap_or_default(), out, err, &end).await,
                Self::Load(arguments) => load::run(session, arguments, out, err, &end).await,
                Self::Client(arguments) => {
                    let input = tokio::io::BufReader::new(tokio::io::stdin());
                    client::run(session, arguments, input, out, &end).await
                }
                Self::Context(_) | Self::Completions(_) | Self::Man(_) => Ok(Exit::Fine),
            };
            // The session is gone, so the cluster is being let go; what takes longer ends with the process.
            let _ = tokio::time::timeout(CLOSING, guard.ended()).await;
            went
        });
        runtime.shutdown_timeout(LEFTOVERS);
        exit
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |cause: &(dyn std::error::Error + 'static)| {
        let io = cause.downcast_ref::<io::Error>().map(io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(serde_json::Error::io_error_kind);
        io.or(json) == Some(io::ErrorKind::BrokenPipe)
    };
    error.chain().any(broken)
}

/// The first signal asks for the end; a second one, or patience running out, is the end.
fn end_of_signals() -> anyhow::Result<End> {
    let (call, end) = End::new();
    let first = super::end_signal().context("listening to signals")?;
    tokio::spawn(async move {
        first.await;
        call.send_replace(true);
        if let Ok(again) = super::end_signal() {
            let _ = tokio::time::timeout(AFTER_SIGNAL, again).await;
        }
        // Somebody who does not read our output must not keep us.
        std::process::exit(Exit::Io as i32);
    });
    Ok(end)
}
