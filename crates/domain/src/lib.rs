//! What every part of the pipeline agrees on; pure, so that anyone can recompute what a row must
//! hold.
//!
//! `reading` and `event` are the data contracts of the two topics, on what `contract` says of both,
//! `write_timestamp` says which version of a row stays, `dead_letter` is the contract of the topic
//! beside them, `aggregate` and `alert` those of what is computed from them, and `simulation` the
//! fleet that fills them. Nothing in here reads a clock, a file or a socket.

pub mod aggregate;
pub mod alert;
pub mod contract;
pub mod dead_letter;
pub mod event;
pub mod hour;
pub mod kind;
pub mod partitioner;
pub mod reading;
pub mod simulation;
pub mod write_timestamp;

pub use aggregate::Aggregate;
pub use alert::Alert;
pub use contract::ContractError;
pub use event::{Event, EventKind};
pub use kind::SensorKind;
pub use reading::{Reading, Status};
