//! The program that is run: it gets the signals that we get, and we end as it does.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    process::{Command, ExitStatus},
};

use rustix::{
    process::{Pid, Signal, getpgrp, kill_process},
    termios::tcgetpgrp,
};
use tokio::{
    runtime,
    signal::unix::{self, SignalKind, signal},
    task::spawn_blocking,
};

use super::environment::Environment;

/// Runs a program to its end.
///
/// # Errors
/// The system's, when it cannot be run.
pub(super) fn run(
    program: &OsStr,
    words: &[OsString],
    environment: &Environment,
) -> io::Result<ExitStatus> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Before the child is there: a signal that comes at once is not to end us alone.
        let mut signals = Signals::new()?;
        let mut command = Command::new(program);
        command.args(words);
        environment.apply(&mut command);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let mut waiting = spawn_blocking(move || child.wait());
        loop {
            tokio::select! {
                ended = &mut waiting => return ended.map_err(io::Error::other)?,
                signal = signals.next() => {
                    if !is_everybodys(signal) {
                        // It may have ended just now.
                        let _ = kill_process(pid, signal);
                    }
                }
            }
        }
    })
}

/// Tells whether a signal came from the keyboard, which gives it to the child as well.
fn is_everybodys(signal: Signal) -> bool {
    let is_a_keys = signal == Signal::INT || signal == Signal::QUIT;
    is_a_keys
        && File::open("/dev/tty")
            .and_then(|terminal| Ok(tcgetpgrp(&terminal)?))
            .is_ok_and(|group| group == getpgrp())
}

struct Signals {
    hangup: unix::Signal,
    interrupt: unix::Signal,
    quit: unix::Signal,
    terminate: unix::Signal,
    one: unix::Signal,
    two: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            one: signal(SignalKind::user_defined1())?,
            two: signal(SignalKind::user_defined2())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.hangup.recv() => Signal::HUP,
            _ = self.interrupt.recv() => Signal::INT,
            _ = self.quit.recv() => Signal::QUIT,
            _ = self.terminate.recv() => Signal::TERM,
            _ = self.one.recv() => Signal::USR1,
            _ = self.two.recv() => Signal::USR2,
        }
    }
}
