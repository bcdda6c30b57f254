//! Everything a developer runs; `cargo xtask --help` lists it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tasks talk on the terminal")]

mod bounded;
mod ci;
mod cli;
mod command;
mod compose;
mod cqlsh;
mod deny;
mod docs;
mod local;
mod mutants;
mod running;
mod tidy;
mod workspace;

pub use crate::cli::main;
pub use crate::docs::check as check_docs;
pub use crate::tidy::check as check_tidy;
pub use crate::workspace::Workspace;
