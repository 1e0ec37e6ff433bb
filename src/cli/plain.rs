//! A session without a screen: commands from a reader, one a line; sentences to a writer.
//!
//! Each command is answered before the next is begun, so a script is a sequence; what happens meanwhile is told as it
//! happens. `help` and `#` comments are ours, everything else is the grammar's.
//!
//! Kept true: the cluster never waits for whoever reads the output: events that find no room are counted, answers always
//! find room, because a command is begun only when there is room for its answer. Not one escape sequence is written.
//! Not here: how lines look (`lines.rs`), what commands mean (`control/grammar.rs`), signals (`mod.rs` hands in their end).

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Exit;
use super::lines::{Asked, Form};
use super::repeats::Repeats;
use crate::cluster::Session;
use crate::control::{Observation, Operation, OperationId, Request, What, grammar};
use crate::raft::EventKind;

/// Lines that may wait for the writer.
const LINES_WAITING: usize = 4_096;
/// Of these, how many only answers may take.
const KEPT_FOR_ANSWERS: usize = 16;
/// Longest command in bytes: the largest value with every byte escaped, and room for its key.
const LINE_MAX: u64 = 1 << 20;
/// How long the cluster may take to stop, and then the writer to write, when the input has ended.
const PATIENCE: Duration = Duration::from_secs(5);
/// The same after a signal, when all of it must be over within a second: the cluster first …
const HURRY_STOP: Duration = Duration::from_millis(550);
/// … then the writer.
const HURRY_WRITE: Duration = Duration::from_millis(200);

/// How the session is coming to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// No command follows.
    InputEnded,
    /// Somebody said `quit`, and it was done.
    Quit,
    /// A signal came.
    Interrupted,
    /// Nobody reads any more.
    OutputClosed,
    /// The cluster is gone without having been asked.
    ClusterGone,
}

/// Serves one session until the input ends, somebody says `quit`, the output closes or `end` is ready.
///
/// Gives [`Exit::Broken`] when a rule of Raft was broken, [`Exit::Failed`] when a command failed or was not answered,
/// [`Exit::Io`] when the output could not be written, else [`Exit::Fine`].
pub async fn run_plain<R, W>(session: Session, input: R, output: W, form: Form, end: impl Future<Output = ()>) -> Exit
where
    R: AsyncBufRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (lines, taken) = mpsc::channel(LINES_WAITING);
    let writer = tokio::spawn(write_lines(output, taken));
    let (read, commands) = mpsc::channel(1);
    let reader = tokio::spawn(read_lines(input, read));
    let first = form.start(&session.view.borrow());
    let mut plain = Plain {
        session,
        form,
        lines,
        waiting: None,
        repeats: Repeats::new(form),
        last_id: 0,
        last_happened: 0,
        missed: 0,
        failed: false,
        broken: false,
    };
    plain.say(first);
    let ending = plain.serve(commands, end).await;
    reader.abort();
    plain.finish(ending, writer).await
}

struct Plain {
    session: Session,
    form: Form,
    lines: mpsc::Sender<String>,
    waiting: Option<(OperationId, Asked, bool)>,
    repeats: Repeats,
    last_id: OperationId,
    last_happened: u64,
    missed: u64,
    failed: bool,
    broken: bool,
}

impl Plain {
    async fn serve(&mut self, mut commands: mpsc::Receiver<Read>, end: impl Future<Output = ()>) -> Ending {
        let mut end = pin!(end);
        let output = self.lines.clone();
        loop {
            tokio::select! {
                () = &mut end => return Ending::Interrupted,
                () = output.closed() => return Ending::OutputClosed,
                observation = self.session.observations.recv() => match observation {
                    Some(observation) => {
                        if self.observe(observation) {
                            return Ending::Quit;
                        }
                    }
                    None if matches!(self.waiting, Some((.., true))) => return Ending::Quit,
                    None => return Ending::ClusterGone,
                },
                read = next_command(&output, &mut commands), if self.waiting.is_none() => match read {
                    Some(read) => self.begin(read),
                    None => return Ending::InputEnded,
                },
            }
        }
    }

    /// Carries one line out, or says why not.
    fn begin(&mut self, read: Read) {
        let (asked, why) = match read {
            Read::Line(asked) => (asked, None),
            Read::Wrong(asked, why) => (asked, Some(why)),
        };
        if let Some(why) = why {
            self.refuse(&asked, &why);
            return;
        }
        if asked.text.trim().eq_ignore_ascii_case("help") || asked.text.trim() == "?" {
            self.say(self.form.help(&asked));
            return;
        }
        let operation = match grammar::read_line(&asked.text) {
            Ok(Some(operation)) => operation,
            Ok(None) => return,
            Err(error) => return self.refuse(&asked, &error.sentence),
        };
        let is_quit = operation == Operation::Quit;
        self.last_id += 1;
        match self.session.operations.try_send(Request { id: self.last_id, operation }) {
            Ok(()) => self.waiting = Some((self.last_id, asked, is_quit)),
            Err(_) => self.refuse(&asked, "the cluster does not take commands now"),
        }
    }

    fn refuse(&mut self, asked: &Asked, why: &str) {
        self.failed = true;
        self.say(self.form.wrong(asked, why));
    }

    /// Tells an observation; true when it was the answer to `quit`.
    fn observe(&mut self, observation: Observation) -> bool {
        match observation {
            Observation::Happened(happened) => {
                // A gap in the numbers is what the cluster could not hand over.
                if self.last_happened > 0 {
                    self.missed += happened.number.saturating_sub(self.last_happened + 1);
                }
                self.last_happened = happened.number;
                if let What::Node { event, .. } = &happened.what {
                    self.broken |= matches!(event.kind, EventKind::Violated { .. });
                }
                for line in self.repeats.lines(&happened) {
                    self.tell(line);
                }
                false
            }
            Observation::Answered { id, answer } => {
                let Some((_, asked, is_quit)) = self.waiting.take_if(|(waiting, ..)| *waiting == id) else {
                    return false;
                };
                self.failed |= !answer.is_good();
                self.say(self.form.answered(&asked, &answer));
                is_quit && answer.is_good()
            }
        }
    }

    /// Writes an event's line, if there is room for it.
    fn tell(&mut self, line: String) {
        if self.lines.capacity() <= KEPT_FOR_ANSWERS {
            self.missed += 1;
        } else {
            self.say(line);
        }
    }

    /// Writes a line; there is room for it.
    fn say(&mut self, line: String) {
        if self.missed > 0 && self.lines.capacity() > 1 {
            let missed = self.form.missed(std::mem::take(&mut self.missed));
            // Only a closed output refuses it, and that ends the session.
            let _ = self.lines.try_send(missed);
        }
        let _ = self.lines.try_send(line);
    }

    async fn finish(mut self, ending: Ending, writer: JoinHandle<io::Result<()>>) -> Exit {
        let (stop_within, write_within) = match ending {
            Ending::InputEnded | Ending::Quit | Ending::ClusterGone => (PATIENCE, PATIENCE),
            Ending::Interrupted | Ending::OutputClosed => (HURRY_STOP, HURRY_WRITE),
        };
        match ending {
            Ending::InputEnded | Ending::Interrupted | Ending::OutputClosed => {
                if let Some((_, asked, _)) = self.waiting.take() {
                    self.refuse(&asked, "it was not answered before the end");
                }
                // A cluster that does not stop in time is ended with the process.
                let _ = timeout(stop_within, self.stop()).await;
            }
            Ending::ClusterGone => {
                let asked = self.waiting.take().map(|(_, asked, _)| asked);
                let asked = asked.unwrap_or_else(|| Asked { line: 0, text: String::new() });
                self.refuse(&asked, "the cluster has ended");
            }
            Ending::Quit => {}
        }
        for line in self.repeats.rest() {
            self.tell(line);
        }
        let Self { lines, failed, broken, .. } = self;
        drop(lines);
        let written = timeout(write_within, writer).await;
        let broken_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        match written {
            _ if broken => Exit::Broken,
            Ok(Ok(Err(error))) if !broken_pipe(&error) => Exit::Io,
            _ if failed => Exit::Failed,
            _ => Exit::Fine,
        }
    }

    /// Asks the cluster to stop, and tells what happens until it has.
    async fn stop(&mut self) {
        self.last_id += 1;
        let id = self.last_id;
        if self.session.operations.send(Request { id, operation: Operation::Quit }).await.is_err() {
            return;
        }
        while let Some(observation) = self.session.observations.recv().await {
            if matches!(&observation, Observation::Answered { id: answered, .. } if *answered == id) {
                return;
            }
            self.observe(observation);
        }
    }
}

/// A line of the input.
#[derive(Debug)]
pub(super) enum Read {
    Line(Asked),
    /// It cannot be a command, and why.
    Wrong(Asked, String),
}

/// The next command, not before there is room for its answer. Nothing is lost when this is dropped half-way.
async fn next_command(output: &mpsc::Sender<String>, commands: &mut mpsc::Receiver<Read>) -> Option<Read> {
    match output.reserve_many(KEPT_FOR_ANSWERS).await {
        Ok(room) => drop(room),
        // The closed output ends the session by another branch.
        Err(_) => std::future::pending().await,
    }
    commands.recv().await
}

pub(super) async fn read_lines(mut input: impl AsyncBufRead + Unpin, commands: mpsc::Sender<Read>) {
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let asked = |text: &str| Asked { line, text: text.to_owned() };
        let read = match (&mut input).take(LINE_MAX).read_until(b'\n', &mut bytes).await {
            Ok(0) => return,
            Ok(_) if bytes.len() as u64 == LINE_MAX && !bytes.ends_with(b"\n") => {
                if skip_line(&mut input).await.is_err() {
                    return;
                }
                Read::Wrong(asked("…"), format!("the line is longer than {LINE_MAX} bytes"))
            }
            Ok(_) => match str::from_utf8(bytes.trim_ascii_end()) {
                Ok(text) => Read::Line(asked(text)),
                Err(_) => Read::Wrong(
                    asked(&String::from_utf8_lossy(&bytes)),
                    "the line is not UTF-8; write other bytes as \\xNN between quotes".into(),
                ),
            },
            Err(error) => {
                let _ = commands.send(Read::Wrong(asked("…"), format!("reading commands failed: {error}"))).await;
                return;
            }
        };
        if commands.send(read).await.is_err() {
            return;
        }
    }
}

async fn skip_line(input: &mut (impl AsyncBufRead + Unpin)) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf().await?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() || used == 0 {
            return Ok(());
        }
    }
}

async fn write_lines(mut output: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<String>) -> io::Result<()> {
    let mut waiting = Vec::new();
    while lines.recv_many(&mut waiting, 256).await > 0 {
        let mut text = waiting.join("\n");
        waiting.clear();
        text.push('\n');
        output.write_all(text.as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}
