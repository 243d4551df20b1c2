//! A PostgreSQL server of the test's own: it ends with whoever holds it last, or with the process.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::oracle::oracle;

/// The password of [`USER`] over TCP; on the unix socket nobody is asked.
pub const PASSWORD: &str = "p@ss/word";
/// Who owns every database.
pub const USER: &str = "notme";

/// A server, with its files.
#[derive(Debug)]
pub struct Cluster {
    /// First, so that it ends before its files go.
    running: Mutex<Option<Running>>,
    directory: TempDir,
    port: u16,
    settings: Vec<String>,
    databases: AtomicU32,
}

#[derive(Debug)]
struct Running {
    /// A shell, which ends the server when nobody writes to it any more.
    shell: Child,
    held: Option<ChildStdin>,
    pid: u32,
}

impl Cluster {
    /// Returns the server that the tests of this process share.
    ///
    /// # Panics
    /// When it does not start.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().expect("no test panicked in here");
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start(|_| Vec::new()));
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// Starts a server with settings of its own; what they name can be put into its directory.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(settings: impl FnOnce(&Path) -> Vec<String>) -> Self {
        let directory = TempDir::new().expect("a directory");
        let root = directory.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).expect("its mode");
        let password = root.join("password");
        fs::write(&password, PASSWORD).expect("a file");
        give_away(root);
        give_away(&password);
        let made = unprivileged(&oracle("initdb"))
            .args([
                "--no-sync",
                "--no-instructions",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args([
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--username",
                USER,
            ])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(root.join("data"))
            .env_clear()
            .output()
            .expect("initdb runs");
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{said}");
        let settings = settings(root);
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let cluster = Self {
            port: free.expect("a free port").port(),
            settings,
            running: Mutex::default(),
            databases: AtomicU32::new(0),
            directory,
        };
        cluster.resume();
        cluster
    }

    /// Makes an empty database and returns its name.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::SeqCst);
        let name = format!("test_{number}");
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Returns the URL of a database on the unix socket.
    pub fn url(&self, database: &str) -> String {
        let directory = self.directory.path().display();
        let port = self.port;
        format!("postgres://{USER}@/{database}?host={directory}&port={port}")
    }

    /// Returns the port that it listens at on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL as anybody could, and returns what it says: rows of columns with `|` between.
    ///
    /// # Panics
    /// When the server refuses it.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let output = Command::new(oracle("psql"))
            .env_clear()
            .args(["--no-psqlrc", "--tuples-only", "--no-align", "--quiet"])
            .args(["--set", "ON_ERROR_STOP=1", "--username", USER])
            .arg("--host")
            .arg(self.directory.path())
            .args(["--port", &self.port.to_string(), "--dbname", database])
            .args(["--command", sql])
            .output()
            .expect("psql runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{sql}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Kills the server as it is; all of its processes find out by themselves.
    ///
    /// # Panics
    /// When it does not run.
    pub fn crash(&self) {
        let mut running = self.running.lock().expect("no test panicked in here");
        let pid = running.as_ref().expect("it runs").pid.to_string();
        let killed = Command::new(oracle("kill")).args(["-KILL", &pid]).status();
        assert!(killed.expect("kill runs").success());
        *running = None;
    }

    /// Stops the server where it is: it neither answers nor hangs up.
    ///
    /// # Panics
    /// When it does not run.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    ///
    /// # Panics
    /// When it does not run.
    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let running = self.running.lock().expect("no test panicked in here");
        running.as_ref().expect("it runs").signal(signal);
    }

    /// Starts the server again.
    ///
    /// # Panics
    /// When it does not start.
    pub fn resume(&self) {
        for _ in 0..100 {
            if let Some(running) = self.try_start() {
                *self.running.lock().expect("no test panicked in here") = Some(running);
                return;
            }
            // Processes of the one before may be there still.
            thread::sleep(POLL);
        }
        let log = fs::read_to_string(self.directory.path().join("data/log"));
        panic!("PostgreSQL does not start: {}", log.unwrap_or_default());
    }

    /// Starts the server and waits until it lets in; `None` when it ended.
    fn try_start(&self) -> Option<Running> {
        let root = self.directory.path();
        let script = "log=$1; shift; \"$@\" >>\"$log\" 2>&1 & pid=$!; echo $pid; cat >/dev/null; \
                      kill -QUIT $pid 2>/dev/null; wait $pid";
        let mut command = unprivileged(Path::new("/bin/sh"));
        command
            .args(["-c", script, "sh"])
            .arg(root.join("data/log"));
        command
            .arg(oracle("postgres"))
            .arg("-D")
            .arg(root.join("data"));
        command
            .arg("-k")
            .arg(root)
            .args(["-p", &self.port.to_string()]);
        // What is in the kernel survives a kill, and nobody pulls the plug.
        for setting in [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "max_connections=60",
        ] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        command
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut shell = command.spawn().expect("sh runs");
        let stdout = shell.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let running = Running {
            held: shell.stdin.take(),
            shell,
            pid: line.trim().parse().expect("a process"),
        };
        loop {
            let file = fs::read_to_string(root.join("data/postmaster.pid")).unwrap_or_default();
            let lines: Vec<_> = file.lines().collect();
            let is_ready = lines.first().is_some_and(|first| *first == line.trim())
                && lines.get(7).is_some_and(|state| state.trim() == "ready");
            if is_ready {
                return Some(running);
            }
            let process = format!("/proc/{}/stat", running.pid);
            let state = fs::read_to_string(process).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                return None;
            }
            thread::sleep(POLL);
        }
    }
}

impl Running {
    /// Signals all of its processes, as far as they are there.
    fn signal(&self, signal: &str) {
        let kill = |pid: &str| {
            let output = Command::new(oracle("kill")).args([signal, pid]).output();
            output.expect("kill runs");
        };
        // The first of them first: it starts the others.
        let first = self.pid.to_string();
        kill(&first);
        let others = fs::read_to_string(format!("/proc/{first}/task/{first}/children"));
        others.unwrap_or_default().split_whitespace().for_each(kill);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that is frozen would not end.
        self.signal("-CONT");
        drop(self.held.take());
        let _ = self.shell.wait();
    }
}

/// Lets the server's user have a file.
///
/// # Panics
/// When the system refuses it.
pub fn give_away(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
    }
}

/// A server refuses to run as root; then it runs as nobody.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(oracle("setpriv"));
    let nobody = NOBODY.to_string();
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
    command.arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// Where Debian has the programs of the server, each version in a directory of its own.
pub(crate) fn programs() -> Vec<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    versions.collect()
}

const NOBODY: u32 = 65_534;
const POLL: Duration = Duration::from_millis(10);
