//! The health endpoint: `GET /healthz` answers 200 while the process does its work, else 503 and
//! why not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::info;

use crate::settings::{Reader, Setting};

/// Longest wait for an answer of the endpoint.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// A part that was heard of before and has not been for this long is blocked or dead.
const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);

/// Reads where the endpoint listens; `None` switches it off.
pub fn read_address(reader: &mut Reader) -> Option<SocketAddr> {
    const SETTING: Setting = Setting {
        name: "HEALTH_ADDRESS",
        default: "",
        unit: "",
        meaning: "Where `GET /healthz` is served, such as 127.0.0.1:8080; not set switches it off",
    };
    let address = reader.text_if_set(SETTING)?;
    let parsed = address.parse().ok();
    if parsed.is_none() {
        reader.refuse(SETTING.name, &address, "an IP address with a port, or nothing");
    }
    parsed
}

/// What a process says about itself, or one part of it; clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    parts: Arc<Mutex<Vec<Part>>>,
    part: usize,
}

/// A thread or task that does a part of the work.
#[derive(Debug)]
struct Part {
    name: &'static str,
    /// What keeps it from its work.
    impediment: Option<String>,
    /// When it last said anything: a thread that is blocked or dead says nothing.
    heard: Option<Instant>,
}

impl Part {
    fn starting(name: &'static str) -> Self {
        Self { name, impediment: Some("starting".into()), heard: None }
    }

    fn impediment(&self, now: Instant) -> Option<String> {
        let silence = self.heard.map(|heard| now.saturating_duration_since(heard));
        match silence.filter(|silence| *silence > HEARTBEAT_AGE_MAX) {
            Some(silence) => {
                let (name, silence_s) = (self.name, silence.as_secs());
                Some(format!("the thread `{name}` has been blocked for {silence_s} s"))
            }
            None => self.impediment.clone(),
        }
    }
}

impl Health {
    pub(crate) fn starting() -> Self {
        Self { parts: Arc::new(Mutex::new(vec![Part::starting("main")])), part: 0 }
    }

    /// Adds a part that speaks for itself: the process does its work while all of its parts do.
    #[must_use]
    pub fn part(&self, name: &'static str) -> Self {
        let mut parts = self.lock();
        parts.push(Part::starting(name));
        Self { parts: Arc::clone(&self.parts), part: parts.len() - 1 }
    }

    /// Says that the part does its work.
    pub fn well(&self) {
        self.lock()[self.part].impediment = None;
    }

    /// Says why it does not.
    pub fn unwell(&self, why: impl Into<String>) {
        self.lock()[self.part].impediment = Some(why.into());
    }

    /// Says how the part is, and that it is alive: from the first call on it has to be called at
    /// least every 30 s, or the part counts as blocked.
    pub fn heartbeat(&self, impediment: Option<String>, now: Instant) {
        let part = &mut self.lock()[self.part];
        part.impediment = impediment;
        part.heard = Some(now);
    }

    /// Returns why a part of the process does not do its work; `None` while all do.
    pub fn impediment(&self) -> Option<String> {
        let now = Instant::now();
        self.lock().iter().find_map(|part| part.impediment(now))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves the endpoint until the runtime ends.
pub(crate) async fn serve(address: SocketAddr, health: Health) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    info!(address = %listener.local_addr()?, "health endpoint listening");
    let router = Router::new().route("/healthz", get(answer)).with_state(health);
    axum::serve(listener, router).await
}

async fn answer(State(health): State<Health>) -> (StatusCode, String) {
    match health.impediment() {
        None => (StatusCode::OK, "ok\n".into()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}

/// Asks a running process; returns its answer if it is not well.
pub(crate) fn check(address: SocketAddr) -> Result<(), String> {
    let ask = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nhost: health\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    match ask() {
        Ok(answer) if answer.split(' ').nth(1) == Some("200") => Ok(()),
        Ok(answer) => Err(answer.lines().last().unwrap_or("no answer").to_owned()),
        Err(error) => Err(format!("no answer from {address}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_endpoint_says_whether_the_process_is_well() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let health = Health::starting();
        let server = tokio::spawn(serve(port, health.clone()));
        let ask = || tokio::task::spawn_blocking(move || check(port));
        let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
        while ask().await.unwrap() != Err("starting".into()) {
            assert!(tokio::time::Instant::now() < deadline, "the endpoint does not answer");
            tokio::task::yield_now().await;
        }
        health.well();
        assert_eq!(ask().await.unwrap(), Ok(()));
        health.unwell("cassandra does not answer");
        assert_eq!(ask().await.unwrap(), Err("cassandra does not answer".into()));
        server.abort();
    }

    #[test]
    fn a_process_is_well_while_all_of_its_parts_are() {
        let health = Health::starting();
        let part = health.part("events");
        health.well();
        assert_eq!(part.impediment(), Some("starting".into()));
        part.well();
        assert_eq!(health.impediment(), None);
        part.unwell("no events are stored");
        health.well();
        assert_eq!(health.impediment(), Some("no events are stored".into()));
    }

    /// Goal: a thread that hangs or is gone is noticed, whatever it said last.
    #[test]
    fn a_part_that_falls_silent_is_blocked() {
        let now = Instant::now();
        let mut part = Part::starting("kafka");
        assert_eq!(part.impediment(now + 2 * HEARTBEAT_AGE_MAX), Some("starting".into()));
        (part.impediment, part.heard) = (None, Some(now));
        assert_eq!(part.impediment(now + HEARTBEAT_AGE_MAX), None);
        let blocked = part.impediment(now + HEARTBEAT_AGE_MAX + Duration::from_secs(1));
        assert_eq!(blocked, Some("the thread `kafka` has been blocked for 31 s".into()));
    }
}
