//! Hermetic git repositories.

use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use notme_core::time::UnixTime;
use tempfile::TempDir;

use crate::{clock::NOW, oracle::oracle};

/// A repository in a temporary directory, with a home of its own and nothing of this machine's
/// configuration or environment but `PATH`.
#[derive(Debug)]
pub struct Repository {
    root: TempDir,
    environment: BTreeMap<OsString, OsString>,
}

impl Repository {
    /// Makes an empty SHA-1 repository on branch `main`.
    pub fn new() -> Self {
        Self::init(&[])
    }

    /// Makes an empty SHA-256 repository on branch `main`.
    pub fn sha256() -> Self {
        Self::init(&["--object-format=sha256"])
    }

    /// Makes an empty bare repository, for pushes.
    pub fn bare() -> Self {
        Self::init(&["--bare"])
    }

    fn init(options: &[&str]) -> Self {
        let root = tempfile::Builder::new()
            .prefix("notme-")
            .tempdir()
            .expect("the temporary directory is writable");
        for directory in ["home", "work"] {
            fs::create_dir(root.path().join(directory)).expect("the new directory is writable");
        }
        let home = root.path().join("home");
        // An empty file, not /dev/null: `git config --global` in a test writes here.
        let global = home.join("gitconfig");
        fs::write(&global, "").expect("the new directory is writable");
        let mut repository = Self {
            root,
            environment: BTreeMap::new(),
        };
        repository.set_env("PATH", env::var_os("PATH").unwrap_or_default());
        repository.set_env("HOME", &home);
        repository.set_env("GIT_CONFIG_GLOBAL", &global);
        for (name, value) in FIXED_ENVIRONMENT {
            repository.set_env(name, value);
        }
        repository.set_date(NOW);
        let arguments = [&["init", "--quiet", "--initial-branch=main"], options].concat();
        repository.git_ok(&arguments);
        repository
    }

    /// Returns the working directory.
    pub fn path(&self) -> PathBuf {
        self.root.path().join("work")
    }

    /// Returns the private home directory.
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// Sets author and committer date of the commits to come.
    pub fn set_date(&mut self, at: UnixTime) {
        let date = format!("@{} +0000", at.secs());
        self.set_env("GIT_AUTHOR_DATE", &date);
        self.set_env("GIT_COMMITTER_DATE", &date);
    }

    /// Sets a variable for every command to come.
    pub fn set_env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) {
        self.environment
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
    }

    /// Removes a variable for every command to come.
    pub fn remove_env(&mut self, name: impl AsRef<OsStr>) {
        self.environment.remove(name.as_ref());
    }

    /// Returns a command in the working directory, with this repository's environment only.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path())
            .env_clear()
            .envs(&self.environment)
            .stdin(Stdio::null());
        command
    }

    /// Runs git and returns what it said, whether it succeeded or not.
    #[must_use = "nobody looked whether git succeeded; `git_ok` does"]
    pub fn git(&self, arguments: &[&str]) -> Output {
        self.git_with_input(arguments, b"")
    }

    /// Runs git with bytes on stdin.
    #[must_use = "nobody looked whether git succeeded"]
    pub fn git_with_input(&self, arguments: &[&str], input: &[u8]) -> Output {
        run(self.command(oracle("git")).args(arguments), input)
    }

    /// Adds objects and refs from a stream of `git fast-import`.
    ///
    /// # Panics
    /// When git does not take it.
    pub fn import(&self, stream: &str) {
        let arguments = ["fast-import", "--quiet"];
        success(
            &arguments,
            self.git_with_input(&arguments, stream.as_bytes()),
        );
    }

    /// Runs git, which must succeed, and returns its stdout without the final newline.
    ///
    /// # Panics
    /// When git fails.
    pub fn git_ok(&self, arguments: &[&str]) -> String {
        success(arguments, self.git(arguments))
    }

    /// Writes a file into the working directory.
    pub fn write(&self, name: impl AsRef<Path>, content: &str) {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("the working directory is writable");
        }
        fs::write(path, content).expect("the working directory is writable");
    }

    /// Writes a file, commits it unsigned, and returns the commit's id.
    pub fn commit(&self, name: &str, content: &str) -> String {
        self.write(name, content);
        self.git_ok(&["add", "--", name]);
        self.git_ok(&["commit", "--quiet", "--no-gpg-sign", "-m", name]);
        self.git_ok(&["rev-parse", "HEAD"])
    }

    /// Returns the id of the empty tree, which is written if absent.
    pub fn empty_tree(&self) -> String {
        let arguments = ["mktree"];
        success(&arguments, self.git_with_input(&arguments, b""))
    }

    /// Stores a raw commit object after git's own check of it; returns its id.
    ///
    /// # Panics
    /// When git finds it malformed.
    pub fn write_commit_object(&self, raw: &[u8]) -> String {
        let arguments = ["hash-object", "-t", "commit", "-w", "--stdin"];
        success(&arguments, self.git_with_input(&arguments, raw))
    }

    /// Stores bytes as an object of `kind`, however malformed; returns its id.
    pub fn write_object_unchecked(&self, kind: &str, raw: &[u8]) -> String {
        let arguments = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"];
        success(&arguments, self.git_with_input(&arguments, raw))
    }

    /// Returns an object's raw bytes.
    ///
    /// # Panics
    /// When there is no such object.
    pub fn read_object(&self, kind: &str, oid: &str) -> Vec<u8> {
        let output = self.git(&["cat-file", kind, oid]);
        assert!(output.status.success(), "no {kind} {oid}");
        output.stdout
    }
}

impl Default for Repository {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a command with bytes on stdin. A program that stops reading early is no failure here:
/// its status tells.
#[must_use = "nobody looked whether the command succeeded"]
pub fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // Written beside the reading of the output, or both sides could wait on full pipes.
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).ok());
        child
            .wait_with_output()
            .expect("a started child can be waited for")
    })
}

fn success(arguments: &[&str], output: Output) -> String {
    assert!(
        output.status.success(),
        "git {}: {}{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let stdout = String::from_utf8(output.stdout).expect("git prints UTF-8 here");
    stdout.trim_end_matches('\n').to_owned()
}

/// What every command sees beside `PATH`, `HOME` and the dates.
const FIXED_ENVIRONMENT: [(&str, &str); 10] = [
    ("GIT_AUTHOR_EMAIL", "test@example.invalid"),
    ("GIT_AUTHOR_NAME", "Test"),
    ("GIT_COMMITTER_EMAIL", "test@example.invalid"),
    ("GIT_COMMITTER_NAME", "Test"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C.UTF-8"),
    ("NO_COLOR", "1"),
    ("TZ", "UTC"),
];
