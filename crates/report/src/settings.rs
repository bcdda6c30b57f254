//! What to report, and how.

use domain::contract::TS_RANGE_MS;
use jiff::Timestamp;
use runtime::cassandra::CassandraSettings;
use runtime::{Reader, Setting};

use crate::text;

const SITE: Setting =
    Setting::plain("REPORT_SITE", "", "Site to show, such as site-0042; not set shows the fleet");
const SENSORS: &str = "REPORT_SENSORS";
const COLUMNS: Setting = Setting {
    name: "REPORT_COLUMNS",
    default: "",
    unit: "columns",
    meaning: "Widest line; not set is the terminal's width, and 120 where there is no terminal",
};
/// Narrowest report, in columns: the name of a sensor and a number or two have to fit.
pub(crate) const COLUMNS_MIN: usize = 40;
const AT: Setting = Setting::plain(
    "REPORT_AT",
    "",
    "End of the hour to show, 2026-01-31T10:30:00Z; not set is the newest minute of a site",
);

/// What to report, and how.
#[derive(Clone, Debug)]
pub struct ReportSettings {
    /// Where Cassandra is.
    pub cassandra: CassandraSettings,
    /// The site; `None` is the fleet.
    pub site: Option<SiteSettings>,
    /// Most lines in a list of alerts.
    pub lines_max: usize,
    /// Widest line; `None` is as wide as the terminal.
    pub columns: Option<usize>,
    /// Whether there are no colours, not even on a terminal.
    pub is_plain: bool,
}

/// What to show of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSettings {
    /// The site.
    pub id: String,
    /// End of the hour, in epoch milliseconds; `None` is that of the newest window.
    pub end_ms: Option<i64>,
    /// Whether each sensor has a line of its own.
    pub with_sensors: bool,
}

impl ReportSettings {
    /// Reads the settings.
    pub fn read(reader: &mut Reader) -> Self {
        // Who reads a report has not asked for a log: what is left are warnings and errors.
        reader.set_default("LOG_LEVEL", "warn,scylla=off");
        let id = reader.text_if_set(SITE);
        let with_sensors = reader.switch(SENSORS, "Show each sensor of the site as well");
        let end_ms = read_end_ms(reader);
        if id.is_none() {
            if with_sensors {
                reader.refuse(SENSORS, true, format!("true together with {}", SITE.name));
            }
            if let Some(end_ms) = end_ms {
                let allowed = format!("a time together with {}", SITE.name);
                reader.refuse(AT.name, text::time(end_ms), allowed);
            }
        }
        Self {
            site: id.map(|id| SiteSettings { id, end_ms, with_sensors }),
            lines_max: reader.number(
                Setting {
                    name: "REPORT_LINES",
                    default: "20",
                    unit: "lines",
                    meaning: "Most lines in a list of alerts, the newest first",
                },
                1..=10_000,
            ),
            columns: reader.number_if_set(COLUMNS, COLUMNS_MIN..=1_000),
            is_plain: reader
                .text_if_set(Setting::plain(
                    "NO_COLOR",
                    "",
                    "Any text switches off the colours that a terminal gets (no-color.org)",
                ))
                .is_some(),
            cassandra: CassandraSettings::read(reader),
        }
    }
}

fn read_end_ms(reader: &mut Reader) -> Option<i64> {
    const ALLOWED: &str = "an RFC 3339 time from 2000 to 2100";
    let given: Option<String> = reader.choice_if_set(AT, ALLOWED);
    let given = given?;
    let end_ms = given.parse::<Timestamp>().ok().map(Timestamp::as_millisecond);
    let end_ms = end_ms.filter(|end_ms| TS_RANGE_MS.contains(end_ms));
    if end_ms.is_none() {
        reader.refuse(AT.name, given, ALLOWED);
    }
    end_ms
}

#[cfg(test)]
mod tests {
    use runtime::telemetry::TelemetrySettings;

    use super::*;

    fn read(given: &[(&str, &str)]) -> (ReportSettings, Vec<String>) {
        let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut reader = Reader::new(given);
        let settings = ReportSettings::read(&mut reader);
        (settings, reader.problems().iter().map(|problem| problem.name.clone()).collect())
    }

    #[test]
    fn a_site_is_shown_on_request_at_a_time_on_request() {
        let (settings, problems) = read(&[]);
        assert_eq!((settings.site, problems.len()), (None, 0));
        let given = [("REPORT_SITE", "site-0042"), ("REPORT_AT", "2025-11-24T16:00:00Z")];
        let (settings, problems) = read(&given);
        let site = settings.site.unwrap();
        assert_eq!((site.id.as_str(), problems.len()), ("site-0042", 0));
        assert_eq!((site.end_ms, site.with_sensors), (Some(1_764_000_000_000), false));
        assert_eq!((SITE.flag(), AT.flag()), ("site".into(), "at".into()));
    }

    #[test]
    fn what_belongs_to_a_site_is_refused_without_one() {
        let (_, problems) =
            read(&[("REPORT_SENSORS", "true"), ("REPORT_AT", "2026-01-01T00:00:00Z")]);
        assert_eq!(problems, ["REPORT_SENSORS", "REPORT_AT"]);
        let (_, problems) = read(&[("REPORT_SITE", "s"), ("REPORT_AT", "ten o'clock")]);
        assert_eq!(problems, ["REPORT_AT"]);
    }

    #[test]
    fn a_width_is_taken_on_request_and_the_log_is_quiet() {
        assert_eq!(read(&[]).0.columns, None);
        assert_eq!(read(&[("REPORT_COLUMNS", "60")]).0.columns, Some(60));
        assert_eq!(read(&[("REPORT_COLUMNS", "39")]).1, ["REPORT_COLUMNS"]);
        let mut reader = Reader::default();
        ReportSettings::read(&mut reader);
        TelemetrySettings::read(&mut reader);
        let level = reader.effective().iter().find(|(name, _)| *name == "LOG_LEVEL").unwrap();
        assert_eq!(level.1, "warn,scylla=off");
    }

    #[test]
    fn colours_go_with_any_text() {
        assert!(read(&[("NO_COLOR", "1")]).0.is_plain);
        assert!(!read(&[("NO_COLOR", "")]).0.is_plain);
    }
}
