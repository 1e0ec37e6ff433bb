//! Any history of rules and any messages: what the interpreter of faults keeps true for all of them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use raft_tui::raft::{MessageKind, NodeId};
use raft_tui::transport::faults::{DropWhy, Fate, Faults, LinkRule, Links, Rules};

const NODES: u64 = 4;

#[derive(Clone, Debug)]
enum Change {
    Set(Links, LinkRule),
    Heal(Links),
    Partition(Vec<Vec<NodeId>>),
}

fn node() -> impl Strategy<Value = NodeId> {
    (1..=NODES).prop_map(NodeId)
}

fn links() -> impl Strategy<Value = Links> {
    prop_oneof![
        (node(), node()).prop_map(|(from, to)| Links::One { from, to }),
        (node(), node()).prop_map(|(one, other)| Links::Between(one, other)),
        node().prop_map(Links::Of),
        Just(Links::All),
    ]
}

fn kind() -> impl Strategy<Value = MessageKind> {
    prop::sample::select(&MessageKind::ALL[..])
}

fn rule() -> impl Strategy<Value = LinkRule> {
    let chance = prop_oneof![Just(0), Just(1_000_000), 0..1_000_001_u32];
    let time = prop_oneof![3 => 0..50_000_u64, 1 => Just(u64::MAX)];
    prop_oneof![
        prop::option::of(kind()).prop_map(|kind| LinkRule::Cut { kind }),
        (time.clone(), time).prop_map(|(delay_us, jitter_us)| LinkRule::Delay { delay_us, jitter_us }),
        chance.clone().prop_map(|per_million| LinkRule::Loss { per_million }),
        chance.clone().prop_map(|per_million| LinkRule::Duplicate { per_million }),
        chance.prop_map(|per_million| LinkRule::Reorder { per_million }),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (links(), rule()).prop_map(|(links, rule)| Change::Set(links, rule)),
        1 => links().prop_map(Change::Heal),
        1 => prop::collection::vec(prop::collection::vec(node(), 0..3), 0..3).prop_map(Change::Partition),
    ]
}

fn changed(mut rules: Rules, changes: &[Change]) -> Rules {
    for change in changes {
        match change {
            Change::Set(links, rule) => rules.set(*links, *rule),
            Change::Heal(links) => rules.heal(*links),
            Change::Partition(groups) => rules.partition(groups),
        }
    }
    rules
}

fn clean() -> Rules {
    Rules::new((1..=NODES).map(NodeId), 1_000)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_list_of_rules_is_all_there_is_to_know(changes in prop::collection::vec(change(), 0..12)) {
        let rules = changed(clean(), &changes);
        let listed: Vec<_> = rules.list().collect();
        let mut again = clean();
        for (links, rule) in &listed {
            prop_assert!(matches!(links, Links::One { from, to } if from != to), "{links}");
            again.set(*links, *rule);
        }
        prop_assert_eq!(&again, &rules);
        prop_assert_eq!(rules.is_clean(), listed.is_empty());
        let mut healed = rules;
        healed.heal(Links::All);
        prop_assert_eq!(healed, clean());
    }

    #[test]
    fn a_message_meets_the_rules_of_its_link_and_no_others(
        seed in any::<u64>(),
        changes in prop::collection::vec(change(), 0..8),
        messages in prop::collection::vec((node(), node(), kind(), 0..5_000_u64), 1..60),
    ) {
        let rules = changed(clean(), &changes);
        let mut faults = Faults::new(seed, rules.clone());
        let mut same = faults.clone();
        let (mut now_us, mut last_due) = (0, BTreeMap::new());
        for (from, to, kind, later_us) in messages {
            now_us += later_us;
            let fate = faults.decide(from, to, kind, now_us);
            prop_assert_eq!(fate, same.decide(from, to, kind, now_us), "the same seed, another fate");
            let mine: Vec<_> =
                rules.list().filter(|(links, _)| *links == Links::One { from, to }).map(|(_, rule)| rule).collect();
            let cut = mine.contains(&LinkRule::Cut { kind: None });
            let cut_kind = mine.contains(&LinkRule::Cut { kind: Some(kind) });
            let find = |pick: fn(&LinkRule) -> Option<u32>| mine.iter().find_map(pick).unwrap_or(0);
            let loss = find(|rule| if let LinkRule::Loss { per_million } = rule { Some(*per_million) } else { None });
            let twice = find(|rule| if let LinkRule::Duplicate { per_million } = rule { Some(*per_million) } else { None });
            let reorder = find(|rule| if let LinkRule::Reorder { per_million } = rule { Some(*per_million) } else { None });
            let delay = mine.iter().find_map(|rule| match rule {
                LinkRule::Delay { delay_us, jitter_us } => Some((*delay_us, *jitter_us)),
                _ => None,
            });
            let (delay_us, jitter_us) = delay.unwrap_or((0, 0));
            match fate {
                Fate::Drop { why: DropWhy::Cut } => prop_assert!(cut),
                Fate::Drop { why: DropWhy::CutKind } => prop_assert!(!cut && cut_kind),
                Fate::Drop { why: DropWhy::Loss } => prop_assert!(!cut && !cut_kind && loss > 0),
                Fate::Deliver { due_us, again_us } => {
                    prop_assert!(!cut && !cut_kind && loss < 1_000_000);
                    let sure_us = now_us.saturating_add(1_000).saturating_add(delay_us);
                    prop_assert!(due_us >= sure_us, "{due_us} is before {sure_us}");
                    prop_assert!(again_us.is_none_or(|again_us| again_us >= due_us && twice > 0));
                    prop_assert!(again_us.is_some() || twice < 1_000_000);
                    if reorder == 0 {
                        let last = last_due.insert((from, to), due_us).unwrap_or(0);
                        prop_assert!(due_us >= last, "it overtakes without a rule");
                        prop_assert!(due_us <= sure_us.saturating_add(jitter_us).max(last), "it takes too long");
                    }
                }
            }
        }
    }
}
