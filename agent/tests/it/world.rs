//! A temporary home with an authority, a key agent and a clock.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle, sleep},
    time::{Duration, Instant},
};

use notme_agent::{
    AgentConfig, AgentOptions, AuthorityLauncher, AuthorityUrl, Document, GithubJob, Pins, Profile,
    RunError, SOCKET_NAME, SSH_SOCKET_NAME, fetch, run,
};
use notme_authority::{
    Founding, Lifetimes, Limits, Listen, LocalEnrolment, NewToken, Observer, OidcConfig,
    Protection, Scope, Scopes, ServeConfig, Serving, Storage, serve_until,
};
use notme_core::{
    base64,
    certificate::Certificate,
    cms::{SignedAttributes, SignedMessage, assemble},
    frame::{
        ArmoredAnswer, Frame, Purpose, Refusal, Request, Response, SessionStatus, SessionsAnswer,
        SignAnswer, SignatureKind, StatusAnswer, StopAnswer,
    },
    time::UnixTime,
    trust::TrustDocument,
};
use notme_local::create_private_directory;
use notme_testkit::{
    clock::{FixedClock, NOW},
    commit::CommitSpec,
};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::go_between::{Change, go_between};

pub(crate) const TREE: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

pub(crate) fn commit() -> Vec<u8> {
    CommitSpec::new(TREE).payload()
}

/// Waits for something that happens in another thread.
pub(crate) fn eventually(what: &str, mut happened: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < give_up, "never happened: {what}");
        sleep(Duration::from_millis(5));
    }
}

/// What a test wants to be otherwise.
pub(crate) struct Wishes {
    pub(crate) idle_exit: Duration,
    pub(crate) launcher: Option<AuthorityLauncher>,
    /// The job that the key agent runs in.
    pub(crate) github: Option<GithubJob>,
    /// The key agent's clock.
    pub(crate) clock: FixedClock,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            idle_exit: Duration::from_secs(600),
            launcher: None,
            github: None,
            clock: FixedClock::default(),
        }
    }
}

/// A temporary home.
pub(crate) struct World {
    pub(crate) root: tempfile::TempDir,
    /// The name of the runtime directory.
    pub(crate) run: &'static str,
    /// The name of the directory of the authority's socket.
    pub(crate) authority_dir: &'static str,
    /// What the authority goes by where that is not its socket.
    authority_name: Option<AuthorityUrl>,
    authority: Option<RunningAuthority>,
    agent: Option<JoinHandle<Result<(), RunError>>>,
}

impl World {
    /// A home with an authority on a unix socket, an agent `claude`, and a running key agent.
    pub(crate) fn new() -> Self {
        Self::with(Wishes::default())
    }

    pub(crate) fn with(wishes: Wishes) -> Self {
        let mut world = Self::empty();
        world.start_authority(&wishes.clock);
        world.configure("claude", Profile::Modern);
        world.start_agent(wishes);
        world
    }

    pub(crate) fn empty() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            run: "run",
            authority_dir: "authority",
            authority_name: None,
            authority: None,
            agent: None,
        }
    }

    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.root.path().join(self.run)
    }

    pub(crate) fn config_dir(&self) -> PathBuf {
        self.root.path().join("agents")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.runtime_dir().join(SOCKET_NAME)
    }

    pub(crate) fn authority_socket(&self) -> PathBuf {
        let directory = self.root.path().join(self.authority_dir);
        directory.join("authority.sock")
    }

    pub(crate) fn ssh_socket(&self) -> PathBuf {
        self.runtime_dir().join(SSH_SOCKET_NAME)
    }

    pub(crate) fn authority_url(&self) -> AuthorityUrl {
        match &self.authority_name {
            Some(name) => name.clone(),
            None => AuthorityUrl::of_socket(&self.authority_socket()).unwrap(),
        }
    }

    pub(crate) fn start_authority(&mut self, clock: &FixedClock) {
        let listen = Listen::Unix(self.authority_socket());
        self.authority = Some(RunningAuthority::start(listen, clock));
    }

    pub(crate) fn start_tcp_authority(&mut self, clock: &FixedClock) -> AuthorityUrl {
        let listen = Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        self.start_authority_at(listen, clock)
    }

    pub(crate) fn start_authority_at(
        &mut self,
        listen: Listen,
        clock: &FixedClock,
    ) -> AuthorityUrl {
        let authority = RunningAuthority::start(listen, clock);
        let url = authority.url.clone();
        self.authority = Some(authority);
        url
    }

    /// Starts an authority behind a go-between, which is where the agents find it.
    pub(crate) fn start_authority_behind(&mut self, clock: &FixedClock, change: Change) {
        let nobody = OidcConfig::default();
        self.start_behind((Storage::Memory, nobody), clock, change);
    }

    /// As [`World::start_kept_authority`], behind a go-between.
    pub(crate) fn start_kept_authority_behind(&mut self, clock: &FixedClock, change: Change) {
        let nobody = OidcConfig::default();
        self.start_behind((self.kept_storage(), nobody), clock, change);
    }

    /// Starts an authority that takes the tokens of issuers, `oidc.toml`, behind a go-between.
    pub(crate) fn start_workload_authority(
        &mut self,
        clock: &FixedClock,
        oidc: &str,
        change: Change,
    ) {
        let oidc = OidcConfig::parse(oidc, Path::new("/nowhere")).unwrap();
        self.start_behind((Storage::Memory, oidc), clock, change);
    }

    fn start_behind(
        &mut self,
        (storage, oidc): (Storage, OidcConfig),
        clock: &FixedClock,
        change: Change,
    ) {
        create_private_directory(&self.runtime_dir()).unwrap();
        let behind = self.runtime_dir().join("behind.sock");
        let front = self.authority_socket();
        create_private_directory(front.parent().unwrap()).unwrap();
        let listen = Listen::Unix(behind.clone());
        // A name that does not say where it listens.
        let url = AuthorityUrl::embedded(self.root.path()).unwrap();
        let name = Some(url.to_string());
        self.authority_name = Some(url);
        let keeping = (storage, oidc);
        self.authority = Some(RunningAuthority::launch(listen, name, keeping, clock));
        go_between(&front, behind, change);
    }

    /// Starts an authority that keeps itself in a directory, so that it can be rotated and comes
    /// back as it was.
    pub(crate) fn start_kept_authority(&mut self, clock: &FixedClock) {
        let listen = Listen::Unix(self.authority_socket());
        let keeping = (self.kept_storage(), OidcConfig::default());
        self.authority = Some(RunningAuthority::launch(listen, None, keeping, clock));
    }

    fn kept_storage(&self) -> Storage {
        Storage::Directory {
            path: self.kept(),
            protection: Protection::LocalFile,
        }
    }

    /// The directory of [`World::start_kept_authority`].
    pub(crate) fn kept(&self) -> PathBuf {
        self.root.path().join("kept")
    }

    /// A token of the authority's, for one session of `claude`.
    pub(crate) fn token(&self) -> String {
        self.authority.as_ref().unwrap().token.clone()
    }

    /// Ends the authority; the next one has other keys.
    pub(crate) fn stop_authority(&mut self) {
        drop(self.authority.take());
    }

    pub(crate) fn configure(&self, name: &str, profile: Profile) {
        self.configuration(name, profile, self.authority_url(), None)
            .save(&self.config_dir())
            .unwrap();
    }

    /// As [`World::configure`], with the scopes to ask for.
    pub(crate) fn configure_scopes(&self, name: &str, scopes: &[&str]) {
        let url = self.authority_url();
        let mut config = self.configuration(name, Profile::Modern, url, None);
        config.scopes = Some(scopes.iter().map(|scope| (*scope).to_owned()).collect());
        config.save(&self.config_dir()).unwrap();
    }

    pub(crate) fn configuration(
        &self,
        name: &str,
        profile: Profile,
        authority: AuthorityUrl,
        ca_file: Option<PathBuf>,
    ) -> AgentConfig {
        let address = authority.at(&self.authority_socket());
        let bundle = fetch(address, ca_file.clone(), Document::CaBundle).unwrap();
        let roots = Certificate::pem_bundle(&String::from_utf8(bundle).unwrap()).unwrap();
        let pins = roots.iter().map(|root| root.public_key().spki_sha256());
        let pins = Pins::new(pins.collect()).unwrap();
        let mut config = AgentConfig::new(name.parse().unwrap(), authority, profile, pins);
        config.ca_file = ca_file;
        config
    }

    /// The configuration of `claude`.
    pub(crate) fn configured(&self) -> AgentConfig {
        let name = "claude".parse().unwrap();
        AgentConfig::load(&self.config_dir(), &name)
            .unwrap()
            .unwrap()
    }

    pub(crate) fn options(&self, wishes: Wishes) -> AgentOptions {
        AgentOptions {
            config_dir: self.config_dir(),
            runtime_dir: self.runtime_dir(),
            authority_socket: self.authority_socket(),
            idle_exit: wishes.idle_exit,
            launcher: wishes.launcher,
            github: wishes.github,
            clock: Arc::new(wishes.clock.reader()),
        }
    }

    pub(crate) fn start_agent(&mut self, wishes: Wishes) {
        create_private_directory(&self.runtime_dir()).unwrap();
        let options = self.options(wishes);
        self.agent = Some(thread::spawn(move || run(options)));
        eventually("the key agent listens", || {
            UnixStream::connect(self.socket()).is_ok()
        });
    }

    pub(crate) fn agent_has_ended(&self) -> bool {
        self.agent.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(crate) fn connect(&self) -> Client {
        Client(UnixStream::connect(self.socket()).unwrap())
    }

    pub(crate) fn sign(&self, key: &str, payload: &[u8]) -> Result<SignAnswer, Refusal> {
        self.connect().sign(key, payload)
    }

    pub(crate) fn sign_armored(
        &self,
        key: &str,
        format: SignatureKind,
        payload: &[u8],
    ) -> Result<ArmoredAnswer, Refusal> {
        let request = Request::Sign {
            key: key.to_owned(),
            format,
            purpose: Purpose::Git,
        };
        self.connect().call(&request, payload)
    }

    /// The trust document of the authority, as the agent's pins have it.
    pub(crate) fn trust(&self) -> TrustDocument {
        let config = self.configuration("any", Profile::Modern, self.authority_url(), None);
        let address = self.authority_url().at(&self.authority_socket());
        let envelope = fetch(address, None, Document::Trust).unwrap();
        let verified = TrustDocument::verify(&envelope, config.pins.as_slice(), NOW).unwrap();
        verified.document().clone()
    }

    pub(crate) fn list(&self) -> Vec<SessionStatus> {
        self.connect().list()
    }

    /// The session of the first agent.
    pub(crate) fn session(&self) -> SessionStatus {
        self.list().into_iter().next().unwrap()
    }

    pub(crate) fn not_after(&self) -> UnixTime {
        self.session().not_after.unwrap()
    }
}

impl World {
    /// Ends the key agent and waits until it has.
    pub(crate) fn stop_agent(&mut self) {
        let Some(agent) = self.agent.take() else {
            return;
        };
        let stop = Frame::new(br#"{"request":"stop"}"#.to_vec(), Vec::new()).unwrap();
        // It may be busy with clients that only just left.
        eventually("the key agent stops", || {
            match UnixStream::connect(self.socket()) {
                Ok(mut stream) => {
                    let _ = stop.write(&mut stream);
                    Client(stream)
                        .receive::<StopAnswer>()
                        .is_some_and(|answer| answer.is_ok())
                }
                Err(_) => agent.is_finished(),
            }
        });
        agent.join().unwrap().unwrap();
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop_agent();
        }
        // Before its socket goes with the directory, which it may notice.
        drop(self.authority.take());
    }
}

/// One connection to the key agent.
pub(crate) struct Client(pub(crate) UnixStream);

impl Client {
    pub(crate) fn call<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        body: &[u8],
    ) -> Result<T, Refusal> {
        let header = serde_json::to_vec(request).unwrap();
        self.send(&Frame::new(header, body.to_vec()).unwrap().encode());
        self.receive().expect("the key agent answers")
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    /// Reads an answer, or `None` when the connection is closed instead.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> Option<Result<T, Refusal>> {
        self.0
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        let frame = Frame::read(&mut self.0).unwrap()?;
        Some(match serde_json::from_slice(frame.header()).unwrap() {
            Response::Ok(answer) => Ok(answer),
            Response::Error(refusal) => Err(refusal),
        })
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        self.0
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        matches!(self.0.read(&mut [0]), Ok(0) | Err(_))
    }

    pub(crate) fn sign(&mut self, key: &str, payload: &[u8]) -> Result<SignAnswer, Refusal> {
        let request = Request::Sign {
            key: key.to_owned(),
            format: SignatureKind::X509,
            purpose: Purpose::Git,
        };
        self.call(&request, payload)
    }

    pub(crate) fn status(&mut self) -> StatusAnswer {
        self.call(&Request::Status, b"").unwrap()
    }

    pub(crate) fn list(&mut self) -> Vec<SessionStatus> {
        let answer: SessionsAnswer = self.call(&Request::List, b"").unwrap();
        answer.sessions
    }

    pub(crate) fn renew(&mut self, agent: &str) -> Result<SessionsAnswer, Refusal> {
        let agent = agent.parse().unwrap();
        self.call(&Request::Renew { agent }, b"")
    }

    pub(crate) fn enrol(&mut self, agent: &str, token: &str) -> Result<SessionsAnswer, Refusal> {
        let agent = agent.parse().unwrap();
        self.call(&Request::Enrol { agent }, token.as_bytes())
    }
}

/// Puts the signature together and checks that it holds; returns its leaf.
pub(crate) fn verified_leaf(answer: &SignAnswer, payload: &[u8]) -> Certificate {
    let decode = |text: &str| base64::decode(text).unwrap();
    let attributes = SignedAttributes::from_der(&decode(&answer.attributes)).unwrap();
    let certificates: Vec<_> = answer
        .certificates
        .iter()
        .map(|der| Certificate::from_der(&decode(der)).unwrap())
        .collect();
    let (leaf, intermediates) = certificates.split_first().unwrap();
    let signature = decode(&answer.signature);
    let message = assemble(&attributes, &signature, leaf, intermediates);
    SignedMessage::parse(&message)
        .unwrap()
        .verify(payload)
        .unwrap();
    leaf.clone()
}

/// An authority in memory, in a thread.
struct RunningAuthority {
    url: AuthorityUrl,
    token: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RunningAuthority {
    fn start(listen: Listen, clock: &FixedClock) -> Self {
        Self::start_as(listen, None, clock)
    }

    fn start_as(listen: Listen, url: Option<String>, clock: &FixedClock) -> Self {
        Self::launch(listen, url, (Storage::Memory, OidcConfig::default()), clock)
    }

    fn launch(
        listen: Listen,
        url: Option<String>,
        (storage, oidc): (Storage, OidcConfig),
        clock: &FixedClock,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (serving, started) = mpsc::channel();
        let mut config = serve_config(listen, clock.clone(), Arc::new(Started(serving)));
        config.url = url;
        config.storage = storage;
        config.oidc = oidc;
        if !matches!(config.listen[0], Listen::Unix(_)) {
            config.local = None;
        }
        let thread = thread::spawn(move || {
            serve_until(config, async {
                let _ = stopped.await;
            })
            .unwrap();
        });
        let (url, token) = started.recv().expect("the authority starts");
        Self {
            url: url.parse().unwrap(),
            token,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for RunningAuthority {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || thread::panicking());
    }
}

struct Started(mpsc::Sender<(String, String)>);

impl Observer for Started {
    fn serving(&self, serving: &Serving<'_>) {
        let new = NewToken {
            agent: "claude".parse().unwrap(),
            principal: None,
            scopes: Scopes::all(),
            uses: 1,
            ttl_seconds: 3600,
            session_seconds: 86_400,
        };
        let (token, _) = serving.admin.create_token(new).unwrap();
        let _ = self
            .0
            .send((serving.url.to_owned(), token.expose().to_owned()));
    }
}

struct AuthorityClock(FixedClock);

impl notme_authority::Clock for AuthorityClock {
    fn now_millis(&self) -> i64 {
        self.0.now().secs() * 1000
    }
}

pub(crate) fn serve_config(
    listen: Listen,
    clock: FixedClock,
    observer: Arc<dyn Observer>,
) -> ServeConfig {
    ServeConfig {
        storage: Storage::Memory,
        founding: Founding {
            trust_domain: "agents.test".to_owned(),
            operator: "alice".to_owned(),
        },
        listen: vec![listen],
        monitor: None,
        url: None,
        lifetimes: Lifetimes::default(),
        local: Some(LocalEnrolment {
            principal: None,
            scopes: Scopes::from_names([
                "bridgeCert",
                Scope::SignGit.as_str(),
                Scope::SshLogin.as_str(),
            ])
            .unwrap(),
        }),
        oidc: OidcConfig::default(),
        idle_exit: None,
        limits: Limits {
            drain: Duration::from_millis(10),
            ..Limits::default()
        },
        clock: Arc::new(AuthorityClock(clock)),
        observer,
    }
}
