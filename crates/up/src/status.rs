//! What a person sees while the pipeline runs: one live line on a terminal, plain lines otherwise.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, truncate_str};
use runtime::telemetry::obeys_escape_codes;
use runtime::text::printable;
use up::LogLine;

/// Time between two plain lines.
const PLAIN_INTERVAL: Duration = Duration::from_secs(5);
/// Time between two looks of the live line.
const LIVE_INTERVAL: Duration = Duration::from_millis(500);

/// The newest figures of the producer.
#[derive(Clone, Copy, Debug)]
struct ProducerFigures {
    sent: f64,
    sent_per_s: f64,
    lateness_p99_ms: f64,
}

/// The newest figures of one consumer.
#[derive(Clone, Copy, Debug, Default)]
struct ConsumerFigures {
    rows: f64,
    rows_per_s: f64,
    lag: Option<f64>,
    write_p99_ms: f64,
    expired: f64,
    deleted: f64,
}

/// The newest figures of all programs; `None` of those that have given none.
#[derive(Debug)]
struct Figures {
    elapsed: Duration,
    producer: Option<ProducerFigures>,
    consumers: Vec<Option<ConsumerFigures>>,
    /// Open alerts, as each of the analytics knows them.
    alerts_open: Vec<f64>,
}

/// Where the figures and messages are shown.
#[derive(Debug)]
pub(crate) struct Status {
    started: Instant,
    terminal: Term,
    live: bool,
    shown: Option<Instant>,
    /// Columns of the live line that is on the terminal.
    columns: usize,
    first_row: bool,
    figures: Figures,
}

impl Status {
    pub(crate) fn new(started: Instant, consumers: usize, analytics: usize) -> Self {
        Self {
            started,
            live: obeys_escape_codes(),
            terminal: Term::stderr(),
            shown: None,
            columns: 0,
            first_row: false,
            figures: Figures {
                elapsed: Duration::ZERO,
                producer: None,
                consumers: vec![None; consumers],
                alerts_open: vec![0.0; analytics],
            },
        }
    }

    /// Takes in a line of the producer's log.
    pub(crate) fn producer(&mut self, line: &LogLine) {
        if line.message() == "progress" {
            let figure = |name| line.number(name).unwrap_or(0.0);
            self.figures.producer = Some(ProducerFigures {
                sent: figure("sent"),
                sent_per_s: figure("rate_per_s"),
                lateness_p99_ms: figure("lateness_p99_ms"),
            });
        }
        self.pass_on("producer", line);
    }

    /// Takes in a line of a consumer's log.
    pub(crate) fn consumer(&mut self, number: usize, line: &LogLine) {
        if line.message() == "progress" {
            let figure = |name| line.number(name).unwrap_or(0.0);
            let figures = ConsumerFigures {
                rows: figure("rows_total"),
                rows_per_s: figure("rows_per_s"),
                lag: line.number("lag"),
                write_p99_ms: figure("write_p99_ms"),
                expired: figure("expired_total"),
                deleted: figure("deleted_total"),
            };
            self.figures.consumers[number] = Some(figures);
            if !self.first_row && figures.rows > 0.0 {
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
            self.figures.alerts_open[number] = line.number("alerts_open").unwrap_or(0.0);
        }
        self.pass_on(&format!("analytics {}", number + 1), line);
    }

    /// Warnings and errors are for the person who watches.
    fn pass_on(&mut self, program: &str, line: &LogLine) {
        if ["WARN", "ERROR"].contains(&line.level()) {
            let (level, message, fields) = (line.level(), line.message(), line.fields());
            let text = format!("{level} {message}{fields}");
            self.say(&format!("{program}: {}", printable(&text)));
        }
    }

    /// Shows the figures, if it is time.
    pub(crate) fn show(&mut self) {
        let interval = if self.live { LIVE_INTERVAL } else { PLAIN_INTERVAL };
        if self.shown.is_some_and(|shown| shown.elapsed() < interval) {
            return;
        }
        self.shown = Some(Instant::now());
        self.figures.elapsed = self.started.elapsed();
        let (line, end) = if self.live {
            // The last column stays free: a line that fills it may be followed by an empty one.
            (self.figures.line(usize::from(self.terminal.size().1).saturating_sub(1)), "")
        } else {
            (self.figures.line(usize::MAX), "\n")
        };
        self.write(&line, end);
        self.columns = if self.live { measure_text_width(&line) } else { 0 };
    }

    /// Prints a line of its own, above the live one.
    pub(crate) fn say(&mut self, text: &str) {
        self.write(text, "\n");
        self.columns = 0;
        if self.live {
            self.shown = None;
        }
    }

    /// Writes in place of the live line.
    fn write(&self, text: &str, end: &str) {
        let clear = match (self.live, usize::from(self.terminal.size().1)) {
            (false, _) => String::new(),
            (true, width) => erase(self.columns, width),
        };
        // In one go, so that no other text comes between. A terminal that is gone takes no text.
        let mut stderr = io::stderr().lock();
        let _shown = stderr
            .write_all(format!("{clear}{text}{end}").as_bytes())
            .and_then(|()| stderr.flush());
    }
}

/// Returns what erases a line of so many columns, at the end of which the cursor is.
///
/// A terminal that was made narrower meanwhile has broken it into several.
fn erase(columns: usize, width: usize) -> String {
    match columns.saturating_sub(1) / width.max(1) {
        0 => "\r\x1b[2K".into(),
        above => format!("\r\x1b[{above}A\x1b[J"),
    }
}

impl Figures {
    /// Returns the figures in at most `columns` columns: the details go first.
    fn line(&self, columns: usize) -> String {
        let lines = [(true, true), (true, false), (false, false)];
        let fit = lines
            .map(|(rates, latencies)| self.with(rates, latencies))
            .into_iter()
            .find(|line| measure_text_width(line) <= columns);
        fit.unwrap_or_else(|| truncate_str(&self.with(false, false), columns, "…").into_owned())
    }

    fn with(&self, rates: bool, latencies: bool) -> String {
        let figure = |count: f64, per_s: f64, latency: String| match (rates, latencies) {
            (false, _) => grouped(count),
            (true, false) => format!("{} ({}/s)", grouped(count), grouped(per_s)),
            (true, true) => format!("{} ({}/s, {latency})", grouped(count), grouped(per_s)),
        };
        let sent = self.producer.map_or("?".into(), |producer| {
            let latency = format!("p99 {:.1} ms late", producer.lateness_p99_ms);
            figure(producer.sent, producer.sent_per_s, latency)
        });
        let consumers = || self.consumers.iter().flatten();
        let sum = |figure: fn(&ConsumerFigures) -> f64| consumers().map(figure).sum::<f64>();
        let write_p99_ms = consumers().map(|consumer| consumer.write_p99_ms).fold(0.0, f64::max);
        let stored = if consumers().next().is_none() {
            "?".into()
        } else {
            let latency = format!("writes p99 {write_p99_ms:.0} ms");
            figure(sum(|consumer| consumer.rows), sum(|consumer| consumer.rows_per_s), latency)
        };
        let (seconds, lag) = (self.elapsed.as_secs(), self.lag());
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let mut line =
            format!("{minutes:02}:{seconds:02}  sent {sent}  stored {stored}  lag {lag}");
        for (name, count) in [
            ("expired", sum(|consumer| consumer.expired)),
            ("deleted unread", sum(|consumer| consumer.deleted)),
        ] {
            if count > 0.0 {
                line += &format!("  {name} {}", grouped(count));
            }
        }
        if !self.alerts_open.is_empty() {
            line += &format!("  alerts {}", grouped(self.alerts_open.iter().sum()));
        }
        line
    }

    /// The lag of all consumers that know theirs; with `+?` if some do not.
    fn lag(&self) -> String {
        let known: Vec<f64> =
            self.consumers.iter().flatten().filter_map(|consumer| consumer.lag).collect();
        match known.len() {
            0 => "?".into(),
            all if all == self.consumers.len() => grouped(known.iter().sum()),
            _ => grouped(known.iter().sum()) + "+?",
        }
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
    use super::*;

    fn figures() -> Figures {
        let consumer = ConsumerFigures {
            rows: 1_234_567.0,
            rows_per_s: 99_999.0,
            lag: Some(336.0),
            write_p99_ms: 12.0,
            ..ConsumerFigures::default()
        };
        Figures {
            elapsed: Duration::from_secs(3_671),
            producer: Some(ProducerFigures {
                sent: 1_234_999.0,
                sent_per_s: 100_000.0,
                lateness_p99_ms: 1.5,
            }),
            consumers: vec![Some(consumer)],
            alerts_open: vec![7.0],
        }
    }

    #[test]
    fn digits_are_grouped_from_the_right() {
        assert_eq!(grouped(0.0), "0");
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.0), "1 234 567");
    }

    #[test]
    fn the_line_fits_and_drops_the_details_first() {
        let figures = figures();
        let whole = "61:11  sent 1 234 999 (100 000/s, p99 1.5 ms late)  \
                     stored 1 234 567 (99 999/s, writes p99 12 ms)  lag 336  alerts 7";
        assert_eq!(figures.line(200), whole);
        assert_eq!(
            figures.line(99),
            "61:11  sent 1 234 999 (100 000/s)  stored 1 234 567 (99 999/s)  lag 336  alerts 7"
        );
        assert_eq!(figures.line(60), "61:11  sent 1 234 999  stored 1 234 567  lag 336  alerts 7");
        assert_eq!(figures.line(20), "61:11  sent 1 234 9…");
        for columns in 0..200 {
            assert!(measure_text_width(&figures.line(columns)) <= columns.max(1), "{columns}");
        }
    }

    #[test]
    fn what_was_lost_and_what_is_unknown_is_shown() {
        let mut figures = figures();
        let with_losses = ConsumerFigures { expired: 400.0, deleted: 12.0, ..Default::default() };
        figures.consumers.push(Some(with_losses));
        let line = figures.line(200);
        assert!(line.contains("lag 336+?  expired 400  deleted unread 12  alerts 7"), "{line}");
        figures.producer = None;
        figures.consumers = vec![None, None];
        assert_eq!(figures.line(200), "61:11  sent ?  stored ?  lag ?  alerts 7");
    }

    #[test]
    fn a_line_is_erased_whole_after_the_terminal_became_narrower() {
        assert_eq!(erase(0, 80), "\r\x1b[2K");
        assert_eq!(erase(80, 80), "\r\x1b[2K");
        assert_eq!(erase(99, 60), "\r\x1b[1A\x1b[J");
        assert_eq!(erase(121, 60), "\r\x1b[2A\x1b[J");
    }
}
