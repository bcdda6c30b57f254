//! Eight ways to make a reading unfit to be stored, each with the reason that it must be given, and
//! the way back.

use domain::dead_letter::Reason;

/// One way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Damage {
    /// The reason of the dead letter.
    pub(super) reason: Reason,
    worsen: fn(&[u8]) -> Vec<u8>,
    /// Returns the record as it was; `None` if it was not damaged in this way.
    repair: fn(&[u8]) -> Option<Vec<u8>>,
}

/// All of them.
pub(super) const ALL: [Damage; 8] = [
    Damage {
        reason: Reason::Malformed,
        worsen: |record| record[..record.len() - 2].to_vec(),
        repair: |record| {
            (!record.ends_with(b"}") && !record.ends_with(b" ")).then(|| [record, b"}}"].concat())
        },
    },
    Damage {
        reason: Reason::Malformed,
        worsen: |record| [b"\xff", record].concat(),
        repair: |record| record.strip_prefix(b"\xff").map(<[u8]>::to_vec),
    },
    Damage {
        reason: Reason::Malformed,
        worsen: |record| replaced(record, "\"sensor_id\":", "\"sensor\":"),
        repair: |record| restored(record, "\"sensor_id\":", "\"sensor\":"),
    },
    Damage {
        reason: Reason::TooLarge,
        worsen: |record| [record, &b" ".repeat(5_000)].concat(),
        repair: |record| record.ends_with(b" ").then(|| record.trim_ascii_end().to_vec()),
    },
    Damage {
        reason: Reason::UnknownKind,
        worsen: |record| replaced(record, "\"kind\":\"", "\"kind\":\"un"),
        repair: |record| restored(record, "\"kind\":\"", "\"kind\":\"un"),
    },
    Damage {
        reason: Reason::TimestampOutOfBounds,
        worsen: |record| replaced(record, "\"ts\":", "\"ts\":9"),
        repair: |record| restored(record, "\"ts\":", "\"ts\":9"),
    },
    Damage {
        reason: Reason::ImpossibleValue,
        worsen: |record| replaced(record, "\"seq\":", "\"seq\":-1"),
        repair: |record| restored(record, "\"seq\":", "\"seq\":-1"),
    },
    Damage {
        reason: Reason::ImpossibleValue,
        worsen: |record| replaced(record, "\"unit\":\"", "\"unit\":\"milli"),
        repair: |record| restored(record, "\"unit\":\"", "\"unit\":\"milli"),
    },
];

impl Damage {
    /// Damages an encoded reading.
    pub(super) fn apply(&self, record: &[u8]) -> Vec<u8> {
        (self.worsen)(record)
    }
}

/// Undoes whichever damage was done.
pub(super) fn repair(record: &[u8]) -> Option<Vec<u8>> {
    ALL.iter().find_map(|damage| (damage.repair)(record))
}

fn replaced(record: &[u8], good: &str, bad: &str) -> Vec<u8> {
    String::from_utf8_lossy(record).replacen(good, bad, 1).into_bytes()
}

fn restored(record: &[u8], good: &str, bad: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(record).ok()?;
    text.contains(bad).then(|| text.replacen(bad, good, 1).into_bytes())
}

#[cfg(test)]
mod tests {
    use domain::reading::Reading;

    use super::*;

    #[test]
    fn each_damage_has_its_reason_and_can_be_undone() {
        let simulation = super::super::simulation(1_000, 1_764_000_000_000).unwrap();
        for index in 0..1_000 {
            let mut record = Vec::new();
            simulation.encode(&simulation.reading(index), &mut record);
            Reading::decode(&record).unwrap();
            assert_eq!(repair(&record), None);
            for damage in ALL {
                let damaged = damage.apply(&record);
                let error = Reading::decode(&damaged).unwrap_err();
                assert_eq!(error.reason(), damage.reason, "{error}");
                assert_eq!(repair(&damaged).as_deref(), Some(&*record), "{damage:?}");
            }
        }
    }
}
