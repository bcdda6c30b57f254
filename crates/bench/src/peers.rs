//! The peers: what else does the same work, set up the way their own documentation has it.

pub mod c;
pub mod driver;
pub mod java;
pub mod python;
