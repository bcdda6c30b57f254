//! Entry point of the analytics.

use std::process::ExitCode;

use analytics::Task;
use runtime::Process;
use runtime::process::Action;

/// For the Kafka client as well, which takes memory in one thread and gives it back in another
/// (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let process =
        Process { name: "analytics", about: "Computes windows and alerts over the readings" };
    let score = Action {
        name: "score",
        about: "Say how good the detectors are: on simulated faults, or on the Numenta Anomaly \
                Benchmark",
        read: Task::read_score,
    };
    process.main_with_actions(Task::read_service, &[score], analytics::run)
}
