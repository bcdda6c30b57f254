//! The consumer's clock is set while it works: it has to notice, lose nothing, and say so.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Case;
use super::cases::{MOMENT, under_load};
use super::scene::Scene;

/// More than rows are kept.
const TWO_DAYS_S: i64 = 2 * 86_400;
/// Longest wait for the consumer to notice: it compares clocks every ten seconds.
const NOTICE_TIMEOUT: Duration = Duration::from_secs(40);

/// All of them.
pub(super) const ALL: &[Case] = &[
    Case {
        name: "clock-ahead",
        about: "the consumer's clock is set two days ahead, until the consumer has refused it",
        nodes: &[1],
        heavy: false,
        play: |scene| set(scene, TWO_DAYS_S),
    },
    Case {
        name: "clock-behind",
        about: "the consumer's clock is set two days back, until the consumer has refused it",
        nodes: &[1],
        heavy: false,
        play: |scene| set(scene, -TWO_DAYS_S),
    },
];

fn set(scene: &mut Scene<'_>, ahead_s: i64) -> Result<()> {
    let clock = Clock::new(scene)?;
    clock.set(0)?;
    scene.set_for_consumers("LD_PRELOAD", clock.library.display().to_string());
    scene.set_for_consumers("CLOCK_FILE", clock.file.display().to_string());
    under_load(scene, |scene| {
        clock.set(ahead_s)?;
        scene.await_refusal("the clock of this machine is", NOTICE_TIMEOUT)?;
        // One that starts with such a clock takes nothing in.
        scene.start_consumer()?;
        scene.await_refusal("the clock of this machine is", NOTICE_TIMEOUT)?;
        clock.set(0)?;
        scene.pass_up_to(MOMENT)?;
        scene.start_consumer()
    })
}

/// A clock that can be set, for the programs that have it preloaded.
struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    fn new(scene: &Scene<'_>) -> Result<Self> {
        let folder = scene.trial().folder();
        let [source, library, file] =
            ["set_clock.c", "set_clock.so", "clock"].map(|name| folder.join(name));
        fs::write(&source, include_str!("clock/set_clock.c"))?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl");
        let output = compiler.output().context("a C compiler is there")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the clock is not compiled: {said}");
        Ok(Self { library, file })
    }

    /// Sets the clock so many seconds ahead of the system's.
    fn set(&self, ahead_s: i64) -> Result<()> {
        // In place: the file is mapped by those who look at it.
        let mut options = fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&self.file)?;
        std::os::unix::fs::FileExt::write_all_at(&file, &ahead_s.to_ne_bytes(), 0)?;
        Ok(())
    }
}
