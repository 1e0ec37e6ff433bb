//! Every size of the terminal, every mode, every picture: nothing panics, nothing leaves the screen.

use raft_tui::control::ClusterView;
use raft_tui::tui::layout::{Class, areas};
use ratatui::layout::Rect;

use crate::support::screen::Screen;
use crate::support::views;

const MODES: [&str; 12] = [
    "",
    "z",
    "<tab>",
    "<tab>z",
    "<tab><tab>jj",
    "sSET k v",
    ":crsh n1<enter>",
    "pbb",
    "?",
    "?crash",
    "<enter>",
    "<tab><tab>j<enter>",
];

/// Modes of a console that is attached; typed names are pressed after the dialog has opened.
const ATTACHED: [&str; 6] = ["", "A", "Adbecause", "3c", ":crash all<enter>", "q"];

/// A console over a picture, after keys; the last of `script` are pressed later.
fn opened(view: &ClusterView, script: &str) -> Screen {
    let mut screen = Screen::new(80, 24, view.clone()).story();
    screen.keys(script);
    screen.at(1_000);
    screen.keys("x");
    screen
}

fn attached() -> Vec<Screen> {
    let mut screens = Vec::new();
    for view in [views::half_heard(), views::drill(), views::never_heard()] {
        screens.extend(ATTACHED.iter().map(|script| opened(&view, script)));
    }
    screens
}

fn pictures() -> Vec<ClusterView> {
    vec![
        views::busy(),
        views::partitioned(),
        views::broken_disks(),
        views::fresh(),
        views::healthy(1),
        views::healthy(25),
    ]
}

/// Each mode and picture has its turn, so that every size is drawn and every mode is drawn at sizes of all kinds.
#[test]
fn every_size_from_one_cell_to_a_wall() {
    let mut screens: Vec<Screen> = Vec::new();
    for view in pictures() {
        for mode in MODES {
            let mut screen = Screen::new(80, 24, view.clone()).story();
            screen.keys(mode);
            screens.push(screen);
        }
    }
    screens.extend(attached());
    let count = screens.len();
    let mut turn = 0;
    for width in (1..=300).filter(|width| *width <= 100 && width % 2 == 1 || width % 13 == 0) {
        for height in (1..=100).filter(|height| *height <= 36 || height % 9 == 0) {
            // A size that nothing divides, so that turns do not fall into step with sizes.
            turn = (turn + 31) % count;
            let screen = &mut screens[turn];
            (screen.state.width, screen.state.height) = (width, height);
            let _ = screen.buffer();
        }
    }
}

#[test]
fn the_edges_of_each_form_in_every_mode() {
    let mut screens = attached();
    for view in pictures() {
        for mode in MODES {
            let mut screen = Screen::new(80, 24, view.clone()).story();
            screen.keys(mode);
            screens.push(screen);
        }
    }
    {
        for screen in &mut screens {
            for (width, height) in [
                (1, 1),
                (2, 1),
                (1, 60),
                (300, 1),
                (300, 2),
                (39, 10),
                (40, 9),
                (40, 10),
                (59, 16),
                (60, 15),
                (60, 16),
                (79, 23),
                (80, 24),
                (99, 31),
                (100, 30),
                (100, 32),
                (149, 36),
                (150, 36),
                (200, 60),
                (300, 100),
            ] {
                (screen.state.width, screen.state.height) = (width, height);
                let _ = screen.buffer();
            }
        }
    }
}

#[test]
fn panels_lie_on_the_screen_and_not_on_each_other() {
    for view in pictures() {
        let state = Screen::new(80, 24, view).state;
        for width in (1..=300).step_by(3) {
            for height in 1..=100 {
                let areas = areas(width, height, &state);
                let screen = Rect::new(0, 0, width, height);
                let all = [
                    areas.header,
                    areas.verdict,
                    areas.nodes,
                    areas.log,
                    areas.events,
                    areas.detail,
                    areas.leader,
                    areas.side,
                    areas.hints,
                ];
                for (at, one) in all.iter().enumerate() {
                    assert_eq!(one.intersection(screen), *one, "{one:?} at {width}x{height}");
                    for other in &all[at + 1..] {
                        assert!(one.intersection(*other).is_empty(), "{one:?} and {other:?} at {width}x{height}");
                    }
                }
                if areas.class == Class::Full {
                    let covered: u32 = all.iter().map(|area| area.area()).sum();
                    assert_eq!(covered, screen.area(), "nothing is left over at {width}x{height}");
                }
            }
        }
    }
}

#[test]
fn small_screens_say_the_most_important() {
    let line = Screen::new(39, 1, views::busy());
    assert_eq!(line.picture().trim_end(), "n3 leads t7, 4/5 up, writes ok");
    let wide = Screen::new(70, 3, views::busy());
    assert!(wide.shows(&["raft-tui n3 leads t7, 4/5 up, writes ok, enlarge to 60x16"]), "{}", wide.picture());
    let single = Screen::new(45, 12, views::partitioned());
    assert!(single.shows(&["2 LEADERS n1@t6 (stale) n3@t7"]) && single.shows(&["n1", "STALE"]), "{}", single.picture());
}
