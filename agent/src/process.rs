//! What the key agent does to its own process.

use std::fs;

use notme_core::frame::MemoryProtection;
use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit},
};

use crate::locked::{LockedMemory, Weakness};

/// Cuts the process loose from whoever started it: no inherited file stays open, the working
/// directory is `/`, the terminal is not ours.
///
/// For the first line of a process of its own. git may have been run under `flock`, with a pipe
/// somebody waits on, or in a directory that is to be removed: a key agent that kept any of them
/// would hold up its starter for as long as it lives. Standard input, output and error stay.
pub fn detach() {
    // A leader of its process group cannot leave the session, and need not.
    let _ = rustix::process::setsid();
    let _ = rustix::process::chdir("/");
    let Ok(entries) = fs::read_dir("/proc/self/fd") else {
        return;
    };
    let open: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    // The list was read through a descriptor that is closed by now: closing it again only fails.
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        let _ = nix::unistd::close(descriptor);
    }
}

/// Keeps memory out of dumps and debuggers, and new files private. Returns how well it worked.
pub(crate) fn protect() -> MemoryProtection {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let mut weaknesses = Vec::new();
    if let Err(errno) = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        weaknesses.push(format!(
            "the process can be dumped (PR_SET_DUMPABLE: {errno})"
        ));
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(errno) = rustix::process::setrlimit(Resource::Core, none) {
        weaknesses.push(format!(
            "core dumps are not disabled (RLIMIT_CORE: {errno})"
        ));
    }
    let dumps_disabled = weaknesses.is_empty();
    let memory_locked = match LockedMemory::zeroed(1) {
        Ok(probe) => {
            weaknesses.extend(probe.weaknesses().iter().map(Weakness::to_string));
            !probe
                .weaknesses()
                .iter()
                .any(|weakness| weakness.is_unlocked())
        }
        Err(error) => {
            weaknesses.push(format!("no memory for keys (mmap: {error})"));
            false
        }
    };
    MemoryProtection {
        memory_locked,
        dumps_disabled,
        weaknesses,
    }
}
