//! A user with a home of their own, a repository, and `notme`.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader},
    ops::{Deref, DerefMut},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
};

use notme_testkit::{
    gnupg::Gnupg,
    repository::{Repository, run},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The program under test.
pub(crate) const NOTME: &str = env!("CARGO_BIN_EXE_notme");

/// A repository whose user has a notme home; both end with the value.
pub(crate) struct World {
    repository: Repository,
    home: PathBuf,
    owns_home: bool,
}

impl World {
    /// A fresh user with an empty SHA-1 repository.
    pub(crate) fn new() -> Self {
        Self::of(Repository::new())
    }

    /// A fresh user with a repository of the caller's choice.
    pub(crate) fn of(repository: Repository) -> Self {
        let home = repository.home().join("notme");
        Self::at(repository, home, true)
    }

    /// A fresh user on whom `notme init` was run.
    pub(crate) fn initialised() -> Self {
        let world = Self::new();
        world.notme_ok(&["init", "--agent", "claude"]);
        world
    }

    /// Another repository of the same user.
    pub(crate) fn another_repository(&self, repository: Repository) -> Self {
        Self::at(repository, self.home.clone(), false)
    }

    fn at(mut repository: Repository, home: PathBuf, owns_home: bool) -> Self {
        repository.set_env("NOTME_HOME", &home);
        repository.remove_env("GIT_AUTHOR_DATE");
        repository.remove_env("GIT_COMMITTER_DATE");
        Self {
            repository,
            home,
            owns_home,
        }
    }

    pub(crate) fn notme_home(&self) -> &Path {
        &self.home
    }

    /// Runs `notme` and returns what it said, whether it succeeded or not.
    #[must_use = "nobody looked whether notme succeeded"]
    pub(crate) fn notme<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Output {
        run(self.notme_command().args(arguments), b"")
    }

    pub(crate) fn notme_command(&self) -> Command {
        self.command(NOTME)
    }

    /// Runs `notme`, which must succeed, and returns its stdout.
    pub(crate) fn notme_ok<S: AsRef<OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.notme(arguments);
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns a shell that finds `notme`, and before it what [`Self::stub`] wrote.
    pub(crate) fn shell(&self, script: &str) -> Command {
        let programs = Path::new(NOTME).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = self.command("/bin/sh");
        command
            .env(
                "PATH",
                format!("{}:{}:{path}", self.stubs().display(), programs.display()),
            )
            .env("STUBS", self.stubs())
            .args(["-c", script]);
        command
    }

    /// Writes a program for [`Self::shell`].
    pub(crate) fn stub(&self, name: &str, script: &str) {
        let path = self.stubs().join(name);
        fs::create_dir_all(self.stubs()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Where stubs are.
    pub(crate) fn stubs(&self) -> PathBuf {
        self.home().join("stubs")
    }

    /// Runs `notme verify … --format json` and returns its exit code and the document.
    pub(crate) fn verdicts(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let arguments = [&["verify", "--format", "json"], arguments].concat();
        let output = self.notme(&arguments);
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", told(&output)));
        (output.status.code(), document)
    }

    /// Returns the code of the only object's verdict; `accepted` when there is none.
    pub(crate) fn code(&self, revision: &str, more: &[&str]) -> String {
        let (_, document) = self.verdicts(&[&[revision], more].concat());
        let objects = document["objects"].as_array().unwrap();
        assert_eq!(objects.len(), 1, "{document}");
        let code = &objects[0]["code"];
        code.as_str().map_or_else(
            || objects[0]["verdict"].as_str().unwrap().to_owned(),
            str::to_owned,
        )
    }

    /// Makes a signed commit of one file and returns its id.
    pub(crate) fn signed_commit(&self, name: &str) -> String {
        self.write(name, name);
        self.git_ok(&["add", "--", name]);
        self.git_ok(&["commit", "--quiet", "-m", name]);
        self.git_ok(&["rev-parse", "HEAD"])
    }

    /// Stores a commit made of `raw` and returns its id.
    pub(crate) fn store(&self, raw: &[u8]) -> String {
        self.write_object_unchecked("commit", raw)
    }

    /// Makes a bare repository, the remote `origin`.
    pub(crate) fn remote(&self) -> Repository {
        let bare = Repository::bare();
        self.git_ok(&["remote", "add", "origin", bare.path().to_str().unwrap()]);
        bare
    }

    /// Has the trust store take a person's key as that of the authority `team`.
    pub(crate) fn trust_person(&self, gpg: &Gnupg, email: &str) {
        let keys = self.home().join("keys.asc");
        fs::write(&keys, gpg.export(email)).unwrap();
        let keys = keys.to_str().unwrap();
        self.notme_ok(&["trust", "add", "--openpgp", keys, "--name", "team"]);
    }

    /// Writes a policy file and returns its path.
    pub(crate) fn policy(&self, text: &str) -> String {
        let path = self.home().join("policy.toml");
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A policy like the trust store's, but for the floor.
    pub(crate) fn policy_with_floor(&self, floor: &str) -> String {
        self.policy(&format!(
            "time_basis_floor = \"{floor}\"\n[[authority]]\nname = \"embedded\"\nscopes = [\"sign:git\"]\n[[allow]]\nidentity = \"*\"\n"
        ))
    }
}

impl Deref for World {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Repository {
        &mut self.repository
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if self.owns_home {
            // The processes that were started on demand; a failure shows as one left running.
            let _ = self.notme(&["agent", "stop"]);
            let _ = self.notme(&["authority", "stop"]);
        }
    }
}

/// Somebody who runs an authority for others, with the trust domain `example.com`.
pub(crate) struct Operator {
    world: World,
    directory: String,
}

impl Operator {
    /// Makes the keys.
    pub(crate) fn new() -> Self {
        let world = World::new();
        let directory = world.home().join("authority").to_str().unwrap().to_owned();
        let operator = Self { world, directory };
        operator.ask(&["init", "--trust-domain", "example.com"]);
        operator
    }

    /// Runs a subcommand of `notme authority` on it.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        let place = ["--dir", &self.directory];
        self.world
            .notme_ok(&[&["authority"], arguments, &place].concat())
    }

    /// Starts it.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Served {
        let place = ["--dir", &self.directory];
        Served::start(&self.world, &[&place[..], arguments].concat())
    }

    /// Returns its pins, which it tells people.
    pub(crate) fn pins(&self) -> Vec<String> {
        let status = self.ask(&["status"]);
        let pins = status
            .lines()
            .filter_map(|line| line.trim().strip_prefix("pin "));
        pins.map(|pin| pin.trim().to_owned()).collect()
    }

    /// Returns where it may write files.
    pub(crate) fn home(&self) -> PathBuf {
        self.world.home()
    }
}

/// An authority in the foreground; it ends with the value.
pub(crate) struct Served {
    child: Child,
    pub(crate) url: String,
}

impl Served {
    pub(crate) fn start(world: &World, arguments: &[&str]) -> Self {
        let mut child = world
            .notme_command()
            .args(["authority", "serve", "--log-format", "human"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = loop {
            let line = lines
                .next()
                .expect("the authority says where it listens")
                .unwrap();
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        // Somebody has to go on reading, or the authority would wait for it.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url }
    }
}

impl Served {
    /// Tells it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a port that was free a moment ago; the URL has to be known before the start.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Returns everything that a program said.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}
