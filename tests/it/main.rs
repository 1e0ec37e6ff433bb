//! All tests in one binary. A folder says how pure its tests are, a file which room and aspect, a test the fact.
#![allow(missing_docs, unreachable_pub, clippy::missing_docs_in_private_items, reason = "tests are read, not linked")]

mod processes;
mod pure;
mod simulated;
mod support;
mod threads;
