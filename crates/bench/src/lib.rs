//! The benchmark: the released programs beside their peers on real servers, what they reach and
//! what it costs.
//!
//! `case` says what a case is and plays one, `cases` has them all, `report` keeps the samples,
//! `compare` holds two reports against each other, `page` writes the page in `docs`. What is
//! measured is started as a process of its own, and looked at from outside.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it talks to a terminal")]

pub mod bench;
pub mod case;
pub mod cases;
pub mod cli;
pub mod compare;
pub mod database;
pub mod drain;
pub mod flow;
pub mod machine;
pub mod names;
pub mod page;
pub mod peers;
pub mod process;
pub mod report;
pub mod servers;
pub mod show;
pub mod statistics;
pub mod stop;
pub mod targets;
