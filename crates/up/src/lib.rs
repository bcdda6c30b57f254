//! The parts of a pipeline on this machine: its programs as processes, and the schema of its
//! Cassandra.
//!
//! `cargo xtask up` and the live tests are made of the same parts.

pub mod log;
pub mod program;
pub mod schema;

pub use program::{LogLine, Program};
