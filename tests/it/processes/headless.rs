//! Subcommands without a screen, through the real binary.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::members::{Member, ask, three, until, write};

const SUBCOMMANDS: [&str; 12] =
    ["status", "watch", "check", "submit", "read", "ctl", "load", "client", "context", "completions", "man", "token"];

/// Runs to the end; exit code, standard output, standard error.
fn run(config: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    run_in(config, &[], arguments, input)
}

/// The same, with these in the environment.
fn run_in(config: &Path, said: &[(&str, &str)], arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_raft-tui"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RAFT_TUI_")) {
        command.env_remove(name);
    }
    let mut child = command
        .args(arguments)
        .env("RAFT_TUI_CONFIG", config)
        .envs(said.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn completions_and_manual_pages_name_every_subcommand() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = folder.path().join("none.toml");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, out, err) = run(&none, &["completions", shell], "");
        assert_eq!((code, err.as_str()), (0, ""), "{shell}");
        for name in SUBCOMMANDS {
            assert!(out.contains(name), "{shell} does not complete {name}");
        }
    }
    let pages = folder.path().join("man1");
    let (code, _, err) = run(&none, &["man", "--out", pages.to_str().expect("text")], "");
    assert_eq!((code, err.as_str()), (0, ""));
    for name in SUBCOMMANDS {
        let page = fs::read_to_string(pages.join(format!("raft-tui-{name}.1"))).expect(name);
        assert!(page.contains(".SH NAME") && page.contains(name), "{page}");
    }
    let (code, out, _) = run(&none, &["man"], "");
    assert_eq!(code, 0);
    assert!(SUBCOMMANDS.iter().all(|name| out.contains(name)), "{out}");
}

#[test]
fn every_subcommand_has_help_with_an_example() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in SUBCOMMANDS {
        let (code, out, err) = run(folder.path(), &[name, "--help"], "");
        assert_eq!((code, err.as_str()), (0, ""), "{name}");
        let (_, example) = out.split_once("Example").unwrap_or_else(|| panic!("{name} has no example: {out}"));
        assert!(example.contains(&format!("raft-tui {name}")), "{name}: {example}");
        assert!(example.lines().all(|line| line.len() <= 80), "{name}: {example}");
    }
}

#[test]
fn contexts_are_kept_in_a_file_that_is_nobody_elses() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("deep").join("contexts.toml");
    let context = |arguments: &[&str]| run(&file, &[&["context"], arguments].concat(), "");
    assert_eq!(context(&["list"]), (0, String::new(), String::new()));
    let set = ["set", "lab", "--endpoints", "lab:1", "--token-file", "/nowhere/token"];
    assert_eq!(context(&set), (0, "lab is set\n".into(), String::new()));
    assert_eq!(context(&["set", "prod", "--endpoints", "10.0.0.1:7101,10.0.0.2:7101"]).0, 0);
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(file.parent().expect("one")).expect("it is there").count(), 1, "nothing is left beside it");
    assert_eq!(context(&["list"]).1, "* lab   lab:1\n  prod  10.0.0.1:7101,10.0.0.2:7101\n");
    assert!(context(&["show"]).1.contains("token file  /nowhere/token\n"));
    assert_eq!(context(&["use", "prod"]).0, 0);
    assert!(context(&["list"]).1.contains("* prod"));
    let (code, _, err) = context(&["use", "prdo"]);
    assert_eq!(code, 64);
    assert!(err.contains("there is no context `prdo`") && err.contains("it has lab, prod"), "{err}");
    // A flag goes before the one in use; what is in use is what nobody names.
    assert_eq!(run(&file, &["--version"], "").0, 0);
    let (code, out, err) = run(&file, &["ctl", "wait", "leader", "--context", "lab"], "");
    assert_eq!((code, out.as_str()), (0, "= wait leader: n1 leads term 1\n"), "{err}");
    assert_eq!(context(&["delete", "prod"]).0, 0);
    let (code, _, err) = run(&file, &["status"], "");
    assert_eq!(code, 64, "{err}");
    assert!(err.contains("--endpoints HOST:PORT"), "{err}");
}

#[test]
fn a_flag_goes_before_the_environment_and_that_before_the_context_in_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("contexts.toml");
    let gone = "127.0.0.1:1";
    for (name, endpoints) in [("gone", gone), ("lab", "lab:1")] {
        assert_eq!(run(&file, &["context", "set", name, "--endpoints", endpoints], "").0, 0);
    }
    let wait = |said: &[(&str, &str)], flags: &[&str]| {
        run_in(&file, said, &[&["ctl", "wait", "leader", "--timeout", "20s"], flags].concat(), "")
    };
    let reached = |said: &[(&str, &str)], flags: &[&str]| match wait(said, flags) {
        (0, _, _) => true,
        (5, _, err) if err.contains(gone) => false,
        other => panic!("{said:?} {flags:?}: {other:?}"),
    };
    assert!(!reached(&[], &[]), "the one in use");
    assert!(reached(&[("RAFT_TUI_CONTEXT", "lab")], &[]));
    assert!(reached(&[("RAFT_TUI_ENDPOINTS", "lab:1")], &[]));
    assert!(!reached(&[("RAFT_TUI_ENDPOINTS", ""), ("RAFT_TUI_CONTEXT", "")], &[]), "what is empty is not said");
    assert!(reached(&[("RAFT_TUI_ENDPOINTS", gone)], &["--context", "lab"]), "a flag goes first");
    assert!(reached(&[("RAFT_TUI_CONTEXT", "gone")], &["--endpoints", "lab:1"]), "a flag goes first");
    assert!(!reached(&[("RAFT_TUI_CONTEXT", "lab")], &["--endpoints", gone]), "a flag goes first");
    // What is said beside the addresses.
    let said = |name: &str, value: &str| wait(&[(name, value)], &[]);
    let (code, _, err) = said("RAFT_TUI_TLS_CA", "/nowhere/ca.pem");
    assert!(code != 5 && err.contains("/nowhere/ca.pem"), "{code} {err}");
    let (code, _, err) = said("RAFT_TUI_TOKEN_FILE", "/nowhere/token");
    assert!(code == 78 && err.contains("/nowhere/token"), "{code} {err}");
    let (code, _, err) = run_in(&file, &[("RAFT_TUI_TIMEOUT", "soon")], &["status"], "");
    assert!(code == 64 && err.contains("--timeout"), "{code} {err}");
    let (code, _, err) = run_in(&file, &[("RAFT_TUI_ACCESS", "viewer")], &["submit", "SET a b"], "");
    assert!(code == 77 && err.contains("viewer is the most"), "{code} {err}");
    assert_eq!(run(&file, &["context", "set", "gone", "--access", "viewer", "--name", "ann"], "").0, 0);
    assert!(run(&file, &["context", "show", "gone"], "").1.contains("access      viewer\nas          ann\n"));
    let (code, _, err) = run(&file, &["submit", "SET a b"], "");
    assert!(code == 77 && err.contains("context gone"), "{code} {err}");
}

#[test]
fn a_token_that_is_made_opens_a_node_and_its_file_is_nobody_elses() {
    let root = tempfile::tempdir().expect("a folder");
    let none = root.path().join("none.toml");
    let file = root.path().join("token");
    let path = file.to_str().expect("text");
    let make = |access: &str, name: &str| run(&none, &["token", access, name, "--file", path], "");
    assert_eq!(make("operator", "ann"), (0, format!("operator ann is in {path}\n"), String::new()));
    assert_eq!(make("viewer", "probe").0, 0);
    let text = fs::read_to_string(&file).expect("it is there");
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!([&lines[0][..2], &lines[1][..2]], [["operator", "ann"], ["viewer", "probe"]], "{lines:?}");
    assert_ne!(lines[0][2], lines[1][2]);
    assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
    let (code, _, err) = make("chaos", "ann");
    assert!(code != 0 && err.contains("has a token for ann already") && !err.contains(lines[0][2]), "{code} {err}");
    // A line on standard output is one that a file may have.
    let (code, out, err) = run(&none, &["token", "chaos", "cora"], "");
    assert!(code == 0 && err.is_empty() && out.starts_with("chaos cora ") && out.len() == 76, "{code} {out} {err}");
    for bad in [["token", "root", "ann"], ["token", "viewer", "a b"]] {
        assert_eq!(run(&none, &bad, "").0, 64, "{bad:?}");
    }
    fs::write(&file, text.trim_end()).expect("written");
    assert_eq!(make("viewer", "eve").0, 0);
    assert_eq!(fs::read_to_string(&file).expect("it is there").lines().count(), 3, "a last line without its end");
    let members = three(root.path(), &["--token-file", path]);
    let _running: Vec<_> = members.values().map(Member::start).collect();
    let controls: Vec<_> = members.values().map(|member| member.control).collect();
    until("ann may write", || {
        let output = ask("submit", &controls, &["SET a b", "--token-file", path]);
        output.status.success().then_some(())
    });
    assert_ne!(ask("submit", &controls, &["SET a b"]).status.code(), Some(0), "nobody without a token");
    // What others may read is no secret any more.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    let (code, _, err) = make("viewer", "late");
    assert!(code == 77 && err.contains("chmod 600"), "{code} {err}");
    let link = root.path().join("link");
    std::os::unix::fs::symlink(root.path().join("elsewhere"), &link).expect("made");
    let (code, _, err) = run(&none, &["token", "viewer", "late", "--file", link.to_str().expect("text")], "");
    assert!(code == 77 && err.contains("symbolic link"), "{code} {err}");
    assert!(!root.path().join("elsewhere").exists());
}

#[test]
fn a_word_that_no_context_has_is_an_error_with_file_and_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("contexts.toml");
    fs::write(&file, "current = \"a\"\n\n[contexts.a]\nendpoints = [\"lab:1\"]\ntoken = \"secret\"\n")
        .expect("written");
    let (code, _, err) = run(&file, &["status"], "");
    assert_eq!(code, 78, "{err}");
    assert!(err.contains("contexts.toml, line 5: ") && err.contains("token"), "{err}");
}

#[test]
fn exit_codes_say_what_happened() {
    let folder = tempfile::tempdir().expect("a folder");
    let none = folder.path().join("none.toml");
    let code = |arguments: &[&str]| run(&none, arguments, "").0;
    assert_eq!(code(&["status", "--endpoints", "nonsense"]), 64);
    assert_eq!(code(&["submit", "--endpoints", "lab:1", "FROB a"]), 64);
    assert_eq!(code(&["ctl", "--endpoints", "lab:1", "crash", "n1"]), 77);
    assert_eq!(code(&["ctl", "--endpoints", "lab:1", "crash", "n1", "--yes"]), 0);
    assert_eq!(code(&["ctl", "--endpoints", "lab:1", "crash", "n7", "--yes"]), 1);
    assert_eq!(code(&["check", "--endpoints", "lab:1", "--expect", "0"]), 64);
    let (code, out, _) = run(&none, &["check", "--endpoints", "lab:3", "--expect", "3"], "");
    // It was looked at before or after the first election.
    assert!((code == 4 && out.starts_with("CRITICAL - ")) || (code == 0 && out.starts_with("OK - ")), "{out}");
    let (code, out, err) =
        run(&none, &["ctl", "--endpoints", "lab:3", "--script", "-"], "wait leader\nsubmit SET a b\nread a\n");
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("= read a: b "), "{out}");
}

#[test]
fn a_closed_output_ends_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft-tui"))
        .args(["watch", "--jsonl", "--endpoints", "lab:3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // Nobody reads: what is written from now on fails.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn an_interrupt_ends_a_load_with_its_summary() {
    use std::io::{BufRead as _, BufReader};
    let folder = tempfile::tempdir().expect("a folder");
    let history = folder.path().join("history.jsonl");
    let mut child = Command::new(env!("CARGO_BIN_EXE_raft-tui"))
        .args(["load", "--endpoints", "lab:1", "--duration", "10m", "--rate", "200/s", "--history"])
        .arg(&history)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    // It has begun when there is something in the history.
    let begun = (0..3_000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        fs::metadata(&history).is_ok_and(|file| file.len() > 0)
    });
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut first).expect("it speaks");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert!(begun && first.contains("s, interrupted: "), "{first}");
}

#[test]
fn the_last_of_three_processes_answers_local_reads_and_no_others() {
    let root = tempfile::tempdir().expect("a folder");
    let members = three(root.path(), &[]);
    let mut running: Vec<_> = members.values().map(Member::start).collect();
    let controls: Vec<_> = members.values().map(|member| member.control).collect();
    write(&controls, "city", "Oslo");
    let local = ["city", "--level", "local", "--via", "n1", "--raw"];
    until("n1 has applied it", || (ask("read", &controls, &local).stdout == b"Oslo").then_some(()));
    running.truncate(1);
    let output = ask("read", &controls, &local);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"Oslo"[..]));
    let output = ask("read", &controls, &["city", "--timeout", "1s"]);
    assert_ne!(output.status.code(), Some(0));
    let output = ask("read", &controls, &["city", "--level", "lease"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && said.contains("there are no lease reads"), "{said}");
}
