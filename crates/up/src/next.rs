//! What a person can do with a pipeline that runs: the commands, as they are typed.

use std::collections::BTreeMap;
use std::path::Path;

/// What the tools have to be told of a pipeline that they cannot find by themselves.
const TOLD: [&str; 3] = ["KAFKA_", "CASSANDRA_", "AUDIT_"];

/// Returns the line for a pipeline that `cargo xtask` finds: by itself where no other runs.
pub(crate) fn found(data_dir: &Path, others_run: bool) -> String {
    let mut of = String::new();
    if others_run {
        of = format!(" --data {}", quoted(&data_dir.display().to_string()));
    }
    format!(
        "next, in another terminal: cargo xtask report{of}; cargo xtask audit{of}; \
         cargo xtask cqlsh{of}"
    )
}

/// Returns the line for a pipeline that has to be described to the tools.
pub(crate) fn told(environment: &BTreeMap<String, String>) -> String {
    let mut export = String::new();
    for (name, value) in environment {
        if TOLD.iter().any(|start| name.starts_with(start)) {
            export += &format!(" {name}={}", quoted(value));
        }
    }
    format!(
        "next, in another terminal: export{export}; cargo xtask report; cargo xtask audit; \
         cargo xtask cqlsh"
    )
}

/// Quotes a word for the shell, if it needs that.
fn quoted(word: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "-_./:,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_pipeline_needs_no_name() {
        let next = "next, in another terminal: cargo xtask report; cargo xtask audit; \
                    cargo xtask cqlsh";
        assert_eq!(found(Path::new("/data"), false), next);
        let of_several = found(Path::new("/da ta"), true);
        assert!(of_several.contains("cargo xtask report --data '/da ta';"), "{of_several}");
        assert!(of_several.ends_with("cargo xtask cqlsh --data '/da ta'"), "{of_several}");
    }

    #[test]
    fn what_cannot_be_found_is_told() {
        let environment = [
            ("CASSANDRA_CONTACT_POINTS", "127.0.0.1:9042"),
            ("KAFKA_TOPIC_NAME", "it's"),
            ("LOG_DIR", "none"),
        ];
        let environment =
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let expected = "next, in another terminal: export CASSANDRA_CONTACT_POINTS=127.0.0.1:9042 \
                        KAFKA_TOPIC_NAME='it'\\''s'; cargo xtask report; cargo xtask audit; \
                        cargo xtask cqlsh";
        assert_eq!(told(&environment), expected);
    }
}
