//! What a process that holds keys does to itself.

use rustix::{
    fs::Mode,
    process::{DumpableBehavior, Resource, Rlimit},
};

use crate::locked::{LockedMemory, Weakness};

/// How well the memory of a process is kept from others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ProcessProtection {
    /// Memory can be locked, so that it is never swapped.
    pub memory_locked: bool,
    /// Neither a core dump nor a debugger of the same user gets at it.
    pub dumps_disabled: bool,
    /// What is missing, and why.
    pub weaknesses: Vec<String>,
}

/// Keeps the memory of this process out of dumps and debuggers, and new files private. Returns
/// how well it worked: a container that allows less is no reason not to run.
pub fn protect_process() -> ProcessProtection {
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
    ProcessProtection {
        memory_locked,
        dumps_disabled,
        weaknesses,
    }
}
