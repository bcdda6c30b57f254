//! A sensor's life is pure, in order, and says of faults what the readings say.

use proptest::prelude::*;

use super::*;
use crate::SensorKind;
use crate::simulation::{AnomalySpec, FleetSpec, Rate, Schedule, TransportSpec, signal};

const START_MS: i64 = 1_763_996_400_000;
const YEAR_HOURS: i64 = 365 * 24;

fn fleet(seed: u64) -> Fleet {
    Fleet::new(seed, &FleetSpec { sensors: 500, kinds: SensorKind::ALL.to_vec() })
}

/// Returns the events of a sensor in so many hours from the start.
fn events(seed: u64, sensor: u64, hours: i64) -> Vec<LifecycleEvent> {
    let fleet = fleet(seed);
    let cells = (0..hours).map(|hour| START_MS + hour * HOUR_MS);
    cells.flat_map(|cell| events_of(seed, &fleet, sensor, cell).collect::<Vec<_>>()).collect()
}

fn of_kind(events: &[LifecycleEvent], kinds: &[EventKind]) -> Vec<LifecycleEvent> {
    events.iter().filter(|event| kinds.contains(&event.kind)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Goal: any hour can be computed alone. Method: events of one hour twice, in its bounds, in
    /// order and few enough for their numbers.
    #[test]
    fn an_hour_is_computed_alone_and_in_order(
        seed in any::<u64>(),
        sensor in 0_u64..500,
        hour in -100_000_i64..1_000_000,
    ) {
        let (fleet, cell) = (fleet(seed), hour * HOUR_MS);
        let found: Vec<_> = events_of(seed, &fleet, sensor, cell).collect();
        prop_assert_eq!(&found, &events_of(seed, &fleet, sensor, cell).collect::<Vec<_>>());
        prop_assert!(found.is_sorted_by_key(|event| event.ts_ms));
        prop_assert!(found.len() <= 6);
        for event in &found {
            prop_assert_eq!(hour_start_ms(event.ts_ms), cell);
            prop_assert_eq!(event.sensor, sensor);
        }
    }

    /// Goal: events and readings tell one story. Method: a year of spells, each compared with what
    /// the reading in its middle says.
    #[test]
    fn faults_begin_and_end_where_the_readings_say(seed in any::<u64>(), sensor in 0_u64..500) {
        let fleet = fleet(seed);
        let found = of_kind(
            &events(seed, sensor, YEAR_HOURS),
            &[EventKind::Fault, EventKind::Recovered],
        );
        let is_faulty = |ts_ms| {
            signal::measure(seed, &fleet, sensor, ts_ms).status == Status::Fault
        };
        let mut faulty = is_faulty(START_MS - 1);
        for pair in found.windows(2) {
            prop_assert!(pair[0].kind != pair[1].kind, "fault and recovered alternate");
        }
        let mut found = found.into_iter().peekable();
        for spell in 0..YEAR_HOURS * (HOUR_MS / STATUS_SPELL_MS) {
            let ts_ms = START_MS + spell * STATUS_SPELL_MS;
            if let Some(event) = found.next_if(|event| event.ts_ms == ts_ms) {
                faulty = event.kind == EventKind::Fault;
            }
            prop_assert_eq!(faulty, is_faulty(ts_ms + STATUS_SPELL_MS / 2), "at {}", ts_ms);
        }
        prop_assert!(found.next().is_none());
    }

    #[test]
    fn a_sensor_is_serviced_once_a_quarter_in_working_hours(
        seed in any::<u64>(),
        sensor in 0_u64..500,
    ) {
        let (fleet, weeks) = (fleet(seed), 4 * MAINTENANCE_WEEKS);
        let found = of_kind(&events(seed, sensor, weeks * 7 * 24), &[EventKind::Maintenance]);
        prop_assert!((3..=5).contains(&found.len()), "{} in four quarters", found.len());
        for event in found {
            let local_ms = event.ts_ms + fleet.site_of(sensor).zone_offset_ms;
            let weekday = (local_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
            prop_assert!(weekday < 5, "day {weekday} from Monday");
            let hour = local_ms.rem_euclid(DAY_MS) / HOUR_MS;
            prop_assert!((9..16).contains(&hour), "at {hour} o'clock");
        }
    }

    #[test]
    fn a_battery_falls_by_tens_and_is_replaced_at_ten(seed in any::<u64>(), sensor in 0_u64..500) {
        let found = of_kind(&events(seed, sensor, 3 * YEAR_HOURS), &[EventKind::Battery]);
        let percents: Vec<i64> = found.iter().map(|event| event.detail.parse().unwrap()).collect();
        prop_assert!((10..=17).contains(&percents.len()), "{} in three years", percents.len());
        for pair in percents.windows(2) {
            let next = if pair[0] == 20 { 100 } else { pair[0] - 10 };
            prop_assert_eq!(pair[1], next, "after {}", pair[0]);
        }
    }

    /// Goal: a number depends on its own hour only and ascends with time. Method: the hours of a
    /// run, each numbered alone, with events of the producer among them.
    #[test]
    fn numbers_ascend_and_need_no_other_hour(
        seed in any::<u64>(),
        sensor in 0_u64..500,
        into_hour_ms in 0..HOUR_MS,
        outages_ms in prop::collection::vec(0..200 * HOUR_MS, 0..20),
    ) {
        let (fleet, run_start_ms) = (fleet(seed), START_MS + into_hour_ms);
        let mut sent = vec![LifecycleEvent::new(sensor, EventKind::Online, run_start_ms)];
        sent.extend(outages_ms.iter().map(|after_ms| {
            LifecycleEvent::new(sensor, EventKind::Offline, run_start_ms + after_ms)
        }));
        let numbered_hour = |cell: i64| -> Vec<(u64, LifecycleEvent)> {
            let others = sent.iter().filter(|event| hour_start_ms(event.ts_ms) == cell).cloned();
            let own = events_of(seed, &fleet, sensor, cell);
            numbered(run_start_ms, cell, others.chain(own)).collect()
        };
        let cells = (0..=200).map(|hour| START_MS + hour * HOUR_MS);
        let all: Vec<_> = cells.flat_map(numbered_hour).collect();
        prop_assert_eq!(&all[0], &(0, sent[0].clone()), "the run begins with `online`");
        prop_assert!(all.is_sorted_by(|(a, _), (b, _)| a < b), "numbers ascend");
        prop_assert!(all.is_sorted_by_key(|(_, event)| event.ts_ms));
        let others = all.iter().filter(|(_, event)| event.kind == EventKind::Offline).count();
        prop_assert_eq!(others, outages_ms.len());
    }
}

#[test]
fn a_record_carries_the_names_of_the_fleet() {
    let fleet = fleet(7);
    let event = LifecycleEvent::new(26, EventKind::Online, START_MS);
    let mut record = Vec::new();
    event.record(&fleet, "run-1", 3).encode(&mut record);
    let event = Event::decode(&record).unwrap();
    assert_eq!(event.sensor_id, fleet.sensor_id(26));
    assert_eq!((&*event.site_id, &*event.run), ("site-0001", "run-1"));
    assert_eq!((event.event, event.ts, event.seq), (EventKind::Online, START_MS, 3));
}

#[test]
fn an_event_is_found_by_its_number_alone() {
    let simulation = Simulation::new(RunManifest {
        run: "a".into(),
        seed: 7,
        fleet: FleetSpec { sensors: 50, kinds: SensorKind::ALL.to_vec() },
        schedule: Schedule::constant(START_MS + 1_234, Rate::new(50, 1_000_000_000).unwrap()),
        anomalies: AnomalySpec::default(),
        transport: TransportSpec { offline_ppm: 1_000_000, ..TransportSpec::default() },
    });
    let mut found = 0;
    for sensor in 0..50 {
        for hour in 0..100 {
            for (seq, event) in simulation.events(sensor, START_MS + hour * HOUR_MS) {
                assert_eq!(simulation.event(sensor, seq), Some(event));
                found += 1;
            }
        }
    }
    assert!(found > 10_000, "{found}");
    for seq in [63, 64 * 7 + 60, u64::MAX, u64::MAX / 64] {
        assert_eq!(simulation.event(3, seq), None);
    }
}

/// A producer asks for every sensor in every hour: most hours of a sensor are empty.
#[test]
fn events_are_rare() {
    let fleet = fleet(1);
    let day = (0..24).map(|hour| START_MS + hour * HOUR_MS);
    let counts = day.map(|cell| {
        (0..500).map(|sensor| events_of(1, &fleet, sensor, cell).count()).sum::<usize>()
    });
    let total: usize = counts.sum();
    assert!((20..300).contains(&total), "{total} events of 500 sensors in a day");
}
