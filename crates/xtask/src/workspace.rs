//! Where things are: the checkout, its build output and the user's cache folder.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::command;

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

    /// Returns the file in which a running `up` says where its servers are, one `KEY=VALUE` a line.
    pub fn local_environment(&self) -> PathBuf {
        self.target.join("local/env")
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

    /// Builds programs as they are released.
    pub fn build_release(&self, packages: &[&str]) -> Result<()> {
        let mut cargo = self.cargo(&["build", "--release"]);
        for package in packages {
            cargo.args(["--package", package]);
        }
        command::run(&mut cargo)
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
