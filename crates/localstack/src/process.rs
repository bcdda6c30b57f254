//! A server process that cannot outlive its owner, however that ends.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::error::StackError;

/// Starts the server in the background and waits on stdin. A word there means that the server has
/// ended; the end of input means that the owner has: then the server is killed, also if it is
/// stopped, and the folder removed. The server holds a copy of the pipe on stdout, so the owner
/// sees its end as the end of that pipe. Signals are ignored only after the start, or the server
/// would inherit that.
const SUPERVISOR: &str = r#"
folder=$1 log=$2
shift 2
"$@" 3>&1 </dev/null >>"$log" 2>&1 &
server=$!
trap '' HUP INT TERM
echo "$server"
exec >/dev/null
read -r word
[ -n "$word" ] || kill -KILL "$server"
wait "$server"
status=$?
[ -n "$word" ] || [ -z "$folder" ] || rm -rf "$folder"
exit "$status"
"#;

/// Removes a folder when the owner is gone. Every supervisor does so as well, after its server:
/// whoever is last finds no server left that could write.
const GUARD: &str = r#"
trap '' HUP INT TERM
read -r word
[ -n "$word" ] || rm -rf "$1"
"#;

/// How long the system may take for what needs no cooperation: to start a shell, to reap a killed
/// process.
pub(crate) const SYSTEM_TIMEOUT: Duration = Duration::from_secs(20);

const REAP_POLL: Duration = Duration::from_millis(5);

const INTERRUPT_POLL: Duration = Duration::from_millis(50);

/// A running server and its supervisor.
#[derive(Debug)]
pub(crate) struct Supervised {
    pid: Pid,
    supervisor: Child,
    exit: Arc<Exit>,
}

/// Where the watching thread leaves the news that the server has ended.
#[derive(Debug, Default)]
struct Exit {
    seen: Mutex<bool>,
    changed: Condvar,
}

impl Exit {
    fn seen(&self) -> MutexGuard<'_, bool> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self) {
        *self.seen() = true;
        self.changed.notify_all();
    }
}

impl Supervised {
    /// Starts `program` in `directory`, with its output appended to `log`. If the owner dies,
    /// `folder` is removed, if given. `on_exit` is called once the program has ended, before
    /// anybody waiting for that returns.
    pub(crate) fn spawn(
        program: &Path,
        arguments: &[String],
        directory: &Path,
        log: &Path,
        folder: Option<&Path>,
        on_exit: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let mut supervisor = Command::new("sh")
            .args(["-c", SUPERVISOR, "supervisor"])
            .arg(folder.unwrap_or(Path::new("")))
            .arg(log)
            .arg(program)
            .args(arguments)
            // They change the heap or the class path behind our back.
            .env_remove("JAVA_TOOL_OPTIONS")
            .env_remove("JDK_JAVA_OPTIONS")
            .env_remove("CLASSPATH")
            // With another locale, Java finds no file whose name is not ASCII.
            .env("LC_ALL", "C.UTF-8")
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C in a terminal goes to the owner alone, which may want its servers until it is
            // done.
            .process_group(0)
            .spawn()?;
        let stdin = supervisor.stdin.take().expect("stdin is piped");
        let stdout = supervisor.stdout.take().expect("stdout is piped");
        let exit = Arc::new(Exit::default());
        let (tx, rx) = mpsc::channel();
        let watched = Arc::clone(&exit);
        thread::spawn(move || {
            let stdin = watch(stdout, stdin, &tx);
            on_exit();
            watched.announce();
            release(stdin);
        });
        let Ok(Some(pid)) = rx.recv_timeout(SYSTEM_TIMEOUT) else {
            supervisor.kill()?;
            supervisor.wait()?;
            return Err(io::Error::other("the supervisor did not start"));
        };
        Ok(Self { pid, supervisor, exit })
    }

    /// The server's own process id, not the supervisor's.
    pub(crate) fn pid(&self) -> Pid {
        self.pid
    }

    pub(crate) fn has_exited(&self) -> bool {
        *self.exit.seen()
    }

    /// Sends a signal to the server; nothing is sent once it has ended.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.has_exited() {
            return Ok(());
        }
        match signal::kill(self.pid, signal) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the server has ended, at most `timeout`; false if it has not.
    pub(crate) fn wait_exit(&self, timeout: Duration) -> bool {
        let waited = self.exit.changed.wait_timeout_while(self.exit.seen(), timeout, |seen| !*seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same, but fails soon after `interrupt` is set.
    pub(crate) fn wait_exit_unless(
        &self,
        interrupt: &AtomicBool,
        timeout: Duration,
    ) -> Result<bool, StackError> {
        let deadline = Instant::now() + timeout;
        loop {
            if interrupt.load(Ordering::Relaxed) {
                return Err(StackError::Interrupted);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if self.wait_exit(left.min(INTERRUPT_POLL)) {
                return Ok(true);
            }
            if left.is_zero() {
                return Ok(false);
            }
        }
    }

    /// Kills the server if it still runs, reaps it and returns how it ended.
    pub(crate) fn reap(&mut self) -> io::Result<ExitStatus> {
        self.signal(Signal::SIGKILL)?;
        let deadline = Instant::now() + SYSTEM_TIMEOUT;
        if !self.wait_exit(SYSTEM_TIMEOUT) {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the process survived SIGKILL"));
        }
        loop {
            if let Some(status) = self.supervisor.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the supervisor did not end"));
            }
            thread::sleep(REAP_POLL);
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if let Err(error) = self.reap() {
            tracing::error!(pid = self.pid.as_raw(), %error, "cannot end a server");
        }
    }
}

/// Reads the server's process id, passes it on, then waits for the pipe to end.
fn watch(stdout: impl Read, stdin: ChildStdin, tx: &mpsc::Sender<Option<Pid>>) -> ChildStdin {
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    let pid = match lines.read_line(&mut line) {
        Ok(_) => line.trim().parse().ok().map(Pid::from_raw),
        Err(_) => None,
    };
    // The receiver is gone only if it gave up waiting, and then it has ended the supervisor.
    tx.send(pid).ok();
    let mut rest = Vec::new();
    lines.read_to_end(&mut rest).ok();
    stdin
}

/// Tells a shell that its work is over: without a word it would take the end of its input for the
/// death of the owner. If the word cannot be written, the shell is gone already.
fn release(mut stdin: ChildStdin) {
    stdin.write_all(b"ended\n").ok();
}

/// Removes a folder should the owner die; dropped in good order, it leaves the folder alone.
#[derive(Debug)]
pub(crate) struct FolderGuard {
    shell: Child,
}

impl FolderGuard {
    pub(crate) fn spawn(folder: &Path) -> io::Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", GUARD, "guard"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for FolderGuard {
    fn drop(&mut self) {
        if let Some(stdin) = self.shell.stdin.take() {
            release(stdin);
        }
        self.shell.wait().ok();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn shell(script: &str, log: &Path) -> Supervised {
        let arguments = ["-c".to_owned(), script.to_owned()];
        Supervised::spawn(Path::new("sh"), &arguments, Path::new("/"), log, None, || {}).unwrap()
    }

    #[test]
    fn output_and_exit_status_are_those_of_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = shell("echo out; echo err >&2; exit 3", &log);
        assert!(process.wait_exit(SYSTEM_TIMEOUT));
        assert_eq!(process.reap().unwrap().code(), Some(3));
        assert_eq!(fs::read_to_string(&log).unwrap(), "out\nerr\n");
    }

    #[test]
    fn a_program_that_does_not_exist_ends_at_once_and_says_so_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let program = Path::new("/no/such/program");
        let mut process =
            Supervised::spawn(program, &[], Path::new("/"), &log, None, || {}).unwrap();
        assert!(process.wait_exit(SYSTEM_TIMEOUT));
        assert_eq!(process.reap().unwrap().code(), Some(127));
        assert!(fs::read_to_string(&log).unwrap().contains("/no/such/program"));
    }

    #[test]
    fn the_pid_is_the_programs_own_and_a_stopped_program_can_be_reaped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = shell("echo $$; exec sleep 600", &log);
        assert!(!process.wait_exit(Duration::from_millis(300)));
        let printed = fs::read_to_string(&log).unwrap();
        assert_eq!(printed.trim(), process.pid().to_string());
        process.signal(Signal::SIGSTOP).unwrap();
        process.reap().unwrap();
        assert!(signal::kill(process.pid(), None).is_err(), "it lives on");
    }

    #[test]
    fn a_guard_removes_its_folder_only_when_the_owner_is_gone() {
        for (owner_dies, left) in [(false, true), (true, false)] {
            let folder = tempfile::tempdir().unwrap();
            let mut guard = FolderGuard::spawn(folder.path()).unwrap();
            if owner_dies {
                // What the system does with a dead owner's pipe.
                drop(guard.shell.stdin.take());
            }
            drop(guard);
            assert_eq!(folder.path().exists(), left);
        }
    }
}
