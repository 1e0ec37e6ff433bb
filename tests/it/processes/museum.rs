//! Broken variants of what is below the simulator's disks: each turns a named test red, and that test is green without it.

use std::process::Command;

use raft_tui::sim::museum::OF_FILES;

use crate::support::museum::VARIANT;

/// Whether the test passes, in a process of its own.
fn passes(test: &str, variant: Option<&str>) -> bool {
    let mut alone = Command::new(std::env::current_exe().expect("this is a program"));
    alone.args(["--exact", test]).env_remove(VARIANT);
    if let Some(name) = variant {
        alone.env(VARIANT, name);
    }
    let done = alone.output().expect("it runs");
    let told = String::from_utf8_lossy(&done.stdout);
    assert!(told.contains("running 1 test"), "there is no test {test}:\n{told}");
    done.status.success()
}

#[test]
fn every_broken_variant_of_files_is_found_by_the_test_that_was_named() {
    for variant in OF_FILES {
        assert!(!variant.found_by.is_empty());
        for test in variant.found_by {
            assert!(passes(test, None), "{test} fails without any variant");
            assert!(!passes(test, Some(variant.name)), "{test} does not see {}: {}", variant.name, variant.what);
        }
    }
}
