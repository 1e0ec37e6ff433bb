//! `raft-tui token`: a new token, printed or put into a file.
//!
//! Kept true: the secret goes to standard output or into a file that is its owner's alone, and nowhere else.
//! Not here: what a token file is (`control/tokens.rs`), what access allows (`control/access.rs`).

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::Exit;
use super::way::{Most, name};
use crate::control::tokens::{Holder, Token, Tokens};

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui token chaos ann --file cluster.token
  (umask 077; raft-tui token viewer probe > probe.token)

A node takes the file with --token-file; a console one that has its own line.";

/// Which token.
#[derive(Clone, Debug, Args)]
pub struct TokenArguments {
    /// The most that it allows
    #[arg(value_enum, value_name = "ACCESS")]
    pub access: Most,

    /// Whose it is; others see what is done under this name
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: String,

    /// Append it to this file instead of printing it; made with mode 0600 if it is not there, refused if others may read it
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Makes it.
pub fn run(arguments: &TokenArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let holder = Holder { access: arguments.access.into(), name: arguments.name.clone(), token: Token::random() };
    match &arguments.file {
        None => writeln!(out, "{}", holder.line())?,
        Some(file) => {
            Tokens::append(file, &holder)?;
            writeln!(out, "{} {} is in {}", holder.access, holder.name, file.display())?;
        }
    }
    Ok(Exit::Fine)
}
