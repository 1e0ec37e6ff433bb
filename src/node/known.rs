//! What the transport asks of a node's memory of its peers, answered by the file in its folder.
//!
//! Kept true: a peer is the one that is known only if the file says so, durably.
//! Not here: the file (`storage/known.rs`), what is refused (`transport/tcp/`).

use crate::raft::NodeId;
use crate::storage::known::{KnownStores, Met};
use crate::transport::tcp::{Known, KnownError, KnownPeer};

impl Known for KnownStores {
    fn meet(&self, node: NodeId, store: u128, control: &str) -> Result<(), KnownError> {
        match Self::meet(self, node, store, control) {
            Ok(Met::AsKnown) => Ok(()),
            Ok(Met::OtherStore { remembered }) => Err(KnownError::OtherStore { remembered }),
            Err(error) => Err(KnownError::Unwritten(error.to_string())),
        }
    }

    fn list(&self) -> Vec<KnownPeer> {
        let known = Self::list(self).into_iter();
        known.map(|(node, record)| KnownPeer { node, store: record.store, control: record.control }).collect()
    }
}
