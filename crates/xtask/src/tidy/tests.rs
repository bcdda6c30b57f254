//! Every rule finds what breaks it and leaves alone what does not.

use super::*;

fn source(path: &str, text: &str) -> Source {
    Source::new(path.to_owned(), text.to_owned())
}

fn found(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{}:{}", violation.line, violation.message)).collect()
}

/// Asserts that exactly one violation is found, in this line and with this text.
fn assert_one(violations: &[Violation], line: usize, part: &str) {
    let found = found(violations);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{line}:")) && found[0].contains(part), "{found:?}");
}

#[test]
fn a_clean_file_breaks_no_rule() {
    let source = source("crates/domain/src/a.rs", "//! A file.\n\nfn add() -> u8 {\n    1\n}\n");
    assert_eq!(text::check(&source), []);
    assert_eq!(rust::check(&source), []);
    assert_eq!(syntax::check(&source), []);
}

#[test]
fn text_has_clean_ends_and_nothing_unfinished() {
    let check = |text: &str| text::check(&source("a.sh", text));
    assert_one(&check("a \n"), 1, "trailing");
    assert_one(&check("a\nb"), 2, "newline");
    assert_one(&check("a\n\n"), 2, "empty line");
    assert_one(&check(&format!("a\n# {}: b\n", ["TO", "DO"].concat())), 2, "do it");
    assert_one(&check(&format!("cd {}x\n", ["/ho", "me/"].concat())), 1, "one machine");
    assert_eq!(check(&format!("mktemp a.{}\n", "X".repeat(6))), []);
}

#[test]
fn a_page_has_one_title() {
    let check = |text: &str| text::check(&source("a.md", text));
    assert_eq!(check("# A\n\n```sh\n# a comment\n```\n"), []);
    assert_one(&check("## A\n"), 1, "has 0");
    assert_one(&check("# A\n# B\n"), 1, "has 2");
}

#[test]
fn rust_files_have_a_good_name_and_a_first_line_and_are_narrow() {
    let check = |path: &str, text: &str| rust::check(&source(path, text));
    assert_one(&check("crates/a/src/mod.rs", "//! A.\n"), 1, "mod.rs");
    assert_one(&check("crates/a/src/utils.rs", "//! A.\n"), 1, "utils.rs");
    assert_one(&check("crates/a/src/a.rs", "fn a() {}\n"), 1, "open");
    assert_one(&check("crates/a/src/a.rs", &format!("//! {}\n", "é".repeat(97))), 1, "101 col");
    assert_eq!(check("crates/a/src/a.rs", &format!("//! {}\n", "é".repeat(96))), []);
    let ignored = format!("//! A.\n{}]\n", ["#[", "ignore"].concat());
    assert_one(&check("crates/a/tests/it/main.rs", &ignored), 2, "deleted");
}

#[test]
fn only_some_crates_read_the_environment() {
    let reading = format!("//! A.\nuse std::{}_os;\n", ["env::", "var"].concat());
    let check = |path: &str| rust::check(&source(path, &reading));
    assert_one(&check("crates/producer/src/main.rs"), 2, "environment");
    assert_eq!(check("crates/runtime/src/process.rs"), []);
}

#[test]
fn functions_and_files_are_short() {
    let function = |lines: usize| format!("fn long() {{\n{}}}\n", "    a();\n".repeat(lines - 2));
    let check = |text: &str| syntax::check(&source("crates/a/src/a.rs", text));
    assert_eq!(check(&function(70)), []);
    assert_one(&check(&format!("//! A.\n{}", function(71))), 2, "`long` has 71 lines");
    let constants = "const A: u8 = 1;\n".repeat(500);
    assert_eq!(check(&constants), []);
    assert_one(&check(&format!("{constants}\n")), 1, "501 lines");
    assert_eq!(check(&format!("{constants}#[cfg(test)]\nmod tests {{\n    use a;\n}}\n")), []);
    assert_eq!(syntax::check(&source("crates/a/tests/it/main.rs", &constants.repeat(2))), []);
}

#[test]
fn unwrap_is_for_tests() {
    let call = ["a.un", "wrap()"].concat();
    let check = |text: String| syntax::check(&source("crates/a/src/a.rs", &text));
    assert_one(&check(format!("fn a() {{\n    {call};\n}}\n")), 2, "expect");
    assert_one(&check(format!("fn a() {{\n    assert!({call} > 1);\n}}\n")), 2, "expect");
    assert_eq!(check(format!("#[test]\nfn a() {{\n    {call};\n}}\n")), []);
    assert_eq!(check(format!("#[cfg(test)]\nmod tests {{\n    fn a() {{ {call} }}\n}}\n")), []);
    assert_eq!(check(format!("fn a() {{\n    {};\n}}\n", call.replace("()", "_or(1)"))), []);
}

#[test]
fn an_error_leaves_its_source_to_whoever_prints_it() {
    let check = |text: &str, fields: &str| {
        let variant = format!("enum E {{\n    #[error({text})]\n    A{fields},\n}}\n");
        syntax::check(&source("crates/a/src/error.rs", &variant))
    };
    for (text, fields) in [
        ("\"no: {source}\"", "{ source: X }"),
        ("\"no: {cause:?}\"", "{ #[source] cause: X }"),
        ("\"no: {0}\"", "(#[from] X)"),
        ("\"no: {1}\"", "(u8, #[source] X)"),
    ] {
        assert_one(&check(text, fields), 2, "prints its source");
    }
    for (text, fields) in [
        ("\"no {0}\"", "(u8, #[source] X)"),
        ("\"no {what}\"", "{ what: u8, source: X }"),
        ("\"no {}\", source.len()", "{ source: X }"),
        ("transparent", "(#[from] X)"),
    ] {
        assert_eq!(check(text, fields), [], "{text} {fields}");
    }
}

#[test]
fn a_module_that_only_tests_compile_is_test_code() {
    let declare = "//! A.\n#[cfg(test)]\npub(crate) mod testing;\nmod other;\n";
    let paths = |path: &str| test_modules(&source(path, declare)).collect::<Vec<_>>();
    assert_eq!(paths("crates/a/src/b.rs"), ["crates/a/src/b/testing.rs"]);
    assert_eq!(paths("crates/a/src/lib.rs"), ["crates/a/src/testing.rs"]);
}

#[test]
fn a_file_that_is_not_rust_is_named() {
    assert_one(&syntax::check(&source("a.rs", "fn {")), 1, "is not Rust");
}

#[test]
fn invariants_are_cited_and_known() {
    let table = "# A\n\n| id | what |\n|---|---|\n| I1 | a |\n| I2 | b |\n";
    // This file is code too: the unknown id is put together only when the test runs.
    let code = format!("//! A.\n// {0}1: so.\n// The bus is {0}2C.\n// {0}9: what?\n", 'I');
    let sources = [source("docs/architecture.md", table), source("crates/a/src/a.rs", &code)];
    let violations = invariants::check(&sources);
    let places: Vec<_> = violations.iter().map(|found| (found.path.as_str(), found.line)).collect();
    assert_eq!(places, [("docs/architecture.md", 6), ("crates/a/src/a.rs", 4)]);
}

#[test]
fn arrows_are_followed_and_those_of_tests_only_count_at_their_start() {
    let node = |id: &str, deps: &[(&str, &str)]| {
        let deps: Vec<_> = deps
            .iter()
            .map(|(to, kind)| {
                let kind = if *kind == "dev" { "dev".into() } else { serde_json::Value::Null };
                serde_json::json!({ "pkg": to, "dep_kinds": [{ "kind": kind }] })
            })
            .collect();
        serde_json::json!({ "id": id, "deps": deps })
    };
    let names = ["domain", "clock", "tokio", "scylla", "consumer", "producer", "runtime"];
    let packages: Vec<_> =
        names.iter().map(|name| serde_json::json!({ "id": name, "name": name })).collect();
    let metadata = serde_json::json!({
        "packages": packages,
        "workspace_members": ["domain", "consumer", "producer", "runtime"],
        "resolve": { "nodes": [
            node("domain", &[("clock", ""), ("scylla", "dev")]),
            node("clock", &[("tokio", "")]),
            node("consumer", &[("runtime", ""), ("producer", "dev")]),
            node("producer", &[("runtime", "")]),
            node("runtime", &[("tokio", ""), ("consumer", "dev")]),
        ] },
    });
    let violations = arrows::check(&metadata).unwrap();
    let messages: Vec<_> = violations.iter().map(|found| found.message.as_str()).collect();
    assert_eq!(messages, ["domain depends on tokio", "consumer depends on producer"]);
}
