//! Which programs must be installed, and the command that installs each one that is missing.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use crate::StackError;
use crate::jars::{self, Server};

/// The Java releases that run both servers: Kafka needs 17, and Cassandra 5.0 needs the security
/// manager, which Java 24 removed.
const JAVA_RELEASES: std::ops::RangeInclusive<u32> = 17..=23;

/// A program that has to be on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Runs the servers.
    Java,
    /// Fetches the jars, once.
    Maven,
    /// Builds the native Kafka client.
    CCompiler,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Java => "Java 17 to 23",
            Self::Maven => "Maven",
            Self::CCompiler => "a C compiler",
        }
    }

    fn apt_command(self) -> &'static str {
        match self {
            Self::Java => "sudo apt-get install openjdk-17-jdk-headless",
            Self::Maven => "sudo apt-get install maven",
            Self::CCompiler => "sudo apt-get install build-essential",
        }
    }

    fn brew_command(self) -> &'static str {
        match self {
            Self::Java => {
                "brew install openjdk@17 && export JAVA_HOME=\"$(brew --prefix openjdk@17)\""
            }
            Self::Maven => "brew install maven",
            Self::CCompiler => "xcode-select --install",
        }
    }

    /// Says what is wrong with this tool, if anything.
    fn problem(self) -> Option<String> {
        match self {
            Self::Java => java_problem(),
            Self::Maven => (!runs("mvn", "-version")).then(|| "`mvn` does not run".to_owned()),
            Self::CCompiler => (!runs("cc", "--version") && !runs("gcc", "--version"))
                .then(|| "neither `cc` nor `gcc` runs".to_owned()),
        }
    }
}

/// One tool that is missing or does not fit, with the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingTool {
    /// The tool.
    pub tool: Tool,
    /// What was found instead.
    pub problem: String,
}

/// All tools that are missing, with the commands that install them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MissingTools(pub Vec<MissingTool>);

impl fmt::Display for MissingTools {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tools are missing")?;
        for MissingTool { tool, problem } in &self.0 {
            write!(formatter, "\n  {}: {problem}", tool.name())?;
            write!(formatter, "\n    Debian, Ubuntu: {}", tool.apt_command())?;
            write!(formatter, "\n    macOS:          {}", tool.brew_command())?;
        }
        Ok(())
    }
}

/// Checks that all these tools are there, and names every one that is not.
pub fn check(tools: &[Tool]) -> Result<(), MissingTools> {
    let missing: Vec<_> = tools
        .iter()
        .filter_map(|&tool| tool.problem().map(|problem| MissingTool { tool, problem }))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingTools(missing)) }
}

/// Lists the tools that these servers need on this machine: Maven only as long as their jars are
/// not cached.
pub fn required(servers: &[Server]) -> Vec<Tool> {
    let mut tools = vec![Tool::Java];
    if !servers.iter().all(|&server| jars::is_cached(server)) {
        tools.push(Tool::Maven);
    }
    tools
}

/// Returns what Java calls its version, if it runs.
pub fn java_version() -> Option<String> {
    Some(java_version_text()?.lines().next()?.to_owned())
}

/// Prepares a command that runs one of Kafka's own tools, a main class of its jars, with the heap
/// that Kafka's scripts give it. The jars are fetched first if need be.
pub fn kafka_tool(main_class: &str) -> Result<Command, StackError> {
    let jars = jars::ensure(Server::Kafka, &AtomicBool::new(false))?;
    let mut command = Command::new(java_program());
    for variable in ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"] {
        command.env_remove(variable);
    }
    command.arg("-Xmx512m").args(["-cp", &jars.class_path, main_class]);
    Ok(command)
}

/// The Java launcher: that of `JAVA_HOME` if it is set, otherwise the one on the path.
pub(crate) fn java_program() -> PathBuf {
    match std::env::var_os("JAVA_HOME") {
        Some(home) if !home.is_empty() => {
            let program = PathBuf::from(home).join("bin/java");
            // Servers run in folders of their own.
            std::path::absolute(&program).unwrap_or(program)
        }
        _ => PathBuf::from("java"),
    }
}

/// What `java -version` prints, or `None` if it does not run.
pub(crate) fn java_version_text() -> Option<String> {
    let output = Command::new(java_program()).arg("-version").output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

fn java_problem() -> Option<String> {
    let program = java_program();
    let Some(text) = java_version_text() else {
        return Some(format!("`{} -version` does not run", program.display()));
    };
    match java_release(&text) {
        Some(release) if JAVA_RELEASES.contains(&release) => None,
        Some(release) => Some(format!("`{}` is Java {release}", program.display())),
        None => Some(format!("`{} -version` names no version", program.display())),
    }
}

/// Reads the release out of `java -version`: 17 of `"17.0.15"`, 8 of `"1.8.0_402"`.
fn java_release(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("version \"")?;
    let (version, _) = rest.split_once('"')?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit());
    let first: u32 = numbers.next()?.parse().ok()?;
    if first == 1 { numbers.next()?.parse().ok() } else { Some(first) }
}

fn runs(program: &str, argument: &str) -> bool {
    let status = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::{MissingTool, MissingTools, Tool, java_release};

    #[test]
    fn reads_the_java_release_of_old_and_new_version_schemes() {
        assert_eq!(java_release("openjdk version \"17.0.15\" 2025-04-15\n..."), Some(17));
        assert_eq!(java_release("openjdk version \"21-ea\" 2023-09-19"), Some(21));
        assert_eq!(java_release("java version \"1.8.0_402\""), Some(8));
        assert_eq!(java_release("no such file"), None);
    }

    #[test]
    fn names_each_missing_tool_with_the_commands_that_install_it() {
        let text = MissingTools(
            [Tool::Java, Tool::Maven, Tool::CCompiler]
                .map(|tool| MissingTool { tool, problem: "not found".to_owned() })
                .to_vec(),
        )
        .to_string();
        for part in ["openjdk-17", "brew install maven", "build-essential", "not found"] {
            assert!(text.contains(part), "{part:?} is not in {text}");
        }
    }
}
