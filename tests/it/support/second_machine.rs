//! A second machine, to show that the seam is one: a ledger that only grows. And what any machine must obey.

use std::io::{self, Read, Write};

use bytes::Bytes;
use raft_tui::machine::{Frozen, StateMachine};
use xxhash_rust::xxh3::xxh3_128;

/// Commands are amounts (i64, little endian); a reply is the line number (u64); a query of a line number gives the
/// balance after it (i64), an empty query the present balance. What makes no sense is answered with nothing.
#[derive(Default)]
pub struct Ledger {
    lines: Vec<i64>,
    digest: u128,
}

impl Ledger {
    fn post(&mut self, amount: i64) {
        let mut before = self.digest.to_le_bytes().to_vec();
        before.extend_from_slice(&amount.to_le_bytes());
        self.digest = xxh3_128(&before);
        self.lines.push(amount);
    }
}

impl StateMachine for Ledger {
    fn apply(&mut self, _index: u64, command: &[u8]) -> Bytes {
        let Ok(amount) = command.try_into() else { return Bytes::new() };
        self.post(i64::from_le_bytes(amount));
        Bytes::copy_from_slice(&(self.lines.len() as u64).to_le_bytes())
    }

    fn query(&self, query: &[u8]) -> Bytes {
        let upto = match query.try_into().map(u64::from_le_bytes) {
            Ok(line) => usize::try_from(line).unwrap_or(usize::MAX),
            Err(_) if query.is_empty() => usize::MAX,
            Err(_) => return Bytes::new(),
        };
        let balance = self.lines.iter().take(upto).fold(0_i64, |sum, amount| sum.wrapping_add(*amount));
        Bytes::copy_from_slice(&balance.to_le_bytes())
    }

    fn snapshot(&self) -> Frozen {
        let lines = self.lines.clone();
        Box::new(move |body: &mut dyn Write| lines.iter().try_for_each(|amount| body.write_all(&amount.to_le_bytes())))
    }

    fn restore(&mut self, body: &mut dyn Read) -> io::Result<()> {
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        let (amounts, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        *self = Self::default();
        for amount in amounts {
            self.post(i64::from_le_bytes(*amount));
        }
        Ok(())
    }

    fn digest(&self) -> u128 {
        self.digest
    }
}

/// The bytes of a snapshot taken now.
pub fn body_of(machine: &impl StateMachine) -> Vec<u8> {
    let mut body = Vec::new();
    machine.snapshot()(&mut body).expect("writing to memory");
    body
}

/// What the trait asks of every machine, for these commands and queries.
pub fn obeys_the_contract<M: StateMachine + Default>(commands: &[Bytes], queries: &[Bytes]) {
    let answers = |machine: &M| queries.iter().map(|query| machine.query(query)).collect::<Vec<_>>();
    // One that is asked and photographed at every step, one that only applies, one that is rebuilt half-way.
    let (mut watched, mut plain) = (M::default(), M::default());
    let half = commands.len() / 2;
    let mut rebuilt = M::default();
    let mut at_half = None;
    assert_eq!(watched.digest(), plain.digest(), "empty machines are equal");
    for (number, command) in commands.iter().enumerate() {
        if number == half {
            let frozen = watched.snapshot();
            at_half = Some((frozen, watched.digest(), answers(&watched)));
            rebuilt.restore(&mut body_of(&watched).as_slice()).expect("a snapshot restores");
            assert_eq!(rebuilt.digest(), watched.digest(), "restored is equal");
        }
        let index = number as u64 + 1;
        let reply = watched.apply(index, command);
        assert_eq!(reply, plain.apply(index, command), "equal replies to command {number}");
        if number >= half {
            assert_eq!(reply, rebuilt.apply(index, command), "a rebuilt machine replies alike to command {number}");
        }
        let before = watched.digest();
        assert_eq!(answers(&watched), answers(&watched), "queries answer alike");
        drop(watched.snapshot());
        assert_eq!(watched.digest(), before, "queries and snapshots change nothing");
        assert_eq!(watched.digest(), plain.digest(), "equal digests after command {number}");
    }
    assert_eq!(answers(&watched), answers(&plain));
    assert_eq!(body_of(&watched), body_of(&plain), "equal states have equal snapshots");
    if !commands.is_empty() {
        assert_eq!((rebuilt.digest(), answers(&rebuilt)), (watched.digest(), answers(&watched)));
    }
    if let Some((frozen, digest, answered)) = at_half {
        // The view frozen half-way knows nothing of what came later, and replaces what a machine held before.
        let mut body = Vec::new();
        frozen(&mut body).expect("writing to memory");
        plain.restore(&mut body.as_slice()).expect("a snapshot restores");
        assert_eq!((plain.digest(), answers(&plain)), (digest, answered), "the frozen view is of its moment");
    }
}
