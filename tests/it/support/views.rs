//! Pictures of clusters as a cluster would report them, for the tests of the console and its bench.

use std::sync::Arc;

use bytes::Bytes;
use raft_tui::control::observation::LinkState;
use raft_tui::control::{
    Access, ActiveFault, Alarm, Answer, Can, Capabilities, ClientsView, ClusterView, Happened, Held, Latency, Life,
    LinkRule, Links, LoadView, Mode as ControlMode, NodeView, Observation, Pace, Reach, What, WritesStand,
};
use raft_tui::raft::event::{Mode, StepDown};
use raft_tui::raft::{
    Cause, Digest, Epoch, Event, EventKind, Index, LogPosition, MessageKind, NodeId, PeerStatus, Role, Term, TermRun,
};

pub const ALL: Capabilities = capabilities(Can::Yes);
/// Of a cluster in this process.
pub const LAB: Capabilities = Capabilities {
    pause: Can::No("nodes in this process cannot be paused one by one"),
    arm: Can::No("this cluster is the console's own: nothing needs arming"),
    ..ALL
};
pub const NONE: Capabilities = capabilities(Can::No("that cannot be done from here"));

const fn capabilities(all: Can) -> Capabilities {
    Capabilities { crash: all, restart: all, pause: all, links: all, clock: all, pace: all, disks: all, arm: all }
}

fn id(number: u64) -> NodeId {
    NodeId(number)
}

/// Runs of terms from (first index, term).
pub fn runs(runs: &[(u64, u64)]) -> Vec<TermRun> {
    runs.iter().map(|(first, term)| TermRun { first: Index(*first), term: Term(*term) }).collect()
}

/// A follower of n3 in term 7 with a log up to 131.
pub fn follower(number: u64) -> NodeView {
    NodeView {
        id: id(number),
        life: Life::Running,
        epoch: Epoch(1),
        role: Role::Follower,
        term: Term(7),
        voted_for: Some(id(3)),
        leader: Some(id(3)),
        votes: Vec::new(),
        first_index: Index(97),
        last: LogPosition::new(131, 7),
        durable: Index(131),
        commit: Index(131),
        applied: Index(131),
        snapshot: Index(96),
        log_bytes: 4_310,
        terms: runs(&[(97, 5), (104, 6), (123, 7)]),
        digest: Digest(0x8f3a_11c2 << 96),
        election_elapsed: 5 + number * 3 % 11,
        election_timeout: 16 + number * 5 % 13,
        heartbeat: None,
        quarantined: false,
        receiving: None,
        peers: Vec::new(),
        messages_in: 2_410,
        messages_out: 2_395,
        messages_by_kind: vec![(MessageKind::Heartbeat, 2_380, 0), (MessageKind::AppendEntriesReply, 30, 2_395)],
        elections: 1,
        in_per_second: 20.6,
        out_per_second: 19.8,
        sync: Latency { p50_us: Some(1_150 + number * 37), p99_us: Some(3_900 + number * 130) },
        durable_latency: Latency::default(),
        commit_latency: Latency::default(),
        apply_latency: Latency::default(),
        notes: Vec::new(),
        traffic: None,
        reach: None,
    }
}

fn peer(number: u64, last: u64) -> PeerStatus {
    PeerStatus {
        id: id(number),
        match_index: Index(last),
        next_index: Index(last + 1),
        mode: Mode::Replicate,
        in_flight_messages: 0,
        in_flight_bytes: 0,
        silent_ticks: 3,
        snapshot: None,
        counted: true,
    }
}

/// The leader of term 7 over so many nodes.
pub fn leader(number: u64, of: u64) -> NodeView {
    let mut node = follower(number);
    node.role = Role::Leader;
    node.voted_for = Some(node.id);
    node.leader = Some(node.id);
    node.heartbeat = Some((3, 5));
    node.peers = (1..=of).filter(|other| *other != number).map(|other| peer(other, 131)).collect();
    node.in_per_second = 80.2;
    node.out_per_second = 81.0;
    node.durable_latency = Latency { p50_us: Some(18_000), p99_us: Some(29_000) };
    node.apply_latency = Latency { p50_us: Some(31_200), p99_us: Some(48_900) };
    node.commit_latency = Latency { p50_us: Some(31_000), p99_us: Some(48_000) };
    node
}

/// So many nodes under n3, all in step.
pub fn healthy(count: u64) -> ClusterView {
    let nodes = (1..=count).map(|number| if number == 3.min(count) { leader(number, count) } else { follower(number) });
    ClusterView {
        version: 1,
        name: String::from("demo"),
        now_us: 42_118_000,
        real_us: 210_590_000,
        pace: Pace::PEOPLE,
        stopped: false,
        seed: 4821,
        nodes: nodes.collect(),
        faults: Vec::new(),
        links: Vec::new(),
        load: None,
        clients: ClientsView {
            applied: 118,
            reads: 4,
            applied_per_second: 9.8,
            latency: Latency { p50_us: Some(34_000), p99_us: Some(61_000) },
            ..ClientsView::default()
        },
        writes: WritesStand::Available,
        data_dir: String::from("/tmp/raft-tui-4821 (removed at the end)"),
        dropped_details: 0,
        held: Held::Lab,
        mode: ControlMode::Own,
        chaos: true,
        may: Access::Chaos,
        chaos_allowed: true,
        alarms: Vec::new(),
        console_bytes_per_second: None,
        values_masked: false,
    }
}

/// Before the first leader, nothing in any log.
pub fn fresh() -> ClusterView {
    let mut view = healthy(5);
    for node in &mut view.nodes {
        *node = NodeView {
            role: Role::Follower,
            term: Term(0),
            voted_for: None,
            leader: None,
            first_index: Index(1),
            last: LogPosition::ZERO,
            durable: Index(0),
            commit: Index(0),
            applied: Index(0),
            snapshot: Index(0),
            log_bytes: 0,
            terms: Vec::new(),
            digest: Digest(0),
            heartbeat: None,
            peers: Vec::new(),
            messages_in: 0,
            messages_out: 0,
            in_per_second: 0.0,
            out_per_second: 0.0,
            sync: Latency::default(),
            commit_latency: Latency::default(),
            ..follower(node.id.0)
        };
    }
    view.nodes[4].life = Life::Starting;
    view.now_us = 80_000;
    view.real_us = 400_000;
    view.clients = ClientsView::default();
    view.writes = WritesStand::Stalled { why: String::from("no leader yet: n1 to n4 wait for an election timeout") };
    view
}

/// Entries on their way: n2 is slow, n5 was crashed twelve seconds ago, a load runs.
pub fn busy() -> ClusterView {
    let mut view = healthy(5);
    for node in &mut view.nodes {
        node.commit = Index(128);
        node.applied = Index(128);
    }
    view.nodes[0].applied = Index(127);
    let slow = &mut view.nodes[1];
    (slow.last, slow.durable, slow.applied) = (LogPosition::new(129, 7), Index(129), Index(125));
    slow.sync.p99_us = Some(61_000);
    view.nodes[2].durable = Index(130);
    view.nodes[2].peers[1] = PeerStatus { in_flight_messages: 2, in_flight_bytes: 120, ..peer(2, 127) };
    view.nodes[2].peers[3] = PeerStatus { mode: Mode::Probe, silent_ticks: 240, ..peer(5, 117) };
    let down = &mut view.nodes[4];
    down.life = Life::Crashed { at_us: view.real_us - 12_400_000 };
    (down.term, down.voted_for, down.leader) = (Term(6), Some(id(1)), Some(id(1)));
    (down.last, down.durable) = (LogPosition::new(117, 6), Index(117));
    (down.commit, down.applied) = (Index(117), Index(117));
    down.terms = runs(&[(97, 5), (104, 6)]);
    down.digest = Digest(0x1140_77aa << 96);
    view.faults = vec![ActiveFault {
        number: 1,
        text: String::from("delay n3>n2 80ms"),
        since_us: 31_790_000,
        left_us: None,
        by: None,
    }];
    view.links = vec![LinkState {
        links: Links::One { from: id(3), to: id(2) },
        rule: LinkRule::Delay { delay_us: 80_000, jitter_us: 0 },
    }];
    view.load = Some(LoadView { per_second: 20, left_us: Some(4_200_000) });
    view.clients.waiting = 3;
    view
}

/// The leader was crashed; n4 asks for votes.
pub fn election() -> ClusterView {
    let mut view = healthy(5);
    let down = &mut view.nodes[2];
    down.life = Life::Crashed { at_us: view.real_us - 2_100_000 };
    let candidate = &mut view.nodes[3];
    candidate.role = Role::Candidate;
    candidate.term = Term(8);
    candidate.voted_for = Some(id(4));
    candidate.leader = None;
    candidate.votes = vec![id(4), id(1)];
    view.nodes[0].term = Term(8);
    view.nodes[0].voted_for = Some(id(4));
    view.nodes[0].leader = None;
    view.nodes[1].leader = None;
    view.nodes[1].role = Role::PreCandidate;
    view.nodes[1].votes = vec![id(2)];
    view.clients.applied_per_second = 0.0;
    view.clients.waiting = 2;
    let why = "no leader: n4 asks for votes in term 8 and has 2 of 3";
    view.writes = WritesStand::Stalled { why: String::from(why) };
    view
}

/// n1 and n2 are cut off; n1 still thinks that it leads, and both sides have written.
pub fn partitioned() -> ClusterView {
    let mut view = healthy(5);
    let mut old = leader(1, 5);
    old.term = Term(6);
    old.terms = runs(&[(97, 5), (104, 6)]);
    old.last = LogPosition::new(126, 6);
    (old.durable, old.commit, old.applied) = (Index(126), Index(122), Index(122));
    old.peers = vec![
        peer(2, 126),
        PeerStatus { silent_ticks: 29, mode: Mode::Probe, ..peer(3, 122) },
        PeerStatus { silent_ticks: 29, mode: Mode::Probe, ..peer(4, 122) },
        PeerStatus { silent_ticks: 29, mode: Mode::Probe, ..peer(5, 122) },
    ];
    let mut cut = follower(2);
    (cut.term, cut.leader, cut.voted_for) = (Term(6), Some(id(1)), Some(id(1)));
    cut.terms.clone_from(&old.terms);
    cut.last = old.last;
    (cut.durable, cut.commit, cut.applied) = (Index(126), Index(122), Index(122));
    view.nodes[0] = old;
    view.nodes[1] = cut;
    for place in [0, 1] {
        view.nodes[place].digest = Digest(0x77de_0042 << 96);
        view.nodes[2].peers[place] = PeerStatus { mode: Mode::Probe, silent_ticks: 310, ..peer(place as u64 + 1, 122) };
    }
    view.faults = vec![ActiveFault {
        number: 1,
        text: String::from("partition 1,2/3,4,5"),
        since_us: 38_400_000,
        left_us: None,
        by: None,
    }];
    for one in [1, 2] {
        for other in [3, 4, 5] {
            view.links
                .push(LinkState { links: Links::Between(id(one), id(other)), rule: LinkRule::Cut { kind: None } });
        }
    }
    view
}

/// n2 lost part of its log and is not trusted; n4's disk failed; n1 gets a snapshot.
pub fn broken_disks() -> ClusterView {
    let mut view = healthy(5);
    view.nodes[0].receiving = Some((71_000, 100_000));
    (view.nodes[0].last, view.nodes[0].first_index) = (LogPosition::ZERO, Index(1));
    (view.nodes[0].applied, view.nodes[0].commit, view.nodes[0].durable) = (Index(0), Index(0), Index(0));
    view.nodes[0].terms = Vec::new();
    view.nodes[0].snapshot = Index(0);
    view.nodes[2].peers[0] =
        PeerStatus { mode: Mode::Snapshot, snapshot: Some((71_000, 100_000)), match_index: Index(0), ..peer(1, 0) };
    view.nodes[1].quarantined = true;
    view.nodes[1].epoch = Epoch(2);
    view.nodes[1].last = LogPosition::new(119, 6);
    view.nodes[1].terms = runs(&[(97, 5), (104, 6)]);
    (view.nodes[1].applied, view.nodes[1].commit, view.nodes[1].durable) = (Index(110), Index(110), Index(119));
    view.nodes[1].notes =
        vec![String::from("the store promised 131 and holds 119: quarantined until the leader refills it")];
    view.nodes[2].peers[1].counted = false;
    let why = "the disk refused a write (input/output error): restart n4 when it is repaired";
    view.nodes[3].life = Life::Halted { why: String::from(why) };
    view.writes =
        WritesStand::Stalled { why: String::from("n3 reaches only n5 with a log that counts: 2 of 3 needed") };
    view
}

/// The clock stands still.
pub fn stopped() -> ClusterView {
    let mut view = busy();
    view.stopped = true;
    view
}

fn reach(number: u64, age_us: u64) -> Reach {
    Reach {
        address: format!("10.0.0.{number}:7300"),
        age_us: Some(age_us),
        round_trip_us: Some(1_400 + number * 180),
        version: String::from("0.2.0"),
        chaos: Some(true),
    }
}

/// Five nodes that run elsewhere under n3, all heard; the console only watches.
pub fn attached() -> ClusterView {
    let mut view = healthy(5);
    view.name = String::from("prod-eu");
    view.pace = Pace::REAL;
    view.data_dir = String::new();
    view.held = Held::Remote;
    view.mode = ControlMode::Observe;
    view.console_bytes_per_second = Some(12_300);
    for node in &mut view.nodes {
        node.reach = Some(reach(node.id.0, 80_000 + node.id.0 * 10_000));
    }
    view
}

/// The same with n2's picture old, n4 paused, n5 silent, and two alarms.
pub fn half_heard() -> ClusterView {
    let mut view = attached();
    view.nodes[1].reach = Some(reach(2, 3_200_000));
    view.nodes[3].life = Life::Paused;
    let why = String::from("connection refused");
    view.nodes[4].life = Life::Unreachable { since_us: view.real_us - 12_400_000, why };
    view.nodes[4].reach = Some(reach(5, 12_900_000));
    view.nodes[4].last = LogPosition::new(117, 6);
    view.nodes[4].terms = runs(&[(97, 5), (104, 6)]);
    let alarm = |node, text: &str| Alarm { node: id(node), text: String::from(text) };
    view.alarms = vec![
        alarm(1, "clock is 4.1 s ahead of n3: set it right"),
        alarm(3, "n5 came with another store: it was wiped, remove it and add it anew"),
    ];
    view
}

/// Armed for a drill, with a fault of one's own and one of somebody else.
pub fn drill() -> ClusterView {
    let mut view = attached();
    view.mode = ControlMode::Armed { access: Access::Chaos, left_us: 598_000_000, reason: String::from("game day 7") };
    view.faults = vec![
        ActiveFault {
            number: 1,
            text: String::from("delay n3>n2 80ms"),
            since_us: 31_790_000,
            left_us: Some(41_600_000),
            by: Some(String::from("alice")),
        },
        ActiveFault {
            number: 2,
            text: String::from("loss n1 20%"),
            since_us: 36_200_000,
            left_us: Some(8_300_000),
            by: None,
        },
    ];
    view.links = vec![LinkState {
        links: Links::One { from: id(3), to: id(2) },
        rule: LinkRule::Delay { delay_us: 80_000, jitter_us: 0 },
    }];
    view
}

/// n5 was never heard.
pub fn never_heard() -> ClusterView {
    let mut view = attached();
    let why = String::from("no route to host");
    view.nodes[4] = NodeView {
        life: Life::Unreachable { since_us: 0, why },
        reach: Some(Reach { address: String::from("10.0.0.5:7300"), ..Reach::default() }),
        ..fresh().nodes[4].clone()
    };
    // Its leader has not met it either.
    view.nodes[2].peers.pop();
    view
}

fn happened(number: u64, at_us: u64, what: What) -> Observation {
    Observation::Happened(Arc::new(Happened { number, at_us, what }))
}

fn in_node(node: u64, term: u64, cause: Cause, kind: EventKind) -> What {
    What::Node { node: id(node), event: Event { term: Term(term), cause, kind } }
}

fn message(from: u64, number: u64, kind: MessageKind) -> Cause {
    Cause::Message { from: id(from), number, kind }
}

/// What was observed while n3 took over from n1, and a while after.
pub fn story() -> Vec<Observation> {
    let vote = MessageKind::RequestVoteReply;
    let mut out = vec![
        happened(1, 29_310_000, What::Life { node: id(1), life: Life::Crashed { at_us: 146_000_000 } }),
        happened(2, 29_560_000, in_node(3, 6, Cause::Tick, EventKind::ElectionTimeout { waited_ticks: 25 })),
        happened(3, 29_560_000, in_node(3, 6, Cause::Tick, EventKind::BecamePreCandidate { campaign_term: Term(7) })),
        happened(4, 29_590_000, in_node(3, 7, message(2, 88, MessageKind::PreVoteReply), EventKind::BecameCandidate)),
        happened(
            5,
            29_620_000,
            in_node(2, 7, message(3, 40, MessageKind::RequestVote), EventKind::Voted { candidate: id(3) }),
        ),
        happened(
            6,
            29_640_000,
            in_node(
                3,
                7,
                message(2, 90, vote),
                EventKind::VoteCounted { from: id(2), granted: true, pre: false, have: 2, need: 3 },
            ),
        ),
        happened(
            7,
            29_650_000,
            in_node(
                3,
                7,
                message(4, 71, vote),
                EventKind::VoteCounted { from: id(4), granted: true, pre: false, have: 3, need: 3 },
            ),
        ),
        happened(8, 29_650_000, in_node(3, 7, message(4, 71, vote), EventKind::BecameLeader)),
        happened(
            9,
            29_690_000,
            in_node(
                4,
                7,
                message(3, 44, MessageKind::AppendEntries),
                EventKind::BecameFollower { leader: Some(id(3)) },
            ),
        ),
        happened(10, 30_100_000, What::Faults { what: String::from("n3>n2 is delayed by 80ms") }),
        happened(11, 33_000_000, What::Life { node: id(1), life: Life::Running }),
        happened(12, 33_010_000, in_node(1, 6, Cause::Boot, EventKind::SteppedDown { why: StepDown::HigherTerm })),
        happened(
            13,
            33_120_000,
            in_node(
                1,
                7,
                message(3, 61, MessageKind::AppendEntries),
                EventKind::Truncated { from: Index(123), to: Index(126) },
            ),
        ),
    ];
    for step in 0..12u64 {
        let at_us = 34_000_000 + step * 640_000;
        let index = Index(120 + step);
        out.push(happened(
            14 + 2 * step,
            at_us,
            in_node(3, 7, message(4, 80 + step, MessageKind::AppendEntriesReply), EventKind::Committed { index }),
        ));
        out.push(happened(
            15 + 2 * step,
            at_us + 4_000,
            What::Applied { node: id(3), index, after: Index(index.0 - 1), command: format!("SET k{step} v{step}") },
        ));
    }
    out.push(happened(
        40,
        41_790_000,
        What::Dropped { from: id(3), to: id(2), kind: MessageKind::AppendEntries, count: 4 },
    ));
    out
}

/// An answer to operation 1.
pub fn applied() -> Observation {
    let answer =
        Answer::Applied { index: Index(132), term: Term(7), reply: Bytes::from_static(b"OK"), took_us: 31_000 };
    Observation::Answered { id: 1, answer }
}

/// Strings that try to do something to the terminal, or to hide.
pub const HOSTILE: [&str; 10] = [
    "\x1b[2J\x1b[H cleared",
    "\x1b]52;c;cm0gLXJm\x07",
    "bell\x07 and \x08 and \x0b",
    "c1 \u{9b}31m red \u{9d}0;title\u{9c}",
    "right to left \u{202e}evil\u{202c} and \u{2066}iso\u{2069}",
    "two\nlines\r\nand\ta tab",
    "zero\u{200b}width\u{feff}\u{2060}",
    "tags \u{e0041}\u{e0042}",
    "wide 漢字 and e\u{301} and 👩‍👩‍👧",
    "\x7f\u{2028}\u{2029}\u{85}",
];

/// A view in which each text is hostile.
pub fn hostile(text: &str) -> ClusterView {
    let mut view = busy();
    text.clone_into(&mut view.name);
    text.clone_into(&mut view.data_dir);
    text.clone_into(&mut view.faults[0].text);
    view.nodes[3].life = Life::Halted { why: text.to_owned() };
    view.nodes[0].notes = vec![text.to_owned()];
    view.writes = WritesStand::Stalled { why: text.to_owned() };
    view
}

/// The same of a cluster that runs elsewhere: each text that another computer sends is hostile.
pub fn hostile_attached(text: &str) -> ClusterView {
    let mut view = drill();
    text.clone_into(&mut view.name);
    for fault in &mut view.faults {
        text.clone_into(&mut fault.text);
        fault.by = fault.by.as_ref().map(|_| text.to_owned());
    }
    for node in &mut view.nodes {
        let reach = node.reach.get_or_insert_default();
        text.clone_into(&mut reach.address);
        text.clone_into(&mut reach.version);
        node.notes = vec![text.to_owned()];
    }
    view.nodes[4].life = Life::Unreachable { since_us: 0, why: text.to_owned() };
    view.alarms = vec![Alarm { node: id(1), text: text.to_owned() }, Alarm { node: id(4), text: text.to_owned() }];
    view.mode = ControlMode::Armed { access: Access::Chaos, left_us: 598_000_000, reason: text.to_owned() };
    view.writes = WritesStand::Stalled { why: text.to_owned() };
    view
}
