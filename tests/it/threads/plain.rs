//! Plain output against a session that the test plays.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use raft_tui::cli::Exit;
use raft_tui::cli::lines::Form;
use raft_tui::cli::plain::run_plain;
use raft_tui::cluster::Session;
use raft_tui::control::{
    Answer, ClientsView, ClusterView, Condition, Happened, Held, Mode, Observation, Operation, Pace, Request, What,
    WritesStand,
};
use raft_tui::raft::{Cause, Event, EventKind, Index, NodeId, Term};
use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const N3: NodeId = NodeId(3);

fn view() -> ClusterView {
    ClusterView {
        version: 1,
        name: "demo".into(),
        now_us: 1_234_000,
        real_us: 0,
        pace: Pace::PEOPLE,
        stopped: false,
        seed: 42,
        nodes: Vec::new(),
        faults: Vec::new(),
        links: Vec::new(),
        load: None,
        clients: ClientsView::default(),
        writes: WritesStand::Stalled { why: "nobody leads".into() },
        data_dir: "memory".into(),
        dropped_details: 0,
        held: Held::Lab,
        mode: Mode::Own,
        chaos: true,
        may: raft_tui::control::Access::Chaos,
        chaos_allowed: true,
        alarms: Vec::new(),
        console_bytes_per_second: None,
        values_masked: false,
    }
}

/// What was written so far.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Paper {
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().expect("nobody panicked").clone()).expect("it is text");
        text.lines().map(str::to_owned).collect()
    }
}

impl AsyncWrite for Paper {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().expect("nobody panicked").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An output that takes nothing, for ever or with an error.
struct Wall(Option<io::ErrorKind>);

impl AsyncWrite for Wall {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        self.0.map_or(Poll::Pending, |kind| Poll::Ready(Err(kind.into())))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The other ends of everything that a plain session holds.
struct Stage {
    asked: mpsc::Receiver<Request>,
    told: mpsc::Sender<Observation>,
    input: Option<DuplexStream>,
    paper: Paper,
    end: Option<oneshot::Sender<()>>,
    went: JoinHandle<Exit>,
    _view: watch::Sender<Arc<ClusterView>>,
}

impl Stage {
    fn new(form: Form) -> Self {
        let paper = Paper::default();
        Self::with_output(form, paper.clone(), paper)
    }

    fn with_output(form: Form, paper: Paper, output: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        let (operations, asked) = mpsc::channel(16);
        let (told, observations) = mpsc::channel(16);
        let (published, view) = watch::channel(Arc::new(view()));
        let capabilities = crate::support::views::ALL;
        let session = Session { operations, observations, view, capabilities };
        let (input, read) = tokio::io::duplex(1 << 16);
        let (end, ended) = oneshot::channel::<()>();
        let ended = async move {
            if ended.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let went = tokio::spawn(run_plain(session, BufReader::new(read), output, form, ended));
        Self { asked, told, input: Some(input), paper, end: Some(end), went, _view: published }
    }

    async fn write(&mut self, text: &str) {
        self.input.as_mut().expect("the input is open").write_all(text.as_bytes()).await.expect("it is read");
    }

    async fn asked(&mut self) -> Request {
        self.asked.recv().await.expect("an operation")
    }

    async fn answer(&self, id: u64, answer: Answer) {
        self.told.send(Observation::Answered { id, answer }).await.expect("it is heard");
    }

    async fn happens(&self, what: What) {
        let happened = Arc::new(Happened { number: 7, at_us: 61_002_000, what });
        self.told.send(Observation::Happened(happened)).await.expect("it is heard");
    }

    /// Ends the input, lets the cluster stop, and gives the exit code and all lines but the first.
    async fn end(mut self) -> (Exit, Vec<String>) {
        drop(self.input.take());
        let quit = self.asked().await;
        assert_eq!(quit.operation, Operation::Quit);
        self.answer(quit.id, Answer::Done("all nodes stopped".into())).await;
        let went = self.went.await.expect("it ended");
        (went, self.paper.lines().split_off(1))
    }
}

fn leads() -> What {
    What::Node { node: N3, event: Event { term: Term(8), cause: Cause::Tick, kind: EventKind::BecameLeader } }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn it_begins_by_saying_what_runs() {
    let stage = Stage::new(Form::Sentences);
    settle().await;
    let expected =
        format!("raft-tui {}: cluster demo of 0 nodes, pace 1/5x, seed 42, data in memory", env!("CARGO_PKG_VERSION"));
    assert_eq!(stage.paper.lines(), [expected]);
    assert_eq!(stage.end().await, (Exit::Fine, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_command_is_begun_when_the_one_before_is_answered_and_events_go_on() {
    let mut stage = Stage::new(Form::Sentences);
    stage.write("# who leads?\n\nwait leader\nsubmit SET a 1\n").await;
    let wait = stage.asked().await;
    assert!(matches!(wait.operation, Operation::Wait { condition: Condition::Leader, timeout_us: 30_000_000 }));
    settle().await;
    assert!(stage.asked.try_recv().is_err(), "the second waits for the answer to the first");
    stage.happens(leads()).await;
    stage.answer(wait.id + 99, Answer::Done("somebody else's".into())).await;
    settle().await;
    assert_eq!(stage.paper.lines().len(), 2, "events are told meanwhile");
    stage.answer(wait.id, Answer::Done("n3 leads term 8".into())).await;
    let submit = stage.asked().await;
    assert!(matches!(submit.operation, Operation::Submit { via: None, .. }));
    let reply = Bytes::from_static(b"?");
    stage.answer(submit.id, Answer::Applied { index: Index(5), term: Term(8), reply, took_us: 32_000 }).await;
    let (exit, lines) = stage.end().await;
    assert_eq!(exit, Exit::Fine);
    assert_eq!(lines[0], "01:01.002 n3 leads term 8: a majority voted for it (§5.2)");
    assert_eq!(lines[1], "= wait leader: n3 leads term 8");
    assert!(lines[2].starts_with("= submit SET a 1: "), "{}", lines[2]);
    assert!(lines[2].ends_with("(entry 5 of term 8, after 32 ms)"), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_marked_and_makes_the_exit_code() {
    let mut stage = Stage::new(Form::Sentences);
    stage.write("crsh n2\nread k\nstop\n").await;
    let read = stage.asked().await;
    stage.answer(read.id, Answer::TimedOut { why: "nobody \u{1b}[31mleads".into() }).await;
    let stop = stage.asked().await;
    stage.answer(stop.id, Answer::Done("the clock stands still".into())).await;
    let (exit, lines) = stage.end().await;
    assert_eq!(exit, Exit::Failed);
    assert_eq!(
        lines,
        [
            "! crsh n2: `crsh` is no command: did you mean `crash`?",
            "! read k: timed out: nobody \\x1b[31mleads",
            "= stop: the clock stands still"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_no_text_or_has_no_end_is_refused_and_the_next_is_read() {
    let mut stage = Stage::new(Form::Sentences);
    let input = stage.input.as_mut().expect("open");
    input.write_all(b"submit SET k \xff\x1b\n").await.expect("read");
    let long = "x".repeat(2_500_000) + "\r\n";
    let writing = async {
        input.write_all(long.as_bytes()).await.expect("read");
        input.write_all(b"help\r\nstop").await.expect("read");
    };
    writing.await;
    drop(stage.input.take());
    let stop = stage.asked().await;
    assert_eq!(stop.operation, Operation::Stop, "a last line without its end counts");
    stage.answer(stop.id, Answer::Done("it stands".into())).await;
    let (exit, lines) = stage.end().await;
    assert_eq!(exit, Exit::Failed);
    assert_eq!(lines[0], "! submit SET k �\\x1b: the line is not UTF-8; write other bytes as \\xNN between quotes");
    assert_eq!(lines[1], "! …: the line is longer than 1048576 bytes");
    assert!(lines[2].starts_with("= submit [via NODE] COMMAND"), "{}", lines[2]);
    assert!(lines[2..lines.len() - 1].iter().all(|line| line.starts_with("= ")));
    assert_eq!(lines.last().map(String::as_str), Some("= stop: it stands"));
}

#[tokio::test(start_paused = true)]
async fn quit_ends_it() {
    let mut stage = Stage::new(Form::Sentences);
    stage.write("quit\nstatus\n").await;
    let quit = stage.asked().await;
    assert_eq!(quit.operation, Operation::Quit);
    stage.answer(quit.id, Answer::Done("all nodes stopped".into())).await;
    let went = stage.went.await.expect("it ended");
    assert_eq!(went, Exit::Fine);
    assert_eq!(stage.paper.lines().split_off(1), ["= quit: all nodes stopped"]);
}

#[tokio::test(start_paused = true)]
async fn a_signal_ends_it_within_a_second_even_when_nothing_answers() {
    let mut stage = Stage::new(Form::Sentences);
    stage.write("wait leader\n").await;
    let _ = stage.asked().await;
    let begun = tokio::time::Instant::now();
    stage.end.take().expect("once").send(()).expect("it listens");
    let went = stage.went.await.expect("it ended");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(went, Exit::Failed, "a command was not answered");
    assert_eq!(stage.paper.lines().split_off(1), ["! wait leader: it was not answered before the end"]);
}

#[tokio::test(start_paused = true)]
async fn a_signal_between_commands_is_a_fine_end() {
    let mut stage = Stage::new(Form::Sentences);
    settle().await;
    stage.end.take().expect("once").send(()).expect("it listens");
    let quit = stage.asked().await;
    stage.answer(quit.id, Answer::Done("all nodes stopped".into())).await;
    assert_eq!(stage.went.await.expect("it ended"), Exit::Fine);
}

#[tokio::test(start_paused = true)]
async fn a_closed_pipe_ends_it_quietly_and_a_failing_disk_does_not() {
    for (kind, exit) in [(io::ErrorKind::BrokenPipe, Exit::Fine), (io::ErrorKind::StorageFull, Exit::Io)] {
        let mut stage = Stage::with_output(Form::Sentences, Paper::default(), Wall(Some(kind)));
        let quit = stage.asked().await;
        assert_eq!(quit.operation, Operation::Quit);
        stage.answer(quit.id, Answer::Done("all nodes stopped".into())).await;
        assert_eq!(stage.went.await.expect("it ended"), exit, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_output_that_nobody_reads_does_not_stop_the_cluster() {
    let mut stage = Stage::with_output(Form::Sentences, Paper::default(), Wall(None));
    stage.write("wait leader\nstatus\n").await;
    let wait = stage.asked().await;
    for _ in 0..20_000 {
        stage.happens(leads()).await;
    }
    stage.answer(wait.id, Answer::Done("n3 leads term 8".into())).await;
    settle().await;
    assert!(stage.asked.try_recv().is_err(), "no command is begun without room for its answer");
    stage.end.take().expect("once").send(()).expect("it listens");
    let begun = tokio::time::Instant::now();
    stage.went.await.expect("it ended");
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_broken_rule_of_raft_makes_the_exit_code() {
    let stage = Stage::new(Form::Sentences);
    let kind = EventKind::Violated { evidence: "two leaders in term 8".into() };
    stage.happens(What::Node { node: N3, event: Event { term: Term(8), cause: Cause::Tick, kind } }).await;
    settle().await;
    let (exit, lines) = stage.end().await;
    assert_eq!(exit, Exit::Broken);
    assert_eq!(lines, ["01:01.002 n3 stops: a rule of Raft was broken: two leaders in term 8"]);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_gone_is_told() {
    let mut stage = Stage::new(Form::Sentences);
    stage.write("wait leader\n").await;
    let _ = stage.asked().await;
    drop(stage.told);
    assert_eq!(stage.went.await.expect("it ended"), Exit::Failed);
    assert_eq!(stage.paper.lines().split_off(1), ["! wait leader: the cluster has ended"]);
}

#[tokio::test(start_paused = true)]
async fn as_json_each_line_is_an_object() {
    let mut stage = Stage::new(Form::Json);
    stage.write("status\nread k\ncrsh \u{9b}1\n").await;
    let status = stage.asked().await;
    stage.answer(status.id, Answer::Status(Arc::new(view()))).await;
    stage.happens(leads()).await;
    let read = stage.asked().await;
    let reply = Bytes::from_static(b"?");
    stage.answer(read.id, Answer::Value { index: Index(4), node: N3, reply, took_us: 900 }).await;
    settle().await;
    let first: serde_json::Value = serde_json::from_str(&stage.paper.lines()[0]).expect("an object");
    assert_eq!((&first["e"], &first["seed"]), (&"start".into(), &42.into()));
    let (exit, lines) = stage.end().await;
    assert_eq!(exit, Exit::Failed);
    let objects: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect("an object")).collect();
    assert_eq!(
        lines[0],
        r#"{"e":"answer","line":1,"command":"status","ok":true,"kind":"status","text":"nobody leads, 0 of 0 nodes run, writes wait: nobody leads","status":{"at_us":1234000,"pace":"1/5x","stopped":false,"leader":null,"writes":"nobody leads","faults":[],"nodes":[],"held":"lab","mode":"own","mode_left_us":null,"chaos":true,"alarms":[],"active_faults":[]}}"#
    );
    assert_eq!(
        lines[1],
        r#"{"e":"event","number":7,"at_us":61002000,"severity":"notice","node":"n3","term":8,"what":"leader","text":"n3 leads term 8: a majority voted for it (§5.2)"}"#
    );
    let value = &objects[2];
    assert_eq!((&value["kind"], &value["index"], &value["node"]), (&"value".into(), &4.into(), &"n3".into()));
    let wrong = &objects[3];
    assert_eq!((&wrong["ok"], &wrong["kind"], &wrong["line"]), (&false.into(), &"wrong".into(), &3.into()));
    assert_eq!(wrong["command"], "crsh \\u{9b}1");
    assert_eq!(objects.len(), 4);
}
