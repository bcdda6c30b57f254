//! Is the simulated fleet like the world? Compares its statistics with published ones.

mod check;
mod neighbours;
mod office;
mod page;
mod signals;
mod statistics;
mod weather;

use std::fs;
use std::io::Write;
use std::process::ExitCode;

pub use self::check::{Check, Source};
pub use self::signals::{Signals, Simulated};

use self::office::Run;
use self::weather::{Hours, Residuals};
use crate::error::FleetError;
use crate::settings::RealismSettings;

/// How much of the fleet's life is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// Years of hourly weather.
    pub years: usize,
    /// Fortnights in an office, minute by minute.
    pub fortnights: usize,
}

impl Extent {
    /// What the tolerances are meant for.
    pub const FULL: Self = Self { years: 20, fortnights: 16 };
}

/// Computes every statistic and compares it with its reference.
pub fn checks(signals: &impl Signals, extent: Extent) -> Vec<Check> {
    Comparison::new(signals, extent).checks
}

/// The verdict with the series that the page shows.
struct Comparison {
    residuals: Residuals,
    checks: Vec<Check>,
}

impl Comparison {
    fn new(signals: &impl Signals, extent: Extent) -> Self {
        let hours = Hours::new(signals, extent.years);
        let residuals = Residuals::new(&hours);
        let mut checks = weather::checks(&hours, &residuals);
        checks.extend(office::checks(&Run::all(signals, extent.fortnights)));
        checks.extend(neighbours::checks(signals));
        Self { residuals, checks }
    }
}

/// Prints the comparison, draws it if asked to, and judges: exit code 1 if any statistic is off.
pub(crate) fn realism(
    settings: &RealismSettings,
    output: &mut impl Write,
) -> Result<ExitCode, FleetError> {
    let signals = Simulated::new(settings.seed);
    let Comparison { residuals, checks } = Comparison::new(&signals, Extent::FULL);
    if let Some(path) = &settings.page {
        let page = page::render(&signals, settings.seed, &residuals, &checks);
        fs::write(path, page)
            .map_err(|source| FleetError::Unwritable { path: path.clone(), source })?;
    }
    output.write_all(check::table(&checks).as_bytes())?;
    let good = checks.iter().all(Check::passes);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests;
