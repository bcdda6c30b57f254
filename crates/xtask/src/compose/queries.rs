//! Reads texts: the statements of a page, and the tables that the servers' tools print.

/// Returns the statements of all `sql` blocks of a Markdown page, word for word.
pub(super) fn statements(page: &str) -> Vec<String> {
    let mut statements = Vec::new();
    let mut block: Option<String> = None;
    for line in page.lines() {
        match (line.trim(), &mut block) {
            ("```sql", None) => block = Some(String::new()),
            ("```", Some(text)) => {
                let parts = text.split_inclusive(';').map(str::trim);
                statements.extend(parts.filter(|part| !part.is_empty()).map(str::to_owned));
                block = None;
            }
            (_, Some(text)) => {
                text.push_str(line);
                text.push('\n');
            }
            (_, None) => {}
        }
    }
    statements
}

/// Returns the number of rows that cqlsh says it printed.
pub(super) fn row_count(answer: &str) -> Option<usize> {
    let line = answer.lines().rev().find(|line| line.trim_end().ends_with(" rows)"))?;
    line.trim().strip_prefix('(')?.strip_suffix(" rows)")?.parse().ok()
}

/// Returns one column of a table whose columns are separated by blanks.
pub(super) fn column<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let index = lines.find_map(|header| header.iter().position(|word| *word == name));
    let Some(index) = index else {
        return Vec::new();
    };
    lines.filter_map(|row| row.get(index).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_those_of_sql_blocks_in_order() {
        let page = "# A\n```sh\nls;\n```\ntext;\n```sql\nSELECT a\n  FROM b;\nSELECT c;\n```\n";
        assert_eq!(statements(page), ["SELECT a\n  FROM b;", "SELECT c;"]);
    }

    #[test]
    fn rows_are_counted_as_cqlsh_says() {
        assert_eq!(row_count(" a\n---\n 1\n\n(1 rows)\n"), Some(1));
        assert_eq!(row_count(" a\n---\n\n(0 rows)\n"), Some(0));
        assert_eq!(row_count("SyntaxException\n"), None);
    }

    #[test]
    fn a_column_is_found_by_its_name() {
        let table = "\nGROUP CONSUMER-ID #PARTITIONS \ng c-1 4\ng c-2 4\n";
        assert_eq!(column(table, "#PARTITIONS"), ["4", "4"]);
        assert_eq!(column("Error: no group\n", "#PARTITIONS"), [""; 0]);
    }
}
