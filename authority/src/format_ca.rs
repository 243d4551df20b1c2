//! What certifies in SSH and in OpenPGP. Each has a key of its own: no signature made for one
//! format can be taken for one of another.

use notme_core::{
    key::{PublicKey, Signer},
    openpgp::{AuthorityKeyTemplate, TrustedKey, build_authority_key},
    ssh,
    time::UnixTime,
};

use crate::{
    ca::{BACKDATED, CaError, Making},
    ca_key::{CaKey, KeyKind, KeyName},
    custody::Custody,
    store::{EpochRecord, SealedFormatCa},
};

/// Both of them.
pub(crate) struct FormatCas {
    pub(crate) ssh: SshCa,
    pub(crate) openpgp: OpenPgpCa,
}

impl FormatCas {
    /// Makes new ones.
    pub(crate) fn make(making: &Making<'_>) -> Result<Vec<SealedFormatCa>, CaError> {
        Ok(vec![SshCa::make(making)?, OpenPgpCa::make(making)?])
    }

    /// Opens the kept ones.
    pub(crate) fn open(kept: &EpochRecord, custody: &Custody) -> Result<Self, CaError> {
        Ok(Self {
            ssh: SshCa::open(kept, custody)?,
            openpgp: OpenPgpCa::open(kept, custody)?,
        })
    }
}

/// What signs OpenSSH certificates.
pub(crate) struct SshCa {
    key: CaKey,
    from: UnixTime,
}

impl SshCa {
    const NAME: &str = "ssh";

    fn make(making: &Making<'_>) -> Result<SealedFormatCa, CaError> {
        let from = making.now.plus(-BACKDATED);
        let (key, kept_key) = making.key(Self::NAME, KeyKind::Ed25519)?;
        let public = ssh::PublicKey::from_key(key.public_key())?;
        Ok(SealedFormatCa {
            name: Self::NAME.to_owned(),
            public: public.blob().to_vec(),
            key: Some(kept_key),
            created_at: from,
        })
    }

    fn open(kept: &EpochRecord, custody: &Custody) -> Result<Self, CaError> {
        let sealed = find(&kept.format_cas, Self::NAME)?;
        let name = KeyName::new(Self::NAME, kept.number);
        let public = Self::public(sealed)?;
        let public = public.ed25519().ok_or(CaError::Mismatch(Self::NAME))?;
        Ok(Self {
            key: custody.key(name, sealed.key.as_deref(), public)?,
            from: sealed.created_at,
        })
    }

    /// Reads the public half of a kept one, and when it was made; `None` when there are no keys of
    /// other formats at all.
    pub(crate) fn kept(
        kept: &[SealedFormatCa],
    ) -> Result<Option<(ssh::PublicKey, UnixTime)>, CaError> {
        if kept.is_empty() {
            return Ok(None);
        }
        let sealed = find(kept, Self::NAME)?;
        Ok(Some((Self::public(sealed)?, sealed.created_at)))
    }

    fn public(sealed: &SealedFormatCa) -> Result<ssh::PublicKey, CaError> {
        Ok(ssh::PublicKey::from_blob(&sealed.public)?)
    }

    pub(crate) fn key(&self) -> &dyn Signer {
        &self.key
    }

    pub(crate) fn from(&self) -> UnixTime {
        self.from
    }
}

/// What certifies OpenPGP keys.
pub(crate) struct OpenPgpCa {
    certificate: TrustedKey,
    key: CaKey,
    from: UnixTime,
}

impl OpenPgpCa {
    pub(crate) const NAME: &str = "openpgp";

    fn make(making: &Making<'_>) -> Result<SealedFormatCa, CaError> {
        let from = making.now.plus(-BACKDATED);
        let (key, kept_key) = making.key(Self::NAME, KeyKind::Ed25519)?;
        let template = AuthorityKeyTemplate {
            user_id: &format!("signet-authority {}", making.trust_domain),
            created: from,
        };
        let certificate = build_authority_key(&template, &key)?;
        Ok(SealedFormatCa {
            name: Self::NAME.to_owned(),
            public: certificate.to_armor().into_bytes(),
            key: Some(kept_key),
            created_at: from,
        })
    }

    fn open(kept: &EpochRecord, custody: &Custody) -> Result<Self, CaError> {
        let sealed = find(&kept.format_cas, Self::NAME)?;
        let name = KeyName::new(Self::NAME, kept.number);
        let certificate = Self::certificate_of(sealed)?;
        let public = certificate.key().ed25519_bytes();
        let public = public.ok_or(CaError::Mismatch(Self::NAME))?;
        let public = PublicKey::from_ed25519(&public)?;
        Ok(Self {
            key: custody.key(name, sealed.key.as_deref(), &public)?,
            certificate,
            from: sealed.created_at,
        })
    }

    /// Reads the public half of a kept one, and when it was made; `None` when there are no keys of
    /// other formats at all.
    pub(crate) fn kept(kept: &[SealedFormatCa]) -> Result<Option<(TrustedKey, UnixTime)>, CaError> {
        if kept.is_empty() {
            return Ok(None);
        }
        let sealed = find(kept, Self::NAME)?;
        Ok(Some((Self::certificate_of(sealed)?, sealed.created_at)))
    }

    fn certificate_of(sealed: &SealedFormatCa) -> Result<TrustedKey, CaError> {
        let armor = str::from_utf8(&sealed.public).map_err(|_| CaError::Mismatch(Self::NAME))?;
        Ok(TrustedKey::from_armor(armor)?)
    }

    pub(crate) fn certificate(&self) -> &TrustedKey {
        &self.certificate
    }

    pub(crate) fn key(&self) -> &dyn Signer {
        &self.key
    }

    pub(crate) fn from(&self) -> UnixTime {
        self.from
    }
}

fn find<'a>(kept: &'a [SealedFormatCa], name: &'static str) -> Result<&'a SealedFormatCa, CaError> {
    kept.iter()
        .find(|ca| ca.name == name)
        .ok_or(CaError::Missing(name))
}
