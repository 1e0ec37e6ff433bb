//! An attached cluster as a session, over nodes that say what the test tells them to.

use std::sync::Arc;

use raft_tui::cluster::Session;
use raft_tui::cluster::remote::{RemoteSpec, attach};
use raft_tui::control::protocol::{Detail, FromConsole, FromNode, Member, Reply, Welcome, Wish};
use raft_tui::control::{Access, Answer, Happened, Held, Life, Mode, NodeView, Observation, What, grammar};
use raft_tui::raft::{Index, NodeId, Role, Term};
use raft_tui::transport::net::Tcp;
use tokio::sync::mpsc;

use crate::support::scripted::{Scripted, Talk, picture, soon, welcome};

/// Node `id` of three: answers what it is asked with `reply`, and tells what it was asked.
struct Node {
    asked: mpsc::UnboundedReceiver<FromConsole>,
}

fn of_three(id: u64, addresses: &[String], leader: bool) -> (Welcome, NodeView) {
    let member = |(at, address): (usize, &String)| Member {
        id: NodeId(at as u64 + 1),
        peer_address: "127.0.0.1:1".into(),
        control_address: Some(address.clone()),
    };
    let members = addresses.iter().enumerate().map(member).collect();
    let welcome = Welcome { node: NodeId(id), access: Access::Chaos, chaos: true, members, ..welcome(1) };
    let role = if leader { Role::Leader } else { Role::Follower };
    let view = NodeView { id: NodeId(id), role, term: Term(4), ..picture(1, 1).view };
    (welcome, view)
}

fn serve(mut node: Scripted, welcome: Welcome, view: NodeView, reply: fn(&Wish) -> Reply) -> Node {
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let talk = node.accept(&welcome).await;
            tokio::spawn(answer(talk, view.clone(), welcome.members.clone(), reply, tell.clone()));
        }
    });
    Node { asked }
}

async fn answer(
    mut talk: Talk,
    view: NodeView,
    members: Vec<Member>,
    reply: fn(&Wish) -> Reply,
    tell: mpsc::UnboundedSender<FromConsole>,
) {
    let mut whole = picture(1, 1);
    (whole.view, whole.members) = (view, members);
    while let Ok(Some(said)) = talk.reader.next::<FromConsole>().await {
        let back = match &said {
            FromConsole::Follow(_) => FromNode::Picture { number: 1, picture: Box::new(whole.clone()) },
            FromConsole::Alive { echo } => FromNode::Alive { echo: *echo },
            FromConsole::Ask { request, wish, .. } => FromNode::Answered { request: *request, reply: reply(wish) },
        };
        let commands = matches!(said, FromConsole::Follow(Detail::Everything { .. }));
        // A test that is over listens no more.
        let _ = tell.send(said);
        if talk.writer.send(&back).await.is_err() {
            return;
        }
        // Entry 7 is a no-op. 10 and 11 were applied when nobody told.
        for (index, after) in [(5, 4), (6, 5), (8, 6), (6, 5), (9, 8), (12, 11)] {
            let (node, index, after) = (whole.view.id, Index(index), Index(after));
            let what = What::Applied { node, index, after, command: "SET a 1".into() };
            if commands && talk.writer.send(&FromNode::Happened(Happened { number: 1, at_us: 1, what })).await.is_err()
            {
                return;
            }
        }
    }
}

fn yes(_: &Wish) -> Reply {
    Reply::Done("done".into())
}

fn no_faults(wish: &Wish) -> Reply {
    if matches!(wish, Wish::Fault(_)) { Reply::Refused { why: "not here".into() } } else { yes(wish) }
}

async fn three(replies: [fn(&Wish) -> Reply; 3]) -> (Session, Vec<Node>) {
    let nodes = [Scripted::new().await, Scripted::new().await, Scripted::new().await];
    let addresses: Vec<_> = nodes.iter().map(|node| node.address().to_string()).collect();
    let mut served = Vec::new();
    for (at, (node, reply)) in nodes.into_iter().zip(replies).enumerate() {
        let (welcome, view) = of_three(at as u64 + 1, &addresses, at == 0);
        served.push(serve(node, welcome, view, reply));
    }
    let spec = RemoteSpec { access: Access::Chaos, ..RemoteSpec::new(Arc::new(Tcp), vec![addresses[0].clone()]) };
    let (mut session, _guard) = attach(spec).await.expect("it answers");
    let all = |view: &Arc<raft_tui::control::ClusterView>| {
        view.nodes.len() == 3 && view.nodes.iter().all(|node| node.life == Life::Running)
    };
    soon(session.view.wait_for(all)).await.expect("the session lives");
    (session, served)
}

async fn ask(session: &mut Session, line: &str) -> Answer {
    soon(session.ask(grammar::parse(line).expect("a line"))).await.expect("the session lives")
}

/// The next wish of this sort that a node was asked for.
async fn wished(node: &mut Node, sort: fn(&Wish) -> bool) -> FromConsole {
    loop {
        let said = soon(node.asked.recv()).await.expect("the node is there");
        if matches!(&said, FromConsole::Ask { wish, .. } if sort(wish)) {
            return said;
        }
    }
}

#[tokio::test]
async fn a_cluster_is_found_from_one_address_and_only_watched_at_first() {
    let (mut session, _nodes) = three([yes, yes, yes]).await;
    let view = session.view.borrow().clone();
    assert_eq!((view.held, &view.mode, view.name.as_str()), (Held::Remote, &Mode::Observe, "here"));
    assert!(view.nodes.iter().all(|node| node.reach.is_some()));
    assert!(matches!(ask(&mut session, "isolate n2").await, Answer::Refused { why } if why.contains("arm first")));
}

#[tokio::test]
async fn the_leader_alone_tells_of_commands_each_once_and_what_is_missing_leaves_a_gap() {
    let (mut session, mut nodes) = three([yes, yes, yes]).await;
    let mut told = Vec::new();
    while told.last().is_none_or(|(_, index)| *index < 12) {
        if let Observation::Happened(happened) = soon(session.observations.recv()).await.expect("the session lives")
            && let What::Applied { index, .. } = happened.what
        {
            told.push((happened.number, index.0));
        }
    }
    let indices: Vec<_> = told.iter().map(|(_, index)| *index).collect();
    assert_eq!(indices, [5, 6, 8, 9, 12]);
    let gaps: Vec<_> = told.windows(2).map(|two| two[1].0 - two[0].0 - 1).collect();
    assert_eq!(gaps[1..], [0, 0, 2], "two commands are missing before the last: {told:?}");
    let all = |view: &Arc<raft_tui::control::ClusterView>| view.dropped_details == 2;
    soon(session.view.wait_for(all)).await.expect("the session lives");
    for (at, node) in nodes.iter_mut().enumerate() {
        let mut asked = std::iter::from_fn(|| node.asked.try_recv().ok());
        let commands = asked.any(|said| matches!(said, FromConsole::Follow(Detail::Everything { .. })));
        assert_eq!(commands, at == 0, "n{}", at + 1);
    }
}

#[tokio::test]
async fn a_fault_that_one_node_refuses_is_taken_from_the_others_again() {
    let (mut session, mut nodes) = three([yes, yes, no_faults]).await;
    assert!(ask(&mut session, "arm drill 5m a test").await.is_good());
    let answer = ask(&mut session, "isolate n2").await;
    assert!(matches!(&answer, Answer::Refused { why } if why.contains("n3: not here") && why.contains("healed")));
    for node in &mut nodes {
        let FromConsole::Ask { wish: Wish::Fault(fault), .. } =
            wished(node, |wish| matches!(wish, Wish::Fault(_))).await
        else {
            panic!("a fault was asked for")
        };
        let healed = wished(node, |wish| matches!(wish, Wish::HealFault { .. })).await;
        assert!(
            matches!(healed, FromConsole::Ask { wish: Wish::HealFault { fault: number }, .. } if number == fault.number)
        );
    }
}

#[tokio::test]
async fn faults_that_take_the_majority_away_are_short_and_all_end_with_the_session() {
    let (mut session, mut nodes) = three([yes, yes, yes]).await;
    assert!(ask(&mut session, "arm drill 5m a test").await.is_good());
    for (line, ttl_ms) in [("isolate n2", 60_000), ("partition 1/2/3", 30_000)] {
        assert!(ask(&mut session, line).await.is_good());
        let said = wished(&mut nodes[0], |wish| matches!(wish, Wish::Fault(_))).await;
        let FromConsole::Ask { wish: Wish::Fault(fault), .. } = said else { panic!("a fault was asked for") };
        assert!((ttl_ms - 5_000..=ttl_ms).contains(&fault.ttl_ms), "{line}: {fault:?}");
    }
    // The partition has taken the place of the cut; what is left is healed when the session is gone.
    wished(&mut nodes[0], |wish| matches!(wish, Wish::HealFault { fault: 1 })).await;
    drop(session);
    wished(&mut nodes[0], |wish| matches!(wish, Wish::HealFault { fault: 2 })).await;
}

#[tokio::test]
async fn a_crash_carries_the_facts_on_which_it_was_decided() {
    let (mut session, mut nodes) = three([yes, yes, yes]).await;
    assert!(ask(&mut session, "arm drill 5m a test").await.is_good());
    assert!(ask(&mut session, "crash leader").await.is_good());
    let said = wished(&mut nodes[0], |wish| matches!(wish, Wish::Crash)).await;
    let FromConsole::Ask { decided_on: Some(standing), .. } = said else { panic!("{said:?}") };
    assert_eq!((standing.term, standing.role), (Term(4), Role::Leader));
}

#[tokio::test]
async fn a_node_of_another_cluster_is_left_out_and_two_leaders_of_one_term_are_an_alarm() {
    let nodes = [Scripted::new().await, Scripted::new().await, Scripted::new().await];
    let addresses: Vec<_> = nodes.iter().map(|node| node.address().to_string()).collect();
    for (at, node) in nodes.into_iter().enumerate() {
        let (mut welcome, view) = of_three(at as u64 + 1, &addresses, at < 2);
        if at == 2 {
            welcome.cluster = 78;
            // It comes last, so that the others are the cluster.
            tokio::spawn(async move {
                tokio::time::sleep(std::time::Duration::from_millis(300)).await;
                let mut node = serve(node, welcome, view, yes);
                while node.asked.recv().await.is_some() {}
            });
        } else {
            let mut node = serve(node, welcome, view, yes);
            tokio::spawn(async move { while node.asked.recv().await.is_some() {} });
        }
    }
    let spec = RemoteSpec::new(Arc::new(Tcp), addresses[..1].to_vec());
    let (mut session, _guard) = attach(spec).await.expect("it answers");
    let both = |view: &Arc<raft_tui::control::ClusterView>| {
        let says = |words: &str| view.alarms.iter().any(|alarm| alarm.text.contains(words));
        says("another cluster") && says("both led term 4")
    };
    let view = soon(session.view.wait_for(both)).await.expect("the session lives").clone();
    assert!(matches!(view.node(NodeId(3)).expect("a member").life, Life::Unreachable { .. }));
}

#[test]
fn values_are_masked_where_any_node_is_not_on_this_machine() {
    let masks = |address: &str, found: &[&str], said| {
        let spec = RemoteSpec::new(Arc::new(Tcp), vec!["127.0.0.1:7101".into(), address.into()]);
        RemoteSpec { mask_values: said, ..spec }.masks_values(found.iter().copied())
    };
    for near in ["127.0.0.1:7102", "[::1]:7101", "localhost:7101", "127.7.7.7:1", "[::ffff:127.0.0.1]:7101"] {
        assert!(!masks(near, &[near], None), "{near}");
        assert!(masks(near, &["10.0.0.1:7101"], None), "one of the others is elsewhere");
        assert!(masks(near, &[], Some(true)));
    }
    for far in ["10.0.0.1:7101", "[2001:db8::1]:7101", "node-1:7101", "localhost.example:7101", "0.0.0.0:7101"] {
        assert!(masks(far, &[], None), "{far}");
        assert!(!masks(far, &[far], Some(false)), "who wants to see them does");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_values_are_in_nothing_that_a_session_tells() {
    for (said, told) in [(Some(true), "SET a ‹1 byte›"), (None, "SET a 1")] {
        let node = Scripted::new().await;
        let addresses = [node.address().to_string()];
        let (welcome, view) = of_three(1, &addresses, true);
        let _served = serve(node, welcome, view, yes);
        let spec = RemoteSpec { mask_values: said, ..RemoteSpec::new(Arc::new(Tcp), addresses.to_vec()) };
        let (mut session, _guard) = attach(spec).await.expect("it answers");
        assert_eq!(session.view.borrow().values_masked, said.is_some());
        let command = loop {
            let heard = soon(session.observations.recv()).await.expect("it lives");
            let Observation::Happened(happened) = heard else { continue };
            if let What::Applied { command, .. } = &happened.what {
                break command.clone();
            }
        };
        assert_eq!(command, told);
    }
}
