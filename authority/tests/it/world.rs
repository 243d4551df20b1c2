//! An authority of one's own: private directory, standing clock, real sockets.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use notme_authority::{
    Admin, Answered, Bound, Clock, EnrolmentToken, Founding, KeysError, Lifetimes, Limits, Listen,
    LocalEnrolment, NewToken, Observer, OidcConfig, OpenError, Place, PostgresUrl, Protection,
    Rates, Scopes, Secret, ServeConfig, ServeError, Serving, Storage, StoreError, serve_until,
};
use notme_core::time::UnixTime;
use notme_testkit::{clock::FixedClock, postgres::Cluster};
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::{client::Client, rotation::eventually};

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
    /// Where the store is when it is not in the directory.
    pub(crate) database: Option<Database>,
}

/// A database, and the server that has it.
#[derive(Clone)]
pub(crate) struct Database {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) name: String,
}

impl Database {
    pub(crate) fn on(cluster: Arc<Cluster>) -> Self {
        let name = cluster.database();
        Self { cluster, name }
    }

    pub(crate) fn url(&self) -> PostgresUrl {
        PostgresUrl::parse(&self.cluster.url(&self.name)).unwrap()
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.psql(&self.name, sql)
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            root: TempDir::new().unwrap(),
            clock: Still::default(),
            database: None,
        }
    }

    /// One whose store is in PostgreSQL.
    pub(crate) fn over_postgres() -> Self {
        Self {
            database: Some(Database::on(Cluster::shared())),
            ..Self::new()
        }
    }

    /// Where its authority is; an instance of it is where the name says.
    pub(crate) fn place(&self) -> Place {
        match &self.database {
            None => Place::new(self.home()),
            Some(database) => Place::shared(self.home(), database.url()),
        }
    }

    /// Runs SQL in the store, whichever database it is in.
    pub(crate) fn sql(&self, sql: &str) -> String {
        if let Some(database) = &self.database {
            return database.sql(sql);
        }
        let store = rusqlite::Connection::open(self.home().join("store.sqlite")).unwrap();
        let mut statement = store.prepare(sql).unwrap();
        if statement.column_count() == 0 {
            statement.execute([]).unwrap();
            return String::new();
        }
        let text = |row: &rusqlite::Row<'_>| row.get::<_, rusqlite::types::Value>(0);
        let rows = statement.query_map([], text).unwrap();
        let rows = rows.map(|value| match value.unwrap() {
            rusqlite::types::Value::Integer(value) => value.to_string(),
            rusqlite::types::Value::Text(value) => value,
            other => panic!("{other:?}"),
        });
        rows.collect::<Vec<_>>().join("\n")
    }

    /// Leaves something in the store that is over for long, for [`World::wait_until_tended`].
    pub(crate) fn leave_something_to_forget(&self) {
        self.sql("INSERT INTO spent_token VALUES (zeroblob(32), 0)");
    }

    /// Waits until whoever serves forgot what was over.
    pub(crate) fn wait_until_tended(&self) {
        let over = "SELECT count(*) FROM spent_token WHERE kept_until = 0";
        eventually("the store is tended", || self.sql(over) == "0");
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
            storage: self.storage(self.home(), Protection::LocalFile),
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

    pub(crate) fn storage(&self, path: PathBuf, protection: Protection) -> Storage {
        match &self.database {
            None => Storage::Directory { path, protection },
            Some(database) => Storage::Database {
                path,
                url: database.url(),
                protection,
            },
        }
    }

    /// Another instance of the authority that serves: a directory and sockets of its own, the same
    /// URL, and a copy of the file that opens the keys.
    pub(crate) fn another(&self, first: &Running, name: &str) -> ServeConfig {
        let directory = self.root.path().join(name);
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        fs::copy(self.home().join("kek"), directory.join("kek")).unwrap();
        ServeConfig {
            storage: self.storage(directory.clone(), Protection::LocalFile),
            listen: vec![
                Listen::Unix(directory.join("run/authority.sock")),
                Listen::Tcp("127.0.0.1:0".parse().unwrap()),
            ],
            url: Some(first.url.clone()),
            local: None,
            ..self.config()
        }
    }

    pub(crate) fn start(&self) -> Running {
        start(self.config()).unwrap()
    }

    pub(crate) fn admin(&self) -> Admin {
        Admin::open(self.place(), Arc::new(self.clock.clone())).unwrap()
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
        // An issuer that is down is no fault of ours, and a store that is has a test of its own.
        let code = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(error), _) => StoreError::code(error),
            (_, Some(error)) => OpenError::code(error),
            (None, None) => "",
        };
        let outages = ["authority-store-unavailable", "authority-url-differs"];
        let is_outage = error.is::<KeysError>() || outages.contains(&code);
        assert!(is_outage, "internal error: {error:?}");
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
