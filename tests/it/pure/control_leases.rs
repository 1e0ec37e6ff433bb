use raft_tui::control::leases::{ALL_FAULTS_MAX, FAULTS_MAX, LeaseError, Leases, SILENCE_MS_MAX, TTL_MS_MAX, Why};
use raft_tui::control::protocol::Fault;
use raft_tui::control::{LinkRule, Links};
use raft_tui::raft::NodeId;
use raft_tui::transport::faults::Rules;

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);

fn leases() -> Leases {
    Leases::new([N1, N2, N3])
}

fn clean() -> Rules {
    Rules::new([N1, N2, N3], 5)
}

fn fault(number: u64, links: Links, rule: LinkRule, ttl_ms: u64) -> Fault {
    Fault { number, text: "a fault".into(), links: vec![(links, rule)], disk_delay_us: None, ttl_ms }
}

fn cut(number: u64, ttl_ms: u64) -> Fault {
    fault(number, Links::Of(N3), LinkRule::Cut { kind: None }, ttl_ms)
}

fn loss(number: u64, per_million: u32) -> Fault {
    fault(number, Links::All, LinkRule::Loss { per_million }, 60_000)
}

fn disk(number: u64, us: u64, ttl_ms: u64) -> Fault {
    Fault { number, text: "slow".into(), links: Vec::new(), disk_delay_us: Some(us), ttl_ms }
}

#[test]
fn a_lease_ends_with_its_time_and_not_before() {
    let mut leases = leases();
    assert_eq!(leases.put(7, "cora", &cut(1, 3_000), 1_000), Ok(false));
    assert_eq!(leases.next_end_ms(), Some(4_000));
    leases.alive(7, 3_999);
    assert!(leases.expire(3_999).is_empty() && leases.rules(&clean()).is_cut(N1, N3));
    let ended = leases.expire(4_000);
    assert_eq!(ended.iter().map(|(id, _, why)| (*id, *why)).collect::<Vec<_>>(), [((7, 1), Why::Time)]);
    assert_eq!((leases.rules(&clean()), leases.next_end_ms()), (clean(), None));
}

#[test]
fn a_lease_ends_soon_after_its_session_fell_silent() {
    let mut leases = leases();
    leases.put(7, "cora", &cut(1, TTL_MS_MAX), 0).expect("taken");
    leases.put(8, "carl", &disk(1, 9, TTL_MS_MAX), 0).expect("taken");
    for now_ms in (0..60_000).step_by(1_000) {
        leases.alive(8, now_ms);
        let ended = leases.expire(now_ms);
        assert_eq!(ended.len(), usize::from(now_ms == SILENCE_MS_MAX), "at {now_ms}");
    }
    assert_eq!(leases.views(60_000).len(), 1);
    assert_eq!(leases.disk_delay_us(), Some(9));
}

#[test]
fn renewing_gives_more_time_and_replacing_gives_another_fault() {
    let mut leases = leases();
    leases.put(7, "cora", &cut(1, 1_000), 0).expect("taken");
    assert_eq!(leases.put(7, "cora", &cut(1, 1_000), 900), Ok(true));
    assert!(leases.expire(1_500).is_empty());
    let other = fault(1, Links::One { from: N1, to: N2 }, LinkRule::Loss { per_million: 5 }, 1_000);
    assert_eq!(leases.put(7, "cora", &other, 1_500), Ok(true));
    let rules: Vec<_> = leases.rules(&clean()).list().collect();
    assert_eq!(rules, [(Links::One { from: N1, to: N2 }, LinkRule::Loss { per_million: 5 })]);
}

#[test]
fn what_is_in_force_is_all_leases_together_and_the_later_goes_over_the_earlier() {
    let mut leases = leases();
    leases.put(7, "cora", &loss(1, 100), 0).expect("taken");
    leases.put(8, "carl", &loss(1, 900), 0).expect("taken");
    leases.put(7, "cora", &cut(2, 60_000), 0).expect("taken");
    leases.put(7, "cora", &loss(1, 100), 5).expect("renewed");
    let rule = LinkRule::Loss { per_million: 900 };
    let rules = leases.rules(&clean());
    assert!(rules.list().any(|one| one == (Links::One { from: N1, to: N2 }, rule)), "renewing does not put it on top");
    assert!(rules.is_cut(N3, N1) && !rules.is_cut(N1, N2) && rules.base_delay_us() == 5);
    leases.heal((8, 1)).expect("it was there");
    let rule = LinkRule::Loss { per_million: 100 };
    assert!(leases.rules(&clean()).list().any(|one| one == (Links::One { from: N1, to: N2 }, rule)), "the other shows");
    leases.put(7, "cora", &disk(3, 40, 1_000), 0).expect("taken");
    leases.put(8, "carl", &disk(3, 70, 500), 0).expect("taken");
    assert_eq!(leases.disk_delay_us(), Some(70));
    leases.expire(600);
    assert_eq!(leases.disk_delay_us(), Some(40));
}

#[test]
fn healing_takes_away_what_is_meant_whoever_put_it_there() {
    let mut leases = leases();
    leases.put(7, "cora", &cut(1, 60_000), 0).expect("taken");
    leases.put(8, "carl", &loss(1, 100), 0).expect("taken");
    assert!(leases.heal((8, 9)).is_none() && leases.heal((9, 1)).is_none());
    let ended = leases.heal_links(Links::Of(N3));
    assert_eq!(ended.len(), 1, "of the cut nothing is left");
    assert_eq!(leases.rules(&clean()).list().count(), 2, "loss between n1 and n2 stays");
    assert_eq!(leases.heal_all().len(), 1);
    assert!(leases.is_empty() && leases.rules(&clean()).is_clean());
}

#[test]
fn what_cannot_be_is_refused_and_leaves_things_as_they_were() {
    let mut leases = leases();
    let rule = LinkRule::Cut { kind: None };
    let refused = [
        (cut(1, 0), LeaseError::Time),
        (cut(1, TTL_MS_MAX + 1), LeaseError::Time),
        (Fault { links: Vec::new(), ..cut(1, 1) }, LeaseError::Size),
        (Fault { text: "x".repeat(257), ..cut(1, 1) }, LeaseError::Size),
        (Fault { links: vec![(Links::All, rule); 1_025], ..cut(1, 1) }, LeaseError::Size),
        (fault(1, Links::Of(NodeId(4)), rule, 1), LeaseError::NoSuchNode(NodeId(4))),
        (fault(1, Links::All, LinkRule::Loss { per_million: 1_000_001 }, 1), LeaseError::Bounds),
        (fault(1, Links::All, LinkRule::Delay { delay_us: u64::MAX, jitter_us: 0 }, 1), LeaseError::Bounds),
        (disk(1, u64::MAX, 1), LeaseError::Bounds),
    ];
    for (fault, why) in refused {
        assert_eq!(leases.put(7, "cora", &fault, 0), Err(why));
        assert!(leases.is_empty());
    }
    for number in 0..FAULTS_MAX as u64 {
        assert_eq!(leases.put(7, "cora", &cut(number, 1_000), 0), Ok(false));
    }
    assert_eq!(leases.put(7, "cora", &cut(99, 1_000), 0), Err(LeaseError::TooMany));
    assert_eq!(leases.put(7, "cora", &cut(0, 1_000), 0), Ok(true), "renewing is no new fault");
    for number in FAULTS_MAX..ALL_FAULTS_MAX {
        assert_eq!(leases.put(100 + number as u128, "carl", &cut(1, 1_000), 0), Ok(false));
    }
    assert_eq!(leases.put(8, "carl", &cut(1, 1_000), 0), Err(LeaseError::TooManyInAll));
}
