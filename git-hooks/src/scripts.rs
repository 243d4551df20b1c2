//! A directory of hooks: small scripts that run the program, and what was there before.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use crate::names;

/// What every script of ours begins with, after the line that names the shell.
const MARK: &str = "# notme-hook 1";

/// Where the hooks are that ran before ours came.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Former {
    /// In a directory; a relative one is, as for git, below the directory where hooks run.
    Directory(PathBuf),
    /// In the repository's own directory, whichever repository that is.
    Repository,
    /// Where git looks with no more than so many settings of the environment: those of a run come
    /// after them.
    Underneath(usize),
}

/// What happens when the program is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum WhenGone {
    /// It is said, and git goes on: nobody loses a commit for it.
    GoOn,
    /// Nothing is received.
    Refuse,
}

/// A directory of hooks to be written.
#[derive(Clone, Debug)]
pub struct Scripts<'a> {
    /// The program.
    pub program: &'a Path,
    /// Where the hooks are that ran before.
    pub former: &'a Former,
    /// Those that the program does something in.
    pub ours: &'a [&'a str],
    /// What happens when the program is gone.
    pub when_gone: WhenGone,
}

impl Scripts<'_> {
    /// Writes the directory, in place of the scripts of ours that it may hold.
    ///
    /// # Errors
    /// [`ScriptsError`]; also when something that is not ours is in the way.
    pub fn write(&self, directory: &Path) -> Result<(), ScriptsError> {
        let failed = |path: &Path, source| ScriptsError::File {
            path: path.to_owned(),
            source,
        };
        remove(directory)?;
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        for name in names::ALL {
            let is_ours = self.ours.contains(&name);
            if !is_ours && !self.stands_for(name) {
                continue;
            }
            let path = directory.join(name);
            let text = match is_ours {
                true => self.ours(name),
                false => self.others(name),
            };
            OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o755)
                .open(&path)
                .and_then(|mut file| file.write_all(&text))
                .map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Tells whether there is to be a script for a hook that we do nothing in.
    fn stands_for(&self, name: &str) -> bool {
        match self.former {
            Former::Directory(directory) => is_executable(&directory.join(name)),
            Former::Repository | Former::Underneath(_) => names::HARMLESS.contains(&name),
        }
    }

    fn head(&self, name: &str) -> Vec<u8> {
        let mut text = format!(
            "#!/bin/sh\n{MARK} {name}\n# Written by notme; what was here before runs as well. \
             `notme hooks uninstall` takes it away.\nnotme="
        )
        .into_bytes();
        text.extend(quoted(self.program.as_os_str()));
        text.push(b'\n');
        text
    }

    /// The line that runs the program in place of the shell.
    fn call(&self, name: &str) -> Vec<u8> {
        let mut text = CALL.as_bytes().to_vec();
        match self.former {
            Former::Directory(directory) => {
                text.extend_from_slice(b" --former ");
                text.extend(quoted(directory.as_os_str()));
            }
            Former::Repository => {}
            Former::Underneath(settings) => {
                text.extend_from_slice(format!(" --underneath {settings}").as_bytes());
            }
        }
        text.extend_from_slice(format!(" {name} -- \"$@\"\n").as_bytes());
        text
    }

    /// The lines that run what was there before, as far as a shell finds it.
    fn fallback(&self, name: &str) -> Vec<u8> {
        let mut text = b"former=".to_vec();
        match self.former {
            Former::Directory(directory) => {
                text.extend(quoted(directory.join(name).as_os_str()));
            }
            Former::Repository => text.extend_from_slice(
                format!("\"$(git rev-parse --git-common-dir)/hooks/{name}\"").as_bytes(),
            ),
            Former::Underneath(settings) => text.extend_from_slice(
                format!("\"$(GIT_CONFIG_COUNT={settings} git rev-parse --git-path hooks)/{name}\"")
                    .as_bytes(),
            ),
        }
        text.extend_from_slice(b"\n[ -x \"$former\" ] && exec \"$former\" \"$@\"\nexit 0\n");
        text
    }

    fn ours(&self, name: &str) -> Vec<u8> {
        let mut text = self.head(name);
        text.extend(self.call(name));
        // Afterwards there is nothing to refuse.
        let when_gone = match name {
            names::POST_RECEIVE => WhenGone::GoOn,
            _ => self.when_gone,
        };
        match when_gone {
            WhenGone::GoOn => {
                text.extend_from_slice(
                    b"echo \"notme: $notme is gone, so this hook did nothing; \
                      run: notme hooks install\" >&2\n",
                );
                text.extend(self.fallback(name));
            }
            WhenGone::Refuse => text.extend_from_slice(
                b"echo \"notme: $notme is gone on this server, so nothing can be verified \
                  and nothing is received\" >&2\nexit 1\n",
            ),
        }
        text
    }

    fn others(&self, name: &str) -> Vec<u8> {
        let mut text = self.head(name);
        text.extend(self.fallback(name));
        text
    }
}

/// Removes the scripts of ours in a directory, and the directory.
///
/// # Errors
/// [`ScriptsError::Foreign`] when it holds something else; then nothing is removed.
pub fn remove(directory: &Path) -> Result<(), ScriptsError> {
    let failed = |path: &Path, source| ScriptsError::File {
        path: path.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(directory, error)),
    };
    let mut ours = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| failed(directory, error))?.path();
        if !is_ours(&path) {
            return Err(ScriptsError::Foreign { path });
        }
        ours.push(path);
    }
    for path in ours {
        fs::remove_file(&path).map_err(|error| failed(&path, error))?;
    }
    fs::remove_dir(directory).map_err(|error| failed(directory, error))
}

/// Tells whether a directory is one of ours: it holds a script of ours.
pub fn are_in(directory: &Path) -> bool {
    names::ALL.iter().any(|name| is_ours(&directory.join(name)))
}

/// Returns the hooks in a directory of ours that the program does something in.
pub fn worked_in(directory: &Path) -> Vec<&'static str> {
    let names = names::ALL.iter().copied();
    names
        .filter(|name| called(&directory.join(name)).is_some())
        .collect()
}

/// Returns where the hooks are that a directory of ours runs as well, when that is one directory.
pub fn former_of(directory: &Path) -> Option<PathBuf> {
    let text = names::ALL
        .iter()
        .find_map(|name| called(&directory.join(name)))?;
    let quoted = text.split(" --former '").nth(1)?;
    // As it was quoted.
    let mut former = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('\'')?;
        former.push_str(part);
        match after.strip_prefix("\\''") {
            Some(more) => {
                former.push('\'');
                rest = more;
            }
            None => return Some(former.into()),
        }
    }
}

/// Returns the line of a script that calls the program.
fn called(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(CALL))?;
    Some(line.to_owned())
}

/// What the line begins with.
const CALL: &str = "[ -x \"$notme\" ] && exec \"$notme\" hook";

/// Returns the hooks of a directory that would run but for ours, and that ours do not run: they
/// came later.
pub fn overlooked(ours: &Path, former: &Path) -> Vec<&'static str> {
    let names = names::ALL.iter().copied();
    names
        .filter(|name| is_executable(&former.join(name)) && !ours.join(name).exists())
        .collect()
}

/// Tells whether git would run a file as a hook.
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

fn is_ours(path: &Path) -> bool {
    fs::read(path).is_ok_and(|text| {
        let mut lines = text.split(|byte| *byte == b'\n');
        lines
            .nth(1)
            .is_some_and(|line| line.starts_with(MARK.as_bytes()))
    })
}

/// Quotes a word for a POSIX shell.
fn quoted(word: &OsStr) -> Vec<u8> {
    let mut text = vec![b'\''];
    for byte in word.as_bytes() {
        match byte {
            b'\'' => text.extend_from_slice(b"'\\''"),
            byte => text.push(*byte),
        }
    }
    text.push(b'\'');
    text
}

/// The directory of hooks could not be written or removed.
#[derive(Debug, thiserror::Error)]
pub enum ScriptsError {
    /// A file.
    #[error("could not use `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else's file is in the directory.
    #[error("`{}` is none of the hooks that notme writes, and is left alone", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn world() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn hook(directory: &Path, name: &str, text: &str) {
        fs::create_dir_all(directory).unwrap();
        fs::write(directory.join(name), text).unwrap();
        fs::set_permissions(directory.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn what_was_there_runs_under_its_own_name_and_with_its_arguments() {
        let world = world();
        let (ours, former) = (world.path().join("ours"), world.path().join("it's here"));
        hook(
            &former,
            "pre-commit",
            "#!/bin/sh\necho \"$0|$1|$2\"\nexit 3\n",
        );
        let scripts = Scripts {
            program: Path::new("/nonexistent/notme"),
            former: &Former::Directory(former.clone()),
            ours: &["post-commit"],
            when_gone: WhenGone::GoOn,
        };
        scripts.write(&ours).unwrap();
        let output = Command::new(ours.join("pre-commit"))
            .args(["a b", "c"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3));
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, format!("{}/pre-commit|a b|c\n", former.display()));
        // Those that are not there have no script: some hooks change git by being there.
        assert!(!ours.join("push-to-checkout").exists());
    }

    #[test]
    fn a_program_that_is_gone_stops_no_commit_and_every_push() {
        let world = world();
        for (when_gone, code) in [(WhenGone::GoOn, 0), (WhenGone::Refuse, 1)] {
            let ours = world.path().join(format!("{code}"));
            let scripts = Scripts {
                program: Path::new("/nonexistent/notme"),
                former: &Former::Directory(world.path().join("none")),
                ours: &["pre-receive"],
                when_gone,
            };
            scripts.write(&ours).unwrap();
            let output = Command::new(ours.join("pre-receive")).output().unwrap();
            assert_eq!(output.status.code(), Some(code));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains("/nonexistent/notme is gone"), "{said}");
        }
    }

    #[test]
    fn removes_its_own_and_nobody_elses() {
        let world = world();
        let ours = world.path().join("ours");
        let scripts = Scripts {
            program: Path::new("/bin/true"),
            former: &Former::Repository,
            ours: &names::CLIENT,
            when_gone: WhenGone::GoOn,
        };
        scripts.write(&ours).unwrap();
        scripts.write(&ours).unwrap();
        assert!(are_in(&ours));
        hook(&ours, "mine", "#!/bin/sh\n");
        assert!(matches!(remove(&ours), Err(ScriptsError::Foreign { .. })));
        assert!(ours.join("post-commit").exists());
        fs::remove_file(ours.join("mine")).unwrap();
        remove(&ours).unwrap();
        remove(&ours).unwrap();
        assert!(!ours.exists());
    }

    #[test]
    fn finds_hooks_that_came_later() {
        let world = world();
        let (ours, former) = (world.path().join("ours"), world.path().join("it's"));
        let scripts = Scripts {
            program: Path::new("/bin/true"),
            former: &Former::Directory(former.clone()),
            ours: &["post-commit"],
            when_gone: WhenGone::GoOn,
        };
        scripts.write(&ours).unwrap();
        hook(&former, "post-commit", "#!/bin/sh\n");
        assert_eq!(overlooked(&ours, &former), [""; 0]);
        assert_eq!(worked_in(&ours), ["post-commit"]);
        assert_eq!(former_of(&ours), Some(former.clone()));
        hook(&former, "pre-commit", "#!/bin/sh\n");
        assert_eq!(overlooked(&ours, &former), ["pre-commit"]);
    }
}
