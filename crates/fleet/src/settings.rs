//! The settings of each action.

use std::path::PathBuf;

use runtime::{Reader, Setting};

const FROM: Setting = Setting {
    name: "FLEET_FROM",
    default: "0",
    unit: "s",
    meaning: "Start of the part to look at, counted from the start of the run",
};
const TO: Setting = Setting {
    name: "FLEET_TO",
    default: "",
    unit: "s",
    meaning: "End of that part; not set: all that was sent",
};

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// Compare the fleet's values with the world's.
    Realism(RealismSettings),
    /// Write down the anomalies of a run.
    Truth(TruthSettings),
}

/// Which fleet to compare, and where to draw it.
#[derive(Clone, Debug)]
pub struct RealismSettings {
    /// Seed of the fleet.
    pub seed: u64,
    /// File of the page; `None` for no page.
    pub page: Option<PathBuf>,
}

/// Which run to tell the truth about, and where to.
#[derive(Clone, Debug)]
pub struct TruthSettings {
    /// The report of the run.
    pub report: PathBuf,
    /// Folder for the results.
    pub out: PathBuf,
    /// Start of the part to look at, in seconds from the start of the run.
    pub from_s: u32,
    /// Its end, exclusive; `None` for all that was scheduled.
    pub to_s: Option<u32>,
    /// Whether every affected reading is listed.
    pub readings: bool,
    /// Sensors to export for the Numenta Anomaly Benchmark.
    pub nab_sensors: u64,
}

impl Task {
    /// Reads the settings of `realism`.
    pub fn read_realism(reader: &mut Reader) -> Self {
        let page =
            Setting::plain("FLEET_PAGE", "", "File to draw the comparison to, as one HTML page");
        Self::Realism(RealismSettings {
            seed: read_seed(reader),
            page: reader.text_if_set(page).map(PathBuf::from),
        })
    }

    /// Reads the settings of `truth`.
    pub fn read_truth(reader: &mut Reader) -> Self {
        let settings = TruthSettings {
            report: reader.text(Setting::plain("FLEET_REPORT", "", "Report of the run")).into(),
            out: reader
                .text(Setting::plain("FLEET_OUT", "", "Folder for the results, missing or empty"))
                .into(),
            from_s: reader.number(FROM, 0..=u32::MAX),
            to_s: reader.number_if_set(TO, 1..=u32::MAX),
            readings: reader.switch(
                "FLEET_READINGS",
                "List every affected reading with its clean value and the one sent",
            ),
            nab_sensors: reader.number(
                Setting {
                    unit: "sensors",
                    ..Setting::plain(
                        "FLEET_NAB",
                        "10",
                        "Sensors to export for the Numenta Anomaly Benchmark, those with \
                         anomalies first",
                    )
                },
                0..=u64::MAX,
            ),
        };
        if let Some(to_s) = settings.to_s.filter(|to_s| *to_s <= settings.from_s) {
            let allowed = format!("more than {} ({})", FROM.name, settings.from_s);
            reader.refuse(TO.name, to_s, allowed);
        }
        Self::Truth(settings)
    }
}

fn read_seed(reader: &mut Reader) -> u64 {
    let meaning = "Seed of the fleet and its values: the same seed, the same readings";
    reader.number(Setting::plain("PRODUCER_SEED", "42", meaning), 0..=u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(given: &[(&str, &str)]) -> Reader {
        Reader::new(given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a_page_is_drawn_only_on_request() {
        let Task::Realism(settings) = Task::read_realism(&mut reader(&[])) else {
            panic!("realism was read")
        };
        assert_eq!((settings.seed, settings.page), (42, None));
        let mut given = reader(&[("FLEET_PAGE", "realism.html")]);
        let Task::Realism(settings) = Task::read_realism(&mut given) else {
            panic!("realism was read")
        };
        assert_eq!(settings.page, Some("realism.html".into()));
    }

    #[test]
    fn truth_needs_a_report_and_a_folder() {
        let mut none = reader(&[]);
        Task::read_truth(&mut none);
        let names: Vec<&str> = none.problems().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["FLEET_REPORT", "FLEET_OUT"]);

        let mut both = reader(&[("FLEET_REPORT", "r.json"), ("FLEET_OUT", "truth")]);
        let Task::Truth(settings) = Task::read_truth(&mut both) else { panic!("truth was read") };
        assert!(both.problems().is_empty());
        assert_eq!(settings.report, PathBuf::from("r.json"));
        assert_eq!((settings.from_s, settings.to_s, settings.nab_sensors), (0, None, 10));
        assert!(!settings.readings);
        assert_eq!(FROM.flag(), "from");
    }

    #[test]
    fn a_part_ends_after_its_start() {
        let part = |from, to| {
            let mut reader = reader(&[
                ("FLEET_REPORT", "r"),
                ("FLEET_OUT", "o"),
                ("FLEET_FROM", from),
                ("FLEET_TO", to),
            ]);
            Task::read_truth(&mut reader);
            reader.problems().iter().map(|p| p.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(part("5", "6"), Vec::<String>::new());
        assert_eq!(part("5", "5"), ["FLEET_TO"]);
    }
}
