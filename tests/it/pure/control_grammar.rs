use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::control::grammar::{HELP, WAIT_TIMEOUT_US, parse, print, read_line};
use raft_tui::control::{Condition, Level, LinkRule, Links, Operation, Pace, Target};
use raft_tui::machine::kv;
use raft_tui::raft::{Index, MessageKind, NodeId};

const N2: NodeId = NodeId(2);
const N3: NodeId = NodeId(3);
const N5: NodeId = NodeId(5);

fn command(line: &str) -> Bytes {
    kv::parse_command(line).expect("a command")
}

fn query(line: &str) -> Bytes {
    kv::parse_query(line).expect("a query")
}

fn wait(condition: Condition) -> Operation {
    Operation::Wait { condition, timeout_us: WAIT_TIMEOUT_US }
}

fn link(links: Links, rule: LinkRule) -> Operation {
    Operation::Link { links, rule }
}

const fn delay(delay_us: u64, jitter_us: u64) -> LinkRule {
    LinkRule::Delay { delay_us, jitter_us }
}

#[test]
fn every_line_that_is_promised_is_understood() {
    let one = Links::One { from: N3, to: N2 };
    let table = [
        ("wait leader", wait(Condition::Leader)),
        ("status", Operation::Status),
        ("submit SET k v", Operation::Submit { command: command("SET k v"), via: None }),
        ("submit via n2 SET k 'a b'", Operation::Submit { command: command("SET k 'a b'"), via: Some(N2) }),
        ("read k", Operation::Read { query: query("GET k"), via: None, level: Level::Linearizable }),
        ("read GET k", Operation::Read { query: query("GET k"), via: None, level: Level::Linearizable }),
        ("read LIST p", Operation::Read { query: query("LIST p"), via: None, level: Level::Linearizable }),
        ("read via 2 k", Operation::Read { query: query("GET k"), via: Some(N2), level: Level::Linearizable }),
        ("read local", Operation::Read { query: query("GET local"), via: None, level: Level::Linearizable }),
        ("read local k", Operation::Read { query: query("GET k"), via: None, level: Level::Local }),
        ("read Local via n2 LIST p", Operation::Read { query: query("LIST p"), via: Some(N2), level: Level::Local }),
        ("read local local", Operation::Read { query: query("GET local"), via: None, level: Level::Local }),
        ("crash leader", Operation::Crash(Target::Leader)),
        ("crash n2", Operation::Crash(Target::Node(N2))),
        ("crash 2", Operation::Crash(Target::Node(N2))),
        ("restart n2", Operation::Restart(Target::Node(N2))),
        ("restart all", Operation::Restart(Target::All)),
        ("isolate n3", Operation::Isolate(Target::Node(N3))),
        ("isolate leader", Operation::Isolate(Target::Leader)),
        ("partition 1,2/3,4,5", Operation::Partition(vec![vec![NodeId(1), N2], vec![N3, NodeId(4), N5]])),
        ("cut n3>n2", link(one, LinkRule::Cut { kind: None })),
        ("cut n2<n3", link(one, LinkRule::Cut { kind: None })),
        ("cut n3<>n2", link(Links::Between(N3, N2), LinkRule::Cut { kind: None })),
        ("cut n3", link(Links::Of(N3), LinkRule::Cut { kind: None })),
        ("cut n3>n2 type=RequestVoteReply", link(one, LinkRule::Cut { kind: Some(MessageKind::RequestVoteReply) })),
        ("cut all type=heartbeat", link(Links::All, LinkRule::Cut { kind: Some(MessageKind::Heartbeat) })),
        ("delay n3>n5 80ms", link(Links::One { from: N3, to: N5 }, delay(80_000, 0))),
        ("delay n3>n2 80ms jitter 10ms", link(one, delay(80_000, 10_000))),
        ("delay n3>n2 80ms+-10ms", link(one, delay(80_000, 10_000))),
        ("delay n3>n2 1.5s±250us", link(one, delay(1_500_000, 250))),
        ("loss n2 20%", link(Links::Of(N2), LinkRule::Loss { per_million: 200_000 })),
        ("duplicate n2 0.5%", link(Links::Of(N2), LinkRule::Duplicate { per_million: 5_000 })),
        ("reorder n3>n2 100%", link(one, LinkRule::Reorder { per_million: 1_000_000 })),
        ("heal", Operation::Heal),
        ("heal n3>n2", Operation::HealLinks(one)),
        ("heal all", Operation::Heal),
        ("load 200/s 5s", Operation::Load { per_second: 200, duration_us: Some(5_000_000) }),
        ("load 200/s", Operation::Load { per_second: 200, duration_us: None }),
        ("load stop", Operation::LoadStop),
        ("wait converged", wait(Condition::Converged)),
        ("wait converged timeout 10s", Operation::Wait { condition: Condition::Converged, timeout_us: 10_000_000 }),
        ("wait applied n3 120", wait(Condition::Applied { node: N3, index: Index(120) })),
        ("wait down n2", wait(Condition::Down(N2))),
        ("stop", Operation::Stop),
        ("resume", Operation::Resume),
        ("pace 1/10", Operation::Pace(Pace { cluster: 1, real: 10 })),
        ("pace real", Operation::Pace(Pace::REAL)),
        ("pace 2", Operation::Pace(Pace { cluster: 2, real: 1 })),
        ("pace 2x", Operation::Pace(Pace { cluster: 2, real: 1 })),
        ("slow-disk n2 50ms", Operation::SlowDisk { node: Target::Node(N2), delay_us: 50_000 }),
        ("slow-disk n2 0ms", Operation::SlowDisk { node: Target::Node(N2), delay_us: 0 }),
        ("fail-disk n2", Operation::FailDisk(Target::Node(N2))),
        ("quit", Operation::Quit),
        ("  CRASH   Leader\t", Operation::Crash(Target::Leader)),
    ];
    for (line, operation) in table {
        assert_eq!(parse(line).map_err(|error| error.to_string()), Ok(operation.clone()), "{line}");
        assert_eq!(parse(&print(&operation)).map_err(|error| error.to_string()), Ok(operation), "{line}");
    }
}

#[test]
fn errors_say_which_word_what_was_expected_and_what_to_try() {
    let table = [
        ("", 0, "nothing is written: expected a command, for example `status`"),
        ("crsh leader", 0, "`crsh` is no command: did you mean `crash`?"),
        ("cr\u{1b}ash", 0, "`cr\\x1bash` is no command: did you mean `crash`?"),
        ("set k v", 0, "`set` is no command here: write `submit SET k v`"),
        ("  kill n2", 2, "`kill` is no command here: write `crash n2`"),
        (
            "xyzzy",
            0,
            "`xyzzy` is no command: expected one of submit, read, crash, restart, pause, unpause, isolate, partition, \
             cut, delay, loss, duplicate, reorder, heal, slow-disk, fail-disk, load, wait, status, stop, resume, pace, \
             arm, disarm, quit",
        ),
        ("crash", 5, "something is missing after `crash`: expected a node, leader or all, for example `crash leader`"),
        ("crash n0", 6, "`n0`: expected a node, leader or all, for example `crash leader`"),
        ("crash n2 n3", 9, "`n3` is too much: nothing follows `crash n2`"),
        ("restart leader", 8, "`leader`: expected a node or all, for example `restart n2`"),
        ("partition 1,2/2,3", 10, "`1,2/2,3` is naming n2 twice: each node once, as in 1,2/3,4,5"),
        ("partition 1,,2", 10, "`1,,2` is missing a node: write 1,2 or 1,2/3,4,5, without spaces"),
        (
            "cut",
            3,
            "something is missing after `cut`: expected links: n3>n2, n3<>n2 for both directions, n3 for all of a node's, \
             or all, for example `cut n3>n2`",
        ),
        ("cut n3>n3", 4, "`n3>n3` is a link from a node to itself: write two nodes, as in n3>n2"),
        ("cut everything", 4, "`everything` is no node: write n1 or 1, counting from 1"),
        (
            "cut n3>n2 type=RequestVot",
            10,
            "`type=RequestVot`: expected a message after type=, perhaps RequestVote, for example `cut n3>n2`",
        ),
        (
            "cut n3>n2 votes",
            10,
            "`votes`: expected nothing, or type= and a message, such as type=RequestVoteReply, for example `cut n3>n2`",
        ),
        ("delay n3>n5 80", 12, "`80` is a number without a unit: write us, ms, s, m or h after it, as in 80ms"),
        (
            "delay n3>n5 80ms jitter",
            23,
            "something is missing after `delay n3>n5 80ms jitter`: expected how much longer it may take, for example \
             `delay n3>n5 80ms`",
        ),
        ("delay n3>n5 80ms jitter 1w", 24, "`1w` is no duration: write 250us, 80ms, 1.5s or 2m"),
        ("loss n2 20", 8, "`20` is no share: write 20% or 0.5%, four digits after the point at most"),
        ("loss n2 120%", 8, "`120%` is too much: at most 100%"),
        ("loss n2 -1%", 8, "`-1%` is no share: write 20% or 0.5%, four digits after the point at most"),
        ("load 200 5s", 5, "`200` is no rate: write a whole number a second, as in 200/s"),
        (
            "wait lader",
            5,
            "`lader`: expected leader, converged, applied NODE INDEX, or down NODE, for example `wait leader`",
        ),
        (
            "wait applied n3",
            15,
            "something is missing after `wait applied n3`: expected an index of the log, for example `wait applied n3 120`",
        ),
        ("wait applied n3 +1", 16, "`+1`: expected an index of the log, for example `wait applied n3 120`"),
        (
            "wait leader 10s",
            12,
            "`10s`: expected nothing, or timeout and a time, for example `wait converged timeout 10s`",
        ),
        ("pace 0", 5, "`0` is no pace: a clock that stands still is `stop`; write 1/10, 0.5, 2 or real"),
        ("pace 1/0", 5, "`1/0` is no pace: write 1/10, 0.5, 2 or real"),
        (
            "submit",
            6,
            "something is missing after `submit`: expected a command of the machine, for example `submit SET k v`",
        ),
        ("submit via nobody SET k v", 11, "`nobody` is no node: write n1 or 1, counting from 1"),
        ("read", 4, "something is missing after `read`: expected a key, or LIST and a prefix, for example `read k`"),
        ("status now", 7, "`now` is too much: nothing follows `status`"),
    ];
    for (line, at, text) in table {
        let error = parse(line).unwrap_err();
        assert_eq!(error.to_string(), text, "{line}");
        assert_eq!(error.at, at, "{line}");
    }
}

#[test]
fn the_machines_errors_come_through_with_their_place() {
    let error = parse("submit  FROB k v").unwrap_err();
    assert_eq!(error.at, 8);
    assert!(error.to_string().contains("FROB"), "{error}");
}

#[test]
fn empty_lines_and_comments_are_nothing() {
    assert_eq!(read_line(""), Ok(None));
    assert_eq!(read_line("   \t"), Ok(None));
    assert_eq!(read_line("  # wait leader"), Ok(None));
    assert_eq!(read_line("stop"), Ok(Some(Operation::Stop)));
}

#[test]
fn help_covers_every_command_that_the_error_lists() {
    let error = parse("xyzzy").unwrap_err().to_string();
    let list = error.split("one of ").nth(1).unwrap();
    for name in list.split(", ") {
        assert!(HELP.iter().any(|(usage, _)| usage.split(' ').next() == Some(name)), "{name} has no help");
    }
    for (usage, meaning) in HELP {
        assert!(list.split(", ").any(|name| usage.split(' ').next() == Some(name)), "{usage} is no command");
        assert!(meaning.len() < 110, "{usage}: too long for a line");
    }
}

fn node() -> impl Strategy<Value = NodeId> {
    (1_u64..30).prop_map(NodeId)
}

fn pair() -> impl Strategy<Value = (NodeId, NodeId)> {
    (node(), 1_u64..29)
        .prop_map(|(one, step)| (one, NodeId((one.0 + step - 1) % 29 + 1)))
        .prop_filter("two nodes", |(one, other)| one != other)
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![node().prop_map(Target::Node), Just(Target::Leader), Just(Target::All)]
}

fn links() -> impl Strategy<Value = Links> {
    prop_oneof![
        pair().prop_map(|(from, to)| Links::One { from, to }),
        pair().prop_map(|(one, other)| Links::Between(one, other)),
        node().prop_map(Links::Of),
        Just(Links::All),
    ]
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![
        0_u64..86_400_000_000,
        (0_u64..86_400_000).prop_map(|ms| ms * 1_000),
        (0_u64..86_400).prop_map(|s| s * 1_000_000)
    ]
}

fn rule() -> impl Strategy<Value = LinkRule> {
    let chance = || 0_u32..=1_000_000;
    prop_oneof![
        proptest::option::of(proptest::sample::select(MessageKind::ALL.to_vec()))
            .prop_map(|kind| LinkRule::Cut { kind }),
        (time(), time()).prop_map(|(delay_us, jitter_us)| LinkRule::Delay { delay_us, jitter_us }),
        chance().prop_map(|per_million| LinkRule::Loss { per_million }),
        chance().prop_map(|per_million| LinkRule::Duplicate { per_million }),
        chance().prop_map(|per_million| LinkRule::Reorder { per_million }),
    ]
}

fn groups() -> impl Strategy<Value = Vec<Vec<NodeId>>> {
    proptest::collection::vec(0_usize..3, 1..9).prop_map(|sides| {
        let mut groups = vec![Vec::new(); 3];
        for (side, id) in sides.into_iter().zip(1..) {
            groups[side].push(NodeId(id));
        }
        groups.retain(|group| !group.is_empty());
        groups
    })
}

fn condition() -> impl Strategy<Value = Condition> {
    prop_oneof![
        Just(Condition::Leader),
        Just(Condition::Converged),
        (node(), any::<u64>()).prop_map(|(node, index)| Condition::Applied { node, index: Index(index) }),
        node().prop_map(Condition::Down),
    ]
}

fn reduced(cluster: u32, real: u32) -> Pace {
    let common = (1..=cluster).rev().find(|n| cluster.is_multiple_of(*n) && real.is_multiple_of(*n)).unwrap_or(1);
    Pace { cluster: cluster / common, real: real / common }
}

fn operation() -> impl Strategy<Value = Operation> {
    let word = || "[a-zA-Z0-9 \"'\\\\\u{1b}ä]{1,12}";
    let via = || proptest::option::of(node());
    prop_oneof![
        (word(), word(), via()).prop_map(|(key, value, via)| {
            let line = format!(
                "SET {} {}",
                kv::print_word(key.as_bytes(), usize::MAX),
                kv::print_word(value.as_bytes(), usize::MAX)
            );
            Operation::Submit { command: command(&line), via }
        }),
        (word(), proptest::bool::ANY, via(), proptest::bool::ANY).prop_map(|(key, list, via, local)| {
            let verb = if list { "LIST" } else { "GET" };
            let line = format!("{verb} {}", kv::print_word(key.as_bytes(), usize::MAX));
            let level = if local { Level::Local } else { Level::Linearizable };
            Operation::Read { query: query(&line), via, level }
        }),
        target().prop_map(Operation::Crash),
        prop_oneof![node().prop_map(Target::Node), Just(Target::All)].prop_map(Operation::Restart),
        target().prop_map(Operation::Isolate),
        groups().prop_map(Operation::Partition),
        (links(), rule()).prop_map(|(links, rule)| Operation::Link { links, rule }),
        Just(Operation::Heal),
        links().prop_filter("heal all is heal", |links| *links != Links::All).prop_map(Operation::HealLinks),
        (target(), time()).prop_map(|(node, delay_us)| Operation::SlowDisk { node, delay_us }),
        target().prop_map(Operation::FailDisk),
        (1_u32..=1_000_000, proptest::option::of(time()))
            .prop_map(|(per_second, duration_us)| Operation::Load { per_second, duration_us }),
        Just(Operation::LoadStop),
        (condition(), time()).prop_map(|(condition, timeout_us)| Operation::Wait { condition, timeout_us }),
        Just(Operation::Status),
        Just(Operation::Stop),
        Just(Operation::Resume),
        (1_u32..=1_000, 1_u32..=1_000).prop_map(|(cluster, real)| Operation::Pace(reduced(cluster, real))),
        Just(Operation::Quit),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_reads_back_as_the_same(operation in operation()) {
        let line = print(&operation);
        prop_assert_eq!(parse(&line).map_err(|error| error.to_string()), Ok(operation), "{}", line);
    }

    #[test]
    fn no_line_makes_it_panic_and_every_error_is_safe_to_print(line in "\\PC{0,40}|(cut|delay|loss|wait|load|pace|partition|read|submit)[ -~\u{1b}é]{0,30}") {
        if let Err(error) = parse(&line) {
            prop_assert!(raft_tui::text::is_safe(&error.sentence), "{:?}", error.sentence);
            prop_assert!(error.at <= line.len());
        }
    }
}
