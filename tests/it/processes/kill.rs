//! SIGKILL in the middle of load, again and again, on one data folder: nothing that was answered is lost.

use std::collections::BTreeMap;

use crate::support::program::Program;

/// Kills, and acknowledged writes over all of them, that make the test worth something.
const KILLS: usize = 20;
const WRITES_MIN: u64 = 5_000;
/// Keys that are written in turn.
const KEYS: u64 = 50;

#[test]
fn nothing_acknowledged_is_lost_by_twenty_kills() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a path is text");
    let log = folder.path().join("kill.log");
    let log = log.to_str().expect("a path is text");
    let arguments = ["--pace", "real", "--nodes", "3", "--data-dir", data, "--log-file", log];
    // The newest value of each key that was acknowledged; values rise with every write.
    let mut acknowledged: BTreeMap<u64, u64> = BTreeMap::new();
    let mut writes = 0_u64;
    let mut next = 0_u64;
    let mut kills = 0;
    while kills < KILLS || writes < WRITES_MIN {
        assert!(kills < 10 * KILLS, "only {writes} writes were acknowledged over {kills} kills");
        let mut program = Program::start(&arguments);
        program.good("wait leader");
        for (key, value) in &acknowledged {
            let read: u64 = program.value(&format!("read k{key}")).parse().expect("values are numbers");
            assert!(read >= *value, "k{key} had {value} acknowledged and has {read} after kill {kills}");
            assert!(read < next, "k{key} has {read}, which nobody wrote");
        }
        // So many that the kill is always in the middle of them.
        let wanted = WRITES_MIN.div_ceil(KILLS as u64) + 20 * kills as u64 % 97;
        let before = writes;
        let first = next;
        let ahead = 64;
        while writes - before < wanted {
            while next - first < (writes - before) + ahead {
                assert!(program.write(&format!("submit SET k{} {next}", next % KEYS)));
                next += 1;
            }
            let answer = program.answer().expect("it lives");
            count(&answer, &mut acknowledged, &mut writes);
        }
        let heard_before = program.heard.len();
        for line in &program.kill()[heard_before..] {
            // The kill may have cut a line.
            if let Ok(answer) = serde_json::from_str(line) {
                count(&answer, &mut acknowledged, &mut writes);
            }
        }
        kills += 1;
    }
    let mut program = Program::start(&arguments);
    program.good("wait leader");
    program.good("wait converged");
    for (key, value) in &acknowledged {
        let read: u64 = program.value(&format!("read k{key}")).parse().expect("values are numbers");
        assert!(read >= *value, "k{key} had {value} acknowledged and has {read} at the end");
    }
    assert!(program.end().success());
    assert!(kills >= KILLS && writes >= WRITES_MIN);
}

fn count(answer: &serde_json::Value, acknowledged: &mut BTreeMap<u64, u64>, writes: &mut u64) {
    if answer["e"] != "answer" || answer["kind"] != "applied" {
        return;
    }
    let command = answer["command"].as_str().expect("a command is named");
    let mut words = command.split_whitespace().skip(2);
    let key = words.next().and_then(|key| key[1..].parse().ok()).expect("keys are k and a number");
    let value = words.next().and_then(|value| value.parse().ok()).expect("values are numbers");
    let newest = acknowledged.entry(key).or_insert(value);
    *newest = value.max(*newest);
    *writes += 1;
}
