//! How many proposals a second three cores take in memory: no disk, no wire, no codec, one thread.
//!
//! A round is so many proposals of 256 bytes in one turn of the leader, all messages and completions delivered until
//! the leader has committed and applied them. `cargo bench --bench core`.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use raft_tui::raft::{
    Configuration, Digest, Effects, Envelope, Index, Input, NodeId, Options, Proposal, Raft, Recovered, Ticket,
};

struct Cluster {
    nodes: Vec<Raft>,
    wire: VecDeque<Envelope>,
    tickets: u64,
}

impl Cluster {
    /// Three nodes, the first of which leads.
    fn new() -> Self {
        let configuration = Configuration::first(3);
        let nodes = (1..=3).map(|id| {
            let options = Options { snapshot_entries: u64::MAX, ..Options::new(NodeId(id), configuration.clone()) };
            Raft::new(options, Recovered { epoch: raft_tui::raft::Epoch(1), ..Recovered::default() }, 1)
        });
        let mut cluster = Self { nodes: nodes.collect(), wire: VecDeque::new(), tickets: 0 };
        while !cluster.nodes[0].is_leader() {
            cluster.nodes[0].step(Input::Tick);
            cluster.settle(0);
            cluster.deliver();
        }
        cluster
    }

    /// Effects of one turn: the disk answers at once, the machine too.
    fn settle(&mut self, place: usize) {
        loop {
            let node = &mut self.nodes[place];
            let Effects { sends, persist, apply, .. } = node.take_effects();
            self.wire.extend(sends.into_iter().map(|send| send.envelope));
            let quiet = persist.is_none() && apply.is_empty();
            if let Some(persist) = persist {
                node.step(Input::Persisted(persist.point));
            }
            if !apply.is_empty() {
                node.step(Input::Applied(apply.iter().map(|entry| (entry.index, Digest(0))).collect()));
            }
            if quiet {
                return;
            }
        }
    }

    fn deliver(&mut self) {
        while let Some(envelope) = self.wire.pop_front() {
            let place = envelope.to.0 as usize - 1;
            self.nodes[place].step(Input::Receive(envelope));
            self.settle(place);
        }
    }

    /// `count` proposals in one turn, until all of them are applied.
    fn round(&mut self, count: u64, command: &Bytes) -> Index {
        for _ in 0..count {
            self.tickets += 1;
            let proposal = Proposal { ticket: Ticket(self.tickets), command: command.clone(), proposed_at_us: 0 };
            self.nodes[0].step(Input::Propose(proposal));
        }
        self.settle(0);
        self.deliver();
        self.nodes[0].status().applied
    }
}

fn proposals(criterion: &mut Criterion) {
    let command = Bytes::from(vec![7; 256]);
    let mut group = criterion.benchmark_group("proposals");
    group.measurement_time(Duration::from_secs(5));
    for count in [64, 256] {
        group.throughput(Throughput::Elements(count * 16));
        group.bench_function(format!("{count} a round"), |bencher| {
            bencher.iter_batched(
                Cluster::new,
                |mut cluster| {
                    let mut applied = Index::ZERO;
                    for _ in 0..16 {
                        applied = cluster.round(count, &command);
                    }
                    assert_eq!(applied, Index(count * 16 + 1), "everything is applied");
                    cluster
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, proposals);
criterion_main!(benches);
