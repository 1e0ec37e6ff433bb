//! Histories of client operations: their lines, and the rules that a recorder keeps.

use bytes::Bytes;
use raft_tui::history::{Ask, NotARecord, Record, Recorder, Reply, What, line, parse, read};
use raft_tui::machine::kv::{KvCommand, KvQuery, KvReply};
use raft_tui::raft::{Index, NodeId, Term};

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn invoke(ask: Ask) -> Record {
    let what = What::Invoke { client: "c3".into(), key: bytes("x"), ask, node: Some(NodeId(2)) };
    Record { op: 17, t_ns: 123_456_789, what }
}

fn ok(reply: Reply) -> Record {
    Record { op: 17, t_ns: 5, what: What::Ok { reply, term: Some(Term(4)), index: Some(Index(88)) } }
}

fn info() -> What {
    What::Info { why: "timeout".into() }
}

#[test]
fn every_record_has_its_form_and_is_read_back() {
    let cas = |expected| Ask::Cas { expected, new: bytes("v17") };
    let raw = Bytes::from_static(&[0xff, 0]);
    for (record, form) in [
        (
            invoke(cas(Some(bytes("v9")))),
            r#"{"e":"invoke","op":17,"c":"c3","f":"cas","k":"x","a":["v9","v17"],"t":123456789,"n":"n2"}"#,
        ),
        (
            invoke(cas(None)),
            r#"{"e":"invoke","op":17,"c":"c3","f":"cas","k":"x","a":[null,"v17"],"t":123456789,"n":"n2"}"#,
        ),
        (invoke(Ask::Get), r#"{"e":"invoke","op":17,"c":"c3","f":"get","k":"x","t":123456789,"n":"n2"}"#),
        (invoke(Ask::Del), r#"{"e":"invoke","op":17,"c":"c3","f":"del","k":"x","t":123456789,"n":"n2"}"#),
        (
            invoke(Ask::Set(raw.clone())),
            r#"{"e":"invoke","op":17,"c":"c3","f":"set","k":"x","a":{"b64":"/wA="},"t":123456789,"n":"n2"}"#,
        ),
        (invoke(Ask::Incr(-3)), r#"{"e":"invoke","op":17,"c":"c3","f":"incr","k":"x","a":-3,"t":123456789,"n":"n2"}"#),
        (
            invoke(Ask::Incr(i64::MIN)),
            r#"{"e":"invoke","op":17,"c":"c3","f":"incr","k":"x","a":"-9223372036854775808","t":123456789,"n":"n2"}"#,
        ),
        (ok(Reply::Done), r#"{"e":"ok","op":17,"t":5,"term":4,"i":88}"#),
        (ok(Reply::Yes(true)), r#"{"e":"ok","op":17,"r":true,"t":5,"term":4,"i":88}"#),
        (ok(Reply::Number(-9)), r#"{"e":"ok","op":17,"r":-9,"t":5,"term":4,"i":88}"#),
        (ok(Reply::Value(None)), r#"{"e":"ok","op":17,"r":null,"t":5,"term":4,"i":88}"#),
        (ok(Reply::Value(Some(raw))), r#"{"e":"ok","op":17,"r":{"b64":"/wA="},"t":5,"term":4,"i":88}"#),
        (
            Record { op: 1 << 60, t_ns: 6, what: What::Ok { reply: Reply::Value(None), term: None, index: None } },
            r#"{"e":"ok","op":"1152921504606846976","r":null,"t":6}"#,
        ),
        (
            Record { op: 18, t_ns: 7, what: What::Fail { why: "not leader".into() } },
            r#"{"e":"fail","op":18,"why":"not leader","t":7}"#,
        ),
        (Record { op: 19, t_ns: 8, what: info() }, r#"{"e":"info","op":19,"why":"timeout","t":8}"#),
    ] {
        assert_eq!(line(&record), form);
        assert_eq!(parse(form), Ok(record));
    }
}

#[test]
fn a_sum_beyond_a_double_is_text() {
    let form = r#"{"e":"ok","op":1,"r":"9223372036854775807","t":5}"#;
    assert_eq!(
        line(&Record { op: 1, t_ns: 5, what: What::Ok { reply: Reply::Number(i64::MAX), term: None, index: None } }),
        form
    );
    let read = parse(form).expect("it is a record").what;
    assert_eq!(read, What::Ok { reply: Reply::Value(Some(bytes("9223372036854775807"))), term: None, index: None });
}

#[test]
fn fields_and_kinds_of_later_are_passed_over() {
    let text = "{\"e\":\"fail\",\"op\":1,\"why\":\"x\",\"t\":2,\"new\":[1]}\n\n{\"e\":\"pause\",\"op\":2}\n";
    let records = read(text).expect("it is a history");
    assert_eq!(records, [Record { op: 1, t_ns: 2, what: What::Fail { why: "x".into() } }]);
    assert_eq!(parse(r#"{"e":"pause"}"#), Err(NotARecord::Kind("pause".into())));
}

#[test]
fn what_is_no_record_is_told_with_its_line_and_is_safe_to_show() {
    for wrong in [
        "",
        "[]",
        "7",
        r#"{"e":"info","op":1,"t":2}"#,
        r#"{"e":"info","why":"x","t":2}"#,
        r#"{"e":"info","op":-1,"why":"x","t":2}"#,
        r#"{"e":"info","op":1,"why":"x"}"#,
        r#"{"e":"ok","op":1,"t":2,"r":[]}"#,
        r#"{"e":"ok","op":1,"t":2,"i":"x"}"#,
        r#"{"e":"ok","op":1,"t":2,"r":1.5}"#,
        r#"{"e":"ok","op":1,"t":2,"r":{"b64":"?"}}"#,
        r#"{"e":"invoke","op":1,"t":2,"c":"c1","f":"set","k":"x"}"#,
        r#"{"e":"invoke","op":1,"t":2,"c":"c1","f":"cas","k":"x","a":["a"]}"#,
        r#"{"e":"invoke","op":1,"t":2,"c":"c1","f":"list","k":"x"}"#,
        r#"{"e":"invoke","op":1,"t":2,"c":"c1","f":"get"}"#,
        r#"{"e":"invoke","op":1,"t":2,"c":"c1","f":"get","k":"x","n":"m2"}"#,
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
    let error =
        read("{\"e\":\"info\",\"op\":1,\"why\":\"x\",\"t\":2}\n{\"e\":\"\u{9b}2J\u{202e}\"}\n{}").expect_err("wrong");
    assert_eq!(error.to_string(), "line 3: the field `e` is missing or no text: {}");
    let error = parse("{\"e\":\"ok\",\"op\":\"\u{202e}\"}").expect_err("wrong").to_string();
    assert!(error.contains("\\u{202e}") && !error.contains('\u{202e}'), "{error}");
}

#[test]
fn commands_queries_and_replies_have_their_form() {
    let key = bytes("x");
    let set = KvCommand::Set { key: key.clone(), value: bytes("v") };
    assert_eq!(Ask::of_command(&set), (key.clone(), Ask::Set(bytes("v"))));
    assert_eq!(Ask::of_command(&KvCommand::Delete { key: key.clone() }), (key.clone(), Ask::Del));
    assert_eq!(Ask::of_query(&KvQuery::Get { key: key.clone() }), Some((key, Ask::Get)));
    assert_eq!(Ask::of_query(&KvQuery::List { prefix: Bytes::new(), limit: 1 }), None);
    let ok = |reply| What::Ok { reply, term: None, index: None };
    assert_eq!(What::answered(&KvReply::Stored, None, None), ok(Reply::Done));
    assert_eq!(What::answered(&KvReply::Deleted(true), None, None), ok(Reply::Yes(true)));
    // A store that refuses has changed nothing.
    let refused = What::answered(&KvReply::Error("no number".into()), Some(Term(1)), Some(Index(1)));
    assert_eq!(refused, What::Fail { why: "no number".into() });
}

fn named(record: Option<&Record>) -> (u64, String) {
    let record = record.expect("a record");
    let What::Invoke { client, .. } = &record.what else { panic!("{record:?}") };
    (record.op, client.clone())
}

#[test]
fn after_an_info_a_client_goes_on_under_a_new_name() {
    let mut recorder = Recorder::new();
    let (first, second) = (recorder.client(), recorder.client());
    let ask = |recorder: &mut Recorder, t_ns, client| {
        named(recorder.invoke(t_ns, client, bytes("x"), Ask::Get, None).as_ref())
    };
    assert_eq!(ask(&mut recorder, 1, first), (1, "c1".into()));
    assert_eq!(ask(&mut recorder, 2, second), (2, "c2".into()));
    assert!(recorder.end(3, 1, info()).is_some());
    assert_eq!(recorder.end(4, 1, info()), None, "it ended once");
    assert!(recorder.end(5, 2, What::Fail { why: "busy".into() }).is_some());
    assert_eq!(ask(&mut recorder, 6, first), (3, "c3".into()));
    assert_eq!(ask(&mut recorder, 7, second), (4, "c2".into()));
    recorder.skip();
    // Asking again without having heard: one name has one operation open.
    assert_eq!(ask(&mut recorder, 8, second), (6, "c4".into()));
    let ends: Vec<u64> = recorder.close(9, "the end").iter().map(|record| record.op).collect();
    assert_eq!(ends, [3, 4, 6]);
    assert!(recorder.close(9, "the end").is_empty());
}

#[test]
fn time_never_goes_back_in_a_history() {
    let mut recorder = Recorder::new();
    let client = recorder.client();
    let first = recorder.invoke(10, client, bytes("x"), Ask::Get, None).expect("a record");
    let end = recorder.end(4, first.op, info()).expect("a record");
    assert_eq!((first.t_ns, end.t_ns), (10, 10));
    assert_eq!(recorder.invoke(1, 7, bytes("x"), Ask::Get, None), None, "there is no such client");
}

#[test]
fn the_examples_of_the_documentation_are_records() {
    let text = include_str!("../../../docs/formats.md");
    let examples: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("    {\"e\":")).collect();
    assert_eq!(examples.len(), 4);
    for example in examples {
        let example = format!("{{\"e\":{example}");
        let record = parse(&example).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(line(&record), example);
    }
}
