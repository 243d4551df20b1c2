//! Keys in a token behind a PKCS#11 module: they are made there and never leave it.
//!
//! The PIN is said once for each connection, and never again after the token refused it, so that
//! nothing here locks it. A signature that fails is tried once more over a new connection: the
//! token may have been away. Connections are made anew at most once a second.
//!
//! A module can take its time, or never come back: threads of their own call it (`calls.rs`), and
//! nobody waits for longer than [`ANSWER`]. Until a call that is overdue has come back, nobody asks.

mod calls;

use std::{
    error::Error,
    fmt, io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError, RwLock, TryLockError},
    time::{Duration, Instant},
};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as ModuleError, RvError},
    mechanism::{
        Mechanism, MechanismType,
        eddsa::{EddsaParams, EddsaSignatureScheme},
    },
    object::{Attribute, AttributeType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::RawAuthPin,
};
use notme_core::{
    hex,
    key::{Hash, PublicKey, sha256},
};
use notme_local::LockedMemory;
use p256::ecdsa;

use self::calls::{Calls, Overdue};
use crate::{
    ca_key::{KeyKind, KeyName},
    seal::{Protection, random},
    secret::Secret,
};

/// A token that keeps keys, and what else does.
#[derive(Debug)]
pub struct Pkcs11Protection {
    /// The PKCS#11 module: a shared library, which becomes part of this process.
    pub module: PathBuf,
    /// The label of the token; `None`: any.
    pub label: Option<String>,
    /// The serial number of the token; `None`: any.
    pub serial: Option<String>,
    /// The PIN of its user.
    pub pin: Secret,
    /// Where new keys are made.
    pub new_keys: NewKeys,
    /// What seals the keys that are not in the token.
    pub sealing: Protection,
}

/// Where new keys are made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NewKeys {
    /// In the token.
    InToken,
    /// Here, to be sealed: keys are moving out of the token.
    Sealed,
}

/// What a key in a token is found by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct KeyId([u8; 16]);

impl KeyId {
    /// Returns what the store has of the key: its name in the form of RFC 7512.
    pub(super) fn to_kept(self) -> Vec<u8> {
        let bytes = self.0.iter().map(|byte| format!("%{byte:02x}"));
        [KEPT.to_owned()]
            .into_iter()
            .chain(bytes)
            .collect::<String>()
            .into_bytes()
    }

    /// Reads what the store has; `None` when that is a sealed key.
    pub(super) fn of_kept(kept: &[u8]) -> Option<Self> {
        let text = str::from_utf8(kept).ok()?.strip_prefix(KEPT)?;
        let id = Self(hex::decode_array(&text.replace('%', ""))?);
        (id.to_kept() == kept).then_some(id)
    }
}

/// A token, and who calls it.
pub(crate) struct Token {
    // First: calls end while there is something to call.
    calls: Calls,
    place: Arc<Place>,
}

/// A token, connected or about to be.
struct Place {
    module: PathBuf,
    label: Option<String>,
    serial: Option<String>,
    pin: LockedMemory,
    line: RwLock<Line>,
}

/// The connection: replaced as a whole when it failed.
struct Line {
    number: u64,
    tried_at: Instant,
    link: Result<Link, Arc<Pkcs11Error>>,
}

impl Token {
    /// Connects to a token and logs in.
    pub(super) fn open(place: &Pkcs11Protection) -> Result<Self, Pkcs11Error> {
        let unconnected = Line {
            number: 0,
            tried_at: Instant::now(),
            link: Err(Arc::new(Pkcs11Error::NotNamed)),
        };
        let place = Place {
            module: place.module.clone(),
            label: place.label.clone(),
            serial: place.serial.clone(),
            pin: LockedMemory::of(place.pin.bytes()).map_err(Pkcs11Error::Memory)?,
            line: RwLock::new(unconnected),
        };
        let token = Self {
            calls: Calls::new(SESSIONS_MAX).map_err(Pkcs11Error::Threads)?,
            place: Arc::new(place),
        };
        let place = Arc::clone(&token.place);
        let open = move || {
            let link = place.connect()?;
            let mut line = place.line.write().unwrap_or_else(PoisonError::into_inner);
            line.link = Ok(link);
            Ok::<_, Pkcs11Error>(())
        };
        token.calls.make(OPENING, open, drop)??;
        Ok(token)
    }

    /// Makes a key that cannot leave. Returns its id and its public half.
    pub(super) fn make(
        &self,
        name: KeyName,
        kind: KeyKind,
        trust_domain: &str,
    ) -> Result<(KeyId, PublicKey), Pkcs11Error> {
        let id = KeyId(random().map_err(|_| Pkcs11Error::Random)?);
        let label = label(trust_domain, name);
        let (place, late, of_key) = (self.place.clone(), self.place.clone(), label.clone());
        let public = self.calls.make(
            ANSWER,
            move || place.with(|link| link.make(id, &of_key, kind)),
            move |_| drop(late.with(|link| link.destroy(id))),
        );
        // It is destroyed if it is made at last, and this process lives.
        let public = public
            .map_err(|Overdue| Pkcs11Error::left(vec![label.clone()], Pkcs11Error::Silent))??;
        // Before anything depends on it.
        if let Err(error) = self.find(id, name, &public) {
            return Err(match self.destroy(id) {
                Ok(()) => error,
                Err(_) => Pkcs11Error::left(vec![label], error),
            });
        }
        Ok((id, public))
    }

    /// Checks that a key is there and is the one with this public half.
    pub(super) fn find(
        &self,
        id: KeyId,
        name: KeyName,
        public: &PublicKey,
    ) -> Result<(), Pkcs11Error> {
        let probe: [u8; 32] = random().map_err(|_| Pkcs11Error::Random)?;
        let message = [PROBE, &probe].concat();
        self.sign(id, name, public, &message).map(drop)
    }

    /// Signs as [`Signer`](notme_core::key::Signer) says. The signature is checked: a token that
    /// was made anew may have another key, and a broken one could give its key away.
    pub(crate) fn sign(
        &self,
        id: KeyId,
        name: KeyName,
        public: &PublicKey,
        message: &[u8],
    ) -> Result<Vec<u8>, Pkcs11Error> {
        let mismatch = || Pkcs11Error::Mismatch {
            key: name.to_string(),
        };
        let missing = move || Pkcs11Error::KeyMissing {
            key: name.to_string(),
        };
        let kind = KeyKind::of(public);
        let of_call = message.to_vec();
        let raw = self.ask(move |link| link.sign(id, kind, &of_call)?.ok_or_else(missing))?;
        let signature = match kind {
            KeyKind::Ed25519 => raw,
            KeyKind::P256 => ecdsa::Signature::from_slice(&raw)
                .map_err(|_| mismatch())?
                .to_der()
                .as_bytes()
                .to_vec(),
        };
        let verified = public.verify(Hash::Sha256, message, &signature);
        verified.map_err(|_| mismatch())?;
        Ok(signature)
    }

    /// Destroys a key, if it is there.
    pub(super) fn destroy(&self, id: KeyId) -> Result<(), Pkcs11Error> {
        self.ask(move |link| link.destroy(id))
    }

    /// Asks whether the token is there, and is ours to use.
    pub(super) fn check(&self) -> Result<(), Pkcs11Error> {
        self.ask(Link::check)
    }

    /// Tells whether it answered when it was last asked, without asking it.
    pub(super) fn is_answering(&self) -> bool {
        !self.calls.are_overdue()
            && match self.place.line.try_read() {
                Ok(line) => line.link.is_ok(),
                Err(TryLockError::Poisoned(line)) => line.get_ref().link.is_ok(),
                // A new connection is made.
                Err(TryLockError::WouldBlock) => false,
            }
    }

    fn ask<T: Send + 'static>(
        &self,
        act: impl Fn(&Link) -> Result<T, Pkcs11Error> + Send + 'static,
    ) -> Result<T, Pkcs11Error> {
        let place = Arc::clone(&self.place);
        self.calls.make(ANSWER, move || place.with(act), drop)?
    }
}

impl Place {
    /// Does something over the connection; once more over a new one when it failed.
    fn with<T>(&self, act: impl Fn(&Link) -> Result<T, Pkcs11Error>) -> Result<T, Pkcs11Error> {
        let (number, failed) = {
            let line = self.line.read().unwrap_or_else(PoisonError::into_inner);
            match &line.link {
                Ok(link) => match act(link) {
                    Err(error) if error.may_pass() => (line.number, error),
                    other => return other,
                },
                Err(error) => (line.number, Pkcs11Error::Away(error.clone())),
            }
        };
        if !self.reconnect(number) {
            return Err(failed);
        }
        let line = self.line.read().unwrap_or_else(PoisonError::into_inner);
        match &line.link {
            Ok(link) => act(link),
            Err(error) => Err(Pkcs11Error::Away(error.clone())),
        }
    }

    /// Replaces the connection of this number, or leaves that to come; tells whether it is another
    /// one now.
    fn reconnect(&self, number: u64) -> bool {
        let mut line = self.line.write().unwrap_or_else(PoisonError::into_inner);
        if line.number != number {
            return true;
        }
        let is_over = matches!(&line.link, Err(error) if matches!(**error, Pkcs11Error::PinWrong));
        if is_over || line.number > 0 && line.tried_at.elapsed() < PAUSE {
            return false;
        }
        // The old one first: a module says what has changed only after it was started anew.
        line.link = Err(Arc::new(Pkcs11Error::NotNamed));
        line.link = self.connect().map_err(Arc::new);
        line.number += 1;
        line.tried_at = Instant::now();
        true
    }

    fn connect(&self) -> Result<Link, Pkcs11Error> {
        let module = Module::start(&self.module)?;
        let (slot, info) = self.slot(&module)?;
        for needed in MECHANISMS {
            let known = module.context.get_mechanism_list(slot);
            let known = known.map_err(during("list the mechanisms of the token"))?;
            if !known.contains(&needed) {
                return Err(Pkcs11Error::Mechanism {
                    name: needed.to_string(),
                });
            }
        }
        let link = Link {
            sessions: Mutex::default(),
            returned: Condvar::new(),
            slot,
            module,
        };
        link.log_in(&info, self.pin.bytes())?;
        Ok(link)
    }

    /// Finds the token, of which there has to be one.
    fn slot(&self, module: &Module) -> Result<(Slot, TokenInfo), Pkcs11Error> {
        let failed = during("look for the token");
        let mut found = None;
        for slot in module.context.get_slots_with_token().map_err(&failed)? {
            let info = match module.context.get_token_info(slot) {
                Ok(info) => info,
                // It was taken out between the two questions, or is not for us.
                Err(_) => continue,
            };
            let is_meant = |wanted: &Option<String>, has: &str| {
                wanted
                    .as_ref()
                    .is_none_or(|wanted| wanted == has.trim_end())
            };
            if !info.token_initialized()
                || !is_meant(&self.label, info.label())
                || !is_meant(&self.serial, info.serial_number())
            {
                continue;
            }
            if found.is_some() {
                return Err(Pkcs11Error::Ambiguous);
            }
            found = Some((slot, info));
        }
        found.ok_or(Pkcs11Error::Missing)
    }
}

/// A module that was started; it ends when dropped.
struct Module {
    context: Pkcs11,
    is_ours: bool,
}

impl Module {
    fn start(path: &PathBuf) -> Result<Self, Pkcs11Error> {
        // It would bring a second C library, which does not know of ours.
        if cfg!(target_feature = "crt-static") {
            return Err(Pkcs11Error::Static);
        }
        let unusable = |source| Pkcs11Error::Module {
            path: path.clone(),
            source,
        };
        let context = Pkcs11::new(path).map_err(unusable)?;
        let how = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        let is_ours = match context.initialize(how) {
            Ok(()) => true,
            Err(ModuleError::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => false,
            Err(error) => return Err(unusable(error)),
        };
        Ok(Self { context, is_ours })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.is_ours {
            // It may be why we leave that it does not answer.
            let _ = self.context.clone().finalize();
        }
    }
}

/// A token that we are logged in to. Sessions are used by one thread at a time.
struct Link {
    // Before the module: sessions end while it runs.
    sessions: Mutex<Sessions>,
    returned: Condvar,
    slot: Slot,
    module: Module,
}

/// One at least is always open, which keeps us logged in.
#[derive(Default)]
struct Sessions {
    idle: Vec<Session>,
    open: usize,
}

impl Link {
    fn log_in(&self, token: &TokenInfo, pin: &[u8]) -> Result<(), Pkcs11Error> {
        if token.user_pin_locked() {
            return Err(Pkcs11Error::PinLocked);
        }
        // If this one is wrong, there is none left.
        if token.user_pin_final_try() {
            return Err(Pkcs11Error::PinLastTry);
        }
        let pin = RawAuthPin::new(Box::new(pin.to_vec()));
        let logged_in = self.in_session(|session| session.login_with_raw(UserType::User, &pin));
        match logged_in {
            Ok(()) | Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(ModuleError::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => Err(Pkcs11Error::PinWrong),
            Err(ModuleError::Pkcs11(RvError::PinLocked, _)) => Err(Pkcs11Error::PinLocked),
            Err(error) => Err(during("log in to the token")(error)),
        }
    }

    fn make(&self, id: KeyId, label: &str, kind: KeyKind) -> Result<PublicKey, Pkcs11Error> {
        let session = self.module.context.open_rw_session(self.slot);
        let session = session.map_err(during("open a session to write"))?;
        let (mechanism, curve) = match kind {
            KeyKind::Ed25519 => (Mechanism::EccEdwardsKeyPairGen, ED25519),
            KeyKind::P256 => (Mechanism::EccKeyPairGen, P256),
        };
        let common = [
            Attribute::Token(true),
            Attribute::Id(id.0.to_vec()),
            Attribute::Label(label.as_bytes().to_vec()),
        ];
        let public = [
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::EcParams(curve.to_vec()),
        ];
        let private = [
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let failed = during("make a key in the token");
        let (public, private) = session
            .generate_key_pair(
                &mechanism,
                &[&common[..], &public].concat(),
                &[&common[..], &private].concat(),
            )
            .map_err(&failed)?;
        let checked =
            check_made(&session, private).and_then(|()| read_public(&session, public, kind));
        checked.map_err(|error| {
            let destroyed = [public, private].map(|object| session.destroy_object(object));
            match destroyed.iter().all(Result::is_ok) {
                true => error,
                false => Pkcs11Error::left(vec![label.to_owned()], error),
            }
        })
    }

    /// Signs; `None` when there is no such key.
    fn sign(
        &self,
        id: KeyId,
        kind: KeyKind,
        message: &[u8],
    ) -> Result<Option<Vec<u8>>, Pkcs11Error> {
        let wanted = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Token(true),
            Attribute::Id(id.0.to_vec()),
        ];
        let signature = self.in_session(|session| {
            let [key] = session.find_objects(&wanted)?[..] else {
                return Ok(None);
            };
            let signature = match kind {
                KeyKind::Ed25519 => {
                    let pure = Mechanism::Eddsa(EddsaParams::new(EddsaSignatureScheme::Ed25519));
                    session.sign(&pure, key, message)
                }
                KeyKind::P256 => session.sign(&Mechanism::Ecdsa, key, &sha256(message)),
            };
            signature.map(Some)
        });
        signature.map_err(during("sign with the token"))
    }

    fn destroy(&self, id: KeyId) -> Result<(), Pkcs11Error> {
        let failed = during("destroy a key in the token");
        let session = self.module.context.open_rw_session(self.slot);
        let session = session.map_err(&failed)?;
        let wanted = [Attribute::Token(true), Attribute::Id(id.0.to_vec())];
        for object in session.find_objects(&wanted).map_err(&failed)? {
            session.destroy_object(object).map_err(&failed)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Pkcs11Error> {
        self.in_session(|session| {
            session.get_session_info()?;
            self.module.context.get_token_info(self.slot).map(drop)
        })
        .map_err(during("ask for the token"))
    }

    /// Does something in a session that nobody else uses meanwhile.
    fn in_session<T>(
        &self,
        act: impl FnOnce(&Session) -> Result<T, ModuleError>,
    ) -> Result<T, ModuleError> {
        let session = self.take_session()?;
        let done = act(&session);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        match &done {
            Ok(_) => sessions.idle.push(session),
            // It may be half-way through something.
            Err(_) => sessions.open -= 1,
        }
        self.returned.notify_one();
        done
    }

    fn take_session(&self) -> Result<Session, ModuleError> {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(session) = sessions.idle.pop() {
                return Ok(session);
            }
            if sessions.open < SESSIONS_MAX {
                match self.module.context.open_ro_session(self.slot) {
                    Ok(session) => {
                        sessions.open += 1;
                        return Ok(session);
                    }
                    // The token lets us have fewer.
                    Err(ModuleError::Pkcs11(RvError::SessionCount, _)) if sessions.open > 0 => {}
                    Err(error) => return Err(error),
                }
            }
            let waited = self.returned.wait(sessions);
            sessions = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Returns what a key is called in the token, for those who look into it.
pub(super) fn label(trust_domain: &str, name: KeyName) -> String {
    format!("notme {trust_domain} {name}")
}

/// Checks that the token made the key as it was asked to.
fn check_made(session: &Session, key: ObjectHandle) -> Result<(), Pkcs11Error> {
    let asked = [
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::NeverExtractable,
    ];
    let found = session.get_attributes(key, &asked);
    let found = found.map_err(during("look at the new key"))?;
    let is_kept = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::NeverExtractable(true),
    ]
    .iter()
    .all(|attribute| found.contains(attribute));
    match is_kept {
        true => Ok(()),
        false => Err(Pkcs11Error::Extractable),
    }
}

/// Reads the public half of a key that was just made.
fn read_public(
    session: &Session,
    key: ObjectHandle,
    kind: KeyKind,
) -> Result<PublicKey, Pkcs11Error> {
    let found = session.get_attributes(key, &[AttributeType::EcPoint]);
    let found = found.map_err(during("read the new key"))?;
    let [Attribute::EcPoint(point)] = &found[..] else {
        return Err(Pkcs11Error::PublicKey);
    };
    // An OCTET STRING in DER; the bare bytes at tokens of before version 2.40.
    let (length, prefix) = match kind {
        KeyKind::Ed25519 => (32, [4, 32]),
        KeyKind::P256 => (65, [4, 65]),
    };
    let raw = match point.strip_prefix(&prefix) {
        Some(raw) if raw.len() == length => raw,
        Some(_) | None => point,
    };
    let key = match kind {
        KeyKind::Ed25519 => raw.try_into().ok().map(PublicKey::from_ed25519),
        KeyKind::P256 => Some(PublicKey::from_p256_sec1(raw)),
    };
    key.and_then(Result::ok).ok_or(Pkcs11Error::PublicKey)
}

fn during(doing: &'static str) -> impl Fn(ModuleError) -> Pkcs11Error {
    move |source| Pkcs11Error::Failed { doing, source }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

/// Why a token, or a key in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Pkcs11Error {
    /// It could not be used a moment ago, and is not asked again at once.
    #[error("the token is away")]
    Away(#[source] Arc<Pkcs11Error>),
    /// Several tokens are the one that was named.
    #[error("more than one token has this label or serial number")]
    Ambiguous,
    /// The token made a key that can be taken out of it.
    #[error("the token does not keep its keys to itself")]
    Extractable,
    /// The token refused, or did not answer.
    #[error("the token could not {doing}")]
    Failed {
        /// What we were doing.
        doing: &'static str,
        /// What it said.
        source: ModuleError,
    },
    /// Keys were made in vain and could not be destroyed.
    #[error("the token has keys still that were made for this: {}", labels.join(", "))]
    Left {
        /// Their labels there.
        labels: Vec<String>,
        /// Why they were made in vain.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The token has no such key.
    #[error("key `{key}` is not in the token")]
    KeyMissing {
        /// Which key.
        key: String,
    },
    /// The token cannot do what we need.
    #[error("the token has no mechanism {name}")]
    Mechanism {
        /// Which.
        name: String,
    },
    /// No memory for the PIN.
    #[error("could not map memory for the PIN")]
    Memory(#[source] io::Error),
    /// The key in the token is another one.
    #[error("key `{key}` in the token is not the one in the store")]
    Mismatch {
        /// Which key.
        key: String,
    },
    /// The token is not there.
    #[error("there is no token of this label or serial number")]
    Missing,
    /// The module cannot be loaded.
    #[error("could not use PKCS#11 module `{}`", path.display())]
    Module {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: ModuleError,
    },
    /// Keys are in a token, and none was named.
    #[error("keys are in a PKCS#11 token, and none was named")]
    NotNamed,
    /// One more wrong PIN would lock it, so that ours is not tried.
    #[error("the token has one attempt at its PIN left")]
    PinLastTry,
    /// The token takes no PIN any more.
    #[error("the PIN of the token is locked")]
    PinLocked,
    /// The token refused the PIN. It is not tried again.
    #[error("the token refused the PIN")]
    PinWrong,
    /// The token says no public key that we can read.
    #[error("the token made a public key that cannot be read")]
    PublicKey,
    /// No randomness for the id of a key.
    #[error("the system's cryptographic module failed")]
    Random,
    /// The token did not answer in time, and nobody asks it before it does.
    #[error("the token does not answer")]
    Silent,
    /// This program cannot load modules.
    #[error("this program is linked statically, and cannot load a PKCS#11 module")]
    Static,
    /// No threads to call the module.
    #[error("could not start threads that call the module")]
    Threads(#[source] io::Error),
}

impl From<Overdue> for Pkcs11Error {
    fn from(Overdue: Overdue) -> Self {
        Self::Silent
    }
}

impl Pkcs11Error {
    /// Returns what says that keys are left of something that failed.
    pub(crate) fn left(
        labels: Vec<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        let quoted = labels.into_iter().map(|label| format!("`{label}`"));
        Self::Left {
            labels: quoted.collect(),
            source: cause.into(),
        }
    }

    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Away(cause) => cause.code(),
            Self::Ambiguous => "pkcs11-token-ambiguous",
            Self::Extractable => "pkcs11-key-extractable",
            Self::Failed { .. } => "pkcs11-failed",
            Self::KeyMissing { .. } => "pkcs11-key-missing",
            Self::Left { .. } => "pkcs11-keys-left",
            Self::Mechanism { .. } => "pkcs11-mechanism-missing",
            Self::Memory(_) | Self::Threads(_) => "authority-runtime",
            Self::Mismatch { .. } => "pkcs11-key-mismatch",
            Self::Missing => "pkcs11-token-missing",
            Self::Module { .. } => "pkcs11-module-unusable",
            Self::NotNamed => "pkcs11-token-not-named",
            Self::PinLastTry => "pkcs11-pin-last-try",
            Self::PinLocked => "pkcs11-pin-locked",
            Self::PinWrong => "pkcs11-pin-wrong",
            Self::PublicKey => "pkcs11-key-unreadable",
            Self::Random => "authority-random-failed",
            Self::Silent => "pkcs11-silent",
            Self::Static => "pkcs11-static",
        }
    }

    /// Tells whether a new connection may help.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Failed { .. } | Self::KeyMissing { .. })
    }
}

/// What the store has of a key in a token, before its id.
const KEPT: &str = "pkcs11:id=";
/// What is signed to see whether a key is the right one: nothing that anybody takes for anything.
const PROBE: &[u8] = b"notme-authority-key-probe-v1\0";
/// RFC 8410: id-Ed25519, in DER.
const ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
/// RFC 5480: secp256r1, in DER.
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const MECHANISMS: [MechanismType; 4] = [
    MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
    MechanismType::EDDSA,
    MechanismType::ECC_KEY_PAIR_GEN,
    MechanismType::ECDSA,
];
/// As many signatures at a time.
const SESSIONS_MAX: usize = 8;
/// How long one waits for what a token is asked.
const ANSWER: Duration = Duration::from_secs(5);
/// How long one waits for the first connection: a module may have to look for its token.
const OPENING: Duration = Duration::from_secs(30);
/// Between attempts to connect.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_is_not_taken_for_the_name_of_one() {
        let id = KeyId([0xab; 16]);
        let kept = id.to_kept();
        assert_eq!(KeyId::of_kept(&kept), Some(id));
        assert!(kept.starts_with(b"pkcs11:id=%ab%ab"));
        for other in [
            &kept[..kept.len() - 1],
            &kept.to_ascii_uppercase(),
            b"pkcs11:id=abababababababababababababababab",
            b"",
            &[0x83; 40],
        ] {
            assert_eq!(KeyId::of_kept(other), None);
        }
    }
}
