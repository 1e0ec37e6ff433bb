//! The golden transcripts in `tests/golden/raft/`; see `support/script.rs` for how to read, write and bless them.

use std::path::Path;

use crate::support::script;

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                script::check(&folder().join(concat!(stringify!($name), ".txt")));
            }
        )*

        #[test]
        fn every_transcript_is_checked() {
            let mut known = vec![$(concat!(stringify!($name), ".txt")),*];
            known.sort_unstable();
            let mut found: Vec<_> = std::fs::read_dir(folder())
                .unwrap()
                .map(|file| file.unwrap().file_name().into_string().unwrap())
                .collect();
            found.sort_unstable();
            assert_eq!(found, known);
        }
    };
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/raft"))
}

transcripts! {
    leader_election
    replication
    figure_7
    figure_8
    leader_change
    pre_vote_and_check_quorum
    snapshot
    read_index
    quarantine
    disk_aba
    stalled_disk
}
