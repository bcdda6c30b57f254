//! How many alerts are open, by severity: asked of Cassandra every few seconds, beside all else.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

/// Time between two questions.
const INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most alerts that are counted: whoever has more looks elsewhere.
const ALERTS_MAX: usize = 10_000;

/// Open alerts by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OpenAlerts {
    pub(crate) critical: usize,
    pub(crate) warning: usize,
}

impl OpenAlerts {
    fn count<'a>(severities: impl Iterator<Item = &'a str>) -> Self {
        let mut counts = Self::default();
        for severity in severities {
            match severity {
                "critical" => counts.critical += 1,
                "warning" => counts.warning += 1,
                // What is only worth knowing has no place on a status line.
                _ => {}
            }
        }
        counts
    }
}

/// Asks in a thread of its own until it is dropped.
#[derive(Debug)]
pub(crate) struct AlertWatch {
    newest: watch::Receiver<Option<OpenAlerts>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AlertWatch {
    /// Starts to ask for the alerts of a keyspace.
    pub(crate) fn start(contact_points: String, keyspace: &str) -> Result<Self> {
        let (sender, newest) = watch::channel(None);
        let (stop, stopped) = oneshot::channel();
        let query = format!(
            "SELECT severity FROM {keyspace}.alerts WHERE state = 'open' LIMIT {ALERTS_MAX}"
        );
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let asking = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = ask_on(&contact_points, &query, &sender) => {}
                    _dropped = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("alerts".into()).spawn(asking);
        let thread = thread.context("cannot start the thread that counts open alerts")?;
        Ok(Self { newest, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the newest answer; `None` while there is none.
    pub(crate) fn newest(&self) -> Option<OpenAlerts> {
        *self.newest.borrow()
    }
}

impl Drop for AlertWatch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

/// Asks until it is dropped. The pipeline does not need the answer: where there is none, that is
/// all there is to know.
async fn ask_on(contact_points: &str, query: &str, newest: &watch::Sender<Option<OpenAlerts>>) {
    let mut session = None;
    loop {
        let answer = timeout(TIMEOUT, ask(contact_points, query, &mut session)).await;
        newest.send_replace(answer.ok().and_then(Result::ok));
        sleep(INTERVAL).await;
    }
}

async fn ask(
    contact_points: &str,
    query: &str,
    session: &mut Option<Session>,
) -> Result<OpenAlerts> {
    if session.is_none() {
        let nodes = contact_points.split(',');
        *session = Some(SessionBuilder::new().known_nodes(nodes).build().await?);
    }
    let session = session.as_ref().context("a session that was made is there")?;
    let rows = session.query_unpaged(query, ()).await?.into_rows_result()?;
    let mut severities = Vec::new();
    for row in rows.rows::<(Option<&str>,)>()? {
        severities.extend(row?.0);
    }
    Ok(OpenAlerts::count(severities.into_iter()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_counted_by_what_they_ask_of_a_person() {
        let severities = ["warning", "info", "critical", "warning", "of a later build"];
        let counts = OpenAlerts::count(severities.into_iter());
        assert_eq!(counts, OpenAlerts { critical: 1, warning: 2 });
    }

    #[test]
    fn without_an_answer_there_is_no_count_and_the_end_is_prompt() {
        let watch = AlertWatch::start("127.0.0.1:1".into(), "iot").unwrap();
        assert_eq!(watch.newest(), None);
        let asked = std::time::Instant::now();
        drop(watch);
        assert!(asked.elapsed() < TIMEOUT, "{:?}", asked.elapsed());
    }
}
