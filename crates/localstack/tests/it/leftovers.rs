//! Whatever ends a stack, no process, no folder and no listener stays behind.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::{env, fs};

use localstack::Stack;

use crate::support::{machine, process_exists, processes_of, small, wait_until};

/// What a stack occupies.
struct Footprint {
    folder: PathBuf,
    pids: Vec<u32>,
    addresses: Vec<SocketAddr>,
}

impl Footprint {
    fn of(stack: &Stack) -> Self {
        Self {
            folder: stack.data_dir().to_path_buf(),
            pids: stack.nodes().map(|node| node.pid().unwrap()).collect(),
            addresses: stack.nodes().map(localstack::Node::address).collect(),
        }
    }

    fn assert_no_process_or_listener(&self) {
        for pid in &self.pids {
            assert!(!process_exists(*pid), "process {pid} lives on");
        }
        assert_eq!(processes_of(&self.folder), Vec::<String>::new());
        for address in &self.addresses {
            TcpListener::bind(address).unwrap();
        }
    }
}

#[test]
fn dropping_a_stack_leaves_nothing() {
    let _machine = machine();
    let stack = small().start().unwrap();
    let footprint = Footprint::of(&stack);
    assert!(!processes_of(&footprint.folder).is_empty());
    stack.cassandra(0).pause().unwrap();

    drop(stack);

    footprint.assert_no_process_or_listener();
    assert!(!footprint.folder.exists());
}

#[test]
fn a_panic_leaves_only_logs() {
    let _machine = machine();
    let mut footprint = None;

    let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
        let stack = small().cassandra_nodes(0).start().unwrap();
        footprint = Some(Footprint::of(&stack));
        panic!("on purpose");
    }));

    assert!(outcome.is_err());
    let footprint = footprint.unwrap();
    footprint.assert_no_process_or_listener();
    let left: Vec<_> = fs::read_dir(&footprint.folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left, ["logs"]);
    assert!(footprint.folder.join("logs/kafka-1.log").is_file());
    fs::remove_dir_all(&footprint.folder).unwrap();
}

/// Set in the process that is to be killed.
const OWNER: &str = "LOCALSTACK_TEST_OWNER";

/// This test runs itself in a second process, the owner, and kills that one with SIGKILL.
#[test]
fn killing_the_owner_leaves_nothing() {
    if env::var_os(OWNER).is_some() {
        own_a_stack_until_killed();
        return;
    }
    let _machine = machine();
    let mut owner = Command::new(env::current_exe().unwrap())
        .args(["--exact", "leftovers::killing_the_owner_leaves_nothing", "--nocapture"])
        .env(OWNER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let footprint = read_footprint(owner.stdout.take().unwrap());
    assert!(footprint.pids.iter().all(|pid| process_exists(*pid)));
    assert!(footprint.folder.is_dir());

    owner.kill().unwrap();
    owner.wait().unwrap();

    wait_until("the folder is gone", || !footprint.folder.exists());
    wait_until("the processes are gone", || processes_of(&footprint.folder).is_empty());
    footprint.assert_no_process_or_listener();
    assert!(!footprint.folder.exists(), "a server wrote after the folder was removed");
}

/// Cassandra is paused: a frozen process must go as well.
fn own_a_stack_until_killed() {
    let stack = small().start().unwrap();
    stack.cassandra(0).pause().unwrap();
    let footprint = Footprint::of(&stack);
    let mut out = io::stdout().lock();
    for (pid, address) in footprint.pids.iter().zip(&footprint.addresses) {
        writeln!(out, "node {pid} {address}").unwrap();
    }
    writeln!(out, "folder {}", footprint.folder.display()).unwrap();
    // Ends only if the test dies before it has killed this process.
    io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn read_footprint(stdout: impl Read) -> Footprint {
    let (mut pids, mut addresses) = (Vec::new(), Vec::new());
    for line in BufReader::new(stdout).lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        match words[..] {
            ["node", pid, address] => {
                pids.push(pid.parse().unwrap());
                addresses.push(address.parse().unwrap());
            }
            ["folder", path] => {
                return Footprint { folder: path.into(), pids, addresses };
            }
            _ => {}
        }
    }
    panic!("the owner ended too early");
}
