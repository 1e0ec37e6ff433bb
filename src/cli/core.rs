//! `raft-tui core`: one JSON command a line on standard input, one JSON answer a line on standard output.
//!
//! Kept true: each answer is written before the next command is read; a command that fails does not end the stream, and
//! the exit code tells of it.
//! Not here: what a command does (`door/`).

use std::io::{self, BufRead, Read as _, Write};

use anyhow::Context as _;

use super::Exit;
use crate::door::Door;

/// Longest command in bytes.
const LINE_MAX: u64 = 1 << 20;

/// Answers commands until the input ends, or nobody reads the answers any more.
pub fn run(mut input: impl BufRead, mut output: impl Write) -> anyhow::Result<Exit> {
    let mut door = Door::new();
    let mut exit = Exit::Fine;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(LINE_MAX).read_until(b'\n', &mut line).context("reading commands")?;
        if read == 0 {
            return Ok(exit);
        }
        let answer = if read as u64 == LINE_MAX && !line.ends_with(b"\n") {
            input.skip_until(b'\n').context("reading commands")?;
            Some(door.unreadable(&format!("the line is longer than {LINE_MAX} bytes")))
        } else {
            match str::from_utf8(&line) {
                Ok(line) => door.line(line),
                Err(_) => Some(door.unreadable("the line is not UTF-8")),
            }
        };
        let Some(answer) = answer else { continue };
        if !answer.ok {
            exit = Exit::Failed;
        }
        let mut text = serde_json::to_string(&answer.json).context("writing an answer")?;
        text.push('\n');
        let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(exit),
            written => written.context("writing answers")?,
        }
    }
}
