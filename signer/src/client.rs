//! The key agent's client: one request, one answer, never beyond the deadline.

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
};

use notme_core::{
    frame::{
        ArmoredAnswer, AttestAnswer, CredentialsAnswer, Frame, FrameError, LendAnswer, Purpose,
        Refusal, Request, Response, SessionStatus, SessionsAnswer, SignAnswer, SignatureKind,
        StatusAnswer, StopAnswer,
    },
    identity::AgentName,
    terms::Terms,
};
use notme_local::DirectoryError;
use serde::de::DeserializeOwned;

use crate::endpoint::{AgentEndpoint, Deadline};

/// A connection to the key agent.
#[derive(Debug)]
pub struct AgentClient {
    stream: UnixStream,
    deadline: Deadline,
}

impl AgentClient {
    /// Connects, after starting the key agent if need be. The deadline is for everything that is
    /// done with the client.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(endpoint: &AgentEndpoint, deadline: Deadline) -> Result<Self, ClientError> {
        Ok(Self {
            stream: endpoint.open(deadline)?,
            deadline,
        })
    }

    /// Has a git object signed, with the key of an agent or of the session with that key id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn sign(&mut self, key: &str, payload: Vec<u8>) -> Result<SignAnswer, ClientError> {
        let request = Request::Sign {
            key: key.to_owned(),
            format: SignatureKind::X509,
            purpose: Purpose::Git,
        };
        self.call(&request, payload)
    }

    /// Has a git object signed in a format whose signature the key agent finishes itself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn sign_armored(
        &mut self,
        key: &str,
        format: SignatureKind,
        payload: Vec<u8>,
    ) -> Result<ArmoredAnswer, ClientError> {
        let request = Request::Sign {
            key: key.to_owned(),
            format,
            purpose: Purpose::Git,
        };
        self.call(&request, payload)
    }

    /// Has the pre-authentication encoding of an in-toto statement signed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn attest(&mut self, key: &str, message: Vec<u8>) -> Result<AttestAnswer, ClientError> {
        let key = key.to_owned();
        self.call(&Request::Attest { key }, message)
    }

    /// Asks what an agent signs with, opening its session if need be.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn credentials(&mut self, key: &str) -> Result<CredentialsAnswer, ClientError> {
        let key = key.to_owned();
        self.call(&Request::Credentials { key }, Vec::new())
    }

    /// Has an agent lent out, on a socket of its own, until that is taken back or this client is dropped.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn lend(
        &mut self,
        agent: &AgentName,
        activity: &str,
        terms: Terms,
    ) -> Result<LendAnswer, ClientError> {
        let request = Request::Lend {
            agent: agent.clone(),
            activity: activity.to_owned(),
            terms,
        };
        self.call(&request, Vec::new())
    }

    /// Takes back what this client lent: when this returns, nothing more is signed for whoever borrowed it.
    /// The deadline takes the place of that before.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn reclaim(&mut self, deadline: Deadline) -> Result<(), ClientError> {
        self.deadline = deadline;
        self.call(&Request::Reclaim, Vec::new())
    }

    /// Asks about the process and its sessions.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn status(&mut self) -> Result<StatusAnswer, ClientError> {
        self.call(&Request::Status, Vec::new())
    }

    /// Asks about every configured agent.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn list(&mut self) -> Result<Vec<SessionStatus>, ClientError> {
        let answer: SessionsAnswer = self.call(&Request::List, Vec::new())?;
        Ok(answer.sessions)
    }

    /// Has an agent's certificates renewed now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn renew(&mut self, agent: &AgentName) -> Result<Vec<SessionStatus>, ClientError> {
        let agent = agent.clone();
        let answer: SessionsAnswer = self.call(&Request::Renew { agent }, Vec::new())?;
        Ok(answer.sessions)
    }

    /// Opens a new session for an agent, with an enrolment token where one is needed.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn enrol(
        &mut self,
        agent: &AgentName,
        token: Option<String>,
    ) -> Result<Vec<SessionStatus>, ClientError> {
        let agent = agent.clone();
        let token = token.unwrap_or_default().into_bytes();
        let answer: SessionsAnswer = self.call(&Request::Enrol { agent }, token)?;
        Ok(answer.sessions)
    }

    /// Has the key agent forget its keys and exit.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn stop(&mut self) -> Result<StopAnswer, ClientError> {
        self.call(&Request::Stop, Vec::new())
    }

    fn call<T: DeserializeOwned>(
        &mut self,
        request: &Request,
        body: Vec<u8>,
    ) -> Result<T, ClientError> {
        let header = serde_json::to_vec(request).map_err(ClientError::Json)?;
        let mut stream = Timed {
            stream: &self.stream,
            deadline: self.deadline,
        };
        let sent = Frame::new(header, body)?.write(&mut stream);
        // A key agent that turns us away answers without having read the question.
        let answer = match (Frame::read(&mut stream), sent) {
            (Ok(Some(answer)), _) => answer,
            (_, Err(error)) | (Err(error), Ok(())) => return Err(error.into()),
            (Ok(None), Ok(())) => return Err(ClientError::Closed),
        };
        match serde_json::from_slice(answer.header()).map_err(ClientError::Json)? {
            Response::Ok(answer) => Ok(answer),
            Response::Error(refusal) => Err(ClientError::Refused(refusal)),
        }
    }
}

/// The key agent did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no key agent is running")]
    Absent,
    /// The socket's directory is not ours alone.
    #[error(transparent)]
    Directory(DirectoryError),
    /// Somebody else listens on the socket.
    #[error("the key agent at `{}` is somebody else's", socket.display())]
    NotOurs {
        /// Which.
        socket: PathBuf,
    },
    /// The socket cannot be used.
    #[error("could not connect to the key agent at `{}`: {source}", socket.display())]
    Connect {
        /// Which.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key agent cannot be run.
    #[error("could not start the key agent `{}`: {source}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key agent ended as soon as it was started.
    #[error("the key agent ended as soon as it was started")]
    Ended,
    /// No answer in time.
    #[error("the key agent did not answer in time")]
    Deadline,
    /// It closed the connection.
    #[error("the key agent closed the connection")]
    Closed,
    /// The frame could not be sent or received.
    #[error("the connection to the key agent broke: {0}")]
    Frame(#[source] FrameError),
    /// The header is not what it should be.
    #[error("the key agent and we do not understand each other: {0}")]
    Json(#[source] serde_json::Error),
    /// It said no.
    #[error(transparent)]
    Refused(Refusal),
}

impl ClientError {
    /// Returns the code of the closed list; of a refusal, the key agent's.
    pub fn code(&self) -> &str {
        match self {
            Self::Absent => "agent-absent",
            Self::Directory(error) => error.code(),
            Self::NotOurs { .. } => "agent-not-ours",
            Self::Connect { .. } | Self::Closed | Self::Frame(_) | Self::Json(_) => "agent-broken",
            Self::Start { .. } | Self::Ended => "agent-not-started",
            Self::Deadline => "deadline-exceeded",
            Self::Refused(refusal) => &refusal.code,
        }
    }

    /// Returns what helps, in words.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Absent => Some("`notme agent start` starts it"),
            Self::Ended => Some("`notme agent start --foreground` shows why"),
            Self::Directory(_)
            | Self::NotOurs { .. }
            | Self::Connect { .. }
            | Self::Start { .. }
            | Self::Deadline
            | Self::Closed
            | Self::Frame(_)
            | Self::Json(_) => Some("`notme doctor` finds out why"),
            Self::Refused(refusal) => refusal.hint.as_deref(),
        }
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        match error {
            FrameError::Io(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
                ) =>
            {
                Self::Deadline
            }
            error => Self::Frame(error),
        }
    }
}

/// A stream each of whose waits ends at the deadline.
struct Timed<'a> {
    stream: &'a UnixStream,
    deadline: Deadline,
}

impl Read for Timed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.left().ok_or(io::ErrorKind::TimedOut)?;
        self.stream.set_read_timeout(Some(left))?;
        (&mut &*self.stream).read(buffer)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.deadline.left().ok_or(io::ErrorKind::TimedOut)?;
        self.stream.set_write_timeout(Some(left))?;
        (&mut &*self.stream).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
