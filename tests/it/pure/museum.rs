//! The museum of bugs and the lines that ask for them belong together.

use std::collections::BTreeSet;
use std::path::Path;

use raft_tui::sim::museum::{MUSEUM, OF_FILES};

fn asked(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the source").flatten() {
        let path = entry.path();
        if path.is_dir() {
            asked(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).expect("source is text");
            let calls = text.split("mutants::on(\"").skip(1);
            names.extend(calls.filter_map(|call| call.split_once('"')).map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_broken_line_has_its_place_in_the_museum() {
    let mut names = BTreeSet::new();
    asked(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
    let simulated: BTreeSet<&str> = MUSEUM.iter().map(|mutant| mutant.name).collect();
    let of_files: BTreeSet<&str> = OF_FILES.iter().map(|mutant| mutant.name).collect();
    assert_eq!(names, simulated.union(&of_files).map(|name| (*name).to_owned()).collect());
    assert_eq!((simulated.len(), of_files.len()), (MUSEUM.len(), OF_FILES.len()), "a name is used twice");
    assert!(MUSEUM.iter().all(|mutant| !mutant.found_by.is_empty()));
    assert!(OF_FILES.iter().all(|mutant| !mutant.found_by.is_empty()));
}

/// Without the feature nobody can choose one.
#[cfg(not(feature = "mutants"))]
#[test]
fn a_program_for_people_has_no_broken_lines() {
    let names = MUSEUM.iter().map(|mutant| mutant.name).chain(OF_FILES.iter().map(|mutant| mutant.name));
    assert!(names.into_iter().all(|name| !raft_tui::mutants::on(name)));
}
