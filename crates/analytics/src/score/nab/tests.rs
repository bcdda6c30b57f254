//! The benchmark's score on cases computed by hand, and a corpus made here.

use std::fs;

use super::scorer::{Profile, Scored, best};
use super::*;

const STANDARD: Profile = Profile::ALL[0];

fn scores(rows: usize, detected: &[usize]) -> Vec<f64> {
    (0..rows).map(|row| f64::from(u8::from(detected.contains(&row)))).collect()
}

fn points(windows: &[(usize, usize)], detected: &[usize]) -> f64 {
    Scored::new(windows, scores(100, detected)).points(&STANDARD, 0.5)
}

#[test]
fn a_detection_is_worth_what_the_benchmark_says() {
    let window = &[(50, 59)];
    assert!((points(window, &[50]) - 1.0).abs() < 1e-12, "at its start");
    assert!((points(window, &[]) + 1.0).abs() < 1e-12, "missed");
    assert!((points(window, &[52, 50, 55]) - 1.0).abs() < 1e-12, "only the best counts");
    // 2 / (1 + exp(-0.5)) - 1 = 0.2449 of 0.9866 at the start.
    assert!((points(window, &[59]) - 0.244_919 / 0.986_614).abs() < 1e-5, "at its end");
    assert!((points(window, &[20]) + 1.0 + 0.11).abs() < 1e-12, "false, before it");
    // One row past: (1 / 9) windows, 2 / (1 + exp(5/9)) - 1 = -0.2708.
    assert!((points(window, &[60]) + 1.0 + 0.11 * 0.270_842).abs() < 1e-5, "just after");
    assert!((points(window, &[95]) + 1.0 + 0.11).abs() < 1e-6, "long after");
    assert!((points(window, &[3, 14]) + 1.0).abs() < 1e-12, "on probation");
}

#[test]
fn the_threshold_is_the_best_one_and_nothing_at_all_scores_zero() {
    let mut values = scores(100, &[]);
    (values[30], values[52], values[80]) = (0.9, 0.8, 0.3);
    let scored = Scored::new(&[(50, 59)], values);
    let (threshold, points) = best(&STANDARD, &[&scored]);
    assert!((threshold - 0.8).abs() < 1e-12);
    assert!((points - scored.points(&STANDARD, 0.8)).abs() < 1e-12);
    let silent = Scored::new(&[(50, 59)], scores(100, &[]));
    assert!(STANDARD.normalise(silent.points(&STANDARD, 0.5), 1).abs() < 1e-12);
    assert!((STANDARD.normalise(1.0, 1) - 100.0).abs() < 1e-12);
    let low_false_negatives = Profile::ALL[2];
    assert!((silent.points(&low_false_negatives, 0.5) + 2.0).abs() < 1e-12);
}

/// A sine wave with a step in the middle of its window.
fn write_series(folder: &Path, name: &str, step_at: usize) -> String {
    let start = jiff::civil::date(2014, 4, 1).at(0, 0, 0, 0);
    let time = |row: usize| {
        let minutes = i64::try_from(5 * row).unwrap();
        let time = start.checked_add(jiff::Span::new().minutes(minutes)).unwrap();
        time.strftime("%Y-%m-%d %H:%M:%S").to_string()
    };
    let mut text = "timestamp,value\n".to_owned();
    for row in 0..2_000 {
        let step = if (step_at..step_at + 20).contains(&row) { 60.0 } else { 0.0 };
        let ripple = f64::from(u32::try_from(row * 7 % 13).unwrap());
        text +=
            &format!("{},{}\n", time(row), 20.0 + (row as f64 / 40.0).sin() + ripple / 20.0 + step);
    }
    fs::write(folder.join("data/made").join(name), text).unwrap();
    let (from, to) = (time(step_at - 20), time(step_at + 40));
    format!("\"made/{name}\": [[\"{from}.000000\", \"{to}.000000\"]]")
}

#[test]
fn a_corpus_is_scored_and_its_results_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::create_dir_all(folder.join("data/made")).unwrap();
    fs::create_dir_all(folder.join("labels")).unwrap();
    let labels: Vec<String> = [("a.csv", 900), ("b.csv", 1_300), ("c.csv", 1_700)]
        .map(|(name, step_at)| write_series(folder, name, step_at))
        .into();
    let labels = format!("{{{}}}", labels.join(","));
    fs::write(folder.join("labels/combined_windows.json"), labels).unwrap();
    let mut table = Vec::new();
    let score = nab(folder, &mut table).unwrap();
    assert_eq!((score.files, score.rows, score.windows), (3, 6_000, 3));
    for profile in &score.profiles {
        assert!(profile.score > 80.0 && profile.score <= 100.0, "{profile:?}");
    }
    assert!(String::from_utf8(table).unwrap().contains("standard"));
    let results = folder.join("results/sensorium/made/sensorium_a.csv");
    let results = fs::read_to_string(results).unwrap();
    let lines: Vec<&str> = results.lines().collect();
    assert_eq!((lines.len(), lines[0]), (2_001, "timestamp,value,anomaly_score,label"));
    assert!(lines[1].starts_with("2014-04-01 00:00:00,20,0"), "{}", lines[1]);
    assert!(lines[900].ends_with(",1") && lines[800].ends_with(",0"));
    let inside = |line: &&str| {
        let score: f64 = line.split(',').nth(2).unwrap().parse().unwrap();
        (0.0..=1.0).contains(&score)
    };
    assert!(lines[1..].iter().all(inside));
}

#[test]
fn what_is_no_corpus_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = nab(folder.path(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("combined_windows.json"), "{error}");
    fs::create_dir_all(folder.path().join("data/made")).unwrap();
    fs::create_dir_all(folder.path().join("labels")).unwrap();
    fs::write(folder.path().join("labels/combined_windows.json"), "{}").unwrap();
    let error = nab(folder.path(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error, ScoreError::Empty(_)));
    fs::write(folder.path().join("data/made/a.csv"), "timestamp,value\n2014-04-01,x\n").unwrap();
    let error = nab(folder.path(), &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("line 2"), "{error}");
}
