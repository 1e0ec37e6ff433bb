//! The way to a cluster that runs elsewhere: what flags, environment and contexts say of it, made into one thing.
//!
//! | what | first of |
//! | --- | --- |
//! | addresses | written on the command line; of `--context`; `RAFT_TUI_ENDPOINTS`; of `RAFT_TUI_CONTEXT`; of the context in use |
//! | all else | its flag; its `RAFT_TUI_*`; the context, if the addresses come from one or one is named beside them |
//!
//! Kept true: a console and a subcommand that are told the same get to the same cluster, as the same person; a secret
//! comes from a file that is its owner's alone, never from the command line.
//! Not here: the file of contexts (`headless/settings.rs`), how members are found and followed (`cluster/remote/`).

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::headless::NotAllowed;
use super::headless::settings::{Cluster, Settings, Wrong, check_endpoint};
use crate::cluster::remote::RemoteSpec;
use crate::control::Access;
use crate::control::tokens::{Tokens, is_name};
use crate::transport::net::Tcp;
use crate::transport::tls::Tls;

/// How to get to a cluster, and as whom.
#[derive(Clone, Debug, Default, Args)]
pub struct Way {
    /// A name given with `raft-tui context set` [env: `RAFT_TUI_CONTEXT`] [default: the one in use]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,

    /// Your token: a line of ACCESS NAME HEX64 in a file of mode 0600
    #[arg(long, value_name = "FILE", env = "RAFT_TUI_TOKEN_FILE", hide_env_values = true)]
    pub token_file: Option<PathBuf>,

    /// Certificate of the cluster's CA: encrypt, and talk only to nodes that it vouches for
    #[arg(long, value_name = "FILE", env = "RAFT_TUI_TLS_CA", hide_env_values = true)]
    pub tls_ca: Option<PathBuf>,

    /// The most that may be done [default: what the token allows; without one, operator]
    #[arg(long, value_name = "ACCESS", value_enum, env = "RAFT_TUI_ACCESS", hide_env_values = true)]
    pub access: Option<Most>,

    /// How this console is called where others see what it does [default: as the token says]
    #[arg(long, value_name = "NAME", value_parser = name, env = "RAFT_TUI_NAME", hide_env_values = true)]
    pub name: Option<String>,
}

/// What is not told.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct Masking {
    /// Hide the values of commands in what happens: `SET key ‹12 bytes›`; keys stay, and what you ask for yourself is
    /// shown [default: true, unless all nodes are on this machine]
    #[arg(
        long,
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        hide_possible_values = true
    )]
    pub mask_values: Option<bool>,
}

/// The most that may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Most {
    /// Watch, and read.
    Viewer,
    /// Submit commands too.
    Operator,
    /// Inject faults too.
    Chaos,
}

impl From<Most> for Access {
    fn from(most: Most) -> Self {
        match most {
            Most::Viewer => Self::Viewer,
            Most::Operator => Self::Operator,
            Most::Chaos => Self::Chaos,
        }
    }
}

/// Reads how a console may be called.
pub fn name(text: &str) -> Result<String, String> {
    if is_name(text) { Ok(text.to_owned()) } else { Err("letters, digits, `.`, `_`, `-`, 64 at most".into()) }
}

/// What the environment says of the cluster; what is empty is not said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `RAFT_TUI_ENDPOINTS`, separated by commas.
    pub endpoints: Vec<String>,
    /// `RAFT_TUI_CONTEXT`.
    pub context: Option<String>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn here() -> Self {
        let said = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
        let text = |name: &str| said(name).map(|value| value.to_string_lossy().into_owned());
        let endpoints = text("RAFT_TUI_ENDPOINTS").unwrap_or_default();
        Self { endpoints: listed(endpoints.split(',')), context: text("RAFT_TUI_CONTEXT") }
    }
}

fn listed<'a>(endpoints: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    endpoints.into_iter().filter(|endpoint| !endpoint.is_empty()).map(str::to_owned).collect()
}

/// A cluster that was found by all that is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// As a context of its own.
    pub cluster: Cluster,
    /// Which context had a part in it.
    pub context: Option<String>,
}

/// For what a cluster is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// For this, with the weakest token that will do.
    This(Access),
    /// For whatever comes, with the best token there is.
    All,
}

impl Way {
    /// Which cluster is meant by these addresses from the command line, or none, and the rest.
    ///
    /// # Errors
    ///
    /// When none is named, or what is named is not there or makes no sense.
    pub fn find(&self, endpoints: &[String], environment: &Environment) -> anyhow::Result<Found> {
        let mut endpoints = listed(endpoints.iter().map(String::as_str));
        let mut name = self.context.as_ref();
        if endpoints.is_empty() && name.is_none() {
            endpoints.clone_from(&environment.endpoints);
            // What names the addresses beside a context takes the rest from it.
            name = environment.context.as_ref();
        }
        let mut found = Found { cluster: Cluster::default(), context: None };
        if endpoints.is_empty() || name.is_some() {
            let path = Settings::path()?;
            let settings = Settings::load(&path)?;
            let name = name.or(settings.current.as_ref()).ok_or(Wrong::NoEndpoints)?;
            found = Found { cluster: settings.get(name, &path)?.clone(), context: Some(name.clone()) };
        }
        let Cluster { endpoints: to, token_file, tls_ca, access, name } = &mut found.cluster;
        if !endpoints.is_empty() {
            *to = endpoints;
        }
        *token_file = self.token_file.clone().or_else(|| token_file.take());
        *tls_ca = self.tls_ca.clone().or_else(|| tls_ca.take());
        *access = self.access.or(*access);
        *name = self.name.clone().or_else(|| name.take());
        if to.is_empty() {
            return Err(Wrong::NoEndpoints.into());
        }
        to.iter().try_for_each(|endpoint| check_endpoint(endpoint))?;
        Ok(found)
    }
}

impl Found {
    /// How many nodes a new cluster in this process is to have, if that is what is meant.
    #[must_use]
    pub fn lab(&self) -> Option<u64> {
        let [one] = self.cluster.endpoints.as_slice() else { return None };
        one.strip_prefix("lab:")?.parse().ok()
    }

    /// How to attach to it.
    ///
    /// # Errors
    ///
    /// When files make no sense, or what is there does not allow what is needed.
    pub fn spec(&self, need: Need) -> anyhow::Result<RemoteSpec> {
        let Cluster { endpoints, token_file, tls_ca, access: most, name } = &self.cluster;
        let most = most.map(Access::from);
        let mut spec = RemoteSpec::new(Arc::new(Tcp), endpoints.clone());
        if let (Need::This(needed), Some(most)) = (need, most)
            && needed > most
        {
            let from = self.context.as_ref().map_or_else(String::new, |name| format!(" (context {name})"));
            let why = format!("this takes {needed} access, and {most} is the most that is wanted here{from}: --access");
            return Err(NotAllowed(why).into());
        }
        if let Some(file) = token_file {
            let tokens = Tokens::read(file)?;
            let best = tokens.holders().iter().max_by_key(|holder| holder.access);
            let holder = match (need, most) {
                (Need::This(needed), _) => Some(tokens.for_access(needed).ok_or_else(|| {
                    NotAllowed(format!("no token in {} allows {needed} access, which this takes", file.display()))
                })?),
                (Need::All, Some(most)) => tokens.for_access(most).or(best),
                (Need::All, None) => best,
            };
            if let Some(holder) = holder {
                spec.access = most.map_or(holder.access, |most| most.min(holder.access));
                spec.name.clone_from(&holder.name);
                spec.token = Some(Arc::new(holder.token.clone()));
            }
        } else if let Some(most) = most {
            spec.access = most;
        }
        if let Need::This(needed) = need {
            spec.access = needed;
        }
        if let Some(name) = name {
            spec.name.clone_from(name);
        }
        spec.tls = tls_ca.as_deref().map(Tls::trusting).transpose()?.map(Arc::new);
        Ok(spec)
    }
}
