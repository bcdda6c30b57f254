//! Real Kafka and Cassandra servers on loopback, from Maven Central jars: started in seconds, never
//! left behind.
//!
//! A [`Stack`] owns its servers. They end with it: when it is dropped, when its thread panics, and
//! when its process is killed, since each server runs under a small supervisor that ends it once
//! the owner is gone.
//!
//! ```no_run
//! use localstack::Stack;
//!
//! # fn main() -> Result<(), localstack::StackError> {
//! let stack = Stack::builder().kafka_nodes(1).cassandra_nodes(1).start()?;
//! println!("kafka {}, cassandra {}", stack.bootstrap_servers(), stack.contact_points());
//!
//! let cassandra = stack.cassandra(0);
//! cassandra.kill()?; // an outage ...
//! cassandra.start()?; // ... and the end of it: same data, same address, ready to use
//! # Ok(())
//! # }
//! ```
//!
//! The jars are fetched once per machine and cached, together with an archive of the classes that a
//! start loads (it saves a third of the start's CPU time). Needed: Java, and Maven for that first
//! fetch; see [`tools`].

mod archive;
mod cassandra;
mod error;
mod jars;
mod java;
mod kafka;
mod node;
mod ports;
mod probe;
mod process;
pub mod registry;
mod stack;
pub mod tools;
mod workspace;

pub use crate::cassandra::{CommitLog, Storage};
pub use crate::error::StackError;
pub use crate::jars::Server;
pub use crate::node::Node;
pub use crate::stack::{Builder, Stack};
pub use crate::workspace::data_dir_problem;
