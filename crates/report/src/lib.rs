//! Shows what the analytics found, as text: the open alerts of the fleet, and the last hour of a
//! site.
//!
//! `database` reads, `overview` and `site` render; these two do no IO.

mod database;
mod error;
mod layout;
mod overview;
mod rows;
mod settings;
mod site;
mod text;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use domain::hour::{DAY_MS, HOUR_MS, hour_start_ms};
use runtime::clock::now_ms;
use runtime::process::Context;
use tokio::time;

use crate::database::Database;
use crate::layout::Look;
use crate::overview::Overview;
use crate::rows::MINUTE_MS;
use crate::site::{SiteReport, Span};

pub use crate::error::ReportError;
pub use crate::settings::{ReportSettings, SiteSettings};

/// Longest wait for all of Cassandra's answers together.
const TIMEOUT: Duration = Duration::from_secs(30);

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
        has_colours: !settings.is_plain && io::stdout().is_terminal(),
    };
    let database = Database::connect(&settings.cassandra).await?;
    let now_ms = now_ms();
    match &settings.site {
        None => overview(&database, now_ms, &look).await,
        Some(site) => of_site(&database, site, now_ms, &look).await,
    }
}

async fn overview(database: &Database, now_ms: i64, look: &Look) -> Result<String, ReportError> {
    let open = database.open_alerts(None).await?;
    let has_alerts = !open.rows.is_empty() || database.has_alerts().await?;
    Ok(Overview { now_ms, open, has_alerts }.render(look))
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
    if is_empty && !database.is_known(site_id).await? {
        return Ok(site::unknown(site_id, &database.sites().await?));
    }
    let report = SiteReport { site_id, span, windows, open, day };
    Ok(report.render(look))
}

/// Finds the hour that ends with the newest window of the last two partitions; where there is none,
/// it ends now.
async fn newest_hour(database: &Database, site_id: &str, now_ms: i64) -> Result<Span, ReportError> {
    let hour_ms = hour_start_ms(now_ms);
    for hour_ms in [hour_ms, hour_ms - HOUR_MS] {
        if let Some(start_ms) = database.newest_window(site_id, hour_ms).await? {
            return Ok(Span::until(start_ms + MINUTE_MS));
        }
    }
    Ok(Span::until(now_ms))
}
