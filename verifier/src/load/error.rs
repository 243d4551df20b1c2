//! Why the trust store could not be read or changed.

use std::{io, path::PathBuf};

use notme_core::{
    bundle::BundleError,
    certificate::CertificateError,
    key::KeyId,
    openpgp::OpenPgpError,
    sigstore_root::SigstoreRootError,
    ssh::allowed_signers::NumberedError,
    trust::{SuccessionError, TrustError},
};

use crate::verdict::Code;

/// The trust store could not be read, or refused a change.
#[derive(Debug, thiserror::Error)]
pub enum TrustStoreError {
    /// The name is not one a directory may have.
    #[error(
        "`{}` is no name for an authority: 1 to 64 lower-case letters, digits, `.`, `_` or `-`, starting with a letter or digit",
        .0.escape_debug()
    )]
    Name(String),
    /// There is an authority of this name already.
    #[error("authority `{0}` is in the trust store already")]
    Exists(String),
    /// There is no authority of this name.
    #[error("there is no authority `{0}` in the trust store")]
    Unknown(String),
    /// The authority is not known by a trust document.
    #[error("authority `{0}` is not known by a trust document, so there is none to refresh")]
    NoDocument(String),
    /// The authority publishes no CA bundle.
    #[error(
        "authority `{0}` is known neither by a trust document nor by the certificates of a notme authority, so there is nothing to refresh"
    )]
    NoBundle(String),
    /// A trust document without a pin proves nothing.
    #[error("a trust document needs the pin of a key that signed it")]
    PinRequired,
    /// The document is of another authority than the one pinned, or names another's identities.
    #[error(
        "the trust document is of {what} `{}`, and `{}` was pinned",
        found.escape_debug(),
        pinned.escape_debug()
    )]
    Changed {
        /// What differs, in words.
        what: &'static str,
        /// What the authority said when it was pinned.
        pinned: String,
        /// What it says now.
        found: String,
    },
    /// Another authority of the store issues the identities of this trust domain.
    #[error("authority `{name}` issues for the trust domain `{}` already", domain.escape_debug())]
    TrustDomainTaken {
        /// The trust domain.
        domain: String,
        /// The authority that has it.
        name: String,
    },
    /// Another authority of the store has this root.
    #[error("authority `{name}` has the root `{spki_sha256}` already")]
    RootTaken {
        /// The root's pin, in hex.
        spki_sha256: String,
        /// The authority that has it.
        name: String,
    },
    /// The store was opened for reading.
    #[error("the trust store at `{}` was opened for reading only", path.display())]
    ReadOnly {
        /// Its directory.
        path: PathBuf,
    },
    /// No certificate has the pinned key.
    #[error("no certificate has the pinned key `{0}`")]
    PinNotMet(String),
    /// A certificate that may not issue others.
    #[error("the certificate of key `{0}` is not an authority's")]
    NotAnAuthority(KeyId),
    /// The certificates cannot be read.
    #[error("the certificates cannot be read")]
    Certificates(#[source] CertificateError),
    /// The OpenPGP keys cannot be read, or nothing can be verified with them.
    #[error("the OpenPGP keys cannot be used")]
    Keys(#[source] OpenPgpError),
    /// A key that was trusted is not in the file any more.
    #[error("the file of OpenPGP keys lacks one that was there when it was trusted")]
    KeyMissing,
    /// A line of a file of allowed signers cannot be read, or has a time that is not in UTC.
    #[error("the file of allowed signers cannot be used")]
    Signers(#[source] NumberedError),
    /// A file of allowed signers that lists nobody.
    #[error("the file of allowed signers lists nobody")]
    NoSigners,
    /// The file of allowed signers lists other keys than when it was trusted.
    #[error("the file of allowed signers lists other keys than when it was trusted")]
    SignersChanged,
    /// The file is no trusted root of Sigstore that can be used.
    #[error("the Sigstore trusted root cannot be used")]
    SigstoreRoot(#[source] SigstoreRootError),
    /// The trusted root names other keys than when it was trusted.
    #[error("the Sigstore trusted root names other keys than when it was trusted")]
    SigstoreChanged,
    /// The trust document is not one to rely on.
    #[error("the trust document is refused")]
    Document(#[source] TrustError),
    /// The CA bundle is not one to rely on.
    #[error("the CA bundle is refused")]
    Bundle(#[source] BundleError),
    /// The document is older than one seen, or there are two of one number.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
    /// The record of the newest document is gone.
    #[error("the record of the newest document seen, `{}`, is gone", path.display())]
    StateMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// A file of the store is not what we write.
    #[error("`{}` is malformed", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file that should be text is not.
    #[error("`{}` is not text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Others than its owner may change a file or directory.
    #[error("`{}` can be changed by other users", path.display())]
    Exposed {
        /// The file or directory.
        path: PathBuf,
    },
    /// An authority's directory is somewhere else.
    #[error("`{}` is a link, and links are not followed; move the directory here", path.display())]
    Linked {
        /// The link.
        path: PathBuf,
    },
    /// An authority's directory has directories.
    #[error("`{}` holds directories: was a trust store copied into this one? put it in its place", path.display())]
    Nested {
        /// The directory.
        path: PathBuf,
    },
    /// A file is larger than any we write.
    #[error("`{}` is larger than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// A file or directory could not be read.
    #[error("could not read `{}`", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("could not write `{}`", path.display())]
    Write {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl TrustStoreError {
    /// Returns the closed code of a mistake in the call: nothing is wrong with the store or with
    /// a document then, and the caller should ask for something else. `None` for all else, for
    /// which [`Self::code`] speaks.
    pub fn usage_code(&self) -> Option<&'static str> {
        match self {
            Self::Name(_) => Some("authority-name"),
            Self::Exists(_) => Some("authority-exists"),
            Self::Unknown(_) => Some("authority-unknown"),
            Self::NoDocument(_) => Some("no-trust-document"),
            Self::NoBundle(_) => Some("no-ca-bundle"),
            Self::PinRequired => Some("pin-required"),
            Self::TrustDomainTaken { .. } => Some("trust-domain-taken"),
            Self::RootTaken { .. } => Some("root-taken"),
            Self::ReadOnly { .. } => Some("trust-read-only"),
            Self::NotAnAuthority(_) => Some("not-an-authority"),
            Self::Changed { .. }
            | Self::PinNotMet(_)
            | Self::Certificates(_)
            | Self::Keys(_)
            | Self::KeyMissing
            | Self::Signers(_)
            | Self::NoSigners
            | Self::SignersChanged
            | Self::SigstoreRoot(_)
            | Self::SigstoreChanged
            | Self::Document(_)
            | Self::Bundle(_)
            | Self::Succession(_)
            | Self::StateMissing { .. }
            | Self::Malformed { .. }
            | Self::NotText { .. }
            | Self::Exposed { .. }
            | Self::Linked { .. }
            | Self::Nested { .. }
            | Self::TooLarge { .. }
            | Self::Read { .. }
            | Self::Write { .. } => None,
        }
    }

    /// Returns the code that a verdict which needs the authority has.
    pub fn code(&self) -> Code {
        match self {
            Self::Document(error) => document_code(error),
            Self::Keys(OpenPgpError::KeyUnsupported) => Code::AlgorithmUnsupported,
            Self::PinNotMet(_)
            | Self::Changed { .. }
            | Self::KeyMissing
            | Self::SignersChanged
            | Self::SigstoreChanged => Code::BundleInvalid,
            Self::Bundle(BundleError::Stale) => Code::TrustStale,
            Self::Bundle(_) => Code::BundleInvalid,
            Self::Succession(SuccessionError::Rollback { .. }) => Code::BundleRollback,
            Self::Succession(SuccessionError::Equivocation(_)) => Code::BundleEquivocation,
            Self::StateMissing { .. } => Code::TrustStateMissing,
            Self::Unknown(_) => Code::TrustMissing,
            Self::Name(_)
            | Self::Exists(_)
            | Self::NoDocument(_)
            | Self::NoBundle(_)
            | Self::PinRequired
            | Self::TrustDomainTaken { .. }
            | Self::RootTaken { .. }
            | Self::ReadOnly { .. }
            | Self::NotAnAuthority(_)
            | Self::Certificates(_)
            | Self::Keys(_)
            | Self::Signers(_)
            | Self::NoSigners
            | Self::SigstoreRoot(_)
            | Self::Malformed { .. }
            | Self::NotText { .. }
            | Self::Exposed { .. }
            | Self::Linked { .. }
            | Self::Nested { .. }
            | Self::TooLarge { .. }
            | Self::Read { .. }
            | Self::Write { .. } => Code::TrustUnreadable,
        }
    }
}

/// Tells a document that could not be read from one that was, and is not to be relied on.
const fn document_code(error: &TrustError) -> Code {
    match error {
        TrustError::Envelope(_)
        | TrustError::PayloadType
        | TrustError::Json(_)
        | TrustError::Version(_)
        | TrustError::Sign(_) => Code::TrustUnreadable,
        TrustError::Future { .. } => Code::TrustFromFuture,
        TrustError::Seqno
        | TrustError::TrustDomain(_)
        | TrustError::IssuedAt(_)
        | TrustError::ExpiresAt
        | TrustError::Previous
        | TrustError::NoRoots
        | TrustError::TooManyRoots(_)
        | TrustError::Root(_)
        | TrustError::Handover(_)
        | TrustError::SshCa(_)
        | TrustError::OpenPgp(_)
        | TrustError::Tsa(_)
        | TrustError::Repeated(_)
        | TrustError::NotPinned
        | TrustError::Unsigned(_)
        | TrustError::Annexed(_) => Code::BundleInvalid,
    }
}
