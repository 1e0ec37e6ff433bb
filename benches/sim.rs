//! How many simulated events a second one thread does, every one judged: nodes, disks, network, clients, faults and all
//! properties of `check/`.
//!
//! A round is the same few seeds, from the first event to the verdict. `cargo bench --bench sim`.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use raft_tui::sim::swarm::{self, Batch};
use raft_tui::sim::{Limits, Profile};

/// Enough for clusters of every size and all classes of faults.
const SEEDS: std::ops::Range<u64> = 0..24;

fn round(profile: Profile) -> Batch {
    let mut batch = Batch::default();
    for seed in SEEDS {
        batch.add(swarm::run(seed, profile, &Limits::default()));
    }
    batch
}

fn simulated_events(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sim");
    for (name, profile) in [("quiet", Profile::Quiet), ("every fault", Profile::Everything)] {
        let batch = round(profile);
        assert!(batch.failed.is_empty(), "figures of a broken program say nothing");
        group.throughput(Throughput::Elements(batch.events));
        group.bench_function(name, |bench| bench.iter(|| round(profile)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(15));
    targets = simulated_events
}
criterion_main!(benches);
