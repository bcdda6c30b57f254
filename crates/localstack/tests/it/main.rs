//! Real servers, real signals: what a stack promises about starting, surviving and leaving nothing
//! behind.
//!
//! Each test takes a lock for its duration: two stacks at once on a small machine would only start
//! more slowly.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails like the test itself")]

mod client;
mod cluster;
mod faults;
mod leftovers;
mod start;
mod support;
