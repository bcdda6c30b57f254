//! Checks I2: Cassandra holds what the producers sent, recomputed from their reports, row by row,
//! in each table of the stream.

mod bitmap;
mod compare;
mod error;
mod ledger;
mod newest;
mod pages;
mod reports;
mod scan;
mod settings;
mod settle;
mod strangers;
mod summary;
mod tables;
mod window;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use domain::simulation::RunReport;
use domain::simulation::report::RunState;
use jiff::Timestamp;
use runtime::Shutdown;
use runtime::clock::now_ms;
use runtime::process::Context;
use tracing::{info, warn};

use crate::compare::Tally;
pub use crate::error::AuditError;
use crate::ledger::Ledger;
use crate::pages::Pages;
use crate::reports::Reports;
use crate::scan::Scanner;
pub use crate::settings::{AuditSettings, OutputFormat};
use crate::settle::Consumers;
use crate::summary::Summary;
use crate::tables::Runs;
use crate::window::Plan;

/// Audits once and prints the verdict: exit code 0 if nothing is missing, phantom or corrupt, and
/// something was proved.
pub async fn run(settings: AuditSettings, context: Context) -> anyhow::Result<ExitCode> {
    context.health.well();
    let summary = tokio::select! {
        outcome = audit(&settings, &context.shutdown) => outcome?,
        () = context.shutdown.stopped() => return Err(AuditError::Stopped.into()),
    };
    summary.write(settings.format, &mut io::stdout().lock())?;
    Ok(if summary.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn audit(settings: &AuditSettings, shutdown: &Shutdown) -> Result<Summary, AuditError> {
    let started = Instant::now();
    // The order matters: what the reports claim is in the topic before its end is looked up.
    let reports = Reports::read(&settings.report_dir, settings.run.as_deref())?;
    info!(runs = reports.runs.len(), dir = %settings.report_dir.display(), "read the run reports");
    let settled = settle(settings, &Consumers::of_readings(settings), shutdown).await?;
    let cassandra = &settings.cassandra;
    let session = runtime::cassandra::connect(cassandra, settings.consistency, shutdown)
        .await
        .ok_or(AuditError::Stopped)?;
    let pages = Pages::new(session, &cassandra.keyspace);
    let scanner = Scanner::prepare(&pages).await?;
    let has_events = reports.runs.iter().any(|run| run.event_span.is_some() && run.events > 0);
    let events_settled = if has_events && tables::is_there(&pages, tables::EVENTS).await? {
        settle(settings, &Consumers::of_events(settings), shutdown).await?
    } else {
        settled
    };
    let plan = Plan::new(scanner.retention(), now_ms(), &reports.runs, settings.run.is_some());
    warn_of_hours_left_out(&plan);
    let mut ledger = Ledger::new(reports.runs, settings.run.is_some(), settings.strict);
    for (report, tally) in ledger.tallies() {
        warn_of_oddities(report, tally, &settings.kafka.topic);
    }
    scanner.scan(&plan, &mut ledger).await?;
    let required_from_ms = plan.required_from_ms(scanner.retention(), now_ms());
    let settled_topic = (settled == Some(true)).then_some(settings.kafka.topic.as_str());
    let outcomes = tables::check(&pages, &Runs::new(&ledger, settled_topic)).await?;

    // A run that began while the tables were read is not made up: its report has come since.
    let newcomers = reports::run_ids(&settings.report_dir)?;
    let mut tables = Vec::new();
    for outcome in outcomes {
        tables.push(outcome.close(&newcomers));
    }
    let all_settled = settled.zip(events_settled).map(|(readings, events)| readings && events);
    Ok(ledger.close(required_from_ms, &newcomers, all_settled, tables, started.elapsed()))
}

/// Waits for consumers, unless nobody is to; returns whether they had stored everything in time.
async fn settle(
    settings: &AuditSettings,
    consumers: &Consumers,
    shutdown: &Shutdown,
) -> Result<Option<bool>, AuditError> {
    if !settings.settle {
        return Ok(None);
    }
    settle::settle(settings, consumers, shutdown).await.map(Some)
}

fn warn_of_hours_left_out(plan: &Plan) {
    if let Some(hours_ms) = plan.left_out_ms() {
        let [from, to] = [hours_ms.start, hours_ms.end].map(Timestamp::from_millisecond);
        let [from, to] = [from, to].map(Result::unwrap_or_default);
        warn!(%from, %to, "not reading the hours in which rows expire: nothing there is verified");
    }
}

fn warn_of_oddities(report: &RunReport, tally: &Tally, topic: &str) {
    let run = report.id();
    if report.topic != topic {
        let written = &report.topic;
        warn!(run, topic, written, "run wrote to another topic than KAFKA_TOPIC_NAME names");
    }
    let listed = tally.acknowledged;
    // While a run is under way, the two are read one after the other.
    if report.state != RunState::Running && listed != report.acknowledged {
        let claimed = report.acknowledged;
        warn!(run, listed, claimed, "report contradicts itself, going by its list of gaps");
    }
    if report.state != RunState::Running && tally.fates != report.fates {
        let (computed, claimed) = (tally.fates, report.fates);
        warn!(run, ?computed, ?claimed, "what became of readings is not what was computed");
    }
}
