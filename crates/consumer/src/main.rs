//! Entry point of the consumer.

use std::process::ExitCode;

use consumer::ConsumerSettings;
use runtime::Process;

fn main() -> ExitCode {
    Process { name: "consumer", about: "Stores the readings of a Kafka topic in Cassandra." }
        .main(ConsumerSettings::read, consumer::run)
}
