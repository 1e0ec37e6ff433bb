//! Stands in for `control::grammar::parse` until it is there.

use bytes::Bytes;

use crate::control::{Operation, Pace, Target};
use crate::raft::NodeId;

/// Reads a line of the command line.
pub(super) fn parse(line: &str) -> Result<Operation, String> {
    let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let rest = rest.trim();
    let target = || match rest {
        "leader" => Ok(Target::Leader),
        "all" => Ok(Target::All),
        node => node.parse().map(Target::Node).map_err(|error: crate::raft::types::NotANode| error.to_string()),
    };
    Ok(match word {
        "submit" if !rest.is_empty() => {
            Operation::Submit { command: Bytes::copy_from_slice(rest.as_bytes()), via: None }
        }
        "read" if !rest.is_empty() => Operation::Read { query: Bytes::copy_from_slice(rest.as_bytes()), via: None },
        "crash" => Operation::Crash(target()?),
        "restart" => Operation::Restart(target()?),
        "isolate" => Operation::Isolate(target()?),
        "heal" => Operation::Heal,
        "stop" => Operation::Stop,
        "resume" => Operation::Resume,
        "quit" => Operation::Quit,
        "load" => match rest.trim_end_matches("/s").parse() {
            Ok(per_second) => Operation::Load { per_second, duration_us: None },
            Err(_) => return Err(format!("`{rest}` is no rate: write 20/s")),
        },
        "pace" => match rest.split_once('/').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?))) {
            Some((cluster, real)) => Operation::Pace(Pace { cluster, real }),
            None => return Err(format!("`{rest}` is no pace: write 1/10")),
        },
        "partition" => {
            let group = |text: &str| text.split(',').map(str::parse::<NodeId>).collect::<Result<Vec<_>, _>>();
            Operation::Partition(rest.split('/').map(group).collect::<Result<_, _>>().map_err(|e| e.to_string())?)
        }
        _ => {
            return Err(format!(
                "`{word}` is no operation: submit, read, crash, restart, isolate, partition, heal, load, stop, resume, pace, quit"
            ));
        }
    })
}
