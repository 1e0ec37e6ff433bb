//! What travels between nodes.
