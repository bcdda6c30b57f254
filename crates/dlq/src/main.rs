//! Entry point of the dead-letter tool.

use std::process::ExitCode;

use dlq::Task;
use runtime::Process;
use runtime::process::Action;

fn main() -> ExitCode {
    let process = Process {
        name: "dlq",
        about: "Lists and shows dead letters, records that could not be stored, and sends them \
                back to the topic they came from",
    };
    let actions = [
        Action {
            name: "list",
            about: "List the dead letters that wait, and count them by reason",
            read: Task::read_list,
        },
        Action {
            name: "show",
            about: "Show all of one dead letter: its headers and its value",
            read: Task::read_show,
        },
        Action {
            name: "redrive",
            about: "Send the dead letters that wait back to where they came from, repaired by a \
                    command if need be",
            read: Task::read_redrive,
        },
    ];
    process.main_of_actions(&actions, dlq::run)
}
