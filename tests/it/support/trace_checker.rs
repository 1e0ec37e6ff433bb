//! A stranger's judge of traces, written from `docs/formats.md` alone.

use std::collections::BTreeMap;

use serde_json::Value;

/// What is known of a node in the middle of its trace.
#[derive(Debug, Default)]
struct Node {
    seq: u64,
    alive: bool,
    term: u64,
    vote: Option<(u64, String)>,
    /// Term and hash by index.
    log: BTreeMap<u64, (u64, String)>,
    first: u64,
    durable: u64,
    commit: u64,
    applied: u64,
}

/// Reads a trace as a stranger would, with nothing but `docs/formats.md`.
#[derive(Debug, Default)]
pub struct Checker {
    voters: usize,
    nodes: BTreeMap<String, Node>,
    pub leaders: BTreeMap<u64, String>,
    /// By index: what any node applied there.
    applied: BTreeMap<u64, (u64, String)>,
    /// Lines of each kind.
    pub counts: BTreeMap<String, u64>,
    /// Messages by id.
    pub sent: BTreeMap<String, Value>,
}

impl Checker {
    /// For a cluster of so many.
    pub fn of(voters: usize) -> Self {
        Self { voters, ..Self::default() }
    }

    /// So many lines of a kind.
    pub fn count(&self, ev: &str) -> u64 {
        self.counts.get(ev).copied().unwrap_or(0)
    }

    /// The next line.
    pub fn line(&mut self, text: &str) {
        let line: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let word = |name: &str| line[name].as_str().map(str::to_owned);
        let number = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name} in {text}"));
        let (id, ev) = (word("node").expect("who"), word("ev").expect("what"));
        let node = self.nodes.entry(id.clone()).or_default();
        *self.counts.entry(ev.clone()).or_default() += 1;
        assert_eq!(number("seq"), node.seq + 1, "{text}");
        node.seq += 1;
        assert_eq!(node.alive, ev != "boot", "{text}");
        let entry = || (number("et"), word("h").expect("a hash"));
        match ev.as_str() {
            "boot" => {
                let vote = word("vote").map(|vote| (number("term"), vote));
                assert!(node.vote.is_none() || number("term") > node.term || vote == node.vote, "{text}: {node:?}");
                assert!(number("last") >= node.durable, "{text}: {node:?}");
                assert!(number("term") >= node.term, "{text}: {node:?}");
                node.log.retain(|index, _| *index <= number("last"));
                let (snap, last) = (line["snap"][0].as_u64().unwrap_or(0), number("last"));
                assert_eq!(number("commit"), snap, "{text}");
                (node.alive, node.term, node.vote) = (true, number("term"), vote);
                (node.first, node.durable, node.commit, node.applied) = (number("first"), last, snap, snap);
                for run in line["terms"].as_array().expect("runs") {
                    let (index, term) = (run[0].as_u64().expect("index"), run[1].as_u64().expect("term"));
                    assert!(node.log.get(&index).is_none_or(|(known, _)| *known == term), "{text}: {node:?}");
                }
            }
            "vote" => {
                let vote = (number("term"), word("for").expect("for whom"));
                assert!(vote.0 > node.term || (vote.0 == node.term && node.vote.is_none()), "{text}: {node:?}");
                (node.term, node.vote) = (vote.0, Some(vote));
            }
            "term" => {
                assert!(number("term") > node.term, "{text}: {node:?}");
                (node.term, node.vote) = (number("term"), None);
            }
            "leader" => {
                let other = self.leaders.insert(number("term"), id.clone());
                assert!(other.is_none(), "{text}: {other:?} led it too");
                assert_eq!(line["voters"].as_array().expect("voters").len(), self.voters);
                assert_eq!(node.vote, Some((number("term"), id)), "{text}: its own vote is durable");
                for (index, applied) in self.applied.range(node.first..) {
                    assert_eq!(node.log.get(index), Some(applied), "{text}: a leader has what was applied");
                }
            }
            "append" => {
                let last = node.log.last_key_value().map_or(node.first - 1, |(index, _)| *index);
                assert_eq!(number("i"), last.max(node.first - 1) + 1, "{text}: {node:?}");
                node.log.insert(number("i"), entry());
            }
            "truncate" => {
                assert!(number("from") > node.commit, "{text}: {node:?}");
                node.log.split_off(&number("from"));
                node.durable = node.durable.min(number("from") - 1);
            }
            "durable" => {
                assert!(number("i") > node.durable && node.log.contains_key(&number("i")), "{text}: {node:?}");
                node.durable = number("i");
            }
            "commit" => {
                assert!(number("i") > node.commit && node.log.contains_key(&number("i")), "{text}: {node:?}");
                node.commit = number("i");
            }
            "apply" => {
                let index = number("i");
                assert_eq!(index, node.applied + 1, "{text}");
                assert!(index <= node.commit && index <= node.durable, "{text}: {node:?}");
                assert_eq!(node.log.get(&index), Some(&entry()), "{text}");
                node.applied = index;
                assert_eq!(*self.applied.entry(index).or_insert_with(entry), entry(), "{text}");
            }
            "snapshot" => {
                if line["installed"] == true {
                    node.log.clear();
                    (node.first, node.durable) = (number("i") + 1, number("i"));
                    (node.commit, node.applied) = (number("i"), number("i"));
                }
                assert!(number("i") <= node.applied, "{text}: {node:?}");
            }
            "compact" => {
                node.first = number("i") + 1;
                node.log = node.log.split_off(&node.first);
            }
            "send" => {
                let message = line["m"].clone();
                assert!(message["cause"].is_string(), "{text}");
                self.sent.insert(message["id"].as_str().expect("an id").to_owned(), message);
            }
            "recv" => {}
            "crash" | "stop" => node.alive = false,
            other => panic!("{other} is not documented: {text}"),
        }
    }
}
