//! The settings of each action.

use domain::dead_letter::{Reason, UnknownReason};
use runtime::kafka::{read_bootstrap_servers, read_dead_letter_topic};
use runtime::{Reader, Setting};
use serde::Deserialize;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// Lines for people; the last one is the result.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Task {
    /// List dead letters.
    List(ListSettings),
    /// Show one of them.
    Show(ShowSettings),
    /// Send them back.
    Redrive(RedriveSettings),
}

/// Where the dead letters are, and how to print.
#[derive(Clone, Debug)]
pub struct CommonSettings {
    /// Comma-separated `host:port`.
    pub bootstrap_servers: String,
    /// Topic of the dead letters.
    pub topic: String,
    /// The consumer group whose committed offsets tell what has been sent back.
    pub group_id: String,
    /// How results are printed.
    pub format: OutputFormat,
}

/// Which dead letters to list.
#[derive(Clone, Debug)]
pub struct ListSettings {
    /// Where they are.
    pub common: CommonSettings,
    /// Whether those that were sent back are listed too.
    pub all: bool,
    /// Most lines.
    pub limit: Option<u64>,
}

/// Which dead letter to show.
#[derive(Clone, Debug)]
pub struct ShowSettings {
    /// Where it is.
    pub common: CommonSettings,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// Which dead letters to send back, and how.
#[derive(Clone, Debug)]
pub struct RedriveSettings {
    /// Where they are.
    pub common: CommonSettings,
    /// The only reason to send back.
    pub reason: Option<Reason>,
    /// Shell command that turns a value on standard input into the one to send.
    pub through: Option<String>,
    /// Whether nothing is sent and nothing committed.
    pub dry_run: bool,
}

impl CommonSettings {
    fn read(reader: &mut Reader) -> Self {
        Self {
            bootstrap_servers: read_bootstrap_servers(reader),
            topic: read_dead_letter_topic(reader),
            group_id: reader.text(Setting::plain(
                "KAFKA_DLQ_GROUP_ID",
                "sensorium-redrive",
                "Consumer group whose offsets say which dead letters have been sent back",
            )),
            format: reader.choice(
                Setting::plain("DLQ_FORMAT", "text", "Form of what is printed on standard output"),
                "text or json",
            ),
        }
    }
}

impl Task {
    /// Reads the settings of `list`.
    pub fn read_list(reader: &mut Reader) -> Self {
        Self::List(ListSettings {
            all: reader.switch("DLQ_ALL", "List those that have been sent back as well"),
            limit: reader.number_if_set(
                Setting {
                    unit: "dead letters",
                    ..Setting::plain("DLQ_LIMIT", "", "Most dead letters to list; all are counted")
                },
                1..=u64::MAX,
            ),
            common: CommonSettings::read(reader),
        })
    }

    /// Reads the settings of `show`.
    pub fn read_show(reader: &mut Reader) -> Self {
        let partition = Setting::plain("DLQ_PARTITION", "", "Partition of the dead letter to show");
        let offset = Setting::plain("DLQ_OFFSET", "", "Offset of the dead letter to show");
        Self::Show(ShowSettings {
            partition: required(reader, partition, i32::MAX),
            offset: required(reader, offset, i64::MAX),
            common: CommonSettings::read(reader),
        })
    }

    /// Reads the settings of `redrive`.
    pub fn read_redrive(reader: &mut Reader) -> Self {
        let reason = Setting::plain(
            "DLQ_REASON",
            "",
            "The only reason to send back; dead letters of others are kept waiting",
        );
        let through = Setting::plain(
            "DLQ_THROUGH",
            "",
            "Shell command that repairs: gets a value on standard input, prints the one to send",
        );
        let reasons = Reason::ALL.map(Reason::name).join(", ");
        let reason = reader.choice_if_set::<Named>(reason, &format!("one of {reasons}"));
        Self::Redrive(RedriveSettings {
            reason: reason.map(|Named(reason)| reason),
            through: reader.text_if_set(through),
            dry_run: reader.switch("DLQ_DRY_RUN", "Send nothing, only say what would be sent"),
            common: CommonSettings::read(reader),
        })
    }
}

/// A reason, by its name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Named(Reason);

impl TryFrom<String> for Named {
    type Error = UnknownReason;

    fn try_from(name: String) -> Result<Self, UnknownReason> {
        name.parse().map(Self)
    }
}

/// Reads a number from 0 that has no default.
fn required<T>(reader: &mut Reader, setting: Setting, max: T) -> T
where
    T: serde::de::DeserializeOwned + PartialOrd + std::fmt::Display + Default,
{
    let given = reader.is_given(setting);
    let allowed = format!("0 to {max}");
    let number = reader.number_if_set(setting, T::default()..=max);
    if !given {
        reader.refuse(setting.name, "", allowed);
    }
    number.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(given: &[(&str, &str)]) -> Reader {
        Reader::new(given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn show_needs_a_place() {
        let mut none = reader(&[]);
        Task::read_show(&mut none);
        let names: Vec<&str> = none.problems().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["DLQ_PARTITION", "DLQ_OFFSET"]);

        let mut both = reader(&[("DLQ_PARTITION", "3"), ("DLQ_OFFSET", "17")]);
        let Task::Show(settings) = Task::read_show(&mut both) else { panic!("show was read") };
        assert!(both.problems().is_empty());
        assert_eq!((settings.partition, settings.offset), (3, 17));
    }

    #[test]
    fn a_reason_is_one_of_the_contract() {
        let mut known = reader(&[("DLQ_REASON", "clock-ahead")]);
        let Task::Redrive(settings) = Task::read_redrive(&mut known) else { panic!("redrive") };
        assert_eq!(settings.reason, Some(Reason::ClockAhead));

        let mut unknown = reader(&[("DLQ_REASON", "boredom")]);
        Task::read_redrive(&mut unknown);
        assert!(unknown.problems()[0].allowed.contains("too-large"), "{:?}", unknown.problems());
    }
}
