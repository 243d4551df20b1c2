//! Letting callers in: listeners, connections, limits, the end.

use std::{
    error::Error,
    future::{Future, pending},
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    pin, select,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::{JoinSet, block_in_place},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use notme_local::SocketFile;

use super::{
    Answered, Limits, Observer,
    origins::{OriginPlace, Origins},
    request_id::RequestIds,
};
use crate::{
    authority::{Authority, PATIENCE, Peer},
    failure::Failure,
    http::{self, Caller},
    listen::{Listener, Socket},
    metrics::Metrics,
    store::StoreError,
};

/// What every connection shares.
pub(crate) struct Shared {
    authority: Authority,
    limits: Limits,
    observer: Arc<dyn Observer>,
    activity: Activity,
    prefix: String,
    request_ids: RequestIds,
    metrics: Metrics,
    /// It is about to end.
    is_leaving: AtomicBool,
    /// Something failed by our fault, and nothing was written since.
    is_troubled: AtomicBool,
    /// Places for those who change something, and for those who look something up: who came first
    /// is served first.
    working: Semaphore,
    looking: Semaphore,
}

impl Shared {
    pub(super) fn new(
        authority: Authority,
        url: &str,
        (limits, observer): (Limits, Arc<dyn Observer>),
        request_ids: RequestIds,
    ) -> Self {
        Self {
            authority,
            limits,
            observer,
            activity: Activity::default(),
            prefix: path_prefix(url),
            request_ids,
            metrics: Metrics::default(),
            is_leaving: AtomicBool::new(false),
            is_troubled: AtomicBool::new(false),
            working: Semaphore::new(PLACES),
            looking: Semaphore::new(PLACES),
        }
    }

    /// Does work that takes a processor, and waits for the store. A few at a time do: the store lets
    /// one write, and among many who wait for it some would wait long.
    pub(crate) async fn work<T>(
        &self,
        work: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        in_turn(&self.working, work).await
    }

    /// Looks something up in the store, beside those who work. A few at a time do: while a store
    /// hangs, so does the thread of each.
    pub(crate) async fn look<T>(
        &self,
        look: impl FnOnce() -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        in_turn(&self.looking, look).await
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns the path of the public URL.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub(crate) fn request_ids(&self) -> &RequestIds {
        &self.request_ids
    }

    /// Tells whether it can do its work, and goes on doing it.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_leaving.load(Ordering::SeqCst)
            && !self.is_troubled.load(Ordering::SeqCst)
            && self.authority.keys_answer()
            && self.authority.is_readable()
    }

    /// Returns what is counted, for whoever watches.
    pub(crate) fn metrics_text(&self) -> String {
        let snapshot = self.authority.snapshot(self.is_ready());
        self.metrics.render(&snapshot)
    }

    pub(crate) fn answered(&self, answered: &Answered<'_>) {
        if answered.error.is_some() {
            self.is_troubled.store(true, Ordering::SeqCst);
        }
        self.metrics.answered(answered);
        self.observer.answered(answered);
    }

    pub(crate) fn report(&self, error: &(dyn Error + 'static)) {
        self.observer.failed(error);
    }
}

async fn in_turn<T>(
    places: &Semaphore,
    act: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let place = timeout(PATIENCE, places.acquire()).await;
    let late = |source| StoreError::Unavailable {
        doing: "give everybody a turn",
        source: Box::new(source),
    };
    // It is never closed; without a place it would be done all the same.
    let _place = place.map_err(late)?;
    block_in_place(act)
}

/// How many work, and how many look something up, at a time.
const PLACES: usize = 4;

/// Whether anyone wants anything.
struct Activity {
    under_way: AtomicUsize,
    last: Mutex<Instant>,
}

impl Default for Activity {
    fn default() -> Self {
        Self {
            under_way: AtomicUsize::new(0),
            last: Mutex::new(Instant::now()),
        }
    }
}

impl Activity {
    fn begin(&self) -> UnderWay<'_> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        UnderWay(self)
    }

    /// Resolves after `quiet` without a request.
    async fn idle(&self, quiet: Duration) {
        loop {
            let due = *self.last.lock().unwrap_or_else(PoisonError::into_inner) + quiet;
            if self.under_way.load(Ordering::SeqCst) > 0 {
                sleep(quiet).await;
            } else if Instant::now() >= due {
                return;
            } else {
                sleep_until(due).await;
            }
        }
    }
}

/// A request being served.
struct UnderWay<'a>(&'a Activity);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Why it does not serve any more.
#[derive(Debug)]
pub(super) enum End {
    /// Somebody wanted it to.
    Asked,
    /// Nobody wanted anything.
    Idle,
    /// Nobody can find this socket.
    SocketGone(PathBuf),
}

/// Where callers come in.
pub(super) struct Doors {
    pub(super) listeners: Vec<Listener>,
    pub(super) monitor: Option<Listener>,
}

/// Lets callers in until `shutdown`, until nobody wants anything any more, or until a socket is
/// taken away.
pub(super) async fn run(
    shared: &Arc<Shared>,
    Doors { listeners, monitor }: Doors,
    idle_exit: Option<Duration>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<End> {
    let (stop, stopping) = watch::channel(());
    let (lost, mut losses) = mpsc::channel(1);
    let all = shared.limits.connections.max(1);
    let mut doors = Vec::with_capacity(listeners.len());
    let mut tasks = JoinSet::new();
    for listener in listeners {
        // Each its own: strangers on the network cannot fill the places of our user.
        let places = Arc::new(Semaphore::new(all.into()));
        doors.push(places.clone());
        let door = Door {
            shared: shared.clone(),
            places,
            stopping: stopping.clone(),
            purpose: Purpose::Serve,
        };
        door.open(listener, &mut tasks, &lost)?;
    }
    // Who watches is let in until the end.
    let (_farewell, leaving) = watch::channel(());
    let mut watched = JoinSet::new();
    if let Some(listener) = monitor {
        let door = Door {
            shared: shared.clone(),
            places: Arc::new(Semaphore::new(MONITORS_MAX)),
            stopping: leaving,
            purpose: Purpose::Monitor,
        };
        door.open(listener, &mut watched, &lost)?;
    }
    tasks.spawn(tend(shared.clone()));
    let idle = async {
        match idle_exit {
            Some(quiet) => shared.activity.idle(quiet).await,
            None => pending().await,
        }
    };
    let end = select! {
        () = shutdown => End::Asked,
        () = idle => End::Idle,
        Some(path) = losses.recv() => End::SocketGone(path),
    };
    shared.is_leaving.store(true, Ordering::SeqCst);
    if matches!(end, End::Asked) {
        sleep(shared.limits.notice).await;
    }
    tasks.shutdown().await;
    let _ = stop.send(());
    // Every place free again: every connection has ended.
    let _ = timeout(shared.limits.drain, async {
        for places in &doors {
            let _ = places.acquire_many(all.into()).await;
        }
    })
    .await;
    watched.shutdown().await;
    Ok(end)
}

/// Resolves once clients do not find the socket any more: somebody swept its directory.
async fn taken_away(file: &SocketFile) {
    let mut tick = interval(SOUGHT_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while file.is_in_place() {
        tick.tick().await;
    }
}

/// Keeps the trust document fresh and the store small, and notices when the keys were rotated.
async fn tend(shared: Arc<Shared>) {
    let mut tick = interval(TENDED_EVERY);
    let mut glance = interval(KEYS_SOUGHT_EVERY);
    for timer in [&mut tick, &mut glance] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        let done = select! {
            _ = tick.tick() => block_in_place(|| shared.authority.tend()),
            _ = glance.tick() => block_in_place(|| shared.authority.glance()),
        };
        match done {
            Err(error) => {
                shared.is_troubled.store(true, Ordering::SeqCst);
                shared.report(&error);
            }
            // Whoever sends us nobody while we are not ready would never learn that we are.
            Ok(())
                if shared.is_troubled.load(Ordering::SeqCst) || !shared.authority.keys_answer() =>
            {
                let is_over = block_in_place(|| {
                    shared.authority.can_sign() && shared.authority.is_writable()
                });
                shared.is_troubled.store(!is_over, Ordering::SeqCst);
            }
            Ok(()) => {}
        }
    }
}

/// What callers are let in for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Serve,
    Monitor,
}

/// Where connections come in.
struct Door {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    stopping: watch::Receiver<()>,
    purpose: Purpose,
}

impl Door {
    fn open(
        self,
        listener: Listener,
        tasks: &mut JoinSet<()>,
        lost: &mpsc::Sender<PathBuf>,
    ) -> io::Result<()> {
        match listener.socket {
            Socket::Unix(socket, file) => {
                let socket = UnixListener::from_std(socket)?;
                let lost = lost.clone();
                tasks.spawn(async move {
                    // Dropped in reverse: the file goes before the socket closes.
                    let (socket, file) = (socket, file);
                    select! {
                        () = self.accept_unix(&socket) => {}
                        () = taken_away(&file) => {
                            let _ = lost.send(file.path().to_owned()).await;
                        }
                    }
                });
            }
            Socket::Tcp(socket, tls) => {
                let socket = TcpListener::from_std(socket)?;
                tasks.spawn(async move {
                    self.accept_tcp(&socket, tls.map(TlsAcceptor::from)).await;
                });
            }
        }
        Ok(())
    }

    async fn accept_unix(&self, socket: &UnixListener) {
        let ours = rustix::process::geteuid().as_raw();
        while let Some(place) = self.place().await {
            let Ok((stream, _)) = socket.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let peer = match stream.peer_cred() {
                Ok(credentials) if credentials.uid() == ours => Peer::SameUser,
                Ok(_) | Err(_) => Peer::Stranger,
            };
            let caller = Caller {
                peer,
                address: None,
            };
            tokio::spawn(self.guest(caller, (place, None)).converse(stream));
        }
    }

    async fn accept_tcp(&self, socket: &TcpListener, tls: Option<TlsAcceptor>) {
        let origins = Origins::new(self.shared.limits.per_origin);
        while let Some(place) = self.place().await {
            let Ok((stream, address)) = socket.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let Some(origin) = origins.admit(address.ip()) else {
                continue;
            };
            // Answers are small and whole; waiting to fill a packet only delays them.
            let _ = stream.set_nodelay(true);
            let caller = Caller {
                peer: Peer::Stranger,
                address: Some(address.ip()),
            };
            let guest = self.guest(caller, (place, Some(origin)));
            match tls.clone() {
                None => tokio::spawn(guest.converse(stream)),
                Some(tls) => tokio::spawn(async move {
                    let handshake = timeout(guest.shared.limits.head, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = handshake {
                        guest.converse(stream).await;
                    }
                }),
            };
        }
    }

    /// Waits for room. Callers beyond it wait in the kernel's queue.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().acquire_owned().await.ok()
    }

    fn guest(&self, caller: Caller, place: (OwnedSemaphorePermit, Option<OriginPlace>)) -> Guest {
        Guest {
            shared: self.shared.clone(),
            stopping: self.stopping.clone(),
            purpose: self.purpose,
            caller,
            _place: place,
        }
    }
}

/// A connection that was let in.
struct Guest {
    shared: Arc<Shared>,
    stopping: watch::Receiver<()>,
    purpose: Purpose,
    caller: Caller,
    _place: (OwnedSemaphorePermit, Option<OriginPlace>),
}

impl Guest {
    async fn converse<S>(mut self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (shared, caller, purpose) = (&self.shared, self.caller, self.purpose);
        let _connected = shared.metrics.connected();
        let service = service_fn(move |request| async move {
            match purpose {
                Purpose::Serve => {
                    let _under_way = shared.activity.begin();
                    http::respond(shared, caller, request).await
                }
                Purpose::Monitor => http::monitor(shared, &request),
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.limits.head)
            .max_headers(HEADERS_MAX)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), service);
        pin!(connection);
        let ended = select! {
            // How a caller hangs up is the caller's affair.
            _ = connection.as_mut() => true,
            _ = self.stopping.changed() => false,
            () = sleep(shared.limits.connection) => false,
        };
        if !ended {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(shared.limits.drain, connection).await;
        }
    }
}

/// Returns the path of an HTTP URL, without a final slash.
fn path_prefix(url: &str) -> String {
    url.split_once("://")
        .and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)))
        .map(|path| path.trim_end_matches('/').to_owned())
        .unwrap_or_default()
}

const HEADERS_MAX: usize = 64;
const HEAD_MAX: usize = 16 * 1024;
/// Connections of those who watch.
const MONITORS_MAX: usize = 16;
/// After an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the sockets are where clients look for them.
const SOUGHT_EVERY: Duration = Duration::from_secs(1);
const TENDED_EVERY: Duration = Duration::from_secs(30);
/// How often it is looked whether the keys were rotated, where no request looks.
const KEYS_SOUGHT_EVERY: Duration = Duration::from_millis(500);
