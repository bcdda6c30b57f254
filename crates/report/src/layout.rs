//! Tables of text: columns as wide as they need to be, at most 120 characters together.

use runtime::text::printable;

/// Blanks between two columns.
const GAP: &str = "  ";

/// How reports look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Most lines in a list of alerts.
    pub(crate) lines_max: usize,
    /// Whether the terminal takes colours.
    pub(crate) has_colours: bool,
}

/// At which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column: its head, its side, and its width at most, in characters.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    head: String,
    align: Align,
    chars_max: usize,
}

impl Column {
    /// Makes a column of texts.
    pub(crate) fn left(head: impl Into<String>, chars_max: usize) -> Self {
        Self { head: head.into(), align: Align::Left, chars_max }
    }

    /// Makes a column of numbers.
    pub(crate) fn right(head: impl Into<String>, chars_max: usize) -> Self {
        Self { head: head.into(), align: Align::Right, chars_max }
    }
}

/// A text, and the SGR code of its colour (ECMA-48) where it has one.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    text: String,
    colour: Option<&'static str>,
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: printable(text.as_ref()).into_owned(), colour: None }
    }
}

impl Cell {
    /// Makes a cell of a severity, in its colour.
    pub(crate) fn severity(name: &str) -> Self {
        let colour = match name {
            "critical" => Some("1;31"),
            "warning" => Some("33"),
            "info" => Some("36"),
            _ => None,
        };
        Self { colour, ..Self::from(name) }
    }

    fn pad(&self, column: &Column, width: usize, look: &Look) -> String {
        let text = shorten(&self.text, width);
        let blanks = " ".repeat(width - text.chars().count());
        let text = match self.colour.filter(|_| look.has_colours) {
            Some(colour) => format!("\x1b[{colour}m{text}\x1b[0m"),
            None => text,
        };
        match column.align {
            Align::Left => text + &blanks,
            Align::Right => blanks + &text,
        }
    }
}

/// Cuts a text that is too long for its column, and shows that it is cut.
fn shorten(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let start: String = text.chars().take(chars_max.saturating_sub(1)).collect();
    start + "…"
}

/// Renders a table, the heads first; a row without cells is an empty line.
pub(crate) fn table(columns: &[Column], rows: &[Vec<Cell>], look: &Look) -> String {
    let heads: Vec<Cell> = columns.iter().map(|column| Cell::from(&column.head)).collect();
    let width = |(place, column): (usize, &Column)| {
        let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(place));
        let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0);
        widest.min(column.chars_max)
    };
    let widths: Vec<usize> = columns.iter().enumerate().map(width).collect();
    let mut text = String::new();
    for row in [&heads].into_iter().chain(rows) {
        let cells = row.iter().zip(columns).zip(&widths);
        let cells: Vec<String> =
            cells.map(|((cell, column), width)| cell.pad(column, *width, look)).collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { lines_max: 20, has_colours: false };

    fn columns() -> Vec<Column> {
        vec![Column::left("RULE", 8), Column::right("VALUE", 7)]
    }

    fn rows() -> Vec<Vec<Cell>> {
        vec![vec![Cell::severity("critical"), "1.5".into()], vec!["überlang!".into(), "42".into()]]
    }

    #[test]
    fn columns_are_as_wide_as_their_texts_and_no_wider_than_allowed() {
        let expected = "\
RULE      VALUE
critical    1.5
überlan…     42
";
        assert_eq!(table(&columns(), &rows(), &PLAIN), expected);
    }

    #[test]
    fn a_table_without_rows_has_its_heads_and_an_empty_row_is_an_empty_line() {
        assert_eq!(table(&columns(), &[], &PLAIN), "RULE  VALUE\n");
        assert_eq!(table(&columns(), &[Vec::new()], &PLAIN), "RULE  VALUE\n\n");
    }

    #[test]
    fn colours_change_nothing_about_the_widths() {
        let coloured = table(&columns(), &rows(), &Look { has_colours: true, ..PLAIN });
        let plain = coloured.replace("\x1b[1;31m", "").replace("\x1b[0m", "");
        assert_ne!(coloured, plain);
        assert_eq!(plain, table(&columns(), &rows(), &PLAIN));
    }
}
