//! The judge of histories that somebody else has recorded: what it lets pass, and what it does not.

use std::time::{Duration, Instant};

use bytes::Bytes;
use raft_tui::check::history::{Summary, judge, judge_within};
use raft_tui::check::{Property, Violation};
use raft_tui::history::{Ask, Record, Reply, What};

use crate::support::histories::{History, bytes, cas, drawn, set, value};

/// The evidence against a history that cannot be.
fn wrong(history: &History) -> String {
    let Violation { property, evidence } = judge(&history.records).expect_err("it cannot be");
    assert_eq!(property, Property::Linearizability, "{evidence}");
    evidence
}

fn fine(history: &History) -> Summary {
    let summary = judge(&history.records).unwrap_or_else(|violation| panic!("{violation}"));
    assert_eq!(summary.too_hard, Vec::<Bytes>::new());
    summary
}

/// Two acknowledged writes, and then what a read says.
fn two_writes_then(read: Reply) -> History {
    let mut history = History::default();
    history.did("x", set("a"), Reply::Done);
    history.did("x", set("b"), Reply::Done);
    history.did("x", Ask::Get, read);
    history
}

#[test]
fn a_history_in_order_passes_and_is_counted() {
    let mut history = two_writes_then(value("b"));
    history.did("y", Ask::Incr(3), Reply::Number(3));
    history.did("y", Ask::Incr(i64::MAX - 3), value("9223372036854775807"));
    let op = history.invoke(1, "x", set("c"));
    history.fail(op);
    history.invoke(1, "x", set("d"));
    let summary = fine(&history);
    assert_eq!(summary, Summary { operations: 7, ok: 5, fail: 1, info: 1, linearizable: 2, too_hard: Vec::new() });
}

#[test]
fn a_stale_read_is_caught_and_its_operations_are_named() {
    let evidence = wrong(&two_writes_then(value("a")));
    assert_eq!(
        evidence,
        "no order explains what clients saw of key `x`: nothing fits before operation 3 of c1 (get: ok `a`); \
         `a` was written by operation 1 of c1 (set `a`: ok)"
    );
}

#[test]
fn a_lost_acknowledged_write_is_caught() {
    let evidence = wrong(&two_writes_then(Reply::Value(None)));
    assert!(evidence.contains("operation 3 of c1 (get: ok null)"), "{evidence}");
}

#[test]
fn a_value_that_nobody_wrote_is_caught() {
    let evidence = wrong(&two_writes_then(value("\u{1b}[2J")));
    assert!(evidence.ends_with("nobody wrote `\\x1b[2J`"), "{evidence}");
}

#[test]
fn an_unknown_write_may_appear_later() {
    let mut history = History::default();
    let op = history.invoke(1, "x", set("late"));
    history.info(op);
    history.did("x", set("a"), Reply::Done);
    history.did("x", Ask::Get, value("a"));
    history.did("x", Ask::Get, value("late"));
    fine(&history);
    // Once it has been seen, it has taken effect, and does so only once.
    history.did("x", Ask::Get, value("a"));
    wrong(&history);
}

#[test]
fn an_unknown_write_may_never_appear() {
    let mut history = History::default();
    for _ in 0..10 {
        let op = history.invoke(1, "x", set("never"));
        history.info(op);
    }
    history.did("x", set("a"), Reply::Done);
    history.did("x", Ask::Get, value("a"));
    fine(&history);
}

#[test]
fn an_unknown_write_does_not_appear_before_it_was_asked_for() {
    let mut history = History::default();
    history.did("x", Ask::Get, value("early"));
    let op = history.invoke(1, "x", set("early"));
    history.info(op);
    wrong(&history);
}

#[test]
fn a_failed_write_that_appears_is_caught() {
    let mut history = History::default();
    let op = history.invoke(1, "x", set("ghost"));
    history.fail(op);
    history.did("x", Ask::Get, Reply::Value(None));
    fine(&history);
    history.did("x", Ask::Get, value("ghost"));
    let evidence = wrong(&history);
    assert!(evidence.ends_with("`ghost` was written by operation 1 of c2 (set `ghost`: fail)"), "{evidence}");
}

#[test]
fn a_swap_that_cannot_have_been_is_caught() {
    let mut history = History::default();
    history.did("x", cas(None, "a"), Reply::Yes(true));
    history.did("x", cas(Some("a"), "b"), Reply::Yes(true));
    fine(&history);
    for (expected, swapped) in [(Some("a"), true), (None, true), (Some("b"), false)] {
        let mut history = two_writes_then(value("b"));
        history.did("x", cas(expected, "c"), Reply::Yes(swapped));
        wrong(&history);
    }
}

#[test]
fn a_sum_that_cannot_have_been_is_caught() {
    let mut history = History::default();
    let (first, second) = (history.invoke(0, "n", Ask::Incr(5)), history.invoke(1, "n", Ask::Incr(7)));
    history.ok(second, Reply::Number(7));
    history.ok(first, Reply::Number(12));
    fine(&history);
    // Counted twice.
    history.did("n", Ask::Get, value("17"));
    wrong(&history);
}

#[test]
fn a_deletion_of_what_is_not_there_is_caught() {
    let mut history = History::default();
    history.did("x", Ask::Del, Reply::Yes(false));
    history.did("x", set("a"), Reply::Done);
    history.did("x", Ask::Del, Reply::Yes(true));
    fine(&history);
    history.did("x", Ask::Del, Reply::Yes(true));
    wrong(&history);
}

#[test]
fn keys_are_judged_by_themselves() {
    let mut history = two_writes_then(value("b"));
    history.did("y", Ask::Get, Reply::Value(None));
    assert_eq!(fine(&history).linearizable, 2);
    history.did("y", Ask::Get, value("b"));
    assert!(wrong(&history).contains("key `y`"));
}

#[test]
fn records_that_break_the_rules_of_the_format_are_caught() {
    let ask = |op, client: &str| Record {
        op,
        t_ns: 5,
        what: What::Invoke { client: client.into(), key: bytes("x"), ask: set("a"), node: None },
    };
    let end = |op, what| Record { op, t_ns: 5, what };
    let ok = |op, reply| end(op, What::Ok { reply, term: None, index: None });
    let info = |op| end(op, What::Info { why: String::new() });
    let early = Record { t_ns: 4, ..ask(2, "c2") };
    for (records, evidence) in [
        (vec![ok(1, Reply::Done)], "operation 1 ends and was not asked for before"),
        (vec![ask(1, "c1"), ok(1, Reply::Done), info(1)], "operation 1 ends twice"),
        (vec![ask(1, "c1"), ask(2, "c1")], "c1 asks for operation 2 while 1 is open"),
        (vec![ask(1, "c1"), info(1), ask(2, "c1")], "c1 asks for operation 2 after an info"),
        (vec![ask(2, "c1"), ask(1, "c2")], "operation 1 is asked for after a higher one, or twice"),
        (vec![ask(1, "c1"), early], "time goes back at operation 2, from 5 to 4"),
        (vec![ask(1, "c1"), ok(1, Reply::Yes(true))], "operation 1 (set) has a result of another kind"),
    ] {
        let violation = judge(&records).expect_err(evidence);
        assert_eq!((violation.property, violation.evidence.as_str()), (Property::Outcomes, evidence));
    }
}

#[test]
fn a_long_history_is_judged_within_seconds() {
    for unknown in [0, 20, 100] {
        let records = drawn(7 + unknown, 20_000, 8, 400, unknown);
        let started = Instant::now();
        let summary = judge(&records).unwrap_or_else(|violation| panic!("{violation}"));
        let took = started.elapsed();
        assert_eq!((summary.operations, summary.too_hard.len()), (20_000, 0), "{unknown}: {summary:?} in {took:?}");
        assert!(took < Duration::from_secs(20), "{unknown}: {took:?}");
    }
}

#[test]
fn one_wrong_answer_in_a_long_history_is_caught() {
    for seed in 0..4 {
        let mut records = drawn(seed, 4_000, 8, 400, 20);
        // The last read of the middle key sees what the first write of it wrote, long overwritten.
        let key_of = |record: &Record| match &record.what {
            What::Invoke { key, .. } => Some(key.clone()),
            _ => None,
        };
        let key = bytes("k5");
        let first = records.iter().find_map(|record| match &record.what {
            What::Invoke { key: of, ask: Ask::Set(value), .. } if *of == key => Some(value.clone()),
            _ => None,
        });
        let asked = |record: &&Record| {
            key_of(record).as_ref() == Some(&key) && matches!(&record.what, What::Invoke { ask: Ask::Get, .. })
        };
        let reads: Vec<u64> = records.iter().filter(asked).map(|record| record.op).collect();
        let last = records.iter_mut().rev().find_map(|record| match &mut record.what {
            What::Ok { reply: Reply::Value(value), .. } if reads.contains(&record.op) => Some(value),
            _ => None,
        });
        *last.expect("it is read") = first;
        let violation = judge(&records).expect_err("it cannot be");
        assert!(violation.evidence.contains("key `k5`"), "{violation}");
    }
}

#[test]
fn what_is_too_hard_is_said_and_not_passed_over() {
    let records = drawn(1, 800, 8, 400, 0);
    let summary = judge_within(&records, 50).expect("nothing is found");
    assert_eq!((summary.linearizable, summary.too_hard), (1, vec![bytes("k0"), bytes("k1")]));
}
