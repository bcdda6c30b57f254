//! What strangers write is shown, never obeyed: no program's log and no tool's output moves the
//! cursor, colours, begins a line or turns the reading direction, whatever identifiers, keys,
//! headers and values hold.

use std::fs;
use std::time::Duration;

use e2e::{Trial, shared_stack, topic, turn};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer};
use runtime::clock::now_ms;
use runtime::text::is_unprintable;

const WAIT: Duration = Duration::from_mins(1);
const DAY_MS: i64 = 86_400_000;
/// Clears the screen, sets a title, rings, forges a line, turns the direction, hides: as JSON has
/// it, and as it is.
const EVIL_JSON: &str = r"\u001b[2J\u001b]0;t\u0007\n2026 ERROR forged\u202eabc\u200f\u0085\ufeff";
const EVIL: &str = "\u{1b}[2J\u{1b}]0;t\u{7}\n2026 ERROR forged\u{202e}abc\u{200f}\u{85}\u{feff}";

fn reading(ts_ms: i64, kind: &str) -> String {
    format!(
        r#"{{"sensor_id":"{EVIL_JSON}","site_id":"{EVIL_JSON}","kind":"{kind}","ts":{ts_ms},
        "value":1.5,"unit":"lx","seq":1,"run":"{EVIL_JSON}","status":"ok",
        "location":{{"lat":1,"lon":2}}}}"#
    )
}

#[test]
fn no_program_obeys_what_a_record_holds() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(WAIT).unwrap();
    let producer = topic::producer(&stack.bootstrap_servers()).unwrap();
    // Stored, expired, refused for its kind, and no JSON at all.
    let now = now_ms();
    let values = [
        reading(now, "light"),
        reading(now - 400 * DAY_MS, "light"),
        reading(now, EVIL_JSON),
        EVIL.to_owned(),
    ];
    for value in &values {
        let header = Header { key: EVIL, value: Some(EVIL.as_bytes()) };
        let record = BaseRecord::to(trial.topic()).partition(1).key(EVIL).payload(value);
        let sent = producer.send(record.headers(OwnedHeaders::new().insert(header)));
        sent.map_err(|(error, _)| error).unwrap();
    }
    producer.flush(WAIT).unwrap();

    for name in ["consumer", "analytics"] {
        let mut program = trial.start(name, name).unwrap();
        let read =
            |line: &up::LogLine| line.message() == "progress" && line.number("lag") == Some(0.0);
        program.wait_for("all read", WAIT, read).unwrap();
        assert!(program.stop(Duration::from_secs(15)).unwrap().success());
        let log = fs::read_to_string(trial.folder().join(format!("{name}.log"))).unwrap();
        assert_harmless(name, &log);
    }
    let log = fs::read_to_string(trial.folder().join("consumer.log")).unwrap();
    assert!(log.contains("forged"), "nothing of it is in the log: {log}");

    let tools: [(&str, &[&str], i32, &str); 8] = [
        ("dlq", &["list"], 0, "unknown-kind"),
        ("dlq", &["list", "--format", "json"], 0, "forged"),
        ("dlq", &["show", "--partition", "1", "--offset", "0"], 0, "forged"),
        ("dlq", &["show", "--partition", "1", "--offset", "1"], 0, "forged"),
        ("report", &["--site", EVIL], 0, "forged"),
        ("report", &["--site", "elsewhere"], 0, "forged"),
        ("audit", &[], 0, "foreign"),
        ("audit", &["--strict"], 1, "phantom"),
    ];
    for (tool, arguments, code, said) in tools {
        let verdict = trial.run(tool, arguments).unwrap();
        let output = verdict.output;
        assert_eq!(verdict.code, code, "{tool} {arguments:?}: {output}");
        assert!(output.contains(said), "{tool} {arguments:?}: no `{said}` in {output}");
        assert_harmless(&format!("{tool} {arguments:?}"), &output);
    }
}

fn assert_harmless(whose: &str, text: &str) {
    let unprintable = text.chars().find(|c| *c != '\n' && is_unprintable(*c));
    assert_eq!(unprintable, None, "{whose} holds it raw: {text:?}");
    // The value of a dead letter comes last, after a line of its own, and keeps its line ends.
    let head = text.split_once("\nvalue of ").map_or(text, |(head, _)| head);
    let forged = head.lines().find(|line| line.starts_with("2026 ERROR"));
    assert_eq!(forged, None, "{whose} has a line that a stranger began");
}
