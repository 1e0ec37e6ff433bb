//! SIGKILL in the middle of load, again and again, on one data folder: nothing that was answered is lost.

use crate::support::program::{Acknowledged, Program};

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
    let mut acknowledged = Acknowledged::default();
    let mut next = 0_u64;
    let mut kills = 0;
    while kills < KILLS || acknowledged.writes < WRITES_MIN {
        let writes = acknowledged.writes;
        assert!(kills < 10 * KILLS, "only {writes} writes were acknowledged over {kills} kills");
        let mut program = Program::start(&arguments);
        program.good("wait leader");
        acknowledged.check(&mut program, &format!("kill {kills}"));
        // So many that the kill is always in the middle of them.
        let wanted = WRITES_MIN.div_ceil(KILLS as u64) + 20 * kills as u64 % 97;
        let before = acknowledged.writes;
        let first = next;
        let ahead = 64;
        while acknowledged.writes - before < wanted {
            while next - first < (acknowledged.writes - before) + ahead {
                assert!(program.write(&format!("submit SET k{} {next}", next % KEYS)));
                next += 1;
            }
            let answer = program.answer().expect("it lives");
            acknowledged.note(&answer);
        }
        let heard_before = program.heard.len();
        for line in &program.kill()[heard_before..] {
            // The kill may have cut a line.
            if let Ok(answer) = serde_json::from_str(line) {
                acknowledged.note(&answer);
            }
        }
        kills += 1;
    }
    let mut program = Program::start(&arguments);
    program.good("wait leader");
    program.good("wait converged");
    acknowledged.check(&mut program, "the last kill");
    assert!(program.end().success());
    assert!(kills >= KILLS && acknowledged.writes >= WRITES_MIN);
}
