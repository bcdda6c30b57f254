//! The tables and labels of a run say what the simulation says, and nothing stays of a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use domain::SensorKind;
use domain::simulation::{
    AnomalySpec, Fate, FateCounts, FleetSpec, Rate, RunManifest, RunReport, Schedule, Simulation,
    TransportSpec,
};
use runtime::shutdown;

use super::*;

const START_MS: i64 = 1_764_000_000_000;

/// 30 sensors, each of which reports every 5 s for an hour and a half.
fn report(probability: f64) -> RunReport {
    let manifest = RunManifest {
        run: "r".into(),
        seed: 42,
        fleet: FleetSpec { sensors: 30, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS, Rate::new(6, 1_000_000_000).unwrap()),
        anomalies: AnomalySpec::of_probability(probability),
        transport: TransportSpec::default(),
    };
    RunReport::complete(manifest, "sensor-readings", 30 * 1_080)
}

fn settings(dir: &Path, report: &RunReport) -> TruthSettings {
    let path = dir.join("r.json");
    fs::write(&path, serde_json::to_vec(report).unwrap()).unwrap();
    TruthSettings {
        report: path,
        out: dir.join("truth"),
        from_s: 0,
        to_s: None,
        readings: true,
        nab_sensors: 10,
    }
}

/// Returns what is printed.
fn told(settings: &TruthSettings) -> Result<String, FleetError> {
    let (_stopper, shutdown) = shutdown::channel();
    let mut output = Vec::new();
    truth(settings, &shutdown, &mut output).map(|_code| String::from_utf8(output).unwrap())
}

/// The lines of a table, by the names of its columns.
fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split(',').map(str::to_owned));
    let header: Vec<String> = lines.next().unwrap().collect();
    lines
        .map(|fields| {
            let fields: Vec<String> = fields.collect();
            assert_eq!(fields.len(), header.len(), "{}", path.display());
            header.iter().cloned().zip(fields).collect()
        })
        .collect()
}

#[test]
fn the_tables_say_what_the_simulation_says() {
    let dir = tempfile::tempdir().unwrap();
    let report = report(0.5);
    let settings = settings(dir.path(), &report);
    let printed = told(&settings).unwrap();

    let anomalies = rows(&settings.out.join("anomalies.csv"));
    let readings = rows(&settings.out.join("readings.csv"));
    let last = format!(
        "truth: {} anomalies on {} readings of {}",
        anomalies.len(),
        readings.len(),
        report.scheduled
    );
    assert_eq!(printed.lines().last(), Some(&*last));
    assert!(anomalies.len() > 10, "{last}");

    let simulation = Simulation::new(report.manifest.clone());
    let fleet = simulation.fleet();
    let mut covered = BTreeSet::new();
    for row in &anomalies {
        let sensor = fleet.sensor_number(&row["sensor_id"]).unwrap();
        assert_eq!(row["kind"], fleet.kind_of(sensor).name());
        assert_eq!(row["unit"], fleet.kind_of(sensor).unit());
        assert_eq!(row["site_id"], fleet.site_of(sensor).id);
        let window_ms: std::ops::Range<i64> =
            row["start_ms"].parse().unwrap()..row["end_ms"].parse().unwrap();
        let seqs: Vec<u64> = simulation.seqs_due(sensor, window_ms).collect();
        assert_eq!(row["first_seq"], seqs[0].to_string());
        assert_eq!(row["last_seq"], seqs[seqs.len() - 1].to_string());
        covered.extend(seqs.into_iter().map(|seq| (sensor, seq)));
    }
    let mut changed = 0;
    for row in &readings {
        let sensor = fleet.sensor_number(&row["sensor_id"]).unwrap();
        let seq = row["seq"].parse().unwrap();
        assert!(covered.remove(&(sensor, seq)), "{row:?}");
        let index = simulation.index_of(sensor, seq).unwrap();
        let clean = simulation.clean_reading(index);
        assert_eq!(row["ts_ms"], clean.ts_ms.to_string());
        let is_empty = row["value_sent"].is_empty();
        assert_eq!(is_empty, !simulation.fate(index).is_sent());
        changed += u32::from(row["value_clean"] != row["value_sent"]);
    }
    assert!(covered.is_empty(), "each reading that is covered is listed");
    assert!(changed > 100, "{changed}");
    for index in 0..report.scheduled {
        let (reading, clean) = (simulation.reading(index), simulation.clean_reading(index));
        let id = fleet.sensor_id(reading.sensor);
        assert!(
            reading == clean
                || readings
                    .iter()
                    .any(|row| row["sensor_id"] == id && row["seq"] == reading.seq.to_string()),
            "reading {index} is changed, but not listed"
        );
    }
}

#[test]
fn a_part_of_a_run_has_its_part_of_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let whole = settings(dir.path(), &report(0.5));
    let part = |from_s, to_s, out: &str| {
        let settings = TruthSettings { from_s, to_s, out: dir.path().join(out), ..whole.clone() };
        let printed = told(&settings).unwrap();
        (rows(&settings.out.join("readings.csv")), printed)
    };
    let (mut all, _) = part(0, None, "all");
    let (early, printed) = part(0, Some(1_000), "early");
    assert!(printed.trim_end().ends_with("of 6000"), "30 sensors, 200 readings: {printed}");
    let (late, _) = part(1_000, None, "late");
    assert!(!early.is_empty() && !late.is_empty());
    let mut parts = [early, late].concat();
    all.sort();
    parts.sort();
    assert_eq!(all, parts);
}

/// Goal: the benchmark's scorer can read the labels. Method: the rules it relies on, for each file.
#[test]
fn windows_begin_and_end_at_rows_and_never_share_one() {
    let dir = tempfile::tempdir().unwrap();
    let settings = TruthSettings { nab_sensors: 30, ..settings(dir.path(), &report(0.9)) };
    let printed = told(&settings).unwrap();
    assert!(printed.contains("30 sensors exported"), "{printed}");
    let labels = fs::read(settings.out.join("labels/combined_windows.json")).unwrap();
    let labels: BTreeMap<String, Vec<(String, String)>> = serde_json::from_slice(&labels).unwrap();
    assert_eq!(labels.len(), 30);
    let mut windows_count = 0;
    for (name, windows) in &labels {
        let data = rows(&settings.out.join("data").join(name));
        assert!(data.iter().all(|row| row["value"].parse::<f64>().is_ok()));
        assert!(data.is_sorted_by(|a, b| a["timestamp"] < b["timestamp"]), "{name}");
        let place = |time: &String| {
            let found = data.iter().position(|row| row["timestamp"] == *time);
            found.unwrap_or_else(|| panic!("{name} has no row at {time}"))
        };
        let mut next = 0;
        for (first, last) in windows {
            assert!(place(first) >= next && place(first) < place(last), "{name}: {first} {last}");
            next = place(last) + 1;
            windows_count += 1;
        }
    }
    assert!(windows_count > 20, "{windows_count}");
    let first = &rows(&settings.out.join("data/site-0000/temperature-01.csv"))[0];
    assert_eq!(first["timestamp"], "2025-11-24 16:00:00.000000");
}

#[test]
fn sensors_with_anomalies_are_exported_first() {
    let mut choice = nab::Choice::new(3);
    for (sensor, has_anomalies) in [(0, false), (1, false), (2, true), (3, false), (4, true)] {
        choice.offer(sensor, has_anomalies);
    }
    assert_eq!(choice.chosen(), [0, 2, 4]);
    assert!(nab::Choice::new(0).chosen().is_empty());
}

#[test]
fn a_run_without_anomalies_has_none() {
    let dir = tempfile::tempdir().unwrap();
    let settings = TruthSettings { nab_sensors: 0, ..settings(dir.path(), &report(0.0)) };
    let printed = told(&settings).unwrap();
    assert_eq!(printed.lines().last(), Some("truth: 0 anomalies on 0 readings of 32400"));
    assert!(!settings.out.join("labels").exists());
    assert_eq!(rows(&settings.out.join("anomalies.csv")), []);
}

#[test]
fn what_fails_names_the_path_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(dir.path(), &report(0.5));
    let report = settings.report.clone();
    let missing = TruthSettings { report: dir.path().join("none.json"), ..settings.clone() };
    let error = told(&missing).unwrap_err().to_string();
    assert!(error.contains("none.json cannot be read"), "{error}");

    let (stopper, shutdown) = shutdown::channel();
    stopper.stop();
    let outcome = truth(&settings, &shutdown, &mut Vec::new());
    assert!(matches!(outcome, Err(FleetError::Stopped)), "{outcome:?}");

    let good = fs::read_to_string(&report).unwrap();
    for (from, to) in [
        (r#""sensors":30"#, r#""sensors":0"#),
        (r#""readings":3,"#, r#""readings":0,"#),
        (r#""kinds":["#, r#""kinds":{"#),
    ] {
        assert!(good.contains(from), "{good}");
        fs::write(&report, good.replacen(from, to, 1)).unwrap();
        let error = told(&settings).unwrap_err().to_string();
        assert!(error.contains("r.json is not a run report"), "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the report is there");
}

#[test]
fn what_happens_on_the_way_is_written_down_reading_by_reading() {
    let dir = tempfile::tempdir().unwrap();
    let mut report = report(0.0);
    report.manifest.transport = TransportSpec {
        missing_ppm: 20_000,
        late_ppm: 20_000,
        late_max_ms: 10_000,
        out_of_order_ppm: 20_000,
        duplicate_ppm: 20_000,
        offline_ppm: 500_000,
        offline_max_ms: 120_000,
        clock_drift_max_ppm: 100,
    };
    let settings = settings(dir.path(), &report);
    let said = told(&settings).unwrap();
    let simulation = Simulation::new(report.manifest.clone());
    let fleet = simulation.fleet();
    let mut expected = BTreeMap::new();
    let mut counts = FateCounts::default();
    for index in 0..report.scheduled {
        let (reading, fate) = (simulation.reading(index), simulation.fate(index));
        counts.add(&fate);
        if fate != Fate::default() {
            expected.insert((fleet.sensor_id(reading.sensor), reading.seq.to_string()), fate);
        }
    }
    for row in rows(&settings.out.join("transport.csv")) {
        let key = (row["sensor_id"].clone(), row["seq"].clone());
        let fate = expected.remove(&key).expect("a reading that met a fault, once");
        assert_eq!(row["fault"], fate.fault.map_or("", |fault| fault.name()));
        assert_eq!(row["delay_ms"], fate.delay_ms.to_string());
        let copy = fate.copy_delay_ms.map(|ms| ms.to_string()).unwrap_or_default();
        assert_eq!(row["copy_delay_ms"], copy);
    }
    assert!(expected.is_empty(), "each reading that met a fault is listed");
    let line = format!(
        "on the way: never sent {}, forwarded {}, late {}, out of order {}, duplicate {}",
        counts.missing, counts.forwarded, counts.late, counts.out_of_order, counts.duplicate
    );
    assert!(said.contains(&line), "{line}\n{said}");
}
