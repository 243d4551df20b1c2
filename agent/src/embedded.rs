//! The embedded authority: this user's own, started when it does not answer.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    io,
    os::unix::{fs::OpenOptionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use tokio::{
    sync::{Mutex, oneshot},
    time::{Instant, sleep, sleep_until},
};

use crate::authority_client::{AuthorityClient, AuthorityError, Document};

/// How the embedded authority is started.
#[derive(Clone, Debug)]
pub struct AuthorityLauncher {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The file that takes its standard error.
    pub log: PathBuf,
}

impl AuthorityLauncher {
    /// Starts the program in a process group of its own, away from our terminal.
    fn launch(&self) -> Result<oneshot::Receiver<io::Result<ExitStatus>>, LaunchError> {
        let failed = |source| LaunchError::Start {
            program: self.program.clone(),
            source,
        };
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.log)
            .map_err(failed)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (sender, ended) = oneshot::channel();
        // Somebody has to wait for it, lest it stay a zombie as long as we live.
        thread::spawn(move || sender.send(child.wait()));
        Ok(ended)
    }
}

/// Starts the embedded authority, once however many ask.
#[derive(Debug)]
pub(crate) struct Embedded {
    launcher: Option<AuthorityLauncher>,
    launching: Mutex<()>,
}

impl Embedded {
    pub(crate) fn new(launcher: Option<AuthorityLauncher>) -> Self {
        Self {
            launcher,
            launching: Mutex::new(()),
        }
    }

    /// Waits until the authority answers, after starting it if need be.
    ///
    /// # Errors
    /// [`LaunchError`].
    pub(crate) async fn ensure(
        &self,
        client: &AuthorityClient,
        deadline: Instant,
    ) -> Result<(), LaunchError> {
        let _one_at_a_time = self.launching.lock().await;
        let Err(absence) = is_up(client).await else {
            return Ok(());
        };
        let Some(launcher) = &self.launcher else {
            return Err(LaunchError::Absent(absence));
        };
        // One that is about to end may still hold the authority's directory: the new one waits for
        // it, as we wait for the new one.
        let mut ended = launcher.launch()?;
        let log = launcher.log.clone();
        let mut pause = Duration::from_millis(2);
        loop {
            tokio::select! {
                status = &mut ended => {
                    // Another process may have started it in the same moment, and won.
                    let grace = deadline.min(Instant::now() + RIVAL_GRACE);
                    while is_up(client).await.is_err() {
                        if Instant::now() >= grace {
                            let status = status.ok().and_then(Result::ok);
                            return Err(LaunchError::Ended { status, log });
                        }
                        sleep(RIVAL_PAUSE).await;
                    }
                    return Ok(());
                }
                () = sleep_until(deadline) => return Err(LaunchError::Slow { log }),
                () = sleep(pause) => {}
            }
            if is_up(client).await.is_ok() {
                return Ok(());
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

/// The embedded authority could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It does not answer, and nobody said how to start it.
    #[error(transparent)]
    Absent(AuthorityError),
    /// It cannot be run.
    #[error("could not start the embedded authority `{}`: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It ended at once.
    #[error(
        "the embedded authority ended at once ({}); its log is `{}`",
        status.map_or_else(|| "unknown status".to_owned(), |status| status.to_string()),
        log.display()
    )]
    Ended {
        /// How.
        status: Option<ExitStatus>,
        /// Where it says why.
        log: PathBuf,
    },
    /// It does not answer.
    #[error("the embedded authority did not answer in time; its log is `{}`", log.display())]
    Slow {
        /// Where it may say why.
        log: PathBuf,
    },
}

impl LaunchError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent(error) => error.code(),
            Self::Start { .. } | Self::Ended { .. } | Self::Slow { .. } => "authority-unreachable",
        }
    }
}

/// How long after ours gave up another's may need.
const RIVAL_GRACE: Duration = Duration::from_secs(1);
const RIVAL_PAUSE: Duration = Duration::from_millis(20);

async fn is_up(client: &AuthorityClient) -> Result<(), AuthorityError> {
    client
        .fetch(Document::Health, Duration::from_millis(500))
        .await
        .map(|_| ())
}
