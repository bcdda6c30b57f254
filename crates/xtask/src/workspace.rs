//! Where things are: the checkout, its build output and the user's cache folder.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

/// The packages that every release build selects, whatever it then builds of them.
///
/// Cargo gives a dependency the features that the selected packages ask for: with `--package
/// report` the same libraries would be compiled once more, with fewer features.
const RELEASED_PACKAGES: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// A checkout and its build output.
#[derive(Debug)]
pub struct Workspace {
    root: PathBuf,
    target: PathBuf,
}

impl Workspace {
    /// Finds the checkout that this program was built from.
    pub fn here() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let root = root.canonicalize().unwrap_or(root);
        let target = match env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty()) {
            Some(folder) => std::path::absolute(&folder).unwrap_or_else(|_| folder.into()),
            None => root.join("target"),
        };
        Self { root, target }
    }

    /// Returns a path in the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Returns the folder of the build output.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Returns the path of a program that [`Self::build_release`] builds.
    pub fn program(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Returns the folder in which each running `up` has a file.
    pub(crate) fn registry(&self) -> PathBuf {
        self.target.join("local")
    }

    /// Prepares a command that runs in the root of the checkout.
    pub fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.root);
        command
    }

    /// Prepares a cargo command.
    pub fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        command
    }

    /// Builds programs as they are released; all of them, if none is named.
    pub fn build_release(&self, programs: &[&str]) -> Result<()> {
        command::run(&mut self.release_build(programs))
    }

    /// Prepares that build.
    pub fn release_build(&self, programs: &[&str]) -> Command {
        let mut cargo = self.cargo(&["build", "--release"]);
        cargo.args(RELEASED_PACKAGES);
        if programs.is_empty() {
            cargo.arg("--bins");
        }
        for program in programs {
            cargo.args(["--bin", program]);
        }
        cargo
    }

    /// Lists all files of the checkout that git tracks, or would if they were added.
    pub fn files(&self) -> Result<Vec<String>> {
        // Git lists nothing for anyone but the owner of a checkout, unless it is told not to mind.
        let mut git = self.command("git");
        git.args(["-c", "safe.directory=*", "ls-files", "-z"]);
        git.args(["--cached", "--others", "--exclude-standard"]);
        let list = command::output(&mut git).context("the list of files comes from git")?;
        let mut files: Vec<String> = list
            .split_terminator('\0')
            .filter(|file| self.path(file).is_file())
            .map(str::to_owned)
            .collect();
        files.sort_unstable();
        Ok(files)
    }
}

/// Returns this project's folder in the user's cache.
pub(crate) fn cache() -> Result<PathBuf> {
    let given = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    given("XDG_CACHE_HOME")
        .or_else(|| given("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("sensorium"))
        .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for a cache")
}
