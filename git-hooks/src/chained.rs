//! Running the hook that was there before.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use crate::scripts::is_executable;

/// By this variable a script of ours that is run by another one of ours knows that the work is
/// done: it holds the other's process id and the hook's name.
pub const DONE: &str = "NOTME_HOOK";

/// Runs a hook of a directory, with the bytes that git wrote to ours, and returns how it ended: a
/// signal as a shell has it. One that is not there is content.
///
/// # Errors
/// The system's, when it cannot be run.
pub fn run(
    directory: &Path,
    name: &str,
    arguments: &[OsString],
    input: Option<&[u8]>,
) -> io::Result<u8> {
    let path = directory.join(name);
    if !is_executable(&path) {
        return Ok(0);
    }
    let spawn = |command: &mut Command| {
        command
            .args(arguments)
            .env(DONE, format!("{}:{name}", std::process::id()))
            .stdin(match input {
                Some(_) => Stdio::piped(),
                None => Stdio::inherit(),
            })
            .spawn()
    };
    let mut child = match spawn(&mut Command::new(&path)) {
        // No line that names its interpreter: as git does, the shell reads it.
        Err(error) if error.raw_os_error() == Some(ENOEXEC) => {
            spawn(Command::new("/bin/sh").arg(&path))?
        }
        spawned => spawned?,
    };
    let status = feed(&mut child, input)?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn feed(child: &mut Child, input: Option<&[u8]>) -> io::Result<std::process::ExitStatus> {
    let stdin = child.stdin.take();
    thread::scope(|scope| {
        scope.spawn(|| {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A hook that reads no more is content with what it has.
                let _ = stdin.write_all(input);
            }
        });
        child.wait()
    })
}

/// Tells whether whoever runs us is another hook of ours that did the work already.
pub fn is_done(value: Option<&str>, name: &str, parent: Option<i32>) -> bool {
    let by = value.and_then(|value| value.split_once(':'));
    by.is_some_and(|(pid, done)| done == name && pid.parse().ok() == parent)
}

/// linux/include/uapi/asm-generic/errno-base.h
const ENOEXEC: i32 = 8;

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn hands_on_arguments_input_and_exit_code() {
        let world = tempfile::tempdir().unwrap();
        let path = world.path().join("pre-push");
        // Without a line that names the interpreter.
        fs::write(&path, "read line\n[ \"$line\" = input ] && exit \"$1\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let code = run(world.path(), "pre-push", &["7".into()], Some(b"input\n"));
        assert_eq!(code.unwrap(), 7);
        assert_eq!(run(world.path(), "absent", &[], None).unwrap(), 0);
    }

    #[test]
    fn work_is_done_once() {
        assert!(is_done(Some("12:post-commit"), "post-commit", Some(12)));
        assert!(!is_done(Some("12:post-commit"), "post-commit", Some(13)));
        assert!(!is_done(Some("12:post-commit"), "commit-msg", Some(12)));
        assert!(!is_done(Some("post-commit"), "post-commit", None));
        assert!(!is_done(None, "post-commit", Some(12)));
    }
}
