//! Being told to end while something is written: no lock stays, in the way of everybody.

use std::{fs, io, thread};

use notme_attest::store;
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// Has Ctrl-C, or an order to end, end the program when no refs are moving; by that signal, so that whoever
/// started it knows.
///
/// # Errors
/// The system's error.
pub(crate) fn leaves_no_locks() -> io::Result<()> {
    let mut signals = Signals::new(heeded([SIGHUP, SIGINT, SIGQUIT, SIGTERM]))?;
    thread::Builder::new().spawn(move || {
        for signal in signals.forever() {
            let _still = store::stop_moving();
            // It does not come back from that.
            let _ = emulate_default_handler(signal);
        }
    })?;
    Ok(())
}

/// Returns those of some signals that whoever started us does not have us ignore, as `nohup` does.
pub(crate) fn heeded<const N: usize>(all: [i32; N]) -> impl Iterator<Item = i32> {
    let ignored = ignored();
    let is_heeded = move |signal: &i32| ignored >> (signal - 1) & 1 == 0;
    all.into_iter().filter(is_heeded)
}

/// Returns which signals are ignored: a bit each. Where the system does not say, none.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}
