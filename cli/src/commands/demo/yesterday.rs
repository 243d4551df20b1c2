//! A session of yesterday whose key somebody kept.
//!
//! The authority and the key agent run here with a clock that is a day and an hour slow, so that
//! everything they sign is what they would have signed then.

use std::{
    fs, io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use notme_agent::{AgentConfig, AgentOptions, AuthorityUrl, Document, Pins, Profile};
use notme_authority::{
    Admin, Clock, Founding, Lifetimes, Limits, Listen, LocalEnrolment, OidcConfig, Protection,
    Scopes, ServeConfig, Storage, SystemClock, serve_until,
};
use notme_core::time::UnixTime;
use notme_signer::{AgentClient, Deadline};
use tokio::sync::oneshot;

use crate::{
    commands::{agent, init::EMBEDDED, trust},
    failure::Failure,
    home::Home,
};

use super::stage::{Stage, success};

/// How far back yesterday is, in seconds: long enough for today's authority to publish anew.
const BACK: i64 = 25 * 3600;
/// How long either process may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is left of yesterday.
pub(super) struct Yesterday {
    /// Signed today with yesterday's session, and dated today.
    pub(super) expired: String,
    /// Signed today with yesterday's session, and dated yesterday.
    pub(super) back_dated: String,
    /// Yesterday's trust document.
    pub(super) document: Vec<u8>,
}

struct SlowClock;

impl Clock for SlowClock {
    fn now_millis(&self) -> i64 {
        SystemClock.now_millis() - BACK * 1000
    }
}

impl Yesterday {
    /// Founds the authority, makes an honest commit, loses the authority and keeps the key.
    pub(super) fn live(stage: &Stage) -> Result<Self, Failure> {
        let home = stage.home();
        notme_local::create_private_directory(home.runtime())?;
        let url = AuthorityUrl::embedded(&home.authority())?;
        let address = url.at(&home.authority_socket());
        let authority = Authority::start(&home, &url);
        let document = wait(|| notme_agent::fetch(address.clone(), None, Document::Trust).ok())?;
        let roots = Admin::open(&home.authority(), Arc::new(SystemClock))?.roots()?;
        let pins: Vec<_> = roots
            .iter()
            .map(|root| root.public_key().spki_sha256())
            .collect();
        trust::pin_or_refresh(&home, EMBEDDED, &document, &pins)?;
        let name = "claude".parse()?;
        let mut config = AgentConfig::new(name, url, Profile::Modern, Pins::new(pins)?);
        config.embedded = true;
        config.save(&home.agents())?;

        let key_agent = start_key_agent(&home);
        let then = now() - BACK;
        let honest = sign(stage, "start", then)?;
        authority.end();
        let expired = sign(stage, "expired", now())?;
        let back_dated = sign(stage, "back-dated", then + 60)?;
        stop_key_agent(&home, key_agent)?;
        stage.git_ok(&["reset", "-q", "--hard", &honest])?;
        Ok(Self {
            expired,
            back_dated,
            document,
        })
    }

    /// Writes yesterday's trust document to a file.
    pub(super) fn document_file(&self, stage: &Stage) -> io::Result<String> {
        let path = stage.path("yesterday.json");
        fs::write(&path, &self.document)?;
        Ok(path.to_string_lossy().into_owned())
    }
}

struct Authority {
    shutdown: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Authority {
    fn start(home: &Home, url: &AuthorityUrl) -> Self {
        let (shutdown, ended) = oneshot::channel::<()>();
        let config = ServeConfig {
            storage: Storage::Directory {
                path: home.authority(),
                protection: Protection::LocalFile,
            },
            founding: Founding {
                trust_domain: "example.com".to_owned(),
                operator: "alice".to_owned(),
            },
            listen: vec![Listen::Unix(home.authority_socket())],
            url: Some(url.to_string()),
            lifetimes: Lifetimes::default(),
            local: Some(LocalEnrolment {
                principal: None,
                scopes: Scopes::all(),
            }),
            oidc: OidcConfig::default(),
            idle_exit: None,
            limits: Limits::default(),
            clock: Arc::new(SlowClock),
            observer: Arc::new(()),
        };
        let thread = thread::spawn(move || {
            // Whether it served is seen by whoever asks it.
            let _ = serve_until(config, async {
                let _ = ended.await;
            });
        });
        Self { shutdown, thread }
    }

    fn end(self) {
        let _ = self.shutdown.send(());
        let _ = self.thread.join();
    }
}

fn start_key_agent(home: &Home) -> JoinHandle<()> {
    let options = AgentOptions {
        config_dir: home.agents(),
        runtime_dir: home.runtime().to_owned(),
        authority_socket: home.authority_socket(),
        idle_exit: Duration::from_secs(60),
        launcher: None,
        github: None,
        clock: Arc::new(|| UnixTime::from(SystemTime::now()).plus(-BACK)),
    };
    thread::spawn(move || {
        // Whether it ran is seen by whoever asks it.
        let _ = notme_agent::run(options);
    })
}

fn stop_key_agent(home: &Home, key_agent: JoinHandle<()>) -> Result<(), Failure> {
    let mut endpoint = agent::endpoint(home)?;
    endpoint.start = None;
    AgentClient::connect(&endpoint, Deadline::after(PATIENCE))?.stop()?;
    let _ = key_agent.join();
    Ok(())
}

/// Commits with a date of our choice, signed by whoever answers at the key agent's socket.
fn sign(stage: &Stage, message: &str, at: i64) -> Result<String, Failure> {
    let date = format!("@{at} +0000");
    let signer = format!("gpg.x509.program={}", stage.program().display());
    let commit = || {
        let mut command = stage.command("git".as_ref());
        command
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date)
            .args([
                "-c",
                "gpg.format=x509",
                "-c",
                &signer,
                "-c",
                "user.signingkey=claude",
            ])
            .args(["commit", "-q", "-S", "--allow-empty", "-m", message]);
        command
            .output()
            .ok()
            .filter(|output| output.status.success())
    };
    success(wait(commit)?)?;
    stage.git_ok(&["rev-parse", "HEAD"])
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
        })
}

/// Asks until there is an answer.
fn wait<T>(mut ask: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() >= end {
            return Err(Failure::from("a program of the demo did not answer"));
        }
        thread::sleep(Duration::from_millis(10));
    }
}
