//! How a run is doing, for people and for the health endpoint.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use domain::simulation::report::RunState;
use indicatif::{ProgressBar, ProgressStyle};
use runtime::kafka::Complaint;
use runtime::process::Context;
use runtime::text::with_causes;
use tracing::{info, warn};

use crate::run::{Run, Standing};
use crate::settings::ProducerSettings;

/// Silence of Kafka, with readings under way, that makes the process unwell.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Tells people and the health endpoint how a run is doing.
///
/// On a terminal that is a line which changes all the time, otherwise a line now and then.
#[derive(Debug)]
pub(crate) struct Observer {
    progress_interval: Duration,
    bar: Option<ProgressBar>,
    in_words: String,
    told: Instant,
    told_scheduled: u64,
    settled: u64,
    settled_since: Instant,
    sent: u64,
    sent_since: Instant,
    complaint: Complaint,
    report_complaint: Complaint,
}

impl Observer {
    /// Starts to watch a run of so many readings.
    pub(crate) fn new(settings: &ProducerSettings, readings_max: Option<u64>) -> Self {
        let now = Instant::now();
        Self {
            progress_interval: settings.progress_interval,
            bar: stderr().is_terminal().then(|| bar(readings_max)),
            in_words: String::new(),
            told: now,
            told_scheduled: 0,
            settled: 0,
            settled_since: now,
            sent: 0,
            sent_since: now,
            complaint: Complaint::default(),
            report_complaint: Complaint::default(),
        }
    }

    /// Looks at a run.
    pub(crate) fn look(&mut self, run: &Run, context: &Context) {
        let standing = run.standing();
        self.judge(run, standing, context);
        if let Some(bar) = &self.bar {
            bar.set_position(standing.acknowledged + standing.passed_over);
            let in_flight = standing.in_flight();
            bar.set_message(format!("in flight {in_flight}  {}", self.in_words));
        }
        if self.told.elapsed() >= self.progress_interval {
            self.tell(run, standing);
        }
    }

    fn judge(&mut self, run: &Run, standing: Standing, context: &Context) {
        let sent = standing.scheduled.saturating_sub(standing.held);
        if sent != self.sent || run.debt() < SILENCE_MAX {
            self.sent = sent;
            self.sent_since = Instant::now();
        }
        let settled = standing.acknowledged + standing.failed;
        let silence_s = self.settled_since.elapsed().as_secs();
        let silent = silence_s >= SILENCE_MAX.as_secs();
        if settled != self.settled || standing.in_flight() == 0 {
            if silent {
                info!(silence_s, "kafka acknowledges again");
            }
            self.settled = settled;
            self.settled_since = Instant::now();
            let idle_s = self.sent_since.elapsed().as_secs();
            let is_idle = idle_s >= SILENCE_MAX.as_secs();
            let says = || format!("nothing sent for {idle_s} s, though readings are due");
            context.health.heartbeat(is_idle.then(says), Instant::now());
            return;
        }
        if !silent {
            return;
        }
        let silent = format!("no acknowledgement from kafka for {silence_s} s");
        context.health.heartbeat(Some(silent), Instant::now());
        let in_flight = standing.in_flight();
        self.complaint.raise(|| warn!(silence_s, in_flight, "no acknowledgement from kafka"));
    }

    fn tell(&mut self, run: &Run, standing: Standing) {
        let (report, [lateness, ack, response]) = run.report_with_interval(RunState::Running);
        let elapsed_s = self.told.elapsed().as_secs_f64();
        let readings = report.scheduled.saturating_sub(self.told_scheduled);
        self.told = Instant::now();
        self.told_scheduled = report.scheduled;
        let rate_per_s = (readings as f64 / elapsed_s).round();
        if self.bar.is_some() {
            self.in_words = format!(
                "{rate_per_s}/s  lag p99 {:.1} ms  ack p99 {:.1} ms  response p99 {:.1} ms  debt \
                 {:.1} s",
                lateness.p99_ms, ack.p99_ms, response.p99_ms, report.debt_s
            );
        } else {
            info!(
                sent = report.scheduled,
                acknowledged = report.acknowledged,
                failed = report.failed,
                in_flight = standing.in_flight(),
                held = standing.held,
                rate_per_s,
                lateness_p99_ms = lateness.p99_ms,
                ack_p99_ms = ack.p99_ms,
                response_p99_ms = response.p99_ms,
                debt_s = (report.debt_s * 1_000.0).round() / 1_000.0,
                "progress"
            );
        }
        if let Err(error) = run.store(&report) {
            self.report_complaint.raise(|| warn!("{}", with_causes(&error)));
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar(readings_max: Option<u64>) -> ProgressBar {
    let (bar, template) = match readings_max {
        Some(readings) => {
            (ProgressBar::new(readings), "{bar:30} {human_pos} of {human_len}  {msg}")
        }
        None => (ProgressBar::no_length(), "{elapsed}  {human_pos}  {msg}"),
    };
    // A template that is none would leave the bar with its own.
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
