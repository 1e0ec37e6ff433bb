//! The lines of a trace, as other programs read them, and when a node writes them.

use std::sync::mpsc::{Receiver, sync_channel};

use bytes::Bytes;
use raft_tui::machine::kv::{self, KvStore};
use raft_tui::node::tracer::{TraceSink, Tracer};
use raft_tui::node::{Node, NodeInput, Output};
use raft_tui::raft::message::{AppendEntries, AppendEntriesReply, AppendOutcome};
use raft_tui::raft::{
    Configuration, Digest, Entry, EntryKind, Envelope, Epoch, HardState, Index, LogPosition, Message, NodeId, Options,
    Raft, Recovered, SyncPoint, Term, Ticket,
};
use raft_tui::trace::json::{base64, from_base64};
use raft_tui::trace::{Json, Line, Record, command_hash, message};

use crate::support::cores::n;

fn text(json: &Json) -> String {
    serde_json::to_string(json).expect("it can be written")
}

fn line(record: Record) -> String {
    let text = text(&Line { node: n(1), seq: 7, at_us: 1_500, record }.json());
    let own = text.strip_prefix(r#"{"ev":""#).and_then(|rest| rest.split_once('"')).expect("`ev` comes first");
    let rest = own.1.strip_prefix(r#","node":"n1","seq":7,"at_us":1500"#).expect("then who and when");
    format!("{}{rest}", own.0)
}

#[test]
fn every_record_has_its_form() {
    let at = LogPosition::new(10, 4);
    let hash = Digest(0xab);
    let h = "000000000000000000000000000000ab";
    let said = Json::Object(vec![("id", "n1/1/1".into())]);
    for (record, form) in [
        (Record::Term { term: Term(4) }, r#"term,"term":4}"#.to_owned()),
        (Record::Vote { term: Term(4), candidate: n(2) }, r#"vote,"term":4,"for":"n2"}"#.to_owned()),
        (
            Record::Leader { term: Term(4), voters: vec![n(1), n(2)] },
            r#"leader,"term":4,"voters":["n1","n2"]}"#.to_owned(),
        ),
        (Record::Append { term: Term(5), at, hash }, format!(r#"append,"term":5,"i":10,"et":4,"h":"{h}"}}"#)),
        (Record::Truncate { from: Index(10) }, r#"truncate,"from":10}"#.to_owned()),
        (Record::Durable { index: Index(10) }, r#"durable,"i":10}"#.to_owned()),
        (Record::Commit { term: Term(4), index: Index(10) }, r#"commit,"term":4,"i":10}"#.to_owned()),
        (Record::Apply { at, hash }, format!(r#"apply,"i":10,"et":4,"h":"{h}"}}"#)),
        (
            Record::Snapshot { last: at, digest: hash, installed: true },
            format!(r#"snapshot,"i":10,"et":4,"h":"{h}","installed":true}}"#),
        ),
        (Record::Compact { to: at }, r#"compact,"i":10,"et":4}"#.to_owned()),
        (Record::Send { to: n(2), message: said.clone() }, r#"send,"to":"n2","m":{"id":"n1/1/1"}}"#.to_owned()),
        (Record::Recv { from: n(2), message: said }, r#"recv,"from":"n2","m":{"id":"n1/1/1"}}"#.to_owned()),
        (Record::Crash { why: None }, "crash}".to_owned()),
        (Record::Crash { why: Some("no disk".into()) }, r#"crash,"why":"no disk"}"#.to_owned()),
        (Record::Stop, "stop}".to_owned()),
        (Record::Gap { lost: 3 }, r#"gap,"lost":3}"#.to_owned()),
    ] {
        assert_eq!(line(record), form);
    }
}

#[test]
fn a_boot_tells_what_the_disk_gave_back() {
    let mut chain = Digest::default();
    let entries = [2, 2, 3].into_iter().zip(1..).map(|(term, index)| {
        let position = LogPosition::new(index, term);
        let entry = Entry::chained(chain, position, EntryKind::Command, 0, Bytes::new());
        chain = entry.chain;
        entry
    });
    let recovered = Recovered {
        epoch: Epoch(4),
        hard_state: HardState { current_term: Term(3), voted_for: Some(n(2)) },
        entries: entries.collect(),
        ..Recovered::default()
    };
    assert_eq!(
        line(Record::boot(&recovered)),
        r#"boot,"term":3,"vote":"n2","commit":0,"snap":null,"first":1,"last":3,"terms":[[1,2],[3,3]],"epoch":4,"quarantined":false}"#
    );
}

#[test]
fn messages_have_an_id_a_cause_and_their_fields() {
    let envelope = |message| Envelope { from: n(1), to: n(2), epoch: Epoch(3), number: 9, term: Term(8), message };
    let entry = Entry::chained(Digest(1), LogPosition::new(5, 8), EntryKind::NoOp, 0, Bytes::new());
    let append = Message::AppendEntries(AppendEntries {
        prev: LogPosition::new(4, 7),
        prev_chain: None,
        entries: vec![entry],
        commit: Index(3),
        stream: 2,
        round: 6,
        your_epoch: Epoch(1),
        applied: None,
    });
    assert_eq!(
        text(&message::message(&envelope(append), Some("tick".into()))),
        r#"{"id":"n1/3/9","cause":"tick","from":"n1","to":"n2","type":"AppendEntries","term":8,"prev":[4,7],"entries":[[5,8]],"commit":3,"stream":2,"round":6}"#
    );
    let outcome = AppendOutcome::Rejected { prev: Index(4), hint: LogPosition::new(3, 6) };
    let reply = Message::AppendEntriesReply(AppendEntriesReply { stream: 2, round: 6, counted: true, outcome });
    assert_eq!(
        text(&message::message(&envelope(reply), None)),
        r#"{"id":"n1/3/9","from":"n1","to":"n2","type":"AppendEntriesReply","term":8,"reject":{"prev":4,"hint":[3,6]},"stream":2,"round":6,"counted":true}"#
    );
}

#[test]
fn values_are_written_as_promised() {
    assert_eq!(text(&Json::Number(1 << 53)), "9007199254740992");
    assert_eq!(text(&Json::Number((1 << 53) + 1)), "\"9007199254740993\"");
    assert_eq!(text(&Json::bytes("ä\u{1b}\"".as_bytes())), "\"ä\\u001b\\\"\"");
    assert_eq!(text(&Json::bytes(b"\xff\xfe\xfd")), r#"{"b64":"//79"}"#);
    for (bytes, digits) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
        assert_eq!(base64(bytes.as_bytes()), digits);
        assert_eq!(from_base64(digits).as_deref(), Some(bytes.as_bytes()));
    }
    for wrong in ["Z", "Zg=", "Zg", "Zh==", "=g==", "Zg==Zg==", "Z===", "Zm9v!mFy"] {
        assert_eq!(from_base64(wrong), None, "{wrong}");
    }
}

/// A cluster of one, with a disk that answers when it is told to.
struct One {
    node: Node,
    tracer: Tracer,
    asked: Vec<SyncPoint>,
    now_us: u64,
}

impl One {
    fn new(sink: &TraceSink) -> Self {
        let configuration = Configuration::first(1);
        let recovered = Recovered { epoch: Epoch(1), ..Recovered::default() };
        let tracer = Tracer::boot(sink.of(n(1)), 0, &configuration, &recovered);
        let raft = Raft::new(Options::new(n(1), configuration), recovered, 1);
        let node = Node::new(raft, Box::new(KvStore::default()), 100);
        Self { node, tracer, asked: Vec::new(), now_us: 0 }
    }

    fn turn(&mut self, inputs: Vec<NodeInput>) {
        self.now_us += 10_000;
        self.tracer.takes(self.now_us, &inputs);
        let mut outputs = Vec::new();
        self.node.turn(self.now_us, inputs, &mut |output| outputs.push(output));
        self.tracer.gives(self.now_us, self.node.causes(), &outputs);
        self.asked.extend(outputs.iter().filter_map(|output| match output {
            Output::Persist(persist) => Some(persist.point),
            _ => None,
        }));
    }

    fn sync(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        if let Some(point) = asked.last().copied() {
            self.turn(vec![NodeInput::Persisted(point)]);
        }
    }

    fn elect(&mut self) {
        for _ in 0..40 {
            self.turn(vec![NodeInput::Tick]);
        }
    }
}

fn names(lines: &Receiver<Line>) -> Vec<String> {
    let name = |line: &Line| {
        let Some(Json::Text(name)) = line.json().field("ev").cloned() else { panic!("{line:?} has no name") };
        name
    };
    lines.try_iter().map(|line| name(&line)).collect()
}

#[test]
fn a_vote_is_told_when_it_is_durable_and_an_entry_when_it_is_stored() {
    let (sender, lines) = sync_channel(1_000);
    let mut one = One::new(&TraceSink::new(sender, false));
    one.elect();
    assert_eq!(names(&lines), ["boot"], "nothing is durable yet");
    one.sync();
    assert_eq!(names(&lines), ["vote", "leader", "append"]);
    one.sync();
    assert_eq!(names(&lines), ["durable", "commit", "apply"]);
    let command = kv::parse_command("SET a 1").expect("it is a command");
    let hash = command_hash(&command);
    one.turn(vec![NodeInput::Submit { ticket: Ticket(1), command }]);
    let stored: Vec<_> = lines.try_iter().map(|line| line.record).collect();
    assert_eq!(stored, [Record::Append { term: Term(1), at: LogPosition::new(2, 1), hash }]);
    one.sync();
    let applied = lines.try_iter().last().map(|line| line.record);
    assert_eq!(applied, Some(Record::Apply { at: LogPosition::new(2, 1), hash }));
}

#[test]
fn a_full_queue_is_a_gap_and_the_numbers_go_on() {
    let (sender, lines) = sync_channel(2);
    let sink = TraceSink::new(sender, false);
    let mut one = One::new(&sink);
    one.elect();
    one.sync();
    one.sync();
    // boot and vote found room; leader, append, durable, commit and apply did not.
    let told: Vec<_> = lines.try_iter().map(|line| (line.seq, line.record)).collect();
    assert_eq!(told.len(), 2);
    assert_eq!(told[1], (2, Record::Vote { term: Term(1), candidate: NodeId(1) }));
    one.tracer.ends(7, Record::Crash { why: None });
    let told: Vec<_> = lines.try_iter().map(|line| (line.seq, line.record)).collect();
    assert_eq!(told, [(3, Record::Gap { lost: 5 }), (4, Record::Crash { why: None })]);
    assert_eq!(sink.last_gaps(), []);
    // Another life of the same node, and the end without anything after it.
    drop(One::new(&sink));
    let mut one = One::new(&sink);
    one.elect();
    one.sync();
    let last: Vec<_> = sink.last_gaps().into_iter().map(|line| (line.seq, line.record)).collect();
    assert_eq!(lines.try_iter().map(|line| line.seq).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(last, [(7, Record::Gap { lost: 3 })]);
}
