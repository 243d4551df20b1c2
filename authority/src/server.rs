//! Serving: what an authority serves with, its start and its end.

mod door;
mod origins;
mod rates;
mod request_id;

use std::{
    error::Error, fmt, future::Future, io, path::PathBuf, process, sync::Arc, time::Duration,
};

use notme_core::enrol::EMBEDDED_SCHEME;
use notme_local::{DirectoryError, ProcessProtection, create_private_directory, protect_process};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::{
    select,
    signal::unix::{SignalKind, signal},
};

use self::door::End;
pub use self::rates::Rates;
use self::{door::Doors, request_id::RequestIds};
pub(crate) use self::{
    door::Shared,
    rates::{Rate, RateLimiter, TooOften},
    request_id::REQUEST_ID,
};
use crate::{
    admin::Admin,
    authority::{Authority, Founding, Lifetimes, LocalEnrolment, OpenError, Settings},
    clock::Clock,
    custody,
    instance::{Instance, InstanceError, InstanceLock},
    listen::{Bound, Listen, ListenError, Listener, MonitorListen},
    oidc::{Issuers, KeysError, OidcConfig},
    opening::{Place, open_in_memory, open_or_found},
    seal::{Protection, SealingKind},
    store::PostgresUrl,
};

/// Where an authority keeps itself.
#[derive(Debug)]
pub enum Storage {
    /// In a private directory.
    Directory {
        /// The directory; made when missing.
        path: PathBuf,
        /// What keeps the keys.
        protection: Protection,
    },
    /// In a database that several instances share.
    Database {
        /// The private directory of this instance alone; made when missing.
        path: PathBuf,
        /// The database.
        url: PostgresUrl,
        /// What seals the keys, for all instances alike.
        protection: Protection,
    },
    /// In memory: keys, sessions and tokens end with the process.
    Memory,
}

impl Storage {
    /// Returns the place, and what seals the keys there; `None` in memory.
    fn place(self) -> Option<(Place, Protection)> {
        match self {
            Self::Directory { path, protection } => Some((Place::new(path), protection)),
            Self::Database {
                path,
                url,
                protection,
            } => Some((Place::shared(path, url.clone()), protection)),
            Self::Memory => None,
        }
    }
}

/// What an authority serves with.
pub struct ServeConfig {
    /// Where it keeps itself.
    pub storage: Storage,
    /// Who it becomes at the first start.
    pub founding: Founding,
    /// Where it listens.
    pub listen: Vec<Listen>,
    /// Where it can be watched; nowhere by default.
    pub monitor: Option<MonitorListen>,
    /// The URL that proofs are bound to; `None`: that of the first listener. One that is only for
    /// this user may have a name instead, `embedded:` and its directory, that stays when its
    /// socket moves.
    pub url: Option<String>,
    /// How long things live.
    pub lifetimes: Lifetimes,
    /// Enrolment by user id on the unix socket; `None`: tokens only. It takes an authority whose
    /// URL is that of the socket or an `embedded:` one: behind a proxy of the same user everybody
    /// would have our user id.
    pub local: Option<LocalEnrolment>,
    /// Whose OpenID Connect tokens count; nobody's by default.
    pub oidc: OidcConfig,
    /// After how long without requests it ends by itself.
    pub idle_exit: Option<Duration>,
    /// Bounds on what callers can hold.
    pub limits: Limits,
    /// The clock to live by.
    pub clock: Arc<dyn Clock>,
    /// Who hears what happens.
    pub observer: Arc<dyn Observer>,
}

impl fmt::Debug for ServeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeConfig")
            .field("storage", &self.storage)
            .field("listen", &self.listen)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Bounds on what callers can hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Open connections at each listener, at least one; more wait.
    pub connections: u16,
    /// Of these, over TCP, from one IPv4 address or IPv6 network (/64); more are closed at once.
    /// All callers behind a proxy are one.
    pub per_origin: u16,
    /// For a TLS handshake, and for the head of each request.
    pub head: Duration,
    /// For the body of a request.
    pub body: Duration,
    /// For a connection as a whole.
    pub connection: Duration,
    /// For requests under way when the authority ends.
    pub drain: Duration,
    /// How long before that it says at `/readyz` that it is not ready any more.
    pub notice: Duration,
    /// How often callers may ask.
    pub rates: Rates,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            per_origin: 64,
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            connection: Duration::from_secs(600),
            drain: Duration::from_secs(5),
            notice: Duration::ZERO,
            rates: Rates::default(),
        }
    }
}

/// Hears what happens while an authority serves.
pub trait Observer: Send + Sync {
    /// It listens, and its keys are open.
    fn serving(&self, _serving: &Serving<'_>) {}

    /// A request was answered.
    fn answered(&self, answered: &Answered<'_>) {
        if let Some(error) = answered.error {
            self.failed(error);
        }
    }

    /// Something failed beside the requests, or that a caller was told of in other words.
    fn failed(&self, _error: &(dyn Error + 'static)) {}
}

/// A request that was answered. There is nothing in it that a caller chose but its id, which has
/// letters, digits, `-`, `.` and `_`.
#[derive(Debug)]
pub struct Answered<'a> {
    /// What it is called, here and at the caller's.
    pub request_id: &'a str,
    /// `GET`, `HEAD`, `OPTIONS`, `POST` or `other`.
    pub method: &'static str,
    /// What the path names: one of a closed list, or `unknown`.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// From its head to the answer.
    pub duration: Duration,
    /// Why it was refused.
    pub code: Option<&'static str>,
    /// What failed, when the fault was ours.
    pub error: Option<&'a (dyn Error + 'static)>,
}

/// Nobody listens.
impl Observer for () {}

/// An authority that serves.
#[derive(Debug)]
pub struct Serving<'a> {
    /// Where it listens.
    pub bound: &'a [Bound],
    /// Where it can be watched.
    pub monitor: Option<&'a Bound>,
    /// The URL that proofs are bound to.
    pub url: &'a str,
    /// What keeps its keys.
    pub sealing: SealingKind,
    /// How well the memory that holds its keys is kept.
    pub protection: &'a ProcessProtection,
    /// Its tokens and trust document: the only way to those of an authority in memory.
    pub admin: &'a Admin,
}

/// Serves until SIGTERM or SIGINT, or until idle.
///
/// The process is the authority's: its file mode mask becomes 077, and it can neither be dumped
/// nor debugged.
///
/// # Errors
/// [`ServeError`] when it cannot begin, or its socket is taken away; nothing is left listening
/// then.
pub fn serve(config: ServeConfig) -> Result<(), ServeError> {
    serve_with(config, terminated)
}

/// Serves until `shutdown` is ready, or until idle.
///
/// # Errors
/// As [`serve`].
pub fn serve_until(
    config: ServeConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    serve_with(config, || Ok(shutdown))
}

/// Checks what can be known of a configuration without listening and without its store.
///
/// # Errors
/// As [`serve`].
pub fn check(config: &ServeConfig) -> Result<(), ServeError> {
    check_lifetimes(config.lifetimes)?;
    for listen in &config.listen {
        listen.tls()?;
    }
    Issuers::open(&config.oidc, &config.clock)?;
    Ok(())
}

/// Serves until what `arm` returns is ready. It is called inside the runtime, and before anyone
/// can learn that the authority is there: whoever asks it to end is then heard.
fn serve_with<F: Future<Output = ()>>(
    config: ServeConfig,
    arm: impl FnOnce() -> io::Result<F>,
) -> Result<(), ServeError> {
    check_lifetimes(config.lifetimes)?;
    // Never set back: nothing this process writes is for others, and keys are in its memory.
    let protection = protect_process();
    raise_open_files();
    let place = config.storage.place();
    let mut lock = match &place {
        Some((place, _)) => {
            create_private_directory(place.directory())?;
            Some(InstanceLock::acquire(place.directory())?)
        }
        None => None,
    };
    let listeners = config
        .listen
        .iter()
        .map(Listener::bind)
        .collect::<Result<Vec<_>, _>>()?;
    let bound: Vec<_> = listeners
        .iter()
        .map(|listener| listener.bound.clone())
        .collect();
    let monitor = config.monitor.as_ref().map(Listener::bind_monitor);
    let monitor = monitor.transpose()?;
    let watched_at = monitor.as_ref().map(|listener| listener.bound.clone());
    let first = bound.first().ok_or(ServeError::NowhereToListen)?;
    let url = config.url.clone().unwrap_or_else(|| first.to_string());
    if config.local.is_some() {
        check_local(&url, &bound)?;
    }

    // By value: what opens the keys is wiped when they are open.
    let opened = match place {
        Some((place, protection)) => {
            open_or_found(&place, &protection, &config.founding, config.clock.now())?
        }
        None => open_in_memory(&config.founding, config.clock.now())?,
    };
    let active = opened.record.active().map_err(OpenError::from)?;
    let sealing = custody::kind(active, &opened.record.sealing);
    let sealing = sealing.unwrap_or(opened.record.sealing.kind());
    let admin = Admin::over(opened.store.clone(), config.clock.clone());
    let settings = Settings {
        url: url.clone(),
        lifetimes: config.lifetimes,
        local: config.local.clone(),
        issuers: Issuers::open(&config.oidc, &config.clock)?,
        tokens: config.oidc.tokens.clone(),
        rates: RateLimiter::new(&config.limits.rates),
    };
    let authority = Authority::new(opened, config.clock.clone(), settings)?;
    let shared = Arc::new(Shared::new(
        authority,
        &url,
        (config.limits, config.observer.clone()),
        RequestIds::new().map_err(OpenError::from)?,
    ));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(ServeError::Runtime)?;
    let shutdown = {
        let _inside = runtime.enter();
        arm().map_err(ServeError::Runtime)?
    };
    if let Some(lock) = &mut lock {
        let instance = Instance {
            pid: i32::try_from(process::id()).unwrap_or_default(),
            url: url.clone(),
            listening: bound.iter().map(Bound::to_string).collect(),
            started_at: config.clock.now(),
        };
        lock.describe(&instance).map_err(ServeError::Describe)?;
    }
    let serving = Serving {
        bound: &bound,
        monitor: watched_at.as_ref(),
        url: &url,
        sealing,
        protection: &protection,
        admin: &admin,
    };
    config.observer.serving(&serving);
    let doors = Doors { listeners, monitor };
    let end = runtime
        .block_on(door::run(&shared, doors, config.idle_exit, shutdown))
        .map_err(ServeError::Runtime)?;
    match end {
        End::Asked | End::Idle => Ok(()),
        End::SocketGone(path) => Err(ServeError::SocketGone { path }),
    }
}

/// Takes as many descriptors as the system lets us have: each caller needs one. Without more it
/// serves as well, to fewer.
fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

/// Returns what becomes ready with SIGTERM or SIGINT; from now on neither ends the process.
fn terminated() -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// One day: how often a trust document is signed anew.
const DAY: i64 = 86_400;

fn check_lifetimes(lifetimes: Lifetimes) -> Result<(), ServeError> {
    let Lifetimes {
        certificate,
        session,
        issuance,
        publication,
    } = lifetimes;
    let ordered = 1 <= issuance && issuance <= certificate && certificate <= session;
    let published = (2 * DAY..=TEN_YEARS).contains(&publication);
    if !ordered || session > TEN_YEARS || !published {
        return Err(ServeError::Lifetimes);
    }
    Ok(())
}

/// Checks that whoever speaks on the unix socket speaks for itself.
fn check_local(url: &str, bound: &[Bound]) -> Result<(), ServeError> {
    let is_own = bound
        .iter()
        .any(|bound| matches!(bound, Bound::Unix(_)) && bound.to_string() == url);
    if !is_own && !url.starts_with(EMBEDDED_SCHEME) {
        return Err(ServeError::LocalElsewhere {
            url: url.to_owned(),
        });
    }
    Ok(())
}

/// Why an authority cannot begin to serve, or ended unasked.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The lock file cannot be written.
    #[error("could not write down that the authority runs")]
    Describe(#[source] io::Error),
    /// The directory is not private.
    #[error("the directory of the authority cannot be used")]
    Home(#[from] DirectoryError),
    /// Another one runs, or that cannot be known.
    #[error("the authority cannot have its directory for itself")]
    Instance(#[from] InstanceError),
    /// Lifetimes that contradict each other.
    #[error("lifetimes rise from issuance over certificate to session, up to ten years")]
    Lifetimes,
    /// Local enrolment, and a URL at which others are served.
    #[error("enrolment by user id is for authorities on a unix socket, not at `{url}`")]
    LocalElsewhere {
        /// The URL.
        url: String,
    },
    /// A listener cannot be had.
    #[error("the authority cannot listen")]
    Listen(#[from] ListenError),
    /// No listener was asked for.
    #[error("the authority was given nowhere to listen")]
    NowhereToListen,
    /// The keys of an issuer cannot be read, or fetching them cannot be prepared.
    #[error("the keys of an OIDC issuer cannot be used")]
    Oidc(#[from] KeysError),
    /// Store or keys cannot be opened.
    #[error("the authority cannot be opened")]
    Open(#[from] OpenError),
    /// Threads or sockets cannot be had.
    #[error("the system refused threads or sockets")]
    Runtime(#[source] io::Error),
    /// The file of a socket was removed or replaced, so that nobody finds it any more.
    #[error("the socket `{}` was taken away", path.display())]
    SocketGone {
        /// Where it was.
        path: PathBuf,
    },
}

impl ServeError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Describe(_) => "authority-lock-unreadable",
            Self::Home(error) => error.code(),
            Self::Instance(error) => error.code(),
            Self::Lifetimes => "authority-lifetimes",
            Self::LocalElsewhere { .. } => "authority-local-elsewhere",
            Self::Listen(error) => error.code(),
            Self::NowhereToListen => "authority-listen-missing",
            Self::Oidc(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Runtime(_) => "authority-runtime",
            Self::SocketGone { .. } => "authority-socket-gone",
        }
    }
}

/// Threads that serve; the store lets one write at a time.
const WORKERS: usize = 2;
/// Ten years of 365 days.
const TEN_YEARS: i64 = 3_650 * 86_400;
