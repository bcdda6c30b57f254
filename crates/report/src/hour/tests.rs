//! Figures and charts of an hour.

use super::*;

const END_MS: i64 = 1_764_000_000_000;
const LOOK: Look = Look { lines_max: 20, columns: 120, has_colours: false };

fn window(kind: &str, sensor: &str, minute: i64, mean: f64) -> Window {
    Window {
        kind: kind.into(),
        sensor_id: sensor.into(),
        start_ms: END_MS - HOUR_MS + minute * MINUTE_MS,
        count: 40,
        min: mean - 0.5,
        max: mean + 0.5,
        mean,
        not_ok: 1,
    }
}

fn sensor(kind: &str, sensor_id: &str) -> Sensor {
    Sensor { kind: kind.into(), sensor_id: sensor_id.into() }
}

fn render(windows: &[Window], sensors: &[Sensor], columns: usize) -> String {
    let look = Look { columns, ..LOOK };
    Hour::of("site-0042", Span::until(END_MS), windows, sensors).render(&look)
}

fn some_windows() -> Vec<Window> {
    let mut windows = Vec::new();
    for minute in 0..60 {
        let rising = 20.0 + minute as f64 / 10.0;
        windows.push(window("temperature", "", minute, rising));
        if minute < 50 {
            windows.push(window("temperature", "site-0042/temperature-01", minute, 21.0));
        }
        windows.push(window("noise", "", minute, 40.0));
    }
    windows
}

#[test]
fn each_sensor_has_its_newest_minute_and_its_hour() {
    let sensors =
        [sensor("temperature", "site-0042/temperature-01"), sensor("light", "site-0042/light-02")];
    let expected = "\
MEANS           15:00                                                  16:00  SCALE ▁ TO █
temperature     ▁▁▁▁▁▂▂▂▂▂▂▂▂▃▃▃▃▃▃▃▃▃▄▄▄▄▄▄▄▄▅▅▅▅▅▅▅▅▆▆▆▆▆▆▆▆▆▇▇▇▇▇▇▇▇█████  20.00 to 25.90 °C
temperature-01  ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄            20.14 to 22.14 °C
light-02                                                                      -
noise           ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  40.00 to 40.00
a cell is the mean of a minute, from ▁ to █ of the scale of its line, which is no narrower than \
2 °C, 5 %RH, 2 hPa, 0 to
1 of motion, 50 lx; a blank is no reading

KIND            LATEST   MEAN    MIN    MAX  COUNT  NOT OK
temperature °C   25.90  22.95  19.50  26.40   2400    2.5%
noise            40.00  40.00  39.50  40.50   2400    2.5%
LATEST is the mean of the newest minute; all else is of the hour, COUNT in readings

2 sensors
SENSOR          KIND         UNIT     AT  LATEST   MEAN    MIN    MAX  COUNT  NOT OK
temperature-01  temperature  °C    15:49   21.00  21.00  20.50  21.50   2000    2.5%
light-02        light        lx        -       -      -      -      -      0       -
AT is the start of the newest minute that has readings
";
    assert_eq!(render(&some_windows(), &sensors, 120), expected);
}

#[test]
fn a_chart_has_as_many_cells_as_there_is_room_for() {
    let windows: Vec<Window> =
        (0..60).map(|minute| window("temperature", "", minute, minute as f64)).collect();
    for (columns, cells, of) in
        [(120, 60, "a minute"), (60, 30, "2 minutes"), (49, 20, "3 minutes"), (41, 12, "5 minutes")]
    {
        let text = render(&windows, &[], columns);
        let drawn = text.chars().filter(|character| "▁▂▃▄▅▆▇█".contains(*character));
        // The head of the scale has two, and so has the note.
        assert_eq!(drawn.count(), cells + 4, "{columns}: {text}");
        let text = text.replace('\n', " ");
        assert!(text.contains(&format!("a cell is the mean of {of},")), "{columns}: {text}");
    }
    let narrowest = render(&windows, &[sensor("temperature", &"x".repeat(99))], 40);
    assert!(narrowest.lines().all(|line| line.chars().count() <= 40), "{narrowest}");
}

#[test]
fn a_cell_weighs_minutes_by_their_readings() {
    let span = Span::until(END_MS);
    let few = Window { count: 10, ..window("light", "", 0, 100.0) };
    let many = Window { count: 30, ..window("light", "", 1, 200.0) };
    let means = span.means(&[&few, &many], 30);
    assert_eq!((means.len(), means[0], means[1]), (30, Some(175.0), None));
    assert_eq!(span.means(&[&few, &many], 60)[..2], [Some(100.0), Some(200.0)]);
}

#[test]
fn an_hour_is_sixty_whole_minutes_of_one_or_two_partitions() {
    let span = Span::until(END_MS + 1_800_000 + 59_999);
    assert_eq!((span.from_ms, span.end_ms), (END_MS - 1_800_000, END_MS + 1_800_000));
    assert_eq!(span.partitions().collect::<Vec<_>>(), [END_MS - HOUR_MS, END_MS]);
    assert!(span.contains(span.from_ms) && !span.contains(span.end_ms));
    assert_eq!(Span::until(END_MS).partitions().collect::<Vec<_>>(), [END_MS - HOUR_MS]);
}
