//! Entry point of the consumer.

use std::process::ExitCode;

use consumer::ConsumerSettings;
use runtime::Process;

/// For the Kafka client as well, which takes memory in one thread and gives it back in another
/// (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Process { name: "consumer", about: "Stores the readings of a Kafka topic in Cassandra." }
        .main(ConsumerSettings::read, consumer::run)
}
