use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use raft_tui::telemetry::{DEFAULT_LEVEL, Telemetry, TelemetryError, default_file, parse_level};
use raft_tui::text::is_safe;

#[test]
fn levels_are_levels_or_lists_of_them() {
    for level in [DEFAULT_LEVEL, "debug", "off", "warn,raft_tui::node=trace"] {
        assert!(parse_level(level).is_ok(), "{level}");
    }
    for nonsense in ["", "loud", "info,loud", "fjall=loud", "info,"] {
        let error = parse_level(nonsense).expect_err(nonsense);
        assert!(error.to_string().starts_with(&format!("`{nonsense}` is no log level; write ")), "{error}");
    }
}

#[test]
fn the_log_is_in_the_data_folder_or_named_after_the_process() {
    assert_eq!(default_file(Some(Path::new("demo"))), Path::new("demo/raft-tui.log"));
    let name = format!("raft-tui-{}.log", std::process::id());
    assert_eq!(default_file(None), std::env::temp_dir().join(name));
}

/// The only test that starts the log: there is one in a process.
#[test]
fn what_is_logged_is_one_safe_line_each_also_from_before_the_file_was_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.log");
    let telemetry = Telemetry::start(&parse_level("info").expect("a level")).expect("the first");
    tracing::info!(target: "nasty", key = "a\u{1b}]52;c;x\u{7}", "one\r\ntwo\u{202e}");
    tracing::debug!(target: "nasty", "not let through");
    assert!(!file.exists());
    let missing = folder.path().join("nowhere").join("a.log");
    assert!(matches!(telemetry.open(&missing), Err(TelemetryError::Open { path, .. }) if path == missing));
    telemetry.open(&file).expect("it can be written");
    tracing::warn!(target: "nasty", number = 7, "late");
    assert!(matches!(Telemetry::start(&parse_level("info").expect("a level")), Err(TelemetryError::Twice)));
    assert_eq!(telemetry.dropped_lines(), 0);
    telemetry.close(true);

    let text = std::fs::read_to_string(&file).expect("text");
    // Other tests of this process log too.
    let lines: Vec<_> =
        text.lines().filter_map(|line| line.split_once("Z ").filter(|(_, rest)| rest.contains(" nasty: "))).collect();
    let bare: Vec<_> = lines.iter().map(|(_, rest)| *rest).collect();
    assert_eq!(bare, [" INFO nasty: one\\x0d ⏎ two\\u{202e} key=a\\x1b]52;c;x\\x07", " WARN nasty: late number=7"]);
    assert!(text.lines().all(is_safe));
    let mode = std::fs::metadata(&file).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "nobody else's to read");
}
