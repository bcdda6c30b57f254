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

/// What one look at a run shows.
#[derive(Clone, Copy, Debug)]
struct Sight {
    sent: u64,
    settled: u64,
    in_flight: u64,
    /// How far behind the schedule sending is.
    debt: Duration,
}

/// Why no readings flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Halt {
    #[error("no acknowledgement from kafka for {silence_s} s")]
    NoAcknowledgement { silence_s: u64 },
    #[error("nothing sent for {idle_s} s, though readings are due")]
    NothingSent { idle_s: u64 },
}

/// Since when what is due has been sent, and what was sent has been settled.
#[derive(Debug)]
struct Flow {
    sent: u64,
    sent_since: Instant,
    settled: u64,
    settled_since: Instant,
}

impl Flow {
    fn new(now: Instant) -> Self {
        Self { sent: 0, sent_since: now, settled: 0, settled_since: now }
    }

    fn look(&mut self, sight: Sight, now: Instant) -> Option<Halt> {
        if sight.sent != self.sent || sight.debt < SILENCE_MAX {
            (self.sent, self.sent_since) = (sight.sent, now);
        }
        if sight.settled != self.settled || sight.in_flight == 0 {
            (self.settled, self.settled_since) = (sight.settled, now);
        }
        let [silence, idle] =
            [self.settled_since, self.sent_since].map(|since| now.saturating_duration_since(since));
        // Without acknowledgements the queue fills up and nothing can be sent: that is the cause.
        if silence >= SILENCE_MAX {
            Some(Halt::NoAcknowledgement { silence_s: silence.as_secs() })
        } else if idle >= SILENCE_MAX {
            Some(Halt::NothingSent { idle_s: idle.as_secs() })
        } else {
            None
        }
    }
}

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
    flow: Flow,
    is_silent: bool,
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
            flow: Flow::new(now),
            is_silent: false,
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
        let in_flight = standing.in_flight();
        let sight = Sight {
            sent: standing.scheduled.saturating_sub(standing.held),
            settled: standing.acknowledged + standing.failed,
            in_flight,
            debt: run.debt(),
        };
        let now = Instant::now();
        let halt = self.flow.look(sight, now);
        let was_silent = self.is_silent;
        self.is_silent = matches!(halt, Some(Halt::NoAcknowledgement { .. }));
        match halt {
            Some(Halt::NoAcknowledgement { silence_s }) => {
                let warn = || warn!(silence_s, in_flight, "no acknowledgement from kafka");
                self.complaint.raise(warn);
            }
            _ if was_silent => info!("kafka acknowledges again"),
            _ => {}
        }
        context.health.heartbeat(halt.map(|halt| halt.to_string()), now);
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
                due = report.scheduled,
                sent = report.sent,
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

#[cfg(test)]
mod tests {
    use super::*;

    const FLOWING: Sight = Sight { sent: 100, settled: 90, in_flight: 10, debt: Duration::ZERO };

    /// Looks once a second for so long; returns what the last look found.
    fn watch(flow: &mut Flow, now: &mut Instant, seconds: u64, sight: Sight) -> Option<Halt> {
        let mut halt = None;
        for _ in 0..seconds {
            *now += Duration::from_secs(1);
            halt = flow.look(sight, *now);
        }
        halt
    }

    #[test]
    fn a_run_that_sends_nothing_though_readings_are_due_is_halted() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        let waiting = Sight { settled: 100, in_flight: 0, ..FLOWING };
        assert_eq!(watch(&mut flow, &mut now, 60, waiting), None, "the next is not due yet");
        let stuck = Sight { debt: Duration::from_secs(11), ..waiting };
        assert_eq!(watch(&mut flow, &mut now, 9, stuck), None);
        assert_eq!(watch(&mut flow, &mut now, 1, stuck), Some(Halt::NothingSent { idle_s: 10 }));
        let catching_up = Sight { sent: 101, ..stuck };
        assert_eq!(watch(&mut flow, &mut now, 1, catching_up), None);
    }

    #[test]
    fn a_broker_that_acknowledges_nothing_is_the_cause_of_both() {
        let mut now = Instant::now();
        let mut flow = Flow::new(now);
        assert_eq!(watch(&mut flow, &mut now, 10, FLOWING), None);
        let full = Sight { debt: Duration::from_mins(1), ..FLOWING };
        let halt = watch(&mut flow, &mut now, 20, full);
        assert_eq!(halt, Some(Halt::NoAcknowledgement { silence_s: 29 }));
        let settled = Sight { sent: 101, settled: 91, ..full };
        assert_eq!(watch(&mut flow, &mut now, 1, settled), None);
    }
}
