//! What certifies in SSH and in OpenPGP. Each has a key of its own: no signature made for one
//! format can be taken for one of another.

use notme_core::{
    key::Signer,
    openpgp::{AuthorityKeyTemplate, TrustedKey, build_authority_key},
    ssh,
    time::UnixTime,
};

use crate::{
    ca::{BACKDATED, CaError},
    ca_key::{CaKey, KeyKind},
    seal::Kek,
    store::SealedFormatCa,
};

/// Both of them.
pub(crate) struct FormatCas {
    pub(crate) ssh: SshCa,
    pub(crate) openpgp: OpenPgpCa,
}

impl FormatCas {
    /// Makes new ones, and the sealed forms to keep.
    pub(crate) fn found(
        trust_domain: &str,
        now: UnixTime,
        kek: &Kek,
    ) -> Result<(Self, Vec<SealedFormatCa>), CaError> {
        let from = now.plus(-BACKDATED);
        let (ssh, sealed_ssh) = SshCa::found(from, kek)?;
        let (openpgp, sealed_openpgp) = OpenPgpCa::found(trust_domain, from, kek)?;
        Ok((Self { ssh, openpgp }, vec![sealed_ssh, sealed_openpgp]))
    }

    /// Opens the kept ones.
    pub(crate) fn open(kept: &[SealedFormatCa], kek: &Kek) -> Result<Self, CaError> {
        Ok(Self {
            ssh: SshCa::open(kept, kek)?,
            openpgp: OpenPgpCa::open(kept, kek)?,
        })
    }
}

/// What signs OpenSSH certificates.
pub(crate) struct SshCa {
    public: ssh::PublicKey,
    key: CaKey,
    from: UnixTime,
}

impl SshCa {
    const NAME: &str = "ssh";

    fn found(from: UnixTime, kek: &Kek) -> Result<(Self, SealedFormatCa), CaError> {
        let (key, sealed_key) = CaKey::found(Self::NAME, KeyKind::Ed25519, kek)?;
        let public = ssh::PublicKey::from_key(key.public_key())?;
        let sealed = SealedFormatCa {
            name: Self::NAME.to_owned(),
            public: public.blob().to_vec(),
            key: sealed_key,
            created_at: from,
        };
        Ok((Self { public, key, from }, sealed))
    }

    fn open(kept: &[SealedFormatCa], kek: &Kek) -> Result<Self, CaError> {
        let sealed = find(kept, Self::NAME)?;
        let key = CaKey::open(Self::NAME, KeyKind::Ed25519, &sealed.key, kek)?;
        let public = Self::public(sealed)?;
        if public != ssh::PublicKey::from_key(key.public_key())? {
            return Err(CaError::Mismatch(Self::NAME));
        }
        Ok(Self {
            public,
            key,
            from: sealed.created_at,
        })
    }

    /// Reads the public half of a kept one.
    pub(crate) fn kept_public(kept: &[SealedFormatCa]) -> Result<ssh::PublicKey, CaError> {
        Self::public(find(kept, Self::NAME)?)
    }

    fn public(sealed: &SealedFormatCa) -> Result<ssh::PublicKey, CaError> {
        Ok(ssh::PublicKey::from_blob(&sealed.public)?)
    }

    pub(crate) fn public_key(&self) -> &ssh::PublicKey {
        &self.public
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
    const NAME: &str = "openpgp";

    fn found(
        trust_domain: &str,
        from: UnixTime,
        kek: &Kek,
    ) -> Result<(Self, SealedFormatCa), CaError> {
        let (key, sealed_key) = CaKey::found(Self::NAME, KeyKind::Ed25519, kek)?;
        let template = AuthorityKeyTemplate {
            user_id: &format!("signet-authority {trust_domain}"),
            created: from,
        };
        let certificate = build_authority_key(&template, &key)?;
        let sealed = SealedFormatCa {
            name: Self::NAME.to_owned(),
            public: certificate.to_armor().into_bytes(),
            key: sealed_key,
            created_at: from,
        };
        let ca = Self {
            certificate,
            key,
            from,
        };
        Ok((ca, sealed))
    }

    fn open(kept: &[SealedFormatCa], kek: &Kek) -> Result<Self, CaError> {
        let sealed = find(kept, Self::NAME)?;
        let key = CaKey::open(Self::NAME, KeyKind::Ed25519, &sealed.key, kek)?;
        let certificate = Self::certificate_of(sealed)?;
        if certificate.key().ed25519_bytes() != key.public_key().ed25519_bytes() {
            return Err(CaError::Mismatch(Self::NAME));
        }
        Ok(Self {
            certificate,
            key,
            from: sealed.created_at,
        })
    }

    /// Reads the public half of a kept one.
    pub(crate) fn kept_certificate(kept: &[SealedFormatCa]) -> Result<TrustedKey, CaError> {
        Self::certificate_of(find(kept, Self::NAME)?)
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
