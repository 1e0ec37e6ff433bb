//! Any sequence of changes of a fence, with crashes between and inside them, torn and garbled slots: what a node promised
//! is there in its next life, or the fence says that it is lost.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index as Choice;
use raft_tui::raft::{HardState, NodeId, Term};
use raft_tui::storage::StorageError;
use raft_tui::storage::fence::{Fence, FenceRecord, peek};
use raft_tui::storage::files::Files as _;

use crate::support::logs::identity;
use crate::support::museum;
use crate::support::recorded_files::RecordedFiles;

const SLOT: u64 = 4096;

/// What a life changes; each keeps to the rules of the fence.
#[derive(Clone, Debug)]
enum Change {
    Term(u64),
    Vote(u64),
    Life,
    Clean,
    Quarantine(Option<String>),
}

/// What happens to one slot of a file that nobody has open.
#[derive(Clone, Debug)]
enum Harm {
    /// Some bytes are others.
    Garbled { slot: u64, at: Choice, bytes: Vec<u8> },
    /// The page is one that was there before.
    Stale { slot: u64, which: Choice },
}

#[derive(Clone, Debug)]
enum Step {
    Change(Change),
    /// The power goes in the middle of a change; then one slot may be harmed.
    Torn {
        change: Change,
        cut: Choice,
        image: Choice,
        harm: Option<Harm>,
    },
    /// The process dies, or the power goes, between changes; then one slot may be harmed.
    Again {
        power: bool,
        image: Choice,
        harm: Option<Harm>,
    },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (1..4_u64).prop_map(Change::Term),
        (1..4_u64).prop_map(Change::Vote),
        Just(Change::Life),
        Just(Change::Clean),
        // Longer than a slot keeps.
        prop::option::of("[a-zé]{0,900}").prop_map(Change::Quarantine),
    ]
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        3 => (0..2_u64, any::<Choice>(), prop::collection::vec(any::<u8>(), 1..600))
            .prop_map(|(slot, at, bytes)| Harm::Garbled { slot, at, bytes }),
        1 => (0..2_u64, any::<Choice>()).prop_map(|(slot, which)| Harm::Stale { slot, which }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let harm = || prop::option::of(harm());
    prop_oneof![
        change().prop_map(Step::Change),
        (change(), any::<Choice>(), any::<Choice>(), harm()).prop_map(|(change, cut, image, harm)| Step::Torn {
            change,
            cut,
            image,
            harm
        }),
        (any::<bool>(), any::<Choice>(), harm()).prop_map(|(power, image, harm)| Step::Again { power, image, harm }),
    ]
}

fn path() -> &'static Path {
    Path::new("folder/fence")
}

fn apply(change: &Change, record: &mut FenceRecord) {
    let HardState { current_term, voted_for } = record.hard_state;
    match change {
        Change::Term(more) => {
            record.hard_state = HardState { current_term: Term(current_term.0 + more), voted_for: None }
        }
        Change::Vote(for_whom) => record.hard_state.voted_for = voted_for.or(Some(NodeId(*for_whom))),
        Change::Life => record.epoch = record.epoch.next(),
        Change::Clean => record.clean = !record.clean,
        Change::Quarantine(why) => record.quarantine.clone_from(why),
    }
}

fn page(files: &RecordedFiles, slot: u64) -> Vec<u8> {
    let mut page = vec![0; SLOT as usize];
    files.open(path()).expect("there").read_at(slot * SLOT, &mut page).expect("read");
    page
}

fn overwrite(files: &RecordedFiles, offset: u64, bytes: &[u8]) {
    let handle = files.open(path()).expect("there");
    handle.write_at(offset, bytes).expect("written");
    handle.sync().expect("synced");
}

impl Harm {
    fn befalls(&self, files: &RecordedFiles, pages: &[Vec<u8>]) {
        match self {
            Self::Garbled { slot, at, bytes } => {
                let at = at.index(SLOT as usize - bytes.len()) as u64;
                overwrite(files, slot * SLOT + at, bytes);
            }
            Self::Stale { slot, which } => overwrite(files, slot * SLOT, &pages[which.index(pages.len())]),
        }
    }
}

/// A new life; what it finds is one of `may`.
fn opens(files: &RecordedFiles, may: &[&FenceRecord]) -> Fence {
    let seen = peek(files, path());
    let mut fence = Fence::open(files, path(), &identity()).expect("one slot is whole");
    assert_eq!(seen.as_ref(), Some(fence.record()), "looking from outside shows the same");
    assert!(may.contains(&fence.record()), "{:?} instead of one of {may:?}", fence.record());
    let found = fence.record().clone();
    fence.repair().expect("repaired");
    assert_eq!(fence.record(), &found);
    assert_eq!(page(files, 0), page(files, 1), "both slots hold it from now on");
    fence
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// The newest whole slot wins; never an older one where a newer had been promised.
    #[test]
    fn what_a_fence_promised_outlives_crashes_and_one_bad_slot(steps in prop::collection::vec(step(), 1..14)) {
        museum::enter();
        let mut files = RecordedFiles::default();
        let mut fence = Fence::create(&files, path(), &identity(), 77).expect("made");
        let mut pages = vec![page(&files, 0)];
        for step in steps {
            let before = fence.record().clone();
            match step {
                Step::Change(change) => {
                    fence.change(|record| apply(&change, record)).expect("changed");
                    pages.extend([page(&files, 0), page(&files, 1)]);
                }
                Step::Torn { change, cut, image, harm } => {
                    let start = files.steps();
                    fence.change(|record| apply(&change, record)).expect("changed");
                    let after = fence.record().clone();
                    let cut = start + cut.index(files.steps() - start + 1);
                    let done = cut == files.steps();
                    files = image.get(&files.crashes(cut)).clone();
                    if let Some(harm) = &harm {
                        harm.befalls(&files, &pages);
                    }
                    let may: &[&FenceRecord] = match (done, cut == start) {
                        (true, _) => &[&after],
                        (false, true) => &[&before],
                        (false, false) => &[&before, &after],
                    };
                    // A torn slot and a harmed one may be both there are.
                    let both_bad = peek(&files, path()).is_none();
                    if both_bad {
                        let lost = Fence::open(&files, path(), &identity());
                        prop_assert!(matches!(lost, Err(StorageError::Amnesia { .. })), "{lost:?}");
                        prop_assert!(harm.is_some() && !done && cut != start);
                        return Ok(());
                    }
                    // Nor is an older page beside a torn one told from what it was.
                    if matches!(harm, Some(Harm::Stale { .. })) && may.len() > 1 {
                        return Ok(());
                    }
                    fence = opens(&files, may);
                }
                Step::Again { power, image, harm } => {
                    let steps = files.steps();
                    files = if power { image.get(&files.crashes(steps)).clone() } else { files.death(steps) };
                    if let Some(harm) = &harm {
                        harm.befalls(&files, &pages);
                    }
                    fence = opens(&files, &[&before]);
                }
            }
        }
    }

    /// With both slots garbled the vote is lost, and that is what it says.
    #[test]
    fn two_bad_slots_are_amnesia(
        at in prop::array::uniform2(any::<Choice>()),
        bytes in prop::array::uniform2(prop::collection::vec(1..=255_u8, 1..600)),
    ) {
        museum::enter();
        let files = RecordedFiles::default();
        Fence::create(&files, path(), &identity(), 77).expect("made");
        for (slot, (at, bytes)) in at.iter().zip(&bytes).enumerate() {
            let mut page = page(&files, slot as u64);
            let at = at.index(SLOT as usize - bytes.len());
            page.iter_mut().skip(at).zip(bytes).for_each(|(byte, other)| *byte ^= other);
            overwrite(&files, slot as u64 * SLOT, &page);
        }
        let lost = Fence::open(&files, path(), &identity());
        prop_assert!(matches!(lost, Err(StorageError::Amnesia { .. })), "{lost:?}");
        prop_assert_eq!(peek(&files, path()), None);
    }
}
