//! The health endpoint: `GET /healthz` answers 200 while the process does its work, else 503 and
//! why not.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;
use tracing::info;

use crate::settings::{Reader, Setting};

/// Longest wait for an answer of the endpoint.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

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
    /// What keeps each part from its work.
    impediments: Arc<Mutex<Vec<Option<String>>>>,
    part: usize,
}

impl Health {
    pub(crate) fn starting() -> Self {
        Self { impediments: Arc::new(Mutex::new(vec![Some("starting".into())])), part: 0 }
    }

    /// Adds a part that speaks for itself: the process does its work while all of its parts do.
    #[must_use]
    pub fn part(&self) -> Self {
        let mut impediments = self.lock();
        impediments.push(Some("starting".into()));
        Self { impediments: Arc::clone(&self.impediments), part: impediments.len() - 1 }
    }

    /// Says that the part does its work.
    pub fn well(&self) {
        self.lock()[self.part] = None;
    }

    /// Says why it does not.
    pub fn unwell(&self, why: impl Into<String>) {
        self.lock()[self.part] = Some(why.into());
    }

    /// Returns why a part of the process does not do its work; `None` while all do.
    pub fn impediment(&self) -> Option<String> {
        self.lock().iter().flatten().next().cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<String>>> {
        self.impediments.lock().unwrap_or_else(PoisonError::into_inner)
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
        let part = health.part();
        health.well();
        assert_eq!(part.impediment(), Some("starting".into()));
        part.well();
        assert_eq!(health.impediment(), None);
        part.unwell("no events are stored");
        health.well();
        assert_eq!(health.impediment(), Some("no events are stored".into()));
    }
}
