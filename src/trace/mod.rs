//! What nodes did, one object a line, for the programs of other people (`docs/formats.md`, "Trace of what nodes did").
//!
//! A trace has what the safety properties of Figure 3 are about: votes that are durable, entries that were stored, what
//! was committed and applied. Whoever does not believe this program's own judge can write one over these lines.
//!
//! Kept true: fields are only ever added; the lines of one node are numbered from 1, without a gap.
//! Not here: when a line is written (`node/tracer.rs`), the file (`cli/`).

pub mod json;
pub mod message;

use xxhash_rust::xxh3::xxh3_128;

pub use json::Json;

use crate::raft::{Base, Digest, Index, LogPosition, NodeId, Recovered, Term};

/// What an entry does, in 128 bits: xxh3 of its command. That of an entry without a command is that of no bytes.
#[must_use]
pub fn command_hash(command: &[u8]) -> Digest {
    Digest(xxh3_128(command))
}

/// One thing that a node did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A life began with what the disk gave back.
    Boot {
        /// Which life, counted over all runs.
        epoch: u64,
        /// Its term.
        term: Term,
        /// Whom it voted for in that term.
        vote: Option<NodeId>,
        /// What is known to be committed: what the snapshot covers.
        commit: Index,
        /// Last entry of the snapshot.
        snapshot: Option<LogPosition>,
        /// First index of the log.
        first: Index,
        /// Last index of the log.
        last: Index,
        /// Where each term of the log starts: index and term.
        terms: Vec<LogPosition>,
        /// The log may hold less than was promised.
        quarantined: bool,
    },
    /// A term without a vote in it is durable.
    Term {
        /// The term.
        term: Term,
    },
    /// A vote is durable, its own included.
    Vote {
        /// In which term.
        term: Term,
        /// For whom.
        candidate: NodeId,
    },
    /// It leads.
    Leader {
        /// Which term.
        term: Term,
        /// The members that count.
        voters: Vec<NodeId>,
    },
    /// An entry was stored, not durable yet.
    Append {
        /// Term of the node.
        term: Term,
        /// Where, and of which term the entry is.
        at: LogPosition,
        /// Hash of its command.
        hash: Digest,
    },
    /// Entries from here on were removed.
    Truncate {
        /// The first that is gone.
        from: Index,
    },
    /// The log is durable up to here.
    Durable {
        /// Last durable index.
        index: Index,
    },
    /// It knows that entries up to here are committed.
    Commit {
        /// Term of the node.
        term: Term,
        /// The commit index.
        index: Index,
    },
    /// An entry was applied.
    Apply {
        /// Where, and of which term it is.
        at: LogPosition,
        /// Hash of its command.
        hash: Digest,
    },
    /// A snapshot was taken and is durable, or one was installed.
    Snapshot {
        /// Its last entry.
        last: LogPosition,
        /// Digest of the state.
        digest: Digest,
        /// Whether it came from the leader and replaced log and state.
        installed: bool,
    },
    /// Entries up to and with this one left the log.
    Compact {
        /// The last that is gone.
        to: LogPosition,
    },
    /// A message left.
    Send {
        /// To whom.
        to: NodeId,
        /// The message.
        message: Json,
    },
    /// A message arrived.
    Recv {
        /// From whom.
        from: NodeId,
        /// The message.
        message: Json,
    },
    /// The life ended as if the process had been killed: what was not durable is gone.
    Crash {
        /// What made it stop, if it stopped itself.
        why: Option<String>,
    },
    /// The life ended in order: what was stored is durable.
    Stop,
    /// Lines that were not written because the file was too slow; the next line goes on after them.
    Gap {
        /// How many.
        lost: u64,
    },
}

/// A line of the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Who did it.
    pub node: NodeId,
    /// Counts the lines of this node from 1.
    pub seq: u64,
    /// Cluster time in microseconds.
    pub at_us: u64,
    /// What.
    pub record: Record,
}

impl Line {
    /// The line as an object.
    #[must_use]
    pub fn json(&self) -> Json {
        let (name, own) = self.record.fields();
        let mut fields: Vec<(&'static str, Json)> = vec![
            ("ev", name.into()),
            ("node", self.node.into()),
            ("seq", self.seq.into()),
            ("at_us", Json::Number(self.at_us)),
        ];
        fields.extend(own);
        Json::Object(fields)
    }
}

impl Record {
    /// The beginning of a life.
    #[must_use]
    pub fn boot(recovered: &Recovered) -> Self {
        let Recovered { epoch, hard_state, snapshot, base, entries, quarantine } = recovered;
        let snapshot = snapshot.as_ref().map(|meta| meta.last);
        let mut base: Base = *base;
        let mut entries = entries.as_slice();
        // A log that does not have the end of its snapshot is replaced by it.
        let has = |last: LogPosition| base.position == last || entries.iter().any(|entry| entry.position() == last);
        if let Some(last) = snapshot.filter(|last| !has(*last)) {
            base.position = last;
            entries = &[];
        }
        let mut terms: Vec<LogPosition> = Vec::new();
        for entry in entries {
            if terms.last().is_none_or(|run| run.term != entry.term) {
                terms.push(entry.position());
            }
        }
        Self::Boot {
            epoch: epoch.0,
            term: hard_state.current_term,
            vote: hard_state.voted_for,
            commit: snapshot.map_or(Index::ZERO, |last| last.index),
            snapshot,
            first: base.position.index.next(),
            last: entries.last().map_or(base.position.index, |entry| entry.index),
            terms,
            quarantined: quarantine.is_some(),
        }
    }

    /// The name of the record and its fields.
    fn fields(&self) -> (&'static str, Vec<(&'static str, Json)>) {
        match self {
            Self::Boot { epoch, term, vote, commit, snapshot, first, last, terms, quarantined } => (
                "boot",
                vec![
                    ("term", (*term).into()),
                    ("vote", (*vote).into()),
                    ("commit", (*commit).into()),
                    ("snap", (*snapshot).into()),
                    ("first", (*first).into()),
                    ("last", (*last).into()),
                    ("terms", terms.clone().into()),
                    ("epoch", (*epoch).into()),
                    ("quarantined", (*quarantined).into()),
                ],
            ),
            Self::Term { term } => ("term", vec![("term", (*term).into())]),
            Self::Vote { term, candidate } => ("vote", vec![("term", (*term).into()), ("for", (*candidate).into())]),
            Self::Leader { term, voters } => {
                ("leader", vec![("term", (*term).into()), ("voters", voters.clone().into())])
            }
            Self::Append { term, at, hash } => {
                let mut fields = vec![("term", Json::from(*term))];
                fields.extend(entry(*at, *hash));
                ("append", fields)
            }
            Self::Truncate { from } => ("truncate", vec![("from", (*from).into())]),
            Self::Durable { index } => ("durable", vec![("i", (*index).into())]),
            Self::Commit { term, index } => ("commit", vec![("term", (*term).into()), ("i", (*index).into())]),
            Self::Apply { at, hash } => ("apply", entry(*at, *hash)),
            Self::Snapshot { last, digest, installed } => {
                let mut fields = entry(*last, *digest);
                fields.push(("installed", (*installed).into()));
                ("snapshot", fields)
            }
            Self::Compact { to } => ("compact", vec![("i", to.index.into()), ("et", to.term.into())]),
            Self::Send { to, message } => ("send", vec![("to", (*to).into()), ("m", message.clone())]),
            Self::Recv { from, message } => ("recv", vec![("from", (*from).into()), ("m", message.clone())]),
            Self::Crash { why } => ("crash", why.iter().map(|why| ("why", why.as_str().into())).collect()),
            Self::Stop => ("stop", Vec::new()),
            Self::Gap { lost } => ("gap", vec![("lost", (*lost).into())]),
        }
    }
}

fn entry(at: LogPosition, hash: Digest) -> Vec<(&'static str, Json)> {
    vec![("i", at.index.into()), ("et", at.term.into()), ("h", hash.into())]
}
