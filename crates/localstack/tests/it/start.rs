//! Starting: in seconds, in either storage format, on chosen ports, with errors that say what to
//! do.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use localstack::{Stack, StackError, Storage};

use crate::client;
use crate::support::{machine, small};

#[test]
fn one_node_of_each_starts_in_time_and_answers() {
    let _machine = machine();
    // The first start on a machine fetches jars; that is not what is measured.
    drop(Stack::builder().start().unwrap());

    let start = Instant::now();
    let stack = Stack::builder().start().unwrap();
    let elapsed = start.elapsed();

    println!("one node of each was ready after {} ms", elapsed.as_millis());
    // It takes 7 to 8 s on an idle machine with 2 cores; the rest is for a busy one.
    assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
    client::create_topic(stack.kafka(0).address(), "readings", 1);
    assert!(client::has_topic(stack.kafka(0).address(), "readings"));
    client::cql(stack.cassandra(0).address(), client::ONE, "SELECT * FROM system.local").unwrap();
    assert_eq!(stack.bootstrap_servers(), stack.kafka(0).address().to_string());
    assert_eq!(stack.contact_points(), stack.cassandra(0).address().to_string());
    let centre = b"datacenter1";
    let local = "SELECT data_center FROM system.local";
    let body = client::cql(stack.cassandra(0).address(), client::ONE, local).unwrap();
    assert!(body.windows(centre.len()).any(|window| window == centre));
}

#[test]
fn either_kind_starts_alone_and_storage_is_as_asked_for() {
    let _machine = machine();
    let kafka = small().cassandra_nodes(0).start().unwrap();
    assert_eq!(kafka.contact_points(), "");
    drop(kafka);

    for (storage, wanted, other) in
        [(Storage::Stock, "-big-", "-bti-"), (Storage::Trie, "-bti-", "-big-")]
    {
        let stack = small().kafka_nodes(0).storage(storage).start().unwrap();
        assert_eq!(stack.bootstrap_servers(), "");
        // A starting node writes its own tables, so there are files to look at.
        let names = file_names(&stack.data_dir().join("cassandra-1/data"));
        let with = |part: &str| names.iter().any(|name| name.contains(part));
        assert!(with(wanted) && !with(other), "{storage:?}: {names:?}");
        let text =
            "SELECT value FROM system_views.settings WHERE name = 'memtable_allocation_type'";
        let body = client::cql(stack.cassandra(0).address(), client::ONE, text).unwrap();
        let value: &[u8] = match storage {
            Storage::Stock => b"heap_buffers",
            Storage::Trie => b"offheap_objects",
        };
        assert!(body.windows(value.len()).any(|window| window == value), "{storage:?}");
    }
}

#[test]
fn a_taken_port_is_named() {
    let _machine = machine();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();

    let error = small().cassandra_nodes(0).kafka_port(Some(port)).start().unwrap_err();

    assert!(matches!(&error, StackError::PortTaken { address, .. } if address.port() == port));
    assert!(error.to_string().contains(&format!("port {port} for kafka is taken")), "{error}");
}

#[test]
fn a_server_that_ends_at_once_is_reported_with_its_last_words() {
    let _machine = machine();

    let error = small().cassandra_nodes(0).kafka_heap_mib(1).start().unwrap_err();

    let StackError::Exited { log_path, log_tail, .. } = &error else {
        panic!("not the expected error: {error}");
    };
    assert!(log_tail.contains("heap") || log_tail.contains("OutOfMemoryError"), "{error}");
    assert!(log_path.is_file(), "the log is gone: {error}");
    fs::remove_dir_all(log_path.ancestors().nth(2).unwrap()).unwrap();
}

#[test]
fn a_data_folder_keeps_data_and_ports_for_the_next_stack() {
    let _machine = machine();
    let folder = tempfile::Builder::new().prefix("a b'c").tempdir().unwrap();
    let first = small().data_dir(folder.path()).start().unwrap();
    let addresses = (first.bootstrap_servers(), first.contact_points());
    client::create_topic(first.kafka(0).address(), "kept", 1);
    create_table(&first);
    let error = small().data_dir(folder.path()).start().unwrap_err();
    assert!(matches!(error, StackError::DataFolderInUse { .. }), "{error}");
    drop(first);

    let second = small().data_dir(folder.path()).start().unwrap();

    assert_eq!((second.bootstrap_servers(), second.contact_points()), addresses);
    assert!(client::has_topic(second.kafka(0).address(), "kept"));
    client::cql(second.cassandra(0).address(), client::ONE, "SELECT * FROM kept.t").unwrap();
    assert!(second.kafka(0).log_path().starts_with(folder.path().canonicalize().unwrap()));
}

fn create_table(stack: &Stack) {
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    for statement in [
        &format!("CREATE KEYSPACE kept WITH replication = {replication}"),
        "CREATE TABLE kept.t (k int PRIMARY KEY)",
    ] {
        client::cql(stack.cassandra(0).address(), client::ONE, statement).unwrap();
    }
}

fn file_names(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(file_names(&entry.path()));
        } else {
            names.push(entry.file_name().into_string().unwrap());
        }
    }
    names
}
