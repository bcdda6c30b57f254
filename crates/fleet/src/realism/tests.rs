//! The fleet passes the check, and noise without memory does not.

use domain::SensorKind;
use domain::simulation::Fleet;
use domain::simulation::signal::Outdoor;

use super::*;

const FAST: Extent = Extent { years: 12, fortnights: 12 };

#[test]
fn the_fleet_is_like_the_world() {
    let checks = checks(&Simulated::new(42), FAST);
    let off: Vec<&Check> = checks.iter().filter(|check| !check.passes()).collect();
    assert!(checks.len() > 60 && off.is_empty(), "{off:#?}");
}

/// Goal: the tolerances mean something. Method: values with the right means and spreads, but drawn
/// anew at every look, fail most of them.
#[test]
fn white_noise_is_not_like_the_world() {
    let checks = checks(&WhiteNoise(Simulated::new(42)), Extent { years: 2, fortnights: 2 });
    let passed = checks.iter().filter(|check| check.passes()).count();
    assert!(3 * passed < checks.len(), "{passed} of {} pass", checks.len());
}

#[test]
fn the_page_needs_nothing_else() {
    let signals = Simulated::new(42);
    let extent = Extent { years: 1, fortnights: 1 };
    let Comparison { residuals, checks } = Comparison::new(&signals, extent);
    let page = page::render(&signals, 42, &residuals, &checks);
    assert_eq!(page.matches("<section>").count(), 6);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(!page.contains("NaN") && !page.contains("inf "), "a number is missing");
    for foreign in ["http:", "https:", "<script", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} on the page");
    }
}

/// A fleet whose sensors and weather know nothing of time and of each other.
struct WhiteNoise(Simulated);

impl WhiteNoise {
    /// Nearly normal noise of standard deviation 1: the sum of twelve uniform numbers.
    fn normal(stream: u64, ts_ms: i64) -> f64 {
        let mut state = stream.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ts_ms.cast_unsigned();
        let mut sum = -6.0;
        for _ in 0..12 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            sum += ((word ^ (word >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum
    }
}

impl Signals for WhiteNoise {
    fn fleet(&self) -> &Fleet {
        self.0.fleet()
    }

    fn outdoor(&self, site: usize, ts_ms: i64) -> Outdoor {
        let normal = |quantity| Self::normal(1_000_000 + 4 * site as u64 + quantity, ts_ms);
        let temperature = 12.5 + 12.2 * normal(0);
        Outdoor {
            temperature,
            dew_point: (1.8 + 14.4 * normal(1)).min(temperature),
            pressure: 1_016.5 + 10.3 * normal(2),
            cloud: 0.5,
        }
    }

    fn is_occupied(&self, site: usize, ts_ms: i64) -> bool {
        Self::normal(2_000_000 + site as u64, ts_ms) > 0.74
    }

    fn raw(&self, sensor: u64, ts_ms: i64) -> f64 {
        let normal = Self::normal(sensor, ts_ms);
        match self.fleet().kind_of(sensor) {
            SensorKind::Temperature => 20.9 + 1.06 * normal,
            SensorKind::Humidity => 27.0 + 5.5 * normal,
            SensorKind::Pressure => 1_016.5 + 5.5 * normal,
            SensorKind::Motion => f64::from(u8::from(normal > 1.3)),
            SensorKind::Light => 120.0 + 190.0 * normal,
        }
    }
}
