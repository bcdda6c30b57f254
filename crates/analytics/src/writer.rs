//! Writes what came of the partitions, on a thread of its own: windows, then larger windows, then
//! alerts, then states, and says when all of it is durable.
//!
//! The order matters. What is merged into hours is read back from the table of minutes; and a state
//! that includes a window must not be stored before the alerts of that window are, or a restart
//! would leave them out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use runtime::Shutdown;
use tokio::runtime::Handle;

use crate::error::AnalyticsError;
use crate::publish::{LateReading, Publisher};
use crate::rollup;
use crate::store::{BATCH_ROWS_MAX, Level, Store, hours_of};
use crate::window::{Outcome, Raised, Timing, WindowRow};

/// Requests that are under way at once.
const CONCURRENCY: usize = 16;
/// Alerts that are under way at once. Each waits for its topic and its table in turn, so that only
/// their number makes up for it when a whole fleet raises them in one window.
const ALERTS_AT_ONCE: usize = 64;

/// What is to be written in one go.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) outcomes: Vec<(i32, Outcome)>,
    pub(crate) late: Vec<LateReading>,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    pub(crate) alerts: u64,
    pub(crate) late: u64,
    /// Larger windows that were not merged, because their parts may have expired.
    pub(crate) unmerged: u64,
}

/// The servers that are written to.
pub(crate) struct Sink {
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) timing: Timing,
    pub(crate) shutdown: Shutdown,
}

/// The thread, from outside.
pub(crate) struct Writer {
    work: Sender<Work>,
    done: Receiver<Result<Written, AnalyticsError>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(sink: Arc<Sink>, runtime: Handle) -> std::io::Result<Self> {
        let (work, orders) = channel::<Work>();
        let (reports, done) = channel();
        let run = move || {
            for work in orders {
                let written = runtime.block_on(sink.write(work));
                if reports.send(written).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("writer".into()).spawn(run)?;
        Ok(Self { work, done })
    }

    /// Hands work over; the thread does one after the other.
    pub(crate) fn write(&self, work: Work) -> Result<(), AnalyticsError> {
        self.work.send(work).map_err(|_| AnalyticsError::Ended("writer"))
    }

    /// Returns the ends of works.
    pub(crate) fn done(&self) -> &Receiver<Result<Written, AnalyticsError>> {
        &self.done
    }
}

impl Sink {
    /// Tells whether the process is asked to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        self.shutdown.is_stopping()
    }

    async fn write(&self, Work { outcomes, late }: Work) -> Result<Written, AnalyticsError> {
        let mut written = Written { late: late.len() as u64, ..Written::default() };
        let late = each(&late, |late| self.publisher.late(late));
        let rows: Vec<WindowRow> =
            outcomes.iter().flat_map(|(_, outcome)| outcome.rows.iter().cloned()).collect();
        let (late, rows) = futures::join!(late, self.write_rows(Level::Window, rows));
        late?;
        written.rows += rows?;
        let rollups = outcomes.iter().flat_map(|(_, outcome)| &outcome.rollups);
        let rollups: std::collections::BTreeSet<_> = rollups.cloned().collect();
        self.roll_up(rollups.into_iter().collect(), &mut written).await?;
        let alerts = outcomes.iter().flat_map(|(_, outcome)| &outcome.alerts);
        let episodes = episodes(alerts);
        written.alerts += raise_all(&episodes, async |raised| self.raise(raised).await).await?;
        let states = outcomes.iter().flat_map(|(partition, outcome)| {
            outcome.states.chunks(BATCH_ROWS_MAX).map(move |states| (*partition, states))
        });
        let states: Vec<_> = states.collect();
        each(&states, |(partition, states)| self.store.write_states(*partition, states)).await?;
        Ok(written)
    }

    /// Writes rows in batches of one partition each, and publishes them.
    async fn write_rows(&self, level: Level, rows: Vec<WindowRow>) -> Result<u64, AnalyticsError> {
        let count = rows.len() as u64;
        let window_ms = match level {
            Level::Window => self.timing.window_ms,
            Level::Rollup => self.timing.rollup_ms,
        };
        let mut partitions = BTreeMap::<(String, i64), Vec<WindowRow>>::new();
        for row in rows {
            let bucket_ms = level.bucket_ms(row.key.window_start_ms);
            partitions.entry((row.key.site_id.clone(), bucket_ms)).or_default().push(row);
        }
        let batches: Vec<&[WindowRow]> =
            partitions.values().flat_map(|rows| rows.chunks(BATCH_ROWS_MAX)).collect();
        each(&batches, |rows| self.store.write_rows(level, rows)).await?;
        let published = partitions.values().flatten();
        let published = published.map(|row| self.publisher.aggregate(row, window_ms));
        futures::future::try_join_all(published).await?;
        Ok(count)
    }

    /// Merges larger windows from the windows in the table, but none of which some may be gone: the
    /// row would be of what is left, and outlive all proof of that.
    async fn roll_up(
        &self,
        rollups: Vec<(String, i64)>,
        written: &mut Written,
    ) -> Result<(), AnalyticsError> {
        let size_ms = self.timing.rollup_ms;
        let merged = stream::iter(&rollups).map(async |(site_id, start_ms)| {
            let span = *start_ms..start_ms + size_ms;
            let mut rows = Vec::new();
            for hour_ms in hours_of(*start_ms, size_ms) {
                rows.extend(self.store.read_windows(site_id, hour_ms).await?);
            }
            rows.retain(|row| span.contains(&row.key.window_start_ms));
            // Asked once they have been read: what is kept by now was there.
            let is_whole = self.store.keeps_windows_since(*start_ms);
            Ok::<_, AnalyticsError>(is_whole.then(|| rollup::merge(*start_ms, rows)))
        });
        let merged: Vec<Option<Vec<WindowRow>>> =
            merged.buffered(CONCURRENCY).try_collect().await?;
        let whole: Vec<Vec<WindowRow>> = merged.into_iter().flatten().collect();
        written.unmerged += (rollups.len() - whole.len()) as u64;
        let rows = whole.into_iter().flatten().collect();
        written.rows += self.write_rows(Level::Rollup, rows).await?;
        Ok(())
    }

    /// Publishes and stores an alert, unless that has been done; returns whether it was news.
    async fn raise(&self, raised: &Raised) -> Result<bool, AnalyticsError> {
        let is_said = self.store.is_said(raised).await?;
        if !is_said {
            self.publisher.alert(&raised.alert).await?;
        }
        // The row may still be the one that was said of the unfinished window.
        self.store.write_alert(raised).await?;
        Ok(!is_said)
    }
}

/// Parts alerts by episode; those of one keep their order.
fn episodes<'a>(alerts: impl Iterator<Item = &'a Raised>) -> Vec<Vec<&'a Raised>> {
    let mut episodes = BTreeMap::<&str, Vec<&Raised>>::new();
    for raised in alerts {
        episodes.entry(&raised.alert.alert_id).or_default().push(raised);
    }
    episodes.into_values().collect()
}

/// Raises the alerts of each episode one after the other, and some episodes at once; returns how
/// many were news.
async fn raise_all(
    episodes: &[Vec<&Raised>],
    raise: impl AsyncFn(&Raised) -> Result<bool, AnalyticsError>,
) -> Result<u64, AnalyticsError> {
    let raise = &raise;
    let raised = stream::iter(episodes).map(async |episode| {
        let mut news = 0;
        for raised in episode {
            news += u64::from(raise(raised).await?);
        }
        Ok(news)
    });
    raised.buffer_unordered(ALERTS_AT_ONCE).try_fold(0, async |sum, news| Ok(sum + news)).await
}

/// Does the same for each, some at once.
async fn each<'a, T, F>(items: &'a [T], one: impl Fn(&'a T) -> F) -> Result<(), AnalyticsError>
where
    F: Future<Output = Result<(), AnalyticsError>>,
{
    stream::iter(items.iter().map(one)).buffer_unordered(CONCURRENCY).try_collect().await
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeSet;

    use domain::alert::{AlertState, Severity};
    use domain::{Alert, SensorKind};

    use super::*;

    fn raised(id: &str, write_timestamp_us: i64) -> Raised {
        let alert = Alert {
            alert_id: id.into(),
            site_id: "a".into(),
            sensor_id: "a/1".into(),
            kind: SensorKind::Light,
            rule: "dark".into(),
            severity: Severity::Info,
            state: AlertState::Open,
            started_at: 0,
            opened_at: 60,
            cleared_at: None,
            value: 1.0,
            threshold: 2.0,
            provisional: false,
        };
        Raised { alert, write_timestamp_us }
    }

    /// Two hundred episodes of three alerts each, those of an episode far apart.
    fn storm() -> Vec<Raised> {
        let ids: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
        let at = |at| ids.iter().map(move |id| raised(id, at));
        at(1).chain(at(2)).chain(at(3)).collect()
    }

    #[test]
    fn an_episode_keeps_the_order_of_its_alerts_and_none_is_left_out() {
        let storm = storm();
        let episodes = episodes(storm.iter());
        let ids: BTreeSet<&str> = episodes.iter().map(|one| &*one[0].alert.alert_id).collect();
        assert_eq!((episodes.len(), ids.len()), (200, 200));
        for episode in &episodes {
            assert!(episode.iter().all(|one| one.alert.alert_id == episode[0].alert.alert_id));
            let order: Vec<i64> = episode.iter().map(|one| one.write_timestamp_us).collect();
            assert_eq!(order, [1, 2, 3]);
        }
    }

    #[tokio::test]
    async fn many_episodes_are_raised_at_once_and_each_in_order() {
        let storm = storm();
        let episodes = episodes(storm.iter());
        let (under_way, most) = (Cell::new(0), Cell::new(0));
        let ended = RefCell::new(BTreeMap::<String, Vec<i64>>::new());
        let news = raise_all(&episodes, async |raised| {
            under_way.set(under_way.get() + 1);
            most.set(under_way.get().max(most.get()));
            // The earlier one takes longer: were the two under way at once, it would end later.
            for _ in 0..4 - raised.write_timestamp_us {
                tokio::task::yield_now().await;
            }
            under_way.set(under_way.get() - 1);
            let mut ended = ended.borrow_mut();
            ended.entry(raised.alert.alert_id.clone()).or_default().push(raised.write_timestamp_us);
            Ok(raised.write_timestamp_us != 2)
        });
        assert_eq!(news.await.unwrap(), 400);
        assert_eq!(most.get(), ALERTS_AT_ONCE);
        let ended = ended.into_inner();
        assert!(ended.len() == 200 && ended.values().all(|order| *order == [1, 2, 3]));
    }

    #[tokio::test]
    async fn an_alert_that_fails_ends_the_work_and_the_next_of_its_episode_is_not_raised() {
        let storm = storm();
        let episodes = episodes(storm.iter());
        let tried = Cell::new(0);
        let outcome = raise_all(&episodes, async |raised| {
            assert_eq!(raised.write_timestamp_us, 1);
            tried.set(tried.get() + 1);
            tokio::task::yield_now().await;
            Err(AnalyticsError::Stopped("cassandra"))
        });
        assert!(matches!(outcome.await, Err(AnalyticsError::Stopped("cassandra"))));
        assert!(tried.get() <= ALERTS_AT_ONCE);
    }
}
