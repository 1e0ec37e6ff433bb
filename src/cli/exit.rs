//! How the program ends, after sysexits.
//!
//! Kept true: every way to end has one number, the same in every subcommand.
//! Not here: the sentence that says why (the error's own).

use std::io;
use std::process::ExitCode;

use super::config::ConfigError;
use super::headless::settings::Wrong;
use super::headless::{NotAllowed, NotReached};
use crate::cluster::ClusterError;
use crate::cluster::host::HostError;
use crate::control::grammar::GrammarError;
use crate::control::tokens::TokenError;
use crate::node::driver::Trouble;
use crate::transport::tls::TlsError;
use crate::tui::TuiError;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All went well.
    Fine = 0,
    /// A command or an expectation failed.
    Failed = 1,
    /// The cluster works, but something is missing or behind.
    Degraded = 3,
    /// No majority, no leader, or writes wait.
    NoQuorum = 4,
    /// No node was reached, or not in time.
    NotReached = 5,
    /// The command line makes no sense.
    Usage = 64,
    /// Data is corrupt.
    CorruptData = 65,
    /// A rule of Raft was broken, or the program panicked.
    Broken = 70,
    /// The data folder is in use or cannot be made.
    NoDataFolder = 73,
    /// Reading or writing failed.
    Io = 74,
    /// No space is left.
    NoSpace = 75,
    /// The data belongs to another cluster, node or store.
    WrongIdentity = 76,
    /// Not allowed.
    Refused = 77,
    /// What is configured does not fit what is there.
    Configuration = 78,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// What an error means for the exit code: the first cause in its chain that has a code of its own.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let exit = |cause: &(dyn std::error::Error + 'static)| {
            let cluster = cause.downcast_ref::<ClusterError>().map(Self::of_cluster);
            let screen = || cause.downcast_ref::<TuiError>().map(Self::of_screen);
            let host = || cause.downcast_ref::<HostError>().and_then(Self::of_host);
            let token = || match cause.downcast_ref::<TokenError>() {
                Some(TokenError::Open { .. }) => Some(Self::Refused),
                Some(_) => Some(Self::Configuration),
                None => None,
            };
            let config = || cause.downcast_ref::<ConfigError>().map(|_| Self::Configuration);
            let headless = || Self::of_headless(cause);
            cluster
                .or_else(screen)
                .or_else(host)
                .or_else(token)
                .or_else(config)
                .or_else(headless)
                .or_else(|| cause.downcast_ref::<io::Error>().map(Self::of_io))
        };
        error.chain().find_map(exit).unwrap_or(Self::Failed)
    }

    /// What the worst trouble of any node means for the exit code.
    #[must_use]
    pub const fn of_trouble(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Disk => Self::Io,
            Trouble::NoSpace => Self::NoSpace,
            Trouble::Corrupt => Self::CorruptData,
            Trouble::Locked => Self::NoDataFolder,
            Trouble::WrongStore => Self::WrongIdentity,
            Trouble::Newer => Self::Configuration,
            Trouble::Violation => Self::Broken,
            Trouble::OnPurpose => Self::Fine,
        }
    }

    fn of_headless(cause: &(dyn std::error::Error + 'static)) -> Option<Self> {
        if let Some(wrong) = cause.downcast_ref::<Wrong>() {
            return Some(match wrong {
                Wrong::NoEndpoints | Wrong::Lab(_) | Wrong::Endpoint(_) | Wrong::NoContext { .. } | Wrong::Name(_) => {
                    Self::Usage
                }
                Wrong::File { .. } | Wrong::NoPlace => Self::Configuration,
            });
        }
        if let Some(error) = cause.downcast_ref::<TokenError>() {
            return Some(if matches!(error, TokenError::Open { .. }) { Self::Refused } else { Self::Configuration });
        }
        if cause.is::<TlsError>() {
            return Some(Self::Configuration);
        }
        let usage = cause.is::<GrammarError>().then_some(Self::Usage);
        let refused = || cause.is::<NotAllowed>().then_some(Self::Refused);
        usage.or_else(refused).or_else(|| cause.is::<NotReached>().then_some(Self::NotReached))
    }

    /// `None`: the cause says it.
    const fn of_host(error: &HostError) -> Option<Self> {
        match error {
            HostError::Tokens(TokenError::Open { .. }) => Some(Self::Refused),
            HostError::Tls(error) if error.is_open_key() => Some(Self::Refused),
            HostError::Members(_)
            | HostError::Open { .. }
            | HostError::NoChaos { .. }
            | HostError::Tokens(_)
            | HostError::Tls(_) => Some(Self::Configuration),
            HostError::Folder { .. } => Some(Self::NoDataFolder),
            HostError::NotBootstrapped { .. } => Some(Self::WrongIdentity),
            HostError::Halted { trouble, .. } => Some(Self::of_trouble(*trouble)),
            HostError::Peers(_) | HostError::Control { .. } | HostError::Storage(_) | HostError::Audit { .. } => None,
        }
    }

    const fn of_screen(error: &TuiError) -> Self {
        match error {
            TuiError::Theme(_) => Self::Configuration,
            TuiError::Terminal(_) | TuiError::Signals(_) => Self::Io,
        }
    }

    fn of_cluster(error: &ClusterError) -> Self {
        match error {
            ClusterError::Nodes { .. } | ClusterError::MemoryProcesses => Self::Usage,
            ClusterError::NoAnswer { .. } => Self::Io,
            ClusterError::NotLetIn { .. } => Self::Refused,
            ClusterError::OtherMembers { .. } | ClusterError::Newer { .. } => Self::Configuration,
            ClusterError::Locked { .. } | ClusterError::Open { .. } | ClusterError::Io { doing: "making", .. } => {
                Self::NoDataFolder
            }
            ClusterError::NotOurs { .. } => Self::WrongIdentity,
            ClusterError::Unreadable { .. } => Self::CorruptData,
            ClusterError::Io { source, .. } => Self::of_io(source),
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::AlreadyExists => Self::NoDataFolder,
            _ => Self::Io,
        }
    }
}
