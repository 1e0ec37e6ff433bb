//! The same nodes in virtual time, under every fault at once, judged after every event.
//!
//! A seed stands for a [`Plan`]: a cluster, clients and a list of faults. A [`World`] lets it happen with the very
//! [`crate::node::Node`] that the tokio driver runs; disks, network, clocks and clients are simulated around it. First
//! anything may go wrong; then a majority is healed and must work again.
//!
//! | file | what |
//! | --- | --- |
//! | `plan.rs`, `fault.rs` | what a seed stands for |
//! | `world.rs` | the queue of events, the network |
//! | `host.rs` | a machine: node, disk, writer, lives |
//! | `nemesis.rs` | doing faults and undoing them |
//! | `workload.rs` | clients |
//! | `glances.rs` | clients that look at what one node has |
//! | `liveness.rs` | the healing and what must follow it |
//! | `marks.rs` | what must happen sometimes |
//! | `trace.rs` | what happened, a line an event; what each node did, for programs |
//! | `history.rs` | what clients saw, for programs |
//! | `swarm.rs` | many seeds, and making a failing one small |
//! | `museum.rs` | broken variants, and what must find them |
//!
//! Kept true: a run is a function of its plan; the same seed gives the same trace, byte for byte.
//! Not here: what is right (`check/`), the command line (`cli/sim.rs`).

pub mod fault;
mod glances;
mod history;
mod host;
mod liveness;
pub mod marks;
pub mod museum;
mod nemesis;
pub mod plan;
pub mod swarm;
pub mod trace;
mod workload;
mod world;

pub use history::HistorySink;
pub use plan::{Limits, Plan, Profile};
pub use world::{Ended, World};
