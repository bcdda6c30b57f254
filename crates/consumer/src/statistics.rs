//! What the consumer did, counted, and said every few seconds.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tracing::info;

use crate::pipeline::record::Stream;
use crate::pipeline::{Pipeline, Write};
use crate::sink::{Done, Outcome};

/// Longest write latency the histogram tells apart, in microseconds: ten minutes.
const LATENCY_US_MAX: u64 = 600_000_000;

/// Counts since the start, and since the last progress line.
#[derive(Debug)]
pub(crate) struct Statistics {
    stream: Stream,
    interval: Duration,
    since: Instant,
    rows: u64,
    row_batches: u64,
    site_writes: u64,
    retries: u64,
    latency_us: Histogram<u64>,
    rows_total: u64,
    dead_letters_total: u64,
    expired_total: u64,
    deleted_total: u64,
    commit_failures_total: u64,
    /// Whether anything happened since the last progress line.
    is_news: bool,
}

impl Statistics {
    pub(crate) fn new(stream: Stream, interval: Duration, now: Instant) -> Self {
        Self {
            stream,
            interval,
            since: now,
            rows: 0,
            row_batches: 0,
            site_writes: 0,
            retries: 0,
            latency_us: Histogram::new_with_max(LATENCY_US_MAX, 2)
                .expect("two digits and a range above 2 make a histogram"),
            rows_total: 0,
            dead_letters_total: 0,
            expired_total: 0,
            deleted_total: 0,
            commit_failures_total: 0,
            is_news: false,
        }
    }

    pub(crate) fn ended(&mut self, done: &Done) {
        self.is_news = true;
        match (&done.outcome, &done.write) {
            (Outcome::Durable, Write::Rows(batch)) => {
                self.rows += batch.len() as u64;
                self.row_batches += 1;
            }
            (Outcome::Durable, Write::Site(_)) => self.site_writes += 1,
            (Outcome::Durable, Write::DeadLetter(_)) => {
                self.dead_letters_total += 1;
                return;
            }
            (Outcome::Failed(_), _) => self.retries += 1,
            (Outcome::Refused(_) | Outcome::Fatal(_), _) => {}
        }
        let latency_us = u64::try_from(done.latency.as_micros()).unwrap_or(LATENCY_US_MAX);
        self.latency_us.saturating_record(latency_us);
    }

    pub(crate) fn expired(&mut self) {
        self.is_news = true;
        self.expired_total += 1;
    }

    pub(crate) fn expired_total(&self) -> u64 {
        self.expired_total
    }

    /// Counts records that Kafka deleted before they were read.
    pub(crate) fn deleted(&mut self, records: u64) {
        self.is_news = true;
        self.deleted_total += records;
    }

    pub(crate) fn commit_failed(&mut self) {
        self.is_news = true;
        self.commit_failures_total += 1;
    }

    /// Says how it goes, if it is time; `lag` is the number of records in Kafka that are not
    /// durable yet.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        pipeline: &Pipeline,
        lag: impl FnOnce() -> Option<u64>,
    ) {
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed < self.interval {
            return;
        }
        self.rows_total += self.rows;
        match self.stream {
            Stream::Readings => self.say_readings(elapsed, pipeline, lag()),
            Stream::Events if self.is_news => self.say_events(pipeline, lag()),
            Stream::Events => {}
        }
        self.since = now;
        self.latency_us.reset();
        (self.rows, self.row_batches, self.site_writes) = (0, 0, 0);
        self.retries = 0;
        self.is_news = false;
    }

    fn say_readings(&self, elapsed: Duration, pipeline: &Pipeline, lag: Option<u64>) {
        let seconds = elapsed.as_secs_f64();
        let quantile_ms = |quantile| self.latency_us.value_at_quantile(quantile) as f64 / 1e3;
        info!(
            rows_total = self.rows_total,
            rows_per_s = round(self.rows as f64 / seconds),
            lag,
            batch_rows_mean = round(self.rows as f64 / self.row_batches.max(1) as f64),
            write_p50_ms = round(quantile_ms(0.5)),
            write_p99_ms = round(quantile_ms(0.99)),
            rows_buffered = pipeline.rows_buffered(),
            writes_in_flight = pipeline.in_flight(),
            site_writes_per_s = round(self.site_writes as f64 / seconds),
            retries = self.retries,
            dead_letters_total = self.dead_letters_total,
            expired_total = self.expired_total,
            deleted_total = self.deleted_total,
            commit_failures_total = self.commit_failures_total,
            partitions = pipeline.partitions().len(),
            "progress"
        );
    }

    /// Events are rare: there is little to say of them, and nothing when none came.
    fn say_events(&self, pipeline: &Pipeline, lag: Option<u64>) {
        info!(
            events_total = self.rows_total,
            lag,
            rows_buffered = pipeline.rows_buffered(),
            retries = self.retries,
            dead_letters_total = self.dead_letters_total,
            expired_total = self.expired_total,
            deleted_total = self.deleted_total,
            commit_failures_total = self.commit_failures_total,
            "progress"
        );
    }

    /// Says the last word: everything is committed, after so long.
    pub(crate) fn left(&self, took: Duration) {
        let (total, took_ms) = (self.rows_total + self.rows, took.as_millis());
        match self.stream {
            Stream::Readings => info!(rows_total = total, took_ms, "drained, committed, left"),
            Stream::Events => info!(events_total = total, took_ms, "drained, committed, left"),
        }
    }
}

/// One decimal is enough for a person.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
