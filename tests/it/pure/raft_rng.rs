use raft_tui::raft::rng::Rng;

#[test]
fn a_seed_replays_for_ever() {
    let mut rng = Rng::new(42);
    let drawn: Vec<_> = (0..4).map(|_| rng.next_u64()).collect();
    // splitmix64 of 42 seeds xoshiro256++: the reference implementation gives these.
    assert_eq!(
        drawn,
        [15_021_278_609_987_233_951, 5_881_210_131_331_364_753, 18_149_643_915_985_481_100, 12_933_668_939_759_105_464]
    );
}

#[test]
fn below_stays_below_and_reaches_every_value() {
    let mut rng = Rng::new(7);
    let mut seen = [0_u32; 15];
    for _ in 0..15_000 {
        seen[rng.below(15) as usize] += 1;
    }
    assert!(seen.iter().all(|count| (800..1_200).contains(count)), "{seen:?}");
    assert_eq!(rng.below(1), 0);
}

#[test]
fn chances_are_as_likely_as_they_say() {
    let mut rng = Rng::new(7);
    let hits = (0..100_000).filter(|_| rng.chance_per_million(200_000)).count();
    assert!((19_000..21_000).contains(&hits), "{hits}");
    assert!((0..1_000).all(|_| !rng.chance_per_million(0)));
    assert!((0..1_000).all(|_| rng.chance_per_million(1_000_000)));
}

#[test]
fn forks_differ_and_leave_the_stream_alone() {
    let mut rng = Rng::new(7);
    let mut untouched = Rng::new(7);
    let (mut one, mut two, mut again) = (rng.fork(1), rng.fork(2), rng.fork(1));
    let first = one.next_u64();
    assert_ne!(first, two.next_u64());
    assert_eq!(first, again.next_u64());
    assert_eq!(rng.next_u64(), untouched.next_u64());
}
