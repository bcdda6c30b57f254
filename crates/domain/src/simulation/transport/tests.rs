//! Faults happen as often as they should, and in the way they should.

use proptest::prelude::*;

use super::*;
use crate::SensorKind;
use crate::simulation::{AnomalySpec, FleetSpec, Rate, RunManifest, Simulation};

const START_MS: i64 = 1_764_000_000_000;
const SENSORS: u64 = 100;

fn simulation(seed: u64, transport: TransportSpec) -> Simulation {
    // One reading of each sensor a second.
    let rate = Rate::per_second_milli(SENSORS * 1_000).unwrap();
    Simulation::new(RunManifest {
        run: "test".into(),
        seed,
        fleet: FleetSpec { sensors: SENSORS, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS, rate),
        anomalies: AnomalySpec::default(),
        transport,
    })
}

fn everything() -> TransportSpec {
    TransportSpec {
        missing_ppm: 10_000,
        late_ppm: 20_000,
        late_max_ms: 30_000,
        out_of_order_ppm: 30_000,
        duplicate_ppm: 40_000,
        offline_ppm: 500_000,
        offline_max_ms: 120_000,
        clock_drift_max_ppm: 100,
    }
}

/// Goal: shares are what was asked for. Method: within five standard deviations of a binomial.
fn assert_share(count: u64, of: u64, ppm: u32) {
    let share = f64::from(ppm) / MILLION;
    let sd = libm::sqrt(share * (1.0 - share) * of as f64);
    let expected = share * of as f64;
    assert!((count as f64 - expected).abs() < 5.0 * sd + 1.0, "{count} of {of}, not {expected}");
}

#[test]
fn each_fault_alone_is_as_frequent_as_asked() {
    let of = 500_000;
    let count = |spec: TransportSpec| {
        let simulation = simulation(7, spec);
        let mut counts = FateCounts::default();
        (0..of).for_each(|index| counts.add(&simulation.fate(index)));
        counts
    };
    let spec = TransportSpec { missing_ppm: 10_000, ..TransportSpec::default() };
    assert_share(count(spec).missing, of, 10_000);
    let spec = TransportSpec { late_ppm: 3_000, ..TransportSpec::default() };
    assert_share(count(spec).late, of, 3_000);
    let spec = TransportSpec { out_of_order_ppm: 500, ..TransportSpec::default() };
    assert_share(count(spec).out_of_order, of, 500);
    let spec = TransportSpec { duplicate_ppm: 40_000, ..TransportSpec::default() };
    assert_share(count(spec).duplicate, of, 40_000);
    assert_eq!(count(TransportSpec::default()), FateCounts::default());
}

#[test]
fn sensors_are_offline_as_often_as_asked_and_never_twice_an_hour() {
    let spec = everything();
    let mut spells = 0;
    for hour in 0..10_000_i64 {
        let hour_ms = hour * HOUR_MS;
        if let Some(spell) = offline_spell(7, &spec, hour.unsigned_abs() % 13, hour_ms) {
            spells += 1;
            assert!(spell.start >= hour_ms && spell.end <= hour_ms + HOUR_MS);
            assert!((10_000..120_000).contains(&(spell.end - spell.start)));
        }
    }
    assert_share(spells, 10_000, spec.offline_ppm);
}

proptest! {
    #[test]
    fn a_delay_is_what_its_fault_says(seed: u64, index in 0_u64..10_000_000) {
        let simulation = simulation(seed, everything());
        let reading = simulation.reading(index);
        let fate = simulation.fate(index);
        let sent_ms = reading.due_ms.saturating_add_unsigned(fate.delay_ms);
        let hour_ms = hour_start_ms(reading.due_ms);
        let spell = offline_spell(seed, &everything(), reading.sensor, hour_ms);
        match fate.fault {
            None => prop_assert_eq!(fate.delay_ms, 0),
            Some(Fault::Missing) => prop_assert_eq!(fate.copy_delay_ms, None),
            Some(Fault::Late) => prop_assert!((1_000..30_000).contains(&fate.delay_ms)),
            Some(Fault::OutOfOrder) => {
                let by = (1..=3).filter(|by| {
                    simulation.reading(index + by * SENSORS).due_ms < sent_ms
                });
                prop_assert!(by.count() > 0, "nothing overtakes it");
                prop_assert!(fate.delay_ms <= 3_001);
            }
            Some(Fault::Forwarded) => {
                let spell = spell.clone().unwrap();
                prop_assert!(spell.contains(&reading.due_ms) && sent_ms >= spell.end);
                prop_assert!(sent_ms <= spell.end + 12_000);
            }
        }
        if let Some(spell) = spell.filter(|spell| spell.contains(&reading.due_ms)) {
            prop_assert!(!fate.is_sent() || sent_ms >= spell.end, "sent while offline");
        }
        if let Some(copy_delay_ms) = fate.copy_delay_ms {
            prop_assert!(copy_delay_ms >= fate.delay_ms, "the copy is the second");
        }
    }

    #[test]
    fn what_was_stored_is_forwarded_in_order(due_ms in 0_i64..120_000, later_ms in 1_i64..1_000) {
        let spell = 0..121_000;
        let sent_ms = |due_ms| due_ms + forwarding_delay_ms(&spell, due_ms).cast_signed();
        prop_assert!(sent_ms(due_ms + later_ms) >= sent_ms(due_ms));
    }

    #[test]
    fn a_clock_is_never_further_off_than_stated(seed: u64, sensor: u64, time_ms in 0..START_MS) {
        let spec = everything();
        prop_assert!(clock_skew_ms(seed, &spec, sensor, time_ms).abs() <= spec.skew_max_ms());
        let later_ms = clock_skew_ms(seed, &spec, sensor, time_ms + 1_000);
        let drifted_ms = later_ms - clock_skew_ms(seed, &spec, sensor, time_ms);
        let corrected = drifted_ms.abs() > 1;
        prop_assert!(!corrected || later_ms.abs() <= 1, "only a correction moves it at once");
    }
}

#[test]
fn event_time_is_what_the_clock_of_the_sensor_says() {
    let spec = TransportSpec { clock_drift_max_ppm: 100, ..TransportSpec::default() };
    let simulation = simulation(3, spec.clone());
    let skews: Vec<i64> = (0..SENSORS)
        .map(|index| simulation.reading(index))
        .map(|reading| reading.ts_ms - reading.due_ms)
        .collect();
    assert!(skews.iter().any(|skew_ms| *skew_ms > 100), "{skews:?}");
    assert!(skews.iter().any(|skew_ms| *skew_ms < -100), "{skews:?}");
    assert!(skews.iter().all(|skew_ms| skew_ms.abs() <= spec.skew_max_ms()));
}
