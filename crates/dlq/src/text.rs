//! How dead letters look: bytes that strangers chose, made fit for a terminal.

use std::fmt::Write;

use runtime::text::{printable, printable_lines};

/// Most characters of the detail in a list.
const DETAIL_CHARS_MAX: usize = 80;
/// Bytes in a line of a hex dump.
const DUMP_BYTES: usize = 16;

/// Makes one line of at most 80 characters.
pub(crate) fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = printable(&line);
    if line.chars().count() <= DETAIL_CHARS_MAX {
        return line.into_owned();
    }
    let start: String = line.chars().take(DETAIL_CHARS_MAX - 3).collect();
    start + "..."
}

/// Writes a time in epoch milliseconds as people read it, in UTC.
pub(crate) fn time(epoch_ms: Option<i64>) -> String {
    let time = epoch_ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "-".to_owned(), |time| format!("{time:.3}"))
}

/// Shows bytes as text if they are text, else as a hex dump.
pub(crate) fn text_or_dump(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => printable_lines(text).into_owned(),
        Err(_) => dump(bytes),
    }
}

/// Shows bytes in one line: as text if they are text, else in hex.
pub(crate) fn text_or_hex(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => printable(text).into_owned(),
        Err(_) => format!("0x{}", hex(bytes)),
    }
}

/// Writes bytes in hex, without blanks.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dump(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(DUMP_BYTES).enumerate() {
        let codes: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| match byte {
            0x20..=0x7e => char::from(*byte),
            _ => '.',
        };
        let shown: String = line.iter().map(shown).collect();
        let width = DUMP_BYTES * 3 - 1;
        writeln!(text, "{:08x}  {:width$}  {shown}", number * DUMP_BYTES, codes.join(" "))
            .expect("writing to a string succeeds");
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_draw_on_the_terminal() {
        assert_eq!(text_or_dump(b"a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\nc");
        assert_eq!(text_or_hex("a\nb\u{202e}".as_bytes()), "a\\u{a}b\\u{202e}");
        assert_eq!(shorten("a\x1b[2J"), "a\\u{1b}[2J");
    }

    #[test]
    fn details_fit_into_a_line() {
        assert_eq!(shorten("no JSON:\n  expected ident"), "no JSON: expected ident");
        let long = shorten(&"°".repeat(200));
        assert_eq!((long.chars().count(), long.ends_with("...")), (80, true));
    }

    #[test]
    fn values_are_text_where_they_can_be() {
        assert_eq!(text_or_dump("21 °C".as_bytes()), "21 °C");
        let expected = [
            "00000000  ff 00 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e  ..ABCDEFGHIJKLMN",
            "00000010  4f                                               O",
        ];
        assert_eq!(text_or_dump(b"\xff\0ABCDEFGHIJKLMNO"), expected.join("\n"));
        assert_eq!(text_or_hex(&[0xff, 1]), "0xff01");
    }

    #[test]
    fn times_are_utc() {
        assert_eq!(time(Some(1_764_000_000_000)), "2025-11-24T16:00:00.000Z");
        assert_eq!(time(None), "-");
    }
}
