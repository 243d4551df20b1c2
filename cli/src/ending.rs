//! Being told to end while something is written: no lock stays, in the way of everybody.

use std::{io, process, thread};

use notme_attest::store;
use rustix::process::Signal;
use tokio::{
    runtime::Builder,
    select,
    signal::unix::{SignalKind, signal},
};

/// Has Ctrl-C, or an order to end, end the program when no refs are moving.
///
/// # Errors
/// The system's error.
pub(crate) fn leaves_no_locks() -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    thread::Builder::new().spawn(move || {
        let by = runtime.block_on(async {
            select! {
                _ = interrupt.recv() => Signal::INT,
                _ = terminate.recv() => Signal::TERM,
            }
        });
        let _still = store::stop_moving();
        // As a shell has it.
        process::exit(128 + by.as_raw());
    })?;
    Ok(())
}
