use raft_tui::cli::lines::Form;
use raft_tui::cli::repeats::Repeats;
use raft_tui::control::{Happened, What};
use raft_tui::raft::{Cause, Event, EventKind, NodeId, Term};

fn happened(node: u64, at_ms: u64, kind: EventKind) -> Happened {
    let event = Event { term: Term(7), cause: Cause::Tick, kind };
    Happened { number: at_ms, at_us: at_ms * 1_000, what: What::Node { node: NodeId(node), event } }
}

/// Two lines an attempt, five attempts a second.
fn attempts(node: u64, from_ms: u64, count: u64) -> impl Iterator<Item = Happened> {
    (0..count).flat_map(move |number| {
        let at_ms = from_ms + number * 200;
        [
            happened(node, at_ms, EventKind::ElectionTimeout { waited_ticks: 20 + number % 3 }),
            happened(node, at_ms, EventKind::BecamePreCandidate { campaign_term: Term(8) }),
        ]
    })
}

fn lines(repeats: &mut Repeats, all: impl Iterator<Item = Happened>) -> Vec<String> {
    all.flat_map(|one| repeats.lines(&one)).collect()
}

#[test]
fn what_is_done_in_vain_is_told_first_then_ever_less_often_and_its_count_in_the_end() {
    let mut repeats = Repeats::new(Form::Sentences);
    let told = lines(&mut repeats, attempts(3, 3_000, 25));
    let asks: Vec<_> = told.iter().filter(|line| line.contains("could win term 8")).collect();
    let ends: Vec<_> = asks.iter().map(|line| line.split(" (").nth(2).unwrap_or("told whole")).collect();
    assert_eq!(ends, ["told whole", "no. 4 since 00:03.000)", "no. 16 since 00:03.000)"], "{told:#?}");
    assert!(told[0].starts_with("00:03.000 n3 heard no leader for 200 ms"), "{told:#?}");
    assert_eq!(told.len(), 6);

    let then = lines(&mut repeats, [happened(3, 8_000, EventKind::BecameCandidate)].into_iter());
    assert_eq!(then.len(), 3, "both counts, then the news: {then:#?}");
    assert!(
        then[..2].iter().all(|line| line.starts_with("00:07.800 n3") && line.ends_with("(no. 25 since 00:03.000)"))
    );
    assert!(then[2].contains("stands for election"), "{then:#?}");
    assert!(repeats.rest().is_empty());
}

#[test]
fn nothing_else_is_folded_with_it() {
    let mut repeats = Repeats::new(Form::Sentences);
    // Another node, another time, and something else in between are all a new beginning.
    assert_eq!(lines(&mut repeats, attempts(3, 3_000, 3)).len(), 2);
    assert_eq!(lines(&mut repeats, attempts(2, 3_000, 1)).len(), 2);
    let later = lines(&mut repeats, attempts(3, 9_000, 1));
    assert_eq!(later.len(), 4, "how many there were, then the new: {later:#?}");
    let led = happened(1, 9_100, EventKind::BecameLeader);
    assert_eq!(lines(&mut repeats, [led.clone(), led].into_iter()).len(), 2);
    lines(&mut repeats, attempts(3, 9_200, 2));
    let rest = repeats.rest();
    assert!(rest.len() == 2 && rest.iter().all(|line| line.ends_with("(no. 3 since 00:09.000)")), "{rest:#?}");
}

#[test]
fn programs_get_all() {
    let mut repeats = Repeats::new(Form::Json);
    assert_eq!(lines(&mut repeats, attempts(3, 3_000, 50)).len(), 100);
    assert!(repeats.rest().is_empty());
}
