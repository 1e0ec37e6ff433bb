//! What an operator and a node say to each other.
//!
//! Kept true: one grammar for the command line of the screen, standard input and scripts.
//! Not here: what the words do to a cluster (`cluster/`).

pub mod words;
