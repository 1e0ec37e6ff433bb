//! `raft-tui completions` and `raft-tui man`: made from the one command line that the program reads.
//!
//! Kept true: nothing is written by hand here, so nothing here can say something else than the program does.
//! Not here: the arguments themselves.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::super::{Arguments, Exit};

/// Shown at the end of the help.
pub const COMPLETIONS_EXAMPLE: &str = "Example:
  raft-tui completions bash > /etc/bash_completion.d/raft-tui";

/// Shown at the end of the help.
pub const MAN_EXAMPLE: &str = "Examples:
  raft-tui man | man -l -
  raft-tui man --out ~/.local/share/man/man1";

/// For which shell.
#[derive(Clone, Copy, Debug, Args)]
pub struct CompletionsArguments {
    /// Which shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Where the pages go.
#[derive(Clone, Debug, Args)]
pub struct ManArguments {
    /// A folder for the pages, one for each subcommand [default: the main page to standard output]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// Writes completions.
pub fn completions(arguments: &CompletionsArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    // The generator takes failing writes for its own fault, so it writes to memory.
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "raft-tui", &mut text);
    out.write_all(&text)?;
    Ok(Exit::Fine)
}

/// Writes manual pages.
pub fn man(arguments: &ManArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let command = Arguments::command();
    match &arguments.out {
        None => {
            let mut text = Vec::new();
            clap_mangen::Man::new(command).render(&mut text)?;
            out.write_all(&text)?;
        }
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
            clap_mangen::generate_to(command, folder)
                .with_context(|| format!("writing pages to {}", folder.display()))?;
        }
    }
    Ok(Exit::Fine)
}
