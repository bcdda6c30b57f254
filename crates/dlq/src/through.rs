//! The command that repairs: a value on its standard input, the repaired one on its output.

use std::io;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use runtime::Shutdown;
use runtime::kafka::TopicSpec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;

use crate::error::DlqError;

/// A command of the user's shell.
#[derive(Debug)]
pub(crate) struct Through {
    command: String,
    runtime: Handle,
    shutdown: Shutdown,
}

/// What the command made of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// This is to be sent.
    Done(Vec<u8>),
    /// It could not repair this one.
    Failed(String),
}

impl Through {
    /// Prepares to run a command; called within the async runtime.
    pub(crate) fn new(command: &str, shutdown: &Shutdown) -> Self {
        let (command, shutdown) = (command.to_owned(), shutdown.clone());
        Self { command, runtime: Handle::current(), shutdown }
    }

    /// Runs the command on a value; ends it if asked to stop meanwhile.
    pub(crate) fn repair(&self, value: &[u8]) -> Result<Repair, DlqError> {
        self.runtime.block_on(async {
            let mut child = Command::new("sh")
                .args(["-c", &self.command])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                // Ctrl-C is for this program to hear, and the end of a group ends its pipelines.
                .process_group(0)
                .spawn()
                .map_err(DlqError::Command)?;
            let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
            tokio::select! {
                outcome = converse(&mut child, value) => {
                    let (status, output) = outcome.map_err(DlqError::Command)?;
                    Ok(judge(status, output))
                }
                () = self.shutdown.stopped() => {
                    // An error means that it has just ended by itself.
                    let _gone = group.map(|group| killpg(group, Signal::SIGKILL));
                    Err(DlqError::Stopped)
                }
            }
        })
    }
}

/// Feeds and reads the child at the same time, so that neither pipe blocks the other.
async fn converse(child: &mut Child, value: &[u8]) -> io::Result<(ExitStatus, Vec<u8>)> {
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command may know enough before it has read all.
            let _closed = stdin.write_all(value).await;
        }
    };
    let read = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            // Output without end must not fill the memory.
            let bytes_max = u64::from(TopicSpec::DEAD_LETTER_BYTES_MAX);
            stdout.take(bytes_max).read_to_end(&mut output).await?;
        }
        Ok::<_, io::Error>(output)
    };
    let ((), output) = tokio::join!(feed, read);
    Ok((child.wait().await?, output?))
}

fn judge(status: ExitStatus, output: Vec<u8>) -> Repair {
    if !status.success() {
        return Repair::Failed(format!("the command ended with {status}"));
    }
    // No reading is empty, and the original would be gone.
    if output.is_empty() {
        return Repair::Failed("the command printed nothing".into());
    }
    Repair::Done(output)
}

#[cfg(test)]
mod tests {
    use runtime::shutdown;

    use super::*;

    /// Runs a command on a value, off the runtime's own threads as the program does.
    fn repair(command: &'static str, value: impl Into<Vec<u8>>) -> Result<Repair, DlqError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let value = value.into();
        runtime.block_on(async {
            let (_stopper, shutdown) = shutdown::channel();
            tokio::task::spawn_blocking(move || Through::new(command, &shutdown).repair(&value))
                .await
                .unwrap()
        })
    }

    #[test]
    fn the_output_becomes_the_value() {
        let done = repair("tr a-z A-Z", b"warm").unwrap();
        assert_eq!(done, Repair::Done(b"WARM".to_vec()));
        let indifferent = repair("echo same", vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(indifferent, Repair::Done(b"same\n".to_vec()));
    }

    #[test]
    fn failure_and_silence_are_no_repair() {
        let Repair::Failed(why) = repair("exit 3", b"").unwrap() else { panic!("it failed") };
        assert!(why.contains('3'), "{why}");
        assert!(matches!(repair("cat >/dev/null", b"x").unwrap(), Repair::Failed(_)));
        assert!(matches!(repair("yes", b"x").unwrap(), Repair::Failed(_)));
    }

    #[test]
    fn a_stop_ends_a_command_that_does_not_end() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let outcome = runtime.block_on(async {
            let (stopper, shutdown) = shutdown::channel();
            let work = tokio::task::spawn_blocking(move || {
                Through::new("sleep 600 | cat", &shutdown).repair(b"")
            });
            stopper.stop();
            work.await.unwrap()
        });
        assert!(matches!(outcome, Err(DlqError::Stopped)), "{outcome:?}");
    }
}
