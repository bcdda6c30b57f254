//! Text that strangers chose, made fit for terminals and logs: identifiers, keys, headers, what
//! servers say.

use std::borrow::Cow;
use std::error::Error;

/// Tells whether a character moves the cursor, colours, rings, reorders or hides others.
pub fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
}

/// Returns a text on one line that only shows characters: all others as `\u{1b}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, |_| false)
}

/// The same, but line ends and tabs stay.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |character| matches!(character, '\n' | '\t'))
}

fn escape(text: &str, stays: impl Fn(char) -> bool) -> Cow<'_, str> {
    let has_to_go = |character: char| is_unprintable(character) && !stays(character);
    if !text.contains(has_to_go) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if has_to_go(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

/// Returns an error with its causes, from the outermost to the root, parted by `: `.
///
/// Errors of libraries often end in the text of their own source, as those of `rdkafka` and of the
/// driver do; what is said already is not said again.
pub fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !said.contains(&text) {
            said.push_str(": ");
            said.push_str(&text);
        }
        source = cause.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        let evil = "\x1b[2J\x1b]0;title\x07\r\n\t\u{9b}31m\u{7f}\0\u{202e}\u{2066}\u{200b}\u{feff}\
                    \u{2028}\u{61c}end";
        let shown = printable(evil);
        assert!(!shown.contains(is_unprintable), "{shown:?}");
        assert!(shown.starts_with("\\u{1b}[2J") && shown.ends_with("end"), "{shown}");
        assert_eq!(printable_lines("a\n\tb\r"), "a\n\tb\\u{d}");
    }

    #[test]
    fn what_is_harmless_stays() {
        for text in ["site-0042/temperature-07", "21 °C", "日本語", "naïve 😀", ""] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: &'static str,
        source: Option<Box<Layer>>,
    }

    #[test]
    fn causes_are_told_from_the_outside_in_and_each_once() {
        let layer = |text, source| Layer { text, source };
        let root = layer("refused (os error 111)", None);
        let library = layer("cannot connect: refused (os error 111)", Some(Box::new(root)));
        let outer = layer("nobody answers", Some(Box::new(library)));
        let told = with_causes(&outer);
        assert_eq!(told, "nobody answers: cannot connect: refused (os error 111)");
    }
}
