//! One configured agent: its configuration, its authority, and its session.

mod time_stamp;

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
    time::Duration,
};

use notme_core::{
    certificate::Certificate,
    enrol::{Format, IssueResponse},
    frame::{Basis, Fallback, SessionState, SessionStatus},
    key::sha256,
    time::UnixTime,
    trust::{TrustDocument, VerifiedTrust},
};
use rand_core::OsRng;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout_at},
};

pub(crate) use self::time_stamp::{Early, TimeStamp, TimeStampRefused};
use crate::{
    authority_client::{AuthorityClient, AuthorityError, Document},
    chain::ChainCheckError,
    clock::Clock,
    config::{AgentConfig, Wire},
    embedded::Embedded,
    failure::Failure,
    forms::{Cms, Form, OpenPgp, SshSig},
    lent::Lent,
    session::{
        Answer, Bound, Granted, NoFormats, Opening, Session, Token, check_pinned, enrol_request,
        pair_request,
    },
    session_keys::SessionKeys,
    token_source::GithubJob,
};

/// An agent's place in the key agent.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Replaced when the authority's trust document says something new.
    config: RefCell<Rc<AgentConfig>>,
    client: AuthorityClient,
    session: RefCell<Option<Rc<Session>>>,
    /// Held while a session is opened or renewed, so that it is done once.
    changing: Mutex<()>,
    /// When the authority last kept us waiting in vain.
    kept_waiting: Cell<Option<Instant>>,
    /// When renewal was last tried ahead of time.
    renewal_tried: Cell<Option<Instant>>,
    /// When the trust document was last seen.
    trust_seen: Cell<Option<UnixTime>>,
    /// When it was last tried ahead of a renewal.
    trust_tried: Cell<Option<Instant>>,
    /// Signatures with the session certificate.
    fallback: RefCell<Option<Fallback>>,
    /// Signatures that did without the time stamp they were to have.
    unstamped: RefCell<Option<Fallback>>,
}

/// What a slot needs of the key agent around it.
pub(crate) struct Surroundings {
    /// Starts the embedded authority.
    pub(crate) embedded: Embedded,
    /// Where the embedded authority listens.
    pub(crate) authority_socket: PathBuf,
    /// Where the configurations are.
    pub(crate) config_dir: PathBuf,
    /// The job that we were started in.
    pub(crate) github: Option<GithubJob>,
    /// Our time.
    pub(crate) clock: Clock,
}

/// What is to be signed, and with which key.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    /// The name of an agent, or the key id of its session.
    pub(crate) key: &'a str,
    /// The bytes.
    pub(crate) payload: &'a [u8],
    /// The loan that they belong to, for the certificate to say so.
    pub(crate) lent: Option<&'a Lent>,
}

/// The certificate that a payload is signed with.
pub(crate) struct Credential<C> {
    pub(crate) session: Rc<Session>,
    pub(crate) certificate: C,
    pub(crate) basis: Basis,
    pub(crate) notice: Option<String>,
}

impl Slot {
    /// Returns the place of a newly configured agent.
    pub(crate) fn new(config: AgentConfig, around: &Surroundings) -> Self {
        let address = config.authority.at(&around.authority_socket);
        Self {
            client: AuthorityClient::new(address, config.ca_file.clone()),
            config: RefCell::new(Rc::new(config)),
            session: RefCell::new(None),
            changing: Mutex::new(()),
            kept_waiting: Cell::new(None),
            renewal_tried: Cell::new(None),
            trust_seen: Cell::new(None),
            trust_tried: Cell::new(None),
            fallback: RefCell::new(None),
            unstamped: RefCell::new(None),
        }
    }

    /// Returns the place of an agent whose configuration changed. Its session goes on when it is
    /// one of the same authority with the same rights.
    pub(crate) fn reconfigured(&self, config: AgentConfig, around: &Surroundings) -> Self {
        let before = self.config();
        let is_same = config.authority == before.authority
            && config.wire == before.wire
            && config.scopes == before.scopes;
        let slot = Self::new(config, around);
        if is_same {
            slot.session.replace(self.current());
            slot.fallback.replace(self.fallback.borrow().clone());
            slot.unstamped.replace(self.unstamped.borrow().clone());
        }
        slot
    }

    /// Returns another place for the same agent, whose session has keys of its own.
    ///
    /// # Errors
    /// [`Failure::NoTerms`] where sessions are opened by a token that somebody hands over.
    pub(crate) fn beside(&self, around: &Surroundings) -> Result<Self, Failure> {
        if !self.opens_by_itself() {
            return Err(self.no_terms(&self.no_session()));
        }
        Ok(Self::new((*self.config()).clone(), around))
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> Rc<AgentConfig> {
        Rc::clone(&self.config.borrow())
    }

    /// Returns the session, if there is one.
    pub(crate) fn current(&self) -> Option<Rc<Session>> {
        self.session.borrow().clone()
    }

    /// Tells about the session, without a secret.
    pub(crate) fn status(&self, now: UnixTime) -> SessionStatus {
        let (config, session) = (self.config(), self.current());
        let session = session.as_deref();
        SessionStatus {
            agent: config.name.clone(),
            authority: config.authority.to_string(),
            state: match session {
                None => SessionState::Absent,
                Some(session) if session.ends_at() < now => SessionState::Ended,
                Some(session) if session.not_after() < now => SessionState::Expired,
                Some(_) => SessionState::Live,
            },
            problem: None,
            identity: session.map(|session| session.identity().clone()),
            kid: session.map(|session| session.kid(config.profile)),
            not_after: session.map(Session::not_after),
            session_ends_at: session.map(Session::ends_at),
            fallback: self.fallback.borrow().clone(),
            unstamped: self.unstamped.borrow().clone(),
        }
    }

    /// Tells whether a live session would be lost for good without its keys.
    pub(crate) fn is_irreplaceable(&self, now: UnixTime) -> bool {
        self.current()
            .is_some_and(|session| session.opening() == Opening::Token && now <= session.ends_at())
    }

    /// Returns a certificate to sign a payload with: one issued for it, or the loan's or the
    /// session's own when the authority cannot be asked. The session's says nothing of terms.
    ///
    /// # Errors
    /// [`Failure`]. An authority that says no is not asked to be ignored.
    pub(crate) async fn credential<F: Form>(
        &self,
        wanted: Wanted<'_>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Credential<F::Certificate>, Failure> {
        let bound = Bound {
            payload_sha256: Some(&sha256(wanted.payload)),
            lent: wanted.lent,
        };
        let mut session = self.session(around, deadline).await?;
        if F::of_session(&session, &self.config()).is_none() && session.missed_trust() {
            // Not there when the session began; it may be by now.
            session = self.renew(around, deadline).await?;
        }
        let issue =
            async |session: &Session| self.issue::<F>(session, bound, around, deadline).await;
        let (session, issued) = self.asked(session, issue, around, deadline).await?;
        let absent = match issued {
            Ok(certificate) => {
                reset(&self.fallback);
                if let Some(lent) = wanted.lent {
                    self.replenish::<F>(&session, lent, around, deadline).await;
                }
                return Ok(Credential {
                    session,
                    certificate,
                    basis: Basis::IssuanceBound,
                    notice: None,
                });
            }
            Err(failure) if is_absence(&failure) => failure,
            Err(failure) => return Err(failure),
        };
        let now = (around.clock)();
        let lent = wanted.lent;
        let kept = lent.and_then(|lent| self.kept::<F>(&session, lent, now));
        if kept.is_none() && lent.is_some_and(|lent| lent.terms().are_narrow()) {
            return Err(self.no_terms(&absent));
        }
        let (whose, certificate) = match kept {
            Some(certificate) => ("run's", certificate),
            None => ("session", self.of_session::<F>(&session)?.clone()),
        };
        let (first, last) = F::validity(&certificate);
        if now < first || last < now {
            return Err(self.no_certificate(absent));
        }
        F::check(&session, &certificate, &self.config(), now)?;
        let reason = match absent {
            Failure::NoIssuance | Failure::TermsUnknown => absent.to_string(),
            absent => format!("authority unreachable ({absent})"),
        };
        let notice = format!(
            "{reason}, signed with the {whose} certificate; without a time stamp verifiers will \
             see time basis `declared`"
        );
        count(&self.fallback, &notice, now);
        Ok(Credential {
            session,
            certificate,
            basis: Basis::Declared,
            notice: Some(notice),
        })
    }

    /// Has an agent certified within the terms of a loan, so that its signatures need no authority
    /// from then on, and returns its session.
    ///
    /// # Errors
    /// [`Failure`]. An authority that is away, or knows no terms, is one only where they are
    /// narrow.
    pub(crate) async fn lend(
        &self,
        lent: &Lent,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Rc<Session>, Failure> {
        let is_narrow = lent.terms().are_narrow();
        let opened = self.session(around, deadline).await;
        let session = opened.map_err(|failure| match is_narrow && is_absence(&failure) {
            true => self.no_terms(&failure),
            false => failure,
        })?;
        let provide = async |session: &Session| self.provide(session, lent, around, deadline).await;
        let (session, provided) = self.asked(session, provide, around, deadline).await?;
        match provided {
            Err(failure) if !is_absence(&failure) => Err(failure),
            Err(failure) if is_narrow => Err(self.no_terms(&failure)),
            Ok(()) | Err(_) => Ok(session),
        }
    }

    /// Asks something for a session; once more with another one, where that helps.
    async fn asked<T>(
        &self,
        mut session: Rc<Session>,
        question: impl AsyncFn(&Session) -> Result<T, Failure>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<(Rc<Session>, Result<T, Failure>), Failure> {
        let mut answer = question(&session).await;
        if matches!(&answer, Err(failure) if is_loss(failure)) && self.opens_by_itself() {
            // The authority forgot the session; where a new one costs nothing, get it.
            session = self.enrol(None, around, deadline).await?;
            answer = question(&session).await;
        }
        if matches!(&answer, Err(failure) if is_of_other_root(failure)) {
            // The authority may have rotated its keys. Its trust document leads to the new ones,
            // or it is not the one that is pinned.
            session = self.renew(around, deadline).await?;
            answer = question(&session).await;
        }
        Ok((session, answer))
    }

    /// Gets a loan's own certificates, of every form that the session has.
    async fn provide(
        &self,
        session: &Session,
        lent: &Lent,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let config = self.config();
        let mut formats = vec![Cms::format(&config)];
        formats.extend(session.ssh().map(|_| SshSig::format(&config)));
        formats.extend(session.openpgp().map(|_| OpenPgp::format(&config)));
        let bound = Bound {
            payload_sha256: None,
            lent: Some(lent),
        };
        let issued = self
            .issued(session, (&formats, bound), around, deadline)
            .await?;
        let now = (around.clock)();
        let accept = Accept {
            session,
            issued: &issued,
            config: &config,
            now,
        };
        accept.keep::<Cms>(bound, lent)?;
        if session.ssh().is_some() {
            accept.keep::<SshSig>(bound, lent)?;
        }
        if session.openpgp().is_some() {
            accept.keep::<OpenPgp>(bound, lent)?;
        }
        Ok(())
    }

    /// Gets a loan's own certificates anew when half of their time is over. They serve when the
    /// authority is away, so that it is no failure when it is.
    async fn replenish<F: Form>(
        &self,
        session: &Session,
        lent: &Lent,
        around: &Surroundings,
        deadline: Instant,
    ) {
        let now = (around.clock)();
        let is_fresh = |certificate: F::Certificate| {
            let (first, last) = F::validity(&certificate);
            let half = (last.secs() - first.secs()) / 2;
            now.plus(half) <= last || last >= lent.terms().until.min(session.ends_at())
        };
        if !self.kept::<F>(session, lent, now).is_some_and(is_fresh) {
            let _ = self.provide(session, lent, around, deadline).await;
        }
    }

    /// Returns a loan's own certificate, as long as it can be used with the session.
    fn kept<F: Form>(
        &self,
        session: &Session,
        lent: &Lent,
        now: UnixTime,
    ) -> Option<F::Certificate> {
        let certificate = F::kept(lent).borrow().clone()?;
        let (first, last) = F::validity(&certificate);
        let is_good = first <= now
            && now <= last
            && F::check(session, &certificate, &self.config(), now).is_ok();
        is_good.then_some(certificate)
    }

    /// Returns the session's own certificate of a form.
    fn of_session<'a, F: Form>(&self, session: &'a Session) -> Result<&'a F::Certificate, Failure> {
        let config = self.config();
        F::of_session(session, &config).ok_or_else(|| Failure::NoFormat {
            agent: config.name.clone(),
            format: F::format(&config).as_str(),
            cause: session.no_formats().map(ToString::to_string),
        })
    }

    /// Returns a session whose certificates last for a while: the current one, renewed or
    /// replaced if need be.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn session(
        &self,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Rc<Session>, Failure> {
        let lasting =
            |session: &Rc<Session>| (around.clock)().plus(SECONDS_LEFT) <= session.not_after();
        if let Some(session) = self.current().filter(lasting) {
            return Ok(session);
        }
        let _one_at_a_time = self.lock(deadline).await?;
        let Some(session) = self.current() else {
            return self.enrol_locked(None, around, deadline).await;
        };
        if lasting(&session) {
            return Ok(session);
        }
        let now = (around.clock)();
        if session.ends_at() < now {
            return self.enrol_locked(None, around, deadline).await;
        }
        match self.renew_locked(&session, around, deadline).await {
            Ok(session) => Ok(session),
            // It still serves for this signature.
            Err(_) if session.chain(self.config().profile).leaf().is_valid_at(now) => Ok(session),
            // Not when the session was revoked: that would be undone by asking again.
            Err(failure)
                if self.opens_by_itself() && (is_absence(&failure) || is_loss(&failure)) =>
            {
                self.enrol_locked(None, around, deadline)
                    .await
                    .map_err(|failure| self.no_certificate(failure))
            }
            Err(failure) => Err(self.no_certificate(failure)),
        }
    }

    /// Opens a new session over new keys.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn enrol(
        &self,
        token: Option<Token>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Rc<Session>, Failure> {
        let _one_at_a_time = self.lock(deadline).await?;
        self.enrol_locked(token, around, deadline).await
    }

    /// Renews the session's certificates over the same keys.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn renew(
        &self,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Rc<Session>, Failure> {
        let _one_at_a_time = self.lock(deadline).await?;
        match self.current() {
            Some(session) if (around.clock)() <= session.ends_at() => {
                self.renew_locked(&session, around, deadline).await
            }
            Some(_) | None => self.enrol_locked(None, around, deadline).await,
        }
    }

    /// Renews ahead of time when it is due.
    pub(crate) async fn maintain(&self, around: &Surroundings) {
        self.refresh_trust(around).await;
        let now = (around.clock)();
        // A token is not spent as long as nobody wants to sign.
        let is_due = self.config().wire == Wire::Sessions
            && self
                .current()
                .is_some_and(|session| session.renew_at() <= now && now <= session.ends_at());
        let is_early = self
            .renewal_tried
            .get()
            .is_some_and(|tried| tried.elapsed() < RENEWAL_PAUSE);
        if !is_due || is_early {
            return;
        }
        self.renewal_tried.set(Some(Instant::now()));
        // A failure shows when somebody wants to sign; until then it is tried again.
        let _ = self.renew(around, Instant::now() + AUTHORITY_TIMEOUT).await;
    }

    async fn issue<F: Form>(
        &self,
        session: &Session,
        bound: Bound<'_>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<F::Certificate, Failure> {
        // An authority that certified nothing in the form would not for a payload either.
        self.of_session::<F>(session)?;
        let config = self.config();
        let wanted = (&[F::format(&config)][..], bound);
        let issued = self.issued(session, wanted, around, deadline).await?;
        Ok(session.accept_issued::<F>(&issued, bound, &config, (around.clock)())?)
    }

    /// Asks for certificates that are bound to something, in some forms.
    async fn issued(
        &self,
        session: &Session,
        (formats, bound): (&[Format], Bound<'_>),
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<IssueResponse, Failure> {
        if self.config().wire == Wire::Pairs {
            return Err(Failure::NoIssuance);
        }
        self.check_patience()?;
        let config = self.config();
        let issued = self
            .ask(around, deadline, async |timeout| {
                let now = (around.clock)();
                let formats = formats.to_vec();
                let request = session.issue_request(&config.authority, formats, bound, now)?;
                Ok(self.client.issue(&request, timeout).await?)
            })
            .await;
        issued.map_err(|failure| match failure {
            Failure::Authority(error) if bound.lent.is_some() && error.is_request_malformed() => {
                Failure::TermsUnknown
            }
            failure => failure,
        })
    }

    /// Gives up at once on an authority that kept us waiting a moment ago.
    fn check_patience(&self) -> Result<(), AuthorityError> {
        let kept_waiting = self.kept_waiting.get();
        if kept_waiting.is_some_and(|since| since.elapsed() < WAITING_PAUSE) {
            return Err(AuthorityError::TimedOut {
                authority: self.config().authority.clone(),
            });
        }
        Ok(())
    }

    async fn enrol_locked(
        &self,
        token: Option<Token>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Rc<Session>, Failure> {
        if token.is_none() && !self.opens_by_itself() {
            return Err(self.no_session());
        }
        // Before the token leaves: an authority that we would not believe is not to have it.
        // The trust document comes first: it leads from our pins to the roots of today.
        let trust = self.trust(around, deadline).await?;
        let roots = self.roots(around, deadline).await?;
        check_pinned(&roots, &self.config())?;
        let opening = match &token {
            Some(_) => Opening::Token,
            None => Opening::Repeatable,
        };
        let keys = SessionKeys::generate(&mut OsRng)?;
        let answer = self
            .ask(around, deadline, async |timeout| {
                let token = match (&token, &self.config().token) {
                    (None, Some(source)) => {
                        Some(source.token(around.github.as_ref(), deadline).await?)
                    }
                    (token, _) => token.clone(),
                };
                self.open(&keys, token, timeout).await
            })
            .await
            .map_err(|failure| match failure {
                Failure::Authority(error) if error.is_token_required() => self.no_session(),
                failure => failure,
            })?;
        let granted = Granted {
            answer: &answer,
            roots,
            trust,
        };
        self.accept((Rc::new(keys), opening), granted, around)
    }

    /// Has keys certified.
    async fn open(
        &self,
        keys: &SessionKeys,
        token: Option<Token>,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let config = self.config();
        match (config.wire, token) {
            (Wire::Sessions, token) => {
                let request = enrol_request(keys, &config, token.as_ref())?;
                Ok(self.client.enrol(&request, timeout).await?.into())
            }
            (Wire::Pairs, Some(token)) => {
                let request = pair_request(keys, &token)?;
                Ok(self.client.pair(&token, &request, timeout).await?.into())
            }
            (Wire::Pairs, None) => Err(self.no_session()),
        }
    }

    async fn renew_locked(
        &self,
        session: &Rc<Session>,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Rc<Session>, Failure> {
        if self.config().wire == Wire::Pairs {
            return self.enrol_locked(None, around, deadline).await;
        }
        let answer: Answer = self
            .ask(around, deadline, async |timeout| {
                let request = session.renew_request(&self.config().authority, (around.clock)())?;
                Ok(self.client.renew(&request, timeout).await?)
            })
            .await?
            .into();
        if answer.identity != *session.identity() {
            return Err(ChainCheckError::Identity.into());
        }
        let granted = Granted {
            answer: &answer,
            // As when enrolling: first what leads to the roots, then the roots.
            trust: self.trust(around, deadline).await?,
            roots: self.roots(around, deadline).await?,
        };
        let keys = (Rc::clone(session.keys()), session.opening());
        self.accept(keys, granted, around)
    }

    async fn roots(
        &self,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Vec<Certificate>, Failure> {
        self.ask(around, deadline, async |timeout| {
            let document = match self.config().wire {
                Wire::Sessions => Document::CaBundle,
                Wire::Pairs => Document::WellKnownCaBundle,
            };
            Ok(self.client.roots(document, timeout).await?)
        })
        .await
    }

    fn accept(
        &self,
        keys: (Rc<SessionKeys>, Opening),
        granted: Granted<'_>,
        around: &Surroundings,
    ) -> Result<Rc<Session>, Failure> {
        let now = (around.clock)();
        let session = Rc::new(Session::accept(keys, granted, &self.config(), now)?);
        self.session.replace(Some(Rc::clone(&session)));
        Ok(session)
    }

    /// Gets the document that names the authority's keys, and follows where it leads. Without it
    /// a session still has X.509.
    async fn trust(
        &self,
        around: &Surroundings,
        deadline: Instant,
    ) -> Result<Result<VerifiedTrust, NoFormats>, Failure> {
        if self.config().wire == Wire::Pairs {
            return Ok(Err(NoFormats::Pairs));
        }
        let envelope = self
            .ask(around, deadline, async |timeout| {
                Ok(self.client.fetch(Document::Trust, timeout).await?)
            })
            .await;
        let envelope = match envelope {
            Ok(envelope) => envelope,
            Err(Failure::Authority(error)) => return Ok(Err(error.into())),
            Err(failure) => return Err(failure),
        };
        let (config, now) = (self.config(), (around.clock)());
        let verified = match TrustDocument::verify(&envelope, config.pins.as_slice(), now) {
            Ok(verified) => verified,
            Err(error) => return Ok(Err(error.into())),
        };
        match config.following(&verified) {
            Ok(next) => self.adopt(next, around)?,
            Err(error) => return Ok(Err(error.into())),
        }
        self.trust_seen.set(Some(now));
        Ok(Ok(verified))
    }

    /// Goes by a configuration that says what the trust document does, and keeps it.
    fn adopt(&self, next: AgentConfig, around: &Surroundings) -> Result<(), Failure> {
        let before = self.config();
        if next == *before {
            return Ok(());
        }
        // One that somebody wrote meanwhile is not overwritten: the next request goes by it.
        let kept = AgentConfig::load(&around.config_dir, &before.name)?;
        if kept.as_ref() == Some(&*before) {
            next.save(&around.config_dir)?;
        }
        self.config.replace(Rc::new(next));
        Ok(())
    }

    /// Asks for the trust document when it was not seen for a while, so that a rotation is known
    /// before the first signature after it. This user's own authority is not kept awake for that.
    async fn refresh_trust(&self, around: &Surroundings) {
        let (config, now) = (self.config(), (around.clock)());
        let is_due = self
            .trust_seen
            .get()
            .is_some_and(|seen| seen.plus(TRUST_AGE) <= now);
        let is_early = self
            .trust_tried
            .get()
            .is_some_and(|tried| tried.elapsed() < RENEWAL_PAUSE);
        if config.embedded || !is_due || is_early {
            return;
        }
        self.trust_tried.set(Some(Instant::now()));
        let deadline = Instant::now() + AUTHORITY_TIMEOUT;
        // A failure shows when somebody wants to sign; until then it is tried again.
        let seen = self.trust(around, deadline).await;
        if matches!(seen, Ok(Ok(_))) && self.config().pins != config.pins {
            let _ = self.renew(around, Instant::now() + AUTHORITY_TIMEOUT).await;
        }
    }

    /// Asks the authority, twice if need be: the connection kept since the last question may be
    /// over, and the embedded authority may have to be started.
    async fn ask<T>(
        &self,
        around: &Surroundings,
        deadline: Instant,
        question: impl AsyncFn(Duration) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let timeout = || {
            let left = deadline.saturating_duration_since(Instant::now());
            left.min(AUTHORITY_TIMEOUT)
        };
        let answer = match question(timeout()).await {
            Err(Failure::Authority(AuthorityError::Unreachable { .. })) => {
                if self.config().embedded {
                    around.embedded.ensure(&self.client, deadline).await?;
                }
                question(timeout()).await
            }
            answer => answer,
        };
        let in_vain = matches!(
            answer,
            Err(Failure::Authority(AuthorityError::TimedOut { .. }))
        );
        self.kept_waiting.set(in_vain.then(Instant::now));
        answer
    }

    async fn lock(&self, deadline: Instant) -> Result<tokio::sync::MutexGuard<'_, ()>, Failure> {
        timeout_at(deadline, self.changing.lock())
            .await
            .map_err(|_| Failure::Deadline)
    }

    /// Says that an absent authority leaves us without a certificate; any other failure stays.
    fn no_certificate(&self, failure: Failure) -> Failure {
        if !is_absence(&failure) {
            return failure;
        }
        Failure::NoCertificate {
            agent: self.config().name.clone(),
            cause: failure.to_string(),
        }
    }

    fn no_terms(&self, failure: &Failure) -> Failure {
        Failure::NoTerms {
            agent: self.config().name.clone(),
            cause: failure.to_string(),
        }
    }

    fn no_session(&self) -> Failure {
        Failure::NoSession {
            agent: self.config().name.clone(),
        }
    }

    /// Tells whether sessions open without a token that somebody hands over. On a unix socket our
    /// user id may do that; the authority knows whether it does.
    fn opens_by_itself(&self) -> bool {
        let config = self.config();
        config.authority.is_local() || config.token.is_some()
    }
}

/// What an authority issued within the terms of a loan.
struct Accept<'a> {
    session: &'a Session,
    issued: &'a IssueResponse,
    config: &'a AgentConfig,
    now: UnixTime,
}

impl Accept<'_> {
    fn keep<F: Form>(&self, bound: Bound<'_>, lent: &Lent) -> Result<(), ChainCheckError> {
        let accepted =
            self.session
                .accept_issued::<F>(self.issued, bound, self.config, self.now)?;
        F::kept(lent).replace(Some(accepted));
        Ok(())
    }
}

/// A certificate with less left is not signed with if there is another way.
const SECONDS_LEFT: i64 = 30;
/// How long one question may take.
const AUTHORITY_TIMEOUT: Duration = Duration::from_secs(2);
/// How long an authority that keeps us waiting is not asked again while signing: a rebase of a
/// hundred commits waits for it once, not a hundred times.
const WAITING_PAUSE: Duration = Duration::from_secs(10);
/// How long the trust document is gone by without asking again, in seconds.
const TRUST_AGE: i64 = 600;
const RENEWAL_PAUSE: Duration = Duration::from_secs(15);

/// Counts a signature that had to do without something.
fn count(row: &RefCell<Option<Fallback>>, notice: &str, now: UnixTime) {
    let mut row = row.borrow_mut();
    let before = row.take().filter(|row| row.count > 0);
    *row = Some(Fallback {
        count: before.as_ref().map_or(0, |row| row.count).saturating_add(1),
        since: before.as_ref().map_or(now, |row| row.since),
        last_at: now,
        last_notice: notice.to_owned(),
    });
}

/// Ends a row of such signatures.
fn reset(row: &RefCell<Option<Fallback>>) {
    if let Some(row) = row.borrow_mut().as_mut() {
        row.count = 0;
    }
}

/// Tells whether the authority could not be asked, as opposed to having said no.
fn is_absence(failure: &Failure) -> bool {
    use Failure::{Launch, NoIssuance, TermsUnknown};
    matches!(failure, Launch(_) | NoIssuance | TermsUnknown)
        || matches!(failure, Failure::Authority(error) if error.is_absence())
}

/// Tells whether a certificate was issued by a root that we don't know.
fn is_of_other_root(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Certificate(ChainCheckError::NotPinned | ChainCheckError::Issuer(_))
    )
}

/// Tells whether the authority no longer has the session.
fn is_loss(failure: &Failure) -> bool {
    matches!(failure, Failure::Authority(error) if error.is_forgotten_session())
}
