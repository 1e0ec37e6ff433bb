//! `raft-tui context`: names for clusters.
//!
//! Kept true: what is changed is written whole before anything is printed.
//! Not here: the file (`settings.rs`).

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::super::Exit;
use super::super::way::{self, Most};
use super::settings::{Settings, Wrong, check_endpoint, check_name};
use crate::control::Access;
use crate::text::sanitize_str;

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui context set prod --endpoints 10.0.0.1:7101 --token-file ~/prod.token
  raft-tui context use prod
  raft-tui status

Contexts are in $RAFT_TUI_CONFIG, else in raft-tui/contexts.toml below
$XDG_CONFIG_HOME or ~/.config.";

/// What to do with contexts.
#[derive(Clone, Debug, Args)]
pub struct ContextArguments {
    /// What.
    #[command(subcommand)]
    pub what: ContextCommand,
}

/// What can be done with contexts.
#[derive(Clone, Debug, Subcommand)]
pub enum ContextCommand {
    /// List them; `*` is in use
    List,
    /// Show one [default: the one in use]
    Show {
        /// Which
        name: Option<String>,
    },
    /// Use this one from now on
    Use {
        /// Which
        name: String,
    },
    /// Make one, or change what is given; the first one made is in use
    Set {
        /// Its name
        name: String,
        /// Control addresses of the nodes
        #[arg(long, value_name = "ADDR,…", value_delimiter = ',')]
        endpoints: Vec<String>,
        /// The file with your token
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Certificate of whoever signed those of the nodes
        #[arg(long, value_name = "FILE")]
        tls_ca: Option<PathBuf>,
        /// The most that may be done there
        #[arg(long, value_enum)]
        access: Option<Most>,
        /// How this console is called there
        #[arg(long = "name", value_name = "NAME", value_parser = way::name)]
        console: Option<String>,
    },
    /// Forget one
    Delete {
        /// Which
        name: String,
    },
}

/// Does it, with the file at `path`.
pub fn run(arguments: &ContextArguments, path: &Path, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let mut settings = Settings::load(path)?;
    match &arguments.what {
        ContextCommand::List => {
            let width = settings.contexts.keys().map(String::len).max().unwrap_or_default();
            for (name, cluster) in &settings.contexts {
                let mark = if settings.current.as_ref() == Some(name) { '*' } else { ' ' };
                let line = format!("{mark} {name:width$}  {}", cluster.endpoints.join(","));
                writeln!(out, "{}", sanitize_str(line.trim_end()))?;
            }
        }
        ContextCommand::Show { name } => {
            let Some(name) = name.as_ref().or(settings.current.as_ref()) else {
                writeln!(out, "no context is in use; see `raft-tui context list`")?;
                return Ok(Exit::Failed);
            };
            let cluster = settings.get(name, path)?;
            let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
            writeln!(out, "name        {}", sanitize_str(name))?;
            writeln!(out, "endpoints   {}", sanitize_str(&cluster.endpoints.join(",")))?;
            let access = cluster.access.map(|most| Access::from(most).to_string());
            let said = [
                ("token file", shown(&cluster.token_file)),
                ("tls ca", shown(&cluster.tls_ca)),
                ("access", access),
                ("as", cluster.name.clone()),
            ];
            for (what, value) in said {
                writeln!(out, "{what:<12}{}", sanitize_str(&value.unwrap_or_else(|| "none".into())))?;
            }
        }
        ContextCommand::Use { name } => {
            settings.get(name, path)?;
            settings.current = Some(name.clone());
            settings.save(path)?;
            writeln!(out, "{} is in use", sanitize_str(name))?;
        }
        ContextCommand::Set { name, endpoints, token_file, tls_ca, access, console } => {
            check_name(name)?;
            endpoints.iter().try_for_each(|endpoint| check_endpoint(endpoint))?;
            let mut cluster = settings.contexts.get(name).cloned().unwrap_or_default();
            if !endpoints.is_empty() {
                cluster.endpoints.clone_from(endpoints);
            }
            if cluster.endpoints.is_empty() {
                return Err(Wrong::NoEndpoints.into());
            }
            // A file named from here must be found from everywhere.
            let whole = |path: &PathBuf| std::path::absolute(path);
            cluster.token_file = token_file.as_ref().map(whole).transpose()?.or(cluster.token_file);
            cluster.tls_ca = tls_ca.as_ref().map(whole).transpose()?.or(cluster.tls_ca);
            cluster.access = access.or(cluster.access);
            cluster.name = console.clone().or(cluster.name);
            settings.contexts.insert(name.clone(), cluster);
            settings.current.get_or_insert_with(|| name.clone());
            settings.save(path)?;
            writeln!(out, "{name} is set")?;
        }
        ContextCommand::Delete { name } => {
            settings.get(name, path)?;
            settings.contexts.remove(name);
            settings.current.take_if(|current| current == name);
            settings.save(path)?;
            writeln!(out, "{} is forgotten", sanitize_str(name))?;
        }
    }
    Ok(Exit::Fine)
}
