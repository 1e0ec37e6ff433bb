//! The museum: what each deliberately broken variant stands for, and which properties may find it.
//!
//! The properties were named before the variants ran. A variant that is found by another one, or not at all, is a hole in
//! the judge or in what the simulator does to a cluster.
//!
//! What lies below the simulated disks, bytes of files, is tried by tests instead ([`OF_FILES`]).
//!
//! Kept true: every variant that asks `mutants::on` is listed here, and the other way round.
//! Not here: the broken lines themselves (search for `mutants::on`).

use crate::check::Property;

/// A broken variant.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
    /// What may find it.
    pub found_by: &'static [Property],
}

const fn mutant(name: &'static str, what: &'static str, found_by: &'static [Property]) -> Mutant {
    Mutant { name, what, found_by }
}

use Property::{
    Assertion, Bounds, CommitOnQuorum, CommittedImmutable, Durability, ElectionSafety, Evidence, LeaderCompleteness,
    Linearizability, Liveness, LocalReads, LogMatching, Monotonic, Order, Outcomes, Promise, Snapshots,
    StateMachineSafety,
};

/// All of them.
pub const MUSEUM: &[Mutant] = &[
    mutant("M01", "a vote is told before it is durable", &[Promise, ElectionSafety]),
    mutant("M02", "a vote is given to a log that is behind", &[LeaderCompleteness]),
    mutant("M03", "logs are compared by index before term", &[LeaderCompleteness]),
    mutant("M04", "entries of earlier terms are committed by counting", &[CommitOnQuorum]),
    mutant("M05", "half of an even cluster is a majority", &[CommitOnQuorum, ElectionSafety]),
    mutant("M06", "a leader counts itself before its own sync", &[CommitOnQuorum, Promise]),
    mutant("M07", "a follower acknowledges before its sync", &[Promise]),
    mutant("M08", "an acknowledgement covers the whole log", &[Promise, CommitOnQuorum]),
    mutant("M09", "a follower commits beyond what was verified", &[StateMachineSafety, CommitOnQuorum]),
    mutant("M10", "what lies beyond a message is removed", &[CommittedImmutable, CommitOnQuorum, Promise, Durability]),
    mutant("M11", "a conflicting suffix stays", &[Promise, LogMatching, CommitOnQuorum]),
    mutant("M12", "a rejection moves match_index", &[Order, CommitOnQuorum, Assertion, Liveness]),
    mutant("M13", "next_index may be at or below match_index", &[Order, Assertion]),
    mutant("M14", "an answer of an older term counts", &[CommitOnQuorum, ElectionSafety]),
    mutant("M15", "a higher term in an answer is no reason to step down", &[ElectionSafety, Liveness]),
    mutant("M16", "a lower term overwrites the own", &[Monotonic, Assertion]),
    mutant("M17", "a vote is given twice", &[ElectionSafety, Promise]),
    mutant("M18", "one copy too few makes a commit", &[CommitOnQuorum]),
    mutant("M19", "no entry starts a term, and reads are allowed", &[Linearizability, Liveness]),
    mutant("M20", "a leader reads without asking a majority", &[Linearizability]),
    mutant("M21", "a read is confirmed by a round that began before it", &[Linearizability]),
    mutant("M22", "a read does not wait until its index is applied", &[Linearizability]),
    mutant("M24", "a pre-vote raises the voter's term", &[Liveness]),
    mutant("M25", "a refused pre-vote does not teach the term", &[Liveness]),
    mutant("M27", "a leader without a quorum goes on", &[Liveness]),
    mutant("M28", "a leader with a stalled disk goes on", &[Liveness]),
    mutant("M29", "all election timeouts are equal", &[Liveness]),
    mutant("M40", "a snapshot's label is one too low", &[Snapshots]),
    mutant("M41", "an older snapshot replaces a newer state", &[Monotonic, Order, Assertion, CommittedImmutable]),
    mutant("M42", "an installed snapshot leaves the old log", &[LogMatching, Order, Assertion]),
    mutant("M43", "the log goes before the snapshot is durable", &[Durability, Order, Assertion]),
    mutant(
        "M46",
        "applying depends on where the machine lies in memory",
        &[StateMachineSafety, Linearizability, LocalReads, Snapshots, Evidence],
    ),
    mutant("M47", "pieces of two snapshots are mixed", &[Snapshots]),
    mutant("M48", "a client is answered when its entry is appended", &[Outcomes]),
    mutant("M49", "a time-out is told as a failure", &[Outcomes]),
    mutant("M51", "entries are durable before their term", &[Monotonic, Promise, Durability]),
    mutant("M53", "a log that ends before its mark is taken as whole", &[Durability]),
    mutant("M54", "a failed sync counts as done", &[Promise, Durability]),
    mutant("M55", "a full disk is ignored", &[Durability, Assertion]),
    mutant("M57", "a crash between removing and adding leaves a gap", &[Durability, Order]),
    mutant("M58", "the mark runs ahead of the log", &[Durability]),
    mutant("M67", "match_index outlives a follower's life", &[CommitOnQuorum, Liveness]),
    mutant("Q01", "a node in quarantine votes", &[LeaderCompleteness]),
    mutant("Q02", "acknowledgements from quarantine count", &[CommitOnQuorum]),
    mutant("L01", "a local read names an index that is not applied yet", &[LocalReads]),
    mutant("B01", "the window to a follower is never full", &[Bounds]),
    mutant("B02", "proposals are never refused", &[Bounds]),
    mutant("B03", "a log keeps what any follower lacks, however heavy it is", &[Bounds]),
];

/// A broken variant of what is written into files.
#[derive(Clone, Copy, Debug)]
pub struct FileMutant {
    /// Its name.
    pub name: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
    /// The tests that must fail with it.
    pub found_by: &'static [&'static str],
}

/// All of those, and M53 once more, on real folders.
pub const OF_FILES: &[FileMutant] = &[
    FileMutant {
        name: "M52",
        what: "a damaged page of fence or mark is read as a whole one",
        found_by: &[
            "pure::storage_crash_points::one_rotten_slot_of_the_fence_is_harmless_at_every_step",
            "pure::fuzz_fence::what_a_fence_promised_outlives_crashes_and_one_bad_slot",
            "pure::fuzz_fence::two_bad_slots_are_amnesia",
        ],
    },
    FileMutant {
        name: "M53",
        what: "a log that ends before its mark is taken as whole",
        found_by: &["threads::storage_torture::no_rot_is_silent"],
    },
    FileMutant {
        name: "M56",
        what: "a folder is not synced after a file got its name",
        found_by: &[
            "pure::storage_crash_points::a_crash_leaves_the_fence_as_it_was_or_as_it_was_to_be",
            "pure::storage_crash_points::a_snapshot_file_is_whole_or_not_there",
        ],
    },
];

/// Numbers without a variant here, and why.
pub const ABSENT: &[(&str, &str)] = &[
    ("M23", "there are no lease reads yet"),
    ("M26", "nothing remembers a former leader"),
    ("M30–M39", "there are no membership changes yet, and store ids are checked by folders"),
    ("M44, M50", "there are no sessions yet"),
    ("M45", "the machine lives in memory: applied index and state are one"),
    (
        "M59",
        "an empty keyspace in place of a missing one is no bug: bounds and mark tell of the loss, and it is quarantined",
    ),
    ("M60–M66", "handshake, console, chaos and version gates: not in the simulator"),
];
