//! What the analytics promise about memory.

#![allow(clippy::unwrap_used, reason = "a test panics where something is not as it should be")]

mod memory;
