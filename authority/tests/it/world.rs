//! An authority of one's own: private directory, standing clock, real sockets.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use notme_authority::{
    Admin, Answered, Bound, Clock, EnrolmentToken, Founding, KeysError, Lifetimes, Limits, Listen,
    LocalEnrolment, NewToken, Observer, OidcConfig, Protection, Rates, Scopes, Secret, ServeConfig,
    ServeError, Serving, Storage, serve_until,
};
use notme_core::time::UnixTime;
use notme_testkit::clock::FixedClock;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::client::Client;

pub(crate) const PASSPHRASE: &[u8] = b"correct horse battery\n";

/// The standing clock of a test.
#[derive(Clone, Default)]
pub(crate) struct Still(pub(crate) FixedClock);

impl Clock for Still {
    fn now_millis(&self) -> i64 {
        self.0.now().secs() * 1000
    }
}

pub(crate) struct World {
    pub(crate) root: TempDir,
    pub(crate) clock: Still,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            root: TempDir::new().unwrap(),
            clock: Still::default(),
        }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("authority")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.root.path().join("run/authority.sock")
    }

    pub(crate) fn now(&self) -> UnixTime {
        self.clock.0.now()
    }

    pub(crate) fn advance(&self, secs: i64) {
        self.clock.0.advance(secs);
    }

    /// The embedded default: local key file, unix socket and loopback TCP.
    pub(crate) fn config(&self) -> ServeConfig {
        ServeConfig {
            storage: Storage::Directory {
                path: self.home(),
                protection: Protection::LocalFile,
            },
            founding: founding(),
            listen: vec![
                Listen::Unix(self.socket()),
                Listen::Tcp("127.0.0.1:0".parse().unwrap()),
            ],
            url: None,
            lifetimes: Lifetimes::default(),
            local: Some(LocalEnrolment {
                principal: None,
                scopes: Scopes::all(),
            }),
            oidc: OidcConfig::default(),
            idle_exit: None,
            limits: Limits {
                rates: Rates::NONE,
                ..Limits::default()
            },
            monitor: None,
            clock: Arc::new(self.clock.clone()),
            observer: Arc::new(()),
        }
    }

    pub(crate) fn start(&self) -> Running {
        start(self.config()).unwrap()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::open(&self.home(), Arc::new(self.clock.clone())).unwrap()
    }

    pub(crate) fn token(&self) -> EnrolmentToken {
        self.admin().create_token(token()).unwrap().0
    }

    pub(crate) fn files(&self) -> Vec<PathBuf> {
        files(self.root.path())
    }
}

pub(crate) fn founding() -> Founding {
    Founding {
        trust_domain: "notme.test".to_owned(),
        operator: "alice".to_owned(),
    }
}

pub(crate) fn token() -> NewToken {
    NewToken {
        agent: "claude".parse().unwrap(),
        principal: None,
        scopes: Scopes::all(),
        uses: 1,
        ttl_seconds: 600,
        session_seconds: 86_400,
    }
}

pub(crate) fn passphrase(text: &[u8]) -> Protection {
    Protection::Passphrase(Secret::passphrase(text).unwrap())
}

/// A serving authority; stopped when dropped.
pub(crate) struct Running {
    pub(crate) url: String,
    pub(crate) bound: Vec<Bound>,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Running {
    /// A client on the unix socket: one of our own user.
    pub(crate) fn unix(&self) -> Client {
        let path = self.bound.iter().find_map(|bound| match bound {
            Bound::Unix(path) => Some(path.clone()),
            Bound::Tcp(_) | Bound::Tls(_) => None,
        });
        Client::unix(path.unwrap(), self.url.clone())
    }

    /// A client over TCP: a stranger.
    pub(crate) fn tcp(&self) -> Client {
        let address = self.bound.iter().find_map(|bound| match bound {
            Bound::Tcp(address) => Some(*address),
            Bound::Unix(_) | Bound::Tls(_) => None,
        });
        Client::tcp(address.unwrap(), self.url.clone())
    }

    pub(crate) fn stop(mut self) {
        self.end();
    }

    /// Leaves it to the end of the process: it does not end by itself, or not well.
    pub(crate) fn forget(mut self) {
        std::mem::forget(self.shutdown.take());
        drop(self.thread.take());
    }

    /// Asks it to end, and does not wait.
    pub(crate) fn ask_to_end(&mut self) {
        drop(self.shutdown.take());
    }

    /// Waits for an end that comes by itself.
    pub(crate) fn wait(mut self) -> Result<(), ServeError> {
        self.thread.take().unwrap().join().unwrap()
    }

    fn end(&mut self) {
        drop(self.shutdown.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// What is told once it serves.
type Told = (String, Vec<Bound>);

struct Tell(Mutex<mpsc::Sender<Told>>, Arc<dyn Observer>);

impl Observer for Tell {
    fn serving(&self, serving: &Serving<'_>) {
        let told = (serving.url.to_owned(), serving.bound.to_vec());
        self.0.lock().unwrap().send(told).unwrap();
        self.1.serving(serving);
    }

    fn answered(&self, answered: &Answered<'_>) {
        if let Some(error) = answered.error {
            self.failed(error);
        }
        self.1.answered(answered);
    }

    fn failed(&self, error: &(dyn std::error::Error + 'static)) {
        // An issuer that is down is no fault of ours.
        assert!(error.is::<KeysError>(), "internal error: {error:?}");
    }
}

pub(crate) fn start(mut config: ServeConfig) -> Result<Running, ServeError> {
    let (told, tell) = mpsc::channel();
    config.observer = Arc::new(Tell(Mutex::new(told), config.observer));
    let (shutdown, asked) = oneshot::channel::<()>();
    let thread = std::thread::spawn(|| {
        serve_until(config, async {
            let _ = asked.await;
        })
    });
    match tell.recv_timeout(Duration::from_secs(60)) {
        Ok((url, bound)) => Ok(Running {
            url,
            bound,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }),
        Err(_) => Err(thread.join().unwrap().unwrap_err()),
    }
}

pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
