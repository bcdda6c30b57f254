//! What a person reads of a site.

use domain::SensorKind;
use domain::hour::HOUR_MS;

use super::*;
use crate::rows::MINUTE_MS;

const END_MS: i64 = 1_764_000_000_000;
const LOOK: Look = Look { lines_max: 20, columns: 120, has_colours: false };
const NARROW: Look = Look { columns: 60, ..LOOK };

fn window(kind: SensorKind, sensor: &str, minute: i64, mean: f64) -> Window {
    Window {
        kind: kind.name().into(),
        sensor_id: sensor.into(),
        start_ms: END_MS - HOUR_MS + minute * MINUTE_MS,
        count: 200,
        min: mean - 1.0,
        max: mean + 1.0,
        mean,
        not_ok: 1,
    }
}

fn alert(minutes_ago: i64, state: &str, rule: &str, value: f64) -> Alert {
    let started_ms = END_MS - minutes_ago * MINUTE_MS;
    Alert {
        site_id: "site-0042".into(),
        sensor_id: "site-0042/light-05".into(),
        kind: "light".into(),
        started_ms,
        severity: "warning".into(),
        state: state.into(),
        rule: rule.into(),
        cleared_ms: (state == "cleared").then_some(started_ms + 12 * MINUTE_MS),
        value: Some(value),
        threshold: Some(4.0),
    }
}

fn report(windows: Vec<Window>, open: Vec<Alert>, day: Vec<Alert>) -> SiteReport<'static> {
    let all = |rows| Alerts { rows, is_complete: true };
    let span = Span::until(END_MS);
    let (site_id, sensors) = ("site-0042", Vec::new());
    SiteReport { site_id, span, windows, sensors, open: all(open), day: all(day) }
}

#[test]
fn a_report_has_all_that_a_person_looks_for() {
    use SensorKind::{Pressure, Temperature};
    let mut windows: Vec<Window> =
        (0..60).map(|minute| window(Pressure, "", minute, 1_013.0)).collect();
    let rising = (0..60).filter(|minute| !(20..30).contains(minute));
    windows.extend(rising.map(|minute| window(Temperature, "", minute, 20.0 + minute as f64)));
    let open = vec![alert(5, "open", "drift", 6.0), alert(2_000, "open", "stuck", 10.0)];
    let day = vec![
        open[0].clone(),
        alert(100, "cleared", "anomaly", 50.0),
        alert(200, "withdrawn", "anomaly", 90.0),
        alert(300, "cleared", "threshold", 70.0),
    ];
    let expected = "\
site-0042, 2025-11-24T15:00:00Z to 2025-11-24T16:00:00Z

MEANS        15:00                                                  16:00  SCALE ▁ TO █
temperature  ▁▁▁▁▁▂▂▂▂▂▂▂▂▃▃▃▃▃▃▃          ▅▅▅▅▅▅▅▅▆▆▆▆▆▆▆▆▆▇▇▇▇▇▇▇▇█████  20.00 to 79.00 °C
pressure     ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  \
1012.14 to 1014.14 hPa
a cell is the mean of a minute, from ▁ to █ of the scale of its line, which is no narrower than \
2 °C, 5 %RH, 2 hPa, 0 to
1 of motion, 50 lx; a blank is no reading

KIND             LATEST     MEAN      MIN      MAX  COUNT  NOT OK
temperature °C    79.00    50.50    19.00    80.00  10000    0.5%
pressure hPa    1013.00  1013.00  1012.00  1014.00  12000    0.5%
LATEST is the mean of the newest minute; all else is of the hour, COUNT in readings

2 open alerts
STARTED               SEVERITY  RULE   SENSOR    VALUE  THRESHOLD  UNIT
2025-11-24T15:55:00Z  warning   drift  light-05   6.00       4.00  tolerance
2025-11-23T06:40:00Z  warning   stuck  light-05  10.00       4.00  -ln odds

last day: 4 alerts (2 cleared, 1 open, 1 withdrawn)
STARTED               LASTED  STATE      SEVERITY  RULE       SENSOR    VALUE  THRESHOLD  UNIT
2025-11-24T14:20:00Z  12 min  cleared    warning   anomaly    light-05  50.00       4.00  σ
2025-11-24T12:40:00Z       -  withdrawn  warning   anomaly    light-05  90.00       4.00  σ
2025-11-24T11:00:00Z  12 min  cleared    warning   threshold  light-05  70.00       4.00  of rule
of rule: in what the rule measures, see infra/analytics/rules.toml

top anomalies, by value to threshold
RATIO  RULE     SENSOR    STARTED               STATE    VALUE  THRESHOLD  UNIT
12.50  anomaly  light-05  2025-11-24T14:20:00Z  cleared  50.00       4.00  σ
 2.50  stuck    light-05  2025-11-23T06:40:00Z  open     10.00       4.00  -ln odds
 1.50  drift    light-05  2025-11-24T15:55:00Z  open      6.00       4.00  tolerance
";
    assert_eq!(report(windows, open, day).render(&LOOK), expected);
}

#[test]
fn a_narrow_terminal_gets_the_same_in_shorter_lines() {
    let windows = (0..60).map(|minute| window(SensorKind::Pressure, "", minute, 1_013.0));
    let day = vec![alert(100, "cleared", "anomaly", 50.0)];
    let expected = "\
site-0042, 2025-11-24T15:00:00Z to 2025-11-24T16:00:00Z

MEANS     15:00          16:00  SCALE ▁ TO █
pressure  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1012.14 to 1014.14 hPa
a cell is the mean of 3 minutes, from ▁ to █ of the scale of
its line, which is no narrower than 2 °C, 5 %RH, 2 hPa, 0 to
1 of motion, 50 lx; a blank is no reading

KIND          LATEST    MEAN     MIN     MAX COUNT NOT OK
pressure hPa 1013.00 1013.00 1012.00 1014.00 12000   0.5%
LATEST is the mean of the newest minute; all else is of the
hour, COUNT in readings

1 open alert
STARTED               SEVERITY  RULE   SENSOR    VALUE
    THRESHOLD  UNIT
2025-11-24T15:55:00Z  warning   drift  light-05   6.00
         4.00  tolerance

last day: 1 alert (1 cleared)
STARTED               LASTED  STATE    SEVERITY  RULE
    SENSOR    VALUE  THRESHOLD  UNIT
2025-11-24T14:20:00Z  12 min  cleared  warning   anomaly
    light-05  50.00       4.00  σ

top anomalies, by value to threshold
RATIO  RULE     SENSOR    STARTED               STATE
    VALUE  THRESHOLD  UNIT
12.50  anomaly  light-05  2025-11-24T14:20:00Z  cleared
    50.00       4.00  σ
";
    let report = report(windows.collect(), vec![alert(5, "open", "drift", 6.0)], day);
    assert_eq!(report.render(&NARROW), expected);
}

#[test]
fn where_nothing_is_there_is_a_word_for_it() {
    let text = report(Vec::new(), Vec::new(), Vec::new()).render(&LOOK);
    for part in [
        "no minute windows of site-0042 yet: is analytics running?",
        "no open alerts\n",
        "no alerts in the day up to 2025-11-24T16:00:00Z\n",
        "no anomalies\n",
    ] {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn no_line_is_wider_than_there_is_room() {
    let long = "x".repeat(128);
    let extreme = Alert {
        sensor_id: long.clone(),
        rule: long.clone(),
        severity: long.clone(),
        value: Some(-1e300),
        threshold: Some(-1e300),
        ..alert(100, "cleared", "anomaly", 1.0)
    };
    let anomaly = Alert { rule: "anomaly".into(), ..extreme.clone() };
    let windows = (0..60).map(|minute| Window {
        count: 166_666,
        min: -1_013.25,
        mean: -1_013.25,
        max: -1_013.25,
        not_ok: 166_666,
        ..window(SensorKind::Temperature, &long, minute, 0.0)
    });
    let day = vec![extreme.clone(), anomaly];
    let report = report(windows.collect(), vec![extreme], day);
    for columns in [40, 60, 80, 120] {
        let text = report.render(&Look { columns, ..LOOK });
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(widest <= columns && text.contains("100.0%"), "{widest}: {text}");
    }
}

#[test]
fn an_unknown_site_is_told_which_there_are() {
    let sites: Vec<String> = (0..200).map(|site| format!("site-{site:04}")).collect();
    let text = unknown("site-9999", &sites, &LOOK);
    let expected = "no site `site-9999`; there are 200 sites: site-0000, site-0001, site-0002, \
        site-0003, site-0004, ...\n";
    assert_eq!(text, expected);
    assert_eq!(unknown("x", &sites[..1], &LOOK), "no site `x`; there is 1 site: site-0000\n");
    assert!(unknown("x", &[], &LOOK).contains("are producer and consumer running?"));
}
