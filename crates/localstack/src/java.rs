//! The command line of a Java server, kept in a file beside its configuration.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::StackError;
use crate::jars::Jars;

/// An archive of loaded classes, which makes a start cheaper.
#[derive(Debug, Clone)]
pub(crate) enum ClassArchive {
    /// Start without one.
    Absent,
    /// Start with this one; Java ignores it if it does not fit.
    Use(PathBuf),
    /// Write one when the server ends in good order.
    Record(PathBuf),
}

impl ClassArchive {
    fn option(&self) -> Option<String> {
        match self {
            Self::Absent => None,
            Self::Use(path) => Some(format!("-XX:SharedArchiveFile={}", path.display())),
            Self::Record(path) => Some(format!("-XX:ArchiveClassesAtExit={}", path.display())),
        }
    }
}

/// Everything that follows `java` on the command line.
pub(crate) struct CommandLine<'a> {
    pub(crate) heap_mib: u32,
    /// Where libraries unpack their native parts; inside the server's folder, so that it goes with
    /// it.
    pub(crate) temporary_folder: &'a Path,
    pub(crate) archive: &'a ClassArchive,
    pub(crate) options: Vec<String>,
    pub(crate) jars: &'a Jars,
    pub(crate) main_class: &'a str,
    pub(crate) arguments: Vec<String>,
}

impl CommandLine<'_> {
    /// Writes the command line to `path` and returns the one argument that makes Java read it.
    pub(crate) fn write(self, path: &Path) -> Result<String, StackError> {
        let folder = self.temporary_folder;
        fs::create_dir_all(folder).map_err(StackError::io("create", folder))?;
        let mut words = vec![
            format!("-Xms{}m", self.heap_mib),
            format!("-Xmx{}m", self.heap_mib),
            "-XX:+ExitOnOutOfMemoryError".to_owned(),
            "-XX:-UsePerfData".to_owned(),
            format!("-Djava.io.tmpdir={}", folder.display()),
            format!("-Djna.tmpdir={}", folder.display()),
        ];
        words.extend(self.archive.option());
        words.extend(self.options);
        words.extend(["-cp".to_owned(), self.jars.class_path.clone()]);
        words.push(self.main_class.to_owned());
        words.extend(self.arguments);
        let text: String = words.iter().map(|word| quoted(word) + "\n").collect();
        fs::write(path, text).map_err(StackError::io("write", path))?;
        Ok(format!("@{}", path.display()))
    }
}

/// Quotes a word for a Java argument file, where a backslash escapes.
fn quoted(word: &str) -> String {
    format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A path as a URL; what is not sure to mean itself in one is escaped.
pub(crate) fn file_url(path: &Path) -> String {
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => {
                url.push(char::from(*byte));
            }
            _ => url += &format!("%{byte:02X}"),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn a_url_has_no_character_with_a_meaning() {
        let url = super::file_url(Path::new("/a b/ü,%#?${x}+"));
        assert_eq!(url, "file:///a%20b/%C3%BC%2C%25%23%3F%24%7Bx%7D%2B");
    }

    #[test]
    fn spaces_and_quotes_survive_an_argument_file() {
        assert_eq!(super::quoted(r#"-Dx=a b"c\d"#), r#""-Dx=a b\"c\\d""#);
    }
}
