use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::control::pictures::{PARTS, PictureError, apply, changes};
use raft_tui::control::protocol::{FaultView, Member, Picture};
use raft_tui::control::{Alarm, Dropped, Latency, Life, LinkRule, LinkState, Links, NodeView, PeerTraffic, Traffic};
use raft_tui::raft::rng::Rng;
use raft_tui::raft::{Digest, Epoch, Index, LogPosition, MessageKind, NodeId, Role, Term};

use crate::support::views;

/// A picture in which each field is one of a few.
fn picture(seed: u64) -> Picture {
    let mut rng = Rng::new(seed);
    let mut few = move || rng.below(3);
    let text = |number: u64| "x".repeat(number as usize);
    let view = NodeView {
        id: NodeId(1 + few()),
        life: if few() == 0 { Life::Running } else { Life::Halted { why: text(few()) } },
        epoch: Epoch(few()),
        role: [Role::Follower, Role::Candidate, Role::Leader][few() as usize],
        term: Term(few()),
        voted_for: (few() > 0).then_some(NodeId(2)),
        leader: (few() > 0).then_some(NodeId(1 + few())),
        votes: (0..few()).map(NodeId).collect(),
        first_index: Index(few()),
        last: LogPosition::new(few(), few()),
        durable: Index(few()),
        commit: Index(few()),
        applied: Index(few()),
        snapshot: Index(few()),
        log_bytes: few(),
        terms: views::runs(&[(1, 1), (4, 2), (9, 3)][..few() as usize]),
        digest: Digest(u128::from(few())),
        election_elapsed: few(),
        election_timeout: few(),
        heartbeat: (few() > 0).then_some((few(), 5)),
        quarantined: few() == 0,
        receiving: (few() == 0).then_some((1, few())),
        peers: Vec::new(),
        messages_in: few(),
        messages_out: few(),
        messages_by_kind: vec![(MessageKind::Heartbeat, few(), few())],
        elections: few(),
        in_per_second: few() as f32,
        out_per_second: few() as f32,
        sync: Latency { p50_us: Some(few()), p99_us: None },
        durable_latency: Latency { p50_us: Some(few()), p99_us: None },
        commit_latency: Latency { p50_us: Some(few()), p99_us: None },
        apply_latency: Latency { p50_us: Some(few()), p99_us: None },
        notes: (0..few()).map(text).collect(),
        traffic: (few() > 0).then(|| Traffic {
            peers: vec![PeerTraffic { id: NodeId(2), bytes: Some((few(), few())), dropped: Dropped::default() }],
            turned_away: few(),
            malformed: few(),
        }),
        reach: None,
    };
    let links = Links::Of(NodeId(few()));
    Picture {
        view,
        now_us: few(),
        up_us: few(),
        links: vec![LinkState { links, rule: LinkRule::Cut { kind: None } }; few() as usize],
        faults: (0..few())
            .map(|number| FaultView { by: text(few()), session: 1, number, text: text(few()), left_ms: few() })
            .collect(),
        alarms: (0..few()).map(|_| Alarm { node: NodeId(1), text: text(few()) }).collect(),
        members: (0..few())
            .map(|id| Member { id: NodeId(id), peer_address: text(few()), control_address: Some(text(few())) })
            .collect(),
        consoles: few() as u32,
        console_bytes: few(),
        dropped_details: few(),
    }
}

proptest! {
    #[test]
    fn changes_applied_to_the_old_picture_give_the_new_one(old in any::<u64>(), new in any::<u64>()) {
        let (old, new) = (picture(old), picture(new));
        let parts = changes(Some(&old), &new).expect("they can be encoded");
        prop_assert!(parts.len() <= usize::from(PARTS));
        let mut made = old.clone();
        apply(&mut made, &parts).expect("the parts fit");
        prop_assert_eq!(&made, &new);
        let whole = changes(None, &new).expect("they can be encoded");
        prop_assert_eq!(whole.len(), usize::from(PARTS));
        let mut made = old;
        apply(&mut made, &whole).expect("the parts fit");
        prop_assert_eq!(made, new);
    }

    #[test]
    fn bytes_that_are_no_part_are_refused_or_taken_and_never_panic(part in 0_u8..20, bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut old = picture(1);
        let result = apply(&mut old, &[(part, Bytes::from(bytes))]);
        if part >= PARTS {
            prop_assert!(matches!(result, Err(PictureError::NoSuchPart(_))));
        }
    }
}

#[test]
fn what_did_not_change_does_not_travel() {
    let old = picture(5);
    assert_eq!(changes(Some(&old), &old).expect("they can be encoded"), []);
    let new = Picture { now_us: old.now_us + 1, ..old.clone() };
    let parts = changes(Some(&old), &new).expect("they can be encoded");
    assert_eq!(parts.len(), 1);
    assert!(parts[0].1.len() < 8, "{parts:?}");
}
