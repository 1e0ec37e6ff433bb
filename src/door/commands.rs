//! The commands: what each reads, does and answers.
//!
//! Kept true: all fields of a command are read and judged before anything happens.
//! Not here: how nodes and messages behave (`cores.rs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::cores::{Core, Cores, OnWire, Told};
use super::{DoorError, Fields, VERSION, node, number, one_or_many};
use crate::raft::status::PeerStatus;
use crate::raft::{
    Configuration, Digest, Entry, EntryKind, HardState, Index, LogPosition, MessageKind, NodeId, Options, Term,
};
use crate::trace::json::from_base64;
use crate::trace::{Json, message};

/// All commands.
pub(super) const NAMES: [&str; 16] = [
    "nodes",
    "log",
    "campaign",
    "tick",
    "propose",
    "read",
    "deliver",
    "stabilize",
    "crash",
    "restart",
    "compact",
    "snapshot",
    "conf",
    "transfer",
    "quorum",
    "dump",
];

/// The most nodes, entries of a log given by hand, and ticks of one command.
const NODES_MAX: u64 = 99;
const ENTRIES_MAX: usize = 10_000;
const TICKS_MAX: u64 = 100_000;

/// So rare that it never happens by itself.
const NEVER: u64 = 1 << 40;

/// Messages to be told.
type Messages = Vec<(MessageKind, Json)>;

type Answered = Result<Vec<(&'static str, Json)>, DoorError>;

/// Carries out one command.
pub(super) fn run(cores: &mut Option<Cores>, name: &str, fields: &mut Fields) -> Answered {
    match name {
        "nodes" => return nodes(cores, fields),
        "quorum" => return quorum(fields),
        "conf" => return Err(DoorError::NotYet("members cannot be changed; name them with `voters` of `nodes`")),
        "transfer" => return Err(DoorError::NotYet("leadership cannot be handed over; let another node `campaign`")),
        _ if !NAMES.contains(&name) => return Err(DoorError::NoSuchCommand(name.to_owned())),
        _ => {}
    }
    let cores = cores.as_mut().ok_or(DoorError::NoNodes)?;
    if name == "dump" {
        return dump(cores, fields);
    }
    let quiet = fields.flag("quiet")?.unwrap_or(false);
    let mut answer = match name {
        "log" => log(cores, fields),
        "campaign" => campaign(cores, fields),
        "tick" => tick(cores, fields),
        "propose" => propose(cores, fields),
        "read" => {
            let id = running(cores, fields)?;
            let ticket = cores.read(id);
            Ok(vec![("node", id.into()), ("ticket", ticket.0.into())])
        }
        "deliver" => deliver(cores, fields),
        "stabilize" => stabilize(cores, fields),
        "crash" => {
            let id = running(cores, fields)?;
            cores.crash(id);
            Ok(vec![("node", id.into())])
        }
        "restart" => {
            let id = known(cores, fields)?;
            cores.restart(id);
            Ok(vec![("node", id.into())])
        }
        "compact" => compact(cores, fields),
        _ => snapshot(cores, fields),
    };
    let (told, sent) = cores.take_told();
    if let Ok(own) = &mut answer {
        let sent = sent.into_iter().map(|on_wire| (on_wire.envelope.message.kind(), on_wire.json())).collect();
        tell(own, told, sent, quiet, matches!(name, "deliver" | "stabilize"));
    }
    answer
}

/// Adds what happened: all of it, or numbers only.
fn tell(answer: &mut Vec<(&'static str, Json)>, told: Told, sent: Messages, quiet: bool, moves: bool) {
    let messages = |messages: Messages| {
        if quiet {
            let mut counts = BTreeMap::new();
            for (kind, _) in &messages {
                *counts.entry(*kind).or_insert(0_u64) += 1;
            }
            return Json::Object(counts.into_iter().map(|(kind, count)| (kind.name(), count.into())).collect());
        }
        Json::List(messages.into_iter().map(|(_, message)| message).collect())
    };
    let Told { moved, happened, answers } = told;
    if moves {
        answer.push(("moved", messages(moved)));
    }
    if !sent.is_empty() {
        answer.push(("sent", messages(sent)));
    }
    if !happened.is_empty() && !quiet {
        answer.push(("happened", Json::List(happened)));
    }
    if !answers.is_empty() {
        answer.push(("answers", Json::List(answers)));
    }
}

fn missing(name: &'static str, what: &'static str) -> DoorError {
    DoorError::Missing(name, what)
}

fn known(cores: &Cores, fields: &mut Fields) -> Result<NodeId, DoorError> {
    let id = fields.node("node")?.ok_or_else(|| missing("node", "which node"))?;
    cores.core(id)?;
    Ok(id)
}

fn running(cores: &Cores, fields: &mut Fields) -> Result<NodeId, DoorError> {
    let id = known(cores, fields)?;
    cores.raft(id)?;
    Ok(id)
}

fn within(name: &'static str, value: u64, most: u64, wanted: &'static str) -> Result<u64, DoorError> {
    if (1..=most).contains(&value) { Ok(value) } else { Err(DoorError::Wrong(name, value.to_string(), wanted)) }
}

fn nodes(cores: &mut Option<Cores>, fields: &mut Fields) -> Answered {
    let count = fields.number("n")?.ok_or_else(|| missing("n", "how many nodes"))?;
    let count = within("n", count, NODES_MAX, "1 to 99")?;
    let all: Vec<_> = (1..=count).map(NodeId).collect();
    let voters = fields.nodes("voters")?.unwrap_or_else(|| all.clone());
    if let Some(stranger) = voters.iter().find(|voter| !all.contains(voter)) {
        return Err(DoorError::NoSuchNode(*stranger));
    }
    if voters.is_empty() {
        return Err(DoorError::Wrong("voters", "[]".to_owned(), "one node or more"));
    }
    let configuration = Configuration::new(voters);
    let pre_vote = fields.flag("prevote")?.unwrap_or(true);
    let check_quorum = fields.flag("checkquorum")?.unwrap_or(true);
    let seed = fields.number("seed")?.unwrap_or(1);
    let base = Options::new(NodeId(1), configuration.clone());
    let mut positive = |name, default: u64| {
        let value = fields.number(name)?.unwrap_or(default);
        within(name, value, u64::from(u32::MAX), "a number from 1 on")
    };
    let election = positive("election", base.election_timeout_ticks)?;
    let heartbeat = positive("heartbeat", base.heartbeat_ticks)?;
    let entries = positive("entries", base.append_entries_max as u64)?;
    let window = positive("window", base.window_messages as u64)?;
    let chunk = positive("chunk", base.chunk_bytes as u64)?;
    let keep = fields.number("keep")?.unwrap_or(0).min(NEVER);
    let options = |id: &NodeId| Options {
        id: *id,
        election_timeout_ticks: election,
        heartbeat_ticks: heartbeat,
        pre_vote,
        check_quorum,
        append_entries_max: entries as usize,
        window_messages: window as usize,
        chunk_bytes: chunk as usize,
        keep_entries: keep,
        snapshot_entries: NEVER,
        snapshot_bytes: u64::MAX,
        ..base.clone()
    };
    *cores = Some(Cores::new(all.iter().map(options), seed));
    if let Some(cores) = cores {
        cores.take_told();
    }
    Ok(vec![
        ("version", VERSION.into()),
        ("nodes", all.into()),
        ("voters", configuration.voters().to_vec().into()),
        ("prevote", pre_vote.into()),
        ("checkquorum", check_quorum.into()),
        ("seed", seed.into()),
    ])
}

fn log(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let id = known(cores, fields)?;
    let wanted = "terms that are above 0 and do not fall, 10,000 at most";
    let terms = fields.take("terms").ok_or_else(|| missing("terms", "the term of each entry from index 1 on"))?;
    let listed: Option<Vec<u64>> = terms.as_array().and_then(|terms| terms.iter().map(number).collect());
    let listed = listed
        .filter(|terms| terms.is_sorted() && terms.first() != Some(&0) && terms.len() <= ENTRIES_MAX)
        .ok_or_else(|| DoorError::Wrong("terms", terms.to_string(), wanted))?;
    let last = listed.last().copied().unwrap_or(0);
    let term = fields.number("term")?.unwrap_or(last);
    if term < last {
        return Err(DoorError::Wrong("term", term.to_string(), "a term that is not below that of the last entry"));
    }
    let vote = fields.node("vote")?;
    if let Some(vote) = vote {
        cores.core(vote)?;
    }
    let commit = fields.number("commit")?.unwrap_or(0);
    if commit > listed.len() as u64 {
        return Err(DoorError::Wrong("commit", commit.to_string(), "an index of the log, or 0"));
    }
    let data = fields.read("data", "the command of each entry", |value| one_or_many(value, bytes))?;
    if data.as_ref().is_some_and(|data| data.len() != listed.len()) {
        let many = data.map_or(0, |data| data.len()).to_string();
        return Err(DoorError::Wrong("data", many + " commands", "as many commands as `terms` has terms"));
    }
    let mut chain = Digest::default();
    let mut entries = Vec::with_capacity(listed.len());
    for (place, term) in listed.iter().enumerate() {
        let position = LogPosition::new(place as u64 + 1, *term);
        let given = data.as_ref().and_then(|data| data.get(place)).cloned();
        let command = given.unwrap_or_else(|| Bytes::from(position.to_string()));
        let entry = Entry::chained(chain, position, EntryKind::Command, 0, command);
        chain = entry.chain;
        entries.push(entry);
    }
    let hard_state = HardState { current_term: Term(term), voted_for: vote };
    cores.start_from(id, hard_state, entries, commit as usize);
    Ok(vec![("node", id.into()), ("term", term.into()), ("last", LogPosition::new(listed.len() as u64, last).into())])
}

/// Lets the time of one node pass until its election timer fires.
fn campaign(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let id = running(cores, fields)?;
    let raft = cores.raft(id)?;
    let core = cores.core(id)?;
    if raft.is_leader() {
        return Err(DoorError::Impossible(format!("{id} leads term {} already", raft.current_term())));
    }
    if let Some(why) = raft.halted() {
        return Err(DoorError::Impossible(format!("{id} has halted: {why}")));
    }
    if !core.options.configuration.contains(id) {
        return Err(DoorError::Impossible(format!("{id} is no voter")));
    }
    let (before, most) = (core.timeouts, 2 * core.options.election_timeout_ticks);
    let mut ticks = 0_u64;
    while ticks < most && cores.core(id)?.timeouts == before {
        cores.tick(id);
        ticks += 1;
    }
    Ok(vec![("node", id.into()), ("ticks", ticks.into())])
}

fn tick(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let named = fields.nodes("node")?;
    for id in named.iter().flatten() {
        cores.raft(*id)?;
    }
    let count = within("n", fields.number("n")?.unwrap_or(1), TICKS_MAX, "1 to 100,000")?;
    let ids = named.unwrap_or_else(|| cores.ids());
    for _ in 0..count {
        for id in &ids {
            cores.tick(*id);
        }
    }
    Ok(vec![("n", count.into())])
}

fn propose(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let id = running(cores, fields)?;
    let data = fields.read("data", "text, or {\"b64\":\"…\"}", bytes)?;
    let data = data.ok_or_else(|| missing("data", "the command to be replicated"))?;
    let ticket = cores.propose(id, data);
    Ok(vec![("node", id.into()), ("ticket", ticket.0.into())])
}

/// Moves what is on the wire now and fits, not what follows from it.
fn deliver(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let (to, from) = (fields.nodes("to")?, fields.nodes("from")?);
    for id in to.iter().chain(&from).flatten() {
        cores.core(*id)?;
    }
    let kinds = fields.kinds("type")?;
    let ids = fields.read("id", "the id of a message, or a list of ids", |value| {
        one_or_many(value, |value| value.as_str().map(str::to_owned))
    })?;
    let most = fields.number("n")?.unwrap_or(u64::MAX);
    let lose = fields.flag("drop")?.unwrap_or(false);
    let keep = fields.flag("keep")?.unwrap_or(false);
    if lose && keep {
        return Err(DoorError::Impossible("`drop` and `keep` cannot be had together".to_owned()));
    }
    let fits = |on_wire: &OnWire| {
        let envelope = &on_wire.envelope;
        to.as_ref().is_none_or(|to| to.contains(&envelope.to))
            && from.as_ref().is_none_or(|from| from.contains(&envelope.from))
            && kinds.as_ref().is_none_or(|kinds| kinds.contains(&envelope.message.kind()))
            && ids.as_ref().is_none_or(|ids| ids.contains(&message::id(envelope)))
    };
    let (mut place, mut end, mut moved) = (0, cores.wire.len(), 0);
    while place < end && moved < most {
        if !fits(&cores.wire[place]) {
            place += 1;
            continue;
        }
        moved += 1;
        if lose {
            cores.lose(place);
        } else {
            cores.deliver(place, keep);
        }
        if keep {
            place += 1;
        } else {
            end -= 1;
        }
    }
    Ok(Vec::new())
}

fn stabilize(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let among = fields.nodes("nodes")?.unwrap_or_else(|| cores.ids());
    for id in &among {
        cores.core(*id)?;
    }
    cores.stabilize(&among)?;
    Ok(Vec::new())
}

fn snapshot(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let id = running(cores, fields)?;
    let applied = cores.raft(id)?.status().applied;
    let at = fields.number("to")?.map_or(applied, Index);
    cores.snapshot(id, at)?;
    boundaries(cores, id)
}

/// Takes the snapshot after which exactly the entries up to `to` leave the log.
fn compact(cores: &mut Cores, fields: &mut Fields) -> Answered {
    let id = running(cores, fields)?;
    let to = fields.number("to")?.ok_or_else(|| missing("to", "the last index that leaves the log"))?;
    let keep = cores.core(id)?.options.keep_entries;
    cores.snapshot(id, Index(to.saturating_add(keep)))?;
    boundaries(cores, id)
}

fn boundaries(cores: &Cores, id: NodeId) -> Answered {
    let status = cores.raft(id)?.status();
    Ok(vec![("node", id.into()), ("snapshot", status.snapshot.into()), ("first", status.first_index.into())])
}

/// What a majority is, by the very code that the core counts with; several configurations are joint.
fn quorum(fields: &mut Fields) -> Answered {
    let kind = fields.text("kind")?.ok_or_else(|| missing("kind", "`commit` or `vote`"))?;
    let halves = fields.read("config", "lists of nodes such as [[1,2,3],[3,4,5]]", |value| {
        value.as_array()?.iter().map(|half| half.as_array()?.iter().map(node).collect()).collect()
    })?;
    let halves: Vec<Vec<NodeId>> = halves.ok_or_else(|| missing("config", "lists of nodes such as [[1,2,3]]"))?;
    // An empty half has no say, as an outgoing configuration that is not there.
    let halves: Vec<_> = halves.into_iter().filter(|half| !half.is_empty()).map(Configuration::new).collect();
    if halves.is_empty() {
        return Err(DoorError::Wrong("config", "nobody".to_owned(), "one node or more"));
    }
    match kind.as_str() {
        "commit" => {
            let acked =
                fields.read("acked", "an index for each node such as {\"1\":101}", |value| by_node(value, number))?;
            let acked = acked.unwrap_or_default();
            let reached = |voter| Index(acked.get(&voter).copied().unwrap_or(0));
            let committed = halves.iter().map(|half| half.majority_index(reached)).min();
            Ok(vec![("kind", kind.into()), ("committed", committed.into())])
        }
        "vote" => {
            let votes = fields.read("votes", "true or false for nodes such as {\"1\":true}", |value| {
                by_node(value, Value::as_bool)
            })?;
            let votes = votes.unwrap_or_default();
            let won = halves.iter().all(|half| half.is_majority(|voter| votes.get(&voter) == Some(&true)));
            // Lost: whoever has not answered could not turn it any more.
            let lost = halves.iter().any(|half| !half.is_majority(|voter| votes.get(&voter) != Some(&false)));
            let result = match (won, lost) {
                (true, _) => "won",
                (false, true) => "lost",
                (false, false) => "pending",
            };
            Ok(vec![("kind", kind.into()), ("result", result.into())])
        }
        _ => Err(DoorError::Wrong("kind", kind, "`commit` or `vote`")),
    }
}

fn by_node<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<BTreeMap<NodeId, T>> {
    let fields = value.as_object()?;
    fields.iter().map(|(id, value)| Some((id.parse().ok()?, read(value)?))).collect()
}

/// Bytes as text, or as `{"b64":"…"}`.
fn bytes(value: &Value) -> Option<Bytes> {
    match value {
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        Value::Object(fields) if fields.len() == 1 => from_base64(fields.get("b64")?.as_str()?).map(Bytes::from),
        _ => None,
    }
}

/// What `dump` tells of a node unless other fields are asked for, and what it can tell besides.
const FIELDS: [&str; 12] =
    ["id", "role", "term", "vote", "leader", "commit", "applied", "first", "last", "log", "voters", "learners"];
const MORE_FIELDS: [&str; 6] = ["epoch", "snapshot", "halted", "digest", "data", "peers"];

fn dump(cores: &Cores, fields: &mut Fields) -> Answered {
    let ids = fields.nodes("node")?;
    for id in ids.iter().flatten() {
        cores.core(*id)?;
    }
    let ids = ids.unwrap_or_else(|| cores.ids());
    let wanted = fields.read("fields", "names of fields", |value| {
        one_or_many(value, |value| {
            let word = value.as_str()?;
            FIELDS.into_iter().chain(MORE_FIELDS).chain(["wire"]).find(|name| *name == word)
        })
    })?;
    let all = wanted.is_none();
    let wanted = wanted.unwrap_or_else(|| FIELDS.to_vec());
    let of_nodes: Vec<&'static str> = wanted.iter().copied().filter(|name| *name != "wire").collect();
    let mut answer: Vec<(&'static str, Json)> = Vec::new();
    if !of_nodes.is_empty() {
        let nodes: Vec<_> =
            ids.iter().filter_map(|id| cores.nodes.get(id)).map(|core| picture(core, &of_nodes)).collect();
        answer.push(("nodes", Json::List(nodes)));
    }
    if all || wanted.contains(&"wire") {
        answer.push(("wire", Json::List(cores.wire.iter().map(OnWire::json).collect())));
    }
    Ok(answer)
}

/// A node as it is, or what its disk holds when it has crashed; `null` is what nobody knows.
fn picture(core: &Core, wanted: &[&'static str]) -> Json {
    let status = core.raft.as_ref().map(crate::raft::Raft::status);
    let disk = &core.disk;
    let role = match &status {
        None => "crashed",
        Some(status) if status.halted.is_some() => "halted",
        Some(status) => status.role.name(),
    };
    // What a core asks of its disk is done at once, so both hold the same log.
    let last = disk.entries.last().map_or(disk.base.position, Entry::position);
    let value = |name: &'static str| match name {
        "id" => core.options.id.into(),
        "role" => role.into(),
        "term" => disk.hard_state.current_term.into(),
        "vote" => disk.hard_state.voted_for.into(),
        "leader" => status.as_ref().and_then(|status| status.leader).into(),
        "commit" => status.as_ref().map(|status| status.commit).into(),
        "applied" => status.as_ref().map(|status| status.applied).into(),
        "first" => disk.base.position.index.next().into(),
        "last" => last.index.into(),
        "log" => disk.entries.iter().map(Entry::position).collect::<Vec<_>>().into(),
        "voters" => core.options.configuration.voters().to_vec().into(),
        "learners" => Json::List(Vec::new()),
        "epoch" => disk.epoch.into(),
        "snapshot" => disk.snapshot.as_ref().map(|(meta, _)| meta.last).into(),
        "halted" => status.as_ref().and_then(|status| status.halted.clone()).into(),
        "digest" => status.as_ref().map(|_| core.machine.digest).into(),
        "data" => Json::List(core.machine.commands.iter().map(|(_, command)| Json::bytes(command)).collect()),
        "peers" => Json::List(status.iter().flat_map(|status| &status.peers).map(peer).collect()),
        _ => Json::Null,
    };
    Json::Object(wanted.iter().map(|name| (*name, value(name))).collect())
}

fn peer(peer: &PeerStatus) -> Json {
    Json::Object(vec![
        ("id", peer.id.into()),
        ("match", peer.match_index.into()),
        ("next", peer.next_index.into()),
        ("mode", format!("{:?}", peer.mode).to_lowercase().into()),
        ("in_flight", peer.in_flight_messages.into()),
    ])
}
