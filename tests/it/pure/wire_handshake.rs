//! Handshakes: their bytes, pinned, and who is never let in.
//!
//! `BLESS=1 cargo test --test it pure::wire_handshake` writes the bytes anew; review the difference. What a handshake
//! consists of stays as it is in every version to come: a change of these bytes cuts nodes off from older ones.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::fmt::{Debug, Write as _};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::codec::{decode, encode};
use raft_tui::raft::{Epoch, NodeId};
use raft_tui::transport::frame::frames;
use raft_tui::transport::tcp::handshake::{
    Answer, Entry, Failed, HELLO_BYTES_MAX, Hello, MAGIC, Proof, Refusal, Settled, common_version, receive,
};
use raft_tui::transport::tcp::{Pong, Said};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use crate::support::wire::{N1, N2, envelope, hello};

/// Runs what needs no clock and no other thread.
fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// A value as it stands on the wire.
fn framed<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T, seed: u64) -> Vec<u8> {
    assert_eq!(&decode::<T>(&encode(value).unwrap()).unwrap(), value);
    now(async {
        let (here, mut there) = duplex(1 << 16);
        let (reader, mut writer) = frames(Box::new(here), HELLO_BYTES_MAX);
        writer.set_seed(seed);
        writer.send(value).await.unwrap();
        drop((reader, writer));
        let mut bytes = Vec::new();
        there.read_to_end(&mut bytes).await.unwrap();
        bytes
    })
}

fn pinned(name: &str, what: &str, bytes: &[u8]) {
    let mut text = format!("{what}\n");
    for line in bytes.chunks(16) {
        let digits: Vec<_> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "{}", digits.join(" ")).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire/frames").join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, before, "{name}: handshakes have changed, and no older node would understand them");
}

#[test]
fn the_frames_of_handshakes_and_conversations_are_what_they_were() {
    let more = Bytes::from_static(b"later");
    let ours = Hello { versions: (1, 300), epoch: Epoch(70_000), more, ..hello(N1, N2) };
    pinned("hello", "Hello", &framed(&ours, 0));
    pinned("answer_hello", "Answer::Hello", &framed(&Answer::Hello { version: 1, echo: 7, hello: ours }, 0));
    pinned("answer_refused", "Answer::Refused", &framed(&Answer::Refused(Refusal::Version { spoken: (1, 1) }), 0));
    pinned("proof_echo", "Proof::Echo", &framed(&Proof::Echo(u128::MAX), 0));
    pinned("proof_refused", "Proof::Refused", &framed(&Proof::Refused(Refusal::Address { here: NodeId(3) }), 0));
    pinned("entry_welcome", "Entry::Welcome", &framed(&Entry::Welcome, 0));
    let mut all = Vec::new();
    for refusal in [
        Refusal::NotAPeer,
        Refusal::Version { spoken: (1, 1) },
        Refusal::Cluster,
        Refusal::Address { here: NodeId(3) },
        Refusal::NotAMember,
        Refusal::Certificate,
        Refusal::Replayed,
        Refusal::Store,
        Refusal::OlderLife { newest: Epoch(9) },
        Refusal::SecondProcess,
        Refusal::Forgetful,
    ] {
        all.extend(framed(&Entry::Refused(refusal), 0));
    }
    pinned("entry_refused", "Entry::Refused, every reason", &all);
    pinned("said_message", "Said::Message, seed 5", &framed(&Said::Message(envelope(N1, N2, Epoch(4), 300)), 5));
    pinned("said_ping", "Said::Ping, seed 5", &framed(&Said::Ping(300), 5));
    pinned("pong", "Pong, seed 5", &framed(&Pong(300), 5));
}

#[test]
fn the_longest_greeting_fits() {
    let control = "x".repeat(255);
    let (versions, epoch) = ((u16::MAX, u16::MAX), Epoch(u64::MAX));
    let longest = Hello {
        versions,
        epoch,
        control,
        cluster: u128::MAX,
        from: NodeId(u64::MAX),
        to: NodeId(u64::MAX),
        store: u128::MAX,
        boot: u128::MAX,
        nonce: u128::MAX,
        ..hello(N1, N2)
    };
    let answer = Answer::Hello { version: u16::MAX, echo: u128::MAX, hello: longest };
    let bytes = framed(&answer, 0).len();
    assert!(bytes + 256 < HELLO_BYTES_MAX, "{bytes} bytes leave no room for later versions");
}

#[test]
fn versions_meet_at_the_newest_that_both_speak() {
    assert_eq!(common_version((1, 1), (1, 1)), Some(1));
    assert_eq!(common_version((1, 3), (2, 5)), Some(3));
    assert_eq!(common_version((2, 5), (1, 3)), Some(3));
    assert_eq!(common_version((1, 1), (2, 3)), None);
    assert_eq!(common_version((4, 5), (2, 3)), None);
    assert_eq!(common_version((3, 1), (1, 3)), None);
}

#[test]
fn every_refusal_says_what_to_do_on_both_sides() {
    for refusal in [
        Refusal::NotAPeer,
        Refusal::Version { spoken: (2, 3) },
        Refusal::Cluster,
        Refusal::Address { here: NodeId(3) },
        Refusal::NotAMember,
        Refusal::Certificate,
        Refusal::Store,
        Refusal::OlderLife { newest: Epoch(9) },
        Refusal::SecondProcess,
        Refusal::Forgetful,
    ] {
        for said in [refusal.of_peer(N2, "here:1"), refusal.of_us(N2, "here:1")] {
            assert!(said.contains("n2") || said.contains("here:1"), "{said}");
            let does = ["check", "run", "bring", "end", "give", "start", "see to"];
            assert!(said.contains(": ") && does.iter().any(|word| said.contains(word)), "{said}");
        }
    }
}

type Went = Result<Settled, (Failed, Option<NodeId>)>;

/// A door of node 1 that hears these bytes and no more.
fn heard(bytes: &[u8]) -> Went {
    now(async {
        let (here, mut there) = duplex(1 << 16);
        there.write_all(bytes).await.unwrap();
        there.shutdown().await.unwrap();
        let (mut reader, mut writer) = frames(Box::new(here), HELLO_BYTES_MAX);
        receive(&mut reader, &mut writer, hello(N1, N1), |_| Ok(()), async |_| Ok(())).await
    })
}

/// A dialler that says this and answers whatever comes with this echo.
fn spoken(theirs: &Hello, echo: Option<u128>) -> Went {
    now(async {
        let (here, there) = duplex(1 << 16);
        let dialler = async {
            let (mut reader, mut writer) = frames(Box::new(there), HELLO_BYTES_MAX);
            writer.send(theirs).await.unwrap();
            let Ok(Some(Answer::Hello { hello, .. })) = reader.next::<Answer>().await else { return };
            let _ = writer.send(&Proof::Echo(echo.unwrap_or(hello.nonce))).await;
            let _ = reader.next::<Entry>().await;
        };
        let (mut reader, mut writer) = frames(Box::new(here), HELLO_BYTES_MAX);
        let door = receive(&mut reader, &mut writer, hello(N1, N1), |_| Ok(()), async |_| Ok(()));
        tokio::join!(door, dialler).0
    })
}

#[test]
fn who_says_the_right_things_is_let_in() {
    assert_eq!(spoken(&hello(N2, N1), None).unwrap().peer, hello(N2, N1));
    assert!(matches!(spoken(&hello(N2, N1), Some(1)), Err((Failed::ByUs(Refusal::Replayed), Some(N2)))));
}

fn word() -> impl Strategy<Value = u128> {
    prop_oneof![Just(77), Just(1), any::<u128>()]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn whatever_bytes_come_nobody_is_let_in(bytes in prop::collection::vec(any::<u8>(), 0..1_500)) {
        prop_assert!(heard(&bytes).is_err());
    }

    #[test]
    fn whatever_stands_in_a_good_frame_nobody_is_let_in(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..4)) {
        let mut bytes = Vec::new();
        for value in values {
            bytes.extend((value.len() as u32 + 8).to_be_bytes());
            bytes.extend(xxhash_rust::xxh3::xxh3_64(&value).to_le_bytes());
            bytes.extend(value);
        }
        prop_assert!(heard(&bytes).is_err());
    }

    #[test]
    fn a_greeting_with_one_byte_altered_lets_nobody_in(at in 0_usize..1_000, by in 1_u8..=255) {
        let mut bytes = framed(&hello(N2, N1), 0);
        let at = at % bytes.len();
        bytes[at] ^= by;
        bytes.extend(framed(&Proof::Echo(hello(N1, N1).nonce), 0));
        prop_assert!(heard(&bytes).is_err());
    }

    #[test]
    fn only_who_means_this_node_of_this_cluster_is_let_in(
        (magic, cluster, to, first, last) in (any::<bool>(), word(), word(), 0_u16..4, 0_u16..4),
    ) {
        let (magic, to) = (if magic { MAGIC } else { *b"RAFTCTL1" }, NodeId(to as u64));
        let theirs = Hello { magic, cluster, versions: (first, last), ..hello(N2, to) };
        let good = magic == MAGIC && cluster == 77 && to == N1 && first <= 1 && last >= 1;
        prop_assert_eq!(spoken(&theirs, None).is_ok(), good);
    }
}
