//! Reads the plain form of a reading, the one that the producer writes: its fields in order, no
//! white space, no escapes. All else is left to the decoder of any form, which is slower.

use std::borrow::Cow;

use super::{Location, Reading, Status};
use crate::SensorKind;

/// Decimal digits that make a whole number which a double holds exactly, and powers of ten which it
/// does: their quotient is then the nearest double, as `serde_json` computes it too.
const DIGITS_MAX: usize = 15;
const POWERS_OF_TEN: [f64; DIGITS_MAX + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Reads a record in the plain form; `None` is any other form, or no reading.
pub(super) fn read(record: &[u8]) -> Option<Reading<'_>> {
    let mut rest = Rest(str::from_utf8(record).ok()?);
    let sensor_id = rest.after("{\"sensor_id\":\"")?.text()?;
    let site_id = rest.after(",\"site_id\":\"")?.text()?;
    let kind = rest.after(",\"kind\":\"")?.text()?;
    let ts = rest.after(",\"ts\":")?.whole()?;
    let value = rest.after(",\"value\":")?.decimal()?;
    let unit = rest.after(",\"unit\":\"")?.text()?;
    let seq = rest.after(",\"seq\":")?.whole()?;
    let run = rest.after(",\"run\":\"")?.text()?;
    let status = rest.after(",\"status\":\"")?.text()?;
    let lat = rest.after(",\"location\":{\"lat\":")?.decimal()?;
    let lon = rest.after(",\"lon\":")?.decimal()?;
    if rest.0 != "}}" {
        return None;
    }
    Some(Reading {
        sensor_id: Cow::Borrowed(sensor_id),
        site_id: Cow::Borrowed(site_id),
        kind: SensorKind::ALL.into_iter().find(|known| known.name() == kind)?,
        ts,
        value,
        unit: Cow::Borrowed(unit),
        seq,
        run: Cow::Borrowed(run),
        status: Status::ALL.into_iter().find(|known| known.name() == status)?,
        location: Location { lat, lon },
    })
}

/// What is not yet read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Passes over what has to come next.
    fn after(&mut self, expected: &str) -> Option<&mut Self> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(self)
    }

    /// Passes over so many bytes, the last of which is ASCII, and returns them.
    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a text up to its closing quote.
    fn text(&mut self) -> Option<&'a str> {
        let end = self.0.bytes().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        let text = self.take(end)?;
        self.after("\"")?;
        Some(text)
    }

    /// Reads digits; a number has no zero before others.
    fn digits(&mut self) -> Option<&'a str> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        self.take(end).filter(|digits| !digits.is_empty())
    }

    /// Reads a whole number from 0.
    fn whole(&mut self) -> Option<i64> {
        let digits = self.digits()?;
        let is_plain = digits.len() <= DIGITS_MAX && (digits.len() == 1 || !is_zero_first(digits));
        // What follows must be the next field: `1.5` and `1e3` are other forms.
        (is_plain && self.0.starts_with(',')).then(|| number(digits.bytes()))
    }

    /// Reads a number without exponent.
    fn decimal(&mut self) -> Option<f64> {
        let is_negative = self.after("-").is_some();
        let whole = self.digits()?;
        let fraction = if self.after(".").is_some() { self.digits()? } else { "" };
        let digits = whole.len() + fraction.len();
        if digits > DIGITS_MAX || (whole.len() > 1 && is_zero_first(whole)) {
            return None;
        }
        let number: i64 = number(whole.bytes().chain(fraction.bytes()));
        let magnitude = number as f64 / POWERS_OF_TEN[fraction.len()];
        (self.0.starts_with([',', '}'])).then_some(if is_negative { -magnitude } else { magnitude })
    }
}

fn is_zero_first(digits: &str) -> bool {
    digits.starts_with('0')
}

/// Returns the number that at most [`DIGITS_MAX`] digits stand for.
fn number(digits: impl Iterator<Item = u8>) -> i64 {
    digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Both must say the same, to the bit; the plain form may be left to the other.
    fn compare(record: &[u8]) -> bool {
        let Some(plain) = read(record) else { return false };
        let text = String::from_utf8_lossy(record);
        if !plain.is_sound() {
            assert!(Reading::decode_any(record).is_err(), "{text}");
            return true;
        }
        let other = Reading::decode_any(record)
            .unwrap_or_else(|error| panic!("refused what was read of {text}: {error}"));
        assert_eq!(plain, other, "{text}");
        for (plain, other) in [
            (plain.value, other.value),
            (plain.location.lat, other.location.lat),
            (plain.location.lon, other.location.lon),
        ] {
            assert_eq!(plain.to_bits(), other.to_bits(), "{text}");
        }
        true
    }

    fn record(text: &str, number: &str, whole: &str, kind: &str, status: &str) -> String {
        format!(
            "{{\"sensor_id\":\"{text}\",\"site_id\":\"{text}\",\"kind\":\"{kind}\",\"ts\":{whole},\
             \"value\":{number},\"unit\":\"°C\",\"seq\":{whole},\"run\":\"{text}\",\
             \"status\":\"{status}\",\"location\":{{\"lat\":{number},\"lon\":{number}}}}}"
        )
    }

    #[test]
    fn what_the_producer_writes_is_plain() {
        use crate::simulation::*;
        let simulation = Simulation::new(RunManifest {
            run: "20261121T013321-9f3a".into(),
            seed: 7,
            fleet: FleetSpec { sensors: 5_000, kinds: SensorKind::ALL.to_vec() },
            schedule: Schedule::constant(
                1_764_000_000_000,
                Rate::per_second_milli(3_500_000).unwrap(),
            ),
            anomalies: AnomalySpec { probability_ppm: 100_000 },
            transport: TransportSpec::default(),
        });
        let mut record = Vec::new();
        for index in (0..2_000_000).step_by(97) {
            record.clear();
            simulation.encode(&simulation.reading(index), &mut record);
            assert!(compare(&record), "{}", String::from_utf8_lossy(&record));
        }
    }

    #[test]
    fn every_other_form_is_left() {
        let good = record("a", "1.5", "7", "light", "ok");
        assert!(compare(good.as_bytes()), "{good}");
        for (from, to) in [
            (":1.5,", ":1.5e3,"),
            (":1.5,", ":1.,"),
            (":1.5,", ":01.5,"),
            (":1.5,", ":.5,"),
            (":1.5,", ":1234567890123.456,"),
            (":7,", ":7.0,"),
            (":7,", ":-7,"),
            (":7,", ":07,"),
            (":7,", ":1234567890123456,"),
            ("\"a\"", "\"\\u0061\""),
            ("\"a\"", "\"\n\""),
            ("light", "sound"),
            ("\"ok\"", "\"fine\""),
            ("{\"lat\"", " {\"lat\""),
            ("}}", "}} "),
            ("}}", ",\"x\":1}}"),
            ("}}", "}"),
        ] {
            let other = good.replacen(from, to, 1);
            assert_ne!(other, good, "{from}");
            assert_eq!(read(other.as_bytes()), None, "{other}");
        }
        assert_eq!(read(b"\xff"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn both_read_the_same(
            text in "[ -~°é]{0,12}",
            number in "-?(0|[1-9][0-9]{0,14})(\\.[0-9]{1,14})?",
            whole in "0|[1-9][0-9]{0,14}",
            kind in 0..5_usize,
            status in 0..3_usize,
        ) {
            let (kind, status) = (SensorKind::ALL[kind].name(), Status::ALL[status].name());
            let plain_text = !text.contains(['"', '\\']);
            let digits = number.bytes().filter(u8::is_ascii_digit).count();
            let record = record(&text, &number, &whole, kind, status);
            let is_plain = plain_text && digits <= DIGITS_MAX;
            prop_assert_eq!(compare(record.as_bytes()), is_plain, "{}", record);
        }

        #[test]
        fn damage_is_never_read_otherwise(
            place in 0..300_usize,
            byte in any::<u8>(),
            insert in any::<bool>(),
        ) {
            let mut record = record("site-0001", "-21.37", "176", "motion", "fault").into_bytes();
            let place = place % record.len();
            if insert { record.insert(place, byte) } else { record[place] = byte }
            compare(&record);
        }
    }
}
