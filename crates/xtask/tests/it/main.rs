//! The checkout follows its own style rules, and its generated page is not stale.

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
