//! Stopwatch: medians of interleaved runs.

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Runs before the first that counts, at most.
const WARM_UP: usize = 3;
/// How often a process's memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_millis(2);

/// Measured durations, sorted.
#[derive(Clone, Debug)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Takes durations in any order.
    pub(crate) fn new(mut durations: Vec<Duration>) -> Self {
        durations.sort();
        Self(durations)
    }

    /// Returns the median.
    pub(crate) fn median(&self) -> Duration {
        self.quantile(50)
    }

    /// Returns the duration that `percent` of the runs do not exceed.
    pub(crate) fn quantile(&self, percent: usize) -> Duration {
        let last = self.0.len().saturating_sub(1);
        self.0
            .get(last * percent / 100)
            .copied()
            .expect("something was measured")
    }

    /// Returns what so many times the work would have taken.
    pub(crate) fn scaled(self, by: u32) -> Self {
        Self(self.0.into_iter().map(|duration| duration * by).collect())
    }

    /// Returns how many runs there were.
    pub(crate) fn runs(&self) -> usize {
        self.0.len()
    }
}

/// Something to be timed; it gets the number of the run and returns how long it took.
pub(crate) type Contender<'a> = Box<dyn FnMut(usize) -> Duration + 'a>;

/// Runs contenders in turn, so that a slow moment of the machine meets all of them. What takes so long
/// that it runs once needs no warm-up.
pub(crate) fn contest(rounds: usize, mut contenders: Vec<Contender<'_>>) -> Vec<Samples> {
    let mut durations = vec![Vec::with_capacity(rounds); contenders.len()];
    let warm_up = WARM_UP.min(rounds.saturating_sub(1));
    for round in 0..warm_up + rounds {
        for (contender, durations) in contenders.iter_mut().zip(&mut durations) {
            let duration = contender(round);
            if round >= warm_up {
                durations.push(duration);
            }
        }
    }
    durations.into_iter().map(Samples::new).collect()
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    /// From before the start to after the end.
    pub(crate) duration: Duration,
    /// Whether it succeeded.
    pub(crate) success: bool,
    /// Its stdout.
    pub(crate) stdout: Vec<u8>,
    /// Its stderr.
    pub(crate) stderr: Vec<u8>,
}

impl Finished {
    /// Returns the duration.
    ///
    /// # Panics
    /// When the program failed: its speed would mean nothing.
    pub(crate) fn successful(self, what: &str) -> Duration {
        self.assert_success(what);
        self.duration
    }

    /// Panics when the program failed.
    pub(crate) fn assert_success(&self, what: &str) {
        assert!(
            self.success,
            "{what} failed:\n{}{}",
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        );
    }
}

/// Runs a program from start to end with `input` on stdin, as git does for a signature.
pub(crate) fn time(command: &mut Command, input: &[u8]) -> Finished {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // Inputs here fit into a pipe, so nobody waits for anybody.
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(input).ok();
    drop(stdin);
    let output = child
        .wait_with_output()
        .expect("a started child can be waited for");
    Finished {
        duration: start.elapsed(),
        success: output.status.success(),
        stdout: output.stdout,
        stderr: output.stderr,
    }
}

/// The most memory that a program held, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Of its own, as far as anybody looked.
    pub(crate) own: u64,
    /// With the pages of files that it mapped: packs, for the most part, which the system takes back
    /// when somebody needs the room.
    pub(crate) with_files: u64,
}

/// Runs a program and returns the most memory it held.
pub(crate) fn peak_memory(command: &mut Command) -> Memory {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let status = format!("/proc/{}/status", child.id());
    let mut peak = Memory::default();
    while child
        .try_wait()
        .expect("a started child can be waited for")
        .is_none()
    {
        let text = fs::read_to_string(&status).unwrap_or_default();
        peak.own = peak.own.max(bytes_in(&text, "RssAnon:"));
        peak.with_files = peak.with_files.max(bytes_in(&text, "VmHWM:"));
        thread::sleep(MEMORY_INTERVAL);
    }
    peak
}

/// Reads a size in the status of a process; none of one that has ended.
fn bytes_in(status: &str, name: &str) -> u64 {
    let mut lines = status.lines();
    let size = lines.find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    size.and_then(|size| size.parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}
