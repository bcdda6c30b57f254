//! Shows what the analytics found, as text: the fleet and its open alerts, and the last hour of a
//! site.
//!
//! `database` reads; `overview`, `site` and what they are made of render, without IO.

mod alerts;
mod chart;
mod database;
mod error;
mod hour;
mod layout;
mod overview;
mod rows;
mod settings;
mod site;
mod text;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use console::Term;
use domain::hour::{DAY_MS, HOUR_MS, hour_start_ms};
use futures::future::try_join_all;
use runtime::clock::now_ms;
use runtime::process::Context;
use tokio::time;

use crate::database::{Count, Database, Sites};
use crate::hour::Span;
use crate::layout::Look;
use crate::overview::{Newest, Overview};
use crate::rows::MINUTE_MS;
use crate::settings::COLUMNS_MIN;
use crate::site::SiteReport;

pub use crate::error::ReportError;
pub use crate::settings::{ReportSettings, SiteSettings};

/// Longest wait for all of Cassandra's answers together.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most characters in a line where no terminal says how wide it is.
const COLUMNS: usize = 120;
/// Most sites that are asked for the newest window of the fleet.
const SITES_ASKED_MAX: usize = 200;
/// Questions that are asked at a time.
const AT_A_TIME: usize = 16;

/// Prints one report: exit code 0, whatever it says.
pub async fn run(settings: ReportSettings, context: Context) -> anyhow::Result<ExitCode> {
    context.health.well();
    let text = tokio::select! {
        outcome = time::timeout(TIMEOUT, report(&settings)) => outcome.unwrap_or_else(|_| {
            let nodes = settings.cassandra.contact_points.join(",");
            Err(ReportError::Slow { nodes, waited_s: TIMEOUT.as_secs() })
        })?,
        () = context.shutdown.stopped() => return Ok(ExitCode::SUCCESS),
    };
    match io::stdout().lock().write_all(text.as_bytes()) {
        // Whoever reads the output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        outcome => {
            outcome.map_err(ReportError::Output)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn report(settings: &ReportSettings) -> Result<String, ReportError> {
    let look = Look {
        lines_max: settings.lines_max,
        columns: settings.columns.unwrap_or_else(columns),
        has_colours: !settings.is_plain && io::stdout().is_terminal(),
    };
    let database = Database::connect(&settings.cassandra).await?;
    let now_ms = now_ms();
    match &settings.site {
        None => overview(&database, now_ms, &look).await,
        Some(site) => of_site(&database, site, now_ms, &look).await,
    }
}

/// Returns how wide the terminal is, or what is usual where the output is none.
fn columns() -> usize {
    let size = Term::stdout().size_checked();
    size.map_or(COLUMNS, |(_, columns)| usize::from(columns).max(COLUMNS_MIN))
}

async fn overview(database: &Database, now_ms: i64, look: &Look) -> Result<String, ReportError> {
    let open = database.open_alerts(None).await?;
    let Sites { names, is_complete } = database.sites().await?;
    let newest = newest_of_fleet(database, &names, now_ms).await?;
    let sites = Count { rows: names.len(), is_complete };
    let sensors = database.count_sensors().await?;
    Ok(Overview { now_ms, sites, sensors, newest, open }.render(look))
}

/// Asks all sites for their newest window, or, of very many, some evenly spread ones.
async fn newest_of_fleet(
    database: &Database,
    sites: &[String],
    now_ms: i64,
) -> Result<Newest, ReportError> {
    let step = sites.len().div_ceil(SITES_ASKED_MAX).max(1);
    let asked: Vec<&String> = sites.iter().step_by(step).collect();
    let mut newest = None;
    for some in asked.chunks(AT_A_TIME) {
        let starts = some.iter().map(|site_id| newest_window(database, site_id, now_ms));
        newest = newest.max(try_join_all(starts).await?.into_iter().max().flatten());
    }
    Ok(Newest { start_ms: newest, asked: asked.len() })
}

async fn of_site(
    database: &Database,
    settings: &SiteSettings,
    now_ms: i64,
    look: &Look,
) -> Result<String, ReportError> {
    let site_id = settings.id.as_str();
    let span = match settings.end_ms {
        Some(end_ms) => Span::until(end_ms),
        None => newest_hour(database, site_id, now_ms).await?,
    };
    let mut windows = Vec::new();
    for hour_ms in span.partitions() {
        windows.extend(database.windows(site_id, hour_ms, settings.with_sensors).await?);
    }
    windows.retain(|window| span.contains(window.start_ms));
    let open = database.open_alerts(Some(site_id)).await?;
    let day = database.alerts_between(site_id, span.end_ms - DAY_MS, span.end_ms).await?;
    let is_empty = windows.is_empty() && open.rows.is_empty() && day.rows.is_empty();
    let mut sensors = Vec::new();
    if is_empty || settings.with_sensors {
        sensors = database.sensors(site_id).await?;
    }
    if is_empty && sensors.is_empty() {
        return Ok(site::unknown(site_id, &database.sites().await?.names, look));
    }
    if !settings.with_sensors {
        sensors.clear();
    }
    let report = SiteReport { site_id, span, windows, sensors, open, day };
    Ok(report.render(look))
}

/// Returns the hour that ends with a site's newest window; where there is none, it ends now.
async fn newest_hour(database: &Database, site_id: &str, now_ms: i64) -> Result<Span, ReportError> {
    let newest = newest_window(database, site_id, now_ms).await?;
    Ok(Span::until(newest.map_or(now_ms, |start_ms| start_ms + MINUTE_MS)))
}

/// Returns the start of a site's newest window in the last two partitions, in epoch milliseconds.
async fn newest_window(
    database: &Database,
    site_id: &str,
    now_ms: i64,
) -> Result<Option<i64>, ReportError> {
    let hour_ms = hour_start_ms(now_ms);
    for hour_ms in [hour_ms, hour_ms - HOUR_MS] {
        if let Some(start_ms) = database.newest_window(site_id, hour_ms).await? {
            return Ok(Some(start_ms));
        }
    }
    Ok(None)
}
