//! What the commands do to the store, its fingerprint and its snapshots.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::machine::StateMachine;
use raft_tui::machine::kv::{
    FORMAT_VERSION, KvCommand, KvQuery, KvReply, KvStore, VALUE_MAX, parse_command, parse_query,
};

use super::kv_commands::few_keys;
use crate::support::second_machine::body_of;

fn run(store: &mut KvStore, line: &str) -> String {
    let reply = match parse_command(line) {
        Ok(command) => store.apply(1, &command),
        Err(_) => store.query(&parse_query(line).unwrap()),
    };
    KvReply::decode(&reply).unwrap().to_string()
}

fn filled(lines: &[&str]) -> KvStore {
    let mut store = KvStore::new();
    for line in lines {
        run(&mut store, line);
    }
    store
}

#[test]
fn every_command_does_what_it_says() {
    let mut store = KvStore::new();
    let lines = [
        ("GET k", "(no such key)"),
        ("SET k v", "stored"),
        ("GET k", "v"),
        ("CAS k w x", "not swapped: found v"),
        ("CAS k NONE x", "not swapped: found v"),
        ("CAS k v x", "swapped"),
        ("GET k", "x"),
        ("CAS new x y", "not swapped: no such key"),
        ("CAS new NONE y", "swapped"),
        ("DELETE new", "deleted"),
        ("DELETE new", "nothing to delete"),
        ("INCR n", "1"),
        ("INCR n 41", "42"),
        ("INCR n -50", "-8"),
        ("GET n", "-8"),
        ("INCR k", "error: the value is no whole number of 64 bits"),
        ("SET k '\\xff'", "stored"),
        ("INCR k", "error: the value is no whole number of 64 bits"),
        ("SET n 9223372036854775807", "stored"),
        ("INCR n", "error: 9223372036854775807 and 1 make more than 64 bits hold"),
        ("GET n", "9223372036854775807"),
        ("SET n -9223372036854775808", "stored"),
        ("INCR n -1", "error: -9223372036854775808 and -1 make more than 64 bits hold"),
    ];
    for (line, reply) in lines {
        assert_eq!(run(&mut store, line), reply, "{line}");
    }
    assert_eq!((store.len(), store.get(b"k").map(AsRef::as_ref)), (2, Some([0xff].as_slice())));
}

#[test]
fn a_list_is_in_the_order_of_keys_and_ends_at_its_prefix() {
    let mut store = filled(&["SET b 2", "SET a/2 y", "SET a/1 x", "SET a 1", "SET '\\xff' z"]);
    assert_eq!(run(&mut store, "LIST a/"), "a/1 = x\na/2 = y");
    assert_eq!(run(&mut store, "LIST a 2"), "a = 1\na/1 = x\n(and more)");
    assert_eq!(run(&mut store, "LIST a 3"), "a = 1\na/1 = x\na/2 = y");
    assert_eq!(run(&mut store, "LIST '\\xff'"), "\"\\xff\" = z");
    assert_eq!(run(&mut store, "LIST c"), "(no entries)");
    for number in 0..40 {
        store.execute(KvCommand::Set { key: format!("big{number:02}").into(), value: vec![b'v'; VALUE_MAX].into() });
    }
    let KvReply::Entries(entries, true) = store.ask(&KvQuery::List { prefix: "big".into(), limit: 1_000 }) else {
        panic!("a reply of megabytes must be cut")
    };
    assert_eq!(entries.len(), 15, "a mebibyte of entries, keys counted");
}

#[test]
fn equal_state_has_an_equal_digest_whatever_its_history() {
    let straight = filled(&["SET a 1", "SET b 2"]);
    let winding = filled(&["SET c 9", "SET b 7", "INCR a 5", "CAS b 7 2", "DELETE c", "INCR a -4", "CAS b 7 x"]);
    assert_eq!(straight.digest(), winding.digest());
    assert_eq!(body_of(&straight), body_of(&winding));
    assert_ne!(straight.digest(), filled(&["SET a 2", "SET b 1"]).digest());
    assert_ne!(filled(&["SET ab c"]).digest(), filled(&["SET a bc"]).digest());
    let long = [format!("SET a {}", "b".repeat(300)), format!("SET ab {}", "b".repeat(299))];
    assert_ne!(filled(&[&long[0]]).digest(), filled(&[&long[1]]).digest());
    assert_eq!(filled(&["SET a 1", "DELETE a"]).digest(), 0);
}

#[test]
fn a_frozen_view_is_not_touched_by_later_writes() {
    let mut store = filled(&["SET a 1", "SET b 2"]);
    let (digest, frozen) = (store.digest(), store.snapshot());
    for line in ["SET a 9", "DELETE b", "SET c 3"] {
        run(&mut store, line);
    }
    let mut body = Vec::new();
    frozen(&mut body).unwrap();
    let mut other = filled(&["SET x y"]);
    other.restore(&mut body.as_slice()).unwrap();
    assert_eq!(other.digest(), digest);
    assert_eq!(run(&mut other, "LIST"), "a = 1\nb = 2");
}

#[test]
fn a_damaged_snapshot_is_an_error_and_changes_nothing() {
    let body = body_of(&filled(&["SET a 1", "SET b 2", "SET c 3"]));
    let mut store = filled(&["SET old 1"]);
    let digest = store.digest();
    let mut refused = |body: &[u8]| {
        let error = store.restore(&mut &*body).expect_err("damaged");
        assert_eq!(store.digest(), digest);
        error.to_string()
    };
    for length in 0..body.len() {
        refused(&body[..length]);
    }
    for at in 0..body.len() {
        for bit in 0..8 {
            let mut flipped = body.clone();
            flipped[at] ^= 1 << bit;
            refused(&flipped);
        }
    }
    let entry = |key: &[u8], value: &[u8]| {
        [&(key.len() as u32).to_le_bytes(), key, &(value.len() as u32).to_le_bytes(), value].concat()
    };
    let head = |count: u64| [&[FORMAT_VERSION], count.to_le_bytes().as_slice()].concat();
    assert_eq!(refused(&[&body[..], b"x"].concat()), "the snapshot goes on after its end");
    assert_eq!(refused(&[9]), "snapshot of format 9, this store reads format 1");
    for second in [b"b", b"a"] {
        let body = [head(2), entry(b"b", b"1"), entry(second, b"2"), vec![0; 16]].concat();
        assert_eq!(refused(&body), "key 1 of the snapshot is twice there or out of order");
    }
    let body = [head(1), u32::MAX.to_le_bytes().to_vec()].concat();
    assert_eq!(refused(&body), "a key of 4294967295 bytes in the snapshot: at most 1024 are allowed");
    let body = [head(1), entry(b"k", &vec![0; VALUE_MAX + 1])].concat();
    assert_eq!(refused(&body), "a value of 65537 bytes in the snapshot: at most 65536 are allowed");
    refused(&head(u64::MAX));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn any_bytes_get_the_same_answer_twice(
        requests in prop::collection::vec((prop::option::of(few_keys()), prop::collection::vec(any::<u8>(), 0..40), any::<bool>()), 0..20),
    ) {
        let (mut one, mut two) = (KvStore::new(), KvStore::new());
        for (command, mut bytes, tame) in requests {
            if let (true, Some(first)) = (tame, bytes.first_mut()) {
                *first = FORMAT_VERSION;
            }
            let bytes = command.map_or_else(|| Bytes::from(bytes), |command| command.encode());
            let reply = one.apply(1, &bytes);
            prop_assert_eq!(&reply, &two.apply(7, &bytes));
            prop_assert!(KvReply::decode(&reply).is_ok());
            prop_assert_eq!(one.query(&bytes), two.query(&bytes));
            prop_assert_eq!(one.digest(), two.digest());
        }
    }

    #[test]
    fn the_digest_is_that_of_a_fresh_store_with_the_same_entries(commands in prop::collection::vec(few_keys(), 0..60)) {
        let mut store = KvStore::new();
        for command in commands {
            store.execute(command);
        }
        let mut fresh = KvStore::new();
        let KvReply::Entries(entries, false) = store.ask(&KvQuery::List { prefix: Bytes::new(), limit: 1_000 }) else {
            panic!("few entries")
        };
        for (key, value) in entries.into_iter().rev() {
            fresh.execute(KvCommand::Set { key, value });
        }
        prop_assert_eq!(store.digest(), fresh.digest());
        let mut restored = KvStore::new();
        restored.restore(&mut body_of(&store).as_slice()).unwrap();
        prop_assert_eq!(restored.digest(), store.digest());
        prop_assert_eq!(body_of(&restored), body_of(&store));
    }

    #[test]
    fn any_body_is_restored_or_refused(mut body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = body.first_mut() {
            *first = FORMAT_VERSION;
        }
        prop_assert!(KvStore::new().restore(&mut body.as_slice()).is_err());
    }
}
