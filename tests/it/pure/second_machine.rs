//! The contract of `StateMachine`, for the machine that ships and for a second one.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use bytes::Bytes;
use proptest::prelude::*;
use raft_tui::machine::StateMachine;
use raft_tui::machine::kv::{self, KvStore};

use crate::support::second_machine::{Ledger, obeys_the_contract};

fn amount(amount: i64) -> Bytes {
    Bytes::copy_from_slice(&amount.to_le_bytes())
}

#[test]
fn the_ledger_counts() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.apply(1, &amount(70)), 1_u64.to_le_bytes().as_slice());
    assert_eq!(ledger.apply(2, &amount(-30)), 2_u64.to_le_bytes().as_slice());
    assert_eq!(ledger.apply(3, b"nonsense, of another length"), Bytes::new());
    assert_eq!(ledger.query(b""), amount(40));
    assert_eq!(ledger.query(&1_u64.to_le_bytes()), amount(70));
}

#[test]
fn both_machines_obey_the_contract_when_nothing_happens() {
    obeys_the_contract::<Ledger>(&[], &[Bytes::new()]);
    obeys_the_contract::<KvStore>(&[], &[Bytes::new()]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn the_ledger_obeys_the_contract(amounts in prop::collection::vec(any::<i64>(), 0..40)) {
        let commands: Vec<Bytes> = amounts.into_iter().map(amount).collect();
        obeys_the_contract::<Ledger>(&commands, &[Bytes::new(), amount(3), Bytes::from_static(b"?")]);
    }

    #[test]
    fn the_store_obeys_the_contract(commands in prop::collection::vec(super::kv_commands::few_keys(), 0..40)) {
        let mut commands: Vec<Bytes> = commands.iter().map(kv::KvCommand::encode).collect();
        commands.push(Bytes::from_static(b"no command"));
        let queries = ["LIST", "LIST a 2", "GET a", "GET nowhere"].map(|line| kv::parse_query(line).unwrap());
        obeys_the_contract::<KvStore>(&commands, &queries);
    }
}
