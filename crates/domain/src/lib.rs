//! What every part of the pipeline agrees on; pure, so that anyone can recompute what a row must
//! hold.
//!
//! `reading` is the data contract of the topic, `dead_letter` that of the topic beside it, and
//! `simulation` the fleet that fills the first. Nothing in
//! here reads a clock, a file or a socket.

pub mod dead_letter;
pub mod hour;
pub mod kind;
pub mod partitioner;
pub mod reading;
pub mod simulation;

pub use kind::SensorKind;
pub use reading::{ContractError, Reading, Status};
