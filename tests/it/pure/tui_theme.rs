//! Themes: readable, resolved at each depth, and errors that say where.

use raft_tui::tui::theme::color::{contrast, rgb};
use raft_tui::tui::theme::file::ThemeFile;
use raft_tui::tui::theme::{BUILT_IN, Depth, Slot, Theme};
use ratatui::style::{Color, Modifier};

fn wrong(text: &str) -> String {
    ThemeFile::parse("themes/x.toml", text).err().map_or_else(String::new, |wrong| wrong.to_string())
}

#[test]
fn built_in_themes_are_read_without_a_warning() {
    for (name, text) in BUILT_IN {
        let file = ThemeFile::parse(name, text).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(file.name, name);
        assert_eq!(file.warnings, Vec::<String>::new());
    }
}

#[test]
fn roles_lives_and_states_say_themselves_how_they_look_in_16_colours() {
    for (name, text) in BUILT_IN {
        let file = ThemeFile::parse(name, text).unwrap_or_else(|wrong| panic!("{wrong}"));
        for slot in Slot::ALL.iter().map(|slot| slot.name()) {
            if ["role.", "life.", "status."].iter().any(|group| slot.starts_with(group)) {
                assert!(
                    file.slot(slot).is_some_and(|style| style.has_ansi),
                    "{name} says nothing of {slot} in 16 colours"
                );
            }
        }
    }
}

#[test]
fn text_reaches_four_and_a_half_to_one_and_signs_three() {
    for name in ["dark", "light"] {
        let theme = Theme::built_in(name, Depth::True);
        let page = theme.style(Slot::Background).bg.and_then(rgb).unwrap_or_else(|| panic!("{name} has a background"));
        let mut grounds = vec![("page", page)];
        for (word, slot) in [("selection", Slot::Selection), ("overlay", Slot::Overlay), ("bar", Slot::Bar)] {
            grounds.extend(theme.style(slot).bg.and_then(rgb).map(|bg| (word, bg)));
        }
        let signs = [Slot::Border, Slot::BorderFocus, Slot::TimerRest, Slot::TimerElapsed, Slot::EntryMissing];
        for slot in Slot::ALL.iter().copied() {
            let style = theme.style(slot);
            let Some(fg) = style.fg.and_then(rgb) else { continue };
            let least = if signs.contains(&slot) { 3.0 } else { 4.5 };
            let own = style.bg.and_then(rgb);
            let over = own.map_or_else(|| grounds.clone(), |bg| vec![("its own", bg)]);
            for (ground, bg) in over {
                // Borders lie on the page and on overlays only.
                if signs.contains(&slot) && ground == "bar" {
                    continue;
                }
                let reached = contrast(fg, bg);
                assert!(reached >= least, "{name}: {} on {ground} reaches {reached:.2} of {least}", slot.name());
            }
        }
        for (term, style) in theme.terms().iter().enumerate() {
            let fg = style.fg.and_then(rgb).unwrap_or_else(|| panic!("term {term} has a colour"));
            for (ground, bg) in &grounds {
                assert!(contrast(fg, *bg) >= 4.5, "{name}: term {term} on {ground} reaches {:.2}", contrast(fg, *bg));
            }
        }
    }
}

#[test]
fn contrast_is_that_of_the_standard() {
    assert!((contrast((0, 0, 0), (255, 255, 255)) - 21.0).abs() < 1e-9);
    assert!((contrast((119, 119, 119), (255, 255, 255)) - 4.478).abs() < 1e-2);
}

#[test]
fn a_depth_has_only_its_own_colours() {
    for (name, _) in BUILT_IN {
        for slot in Slot::ALL.iter().copied() {
            for depth in [Depth::True, Depth::Indexed, Depth::Sixteen, Depth::Mono] {
                let style = Theme::built_in(name, depth).style(slot);
                for color in [style.fg, style.bg].into_iter().flatten() {
                    let fits = match depth {
                        Depth::True => true,
                        Depth::Indexed => !matches!(color, Color::Rgb(..)),
                        Depth::Sixteen => !matches!(color, Color::Rgb(..) | Color::Indexed(_)),
                        Depth::Mono => color == Color::Reset,
                    };
                    assert!(fits, "{name} {} at {depth:?}: {color:?}", slot.name());
                }
                assert!(!style.add_modifier.intersects(Modifier::SLOW_BLINK | Modifier::RAPID_BLINK), "nothing blinks");
            }
        }
    }
}

#[test]
fn no_color_wins_over_what_the_terminal_can() {
    let with = |pairs: &[(&str, &str)]| {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect();
        Depth::detect(move |name| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()))
    };
    assert_eq!(with(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor"), ("TERM", "xterm")]), Depth::Mono);
    assert_eq!(with(&[("NO_COLOR", ""), ("COLORTERM", "truecolor"), ("TERM", "xterm")]), Depth::True, "empty is unset");
    assert_eq!(with(&[("TERM", "xterm-256color")]), Depth::Indexed);
    assert_eq!(with(&[("TERM", "linux")]), Depth::Sixteen);
    assert_eq!(with(&[("TERM", "dumb")]), Depth::Mono);
}

#[test]
fn themes_are_looked_for_in_the_configuration_first() {
    use raft_tui::tui::theme::usual_folders;
    let none = usual_folders(|_| None);
    assert_eq!(none, [std::path::PathBuf::from("themes")]);
    let home = usual_folders(|name| (name == "HOME").then(|| String::from("/home/ann")));
    assert_eq!(home[0], std::path::PathBuf::from("/home/ann/.config/raft-tui/themes"));
}

#[test]
fn what_is_wrong_in_a_theme_is_said_with_its_place() {
    let bleu = "[slots]\n\"role.leader\" = { fg = \"bleu\" }\n";
    assert_eq!(wrong(bleu), "themes/x.toml:2:24 unknown colour \"bleu\", did you mean \"blue\"");
    let modifier = "[slots]\n\"ui.fg\" = { mod = [\"bald\"] }";
    assert_eq!(wrong(modifier), "themes/x.toml:2:20 unknown modifier \"bald\", did you mean \"bold\"");
    assert_eq!(wrong("[slotz]\n"), "themes/x.toml:1:2 unknown table [slotz], did you mean \"slots\"");
    assert!(wrong("[slots]\n\"ui.fg\" = { fg = \"#12345\" }").contains("2:18 \"#12345\" is no colour"));
    assert!(wrong("[slots\n").starts_with("themes/x.toml:1:"));
    assert!(wrong("[meta]\nversion = 2\n").contains("themes of version 1"));
    let file = ThemeFile::parse("x", "[slots]\n\"role.leadr\" = \"red\"\n").unwrap_or_default();
    assert_eq!(file.warnings, ["x:2:1 unknown slot \"role.leadr\", did you mean \"role.leader\""]);
}

#[test]
fn a_slot_falls_back_to_its_prefix_then_to_the_parent_then_to_the_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a theme is written");
    write(
        "mine.toml",
        "[meta]\nname = \"mine\"\ninherits = \"dark\"\n[slots]\nrole = \"#010203\"\n\"role.leader\" = \"#040506\"\n",
    );
    let theme = Theme::load("mine", &[folder.path()], Depth::True).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(theme.style(Slot::Leader).fg, Some(Color::Rgb(4, 5, 6)));
    assert_eq!(theme.style(Slot::Follower).fg, Some(Color::Rgb(1, 2, 3)), "by prefix, before the parent");
    assert_eq!(theme.style(Slot::Ok).fg, Theme::built_in("dark", Depth::True).style(Slot::Ok).fg, "by the parent");
    write("few.toml", "[slots]\n\"ui.fg\" = \"#070809\"\n");
    let theme = Theme::load("few", &[folder.path()], Depth::True).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(theme.style(Slot::Candidate).fg, Some(Color::Rgb(7, 8, 9)), "by the text");
    write("a.toml", "[meta]\ninherits = \"b\"\n");
    write("b.toml", "[meta]\ninherits = \"a\"\n");
    let circle =
        Theme::load("a", &[folder.path()], Depth::True).err().map_or_else(String::new, |error| error.to_string());
    assert!(circle.contains("circle"), "{circle}");
    let missing = Theme::load("drak", &[], Depth::True).err().map_or_else(String::new, |error| error.to_string());
    assert!(missing.contains("did you mean \"dark\""), "{missing}");
}
