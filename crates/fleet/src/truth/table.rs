//! The tables of anomalies, of the readings they cover and of those that met a fault on their way,
//! as CSV: no field needs quotes.

use std::io::Write;

use domain::simulation::transport::Fault;
use domain::simulation::{Anomaly, Fate, FateCounts, SimulatedReading};

use super::draft::{DraftFile, DraftFolder};
use super::run::Run;
use crate::error::FleetError;

/// `anomalies.csv`: one line for each anomaly of each sensor.
#[derive(Debug)]
pub(crate) struct AnomalyTable {
    file: DraftFile,
}

impl AnomalyTable {
    pub(crate) fn create(folder: &DraftFolder) -> Result<Self, FleetError> {
        let mut file = folder.file("anomalies.csv")?;
        file.write(
            b"id,sensor_id,site_id,kind,anomaly,site_wide,start_ms,end_ms,first_seq,last_seq,\
              magnitude_sd,amount,unit\n",
        )?;
        Ok(Self { file })
    }

    pub(crate) fn write(&mut self, run: &Run, anomaly: &Anomaly) -> Result<(), FleetError> {
        let fleet = run.simulation.fleet();
        let kind = fleet.kind_of(anomaly.sensor);
        let line = format!(
            "{},{},{},{kind},{},{},{},{},{},{},{:.3},{:.4},{}\n",
            anomaly.id,
            fleet.sensor_id(anomaly.sensor),
            fleet.site_of(anomaly.sensor).id,
            anomaly.kind.name(),
            anomaly.site_wide,
            anomaly.start_ms,
            anomaly.end_ms,
            anomaly.first_seq,
            anomaly.last_seq,
            anomaly.magnitude,
            anomaly.amount,
            kind.unit(),
        );
        self.file.write(line.as_bytes())
    }

    pub(crate) fn finish(self) -> Result<(), FleetError> {
        self.file.finish()
    }
}

/// `readings.csv`: one line for each reading that an anomaly covers.
#[derive(Debug)]
pub(crate) struct ReadingTable {
    file: DraftFile,
}

impl ReadingTable {
    pub(crate) fn create(folder: &DraftFolder) -> Result<Self, FleetError> {
        let mut file = folder.file("readings.csv")?;
        file.write(b"sensor_id,seq,ts_ms,value_clean,value_sent\n")?;
        Ok(Self { file })
    }

    /// What was not sent has no value there.
    pub(crate) fn write(&mut self, run: &Run, anomaly: &Anomaly) -> Result<(), FleetError> {
        let sensor_id = run.sensor_id(anomaly.sensor);
        let mut line = Vec::new();
        for seq in anomaly.first_seq..=anomaly.last_seq {
            let clean = run.clean(anomaly.sensor, seq);
            line.clear();
            write!(line, "{sensor_id},{seq},{},", clean.ts_ms)?;
            clean.measurement.value.write(&mut line);
            line.push(b',');
            if let Some(sent) = run.sent(anomaly.sensor, seq) {
                sent.measurement.value.write(&mut line);
            }
            line.push(b'\n');
            self.file.write(&line)?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), FleetError> {
        self.file.finish()
    }
}

/// `transport.csv`: one line for each reading that does not simply arrive.
#[derive(Debug)]
pub(crate) struct TransportTable {
    file: DraftFile,
}

impl TransportTable {
    pub(crate) fn create(folder: &DraftFolder) -> Result<Self, FleetError> {
        let mut file = folder.file("transport.csv")?;
        file.write(
            b"sensor_id,seq,ts_ms,clock_skew_ms,fault,delay_ms,copy_delay_ms
",
        )?;
        Ok(Self { file })
    }

    /// Writes what became of a sensor's readings, and counts it.
    pub(crate) fn write(
        &mut self,
        run: &Run,
        sensor: u64,
        counts: &mut FateCounts,
    ) -> Result<(), FleetError> {
        let sensor_id = run.sensor_id(sensor);
        for seq in run.seqs(sensor) {
            let fate = run.fate(sensor, seq);
            if fate == Fate::default() {
                continue;
            }
            counts.add(&fate);
            let SimulatedReading { ts_ms, due_ms, .. } = run.clean(sensor, seq);
            let fault = fate.fault.map_or("", Fault::name);
            let copy_delay_ms = fate.copy_delay_ms.map(|ms| ms.to_string()).unwrap_or_default();
            let line = format!(
                "{sensor_id},{seq},{ts_ms},{},{fault},{},{copy_delay_ms}
",
                ts_ms - due_ms,
                fate.delay_ms
            );
            self.file.write(line.as_bytes())?;
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<(), FleetError> {
        self.file.finish()
    }
}
