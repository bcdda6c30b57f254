//! Entry point of the audit: settings, telemetry, signals, exit code.

use std::process::ExitCode;

use audit::AuditSettings;
use runtime::Process;

fn main() -> ExitCode {
    let process = Process {
        name: "audit",
        about: "Recomputes what every run must have stored and compares it with Cassandra; \
                exits 1 if a row is missing, made up or altered",
    };
    process.main(AuditSettings::read, audit::run)
}
