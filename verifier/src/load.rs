//! The trust store on disk: the one module that opens trust files.
//!
//! ```text
//! <trust directory>/<name>/pin.json      how the authority is known, and by which keys
//! <trust directory>/<name>/trust.json    its signed trust document, or
//! <trust directory>/<name>/bundle.pem    the certificates of its roots, or
//! <trust directory>/<name>/keys.pgp      the OpenPGP keys of people, or
//! <trust directory>/<name>/allowed_signers  a file as ssh-keygen has it, or
//! <trust directory>/<name>/trusted_root.json  an instance of Sigstore
//! <state directory>/<name>.json          the newest document seen: number and digest
//! ```
//!
//! A store that somebody else keeps may be read without a state: then no rollback is noticed, and
//! [`Trust::is_recorded`] says so.
//!
//! The state lies apart, so that restoring or copying the trust directory cannot take an authority
//! back to an older document unseen. Its absence is no first run: that is decided by `pin.json`.

mod error;
mod files;
mod records;

pub(crate) use self::files::{check_regular, is_private};

use std::{
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use notme_core::{
    bundle::{BundleError, CaBundle},
    certificate::Certificate,
    dsse::Envelope,
    hex,
    key::sha256,
    openpgp::{KeyBlocks, UserId},
    sigstore_root::SigstoreRoot,
    ssh::AllowedSigners,
    time::UnixTime,
    trust::{Seen, SuccessionError, TrustDocument, TrustError, VerifiedTrust},
};
use serde::Deserialize;

pub use self::error::TrustStoreError;
use self::{
    files::{Lock, read, read_if_present, remove_tree, write},
    records::{Pin, seen_from_json, seen_to_json},
};
use crate::{
    openpgp::Person,
    policy::{POLICY_MAX, Policy, PolicyError},
    refusal::with_causes,
    report::escape,
    ssh::ListedKey,
    trust::{Authority, Fault, PinKind, Trust, WHOLE_STORE},
};

const PIN: &str = "pin.json";
/// What an authority's trust document is called, below its name.
pub const DOCUMENT: &str = "trust.json";
const BUNDLE: &str = "bundle.pem";
const KEYS: &str = "keys.pgp";
const SIGNERS: &str = "allowed_signers";
const SIGSTORE: &str = "trusted_root.json";

/// A trust store in its two directories.
#[derive(Clone, Debug)]
pub struct TrustStore {
    directory: PathBuf,
    /// Where what was seen is recorded; nowhere for a store that is only read.
    state: Option<PathBuf>,
}

/// What a refresh changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refreshed {
    /// The document was the one already stored.
    Unchanged,
    /// A newer document took its place.
    Updated {
        /// The number of the document before.
        from: u64,
        /// The number of the new one.
        to: u64,
    },
}

impl TrustStore {
    /// Names a store; nothing is read or made yet.
    pub fn new(directory: impl Into<PathBuf>, state: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            state: Some(state.into()),
        }
    }

    /// Names a store that is only read, as one that comes with a repository or a machine image.
    /// Nothing is recorded about it, so an older document in it is not noticed.
    pub fn read_only(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            state: None,
        }
    }

    /// Reads and checks everything. An authority that cannot be read or is not what its pin says
    /// becomes a fault, and only what needs it is undecided or refused; a store that was never
    /// written is empty, but for one that is only read: somebody named it.
    pub fn load(&self, now: UnixTime) -> Trust {
        let (mut authorities, mut faults) = (Vec::new(), Vec::new());
        let mut fault = |name: &str, error: &TrustStoreError, keys, trust_domain| {
            faults.push(Fault {
                name: escape(name).into(),
                code: error.code(),
                message: escape(&with_causes(error)).into_owned(),
                keys,
                trust_domain,
            });
        };
        match self.names() {
            Ok(names) => {
                for name in names {
                    match self.load_one(&name, now) {
                        Ok(authority) => authorities.push(authority),
                        Err(error) => {
                            let pin = self.pin(&name).ok();
                            let domain = pin.and_then(|pin| pin.trust_domain().map(str::to_owned));
                            fault(&name, &error, self.revocable(&name), domain);
                        }
                    }
                }
            }
            Err(error) => fault(WHOLE_STORE, &error, None, None),
        }
        let trust = Trust::new(authorities, faults);
        match &self.state {
            Some(_) => trust,
            None => trust.unrecorded(),
        }
    }

    /// Tells whether an authority of this name is stored, readable or not.
    pub fn contains(&self, name: &str) -> bool {
        let home = self.home(name);
        home.is_dir() || home.is_symlink()
    }

    /// Pins an authority by the PEM certificates of its roots.
    ///
    /// With `expected` pins (SHA-256 of a root's public key, learned in another way), only the
    /// certificates that they name are taken, and each must be there. Without, all are: then the
    /// caller shows the pins to somebody.
    ///
    /// # Errors
    /// [`TrustStoreError`] when the name or a root is taken, the name is none, the text holds no
    /// certificates or one that is no authority's, a pin is not met, or the store cannot be
    /// written.
    pub fn add_pem(
        &self,
        name: &str,
        pem: &str,
        kind: PemKind,
        expected: &[[u8; 32]],
    ) -> Result<Authority, TrustStoreError> {
        let roots = Certificate::pem_bundle(pem).map_err(TrustStoreError::Certificates)?;
        let roots = pinned(roots, expected)?;
        let scopes = kind.pin().default_scopes();
        let text: String = roots.iter().map(Certificate::pem).collect();
        let pin = Pin::new(kind.pin(), &roots, scopes.clone());
        let _lock = self.create(name, &pin)?;
        write(&self.home(name).join(BUNDLE), text.as_bytes())?;
        write(&self.home(name).join(PIN), &pin.to_json())?;
        Ok(Authority::from_certificates(
            name,
            kind.pin(),
            scopes,
            roots,
        ))
    }

    /// Pins an authority by its signed trust document.
    ///
    /// # Errors
    /// [`TrustStoreError`] when the name, a root or the trust domain is taken, the name is none, no
    /// pin is given, the document is not signed by a pinned key or older than one seen, or the
    /// store cannot be written.
    pub fn add_document(
        &self,
        name: &str,
        envelope: &[u8],
        pins: &[[u8; 32]],
        now: UnixTime,
    ) -> Result<Authority, TrustStoreError> {
        if pins.is_empty() {
            return Err(TrustStoreError::PinRequired);
        }
        let verified =
            TrustDocument::verify(envelope, pins, now).map_err(TrustStoreError::Document)?;
        let scopes = PinKind::TrustDocument.default_scopes();
        let pin = Pin::of_document(verified.document(), scopes.clone());
        let lock = self.create(name, &pin)?;
        if let Some(seen) = self.seen(name)? {
            seen.check_document(&verified)?;
        }
        self.store_document(&lock, name, envelope, &verified, pin)?;
        Ok(Authority::from_document(name, scopes, verified.document()))
    }

    /// Trusts people by their OpenPGP keys: what `gpg --export` writes, armored or not.
    ///
    /// Nobody vouches for the file but who gives it, so the caller shows the fingerprints. Also
    /// returns which keys in it cannot be used, for people; unescaped.
    ///
    /// # Errors
    /// [`TrustStoreError`] when the name is taken or no name, the file holds no key that anything
    /// can be verified with, or the store cannot be written.
    pub fn add_openpgp(
        &self,
        name: &str,
        keys: &[u8],
    ) -> Result<(Authority, Vec<String>), TrustStoreError> {
        let (people, passed_over) = people(keys)?;
        let pin = Pin::of_people(&people, PinKind::OpenPgp.default_scopes());
        let _lock = self.create(name, &pin)?;
        write(&self.home(name).join(KEYS), keys)?;
        write(&self.home(name).join(PIN), &pin.to_json())?;
        Ok((Authority::from_people(name, people), passed_over))
    }

    /// Trusts whom a file of allowed signers lists, people and authorities, for what and as long
    /// as it says. Every line has to be readable, and its times have to be in UTC: what the file
    /// means must not depend on where it is read.
    ///
    /// Nobody vouches for the file but who gives it, so the caller shows the fingerprints.
    ///
    /// # Errors
    /// [`TrustStoreError`] when the name is taken or no name, a line cannot be read, nobody is
    /// listed, or the store cannot be written.
    pub fn add_allowed_signers(
        &self,
        name: &str,
        text: &[u8],
    ) -> Result<Authority, TrustStoreError> {
        let signers = signers(text)?;
        let pins = signers.iter().map(|line| line.public_key().spki_sha256());
        let kind = PinKind::AllowedSigners;
        let pin = Pin::of_keys(kind, pins.collect(), kind.default_scopes());
        let _lock = self.create(name, &pin)?;
        write(&self.home(name).join(SIGNERS), text)?;
        write(&self.home(name).join(PIN), &pin.to_json())?;
        Ok(Authority::from_signers(name, signers))
    }

    /// Trusts an instance of Sigstore by its `trusted_root.json`: its certificate authorities, its
    /// logs and its time-stamping authorities, each for as long as the file says. Whom it
    /// certifies is anybody: a policy says who of them may sign.
    ///
    /// Nobody vouches for the file but who gives it, so the caller shows the keys. Also returns
    /// what in it cannot be used, for people; unescaped.
    ///
    /// # Errors
    /// [`TrustStoreError`] when the name or an authority's key is taken or no name, the file is no
    /// trusted root that can be used, or the store cannot be written.
    pub fn add_sigstore(
        &self,
        name: &str,
        json: &[u8],
    ) -> Result<(Authority, Vec<String>), TrustStoreError> {
        let mut root = SigstoreRoot::from_json(json).map_err(TrustStoreError::SigstoreRoot)?;
        let passed_over = std::mem::take(&mut root.passed_over);
        let kind = PinKind::Sigstore;
        let pin = Pin::of_keys(kind, sigstore_keys(&root), kind.default_scopes());
        let _lock = self.create(name, &pin)?;
        write(&self.home(name).join(SIGSTORE), json)?;
        write(&self.home(name).join(PIN), &pin.to_json())?;
        Ok((Authority::from_sigstore(name, root), passed_over))
    }

    /// Returns the numbers of the documents that were missed between the newest one seen of an
    /// authority and a newer one. With them, [`Self::refresh`] sees whether there ever were two of
    /// one number.
    ///
    /// # Errors
    /// [`TrustStoreError`] when there is no such authority, it has no trust document, the new one
    /// is refused, or the record of the newest seen is gone.
    pub fn missed(
        &self,
        name: &str,
        envelope: &[u8],
        now: UnixTime,
    ) -> Result<Range<u64>, TrustStoreError> {
        let _lock = self.lock(name)?;
        let verified = verify(envelope, &self.pin_of_document(name)?, now)?;
        let seen = self.required_state(name)?.seqno;
        Ok(seen.saturating_add(1)..verified.document().seqno)
    }

    /// Takes a newer trust document of a pinned authority: signed by a key pinned before it or one
    /// that such a key handed over to, and not older than any seen. The pins then move to the keys
    /// that it names as current. What the authority calls itself and the trust domain that it
    /// issues for stay what they were.
    ///
    /// `missed` are the documents in between, oldest first, or none of them where nobody has
    /// them. Each has to name the one before, from the newest seen to the new one.
    ///
    /// # Errors
    /// [`TrustStoreError`] when there is no such authority, it has no trust document, the new one
    /// is refused, is of another authority or takes another's root, does not follow from those
    /// before, the record of the newest seen is gone, or the store cannot be written. Nothing is
    /// changed then.
    pub fn refresh(
        &self,
        name: &str,
        envelope: &[u8],
        missed: &[Vec<u8>],
        now: UnixTime,
    ) -> Result<Refreshed, TrustStoreError> {
        let lock = self.lock(name)?;
        let pin = self.pin_of_document(name)?;
        let verified = verify(envelope, &pin, now)?;
        let next = Pin::of_document(verified.document(), pin.scopes().to_vec());
        self.check_untaken(name, &next)?;
        // After a crash the stored document may be newer than the record of it. One that does
        // not verify any more cannot be: it stands for nothing.
        let stored = self.stored(name, &pin, now).ok();
        let recorded = self.required_state(name)?;
        let seen = match stored.map(|it| it.seen()) {
            Some(stored) if stored.seqno > recorded.seqno => stored,
            Some(_) | None => recorded,
        };
        seen.check_document(&verified)?;
        if !missed.is_empty() {
            check_links(&seen, missed, &verified)?;
        }
        let refreshed = match verified.document().seqno {
            seqno if seqno == seen.seqno => Refreshed::Unchanged,
            seqno => Refreshed::Updated {
                from: seen.seqno,
                to: seqno,
            },
        };
        self.store_document(&lock, name, envelope, &verified, next)?;
        Ok(refreshed)
    }

    /// Checks a signed CA bundle of the notme authority: by a pinned root, at most five minutes
    /// old, its number not lower than one seen, which is recorded. It names keys only, so it
    /// shows that the pinned root is still the current one and adds nobody.
    ///
    /// # Errors
    /// [`TrustStoreError`] when there is no such authority, the bundle is refused, or the store
    /// cannot be written.
    pub fn check_bundle(
        &self,
        name: &str,
        json: &[u8],
        now: UnixTime,
    ) -> Result<CaBundle, TrustStoreError> {
        let _lock = self.lock(name)?;
        let pin = self.pin(name)?;
        if pin.kind() != PinKind::Pem {
            return Err(TrustStoreError::NoBundle(name.to_owned()));
        }
        let bundle = CaBundle::from_json(json).map_err(TrustStoreError::Bundle)?;
        let roots = self.load_roots(name, &pin)?;
        roots
            .iter()
            .map(|root| bundle.verify(root.public_key()))
            .find(Result::is_ok)
            .unwrap_or(Err(BundleError::Signature))
            .and_then(|()| bundle.check_age(now))
            .map_err(TrustStoreError::Bundle)?;
        let signed = bundle.canonical_cbor().map_err(TrustStoreError::Bundle)?;
        let new = Seen {
            seqno: bundle.seqno,
            payload_sha256: sha256(&signed),
        };
        let seen = match pin.has_state() {
            true => Some(self.required_state(name)?),
            false => self.seen(name)?,
        };
        if let Some(seen) = seen {
            seen.check_successor(&new)?;
        }
        write(&self.state_path(name)?, &seen_to_json(&new))?;
        write(&self.home(name).join(PIN), &pin.with_state().to_json())?;
        Ok(bundle)
    }

    /// Forgets an authority, and what was seen of it.
    ///
    /// # Errors
    /// [`TrustStoreError`] when there is none of this name, or it cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), TrustStoreError> {
        let _lock = self.lock(name)?;
        let state = self.state_path(name)?;
        remove_tree(&self.home(name))?;
        files::remove_if_present(&state)
    }

    /// Returns the stored trust document as it was signed.
    ///
    /// # Errors
    /// [`TrustStoreError`] when there is none of this name or it cannot be read.
    pub fn document(&self, name: &str) -> Result<Vec<u8>, TrustStoreError> {
        self.check_known(name)?;
        read(&self.home(name).join(DOCUMENT))
    }

    /// Returns the trusted root of an instance of Sigstore as it was given.
    ///
    /// # Errors
    /// [`TrustStoreError`] when there is none of this name or it cannot be read.
    pub fn sigstore_root(&self, name: &str) -> Result<Vec<u8>, TrustStoreError> {
        self.check_known(name)?;
        read(&self.home(name).join(SIGSTORE))
    }

    fn load_one(&self, name: &str, now: UnixTime) -> Result<Authority, TrustStoreError> {
        let path = self.home(name);
        if self.is_nested(name) {
            return Err(TrustStoreError::Nested { path });
        }
        check_name(name)?;
        // Whoever may change what it stands for is not known from here.
        if path.is_symlink() {
            return Err(TrustStoreError::Linked { path });
        }
        let pin = self.pin(name)?;
        let scopes = pin.scopes().to_vec();
        if pin.kind() == PinKind::TrustDocument {
            let verified = self.stored(name, &pin, now)?;
            if self.state.is_some() {
                self.required_state(name)?.check_document(&verified)?;
            }
            return Ok(Authority::from_document(name, scopes, verified.document()));
        }
        if pin.has_state() && self.state.is_some() {
            self.required_state(name)?;
        }
        if pin.kind() == PinKind::OpenPgp {
            let (mut people, _) = people(&read(&self.home(name).join(KEYS))?)?;
            people.retain(|person| pin.spki().contains(&person.spki_sha256()));
            let has = |pin: &[u8; 32]| people.iter().any(|it| it.spki_sha256() == *pin);
            return match pin.spki().iter().all(has) {
                true => Ok(Authority::from_people(name, people)),
                false => Err(TrustStoreError::KeyMissing),
            };
        }
        if pin.kind() == PinKind::AllowedSigners {
            let signers = signers(&read(&self.home(name).join(SIGNERS))?)?;
            let found = signers.iter().map(|line| line.public_key().spki_sha256());
            // Who is listed was decided when the file was added.
            return match found.eq(pin.spki().iter().copied()) {
                true => Ok(Authority::from_signers(name, signers)),
                false => Err(TrustStoreError::SignersChanged),
            };
        }
        if pin.kind() == PinKind::Sigstore {
            let root = SigstoreRoot::from_json(&read(&self.home(name).join(SIGSTORE))?)
                .map_err(TrustStoreError::SigstoreRoot)?;
            // Whose word counts was decided when the file was added.
            return match sigstore_keys(&root) == pin.spki() {
                true => Ok(Authority::from_sigstore(name, root)),
                false => Err(TrustStoreError::SigstoreChanged),
            };
        }
        let roots = self.load_roots(name, &pin)?;
        Ok(Authority::from_certificates(
            name,
            pin.kind(),
            scopes,
            roots,
        ))
    }

    /// Tells whether there are directories below that of an authority: a store that was copied into another
    /// one.
    fn is_nested(&self, name: &str) -> bool {
        files::has_directories(&self.home(name))
    }

    /// Returns the keys that an authority which cannot be used may have taken back; `None` where that
    /// cannot be read either.
    fn revocable(&self, name: &str) -> Option<Vec<[u8; 32]>> {
        if self.is_nested(name) {
            return None;
        }
        // Under no other name was there ever an authority.
        if check_name(name).is_err() {
            return Some(Vec::new());
        }
        if self.home(name).is_symlink() {
            return None;
        }
        // A directory with neither a pin nor what was taken of it is what a crash left of an attempt to add one.
        let has = |file: &str| files::may_be_there(&self.home(name).join(file));
        if !has(PIN) && !has(DOCUMENT) && !has(KEYS) {
            return Some(Vec::new());
        }
        let pin = self.pin(name).ok()?;
        Some(match pin.kind() {
            PinKind::TrustDocument | PinKind::OpenPgp => pin.keys().copied().collect(),
            PinKind::Pem | PinKind::X509 | PinKind::AllowedSigners | PinKind::Sigstore => {
                Vec::new()
            }
        })
    }

    fn stored(
        &self,
        name: &str,
        pin: &Pin,
        now: UnixTime,
    ) -> Result<VerifiedTrust, TrustStoreError> {
        let envelope = read(&self.home(name).join(DOCUMENT))?;
        verify(&envelope, pin, now)
    }

    fn load_roots(&self, name: &str, pin: &Pin) -> Result<Vec<Certificate>, TrustStoreError> {
        let path = self.home(name).join(BUNDLE);
        let text =
            String::from_utf8(read(&path)?).map_err(|_| TrustStoreError::NotText { path })?;
        let roots = Certificate::pem_bundle(&text).map_err(TrustStoreError::Certificates)?;
        pinned(roots, pin.spki())
    }

    /// Writes document first, state last: after a crash between them the document is newer than
    /// the state, which is no rollback. The pins come before both, so that a document is never
    /// found that no pin covers; they are the old and the new ones until it is in place.
    fn store_document(
        &self,
        _lock: &Lock,
        name: &str,
        envelope: &[u8],
        verified: &VerifiedTrust,
        pin: Pin,
    ) -> Result<(), TrustStoreError> {
        let pin_path = self.home(name).join(PIN);
        let either = match read_if_present(&pin_path)? {
            Some(json) => pin.clone().and(&Pin::from_json(&json, &pin_path)?),
            None => pin.clone(),
        };
        write(&pin_path, &either.to_json())?;
        write(&self.home(name).join(DOCUMENT), envelope)?;
        write(&self.state_path(name)?, &seen_to_json(&verified.seen()))?;
        write(&pin_path, &pin.to_json())
    }

    fn pin_of_document(&self, name: &str) -> Result<Pin, TrustStoreError> {
        let pin = self.pin(name)?;
        match pin.kind() {
            PinKind::TrustDocument => Ok(pin),
            PinKind::Pem
            | PinKind::X509
            | PinKind::OpenPgp
            | PinKind::AllowedSigners
            | PinKind::Sigstore => Err(TrustStoreError::NoDocument(name.to_owned())),
        }
    }

    fn pin(&self, name: &str) -> Result<Pin, TrustStoreError> {
        let path = self.home(name).join(PIN);
        Pin::from_json(&read(&path)?, &path)
    }

    fn seen(&self, name: &str) -> Result<Option<Seen>, TrustStoreError> {
        let path = self.state_path(name)?;
        read_if_present(&path)?
            .map(|json| seen_from_json(&json, &path))
            .transpose()
    }

    fn required_state(&self, name: &str) -> Result<Seen, TrustStoreError> {
        match self.seen(name)? {
            Some(seen) => Ok(seen),
            None => Err(TrustStoreError::StateMissing {
                path: self.state_path(name)?,
            }),
        }
    }

    /// Makes room for a new authority.
    fn create(&self, name: &str, pin: &Pin) -> Result<Lock, TrustStoreError> {
        check_name(name)?;
        for directory in [&self.directory, self.writable()?] {
            files::create_directory(directory)?;
        }
        let lock = Lock::take(&self.directory)?;
        // A directory without a pin is what a crash left of an earlier attempt.
        if self.home(name).join(PIN).exists() {
            return Err(TrustStoreError::Exists(name.to_owned()));
        }
        self.check_untaken(name, pin)?;
        files::create_directory(&self.home(name))?;
        Ok(lock)
    }

    /// Checks that no other authority has a root or another certifying key of this one, or issues
    /// for its trust domain: two that do could not be told apart by what they sign or by whom they
    /// name. One that cannot be read may be that other.
    ///
    /// People are no authorities: several files may list the same ones.
    fn check_untaken(&self, name: &str, pin: &Pin) -> Result<(), TrustStoreError> {
        if !pin.kind().is_of_authority() {
            return Ok(());
        }
        for other in self.names()? {
            let path = self.home(&other).join(PIN);
            if other == name || !path.exists() {
                continue;
            }
            let known = Pin::from_json(&read(&path)?, &path)?;
            if !known.kind().is_of_authority() {
                continue;
            }
            let has = |digest: &&[u8; 32]| known.keys().any(|known| known == *digest);
            if let Some(digest) = pin.keys().find(has) {
                return Err(TrustStoreError::RootTaken {
                    spki_sha256: hex::encode(digest),
                    name: other,
                });
            }
            if let (Some(domain), Some(taken)) = (pin.trust_domain(), known.trust_domain())
                && domain.eq_ignore_ascii_case(taken)
            {
                return Err(TrustStoreError::TrustDomainTaken {
                    domain: domain.to_owned(),
                    name: other,
                });
            }
        }
        Ok(())
    }

    fn lock(&self, name: &str) -> Result<Lock, TrustStoreError> {
        self.writable()?;
        self.check_known(name)?;
        Lock::take(&self.directory)
    }

    fn check_known(&self, name: &str) -> Result<(), TrustStoreError> {
        check_name(name)?;
        if self.contains(name) {
            return Ok(());
        }
        Err(TrustStoreError::Unknown(name.to_owned()))
    }

    fn names(&self) -> Result<Vec<String>, TrustStoreError> {
        match files::subdirectories(&self.directory) {
            Err(TrustStoreError::Read { source, .. })
                if source.kind() == io::ErrorKind::NotFound && self.state.is_some() =>
            {
                Ok(Vec::new())
            }
            names => names,
        }
    }

    fn home(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn state_path(&self, name: &str) -> Result<PathBuf, TrustStoreError> {
        Ok(self.writable()?.join(format!("{name}.json")))
    }

    /// Returns the state directory, which only a store has that may be changed.
    fn writable(&self) -> Result<&PathBuf, TrustStoreError> {
        self.state
            .as_ref()
            .ok_or_else(|| TrustStoreError::ReadOnly {
                path: self.directory.clone(),
            })
    }
}

/// What kind of authority a PEM bundle is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PemKind {
    /// A notme authority: its certificates carry scopes and live briefly.
    Notme,
    /// One that knows nothing of notme, as gpgsm and openssl users have.
    X509,
}

impl PemKind {
    const fn pin(self) -> PinKind {
        match self {
            Self::Notme => PinKind::Pem,
            Self::X509 => PinKind::X509,
        }
    }
}

/// Reads the keys of a file with which something can be verified.
fn people(keys: &[u8]) -> Result<(Vec<Person>, Vec<String>), TrustStoreError> {
    let keys = KeyBlocks::read(keys).map_err(TrustStoreError::Keys)?;
    let mut people = Vec::new();
    let mut passed_over = vec!["a key cannot be read".to_owned(); keys.unread()];
    let mut refused = None;
    for block in keys.keys() {
        match Person::of(block) {
            Ok(person) => people.push(person),
            Err(error) => {
                let names: Vec<_> = block.user_ids().iter().map(UserId::text).collect();
                let (key, names) = (block.primary().fingerprint(), names.join(", "));
                passed_over.push(format!("the key {key} of {names} cannot be used"));
                refused = Some(error);
            }
        }
    }
    match (people.is_empty(), refused) {
        (true, Some(error)) => Err(TrustStoreError::Keys(error)),
        (_, _) => Ok((people, passed_over)),
    }
}

/// Reads a file of allowed signers, of which every line has to be readable anywhere.
fn signers(text: &[u8]) -> Result<Vec<ListedKey>, TrustStoreError> {
    let file = AllowedSigners::parse(text, &|_local| None);
    file.check().map_err(TrustStoreError::Signers)?;
    let signers: Vec<_> = file.lines().iter().filter_map(ListedKey::of).collect();
    match signers.is_empty() {
        true => Err(TrustStoreError::NoSigners),
        false => Ok(signers),
    }
}

/// Returns every key of an instance of Sigstore, in the order of the file.
fn sigstore_keys(root: &SigstoreRoot) -> Vec<[u8; 32]> {
    let certificates = root.issuers.iter().chain(&root.tsa);
    let keys = certificates.map(|it| it.value.public_key().spki_sha256());
    let logs = root.logs.iter().map(|it| it.value.log_id());
    keys.chain(logs).collect()
}

/// Reads a policy file.
///
/// # Errors
/// [`PolicyError`] when it is missing, unreadable, not text, or not a policy.
pub fn policy(path: &Path) -> Result<Policy, PolicyError> {
    parse_policy(path, files::read_up_to(path, POLICY_MAX))
}

/// As [`policy`], of a file that the caller opened: it may be a pipe, too.
///
/// # Errors
/// As [`policy`].
pub fn policy_from(path: &Path, open: impl io::Read) -> Result<Policy, PolicyError> {
    parse_policy(path, files::read_all(open, POLICY_MAX))
}

fn parse_policy(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<Policy, PolicyError> {
    let path = path.to_owned();
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(source) => return Err(PolicyError::Read { path, source }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Policy::parse(&text).map_err(|error| error.of_file(path)),
        Err(_) => Err(PolicyError::NotText { path }),
    }
}

/// Checks a trust document by what is pinned of its authority.
fn verify(envelope: &[u8], pin: &Pin, now: UnixTime) -> Result<VerifiedTrust, TrustStoreError> {
    let verified = TrustDocument::verify_successor(envelope, pin.spki(), pin.retired(), now)
        .map_err(TrustStoreError::Document)?;
    pin.check_same(verified.document())?;
    Ok(verified)
}

/// Keeps what the pins name; every pin must name something. Without pins, keeps all.
fn pinned(
    certificates: Vec<Certificate>,
    pins: &[[u8; 32]],
) -> Result<Vec<Certificate>, TrustStoreError> {
    let spki = |certificate: &Certificate| certificate.public_key().spki_sha256();
    for pin in pins {
        if !certificates
            .iter()
            .any(|certificate| spki(certificate) == *pin)
        {
            return Err(TrustStoreError::PinNotMet(hex::encode(pin)));
        }
    }
    let kept = certificates
        .into_iter()
        .filter(|certificate| pins.is_empty() || pins.contains(&spki(certificate)));
    kept.map(
        |certificate| match certificate.is_ca() && certificate.has_key_cert_sign() {
            true => Ok(certificate),
            false => Err(TrustStoreError::NotAnAuthority(certificate.kid())),
        },
    )
    .collect()
}

/// Checks that each document names the one before. Who signed those in between does not matter:
/// the new one, which was verified, stands for all of them.
fn check_links(
    seen: &Seen,
    missed: &[Vec<u8>],
    new: &VerifiedTrust,
) -> Result<(), TrustStoreError> {
    let (mut seqno, mut digest) = (seen.seqno, hex::encode(&seen.payload_sha256));
    for envelope in missed {
        let unreadable = |error| TrustStoreError::Document(TrustError::Envelope(error));
        let envelope = Envelope::from_json(envelope).map_err(unreadable)?;
        let link: Link = serde_json::from_slice(envelope.payload())
            .map_err(|error| TrustStoreError::Document(TrustError::Json(error)))?;
        if link.previous.as_deref() != Some(digest.as_str()) {
            return Err(SuccessionError::Equivocation(seqno).into());
        }
        (seqno, digest) = (link.seqno, hex::encode(&sha256(envelope.payload())));
    }
    match new.document().previous.as_deref() == Some(digest.as_str()) {
        true => Ok(()),
        false => Err(SuccessionError::Equivocation(seqno).into()),
    }
}

/// What of a document in between is looked at.
#[derive(Deserialize)]
struct Link {
    seqno: u64,
    previous: Option<String>,
}

/// A name becomes a directory, so it is kept to what no path can be made of.
fn check_name(name: &str) -> Result<(), TrustStoreError> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let well_formed = name.starts_with(is_plain)
        && name.len() <= 64
        && name.chars().all(|c| is_plain(c) || "._-".contains(c));
    if well_formed {
        return Ok(());
    }
    Err(TrustStoreError::Name(name.to_owned()))
}
