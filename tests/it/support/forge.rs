//! Messages made by hand, as any node might send them, and what comes back.

use raft_tui::raft::message::{
    AppendEntries, AppendEntriesReply, AppendOutcome, InstallSnapshot, InstallSnapshotReply,
};
use raft_tui::raft::{
    Configuration, Digest, Envelope, Epoch, Index, LogPosition, Message, NodeId, SnapshotMeta, Term, Ticket,
};
use xxhash_rust::xxh3::xxh3_128;

use super::cores::Cores;
use super::parts::log_of;

/// AppendEntries of a leader whose log has these terms: entries after `prev` up to `last`.
pub fn append(terms: &[u64], prev: u64, last: u64, commit: u64) -> AppendEntries {
    let log = log_of(terms);
    let before = prev.checked_sub(1).map(|place| &log.entries[place as usize]);
    AppendEntries {
        prev: before.map_or(LogPosition::ZERO, raft_tui::raft::Entry::position),
        prev_chain: Some(before.map_or_else(Digest::default, |entry| entry.chain)),
        entries: log.entries[prev as usize..last as usize].to_vec(),
        commit: Index(commit),
        stream: 1,
        round: 0,
        your_epoch: Epoch(1),
        applied: None,
    }
}

pub fn pre_vote(last: LogPosition) -> Message {
    Message::PreVote { last }
}

pub fn request_vote(last: LogPosition) -> Message {
    Message::RequestVote { last }
}

pub fn vote(granted: bool) -> Message {
    Message::RequestVoteReply { granted }
}

pub fn accepted(stream: u64, round: u64, match_index: u64) -> Message {
    let outcome = AppendOutcome::Accepted { match_index: Index(match_index) };
    Message::AppendEntriesReply(AppendEntriesReply { stream, round, counted: true, outcome })
}

pub fn rejected(stream: u64, prev: u64, hint: LogPosition) -> Message {
    let outcome = AppendOutcome::Rejected { prev: Index(prev), hint };
    Message::AppendEntriesReply(AppendEntriesReply { stream, round: 0, counted: true, outcome })
}

/// A snapshot at the end of a log with these terms, and its body: one line an entry.
pub fn snapshot(terms: &[u64], members: u64) -> (SnapshotMeta, Vec<u8>) {
    let log = log_of(terms);
    let mut body = Vec::new();
    let mut digest = Digest::default();
    for entry in &log.entries {
        body.extend_from_slice(&entry.command);
        body.push(b'\n');
        digest = Digest(xxh3_128(&[&digest.0.to_le_bytes()[..], &entry.command[..]].concat()));
    }
    let meta = SnapshotMeta {
        last: log.last(),
        chain: log.entries.last().map_or_else(Digest::default, |entry| entry.chain),
        configuration: Configuration::first(members),
        proposed_at_us: 0,
        digest,
        size_bytes: body.len() as u64,
        checksum: Digest(xxh3_128(&body)),
    };
    (meta, body)
}

/// The bytes `from..to` of a snapshot, as a message.
pub fn piece(snapshot: &(SnapshotMeta, Vec<u8>), from: usize, to: usize) -> Message {
    Message::InstallSnapshot(InstallSnapshot {
        meta: snapshot.0.clone(),
        offset: from as u64,
        chunk: bytes::Bytes::copy_from_slice(&snapshot.1[from..to]),
        stream: 2,
        round: 0,
        your_epoch: Epoch(1),
    })
}

pub fn read_index(ticket: u64) -> Message {
    Message::ReadIndex { ticket: Ticket(ticket) }
}

impl Cores {
    /// `to` hears what `from` says for `term`.
    pub fn hear(&mut self, from: NodeId, to: NodeId, term: u64, message: Message) {
        let epoch = self.node(from).disk.synced.epoch;
        self.deliver_message(Envelope { from, to, epoch, number: 0, term: Term(term), message });
    }

    pub fn hear_append(&mut self, from: NodeId, to: NodeId, term: u64, append: AppendEntries) {
        self.hear(from, to, term, Message::AppendEntries(append));
    }

    /// Takes what `from` has said to `to`.
    pub fn said(&mut self, from: NodeId, to: NodeId) -> Vec<Envelope> {
        self.take_where(|envelope| envelope.from == from && envelope.to == to)
    }

    /// Takes the one thing that `from` has said to `to`.
    pub fn said_once(&mut self, from: NodeId, to: NodeId) -> Envelope {
        let mut said = self.said(from, to);
        assert_eq!(said.len(), 1, "{from} said to {to}: {said:#?}");
        said.remove(0)
    }

    /// What `from` answered to the one AppendEntries of `to`.
    pub fn outcome(&mut self, from: NodeId, to: NodeId) -> AppendOutcome {
        match self.said_once(from, to).message {
            Message::AppendEntriesReply(reply) => reply.outcome,
            other => panic!("{from} answered {other}"),
        }
    }

    /// What `from` answered to the one InstallSnapshot of `to`.
    pub fn snapshot_reply(&mut self, from: NodeId, to: NodeId) -> InstallSnapshotReply {
        match self.said_once(from, to).message {
            Message::InstallSnapshotReply(reply) => reply,
            other => panic!("{from} answered {other}"),
        }
    }

    /// Whether the answer of `from` to the one vote request of `to` was yes.
    pub fn granted(&mut self, from: NodeId, to: NodeId) -> bool {
        match self.said_once(from, to).message {
            Message::RequestVoteReply { granted } | Message::PreVoteReply { granted, .. } => granted,
            other => panic!("{from} answered {other}"),
        }
    }

    /// Makes n1 of a cluster, all of whose logs have these terms, the leader of the next term, and forgets how.
    pub fn led_by_n1(count: u64, terms: &[u64]) -> Self {
        let mut cores = Self::with(count, |options| {
            options.pre_vote = false;
            options.check_quorum = false;
        });
        for id in cores.ids() {
            cores.set_log(id, terms);
        }
        cores.elect(NodeId(1));
        cores.take_transcript();
        cores
    }
}
