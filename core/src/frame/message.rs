//! What is asked of the key agent, and what it answers.

use serde::{Deserialize, Serialize};

use crate::{
    identity::{AgentName, Identity},
    key::KeyId,
    terms::Terms,
    time::UnixTime,
};

/// A request: the header of a frame.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Sign the body; answered by [`SignAnswer`] for CMS, by [`ArmoredAnswer`] otherwise.
    Sign {
        /// An agent name, or the key id of either key of a live session.
        key: String,
        /// The kind of signature that the answer is for.
        format: SignatureKind,
        /// What the body is. The key agent parses it and refuses what it does not understand.
        purpose: Purpose,
    },
    /// Sign the body, which is the pre-authentication encoding (DSSE) of an in-toto statement, or an
    /// in-toto link. The key agent reads it and refuses anything else; answered by
    /// [`AttestAnswer`].
    Attest {
        /// As in [`Request::Sign`].
        key: String,
    },
    /// Tell what an agent signs with, opening its session if need be; answered by
    /// [`CredentialsAnswer`].
    Credentials {
        /// As in [`Request::Sign`].
        key: String,
    },
    /// Lend an agent to somebody who is to have nothing else: on a socket of its own, only
    /// [`Request::Sign`], [`Request::Attest`] and [`Request::Credentials`] are answered, for that
    /// agent and within the terms, which nobody can widen. The loan ends with the connection that
    /// asked for it, or with [`Request::Reclaim`]; answered by [`LendAnswer`].
    Lend {
        /// Which agent.
        agent: AgentName,
        /// The activity. Certificates that are issued meanwhile carry it, and statements may be
        /// records of it, or of one that it started, and nothing else.
        activity: String,
        /// What it is lent for. Certificates that are issued meanwhile carry it, too.
        terms: Terms,
    },
    /// Answer nobody on the socket of what this connection lent any more. The directory of the
    /// socket stays until the connection ends; answered by null.
    Reclaim,
    /// Tell about the process and its sessions; answered by [`StatusAnswer`].
    Status,
    /// Tell about every configured agent; answered by [`SessionsAnswer`].
    List,
    /// Renew a session's certificate now; answered by [`SessionsAnswer`].
    Renew {
        /// Whose.
        agent: AgentName,
    },
    /// Open a new session. The body is the enrolment token, or empty where none is needed;
    /// answered by [`SessionsAnswer`].
    Enrol {
        /// For whom.
        agent: AgentName,
    },
    /// Forget the keys and exit; answered by [`StopAnswer`].
    Stop,
}

/// The answer to [`Request::Lend`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LendAnswer {
    /// The socket, alone in a private directory, which is removed when the loan ends.
    pub socket: String,
    /// Who the agent is.
    pub identity: Identity,
}

/// A kind of signature that the key agent can make.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureKind {
    /// CMS; which key signs is the agent's profile.
    X509,
    /// SSHSIG in namespace `git`, by the Ed25519 key under its OpenSSH certificate.
    Ssh,
    /// A detached OpenPGP signature by the Ed25519 key.
    #[serde(rename = "openpgp")]
    OpenPgp,
}

/// What the bytes to sign are.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A git commit, tag or push certificate.
    Git,
}

/// An answer: the header of a frame, `{"ok": …}` or `{"error": …}`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response<T> {
    /// Done.
    Ok(T),
    /// Not done.
    Error(Refusal),
}

/// Why the key agent did not do it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// A code of the closed list.
    pub code: String,
    /// What happened, in words.
    pub message: String,
    /// The command or the step that helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The answer to [`Request::Sign`] for CMS: what the signature is assembled from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SignAnswer {
    /// The leaf, then intermediates; base64 DER.
    pub certificates: Vec<String>,
    /// The signed attributes; base64 DER.
    pub attributes: String,
    /// The signature over the attributes; base64.
    pub signature: String,
    /// A time stamp over the signature, for its unsigned attributes; base64 DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_stamp: Option<String>,
    /// What stands behind the time of the signature.
    pub basis: Basis,
    /// What the user should be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The answer to [`Request::Attest`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AttestAnswer {
    /// The leaf, then intermediates; base64 DER.
    pub certificates: Vec<String>,
    /// The signature over the body; base64.
    pub signature: String,
    /// An RFC 3161 time-stamp token over the signature; base64 DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_stamp: Option<String>,
    /// What stands behind the time of the signature.
    pub basis: Basis,
    /// What the user should be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The answer to [`Request::Sign`] for SSH and OpenPGP: the signature as git stores it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ArmoredAnswer {
    /// The signature in its armor.
    pub signature: String,
    /// What certifies the key, which the signature carries too: the line of a public key file, or
    /// an OpenPGP key in its armor.
    pub certificate: String,
    /// What stands behind the time of the signature.
    pub basis: Basis,
    /// What the user should be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<String>,
}

/// The answer to [`Request::Credentials`]: a session's certificates. They are public.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CredentialsAnswer {
    /// The agent.
    pub agent: AgentName,
    /// Who the session is.
    pub identity: Identity,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Last second of the certificates.
    pub not_after: UnixTime,
    /// The leaf and its intermediates, as PEM.
    pub x509: String,
    /// The OpenSSH certificate, as the line of a public key file; absent at authorities that issue
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// The OpenPGP key with the authority's certification, in its armor; absent likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openpgp: Option<String>,
}

/// The time basis that a signature carries from birth.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// A time-stamping authority of the trust document stamped the signature.
    Timestamped,
    /// The authority issued the certificate for these very bytes.
    IssuanceBound,
    /// The session certificate: the time is what the signer says it is.
    Declared,
}

/// The answer to [`Request::Status`]. It holds no secret.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StatusAnswer {
    /// The key agent's process id.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// How long it has been running.
    pub uptime_seconds: u64,
    /// How well the keys are kept.
    #[serde(flatten)]
    pub memory: MemoryProtection,
    /// Where it speaks the protocol of ssh-agent: the value for `SSH_AUTH_SOCK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_socket: Option<String>,
    /// Whether it was locked (`ssh-add -x`), and signs nothing.
    #[serde(default)]
    pub locked: bool,
    /// The agents it knows.
    pub sessions: Vec<SessionStatus>,
}

/// How well memory is protected.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemoryProtection {
    /// Keys are in memory that is never swapped.
    pub memory_locked: bool,
    /// Neither a core dump nor a debugger of the same user gets at them.
    pub dumps_disabled: bool,
    /// What is missing, and why.
    pub weaknesses: Vec<String>,
}

/// The answer to [`Request::List`], [`Request::Renew`] and [`Request::Enrol`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionsAnswer {
    /// One entry per agent.
    pub sessions: Vec<SessionStatus>,
}

/// The answer to [`Request::Stop`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StopAnswer {
    /// The process that is about to exit.
    pub pid: u32,
}

/// One agent's session.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct SessionStatus {
    /// The agent.
    pub agent: AgentName,
    /// Where its certificates come from; empty when it is broken.
    pub authority: String,
    /// What may be expected of it.
    pub state: SessionState,
    /// What is wrong with its configuration, when it is broken.
    #[serde(default)]
    pub problem: Option<String>,
    /// The identity in its certificate.
    pub identity: Option<Identity>,
    /// The key id that its signatures carry.
    pub kid: Option<KeyId>,
    /// The session certificate's last second.
    pub not_after: Option<UnixTime>,
    /// When renewal ends and a new session is needed.
    pub session_ends_at: Option<UnixTime>,
    /// When signatures last had to do with the session certificate; since the key agent started.
    #[serde(default)]
    pub fallback: Option<Fallback>,
    /// When signatures last had to do without the time stamp they were to have; likewise.
    #[serde(default)]
    pub unstamped: Option<Fallback>,
}

/// Signatures that had to do without something: without a certificate of their own, or without a
/// time stamp. git shows nothing of what its signer says when all goes well, so it is kept to be
/// asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fallback {
    /// How many they were in a row, up to the latest signature; 0 when that one had its own.
    pub count: u64,
    /// When the first of the latest row was made.
    pub since: UnixTime,
    /// When the last one was made.
    pub last_at: UnixTime,
    /// What its user was told.
    pub last_notice: String,
}

/// What may be expected of a session.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionState {
    /// Configured, not enrolled yet.
    Absent,
    /// Its certificate is valid.
    Live,
    /// Its certificate is over, the session is not: it can be renewed.
    Expired,
    /// The session is over.
    Ended,
    /// Its configuration cannot be used.
    Broken,
}
