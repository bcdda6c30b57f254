//! Entry point of the program that looks at the simulated fleet.

use std::process::ExitCode;

use fleet::Task;
use runtime::Process;
use runtime::process::Action;

fn main() -> ExitCode {
    let process = Process {
        name: "fleet",
        about: "Looks at the simulated fleet without any server: all of it can be computed",
    };
    let actions = [
        Action {
            name: "realism",
            about: "Compare the statistics of the fleet's values with those of real weather, \
                    rooms and people, and draw them",
            read: Task::read_realism,
        },
        Action {
            name: "truth",
            about: "Write down all that went wrong in a run, reading by reading, and as labels \
                    that the Numenta Anomaly Benchmark reads",
            read: Task::read_truth,
        },
    ];
    process.main_of_actions(&actions, fleet::run)
}
