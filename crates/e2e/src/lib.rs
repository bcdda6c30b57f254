//! What the live tests share: real servers, and a trial with a topic, keyspace and group of its
//! own.

pub mod chaos;
pub mod database;
pub mod proxy;
pub mod topic;
pub mod trial;
pub mod windows;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, bail};
use localstack::Stack;

pub use database::Database;
pub use trial::Trial;

/// One test at a time: each measures time, and there may be few cores.
static TURN: Mutex<()> = Mutex::new(());
/// Servers that tests share. Their supervisors end them when the test process ends.
static SHARED: OnceLock<Stack> = OnceLock::new();

/// Waits for this test's turn; it lasts until the guard is dropped.
pub fn turn() -> MutexGuard<'static, ()> {
    // A test that failed has no influence on the next.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns servers that nobody may disturb, started on first use. The caller holds its turn.
pub fn shared_stack() -> Result<&'static Stack> {
    if let Some(stack) = SHARED.get() {
        return Ok(stack);
    }
    let stack = own_stack()?;
    Ok(SHARED.get_or_init(|| stack))
}

/// Starts servers that belong to one test, which may do to them what it likes.
pub fn own_stack() -> Result<Stack> {
    Stack::builder().start().context("real servers start")
}

/// Returns the path of a released program: the one that `SENSORIUM_<NAME>` names, or else the one
/// in this target folder.
pub fn program(name: &str) -> Result<PathBuf> {
    let variable = format!("SENSORIUM_{}", name.to_uppercase());
    if let Some(path) = std::env::var_os(&variable).map(PathBuf::from) {
        if !path.is_file() {
            bail!("{variable} is {}, which is no file", path.display());
        }
        return Ok(path);
    }
    // Test programs lie in target/PROFILE/deps, others in target/PROFILE.
    let here = std::env::current_exe().context("a program knows where it is")?;
    let released = here.ancestors().skip(1).map(|folder| folder.join("release").join(name));
    released.into_iter().find(|path| path.is_file()).with_context(|| {
        format!("{name} is not built: use `cargo xtask test` or `cargo xtask chaos`")
    })
}
