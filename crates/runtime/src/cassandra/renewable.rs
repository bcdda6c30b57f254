//! A session that can be replaced while others use it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use scylla::client::session::Session;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::{debug, info};

use super::schema::SchemaError;
use super::{CassandraSettings, ConsistencyLevel, connect_once};

/// Longest wait for a new session and what is prepared on it: one writer at a time goes on trying
/// while Cassandra is away, and nobody tries while that one is held up.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(30);

/// A session, with all that was prepared on it.
///
/// A session whose nodes have all been away asks them again every ten seconds only, which cannot be
/// changed; and it does not prepare again what has become another statement. So it is replaced.
#[derive(Debug)]
pub struct Renewable<C> {
    current: RwLock<Arc<C>>,
    /// Held by whoever connects anew.
    renewal: Mutex<()>,
}

impl<C> Renewable<C> {
    /// Starts with a session.
    pub fn new(connection: C) -> Self {
        Self { current: RwLock::new(Arc::new(connection)), renewal: Mutex::new(()) }
    }

    /// Returns the session of now.
    pub fn current(&self) -> Arc<C> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Connects anew in the place of a session that failed, if that works within 30 s; whoever
    /// comes while somebody is at it goes on without. The error names everything about the tables
    /// that does not fit.
    pub async fn renew(
        &self,
        settings: &CassandraSettings,
        failed: &Arc<C>,
        prepare: impl AsyncFnOnce(Session) -> Result<C, SchemaError>,
    ) -> Result<(), Vec<String>> {
        let Ok(_turn) = self.renewal.try_lock() else {
            return Ok(());
        };
        let attempt = async {
            match connect_once(settings, ConsistencyLevel::LocalOne).await {
                Ok(session) => prepare(session).await,
                Err(error) => Err(SchemaError::Unanswered(error.to_string())),
            }
        };
        match timeout(RENEWAL_TIMEOUT, attempt).await {
            Ok(Ok(connection)) => self.replace(failed, connection),
            Ok(Err(SchemaError::Misfit(problems))) => return Err(problems),
            Ok(Err(error)) => debug!("not connected to cassandra anew: {error}"),
            Err(_) => debug!("not connected to cassandra anew: it does not answer"),
        }
        Ok(())
    }

    /// Puts a new session in the place of the one that failed, unless that has been replaced.
    fn replace(&self, failed: &Arc<C>, new: C) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, failed) {
            *current = Arc::new(new);
            info!("connected to cassandra anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_replaced_once() {
        let renewable = Renewable::new("first");
        let first = renewable.current();
        renewable.replace(&first, "second");
        renewable.replace(&first, "third");
        assert_eq!(*renewable.current(), "second");
    }
}
