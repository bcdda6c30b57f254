//! What the tests share: the lock, bounded waiting, and a look at the machine's processes.

use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use localstack::{Builder, Stack};
use nix::sys::signal;
use nix::unistd::Pid;

static MACHINE: Mutex<()> = Mutex::new(());

/// Takes the machine for one test; a test that failed while it held it does not matter to the next.
pub(crate) fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One small node of each kind.
pub(crate) fn small() -> Builder {
    Stack::builder().kafka_heap_mib(256).cassandra_heap_mib(512)
}

/// Waits until `condition` holds, at most 20 s.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited 20 s in vain until {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn process_exists(pid: u32) -> bool {
    signal::kill(Pid::from_raw(i32::try_from(pid).unwrap()), None).is_ok()
}

/// The command lines of all processes that mention `folder`.
pub(crate) fn processes_of(folder: &Path) -> Vec<String> {
    let output = Command::new("ps").args(["-A", "-o", "args"]).output().unwrap();
    assert!(output.status.success());
    let folder = folder.to_str().unwrap();
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.contains(folder))
        .map(str::to_owned)
        .collect()
}
