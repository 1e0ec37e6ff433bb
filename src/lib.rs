//! A terminal console to watch, understand, break and mend a Raft cluster, over a Raft of its own.
//!
//! The rooms, from the ground up; nothing imports upward (`docs/architecture.md` has the whole plan):
//!
//! | floor | rooms | what |
//! | --- | --- | --- |
//! | ground | [`codec`], [`text`] | bytes and values; strings that may be shown |
//! | 0 | [`raft`], [`machine`] | the paper as a value; what is replicated |
//! | 1 | [`storage`], [`transport`], [`trace`], [`history`] | what survives; what travels; what nodes did, and what clients saw, for others |
//! | 2 | [`node`], [`check`] | one server: protocol, disk and machine; the judge |
//! | 3 | [`control`], [`sim`], [`door`] | what is said to a cluster; the same nodes in virtual time; pure cores for others |
//! | 4 | [`cluster`] | ways to hold a cluster |
//! | 6 | [`tui`] | the window |
//! | 7 | [`cli`], [`telemetry`] | the door, the log file |
//!
//! # A machine of your own
//!
//! Anything that applies commands deterministically can be replicated:
//!
//! ```
//! use std::io::{self, Read, Write};
//!
//! use bytes::Bytes;
//! use raft_tui::cluster::{Spec, local};
//! use raft_tui::control::{Answer, Condition, Operation};
//! use raft_tui::machine::{Frozen, StateMachine};
//!
//! /// Adds up the lengths of its commands.
//! #[derive(Default)]
//! struct Total(u64);
//!
//! impl StateMachine for Total {
//!     fn apply(&mut self, _index: u64, command: &[u8]) -> Bytes {
//!         self.0 += command.len() as u64;
//!         Bytes::from(self.0.to_string())
//!     }
//!     fn query(&self, _query: &[u8]) -> Bytes {
//!         Bytes::from(self.0.to_string())
//!     }
//!     fn snapshot(&self) -> Frozen {
//!         let total = self.0;
//!         Box::new(move |file: &mut dyn Write| file.write_all(&total.to_le_bytes()))
//!     }
//!     fn restore(&mut self, body: &mut dyn Read) -> io::Result<()> {
//!         let mut total = [0; 8];
//!         body.read_exact(&mut total)?;
//!         self.0 = u64::from_le_bytes(total);
//!         Ok(())
//!     }
//!     fn digest(&self) -> u128 {
//!         u128::from(self.0)
//!     }
//! }
//!
//! # #[tokio::main]
//! # async fn main() {
//! let spec = Spec::new(3).real_time().in_memory().with_machine(Total::default);
//! let (mut session, guard) = local::start(spec).expect("three nodes make a cluster");
//! session.ask(Operation::Wait { condition: Condition::Leader, timeout_us: 30_000_000 }).await;
//! let submit = Operation::Submit { command: Bytes::from("twelve bytes"), via: None };
//! let Some(Answer::Applied { reply, .. }) = session.ask(submit).await else { panic!("not applied") };
//! assert_eq!(reply, "12");
//! drop(session);
//! guard.ended().await;
//! # }
//! ```

pub mod codec;
pub mod mutants;
pub mod text;

pub mod machine;
pub mod raft;

pub mod history;
pub mod storage;
pub mod trace;
pub mod transport;

pub mod check;
pub mod node;

pub mod control;
pub mod door;
pub mod sim;

pub mod cluster;

pub mod tui;

pub mod cli;
pub mod telemetry;
