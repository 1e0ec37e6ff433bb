//! What an operator and a cluster say to each other.
//!
//! An operator sends an [`Operation`] and gets one [`Answer`]; meanwhile the cluster publishes what it is
//! ([`ClusterView`], whole, at most some twenty times a second) and what happens ([`Happened`], one by one). All of it is
//! plain data with public fields; `Option` means "cannot be known". One grammar (`grammar.rs`) serves the command line of
//! the console, standard input and scripts.
//!
//! Kept true: an operation says what is wished; only observations say what is.
//! Not here: how a cluster is held (`cluster/`), how it is drawn (`tui/`), the same over a wire.

pub mod admit;
pub mod client;
pub mod grammar;
pub mod narrate;
pub mod observation;
pub mod operation;
pub mod protocol;
pub mod words;

pub use observation::{
    ActiveFault, Alarm, ClientsView, ClusterView, Happened, Held, Latency, Life, LinkState, LoadView, Mode, NodeView,
    Observation, Reach, What, WritesStand,
};
pub use operation::{
    Access, Answer, Can, Capabilities, Condition, LinkRule, Links, Operation, OperationId, Pace, Request, Target,
};
