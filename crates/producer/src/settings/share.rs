//! The settings with which several producers share one run.

use std::fs;

use domain::contract::ID_BYTES_MAX;
use domain::simulation::report::Shard;
use jiff::Timestamp;
use runtime::{Reader, Setting};

const RUN: Setting = Setting {
    name: "PRODUCER_RUN",
    default: "",
    unit: "",
    meaning: "Id of the run, the same for all producers that share it; not set makes a new one, \
              with PRODUCER_START the one that follows from all inputs: a history that is sent \
              again is the same rows",
};
const SHARD: Setting = Setting {
    name: "PRODUCER_SHARD",
    default: "0/1",
    unit: "",
    meaning: "The part of the sites simulated here: 2/4, or auto/4 by the number in the host name",
};
const SHARD_ALLOWED: &str = "I/N with I from 0 to N - 1 (N counts as 0), or auto/N where the host \
                             name ends in a number; N is at most 10000";
const SHARDS_MAX: u64 = 10_000;

/// Reads the id of the run.
pub(super) fn read_run(reader: &mut Reader) -> Option<String> {
    let run = reader.text_if_set(RUN)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    // It names a file as well.
    if run.len() > ID_BYTES_MAX || run.starts_with('.') || !run.chars().all(is_plain) {
        let allowed = format!("1 to {ID_BYTES_MAX} of a-z, A-Z, 0-9, `_`, `-` and, within, `.`");
        reader.refuse(RUN.name, run, allowed);
        return None;
    }
    Some(run)
}

/// Reads the part that is simulated here: all parts are of one run, and of one schedule.
pub(super) fn read_shard(
    reader: &mut Reader,
    run: Option<&str>,
    start: Option<Timestamp>,
) -> Shard {
    let given: String = reader.choice(SHARD, SHARD_ALLOWED);
    let Some(shard) = parse(&given, &host_name()) else {
        reader.refuse(SHARD.name, given, SHARD_ALLOWED);
        return Shard::WHOLE;
    };
    if !shard.is_whole() && (run.is_none() || start.is_none()) {
        let allowed = "a part only together with PRODUCER_RUN and PRODUCER_START, which are the \
                       same for all parts";
        reader.refuse(SHARD.name, given, allowed);
    }
    shard
}

fn parse(text: &str, host_name: &str) -> Option<Shard> {
    let (number, of) = text.split_once('/')?;
    let of: u64 = of.parse().ok().filter(|of| (1..=SHARDS_MAX).contains(of))?;
    let number: u64 = if number == "auto" {
        let stem = host_name.trim_end_matches(|c: char| c.is_ascii_digit());
        host_name[stem.len()..].parse().ok()?
    } else {
        number.parse().ok().filter(|number| *number <= of)?
    };
    Some(Shard { number: number % of, of })
}

/// Returns the name of this machine or container; empty where the system does not tell.
fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_number_of_a_number() {
        for (text, number, of) in
            [("0/1", 0, 1), ("2/4", 2, 4), ("4/4", 0, 4), ("auto/4", 2, 4), ("auto/2", 0, 2)]
        {
            assert_eq!(parse(text, "producer-2"), Some(Shard { number, of }), "{text}");
        }
        for text in ["", "1", "5/4", "-1/4", "1/0", "a/4", "auto", "1/10001"] {
            assert_eq!(parse(text, "producer-2"), None, "{text}");
        }
        assert_eq!(parse("auto/4", "laptop"), None);
    }

    #[test]
    fn a_part_needs_what_all_parts_share() {
        let problems = |given: &[(&str, &str)]| {
            let given = given.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            let mut reader = Reader::new(given.collect());
            let run = read_run(&mut reader);
            read_shard(&mut reader, run.as_deref(), None);
            reader.problems().iter().map(|problem| problem.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(problems(&[("PRODUCER_SHARD", "1/2")]), ["PRODUCER_SHARD"]);
        assert_eq!(problems(&[("PRODUCER_RUN", "../x")]), ["PRODUCER_RUN"]);
        assert_eq!(problems(&[("PRODUCER_RUN", "20261121-a.b_c")]), Vec::<String>::new());
    }
}
