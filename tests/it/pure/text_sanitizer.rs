//! What a stranger's bytes look like on our screen.
#![allow(clippy::unwrap_used, clippy::string_slice, reason = "a test that finds nothing there has failed")]

use proptest::prelude::*;
use raft_tui::text::{Untrusted, clip, is_safe, nearest, sanitize, sanitize_str, width};
use unicode_width::UnicodeWidthStr;

/// Undoes the escapes; exists for every output of an injective mapping.
fn undo(shown: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), shown);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            bytes.extend_from_slice(c.to_string().as_bytes());
        } else if let Some(after) = rest.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('x') {
            bytes.push(u8::from_str_radix(&after[..2], 16).unwrap());
            rest = &after[2..];
        } else {
            let (digits, after) = rest.strip_prefix("u{").unwrap().split_once('}').unwrap();
            let c = char::from_u32(u32::from_str_radix(digits, 16).unwrap()).unwrap();
            bytes.extend_from_slice(c.to_string().as_bytes());
            rest = after;
        }
    }
    bytes
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let nasty = prop::sample::select(vec![
        "\u{1b}",
        "\u{9b}",
        "\r",
        "\\",
        "…",
        "(+",
        "\u{301}",
        "e\u{301}",
        "\u{202e}",
        "\u{200d}",
        "👩",
        "🏽",
        "🇵",
        "🇱",
        "字",
        "가",
        "\u{1100}",
        "\u{1161}",
        "\u{11a8}",
        "ل",
        "ا",
        "क",
        "\u{94d}",
        "ष",
        "\u{e0041}",
        "\u{fe0f}",
        "❤",
        "\u{ffff}",
        "\\x1b",
        "\u{3000}",
        "ก",
        "ำ",
        "\u{10a01}",
    ]);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        prop::collection::vec(any::<char>(), 0..40).prop_map(|chars| chars.iter().collect::<String>().into_bytes()),
        prop::collection::vec(nasty, 0..30).prop_map(|parts| parts.concat().into_bytes()),
        "\\PC{0,40}".prop_map(String::into_bytes),
    ]
}

#[test]
fn what_would_act_is_written_out() {
    let cases: &[(&[u8], &str)] = &[
        (b"plain text, 'as it is'", "plain text, 'as it is'"),
        ("Zażółć gęślą 字 🦀 e\u{301}".as_bytes(), "Zażółć gęślą 字 🦀 e\u{301}"),
        (b"\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
        (b"a\rb\nc\td\0\x7f", r"a\x0db\x0ac\x09d\x00\x7f"),
        ("\u{9b}31m\u{85}".as_bytes(), r"\u{9b}31m\u{85}"),
        (b"\x9b31m", r"\x9b31m"),
        (br"\x1b", r"\\x1b"),
        ("a\u{2028}b\u{2029}".as_bytes(), r"a\u{2028}b\u{2029}"),
        (
            "\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}".as_bytes(),
            r"\u{202a}\u{202e}\u{2066}\u{2069}\u{200e}\u{200f}\u{61c}",
        ),
        ("\u{200b}\u{200d}\u{2060}\u{feff}".as_bytes(), r"\u{200b}\u{200d}\u{2060}\u{feff}"),
        ("\u{e0001}\u{e007f}".as_bytes(), r"\u{e0001}\u{e007f}"),
        ("\u{fdd0}\u{fffe}\u{10ffff}".as_bytes(), r"\u{fdd0}\u{fffe}\u{10ffff}"),
        ("\u{a0}\u{3000}\u{ad}\u{3164}\u{e000}".as_bytes(), r"\u{a0}\u{3000}\u{ad}\u{3164}\u{e000}"),
        (b"caf\xc3", r"caf\xc3"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ("\u{301}x".as_bytes(), r"\u{301}x"),
        ("x\u{1}\u{301}".as_bytes(), r"x\x01\u{301}"),
        ("z\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}!".as_bytes(), "z\u{300}\u{301}\u{302}\u{303}\\u{304}\\u{305}!"),
        ("well… (then)".as_bytes(), "well… (then)"),
        ("fake…(+9)".as_bytes(), r"fake\u{2026}(+9)"),
    ];
    for (input, shown) in cases {
        assert_eq!(&sanitize(input), shown);
        assert_eq!(Untrusted::from(*input).display(), *shown);
    }
    assert_eq!(format!("{:?}", Untrusted::from("\u{1b}c")), r"Untrusted(\x1bc)");
}

#[test]
fn a_cut_is_counted_and_never_splits_an_escape_or_a_grapheme() {
    let show = |text: &str, cells| Untrusted::from(text).display_max(cells);
    assert_eq!(show("abcdefghijkl", 12), "abcdefghijkl");
    assert_eq!(show("abcdefghijkl", 11), "abcde…(+7)");
    assert_eq!(show("ab\u{1b}\u{1b}\u{1b}\u{1b}", 12), r"ab\x1b…(+3)");
    assert_eq!(show("ab\u{1b}\u{1b}\u{1b}\u{1b}", 10), "ab…(+4)");
    assert_eq!(show("字字字字字字", 10), "字字…(+12)");
    assert_eq!(show("🇵🇱🇵🇱🇵🇱🇵🇱🇵🇱", 9), "🇵🇱…(+32)");
    assert_eq!(show("abcdef", 4), "abc…");
    assert_eq!((show("abcdef", 1), show("abcdef", 0)), ("…".to_owned(), String::new()));
    assert_eq!(show(&"v".repeat(65_536), 20), format!("{}…(+65525)", "v".repeat(11)));
    assert_eq!(clip("abcdef", 6), "abcdef");
    assert_eq!(clip("abcdef", 4), "abc…");
    assert_eq!(clip("字字字", 4), "字…");
    assert_eq!(clip("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
    assert_eq!((clip("abc", 1), clip("abc", 0), clip("", 0)), ("…".to_owned(), String::new(), String::new()));
}

#[test]
fn the_nearest_word_is_found_and_nothing_far_is_guessed() {
    let words = ["crash", "restart", "isolate", "partition", "heal", "quit"];
    for (typed, meant) in [
        ("crahs", Some("crash")),
        ("CRASH", Some("crash")),
        ("part", Some("partition")),
        ("isolat", Some("isolate")),
        ("hael", Some("heal")),
        ("wibble", None),
        ("", None),
        ("x", None),
    ] {
        assert_eq!(nearest(typed, &words), meant, "{typed}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_024) })]

    #[test]
    fn output_is_visible_and_has_one_origin(input in bytes()) {
        let shown = sanitize(&input);
        prop_assert!(is_safe(&shown), "{shown:?}");
        prop_assert!(!shown.chars().any(char::is_control));
        prop_assert!(!shown.contains("…(+"));
        prop_assert_eq!(undo(&shown), input);
    }

    #[test]
    fn widths_are_those_of_unicode_width(input in bytes()) {
        let shown = sanitize(&input);
        prop_assert_eq!(width(&shown), shown.width());
        prop_assert_eq!(shown.is_empty(), width(&shown) == 0);
    }

    #[test]
    fn a_cut_never_takes_more_cells_than_it_may(input in bytes(), cells in 0..40_usize) {
        let shown = sanitize(&input);
        let cut = clip(&shown, cells);
        prop_assert!(width(&cut) <= cells, "{cut:?}");
        prop_assert!(cut == shown || shown.starts_with(cut.trim_end_matches('…')));

        let cut = Untrusted::from(input.clone()).display_max(cells);
        prop_assert!(width(&cut) <= cells, "{cut:?}");
        prop_assert!(is_safe(&cut));
        if let Some((kept, count)) = cut.split_once("…(+") {
            let left: usize = count.trim_end_matches(')').parse().unwrap();
            prop_assert_eq!(undo(kept), &input[..input.len() - left]);
        } else if cut != shown {
            prop_assert!(shown.starts_with(cut.trim_end_matches('…')));
        }
    }

    #[test]
    fn text_and_its_bytes_look_the_same(text in "\\PC{0,30}") {
        prop_assert_eq!(sanitize_str(&text), sanitize(text.as_bytes()));
    }
}
