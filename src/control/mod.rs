//! What an operator and a cluster say to each other.
//!
//! An operator sends an [`Operation`] and gets one [`Answer`]; meanwhile the cluster publishes what it is
//! ([`ClusterView`], whole, at most some twenty times a second) and what happens ([`Happened`], one by one). All of it is
//! plain data with public fields; `Option` means "cannot be known". One grammar (`grammar.rs`) serves the command line of
//! the console, standard input and scripts.
//!
//! The same over a wire is `protocol.rs`: a node serves it (`server/`), and says what who may (`access.rs`, `tokens.rs`),
//! for how long (`leases.rs`), and who did (`audit.rs`); a console asks (`client.rs`), and looks at what it is told before
//! it believes it (`admit.rs`).
//!
//! Kept true: an operation says what is wished; only observations say what is.
//! Not here: how a cluster is held (`cluster/`), how it is drawn (`tui/`).

pub mod access;
pub mod admit;
pub mod audit;
pub mod client;
pub mod grammar;
pub mod leases;
pub mod narrate;
pub mod observation;
pub mod operation;
pub mod pictures;
pub mod protocol;
pub mod server;
pub mod tokens;
pub mod words;

pub use observation::{
    ActiveFault, Alarm, ClientsView, ClusterView, Dropped, Happened, Held, Latency, Life, LinkState, LoadView, Mode,
    NodeView, Observation, PeerTraffic, Reach, STALE_US, Traffic, What, WritesStand,
};
pub use operation::{
    Access, Answer, Can, Capabilities, Condition, Level, LinkRule, Links, Operation, OperationId, Pace, Request, Target,
};
