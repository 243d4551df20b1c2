//! The keys of the authority: those in use, and what is published of all that there were.

use notme_core::{
    certificate::Certificate,
    key::{Algorithm, KeyId, PublicKey, Signer},
    time::UnixTime,
    trust::{self, OpenPgpCa, Root, SshCa},
};

use crate::{
    audit::{Act, Entry, operator},
    ca::{Ca, CaError, CaName, Making},
    custody::{Custody, Pkcs11Error},
    format_ca::{self, FormatCas},
    store::{AuthorityRecord, EpochRecord, EpochState, SealedFormatCa, Store, StoreError},
    tsa::Tsa,
};

/// Open keys. Those of one epoch issue; others only sign trust documents.
pub(crate) struct Keys {
    /// The epoch that issues.
    pub(crate) epoch: u64,
    pub(crate) ed25519: Ca,
    pub(crate) interop: Ca,
    pub(crate) formats: FormatCas,
    pub(crate) tsa: Tsa,
    from: UnixTime,
    /// The roots that are prepared or on their way out, in the order of their importance.
    cosigners: Vec<Ca>,
    published: Vec<Epoch>,
    changes: u64,
}

impl Keys {
    /// Opens what a store keeps.
    pub(crate) fn open(record: &AuthorityRecord, custody: &Custody) -> Result<Self, KeysError> {
        let active = record.active()?;
        let mut cosigners = Vec::new();
        for epoch in record.prepared().into_iter().chain(record.outgoing()) {
            cosigners.push(Ca::open(CaName::Ed25519, epoch, custody)?);
            cosigners.push(Ca::open(CaName::Interop, epoch, custody)?);
        }
        Ok(Self {
            epoch: active.number,
            ed25519: Ca::open(CaName::Ed25519, active, custody)?,
            interop: Ca::open(CaName::Interop, active, custody)?,
            formats: FormatCas::open(active, custody)?,
            tsa: Tsa::open(active, custody)?,
            from: active.state.from().unwrap_or(record.created_at),
            cosigners,
            published: record
                .epochs
                .iter()
                .map(Epoch::of)
                .collect::<Result<_, _>>()?,
            changes: record.key_changes,
        })
    }

    /// Returns when a key began to issue that is there since `made`.
    pub(crate) fn from(&self, made: UnixTime) -> UnixTime {
        self.from.max(made)
    }

    /// Returns what a trust document is signed with: what is in use, what is prepared, and of
    /// what goes as much as an envelope can carry. All that went left a handover.
    pub(crate) fn trust_signers(&self) -> Vec<&dyn Signer> {
        [&self.ed25519, &self.interop]
            .into_iter()
            .chain(&self.cosigners)
            .map(Ca::key)
            .take(notme_core::dsse::SIGNATURES_MAX)
            .collect()
    }

    /// Returns what is published of every epoch, oldest first.
    pub(crate) fn epochs(&self) -> &[Epoch] {
        &self.published
    }

    /// Returns the epochs of which certificates may be alive: the one in use first, then those
    /// that retired and have keys, newest first.
    pub(crate) fn issuing_and_outgoing(&self) -> impl Iterator<Item = &Epoch> {
        let active = self.published.iter().filter(|epoch| epoch.is_active());
        let outgoing =
            self.published.iter().rev().filter(|epoch| {
                matches!(epoch.state, EpochState::Retired { .. }) && epoch.has_keys
            });
        active.chain(outgoing)
    }

    /// Returns the epoch that issued before this one.
    pub(crate) fn previous(&self) -> Option<&Epoch> {
        self.published
            .iter()
            .rfind(|epoch| matches!(epoch.state, EpochState::Retired { .. }))
    }

    /// Returns the epoch that is to issue next.
    pub(crate) fn prepared(&self) -> Option<&Epoch> {
        self.published
            .iter()
            .find(|epoch| matches!(epoch.state, EpochState::Prepared))
    }

    /// Tells which state of the store this is.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }
}

/// What is published of the keys of an epoch.
#[derive(Clone, Debug)]
pub(crate) struct Epoch {
    pub(crate) number: u64,
    pub(crate) state: EpochState,
    /// Whether the private keys still exist.
    pub(crate) has_keys: bool,
    /// Ed25519, then `interop`.
    pub(crate) roots: Vec<Root>,
    /// Absent in an epoch from before there were any.
    pub(crate) ssh: Option<SshCa>,
    /// Absent in an epoch from before there were any.
    pub(crate) openpgp: Option<OpenPgpCa>,
    /// Absent in an epoch from before there were any.
    pub(crate) tsa: Option<trust::Tsa>,
}

impl Epoch {
    pub(crate) fn of(record: &EpochRecord) -> Result<Self, CaError> {
        let certificates = record
            .cas
            .iter()
            .map(|ca| Ok((Certificate::from_der(&ca.certificate)?, &ca.handover)))
            .collect::<Result<Vec<_>, CaError>>()?;
        // What is prepared issues nothing: not before a time that no document ever reaches. The
        // one that announces its use says the real time.
        let never = certificates.iter().map(|(root, _)| root.not_after()).min();
        let never = never.ok_or(CaError::Missing(CaName::Ed25519.as_str()))?;
        let from = |made: UnixTime| record.state.from().map_or(never, |from| from.max(made));
        let retired_at = record.state.retired_at();
        let roots = certificates.iter().map(|(certificate, handover)| Root {
            kid: certificate.kid(),
            algorithm: certificate.public_key().algorithm(),
            from: from(certificate.not_before()),
            retired_at,
            handover: (*handover).clone(),
            certificate: certificate.clone(),
        });
        let ssh = format_ca::SshCa::kept(&record.format_cas)?;
        let openpgp = format_ca::OpenPgpCa::kept(&record.format_cas)?;
        let tsa = Tsa::kept(&record.format_cas)?;
        Ok(Self {
            number: record.number,
            state: record.state,
            has_keys: record.has_keys(),
            roots: roots.collect(),
            ssh: ssh.map(|(public_key, made)| SshCa {
                kid: public_key.kid(),
                public_key,
                from: from(made),
                retired_at,
            }),
            openpgp: openpgp
                .map(|(certificate, made)| {
                    Ok::<_, CaError>(OpenPgpCa {
                        fingerprint: certificate.fingerprint().clone(),
                        kid: certificate
                            .key()
                            .kid()
                            .ok_or(CaError::Mismatch(format_ca::OpenPgpCa::NAME))?,
                        certificate,
                        from: from(made),
                        retired_at,
                    })
                })
                .transpose()?,
            tsa: tsa.map(|(certificate, made)| trust::Tsa {
                kid: certificate.kid(),
                certificate,
                from: from(made),
                retired_at,
            }),
        })
    }

    /// Returns the ids of all of its keys.
    pub(crate) fn kids(&self) -> impl Iterator<Item = KeyId> {
        let roots = self.roots.iter().map(|root| root.kid);
        let ssh = self.ssh.iter().map(|ca| ca.kid);
        let openpgp = self.openpgp.iter().map(|ca| ca.kid);
        let tsa = self.tsa.iter().map(|tsa| tsa.kid);
        roots.chain(ssh).chain(openpgp).chain(tsa)
    }

    /// Returns the public key of its Ed25519 root, which signs tokens, too.
    pub(crate) fn ed25519(&self) -> Option<&PublicKey> {
        let mut keys = self.roots.iter().map(|root| root.certificate.public_key());
        keys.find(|key| key.algorithm() == Algorithm::Ed25519)
    }

    /// Returns the first moment at which all of its keys were in use.
    pub(crate) fn in_use_since(&self) -> Option<UnixTime> {
        let roots = self.roots.iter().map(|root| root.from);
        let ssh = self.ssh.iter().map(|ca| ca.from);
        let openpgp = self.openpgp.iter().map(|ca| ca.from);
        let tsa = self.tsa.iter().map(|tsa| tsa.from);
        roots.chain(ssh).chain(openpgp).chain(tsa).max()
    }

    fn is_active(&self) -> bool {
        matches!(self.state, EpochState::Active { .. })
    }
}

/// Gives up those retired epochs of which a root is not in the token any more, as they were when it
/// was retired after this was written. Returns which those are; nothing is changed in the store.
pub(crate) fn give_up_missing(
    record: &mut AuthorityRecord,
    custody: &Custody,
) -> Result<Vec<u64>, CaError> {
    let mut gone = Vec::new();
    for epoch in record.outgoing() {
        let opened = [CaName::Ed25519, CaName::Interop]
            .into_iter()
            .try_for_each(|name| Ca::open(name, epoch, custody).map(drop));
        match opened {
            Ok(()) => {}
            Err(CaError::Pkcs11(Pkcs11Error::KeyMissing { .. })) => gone.push(epoch.number),
            Err(error) => return Err(error),
        }
    }
    for epoch in &mut record.epochs {
        epoch.leaving |= gone.contains(&epoch.number);
    }
    Ok(gone)
}

/// Makes the keys of an epoch: all of them, or none.
pub(crate) fn make(making: &Making<'_>, state: EpochState) -> Result<EpochRecord, CaError> {
    making.whole(|| {
        let mut epoch = EpochRecord {
            number: making.epoch,
            state,
            leaving: false,
            cas: vec![
                Ca::make(CaName::Ed25519, making)?,
                Ca::make(CaName::Interop, making)?,
            ],
            format_cas: Vec::new(),
        };
        epoch.format_cas = make_missing(&epoch, making)?;
        Ok(epoch)
    })
}

/// Makes the keys that an epoch lacks besides its roots.
fn make_missing(epoch: &EpochRecord, making: &Making<'_>) -> Result<Vec<SealedFormatCa>, CaError> {
    let mut made = match epoch.format_cas.is_empty() {
        true => FormatCas::make(making)?,
        false => Vec::new(),
    };
    if Tsa::kept(&epoch.format_cas)?.is_none() {
        let interop = Ca::open(CaName::Interop, epoch, making.custody)?;
        made.push(Tsa::make(&interop, making)?);
    }
    Ok(made)
}

/// Opens the kept keys. A store from before SSH and OpenPGP gets the keys of those: it has none
/// of them, as opposed to one that lost some. One from before time stamps gets the key for these.
pub(crate) fn unlock(
    store: &dyn Store,
    record: &mut AuthorityRecord,
    custody: &Custody,
    now: UnixTime,
) -> Result<Keys, KeysError> {
    let active = record.active()?;
    // First, so that a wrong secret changes nothing.
    Ca::open(CaName::Ed25519, active, custody)?;
    let trust_domain = record.trust_domain.clone();
    let making = Making::new(custody, &trust_domain, active.number, now);
    let made = making.whole(|| make_missing(active, &making))?;
    if !made.is_empty() {
        let names: Vec<_> = made.iter().map(|ca| ca.name.as_str()).collect();
        let about = format!("{} of epoch {}", names.join(" "), active.number);
        let entry = Entry::new(now, operator(), Act::AddKeys, about);
        let added = store.add_format_cas(active.number, &made, &entry);
        making.settle(added.map_err(KeysError::from), |_| true)?;
        *record = store
            .authority()?
            .ok_or(StoreError::Damaged("no authority"))?;
        // Where another instance was first, its keys count.
        making.discard_all_but(record)?;
    }
    Keys::open(record, custody)
}

/// Why the keys cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
