//! Why the key agent does not do what it is asked.

use std::{error::Error as _, fmt::Write as _, io};

use notme_core::{
    frame::{FrameError, Refusal},
    identity::AgentName,
    key::SignError,
    link::LinkError,
    object::ObjectError,
    openpgp::OpenPgpError,
    statement::StatementError,
    terms::TermsError,
};

use crate::{
    authority_client::AuthorityError, chain::ChainCheckError, config::ConfigError,
    embedded::LaunchError, session_keys::KeysError, slot::TimeStampRefused,
    token_source::TokenSourceError,
};

/// A request that failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The frame cannot be read.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The header is not a request.
    #[error("the request is malformed: {0}")]
    Request(#[source] serde_json::Error),
    /// Too many clients at once.
    #[error("the key agent is serving too many clients")]
    Busy,
    /// The payload is none of those that may be signed.
    #[error("the payload is not a git commit, tag or push certificate")]
    Payload(#[source] ObjectError),
    /// The message to attest is not the encoding of a statement.
    #[error("the message is not the DSSE encoding of an in-toto statement")]
    NotStatement,
    /// The statement is none that is signed.
    #[error("the statement is none that is signed")]
    Statement(#[source] StatementError),
    /// The message is neither the encoding of a statement nor a link that is signed.
    #[error("the message is neither the DSSE encoding of an in-toto statement nor an in-toto link")]
    Link(#[source] LinkError),
    /// The session may not sign statements.
    #[error("the session does not have the scope `sign:attestation`")]
    Scope,
    /// No agent is configured by that name, and no session has that key id.
    #[error("no agent and no session is called `{key}`")]
    UnknownKey {
        /// What was asked for.
        key: String,
    },
    /// The agent's configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The agent has no session, and opening one takes a token.
    #[error("`{agent}` has no session, and its authority asks for an enrolment token")]
    NoSession {
        /// Which agent.
        agent: AgentName,
    },
    /// There is no token to open a session with.
    #[error(transparent)]
    TokenSource(#[from] TokenSourceError),
    /// The authority certifies no payloads.
    #[error("the authority issues no certificates for single payloads")]
    NoIssuance,
    /// The authority does not know what terms are.
    #[error("the authority issues no certificates with terms")]
    TermsUnknown,
    /// There is no certificate with the terms of a loan, and they are such that none may sign
    /// without.
    #[error("`{agent}` has no certificate with the terms that it is lent within: {cause}")]
    NoTerms {
        /// Which agent.
        agent: AgentName,
        /// Why there is none.
        cause: String,
    },
    /// The terms are beyond their limits.
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The token is not text, or too long to be one.
    #[error("the enrolment token is malformed")]
    Token,
    /// The authority gave no usable answer.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The embedded authority does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The authority's certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] ChainCheckError),
    /// The authority does not answer, and the session certificate is over.
    #[error("`{agent}` has no valid certificate: {cause}")]
    NoCertificate {
        /// Which agent.
        agent: AgentName,
        /// Why there is no new one.
        cause: String,
    },
    /// The authority certifies nothing in the form that was asked for.
    #[error(
        "the authority of `{agent}` gives no certificates for `{format}` signatures{}",
        cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"))
    )]
    NoFormat {
        /// Which agent.
        agent: AgentName,
        /// The form.
        format: &'static str,
        /// Why not, where something went wrong.
        cause: Option<String>,
    },
    /// A time stamp came that cannot be used.
    #[error(transparent)]
    TimeStamp(#[from] TimeStampRefused),
    /// There is no time stamp, and the configuration asks for one.
    #[error("`{agent}` signs with a time stamp or not at all: {cause}")]
    NoTimeStamp {
        /// Which agent.
        agent: AgentName,
        /// Why there is none.
        cause: String,
    },
    /// Somebody locked the key agent.
    #[error("the key agent is locked")]
    Locked,
    /// What was asked on the socket of an agent that is lent out is beyond its terms.
    #[error("the agent is not lent for that: {0}")]
    NotLent(&'static str),
    /// An agent was lent out, and is no more.
    #[error("the agent is no longer lent: {0}")]
    LoanOver(&'static str),
    /// No socket could be made to lend an agent out.
    #[error("could not make a socket to lend the agent on")]
    Lend(#[source] io::Error),
    /// An OpenPGP signature could not be made.
    #[error(transparent)]
    OpenPgp(#[from] OpenPgpError),
    /// New keys could not be made.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// A key could not be used.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The answer does not fit into a frame.
    #[error("could not write the answer")]
    Answer(#[source] serde_json::Error),
    /// The time for the request is over.
    #[error("the request took too long")]
    Deadline,
}

impl Failure {
    /// Returns the code of the closed list.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Frame(_) => "frame-malformed",
            Self::Request(_) => "request-malformed",
            Self::Busy => "agent-busy",
            Self::Payload(_) | Self::NotStatement | Self::Statement(_) | Self::Link(_) => {
                "payload-not-understood"
            }
            Self::Scope => "scope-missing",
            Self::UnknownKey { .. } => "key-unknown",
            Self::Config(error) => error.code(),
            Self::NoSession { .. } => "session-missing",
            Self::TokenSource(_) => "token-unavailable",
            Self::Token => "token-malformed",
            Self::Authority(error) => error.code(),
            Self::Launch(error) => error.code(),
            Self::Certificate(error) => error.code(),
            Self::NoCertificate { .. } | Self::NoIssuance => "certificate-unavailable",
            Self::TermsUnknown | Self::NoTerms { .. } => "terms-unavailable",
            Self::Terms(_) => "terms-malformed",
            Self::NoFormat { .. } => "format-unavailable",
            Self::TimeStamp(_) => "timestamp-invalid",
            Self::NoTimeStamp { .. } => "timestamp-unavailable",
            Self::Locked => "agent-locked",
            Self::NotLent(_) => "not-lent",
            Self::LoanOver(_) => "loan-over",
            Self::Lend(_) => "agent-socket",
            Self::OpenPgp(_) | Self::Keys(_) | Self::Sign(_) | Self::Answer(_) => "internal",
            Self::Deadline => "deadline-exceeded",
        }
    }

    /// Returns the answer to the client.
    pub(crate) fn refusal(&self) -> Refusal {
        let mut message = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !message.contains(&text) {
                let _ = write!(message, ": {text}");
            }
            source = error.source();
        }
        Refusal {
            code: self.code().to_owned(),
            message,
            hint: self.hint(),
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownKey { .. } => {
                "`notme init --agent NAME` sets an agent up; `notme agent list` shows those there are"
                    .to_owned()
            }
            Self::NoSession { agent } => {
                format!("`notme agent enrol {agent} --token-file FILE` opens a session with a token")
            }
            Self::TokenSource(TokenSourceError::NoJob) => {
                "give the job `permissions: id-token: write`, and run `notme agent stop` in it"
                    .to_owned()
            }
            Self::Certificate(ChainCheckError::NotPinned) => {
                "`notme trust show` lists the authorities that are pinned".to_owned()
            }
            Self::Certificate(_) | Self::Authority(_) if self.code() == "clock-skew" => {
                "set this machine's clock".to_owned()
            }
            Self::NoFormat { .. } => {
                "sign with `gpg.format=x509`, or have the authority upgraded".to_owned()
            }
            Self::TermsUnknown | Self::NoTerms { .. } => {
                "run it while an authority answers that knows terms, or without `--repository`, \
                 `--ref` and `--path`"
                    .to_owned()
            }
            Self::Scope => "enrol with a token that grants it".to_owned(),
            Self::NoTimeStamp { .. } => {
                "`notme init --timestamp` lets it sign without one when there is none".to_owned()
            }
            Self::Locked => {
                "`ssh-add -X` unlocks it; `notme agent stop` forgets everything".to_owned()
            }
            Self::LoanOver(_) => "`notme run` lends it again".to_owned(),
            Self::NoCertificate { .. } | Self::Authority(_) | Self::Launch(_) => {
                "`notme doctor` finds out why".to_owned()
            }
            Self::Frame(_)
            | Self::Request(_)
            | Self::Busy
            | Self::Payload(_)
            | Self::NotStatement
            | Self::Link(_)
            | Self::Statement(_)
            | Self::Config(_)
            | Self::Token
            | Self::TokenSource(_)
            | Self::NoIssuance
            | Self::Terms(_)
            | Self::NotLent(_)
            | Self::Lend(_)
            | Self::OpenPgp(_)
            | Self::TimeStamp(_)
            | Self::Certificate(_)
            | Self::Keys(_)
            | Self::Sign(_)
            | Self::Answer(_)
            | Self::Deadline => return None,
        };
        Some(hint)
    }
}
