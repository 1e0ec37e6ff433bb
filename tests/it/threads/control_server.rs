use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use raft_tui::control::What;
use raft_tui::control::access::ChaosKeys;
use raft_tui::control::audit::{self, Audit};
use raft_tui::control::operation::Access;
use raft_tui::control::protocol::{Detail, FromConsole, FromNode, Refusal, Reply, Standing, Wish};
use raft_tui::raft::{Epoch, Index, NodeId, Role, Term};
use raft_tui::transport::net::Wire;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::support::consoles::{
    BOTH, Console, Fake, Greeting, HERE, Refused, Stand, cut, every_wish, follows, lock, server, tapped, token, tokens,
};

/// What happens while a console reads nothing.
const NEWS: u64 = 20_000;

const NO_KEYS: ChaosKeys = ChaosKeys { cluster: false, node: false };

fn viewer() -> Greeting {
    Greeting::new(Access::Viewer, None)
}

fn operator() -> Greeting {
    Greeting::new(Access::Operator, None)
}

fn set(text: &'static str) -> Wish {
    Wish::Submit { command: Bytes::from_static(text.as_bytes()) }
}

/// Whether whoever is on the other side has let go.
async fn is_closed(wire: &mut Wire) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_mins(2), wire.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_console_is_told_whom_it_has_reached() {
    let stand = Stand::new(NO_KEYS, None);
    let console = stand.enter(viewer()).await.expect("it is let in");
    let welcome = console.welcome;
    assert_eq!((welcome.node, welcome.cluster, welcome.name.as_str()), (NodeId(3), 12, "demo"));
    assert_eq!((welcome.access, welcome.chaos, welcome.insecure), (Access::Viewer, false, false));
    assert_eq!(welcome.members.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn versions_must_overlap() {
    let stand = Stand::new(NO_KEYS, None);
    let newer = stand.enter(Greeting { versions: (2, 9), ..viewer() }).await.err();
    assert_eq!(newer, Some(Refused::Said(Refusal::Version)));
    let older = stand.enter(Greeting { versions: (0, 0), ..viewer() }).await.err();
    assert_eq!(older, Some(Refused::Said(Refusal::Version)));
    assert!(stand.enter(Greeting { versions: (0, 9), ..viewer() }).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_name_is_small_and_plain() {
    let stand = Stand::new(NO_KEYS, None);
    for name in ["", "two words", "\u{1b}[31m", &"x".repeat(65)] {
        let refused = stand.enter(Greeting { name: name.into(), ..viewer() }).await.err();
        assert_eq!(refused, Some(Refused::Said(Refusal::NotAConsole)), "{name:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_viewer_who_sends_every_wish_changes_nothing() {
    for tokens in [None, Some(tokens())] {
        let with_token = tokens.is_some().then(|| token(1));
        let stand = Stand::new(BOTH, tokens);
        let mut console = stand.enter(Greeting::new(Access::Viewer, with_token)).await.expect("it is let in");
        let mut refused = 0;
        for wish in every_wish() {
            match console.ask(wish.clone()).await {
                Reply::Refused { .. } => refused += 1,
                Reply::Value { .. } => assert!(matches!(wish, Wish::Read { .. })),
                Reply::Done(_) => assert_eq!(wish, Wish::Disarm),
                other => panic!("{wish:?} got {other:?}"),
            }
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(refused, every_wish().len() - 3, "all but two reads and a disarm");
        assert!(stand.node.is_untouched());
    }
}

#[tokio::test(start_paused = true)]
async fn an_operator_submits_unarmed_and_breaks_nothing_even_armed() {
    let stand = Stand::new(BOTH, None);
    let mut console = stand.enter(operator()).await.expect("it is let in");
    assert!(matches!(console.ask(set("SET a 1")).await, Reply::Applied { .. }));
    let arm = Wish::Arm { access: Access::Operator, duration_ms: 60_000, reason: "a test".into() };
    assert!(matches!(console.ask(arm).await, Reply::Done(_)));
    for wish in [cut(1, 1_000), Wish::FailDisk, Wish::Crash, Wish::HealAll] {
        assert!(matches!(console.ask(wish).await, Reply::Refused { .. }));
    }
    sleep(Duration::from_secs(1)).await;
    assert!(lock(&stand.node.rules).0.is_clean() && stand.node.crashes.load(Ordering::Relaxed) == 0);
}

#[tokio::test(start_paused = true)]
async fn faults_take_both_keys_a_token_and_an_armed_session() {
    for (cluster, node) in [(false, false), (true, false), (false, true)] {
        let stand = Stand::new(ChaosKeys { cluster, node }, Some(tokens()));
        let refused = stand.enter(Greeting::new(Access::Chaos, Some(token(3)))).await.err();
        assert_eq!(refused, Some(Refused::Said(Refusal::ChaosDisabled)), "keys {cluster} {node}");
    }
    let stand = Stand::new(BOTH, None);
    let without_tokens = stand.enter(Greeting::new(Access::Chaos, None)).await.err();
    assert_eq!(without_tokens, Some(Refused::Said(Refusal::NotAllowed)), "chaos always takes a token");

    let stand = Stand::new(BOTH, Some(tokens()));
    let mut console = stand.enter(Greeting::new(Access::Chaos, Some(token(3)))).await.expect("it is let in");
    assert!(matches!(console.ask(cut(1, 60_000)).await, Reply::Refused { .. }), "not armed yet");
    let arm = Wish::Arm { access: Access::Chaos, duration_ms: 5_000, reason: "a drill".into() };
    assert!(matches!(console.ask(arm).await, Reply::Done(_)));
    assert!(matches!(console.ask(cut(1, 60_000)).await, Reply::Done(_)));
    assert!(lock(&stand.node.rules).0.is_cut(NodeId(3), NodeId(1)));
    sleep(Duration::from_millis(5_100)).await;
    assert!(matches!(console.ask(cut(2, 60_000)).await, Reply::Refused { .. }), "no longer armed");
    assert!(matches!(console.ask(Wish::HealAll).await, Reply::Done(_)), "healing needs no arming");
    assert!(lock(&stand.node.rules).0.is_clean());
}

#[tokio::test(start_paused = true)]
async fn a_token_allows_what_it_says_and_no_more() {
    let stand = Stand::new(BOTH, Some(tokens()));
    let refused = Some(Refused::Said(Refusal::NotAllowed));
    for (access, number) in [(Access::Operator, 1), (Access::Chaos, 1), (Access::Chaos, 2), (Access::Viewer, 99)] {
        assert_eq!(stand.enter(Greeting::new(access, Some(token(number)))).await.err(), refused, "{access} {number}");
    }
    assert_eq!(stand.enter(Greeting::new(Access::Viewer, None)).await.err(), refused, "a token is wanted");
    for (access, number) in [(Access::Viewer, 1), (Access::Viewer, 3), (Access::Operator, 2), (Access::Chaos, 3)] {
        assert!(stand.enter(Greeting::new(access, Some(token(number)))).await.is_ok(), "{access} {number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proof_that_was_overheard_opens_nothing() {
    let stand = Stand::new(BOTH, Some(tokens()));
    let greeting = Greeting::new(Access::Operator, Some(token(2)));
    let nonce = [7; 32];
    let prove = |claim: &_| raft_tui::control::tokens::proof(&token(2), claim);
    let good = Console::enter_with(stand.dial(), greeting.clone(), nonce, prove).await.expect("it is let in");
    let overheard = good.proof.clone();
    let replayed = Console::enter_with(stand.dial(), greeting, nonce, |_| overheard).await.err();
    assert_eq!(replayed, Some(Refused::Said(Refusal::NotAllowed)));
}

#[tokio::test(start_paused = true)]
async fn a_session_belongs_to_whose_token_began_it() {
    let stand = Stand::new(BOTH, Some(tokens()));
    let cora = stand.breaker(5).await;
    let carl = Greeting { session: 5, ..Greeting::new(Access::Chaos, Some(token(4))) };
    assert_eq!(stand.enter(carl).await.err(), Some(Refused::Said(Refusal::NotAllowed)));
    let again = Greeting { session: 5, ..Greeting::new(Access::Viewer, Some(token(3))) };
    let mut again = stand.enter(again).await.expect("her own session");
    assert!(
        matches!(again.ask_as(2, None, cut(1, 1_000)).await, Reply::Refused { .. }),
        "less access, though the session is armed"
    );
    drop(cora);
}

#[tokio::test(start_paused = true)]
async fn a_request_acts_once_however_often_it_comes() {
    let stand = Stand::new(NO_KEYS, None);
    let greeting = operator();
    let mut one = stand.enter(greeting.clone()).await.expect("it is let in");
    let mut other = stand.enter(greeting).await.expect("it is let in");
    let first = one.ask_as(7, None, set("SET a 1")).await;
    assert_eq!(one.ask_as(7, None, set("SET a 1")).await, first);
    assert_eq!(other.ask_as(7, None, set("SET a 2")).await, first, "over another connection, whatever it says");
    assert_eq!(lock(&stand.node.submitted).len(), 1);
    let mut stranger = stand.enter(operator()).await.expect("it is let in");
    stranger.ask_as(7, None, set("SET b 1")).await;
    assert_eq!(lock(&stand.node.submitted).len(), 2, "numbers are those of a session");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_under_way_is_joined_also_after_its_connection_broke() {
    let gate = Arc::<Notify>::default();
    let node = Fake { gate: Some(Arc::clone(&gate)), ..Fake::default() };
    let stand = Stand::with(node, NO_KEYS, None, Audit::none());
    let greeting = operator();
    let mut one = stand.enter(greeting.clone()).await.expect("it is let in");
    one.say(&FromConsole::Ask { request: 1, decided_on: None, wish: set("SET a 1") }).await;
    while lock(&stand.node.submitted).is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    drop(one);
    let mut other = stand.enter(greeting).await.expect("it is let in");
    other.say(&FromConsole::Ask { request: 1, decided_on: None, wish: set("SET a 1") }).await;
    sleep(Duration::from_millis(10)).await;
    gate.notify_one();
    assert!(matches!(other.answer(1).await, Reply::Applied { .. }));
    assert_eq!(lock(&stand.node.submitted).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn many_requests_are_under_way_at_once_and_one_more_is_told_busy_and_may_come_again() {
    let gate = Arc::<Notify>::default();
    let node = Fake { gate: Some(Arc::clone(&gate)), ..Fake::default() };
    let stand = Stand::with(node, NO_KEYS, None, Audit::none());
    let mut console = stand.enter(operator()).await.expect("it is let in");
    for request in 1..=1_024 {
        console.say(&FromConsole::Ask { request, decided_on: None, wish: set("SET a 1") }).await;
    }
    let busy = console.ask_as(1_025, None, set("SET a 1")).await;
    assert!(matches!(busy, Reply::Busy { .. }), "{busy:?}");
    assert_eq!(lock(&stand.node.submitted).len(), 1_024);
    // Virtual time passes when nobody has anything to do: by then all of them wait at the gate.
    sleep(Duration::from_millis(10)).await;
    gate.notify_waiters();
    console.answer(1_024).await;
    console.say(&FromConsole::Ask { request: 1_025, decided_on: None, wish: set("SET a 1") }).await;
    while lock(&stand.node.submitted).len() < 1_025 {
        sleep(Duration::from_millis(1)).await;
    }
    gate.notify_one();
    assert!(matches!(console.answer(1_025).await, Reply::Applied { .. }));
}

#[tokio::test(start_paused = true)]
async fn what_is_long_forgotten_is_not_acted_on_again() {
    let stand = Stand::new(NO_KEYS, None);
    let mut console = stand.enter(operator()).await.expect("it is let in");
    for request in 1..=5_000 {
        console.ask_as(request, None, set("SET a 1")).await;
    }
    let again = console.ask_as(1, None, set("SET a 1")).await;
    assert!(matches!(again, Reply::Unknown { .. }), "{again:?}");
    assert_eq!(lock(&stand.node.submitted).len(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn what_was_decided_on_old_facts_is_refused_with_the_new_ones() {
    let stand = Stand::new(NO_KEYS, None);
    let mut console = stand.enter(operator()).await.expect("it is let in");
    let led = Standing { term: Term(7), role: Role::Leader, ..follows() };
    let refused = console.ask_as(1, Some(led), set("SET a 1")).await;
    let why = "n3 no longer leads: it follows n1 in term 8".to_owned();
    assert_eq!(refused, Reply::Refused { why });
    assert!(lock(&stand.node.submitted).is_empty());
    let other_life = Standing { epoch: Epoch(9), ..follows() };
    let refused = console.ask_as(2, Some(other_life), set("SET a 1")).await;
    assert!(matches!(&refused, Reply::Refused { why } if why.contains("has started again")), "{refused:?}");
    assert!(lock(&stand.node.submitted).is_empty());
    // A follower is one in any term, and while it campaigns.
    let campaigned = Standing { term: Term(7), role: Role::Candidate, ..follows() };
    for (request, standing) in [(3, follows()), (4, campaigned)] {
        assert!(matches!(console.ask_as(request, Some(standing), set("SET a 1")).await, Reply::Applied { .. }));
    }
    let leads = |term| Standing { term: Term(term), role: Role::Leader, ..follows() };
    assert!(leads(8).holds(leads(8)) && !leads(7).holds(leads(8)) && !follows().holds(leads(8)));
}

#[tokio::test(start_paused = true)]
async fn faults_end_with_their_time() {
    let stand = Stand::new(BOTH, Some(tokens()));
    let mut console = stand.breaker(1).await;
    console.ask(cut(1, 3_000)).await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        console.ask(Wish::HealFault { fault: 99 }).await;
        assert!(lock(&stand.node.rules).0.is_cut(NodeId(1), NodeId(3)), "after {:?}", began.elapsed());
        sleep(Duration::from_millis(500)).await;
    }
    sleep(Duration::from_millis(1_500)).await;
    assert!(lock(&stand.node.rules).0.is_clean());
    let too_long = console.ask(cut(1, 600_001)).await;
    assert!(matches!(too_long, Reply::Refused { .. }), "{too_long:?}");
}

#[tokio::test(start_paused = true)]
async fn faults_end_soon_after_their_session_fell_silent_and_only_its_own() {
    let stand = Stand::new(BOTH, Some(tokens()));
    let mut silent = stand.breaker(1).await;
    let mut talks = stand.breaker(2).await;
    silent.ask(cut(1, 600_000)).await;
    let mut slow = cut(1, 600_000);
    if let Wish::Fault(fault) = &mut slow {
        (fault.links, fault.disk_delay_us) = (Vec::new(), Some(40_000));
    }
    talks.ask(slow).await;
    assert!(lock(&stand.node.rules).0.is_cut(NodeId(1), NodeId(3)));
    // The connection is still there: it is words that count.
    for _ in 0..10 {
        sleep(Duration::from_secs(2)).await;
        talks.say(&FromConsole::Alive { echo: 1 }).await;
    }
    let (rules, disk) = lock(&stand.node.rules).clone();
    assert!(rules.is_clean(), "its console has said nothing for 20 s");
    assert_eq!(disk, Some(40_000), "this one's has");
    drop(talks);
    sleep(Duration::from_secs(12)).await;
    assert_eq!(lock(&stand.node.rules).1, None);
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn pictures_come_whole_then_in_parts_and_say_what_is_in_force() {
    let stand = Stand::new(BOTH, Some(tokens()));
    let mut console = stand.breaker(1).await;
    console.say(&FromConsole::Follow(Detail::Pictures { every_ms: 50 })).await;
    let first = console.look().await;
    assert_eq!((first.consoles, first.members.len(), first.faults.len()), (1, 3, 0));
    console.ask(cut(4, 60_000)).await;
    let mut then = console.look().await;
    while then.faults.is_empty() {
        then = console.look().await;
    }
    assert_eq!((then.faults[0].number, then.faults[0].by.as_str()), (4, "cora"));
    let numbers: Vec<_> = console
        .heard
        .iter()
        .filter_map(|message| match message {
            FromNode::Picture { number, .. } | FromNode::Change { number, .. } => Some(*number),
            _ => None,
        })
        .collect();
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    let whole = console.heard.iter().filter(|message| matches!(message, FromNode::Picture { .. })).count();
    assert_eq!(whole, 1);
}

#[tokio::test(start_paused = true)]
async fn commands_are_told_to_whom_they_matter_and_wanted_only_while_he_is_there() {
    let stand = Stand::new(NO_KEYS, None);
    let enter = async |stand: &Stand| stand.enter(viewer()).await.expect("it is let in");
    let (mut all, mut some) = (enter(&stand).await, enter(&stand).await);
    some.say(&FromConsole::Follow(Detail::Events { every_ms: 20 })).await;
    some.look().await;
    assert!(stand.news.is_heard() && !stand.news.wants_commands());
    all.say(&FromConsole::Follow(Detail::Everything { every_ms: 20 })).await;
    all.look().await;
    assert!(stand.news.wants_commands());
    let command = What::Applied { node: NodeId(3), index: Index(2), after: Index(1), command: "SET a 1".into() };
    stand.news.tell(1, command);
    stand.news.tell(2, What::Faults { what: "news".into() });
    for (console, expected) in [(&mut all, 2), (&mut some, 1)] {
        let mut told = 0;
        loop {
            match console.hear().await.expect("it is not closed") {
                FromNode::Happened(happened) if matches!(happened.what, What::Faults { .. }) => break,
                FromNode::Happened(_) => told += 1,
                _ => {}
            }
        }
        assert_eq!(told + 1, expected);
    }
    all.say(&FromConsole::Follow(Detail::Events { every_ms: 20 })).await;
    all.look().await;
    assert!(stand.news.is_heard() && !stand.news.wants_commands());
}

#[tokio::test(start_paused = true)]
async fn a_slow_console_misses_news_is_told_so_and_keeps_nobody_waiting() {
    let stand = Stand::new(NO_KEYS, None);
    let mut slow = stand.enter(viewer()).await.expect("it is let in");
    slow.say(&FromConsole::Follow(Detail::Everything { every_ms: 20 })).await;
    slow.look().await;
    for number in 0..NEWS {
        stand.news.tell(number, What::Faults { what: format!("news {number}") });
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    // Another is served meanwhile.
    let mut other = stand.enter(operator()).await.expect("it is let in");
    assert!(matches!(other.ask(set("SET a 1")).await, Reply::Applied { .. }));
    let (mut heard, mut missed) = (0, 0);
    while heard + missed < NEWS {
        match slow.hear().await.expect("it is not closed") {
            FromNode::Happened(_) => heard += 1,
            FromNode::Missed { count } => missed += count,
            _ => {}
        }
    }
    assert_eq!(heard + missed, NEWS);
    assert!(missed > 0, "the pipe holds far less than {NEWS} news");
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_is_cut_off_and_so_is_who_says_nothing() {
    let stand = Stand::new(NO_KEYS, None);
    let mut stalled = stand.enter(viewer()).await.expect("it is let in");
    stalled.say(&FromConsole::Follow(Detail::Everything { every_ms: 20 })).await;
    for number in 0..5_000 {
        stand.news.tell(number, What::Faults { what: "something that takes some room in the pipe".into() });
    }
    sleep(Duration::from_secs(8)).await;
    let mut end = 0;
    while stalled.hear().await.is_some() {
        end += 1;
    }
    assert!(end < 5_000, "what fitted into the pipe, then the end");

    let mut idle = stand.enter(viewer()).await.expect("it is let in");
    let began = Instant::now();
    assert!(tokio::time::timeout(Duration::from_secs(90), idle.reader.next::<FromNode>()).await.is_ok(), "closed");
    assert!(began.elapsed() >= Duration::from_secs(59), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nonsense_is_closed_and_the_server_serves_on() {
    let stand = Stand::new(NO_KEYS, None);
    let long = 2_000_u32.to_be_bytes();
    let altered = [&12_u32.to_be_bytes()[..], &[0; 12]].concat();
    let nonsense: [&[u8]; 6] = [b"GET / HTTP/1.1\r\n\r\n", &long, &altered, &[0xff; 4096], b"", &[0, 0, 0, 200, 1, 2]];
    for bytes in nonsense {
        let mut wire = stand.dial();
        // It may be closed before all is written.
        let _ = wire.write_all(bytes).await;
        assert!(is_closed(&mut wire).await, "{bytes:?}");
    }
    // After the handshake: a frame that is too long, one that never ends, one that is no message.
    for bytes in [&(2_u32 << 20).to_be_bytes()[..], &[0, 0, 1, 0, 9, 9], &altered] {
        let (wire, put) = tapped(stand.dial());
        let mut console = Console::enter(wire, viewer()).await.expect("it is let in");
        put.send(bytes.to_vec()).expect("the wire is there");
        let began = Instant::now();
        assert!(console.hear().await.is_none(), "{bytes:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    assert!(stand.enter(viewer()).await.is_ok());
    assert!(stand.node.is_untouched());
}

#[tokio::test(start_paused = true)]
async fn thousands_who_say_nothing_keep_nobody_out() {
    let stand = Stand::new(NO_KEYS, None);
    let crowd: Vec<_> = (0..10_000).map(|_| stand.dial()).collect();
    tokio::task::yield_now().await;
    let mut console = None;
    for _ in 0..50 {
        if let Ok(entered) = stand.enter(operator()).await {
            console = Some(entered);
            break;
        }
        sleep(Duration::from_millis(100)).await;
    }
    let mut console = console.expect("it is let in while they stand there");
    assert!(matches!(console.ask(set("SET a 1")).await, Reply::Applied { .. }));
    let mut closed = 0;
    for mut wire in crowd {
        closed += u64::from(is_closed(&mut wire).await);
    }
    assert_eq!(closed, 10_000);
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_so_many_and_for_few_of_one_address() {
    let stand = Stand::new(NO_KEYS, None);
    let mut inside = Vec::new();
    for _ in 0..64 {
        inside.push(stand.enter(viewer()).await.expect("there is room"));
    }
    assert_eq!(stand.enter(viewer()).await.err(), Some(Refused::Said(Refusal::Full)));
    inside.truncate(40);
    sleep(Duration::from_millis(10)).await;
    let far: IpAddr = "192.0.2.7".parse().expect("an address");
    let mut from_far = Vec::new();
    for _ in 0..8 {
        from_far.push(Console::enter(stand.dial_from(far), viewer()).await.expect("there is room"));
    }
    assert!(Console::enter(stand.dial_from(far), viewer()).await.is_err());
    assert!(Console::enter(stand.dial_from(HERE), viewer()).await.is_ok());
}

#[tokio::test]
async fn who_did_what_is_written_down_and_no_secret_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let (audit, writing) = Audit::open(folder.path()).expect("a log");
    let (spec, node) = {
        let node = Arc::new(Fake::default());
        (server(Arc::clone(&node), BOTH, Some(tokens()), audit, raft_tui::control::server::News::default()), node)
    };
    let net = Arc::new(raft_tui::transport::net::Tcp);
    let started = raft_tui::control::server::Server::start(net, "127.0.0.1:0".into(), spec).await.expect("it listens");
    let dial = || async { Box::new(tokio::net::TcpStream::connect(started.address()).await.expect("it is there")) };
    let wrong = Console::enter(dial().await, Greeting::new(Access::Chaos, Some(token(9)))).await;
    assert!(wrong.is_err());
    let mut console = Console::enter(dial().await, Greeting::new(Access::Chaos, Some(token(3)))).await.expect("in");
    console.ask(cut(1, 60_000)).await;
    let reason = "drill \u{1b}[2J of Tuesday".to_owned();
    console.ask(Wish::Arm { access: Access::Chaos, duration_ms: 60_000, reason }).await;
    console.ask(cut(1, 60_000)).await;
    console.ask(set("SET secret 1")).await;
    console.ask(Wish::HealAll).await;
    assert!(lock(&node.rules).0.is_clean());
    drop(console);
    drop(started);
    writing.finish();
    let text = std::fs::read_to_string(folder.path().join(audit::FILE)).expect("it is there");
    assert_eq!(audit::verify(&text), Ok(5), "{text}");
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let said = |line: usize, key: &str| lines[line][key].as_str().expect("a text").to_owned();
    assert_eq!((said(0, "who").as_str(), said(0, "what").as_str()), ("~test", "connect"));
    assert!(said(1, "result").starts_with("refused: arm first"), "{}", said(1, "result"));
    assert_eq!(said(2, "who"), "cora");
    assert!(said(2, "what").contains("of Tuesday") && !text.contains('\u{1b}'), "{text}");
    assert!(said(3, "what").starts_with("fault 1") && said(4, "what") == "heal", "{text}");
    assert!(!text.contains("SET secret"), "commands are not written down");
    for number in [3, 9] {
        assert!(!text.contains(&token(number).to_hex()));
        assert!(!format!("{:?}", tokens()).contains(&token(number).to_hex()));
    }
    let mut lines: Vec<_> = text.lines().collect();
    lines.remove(2);
    assert_eq!(audit::verify(&lines.join("\n")), Err(3), "a line that is missing is noticed");
    let mode = std::os::unix::fs::MetadataExt::mode(&folder.path().join(audit::FILE).metadata().expect("it is there"));
    assert_eq!(mode & 0o777, 0o600);
}
