//! The pipelines that `cargo xtask up` runs: which one a task is for.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use localstack::registry::{self, Pipeline};

use crate::Workspace;

const ADDRESSES: [&str; 2] = ["KAFKA_BOOTSTRAP_SERVERS", "CASSANDRA_CONTACT_POINTS"];

/// What a task needs of a running pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing that would have to be chosen.
    Nothing,
    /// Its servers.
    Servers,
}

/// A task that does not say, or not well, which pipeline it is for.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misuse(String);

/// Takes `--data FOLDER` out of a task's arguments.
pub(crate) fn split_data(
    arguments: &[OsString],
) -> Result<(Option<PathBuf>, Vec<OsString>), Misuse> {
    let (mut data, mut rest) = (None, Vec::new());
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word == "--data" {
            data = Some(words.next().ok_or_else(no_folder)?.into());
        } else if let Some(folder) = word.as_bytes().strip_prefix(b"--data=") {
            data = Some(OsString::from_vec(folder.to_vec()).into());
        } else {
            rest.push(word.clone());
        }
    }
    Ok((data, rest))
}

fn no_folder() -> Misuse {
    Misuse("--data wants the folder of a running pipeline".into())
}

/// Returns the settings of the pipeline on the folder `data`, all of them, or of the only one that
/// runs, without those that the caller's environment sets. Fails where there is more than one to
/// choose from.
///
/// A caller whose environment has an address of its own, and who names no folder, gets none: the
/// topics and keyspaces of one pipeline say nothing about another's servers.
pub(crate) fn environment(
    workspace: &Workspace,
    data: Option<&Path>,
    need: Need,
) -> Result<BTreeMap<String, String>> {
    let elsewhere = ADDRESSES.iter().any(|name| env::var_os(name).is_some());
    if elsewhere && data.is_none() {
        return Ok(BTreeMap::new());
    }
    let folder = workspace.registry();
    let running =
        registry::running(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let Some(pipeline) = choose(&running, data, need)? else {
        return Ok(BTreeMap::new());
    };
    let mut environment = pipeline.environment.clone();
    if data.is_none() {
        environment.retain(|name, _| env::var_os(name).is_none());
    }
    Ok(environment)
}

fn choose<'a>(
    running: &'a [Pipeline],
    data: Option<&Path>,
    need: Need,
) -> Result<Option<&'a Pipeline>, Misuse> {
    if let Some(data) = data {
        let folder = data.canonicalize().unwrap_or_else(|_| data.to_path_buf());
        let chosen = running.iter().find(|pipeline| pipeline.data_dir == folder);
        if chosen.is_none() {
            let (folder, list) = (data.display(), list(running));
            return Err(Misuse(format!("no pipeline runs on `{folder}`; {list}")));
        }
        return Ok(chosen);
    }
    match (running, need) {
        ([only], _) => Ok(Some(only)),
        ([], _) | (_, Need::Nothing) => Ok(None),
        (_, Need::Servers) => {
            let list = list(running);
            Err(Misuse(format!("several pipelines run: name one with --data; {list}")))
        }
    }
}

fn list(running: &[Pipeline]) -> String {
    if running.is_empty() {
        return "none runs: start one with `cargo xtask up`".into();
    }
    let mut text = String::from("these run:");
    for pipeline in running {
        let address = |name: &str| pipeline.environment.get(name).map_or("unknown", String::as_str);
        let [kafka, cassandra] = ADDRESSES.map(address);
        let (folder, pid) = (pipeline.data_dir.display(), pipeline.pid);
        text +=
            &format!("\n  --data '{folder}'  process {pid}, kafka {kafka}, cassandra {cassandra}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipeline(pid: u32, data_dir: &str) -> Pipeline {
        Pipeline { pid, data_dir: data_dir.into(), environment: BTreeMap::new() }
    }

    #[test]
    fn the_folder_is_taken_out_of_the_arguments_wherever_it_is() {
        for (given, folder, rest) in [
            (&["--site", "a"][..], None, &["--site", "a"][..]),
            (&["--data", "/x y", "--site", "a"], Some("/x y"), &["--site", "a"]),
            (&["list", "--data=/x"], Some("/x"), &["list"]),
        ] {
            let given: Vec<OsString> = given.iter().map(OsString::from).collect();
            let (data, left) = split_data(&given).unwrap();
            assert_eq!(
                (data, left.as_slice()),
                (
                    folder.map(PathBuf::from),
                    &rest.iter().map(OsString::from).collect::<Vec<_>>()[..]
                )
            );
        }
        assert!(split_data(&["--data".into()]).is_err());
    }

    #[test]
    fn a_pipeline_is_never_guessed() {
        let two = [pipeline(1, "/no/such/a"), pipeline(2, "/no/such/b")];
        let chosen = |running, data: Option<&str>, need| {
            choose(running, data.map(Path::new), need).map(|chosen| chosen.map(|one| one.pid))
        };
        assert_eq!(chosen(&[], None, Need::Servers).unwrap(), None);
        assert_eq!(chosen(&two[..1], None, Need::Servers).unwrap(), Some(1));
        assert_eq!(chosen(&two, None, Need::Nothing).unwrap(), None);
        assert_eq!(chosen(&two, Some("/no/such/b"), Need::Servers).unwrap(), Some(2));
        for (data, said) in [(None, "several pipelines run"), (Some("/no/such/c"), "no pipeline")] {
            let error = chosen(&two, data, Need::Servers).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(error.contains("--data '/no/such/a'  process 1"), "{error}");
            assert!(error.contains("--data '/no/such/b'  process 2"), "{error}");
        }
    }
}
