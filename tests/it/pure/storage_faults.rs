//! What rules make of a disk.

use raft_tui::storage::faults::{
    DiskFaults, DiskRules, Failure, Fate, Kind, Request, RotTarget, Stall, Survival, TornTail, Verdict, When,
};

const REQUESTS: [Request; 4] =
    [Request::Write { bytes: 10 }, Request::Sync, Request::Read, Request::SnapshotWrite { bytes: 100 }];

fn disk(seed: u64, rules: DiskRules) -> DiskFaults {
    let mut disk = DiskFaults::new(seed);
    disk.set_rules(rules);
    disk
}

fn fates(disk: &mut DiskFaults, count: usize) -> Vec<Fate> {
    (0..count).map(|at| disk.decide(REQUESTS[at % REQUESTS.len()])).collect()
}

#[test]
fn without_rules_nothing_happens() {
    let good = Fate { delay_us: Some(0), result: Verdict::Done, survives: Survival::Kept };
    assert_eq!(fates(&mut DiskFaults::new(1), 100), [good; 100]);
    assert!(DiskFaults::new(1).rules().is_healthy());
    assert_eq!(DiskFaults::new(1).crash(5), [Survival::Kept; 5]);
}

#[test]
fn the_same_seed_makes_the_same_disk() {
    let rules = DiskRules {
        latency_us: 10,
        jitter_us: 90,
        failures: vec![Failure { kind: Kind::Sync, when: When::PerMillion(200_000) }],
        torn_tail: TornTail { lost_per_million: 300_000, torn_per_million: 300_000 },
        ..DiskRules::default()
    };
    let run = |seed| {
        let mut disk = disk(seed, rules.clone());
        (fates(&mut disk, 200), disk.crash(30), disk.rot(RotTarget::Log, 1_000))
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// What one concern draws does not reshuffle another.
#[test]
fn requests_do_not_change_what_a_crash_leaves() {
    let rules =
        DiskRules { torn_tail: TornTail { lost_per_million: 500_000, torn_per_million: 0 }, ..DiskRules::default() };
    let mut quiet = disk(3, rules.clone());
    let mut busy = disk(3, DiskRules { jitter_us: 100, ..rules });
    for _ in 0..100 {
        busy.decide(Request::Sync);
        busy.rot(RotTarget::Fence, 9);
    }
    assert_eq!(quiet.crash(1), busy.crash(1));
}

#[test]
fn latency_and_jitter_are_within_their_bounds() {
    let mut disk = disk(1, DiskRules { latency_us: 1_000, jitter_us: 500, ..DiskRules::default() });
    let delays: Vec<_> = fates(&mut disk, 1_000).into_iter().filter_map(|fate| fate.delay_us).collect();
    assert_eq!(delays.len(), 1_000);
    assert!(delays.iter().all(|delay| (1_000..=1_500).contains(delay)));
    assert!(delays.iter().any(|delay| *delay < 1_050) && delays.iter().any(|delay| *delay > 1_450));
}

#[test]
fn the_nth_of_a_kind_fails_once() {
    let failures = vec![Failure { kind: Kind::Sync, when: When::Nth(3) }];
    let mut disk = disk(1, DiskRules { failures, ..DiskRules::default() });
    let failed: Vec<_> = fates(&mut disk, 40)
        .into_iter()
        .enumerate()
        .filter(|(_, fate)| fate.result == Verdict::Failed)
        .map(|(at, _)| at)
        .collect();
    assert_eq!(failed, [9], "the third sync is the tenth request");
    disk.set_rules(disk.rules().clone());
    assert_eq!(fates(&mut disk, 12)[9].result, Verdict::Failed, "new rules count anew");
}

#[test]
fn a_share_of_requests_fails_and_a_failed_sync_may_have_worked() {
    let failures = vec![Failure { kind: Kind::Sync, when: When::PerMillion(250_000) }];
    let mut disk = disk(1, DiskRules { failures, ..DiskRules::default() });
    let fates: Vec<_> = (0..4_000).map(|_| disk.decide(Request::Sync)).collect();
    let failed: Vec<_> = fates.iter().filter(|fate| fate.result == Verdict::Failed).collect();
    assert!((900..1_100).contains(&failed.len()), "{}", failed.len());
    let kept = failed.iter().filter(|fate| fate.survives == Survival::Kept).count();
    assert!((400..600).contains(&kept), "{kept}");
}

#[test]
fn a_disk_is_full_after_so_many_bytes() {
    let mut disk = disk(1, DiskRules { space_bytes: Some(25), ..DiskRules::default() });
    let write = |disk: &mut DiskFaults| disk.decide(Request::Write { bytes: 10 }).result;
    assert_eq!(
        [write(&mut disk), write(&mut disk), write(&mut disk)],
        [Verdict::Done, Verdict::Done, Verdict::NoSpace]
    );
    assert_eq!(disk.decide(Request::Write { bytes: 5 }).result, Verdict::Done, "what fits still fits");
    assert_eq!(disk.decide(Request::Sync).result, Verdict::Done, "a sync needs no room");
    assert_eq!(disk.decide(Request::SnapshotWrite { bytes: 1 }).result, Verdict::NoSpace);
    disk.heal();
    assert_eq!(write(&mut disk), Verdict::Done);
}

#[test]
fn a_stall_ends_when_it_is_healed_or_when_it_is_over() {
    let failures = vec![Failure { kind: Kind::Sync, when: When::Nth(1) }];
    let mut disk = disk(1, DiskRules { stall: Some(Stall::UntilHealed), failures, ..DiskRules::default() });
    assert!(disk.is_stalled());
    assert!(fates(&mut disk, 8).iter().all(|fate| fate.delay_us.is_none()));
    let rules = DiskRules { stall: Some(Stall::OnceUs(500)), latency_us: 1, ..disk.rules().clone() };
    disk.set_rules(rules);
    let fate = disk.decide(Request::Sync);
    assert_eq!((fate.delay_us, fate.result), (Some(501), Verdict::Failed), "what was stalled had no fate yet");
    assert_eq!(disk.decide(Request::Sync).delay_us, Some(1));
}

#[test]
fn a_crash_keeps_a_beginning_and_tears_at_most_one() {
    let torn_tail = TornTail { lost_per_million: 200_000, torn_per_million: 200_000 };
    let mut disk = disk(1, DiskRules { torn_tail, ..DiskRules::default() });
    let mut torn = 0;
    for _ in 0..500 {
        let fates = disk.crash(6);
        let kept = fates.iter().take_while(|fate| **fate == Survival::Kept).count();
        let rest = fates.get(kept + 1..).unwrap_or_default();
        assert!(rest.iter().all(|fate| *fate == Survival::Lost), "{fates:?}");
        torn += usize::from(fates.contains(&Survival::Torn));
    }
    assert!((150..350).contains(&torn), "{torn}");
}

#[test]
fn rot_hits_bytes_that_are_there_and_changes_them() {
    let mut disk = DiskFaults::new(1);
    assert_eq!(disk.rot(RotTarget::Mark, 0), None);
    for _ in 0..500 {
        let rot = disk.rot(RotTarget::Log, 7).expect("a byte");
        assert!(rot.offset < 7 && rot.flip.is_power_of_two() && rot.target == RotTarget::Log);
    }
}
