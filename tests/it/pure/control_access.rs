use bytes::Bytes;
use raft_tui::control::access::{self, ARM_MS_MAX, Armed, ChaosKeys, Forbidden};
use raft_tui::control::operation::Access;
use raft_tui::control::protocol::Wish;
use raft_tui::control::tokens::{Claim, Token, Tokens, proof};

use crate::support::consoles::{BOTH, every_wish, token, tokens};

const ALL: [Access; 3] = [Access::Viewer, Access::Operator, Access::Chaos];

fn armed(access: Access) -> Armed {
    Armed { access, until_ms: 1_000, reason: "why".into() }
}

#[test]
fn each_level_may_what_those_before_it_may() {
    for wish in every_wish() {
        let may = |access| access::check(&wish, access, BOTH, Some(&armed(Access::Chaos)), 0).is_ok();
        let allowed: Vec<_> = ALL.into_iter().filter(|access| may(*access)).collect();
        let expected: Vec<_> = ALL.into_iter().filter(|access| *access >= access::needed(&wish)).collect();
        assert_eq!(allowed, expected, "{wish:?}");
        assert!(allowed.contains(&Access::Chaos), "{wish:?} can be done at all");
    }
}

#[test]
fn without_both_keys_no_fault_is_injected_or_healed_by_anybody() {
    for keys in [(false, false), (true, false), (false, true)] {
        let keys = ChaosKeys { cluster: keys.0, node: keys.1 };
        for wish in every_wish() {
            let result = access::check(&wish, Access::Chaos, keys, Some(&armed(Access::Chaos)), 0);
            let expected = if access::needed(&wish) == Access::Chaos { Err(Forbidden::ChaosDisabled) } else { Ok(()) };
            assert_eq!(result, expected, "{wish:?} with {keys:?}");
        }
    }
}

#[test]
fn breaking_and_ending_take_an_armed_session_until_its_time_is_up() {
    for wish in [Wish::Crash, Wish::FailDisk] {
        let check = |armed: Option<&Armed>, now_ms| access::check(&wish, Access::Chaos, BOTH, armed, now_ms);
        assert!(matches!(check(None, 0), Err(Forbidden::NotArmed { .. })), "{wish:?}");
        assert_eq!(check(Some(&armed(Access::Chaos)), 999), Ok(()), "{wish:?}");
        assert!(matches!(check(Some(&armed(Access::Chaos)), 1_000), Err(Forbidden::NotArmed { .. })), "{wish:?}");
    }
    let crash = access::check(&Wish::Crash, Access::Chaos, BOTH, Some(&armed(Access::Operator)), 0);
    assert!(matches!(crash, Err(Forbidden::NotArmed { needed: Access::Chaos })), "armed for less");
    let submit = Wish::Submit { command: Bytes::new() };
    assert_eq!(access::check(&submit, Access::Operator, BOTH, None, 0), Ok(()));
}

#[test]
fn a_session_is_armed_for_no_more_than_its_connection_may_and_not_for_long() {
    let arm = |access, ms, reason: &str, has| access::arm(access, ms, reason, has, BOTH, 5);
    assert_eq!(
        arm(Access::Chaos, 10, " a drill ", Access::Chaos).map(|armed| (armed.until_ms, armed.reason)),
        Ok((15, "a drill".into()))
    );
    assert!(arm(Access::Chaos, 10, "", Access::Operator).is_err());
    assert!(arm(Access::Operator, 10, "", Access::Viewer).is_err());
    assert!(arm(Access::Viewer, 10, "", Access::Viewer).is_err());
    assert!(arm(Access::Operator, 0, "", Access::Operator).is_err());
    assert!(arm(Access::Operator, ARM_MS_MAX, "", Access::Operator).is_ok());
    assert!(arm(Access::Operator, ARM_MS_MAX + 1, "", Access::Operator).is_err());
    assert!(arm(Access::Operator, 10, &"x".repeat(300), Access::Operator).is_err());
}

#[test]
fn a_proof_is_of_one_token_one_connection_one_session_and_one_access() {
    let claim = Claim { console_nonce: [1; 32], node_nonce: [2; 32], session: 3, access: Access::Operator };
    let good = proof(&token(2), &claim);
    let name = |claim: &Claim, hmac: &[u8]| tokens().check(claim, hmac).map(|holder| holder.name.clone());
    assert_eq!(name(&claim, &good).as_deref(), Some("otto"));
    for other in [
        Claim { console_nonce: [9; 32], ..claim },
        Claim { node_nonce: [9; 32], ..claim },
        Claim { session: 4, ..claim },
        Claim { access: Access::Viewer, ..claim },
        Claim { access: Access::Chaos, ..claim },
    ] {
        assert_eq!(name(&other, &good), None, "{other:?}");
    }
    for at in 0..good.len() {
        let mut altered = good.clone();
        altered[at] ^= 1;
        assert_eq!(name(&claim, &altered), None);
    }
    for wrong in [&[][..], &good[..31], &[&good[..], &[0]].concat()] {
        assert_eq!(name(&claim, wrong), None);
    }
    assert_eq!(name(&claim, &proof(&token(1), &claim)), None, "vera may only watch");
}

#[test]
fn a_token_file_is_read_line_by_line_and_its_errors_tell_no_secret() {
    let path = std::path::Path::new("tokens");
    let hex = token(7).to_hex();
    let good = format!("# mine\n\n viewer  vera {hex}\nchaos cora.x-1_ {}\n", hex.to_uppercase());
    let read = Tokens::parse(path, &good).expect("two tokens");
    assert_eq!(read.holders().len(), 2);
    assert_eq!(read.for_access(Access::Viewer).map(|holder| holder.name.as_str()), Some("vera"));
    assert_eq!(read.for_access(Access::Operator).map(|holder| holder.name.as_str()), Some("cora.x-1_"));
    for bad in [
        format!("viewer {hex}"),
        format!("boss vera {hex}"),
        format!("{hex} vera viewer"),
        format!("viewer ve/ra {hex}"),
        format!("viewer vera {hex}0"),
        format!("viewer vera g{}", hex.split_at(1).1),
        format!("viewer vera {hex} more"),
        String::new(),
    ] {
        let error = Tokens::parse(path, &bad).expect_err(&bad).to_string();
        assert!(!error.contains("070707"), "{error}");
    }
    assert_ne!(Token::random(), Token::random());
    assert_eq!(
        Token::from_hex(&Token::random().to_hex()).map(|token| format!("{token:?}")),
        Some("Token(secret)".into())
    );
}
