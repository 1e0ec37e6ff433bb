//! `raft-tui node`: one node in one process, for `raft-tui attach` and other consoles.
//!
//! Kept true: the first line on standard error says where the node listens; a signal ends it in order within seconds.
//! Not here: the node (`cluster/host/`), the names of settings in a file (`config.rs`).

use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tracing_subscriber::filter::Targets;

use super::config::{self, Config, ConfigError, Name};
use super::trace::TraceFile;
use super::{Exit, LEFTOVERS};
use crate::cluster::host::{self, Ended, Host, HostSpec, TlsFiles, Trouble};
use crate::control::{Pace, words};
use crate::machine::kv::KvStore;
use crate::telemetry::{self, Telemetry};
use crate::text::{is_safe, sanitize_str};

/// Name of a cluster when nothing is said.
const CLUSTER: &str = "demo";

/// How long a process that has panicked may take to tell of it.
const LAST_WORDS: Duration = Duration::from_millis(1_500);

/// One node of a cluster of processes.
#[derive(Clone, Debug, Default, Args)]
#[command(max_term_width = 100)]
pub struct NodeArguments {
    /// Which member this is: 2 or n2
    #[arg(long, value_name = "N")]
    id: Option<String>,

    /// Where it listens to its peers
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,

    /// Where it listens to consoles
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<String>,

    /// All members with their peer addresses, this one too: 1=host:port,2=host:port
    #[arg(long, value_name = "MEMBERS")]
    peers: Option<String>,

    /// Its folder
    #[arg(long, short = 'd', value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Settings that no flag says, in TOML under the same names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Name of the cluster, the same for all members [default: demo]
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,

    /// Make a new node where the folder is empty; without it an empty folder is refused
    #[arg(long)]
    bootstrap: bool,

    /// A new cluster that allows fault injection, for good; the same for all members
    #[arg(long)]
    chaos: bool,

    /// Allow fault injection on this node, if the cluster does
    #[arg(long)]
    enable_chaos: bool,

    /// Tokens of consoles: lines of ACCESS NAME HEX64, mode 0600
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Certificate of the cluster's CA
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// This node's certificate
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// Its key, mode 0600
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Listen beyond this machine without tokens or encryption: whoever reaches the ports may do everything
    #[arg(long)]
    insecure_i_know: bool,

    /// How fast the node's time runs, the same for all members [default: real]
    #[arg(long, value_name = "PACE")]
    pace: Option<String>,

    /// How much longer each message to a peer takes [default: 0ms]
    #[arg(long, value_name = "TIME")]
    link_delay: Option<String>,

    /// Take a snapshot each time so many entries were applied [default: 50000]
    #[arg(long, value_name = "ENTRIES")]
    snapshot_entries: Option<u64>,

    /// Luck of elections and faults [default: different each time]
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,

    /// Where the log goes [default: raft-tui.log in the folder]
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, trace, or a list such as `info,raft_tui::node=debug`
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,

    /// What the node does, for programs: one JSON object a line, docs/formats.md says which
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,

    /// Messages too go into the trace
    #[arg(long)]
    trace_messages: bool,

    /// The cluster's number, for whoever starts all members
    #[arg(long, value_name = "HEX", hide = true)]
    cluster_id: Option<String>,

    /// Written when the node listens, with its addresses
    #[arg(long, value_name = "FILE", hide = true)]
    ready_file: Option<PathBuf>,

    /// End when standard input is closed: whoever started this process holds the other end for as long as he lives
    #[arg(long, hide = true)]
    die_with_parent: bool,
}

/// All settings, from flags and file.
#[derive(Clone)]
struct Settings {
    spec: HostSpec,
    log_file: PathBuf,
    log_level: Targets,
    trace: Option<PathBuf>,
    trace_messages: bool,
    ready_file: Option<PathBuf>,
}

impl NodeArguments {
    fn settings(self) -> Result<Settings, ConfigError> {
        let file = self.config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
        let of_file = &file.node;
        // A flag goes before the file; an error says which of them was wrong.
        macro_rules! read {
            ($key:literal, $flag:expr, $stands:expr, $read:expr) => {{
                let flag_error =
                    |why: String| ConfigError::Value { place: String::new(), key: concat!("--", $key), why };
                match (&$flag, &$stands) {
                    (Some(said), _) => Some($read(said).map_err(flag_error)?),
                    (None, Some(said)) => Some($read(said).map_err(|why: String| file.wrong($key, why))?),
                    (None, None) => None,
                }
            }};
        }
        let id_of_file = of_file.id.as_ref().map(|id| match id {
            Name::Number(number) => number.to_string(),
            Name::Text(text) => text.clone(),
        });
        let id = read!("id", self.id, id_of_file, |text: &String| config::node_id(text));
        let listen = read!("listen", self.listen, of_file.listen, |text: &String| config::address(text));
        let control = read!("control", self.control, of_file.control, |text: &String| config::address(text));
        let peers = match (&self.peers, &of_file.peers) {
            (Some(text), _) => {
                let wrong = |why| ConfigError::Value { place: String::new(), key: "--peers", why };
                Some(config::peers(text).map_err(wrong)?)
            }
            (None, Some(table)) => Some(config::members(table.clone()).map_err(|why| file.wrong("peers", why))?),
            (None, None) => None,
        };
        let cluster = read!("cluster", self.cluster, of_file.cluster, |text: &String| cluster_name(text));
        let pace = read!("pace", self.pace, of_file.pace, |text: &String| words::pace(text)
            .map(|(cluster, real)| Pace { cluster, real })
            .map_err(|why| why.to_string()));
        let link_delay_us = read!("link-delay", self.link_delay, of_file.link_delay, |text: &String| {
            words::duration(text).map_err(|why| why.to_string())
        });
        let log_level = read!("log-level", self.log_level, of_file.log_level, |text: &String| {
            telemetry::parse_level(text).map_err(|why| why.to_string())
        });
        let snapshot_entries =
            read!("snapshot-entries", self.snapshot_entries, of_file.snapshot_entries, |entries: &u64| {
                if *entries > 0 { Ok(*entries) } else { Err("at least one entry".to_owned()) }
            });
        let none: Option<String> = None;
        let cluster_id = read!("cluster-id", self.cluster_id, none, |text: &String| {
            u128::from_str_radix(text, 16).map_err(|_| "a number of 32 hexadecimal digits is wanted".to_owned())
        });
        let tls = [
            ("tls-ca", self.tls_ca.or_else(|| of_file.tls_ca.clone())),
            ("tls-cert", self.tls_cert.or_else(|| of_file.tls_cert.clone())),
            ("tls-key", self.tls_key.or_else(|| of_file.tls_key.clone())),
        ];
        let tls = match tls {
            [(_, None), (_, None), (_, None)] => None,
            [(_, Some(ca)), (_, Some(cert)), (_, Some(key))] => Some(TlsFiles { ca, cert, key }),
            some => {
                let missing = some.into_iter().find(|(_, path)| path.is_none());
                return Err(ConfigError::Missing(missing.map_or("tls-ca", |(name, _)| name)));
            }
        };
        let yes = |flag: bool, stands: Option<bool>| flag || stands.unwrap_or(false);
        let data_dir = self.data_dir.or_else(|| of_file.data_dir.clone()).ok_or(ConfigError::Missing("data-dir"))?;
        let snapshot_entries = snapshot_entries.unwrap_or(50_000);
        let log_level = match log_level {
            Some(level) => level,
            None => telemetry::parse_level(telemetry::DEFAULT_LEVEL).unwrap_or_default(),
        };
        Ok(Settings {
            log_file: self.log_file.or_else(|| of_file.log_file.clone()).unwrap_or_else(|| host::log_file(&data_dir)),
            log_level,
            trace: self.trace.or_else(|| of_file.trace.clone()),
            trace_messages: yes(self.trace_messages, of_file.trace_messages),
            ready_file: self.ready_file,
            spec: HostSpec {
                id: id.ok_or(ConfigError::Missing("id"))?,
                cluster: cluster.unwrap_or_else(|| CLUSTER.to_owned()),
                peers: peers.ok_or(ConfigError::Missing("peers"))?,
                listen: listen.ok_or(ConfigError::Missing("listen"))?,
                control: control.ok_or(ConfigError::Missing("control"))?,
                data_dir,
                pace: pace.unwrap_or(Pace::REAL),
                link_delay_us: link_delay_us.unwrap_or(0),
                seed: self.seed.or(of_file.seed).unwrap_or_else(|| RandomState::new().hash_one("seed") >> 32),
                snapshot_entries,
                keep_entries: (snapshot_entries / 10).min(super::KEEP_ENTRIES_MAX),
                client_timeout_ticks: 200,
                machine: Arc::new(|| Box::new(KvStore::default())),
                bootstrap: yes(self.bootstrap, of_file.bootstrap),
                chaos: yes(self.chaos, of_file.chaos),
                enable_chaos: yes(self.enable_chaos, of_file.enable_chaos),
                cluster_id,
                token_file: self.token_file.or_else(|| of_file.token_file.clone()),
                tls,
                insecure: yes(self.insecure_i_know, of_file.insecure_i_know),
                trace: None,
            },
        })
    }
}

fn cluster_name(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is no name: small letters, digits, `.`, `_`, `-`, 64 at most", sanitize_str(text)))
    }
}

/// Runs a node until it is asked to end, or ends by itself.
pub fn run(arguments: &NodeArguments) -> anyhow::Result<Exit> {
    let from_file = arguments.config.is_some();
    let settings = match arguments.clone().settings() {
        Ok(settings) => settings,
        // On the command line alone, it is the command line that makes no sense.
        Err(error @ (ConfigError::Missing(_) | ConfigError::Value { .. })) if !from_file => {
            say(&format!("raft-tui: {error}"));
            return Ok(Exit::Usage);
        }
        Err(error) => return Err(error.into()),
    };
    let Settings { mut spec, log_file, log_level, trace, trace_messages, ready_file } = settings;
    let telemetry = Telemetry::start(&log_level)?;
    let trace = trace.as_deref().map(|file| TraceFile::create(file, trace_messages)).transpose()?;
    spec.trace = trace.as_ref().map(TraceFile::sink);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting threads")?;
    let exit = runtime.block_on(async {
        let signal = super::end_signal().context("listening to signals")?;
        let orphaned = arguments.die_with_parent.then(orphaned).transpose().context("watching standard input")?;
        let mut end = std::pin::pin!(async move {
            match orphaned {
                Some(orphaned) => tokio::select! { () = signal => {}, _ = orphaned => {} },
                None => signal.await,
            }
        });
        let (id, cluster) = (spec.id, spec.cluster.clone());
        let started = tokio::select! {
            () = &mut end => return Ok(Exit::Fine),
            started = host::start(spec) => started,
        };
        let host = started?;
        telemetry.open(&log_file)?;
        telemetry::install_panic_hook(log_file.clone(), || ());
        end_after_panics();
        let (peers, consoles) = (host.peer_address(), host.control_address());
        let hello = format!("raft-tui node {id} of cluster {cluster}: peers on {peers}, consoles on {consoles}");
        say(&hello);
        tracing::info!("{hello}");
        for warning in host.warnings() {
            say(&format!("raft-tui: {warning}"));
            tracing::warn!("{warning}");
        }
        if let Some(file) = &ready_file {
            tell_ready(file, &host, id.0).with_context(|| format!("writing {}", file.display()))?;
        }
        anyhow::Ok(match host.run(end).await {
            Ended::Stopped => Exit::Fine,
            Ended::Halted { why, trouble } => {
                say(&format!("raft-tui: {id} halted: {why}"));
                // For a process a disk that failed on purpose is a disk that failed.
                if trouble == Trouble::OnPurpose { Exit::Io } else { Exit::of_trouble(trouble) }
            }
        })
    });
    runtime.shutdown_timeout(LEFTOVERS);
    let exit = match (trace.map(TraceFile::finish), exit) {
        (Some(Err(error)), Ok(Exit::Fine)) => Err(error),
        (Some(_) | None, exit) => exit,
    };
    telemetry.close(false);
    exit
}

/// Ready when standard input is closed. A thread of its own: a read of it cannot be given up.
fn orphaned() -> io::Result<tokio::sync::oneshot::Receiver<()>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::Builder::new().name("parent".into()).spawn(move || {
        // An error is an end too.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        let _ = tell.send(());
    })?;
    Ok(told)
}

/// A node that panics anywhere has a mistake in it and must not go on; consoles are told first if that is still possible.
fn end_after_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tell(panic);
        let what = panic.payload_as_str().map_or_else(|| "no message".to_owned(), sanitize_str);
        say(&format!("raft-tui stopped because of a mistake of its own: {what}"));
        std::thread::spawn(|| {
            std::thread::sleep(LAST_WORDS);
            std::process::exit(Exit::Broken as i32);
        });
    }));
}

fn say(line: &str) {
    let line = if is_safe(line) { line.to_owned() } else { sanitize_str(line) };
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Written beside and renamed: whoever sees the file sees all of it.
fn tell_ready(file: &Path, host: &Host, id: u64) -> io::Result<()> {
    let ready = json!({
        "pid": std::process::id(),
        "node": id,
        "peer": host.peer_address().to_string(),
        "control": host.control_address().to_string(),
    });
    let mut name = file.as_os_str().to_owned();
    name.push(".new");
    let beside = PathBuf::from(name);
    let mut options = OpenOptions::new();
    let mut new = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    writeln!(new, "{ready}")?;
    fs::rename(&beside, file)
}
