//! The checkout follows its own style rules, its generated page is not stale, and no task compiles
//! a library twice.

use std::process::Stdio;

use serde_json::Value;
use xtask::Workspace;

#[test]
fn the_checkout_follows_the_style_rules() {
    let violations = xtask::check_tidy(&Workspace::here()).unwrap();
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "see `cargo xtask tidy`\n{}", lines.join("\n"));
}

#[test]
fn the_page_of_settings_is_what_the_programs_say() {
    if let Err(error) = xtask::check_docs(&Workspace::here()) {
        panic!("{error:#}");
    }
}

/// What `cargo xtask up` has built serves all other tasks: cargo finds every library as fresh.
#[test]
fn a_program_built_alone_is_built_of_the_same_libraries() {
    let workspace = Workspace::here();
    assert!(
        workspace.program("up").is_file(),
        "nothing is built: `cargo xtask test` does it first"
    );
    for programs in [
        &[][..],
        &["analytics"],
        &["audit"],
        &["bench"],
        &["chaos"],
        &["dlq"],
        &["fleet"],
        &["report"],
        &["producer", "audit", "chaos"],
    ] {
        let mut build = workspace.release_build(programs);
        build.args(["--quiet", "--message-format", "json"]).stderr(Stdio::inherit());
        let output = build.output().unwrap();
        assert!(output.status.success(), "{build:?} failed");
        let messages = String::from_utf8(output.stdout).unwrap();
        let libraries: Vec<Value> = messages
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|message: &Value| message["reason"] == "compiler-artifact")
            .filter(|message| message["package_id"].as_str().unwrap().starts_with("registry+"))
            .collect();
        assert!(libraries.len() > 20, "{programs:?} needs more than {} libraries", libraries.len());
        let compiled: Vec<_> = libraries
            .iter()
            .filter(|message| message["fresh"] != true)
            .map(|message| message["package_id"].to_string())
            .collect();
        assert!(compiled.is_empty(), "{programs:?} compiled again: {}", compiled.join(", "));
    }
}
