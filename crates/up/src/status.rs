//! What a person sees while the pipeline runs: one live line on a terminal, plain lines otherwise.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use up::LogLine;

/// Time between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);

/// The newest figures of one consumer.
#[derive(Clone, Copy, Debug, Default)]
struct ConsumerFigures {
    rows: f64,
    rows_per_s: f64,
    lag: Option<f64>,
    write_p99_ms: f64,
}

/// The newest figures of all programs.
#[derive(Debug)]
pub(crate) struct Status {
    started: Instant,
    live: bool,
    shown: Option<Instant>,
    first_row: bool,
    sent: f64,
    sent_per_s: f64,
    lateness_p99_ms: f64,
    consumers: Vec<ConsumerFigures>,
    /// Open alerts, as each of the analytics knows them.
    alerts_open: Vec<f64>,
}

impl Status {
    pub(crate) fn new(started: Instant, consumers: usize, analytics: usize) -> Self {
        Self {
            started,
            live: io::stderr().is_terminal(),
            shown: None,
            first_row: false,
            sent: 0.0,
            sent_per_s: 0.0,
            lateness_p99_ms: 0.0,
            consumers: vec![ConsumerFigures::default(); consumers],
            alerts_open: vec![0.0; analytics],
        }
    }

    /// Takes in a line of the producer's log.
    pub(crate) fn producer(&mut self, line: &LogLine) {
        if line.message() == "progress" {
            self.sent = line.number("sent").unwrap_or(self.sent);
            self.sent_per_s = line.number("rate_per_s").unwrap_or(0.0);
            self.lateness_p99_ms = line.number("lateness_p99_ms").unwrap_or(0.0);
        }
        self.pass_on("producer", line);
    }

    /// Takes in a line of a consumer's log.
    pub(crate) fn consumer(&mut self, number: usize, line: &LogLine) {
        if line.message() == "progress" {
            self.consumers[number] = ConsumerFigures {
                rows: line.number("rows_total").unwrap_or(0.0),
                rows_per_s: line.number("rows_per_s").unwrap_or(0.0),
                lag: line.number("lag"),
                write_p99_ms: line.number("write_p99_ms").unwrap_or(0.0),
            };
            if !self.first_row && self.consumers[number].rows > 0.0 {
                self.first_row = true;
                let seconds = self.started.elapsed().as_secs_f64();
                self.say(&format!("rows are being stored, {seconds:.1} s after the start"));
            }
        }
        self.pass_on(&format!("consumer {}", number + 1), line);
    }

    /// Takes in a line of the log of one of the analytics.
    pub(crate) fn analytics(&mut self, number: usize, line: &LogLine) {
        if line.message() == "progress" {
            self.alerts_open[number] = line.number("alerts_open").unwrap_or(0.0);
        }
        self.pass_on(&format!("analytics {}", number + 1), line);
    }

    /// Warnings and errors are for the person who watches.
    fn pass_on(&mut self, program: &str, line: &LogLine) {
        if ["WARN", "ERROR"].contains(&line.level()) {
            let (level, message, fields) = (line.level(), line.message(), line.fields());
            self.say(&format!("{program}: {level} {message}{fields}"));
        }
    }

    /// Shows the figures, if it is time.
    pub(crate) fn show(&mut self) {
        let interval = if self.live { Duration::from_millis(500) } else { PLAIN_INTERVAL };
        if self.shown.is_some_and(|shown| shown.elapsed() < interval) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = self.line();
        let mut stderr = io::stderr().lock();
        // A terminal that is gone takes no text.
        let _shown = if self.live {
            write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush())
        } else {
            writeln!(stderr, "{line}")
        };
    }

    /// Prints a line of its own, above the live one.
    pub(crate) fn say(&mut self, text: &str) {
        let clear = if self.live { "\r\x1b[2K" } else { "" };
        let _shown = writeln!(io::stderr(), "{clear}{text}");
        if self.live {
            self.shown = None;
        }
    }

    fn line(&self) -> String {
        let elapsed = self.started.elapsed().as_secs();
        let sum = |figure: fn(&ConsumerFigures) -> f64| self.consumers.iter().map(figure).sum();
        let lags: Option<Vec<f64>> = self.consumers.iter().map(|consumer| consumer.lag).collect();
        let lag = lags.map_or("?".into(), |lags| grouped(lags.iter().sum()));
        let write_p99_ms =
            self.consumers.iter().map(|consumer| consumer.write_p99_ms).fold(0.0, f64::max);
        let (minutes, seconds) = (elapsed / 60, elapsed % 60);
        let (sent, sent_per_s) = (grouped(self.sent), grouped(self.sent_per_s));
        let rows = grouped(sum(|consumer| consumer.rows));
        let rows_per_s = grouped(sum(|consumer| consumer.rows_per_s));
        let late_ms = self.lateness_p99_ms;
        let alerts = match self.alerts_open.as_slice() {
            [] => String::new(),
            open => format!("  alerts {}", grouped(open.iter().sum())),
        };
        format!(
            "{minutes:02}:{seconds:02}  sent {sent} ({sent_per_s}/s, p99 {late_ms:.1} ms late)  \
             stored {rows} ({rows_per_s}/s, writes p99 {write_p99_ms:.0} ms)  lag {lag}{alerts}"
        )
    }
}

/// Writes a whole number in groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1 234 567");
    }
}
