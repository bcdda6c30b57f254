//! The log of a tool on a terminal.

use tracing_subscriber::EnvFilter;

/// Shows what the tool's own parts have to say, on standard error; `RUST_LOG` wins over `default`.
pub fn show(default: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(runtime::telemetry::is_coloured())
        .without_time()
        .with_writer(std::io::stderr)
        .init();
}
