//! Renders the reference page of the settings of all processes.

use std::fmt::Write;

use super::{Described, Reader};

/// Renders one process's settings as a Markdown table.
pub fn table<S>(read: impl Fn(&mut Reader) -> S) -> String {
    let mut reader = Reader::default();
    read(&mut reader);
    let mut page = String::from("| variable | flag | default | unit | allowed | meaning |\n");
    page += "|---|---|---|---|---|---|\n";
    for Described { setting, allowed } in reader.described() {
        let default = match setting.default {
            "" => "not set".to_owned(),
            value => format!("`{value}`"),
        };
        let flag = setting.flag();
        let (name, unit, meaning) = (setting.name, setting.unit, setting.meaning);
        writeln!(
            page,
            "| `{name}` | `--{flag}` | {default} | {unit} | {allowed} | {meaning} |"
        )
        .expect("writing to a string succeeds");
    }
    page
}
