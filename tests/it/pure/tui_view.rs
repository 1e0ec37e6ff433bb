//! Pictures of the screen: at three sizes, in two themes and without colours; and what they must never show.
//!
//! A picture holds the signs and then one line for each run of cells of one style, so that a change of colour reads in
//! the diff. `INSTA_UPDATE=always cargo test --test it pure::tui_view` blesses them.

use std::sync::Arc;

use insta::assert_snapshot;
use raft_tui::control::{Answer, ClusterView, Happened, Life, Observation, Reach, What};
use raft_tui::raft::{Index, NodeId, Role, Term};
use raft_tui::tui::theme::Depth;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::style::Color;

use crate::support::screen::Screen;
use crate::support::views;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];
const THEMES: [(&str, &str, Depth); 3] =
    [("default", "default", Depth::Sixteen), ("light", "light", Depth::True), ("mono", "default", Depth::Mono)];

fn snapshot(name: &str, picture: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_snapshot!(name, picture);
    });
}

#[test]
fn the_screen_at_three_sizes_in_two_themes_and_without_colours() {
    for (width, height) in SIZES {
        for (name, theme, depth) in THEMES {
            let screen = Screen::new(width, height, views::busy()).story().theme(theme, depth);
            snapshot(&format!("busy_{width}x{height}_{name}"), &screen.picture_and_styles());
        }
    }
}

#[test]
fn a_minority_with_a_stale_leader() {
    for (width, height) in SIZES {
        let mut screen = Screen::new(width, height, views::partitioned()).story();
        screen.keys("1");
        snapshot(&format!("partitioned_{width}x{height}"), &screen.picture());
    }
    let screen = Screen::new(80, 24, views::partitioned()).theme("default", Depth::Mono);
    snapshot("partitioned_80x24_mono", &screen.picture_and_styles());
}

#[test]
fn other_states_of_a_cluster() {
    let states: [(&str, ClusterView); 7] = [
        ("fresh", views::fresh()),
        ("healthy", views::healthy(5)),
        ("election", views::election()),
        ("broken_disks", views::broken_disks()),
        ("stopped", views::stopped()),
        ("one_node", views::healthy(1)),
        ("many_nodes", views::healthy(25)),
    ];
    for (name, view) in states {
        snapshot(&format!("{name}_80x24"), &Screen::new(80, 24, view.clone()).story().picture());
        snapshot(&format!("{name}_120x40"), &Screen::new(120, 40, view).story().picture());
    }
}

#[test]
fn what_lies_over_the_screen() {
    let scripts = [
        ("help", "?"),
        ("help_search", "?part"),
        ("partition", "pbb"),
        ("detail_of_the_leader", "3<enter>"),
        ("submit", "sSET k"),
        ("command", ":delay"),
        ("zoomed_log", "<tab>z"),
    ];
    for (name, script) in scripts {
        for (theme, depth) in [("default", Depth::Sixteen), ("mono", Depth::Mono)] {
            let mut screen = Screen::new(80, 24, views::busy()).story().theme("default", depth);
            screen.keys(script);
            snapshot(&format!("{name}_80x24_{theme}"), &screen.picture_and_styles());
        }
        let mut screen = Screen::new(120, 40, views::busy()).story();
        screen.keys(script);
        snapshot(&format!("{name}_120x40"), &screen.picture());
    }
}

#[test]
fn small_forms() {
    for (width, height) in [(72, 20), (60, 16), (50, 12), (40, 10), (30, 4)] {
        snapshot(&format!("busy_{width}x{height}"), &Screen::new(width, height, views::busy()).story().picture());
    }
}

#[test]
fn ascii_glyphs_are_ascii() {
    for view in [
        views::busy(),
        views::partitioned(),
        views::broken_disks(),
        views::election(),
        views::fresh(),
        views::healthy(25),
        views::half_heard(),
        views::drill(),
        views::never_heard(),
    ] {
        for (width, height) in [(80, 24), (120, 40), (200, 60), (50, 12), (20, 3)] {
            for script in ["", "pbb", "<enter>", "?", "sSET k", "<tab><tab>jj", "A", "3c", "q"] {
                let mut screen = Screen::new(width, height, view.clone());
                screen.state.ascii = true;
                screen.keys(script);
                let picture = screen.picture();
                let odd: Vec<char> = picture.chars().filter(|c| !c.is_ascii()).collect();
                assert!(odd.is_empty(), "{odd:?} in {width}x{height} after {script}:\n{picture}");
            }
        }
    }
    let mut screen = Screen::new(80, 24, views::partitioned());
    screen.state.ascii = true;
    snapshot("partitioned_80x24_ascii", &screen.picture());
}

#[test]
fn without_colours_no_cell_has_one() {
    for (name, _, _) in THEMES {
        for view in [
            views::busy(),
            views::partitioned(),
            views::broken_disks(),
            views::stopped(),
            views::half_heard(),
            views::drill(),
        ] {
            let theme = if name == "mono" { "dark" } else { name };
            for script in ["", "pbb", "<enter>", "?", "sSET k"] {
                let mut screen = Screen::new(120, 40, view.clone()).story().theme(theme, Depth::Mono);
                screen.keys(script);
                for cell in screen.buffer().content() {
                    assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "{:?}", cell.symbol());
                }
            }
        }
    }
}

/// The row of n1 in the table, without colours: signs and modifiers.
fn row_of(view: ClusterView) -> String {
    let screen = Screen::new(80, 24, view).theme("default", Depth::Mono);
    let buffer = screen.buffer();
    let row =
        (0..24).find(|y| (0..6).map(|x| buffer[(x, *y)].symbol()).collect::<String>().contains("n1")).unwrap_or(0);
    let cell = |x: u16| format!("{}{:?}", buffer[(x, row)].symbol(), buffer[(x, row)].modifier);
    (0..22).map(cell).collect::<Vec<_>>().concat()
}

#[test]
fn without_colours_all_states_of_a_node_still_differ() {
    type Change = fn(&mut ClusterView);
    let changes: [(&str, Change); 13] = [
        ("follower", |_| {}),
        ("pre-candidate", |view| view.nodes[0].role = Role::PreCandidate),
        ("candidate", |view| view.nodes[0].role = Role::Candidate),
        ("leader", |view| {
            view.nodes[0] = views::leader(1, 5);
            view.nodes[0].term = Term(8);
        }),
        ("stale leader", |view| {
            view.nodes[0] = views::leader(1, 5);
            view.nodes[0].term = Term(6);
        }),
        ("crashed", |view| view.nodes[0].life = Life::Crashed { at_us: 0 }),
        ("halted", |view| view.nodes[0].life = Life::Halted { why: String::from("disk") }),
        ("starting", |view| view.nodes[0].life = Life::Starting),
        ("quarantined", |view| view.nodes[0].quarantined = true),
        ("paused", |view| view.nodes[0].life = Life::Paused),
        ("unreachable", |view| {
            view.nodes[0].life = Life::Unreachable { since_us: 0, why: String::from("timed out") };
        }),
        ("stale", |view| view.nodes[0].reach = Some(Reach { age_us: Some(3_000_000), ..Reach::default() })),
        ("old and leader", |view| {
            view.nodes[0] = views::leader(1, 5);
            view.nodes[0].term = Term(8);
            view.nodes[0].reach = Some(Reach { age_us: Some(3_000_000), ..Reach::default() });
        }),
    ];
    let mut seen: Vec<(&str, String)> = Vec::new();
    for (name, change) in changes {
        let mut view = views::healthy(5);
        change(&mut view);
        let row = row_of(view);
        for (other, earlier) in &seen {
            assert!(*earlier != row, "{name} and {other} look alike without colours");
        }
        seen.push((name, row));
    }
}

#[test]
fn without_colours_all_states_of_an_entry_still_differ() {
    let mut view = views::partitioned();
    view.nodes[3].applied = Index(128);
    view.nodes[3].commit = Index(129);
    view.nodes[4].first_index = Index(120);
    let mut screen = Screen::new(80, 24, view).theme("default", Depth::Mono);
    screen.keys("<tab>");
    for form in ["[7]", "(7)", " 7 ", "!6!", "·", "=="] {
        assert!(screen.picture().contains(form), "{form} is missing:\n{}", screen.picture());
    }
}

#[test]
fn what_is_not_known_is_never_drawn_as_zero() {
    let mut view = views::election();
    view.nodes[3].sync.p99_us = None;
    let screen = Screen::new(80, 24, view);
    let picture = screen.picture();
    let row = picture.lines().find(|line| line.contains("n4") && line.contains("CANDIDATE")).unwrap_or_default();
    assert!(row.trim_end().ends_with('–'), "its sync time: {row}");
    let down = picture.lines().find(|line| line.contains("DOWN")).unwrap_or_default();
    assert_eq!(
        down.matches('–').count(),
        4,
        "lag without a leader, timer, messages and sync of a node that is down: {down}"
    );
    assert!(screen.shows(&["no leader"]));
}

#[test]
fn two_leaders_are_two_beliefs() {
    let screen = Screen::new(120, 40, views::partitioned());
    assert!(screen.shows(&["2 SELF-DECLARED LEADERS n1@t6 (stale) n3@t7"]), "{}", screen.picture());
    assert!(screen.shows(&["n1", "LEADER stale"]));
    assert!(screen.shows(&["tolerates no failure"]), "the side that leads has three of five");
}

/// Everything hostile at every place where a string can come from.
fn hostile(view: ClusterView, text: &str, width: u16, height: u16, script: &str) -> Screen {
    let mut screen = Screen::new(width, height, view).story();
    let happened = |what| Observation::Happened(Arc::new(Happened { number: 99, at_us: 42_000_000, what }));
    screen.observe(happened(What::Note { node: NodeId(1), note: text.to_owned() }));
    screen.observe(happened(What::Faults { what: text.to_owned() }));
    screen.observe(happened(What::Applied {
        node: NodeId(1),
        index: Index(1),
        after: Index::ZERO,
        command: text.to_owned(),
    }));
    screen.keys("c");
    screen.observe(Observation::Answered { id: 1, answer: Answer::Refused { why: text.to_owned() } });
    screen.at(20_000);
    screen.keys(script);
    screen.event(raft_tui::tui::event::Event::Paste(text.to_owned()));
    screen
}

/// What a terminal may be sent for a frame: signs, and sequences that place them and give them a style.
fn only_signs_and_styles(bytes: &[u8]) -> Result<(), String> {
    let text = str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            if !raft_tui::text::is_safe(&c.to_string()) {
                return Err(format!("{c:?} reaches the terminal"));
            }
            continue;
        }
        if chars.next() != Some('[') {
            return Err(String::from("an escape that is no CSI"));
        }
        let end = chars.by_ref().find(|c| !c.is_ascii_digit() && !";:?".contains(*c));
        if !end.is_some_and(|end| "mHJKhl".contains(end)) {
            return Err(format!("a sequence that ends in {end:?}"));
        }
    }
    Ok(())
}

#[test]
fn hostile_text_never_reaches_the_terminal() {
    for text in views::HOSTILE {
        for (width, height) in [(80, 24), (120, 40), (200, 60), (50, 12), (30, 3)] {
            let scripts = ["", "1<enter>", "4<enter>", "<tab><tab>j<enter>", "s", ":", "pbb", "?"];
            let lab = scripts.map(|script| (views::hostile(text), script));
            let attached = ["", "1<enter>", "5<enter>", "3c", ":crash all<enter>", "q", "A"];
            let attached = attached.map(|script| (views::hostile_attached(text), script));
            for (view, script) in lab.into_iter().chain(attached) {
                let screen = hostile(view, text, width, height, script);
                let buffer = screen.buffer();
                for cell in buffer.content() {
                    assert!(raft_tui::text::is_safe(cell.symbol()), "{:?} of {text:?} is in a cell", cell.symbol());
                }
                let mut bytes = Vec::new();
                let viewport = ratatui::Viewport::Fixed(buffer.area);
                let mut terminal =
                    Terminal::with_options(CrosstermBackend::new(&mut bytes), ratatui::TerminalOptions { viewport })
                        .expect("a terminal over bytes");
                terminal.get_frame().buffer_mut().merge(&buffer);
                terminal.flush().expect("bytes can be written");
                drop(terminal);
                if let Err(why) = only_signs_and_styles(&bytes) {
                    panic!("{why}: {text:?} at {width}x{height} after {script}");
                }
                let mut parser =
                    vt100::Parser::new(height.try_into().expect("rows"), width.try_into().expect("columns"), 0);
                parser.process(&bytes);
                let seen: Vec<String> =
                    parser.screen().contents().lines().map(|line| line.trim_end().to_owned()).collect();
                let drawn: Vec<String> = screen.picture().lines().map(str::to_owned).collect();
                for (row, line) in seen.iter().enumerate() {
                    assert_eq!(Some(line), drawn.get(row), "row {row} at {width}x{height} after {script}");
                }
            }
        }
    }
}
