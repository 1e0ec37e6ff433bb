//! What a few bytes may cost: measured in a process of its own, for memory is the process's.

use std::process::Command;

use bytes::Bytes;
use raft_tui::codec::{LIMIT_BYTES, decode};
use raft_tui::raft::{Entry, Envelope, SnapshotMeta};

/// Says that this process is the one in which memory is measured.
const ALONE: &str = "RAFT_TUI_TEST_ALONE";

/// The most address space that this process ever had, in KiB; it never falls.
fn most_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("it is told");
    line.split_whitespace().next().expect("a number").parse().expect("a number")
}

/// A node that made room for what a peer merely names would die of one message.
#[test]
fn a_length_beyond_the_bytes_is_refused_before_room_is_made_for_it() {
    if std::env::var_os(ALONE).is_none() {
        let name = "processes::memory::a_length_beyond_the_bytes_is_refused_before_room_is_made_for_it";
        let mut alone = Command::new(std::env::current_exe().expect("this is a program"));
        let output = alone.args(["--exact", name, "--nocapture"]).env(ALONE, "1").output().expect("it starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "it was tried");
        return;
    }
    let before = most_kib();
    for size in [81, 1 << 16, LIMIT_BYTES - 100, LIMIT_BYTES, LIMIT_BYTES + 1, 1 << 40, u64::MAX / 2, u64::MAX] {
        // A length in the encoding's longest form, and far fewer bytes than it promises; alone and deep in a message.
        for head in [0, 1, 7, 13, 20, 30] {
            let mut bytes = vec![1; head];
            bytes.push(253);
            bytes.extend_from_slice(&size.to_le_bytes());
            bytes.extend_from_slice(&[0; 80]);
            assert!(head > 0 || decode::<Vec<Entry>>(&bytes).is_err(), "{size}");
            assert!(head > 0 || decode::<Bytes>(&bytes).is_err(), "{size}");
            assert!(head > 0 || decode::<String>(&bytes).is_err(), "{size}");
            assert!(head > 0 || decode::<Vec<Vec<u8>>>(&bytes).is_err(), "{size}");
            let _ = decode::<Envelope>(&bytes);
            let _ = decode::<Vec<Envelope>>(&bytes);
            let _ = decode::<SnapshotMeta>(&bytes);
        }
    }
    let grown = most_kib() - before;
    assert!(grown < 8 << 10, "{grown} KiB for a few bytes");
}
