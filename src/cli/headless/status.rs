//! `raft-tui status`: the cluster as it is, as a table or as JSON (`docs/formats.md`, "Status").
//!
//! Kept true: every member is listed, one that is not reached with the reason; what is not known is `null`; the table
//! fits 80 columns.
//! Not here: what a picture is made of (`cluster/`).

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use clap::Args;
use serde::{Serialize, Serializer};

use super::super::Exit;
use super::hand::{Hand, is_reached};
use super::{Endpoints, NotReached, Output, OutputArguments};
use crate::cluster::Session;
use crate::control::narrate::{self, safe};
use crate::control::{Answer, ClusterView, Dropped, Held, Life, Mode, NodeView, PeerTraffic, Traffic, WritesStand};
use crate::node::driver::TICK_US;
use crate::raft::{NodeId, event};
use crate::text::clip;

/// Shown at the end of the help.
pub const EXAMPLE: &str = "Examples:
  raft-tui status --endpoints 10.0.0.1:7101
  raft-tui status -o json | jq '.cluster.leader'

The exit code is 5 when no node was reached.";

/// The version of the JSON.
const VERSION: u32 = 1;
/// Columns of a table.
const COLUMNS: usize = 80;

/// Which cluster, and in which form.
#[derive(Clone, Debug, Default, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub endpoints: Endpoints,
    #[command(flatten)]
    #[expect(missing_docs, reason = "its flags say what it is")]
    pub output: OutputArguments,
}

/// Shows the cluster as it is.
pub async fn run(session: Session, arguments: &StatusArguments, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let hand = Hand::take(session);
    let view = hand.settled(arguments.endpoints.patience()).await;
    match arguments.output.output {
        Output::Table => table(&view).into_iter().try_for_each(|line| writeln!(out, "{line}"))?,
        Output::Json => {
            serde_json::to_writer_pretty(&mut *out, &Document::of(&view))?;
            writeln!(out)?;
        }
        Output::Jsonl => {
            serde_json::to_writer(&mut *out, &Document::of(&view))?;
            writeln!(out)?;
        }
    }
    if !is_reached(&view) {
        return Err(NotReached::in_time().into());
    }
    Ok(Exit::Fine)
}

/// How far a node's log is behind the leader's, in entries; `None` without a leader, or when nothing is known of it.
#[must_use]
pub fn lag(view: &ClusterView, node: &NodeView) -> Option<u64> {
    let leader = view.leader()?;
    if leader.id == node.id {
        return Some(0);
    }
    // The leader knows how far the logs agree; a log of the same length can be another one.
    let agreed = leader.peers.iter().find(|peer| peer.id == node.id).map(|peer| peer.match_index);
    let agreed = agreed.or_else(|| is_known(node).then_some(node.last.index))?;
    Some(leader.last.index.0.saturating_sub(agreed.0))
}

/// Whether the node has ever reported itself.
fn is_known(node: &NodeView) -> bool {
    match &node.reach {
        Some(reach) => reach.age_us.is_some(),
        None => !matches!(node.life, Life::Unreachable { .. }),
    }
}

/// The word for a life.
#[must_use]
pub const fn life_word(life: &Life) -> &'static str {
    match life {
        Life::Starting => "starting",
        Life::Running => "running",
        Life::Paused => "paused",
        Life::Crashed { .. } => "crashed",
        Life::Halted { .. } => "halted",
        Life::Unreachable { .. } => "unreachable",
    }
}

/// Why a node does not run, where somebody said so.
fn why(life: &Life) -> Option<String> {
    match life {
        Life::Halted { why } | Life::Unreachable { why, .. } => Some(safe(why)),
        Life::Starting | Life::Running | Life::Paused | Life::Crashed { .. } => None,
    }
}

/// One sentence: who leads, how many run, whether writes go through.
#[must_use]
pub fn summary(view: &Arc<ClusterView>) -> String {
    narrate::answer(&Answer::Status(Arc::clone(view)))
}

/// The lines of the table.
#[must_use]
pub fn table(view: &Arc<ClusterView>) -> Vec<String> {
    let mut lines = wrapped("", &format!("{}: {}", safe(&view.name), summary(view)));
    let row = |cells: [&str; 9]| {
        let [node, role, term, log, commit, applied, lag, sync, seen] = cells;
        format!("{node:<5}{role:<14}{term:>6} {log:>10} {commit:>10} {applied:>10} {lag:>7} {sync:>7} {seen:>5}")
    };
    lines.push(row(["NODE", "ROLE", "TERM", "LAST", "COMMIT", "APPLIED", "LAG", "SYNC99", "SEEN"]));
    let mut notes = Vec::new();
    for node in &view.nodes {
        let known = is_known(node);
        let or_dash = |text: String| if known { text } else { "-".into() };
        let role = if node.is_running() { node.role.name() } else { life_word(&node.life) };
        let sync = node.sync.p99_us.filter(|_| known).map_or_else(|| "-".into(), short_time);
        let seen = node.reach.as_ref().and_then(|reach| reach.age_us).map_or_else(|| "-".into(), short_time);
        let line = row([
            &node.id.to_string(),
            role,
            &or_dash(node.term.to_string()),
            &or_dash(node.last.index.to_string()),
            &or_dash(node.commit.to_string()),
            &or_dash(node.applied.to_string()),
            &lag(view, node).map_or_else(|| "-".into(), |lag| lag.to_string()),
            &sync,
            &seen,
        ]);
        lines.push(line.trim_end().to_owned());
        let mut note = |text: &str| notes.extend(wrapped("  ", &format!("{}: {text}", node.id)));
        if let Some(why) = why(&node.life) {
            let address = node.reach.as_ref().map(|reach| safe(&reach.address)).filter(|address| !address.is_empty());
            note(&match address {
                Some(address) => format!("{} at {address}: {why}", life_word(&node.life)),
                None => format!("{}: {why}", life_word(&node.life)),
            });
        }
        if node.quarantined {
            note("does not trust its log, neither votes nor counts until a leader has healed it");
        }
        if let Some((here, all)) = node.receiving {
            note(&format!("receives a snapshot, {here} of {all} bytes"));
        }
        if node.is_stale() {
            note("this picture of it is old");
        }
    }
    lines.extend(notes);
    for stale in view.self_declared_leaders().iter().skip(1) {
        let text = format!("{} still calls itself leader, of term {}: it cannot commit", stale.id, stale.term);
        lines.extend(wrapped("  ", &text));
    }
    lines.extend(chaos(view).map(|text| wrapped("  ", &text)).into_iter().flatten());
    for fault in &view.faults {
        let by = fault.by.as_ref().map(|by| format!(", by {}", safe(by))).unwrap_or_default();
        let left = fault.left_us.map(|left| format!(", {} left", short_time(left))).unwrap_or_default();
        lines.extend(wrapped("  ", &format!("fault: {}{by}{left}", safe(&fault.text))));
    }
    for alarm in &view.alarms {
        lines.extend(wrapped("  ", &format!("alarm of {}: {}", alarm.node, safe(&alarm.text))));
    }
    lines
}

/// Where faults can be injected, where the cluster allows it at all; in one process they always can.
fn chaos(view: &ClusterView) -> Option<String> {
    if view.held == Held::Lab || !(view.chaos_allowed || view.chaos) {
        return None;
    }
    let of = |wanted: Option<bool>, what: &str| {
        let is = |node: &&NodeView| node.reach.as_ref().and_then(|reach| reach.chaos) == wanted;
        let nodes: Vec<_> = view.nodes.iter().filter(is).map(|node| node.id.to_string()).collect();
        (!nodes.is_empty()).then(|| format!("{what} {}", nodes.join(" ")))
    };
    let stand = [of(Some(true), "on at"), of(Some(false), "off at"), of(None, "not known of")];
    let stand: Vec<_> = stand.into_iter().flatten().collect();
    let faults = match view.faults.len() {
        0 => "no fault in force".to_owned(),
        1 => "1 fault in force".to_owned(),
        more => format!("{more} faults in force"),
    };
    Some(format!("fault injection is allowed here: {}; {faults}", stand.join(", ")))
}

/// `1.2ms`, `34ms`, `5.1s`, `3m`: at most five cells.
fn short_time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us}us"),
        1_000..10_000 => format!("{:.1}ms", us as f64 / 1e3),
        10_000..1_000_000 => format!("{}ms", us / 1_000),
        1_000_000..100_000_000 => format!("{:.1}s", us as f64 / 1e6),
        100_000_000..3_600_000_000 => format!("{}m", us / 60_000_000),
        _ => format!("{}h", us / 3_600_000_000),
    }
}

/// Lines of at most [`COLUMNS`], broken between words, later ones indented.
fn wrapped(indent: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let word = clip(word, COLUMNS - 4);
        if !line.trim().is_empty() && crate::text::width(&line) + 1 + crate::text::width(&word) > COLUMNS {
            lines.push(std::mem::replace(&mut line, format!("{indent}  ")));
        }
        if !line.trim().is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// A number, as text where a double cannot hold it exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct N(pub(super) u64);

impl Serialize for N {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 > 1 << 53 { serializer.collect_str(&self.0) } else { serializer.serialize_u64(self.0) }
    }
}

/// The whole status.
#[derive(Debug, Serialize)]
pub struct Document {
    version: u32,
    cluster: Cluster,
    nodes: Vec<Node>,
}

#[derive(Debug, Serialize)]
struct Cluster {
    name: String,
    held: &'static str,
    leader: Option<String>,
    term: Option<N>,
    stale_leaders: Vec<String>,
    members: usize,
    running: usize,
    quorum: usize,
    writes: Option<String>,
    mode: &'static str,
    chaos: bool,
    chaos_allowed: bool,
    faults: Vec<Fault>,
    alarms: Vec<Alarm>,
}

#[derive(Debug, Serialize)]
struct Fault {
    text: String,
    by: Option<String>,
    left_us: Option<N>,
}

#[derive(Debug, Serialize)]
struct Alarm {
    node: String,
    text: String,
}

#[derive(Debug, Serialize)]
struct Node {
    id: String,
    address: Option<String>,
    reach: &'static str,
    why: Option<String>,
    seen_us: Option<N>,
    round_trip_us: Option<N>,
    program: Option<String>,
    chaos: Option<bool>,
    #[serde(flatten)]
    known: Option<Known>,
}

/// What a node has said of itself; each field is `null` when it never has.
#[derive(Debug, Default, Serialize)]
struct Known {
    role: Option<&'static str>,
    term: Option<N>,
    vote: Option<String>,
    leader: Option<String>,
    log: Option<Log>,
    durable: Option<N>,
    commit: Option<N>,
    applied: Option<N>,
    snapshot: Option<N>,
    lag: Option<N>,
    quarantined: Option<bool>,
    receiving: Option<[N; 2]>,
    messages: Option<Messages>,
    /// `null` where no bytes travel.
    bytes: Option<Bytes>,
    dropped: Option<Drops>,
    door: Option<Door>,
    elections: Option<N>,
    sync: Option<Sync>,
    digest: Option<String>,
    peers: Option<Vec<Peer>>,
}

#[derive(Debug, Serialize)]
struct Log {
    first: N,
    last: N,
    last_term: N,
    length: N,
    bytes: N,
}

#[derive(Debug, Serialize)]
struct Messages {
    received: N,
    sent: N,
    by_type: BTreeMap<&'static str, Count>,
}

#[derive(Debug, Serialize)]
struct Count {
    received: N,
    sent: N,
}

#[derive(Debug, Serialize)]
struct Bytes {
    received: N,
    sent: N,
    by_peer: BTreeMap<String, Count>,
}

#[derive(Debug, Serialize)]
struct Drops {
    total: N,
    by_reason: BTreeMap<&'static str, N>,
}

#[derive(Debug, Serialize)]
struct Door {
    turned_away: N,
    malformed: N,
}

#[derive(Debug, Serialize)]
struct Sync {
    p50_us: Option<N>,
    p99_us: Option<N>,
}

#[derive(Debug, Serialize)]
struct Peer {
    id: String,
    r#match: N,
    next: N,
    state: &'static str,
    in_flight_messages: N,
    in_flight_bytes: N,
    last_contact_us: N,
    snapshot: Option<[N; 2]>,
    counted: bool,
}

impl Document {
    /// The status of this picture.
    #[must_use]
    pub fn of(view: &ClusterView) -> Self {
        let leaders = view.self_declared_leaders();
        Self {
            version: VERSION,
            cluster: Cluster {
                name: safe(&view.name),
                held: match view.held {
                    Held::Lab => "lab",
                    Held::Processes => "processes",
                    Held::Remote => "remote",
                },
                leader: leaders.first().map(|leader| leader.id.to_string()),
                term: leaders.first().map(|leader| N(leader.term.0)),
                stale_leaders: leaders.iter().skip(1).map(|leader| leader.id.to_string()).collect(),
                members: view.nodes.len(),
                running: view.running(),
                quorum: view.quorum(),
                writes: match &view.writes {
                    WritesStand::Available => None,
                    WritesStand::Stalled { why } => Some(safe(why)),
                },
                mode: match view.mode {
                    Mode::Own => "own",
                    Mode::Observe => "observe",
                    Mode::Armed { .. } => "armed",
                },
                chaos: view.chaos,
                chaos_allowed: view.chaos_allowed,
                faults: view
                    .faults
                    .iter()
                    .map(|fault| Fault {
                        text: safe(&fault.text),
                        by: fault.by.as_deref().map(safe),
                        left_us: fault.left_us.map(N),
                    })
                    .collect(),
                alarms: view
                    .alarms
                    .iter()
                    .map(|alarm| Alarm { node: alarm.node.to_string(), text: safe(&alarm.text) })
                    .collect(),
            },
            nodes: view.nodes.iter().map(|node| Node::of(view, node)).collect(),
        }
    }
}

impl Node {
    fn of(view: &ClusterView, node: &NodeView) -> Self {
        let said = |text: &str| (!text.is_empty()).then(|| safe(text));
        let reach = node.reach.as_ref();
        Self {
            id: node.id.to_string(),
            address: reach.and_then(|reach| said(&reach.address)),
            reach: life_word(&node.life),
            why: why(&node.life),
            seen_us: reach.and_then(|reach| reach.age_us).map(N),
            round_trip_us: reach.and_then(|reach| reach.round_trip_us).map(N),
            program: reach.and_then(|reach| said(&reach.version)),
            chaos: reach.map_or_else(|| (view.held == Held::Lab).then_some(true), |reach| reach.chaos),
            known: Some(if is_known(node) { Known::of(view, node) } else { Known::default() }),
        }
    }
}

impl Known {
    fn of(view: &ClusterView, node: &NodeView) -> Self {
        Self {
            role: Some(node.role.name()),
            term: Some(N(node.term.0)),
            vote: node.voted_for.map(|vote| vote.to_string()),
            leader: node.leader.map(|leader| leader.to_string()),
            log: Some(Log {
                first: N(node.first_index.0),
                last: N(node.last.index.0),
                last_term: N(node.last.term.0),
                length: N((node.last.index.0 + 1).saturating_sub(node.first_index.0)),
                bytes: N(node.log_bytes),
            }),
            durable: Some(N(node.durable.0)),
            commit: Some(N(node.commit.0)),
            applied: Some(N(node.applied.0)),
            snapshot: Some(N(node.snapshot.0)),
            lag: lag(view, node).map(N),
            quarantined: Some(node.quarantined),
            receiving: node.receiving.map(|(here, all)| [N(here), N(all)]),
            messages: Some(Messages {
                received: N(node.messages_in),
                sent: N(node.messages_out),
                by_type: node
                    .messages_by_kind
                    .iter()
                    .map(|(kind, received, sent)| (kind.name(), Count { received: N(*received), sent: N(*sent) }))
                    .collect(),
            }),
            bytes: node.traffic.as_ref().and_then(Bytes::of),
            dropped: node.traffic.as_ref().map(Drops::of),
            door: node
                .traffic
                .as_ref()
                .map(|traffic| Door { turned_away: N(traffic.turned_away), malformed: N(traffic.malformed) }),
            elections: Some(N(node.elections)),
            sync: Some(Sync { p50_us: node.sync.p50_us.map(N), p99_us: node.sync.p99_us.map(N) }),
            digest: Some(format!("{:032x}", node.digest.0)),
            peers: node.heartbeat.is_some().then(|| node.peers.iter().map(Peer::of).collect()),
        }
    }
}

impl Bytes {
    fn of(traffic: &Traffic) -> Option<Self> {
        let of_peer = |peer: &PeerTraffic| peer.bytes.map(|(received, sent)| (peer.id, received, sent));
        let peers: Vec<_> = traffic.peers.iter().filter_map(of_peer).collect();
        let sum = |of: fn(&(NodeId, u64, u64)) -> u64| N(peers.iter().map(of).fold(0, u64::saturating_add));
        let count = |(id, received, sent): &(NodeId, u64, u64)| {
            (id.to_string(), Count { received: N(*received), sent: N(*sent) })
        };
        (!peers.is_empty()).then(|| Self {
            received: sum(|peer| peer.1),
            sent: sum(|peer| peer.2),
            by_peer: peers.iter().map(count).collect(),
        })
    }
}

impl Drops {
    fn of(traffic: &Traffic) -> Self {
        let sum =
            |of: fn(&Dropped) -> u64| traffic.peers.iter().map(|peer| of(&peer.dropped)).fold(0, u64::saturating_add);
        let by_reason = [
            ("rule", sum(|dropped| dropped.by_rule)),
            ("queue", sum(|dropped| dropped.by_queue)),
            ("age", sum(|dropped| dropped.by_age)),
            ("inbox", sum(|dropped| dropped.by_inbox)),
            ("death", sum(|dropped| dropped.by_death)),
            ("unfit", sum(|dropped| dropped.unfit)),
            ("forged", sum(|dropped| dropped.forged)),
        ];
        Self {
            total: N(by_reason.iter().map(|(_, count)| *count).fold(0, u64::saturating_add)),
            by_reason: by_reason.into_iter().map(|(reason, count)| (reason, N(count))).collect(),
        }
    }
}

impl Peer {
    fn of(peer: &crate::raft::PeerStatus) -> Self {
        Self {
            id: peer.id.to_string(),
            r#match: N(peer.match_index.0),
            next: N(peer.next_index.0),
            state: match peer.mode {
                event::Mode::Probe => "probe",
                event::Mode::Replicate => "replicate",
                event::Mode::Snapshot => "snapshot",
            },
            in_flight_messages: N(peer.in_flight_messages as u64),
            in_flight_bytes: N(peer.in_flight_bytes),
            last_contact_us: N(peer.silent_ticks * TICK_US),
            snapshot: peer.snapshot.map(|(sent, all)| [N(sent), N(all)]),
            counted: peer.counted,
        }
    }
}
