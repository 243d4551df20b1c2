//! The program that is run: it gets the signals that we get, and we end as it does.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    process::{Command, ExitStatus},
    thread,
};

use rustix::{
    process::{Pid, Signal, getpgrp, kill_process},
    termios::tcgetpgrp,
};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::Signals,
};

use super::environment::Environment;
use crate::ending;

/// Runs a program to its end.
///
/// # Errors
/// The system's, when it cannot be run.
pub(super) fn run(
    program: &OsStr,
    words: &[OsString],
    environment: &Environment,
) -> io::Result<ExitStatus> {
    let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
    // Before the child is there: a signal that comes at once is not to end us alone.
    let mut signals = Signals::new(ending::heeded(all))?;
    let mut command = Command::new(program);
    command.args(words);
    environment.apply(&mut command);
    let mut child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let listening = signals.handle();
    let passing = thread::Builder::new().spawn(move || {
        let all = signals.forever().filter_map(Signal::from_named_raw);
        for signal in all.filter(|signal| !is_everybodys(*signal)) {
            // It may have ended just now.
            let _ = kill_process(pid, signal);
        }
    })?;
    let ended = child.wait();
    listening.close();
    // Nobody panics there.
    let _ = passing.join();
    // From now on they are for us.
    ending::leaves_no_locks()?;
    ended
}

/// Tells whether a signal came from the keyboard, which gives it to the child as well.
fn is_everybodys(signal: Signal) -> bool {
    let is_a_keys = signal == Signal::INT || signal == Signal::QUIT;
    is_a_keys
        && File::open("/dev/tty")
            .and_then(|terminal| Ok(tcgetpgrp(&terminal)?))
            .is_ok_and(|group| group == getpgrp())
}
