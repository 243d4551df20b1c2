//! Where the tokens come from that open sessions: a new one for every attempt, since whoever is
//! asked with one may have spent it before saying no.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use reqwest::{StatusCode, Url, header};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::{Instant, timeout_at},
};
use zeroize::Zeroizing;

use crate::{
    authority_client::{http_client, limited},
    authority_url::is_loopback,
    session::Token,
};

/// Where the tokens of an agent come from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenSource {
    /// The provider of the GitHub Actions job that the key agent was started in.
    Github {
        /// For whom the tokens are to be.
        audience: String,
    },
    /// A file that somebody else keeps fresh, as Kubernetes does with service account tokens.
    File(PathBuf),
    /// What a shell command prints.
    Command(String),
}

impl TokenSource {
    /// Gets a token.
    ///
    /// # Errors
    /// [`TokenSourceError`].
    pub(crate) async fn token(
        &self,
        job: Option<&GithubJob>,
        deadline: Instant,
    ) -> Result<Token, TokenSourceError> {
        let token = match self {
            Self::Github { audience } => {
                let job = job.ok_or(TokenSourceError::NoJob)?;
                timeout_at(deadline, job.token(audience))
                    .await
                    .map_err(|_| TokenSourceError::Deadline)?
            }
            Self::File(path) => of_file(path).map_err(|source| TokenSourceError::File {
                path: path.clone(),
                source,
            }),
            Self::Command(command) => timeout_at(deadline, of_command(command))
                .await
                .map_err(|_| TokenSourceError::Deadline)?,
        }?;
        let token = Zeroizing::new(token.trim_ascii().to_owned());
        let is_token = !token.is_empty() && token.len() <= TOKEN_MAX;
        match is_token && token.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(token),
            false => Err(TokenSourceError::Malformed),
        }
    }
}

/// What a GitHub Actions job with the permission `id-token: write` finds in its environment.
#[derive(Clone)]
pub struct GithubJob {
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
    pub url: String,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
    pub secret: Zeroizing<String>,
}

impl GithubJob {
    /// Asks for a token, as the toolkit of GitHub Actions does.
    async fn token(&self, audience: &str) -> Result<Token, TokenSourceError> {
        let mut url: Url = self.url.parse().map_err(|_| TokenSourceError::JobUrl)?;
        let is_tls = url.scheme() == "https";
        if !is_tls && !url.host_str().is_some_and(is_loopback) {
            return Err(TokenSourceError::JobUrl);
        }
        url.query_pairs_mut().append_pair("audience", audience);
        let failed = |error: reqwest::Error| TokenSourceError::Job(error.without_url());
        let client = http_client(is_tls).build().map_err(failed)?;
        let answer = client
            .get(url)
            .bearer_auth(self.secret.as_str())
            .header(header::ACCEPT, "application/json")
            .timeout(REQUEST_TIMEOUT)
            .send()
            .await
            .map_err(failed)?;
        if answer.status() != StatusCode::OK {
            return Err(TokenSourceError::JobStatus(answer.status().as_u16()));
        }
        let body = limited(answer, ANSWER_MAX).await.map_err(failed)?;
        let body = Zeroizing::new(body.ok_or(TokenSourceError::Malformed)?);
        let issued: Issued =
            serde_json::from_slice(&body).map_err(|_| TokenSourceError::Malformed)?;
        Ok(issued.value.into())
    }
}

impl fmt::Debug for GithubJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GithubJob(..)")
    }
}

#[derive(Deserialize)]
struct Issued {
    value: String,
}

fn of_file(path: &Path) -> io::Result<Token> {
    // A pipe would keep everybody waiting.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(
        &mut io::Read::take(fs::File::open(path)?, READ_MAX),
        &mut text,
    )?;
    Ok(text)
}

async fn of_command(command: &str) -> Result<Token, TokenSourceError> {
    let failed = |source| TokenSourceError::Command {
        command: command.to_owned(),
        source,
    };
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let mut text = Zeroizing::new(String::new());
    if let Some(stdout) = child.stdout.take() {
        read(stdout, &mut text).await.map_err(failed)?;
    }
    let status = child.wait().await.map_err(failed)?;
    match status.success() {
        true => Ok(text),
        false => Err(TokenSourceError::CommandFailed {
            command: command.to_owned(),
            status,
        }),
    }
}

async fn read(from: impl AsyncRead + Unpin, text: &mut String) -> io::Result<()> {
    from.take(READ_MAX).read_to_string(text).await?;
    Ok(())
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest token, in bytes: as much as authorities read of one.
pub const TOKEN_MAX: usize = 16 * 1024;
/// How much is read: a token, what surrounds it, and enough to see that there is more.
const READ_MAX: u64 = 17 * 1024;
const ANSWER_MAX: usize = 64 * 1024;

/// There is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenSourceError {
    /// There is no job that may ask.
    #[error("the key agent was not started in a GitHub Actions job that may ask for tokens")]
    NoJob,
    /// What leads to the provider leads nowhere, or over an open line.
    #[error("`ACTIONS_ID_TOKEN_REQUEST_URL` is not an https URL")]
    JobUrl,
    /// The provider gave no answer.
    #[error("GitHub Actions gave no token")]
    Job(#[source] reqwest::Error),
    /// It said no.
    #[error("GitHub Actions gave no token, but the status {0}")]
    JobStatus(u16),
    /// The file cannot be read.
    #[error("could not read the token in `{}`", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The command cannot be run, or prints no text.
    #[error("could not run `{command}` for a token")]
    Command {
        /// Which.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The command failed.
    #[error("`{command}` gave no token: {status}")]
    CommandFailed {
        /// Which.
        command: String,
        /// How.
        status: ExitStatus,
    },
    /// What came is no token: it is empty, longer than 16 KiB, or has spaces in it.
    #[error("what came is not a token")]
    Malformed,
    /// None came in time.
    #[error("the token did not come in time")]
    Deadline,
}
