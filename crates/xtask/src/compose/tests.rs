//! What docker-compose.yaml and its health checks promise, as far as it shows without Docker.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::Workspace;
use crate::bounded::Interrupt;

const PROBE: Duration = Duration::from_secs(30);

fn read(path: &str) -> String {
    fs::read_to_string(Workspace::here().path(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
}

/// Returns the lines of each service.
fn services(file: &str) -> Vec<Vec<&str>> {
    let body = file.split_once("\nservices:\n").unwrap().1.split("\nvolumes:\n").next().unwrap();
    let mut services: Vec<Vec<&str>> = Vec::new();
    for line in body.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let is_name = line.starts_with("  ") && !line.starts_with("   ") && line.ends_with(':');
        if is_name {
            services.push(Vec::new());
        }
        if let Some(service) = services.last_mut() {
            service.push(line.trim());
        }
    }
    services
}

fn mebibytes(limit: &str) -> u64 {
    match limit.split_at(limit.len() - 1) {
        (number, "m") => number.parse().unwrap(),
        (number, "g") => number.parse::<u64>().unwrap() * 1024,
        _ => panic!("mem_limit: {limit}"),
    }
}

#[test]
fn the_memory_limits_add_up_to_what_the_file_says() {
    let file = read("docker-compose.yaml");
    let mut sum = 0;
    for service in services(&file) {
        let limit = service.iter().find_map(|line| line.strip_prefix("mem_limit: "));
        let limit = mebibytes(limit.unwrap_or_else(|| panic!("{service:?} has no mem_limit")));
        let ends = service.contains(&"<<: *one-shot") || service.contains(&"restart: \"no\"");
        sum += if ends { 0 } else { limit };
    }
    let said = file.split("add up to ").nth(1).and_then(|rest| rest.split(" MiB").next());
    assert_eq!(said.unwrap().replace(' ', ""), sum.to_string());
    assert!(sum <= 4096, "the long-running services have {sum} MiB, more than 4 GiB");
}

#[test]
fn the_load_of_the_readme_is_taken_from_the_environment() {
    let file = read("docker-compose.yaml");
    let readme = read("README.md");
    let load = readme.split("## The load").nth(1).and_then(|rest| rest.split("\n## ").next());
    let named: BTreeSet<&str> = load
        .unwrap()
        .lines()
        // Several producers have a container each, and settings of their own.
        .filter(|line| line.starts_with('|') && !line.contains("PRODUCER_SHARD"))
        .flat_map(words)
        .filter(|word| word.starts_with("PRODUCER_") || word.starts_with("IOT_"))
        .collect();
    assert!(named.len() > 5, "{named:?}");
    for name in named {
        assert!(file.contains(&format!("{name}: ${{{name}:-")), "{name} is not passed on");
    }
}

#[test]
fn every_topic_can_be_renamed_for_all_services_alike() {
    let file = read("docker-compose.yaml");
    let topics = read("infra/kafka/topics.sh");
    let reference = read("docs/configuration.md");
    let names: BTreeSet<&str> =
        words(&reference).filter(|word| word.ends_with("TOPIC_NAME")).collect();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert_eq!(file.matches(&format!("{name}: ${{{name}:-")).count(), 1, "{name}");
        assert_eq!(file.matches(&format!("{name}: ")).count(), 1, "{name} is set twice");
        assert!(topics.contains(&format!("${{{name}:-")), "{name} is not created");
    }
}

/// Says whether the health check succeeds where a server reads requests of these sizes in bytes
/// and gives each the answer beside it.
fn check(script: &str, exchanges: &[(usize, &[u8])]) -> bool {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut bash = Command::new("bash");
    bash.arg(Workspace::here().path(script)).args(["127.0.0.1", &port]);
    thread::scope(|scope| {
        let server = scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PROBE)).unwrap();
            for (size, answer) in exchanges {
                // A check that has seen enough hangs up.
                if stream.read_exact(&mut vec![0; *size]).is_err() {
                    return;
                }
                stream.write_all(answer).unwrap();
            }
        });
        let outcome = Interrupt::default().run(&mut bash, PROBE);
        server.join().unwrap();
        outcome.is_ok()
    })
}

#[test]
fn kafka_is_healthy_with_a_live_broker_only() {
    let script = "infra/kafka/healthcheck.sh";
    let answer = b"\0\0\0\x30\0\0\0\x01\0\0\0\0\0\0\0\x01and the broker";
    assert!(check(script, &[(25, answer)]));
    assert!(!check(script, &[(25, b"\0\0\0\x30\0\0\0\x01\0\0\0\0\0\0\0\0")]), "no live broker");
    assert!(!check(script, &[(25, b"\0\0\0\x30\0\0\0\x02\0\0\0\0\0\0\0\x01")]), "another's answer");
    assert!(!check(script, &[(25, b"HTTP/1.1 400 Bad")]), "no broker at all");
    assert!(!check(script, &[(25, b"\0\0\0\x30")]), "half an answer");
    assert!(!check(script, &[]), "no answer");
}

#[test]
fn cassandra_is_healthy_if_it_answers_a_query_only() {
    let script = "infra/cassandra/healthcheck.sh";
    let ready = b"\x84\0\0\0\x02\0\0\0\0";
    let rows = b"\x84\0\0\0\x08\0\0\0\x20rows";
    let refused = b"\x84\0\0\0\0\0\0\0\x20error";
    assert!(check(script, &[(31, ready), (44, rows)]));
    assert!(!check(script, &[(31, ready), (44, refused)]), "the query fails");
    assert!(!check(script, &[(31, refused)]), "the connection is refused");
    assert!(!check(script, &[(31, ready), (44, b"")]), "no answer to the query");
    assert!(!check(script, &[]), "no answer");
}
