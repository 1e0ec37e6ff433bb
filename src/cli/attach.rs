//! `raft-tui attach`: the console over a cluster that runs elsewhere.
//!
//! Kept true: nothing is dialled before it is clear which cluster is meant, and as whom.
//! Not here: how that is found out (`way.rs`), how members are followed (`cluster/remote/`), who may what
//! (`control/access.rs`).

use std::time::Duration;

use clap::Args;

use super::Exit;
use super::headless::settings::Wrong;
use super::show::ShowArguments;
use super::way::{Environment, Masking, Need, Way};
use crate::cluster::remote::{self, RemoteSpec};
use crate::control::words;

/// A cluster to be attached to.
#[derive(Clone, Debug, Args)]
#[command(max_term_width = 100)]
pub struct AttachArguments {
    /// Where some of the nodes listen to consoles; one is enough, the others are found from it
    /// [env: `RAFT_TUI_ENDPOINTS`] [default: those of the context]
    #[arg(value_name = "HOST:PORT", value_delimiter = ',')]
    pub addresses: Vec<String>,

    /// How to get there.
    #[command(flatten)]
    pub way: Way,

    /// How long faults last that are injected [default: 60s, and 30s where they take the majority away]
    #[arg(long, value_name = "TIME", value_parser = fault_ttl)]
    pub fault_ttl: Option<Duration>,

    /// What is not told.
    #[command(flatten)]
    pub masking: Masking,

    /// How it is shown.
    #[command(flatten)]
    pub show: ShowArguments,
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
        let found = self.way.find(&self.addresses, &Environment::here())?;
        if let Some(nodes) = found.lab() {
            return Err(Wrong::Lab(nodes).into());
        }
        Ok(RemoteSpec { fault_ttl: self.fault_ttl, mask_values: self.masking.mask_values, ..found.spec(Need::All)? })
    }
}

/// Attaches, and serves the console until it ends; the cluster stays as it is.
pub fn run(arguments: &AttachArguments) -> anyhow::Result<Exit> {
    let spec = arguments.spec()?;
    arguments.show.run(None, async move { Ok(remote::attach(spec).await?) }, || None)
}
