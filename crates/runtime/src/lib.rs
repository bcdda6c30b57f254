//! What every process shares: settings, telemetry, shutdown, health endpoint, connections to the
//! two servers.

pub mod backoff;
#[cfg(feature = "cassandra")]
pub mod cassandra;
pub mod clock;
pub mod health;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod process;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod text;

pub use process::Process;
pub use settings::{Reader, Setting};
pub use shutdown::Shutdown;
