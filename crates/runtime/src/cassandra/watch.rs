//! What was right at the start, looked at again every ten seconds: the clock, and the tables, which
//! somebody may alter while a program writes to them.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use scylla::client::session::Session;
use tokio::time::sleep;
use tracing::info;

use super::clock;
use super::schema::{self, Lifetimes, SchemaError, Table};
use crate::clock::{CheckedClock, ClockDifference};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(10);

/// The tables that a program writes to.
#[derive(Debug)]
pub struct CheckedTables {
    keyspace: String,
    tables: &'static [&'static Table],
    lifetimes: RwLock<Lifetimes>,
}

impl CheckedTables {
    /// Takes what the first look found.
    pub fn new(keyspace: &str, tables: &'static [&'static Table], lifetimes: Lifetimes) -> Self {
        Self { keyspace: keyspace.to_owned(), tables, lifetimes: RwLock::new(lifetimes) }
    }

    /// Returns how long after their event time the rows of a table expire; `None` is never.
    pub fn time_to_live(&self, table: &Table) -> Option<Duration> {
        self.lifetimes.read().unwrap_or_else(PoisonError::into_inner).of(table)
    }

    /// Compares the tables once more, and takes over how long rows live; the error names
    /// everything that does not fit.
    ///
    /// A table that is gone may be on its way back, as whoever writes to it will find out.
    pub async fn look(&self, session: &Session) -> Result<(), Vec<String>> {
        match schema::check(session, &self.keyspace, self.tables).await {
            Ok(lifetimes) => self.take_over(lifetimes),
            Err(SchemaError::Misfit(problems)) => return Err(problems),
            Err(SchemaError::Missing(_) | SchemaError::Unanswered(_)) => {}
        }
        Ok(())
    }

    fn take_over(&self, lifetimes: Lifetimes) {
        let mut known = self.lifetimes.write().unwrap_or_else(PoisonError::into_inner);
        for table in self.tables {
            let [before_s, after_s] = [known.of(table), lifetimes.of(table)]
                .map(|lifetime| lifetime.map_or(0, |lifetime| lifetime.as_secs()));
            if before_s != after_s {
                let table = table.name;
                info!(table, before_s, after_s, "default_time_to_live was altered, following");
            }
        }
        *known = lifetimes;
    }
}

/// What makes every further write wrong.
#[derive(Debug)]
pub enum Unfit {
    /// This machine and Cassandra do not agree on the time of day.
    Clock(ClockDifference),
    /// The tables have become others: everything that does not fit.
    Tables(Vec<String>),
}

/// Compares clocks and tables every ten seconds; returns when no write can be right any more. An
/// outage is no answer, and no difference.
pub async fn watch<C>(
    current: impl Fn() -> Arc<C>,
    session: impl Fn(&C) -> &Session,
    clock: &CheckedClock,
    tables: &CheckedTables,
) -> Unfit {
    loop {
        sleep(INTERVAL).await;
        let current = current();
        let session = session(&current);
        if let Err(difference) = clock::compare(session, clock).await {
            return Unfit::Clock(difference);
        }
        if let Err(problems) = tables.look(session).await {
            return Unfit::Tables(problems);
        }
    }
}
