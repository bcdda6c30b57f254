//! Anomalies are as many, as long and as large as promised, and labels are exact to the reading.

use proptest::prelude::*;

use super::event::{MAGNITUDE_SD, durations_ms};
use super::*;
use crate::contract::TS_RANGE_MS;
use crate::hour::HOUR_MS;
use crate::simulation::{FleetSpec, Rate, RunManifest, Schedule, Simulation, TransportSpec};

/// A full hour.
const START_MS: i64 = 1_764_000_000_000;

/// Each of 50 sensors, on two sites, reports once in `interval_ms`.
fn simulation(seed: u64, probability: f64, interval_ms: u64) -> Simulation {
    Simulation::new(RunManifest {
        run: "r".into(),
        seed,
        fleet: FleetSpec { sensors: 50, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS, Rate::new(50, interval_ms * 1_000_000).unwrap()),
        anomalies: AnomalySpec::of_probability(probability),
        transport: TransportSpec::default(),
    })
}

fn hours(count: i64) -> std::ops::Range<i64> {
    START_MS..START_MS + count * HOUR_MS
}

fn event_time_ms(simulation: &Simulation, sensor: u64, seq: u64) -> i64 {
    let index = simulation.index_of(sensor, seq).unwrap();
    simulation.manifest().schedule.event_time_ms(index)
}

/// Everything drawn, hidden or not, for a fleet in so many hours.
fn drawn(simulation: &Simulation, hours: i64) -> Vec<(u64, Event)> {
    let RunManifest { seed, anomalies, .. } = *simulation.manifest();
    let first = START_MS.div_euclid(HOUR_MS);
    let sensors = 0..simulation.fleet().sensors();
    let cells = sensors.flat_map(|sensor| (first..first + hours).map(move |cell| (sensor, cell)));
    cells
        .flat_map(|(sensor, cell)| {
            let events = Event::of_cell(seed, anomalies, simulation.fleet(), sensor, cell);
            events.into_iter().flatten().map(move |event| (sensor, event))
        })
        .collect()
}

/// Tells whether `count` of `trials` is within three standard deviations of a probability.
fn is_likely(count: usize, trials: f64, probability: f64) -> bool {
    let sd = (trials * probability * (1.0 - probability)).sqrt();
    (count as f64 - trials * probability).abs() <= 3.0 * sd
}

#[test]
fn as_many_anomalies_start_as_the_probability_says() {
    const HOURS: i64 = 5_000;
    for probability in [0.002, 0.05, 0.5] {
        let events = drawn(&simulation(42, probability, 1_000), HOURS);
        let own = events.iter().filter(|(_, event)| !event.site_wide).count();
        assert!(is_likely(own, 50.0 * HOURS as f64, probability), "{own} at {probability}");

        // Ten groups, each of five sensors that see the same.
        let all: Vec<u64> = events.iter().filter(|(_, e)| e.site_wide).map(|(_, e)| e.id).collect();
        let once: std::collections::BTreeSet<u64> = all.iter().copied().collect();
        assert_eq!(once.len() * 5, all.len(), "all sensors of a kind on a site, and no other");
        let expected = probability / SITE_SHARE as f64;
        assert!(is_likely(once.len(), 10.0 * HOURS as f64, expected), "{} sites", once.len());
    }
    assert_eq!(drawn(&simulation(42, 0.0, 1_000), HOURS), []);
    let certain = drawn(&simulation(42, 1.0, 1_000), 1_000);
    assert_eq!(certain.iter().filter(|(_, event)| !event.site_wide).count(), 50_000);
}

#[test]
fn a_higher_probability_adds_anomalies_and_changes_none() {
    let few = drawn(&simulation(42, 0.01, 1_000), 1_000);
    let many = drawn(&simulation(42, 0.05, 1_000), 1_000);
    assert!(!few.is_empty() && few.len() < many.len());
    assert!(few.iter().all(|event| many.contains(event)));
}

/// Goal: no moment of an hour is preferred. Method: chi-square over 60 minutes; 99.9 % of uniform
/// samples stay below 98.3 at 59 degrees of freedom.
#[test]
fn starts_are_uniform_over_the_hour() {
    for site_wide in [false, true] {
        let events = drawn(&simulation(7, 1.0, 1_000), 2_000);
        let mut counts = [0_u32; 60];
        // Sensors of a group share their site-wide events, which would count five times.
        let events = events.iter().filter(|(sensor, event)| {
            event.site_wide == site_wide && (!site_wide || sensor % 25 < 5)
        });
        for (_, event) in events {
            let minute = event.start_ms.rem_euclid(HOUR_MS) / 60_000;
            counts[usize::try_from(minute).unwrap()] += 1;
        }
        let expected = f64::from(counts.iter().sum::<u32>()) / 60.0;
        assert!(expected > 6.0, "a chi-square needs enough in each class: {expected}");
        let squares = counts.iter().map(|count| (f64::from(*count) - expected).powi(2));
        let chi_square = squares.sum::<f64>() / expected;
        assert!(chi_square < 98.3, "{chi_square} for site_wide {site_wide}");
    }
}

#[test]
fn anomalies_are_as_long_and_as_large_as_promised() {
    let simulation = simulation(42, 1.0, 1_000);
    let mut seen = std::collections::BTreeSet::new();
    for (sensor, event) in drawn(&simulation, 4_000) {
        let kind = simulation.fleet().kind_of(sensor);
        let duration_ms = event.end_ms - event.start_ms;
        assert!(durations_ms(event.kind).contains(&duration_ms), "{event:?}");
        assert!((1..=DURATION_MAX_MS).contains(&duration_ms) && duration_ms < HOUR_MS);
        assert!(AnomalyKind::of_sensor(kind).contains(&event.kind));
        if event.kind.has_magnitude(kind) {
            assert!(MAGNITUDE_SD.contains(&event.magnitude), "{event:?}");
        } else {
            assert_eq!((event.magnitude, event.amount), (0.0, 0.0));
        }
        let sd = crate::simulation::signal::innovation_sd(kind);
        assert!((event.amount.abs() - event.magnitude * sd).abs() < 1e-9);
        assert!(kind != SensorKind::Light || event.amount >= 0.0, "less than no light");
        seen.insert((kind, event.kind, event.site_wide, event.amount < 0.0));
    }
    // Each kind of each sensor, alone and site-wide; and both signs of four kinds on three sensors.
    assert_eq!(seen.len(), 2 * (4 * 8 + 5) + 2 * 3 * 4);
}

#[test]
fn at_the_usual_probability_half_a_percent_of_the_time_is_anomalous() {
    let simulation = simulation(42, 0.05, 1_000);
    let hours = hours(2_000);
    let anomalous_ms: i64 = (0..50)
        .flat_map(|sensor| simulation.anomalies(sensor, hours.clone()))
        .map(|anomaly| anomaly.end_ms - anomaly.start_ms)
        .sum();
    let share = anomalous_ms as f64 / (50 * (hours.end - hours.start)) as f64;
    assert!((0.003..=0.005).contains(&share), "{share}");
}

#[test]
fn without_anomalies_the_stream_is_the_clean_one() {
    let simulation = simulation(42, 0.0, 1_000);
    for index in (0..10_000_000).step_by(991) {
        assert_eq!(simulation.reading(index), simulation.clean_reading(index));
    }
    assert_eq!(simulation.anomalies(3, TS_RANGE_MS).next(), None);
}

#[test]
fn an_anomaly_shows_in_the_value_alone() {
    let simulation = simulation(42, 1.0, 1_000);
    let mut changed = 0;
    for index in 0..100_000 {
        let (reading, clean) = (simulation.reading(index), simulation.clean_reading(index));
        changed += u32::from(reading.measurement.value != clean.measurement.value);
        assert_eq!(reading.measurement.status, clean.measurement.status);
        let (mut encoded, mut clean_encoded) = (Vec::new(), Vec::new());
        simulation.encode(&reading, &mut encoded);
        simulation.encode(&clean, &mut clean_encoded);
        let mut encoded: serde_json::Value = serde_json::from_slice(&encoded).unwrap();
        let clean: serde_json::Value = serde_json::from_slice(&clean_encoded).unwrap();
        encoded["value"] = clean["value"].clone();
        assert_eq!(encoded, clean);
    }
    assert!(changed > 1_000, "{changed}");
}

/// Tells whether every reading of an anomaly differs from the clean one, whatever that is: a
/// constant error does, once it is no less than the sensor can resolve.
fn changes_every_reading(anomaly: &Anomaly, kind: SensorKind) -> bool {
    match anomaly.kind {
        AnomalyKind::Inverted => true,
        // In the dark and without motion it says what it would have said.
        AnomalyKind::Dropout => !matches!(kind, SensorKind::Motion | SensorKind::Light),
        AnomalyKind::Spike | AnomalyKind::Offset => {
            let mut text = Vec::new();
            crate::simulation::signal::quantise(kind, 50.0).write(&mut text);
            let decimals = text.iter().rev().position(|digit| *digit == b'.').unwrap_or(0);
            anomaly.amount.abs() >= 0.1_f64.powi(i32::try_from(decimals).unwrap())
        }
        _ => false,
    }
}

/// Goal: label windows are the sequence numbers affected. Method: over 100 anomalies and more, the
/// run is compared reading by reading with the same run without any, from well before to well
/// after.
#[test]
fn labels_are_exact_to_the_reading() {
    let mut checked = std::collections::BTreeMap::new();
    for (seed, interval_ms) in [(1, 1_000), (2, 700), (3, 15_000), (4, 60_000)] {
        let dirty = simulation(seed, 0.9, interval_ms);
        let clean = simulation(seed, 0.0, interval_ms);
        let is_changed = |sensor, seq| {
            let index = dirty.index_of(sensor, seq).unwrap();
            dirty.reading(index) != clean.reading(index)
        };
        for sensor in (0..50).step_by(3) {
            let mut next_seq = 0;
            for anomaly in dirty.anomalies(sensor, hours(4)) {
                let context = format!("seed {seed}: {anomaly:?}");
                assert!(anomaly.first_seq <= anomaly.last_seq, "{context}");
                for seq in next_seq..anomaly.first_seq {
                    assert!(!is_changed(sensor, seq), "seq {seq} before {context}");
                }
                let seqs = anomaly.first_seq..=anomaly.last_seq;
                let changed = seqs.clone().filter(|seq| is_changed(sensor, *seq)).count() as u64;
                assert!(changed > 0, "{context}");
                if changes_every_reading(&anomaly, dirty.fleet().kind_of(sensor)) {
                    assert_eq!(changed, anomaly.readings(), "{context}");
                }
                let window_ms = anomaly.start_ms..anomaly.end_ms;
                for seq in seqs {
                    assert!(window_ms.contains(&event_time_ms(&dirty, sensor, seq)), "{context}");
                }
                let after_ms = event_time_ms(&dirty, sensor, anomaly.last_seq + 1);
                assert!(!window_ms.contains(&after_ms), "{context}");
                next_seq = anomaly.last_seq + 1;
                *checked.entry((anomaly.kind, anomaly.site_wide)).or_insert(0) += 1;
            }
            for seq in next_seq..dirty.seqs_due(sensor, hours(4)).end {
                assert!(!is_changed(sensor, seq), "seq {seq} of {sensor} after all");
            }
        }
    }
    assert!(checked.values().sum::<u32>() >= 100, "{checked:?}");
    assert_eq!(
        checked.keys().filter(|(_, site_wide)| !site_wide).count(),
        AnomalyKind::ALL.len(),
        "every kind is among them: {checked:?}"
    );
}

#[test]
fn a_stuck_value_is_constant() {
    let simulation = simulation(42, 0.9, 1_000);
    let value = |sensor, seq| {
        let index = simulation.index_of(sensor, seq).unwrap();
        simulation.reading(index).measurement.value
    };
    let mut stuck = 0;
    for anomaly in (0..50).flat_map(|sensor| simulation.anomalies(sensor, hours(6))) {
        if anomaly.kind == AnomalyKind::Stuck {
            let held = value(anomaly.sensor, anomaly.first_seq);
            let mut seqs = anomaly.first_seq..=anomaly.last_seq;
            assert!(seqs.all(|seq| value(anomaly.sensor, seq) == held), "{anomaly:?}");
            stuck += 1;
        }
    }
    assert!(stuck > 10, "{stuck}");
}

/// Goal: the shapes are those described. Method: the error of light, which is in whole lux, at
/// the start, in the middle and at the end of what is alone in its window.
#[test]
fn errors_have_the_shape_of_their_kind() {
    let simulation = simulation(42, 0.9, 1_000);
    let RunManifest { seed, .. } = *simulation.manifest();
    let mut seen = std::collections::BTreeSet::new();
    for (sensor, event) in drawn(&simulation, 50) {
        if simulation.fleet().kind_of(sensor) != SensorKind::Light {
            continue;
        }
        let error = |ts_ms| {
            let raw = crate::simulation::signal::raw_value(seed, simulation.fleet(), sensor, ts_ms);
            let value = value(&event, seed, simulation.fleet(), sensor, ts_ms);
            (value.to_f64() - raw) / event.amount
        };
        let middle_ms = i64::midpoint(event.start_ms, event.end_ms);
        let times_ms = [event.start_ms, middle_ms, event.end_ms - 1];
        let expected = match event.kind {
            AnomalyKind::Spike | AnomalyKind::Offset => [1.0, 1.0, 1.0],
            AnomalyKind::Drift => [0.0, 0.5, 1.0],
            AnomalyKind::LevelShift => [0.0, 1.0, 0.0],
            _ => continue,
        };
        let errors = times_ms.map(error);
        // Half a lux is at most 0.012 of an amount.
        let fits = errors.iter().zip(expected).all(|(error, is)| (error - is).abs() < 0.02);
        assert!(fits, "{event:?}: {errors:?}");
        seen.insert(event.kind);
    }
    assert_eq!(seen.len(), 4);
}

#[test]
fn a_dropout_reads_the_low_end_of_the_range() {
    let simulation = simulation(42, 0.9, 1_000);
    let mut dropouts = 0;
    for anomaly in (0..50).flat_map(|sensor| simulation.anomalies(sensor, hours(6))) {
        if anomaly.kind == AnomalyKind::Dropout {
            let lowest = match simulation.fleet().kind_of(anomaly.sensor) {
                SensorKind::Temperature => -40.0,
                SensorKind::Pressure => 300.0,
                _ => 0.0,
            };
            for seq in anomaly.first_seq..=anomaly.last_seq {
                let index = simulation.index_of(anomaly.sensor, seq).unwrap();
                let value = simulation.reading(index).measurement.value.to_f64();
                assert!((value - lowest).abs() < 1e-9, "{value} in {anomaly:?}");
            }
            dropouts += 1;
        }
    }
    assert!(dropouts > 10, "{dropouts}");
}

#[test]
fn a_site_wide_anomaly_befalls_its_sensors_at_once() {
    let simulation = simulation(42, 1.0, 5_000);
    let all: Vec<Anomaly> =
        (0..50).flat_map(|sensor| simulation.anomalies(sensor, hours(1_000))).collect();
    let site_wide = all.iter().filter(|a| a.site_wide && a.kind == AnomalyKind::Offset);
    let mut events = std::collections::BTreeMap::<&str, Vec<&Anomaly>>::new();
    for anomaly in site_wide {
        events.entry(&anomaly.id).or_default().push(anomaly);
    }
    assert!(events.values().filter(|anomalies| anomalies.len() == 5).count() > 10);
    for anomalies in events.values() {
        let fleet = simulation.fleet();
        let group = |a: &Anomaly| (fleet.site_number_of(a.sensor), fleet.kind_of(a.sensor));
        assert!(anomalies.iter().all(|a| group(a) == group(anomalies[0])));
        assert!(anomalies.iter().all(|a| a.end_ms == anomalies[0].end_ms));
        assert!(anomalies.iter().all(|a| a.amount.to_bits() == anomalies[0].amount.to_bits()));
    }
}

#[test]
fn a_finite_run_labels_no_reading_beyond_its_end() {
    let mut manifest = simulation(42, 1.0, 1_000).manifest().clone();
    let readings = 50 * 1_000 + 17;
    manifest.schedule.readings_max = Some(readings);
    let simulation = Simulation::new(manifest);
    for sensor in 0..50 {
        for anomaly in simulation.anomalies(sensor, i64::MIN..i64::MAX) {
            assert!(simulation.index_of(sensor, anomaly.last_seq).unwrap() < readings);
            assert!(anomaly.start_ms >= START_MS && anomaly.end_ms <= START_MS + 1_001_000);
        }
    }
    let due = |sensor| simulation.seqs_due(sensor, i64::MIN..i64::MAX);
    assert_eq!((due(0), due(16), due(17)), (0..1_001, 0..1_001, 0..1_000));
}

#[test]
fn the_anomalies_of_a_seed_never_change() {
    let events = drawn(&simulation(42, 0.05, 1_000), 10);
    let told = |(sensor, event): &(u64, Event)| {
        let Event { id, kind, start_ms, end_ms, .. } = event;
        let (from_ms, to_ms) = (start_ms - START_MS, end_ms - START_MS);
        format!("{sensor} {id:016x} {} {from_ms}..{to_ms}", kind.name())
    };
    let golden = [
        "5 3a0d32ae9dd44fdf noise_burst 30730716..30912399",
        "12 b4c92ece2a972cde level_shift 2892858..3346864",
        "14 75162a76a52a1925 contextual 28242121..28367565",
    ];
    assert_eq!(events.iter().take(3).map(told).collect::<Vec<_>>(), golden);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Goal: anomalies of a part are those of the whole, cut. Method: any window of an afternoon.
    #[test]
    fn anomalies_of_a_range_are_cut_to_it(
        seed: u64,
        sensor in 0_u64..50,
        from in 0_i64..5 * HOUR_MS,
        length in 0_i64..2 * HOUR_MS,
    ) {
        let simulation = simulation(seed, 0.9, 10_000);
        let range_ms = START_MS + from..START_MS + from + length;
        let due = simulation.seqs_due(sensor, range_ms.clone());
        let mut covered = due.start..due.start;
        for anomaly in simulation.anomalies(sensor, range_ms.clone()) {
            prop_assert!(range_ms.contains(&anomaly.start_ms) && anomaly.end_ms <= range_ms.end);
            prop_assert!(covered.end <= anomaly.first_seq && anomaly.last_seq < due.end);
            covered.end = anomaly.last_seq + 1;
            let whole = simulation
                .anomalies(sensor, hours(8))
                .find(|whole| whole.id == anomaly.id)
                .expect("it is in the whole");
            prop_assert!(whole.start_ms <= anomaly.start_ms && anomaly.end_ms <= whole.end_ms);
        }
    }

    /// Goal: the first to start keeps going. Method: all that was drawn in the hour and the one
    /// before, looked through one by one.
    #[test]
    fn of_those_that_overlap_the_first_to_start_shows(
        seed: u64,
        sensor in 0_u64..50,
        moment_ms in HOUR_MS..3 * HOUR_MS,
    ) {
        // So that sites, too, draw in each hour.
        let anomalies = AnomalySpec { probability_ppm: 50_000_000 };
        let simulation = simulation(seed, 1.0, 1_000);
        let (fleet, ts_ms) = (simulation.fleet(), START_MS + moment_ms);
        let cell = ts_ms.div_euclid(HOUR_MS);
        let expected = [cell - 1, cell]
            .into_iter()
            .flat_map(|cell| Event::of_cell(seed, anomalies, fleet, sensor, cell))
            .flatten()
            .filter(|event| event.start_ms <= ts_ms && ts_ms < event.end_ms)
            .min_by_key(|event| (event.start_ms, !event.site_wide));
        prop_assert_eq!(Event::at(seed, anomalies, fleet, sensor, ts_ms), expected);
    }

    #[test]
    fn readings_due_in_a_range_are_those_with_their_event_time_in_it(
        sensor in 0_u64..50,
        interval_ms in 1_u64..100_000,
        from in -1_000_i64..5_000_000,
        length in 0_i64..1_000_000,
    ) {
        let simulation = simulation(42, 0.0, interval_ms);
        let range_ms = START_MS + from..START_MS + from + length;
        let due = simulation.seqs_due(sensor, range_ms.clone());
        let ts_ms = |seq| event_time_ms(&simulation, sensor, seq);
        prop_assert!(due.start == 0 || ts_ms(due.start - 1) < range_ms.start);
        prop_assert!(ts_ms(due.end) >= range_ms.end || due.is_empty());
        if !due.is_empty() {
            prop_assert!(range_ms.contains(&ts_ms(due.start)));
            prop_assert!(range_ms.contains(&ts_ms(due.end - 1)));
        }
    }
}

#[test]
fn a_probability_is_kept_in_millionths() {
    assert_eq!(AnomalySpec::of_probability(0.05).probability_ppm, 50_000);
    assert_eq!(AnomalySpec::of_probability(7.0).probability_ppm, 1_000_000);
    assert_eq!(AnomalySpec::of_probability(f64::NAN), AnomalySpec::default());
}
