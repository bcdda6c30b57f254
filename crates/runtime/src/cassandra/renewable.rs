//! A session that can be replaced while others use it.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{Mutex, MutexGuard};
use tracing::info;

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

    /// Returns the right to connect anew; `None` if somebody has it.
    pub fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.renewal.try_lock().ok()
    }

    /// Puts a new session in the place of the one that failed, unless that has been replaced.
    pub fn replace(&self, failed: &Arc<C>, new: C) {
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
        let turn = renewable.turn();
        assert!(turn.is_some() && renewable.turn().is_none(), "one at a time");
        renewable.replace(&first, "second");
        renewable.replace(&first, "third");
        assert_eq!(*renewable.current(), "second");
    }
}
