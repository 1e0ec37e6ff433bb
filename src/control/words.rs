//! Words of the grammar.
