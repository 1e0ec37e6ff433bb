//! What one key breaks in a cluster that runs elsewhere is shown first, and done by Enter.

use raft_tui::control::{LinkRule, LinkState, Links, Operation, Target};
use raft_tui::raft::NodeId;
use raft_tui::tui::dialog::Dialog;
use raft_tui::tui::event::Event;
use raft_tui::tui::state::Mode;

use crate::support::screen::Screen;
use crate::support::views;

fn n(number: u64) -> Target {
    Target::Node(NodeId(number))
}

/// A console that is armed for a drill, with some keys pressed, past the time in which dialogs swallow.
fn armed(script: &str) -> Screen {
    let mut screen = Screen::new(80, 24, views::drill());
    screen.keys(script);
    screen.at(1_000);
    screen
}

#[test]
fn a_key_that_breaks_something_shows_first_what_it_does() {
    for (keys, operation, words) in [
        ("1c", Operation::Crash(n(1)), ["crash n1", "1 of 5 nodes", "until somebody starts it again"]),
        ("2i", Operation::Isolate(n(2)), ["isolate n2", "n2: 8 links", "until it is healed (H)"]),
    ] {
        let mut screen = armed(keys);
        assert_eq!(screen.asked(), []);
        let picture = screen.picture();
        for text in words.into_iter().chain(["prod-eu", "DRILL", "quorum 3 kept by", "n3 goes on leading"]) {
            assert!(picture.contains(text), "{keys}: {text} is missing:\n{picture}");
        }
        // Neither the key that opened it, nor one of any choice, nor a paste.
        screen.keys("ciyd ");
        screen.event(Event::Paste(String::from("\n")));
        screen.at(2_000);
        assert!(screen.effects.is_empty() && matches!(screen.state.mode, Mode::Dialog(Dialog::Preview(_))), "{keys}");
        screen.keys("<enter>");
        assert_eq!(screen.asked(), [operation]);
        for close in ["<esc>", "q", "<ctrl-c>"] {
            let mut screen = armed(keys);
            screen.keys(close);
            assert!(screen.effects.is_empty() && matches!(screen.state.mode, Mode::Browse), "{close}");
        }
    }
    let mut screen = Screen::new(80, 24, views::drill());
    screen.at(5_000);
    screen.keys("1c<enter><esc>");
    screen.at(5_199);
    screen.keys("<enter><esc>");
    assert!(screen.effects.is_empty() && matches!(screen.state.mode, Mode::Dialog(_)), "too soon");
    screen.at(5_200);
    screen.keys("<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(n(1))]);
}

#[test]
fn what_was_shown_is_done_only_while_it_is_so() {
    let mut screen = armed("1c");
    let mut view = views::drill();
    view.nodes[2] = views::follower(3);
    view.nodes[0] = views::leader(1, 5);
    screen.view(view);
    screen.keys("<enter>");
    assert_eq!(screen.asked(), []);
    assert!(screen.shows(&["the cluster has changed, nothing was done"]), "{}", screen.picture());
    let mut screen = armed("1c");
    screen.view(views::attached());
    screen.keys("<enter>");
    assert!(screen.asked().is_empty() && screen.shows(&["no longer armed"]), "{}", screen.picture());
    // What mends asks nothing.
    let mut view = views::drill();
    let cut = |to| LinkState { links: Links::Between(NodeId(2), NodeId(to)), rule: LinkRule::Cut { kind: None } };
    view.links = [1, 3, 4, 5].map(cut).to_vec();
    let mut screen = Screen::new(80, 24, view);
    screen.keys("2irH");
    let mended = [Operation::HealLinks(Links::Of(NodeId(2))), Operation::Restart(n(2)), Operation::Heal];
    assert_eq!(screen.asked(), mended);
}
