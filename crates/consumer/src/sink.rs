//! Writes to the servers: rows to Cassandra, in batches of one partition each, and dead letters to
//! Kafka.

mod dead_letters;
mod statements;
mod tables;
mod trial;
mod values;

use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::Shutdown;
use runtime::cassandra::clock;
use runtime::cassandra::failure::{Disposition, needs_new_session, write_disposition};
use runtime::cassandra::schema::{self, SchemaError, Table};
use runtime::cassandra::watch::{CheckedTables, Unfit, watch};
use runtime::cassandra::{self, ConsistencyLevel, Lifetime, Renewable};
use runtime::clock::{CheckedClock, TimeOfDay};
use scylla::client::session::Session;
use scylla::errors::ExecutionError;
use tracing::{debug, warn};

use crate::error::ConsumerError;
use crate::pipeline::batch::RowBatch;
use crate::pipeline::record::Stream;
use crate::pipeline::site::SiteWrite;
use crate::pipeline::{Ticket, Write};
use crate::settings::ConsumerSettings;
use dead_letters::DeadLetters;
use statements::Statements;
use tables::{EVENTS, READINGS};
use trial::Target;

/// Time between two trials of whether Cassandra writes.
const TRIAL_INTERVAL: Duration = Duration::from_secs(2);

/// How a write ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The server has it.
    Durable,
    /// It has to be repeated.
    Failed(String),
    /// The server will never take it.
    Refused(String),
    /// No write can work: going on is pointless.
    Fatal(ConsumerError),
}

/// The end of a write.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) ticket: Ticket,
    pub(crate) write: Write,
    /// From the request to the answer.
    pub(crate) latency: Duration,
    pub(crate) outcome: Outcome,
}

/// A session with everything prepared.
struct Connection {
    session: Session,
    statements: Statements,
}

/// Cassandra and the dead-letter topic.
pub(crate) struct Sink {
    settings: ConsumerSettings,
    connection: Renewable<Connection>,
    tables: CheckedTables,
    clock: CheckedClock,
    dead_letters: DeadLetters,
}

/// Waits for Cassandra and its tables, which have to fit; `None` when asked to stop.
pub(crate) async fn connect(
    settings: &ConsumerSettings,
    shutdown: &Shutdown,
) -> Result<Option<Sink>, ConsumerError> {
    // The levels of the writes stand on the statements; this one is for the driver's own needs.
    let level = ConsistencyLevel::LocalOne;
    let Some(session) = cassandra::connect(&settings.cassandra, level, shutdown).await else {
        return Ok(None);
    };
    let Some(prepared) = statements::prepare(&session, settings, shutdown).await? else {
        return Ok(None);
    };
    let clock = CheckedClock::new();
    if clock::await_agreement(&session, &clock, shutdown).await?.is_none() {
        return Ok(None);
    }
    let sink = Sink {
        connection: Renewable::new(Connection { session, statements: prepared.statements }),
        tables: CheckedTables::new(&settings.cassandra.keyspace, &tables::ALL, prepared.lifetimes),
        clock,
        dead_letters: DeadLetters::new(settings),
        settings: settings.clone(),
    };
    Ok(sink.await_writable(shutdown).await?.map(|()| sink))
}

impl Sink {
    /// Returns how long after its event time a row of the stream expires.
    pub(crate) fn time_to_live(&self, stream: Stream) -> Option<Duration> {
        self.tables.time_to_live(table_of(stream))
    }

    /// Returns the time of day, as far as it can be believed.
    pub(crate) fn time_of_day(&self) -> TimeOfDay {
        self.clock.now()
    }

    /// Returns why no write can be right any more, as soon as that is so.
    pub(crate) async fn unfit(&self) -> ConsumerError {
        let current = || self.connection.current();
        match watch(current, |current| &current.session, &self.clock, &self.tables).await {
            Unfit::Clock(difference) => difference.into(),
            Unfit::Tables(problems) => statements::misfit(&self.settings, &problems),
        }
    }

    /// Tries to write, once.
    pub(crate) async fn write(self: Arc<Self>, ticket: Ticket, write: Write) -> Done {
        let started = Instant::now();
        let outcome = self.attempt(&write).await;
        Done { ticket, write, latency: started.elapsed(), outcome }
    }

    async fn attempt(&self, write: &Write) -> Outcome {
        let connection = self.connection.current();
        let attempt = match write {
            Write::Rows(batch) => {
                // When a row expires depends on the time at which it is written (I3).
                match clock::settle(&connection.session, &self.clock).await {
                    Ok(true) => self.write_rows(&connection, batch).await,
                    Ok(false) => return Outcome::Failed("no node says what time it is".into()),
                    Err(difference) => return Outcome::Fatal(difference.into()),
                }
            }
            Write::Site(news) => write_site(&connection, news).await,
            Write::DeadLetter(letter) => return self.dead_letters.write(letter).await,
        };
        let Err(error) = attempt else {
            return Outcome::Durable;
        };
        match write_disposition(&error) {
            Disposition::Fatal => {
                let partition = partition_name(write);
                let source = Box::new(error);
                Outcome::Fatal(ConsumerError::Refused { partition, source })
            }
            Disposition::Poison if is_single(write) => self.judge(&connection, write, error).await,
            Disposition::Poison => Outcome::Refused(error.to_string()),
            Disposition::Retry if needs_new_session(&error) => self.renew(&connection, error).await,
            Disposition::Retry => Outcome::Failed(error.to_string()),
        }
    }

    async fn write_rows(
        &self,
        Connection { session, statements }: &Connection,
        batch: &RowBatch,
    ) -> Result<(), ExecutionError> {
        let now_ms = self.time_of_day().earliest_ms;
        let lifetime = Lifetime::new(self.time_to_live(batch.stream()), now_ms);
        let rows = values::rows(batch, lifetime);
        let inserts = statements.rows(batch);
        if let [row] = rows.as_slice() {
            return session.execute_unpaged(&inserts.first, row).await.map(drop);
        }
        let statement = inserts.batch(batch.len());
        session.batch(&statement, rows).await.map(drop)
    }

    /// Decides whether one row alone is to blame: not if the tables have become others, nor if they
    /// take no row at all (I5).
    async fn judge(
        &self,
        connection: &Connection,
        write: &Write,
        error: ExecutionError,
    ) -> Outcome {
        let keyspace = &self.settings.cassandra.keyspace;
        match schema::check(&connection.session, keyspace, &tables::ALL).await {
            Ok(_) => {}
            Err(SchemaError::Unanswered(_)) => return Outcome::Failed(error.to_string()),
            Err(SchemaError::Missing(table)) => return self.misfit(&[format!("{table} is gone")]),
            Err(SchemaError::Misfit(problems)) => return self.misfit(&problems),
        }
        let Some(target) = Target::of(write) else {
            return Outcome::Refused(error.to_string());
        };
        match self.try_out(connection, target).await {
            Ok(true) => Outcome::Refused(error.to_string()),
            Ok(false) => Outcome::Failed(error.to_string()),
            Err(error) => Outcome::Fatal(error),
        }
    }

    /// Waits until every table takes a row; `None` when asked to stop. Before the first poll this
    /// refuses what would refuse every row.
    async fn await_writable(&self, shutdown: &Shutdown) -> Result<Option<()>, ConsumerError> {
        for target in Target::ALL {
            while !self.try_out(&self.connection.current(), target).await? {
                let tables = target.names();
                warn!(tables, "cassandra does not write yet, trying again");
                if shutdown.stopped_within(TRIAL_INTERVAL).await {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    }

    /// Tries whether tables take a row that is as good as any; false if that cannot be told now.
    async fn try_out(
        &self,
        connection: &Connection,
        target: Target,
    ) -> Result<bool, ConsumerError> {
        let Connection { session, statements } = connection;
        let keyspace = &self.settings.cassandra.keyspace;
        let now_ms = self.time_of_day().earliest_ms;
        let attempt = async {
            trial::hide(session, keyspace, target, statements.consistency(target), now_ms).await?;
            match target {
                Target::Rows(stream) => {
                    self.write_rows(connection, &trial::rows(stream, now_ms)).await
                }
                Target::Site => write_site(connection, &trial::site(now_ms)).await,
            }
        };
        let Err(error) = attempt.await else {
            return Ok(true);
        };
        if write_disposition(&error) == Disposition::Retry {
            debug!("trial write failed: {error}");
            return Ok(false);
        }
        let (keyspace, tables) = (keyspace.clone(), target.names());
        Err(ConsumerError::EveryRow { keyspace, tables, source: Box::new(error) })
    }

    async fn renew(&self, failed: &Arc<Connection>, error: ExecutionError) -> Outcome {
        let prepare = async |session| {
            let prepared = statements::attempt(&session, &self.settings).await?;
            Ok(Connection { session, statements: prepared.statements })
        };
        match self.connection.renew(&self.settings.cassandra, failed, prepare).await {
            Ok(()) => Outcome::Failed(error.to_string()),
            Err(problems) => self.misfit(&problems),
        }
    }

    fn misfit(&self, problems: &[String]) -> Outcome {
        Outcome::Fatal(statements::misfit(&self.settings, problems))
    }
}

async fn write_site(
    Connection { session, statements }: &Connection,
    news: &SiteWrite,
) -> Result<(), ExecutionError> {
    let statement = statements.site(news);
    session.batch(&statement, values::site(news)).await.map(drop)
}

fn table_of(stream: Stream) -> &'static Table {
    match stream {
        Stream::Readings => &READINGS,
        Stream::Events => &EVENTS,
    }
}

/// Tells whether a write cannot be parted any more.
fn is_single(write: &Write) -> bool {
    match write {
        Write::Rows(batch) => batch.len() == 1,
        Write::Site(news) => news.sensors.len() + usize::from(news.location.is_some()) == 1,
        Write::DeadLetter(_) => true,
    }
}

fn partition_name(write: &Write) -> String {
    match write {
        Write::Rows(batch) => format!("{} {}", batch.site_id(), batch.bucket_ms()),
        Write::Site(news) => news.site_id.to_string(),
        Write::DeadLetter(letter) => letter.partition.to_string(),
    }
}
