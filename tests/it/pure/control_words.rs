//! The small words of the one grammar.

use proptest::prelude::*;
use raft_tui::control::words::{
    WordError, did_you_mean, duration, groups, link, node, nodes, pace, percent, rate, split_first_word,
};
use raft_tui::raft::NodeId;
use raft_tui::text::is_safe;

fn ids(numbers: &[u64]) -> Vec<NodeId> {
    numbers.iter().copied().map(NodeId).collect()
}

fn says<T: std::fmt::Debug>(read: Result<T, WordError>) -> String {
    read.expect_err("not a word").to_string()
}

#[test]
fn durations_are_exact_microseconds() {
    for (word, us) in [
        ("80ms", 80_000),
        ("1.5s", 1_500_000),
        ("2m", 120_000_000),
        ("2min", 120_000_000),
        ("250us", 250),
        ("250µs", 250),
        ("0.25ms", 250),
        (".5s", 500_000),
        ("1H", 3_600_000_000),
        ("0ms", 0),
        ("24h", 86_400_000_000),
    ] {
        assert_eq!(duration(word), Ok(us), "{word}");
    }
    assert_eq!(says(duration("80")), "`80` is a number without a unit: write us, ms, s, m or h after it, as in 80ms");
    for word in ["", "ms", "-1s", "1.5us", "1e3s", "1 s", "s80", "1.2.3s", "99999999999999999999s"] {
        assert_eq!(says(duration(word)), format!("`{word}` is no duration: write 250us, 80ms, 1.5s or 2m"));
    }
    assert_eq!(says(duration("25h")), "`25h` is too long: at most 24h");
}

#[test]
fn rates_and_shares_are_whole_numbers_inside() {
    assert_eq!((rate("200/s"), rate("1/S"), rate("1000000/s")), (Ok(200), Ok(1), Ok(1_000_000)));
    assert_eq!(says(rate("200")), "`200` is no rate: write a whole number a second, as in 200/s");
    assert_eq!(says(rate("0/s")), "`0/s` is no rate that would do anything: write 200/s, 1/s at least");
    assert_eq!(says(rate("1000001/s")), "`1000001/s` is too fast: at most 1000000/s");
    assert_eq!((percent("20%"), percent("0.5%"), percent("100%")), (Ok(200_000), Ok(5_000), Ok(1_000_000)));
    assert_eq!((percent("0%"), percent("0.0001%")), (Ok(0), Ok(1)));
    assert_eq!(says(percent("20")), "`20` is no share: write 20% or 0.5%, four digits after the point at most");
    assert_eq!(says(percent("100.1%")), "`100.1%` is too much: at most 100%");
}

#[test]
fn a_pace_is_a_reduced_fraction() {
    for (word, fraction) in [
        ("1/10", (1, 10)),
        ("2/20", (1, 10)),
        ("2", (2, 1)),
        ("real", (1, 1)),
        ("REAL", (1, 1)),
        ("1x", (1, 1)),
        ("0.5", (1, 2)),
        ("1000", (1000, 1)),
        ("1/1000", (1, 1000)),
    ] {
        assert_eq!(pace(word), Ok(fraction), "{word}");
    }
    assert_eq!(says(pace("fast")), "`fast` is no pace: write 1/10, 0.5, 2 or real");
    assert_eq!(says(pace("1/0")), "`1/0` is no pace: write 1/10, 0.5, 2 or real");
    assert_eq!(says(pace("0")), "`0` is no pace: a clock that stands still is `stop`; write 1/10, 0.5, 2 or real");
    assert_eq!(says(pace("1001")), "`1001` is out of bounds: from 1/1000 to 1000");
    assert_eq!(says(pace("1/1001")), "`1/1001` is out of bounds: from 1/1000 to 1000");
}

#[test]
fn nodes_groups_and_links_name_each_node_once() {
    assert_eq!(node("n7"), Ok(NodeId(7)));
    assert_eq!(nodes("1,n2,N3"), Ok(ids(&[1, 2, 3])));
    assert_eq!(groups("1,2/3,4,5"), Ok(vec![ids(&[1, 2]), ids(&[3, 4, 5])]));
    assert_eq!(groups("n3"), Ok(vec![ids(&[3])]));
    assert_eq!(link("n3>n2"), Ok((NodeId(3), NodeId(2))));
    assert_eq!(link("3>2"), Ok((NodeId(3), NodeId(2))));

    assert_eq!(says(node("leader")), "`leader` is no node: write n1 or 1, counting from 1");
    assert_eq!(says(nodes("1,0")), "`0` is no node: write n1 or 1, counting from 1");
    assert_eq!(says(nodes("1,,2")), "`1,,2` is missing a node: write 1,2 or 1,2/3,4,5, without spaces");
    assert_eq!(says(groups("1,2/")), "`1,2/` is missing a node: write 1,2 or 1,2/3,4,5, without spaces");
    assert_eq!(says(groups("1,2/n2")), "`1,2/n2` is naming n2 twice: each node once, as in 1,2/3,4,5");
    assert_eq!(says(link("n3")), "`n3` is no link: write n3>n2, from the sender to the receiver");
    assert_eq!(says(link("n3>3")), "`n3>3` is a link from a node to itself: write two nodes, as in n3>n2");
}

#[test]
fn lines_fall_into_a_word_and_the_rest() {
    assert_eq!(split_first_word("  submit  SET k v \n"), ("submit", "SET k v"));
    assert_eq!((split_first_word("heal"), split_first_word(" ")), (("heal", ""), ("", "")));
    assert_eq!(did_you_mean("isolte", &["crash", "isolate"]), Some("isolate"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn any_word_is_read_or_refused_in_safe_words(word in prop_oneof!["\\PC{0,20}", "[0-9.,/>n%smux\u{1b}]{0,12}"]) {
        let errors = [
            duration(&word).err(), rate(&word).err(), percent(&word).err(), pace(&word).err(),
            nodes(&word).err(), groups(&word).err(), link(&word).err(),
        ];
        for error in errors.into_iter().flatten() {
            prop_assert!(is_safe(&error.to_string()), "{error:?}");
        }
    }

    #[test]
    fn microseconds_come_back(us in 0..=86_400_000_000_u64) {
        prop_assert_eq!(duration(&format!("{us}us")), Ok(us));
        prop_assert_eq!(duration(&format!("{}.{:06}s", us / 1_000_000, us % 1_000_000)), Ok(us));
    }
}
