//! The OpenSSH agent protocol (draft-ietf-sshm-ssh-agent), for every tool that speaks it.
//!
//! Keys cannot be added or removed: they are the sessions', and come and go with them. What is to
//! be signed is parsed first, see [`purpose`].

mod binding;
mod message;
mod purpose;

use std::{rc::Rc, time::Duration};

use notme_core::{
    enrol::{SCOPE_SIGN_GIT, SCOPE_SSH_LOGIN},
    ssh::{self, signature::ed25519_blob},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, timeout},
};
use zeroize::Zeroizing;

use self::{
    binding::Bindings,
    message::{Answer, Extension, LENGTH_LIMIT, Request},
    purpose::Purpose,
};
use crate::{guests::Silence, server::Server};

/// Answers a client's requests until it leaves, is silent for too long, or breaks the protocol.
pub(crate) async fn serve_ssh_client(server: Rc<Server>, mut stream: UnixStream, silence: Silence) {
    let mut bindings = Bindings::default();
    while let Some(message) = read_message(&mut stream).await {
        silence.ends();
        server.asked.set(Instant::now());
        let answer = respond(&server, &mut bindings, &message).await;
        let sent = timeout(TRANSFER, stream.write_all(&answer.encode())).await;
        server.asked.set(Instant::now());
        silence.begins();
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// How long a client may be silent between requests: longer than somebody takes to type.
const SILENCE: Duration = Duration::from_secs(300);
/// How long one message may take, in or out.
const TRANSFER: Duration = Duration::from_secs(5);

/// Reads a message without its length. It may hold a passphrase. `None`: the client has left, is
/// too slow, or announced more than anybody sends.
async fn read_message(stream: &mut UnixStream) -> Option<Zeroizing<Vec<u8>>> {
    let mut length = [0; 4];
    let (first, _) = length.split_at_mut(1);
    let Ok(Ok(1)) = timeout(SILENCE, stream.read(first)).await else {
        return None;
    };
    let transfer = async {
        let (_, rest) = length.split_at_mut(1);
        stream.read_exact(rest).await.ok()?;
        let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
        if !(1..=LENGTH_LIMIT).contains(&length) {
            return None;
        }
        // Memory grows with the bytes that arrive.
        let mut message = Zeroizing::new(Vec::new());
        let limit = u64::try_from(length).ok()?;
        stream.take(limit).read_to_end(&mut message).await.ok()?;
        (message.len() == length).then_some(message)
    };
    timeout(TRANSFER, transfer).await.ok()?
}

async fn respond(server: &Rc<Server>, bindings: &mut Bindings, message: &[u8]) -> Answer {
    let Ok(request) = Request::parse(message) else {
        return Answer::Failure;
    };
    match request {
        Request::Unlock(passphrase) => Answer::of(server.lock.open(passphrase).await),
        // As OpenSSH's agent: a locked one seems to have no keys.
        Request::Identities if server.lock.is_locked() => Answer::identities(&[]),
        Request::Sign { .. } | Request::Lock(_) | Request::Extension(_)
            if server.lock.is_locked() =>
        {
            Answer::Failure
        }
        Request::Identities => identities(server).await,
        Request::Sign { key, data } => sign(server, bindings, key, data).unwrap_or(Answer::Failure),
        Request::Lock(passphrase) => Answer::of(server.lock.close(passphrase)),
        Request::Extension(Extension::Query) => Answer::Extensions,
        Request::Extension(Extension::SessionBind(bind)) => match bindings.bind(&bind) {
            Ok(()) => Answer::Success,
            Err(_) => Answer::ExtensionFailure,
        },
        Request::Other => Answer::Failure,
    }
}

/// Lists the certificates, then the bare keys: git takes the first line of `ssh-add -L`.
async fn identities(server: &Rc<Server>) -> Answer {
    let sessions = server.agents.sessions().await;
    let certified = sessions.iter().filter_map(|session| {
        let certificate = session.ssh()?;
        Some((certificate.blob(), session.identity().as_str()))
    });
    let bare = sessions
        .iter()
        .map(|session| (session.ssh_key().blob(), session.identity().as_str()));
    Answer::identities(&certified.chain(bare).collect::<Vec<_>>())
}

/// Signs what is understood and allowed; `None` otherwise, which is all that the protocol can say.
fn sign(server: &Server, bindings: &Bindings, key: &[u8], data: &[u8]) -> Option<Answer> {
    let key = ssh::Key::from_blob(key).ok()?;
    let session = server.agents.session_of(&key)?;
    let scope = match Purpose::parse(&key, data).ok()? {
        Purpose::Git => SCOPE_SIGN_GIT,
        Purpose::Login(login) => {
            // A certificate that somebody else made over the session's key is nobody's here.
            server.agents.session_of(&login.key)?;
            if !bindings.allow(&login) {
                return None;
            }
            SCOPE_SSH_LOGIN
        }
    };
    if !session.scopes().iter().any(|granted| granted == scope) {
        return None;
    }
    let raw = session.keys().sign_ed25519(data).ok()?;
    Some(Answer::Signature(ed25519_blob(&raw)))
}
