//! `report` shows what the tables of the analytics hold as a person would look for it, and says
//! what to do where they hold nothing.

use std::process::Command;

use domain::hour::hour_start_ms;
use e2e::{Database, Trial, program, shared_stack, turn};
use runtime::clock::now_ms;

const MINUTE_MS: i64 = 60_000;
const SITE: &str = "site-0042";

/// Returns the start of the minute that ended last, in epoch milliseconds.
fn newest_window_ms() -> i64 {
    let now_ms = now_ms();
    now_ms - now_ms % MINUTE_MS - MINUTE_MS
}

fn insert_window(database: &Database, kind: &str, sensor: &str, start_ms: i64, mean: f64) {
    let (hour_ms, min, max) = (hour_start_ms(start_ms), mean - 0.5, mean + 0.5);
    let columns = "site_id, hour, kind, sensor_id, window_start, count, min, max, mean, not_ok";
    let values = format!(
        "'{SITE}', {hour_ms}, '{kind}', '{sensor}', {start_ms}, 40, {min:?}, {max:?}, {mean:?}, 1"
    );
    let insert = format!("INSERT INTO aggregates_1m ({columns}) VALUES ({values})");
    database.execute(&insert).unwrap();
}

/// Inserts an alert on a lamp, with a threshold of 4.
fn insert_alert(database: &Database, rule: &str, started_ms: i64, state: &str, value: f64) {
    let cleared_ms = match state {
        "cleared" => (started_ms + 12 * MINUTE_MS).to_string(),
        _ => "null".into(),
    };
    let columns = "site_id, started_at, alert_id, sensor_id, kind, rule, severity, state, \
        opened_at, cleared_at, value, threshold";
    let values = format!(
        "'{SITE}', {started_ms}, '{rule}', '{SITE}/light-05', 'light', '{rule}', 'critical', \
         '{state}', {started_ms}, {cleared_ms}, {value:?}, 4.0"
    );
    let insert = format!("INSERT INTO alerts ({columns}) VALUES ({values})");
    database.execute(&insert).unwrap();
}

fn insert_sensor(database: &Database, name: &str, kind: &str) {
    let values = format!("'{SITE}', '{SITE}/{name}', '{kind}'");
    let insert = format!("INSERT INTO sensors (site_id, sensor_id, kind) VALUES ({values})");
    database.execute(&insert).unwrap();
}

/// Inserts the site with two sensors, an hour of which one says nothing, and three alerts.
fn insert_site(database: &Database, newest_ms: i64) {
    // Rising for an hour, of which ten minutes are missing; and one minute that is too old.
    for minute in (0..=60).filter(|minute| !(20..30).contains(minute)) {
        let start_ms = newest_ms - minute * MINUTE_MS;
        insert_window(database, "temperature", "", start_ms, 90.0 - minute as f64);
        insert_window(database, "temperature", "site-0042/temperature-03", start_ms, 21.0);
        insert_window(database, "light", "", start_ms, 300.0);
    }
    database.execute(&format!("INSERT INTO sites (site_id) VALUES ('{SITE}')")).unwrap();
    insert_sensor(database, "temperature-03", "temperature");
    insert_sensor(database, "motion-09", "motion");
    insert_alert(database, "drift", newest_ms - 5 * MINUTE_MS, "open", 6.0);
    insert_alert(database, "stuck", newest_ms - 3_000 * MINUTE_MS, "open", 8.0);
    insert_alert(database, "anomaly", newest_ms - 100 * MINUTE_MS, "cleared", 50.0);
}

fn report(trial: &Trial, arguments: &[&str]) -> String {
    report_within(trial, arguments, 120)
}

fn report_within(trial: &Trial, arguments: &[&str], columns: usize) -> String {
    let verdict = trial.run("report", arguments).unwrap();
    assert_eq!(verdict.code, 0, "{}", verdict.output);
    for line in verdict.output.lines() {
        assert!(line.chars().count() <= columns, "too wide: {line}");
        assert!(!line.contains('\x1b'), "colours without a terminal: {line}");
    }
    verdict.output
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

/// Returns the line that begins with a word.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    let line = text.lines().find(|line| line.starts_with(start));
    line.unwrap_or_else(|| panic!("no line starts with `{start}`:\n{text}"))
}

#[test]
fn a_site_is_shown_with_its_hour_and_its_alerts() {
    let _turn = turn();
    let trial = Trial::new(shared_stack().unwrap()).unwrap();
    let database = trial.database().unwrap();
    let newest_ms = newest_window_ms();
    insert_site(&database, newest_ms);

    let text = report(&trial, &["--site", SITE]);
    let chart = line(&text, "temperature  ");
    let gap = format!("{}{}", " ".repeat(10), "▆");
    assert_contains(chart, &["▁", &gap, "█  31.00 to 90.00 °C"]);
    assert_contains(line(&text, "light  "), &["▄▄▄▄▄▄▄▄▄▄", "278.57 to 328.57 lx"]);
    let figures = line(&text, "temperature °C");
    assert_contains(figures, &[" 90.00 ", " 2000 ", " 30.50 ", " 90.50 ", " 2.5%"]);
    assert_contains(line(&text, "light lx"), &[" 299.50 ", " 300.00 ", " 300.50 "]);
    assert_contains(
        &text,
        &[
            "2 open alerts\n",
            "critical  drift  light-05   6.00       4.00  tolerance\n",
            "last day: 2 alerts (1 cleared, 1 open)\n",
            "12 min  cleared  critical  anomaly  light-05  50.00       4.00  σ\n",
            "12.50  anomaly  light-05",
        ],
    );
    let ratios: Vec<&str> =
        text.lines().skip_while(|line| !line.starts_with("RATIO")).skip(1).collect();
    let rules: Vec<&str> =
        ratios.iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(rules, ["anomaly", "stuck", "drift"], "{text}");
    assert!(!text.contains("temperature-03"), "{text}");

    let text = report(&trial, &["--site", SITE, "--sensors"]);
    assert_contains(line(&text, "temperature-03  ▄▄▄▄▄▄▄▄▄▄"), &["20.14 to 22.14 °C"]);
    let listed = text.split("2 sensors\n").nth(1).unwrap();
    let figures = line(listed, "temperature-03  temperature  °C");
    assert_contains(figures, &[" 21.00  21.00  20.50  21.50   2000    2.5%"]);
    let silent = line(listed, "motion-09 ");
    assert_contains(silent, &["motion       0/1 ", " 0       -"]);

    let narrow = ["--site", SITE, "--sensors", "--columns", "60"];
    let text = report_within(&trial, &narrow, 60);
    assert_contains(&text, &["▁", "20.14 to 22.14 °C\n", "    light-05  50.00       4.00  σ\n"]);

    // An hour and a half earlier there was nothing but what had not happened yet.
    let at = jiff::Timestamp::from_millisecond(newest_ms - 90 * MINUTE_MS).unwrap().to_string();
    let text = report(&trial, &["--site", SITE, "--at", &at]);
    assert_contains(
        &text,
        &["no minute windows of site-0042 yet: is analytics running?", "1 alert (1 cleared)"],
    );

    let text = report(&trial, &[]);
    assert_contains(
        &text,
        &[
            "sites          1, 1 with open alerts\nsensors        2\nnewest window  ends 20",
            "open alerts    2: 2 critical, 0 warning, 0 info\n",
            "RULE   CRITICAL  WARNING  INFO  ALL\n",
            "all           2        0     0    2\n",
            "critical  drift  site-0042  light-05   6.00       4.00  tolerance\n",
        ],
    );
    let text = report(&trial, &["--lines", "1"]);
    assert_contains(&text, &["and 1 more; --lines 2 shows them\n"]);
}

#[test]
fn where_there_is_nothing_a_report_says_what_to_do() {
    let _turn = turn();
    let mut trial = Trial::new(shared_stack().unwrap()).unwrap();
    let database = trial.database().unwrap();
    let text = report(&trial, &[]);
    let newest = "newest window  none in the last two hours: is analytics running?\n";
    assert_contains(&text, &["sites          0\nsensors        0\n", newest, "no open alerts; "]);
    let text = report(&trial, &["--site", SITE]);
    assert_contains(&text, &["no site `site-0042`, nor any other yet: are producer and consumer"]);

    let (site, sensor) = ("INSERT INTO sites (site_id) VALUES", "INSERT INTO sensors (site_id,");
    for other in ["site-0001", "site-0000"] {
        database.execute(&format!("{site} ('{other}')")).unwrap();
    }
    let text = report(&trial, &["--site", SITE]);
    assert_eq!(text, "no site `site-0042`; there are 2 sites: site-0000, site-0001\n");

    let text_of_sensor = format!("{sensor} sensor_id, kind) VALUES ('site-0001', 'a', 'light')");
    database.execute(&text_of_sensor).unwrap();
    let text = report(&trial, &["--site", "site-0001"]);
    assert_contains(&text, &["no minute windows of site-0001 yet: is analytics running?"]);
    assert_contains(&text, &["no open alerts\n", "no alerts in the day up to "]);

    let output = Command::new(program("report").unwrap())
        .env("CASSANDRA_CONTACT_POINTS", trial.setting("CASSANDRA_CONTACT_POINTS"))
        .env("CASSANDRA_KEYSPACE", trial.keyspace())
        .env_remove("LOG_LEVEL")
        .output()
        .unwrap();
    assert!(output.status.success());
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(log, "", "where all is well there is no log beside the report");

    let misuse = trial.run("report", &["--at", "noon", "--sensors"]).unwrap();
    assert_eq!((misuse.code, misuse.output.as_str()), (64, ""));
    trial.set("CASSANDRA_CONTACT_POINTS", "127.0.0.1:1");
    assert_eq!(trial.run("report", &[]).unwrap().code, 1, "nobody answers");
}
