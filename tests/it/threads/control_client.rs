//! A console's line to one node: it connects again, acts once, follows without gaps, and believes nothing blindly.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use raft_tui::control::client::{Heard, Line, LineSpec, State, Told};
use raft_tui::control::protocol::{Challenge, FaultView, FromConsole, FromNode, Member, Picture, Refusal, Reply, Wish};
use raft_tui::control::tokens::{Claim, Holder, Token, Tokens};
use raft_tui::control::{Access, Alarm, Happened, Life, What, pictures};
use raft_tui::raft::{Cause, Epoch, Event, EventKind, NodeId, Term};
use raft_tui::text::is_safe;
use tokio::io::AsyncWriteExt as _;

use crate::support::scripted::{PATIENCE, Scripted, heard, picture, soon, spec, welcome};

fn submit() -> Wish {
    Wish::Submit { command: Bytes::from_static(b"SET k v") }
}

fn is_live(heard: &Heard) -> bool {
    heard.state == State::Live
}

fn is_lost(heard: &Heard) -> bool {
    matches!(heard.state, State::Lost { .. })
}

#[tokio::test]
async fn a_lost_line_keeps_the_last_picture_and_connects_again() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let mut talk = node.accept(&welcome(1)).await;
    talk.say(FromNode::Picture { number: 1, picture: Box::new(picture(1, 42)) }).await;
    heard(&line, |heard| heard.picture.is_some()).await;
    drop(talk);
    let lost = heard(&line, is_lost).await;
    assert_eq!(lost.picture.expect("it is kept").now_us, 42);
    let _talk = node.accept(&welcome(2)).await;
    let back = heard(&line, is_live).await;
    assert_eq!(back.welcome.expect("it greeted").epoch, Epoch(2));
}

#[tokio::test]
async fn a_request_goes_out_again_under_its_number_to_the_same_life() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let asker = line.asker();
    let asked = tokio::spawn(async move { asker.ask(submit(), None, PATIENCE).await });
    let mut talk = node.accept(&welcome(1)).await;
    let number = talk.asked().await;
    drop(talk);
    let mut talk = node.accept(&welcome(1)).await;
    assert_eq!(talk.asked().await, number, "the node acts once on each number");
    talk.say(FromNode::Answered { request: number, reply: Reply::Done("done".into()) }).await;
    assert_eq!(soon(asked).await.expect("it ends"), Ok(Reply::Done("done".into())));
}

#[tokio::test]
async fn what_another_life_was_asked_may_have_acted_and_is_not_asked_again() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let asker = line.asker();
    let asked = tokio::spawn(async move { asker.ask(submit(), None, PATIENCE).await });
    let mut talk = node.accept(&welcome(1)).await;
    talk.asked().await;
    drop(talk);
    let mut talk = node.accept(&welcome(2)).await;
    let said = talk.until_alive().await;
    assert!(!said.iter().any(|said| matches!(said, FromConsole::Ask { .. })), "{said:?}");
    let lost = soon(asked).await.expect("it ends").expect_err("nobody answered");
    assert!(lost.maybe_acted, "{lost:?}");
}

#[tokio::test]
async fn what_a_node_was_asked_that_is_gone_is_given_up_before_its_time() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let asker = line.asker();
    let asked = tokio::spawn(async move { asker.ask(submit(), None, 10 * PATIENCE).await });
    let mut talk = node.accept(&welcome(1)).await;
    talk.asked().await;
    drop((talk, node));
    let lost = soon(asked).await.expect("it ends").expect_err("nobody answered");
    assert!(lost.maybe_acted, "{lost:?}");
}

#[tokio::test]
async fn a_request_that_was_never_sent_is_certainly_without_effect() {
    let node = Scripted::new().await;
    let address = node.address().to_string();
    drop(node);
    let line = Line::open(spec(address));
    let lost = line.ask(submit(), None, Duration::from_millis(300)).await.expect_err("nobody is there");
    assert!(!lost.maybe_acted, "{lost:?}");
}

#[tokio::test]
async fn a_request_that_was_sent_and_not_answered_in_time_may_have_acted() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let _talk = node.accept(&welcome(1)).await;
    heard(&line, is_live).await;
    let lost = line.ask(submit(), None, Duration::from_millis(500)).await.expect_err("it says nothing");
    assert!(lost.maybe_acted, "{lost:?}");
}

#[tokio::test]
async fn changes_are_applied_and_a_gap_in_their_numbers_is_followed_anew() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let mut talk = node.accept(&welcome(1)).await;
    assert!(matches!(talk.next().await, FromConsole::Follow(_)));
    let change = |from: &Picture, to: &Picture| pictures::changes(Some(from), to).expect("it is encoded");
    let (one, two, three) = (picture(1, 1), picture(1, 2), picture(1, 3));
    talk.say(FromNode::Picture { number: 1, picture: Box::new(one.clone()) }).await;
    talk.say(FromNode::Change { number: 2, parts: change(&one, &two) }).await;
    heard(&line, |heard| heard.picture.as_ref().is_some_and(|picture| picture.now_us == 2)).await;
    // Number 3 is missing; nothing of 4 and 5 may be shown.
    talk.say(FromNode::Change { number: 4, parts: change(&two, &three) }).await;
    talk.say(FromNode::Change { number: 5, parts: change(&two, &three) }).await;
    assert!(matches!(talk.next().await, FromConsole::Follow(_)));
    assert_eq!(line.heard().borrow().picture.as_ref().expect("the last good one").now_us, 2);
    talk.say(FromNode::Picture { number: 6, picture: Box::new(picture(1, 7)) }).await;
    heard(&line, |heard| heard.picture.as_ref().is_some_and(|picture| picture.now_us == 7)).await;
}

#[tokio::test]
async fn a_console_for_chaos_is_content_with_less_where_faults_are_off() {
    let mut node = Scripted::new().await;
    let line = Line::open(LineSpec { access: Access::Chaos, ..node.spec() });
    let (mut talk, hello) = node.greeted().await;
    assert_eq!(hello.access, Access::Chaos);
    talk.writer.send(&Challenge::Refused(Refusal::ChaosDisabled)).await.expect("it listens");
    let (_, hello) = node.greeted().await;
    assert_eq!(hello.access, Access::Operator);
    drop(line);
}

#[tokio::test]
async fn a_token_is_proved_and_never_sent() {
    let mut node = Scripted::new().await;
    let token = Token::random();
    let line = Line::open(LineSpec { token: Some(Arc::new(token.clone())), ..node.spec() });
    let (mut talk, hello) = node.greeted().await;
    let challenge = Challenge::Prove { version: 1, nonce: [9; 32], proof_wanted: true };
    talk.writer.send(&challenge).await.expect("it listens");
    let proof: raft_tui::control::protocol::Proof = soon(talk.reader.next()).await.expect("a frame").expect("a proof");
    let claim = Claim { console_nonce: hello.nonce, node_nonce: [9; 32], session: hello.session, access: hello.access };
    let tokens = Tokens::new(vec![Holder { access: Access::Operator, name: "ann".into(), token: token.clone() }]);
    assert_eq!(tokens.check(&claim, &proof.hmac).expect("it is proved").name, "ann");
    assert!(!format!("{:?}", node.spec()).contains(&token.to_hex()));
    drop(line);
}

#[tokio::test]
async fn whatever_a_hostile_node_sends_only_its_own_line_suffers() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    // Garbage in place of a challenge.
    let (mut wire, _) = soon(node.door.accept()).await.expect("somebody comes");
    wire.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b]0;x\x07").await.expect("it listens");
    let safe = |heard: &Heard| match &heard.state {
        State::Lost { why, .. } => is_safe(why),
        _ => false,
    };
    heard(&line, safe).await;
    // More members than there can be.
    let mut many = welcome(1);
    let member = many.members[0].clone();
    many.members = (1..=10_000).map(|id| Member { id: NodeId(id), ..member.clone() }).collect();
    let _many = node.accept(&many).await;
    heard(&line, |heard| matches!(&heard.state, State::Lost { why, .. } if why.contains("members"))).await;
    assert!(line.heard().borrow().welcome.is_none());
    // A list in a picture that is far too long.
    let mut talk = node.accept(&welcome(1)).await;
    let mut long = picture(1, 1);
    long.view.votes = vec![NodeId(1); 100_000];
    talk.say(FromNode::Picture { number: 1, picture: Box::new(long) }).await;
    heard(&line, |heard| matches!(&heard.state, State::Lost { why, .. } if why.contains("votes"))).await;
    // Parts that are none: the whole is asked for.
    let mut talk = node.accept(&welcome(1)).await;
    assert!(matches!(talk.next().await, FromConsole::Follow(_)));
    talk.say(FromNode::Picture { number: 1, picture: Box::new(picture(1, 1)) }).await;
    talk.say(FromNode::Change { number: 2, parts: vec![(0, Bytes::from_static(b"\xff\xff\xff\xff\xff\xff"))] }).await;
    assert!(matches!(talk.next().await, FromConsole::Follow(_)));
    // A frame that is longer than allowed, by its length alone; then the line is as good as ever.
    drop(talk);
    let (mut talk, _) = node.greeted().await;
    talk.writer.set_max_bytes(usize::MAX / 2);
    talk.writer.send(&vec![0_u8; 4096]).await.expect("it listens");
    heard(&line, is_lost).await;
    let _talk = node.accept(&welcome(3)).await;
    heard(&line, is_live).await;
}

#[tokio::test]
async fn no_string_of_a_node_can_move_a_cursor() {
    const EVIL: &str = "\u{1b}]52;c;AAAA\u{7}\u{9b}2J\u{202e}\r\n";
    let evil = || EVIL.to_owned();
    let mut node = Scripted::new().await;
    let mut line = Line::open(node.spec());
    let mut welcome = welcome(1);
    (welcome.name, welcome.program) = (evil(), evil());
    welcome.members[0].peer_address = evil();
    welcome.members[0].control_address = Some(evil());
    let mut talk = node.accept(&welcome).await;
    let mut picture = picture(1, 1);
    picture.view.notes = vec![evil()];
    picture.view.life = Life::Halted { why: evil() };
    picture.alarms = vec![Alarm { node: NodeId(1), text: evil() }];
    picture.faults = vec![FaultView { by: evil(), session: 1, number: 1, text: evil(), left_ms: 1 }];
    picture.members[0].peer_address = evil();
    talk.say(FromNode::Picture { number: 1, picture: Box::new(picture) }).await;
    let violated = Event { term: Term(1), cause: Cause::Tick, kind: EventKind::Violated { evidence: evil() } };
    let whats = [
        What::Node { node: NodeId(1), event: violated },
        What::Note { node: NodeId(1), note: evil() },
        What::Applied {
            node: NodeId(1),
            index: raft_tui::raft::Index(1),
            after: raft_tui::raft::Index(0),
            command: evil(),
        },
        What::Faults { what: evil() },
    ];
    let count = whats.len();
    for what in whats {
        talk.say(FromNode::Happened(Happened { number: 1, at_us: 1, what })).await;
    }
    let seen = heard(&line, |heard| heard.picture.is_some()).await;
    let mut shown = vec![format!("{seen:?}")];
    for _ in 0..count {
        let told = soon(line.happened().recv()).await.expect("the line lives");
        assert!(matches!(told, Told::Happened(_)));
        shown.push(format!("{told:?}"));
    }
    let asker = line.asker();
    let asked = tokio::spawn(async move { asker.ask(submit(), None, PATIENCE).await });
    let request = talk.asked().await;
    talk.say(FromNode::Answered { request, reply: Reply::Refused { why: evil() } }).await;
    shown.push(format!("{:?}", soon(asked).await.expect("it ends")));
    for shown in shown {
        // Debug writes a control character as `\u{…}` with one backslash; what was made safe has two.
        let bare = shown.replace("\\\\", "");
        for wrong in ["\\u{1b}", "\\u{7}", "\\u{9b}", "\\u{202e}", "\\r", "\\n"] {
            assert!(!bare.contains(wrong), "{wrong} in {shown}");
        }
    }
}

#[tokio::test]
async fn a_node_that_falls_silent_is_given_up_and_tried_again() {
    let mut node = Scripted::new().await;
    let line = Line::open(node.spec());
    let _silent = node.accept(&welcome(1)).await;
    heard(&line, is_live).await;
    heard(&line, |heard| matches!(&heard.state, State::Lost { why, .. } if why.contains("said nothing"))).await;
    let _talk = node.accept(&welcome(1)).await;
    heard(&line, is_live).await;
}
