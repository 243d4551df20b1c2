//! Why bytes are not an object whose signature can be judged.

/// Bytes that are not a git object we can split or read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ObjectError {
    /// A NUL byte before the message: programs in C would stop reading there.
    #[error("the headers contain a NUL byte")]
    NulInHeader,
    /// The first line is a continuation, or the last header has no end.
    #[error("the headers are malformed")]
    MalformedHeader,
    /// A header that must be there is not, or not in its place.
    #[error("the `{0}` line is missing or out of place")]
    MissingHeader(&'static str),
    /// A header that may be there once is there again.
    #[error("there is more than one `{0}` line")]
    RepeatedHeader(&'static str),
    /// A header whose value cannot be read.
    #[error("the `{0}` line cannot be read")]
    HeaderValue(&'static str),
    /// A payload with a signature header, which would be cut out before verification.
    #[error("the payload contains a signature header")]
    SignatureInPayload,
    /// A signature header before the lines that every reader needs. git and others read those
    /// from the whole object and would stop at it, so they would see other parents or dates than
    /// the signed part says.
    #[error("a signature header stands before the `{0}` line")]
    SignatureOutOfPlace(&'static str),
    /// A tag that does not end a line, so that no reader would find the signature after it.
    #[error("the tag does not end with a line feed, so its signature would not be found")]
    UnfinishedLine,
    /// None of the things a git signer may be asked to sign.
    #[error("the payload is neither a commit, nor a tag, nor a push certificate")]
    UnknownPayload,
    /// Two signatures where one is read, or bytes after the end of it.
    #[error("there is more than one signature, or data after it")]
    Ambiguous,
    /// A signature longer than [`SIGNATURE_MAX`](super::SIGNATURE_MAX).
    #[error("the signature is longer than 1 MiB")]
    SignatureTooLarge,
}

impl ObjectError {
    /// Returns the closed code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NulInHeader
            | Self::MalformedHeader
            | Self::MissingHeader(_)
            | Self::RepeatedHeader(_)
            | Self::HeaderValue(_)
            | Self::SignatureInPayload
            | Self::SignatureOutOfPlace(_)
            | Self::UnfinishedLine
            | Self::UnknownPayload => "object-malformed",
            Self::Ambiguous => "signature-ambiguous",
            Self::SignatureTooLarge => "signature-too-large",
        }
    }
}
