//! The key agent's process: who may connect, for how long it runs, and how it ends.

use std::{cell::Cell, io, path::PathBuf, rc::Rc, time::Duration};

use notme_core::frame::MemoryProtection;
use notme_local::protect_process;
use rustix::process::geteuid;
use tokio::{
    net::{UnixListener, UnixStream},
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    task::{JoinHandle, JoinSet, LocalSet, spawn_local},
    time::{Instant, interval, sleep, timeout},
};

use crate::{
    agent_socket::{AgentSockets, BindError, Listeners, SSH_SOCKET_NAME},
    agents::Agents,
    client::{refuse_busy, serve_client},
    clock::Clock,
    embedded::{AuthorityLauncher, Embedded},
    guests::Guests,
    lock::Lock,
    slot::Surroundings,
    ssh_agent::serve_ssh_client,
    token_source::GithubJob,
};

/// What the key agent needs to know.
pub struct AgentOptions {
    /// The directory of the agents' configurations.
    pub config_dir: PathBuf,
    /// The private directory of the sockets.
    pub runtime_dir: PathBuf,
    /// The socket of the embedded authority, for the agents whose authority that is. It had better
    /// not be in a directory of this login: one authority serves all logins of the user.
    pub authority_socket: PathBuf,
    /// How long it stays without being asked anything.
    pub idle_exit: Duration,
    /// How to start the embedded authority.
    pub launcher: Option<AuthorityLauncher>,
    /// The GitHub Actions job that it was started in, for agents whose tokens come from there.
    pub github: Option<GithubJob>,
    /// The time.
    pub clock: Clock,
}

/// Runs the key agent until it is told to stop, gets SIGTERM or SIGINT, or is idle for long
/// enough; a live session that only a token could replace keeps it.
///
/// It changes the process: umask, core dumps, debuggers. Call [`crate::detach`] before it, where
/// the process is the key agent's own.
///
/// # Errors
/// [`RunError`].
pub fn run(options: AgentOptions) -> Result<(), RunError> {
    let protection = protect_process();
    let memory = MemoryProtection {
        memory_locked: protection.memory_locked,
        dumps_disabled: protection.dumps_disabled,
        weaknesses: protection.weaknesses,
    };
    let (sockets, listeners) = AgentSockets::bind(&options.runtime_dir)?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RunError::EventLoop)?;
    let server = Server {
        agents: Rc::new(Agents::new(Surroundings {
            embedded: Embedded::new(options.launcher),
            authority_socket: options.authority_socket,
            config_dir: options.config_dir,
            github: options.github,
            clock: options.clock,
        })),
        lock: Lock::default(),
        ssh_socket: options.runtime_dir.join(SSH_SOCKET_NAME),
        memory,
        started: Instant::now(),
        asked: Cell::new(Instant::now()),
        stop: Notify::new(),
    };
    LocalSet::new().block_on(
        &runtime,
        serve(Rc::new(server), sockets, listeners, options.idle_exit),
    )
}

/// The key agent could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No socket.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// No event loop.
    #[error("could not start the event loop")]
    EventLoop(#[source] io::Error),
}

impl RunError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bind(error) => error.code(),
            Self::EventLoop(_) => "system-refused",
        }
    }
}

/// What every connection shares.
pub(crate) struct Server {
    pub(crate) agents: Rc<Agents>,
    pub(crate) lock: Lock,
    /// Where the OpenSSH agent protocol is spoken.
    pub(crate) ssh_socket: PathBuf,
    pub(crate) memory: MemoryProtection,
    pub(crate) started: Instant,
    /// When somebody last asked something.
    pub(crate) asked: Cell<Instant>,
    pub(crate) stop: Notify,
}

const CLIENT_LIMIT: usize = 64;
const LONGEST_TICK: Duration = Duration::from_secs(5);
const SHORTEST_TICK: Duration = Duration::from_millis(20);
/// How long answers under way may take when we stop.
const FAREWELL: Duration = Duration::from_secs(2);

async fn serve(
    server: Rc<Server>,
    sockets: AgentSockets,
    listeners: Listeners,
    idle_exit: Duration,
) -> Result<(), RunError> {
    let listener = UnixListener::from_std(listeners.agent).map_err(RunError::EventLoop)?;
    let ssh_listener = UnixListener::from_std(listeners.ssh).map_err(RunError::EventLoop)?;
    let mut signals = Signals::new().map_err(RunError::EventLoop)?;
    // A timer that is asked often, not one set for the hour: a suspended machine stops them all.
    let mut tick = interval((idle_exit / 4).clamp(SHORTEST_TICK, LONGEST_TICK));
    let mut maintenance: Option<JoinHandle<()>> = None;
    let mut clients = JoinSet::new();
    // Apart from the others, so that neither kind keeps the other out.
    let mut ssh_clients = Guests::new(CLIENT_LIMIT);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => admit(&server, &mut clients, stream),
                // Out of descriptors, most likely: those that are open will close.
                Err(_) => sleep(SHORTEST_TICK).await,
            },
            accepted = ssh_listener.accept() => match accepted {
                Ok((stream, _)) if is_ours(&stream) => {
                    let server = Rc::clone(&server);
                    ssh_clients.admit(|silence| serve_ssh_client(server, stream, silence));
                }
                Ok(_) => {}
                Err(_) => sleep(SHORTEST_TICK).await,
            },
            Some(_) = clients.join_next() => {}
            () = ssh_clients.one_leaves() => {}
            _ = tick.tick() => {
                let is_idle = clients.is_empty() && server.asked.get().elapsed() >= idle_exit;
                if is_idle && !server.agents.hold_something_irreplaceable() {
                    break;
                }
                if !sockets.are_in_place() {
                    break;
                }
                if maintenance.as_ref().is_none_or(JoinHandle::is_finished) {
                    let server = Rc::clone(&server);
                    maintenance = Some(spawn_local(async move { server.agents.maintain().await }));
                }
            }
            () = signals.ask_to_end() => break,
            () = server.stop.notified() => break,
        }
    }
    drop((listener, ssh_listener));
    drop(sockets);
    let _ = timeout(FAREWELL, async {
        while clients.join_next().await.is_some() {}
        ssh_clients.all_leave().await;
    })
    .await;
    Ok(())
}

/// Tells whether a client runs as our user.
fn is_ours(stream: &UnixStream) -> bool {
    // The directory keeps others out; should it ever fail to, this does not. Root is no exception:
    // it could take the keys anyway, but not by mistake.
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == geteuid().as_raw())
}

fn admit(server: &Rc<Server>, clients: &mut JoinSet<()>, stream: UnixStream) {
    if !is_ours(&stream) {
        return;
    }
    while clients.try_join_next().is_some() {}
    if clients.len() >= CLIENT_LIMIT {
        refuse_busy(&stream);
        return;
    }
    clients.spawn_local(serve_client(Rc::clone(server), stream));
}

/// The signals that end us, and one that does not.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// The terminal that we were started from has gone. That is no reason to go too.
    hangup: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn ask_to_end(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {}
            }
        }
    }
}
