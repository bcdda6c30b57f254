//! What a person sees while the pipeline runs: one live line on a terminal, plain lines otherwise.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use console::{Term, measure_text_width, truncate_str};
use runtime::telemetry::obeys_escape_codes;
use runtime::text::printable;
use up::LogLine;

use crate::alerts::OpenAlerts;

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
    /// The lag of each of the analytics that know theirs.
    analytics: Vec<Option<f64>>,
    /// `None` while nobody knows.
    alerts: Option<OpenAlerts>,
}

/// How much of the figures is shown: the more, the wider the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Detail {
    /// Counts in thousands or millions, severities by their first letter.
    Least,
    /// Severities in short words.
    Short,
    /// Everything in words.
    Words,
    /// With rates.
    Rates,
    /// With latencies.
    All,
}

impl Detail {
    /// Every amount, the most first.
    const ALL: [Self; 5] = [Self::All, Self::Rates, Self::Words, Self::Short, Self::Least];
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
                analytics: vec![None; analytics],
                alerts: None,
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
            self.figures.analytics[number] = line.number("lag");
        }
        self.pass_on(&format!("analytics {}", number + 1), line);
    }

    /// Takes in how many alerts are open.
    pub(crate) fn alerts(&mut self, open: Option<OpenAlerts>) {
        self.figures.alerts = open;
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
        let fit = Detail::ALL
            .map(|detail| self.with(detail))
            .into_iter()
            .find(|line| measure_text_width(line) <= columns);
        let cut = || truncate_str(&self.with(Detail::Least), columns, "…").into_owned();
        fit.unwrap_or_else(cut)
    }

    fn with(&self, detail: Detail) -> String {
        let count = if detail == Detail::Least { rounded } else { grouped };
        let figure = |all: f64, per_s: f64, latency: String| match detail {
            Detail::All => format!("{} ({}/s, {latency})", count(all), grouped(per_s)),
            Detail::Rates => format!("{} ({}/s)", count(all), grouped(per_s)),
            Detail::Words | Detail::Short | Detail::Least => count(all),
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
        let seconds = self.elapsed.as_secs();
        let (minutes, seconds) = (seconds / 60, seconds % 60);
        let mut line = format!("{minutes:02}:{seconds:02}  sent {sent}  stored {stored}");
        line += &self.lags(detail);
        for (name, lost) in [
            ("expired", sum(|consumer| consumer.expired)),
            ("deleted unread", sum(|consumer| consumer.deleted)),
        ] {
            if lost > 0.0 {
                line += &format!("  {name} {}", count(lost));
            }
        }
        line + &self.alerts(detail)
    }

    /// What Kafka has and the consumers have not stored, and the analytics have not taken in.
    fn lags(&self, detail: Detail) -> String {
        let consumers: Vec<Option<f64>> =
            self.consumers.iter().map(|consumer| consumer.as_ref()?.lag).collect();
        let consumers = lag(&consumers);
        if self.analytics.is_empty() {
            return format!("  lag {consumers}");
        }
        let analytics = lag(&self.analytics);
        match detail {
            Detail::Least | Detail::Short => format!("  lag {consumers}/{analytics}"),
            _ => format!("  lag {consumers}, of analytics {analytics}"),
        }
    }

    fn alerts(&self, detail: Detail) -> String {
        if self.analytics.is_empty() {
            return String::new();
        }
        let Some(OpenAlerts { critical, warning }) = self.alerts else {
            return "  alerts ?".into();
        };
        match detail {
            Detail::Least => format!("  alerts {critical}c {warning}w"),
            Detail::Short => format!("  alerts {critical} crit {warning} warn"),
            _ => format!("  alerts {critical} critical, {warning} warning"),
        }
    }
}

/// The lag of all that know theirs; with `+?` if some do not.
fn lag(all: &[Option<f64>]) -> String {
    let known: Vec<f64> = all.iter().copied().flatten().collect();
    let sum = grouped(known.iter().sum());
    match known.len() {
        0 => "?".into(),
        count if count == all.len() => sum,
        _ => sum + "+?",
    }
}

/// Writes a number in three or four characters and a letter.
fn rounded(number: f64) -> String {
    match number {
        ..1e4 => grouped(number),
        ..1e6 => format!("{:.0}k", number / 1e3),
        ..1e9 => format!("{:.1}M", number / 1e6),
        _ => format!("{:.1}G", number / 1e9),
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
            analytics: vec![Some(12.0)],
            alerts: Some(OpenAlerts { critical: 2, warning: 5 }),
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
        for (columns, expected) in [
            (
                200,
                "61:11  sent 1 234 999 (100 000/s, p99 1.5 ms late)  \
                 stored 1 234 567 (99 999/s, writes p99 12 ms)  \
                 lag 336, of analytics 12  alerts 2 critical, 5 warning",
            ),
            (
                119,
                "61:11  sent 1 234 999 (100 000/s)  stored 1 234 567 (99 999/s)  \
                 lag 336, of analytics 12  alerts 2 critical, 5 warning",
            ),
            (
                100,
                "61:11  sent 1 234 999  stored 1 234 567  \
                 lag 336, of analytics 12  alerts 2 critical, 5 warning",
            ),
            (79, "61:11  sent 1 234 999  stored 1 234 567  lag 336/12  alerts 2 crit 5 warn"),
            (59, "61:11  sent 1.2M  stored 1.2M  lag 336/12  alerts 2c 5w"),
            (20, "61:11  sent 1.2M  s…"),
        ] {
            assert_eq!(figures.line(columns), expected);
        }
        for columns in 0..200 {
            assert!(measure_text_width(&figures.line(columns)) <= columns.max(1), "{columns}");
        }
    }

    #[test]
    fn what_was_lost_and_what_is_unknown_is_shown() {
        let mut figures = figures();
        let with_losses = ConsumerFigures { expired: 400.0, deleted: 12.0, ..Default::default() };
        figures.consumers.push(Some(with_losses));
        figures.analytics.push(None);
        let line = figures.line(200);
        let lags = "  lag 336+?, of analytics 12+?  expired 400  deleted unread 12  alerts 2 ";
        assert!(line.contains(lags), "{line}");
        figures.producer = None;
        figures.consumers = vec![None, None];
        figures.alerts = None;
        figures.analytics = vec![None];
        let unknown = "61:11  sent ?  stored ?  lag ?, of analytics ?  alerts ?";
        assert_eq!(figures.line(200), unknown);
        figures.analytics.clear();
        assert_eq!(figures.line(200), "61:11  sent ?  stored ?  lag ?", "nobody looks for alerts");
    }

    #[test]
    fn large_numbers_are_rounded_where_there_is_little_room() {
        let texts = [9_999.0, 10_400.0, 1_234_567.0, 2.5e9].map(rounded);
        assert_eq!(texts, ["9 999", "10k", "1.2M", "2.5G"]);
    }

    #[test]
    fn a_line_is_erased_whole_after_the_terminal_became_narrower() {
        assert_eq!(erase(0, 80), "\r\x1b[2K");
        assert_eq!(erase(80, 80), "\r\x1b[2K");
        assert_eq!(erase(99, 60), "\r\x1b[1A\x1b[J");
        assert_eq!(erase(121, 60), "\r\x1b[2A\x1b[J");
    }
}
