//! Entry point of `cargo xtask bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    up::log::show("warn");
    bench::cli::main()
}
