//! `report` shows what the tables of the analytics hold as a person would look for it, and says
//! what to do where they hold nothing.

use domain::hour::hour_start_ms;
use e2e::{Database, Trial, shared_stack, turn};
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

fn report(trial: &Trial, arguments: &[&str]) -> String {
    let verdict = trial.run("report", arguments).unwrap();
    assert_eq!(verdict.code, 0, "{}", verdict.output);
    for line in verdict.output.lines() {
        assert!(line.chars().count() <= 120, "too wide: {line}");
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
    // Rising for an hour, of which ten minutes are missing; and one minute that is too old.
    for minute in (0..=60).filter(|minute| !(20..30).contains(minute)) {
        let start_ms = newest_ms - minute * MINUTE_MS;
        insert_window(&database, "temperature", "", start_ms, 90.0 - minute as f64);
        insert_window(&database, "temperature", "site-0042/temperature-03", start_ms, 21.0);
        insert_window(&database, "light", "", start_ms, 300.0);
    }
    insert_alert(&database, "drift", newest_ms - 5 * MINUTE_MS, "open", 6.0);
    insert_alert(&database, "stuck", newest_ms - 3_000 * MINUTE_MS, "open", 8.0);
    insert_alert(&database, "anomaly", newest_ms - 100 * MINUTE_MS, "cleared", 50.0);

    let text = report(&trial, &["--site", SITE]);
    let temperature = line(&text, "temperature °C");
    let gap = format!("{}{}", " ".repeat(10), "▆");
    assert_contains(temperature, &[" 2000 ", " 30.50 ", " 90.50 ", " 2.5%", "▁", &gap]);
    assert!(temperature.ends_with('█'), "the newest minute is the last cell: {temperature}");
    assert_contains(line(&text, "light lx"), &[" 299.50 ", " 300.00 ", "▄▄▄▄▄▄▄▄▄▄"]);
    assert_contains(
        &text,
        &[
            "2 open alerts\n",
            "critical  drift  light-05   6.00       4.00",
            "last day: 2 alerts (1 cleared, 1 open)\n",
            "12 min  cleared  critical  anomaly  light-05  50.00       4.00",
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
    assert_contains(line(&text, "temperature-03"), &[" 2000 ", " 21.00 ", "▄▄▄▄▄▄▄▄▄▄"]);

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
            ": 2 open alerts at 1 site\n",
            "RULE   CRITICAL  WARNING  INFO  ALL\n",
            "all           2        0     0    2\n",
            "critical  drift  site-0042  light-05   6.00       4.00",
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
    assert_contains(&report(&trial, &[]), &["no alerts yet, so all is well or analytics is not"]);
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

    let misuse = trial.run("report", &["--at", "noon", "--sensors"]).unwrap();
    assert_eq!((misuse.code, misuse.output.as_str()), (64, ""));
    trial.set("CASSANDRA_CONTACT_POINTS", "127.0.0.1:1");
    assert_eq!(trial.run("report", &[]).unwrap().code, 1, "nobody answers");
}
