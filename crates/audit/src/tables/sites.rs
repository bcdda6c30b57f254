//! Checks `sites`: each site with a stored reading has a row, which says where the site was at the
//! newest of them or later.

use std::ops::Range;

use domain::reading::Location;
use domain::simulation::fleet::SENSORS_PER_SITE;
use domain::write_timestamp;

use super::Check;
use super::outcome::{Finding, Key, Outcome};
use super::runs::{NewestPlace, Owner, Runs, Seen, compare_written, event_time_ms};
use crate::compare::{Differences, Mismatch};

/// One row of `sites`; everything outside the key can be null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) site_id: &'a str,
    pub(super) lat: Option<f64>,
    pub(super) lon: Option<f64>,
    /// Of `lat` and of `lon`.
    pub(super) written_us: [Option<i64>; 2],
    pub(super) left_s: Option<i32>,
}

/// The check of `sites`.
#[derive(Debug)]
pub(super) struct Sites<'a> {
    runs: &'a Runs<'a>,
    seen: Seen,
    outcome: Outcome,
}

impl<'a> Sites<'a> {
    /// Starts with no row read.
    pub(super) fn new(runs: &'a Runs<'a>) -> Self {
        Self { runs, seen: runs.nothing_seen(), outcome: runs.outcome(Self::TABLE) }
    }

    /// Compares a row.
    pub(super) fn compare(&mut self, row: &Row<'_>, read_at_ms: i64) {
        let owners = self.runs.owners_of_site(row.site_id);
        let finding = self.classify(row, &owners, read_at_ms);
        self.seen.add(&owners);
        self.outcome.add(|| Key::site(row.site_id), finding);
    }

    fn classify(&self, row: &Row<'_>, owners: &[Owner], now_ms: i64) -> Finding {
        let Some(first) = owners.first() else {
            return Finding::Unknown;
        };
        let is_here = |owner: &&Owner| {
            let Location { lat, lon } = self.runs.location(owner.run, owner.number);
            let expected = [Some(lat), Some(lon)].map(|number| number.map(f64::to_bits));
            [row.lat, row.lon].map(|number| number.map(f64::to_bits)) == expected
        };
        let here: Vec<&Owner> = owners.iter().filter(is_here).collect();
        let newest = self.runs.newest_place(owners, true);
        let written_us = row.written_us[0];
        let is_old = |newest: &NewestPlace| written_us.is_none_or(|us| us < newest.written_us);

        // A place that no audited run has may be somebody else's, if it is told in due form.
        let (Some(lat), Some(lon)) = (row.lat, row.lon) else {
            return Finding::Corrupt(self.mismatch(row, first, newest));
        };
        if here.is_empty() && newest.as_ref().is_some_and(is_old) {
            return Finding::Corrupt(self.mismatch(row, first, newest));
        }
        let mut differences = Differences::default();
        let fraction_us = write_timestamp::site_us(0, Location { lat, lon });
        compare_written(&mut differences, written_us, fraction_us, now_ms);
        if row.written_us[1] != written_us {
            compare_written(&mut differences, row.written_us[1], fraction_us, now_ms);
            differences.push("lat and lon", &"of one write", &"of two");
        }
        differences.compare_lifetime(row.left_s);
        match differences.mismatch() {
            Some(_) if here.is_empty() => {
                return Finding::Corrupt(self.mismatch(row, first, newest));
            }
            Some(mismatch) => return Finding::Corrupt(mismatch),
            None => {}
        }
        if let Some(newest) = newest.filter(is_old) {
            let NewestPlace { location, written_us: newest_us } = newest;
            let expected = format!(
                "lat {} lon {} with write timestamp {newest_us} or a later one",
                location.lat, location.lon
            );
            let found_us = written_us.map_or("null".to_owned(), |us| us.to_string());
            let found = format!("lat {lat} lon {lon} with write timestamp {found_us}");
            return Finding::Old(Mismatch::new(expected, found));
        }
        if self.runs.newest_place(owners, false).as_ref().is_some_and(is_old) {
            return Finding::Behind;
        }
        let ts_ms = written_us.map_or(i64::MIN, event_time_ms);
        let told = |owner: &&Owner| self.has_reading_at(owner, ts_ms, now_ms);
        if here.iter().any(told) { Finding::Right } else { Finding::Foreign }
    }

    /// Says where the site should be, and where it is.
    fn mismatch(&self, row: &Row<'_>, owner: &Owner, newest: Option<NewestPlace>) -> Mismatch {
        let known = newest.map(|newest| newest.location);
        let Location { lat, lon } =
            known.unwrap_or_else(|| self.runs.location(owner.run, owner.number));
        let mut differences = Differences::default();
        differences.compare_number("lat", lat, row.lat);
        differences.compare_number("lon", lon, row.lon);
        differences.mismatch().unwrap_or_else(|| Mismatch::new("a place", "none"))
    }

    fn has_reading_at(&self, owner: &Owner, ts_ms: i64, now_ms: i64) -> bool {
        let mut sensors = self.sensors_of(owner);
        let expectation = self.runs.expectation(owner.run);
        sensors.any(|sensor| expectation.has_reading_at(sensor, ts_ms, now_ms))
    }

    fn sensors_of(&self, owner: &Owner) -> Range<u64> {
        let first = owner.number * SENSORS_PER_SITE;
        first..(first + SENSORS_PER_SITE).min(self.runs.fleet(owner.run).sensors())
    }
}

impl Check for Sites<'_> {
    const TABLE: &'static str = "sites";
    const PARTITION_KEY: &'static str = "site_id";
    const SELECTED: &'static str =
        "site_id, lat, lon, WRITETIME(lat), WRITETIME(lon), TTL(lat), TTL(lon)";
    type Columns<'row> =
        (&'row str, Option<f64>, Option<f64>, Option<i64>, Option<i64>, Option<i32>, Option<i32>);

    fn record(&mut self, columns: Self::Columns<'_>, read_at_ms: i64) {
        let (site_id, lat, lon, lat_us, lon_us, lat_left_s, lon_left_s) = columns;
        let (written_us, left_s) = ([lat_us, lon_us], lat_left_s.or(lon_left_s));
        self.compare(&Row { site_id, lat, lon, written_us, left_s }, read_at_ms);
    }

    fn close(mut self) -> Outcome {
        for owner in self.runs.unseen_sites(&self.seen) {
            let site = self.runs.fleet(owner.run).site_of(owner.number * SENSORS_PER_SITE);
            let owners = self.runs.owners_of_site(&site.id);
            match self.runs.newest_place(&owners, true) {
                Some(NewestPlace { location: Location { lat, lon }, .. }) => {
                    let expected = format!("lat {lat} lon {lon}");
                    self.outcome.add_missing(|| Key::site(&site.id), expected);
                }
                None => self.outcome.add_behind(),
            }
        }
        self.outcome
    }
}
