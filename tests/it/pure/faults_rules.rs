use raft_tui::raft::{MessageKind, NodeId};
use raft_tui::transport::faults::{DropWhy, Fate, Faults, LinkRule, Links, Rules};

const N1: NodeId = NodeId(1);
const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const CUT: LinkRule = LinkRule::Cut { kind: None };

fn five(base_delay_us: u64) -> Rules {
    Rules::new((1..=5).map(NodeId), base_delay_us)
}

fn due(fate: Fate) -> u64 {
    match fate {
        Fate::Deliver { due_us, .. } => due_us,
        Fate::Drop { why } => panic!("dropped: {why:?}"),
    }
}

fn fates(faults: &mut Faults, from: NodeId, to: NodeId, count: u64) -> Vec<Fate> {
    (0..count).map(|i| faults.decide(from, to, MessageKind::AppendEntries, i * 1_000)).collect()
}

#[test]
fn a_clean_link_delivers_after_its_base_delay() {
    let mut faults = Faults::new(1, five(15_000));
    assert!(faults.rules().is_clean());
    assert_eq!(faults.decide(N1, N2, MessageKind::Heartbeat, 7), Fate::Deliver { due_us: 15_007, again_us: None });
}

#[test]
fn a_cut_has_a_direction_and_a_kind() {
    let mut rules = five(0);
    rules.set(Links::One { from: N1, to: N2 }, CUT);
    rules.set(Links::One { from: N2, to: N3 }, LinkRule::Cut { kind: Some(MessageKind::RequestVoteReply) });
    let mut faults = Faults::new(1, rules);
    let drop = |why| Fate::Drop { why };
    assert_eq!(faults.decide(N1, N2, MessageKind::Heartbeat, 0), drop(DropWhy::Cut));
    assert_eq!(due(faults.decide(N2, N1, MessageKind::Heartbeat, 0)), 0);
    assert_eq!(faults.decide(N2, N3, MessageKind::RequestVoteReply, 0), drop(DropWhy::CutKind));
    assert_eq!(due(faults.decide(N2, N3, MessageKind::RequestVote, 0)), 0);
}

#[test]
fn a_partition_cuts_between_groups_and_leaves_the_unnamed_alone() {
    let mut rules = five(0);
    rules.partition(&[vec![N1, N2], vec![N3, NodeId(4)]]);
    for from in 1..=5 {
        for to in (1..=5).filter(|to| *to != from) {
            let together = matches!((from, to), (1, 2) | (2, 1) | (3, 4) | (4, 3));
            assert_eq!(rules.is_cut(NodeId(from), NodeId(to)), !together, "{from} > {to}");
        }
    }
}

#[test]
fn healing_one_direction_leaves_the_other_cut() {
    let mut rules = five(0);
    rules.set(Links::Between(N1, N2), CUT);
    rules.heal(Links::One { from: N1, to: N2 });
    assert!(!rules.is_cut(N1, N2));
    assert!(rules.is_cut(N2, N1));
    rules.heal(Links::All);
    assert!(rules.is_clean());
}

#[test]
fn rules_of_one_sort_replace_each_other_and_zero_takes_away() {
    let mut rules = five(0);
    let link = Links::One { from: N1, to: N2 };
    rules.set(link, LinkRule::Delay { delay_us: 10, jitter_us: 0 });
    rules.set(link, LinkRule::Delay { delay_us: 20, jitter_us: 5 });
    rules.set(link, LinkRule::Loss { per_million: 1 });
    let listed: Vec<_> = rules.list().collect();
    assert_eq!(
        listed,
        [(link, LinkRule::Delay { delay_us: 20, jitter_us: 5 }), (link, LinkRule::Loss { per_million: 1 })]
    );
    rules.set(link, LinkRule::Delay { delay_us: 0, jitter_us: 0 });
    rules.set(link, LinkRule::Loss { per_million: 0 });
    assert!(rules.is_clean());
}

#[test]
fn the_same_seed_gives_the_same_fates_and_another_gives_others() {
    let mut rules = five(0);
    rules.set(Links::All, LinkRule::Loss { per_million: 300_000 });
    let run = |seed| fates(&mut Faults::new(seed, rules.clone()), N1, N2, 100);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_rule_elsewhere_does_not_reshuffle_a_link() {
    let mut here = five(0);
    here.set(Links::One { from: N1, to: N2 }, LinkRule::Loss { per_million: 300_000 });
    let mut elsewhere = here.clone();
    elsewhere.set(Links::Of(N3), LinkRule::Loss { per_million: 900_000 });
    let mut one = Faults::new(9, here);
    let mut other = Faults::new(9, elsewhere);
    let expected = fates(&mut one, N1, N2, 50);
    let _ = fates(&mut other, N1, N3, 17);
    assert_eq!(fates(&mut other, N1, N2, 50), expected);
}

#[test]
fn a_rule_of_another_sort_does_not_reshuffle_the_losses_of_a_link() {
    let lost = |extra: Option<LinkRule>| -> Vec<bool> {
        let mut rules = five(0);
        rules.set(Links::All, LinkRule::Loss { per_million: 300_000 });
        if let Some(extra) = extra {
            rules.set(Links::All, extra);
        }
        let fates = fates(&mut Faults::new(9, rules), N1, N2, 100);
        fates.iter().map(|fate| matches!(fate, Fate::Drop { .. })).collect()
    };
    assert_eq!(lost(None), lost(Some(LinkRule::Delay { delay_us: 1_000, jitter_us: 400 })));
    assert_eq!(lost(None), lost(Some(LinkRule::Duplicate { per_million: 500_000 })));
}

#[test]
fn chances_are_met() {
    let mut rules = five(0);
    rules.set(Links::One { from: N1, to: N2 }, LinkRule::Loss { per_million: 200_000 });
    rules.set(Links::One { from: N1, to: N3 }, LinkRule::Duplicate { per_million: 200_000 });
    let mut faults = Faults::new(3, rules);
    let lost = fates(&mut faults, N1, N2, 10_000).iter().filter(|fate| matches!(fate, Fate::Drop { .. })).count();
    let twice = fates(&mut faults, N1, N3, 10_000)
        .iter()
        .filter(|fate| matches!(fate, Fate::Deliver { again_us: Some(_), .. }))
        .count();
    assert!((1_800..2_200).contains(&lost), "{lost}");
    assert!((1_800..2_200).contains(&twice), "{twice}");
}

#[test]
fn jitter_stays_within_its_bounds_and_keeps_the_order() {
    let mut rules = five(1_000);
    rules.set(Links::All, LinkRule::Delay { delay_us: 80_000, jitter_us: 10_000 });
    let mut faults = Faults::new(3, rules);
    let mut last = 0;
    for now in (0..1_000_000).step_by(100) {
        let due = due(faults.decide(N1, N2, MessageKind::Heartbeat, now));
        assert!(due >= now + 81_000, "{now} {due}");
        assert!(due <= now + 91_000, "{now} {due}");
        assert!(due >= last, "order was lost at {now}");
        last = due;
    }
}

#[test]
fn only_a_reorder_rule_loses_the_order() {
    let mut rules = five(1_000);
    rules.set(Links::All, LinkRule::Reorder { per_million: 300_000 });
    let mut faults = Faults::new(3, rules);
    let dues: Vec<_> = fates(&mut faults, N1, N2, 1_000).into_iter().map(due).collect();
    let overtaken = dues.windows(2).filter(|pair| pair[1] < pair[0]).count();
    assert!(overtaken > 100, "{overtaken}");
    assert!(dues.iter().zip(0_u64..).all(|(due, i)| *due <= i * 1_000 + 1_000 + 20_000), "held too long");
}

#[test]
fn a_healed_link_is_fast_at_once() {
    let mut slow = five(0);
    slow.set(Links::All, LinkRule::Delay { delay_us: 10_000_000, jitter_us: 0 });
    let mut faults = Faults::new(3, slow);
    assert_eq!(due(faults.decide(N1, N2, MessageKind::Heartbeat, 0)), 10_000_000);
    faults.set_rules(five(0));
    assert_eq!(due(faults.decide(N1, N2, MessageKind::Heartbeat, 5)), 5);
}
