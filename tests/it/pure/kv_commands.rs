//! The words of the key-value store: read, printed, encoded.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::machine::kv::{
    FORMAT_VERSION, KEY_MAX, KvCommand, KvQuery, KvReply, LIST_MAX, Refused, VALUE_MAX, describe_command,
    describe_query, describe_reply, mask_values, parse_command, parse_query,
};
use raft_tui::text::is_safe;

fn set(key: &'static [u8], value: &'static [u8]) -> KvCommand {
    KvCommand::Set { key: Bytes::from_static(key), value: Bytes::from_static(value) }
}

fn word() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from),
        "\\PC{0,12}".prop_map(Bytes::from),
        "[a-z \"'\\\\\n]{0,8}".prop_map(Bytes::from),
        prop::collection::vec(any::<char>(), 0..12).prop_map(|chars| Bytes::from(chars.iter().collect::<String>())),
        prop::sample::select(vec!["none", "NONE", "", "1", "{\"a\":1}", "…(+9)"]).prop_map(Bytes::from),
    ]
}

fn of(words: impl Strategy<Value = Bytes> + Clone) -> impl Strategy<Value = KvCommand> {
    prop_oneof![
        (words.clone(), words.clone()).prop_map(|(key, value)| KvCommand::Set { key, value }),
        words.clone().prop_map(|key| KvCommand::Delete { key }),
        (words.clone(), prop::option::of(words.clone()), words.clone())
            .prop_map(|(key, expected, new)| KvCommand::Cas { key, expected, new }),
        (words, prop_oneof![any::<i64>(), -2..3_i64]).prop_map(|(key, delta)| KvCommand::Incr { key, delta }),
    ]
}

/// Commands over so few keys and values that they meet.
pub fn few_keys() -> impl Strategy<Value = KvCommand> {
    of(prop::sample::select(vec!["a", "ab", "b", "1", "-7", ""]).prop_map(Bytes::from).boxed())
}

#[test]
fn words_are_read_in_any_case_and_values_as_they_stand() {
    let cases: [(&str, KvCommand); 12] = [
        ("SET k v", set(b"k", b"v")),
        ("  set\tk   v ", set(b"k", b"v")),
        ("Set 'a b' \"c d\"", set(b"a b", b"c d")),
        (r#"SET k {"a":1}"#, set(b"k", br#"{"a":1}"#)),
        (r"SET k C:\new", set(b"k", br"C:\new")),
        (r#"SET k "\n\t\r\0\\\"\'""#, set(b"k", b"\n\t\r\0\\\"'")),
        (r"SET k '\x00\xfF\u{1F980}'", set(b"k", b"\0\xff\xf0\x9f\xa6\x80")),
        ("SET '' \"\"", set(b"", b"")),
        ("DELETE k", KvCommand::Delete { key: "k".into() }),
        ("CAS k none new", KvCommand::Cas { key: "k".into(), expected: None, new: "new".into() }),
        ("cas k 'NONE' new", KvCommand::Cas { key: "k".into(), expected: Some("NONE".into()), new: "new".into() }),
        ("INCR k -5", KvCommand::Incr { key: "k".into(), delta: -5 }),
    ];
    for (line, command) in cases {
        assert_eq!(line.parse(), Ok(command.clone()), "{line}");
        assert_eq!(parse_command(line), Ok(command.encode()), "{line}");
    }
    assert_eq!("INCR k".parse(), Ok(KvCommand::Incr { key: "k".into(), delta: 1 }));
    assert_eq!("get k".parse(), Ok(KvQuery::Get { key: "k".into() }));
    assert_eq!("LIST".parse(), Ok(KvQuery::List { prefix: Bytes::new(), limit: 100 }));
    assert_eq!("list user/ 7".parse(), Ok(KvQuery::List { prefix: "user/".into(), limit: 7 }));
}

#[test]
fn an_error_says_which_word_and_what_was_expected() {
    let long_key = format!("SET {} v", "k".repeat(KEY_MAX + 1));
    let long_value = format!("SET k {}", "v".repeat(VALUE_MAX + 1));
    let cases: &[(&str, usize, &str)] = &[
        ("", 1, "there is no command: begin with one of SET, DELETE, CAS, INCR"),
        ("SET", 2, "SET wants a key: SET key value"),
        ("set k", 3, "SET wants a value after the key: SET key value"),
        ("SET k a b", 4, "SET: word 4 `b` is too many (quote what has spaces): SET key value"),
        ("DELETE", 2, "DELETE wants a key: DELETE key"),
        ("DELETE a b", 3, "DELETE: word 3 `b` is too many (quote what has spaces): DELETE key"),
        ("CAS k", 3, "CAS wants an expected value or NONE after the key: CAS key expected|NONE new"),
        ("CAS k 1", 4, "CAS wants a new value after the expected value: CAS key expected|NONE new"),
        ("INCR k ten", 3, "INCR: word 3 `ten` is no whole number of 64 bits: INCR key [delta]"),
        (
            "INCR k 9223372036854775808",
            3,
            "INCR: word 3 `9223372036854775808` is no whole number of 64 bits: INCR key [delta]",
        ),
        ("STE k v", 1, "word 1 `STE` is no command: did you mean SET? There are SET, DELETE, CAS, INCR"),
        ("put k v", 1, "word 1 `put` is no command: did you mean SET? There are SET, DELETE, CAS, INCR"),
        ("dele k", 1, "word 1 `dele` is no command: did you mean DELETE? There are SET, DELETE, CAS, INCR"),
        ("frobnicate", 1, "word 1 `frobnicate` is no command; there are SET, DELETE, CAS, INCR"),
        ("\"SET\" k v", 1, "word 1 `SET` is no command: did you mean SET? There are SET, DELETE, CAS, INCR"),
        ("get k", 1, "word 1 `get` is a query, not a command (GET key); there are SET, DELETE, CAS, INCR"),
        ("SET k \"abc", 3, "word 3 `\"abc` has no closing quote: end it with \""),
        ("SET k 'abc\\", 3, "word 3 `'abc\\\\` ends in a backslash, and has no closing quote"),
        ("SET k 'a'b", 3, "word 3 `'a'b` goes on after its closing quote: put a space there, or quote the whole word"),
        ("SET k '\\q'", 3, r#"word 3 `'\\q'` has the unknown escape \q: there are \n \t \r \0 \\ \" \' \xNN \u{...}"#),
        ("SET k '\\x1'", 3, r"word 3 `'\\x1'` has \x without two hexadecimal digits after it, as in \x1b"),
        (
            "SET k '\\u{d800}'",
            3,
            r"word 3 `'\\u{d800}'` has \u without a character's number in braces after it, as in \u{1f980}",
        ),
        (
            "SET k '\\u41'",
            3,
            r"word 3 `'\\u41'` has \u without a character's number in braces after it, as in \u{1f980}",
        ),
        ("\u{1b}[2J k", 1, r"word 1 `\x1b[2J` is no command; there are SET, DELETE, CAS, INCR"),
        (
            &long_key,
            2,
            "SET: word 2 `kkkkkkkkkkkkkkkkkkkkkkkk…(+1001)` is a key of 1025 bytes: at most 1024 are allowed",
        ),
        (
            &long_value,
            3,
            "SET: word 3 `vvvvvvvvvvvvvvvvvvvvvvv…(+65514)` is a value of 65537 bytes: at most 65536 are allowed",
        ),
    ];
    for (line, word, message) in cases {
        let error = line.parse::<KvCommand>().expect_err(line);
        assert_eq!((error.word, error.message.as_str()), (*word, *message), "{line:.60}");
    }
    let queries: &[(&str, usize, &str)] = &[
        ("", 1, "there is no query: begin with one of GET, LIST"),
        ("GET", 2, "GET wants a key: GET key"),
        ("GET a b", 3, "GET: word 3 `b` is too many (quote what has spaces): GET key"),
        ("LIST a b", 3, "LIST: word 3 `b` is no number of entries: LIST [prefix] [limit]"),
        ("LIST a 0", 3, "LIST: word 3 `0` is a limit of 0 entries: 1 to 1000 are allowed"),
        ("LIST a 1001", 3, "LIST: word 3 `1001` is a limit of 1001 entries: 1 to 1000 are allowed"),
        ("LIST a 1 x", 4, "LIST: word 4 `x` is too many (quote what has spaces): LIST [prefix] [limit]"),
        ("SET k v", 1, "word 1 `SET` is a command, not a query (SET key value); there are GET, LIST"),
        ("lits", 1, "word 1 `lits` is no query: did you mean LIST? There are GET, LIST"),
    ];
    for (line, word, message) in queries {
        let error = parse_query(line).expect_err(line);
        assert_eq!((error.word, error.message.as_str()), (*word, *message), "{line}");
    }
}

#[test]
fn limits_hold_on_both_ways_in() {
    let (key, value) = (Bytes::from("k".repeat(KEY_MAX)), Bytes::from("v".repeat(VALUE_MAX)));
    let longest = KvCommand::Cas { key, expected: Some(value.clone()), new: value };
    assert_eq!(longest.to_string().parse(), Ok(longest.clone()));
    assert_eq!(KvCommand::decode(&longest.encode()), Ok(longest));

    let long = Bytes::from("x".repeat(VALUE_MAX + 1));
    let refused = |command: KvCommand| KvCommand::decode(&command.encode()).unwrap_err();
    assert_eq!(refused(KvCommand::Delete { key: long.clone() }), Refused::LongKey(VALUE_MAX + 1));
    assert_eq!(refused(KvCommand::Set { key: "k".into(), value: long.clone() }), Refused::LongValue(VALUE_MAX + 1));
    let cas = KvCommand::Cas { key: "k".into(), expected: Some(long), new: "n".into() };
    assert_eq!(refused(cas), Refused::LongValue(VALUE_MAX + 1));
    for limit in [0, LIST_MAX + 1] {
        let query = KvQuery::List { prefix: Bytes::new(), limit };
        assert_eq!(KvQuery::decode(&query.encode()), Err(Refused::Limit(limit)));
    }
}

#[test]
fn bytes_begin_with_their_version() {
    let bytes = set(b"k", b"v").encode();
    assert_eq!(bytes.as_ref(), [FORMAT_VERSION, 0, 1, b'k', 1, b'v']);
    assert_eq!(KvCommand::decode(&[]), Err(Refused::Empty));
    assert_eq!(KvCommand::decode(&[9, 0, 1, b'k', 1, b'v']), Err(Refused::Version(9)));
    assert_eq!(KvCommand::decode(&[FORMAT_VERSION, 0, 1, b'k', 1, b'v', 0]), Err(Refused::Malformed));
}

#[test]
fn a_description_is_one_short_line() {
    let long = KvCommand::Set { key: "k".into(), value: "v".repeat(1_000).into() };
    assert_eq!(describe_command(&long.encode()), format!("SET k {}…(+960)", "v".repeat(40)));
    let spaced = KvCommand::Set { key: "a b".into(), value: " ".repeat(50).into() };
    assert_eq!(describe_command(&spaced.encode()), format!("SET \"a b\" \"{}\"…(+10)", " ".repeat(40)));
    assert_eq!(
        describe_command(b"\x1b[2J"),
        "(4 bytes that are no command: request of format 27, this store reads format 1)"
    );
    assert_eq!(describe_query(&parse_query("LIST").unwrap()), "LIST");
    assert_eq!(describe_query(b""), "(0 bytes that are no query: empty request)");

    let pair = |k: &'static str, v: &'static str| (Bytes::from(k), Bytes::from(v));
    let replies = [
        (KvReply::Stored, "stored"),
        (KvReply::Deleted(true), "deleted"),
        (KvReply::Deleted(false), "nothing to delete"),
        (KvReply::Swapped { swapped: true, current: None }, "swapped"),
        (KvReply::Swapped { swapped: false, current: None }, "not swapped: no such key"),
        (KvReply::Swapped { swapped: false, current: Some("x y".into()) }, "not swapped: found \"x y\""),
        (KvReply::Number(-3), "-3"),
        (KvReply::Value(None), "(no such key)"),
        (KvReply::Value(Some("(no such key)".into())), "\"(no such key)\""),
        (KvReply::Value(Some("\u{1b}]0;x\u{7}".into())), r#""\x1b]0;x\x07""#),
        (KvReply::Entries(vec![], false), "(no entries)"),
        (KvReply::Entries(vec![pair("a", "1"), pair("b", "")], true), "a = 1, b = \"\", (and more)"),
        (KvReply::Error("no\nway".to_owned()), "error: no\\x0away"),
    ];
    for (reply, line) in replies {
        assert_eq!(describe_reply(&reply.encode()), line);
        assert_eq!(KvReply::decode(&reply.encode()), Ok(reply));
    }
    let many = KvReply::Entries(vec![pair("k", "v"); 20], false);
    assert_eq!(describe_reply(&many.encode()).matches("k = v").count(), 8);
    assert_eq!(many.to_string().lines().count(), 20);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn a_printed_command_parses_back(command in of(word().boxed())) {
        let line = command.to_string();
        prop_assert!(is_safe(&line), "{line:?}");
        prop_assert_eq!(line.parse::<KvCommand>(), Ok(command.clone()));
        prop_assert_eq!(KvCommand::decode(&command.encode()), Ok(command));
    }

    #[test]
    fn a_printed_query_parses_back(key in word(), limit in prop_oneof![Just(100), 1..=LIST_MAX], list in any::<bool>()) {
        let query = if list { KvQuery::List { prefix: key, limit } } else { KvQuery::Get { key } };
        prop_assert_eq!(query.to_string().parse::<KvQuery>(), Ok(query.clone()));
        prop_assert_eq!(KvQuery::decode(&query.encode()), Ok(query));
    }

    #[test]
    fn any_line_is_a_command_or_a_safe_error(line in prop_oneof![
        "\\PC{0,40}",
        "(SET|CAS|INCR|LIST|set) [ \"'\\\\ux{}a-f0-9\u{1b}\u{202e}]{0,30}",
    ]) {
        let errors = [line.parse::<KvCommand>().err(), line.parse::<KvQuery>().err()];
        for error in errors.into_iter().flatten() {
            prop_assert!(is_safe(&error.to_string()), "{error:?}");
            prop_assert!(error.word >= 1);
        }
    }

    #[test]
    fn any_bytes_are_described_in_one_safe_line(mut bytes in prop::collection::vec(any::<u8>(), 0..60), tame in any::<bool>()) {
        if let (true, Some(first)) = (tame, bytes.first_mut()) {
            *first = FORMAT_VERSION;
        }
        for line in [describe_command(&bytes), describe_query(&bytes), describe_reply(&bytes)] {
            prop_assert!(is_safe(&line) && line.len() < 4_000, "{line:?}");
        }
    }
}

#[test]
fn a_masked_command_names_its_key_and_no_value() {
    let long = "x".repeat(1_000);
    for (line, masked) in [
        ("SET colour blue", "SET colour ‹4 bytes›"),
        ("SET colour b", "SET colour ‹1 byte›"),
        (r#"SET "a \"key\"" "two words""#, r#"SET "a \"key\"" ‹9 bytes›"#),
        (r#"SET k """#, "SET k ‹0 bytes›"),
        (r#"SET k "\x1b\"\\é""#, "SET k ‹5 bytes›"),
        ("DELETE colour", "DELETE colour"),
        ("CAS colour NONE green", "CAS colour ‹4 bytes› ‹5 bytes›"),
        (r#"CAS colour "NONE" green"#, "CAS colour ‹4 bytes› ‹5 bytes›"),
        (r#"CAS colour blue "dark green""#, "CAS colour ‹4 bytes› ‹10 bytes›"),
        ("INCR hits", "INCR hits"),
        ("INCR hits -12", "INCR hits ‹3 bytes›"),
        (&format!("SET k {long}"), "SET k ‹1000 bytes›"),
        (&format!("SET k \"{long} y\""), "SET k ‹1002 bytes›"),
    ] {
        let described = describe_command(&parse_command(line).expect("a command"));
        assert_eq!(mask_values(&described), masked, "{described}");
    }
    // A long key is told as far as it is told at all.
    let described = describe_command(&parse_command(&format!("SET {long} blue")).expect("a command"));
    let masked = mask_values(&described);
    assert!(masked.starts_with("SET xxx") && masked.ends_with(") ‹4 bytes›"), "{masked}");
}

#[test]
fn what_is_not_understood_is_masked_whole() {
    for line in [
        "",
        "SET",
        "SET k",
        "SET k secret more",
        "SET  k secret",
        "set k secret",
        "PUT k secret",
        "DELETE k secret",
        "CAS k secret",
        "INCR k 1 secret",
        "SET k \"secret",
        "SET k \"secret\"secret",
        "SET k \"\\q secret\"",
        "SET k secret…(+",
        "SET k secret…(+x)",
        "SET k secret…",
        "SET k secret…(+3)secret",
        "SET \"k\" 'secret\nsecret'",
        "(12 bytes that are no command: secret)",
        "secret",
    ] {
        let masked = mask_values(line);
        assert_eq!(masked, format!("‹{} bytes›", line.len()), "{line}");
    }
}
