//! The shell of every process: settings, telemetry, signals, exit code. All `main` functions look
//! the same.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tracing::{error, info, warn};

use crate::health::{self, Health};
use crate::settings::{Described, Face, Invocation, Problems, Reader, invocation};
use crate::shutdown::{self, Shutdown};
use crate::telemetry::{self, TelemetrySettings};
use crate::text::with_causes;

/// Bad configuration (`EX_USAGE` of sysexits.h).
pub const EXIT_USAGE: u8 = 64;

/// Name and purpose of a process.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    /// Name of the binary.
    pub name: &'static str,
    /// What it does, one line.
    pub about: &'static str,
}

/// One of the things that a process does on request, each with settings of its own.
#[derive(Clone, Copy, Debug)]
pub struct Action<S> {
    /// The word that asks for it.
    pub name: &'static str,
    /// What it does, one line.
    pub about: &'static str,
    /// Reads its settings.
    pub read: fn(&mut Reader) -> S,
}

/// What a process is given to work with.
#[derive(Debug)]
pub struct Context {
    /// Says when to stop.
    pub shutdown: Shutdown,
    /// Where to say how it is.
    pub health: Health,
}

/// The settings every process has beside its own.
struct Shell<S> {
    own: S,
    telemetry: TelemetrySettings,
    health_address: Option<SocketAddr>,
}

impl<S> Shell<S> {
    fn read(reader: &mut Reader, read: impl Fn(&mut Reader) -> S) -> Self {
        Self {
            own: read(reader),
            telemetry: TelemetrySettings::read(reader),
            health_address: health::read_address(reader),
        }
    }
}

impl Process {
    /// Runs the process to its end: 0 when all is well, 1 when it failed, 64 when it was misused.
    ///
    /// `run` returns the exit code of a run that worked, so that a verdict can be one.
    pub fn main<S, R, F>(self, read: R, run: F) -> ExitCode
    where
        R: Fn(&mut Reader) -> S,
        F: AsyncFnOnce(S, Context) -> anyhow::Result<ExitCode>,
    {
        let read = |reader: &mut Reader| Shell::read(reader, &read);
        let face = Face::new(self.name, self.about, read);
        self.launch(&face, |_only| &read, run)
    }

    /// The same for a process that also does other things on request: its first argument names the
    /// action.
    pub fn main_with_actions<S, F>(
        self,
        read: fn(&mut Reader) -> S,
        actions: &[Action<S>],
        run: F,
    ) -> ExitCode
    where
        F: AsyncFnOnce(S, Context) -> anyhow::Result<ExitCode>,
    {
        let own = Face::new(self.name, self.about, |reader| Shell::read(reader, read));
        let face = Face { actions: faces(actions), ..own };
        let read_of = |place: Option<usize>| {
            let read = place.map_or(read, |place| actions[place].read);
            move |reader: &mut Reader| Shell::read(reader, read)
        };
        self.launch(&face, read_of, run)
    }

    /// The same for a process that does one of several things and then ends: its first argument
    /// names the action.
    pub fn main_of_actions<S, F>(self, actions: &[Action<S>], run: F) -> ExitCode
    where
        F: AsyncFnOnce(S, Context) -> anyhow::Result<ExitCode>,
    {
        let (name, about) = (self.name, self.about);
        let face = Face { name, about, settings: Vec::new(), actions: faces(actions) };
        let read_of = |place: Option<usize>| {
            let read = actions[place.unwrap_or(0)].read;
            move |reader: &mut Reader| Shell::read(reader, read)
        };
        self.launch(&face, read_of, run)
    }

    fn launch<S, R, F>(
        self,
        face: &Face,
        read_of: impl FnOnce(Option<usize>) -> R,
        run: F,
    ) -> ExitCode
    where
        R: Fn(&mut Reader) -> Shell<S>,
        F: AsyncFnOnce(S, Context) -> anyhow::Result<ExitCode>,
    {
        match invocation(face, environment(), std::env::args_os()) {
            Invocation::Run { action, values } => {
                let unknown = face.unknown_names(&values);
                self.start(values, unknown, read_of(action), run)
            }
            Invocation::Check(values) => self.check(values, read_of(None)),
            // Only what is done unasked stays long enough to be asked.
            Invocation::Healthcheck(values) => self.healthcheck(values, read_of(None)),
            Invocation::Print(text) => say(&mut io::stdout(), &text, ExitCode::SUCCESS),
            Invocation::Misuse(text) => misuse(&text),
        }
    }

    fn start<S, F>(
        self,
        values: BTreeMap<String, String>,
        unknown_names: Vec<String>,
        read: impl Fn(&mut Reader) -> Shell<S>,
        run: F,
    ) -> ExitCode
    where
        F: AsyncFnOnce(S, Context) -> anyhow::Result<ExitCode>,
    {
        let mut reader = Reader::new(values);
        let shell = read(&mut reader);
        if !reader.problems().is_empty() {
            return self.refuse(&reader);
        }
        if let Err(error) = telemetry::init(self.name, &shell.telemetry) {
            return misuse(&format!("{}: {}\n", self.name, with_causes(&error)));
        }
        for hint in reader.hints() {
            info!("{hint}");
        }
        for unknown in unknown_names {
            warn!("{unknown}");
        }
        let settings: Vec<String> =
            reader.effective().iter().map(|(name, value)| format!("{name}={value}")).collect();
        info!(process = self.name, settings = settings.join(" "), "starting");

        let outcome = runtime().map_err(anyhow::Error::from).and_then(|runtime| {
            let outcome = runtime.block_on(supervise(shell, run));
            // Blocking work that is still under way is abandoned: its owner has been told to stop.
            runtime.shutdown_background();
            outcome
        });
        outcome.unwrap_or_else(|error| {
            error!(process = self.name, "failed: {}", with_causes(error.as_ref()));
            ExitCode::FAILURE
        })
    }

    /// Lists every setting with its flag, one a line, and refuses what [`Self::start`] would
    /// refuse.
    fn check<S>(
        self,
        values: BTreeMap<String, String>,
        read: impl Fn(&mut Reader) -> Shell<S>,
    ) -> ExitCode {
        let mut reader = Reader::new(values);
        read(&mut reader);
        let mut list = String::new();
        for Described { setting, .. } in reader.described() {
            for flag in [setting.flag()].into_iter().chain(setting.other_flags()) {
                list += &format!("{} --{flag}\n", setting.name);
            }
        }
        let code = say(&mut io::stdout(), &list, ExitCode::SUCCESS);
        if reader.problems().is_empty() { code } else { self.refuse(&reader) }
    }

    fn refuse(self, reader: &Reader) -> ExitCode {
        let problems = Problems(reader.problems());
        misuse(&format!("{}: bad settings:\n{problems}", self.name))
    }

    fn healthcheck<S>(
        self,
        values: BTreeMap<String, String>,
        read: impl Fn(&mut Reader) -> Shell<S>,
    ) -> ExitCode {
        let Some(address) = read(&mut Reader::new(values)).health_address else {
            let text = format!("{}: healthcheck needs HEALTH_ADDRESS\n", self.name);
            return misuse(&text);
        };
        match health::check(address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => say(&mut io::stderr(), &(why + "\n"), ExitCode::FAILURE),
        }
    }
}

fn faces<S>(actions: &[Action<S>]) -> Vec<Face> {
    let face = |Action { name, about, read }: &Action<S>| {
        Face::new(name, about, |reader| Shell::read(reader, read))
    };
    actions.iter().map(face).collect()
}

async fn supervise<S, F>(shell: Shell<S>, run: F) -> anyhow::Result<ExitCode>
where
    F: AsyncFnOnce(S, Context) -> anyhow::Result<ExitCode>,
{
    let (stopper, shutdown) = shutdown::channel();
    let health = Health::starting();
    let signals = shutdown::watch_signals(stopper);
    let serving = health.clone();
    let endpoint = async move {
        match shell.health_address {
            None => std::future::pending().await,
            Some(address) => health::serve(address, serving)
                .await
                .map_err(|error| anyhow::anyhow!("health endpoint at {address}: {error}")),
        }
    };
    tokio::select! {
        outcome = run(shell.own, Context { shutdown, health }) => outcome,
        outcome = signals => outcome.map(|()| ExitCode::SUCCESS).map_err(Into::into),
        outcome = endpoint => outcome.map(|()| ExitCode::SUCCESS),
    }
}

/// One worker beside the main thread: the servers' clients bring threads of their own where it
/// counts.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(1).thread_name("async").enable_all().build()
}

/// Returns the environment; what is no UTF-8 in it is replaced, for the setting's own rule to
/// judge.
pub fn environment() -> BTreeMap<String, String> {
    let text = |value: OsString| value.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

/// Says what is wrong with how the program was called.
fn misuse(text: &str) -> ExitCode {
    say(&mut io::stderr(), text, ExitCode::from(EXIT_USAGE))
}

/// Prints what a person asked for; a closed pipe is no reason to fail.
fn say(stream: &mut impl Write, text: &str, code: ExitCode) -> ExitCode {
    let _closed = stream.write_all(text.as_bytes());
    code
}
