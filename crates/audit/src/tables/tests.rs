//! I2 beside `readings`: what is right passes, and every fault in any of the tables is told.

use domain::reading::Location;
use domain::simulation::report::{EventSpan, IndexRange, RunState, Shard};
use domain::simulation::{Load, Rate, RunReport, Simulation, TransportSpec};
use domain::{SensorKind, write_timestamp};

use super::outcome::{Outcome, TableCounts, TableSummary};
use super::testing::{EVENTS_LIVE_MS, EventRow, LatestRow, NOW_MS, SensorRow, SiteRow, World, run};
use crate::compare::testing::START_MS;
use crate::summary::EXAMPLES_MAX;
use crate::window::MARGIN_MS;

/// What is altered, and how.
type Alteration<'a, T> = (&'static str, &'a dyn Fn(&mut T));

const SENSOR: &str = "site-0000/temperature-01";
const SITE: &str = "site-0000";
const READINGS: u64 = 600;

fn faults(summary: &TableSummary) -> [u64; 3] {
    let TableCounts { missing, phantom, corrupt, .. } = summary.counts;
    [missing, phantom, corrupt]
}

fn assert_clean(world: &World) -> [TableSummary; 4] {
    let summaries = world.check();
    for summary in &summaries {
        assert!(summary.is_clean(), "{summary:?}");
        assert_eq!(summary.counts.behind, 0, "{summary:?}");
    }
    summaries
}

fn text(summary: &TableSummary) -> String {
    let mut text = Vec::new();
    summary.write_text(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// Returns what is said of the only corrupt row.
fn corrupt(summary: &TableSummary) -> (&str, &str) {
    assert_eq!(faults(summary), [0, 0, 1], "{summary:?}");
    assert!(!summary.is_clean());
    let example = &summary.examples.corrupt[0];
    (&example.expected, &example.found)
}

fn faulty_transport(report: &RunReport) -> RunReport {
    let mut report = report.clone();
    report.manifest.transport = TransportSpec {
        missing_ppm: 100_000,
        late_ppm: 100_000,
        late_max_ms: 10_000,
        out_of_order_ppm: 100_000,
        duplicate_ppm: 20_000,
        offline_ppm: 1_000_000,
        offline_max_ms: 600_000,
        clock_drift_max_ppm: 500,
    };
    report
}

#[test]
fn tables_as_the_consumer_writes_them_are_right_and_take_a_line_each() {
    let summaries = assert_clean(&World::of(&run("a", READINGS)));
    let lines = summaries.each_ref().map(text);
    for (line, expected) in lines.iter().zip([
        "events: stored 6",
        "latest: stored 60 missing 0 phantom 0 corrupt 0\n",
        "sensors: stored 60 missing 0 phantom 0 corrupt 0\n",
        "sites: stored 3 missing 0 phantom 0 corrupt 0\n",
    ]) {
        assert!(line.starts_with(expected) && line.lines().count() == 1, "{line}");
    }
    let json = serde_json::to_value(&summaries[1]).unwrap();
    assert_eq!((&json["table"], &json["stored"]), (&"latest".into(), &60.into()));
}

#[test]
fn faults_on_the_way_and_wrong_clocks_of_sensors_change_what_is_required() {
    let report = faulty_transport(&run("a", 6_000));
    let [events, latest, sensors, sites] = assert_clean(&World::of(&report));
    assert_eq!([latest, sensors, sites].map(|summary| summary.counts.stored), [60, 60, 3]);
    assert!(events.counts.stored > 60, "sensors go offline: {events:?}");
}

/// Goal: of two readings of a millisecond that one counts which Cassandra keeps. Method: a rate at
/// which each sensor reports two hundred times in a millisecond.
#[test]
fn of_readings_of_one_millisecond_the_one_that_wins_counts() {
    let mut report = run("a", 30_000);
    report.manifest.schedule.load = Load::Constant(Rate::new(12_000_000, 1_000_000_000).unwrap());
    report.event_span = None;
    let mut world = World::of(&report);
    assert_clean(&world);
    let is_last = |row: &&LatestRow| row.seq == Some(499);
    assert!(world.latest.values().filter(is_last).count() < 60, "the last one does not always win");
    let simulation = Simulation::new(report.manifest.clone());
    for row in world.latest.values_mut() {
        // Another one of the same millisecond, whole: each of them has to give way.
        let sensor = simulation.fleet().sensor_number(&row.sensor_id).unwrap();
        let seq = if row.seq == Some(498) { 497 } else { 498 };
        let reading = simulation.reading(seq * 60 + sensor);
        let status = reading.measurement.status;
        let kind = simulation.fleet().kind_of(sensor);
        row.seq = Some(seq.cast_signed());
        row.value = Some(reading.measurement.value.to_f64());
        row.status = Some(status.name());
        row.written_us =
            Some(write_timestamp::latest_us(reading.ts_ms, kind, status, "a", seq.cast_signed()));
    }
    assert_eq!(faults(&world.latest()), [0, 0, 60]);
}

#[test]
fn a_latest_that_is_older_than_a_stored_reading_is_told() {
    let report = run("a", READINGS);
    let mut world = World::of(&report);
    let mut older = World::default();
    older.store(&report, 0..READINGS - 60);
    let row = older.latest[SENSOR].clone();
    world.latest.insert(SENSOR.into(), row.clone());
    let summary = world.latest();
    let newest_ms = report.manifest.schedule.event_time_ms(READINGS - 60);
    let (expected, found) = corrupt(&summary);
    assert!(expected.starts_with(&format!("ts {newest_ms} of run a seq 9")), "{expected}");
    assert!(found.starts_with(&format!("ts {}", row.ts_ms.unwrap())), "{found}");
    assert!(text(&summary).contains("latest corrupt: site site-0000 sensor site-0000/temp"));

    world.is_unsettled = true;
    let summary = world.latest();
    assert!(summary.is_clean() && summary.counts.behind == 1, "{summary:?}");
    assert!(text(&summary).contains("behind 1 (the consumers were not done"));
    world.is_unsettled = false;
    world.reports[0].topic = "another-topic".into();
    assert_eq!(world.latest().counts.behind, 1, "nobody has waited for that topic");
}

#[test]
fn a_latest_with_any_other_cell_is_told_by_its_column() {
    let alterations: [Alteration<'_, LatestRow>; 9] = [
        ("ts", &|row| row.ts_ms = row.ts_ms.map(|ts_ms| ts_ms + 1)),
        ("ts", &|row| row.ts_ms = None),
        ("value", &|row| row.value = row.value.map(f64::next_up)),
        ("value", &|row| row.value = None),
        ("unit", &|row| row.unit = Some("K")),
        ("status", &|row| row.status = Some("fine")),
        ("write timestamp", &|row| row.written_us = row.written_us.map(|us| us + 1)),
        ("expiry", &|row| row.left_s = Some(5)),
        ("a reading", &|row| row.run = None),
    ];
    for (column, alter) in alterations {
        let mut world = World::of(&run("a", READINGS));
        alter(world.latest.get_mut(SENSOR).unwrap());
        let summary = world.latest();
        assert!(corrupt(&summary).0.starts_with(column), "{column}: {summary:?}");
        world.is_unsettled = true;
        assert!(!world.latest().is_clean(), "{column} is wrong however far consumers are");
    }
}

#[test]
fn a_sensor_without_latest_is_missing_if_one_of_its_readings_is_stored() {
    let report = run("a", READINGS);
    let mut world = World::of(&report);
    world.latest.remove(SENSOR);
    let summary = world.latest();
    assert_eq!((faults(&summary), summary.counts.stored), ([1, 0, 0], 59));
    assert_eq!(summary.examples.missing[0].key.sensor_id.as_deref(), Some(SENSOR));
    world.is_unsettled = true;
    assert_eq!((faults(&world.latest()), world.latest().counts.behind), ([0, 0, 0], 1));

    // Readings that expired unread, or are dead letters, have no row and ask for none.
    let mut world = World { reports: vec![report.clone()], ..World::default() };
    world.store(&report, (0..READINGS).filter(|index| index % 60 != 0 && *index < 500));
    world.latest.remove("site-0000/pressure-01");
    assert_eq!(faults(&world.latest()), [1, 0, 0], "only that which was removed");
    assert_eq!(world.latest().counts.stored, 58);
}

#[test]
fn a_reading_that_kafka_did_not_acknowledge_asks_for_nothing() {
    let mut report = run("a", READINGS);
    let mut world = World::of(&report);
    let of_acknowledged = World::of(&run("a", READINGS - 60));
    report.unacknowledged = vec![IndexRange { from: READINGS - 60, to: READINGS }];
    world.reports = vec![report];
    assert_clean(&world);
    (world.latest, world.sites) = (of_acknowledged.latest, of_acknowledged.sites);
    assert_clean(&world);
    world.reports[0].unacknowledged.clear();
    assert_eq!(faults(&world.latest()), [0, 0, 60]);
    assert_eq!(faults(&world.sites()), [0, 0, 3]);
}

#[test]
fn a_latest_may_be_newer_if_the_run_can_have_sent_it() {
    let mut report = run("a", READINGS);
    let mut world = World::of(&report);
    world.store(&report, READINGS..READINGS + 60);
    assert_eq!(faults(&world.latest()), [0, 60, 0], "a run that ended sent no more");
    report.state = RunState::Running;
    world.reports = vec![report];
    assert_eq!(faults(&world.latest()), [0, 0, 0]);
    world.latest.get_mut(SENSOR).unwrap().value = Some(1e9);
    assert_eq!(faults(&world.latest()), [0, 0, 1], "newer ones are compared too");
}

#[test]
fn a_latest_that_no_run_can_have_made_is_a_phantom() {
    let mut world = World::of(&run("a", READINGS));
    let row = world.latest[SENSOR].clone();
    let moved = LatestRow { site_id: "site-0002".into(), ..row.clone() };
    world.latest.insert("moved".into(), moved);
    let nobody = LatestRow { sensor_id: "site-0009/light-01".into(), ..row };
    world.latest.insert("of nobody".into(), nobody);
    assert_eq!(faults(&world.latest()), [0, 2, 0]);
    world.latest.get_mut(SENSOR).unwrap().seq = Some(-1);
    assert_eq!(faults(&world.latest()), [0, 3, 0]);
}

#[test]
fn of_several_runs_the_newest_reading_counts() {
    let early = run("a", READINGS);
    let mut late = run("b", READINGS);
    late.manifest.schedule.start_ms += 60_000;
    late.manifest.seed = 43;
    late.event_span = None;
    let (mut world, of_early) = (World::of(&early), World::of(&early));
    world.audit(&late);
    assert_clean(&world);
    assert!(world.latest.values().all(|row| row.run.as_deref() == Some("b")));
    let newest = world.latest.insert(SENSOR.into(), of_early.latest[SENSOR].clone());
    assert!(corrupt(&world.latest()).0.contains("of run b"));
    world.latest.remove(SENSOR);
    assert_eq!(faults(&world.latest()), [1, 0, 0], "it is missing once");
    world.latest.insert(SENSOR.into(), newest.unwrap());

    world.sites.insert(SITE.into(), of_early.sites[SITE].clone());
    assert!(corrupt(&world.sites()).0.contains("or a later one"), "the site of another seed");
    world.sites.remove(SITE);
    assert_eq!(faults(&world.sites()), [1, 0, 0]);
    world.sensors.remove(SENSOR);
    assert_eq!(faults(&world.sensors()), [1, 0, 0]);
}

#[test]
fn a_latest_of_others_is_theirs_unless_it_is_older() {
    let mut other = run("b", READINGS);
    other.manifest.schedule.start_ms += 60_000;
    other.event_span = None;
    let mut world = World::of(&run("a", READINGS));
    world.store(&other, 0..READINGS);
    let [_, latest, sensors, sites] = assert_clean(&world);
    assert_eq!((latest.counts.foreign, latest.counts.stored), (60, 0));
    assert_eq!((sensors.counts.foreign, sites.counts.foreign), (0, 3));
    assert!(text(&latest).ends_with("corrupt 0 foreign 60\n"), "{}", text(&latest));

    let strict = World { strict: true, ..world.clone() }.latest();
    assert_eq!((faults(&strict), strict.examples.phantom.len()), ([0, 60, 0], EXAMPLES_MAX));
    let newcomers = ["b".to_owned()].into();
    let later = World { strict: true, newcomers, ..world.clone() }.latest();
    assert_eq!((faults(&later), later.counts.later), ([0, 0, 0], 60));
    let ignored = World { others_ignored: true, ..world.clone() }.latest();
    assert_eq!((ignored.counts.ignored, ignored.counts.foreign), (60, 0));

    for others_ignored in [false, true] {
        let mut world = World { others_ignored, ..world.clone() };
        let row = world.latest.get_mut(SENSOR).unwrap();
        row.ts_ms = Some(START_MS);
        assert!(corrupt(&world.latest()).0.contains("of run a seq 9"));
    }
}

#[test]
fn a_part_of_a_run_is_held_to_its_own_sensors() {
    let part = |number| RunReport { shard: Shard { number, of: 3 }, ..run("a", READINGS) };
    let mut world = World::of(&part(0));
    world.audit(&part(1));
    world.audit(&part(2));
    let [_, latest, sensors, sites] = assert_clean(&world);
    assert_eq!([latest, sensors, sites].map(|summary| summary.counts.stored), [60, 60, 3]);
    world.events.remove(0);
    world.latest.remove(SENSOR);
    assert_eq!((faults(&world.events()), faults(&world.latest())), ([1, 0, 0], [1, 0, 0]));
    world.reports.pop();
    assert!(faults(&world.latest())[1] > 0, "rows of a part that nobody reported");
    assert!(faults(&world.events())[1] > 0);
}

#[test]
fn a_sensor_that_is_registered_wrongly_is_told_by_its_column() {
    let light = SensorKind::Light;
    let alterations: [Alteration<'_, SensorRow>; 7] = [
        ("kind", &|row| row.kind = Some("light")),
        ("kind", &|row| row.kind = None),
        ("unit", &|row| row.unit = Some("lx")),
        ("write timestamp", &|row| row.written_us = None),
        ("write timestamp", &|row| {
            row.written_us = Some(write_timestamp::sensor_us(START_MS, light));
        }),
        ("write timestamp", &|row| row.written_us = Some(9_000_000_000_000_000)),
        ("expiry", &|row| row.left_s = Some(86_400)),
    ];
    for (column, alter) in alterations {
        let mut world = World::of(&run("a", READINGS));
        alter(world.sensors.get_mut(SENSOR).unwrap());
        let summary = world.sensors();
        assert!(corrupt(&summary).0.starts_with(column), "{column}: {summary:?}");
    }
}

#[test]
fn a_sensor_that_is_not_registered_is_missing_and_one_elsewhere_a_phantom() {
    let mut world = World::of(&run("a", READINGS));
    let row = world.sensors.remove(SENSOR).unwrap();
    let summary = world.sensors();
    assert_eq!(faults(&summary), [1, 0, 0]);
    assert_eq!(summary.examples.missing[0].expected, "kind temperature unit °C");
    world.sensors.insert("moved".into(), SensorRow { site_id: "site-0001".into(), ..row.clone() });
    assert_eq!(faults(&world.sensors()), [1, 1, 0]);
    world.sensors.remove("moved");
    world.sensors.insert(SENSOR.into(), row.clone());

    // One that another run registered, and one that no audited run has.
    let us = row.written_us.unwrap() - 1_000;
    world.sensors.insert(SENSOR.into(), SensorRow { written_us: Some(us), ..row.clone() });
    world.sensors.insert("own".into(), SensorRow { sensor_id: "plant/boiler".into(), ..row });
    let summary = world.sensors();
    assert_eq!((faults(&summary), summary.counts.foreign), ([0, 0, 0], 2));
    world.strict = true;
    let summary = world.sensors();
    assert_eq!((faults(&summary), summary.counts.foreign), ([0, 1, 0], 1));
}

#[test]
fn a_site_that_is_registered_wrongly_is_told_by_its_column() {
    let alterations: [Alteration<'_, SiteRow>; 9] = [
        ("lat", &|row| row.place[0] = row.place[0].map(f64::next_up)),
        ("lat", &|row| row.place[0] = None),
        ("lon", &|row| row.place[1] = Some(5.0)),
        ("lon", &|row| {
            // As a statement of CQL alters it: with the write timestamp of now.
            (row.place[1], row.written_us[1]) = (Some(5.0), Some(NOW_MS * 1_000));
        }),
        ("lat", &|row| {
            (row.place[0], row.written_us) = (Some(5.0), [Some(NOW_MS * 1_000 + 1); 2]);
        }),
        ("write timestamp", &|row| row.written_us = row.written_us.map(|us| Some(us? + 1))),
        ("write timestamp", &|row| row.written_us[1] = None),
        ("expiry", &|row| row.left_s = Some(1)),
        ("lat", &|row| {
            // An older reading of the site, in due form.
            row.written_us = row.written_us.map(|us| Some(us? - 50_000));
        }),
    ];
    for (column, alter) in alterations {
        let mut world = World::of(&run("a", READINGS));
        alter(world.sites.get_mut(SITE).unwrap());
        let summary = world.sites();
        assert!(corrupt(&summary).0.starts_with(column), "{column}: {summary:?}");
    }
}

#[test]
fn a_site_that_is_not_registered_is_missing_and_one_of_others_is_theirs() {
    let mut world = World::of(&run("a", READINGS));
    world.sites.remove(SITE);
    assert_eq!(faults(&world.sites()), [1, 0, 0]);
    assert!(world.sites().examples.missing[0].expected.starts_with("lat "));
    let location = Location { lat: 1.0, lon: 2.0 };
    let us = Some(write_timestamp::site_us(NOW_MS, location));
    let place = [Some(1.0), Some(2.0)];
    for site_id in [SITE, "plant"] {
        let row = SiteRow { site_id: site_id.into(), place, written_us: [us; 2], left_s: None };
        world.sites.insert(site_id.into(), row);
    }
    let summary = world.sites();
    assert_eq!((faults(&summary), summary.counts.foreign), ([0, 0, 0], 2));
    world.others_ignored = true;
    assert_eq!(world.sites().counts.ignored, 2);
}

#[test]
fn an_event_that_kafka_has_and_the_table_lacks_is_missing() {
    let report = run("a", READINGS);
    let mut world = World::of(&report);
    let lost = world.events.remove(7);
    let summary = world.events();
    assert_eq!(faults(&summary), [1, 0, 0]);
    let example = &summary.examples.missing[0];
    assert_eq!(example.key.sensor_id.as_ref(), Some(&lost.sensor_id));
    assert!(example.expected.contains(&lost.ts_ms.to_string()), "{example}");

    // Of the time when it happened, Kafka has not acknowledged it.
    let span = EventSpan { acknowledged_to_ms: lost.ts_ms, ..report.event_span.unwrap() };
    world.reports[0].event_span = Some(span);
    assert_eq!(faults(&world.events()), [0, 0, 0]);
}

#[test]
fn a_report_that_does_not_say_which_events_kafka_has_is_held_to_none() {
    let report = run("a", READINGS);
    let mut json = serde_json::to_value(&report).unwrap();
    json.as_object_mut().unwrap().remove("event_span");
    let silent: RunReport = serde_json::from_value(json).unwrap();
    let mut world = World::of(&report);
    world.reports = vec![silent];
    world.events.truncate(5);
    let summary = world.events();
    assert_eq!((faults(&summary), summary.counts.stored), ([0, 0, 0], 5));
    world.events[0].event = Some("fault");
    assert_eq!(faults(&world.events()), [0, 0, 1], "what is there is compared");
}

#[test]
fn an_event_with_any_other_cell_is_told_by_its_column() {
    let alterations: [Alteration<'_, EventRow>; 8] = [
        ("event", &|row| row.event = Some("offline")),
        ("event", &|row| row.event = None),
        ("detail", &|row| row.detail = Some("x".into())),
        ("detail", &|row| row.detail = None),
        ("write timestamp", &|row| row.written_us = row.written_us.map(|us| us + 1)),
        ("expiry", &|row| row.left_s = None),
        ("expiry", &|row| row.left_s = row.left_s.map(|left_s| left_s + 120)),
        ("expiry", &|row| row.left_s = Some(5)),
    ];
    for (column, alter) in alterations {
        let mut world = World::of(&run("a", READINGS));
        alter(&mut world.events[3]);
        let summary = world.events();
        assert!(corrupt(&summary).0.starts_with(column), "{column}: {summary:?}");
    }
}

#[test]
fn an_event_that_the_run_never_sent_is_a_phantom() {
    let alterations: [Alteration<'_, EventRow>; 7] = [
        ("site", &|row| row.site_id = "site-0009".into()),
        ("day", &|row| row.day_ms += 86_400_000),
        ("ts", &|row| row.ts_ms += 1),
        ("sensor", &|row| row.sensor_id = "site-0009/light-01".into()),
        ("seq", &|row| row.seq += 9),
        ("seq", &|row| row.seq = -1),
        ("seq", &|row| row.seq = i64::MAX),
    ];
    for (what, alter) in alterations {
        let mut world = World::of(&run("a", READINGS));
        alter(&mut world.events[3]);
        assert_eq!(faults(&world.events()), [1, 1, 0], "altered {what}");
    }
}

#[test]
fn a_run_under_way_may_have_sent_events_since_its_report() {
    let report = run("a", READINGS);
    let mut world = World::of(&report);
    let schedule = &report.manifest.schedule;
    let half_ms = schedule.event_time_ms(30);
    let span = EventSpan { acknowledged_to_ms: half_ms, sent_to_ms: half_ms };
    world.reports[0] = RunReport { event_span: Some(span), scheduled: 31, ..report.clone() };
    assert!(faults(&world.events())[1] > 20, "a run that ended sent no more");
    world.reports[0].state = RunState::Running;
    assert_eq!(faults(&world.events()), [0, 0, 0]);
    world.events.retain(|row| row.ts_ms < half_ms);
    assert_eq!(faults(&world.events()), [0, 0, 0], "later ones are not required");
    world.events.remove(0);
    assert_eq!(faults(&world.events()), [1, 0, 0]);
}

#[test]
fn an_event_past_its_time_to_live_is_not_required() {
    let mut report = run("a", READINGS);
    let (month_ms, start_ms) = (31 * 86_400_000, START_MS);
    report.manifest.schedule.start_ms = start_ms - month_ms;
    let end_ms = start_ms - month_ms + 6_000;
    report.event_span = Some(EventSpan { acknowledged_to_ms: end_ms, sent_to_ms: end_ms });
    let mut world = World::of(&report);
    assert!(!world.events.is_empty());
    world.events.clear();
    assert_eq!(faults(&world.events()), [0, 0, 0]);

    // Half of them are younger than what is about to expire.
    let half_ms = report.manifest.schedule.event_time_ms(30) - report.manifest.schedule.start_ms;
    let oldest_ms = NOW_MS - EVENTS_LIVE_MS + MARGIN_MS;
    report.manifest.schedule.start_ms = oldest_ms - half_ms;
    let end_ms = oldest_ms + half_ms;
    report.event_span = Some(EventSpan { acknowledged_to_ms: end_ms, sent_to_ms: end_ms });
    let mut world = World::of(&report);
    let required = world.events.iter().filter(|row| row.ts_ms >= oldest_ms).count() as u64;
    assert!((1..world.events.len() as u64).contains(&required));
    world.events.clear();
    assert_eq!(faults(&world.events()), [required, 0, 0]);
}

#[test]
fn events_of_others_are_theirs() {
    let mut world = World::of(&run("a", READINGS));
    let others = World::of(&run("b", READINGS));
    let count = others.events.len() as u64;
    world.events.extend(others.events);
    let summary = world.events();
    assert_eq!((faults(&summary), summary.counts.foreign), ([0, 0, 0], count));
    world.strict = true;
    assert_eq!(faults(&world.events()), [0, count, 0]);
}

#[test]
fn an_empty_table_is_told_apart_and_one_that_is_not_there_is_not_checked() {
    let mut world = World::of(&run("a", READINGS));
    world.latest.clear();
    let summary = world.latest();
    assert_eq!(faults(&summary), [60, 0, 0]);
    let said = text(&summary);
    assert!(said.contains("latest missing: and 50 more"), "{said}");
    assert!(said.contains("latest is empty: drop it if your own consumer does not fill it"));
    let absent = Outcome::absent("latest").close(&world.newcomers);
    assert!(absent.is_clean());
    assert_eq!(text(&absent), "latest: not checked, there is no such table\n");
}

/// Identifiers are whatever a stranger sent: a terminal must not obey them.
#[test]
fn identifiers_are_shown_and_not_obeyed() {
    let mut world = World::of(&run("a", READINGS));
    world.strict = true;
    let row = world.latest[SENSOR].clone();
    let evil = "\x1b[2J\n\u{202e}x";
    let row = LatestRow { sensor_id: evil.into(), run: Some(evil.into()), ..row };
    world.latest.insert(evil.into(), row);
    let said = text(&world.latest());
    assert!(said.contains("\\u{1b}[2J\\u{a}\\u{202e}x"), "{said}");
    assert!(said.chars().all(|c| c == '\n' || !(c.is_control() || c == '\u{202e}')), "{said:?}");
}
