//! A run can be recomputed from its manifest: bytes, ids and values.

use super::*;
use crate::reading::Reading;
use crate::{SensorKind, Status};

fn simulation(sensors: u64, seed: u64) -> Simulation {
    Simulation::new(RunManifest {
        run: "20261121T013321-9f3a".into(),
        seed,
        fleet: FleetSpec { sensors, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(1_764_000_000_000, Rate::per_second_milli(3_500_000).unwrap()),
        anomalies: AnomalySpec::default(),
        transport: TransportSpec::default(),
    })
}

fn encoded(simulation: &Simulation, index: u64) -> String {
    let mut record = Vec::new();
    simulation.encode(&simulation.reading(index), &mut record);
    String::from_utf8(record).unwrap()
}

#[test]
fn every_reading_follows_the_data_contract() {
    let simulation = simulation(5_000, 42);
    for index in (0..2_000_000).step_by(997) {
        let expected = simulation.reading(index);
        let record = encoded(&simulation, index);
        assert!((180..260).contains(&record.len()), "about 200 bytes: {record}");
        let reading =
            Reading::decode(record.as_bytes()).unwrap_or_else(|e| panic!("{record}: {e}"));
        let site = simulation.fleet().site_of(expected.sensor);
        assert_eq!(reading.sensor_id, simulation.fleet().sensor_id(expected.sensor));
        assert_eq!(reading.site_id, site.id);
        assert_eq!(reading.ts, expected.ts_ms);
        assert_eq!(reading.value.to_bits(), expected.measurement.value.to_f64().to_bits());
        assert_eq!(reading.location, site.location());
        assert_eq!(
            simulation.index_of(expected.sensor, reading.seq.cast_unsigned()),
            Some(index),
            "sensor and seq lead back to the reading's number"
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_does_not() {
    let (one, again, other) = (simulation(5_000, 7), simulation(5_000, 7), simulation(5_000, 8));
    let mut different = 0;
    for index in 0..1_000 {
        assert_eq!(encoded(&one, index), encoded(&again, index));
        different += usize::from(encoded(&one, index) != encoded(&other, index));
    }
    assert!(different > 900, "only {different} of 1000 readings depend on the seed");
}

#[test]
fn the_bytes_of_a_reading_never_change() {
    let golden = concat!(
        r#"{"sensor_id":"site-0182/pressure-04","site_id":"site-0182","kind":"pressure","#,
        r#""ts":1764000352733,"value":1019.90,"unit":"hPa","seq":246,"#,
        r#""run":"20261121T013321-9f3a","status":"ok","location":{"lat":40.0132,"lon":116.3537}}"#,
    );
    assert_eq!(encoded(&simulation(5_000, 42), 1_234_567), golden);
}

/// Goal: the same bytes on every platform and for ever. Method: FNV-1a over 100 000 records from
/// all sites and four weeks, days and nights.
#[test]
fn the_bytes_of_a_stream_never_change() {
    let simulation = simulation(5_000, 42);
    let mut record = Vec::new();
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for index in 0..100_000_u64 {
        record.clear();
        simulation.encode(&simulation.reading(index * 84_673), &mut record);
        for byte in &record {
            digest = (digest ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    assert_eq!(format!("{digest:016x}"), "d1d8f068d34fd5e6");
}

#[test]
fn a_sensor_is_found_by_its_id_and_nothing_else_is() {
    let simulation = simulation(5_010, 42);
    let fleet = simulation.fleet();
    for sensor in 0..5_010 {
        assert_eq!(fleet.sensor_number(&fleet.sensor_id(sensor)), Some(sensor));
    }
    for stranger in [
        "site-42/temperature-01",
        "site-0042/temperature-1",
        "site-0042/temperature-06",
        "site-0042/co2-01",
        "site-0200/light-05",
        "site-0042",
        "site-0042/temperature-00",
        "",
    ] {
        assert_eq!(fleet.sensor_number(stranger), None, "{stranger}");
    }
}

#[test]
fn kinds_can_be_chosen() {
    let spec = FleetSpec { sensors: 30, kinds: vec![SensorKind::Light, SensorKind::Motion] };
    let fleet = Fleet::new(1, &spec);
    assert_eq!(fleet.sensor_id(0), "site-0000/light-01");
    assert_eq!(fleet.sensor_id(24), "site-0000/light-13");
    assert_eq!(fleet.sensor_id(25), "site-0001/light-01");
    assert_eq!(fleet.sensor_number("site-0000/motion-12"), Some(23));
}

#[test]
fn values_are_plausible_for_their_kind() {
    let simulation = simulation(5_000, 42);
    let mut statuses = [0_u32; 3];
    for index in (0..10_000_000_000).step_by(997_301) {
        let reading = simulation.reading(index);
        let value = reading.measurement.value.to_f64();
        let range = match simulation.fleet().kind_of(reading.sensor) {
            SensorKind::Temperature => 16.5..26.5,
            SensorKind::Humidity => 8.0..80.0,
            // From a low in London to a high in Beijing, and São Paulo 760 m above the sea.
            SensorKind::Pressure => 900.0..1_060.0,
            SensorKind::Motion => 0.0..1.1,
            SensorKind::Light => 0.0..2_500.0,
        };
        assert!(range.contains(&value), "reading {index}: {value} is outside {range:?}");
        statuses[reading.measurement.status as usize] += 1;
    }
    assert!(statuses[Status::Ok as usize] > 98 * (statuses[1] + statuses[2]));
    assert!(statuses[1] > 0 && statuses[2] > 0, "degraded and faulty readings exist");
}

/// The figures are the design's: 200 sites over 12 partitions.
#[test]
fn the_default_fleet_spreads_over_twelve_partitions() {
    let partitions = simulation(5_000, 42).fleet().partitions(12);
    let mut sites = [0_u32; 12];
    for partition in partitions {
        sites[partition as usize] += 1;
    }
    let fullest = f64::from(*sites.iter().max().unwrap()) / (200.0 / 12.0);
    assert!(sites.iter().all(|count| *count > 0) && fullest < 1.6, "{sites:?}");
}

#[test]
fn a_report_knows_what_was_acknowledged() {
    let manifest = simulation(25, 1).manifest().clone();
    let report = RunReport {
        acknowledged: 85,
        unacknowledged: vec![
            report::IndexRange { from: 10, to: 15 },
            report::IndexRange { from: 90, to: 100 },
        ],
        ..RunReport::complete(manifest, "sensor-readings", 100)
    };
    let acknowledged = (0..200).filter(|index| report.is_acknowledged(*index)).count();
    assert_eq!(acknowledged, 85);
    assert!(report.is_acknowledged(9) && !report.is_acknowledged(10));
    assert!(!report.is_acknowledged(14) && report.is_acknowledged(15));
}

/// A report that does not say which events Kafka has is read, and says so.
#[test]
fn a_report_without_the_span_of_events_is_read() {
    let manifest = simulation(25, 1).manifest().clone();
    let span = report::EventSpan { acknowledged_to_ms: 5, sent_to_ms: 7 };
    let report = RunReport {
        event_span: Some(span),
        ..RunReport::complete(manifest, "sensor-readings", 100)
    };
    let mut json = serde_json::to_value(&report).unwrap();
    assert_eq!(serde_json::from_value::<RunReport>(json.clone()).unwrap(), report);
    json.as_object_mut().unwrap().remove("event_span");
    assert_eq!(serde_json::from_value::<RunReport>(json).unwrap().event_span, None);
}

#[test]
fn a_report_of_a_part_names_run_and_part() {
    let manifest = simulation(25, 1).manifest().clone();
    let whole = RunReport::complete(manifest, "sensor-readings", 100);
    let part = RunReport { shard: report::Shard { number: 1, of: 4 }, ..whole.clone() };
    assert_eq!(whole.id(), "20261121T013321-9f3a");
    assert_eq!(part.id(), "20261121T013321-9f3a.1-of-4");
    for id in [whole.id(), part.id()] {
        assert_eq!(RunReport::run_of(&id), "20261121T013321-9f3a");
    }
    assert_eq!(RunReport::run_of("a.b-of-c"), "a.b-of-c");
}

#[test]
fn parts_of_a_fleet_are_the_whole_of_it() {
    for of in [1, 2, 3, 7] {
        for site in 0..100 {
            let owners =
                (0..of).filter(|number| report::Shard { number: *number, of }.has_site(site));
            assert_eq!(owners.count(), 1, "site {site} in {of} parts");
        }
    }
}
