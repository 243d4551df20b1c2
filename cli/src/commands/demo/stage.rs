//! The scratch directory of the demo: a home, a repository, and nothing of the user's.

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

use crate::{failure::Failure, home::Home, program};

/// A scratch home and repository; they and their processes end with [`Stage::close`], or when
/// dropped.
pub(super) struct Stage {
    root: TempDir,
    program: PathBuf,
}

impl Stage {
    /// Makes the directories and an empty repository.
    pub(super) fn build() -> Result<Self, Failure> {
        let root = tempfile::Builder::new().prefix("notme-demo-").tempdir()?;
        for name in ["repository", "home"] {
            fs::create_dir(root.path().join(name))?;
        }
        let stage = Self {
            root,
            program: program::path()?,
        };
        stage.git_ok(&["init", "-q", "-b", "main"])?;
        Ok(stage)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(super) fn home(&self) -> Home {
        Home::under(&self.path("home"))
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Runs `notme` in the repository.
    pub(super) fn notme(&self, arguments: &[&str]) -> io::Result<Output> {
        self.command(&self.program).args(arguments).output()
    }

    /// Runs git in the repository.
    pub(super) fn git(&self, arguments: &[&str]) -> io::Result<Output> {
        self.command("git".as_ref()).args(arguments).output()
    }

    /// Runs git, which must succeed, and returns its stdout without the final newline.
    pub(super) fn git_ok(&self, arguments: &[&str]) -> Result<String, Failure> {
        success(self.git(arguments)?)
    }

    /// Makes a signed commit and returns its id.
    pub(super) fn commit(&self, message: &str) -> Result<String, Failure> {
        fs::write(self.path("repository/file"), message)?;
        self.git_ok(&["add", "file"])?;
        self.git_ok(&["commit", "-q", "-m", message])?;
        self.git_ok(&["rev-parse", "HEAD"])
    }

    /// Returns a commit's bytes.
    pub(super) fn read(&self, id: &str) -> Result<Vec<u8>, Failure> {
        let output = self.git(&["cat-file", "commit", id])?;
        if !output.status.success() {
            return Err(refusal(&output));
        }
        Ok(output.stdout)
    }

    /// Stores a commit, however odd, and returns its id.
    pub(super) fn store(&self, raw: &[u8]) -> Result<String, Failure> {
        let mut child = self
            .command("git".as_ref())
            .args([
                "hash-object",
                "-t",
                "commit",
                "-w",
                "--stdin",
                "--literally",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(raw)?;
        }
        success(child.wait_with_output()?)
    }

    /// Prints a command and what it said.
    pub(super) fn show(
        &self,
        out: &mut impl Write,
        title: &str,
        output: &Output,
    ) -> io::Result<()> {
        writeln!(out, "$ {title}")?;
        let scratch = self.root.path().display().to_string();
        for bytes in [&output.stdout, &output.stderr] {
            for line in String::from_utf8_lossy(bytes).lines() {
                writeln!(out, "  {}", line.replace(&scratch, "…"))?;
            }
        }
        writeln!(out)
    }

    /// A command in the repository that sees the scratch home and `PATH`, and nothing else.
    pub(super) fn command(&self, program: &Path) -> Command {
        self.command_with_home(program, "home")
    }

    /// The same, with another notme home.
    pub(super) fn command_with_home(&self, program: &Path, home: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path("repository"))
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("NOTME_HOME", self.path(home))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.path("gitconfig"))
            .env("USER", "alice")
            .stdin(Stdio::null());
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), "Alice");
            command.env(format!("GIT_{role}_EMAIL"), "alice@example.com");
        }
        command
    }

    /// Ends the processes that were started on demand and removes everything.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.end_processes();
        Ok(())
    }

    fn end_processes(&self) {
        for home in ["home", "other"] {
            if self.path(home).exists() {
                for what in ["agent", "authority"] {
                    let _ = self
                        .command_with_home(&self.program, home)
                        .args([what, "stop"])
                        .output();
                }
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end_processes();
    }
}

/// Returns what a program printed, if it succeeded.
pub(super) fn success(output: Output) -> Result<String, Failure> {
    if !output.status.success() {
        return Err(refusal(&output));
    }
    Ok(String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned())
}

fn refusal(output: &Output) -> Failure {
    let said = String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned();
    Failure::from(format!("a step of the demo failed: {said}"))
}
