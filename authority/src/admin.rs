//! What an operator does beside the running authority: found it, hand out tokens, look.

use std::{fmt, io, sync::Arc};

use notme_core::{
    certificate::{Certificate, CertificateError},
    hex,
    key::KeyId,
    ssh,
    time::UnixTime,
    trust::{Revocation, RevocationKind},
};
use notme_local::{DirectoryError, check_private_directory, create_private_directory};
use serde::Serialize;

use crate::{
    audit::{Act, AuditCheck, AuditError, AuditHead, Entry, operator},
    authority::{Founding, OpenError},
    backup::BackupError,
    ca::CaError,
    clock::Clock,
    custody,
    instance::{InstanceError, InstanceLock},
    keys::Epoch,
    opening::{Place, open_or_found},
    revocation::{RevocationError, RevocationReason, Revoked, Taken, check_since},
    rotation::{EpochInfo, RotationError},
    seal::{Protection, SealingKind},
    store::{AuthorityRecord, Store, StoreError, Summary},
    token::{EnrolmentToken, NewToken, TokenError, TokenInfo},
};

/// Makes the authority of a place, or checks that the secret opens the one that is there.
///
/// # Errors
/// [`AdminError`]; a directory that another process serves is [`AdminError::Instance`].
pub fn init(
    place: impl Into<Place>,
    founding: &Founding,
    protection: &Protection,
    clock: Arc<dyn Clock>,
) -> Result<Admin, AdminError> {
    let place = place.into();
    create_private_directory(place.directory())?;
    let _lock = InstanceLock::acquire(place.directory())?;
    let opened = open_or_found(&place, protection, founding, clock.now())?;
    Ok(Admin::over(opened.store, clock))
}

/// The open store of an authority. Its keys stay closed: nothing here signs.
pub struct Admin {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

impl Admin {
    /// Opens the authority of a place, whether one serves it or not.
    ///
    /// # Errors
    /// [`AdminError::NotFounded`] when there is none yet.
    pub fn open(place: impl Into<Place>, clock: Arc<dyn Clock>) -> Result<Self, AdminError> {
        let place = place.into();
        if place.file().exists() {
            check_private_directory(place.directory())?;
        }
        let store = place.existing_store()?.ok_or(AdminError::NotFounded)?;
        let admin = Self::over(store, clock);
        admin.record()?;
        Ok(admin)
    }

    pub(crate) fn over(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// Makes an enrolment token. It is shown once: the store keeps its digest.
    ///
    /// # Errors
    /// [`AdminError::Token`] for limits that make no sense or a principal that cannot be one.
    pub fn create_token(&self, token: NewToken) -> Result<(EnrolmentToken, TokenInfo), AdminError> {
        let authority = self.record()?;
        let (token, record) = token.make(
            &authority.trust_domain,
            &authority.operator,
            self.clock.now(),
        )?;
        let info = TokenInfo::from(record.clone());
        let about = format!("{} for {} of {}", info.id, info.agent, info.principal);
        self.store
            .add_token(&record, &self.entry(Act::CreateToken, about))?;
        Ok((token, info))
    }

    /// Lists the tokens, oldest first.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub fn tokens(&self) -> Result<Vec<TokenInfo>, AdminError> {
        Ok(self
            .store
            .tokens()?
            .into_iter()
            .map(TokenInfo::from)
            .collect())
    }

    /// Revokes a token by its id and ends the sessions that were enrolled with it. Returns how
    /// many that were.
    ///
    /// # Errors
    /// [`AdminError::Token`] when no token has the id.
    pub fn revoke_token(&self, id: &str) -> Result<u64, AdminError> {
        let entry = self.entry(Act::RevokeToken, id.to_owned());
        let id = hex::decode_array(id).ok_or(TokenError::Unknown)?;
        let ended = self.store.revoke_token(id, &entry)?;
        Ok(ended.ok_or(TokenError::Unknown)?)
    }

    /// Says where the instances that share the store are reached from now on. Those that serve at
    /// another URL publish nothing any more, and no new one does.
    ///
    /// # Errors
    /// [`AdminError::NotShared`] for a store in a directory: whoever serves it says where.
    pub fn move_to(&self, url: &str) -> Result<(), AdminError> {
        if self.record()?.url.is_none() {
            return Err(AdminError::NotShared);
        }
        let entry = self.entry(Act::Move, url.to_owned());
        Ok(self.store.replace_url(url, &entry)?)
    }

    /// Takes something back, from `since` on or from now, and ends the living sessions that it
    /// concerns. A running authority publishes it with the next document that is asked for, one
    /// that does not run when it starts. It cannot be undone.
    ///
    /// # Errors
    /// [`AdminError::Revocation`] for what cannot be revoked.
    pub fn revoke(
        &self,
        what: &Revoked,
        since: Option<UnixTime>,
        reason: RevocationReason,
    ) -> Result<Taken, AdminError> {
        let now = self.clock.now();
        let (kind, value) = what.named(&self.record()?.trust_domain)?;
        let revocation = Revocation {
            kind,
            value,
            since: check_since(since.unwrap_or(now), now)?,
            reason: reason.as_str().to_owned(),
        };
        let with = match what {
            Revoked::Epoch(number) => self.keys_of(*number)?,
            Revoked::Certificate(_)
            | Revoked::Key(_)
            | Revoked::Session(_)
            | Revoked::Identity(_) => Vec::new(),
        };
        let with: Vec<_> = with
            .into_iter()
            .map(|kid| Revocation {
                kind: RevocationKind::Key,
                value: kid.to_string(),
                ..revocation.clone()
            })
            .collect();
        let about = format!(
            "{} {} since {}: {}",
            revocation.kind.as_str(),
            revocation.value,
            revocation.since,
            revocation.reason
        );
        let entry = self.entry(Act::Revoke, about);
        Ok(self.store.revoke(&revocation, &with, &entry)?)
    }

    /// Writes every row of the audit, one on each line, oldest first.
    ///
    /// # Errors
    /// [`AdminError::Store`], and [`AdminError::Export`] when it cannot be written.
    pub fn export_audit(&self, out: &mut dyn io::Write) -> Result<(), AdminError> {
        let mut last = 0;
        loop {
            let rows = self.store.audit_after(last)?;
            let Some(newest) = rows.last() else {
                return Ok(());
            };
            last = newest.number;
            for row in &rows {
                writeln!(out, "{}", row.row).map_err(AdminError::Export)?;
            }
        }
    }

    /// Checks that the audit in the store is whole, up to the head that the store has and, if
    /// given, one that the caller kept. Returns how many rows there are.
    ///
    /// # Errors
    /// [`AdminError::Audit`] naming the first thing that is wrong.
    pub fn verify_audit(&self, kept: Option<AuditHead>) -> Result<u64, AdminError> {
        let own = match self.store.audit_head()? {
            Some(head) => Some(self.own_head(&head.envelope)?),
            None => None,
        };
        let mut checks = [AuditCheck::new(own), AuditCheck::new(kept)];
        let mut last = 0;
        loop {
            let rows = self.store.audit_after(last)?;
            let Some(newest) = rows.last() else {
                break;
            };
            last = newest.number;
            for row in &rows {
                for check in &mut checks {
                    check.row(row.row.as_bytes())?;
                    check.kept(&row.hash)?;
                }
            }
        }
        let [own, kept] = checks;
        own.finish()?;
        Ok(kept.finish()?)
    }

    /// Returns the last signed head of the audit.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub fn audit_head(&self) -> Result<Option<Vec<u8>>, AdminError> {
        Ok(self.store.audit_head()?.map(|head| head.envelope))
    }

    /// Reads a head that one of our own roots signed.
    fn own_head(&self, envelope: &[u8]) -> Result<AuditHead, AdminError> {
        let epochs = self.record()?;
        let epochs = epochs.epochs.iter().map(Epoch::of);
        let epochs = epochs.collect::<Result<Vec<_>, _>>()?;
        let roots = epochs.iter().flat_map(|epoch| &epoch.roots);
        let keys: Vec<_> = roots.map(|root| root.certificate.public_key()).collect();
        Ok(AuditHead::read(envelope, &keys)?)
    }

    fn entry(&self, act: Act, about: String) -> Entry {
        Entry::new(self.clock.now(), operator(), act, about)
    }

    /// Returns the ids of all keys of an epoch.
    fn keys_of(&self, number: u64) -> Result<Vec<KeyId>, AdminError> {
        let record = self.record()?;
        let epoch = record.epochs.iter().find(|epoch| epoch.number == number);
        let epoch = Epoch::of(epoch.ok_or(RevocationError::Epoch(number))?)?;
        Ok(epoch.kids().collect())
    }

    /// Returns everything that was taken back, oldest first.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub fn revocations(&self) -> Result<Vec<Revocation>, AdminError> {
        Ok(self.store.revocations()?)
    }

    /// Returns both root certificates in use: Ed25519, then `interop`.
    ///
    /// # Errors
    /// [`AdminError::Certificate`] when the store is damaged.
    pub fn roots(&self) -> Result<Vec<Certificate>, AdminError> {
        let record = self.record()?;
        let kept = &record.active()?.cas;
        Ok(kept
            .iter()
            .map(|ca| Certificate::from_der(&ca.certificate))
            .collect::<Result<_, _>>()?)
    }

    /// Returns both root certificates in use as PEM.
    ///
    /// # Errors
    /// As [`Admin::roots`].
    pub fn bundle(&self) -> Result<String, AdminError> {
        Ok(self.roots()?.iter().map(Certificate::pem).collect())
    }

    /// Returns the keys in use that certify in SSH and OpenPGP; none before the first start of a
    /// version that has them.
    ///
    /// # Errors
    /// [`AdminError::Ca`] when the store is damaged.
    pub fn format_keys(&self) -> Result<Vec<FormatKeyInfo>, AdminError> {
        Ok(FormatKeyInfo::of(&Epoch::of(self.record()?.active()?)?))
    }

    /// Returns every epoch of keys, oldest first.
    ///
    /// # Errors
    /// [`AdminError::Ca`] when the store is damaged.
    pub fn epochs(&self) -> Result<Vec<EpochInfo>, AdminError> {
        let record = self.record()?;
        let epochs = record.epochs.iter();
        Ok(epochs
            .map(|epoch| EpochInfo::of(epoch, &record.sealing))
            .collect::<Result<_, _>>()?)
    }

    /// Returns the latest signed trust document; `None` before the authority first served.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub fn trust(&self) -> Result<Option<Vec<u8>>, AdminError> {
        Ok(self.store.trust()?.map(|record| record.envelope))
    }

    /// Describes the authority.
    ///
    /// # Errors
    /// [`AdminError::Store`].
    pub fn describe(&self) -> Result<Description, AdminError> {
        let record = self.record()?;
        let roots = self.roots()?;
        let active = record.active()?;
        let sealing = custody::kind(active, &record.sealing);
        Ok(Description {
            epoch: active.number,
            trust_domain: record.trust_domain,
            operator: record.operator,
            url: record.url,
            created_at: record.created_at,
            sealing: sealing.unwrap_or(record.sealing.kind()),
            roots: roots.iter().map(RootInfo::from).collect(),
            format_keys: self.format_keys()?,
            epochs: self.epochs()?,
            summary: self.store.summary(self.clock.now())?,
        })
    }

    pub(crate) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(crate) fn record(&self) -> Result<AuthorityRecord, AdminError> {
        self.store.authority()?.ok_or(AdminError::NotFounded)
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// An authority, as its operator sees it.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// The first segment of every identity it issues.
    pub trust_domain: String,
    /// The principal of agents whose token names no other.
    pub operator: String,
    /// Where its instances are reached, when several can share its store and one served.
    pub url: Option<String>,
    /// Rises with every rotation.
    pub epoch: u64,
    /// When it was founded.
    pub created_at: UnixTime,
    /// What keeps its keys in use. `local-file` protects copies of the store, not the directory.
    pub sealing: SealingKind,
    /// Its roots in use: Ed25519, then `interop`.
    pub roots: Vec<RootInfo>,
    /// The keys in use that certify in other formats.
    pub format_keys: Vec<FormatKeyInfo>,
    /// Every epoch of its keys, oldest first.
    pub epochs: Vec<EpochInfo>,
    /// What its store holds.
    pub summary: Summary,
}

/// A root, as one would pin it.
#[derive(Clone, Debug, Serialize)]
pub struct RootInfo {
    /// The id of its key.
    pub kid: KeyId,
    /// The name of its algorithm.
    pub algorithm: &'static str,
    /// The name in the certificate, for display.
    pub subject: String,
    /// SHA-256 of the SubjectPublicKeyInfo, in hex: the pin.
    pub spki_sha256: String,
    /// Last second of validity.
    pub not_after: UnixTime,
}

impl From<&Certificate> for RootInfo {
    fn from(certificate: &Certificate) -> Self {
        Self {
            kid: certificate.kid(),
            algorithm: certificate.public_key().algorithm().as_str(),
            subject: certificate.subject_text(),
            spki_sha256: hex::encode(&certificate.public_key().spki_sha256()),
            not_after: certificate.not_after(),
        }
    }
}

/// A key that certifies in a format other than X.509.
#[derive(Clone, Debug, Serialize)]
pub struct FormatKeyInfo {
    /// `ssh` or `openpgp`.
    pub format: &'static str,
    /// The fingerprint, as tools of the format print it.
    pub name: String,
    /// What others are given: the line of a public key file, or an armored key.
    pub public: String,
}

impl FormatKeyInfo {
    pub(crate) fn of(epoch: &Epoch) -> Vec<Self> {
        let ssh = epoch.ssh.iter().map(|ca| Self {
            format: "ssh",
            name: ca.public_key.fingerprint(),
            public: ssh::Key::Plain(ca.public_key.clone()).to_text(),
        });
        let openpgp = epoch.openpgp.iter().map(|ca| Self {
            format: "openpgp",
            name: ca.fingerprint.to_string(),
            public: ca.certificate.to_armor(),
        });
        ssh.chain(openpgp).collect()
    }
}

/// Why the operator cannot have it.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The audit is not what it was.
    #[error("the audit is not whole")]
    Audit(#[from] AuditError),
    /// There is no backup, or it was not restored.
    #[error("the backup failed")]
    Backup(#[from] BackupError),
    /// A kept key does not parse.
    #[error("a kept key is damaged")]
    Ca(#[from] CaError),
    /// A kept certificate does not parse.
    #[error("a kept certificate is damaged")]
    Certificate(#[from] CertificateError),
    /// The audit cannot be written out.
    #[error("could not write the audit")]
    Export(#[source] io::Error),
    /// The directory is not private.
    #[error("the directory of the authority cannot be used")]
    Home(#[from] DirectoryError),
    /// Another process serves the directory.
    #[error("the authority cannot have its directory for itself")]
    Instance(#[from] InstanceError),
    /// There is no authority in the directory yet.
    #[error("there is no authority here yet")]
    NotFounded,
    /// No URL is kept that could be replaced.
    #[error("the store keeps no URL: whoever serves it says where")]
    NotShared,
    /// Store or keys cannot be opened.
    #[error("the authority cannot be opened")]
    Open(#[from] OpenError),
    /// What is to be taken back cannot be.
    #[error("nothing was revoked")]
    Revocation(#[from] RevocationError),
    /// It is not the turn of a step of a rotation.
    #[error("the keys were not rotated")]
    Rotation(#[from] RotationError),
    /// The store failed.
    #[error("the store of the authority cannot be used")]
    Store(#[from] StoreError),
    /// The token cannot be made or found.
    #[error("the token is refused")]
    Token(#[from] TokenError),
}

impl AdminError {
    /// Returns the code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Audit(error) => error.code(),
            Self::Backup(error) => error.code(),
            Self::Ca(error) => error.code(),
            Self::Export(_) => "authority-runtime",
            Self::Certificate(_) => "authority-store-damaged",
            Self::Home(error) => error.code(),
            Self::Instance(error) => error.code(),
            Self::NotFounded => "authority-not-founded",
            Self::NotShared => "authority-not-shared",
            Self::Open(error) => error.code(),
            Self::Revocation(_) => "revocation-malformed",
            Self::Rotation(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Token(error) => error.code(),
        }
    }
}
