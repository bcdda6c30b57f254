//! `fleet truth`: every anomaly of a run, written down to the reading.
//!
//! Each table has a file of its own in `truth`, and is written sensor by sensor, so that no run is
//! too long for the memory. All of them appear together once they are complete.

mod draft;
mod nab;
mod run;
mod table;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

use domain::simulation::{Anomaly, AnomalyKind, FateCounts};
use runtime::Shutdown;

use self::draft::DraftFolder;
use self::run::Run;
use self::table::{AnomalyTable, ReadingTable, TransportTable};
use crate::error::FleetError;
use crate::settings::TruthSettings;

/// Writes the truth about a run into a folder.
pub(crate) fn truth(
    settings: &TruthSettings,
    shutdown: &Shutdown,
    output: &mut impl Write,
) -> Result<ExitCode, FleetError> {
    let run = Run::read(settings)?;
    let folder = DraftFolder::create(&settings.out)?;
    let mut counts = Counts::default();
    let mut anomalies = AnomalyTable::create(&folder)?;
    let mut readings = if settings.readings { Some(ReadingTable::create(&folder)?) } else { None };
    let mut transport = TransportTable::create(&folder)?;
    let mut nab_sensors = nab::Choice::new(settings.nab_sensors);
    for sensor in run.sensors() {
        go_on(shutdown)?;
        counts.due += run.due(sensor);
        let mut any = false;
        for anomaly in run.anomalies(sensor) {
            any = true;
            counts.add(&anomaly);
            anomalies.write(&run, &anomaly)?;
            if let Some(readings) = &mut readings {
                readings.write(&run, &anomaly)?;
            }
        }
        if !run.simulation.transport_is_perfect() {
            transport.write(&run, sensor, &mut counts.fates)?;
        }
        nab_sensors.offer(sensor, any);
    }
    anomalies.finish()?;
    transport.finish()?;
    if let Some(readings) = readings {
        readings.finish()?;
    }
    let exported = nab::export(&run, &nab_sensors.chosen(), &folder, || go_on(shutdown))?;
    folder.publish()?;
    counts.print(output)?;
    writeln!(output, "{exported} sensors exported for the Numenta Anomaly Benchmark")?;
    writeln!(output, "written to {}", settings.out.display())?;
    writeln!(output, "{}", counts.verdict())?;
    Ok(ExitCode::SUCCESS)
}

fn go_on(shutdown: &Shutdown) -> Result<(), FleetError> {
    if shutdown.is_stopping() { Err(FleetError::Stopped) } else { Ok(()) }
}

/// What was found; a site-wide anomaly counts on each of its sensors.
#[derive(Debug, Default)]
struct Counts {
    /// Anomalies and the readings they cover, by kind and whether they are site-wide.
    by_kind: BTreeMap<(AnomalyKind, bool), (u64, u64)>,
    /// Readings that were due at all.
    due: u64,
    /// What became of them on their way.
    fates: FateCounts,
}

impl Counts {
    fn add(&mut self, anomaly: &Anomaly) {
        let (anomalies, readings) =
            self.by_kind.entry((anomaly.kind, anomaly.site_wide)).or_default();
        *anomalies += 1;
        *readings += anomaly.readings();
    }

    fn print(&self, output: &mut impl Write) -> Result<(), FleetError> {
        writeln!(output, "anomaly      site-wide  anomalies  readings")?;
        for ((kind, site_wide), (anomalies, readings)) in &self.by_kind {
            let (name, site_wide) = (kind.name(), if *site_wide { "yes" } else { "no" });
            writeln!(output, "{name:<11}  {site_wide:<9}  {anomalies:>9}  {readings:>8}")?;
        }
        let FateCounts { missing, forwarded, late, out_of_order, duplicate } = &self.fates;
        writeln!(
            output,
            "on the way: never sent {missing}, forwarded {forwarded}, late {late}, \
             out of order {out_of_order}, duplicate {duplicate}"
        )?;
        Ok(())
    }

    fn verdict(&self) -> String {
        let (anomalies, readings) =
            self.by_kind.values().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        format!("truth: {anomalies} anomalies on {readings} readings of {}", self.due)
    }
}

#[cfg(test)]
mod tests;
