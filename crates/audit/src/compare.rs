//! Decides about one row: whether a run made it, and whether it holds what that run computes.

mod differences;

use std::iter;
use std::ops::Range;

use domain::hour::{HOUR_MS, hour_start_ms};
use domain::reading::Location;
use domain::simulation::report::RunState;
use domain::simulation::schedule::NS_PER_MS;
use domain::simulation::{FateCounts, RunReport, SimulatedReading, Simulation};
use domain::write_timestamp;

use crate::bitmap::Bitmap;
pub(crate) use crate::compare::differences::{Differences, Mismatch};

/// How far ahead of this machine's clock a producer's may be.
const CLOCK_ALLOWANCE_MS: i64 = 5_000;

/// How far the expiry of a row may be from what it should be: clocks differ, whole seconds count,
/// and a server that stood still writes later what it was sent before.
const EXPIRY_ALLOWANCE_MS: u64 = 60_000;

/// One row of `readings`; everything outside the key can be null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row<'a> {
    pub(crate) site_id: &'a str,
    pub(crate) hour_ms: i64,
    pub(crate) sensor_id: &'a str,
    pub(crate) ts_ms: i64,
    pub(crate) run: &'a str,
    pub(crate) seq: i64,
    pub(crate) value: Option<f64>,
    pub(crate) unit: Option<&'a str>,
    pub(crate) status: Option<&'a str>,
    pub(crate) lat: Option<f64>,
    pub(crate) lon: Option<f64>,
    /// Of the value, in epoch microseconds.
    pub(crate) write_timestamp_us: Option<i64>,
    pub(crate) expiry: Expiry,
}

/// When a row expires, in epoch milliseconds; `None` is never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Its event time and the time to live of the table.
    pub(crate) expected_ms: Option<i64>,
    /// What Cassandra says of its value.
    pub(crate) found_ms: Option<i64>,
}

impl Expiry {
    /// Makes that of a row with the event time `ts_ms`, of which `left_s` were left when it was
    /// read; the rows of the table are kept for `time_to_live_ms`, 0 for good.
    pub(crate) fn new(
        ts_ms: i64,
        time_to_live_ms: i64,
        read_at_ms: i64,
        left_s: Option<i32>,
    ) -> Self {
        Self {
            expected_ms: (time_to_live_ms > 0).then_some(ts_ms.saturating_add(time_to_live_ms)),
            found_ms: left_s.map(|left_s| read_at_ms + 1_000 * i64::from(left_s)),
        }
    }

    fn is_right(self) -> bool {
        match (self.expected_ms, self.found_ms) {
            (Some(expected_ms), Some(found_ms)) => {
                found_ms.abs_diff(expected_ms) <= EXPIRY_ALLOWANCE_MS
            }
            (expected, found) => expected == found,
        }
    }

    /// Adds it to the differences of a row if it is wrong.
    pub(crate) fn compare(self, differences: &mut Differences) {
        if !self.is_right() {
            let [expected, found] = [self.expected_ms, self.found_ms]
                .map(|ms| ms.map_or("never".to_owned(), |ms| ms.to_string()));
            differences.push("expiry", &expected, &found);
        }
    }
}

/// What a row turns out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the reading of that number, as computed.
    Right(u64),
    /// It is right, but the run's report is older than the reading.
    Later,
    /// No run made it.
    Phantom(Mismatch),
    /// It has the key of the reading of that number, but other cells.
    Corrupt(u64, Mismatch),
}

/// What one run must have stored.
#[derive(Debug)]
pub(crate) struct Expectation {
    report: RunReport,
    simulation: Simulation,
    tally: Tally,
    // Rows come sensor by sensor, so most ask for the one before.
    last_sensor: Option<(String, u64)>,
}

impl Expectation {
    /// Lays out the run's fleet.
    pub(crate) fn new(report: RunReport) -> Self {
        let simulation = Simulation::new(report.manifest.clone());
        let tally = Tally::new(&report, &simulation);
        Self { simulation, report, tally, last_sensor: None }
    }

    /// Returns how many readings there are of each sort.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Tells whether the rows of a sensor belong to the part of the run that the report is of.
    pub(crate) fn has_sensor(&mut self, sensor_id: &str) -> bool {
        let shard = self.report.shard;
        self.sensor_number(sensor_id).is_some_and(|sensor| shard.has_sensor(sensor))
    }

    /// Counts the readings in a range that were to be sent and are not among those `seen`.
    pub(crate) fn count_absent(&self, seen: &Bitmap, range: Range<u64>) -> u64 {
        if self.expects_all() {
            return seen.count_absent(range);
        }
        self.absent(seen, range).count() as u64
    }

    /// Lists them, ascending.
    pub(crate) fn absent(&self, seen: &Bitmap, range: Range<u64>) -> impl Iterator<Item = u64> {
        let absent = seen.absent(range);
        absent.filter(|index| is_expected(&self.report, &self.simulation, *index))
    }

    fn expects_all(&self) -> bool {
        expects_all(&self.report, &self.simulation)
    }

    /// Returns what the producer declared.
    pub(crate) fn report(&self) -> &RunReport {
        &self.report
    }

    /// Returns the run's readings.
    pub(crate) fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// Returns every site with every hour in which the run had a reading due.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = (&str, i64)> {
        let schedule = &self.report.manifest.schedule;
        let skew_max_ms = self.report.manifest.transport.skew_max_ms();
        let last = self.report.scheduled.checked_sub(1);
        let first = last.map(|_| hour_start_ms(schedule.start_ms - skew_max_ms));
        let end_ms = last.map_or(i64::MIN, |last| schedule.event_time_ms(last) + skew_max_ms);
        let hours = iter::successors(first, |hour_ms| Some(hour_ms + HOUR_MS));
        let hours = hours.take_while(move |hour_ms| *hour_ms <= end_ms);
        let sites = self.simulation.fleet().sites();
        hours.flat_map(|hour_ms| sites.iter().map(move |site| (site.id.as_str(), hour_ms)))
    }

    /// Compares a row of this run, read at `now_ms`, with its recomputation.
    pub(crate) fn classify(&mut self, row: &Row<'_>, now_ms: i64) -> Verdict {
        let sensor = self.sensor_number(row.sensor_id);
        let index = match self.sent_reading(sensor, row.seq, now_ms) {
            Ok(index) => index,
            Err(mismatch) => return Verdict::Phantom(mismatch),
        };
        let reading = self.simulation.reading(index);
        if let Some(mismatch) = self.compare_key(row, &reading) {
            return Verdict::Phantom(mismatch);
        }
        match self.compare_cells(row, &reading) {
            Some(mismatch) => Verdict::Corrupt(index, mismatch),
            None if index < self.report.scheduled => Verdict::Right(index),
            None => Verdict::Later,
        }
    }

    fn sensor_number(&mut self, sensor_id: &str) -> Option<u64> {
        if let Some((last_id, number)) = &self.last_sensor
            && last_id == sensor_id
        {
            return Some(*number);
        }
        let number = self.simulation.fleet().sensor_number(sensor_id)?;
        self.last_sensor = Some((sensor_id.to_owned(), number));
        Some(number)
    }

    /// Finds the reading of a sensor by its number, or tells why the run cannot have sent it by
    /// `now_ms`.
    pub(crate) fn sent_reading(
        &self,
        sensor: Option<u64>,
        seq: i64,
        now_ms: i64,
    ) -> Result<u64, Mismatch> {
        let sensor = sensor.ok_or_else(|| self.no_such_sensor())?;
        let seq = u64::try_from(seq).ok();
        let index = seq.and_then(|seq| self.simulation.index_of(sensor, seq));
        let sent = self.sent_by(now_ms);
        let Some(index) = index.filter(|index| *index < sent) else {
            return Err(Mismatch::new(
                format!("one of the {sent} readings that can have been sent"),
                index.map_or("a sequence number that none has".into(), |i| format!("reading {i}")),
            ));
        };
        if is_expected(&self.report, &self.simulation, index) {
            return Ok(index);
        }
        let expected = "no row of a reading that this producer never sends";
        Err(Mismatch::new(expected, format!("reading {index}")))
    }

    /// Says that the fleet has no such sensor.
    pub(crate) fn no_such_sensor(&self) -> Mismatch {
        let sensors = self.simulation.fleet().sensors();
        let expected = format!("one of the fleet's {sensors} sensors");
        Mismatch::new(expected, "a sensor that is none of them")
    }

    /// Tells whether the run can have sent a reading of the sensor with this event time by
    /// `now_ms`.
    pub(crate) fn has_reading_at(&self, sensor: u64, ts_ms: i64, now_ms: i64) -> bool {
        let skew_max_ms = self.report.manifest.transport.skew_max_ms();
        let first = self.due_before(ts_ms.saturating_sub(skew_max_ms));
        let end = self.due_before(ts_ms.saturating_add(skew_max_ms + 1)).min(self.sent_by(now_ms));
        let sensors = self.simulation.fleet().sensors();
        let ahead = (sensor + sensors - first % sensors) % sensors;
        let mut index = first.saturating_add(ahead);
        while index < end {
            if self.simulation.clean_reading(index).ts_ms == ts_ms
                && is_expected(&self.report, &self.simulation, index)
            {
                return true;
            }
            index += sensors;
        }
        false
    }

    /// Returns how many readings are due before a time in epoch milliseconds.
    fn due_before(&self, time_ms: i64) -> u64 {
        let schedule = &self.report.manifest.schedule;
        let since_start_ms = u64::try_from(time_ms.saturating_sub(schedule.start_ms)).unwrap_or(0);
        let last_ns = since_start_ms.saturating_mul(NS_PER_MS).checked_sub(1);
        last_ns.map_or(0, |last_ns| schedule.due_count(last_ns))
    }

    /// Returns how many readings the run can have sent: more than reported while it is under way.
    pub(crate) fn sent_by(&self, now_ms: i64) -> u64 {
        let reported = self.report.scheduled;
        if self.report.state != RunState::Running {
            return reported;
        }
        let schedule = &self.report.manifest.schedule;
        let elapsed_ms = now_ms + CLOCK_ALLOWANCE_MS - schedule.start_ms;
        match u64::try_from(elapsed_ms) {
            Ok(elapsed_ms) => {
                reported.max(schedule.due_count(elapsed_ms.saturating_mul(NS_PER_MS)))
            }
            Err(_) => reported,
        }
    }

    /// Compares the key's other columns: sensor, run and number led here and are right.
    fn compare_key(&self, row: &Row<'_>, reading: &SimulatedReading) -> Option<Mismatch> {
        let site_id = self.simulation.fleet().site_of(reading.sensor).id.as_str();
        let hour_ms = hour_start_ms(reading.ts_ms);
        if row.site_id == site_id && row.hour_ms == hour_ms && row.ts_ms == reading.ts_ms {
            return None;
        }
        let mut differences = Differences::default();
        differences.compare("site_id", &site_id, &row.site_id);
        differences.compare("hour", &hour_ms, &row.hour_ms);
        differences.compare("ts", &reading.ts_ms, &row.ts_ms);
        differences.mismatch()
    }

    fn compare_cells(&self, row: &Row<'_>, reading: &SimulatedReading) -> Option<Mismatch> {
        let fleet = self.simulation.fleet();
        let value = reading.measurement.value.to_f64();
        let kind = fleet.kind_of(reading.sensor);
        let (unit, status) = (kind.unit(), reading.measurement.status.name());
        let location @ Location { lat, lon } = fleet.site_of(reading.sensor).location();
        let measured = reading.measurement.status;
        let written = write_timestamp::reading_us(reading.ts_ms, kind, measured, value, location);
        let mut differences = Differences::default();
        differences.compare_number("value", value, row.value);
        differences.compare_cell("unit", &unit, row.unit);
        differences.compare_cell("status", &status, row.status);
        differences.compare_number("lat", lat, row.lat);
        differences.compare_number("lon", lon, row.lon);
        // Another one lets another version of the row win, and a replay changes the row (I3).
        differences.compare_cell("write timestamp", &written, row.write_timestamp_us);
        row.expiry.compare(&mut differences);
        differences.mismatch()
    }
}

/// Returns the readings that Kafka acknowledged, as ascending spans.
pub(crate) fn acknowledged_spans(report: &RunReport) -> Vec<Range<u64>> {
    let starts = report.unacknowledged.iter().map(|gap| gap.to);
    let ends = report.unacknowledged.iter().map(|gap| gap.from);
    iter::once(0)
        .chain(starts)
        .zip(ends.chain([report.scheduled]))
        .map(|(start, end)| start..end)
        .filter(|span| !span.is_empty())
        .collect()
}

/// How many readings of a report there are of each sort, as computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Due, in this part of the run.
    pub(crate) scheduled: u64,
    /// Sent and acknowledged.
    pub(crate) acknowledged: u64,
    /// What became of those due on their way.
    pub(crate) fates: FateCounts,
}

impl Tally {
    fn new(report: &RunReport, simulation: &Simulation) -> Self {
        if expects_all(report, simulation) {
            let spans = acknowledged_spans(report);
            let acknowledged = spans.iter().map(|span| span.end - span.start).sum();
            return Self { scheduled: report.scheduled, acknowledged, ..Self::default() };
        }
        let mut tally = Self::default();
        let sensors = simulation.fleet().sensors();
        let own = |index: &u64| report.shard.has_sensor(index % sensors);
        for index in (0..report.scheduled).filter(own) {
            let fate = simulation.fate(index);
            let is_acknowledged = fate.is_sent() && report.is_acknowledged(index);
            tally.scheduled += 1;
            tally.acknowledged += u64::from(is_acknowledged);
            tally.fates.add(&fate);
        }
        tally
    }
}

fn expects_all(report: &RunReport, simulation: &Simulation) -> bool {
    report.shard.is_whole() && simulation.transport_is_perfect()
}

/// Tells whether the producer of a report sends a reading at all.
fn is_expected(report: &RunReport, simulation: &Simulation, index: u64) -> bool {
    expects_all(report, simulation)
        || report.shard.has_sensor(index % simulation.fleet().sensors())
            && simulation.fate(index).is_sent()
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
