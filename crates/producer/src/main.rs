//! Entry point of the producer.

use std::process::ExitCode;

use producer::ProducerSettings;
use runtime::Process;

/// For the Kafka client as well, which takes memory in one thread and gives it back in another: the
/// system's allocator takes three times the time for that (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let process = Process {
        name: "producer",
        about: "Simulates a fleet of sensors and sends its readings to Kafka",
    };
    process.main(ProducerSettings::read, producer::run)
}
