//! The clock of this machine, held against that of a node: nodes decide when rows expire.

use std::time::Instant;

use scylla::client::session::Session;
use scylla::value::CqlTimestamp;
use tracing::warn;

use super::ATTEMPT_INTERVAL;
use crate::clock::{CheckedClock, ClockDifference};
use crate::shutdown::Shutdown;

/// Asks a node for the time of day, in epoch milliseconds.
async fn node_time_ms(session: &Session) -> Option<i64> {
    let answer = session.query_unpaged("SELECT toTimestamp(now()) FROM system.local", ()).await;
    let rows = answer.ok()?.into_rows_result().ok()?;
    let (CqlTimestamp(time_ms),) = rows.single_row().ok()?;
    Some(time_ms)
}

/// Compares the clocks; `false` if the node gives no answer.
pub async fn compare(session: &Session, clock: &CheckedClock) -> Result<bool, ClockDifference> {
    let asked = Instant::now();
    let Some(theirs_ms) = node_time_ms(session).await else {
        return Ok(false);
    };
    if clock.compare(theirs_ms, asked).is_ok() {
        return Ok(true);
    }
    // An answer from before this machine fell asleep is old, and is not given twice.
    let asked = Instant::now();
    match node_time_ms(session).await {
        Some(theirs_ms) => clock.compare(theirs_ms, asked).map(|()| true),
        None => Ok(false),
    }
}

/// Compares the clocks only if this machine's has moved: before whatever depends on it.
pub async fn settle(session: &Session, clock: &CheckedClock) -> Result<bool, ClockDifference> {
    if clock.is_doubtful() { compare(session, clock).await } else { Ok(true) }
}

/// Compares the clocks as soon as there is an answer; `None` when asked to stop.
pub async fn await_agreement(
    session: &Session,
    clock: &CheckedClock,
    shutdown: &Shutdown,
) -> Result<Option<()>, ClockDifference> {
    loop {
        if compare(session, clock).await? {
            return Ok(Some(()));
        }
        warn!("cassandra does not say what time it is, trying again");
        if shutdown.stopped_within(ATTEMPT_INTERVAL).await {
            return Ok(None);
        }
    }
}
