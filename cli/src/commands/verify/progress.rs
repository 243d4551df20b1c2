//! How far a long run has come, on a terminal and nowhere else.

use std::{
    io::{self, IsTerminal as _, Write as _},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use notme_verifier::Judge;

/// Runs shorter than this show nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(200);
/// Back to the beginning of the line, and erase it.
const ERASE: &str = "\r\x1b[K";

/// Does the work while telling on stderr how many objects were examined.
pub(super) fn shown<T>(judge: &Judge<'_>, work: impl FnOnce() -> T) -> T {
    if !io::stderr().is_terminal() {
        return work();
    }
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel::<()>();
        scope.spawn(move || {
            let began = Instant::now();
            let mut wait = PATIENCE;
            while ended.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                let (count, seconds) = (judge.examined(), began.elapsed().as_secs().max(1));
                let rate = u64::try_from(count).unwrap_or(u64::MAX) / seconds;
                let _ = write!(io::stderr(), "{ERASE}examined {count} objects, {rate}/s");
                wait = INTERVAL;
            }
            if wait == INTERVAL {
                let _ = write!(io::stderr(), "{ERASE}");
            }
        });
        let result = work();
        drop(done);
        result
    })
}
