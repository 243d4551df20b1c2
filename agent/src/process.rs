//! What the key agent does to its own process.

use std::fs;

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
