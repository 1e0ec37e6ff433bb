//! What the console makes of what it hears, and when it has to be drawn.

use std::sync::Arc;

use raft_tui::control::{Answer, Happened, Observation, Operation, What};
use raft_tui::raft::{self, Cause, EventKind, Index, NodeId, Term};
use raft_tui::tui::command::{next_pace, usage};
use raft_tui::tui::event::Event;
use raft_tui::tui::state::EVENTS_KEPT;

use crate::support::screen::Screen;
use crate::support::views;

fn applied(number: u64, at_us: u64) -> Observation {
    let what = What::Applied {
        node: NodeId(3),
        index: Index(number),
        after: Index::ZERO,
        command: format!("SET k{number} v"),
    };
    Observation::Happened(Arc::new(Happened { number, at_us, what }))
}

fn told(number: u64, what: &str) -> Observation {
    let what = What::Faults { what: what.to_owned() };
    Observation::Happened(Arc::new(Happened { number, at_us: number * 1_000_000, what }))
}

#[test]
fn an_idle_cluster_is_not_drawn_again() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.state.dirty = false;
    let mut later = views::healthy(5);
    later.version += 1;
    later.real_us += 40_000;
    later.now_us += 8_000;
    screen.view(later.clone());
    assert!(!screen.state.dirty, "nothing that is drawn has changed");
    screen.at(400);
    assert!(!screen.state.dirty);
    screen.at(1_001);
    assert!(screen.state.dirty, "once a second what counts seconds is drawn");
    screen.state.dirty = false;
    later.nodes[0].election_elapsed += 1;
    screen.view(later);
    assert!(screen.state.dirty);
}

#[test]
fn how_long_a_node_is_down_goes_on_between_two_views() {
    let mut screen = Screen::new(80, 24, views::busy());
    assert!(screen.shows(&["n5", "DOWN 12s"]));
    screen.at(3_000);
    assert!(screen.shows(&["n5", "DOWN 15s"]), "{}", screen.picture());
}

#[test]
fn a_load_does_not_wash_away_what_matters() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.observe(told(1, "n3>n2 is delayed"));
    for number in 0..500 {
        screen.observe(applied(number, 1_000_000 + number * 50_000));
    }
    assert_eq!(screen.state.events.lines.len(), 2);
    assert!(screen.shows(&["entry 499", "x500"]) && screen.shows(&["n3>n2 is delayed"]), "{}", screen.picture());
    screen.observe(applied(500, 60_000_000));
    assert_eq!(screen.state.events.lines.len(), 3, "a single command has its own line");
}

#[test]
fn the_events_are_a_ring() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    for number in 0..EVENTS_KEPT as u64 + 10 {
        screen.observe(told(number, "something"));
    }
    assert_eq!(screen.state.events.lines.len(), EVENTS_KEPT);
    assert_eq!(screen.state.events.oldest(), Some(10));
    assert_eq!(screen.state.events.line(10).map(|line| line.serial), Some(10));
    assert_eq!(screen.state.events.line(9), None);
}

#[test]
fn a_refusal_is_told_with_its_reason() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.keys("1r");
    let why = String::from("n1 runs already");
    screen.observe(Observation::Answered { id: 1, answer: Answer::Refused { why } });
    assert!(screen.shows(&["restart n1", "refused", "n1 runs already"]), "{}", screen.picture());
    assert!(screen.state.asked.is_empty());
}

#[test]
fn an_answer_to_nothing_is_passed_over() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.observe(views::applied());
    assert!(screen.state.events.lines.is_empty());
}

#[test]
fn a_cluster_that_ended_is_said_to_have_ended() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.event(Event::ClusterGone);
    assert!(screen.shows(&["CLUSTER ENDED"]), "{}", screen.picture());
}

#[test]
fn a_stopped_cluster_and_a_slowed_one_cannot_be_confused() {
    assert!(Screen::new(80, 24, views::stopped()).shows(&["CLUSTER STOPPED"]));
    assert!(Screen::new(80, 24, views::busy()).shows(&["1/5x slowed"]));
}

#[test]
fn paces_are_steps_between_a_hundredth_and_real_time() {
    use raft_tui::control::Pace;
    let mut pace = Pace::REAL;
    let mut steps = Vec::new();
    while let Some(slower) = next_pace(pace, false) {
        steps.push(slower.real);
        pace = slower;
    }
    assert_eq!(steps, [2, 5, 10, 20, 50, 100]);
    assert_eq!(next_pace(Pace { cluster: 1, real: 7 }, true), Some(Pace { cluster: 1, real: 5 }));
    assert_eq!(next_pace(Pace { cluster: 2, real: 1 }, true), None);
}

#[test]
fn operations_are_echoed_as_they_are_typed() {
    let line = raft_tui::tui::command::line(&Operation::Partition(vec![vec![NodeId(1), NodeId(2)], vec![NodeId(3)]]));
    assert_eq!(
        raft_tui::control::grammar::parse(&line).ok().map(|operation| raft_tui::tui::command::line(&operation)),
        Some(line)
    );
    assert_eq!(usage("load st").map(|(how, _)| how), Some("load stop"));
    assert_eq!(usage(""), None);
}

#[test]
fn what_a_node_does_in_vain_is_one_line_that_says_how_often_and_until_when() {
    let of = |node, number: u64, at_us, cause, kind| {
        let what = What::Node { node: NodeId(node), event: raft::Event { term: Term(7), cause, kind } };
        Observation::Happened(Arc::new(Happened { number, at_us, what }))
    };
    let mut screen = Screen::new(120, 40, views::healthy(5));
    for number in 0..14 {
        let at_us = 3_000_000 + number * 200_000;
        let asks = EventKind::BecamePreCandidate { campaign_term: Term(8) };
        screen.observe(of(4, number, at_us, Cause::Tick, EventKind::ElectionTimeout { waited_ticks: 20 + number }));
        screen.observe(of(4, number, at_us, Cause::Tick, asks.clone()));
        screen.observe(of(5, number, at_us, Cause::Tick, asks));
        // The others work.
        screen.observe(applied(number + 1, at_us + 10_000));
    }
    let lines = &screen.state.events.lines;
    let vain: Vec<_> = lines.iter().filter(|line| line.node != Some(NodeId(3))).collect();
    let told: Vec<_> = vain.iter().map(|line| (line.node, line.times, line.at_us, line.last_us)).collect();
    let of_all = |node| (Some(NodeId(node)), 14, 3_000_000, 5_600_000);
    assert_eq!(told, [of_all(4), of_all(4), of_all(5)]);
    assert!(screen.shows(&["n4 asks whether it could win term", "x14, last 00:05.600"]), "{}", screen.picture());
    assert!(lines.iter().zip(lines.iter().skip(1)).all(|(one, next)| one.at_us <= next.at_us), "in their order");

    // Something else, or a while, and it is told anew.
    screen.observe(of(4, 90, 5_700_000, Cause::Tick, EventKind::BecameCandidate));
    screen.observe(of(4, 91, 5_800_000, Cause::Tick, EventKind::BecamePreCandidate { campaign_term: Term(8) }));
    screen.observe(of(4, 92, 7_800_000, Cause::Tick, EventKind::BecamePreCandidate { campaign_term: Term(8) }));
    assert!(screen.state.events.lines.iter().rev().take(3).all(|line| line.times == 1));
}
