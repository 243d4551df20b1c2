//! One connection: requests in, answers out, each in its time.

use std::{process, rc::Rc, time::Duration};

use notme_core::{
    frame::{
        Frame, FrameError, FrameHead, LendAnswer, Purpose, Request, Response, SessionsAnswer,
        SignatureKind, StatusAnswer, StopAnswer,
    },
    identity::AgentName,
    terms::Terms,
};
use serde::Serialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, timeout},
};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    failure::Failure,
    lent::Lent,
    loan::{Loan, Prepared, check_until},
    server::Server,
    session::Token,
    slot::Wanted,
    token_source::TOKEN_MAX,
};

/// Answers a client's requests until it leaves, is silent for too long, or breaks the protocol;
/// where an agent is lent out, those within the terms.
pub(crate) async fn serve_client(
    server: Rc<Server>,
    mut stream: UnixStream,
    loan: Option<Rc<Loan>>,
) {
    loop {
        let frame = match read_frame(&mut stream, SILENCE).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => {
                // Where the next frame would begin is unknown now, so this is the last answer.
                let _ = send(&mut stream, answer::<()>(Err(error.into()))).await;
                return;
            }
        };
        server.asked.set(Instant::now());
        let (answer, then) = respond(&server, frame, loan.as_deref()).await;
        let is_sent = send(&mut stream, answer).await;
        server.asked.set(Instant::now());
        match then {
            Then::GoOn => {}
            Then::Stop => server.stop.notify_one(),
            Then::Lend(prepared) if is_sent => {
                let loans = Rc::clone(&server);
                return loans.loans.begin(server, stream, prepared);
            }
            Then::Lend(_) => {}
        }
        if !is_sent {
            return;
        }
    }
}

/// What follows an answer.
enum Then {
    /// The next request.
    GoOn,
    /// The end of this process.
    Stop,
    /// A loan, for as long as the connection stays.
    Lend(Prepared),
}

/// Turns a client away without waiting for it.
pub(crate) fn refuse_busy(stream: &UnixStream) {
    // A fresh socket takes a short frame at once; one that does not gets none.
    let _ = stream.try_write(&answer::<()>(Err(Failure::Busy)));
}

/// How long a client may be silent between requests.
const SILENCE: Duration = Duration::from_secs(10);
/// How long one frame may take, in or out.
const TRANSFER: Duration = Duration::from_secs(5);

/// Reads a frame; a client that is silent for too long, or too slow, counts as gone.
pub(crate) async fn read_frame(
    stream: &mut UnixStream,
    silence: Duration,
) -> Result<Option<Frame>, FrameError> {
    let mut head = [0; FrameHead::SIZE];
    let (first, _) = head.split_at_mut(1);
    let Ok(Ok(1)) = timeout(silence, stream.read(first)).await else {
        return Ok(None);
    };
    let transfer = async {
        let (_, rest) = head.split_at_mut(1);
        stream.read_exact(rest).await?;
        let head = FrameHead::parse(head)?;
        let header = read_part(stream, head.header()).await?;
        let body = read_part(stream, head.body()).await?;
        Frame::new(header, body)
    };
    timeout(TRANSFER, transfer)
        .await
        .unwrap_or(Err(FrameError::Truncated))
        .map(Some)
}

/// Reads exactly `length` bytes. Memory grows with the bytes that arrive.
async fn read_part(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
) -> Result<Vec<u8>, FrameError> {
    let limit = u64::try_from(length).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    if stream.take(limit).read_to_end(&mut bytes).await? != length {
        return Err(FrameError::Truncated);
    }
    Ok(bytes)
}

pub(crate) async fn send(stream: &mut UnixStream, answer: Vec<u8>) -> bool {
    matches!(
        timeout(TRANSFER, stream.write_all(&answer)).await,
        Ok(Ok(()))
    )
}

/// Returns the answer, and what follows it.
async fn respond(server: &Server, frame: Frame, loan: Option<&Loan>) -> (Vec<u8>, Then) {
    let (header, body) = frame.into_parts();
    let request = match serde_json::from_slice(&header) {
        Ok(request) => request,
        Err(error) => return (answer::<()>(Err(Failure::Request(error))), Then::GoOn),
    };
    let now = server.agents.now();
    if let Some(Err(failure)) = loan.map(|loan| loan.check(&request, &body, now)) {
        return (answer::<()>(Err(failure)), Then::GoOn);
    }
    let wanted = |key| Wanted {
        key,
        payload: &body,
        lent: loan.map(Loan::lent),
    };
    let agents = &server.agents;
    let answer = match request {
        Request::Sign { .. } if server.lock.is_locked() => answer::<()>(Err(Failure::Locked)),
        Request::Sign {
            key,
            format,
            purpose: Purpose::Git,
        } => sign(server, format, wanted(&key), loan).await,
        Request::Attest { .. } if server.lock.is_locked() => answer::<()>(Err(Failure::Locked)),
        Request::Attest { key } => answer(agents.attest(wanted(&key)).await),
        Request::Credentials { key } => {
            answer(agents.credentials(&key, loan.map(Loan::lent)).await)
        }
        Request::Status => answer(status(server)),
        Request::List => answer(agents.list().map(|sessions| SessionsAnswer { sessions })),
        Request::Renew { agent } => answer(agents.renew(&agent).await.map(only)),
        Request::Enrol { agent } => answer(enrol(server, &agent, body).await),
        Request::Lend { .. } if server.lock.is_locked() => answer::<()>(Err(Failure::Locked)),
        Request::Lend {
            agent,
            activity,
            terms,
        } => match lend(server, agent, (activity, terms)).await {
            Ok((prepared, lent)) => return (answer(Ok(lent)), Then::Lend(prepared)),
            Err(failure) => answer::<()>(Err(failure)),
        },
        // A connection that lends something is served elsewhere.
        Request::Reclaim => answer::<()>(Err(Failure::NotLent("this connection lent nothing"))),
        Request::Stop => {
            let pid = process::id();
            return (answer(Ok(StopAnswer { pid })), Then::Stop);
        }
    };
    (answer, Then::GoOn)
}

/// Signs a git object, and counts it where signatures are.
async fn sign(
    server: &Server,
    format: SignatureKind,
    wanted: Wanted<'_>,
    loan: Option<&Loan>,
) -> Vec<u8> {
    if let Some(Err(failure)) = loan.map(Loan::take) {
        return answer::<()>(Err(failure));
    }
    let agents = &server.agents;
    let (is_signed, answer) = match format {
        SignatureKind::X509 => told(agents.sign_cms(wanted).await),
        SignatureKind::Ssh => told(agents.sign_ssh(wanted).await),
        SignatureKind::OpenPgp => told(agents.sign_openpgp(wanted).await),
    };
    if let (false, Some(loan)) = (is_signed, loan) {
        loan.put_back();
    }
    answer
}

/// Returns whether it went well, and the answer.
fn told<T: Serialize>(result: Result<T, Failure>) -> (bool, Vec<u8>) {
    (result.is_ok(), answer(result))
}

/// Opens the agent's session, so that a loan begins with one and its own certificates, and makes
/// the socket.
async fn lend(
    server: &Server,
    agent: AgentName,
    (activity, terms): (String, Terms),
) -> Result<(Prepared, LendAnswer), Failure> {
    check_until(&terms, server.agents.now())?;
    let lent = Lent::new(activity, terms)?;
    let identity = server.agents.lend(agent.as_str(), &lent).await?;
    let who = (agent, identity);
    server.loans.prepare(&server.runtime_dir, who, lent)
}

fn status(server: &Server) -> Result<StatusAnswer, Failure> {
    Ok(StatusAnswer {
        pid: process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: server.started.elapsed().as_secs(),
        memory: server.agents.memory(&server.memory),
        ssh_socket: Some(server.ssh_socket.display().to_string()),
        locked: server.lock.is_locked(),
        sessions: server.agents.list()?,
    })
}

async fn enrol(
    server: &Server,
    agent: &AgentName,
    body: Vec<u8>,
) -> Result<SessionsAnswer, Failure> {
    let token = token(body)?;
    Ok(only(server.agents.enrol(agent, token).await?))
}

/// Takes a token out of a body; the bytes stay in one place, to be zeroed there.
fn token(body: Vec<u8>) -> Result<Option<Token>, Failure> {
    if body.is_empty() {
        return Ok(None);
    }
    match String::from_utf8(body) {
        Ok(token) if token.len() <= TOKEN_MAX => Ok(Some(Zeroizing::new(token))),
        Ok(mut token) => {
            token.zeroize();
            Err(Failure::Token)
        }
        Err(error) => {
            error.into_bytes().zeroize();
            Err(Failure::Token)
        }
    }
}

fn only(session: notme_core::frame::SessionStatus) -> SessionsAnswer {
    SessionsAnswer {
        sessions: vec![session],
    }
}

/// Writes an answer down; one that does not fit becomes a refusal, which does.
pub(crate) fn answer<T: Serialize>(result: Result<T, Failure>) -> Vec<u8> {
    let encode = |response: &Response<T>| -> Result<Vec<u8>, Failure> {
        let header = serde_json::to_vec(response).map_err(Failure::Answer)?;
        Ok(Frame::new(header, Vec::new())?.encode())
    };
    let response = match result {
        Ok(answer) => Response::Ok(answer),
        Err(failure) => Response::Error(failure.refusal()),
    };
    encode(&response)
        .or_else(|failure| encode(&Response::Error(failure.refusal())))
        .unwrap_or_default()
}
