//! Ctrl-C: what was judged so far is told; at the second, nothing is.

use std::{
    io::{self, Write as _},
    process, thread,
};

use notme_verifier::judge::Stopper;
use signal_hook::{consts::SIGINT, iterator::Signals};

use crate::ending;

/// As of everything that could not be looked at.
const UNDECIDED: i32 = 3;

/// Somebody who waits for Ctrl-C until the program ends.
pub(super) struct Listening(Stopper);

/// Has the first Ctrl-C stop the judging, and the second the program.
///
/// # Errors
/// The system's error.
pub(super) fn stops(stopper: &Stopper) -> io::Result<Listening> {
    let mut interrupts = Signals::new(ending::heeded([SIGINT]))?;
    let stopper = stopper.clone();
    let listening = Listening(stopper.clone());
    thread::Builder::new().spawn(move || {
        for _ in interrupts.forever() {
            if stopper.is_stopped() {
                process::exit(UNDECIDED);
            }
            stopper.stop();
            let told = "interrupted: telling what was judged; once more to end at once";
            let _ = writeln!(io::stderr(), "\n{told}");
        }
    })?;
    Ok(listening)
}

impl Listening {
    /// Says that everything was judged: from now on, the first Ctrl-C ends the program.
    pub(super) fn end(self) {
        self.0.stop();
    }
}
