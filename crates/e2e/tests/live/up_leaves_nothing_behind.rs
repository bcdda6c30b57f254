//! `cargo xtask up` proves a finite run, and Ctrl-C ends an endless one or a start, with no process
//! or folder left.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{program, turn};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use up::{LogLine, Program};

/// Returns the command lines of processes that mention a folder.
fn processes_in(folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&folder))
        .collect()
}

/// A folder in which everything temporary of one `up` lies.
fn up(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("up").unwrap());
    command.env("TMPDIR", folder).args(arguments);
    command
}

#[test]
fn a_finite_run_ends_with_its_audit() {
    let _turn = turn();
    let folder = TempDir::new().unwrap();
    let arguments = ["--sensors", "1000", "--rate", "20000", "--readings", "50000"];
    let output = up(folder.path(), &arguments).output().unwrap();
    let (text, log) = (String::from_utf8(output.stdout).unwrap(), output.stderr);
    let expected =
        "audit: scheduled 50000 acknowledged 50000 stored 50000 missing 0 phantom 0 corrupt 0";
    assert_eq!(text.lines().last(), Some(expected), "{text}\n{}", String::from_utf8_lossy(&log));
    assert!(output.status.success());
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the folder is empty again");
}

#[test]
fn ctrl_c_ends_everything() {
    let _turn = turn();
    let folder = TempDir::new().unwrap();
    let logs = TempDir::new().unwrap();
    let mut session =
        Program::spawn("up", up(folder.path(), &[]), &logs.path().join("up.log")).unwrap();
    let started = Instant::now();
    // Its lines are for people, so each is a message.
    session
        .wait_for("stored rows", Duration::from_mins(1), |line| {
            line.message().starts_with("rows are being stored")
        })
        .unwrap();
    println!("first rows {:.1} s after the start", started.elapsed().as_secs_f64());
    session.signal(Signal::SIGINT).unwrap();
    let status = session.wait(Duration::from_secs(30)).unwrap();
    assert!(status.success(), "up ended: {status}{}", session.last_lines());
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the folder is empty again");
}

#[test]
fn ctrl_c_is_answered_while_the_servers_start() {
    let _turn = turn();
    let folder = TempDir::new().unwrap();
    let logs = TempDir::new().unwrap();
    let mut session =
        Program::spawn("up", up(folder.path(), &[]), &logs.path().join("up.log")).unwrap();
    let says = |words: &'static str| move |line: &LogLine| line.message().contains(words);
    session.wait_for("a start", Duration::from_secs(30), says("starting kafka")).unwrap();
    // Both servers have a log before one of them is ready.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !processes_in(folder.path()).iter().any(|line| line.contains("cassandra-1.log")) {
        assert!(Instant::now() < deadline, "no server starts{}", session.last_lines());
        std::thread::yield_now();
    }
    session.signal(Signal::SIGINT).unwrap();
    let asked = Instant::now();
    session.wait_for("an answer", Duration::from_secs(2), says("stopping")).unwrap();
    let status = session.wait(Duration::from_secs(10)).unwrap();
    println!("ended {:.1} s after the signal", asked.elapsed().as_secs_f64());
    assert!(status.success(), "up ended: {status}{}", session.last_lines());
    assert_eq!(processes_in(folder.path()), Vec::<String>::new());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the folder is empty again");
}
