//! What other commands ask an authority: documents, and whether it is there. Blocking.

use std::{future::Future, io, ops::Range, path::PathBuf, time::Duration};

use tokio::{runtime, time::Instant};

use crate::{
    authority_address::AuthorityAddress,
    authority_client::{AuthorityClient, AuthorityError, Dated, Document, FETCH_TIMEOUT},
    embedded::{AuthorityLauncher, Embedded, LaunchError},
};

/// Fetches a document of an authority, 1 MiB at most, within five seconds. TLS roots come from
/// `ca_file` when it is given, otherwise from the system. An embedded authority is asked at an
/// address, [`AuthorityUrl::at`](crate::AuthorityUrl::at); for others the URL is enough.
///
/// # Errors
/// [`FetchError`].
pub fn fetch(
    authority: impl Into<AuthorityAddress>,
    ca_file: Option<PathBuf>,
    document: Document,
) -> Result<Vec<u8>, FetchError> {
    Ok(fetch_dated(authority, ca_file, document)?.document)
}

/// Fetches a document as [`fetch`] does, with the time of day at the authority.
///
/// # Errors
/// [`FetchError`].
pub fn fetch_dated(
    authority: impl Into<AuthorityAddress>,
    ca_file: Option<PathBuf>,
    document: Document,
) -> Result<Dated, FetchError> {
    let client = AuthorityClient::new(authority.into(), ca_file);
    Ok(block_on(client.fetch_dated(document, FETCH_TIMEOUT))??)
}

/// Fetches the trust documents of these numbers, in their order; `None` when the authority lacks
/// one of them, or they are more than [`HISTORY_MAX`].
///
/// # Errors
/// [`FetchError`].
pub fn fetch_history(
    authority: impl Into<AuthorityAddress>,
    ca_file: Option<PathBuf>,
    seqnos: Range<u64>,
) -> Result<Option<Vec<Vec<u8>>>, FetchError> {
    if seqnos.end.saturating_sub(seqnos.start) > HISTORY_MAX {
        return Ok(None);
    }
    let client = AuthorityClient::new(authority.into(), ca_file);
    block_on(async {
        let mut documents = Vec::new();
        for seqno in seqnos {
            match client.fetch(Document::TrustAt(seqno), FETCH_TIMEOUT).await {
                Ok(document) => documents.push(document),
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(documents))
    })?
}

/// The most documents that are fetched at once: those of more than a year.
pub const HISTORY_MAX: u64 = 400;

/// Waits until the embedded authority answers, after starting it if need be.
///
/// # Errors
/// [`FetchError`].
pub fn ensure_embedded_authority(
    authority: impl Into<AuthorityAddress>,
    launcher: AuthorityLauncher,
    timeout: Duration,
) -> Result<(), FetchError> {
    let client = AuthorityClient::new(authority.into(), None);
    let embedded = Embedded::new(Some(launcher));
    Ok(block_on(async {
        embedded.ensure(&client, Instant::now() + timeout).await
    })??)
}

/// An authority could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The system gave us no event loop.
    #[error("could not start an event loop")]
    EventLoop(#[from] io::Error),
    /// No answer that can be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The embedded authority does not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

impl FetchError {
    /// Returns the code of the closed list.
    pub fn code(&self) -> &'static str {
        match self {
            Self::EventLoop(_) => "system-refused",
            Self::Authority(error) => error.code(),
            Self::Launch(error) => error.code(),
        }
    }
}

fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(future))
}
