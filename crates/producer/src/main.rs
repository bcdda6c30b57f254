//! Entry point of the producer.

use std::process::ExitCode;

use producer::ProducerSettings;
use runtime::Process;

fn main() -> ExitCode {
    let process = Process {
        name: "producer",
        about: "Simulates a fleet of sensors and sends its readings to Kafka",
    };
    process.main(ProducerSettings::read, producer::run)
}
