//! Renders the settings of a process for the reference page.

use std::fmt::Write;

use super::{Described, names};

/// Renders the settings as a Markdown table.
pub(super) fn table(described: &[Described]) -> String {
    let mut page = String::from("| variable | flag | default | unit | allowed | meaning |\n");
    page += "|---|---|---|---|---|---|\n";
    for Described { setting, allowed, .. } in described {
        let default = match setting.default {
            "" => "not set".to_owned(),
            value => format!("`{value}`"),
        };
        let flag = setting.flag();
        let (name, unit, mut meaning) = (setting.name, setting.unit, cell(setting.meaning));
        for alias in names::aliases(name) {
            meaning += &format!("; also `{alias}`, `--{}`", names::flag(alias));
        }
        let allowed = cell(allowed);
        writeln!(page, "| `{name}` | `--{flag}` | {default} | {unit} | {allowed} | {meaning} |")
            .expect("writing to a string succeeds");
    }
    page
}

/// Keeps a text from being read as a column's end or as a tag.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}
