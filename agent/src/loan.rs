//! An agent that is lent out: a socket on which its signatures are made, within terms, and nothing
//! else is done. Whoever has that socket alone can reach no other agent and no setting.

use std::{
    cell::{Cell, RefCell},
    fs, io,
    os::unix::net::UnixListener as StdListener,
    path::{Path, PathBuf},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use notme_core::{
    dsse::parse_pae,
    frame::{LendAnswer, Request},
    hex,
    identity::{AgentName, Identity},
    object::{Payload, classify},
    statement::{ACTIVITY_TYPE, PAYLOAD_TYPE, Statement},
    terms::Terms,
    time::UnixTime,
};
use notme_local::{SocketFile, create_private_directory};
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;
use tokio::{
    net::{UnixListener, UnixStream},
    task::JoinSet,
    time::sleep,
};

use crate::{
    agent_socket::{RUNS_NAME, SOCKET_NAME},
    client::{answer, read_frame, refuse_busy, send, serve_client},
    failure::Failure,
    lent::Lent,
    server::{Server, is_ours},
};

/// What an agent is lent for, and how much of that is left.
#[derive(Debug)]
pub(crate) struct Loan {
    agent: AgentName,
    lent: Lent,
    left: Cell<u32>,
    statements_left: Cell<u32>,
}

/// How many statements may be made of a run, and for each signature of it: a commit has a record
/// or two, and those of commits that were rewritten.
const STATEMENTS: u32 = 1000;
const STATEMENTS_EACH: u32 = 8;

impl Loan {
    fn new(agent: AgentName, lent: Lent) -> Self {
        let signatures = lent.terms().signatures;
        let statements = signatures.saturating_mul(STATEMENTS_EACH);
        Self {
            agent,
            left: Cell::new(signatures),
            statements_left: Cell::new(statements.saturating_add(STATEMENTS)),
            lent,
        }
    }

    /// Returns what certificates say of it.
    pub(crate) fn lent(&self) -> &Lent {
        &self.lent
    }

    /// Checks that a request is within the terms.
    ///
    /// # Errors
    /// [`Failure::NotLent`] and [`Failure::LoanOver`].
    pub(crate) fn check(
        &self,
        request: &Request,
        body: &[u8],
        now: UnixTime,
    ) -> Result<(), Failure> {
        check_until(self.lent.terms(), now)?;
        match request {
            Request::Sign { key, .. } => {
                self.check_key(key)?;
                self.check_refs(body)
            }
            Request::Attest { key } => {
                self.check_key(key)?;
                self.check_statement(body)?;
                self.take_statement()
            }
            Request::Credentials { key } => self.check_key(key),
            Request::Lend { .. }
            | Request::Reclaim
            | Request::Status
            | Request::List
            | Request::Renew { .. }
            | Request::Enrol { .. }
            | Request::Stop => Err(Failure::NotLent("only signatures are made here")),
        }
    }

    /// Takes one of the signatures that are left.
    ///
    /// # Errors
    /// [`Failure::LoanOver`] when there is none.
    pub(crate) fn take(&self) -> Result<(), Failure> {
        let left = self.left.get().checked_sub(1);
        self.left
            .set(left.ok_or(Failure::LoanOver("all its signatures were made"))?);
        Ok(())
    }

    fn take_statement(&self) -> Result<(), Failure> {
        let left = self.statements_left.get().checked_sub(1);
        self.statements_left
            .set(left.ok_or(Failure::LoanOver("all its statements were made"))?);
        Ok(())
    }

    /// Puts one back that was not made.
    pub(crate) fn put_back(&self) {
        self.left.set(self.left.get().saturating_add(1));
    }

    fn check_key(&self, key: &str) -> Result<(), Failure> {
        match key == self.agent.as_str() {
            true => Ok(()),
            false => Err(Failure::NotLent("another agent is not lent")),
        }
    }

    /// Checks the refs that a payload names; what cannot be read is not signed anyway.
    fn check_refs(&self, payload: &[u8]) -> Result<(), Failure> {
        let terms = self.lent.terms();
        if terms.refs.is_none() {
            return Ok(());
        }
        let allows = |name: &[u8]| str::from_utf8(name).is_ok_and(|name| terms.allow_ref(name));
        let is_allowed = match classify(payload) {
            Ok(Payload::Tag(tag)) => allows(&[b"refs/tags/", tag.name()].concat()),
            Ok(Payload::PushCertificate(push)) => {
                push.updates().iter().all(|update| allows(update.name()))
            }
            Ok(Payload::Commit(_)) | Err(_) => true,
        };
        match is_allowed {
            true => Ok(()),
            false => Err(Failure::NotLent("it names a ref beyond the terms")),
        }
    }

    fn check_statement(&self, message: &[u8]) -> Result<(), Failure> {
        const BEYOND: Failure = Failure::NotLent("the statement is no record of the activity");
        const END: Failure =
            Failure::NotLent("how an activity of the run ended is recorded when the run is over");
        let statement = match parse_pae(message) {
            Some((PAYLOAD_TYPE, payload)) => Statement::parse(payload),
            // Whatever else it is, it is no record.
            Some(_) | None => return Err(BEYOND),
        };
        let Ok(statement) = statement else {
            // It will say better what is wrong.
            return Ok(());
        };
        let activity = statement.predicate().get("activity");
        let named = |member: &str| activity.and_then(|it| it.get(member)?.as_str());
        let is_own = |name: &str| name == self.lent.activity();
        let is_begun_here = |id: &str| {
            let below = id.strip_prefix(self.lent.activity());
            below.is_some_and(|below| below.starts_with('/'))
        };
        let is_within = named("id").is_some_and(|id| {
            // Under another parent, there would be another chain of the same name.
            let parent = named("parent");
            match is_own(id) {
                true => parent.is_none(),
                false => is_begun_here(id) && parent.is_some_and(is_own),
            }
        });
        if statement.predicate_type() != ACTIVITY_TYPE || !is_within {
            return Err(BEYOND);
        }
        // Nothing comes after the end, whatever the run does then and however it ends; what somebody may
        // read as one is not signed, either.
        let lifecycle = statement.predicate().get("lifecycle");
        match lifecycle.and_then(Value::as_str) {
            Some("active" | "suspended") => Ok(()),
            Some(_) | None => Err(END),
        }
    }
}

/// Checks that a loan is not over.
///
/// # Errors
/// [`Failure::LoanOver`].
pub(crate) fn check_until(terms: &Terms, now: UnixTime) -> Result<(), Failure> {
    match terms.until < now {
        true => Err(Failure::LoanOver("its time is over")),
        false => Ok(()),
    }
}

/// The loans that go on.
#[derive(Debug, Default)]
pub(crate) struct Loans(RefCell<JoinSet<()>>);

impl Loans {
    /// Makes a socket for a loan.
    ///
    /// # Errors
    /// [`Failure::Busy`] when there are too many, and [`Failure::Lend`].
    pub(crate) fn prepare(
        &self,
        runtime: &Path,
        (agent, identity): (AgentName, Identity),
        lent: Lent,
    ) -> Result<(Prepared, LendAnswer), Failure> {
        let mut tasks = self.0.borrow_mut();
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= LOAN_LIMIT {
            return Err(Failure::Busy);
        }
        let prepared = Prepared::new(runtime, Loan::new(agent, lent))?;
        let socket = prepared.socket.path().to_str();
        let answer = LendAnswer {
            socket: socket
                .ok_or(Failure::Lend(io::ErrorKind::InvalidFilename.into()))?
                .to_owned(),
            identity,
        };
        Ok((prepared, answer))
    }

    /// Serves a loan until its lender takes it back or leaves.
    pub(crate) fn begin(&self, server: Rc<Server>, lender: UnixStream, prepared: Prepared) {
        self.0
            .borrow_mut()
            .spawn_local(serve(server, lender, prepared));
    }

    /// Tells whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        let mut tasks = self.0.borrow_mut();
        while tasks.try_join_next().is_some() {}
        tasks.is_empty()
    }

    /// Ends them all.
    pub(crate) fn end(&self) {
        self.0.borrow_mut().abort_all();
    }
}

/// A loan whose socket is bound; both end with the value.
#[derive(Debug)]
pub(crate) struct Prepared {
    loan: Rc<Loan>,
    listener: StdListener,
    socket: SocketFile,
    _directory: Directory,
}

impl Prepared {
    fn new(runtime: &Path, loan: Loan) -> Result<Self, Failure> {
        let mut name = [0; 8];
        OsRng
            .try_fill_bytes(&mut name)
            .map_err(|error| Failure::Lend(io::Error::other(error)))?;
        let path = runtime.join(RUNS_NAME).join(hex::encode(&name));
        create_private_directory(&path).map_err(|error| Failure::Lend(io::Error::other(error)))?;
        let directory = Directory(path);
        let (socket, listener) =
            SocketFile::bind(&directory.0.join(SOCKET_NAME)).map_err(Failure::Lend)?;
        Ok(Self {
            loan: Rc::new(loan),
            listener,
            socket,
            _directory: directory,
        })
    }
}

/// A directory of ours, removed with all that is in it.
#[derive(Debug)]
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        // What stays behind is swept when the key agent starts.
        let _ = fs::remove_dir_all(&self.0);
    }
}

const LOAN_LIMIT: usize = 64;
const BORROWER_LIMIT: usize = 16;
const PAUSE: Duration = Duration::from_millis(20);

/// Serves a loan until its lender takes it back; its directory is there until the lender leaves.
async fn serve(server: Rc<Server>, mut lender: UnixStream, prepared: Prepared) {
    let Prepared {
        loan,
        listener,
        socket,
        _directory,
    } = prepared;
    let Ok(listener) = UnixListener::from_std(listener) else {
        return;
    };
    let mut borrowers = JoinSet::new();
    let said = {
        // A lender says nothing while the run goes on.
        let mut said = pin!(read_frame(&mut lender, Duration::MAX));
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if !is_ours(&stream) => {}
                    Ok((stream, _)) if borrowers.len() < BORROWER_LIMIT => {
                        let loan = Some(Rc::clone(&loan));
                        borrowers.spawn_local(serve_client(Rc::clone(&server), stream, loan));
                    }
                    Ok((stream, _)) => refuse_busy(&stream),
                    Err(_) => sleep(PAUSE).await,
                },
                Some(_) = borrowers.join_next() => {}
                said = &mut said => break said,
            }
        }
    };
    drop((listener, socket));
    // Whoever has no answer yet gets none.
    borrowers.shutdown().await;
    if let Ok(Some(frame)) = said
        && let Ok(Request::Reclaim) = serde_json::from_slice(frame.header())
        && send(&mut lender, answer(Ok(()))).await
    {
        leaves(&lender).await;
    }
}

/// Waits until the other side closes the connection; whatever it says instead ends it as well.
async fn leaves(lender: &UnixStream) {
    while lender.readable().await.is_ok() {
        match lender.try_read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}
