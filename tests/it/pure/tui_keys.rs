//! Keys in, operations and picture out.

use raft_tui::control::{Operation, Pace, Target};
use raft_tui::raft::NodeId;
use raft_tui::tui::action::{Context, TABLE, document};
use raft_tui::tui::effect::Effect;
use raft_tui::tui::event::{Event, Key};
use raft_tui::tui::keymap::{Found, look_up};
use raft_tui::tui::state::{LogScroll, Mode, Pane};

use crate::support::screen::{Screen, keys};
use crate::support::views;

fn n(number: u64) -> Target {
    Target::Node(NodeId(number))
}

fn console() -> Screen {
    Screen::new(80, 24, views::busy()).story()
}

#[test]
fn no_key_means_two_things_in_a_context() {
    for context in Context::ALL {
        let mut seen: Vec<&str> = Vec::new();
        let here = TABLE.iter().filter(|row| row.context == context || row.context == Context::Everywhere);
        for keys in here.flat_map(|row| row.keys) {
            assert!(!seen.contains(keys), "{keys} means two things in {context:?}");
            let begins = |one: &str, other: &str| one.strip_prefix(other).is_some_and(|rest| rest.starts_with(' '));
            for other in &seen {
                assert!(!begins(keys, other) && !begins(other, keys), "{keys} hides behind {other} in {context:?}");
            }
            seen.push(keys);
        }
    }
}

#[test]
fn each_key_of_the_table_is_a_key_and_leads_to_its_action() {
    for row in TABLE {
        for name in row.keys {
            let pressed: Vec<Key> = name.split(' ').map(|key| key.parse().expect("a key's name")).collect();
            let (before, key) = match pressed[..] {
                [key] => (None, key),
                [before, key] => (Some(before), key),
                _ => panic!("{name} has more than two keys"),
            };
            assert_eq!(look_up(row.context, before, key), Found::Action(row.action), "{name}");
            assert_eq!(key.to_string(), name.split(' ').next_back().unwrap_or_default());
        }
    }
}

#[test]
fn names_of_actions_are_unique() {
    let mut names: Vec<&str> = TABLE.iter().map(|row| row.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_document_of_keys_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, document()).expect("docs can be written");
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == document(), "docs/keys.md is not what the table says: BLESS=1 cargo test the_document_of_keys");
}

#[test]
fn one_letter_acts_on_the_selected_node() {
    let mut screen = console();
    screen.keys("2c5rj");
    assert_eq!(screen.asked(), [Operation::Crash(n(2)), Operation::Restart(n(5))]);
    screen.keys("3iH");
    assert_eq!(screen.asked(), [Operation::Isolate(n(3)), Operation::Heal]);
}

#[test]
fn what_was_asked_is_shown_as_asked_until_it_is_answered() {
    let mut screen = console();
    screen.keys("1c");
    assert!(screen.shows(&["asked: crash n1"]), "{}", screen.picture());
    assert!(screen.shows(&["n1 ○ follower"]), "a wish is not drawn as a fact");
    screen.observe(views::applied());
    assert!(!screen.shows(&["asked: crash n1"]));
    assert!(screen.shows(&["$ crash n1:"]), "each action echoes its line:\n{}", screen.picture());
}

#[test]
fn a_split_of_two_and_three_takes_four_keys() {
    let mut screen = console();
    screen.keys("pbb<enter>");
    let groups = vec![vec![NodeId(3), NodeId(4), NodeId(5)], vec![NodeId(1), NodeId(2)]];
    assert_eq!(screen.asked(), [Operation::Partition(groups)]);
}

#[test]
fn the_editor_shows_which_side_has_a_quorum_before_anything_is_done() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.keys("pbb");
    assert!(screen.shows(&["A", "n3 n4 n5", "QUORUM 3/3"]), "{}", screen.picture());
    assert!(screen.shows(&["B", "n1 n2", "no quorum 2/3"]), "{}", screen.picture());
    assert!(screen.effects.is_empty());
    screen.keys("<esc>");
    assert!(screen.effects.is_empty() && matches!(screen.state.mode, Mode::Browse));
}

#[test]
fn a_partition_that_cuts_nothing_is_not_applied() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.keys("pj<enter>");
    assert_eq!(screen.asked(), []);
    assert!(screen.shows(&["all nodes are in one group"]), "{}", screen.picture());
}

#[test]
fn presets_and_lonely_nodes() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.keys("pp<enter>");
    let sides = |groups: &[&[u64]]| {
        Operation::Partition(groups.iter().map(|group| group.iter().copied().map(NodeId).collect()).collect())
    };
    assert_eq!(screen.asked(), [sides(&[&[1, 3], &[2, 4, 5]])], "the leader in the minority");
    screen.keys("ppp<enter>");
    assert_eq!(screen.asked(), [sides(&[&[1, 2], &[3, 4, 5]])], "the leader in the majority");
    screen.keys("p40<enter>");
    assert_eq!(screen.asked(), [sides(&[&[1, 2, 3, 5]])], "a node in no group is alone");
    screen.keys("p5ll<enter>");
    assert_eq!(screen.asked(), [sides(&[&[1, 2, 3, 4], &[5]])]);
}

#[test]
fn the_editor_begins_with_what_holds() {
    let mut screen = Screen::new(80, 24, views::partitioned());
    screen.keys("p");
    assert!(screen.shows(&["A", "n1 n2", "no quorum"]), "{}", screen.picture());
    assert!(screen.shows(&["B", "n3 n4 n5", "QUORUM"]));
}

#[test]
fn lines_are_typed_recalled_and_run() {
    let mut screen = console();
    screen.keys("sSET a 1<enter>sSET b 2<enter>");
    assert_eq!(screen.asked().len(), 2);
    screen.keys("s<up><up>");
    assert!(screen.shows(&["submit> SET a 1"]), "{}", screen.picture());
    screen.keys("<down><down>");
    assert!(screen.shows(&["submit>"]) && !screen.shows(&["submit> SET"]));
    screen.keys("<up><enter>");
    let asked = screen.asked();
    screen.keys("S");
    assert_eq!(screen.asked(), asked, "S repeats the last command");
}

#[test]
fn a_line_that_cannot_be_read_stays_open_with_the_reason() {
    let mut screen = console();
    screen.keys(":crsh n1<enter>");
    assert_eq!(screen.asked(), []);
    assert!(screen.shows(&["crsh"]) && matches!(screen.state.mode, Mode::Prompt(_)), "{}", screen.picture());
    screen.keys("<ctrl-u>crash leader<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(Target::Leader)]);
}

#[test]
fn the_command_line_knows_every_operation_of_the_grammar() {
    let mut screen = console();
    screen.keys(":delay n3>n5 80ms<enter>:loss n2 20%<enter>:pace 1/10<enter>:load 200/s 5s<enter>");
    assert_eq!(screen.asked().len(), 4);
    screen.keys(":par");
    assert!(screen.shows(&["partition 1,2/3,4,5", "cut every link"]), "{}", screen.picture());
}

#[test]
fn pasted_text_reaches_text_fields_only() {
    let mut screen = console();
    screen.event(Event::Paste(String::from("cqH")));
    assert!(screen.effects.is_empty(), "a paste is no key");
    screen.keys("c");
    assert!(screen.effects.is_empty(), "keys right after a paste are taken for its rest");
    screen.at(1000);
    screen.keys("s");
    screen.event(Event::Paste(String::from("SET k a\nquit\u{202e}\x1b[2J\n")));
    assert!(screen.asked().is_empty(), "a paste is not run");
    let Mode::Prompt(prompt) = &screen.state.mode else { panic!("the line is still open") };
    assert!(raft_tui::text::is_safe(prompt.input.value()), "{:?}", prompt.input.value());
    assert!(screen.shows(&["pasted 2 lines"]), "{}", screen.picture());
}

#[test]
fn the_clock_and_its_pace() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.keys("<space>");
    assert_eq!(screen.asked(), [Operation::Stop]);
    screen.keys("<<");
    let pace = |real| Operation::Pace(Pace { cluster: 1, real });
    assert_eq!(screen.asked(), [pace(10), pace(20)], "two quick presses are two steps");
    let mut view = views::stopped();
    view.pace = Pace::REAL;
    let mut screen = Screen::new(80, 24, view);
    screen.keys("<space>>");
    assert_eq!(screen.asked(), [Operation::Resume]);
    assert!(screen.shows(&["cannot go faster"]), "{}", screen.picture());
}

#[test]
fn the_load_is_switched_by_what_the_cluster_reports() {
    let mut screen = Screen::new(80, 24, views::healthy(5));
    screen.keys("a<enter>a50<enter>");
    let load = |per_second| Operation::Load { per_second, duration_us: None };
    assert_eq!(screen.asked(), [load(20), load(50)]);
    screen.view(views::busy());
    screen.keys("a");
    assert_eq!(screen.asked(), [Operation::LoadStop]);
}

#[test]
fn isolate_lets_an_isolated_node_rejoin() {
    let mut view = views::healthy(3);
    for other in [2, 3] {
        let links = raft_tui::control::Links::Between(NodeId(1), NodeId(other));
        let rule = raft_tui::control::LinkRule::Cut { kind: None };
        view.links.push(raft_tui::control::observation::LinkState { links, rule });
    }
    let mut screen = Screen::new(80, 24, view);
    screen.keys("1i2i");
    let rejoin = Operation::HealLinks(raft_tui::control::Links::Of(NodeId(1)));
    assert_eq!(screen.asked(), [rejoin, Operation::Isolate(n(2))]);
}

#[test]
fn a_key_without_meaning_says_what_to_press() {
    let mut screen = console();
    screen.keys("x");
    assert!(screen.shows(&["x does nothing here, ? lists the keys"]));
    screen.at(10_000);
    assert!(!screen.shows(&["does nothing"]), "a message goes away by itself");
    screen.keys("7");
    assert!(screen.shows(&["there is no n7"]));
}

#[test]
fn a_key_whose_capability_is_missing_says_why() {
    let mut screen = Screen::with(80, 24, views::healthy(3), views::NONE);
    screen.keys("c");
    assert_eq!(screen.asked(), []);
    assert!(screen.shows(&["c: that cannot be done from here"]), "{}", screen.picture());
    screen.keys("s");
    assert!(matches!(screen.state.mode, Mode::Prompt(_)), "what needs nothing works");
}

#[test]
fn the_help_is_searched_and_runs_what_is_chosen() {
    let mut screen = console();
    screen.keys("2?crash<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(n(2))]);
    screen.keys("?H<enter>");
    assert_eq!(screen.asked(), [Operation::Heal], "a key's own letter finds it first");
    screen.keys("?qqqq");
    assert!(screen.shows(&["no key does that"]));
    screen.keys("<esc>");
    assert!(matches!(screen.state.mode, Mode::Browse));
}

#[test]
fn q_goes_back_and_then_quits() {
    let mut screen = console();
    screen.keys("zq");
    assert!(!screen.state.zoomed && screen.effects.is_empty());
    screen.keys("q");
    assert_eq!(screen.effects, [Effect::Quit]);
    let mut screen = console();
    screen.keys("p<ctrl-c>");
    assert!(screen.effects.is_empty(), "Ctrl-C leaves what is open first");
    screen.keys("<ctrl-c>");
    assert_eq!(screen.effects, [Effect::Quit]);
}

#[test]
fn the_screen_is_walked_with_arrows_and_letters_alike() {
    let mut screen = console();
    screen.keys("jj<down>k");
    assert_eq!(screen.state.selected, NodeId(3));
    screen.keys("gg");
    assert_eq!(screen.state.selected, NodeId(1));
    screen.keys("G");
    assert_eq!(screen.state.selected, NodeId(5));
    screen.keys("<tab>");
    assert_eq!(screen.state.focus, Pane::Log);
    screen.keys("hh");
    assert!(screen.shows(&["112–129 of 131", "F follow"]), "{}", screen.picture());
    screen.keys("G");
    assert_eq!(screen.state.log, LogScroll::Follow);
    screen.keys("<tab>jj<enter>");
    assert!(screen.shows(&["Event"]) && screen.shows(&["because"]), "{}", screen.picture());
    screen.keys("<esc><shift-tab><shift-tab><shift-tab>");
    assert_eq!(screen.state.focus, Pane::Events);
}

#[test]
fn a_place_among_the_events_does_not_move_when_more_happens() {
    let mut screen = console();
    screen.keys("<tab><tab>jjj");
    let before = screen.state.events.at;
    assert!(before.is_some());
    for observation in views::story() {
        screen.observe(observation);
    }
    assert_eq!(screen.state.events.at, before);
    assert!(screen.shows(&["newer  F follow"]), "{}", screen.picture());
    screen.keys("F");
    assert_eq!(screen.state.events.at, None);
}

#[test]
fn a_prefix_says_what_can_follow() {
    let mut screen = console();
    screen.keys("o");
    assert!(screen.shows(&["o", "t theme", "g glyphs"]), "{}", screen.picture());
    screen.keys("t");
    assert_eq!(screen.effects, [Effect::NextTheme]);
    screen.keys("og");
    assert!(screen.state.ascii);
    assert!(screen.picture().is_ascii(), "{}", screen.picture());
}

#[test]
fn every_key_in_every_mode_is_harmless() {
    let all = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:;,.-+<>?!/ ";
    let named = [
        "<enter>",
        "<esc>",
        "<tab>",
        "<shift-tab>",
        "<up>",
        "<down>",
        "<left>",
        "<right>",
        "<pgup>",
        "<pgdn>",
        "<home>",
        "<end>",
        "<backspace>",
        "<delete>",
        "<f1>",
        "<ctrl-a>",
        "<ctrl-e>",
        "<ctrl-u>",
        "<ctrl-k>",
        "<ctrl-w>",
    ];
    let scripts: Vec<String> = all.chars().map(String::from).chain(named.into_iter().map(String::from)).collect();
    for open in ["", "s", ":", "R", "a", "p", "?", "<enter>", "<tab>", "<tab><tab>", "z", "g", "o"] {
        for view in [views::fresh(), views::partitioned(), views::healthy(1)] {
            let mut opened = Screen::new(80, 24, view).story();
            opened.keys(open);
            for script in &scripts {
                let mut screen = opened.again();
                screen.keys(script).keys(script);
                let _ = screen.buffer();
            }
        }
    }
    assert_eq!(keys("<<").len(), 2, "the script of two keys is two keys");
}
