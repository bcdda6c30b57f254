//! Entry point of the program that shows what the analytics found.

use std::process::ExitCode;

use report::ReportSettings;
use runtime::Process;

fn main() -> ExitCode {
    let process = Process {
        name: "report",
        about: "Shows the fleet and its open alerts, or with --site the last hour of a site.",
    };
    process.main(ReportSettings::read, report::run)
}
