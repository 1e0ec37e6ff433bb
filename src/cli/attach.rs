//! `raft-tui attach`: the console over a cluster that runs elsewhere.
//!
//! Kept true: a secret comes from a file that is its owner's alone, never from the command line.
//! Not here: how members are found and followed (`cluster/remote/`), who may what (`control/access.rs`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Exit;
use super::show::ShowArguments;
use crate::cluster::remote::{self, RemoteSpec};
use crate::control::tokens::{Tokens, is_name};
use crate::control::{Access, words};
use crate::transport::net::Tcp;
use crate::transport::tls::Tls;

/// A cluster to be attached to.
#[derive(Clone, Debug, Args)]
#[command(max_term_width = 100)]
pub struct AttachArguments {
    /// Where some of the nodes listen to consoles; one is enough, the others are found from it
    #[arg(value_name = "HOST:PORT", required = true, value_delimiter = ',', value_parser = address)]
    pub addresses: Vec<String>,

    /// Your token: a line of ACCESS NAME HEX64 in a file of mode 0600
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// The most that may be armed [default: what the token allows; without one, operator]
    #[arg(long, value_name = "ACCESS", value_enum)]
    pub access: Option<Wanted>,

    /// How this console is called where others see what it does [default: as the token says]
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub name: Option<String>,

    /// Certificate of the cluster's CA: encrypt, and talk only to nodes that it vouches for
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,

    /// How long faults last that are injected [default: 60s, and 30s where they take the majority away]
    #[arg(long, value_name = "TIME", value_parser = fault_ttl)]
    pub fault_ttl: Option<Duration>,

    /// How it is shown.
    #[command(flatten)]
    pub show: ShowArguments,
}

/// What can be wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Wanted {
    /// Watch, and read.
    Viewer,
    /// Submit commands too.
    Operator,
    /// Inject faults too.
    Chaos,
}

impl From<Wanted> for Access {
    fn from(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Viewer => Self::Viewer,
            Wanted::Operator => Self::Operator,
            Wanted::Chaos => Self::Chaos,
        }
    }
}

fn address(text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    match port {
        Some(Ok(port)) if port > 0 && text.len() <= 300 => Ok(text.to_owned()),
        _ => Err("a host and a port are wanted, as in 127.0.0.1:7101".into()),
    }
}

fn name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("letters, digits, `.`, `_`, `-`, 64 at most".into()) }
}

fn fault_ttl(text: &str) -> Result<Duration, String> {
    let us = words::duration(text).map_err(|error| error.to_string())?;
    let most = Duration::from_millis(crate::control::leases::TTL_MS_MAX);
    match Duration::from_micros(us) {
        ttl if ttl >= Duration::from_millis(1) && ttl <= most => Ok(ttl),
        _ => Err("1ms to 10m".into()),
    }
}

impl AttachArguments {
    /// What to attach to, and as whom.
    fn spec(&self) -> anyhow::Result<RemoteSpec> {
        let mut spec = RemoteSpec::new(Arc::new(Tcp), self.addresses.clone());
        if let Some(file) = &self.token_file {
            let tokens = Tokens::read(file)?;
            let wanted = self.access.map(Access::from);
            let best = tokens.holders().iter().max_by_key(|holder| holder.access);
            let holder = match wanted {
                Some(wanted) => tokens.for_access(wanted).or(best),
                None => best,
            };
            if let Some(holder) = holder {
                spec.access = wanted.map_or(holder.access, |wanted| wanted.min(holder.access));
                spec.name.clone_from(&holder.name);
                spec.token = Some(Arc::new(holder.token.clone()));
            }
        } else if let Some(wanted) = self.access {
            spec.access = wanted.into();
        }
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        spec.tls = self.tls_ca.as_deref().map(Tls::trusting).transpose()?.map(Arc::new);
        spec.fault_ttl = self.fault_ttl;
        Ok(spec)
    }
}

/// Attaches, and serves the console until it ends; the cluster stays as it is.
pub fn run(arguments: &AttachArguments) -> anyhow::Result<Exit> {
    let spec = arguments.spec()?;
    arguments.show.run(None, async move { Ok(remote::attach(spec).await?) }, || None)
}
