//! Tables and prose of text: no line is wider than there is room for.

use runtime::text::printable;

/// Blanks between two columns: as many as there is room for.
const GAPS: [usize; 2] = [2, 1];
/// Blanks before what goes on from the line above.
const INDENT: usize = 4;

/// How reports look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Most lines in a list of alerts.
    pub(crate) lines_max: usize,
    /// Most characters in a line.
    pub(crate) columns: usize,
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
///
/// Where the columns do not fit beside each other, the last ones stand on a line of their own,
/// under the first: nothing is left out.
pub(crate) fn table(columns: &[Column], rows: &[Vec<Cell>], look: &Look) -> String {
    let heads: Vec<Cell> = columns.iter().map(|column| Cell::from(&column.head)).collect();
    let width = |(place, column): (usize, &Column)| {
        let cells = rows.iter().chain([&heads]).filter_map(|row| row.get(place));
        let widest = cells.map(|cell| cell.text.chars().count()).max().unwrap_or(0);
        widest.min(column.chars_max).min(look.columns - INDENT)
    };
    let widths: Vec<usize> = columns.iter().enumerate().map(width).collect();
    let gap = gap(&widths, look.columns);
    let bands = bands(&widths, gap, look.columns);
    let mut text = String::new();
    for row in [&heads].into_iter().chain(rows) {
        let mut line = String::new();
        for (place, (cell, column)) in row.iter().zip(columns).enumerate() {
            if place > 0 && bands.contains(&place) {
                line.truncate(line.trim_end().len());
                line.push('\n');
                line.push_str(&" ".repeat(INDENT));
            } else if place > 0 {
                line.push_str(&" ".repeat(gap));
            }
            line.push_str(&cell.pad(column, widths[place], look));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Returns the widest gap with which all columns fit on a line, or the widest of all.
fn gap(widths: &[usize], room: usize) -> usize {
    let whole: usize = widths.iter().sum();
    let gaps = widths.len().saturating_sub(1);
    GAPS.into_iter().find(|gap| whole + gap * gaps <= room).unwrap_or(GAPS[0])
}

/// Returns the columns with which a new line begins, for there is no room beside those before.
fn bands(widths: &[usize], gap: usize, room: usize) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut taken = 0;
    for (place, width) in widths.iter().enumerate() {
        if place > 0 && taken + gap + width > room {
            starts.push(place);
            taken = INDENT + width;
        } else {
            taken += width + if place > 0 { gap } else { 0 };
        }
    }
    starts
}

/// Breaks a sentence between words, into lines that fit.
pub(crate) fn prose(sentence: &str, look: &Look) -> String {
    let (mut text, mut taken) = (String::new(), 0);
    for word in sentence.split(' ') {
        let width = word.chars().count();
        if taken > 0 && taken + 1 + width > look.columns {
            text.push('\n');
            taken = 0;
        } else if taken > 0 {
            text.push(' ');
            taken += 1;
        }
        text.push_str(word);
        taken += width;
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look { lines_max: 20, columns: 120, has_colours: false };

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

    #[test]
    fn what_does_not_fit_moves_closer_and_then_onto_the_next_line() {
        let columns =
            [Column::left("SENSOR", 20), Column::right("MIN", 7), Column::right("MAX", 7)];
        let rows = [vec!["temperature-03".into(), "-21.50".into(), "1013.25".into()]];
        let at = |columns_max| table(&columns, &rows, &Look { columns: columns_max, ..PLAIN });
        let wide = "SENSOR             MIN      MAX\ntemperature-03  -21.50  1013.25\n";
        assert_eq!(at(31), wide);
        let close = "SENSOR            MIN     MAX\ntemperature-03 -21.50 1013.25\n";
        assert_eq!((at(30), at(29)), (close.to_owned(), close.to_owned()));
        let broken = "SENSOR             MIN\n        MAX\ntemperature-03  -21.50\n    1013.25\n";
        assert_eq!(at(28), broken);
    }

    #[test]
    fn a_sentence_is_broken_between_words() {
        let look = Look { columns: 10, ..PLAIN };
        assert_eq!(prose("one two three four", &look), "one two\nthree four\n");
        assert_eq!(prose("unbreakable-word ends", &look), "unbreakable-word\nends\n");
    }
}
